//! The interactions of an expansion in their order, made ahead on threads and taken piece by piece.

use std::iter::repeat_n;
use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::ahead::{Ahead, Queue};
use super::started::Started;
use crate::base::Split;
use crate::error::Error;
use crate::expansion::{Expansion, Id, Interactions, Splits};
use crate::threads::on_threads;
use crate::tiles::{Ranges, Tiler, Wanted};

/// A piece of what is held out takes so many times the interactions that it is to have: they are few.
const HELD_OUT_PIECE: f64 = 8.0;

/// What a stream is to give.
#[derive(Clone, Debug)]
pub struct Request {
    /// Expanded users.
    pub users: Range<u64>,
    pub split: Split,
    pub wanted: Wanted,
    /// Whether the user of each interaction is wanted, beside its item.
    pub with_users: bool,
    /// About how many interactions a piece has at the most.
    pub interactions: usize,
    pub threads: usize,
}

/// Some interactions, with the user of each if users are wanted.
pub struct Piece<U, I> {
    pub users: Vec<U>,
    pub made: Interactions<I>,
}

type Pieces = Ranges<Arc<Expansion>>;

/// A stream, whose threads start when the first piece is asked for.
pub struct Stream<U, I> {
    expansion: Arc<Expansion>,
    request: Request,
    pieces: Started<Pieces, Piece<U, I>>,
}

impl<U: Id, I: Id> Stream<U, I> {
    #[must_use]
    pub fn new(expansion: Arc<Expansion>, request: Request) -> Self {
        let interactions =
            request.interactions as f64 * if request.split == Split::Train { 1.0 } else { HELD_OUT_PIECE };
        let left = Ranges::new(Arc::clone(&expansion), request.users.clone(), interactions);
        Self { expansion, request, pieces: Started::new(left) }
    }

    /// Takes the next piece: nothing at the end, pending if it is not there after some time.
    pub fn take(&mut self, patience: Duration) -> Result<Poll<Option<Piece<U, I>>>, Error> {
        let (expansion, request) = (&self.expansion, &self.request);
        self.pieces.take(patience, |left| {
            let (expansion, request) = (Arc::clone(expansion), request.clone());
            let most = 2 * request.threads + 1;
            Ahead::start(left, most, move |queue: &Queue<_, _>| make_pieces(&expansion, &request, queue))
        })
    }
}

fn make_pieces<U: Id, I: Id>(
    expansion: &Expansion,
    request: &Request,
    queue: &Queue<Pieces, Piece<U, I>>,
) -> Result<(), Error> {
    let tiler = Tiler::new(expansion, request.wanted);
    on_threads(request.threads, &queue.progress, || {
        let mut tiler = tiler.sharing();
        while let Some((number, users)) = queue.claim()? {
            let check = || queue.progress.advance(0);
            let made = interactions(&mut tiler, users, &request.users, request.split, check)?;
            let users = if request.with_users { spelt_out(&made) } else { Vec::new() };
            queue.hand_over(number, Piece { users, made });
        }
        Ok(())
    })
    .map(drop)
}

/// The interactions of one split of some users, who are some of those of a job; `check` may stop the work.
pub fn interactions<I: Id>(
    tiler: &mut Tiler,
    users: Range<u64>,
    job: &Range<u64>,
    split: Split,
    check: impl Fn() -> Result<(), Error>,
) -> Result<Interactions<I>, Error> {
    let mut made = Splits::default();
    tiler.expand(users, job, &mut made, |made| {
        let unwanted = Split::ALL.into_iter().filter(|&other| other != split);
        unwanted.for_each(|other| made[other as usize].clear());
        check()
    })?;
    Ok(std::mem::take(&mut made[split as usize]))
}

/// The user of each interaction.
#[must_use]
pub fn spelt_out<U: Id, I>(made: &Interactions<I>) -> Vec<U> {
    let mut users = Vec::with_capacity(made.items.len());
    for &(user, count) in &made.users {
        users.extend(repeat_n(U::at(user, 0), count as usize));
    }
    users
}
