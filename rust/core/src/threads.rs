//! Threads of one call: started for it and ended with it, watched and cancelled through what they share.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::error::Error;

/// What a long call shares with whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    pub cancel: AtomicBool,
    pub interactions: AtomicU64,
    pub parts: AtomicU64,
}

impl Progress {
    /// Counts so many more interactions; fails where the call is to stop.
    pub fn advance(&self, interactions: usize) -> Result<(), Error> {
        self.interactions.fetch_add(interactions as u64, Ordering::Relaxed);
        if self.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Does `work` on each of `threads` threads, or on as many as the system gives: on the caller's own where it gives none.
/// One failure, a panic too, cancels the others, and is returned.
pub fn on_threads<T: Send>(
    threads: usize,
    progress: &Progress,
    work: impl Fn() -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let guarded = || {
        let guard = CancelUnlessDone { progress, done: false };
        let result = work()?;
        guard.done();
        Ok(result)
    };
    thread::scope(|scope| {
        let begun = (0..threads).map_while(|_| thread::Builder::new().spawn_scoped(scope, guarded).ok());
        let workers: Vec<_> = begun.collect();
        if workers.is_empty() && threads > 0 {
            return guarded().map(|result| vec![result]);
        }
        let outcomes = workers.into_iter().map(|worker| worker.join().unwrap_or(Err(Error::Panicked)));
        outcomes.fold(Ok(Vec::new()), both)
    })
}

/// Does `work` on every piece, each on one of `threads` threads, with what that thread keeps from one piece to the next;
/// returns what each kept.
pub fn on_pieces<P: Send, K: Default + Send>(
    threads: usize,
    pieces: Vec<P>,
    work: impl Fn(&mut K, P) + Sync,
) -> Result<Vec<K>, Error> {
    let threads = threads.clamp(1, pieces.len().max(1));
    let waiting = Mutex::new(pieces);
    on_threads(threads, &Progress::default(), || {
        let mut kept = K::default();
        loop {
            let next = waiting.lock().map_err(|_| Error::Panicked)?.pop();
            let Some(piece) = next else { return Ok(kept) };
            work(&mut kept, piece);
        }
    })
}

/// So many of some threads as can each have numbers for all columns, and these are not more together than there are entries.
#[must_use]
pub fn threads_for(threads: usize, entries: usize, columns: usize) -> usize {
    threads.min(entries / columns.max(1)).max(1)
}

/// Cuts rows that begin at `starts`, the last of which is where they end, into runs of at most so many entries, or of one
/// row.
#[must_use]
pub fn runs_of(starts: &[i64], entries: usize) -> Vec<Range<usize>> {
    let rows = starts.len() - 1;
    let (mut runs, mut first) = (Vec::new(), 0);
    while first < rows {
        let most = starts[first].saturating_add(entries as i64);
        let last = starts.partition_point(|&start| start <= most).clamp(first + 2, rows + 1) - 1;
        runs.push(first..last);
        first = last;
    }
    runs
}

/// Gives each run of rows what it is to fill of `out`: so many places, in their order.
pub fn along<T>(
    runs: Vec<Range<usize>>,
    mut out: &mut [T],
    places: impl Fn(&Range<usize>) -> usize,
) -> Vec<(Range<usize>, &mut [T])> {
    let cut = |rows: Range<usize>| {
        let (these, others) = std::mem::take(&mut out).split_at_mut(places(&rows));
        out = others;
        (rows, these)
    };
    runs.into_iter().map(cut).collect()
}

/// Adds an outcome to those before it; of two failures the one that is not the other's consequence counts.
fn both<T>(all: Result<Vec<T>, Error>, outcome: Result<T, Error>) -> Result<Vec<T>, Error> {
    match (all, outcome) {
        (Ok(mut all), Ok(result)) => {
            all.push(result);
            Ok(all)
        }
        (Err(Error::Cancelled) | Ok(_), Err(error)) | (Err(error), _) => Err(error),
    }
}

/// Cancels the call when it goes before it is told that the work is done.
struct CancelUnlessDone<'r> {
    progress: &'r Progress,
    done: bool,
}

impl CancelUnlessDone<'_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for CancelUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.progress.cancel.store(true, Ordering::Relaxed);
        }
    }
}
