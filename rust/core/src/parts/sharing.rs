//! Sharing: which thread makes which range of which part, so that none has nothing to do.
//!
//! A part has one owner, the thread that encodes it, range by range in their order. The owner makes ranges too; the others
//! make ranges of parts ahead of their owners. As many parts are open at a time as are done in even rounds.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::threads::Progress;

/// How often a thread that has nothing to do looks whether the call is to stop.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// What a thread is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Task<T> {
    /// Begin a part, which is its own from now on.
    Open { part: usize },
    /// Make the next range of its own part and add it there.
    Add { part: usize, range: usize },
    /// Add what another thread, or it itself, has made of its own part.
    Take { part: usize, made: T },
    /// Make a range ahead, to be handed over with [`Sharing::hand_over`].
    Ahead { part: usize, range: usize },
    /// Finish its own part, all of whose ranges have been added.
    Finish { part: usize },
    /// All parts are finished, or about to be by their owners.
    Stop,
}

/// What a thread is at: its own part, and the one it helps with.
#[derive(Debug, Default)]
pub struct Hand {
    own: Option<usize>,
    helps: Option<usize>,
}

/// The work that threads share. `T` is what becomes of a range.
pub struct Sharing<T> {
    work: Mutex<Work<T>>,
    changed: Condvar,
}

impl<T> Sharing<T> {
    /// Parts of so many ranges each, in the order in which they are to begin, for so many threads.
    pub fn new(ranges: &[usize], threads: usize) -> Self {
        Self { work: Mutex::new(Work::new(ranges, threads)), changed: Condvar::new() }
    }

    fn work(&self) -> MutexGuard<'_, Work<T>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next task of a thread.
    pub fn next(&self, hand: &mut Hand, progress: &Progress) -> Result<Task<T>, Error> {
        let mut work = self.work();
        loop {
            progress.advance(0)?;
            if let Some(task) = work.next(hand) {
                // What it has claimed, or finished, may leave something to do for others, or nothing.
                self.changed.notify_all();
                return Ok(task);
            }
            work = self.changed.wait_timeout(work, HEARTBEAT).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Hands over what was made ahead.
    pub fn hand_over(&self, part: usize, range: usize, made: T) {
        self.work().hand_over(part, range, made);
        self.changed.notify_all();
    }
}

struct Work<T> {
    parts: Vec<Part<T>>,
    /// The first part that has not begun.
    next: usize,
    /// The parts that are open, and how many may be.
    open: Vec<usize>,
    most_open: usize,
    /// How many ranges of a part may be claimed and not added yet.
    ahead: usize,
}

struct Part<T> {
    ranges: usize,
    claimed: usize,
    added: usize,
    /// Those made ahead, from `added` on.
    made: Vec<Option<T>>,
}

impl<T> Part<T> {
    fn unclaimed(&self) -> usize {
        self.ranges - self.claimed
    }

    fn can_be_helped(&self, ahead: usize) -> bool {
        self.unclaimed() > 0 && self.claimed - self.added < ahead
    }
}

impl<T> Work<T> {
    fn new(ranges: &[usize], threads: usize) -> Self {
        let of = |&ranges| Part { ranges, claimed: 0, added: 0, made: Vec::new() };
        let rounds = ranges.len().div_ceil(threads).max(1);
        let most_open = ranges.len().div_ceil(rounds).max(1);
        let ahead = 2 * threads.div_ceil(most_open) + 2;
        Self { parts: ranges.iter().map(of).collect(), next: 0, open: Vec::new(), most_open, ahead }
    }

    /// The next task of a thread; nothing if it has to wait for others.
    fn next(&mut self, hand: &mut Hand) -> Option<Task<T>> {
        match hand.own {
            Some(part) => self.next_of_own(part, hand),
            None if self.next < self.parts.len() && self.open.len() < self.most_open => {
                let part = self.next;
                self.next += 1;
                self.open.push(part);
                *hand = Hand { own: Some(part), helps: None };
                Some(Task::Open { part })
            }
            None => self.next_of_others(hand),
        }
    }

    fn next_of_own(&mut self, part: usize, hand: &mut Hand) -> Option<Task<T>> {
        let state = &mut self.parts[part];
        if state.added == state.ranges {
            self.open.retain(|&open| open != part);
            hand.own = None;
            return Some(Task::Finish { part });
        }
        if state.claimed == state.added {
            state.claimed += 1;
            state.added += 1;
            return Some(Task::Add { part, range: state.added - 1 });
        }
        if let Some(made) = state.made.first_mut().and_then(Option::take) {
            state.made.remove(0);
            state.added += 1;
            return Some(Task::Take { part, made });
        }
        self.claim_ahead(part)
    }

    fn next_of_others(&mut self, hand: &mut Hand) -> Option<Task<T>> {
        if let Some(task) = hand.helps.and_then(|part| self.claim_ahead(part)) {
            return Some(task);
        }
        let most_to_do = self.open.iter().copied().filter(|&part| self.parts[part].can_be_helped(self.ahead));
        hand.helps = most_to_do.max_by_key(|&part| self.parts[part].unclaimed());
        if let Some(part) = hand.helps {
            return self.claim_ahead(part);
        }
        let is_left = self.next < self.parts.len() || self.open.iter().any(|&part| self.parts[part].unclaimed() > 0);
        (!is_left).then_some(Task::Stop)
    }

    fn claim_ahead(&mut self, part: usize) -> Option<Task<T>> {
        let state = &mut self.parts[part];
        state.can_be_helped(self.ahead).then(|| {
            state.claimed += 1;
            Task::Ahead { part, range: state.claimed - 1 }
        })
    }

    fn hand_over(&mut self, part: usize, range: usize, made: T) {
        let state = &mut self.parts[part];
        let place = range - state.added;
        if state.made.len() <= place {
            state.made.resize_with(place + 1, || None);
        }
        state.made[place] = Some(made);
    }
}
