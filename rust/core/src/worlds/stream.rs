//! The log of a round: exposures of all users in their order, made ahead on threads.

use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::exposures::{Exposures, Maker};
use super::world::World;
use crate::error::Error;
use crate::passes::{Ahead, Queue, Started};
use crate::threads::on_threads;

/// What is wanted of a log.
#[derive(Clone, Debug)]
pub struct Asked {
    pub users: Range<u32>,
    pub round: u64,
    pub only_responses: bool,
    /// So many users make a piece.
    pub at_once: u32,
    pub threads: usize,
}

/// The log, whose threads start when the first piece is asked for.
pub struct Log {
    world: Arc<World>,
    asked: Asked,
    pieces: Started<Pieces, Exposures>,
}

/// Ranges of users, one after the other.
#[derive(Clone)]
struct Pieces {
    left: Range<u32>,
    at_once: u32,
}

impl Iterator for Pieces {
    type Item = Range<u32>;

    fn next(&mut self) -> Option<Range<u32>> {
        let start = self.left.start;
        self.left.start = start.saturating_add(self.at_once).min(self.left.end);
        (start < self.left.end).then_some(start..self.left.start)
    }
}

impl Log {
    #[must_use]
    pub fn new(world: Arc<World>, asked: Asked) -> Self {
        let left = Pieces { left: asked.users.clone(), at_once: asked.at_once };
        Self { world, asked, pieces: Started::new(left) }
    }

    /// Takes the next piece: nothing at the end, pending if it is not there after some time.
    pub fn take(&mut self, patience: Duration) -> Result<Poll<Option<Exposures>>, Error> {
        let (world, asked) = (&self.world, &self.asked);
        self.pieces.take(patience, |left| {
            let (world, asked) = (Arc::clone(world), asked.clone());
            let most = 2 * asked.threads + 1;
            Ahead::start(left, most, move |queue: &Queue<_, _>| make(&world, &asked, queue))
        })
    }
}

fn make(world: &World, asked: &Asked, queue: &Queue<Pieces, Exposures>) -> Result<(), Error> {
    on_threads(asked.threads, &queue.progress, || {
        let mut maker = Maker::default();
        while let Some((number, users)) = queue.claim()? {
            let mut made = Exposures::default();
            for user in users {
                let shown = world.axis.shown(world.exposures(user))?;
                maker.expose(world, &world.axis, &shown, asked.round, user, asked.only_responses, &mut made);
                queue.progress.advance(0)?;
            }
            queue.hand_over(number, made);
        }
        Ok(())
    })
    .map(drop)
}
