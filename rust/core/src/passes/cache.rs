//! Rows that a pass has read, kept in memory for the passes after it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cursor::{Row, Visitor};
use crate::error::Error;

/// So many bytes are claimed at a time.
const CLAIM: usize = 1 << 20;

/// The rows of pieces that were visited, as long as there is room; what is not kept is read again.
pub struct RowCache {
    pieces: Vec<OnceLock<Rows>>,
    room: AtomicUsize,
}

/// The rows of a piece in 4 bytes an interaction.
#[derive(Default)]
struct Rows {
    /// Each user and how many interactions of each split it has.
    users: Vec<(u64, [u32; 3])>,
    items: Vec<u32>,
}

impl RowCache {
    /// A cache for so many pieces that takes so many bytes at most.
    #[must_use]
    pub fn new(pieces: usize, bytes: usize) -> Self {
        Self { pieces: (0..pieces).map(|_| OnceLock::new()).collect(), room: AtomicUsize::new(bytes) }
    }

    /// Visits the rows of a piece, if they are kept.
    pub(super) fn visit(&self, piece: usize, each: &mut Visitor) -> Option<Result<(), Error>> {
        self.pieces[piece].get().map(|rows| rows.visit(each))
    }

    /// Begins to take down a piece.
    pub(super) fn record(&self) -> Recorder<'_> {
        Recorder { cache: self, rows: Some(Rows::default()), claimed: 0 }
    }

    fn claim(&self, bytes: usize) -> bool {
        let left = |room: usize| room.checked_sub(bytes);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }
}

impl Rows {
    fn visit(&self, each: &mut Visitor) -> Result<(), Error> {
        let (mut items, mut first) = (Vec::new(), 0);
        for &(user, [of_train, of_valid, of_test]) in &self.users {
            let last = first + (of_train + of_valid + of_test) as usize;
            items.clear();
            items.extend(self.items[first..last].iter().map(|&item| i64::from(item)));
            let (train, held_out) = items.split_at(of_train as usize);
            let (valid, test) = held_out.split_at(of_valid as usize);
            each(Row { user, train, valid, test })?;
            first = last;
        }
        Ok(())
    }
}

/// Takes down the rows of a piece while they are visited.
pub(super) struct Recorder<'c> {
    cache: &'c RowCache,
    /// None where they do not fit.
    rows: Option<Rows>,
    claimed: usize,
}

impl Recorder<'_> {
    pub(super) fn push(&mut self, row: Row) {
        let Some(rows) = &mut self.rows else { return };
        let bytes = size_of_val(&*rows.items) + size_of_val(&*rows.users) + row.len() * size_of::<u32>() + CLAIM;
        // What damaged files hold may be no item.
        let fits = row.all().all(|item| u32::try_from(item).is_ok());
        while fits && self.claimed < bytes && self.cache.claim(CLAIM) {
            self.claimed += CLAIM;
        }
        if !fits || self.claimed < bytes {
            self.rows = None;
            return;
        }
        rows.users.push((row.user, [row.train, row.valid, row.test].map(|items| items.len() as u32)));
        rows.items.extend(row.all().map(|item| item as u32));
    }

    /// Keeps the piece, of which all rows were pushed.
    pub(super) fn keep(mut self, piece: usize) {
        if let Some(mut rows) = self.rows.take() {
            rows.items.shrink_to_fit();
            rows.users.shrink_to_fit();
            if self.cache.pieces[piece].set(rows).is_ok() {
                self.claimed = 0;
            }
        }
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        self.cache.room.fetch_add(self.claimed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of a piece's rows, if they are kept.
    fn visited(cache: &RowCache, piece: usize) -> Option<Vec<i64>> {
        let mut items = Vec::new();
        let outcome = cache.visit(piece, &mut |row| {
            items.push(row.user as i64);
            items.extend(row.all());
            Ok(())
        });
        outcome.map(|outcome| outcome.map(|()| items).unwrap_or_default())
    }

    #[test]
    fn keeps_what_fits_and_nothing_that_is_no_item() {
        let cache = RowCache::new(3, 2 * CLAIM);
        for (piece, item) in [(0, 7), (1, -1), (2, 9)] {
            let mut recorder = cache.record();
            recorder.push(Row { user: piece as u64, train: &[3, item], valid: &[8], test: &[5] });
            recorder.keep(piece);
        }
        assert_eq!(visited(&cache, 0), Some(vec![0, 3, 7, 8, 5]));
        assert_eq!(visited(&cache, 1), None);
        // The first one took the room.
        assert_eq!(visited(&cache, 2), None);
        assert_eq!(cache.room.load(Ordering::Relaxed), 0);
    }
}
