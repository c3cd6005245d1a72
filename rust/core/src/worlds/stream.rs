//! The log of a round: exposures of all users in their order, made ahead on threads.

use std::ops::Range;
use std::process;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::exposures::{Exposures, Maker};
use super::world::World;
use crate::error::Error;
use crate::passes::{Ahead, Queue};
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

type Made = Ahead<Pieces, Exposures>;

/// The log, whose threads start when the first piece is asked for.
pub struct Log {
    world: Arc<World>,
    asked: Asked,
    /// The pieces that are not taken yet.
    left: Pieces,
    /// The threads, and the process that they belong to.
    running: Option<(u32, Made)>,
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
        Self { world, asked, left, running: None }
    }

    /// Takes the next piece: nothing at the end, pending if it is not there after some time.
    pub fn take(&mut self, patience: Duration) -> Result<Poll<Option<Exposures>>, Error> {
        let taken = self.threads()?.take(patience)?;
        if matches!(taken, Poll::Ready(Some(_))) {
            self.left.next();
        }
        Ok(taken)
    }

    /// The threads, started where this process has none: after a fork they are those of the parent.
    fn threads(&mut self) -> Result<&Made, Error> {
        let here = process::id();
        if let Some((_, others)) = self.running.take_if(|(process, _)| *process != here) {
            others.abandon();
        }
        if self.running.is_none() {
            let (world, asked) = (Arc::clone(&self.world), self.asked.clone());
            let work = move |queue: &Queue<_, _>| make(&world, &asked, queue);
            let most = 2 * self.asked.threads + 1;
            self.running = Some((here, Ahead::start(self.left.clone(), most, work)?));
        }
        self.running.as_ref().map(|(_, threads)| threads).ok_or(Error::Cancelled)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some((_, others)) = self.running.take_if(|(process, _)| *process != process::id()) {
            others.abandon();
        }
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
