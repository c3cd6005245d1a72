//! Mixing: the entries of each cell's users dealt out among them, so that no row is one user's.

use super::base::{Base, ITEM, Split};
use super::cells::Cells;
use crate::chance::{Key, Permutation};

/// Who deals: the cells of users, and the key of the deal.
#[derive(Clone, Copy)]
pub struct Mixing<'c> {
    pub cells: &'c Cells,
    pub key: Key,
}

impl Mixing<'_> {
    /// The entries of all rows, slot by slot and by item, and where each row begins, and the last one ends.
    ///
    /// Of a cell's entries with one item, number k goes to the k-th of its users in an order of that item's own: so which
    /// rows have it depends on how many of the users do, not on who.
    #[must_use]
    pub fn deal(&self, base: &Base) -> (Vec<u32>, Vec<usize>) {
        let mut entries = Vec::with_capacity(base.len());
        let mut starts = Vec::with_capacity(base.users() as usize + 1);
        starts.push(0);
        let (mut of_cell, mut rows) = (Vec::new(), Vec::<Vec<u32>>::new());
        for cell in 0..self.cells.len() {
            let (start, end) = self.cells.bounds(cell);
            if end - start == 1 {
                entries.extend(base.row(self.cells.code(start)).map(|entry| entry as u32));
                starts.push(entries.len());
                continue;
            }
            of_cell.clear();
            for slot in start..end {
                of_cell.extend(base.row(self.cells.code(slot)).map(|entry| {
                    let word = base.entries()[entry];
                    (word & ITEM, Split::of(word), slot, entry as u32)
                }));
            }
            of_cell.sort_unstable();
            rows.resize_with(rows.len().max((end - start) as usize), Vec::new);
            let key = self.key.child(cell as u64);
            for alike in of_cell.chunk_by(|one, other| one.0 == other.0) {
                let of_item = key.child(u64::from(alike[0].0));
                for (number, &(.., entry)) in (0..).zip(alike) {
                    rows[Permutation::single_image(of_item, end - start, number) as usize].push(entry);
                }
            }
            for row in &mut rows[..(end - start) as usize] {
                entries.append(row);
                starts.push(entries.len());
            }
        }
        (entries, starts)
    }

    /// How many train, validation and test entries the row of each user has then, by code.
    #[must_use]
    pub fn degrees(&self, base: &Base) -> Vec<[u32; 3]> {
        let (entries, starts) = self.deal(base);
        let mut degrees = vec![[0; 3]; base.users() as usize];
        for (row, slot) in starts.windows(2).zip(0..) {
            let degree = &mut degrees[self.cells.code(slot) as usize];
            for &entry in &entries[row[0]..row[1]] {
                degree[Split::of(base.entries()[entry as usize]) as usize] += 1;
            }
        }
        degrees
    }
}
