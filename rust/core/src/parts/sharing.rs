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

/// A thread: the part that is its own, if one is.
#[derive(Debug, Default)]
pub struct Hand {
    own: Option<usize>,
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
            None if self.open.len() < self.most_open => self.open_next(hand).or_else(|| self.next_of_others()),
            None => self.next_of_others().or_else(|| self.open_next(hand)),
        }
    }

    fn open_next(&mut self, hand: &mut Hand) -> Option<Task<T>> {
        let part = self.next;
        (part < self.parts.len()).then(|| {
            self.next += 1;
            self.open.push(part);
            hand.own = Some(part);
            Task::Open { part }
        })
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

    /// Helps where most is left to do; stops where nothing is.
    fn next_of_others(&mut self) -> Option<Task<T>> {
        let can_be_helped = self.open.iter().copied().filter(|&part| self.parts[part].can_be_helped(self.ahead));
        if let Some(part) = can_be_helped.max_by_key(|&part| self.parts[part].unclaimed()) {
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

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;
    use proptest::prelude::*;

    /// Nanoseconds an interaction: to encode it, and to copy it where another thread has made it.
    const ENCODE: u64 = 4;
    const COPY_TENTHS: u64 = 5;
    const ROW_GROUP: u64 = 1 << 20;
    /// To begin and to finish a part, whatever its size.
    const FILES: u64 = 200_000;

    /// A part as it is simulated: interactions of each range, and nanoseconds to make one of them.
    struct Simulated {
        ranges: Vec<u64>,
        make: f64,
    }

    impl Simulated {
        fn new(interactions: u64, make: f64) -> Self {
            let count = interactions.div_ceil(200_000);
            Self {
                ranges: (0..count).map(|k| (k + 1) * interactions / count - k * interactions / count).collect(),
                make,
            }
        }
    }

    /// The share of their time that threads do something one thread would have to do too, and the most ranges that were
    /// made and not added yet at any time.
    fn simulate(parts: &[Simulated], threads: usize) -> (f64, usize) {
        let counts: Vec<usize> = parts.iter().map(|part| part.ranges.len()).collect();
        let mut work = Work::new(&counts, threads);
        let mut hands: Vec<Hand> = (0..threads).map(|_| Hand::default()).collect();
        let mut in_hand: Vec<Option<(usize, usize)>> = vec![None; threads];
        let (mut pending, mut next) = (vec![0; parts.len()], vec![0; parts.len()]);
        let mut ready: BinaryHeap<Reverse<(u64, usize)>> = (0..threads).map(|thread| Reverse((0, thread))).collect();
        let (mut waiting, mut end, mut useful, mut most, mut stopped) = (Vec::new(), 0, 0, 0, 0);
        while let Some(Reverse((now, thread))) = ready.pop() {
            let mut changed = false;
            if let Some((part, range)) = in_hand[thread].take() {
                work.hand_over(part, range, range);
                changed = true;
            }
            let mut group = |part: usize, more: u64, all: bool| {
                pending[part] += more;
                let full = if all { pending[part] } else { pending[part] / ROW_GROUP * ROW_GROUP };
                pending[part] -= full;
                full * ENCODE
            };
            let to_make = |part: usize, range: usize| (parts[part].ranges[range] as f64 * parts[part].make) as u64;
            let (cost, besides) = match work.next(&mut hands[thread]) {
                None => {
                    waiting.push(thread);
                    (None, 0)
                }
                Some(Task::Stop) => {
                    stopped += 1;
                    (None, 0)
                }
                Some(Task::Open { .. }) => (Some(FILES), 0),
                Some(Task::Add { part, range }) => {
                    assert_eq!(std::mem::replace(&mut next[part], range + 1), range);
                    let encode = group(part, parts[part].ranges[range], false);
                    (Some(to_make(part, range) + encode), 0)
                }
                Some(Task::Take { part, made: range }) => {
                    assert_eq!(std::mem::replace(&mut next[part], range + 1), range);
                    let copy = parts[part].ranges[range] * COPY_TENTHS / 10;
                    (Some(group(part, parts[part].ranges[range], false) + copy), copy)
                }
                Some(Task::Ahead { part, range }) => {
                    in_hand[thread] = Some((part, range));
                    (Some(to_make(part, range)), 0)
                }
                Some(Task::Finish { part }) => (Some(FILES + group(part, 0, true)), 0),
            };
            if let Some(cost) = cost {
                changed = true;
                useful += cost - besides;
                end = end.max(now + cost);
                ready.push(Reverse((now + cost, thread)));
            }
            most = most.max(work.parts.iter().map(|part| part.made.iter().flatten().count()).sum());
            if changed {
                ready.extend(waiting.drain(..).map(|thread| Reverse((now, thread))));
            }
        }
        assert_eq!(stopped, threads);
        assert!(work.parts.iter().all(|part| part.added == part.ranges) && pending.iter().all(|&rows| rows == 0));
        (useful as f64 / (end * threads as u64) as f64, most)
    }

    /// The default plan of so many interactions in 16 row blocks, from sparse to dense: in the sparse ones an interaction
    /// takes longer, for as many rows are visited.
    fn plan(interactions: u64) -> Vec<Simulated> {
        let size = (interactions / 128).clamp(1_000_000, 16_000_000);
        let count = interactions.div_ceil(size);
        let make = |k: u64| 5.0 + 2.0 / (0.4 + 1.2 * (k as f64 + 0.5) / count as f64);
        (0..count).map(|k| Simulated::new(interactions / count, make(k))).collect()
    }

    #[test]
    fn no_thread_is_idle_for_long_with_the_default_plan() {
        let plan = plan(2_600_000_000);
        assert_eq!(plan.len(), 163);
        for threads in 2..=128 {
            let (efficiency, made) = simulate(&plan, threads);
            // benches/growth.py draws it.
            println!("{threads} threads: {efficiency:.4}");
            assert!(efficiency >= 0.95, "{efficiency:.3} on {threads} threads");
            assert!(made <= 4 * threads, "{made} ranges on {threads} threads");
        }
    }

    #[test]
    fn small_data_sets_use_all_threads_of_a_small_machine() {
        for (interactions, threads, least) in [(7_000_000, 2, 0.9), (20_000_000, 4, 0.99), (100_000_000, 16, 0.9)] {
            assert!(simulate(&plan(interactions), threads).0 >= least, "{interactions} on {threads} threads");
        }
        // A single part: one thread makes ranges ahead of the other.
        assert!(simulate(&[Simulated::new(16_000_000, 6.7)], 2).0 >= 0.9);
    }

    proptest! {
        /// `simulate` checks that every range is added and every thread stops.
        #[test]
        fn every_range_is_made_once(
            sizes in proptest::collection::vec(0_u64..3_000_000, 0..40),
            threads in 1_usize..20,
        ) {
            let parts: Vec<Simulated> = sizes.iter().map(|&size| Simulated::new(size, 7.0)).collect();
            simulate(&parts, threads);
        }
    }
}
