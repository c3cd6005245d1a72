//! Work done ahead on threads of its own, and taken in its order by whoever asks for it, call after call.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::Error;
use crate::threads::Progress;

/// How often a thread that waits for room looks whether the call is to stop.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// What is made of one piece after the other, some pieces ahead of the one that is taken next.
pub struct Ahead<P: Iterator, T> {
    queue: Arc<Queue<P, T>>,
    /// The thread that the others belong to.
    threads: Option<JoinHandle<()>>,
}

/// What the threads that make pieces share with the one that takes them.
pub struct Queue<P: Iterator, T> {
    pub progress: Progress,
    state: Mutex<State<P, T>>,
    changed: Condvar,
}

struct State<P: Iterator, T> {
    pieces: P,
    /// What was made, from the piece on that is taken next; `None` is being made.
    made: VecDeque<Option<T>>,
    /// The number of the first of them, and how many there may be.
    next: u64,
    most: usize,
    /// Whether the threads are gone, and why, where it was an error.
    ended: bool,
    failure: Option<Error>,
}

impl<P: Iterator + Send + 'static, T: Send + 'static> Ahead<P, T> {
    /// Starts `work`, which may have threads of its own, and has at most so many pieces made or begun at a time.
    pub fn start(
        pieces: P,
        most: usize,
        work: impl FnOnce(&Queue<P, T>) -> Result<(), Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let state = State { pieces, made: VecDeque::new(), next: 0, most, ended: false, failure: None };
        let queue = Queue { progress: Progress::default(), state: Mutex::new(state), changed: Condvar::new() };
        let queue = Arc::new(queue);
        let theirs = Arc::clone(&queue);
        let run = move || {
            let guard = EndsQueue(&theirs);
            let outcome = work(&theirs);
            theirs.lock().failure = outcome.err();
            drop(guard);
        };
        let threads = thread::Builder::new().name("fractalrs stream".to_owned()).spawn(run);
        let threads = threads.map_err(|error| Error::NoThread(error.to_string()))?;
        Ok(Self { queue, threads: Some(threads) })
    }

    /// Takes what was made of the next piece: nothing at the end, pending if it is not there after some time.
    pub fn take(&self, patience: Duration) -> Result<Poll<Option<T>>, Error> {
        let mut state = self.queue.lock();
        loop {
            if state.made.front().is_some_and(Option::is_some) {
                state.next += 1;
                self.queue.changed.notify_all();
                return Ok(Poll::Ready(state.made.pop_front().flatten()));
            }
            if state.ended {
                return state.failure.take().map_or(Ok(Poll::Ready(None)), Err);
            }
            let waited = self.queue.changed.wait_timeout(state, patience);
            let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = again;
            if timeout.timed_out() && state.made.front().is_none_or(Option::is_none) && !state.ended {
                return Ok(Poll::Pending);
            }
        }
    }
}

impl<P: Iterator, T> Ahead<P, T> {
    /// Leaves the threads alone, which belong to another process.
    pub fn abandon(mut self) {
        std::mem::forget((self.threads.take(), Arc::clone(&self.queue)));
    }
}

impl<P: Iterator, T> Drop for Ahead<P, T> {
    fn drop(&mut self) {
        let Some(threads) = self.threads.take() else { return };
        self.queue.progress.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        drop(self.queue.lock());
        self.queue.changed.notify_all();
        // A panic was told by the end of the queue.
        drop(threads.join());
    }
}

impl<P: Iterator, T> Queue<P, T> {
    fn lock(&self) -> MutexGuard<'_, State<P, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another piece may be begun, and claims it; nothing if there is none.
    pub fn claim(&self) -> Result<Option<(u64, P::Item)>, Error> {
        let mut state = self.lock();
        loop {
            self.progress.advance(0)?;
            if state.made.len() < state.most {
                let number = state.next + state.made.len() as u64;
                let Some(piece) = state.pieces.next() else { return Ok(None) };
                state.made.push_back(None);
                return Ok(Some((number, piece)));
            }
            // Nobody tells of a cancelled call.
            state = self.changed.wait_timeout(state, HEARTBEAT).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Hands over what was made of a piece.
    pub fn hand_over(&self, number: u64, made: T) {
        let mut state = self.lock();
        let place = (number - state.next) as usize;
        state.made[place] = Some(made);
        self.changed.notify_all();
    }
}

/// Ends a queue when the threads go, however they go.
struct EndsQueue<'q, P: Iterator, T>(&'q Queue<P, T>);

impl<P: Iterator, T> Drop for EndsQueue<'_, P, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if thread::panicking() {
            state.failure = Some(Error::Panicked);
        }
        state.ended = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::on_threads;

    /// Squares of numbers, made on threads; a thread fails at `bad`.
    fn squares(count: u64, threads: usize, most: usize, bad: u64) -> Ahead<std::ops::Range<u64>, u64> {
        let work = move |queue: &Queue<std::ops::Range<u64>, u64>| {
            on_threads(threads, &queue.progress, || {
                while let Some((number, piece)) = queue.claim()? {
                    if piece == bad {
                        return Err(Error::Invalid(format!("{piece} is bad")));
                    }
                    queue.hand_over(number, piece * piece);
                }
                Ok(())
            })
            .map(drop)
        };
        Ahead::start(0..count, most, work).expect("a thread")
    }

    fn take(ahead: &Ahead<std::ops::Range<u64>, u64>) -> Result<Option<u64>, Error> {
        loop {
            if let Poll::Ready(made) = ahead.take(Duration::from_millis(20))? {
                return Ok(made);
            }
        }
    }

    #[test]
    fn pieces_come_in_their_order_and_end() {
        for (threads, most) in [(1, 1), (1, 5), (3, 1), (3, 7), (8, 2)] {
            let ahead = squares(500, threads, most, u64::MAX);
            for number in 0..500 {
                assert_eq!(take(&ahead).expect("made"), Some(number * number));
            }
            assert_eq!(take(&ahead).expect("ended"), None);
            assert_eq!(take(&ahead).expect("ended still"), None);
        }
    }

    #[test]
    fn what_was_made_before_an_error_comes_first() {
        let ahead = squares(100, 1, 3, 40);
        for number in 0..40 {
            assert_eq!(take(&ahead).expect("made"), Some(number * number));
        }
        assert!(matches!(take(&ahead), Err(Error::Invalid(message)) if message == "40 is bad"));
    }

    #[test]
    fn a_thread_that_fails_late_ends_those_that_wait_for_room() {
        let work = |queue: &Queue<std::ops::Range<u64>, u64>| {
            on_threads(3, &queue.progress, || {
                while let Some((number, piece)) = queue.claim()? {
                    if piece == 5 {
                        thread::sleep(Duration::from_millis(200));
                        return Err(Error::Invalid("late".to_owned()));
                    }
                    queue.hand_over(number, piece);
                }
                Ok(())
            })
            .map(drop)
        };
        let ahead = Ahead::start(0..1_000, 4, work).expect("a thread");
        let failure = loop {
            match take(&ahead) {
                Ok(made) => assert!(made.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(failure.to_string(), "late");
    }

    #[test]
    fn whoever_leaves_stops_the_threads() {
        let ahead = squares(u64::MAX - 1, 3, 4, u64::MAX);
        assert_eq!(take(&ahead).expect("made"), Some(0));
        let queue = Arc::clone(&ahead.queue);
        drop(ahead);
        assert!(queue.lock().ended);
        assert!(queue.lock().made.len() <= 4);
    }
}
