//! Mixing: the entries of each cell's users dealt out among them, so that no row is one user's.

use std::ops::Range;
use std::slice::IterMut;

use super::base::{Base, ITEM, Split};
use super::cells::Cells;
use super::layout::Layout;
use crate::chance::{Key, Permutation};
use crate::error::Error;
use crate::threads::{along, on_pieces, runs_of};

/// Who deals: the cells of users, and the key of the deal.
#[derive(Clone, Copy)]
pub struct Mixing<'c> {
    pub cells: &'c Cells,
    pub key: Key,
}

/// Cells that one thread deals at a time have so many entries, or are one.
const ENTRIES_AT_A_TIME: usize = 1 << 16;

impl Mixing<'_> {
    /// The entries of all rows, slot by slot and by item, and where each row begins, and the last one ends.
    ///
    /// Of a cell's entries with one item, number k goes to the k-th of its users in an order of that item's own: so which
    /// rows have it depends on how many of the users do, not on who.
    pub fn deal(&self, base: &Base, threads: usize) -> Result<(Vec<u32>, Vec<usize>), Error> {
        let (mut entries, mut starts) = (vec![0; base.len()], vec![0; base.users() as usize + 1]);
        let runs = self.runs(base, &mut entries, &mut starts[1..]);
        on_pieces(threads, runs, |dealer: &mut Dealer, mut run| {
            for cell in run.cells.clone() {
                dealer.deal(self, base, cell, &mut run);
            }
        })?;
        Ok((entries, starts))
    }

    /// Cuts all cells into runs, each with where its entries go, and where the ends of its rows do.
    fn runs<'a>(&self, base: &Base, entries: &'a mut [u32], ends: &'a mut [usize]) -> Vec<Run<'a>> {
        let mut before = vec![0_i64];
        before.extend((0..self.cells.len()).scan(0, |sum, cell| {
            let (start, end) = self.cells.bounds(cell);
            *sum += (start..end).map(|slot| base.row(self.cells.code(slot)).len() as i64).sum::<i64>();
            Some(*sum)
        }));
        let runs = runs_of(&before, ENTRIES_AT_A_TIME);
        let rows =
            |cells: &Range<usize>| (self.cells.bounds(cells.end - 1).1 - self.cells.bounds(cells.start).0) as usize;
        let ends = along(runs.clone(), ends, rows);
        let entries = along(runs, entries, |cells| (before[cells.end] - before[cells.start]) as usize);
        let both = entries.into_iter().zip(ends);
        both.map(|((cells, entries), (_, ends))| Run {
            filled: before[cells.start] as usize,
            cells,
            entries: entries.iter_mut(),
            ends: ends.iter_mut(),
        })
        .collect()
    }

    /// How many train, validation and test entries the row of each user has then, by code.
    pub fn degrees(&self, base: &Base, threads: usize) -> Result<Vec<[u32; 3]>, Error> {
        Ok(Layout::new(base, self.cells.order(), false, None, Some(*self), threads)?.degrees(self.cells.order()))
    }
}

/// Cells side by side, and what is still to be filled of their entries and of the ends of their rows.
struct Run<'a> {
    cells: Range<usize>,
    entries: IterMut<'a, u32>,
    ends: IterMut<'a, usize>,
    /// How many entries are before those that are still to be filled.
    filled: usize,
}

impl Run<'_> {
    fn push(&mut self, row: impl ExactSizeIterator<Item = u32>) {
        self.filled += row.len();
        for (entry, place) in row.zip(self.entries.by_ref()) {
            *place = entry;
        }
        if let Some(end) = self.ends.next() {
            *end = self.filled;
        }
    }
}

/// What a thread deals with, kept from one cell to the next.
#[derive(Default)]
struct Dealer {
    /// The entries of the cell, user by user, …
    entries: Vec<u32>,
    /// … and in the order in which they are dealt: item, split, and the place of each among them.
    order: Vec<u64>,
    rows: Vec<Vec<u32>>,
}

const PLACE_BITS: u32 = 32;
const ITEM_SHIFT: u32 = PLACE_BITS + 2;

impl Dealer {
    fn deal(&mut self, mixing: &Mixing, base: &Base, cell: usize, run: &mut Run) {
        let (start, end) = mixing.cells.bounds(cell);
        let members = (start..end).map(|slot| base.row(mixing.cells.code(slot)));
        if end - start == 1 {
            members.for_each(|row| run.push(row.map(|entry| entry as u32)));
            return;
        }
        self.entries.clear();
        self.order.clear();
        for entry in members.flatten() {
            let word = base.entries()[entry];
            let (item, split) = (u64::from(word & ITEM), Split::of(word) as u64);
            self.order.push(item << ITEM_SHIFT | split << PLACE_BITS | self.entries.len() as u64);
            self.entries.push(entry as u32);
        }
        // Rows rise already: merging them is quicker than any other sort.
        #[allow(clippy::stable_sort_primitive)]
        self.order.sort();
        self.rows.resize_with(self.rows.len().max((end - start) as usize), Vec::new);
        let key = mixing.key.child(cell as u64);
        for alike in self.order.chunk_by(|one, other| one >> ITEM_SHIFT == other >> ITEM_SHIFT) {
            let of_item = key.child(alike[0] >> ITEM_SHIFT);
            let order = Permutation::new(of_item, end - start);
            for (number, &word) in (0..).zip(alike) {
                self.rows[order.image(number) as usize].push(self.entries[word as u32 as usize]);
            }
        }
        for row in &mut self.rows[..(end - start) as usize] {
            run.push(row.drain(..));
        }
    }
}
