//! Pieces made ahead by threads of this process, which start when the first piece is asked for.

use std::process;
use std::task::Poll;
use std::time::Duration;

use super::ahead::Ahead;
use crate::error::Error;

/// What is left to take, and the threads that make it.
pub struct Started<P: Iterator, T> {
    /// The pieces that are not taken yet.
    left: P,
    /// The threads, and the process that they belong to.
    running: Option<(u32, Ahead<P, T>)>,
}

impl<P: Iterator + Clone + Send + 'static, T: Send + 'static> Started<P, T> {
    pub fn new(left: P) -> Self {
        Self { left, running: None }
    }

    /// Takes the next piece: nothing at the end, pending if it is not there after some time.
    ///
    /// `start` is called where this process has no threads: after a fork they are those of the parent.
    pub fn take(
        &mut self,
        patience: Duration,
        start: impl FnOnce(P) -> Result<Ahead<P, T>, Error>,
    ) -> Result<Poll<Option<T>>, Error> {
        self.leave_others();
        let running = match self.running.take() {
            Some(running) => running,
            None => (process::id(), start(self.left.clone())?),
        };
        let taken = self.running.insert(running).1.take(patience)?;
        if matches!(taken, Poll::Ready(Some(_))) {
            self.left.next();
        }
        Ok(taken)
    }
}

impl<P: Iterator, T> Started<P, T> {
    /// Leaves threads of another process alone.
    fn leave_others(&mut self) {
        if let Some((_, others)) = self.running.take_if(|(owner, _)| *owner != process::id()) {
            others.abandon();
        }
    }
}

impl<P: Iterator, T> Drop for Started<P, T> {
    fn drop(&mut self) {
        self.leave_others();
    }
}
