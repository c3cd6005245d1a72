//! The base: the signed sparse matrix of real interactions.

use std::ops::Range;

use crate::error::Error;
use crate::threads::runs_of;

/// Set in an entry that is held out, for test unless it is for validation.
pub const TEST: u32 = 1 << 31;
/// Set too in one that is held out for validation.
pub const VALID: u32 = 1 << 30;
/// The bits of an entry that are its item code.
pub const ITEM: u32 = VALID - 1;

/// What an interaction is for, in the order of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    Train,
    Valid,
    Test,
}

impl Split {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// That of an entry of a base.
    #[inline]
    #[must_use]
    pub fn of(entry: u32) -> Self {
        match entry >> 30 {
            0 | 1 => Self::Train,
            2 => Self::Test,
            _ => Self::Valid,
        }
    }
}

/// Users × items in compressed sparse rows, each row sorted by item code, each item once.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    indptr: &'a [i64],
    entries: &'a [u32],
    items: u32,
}

impl<'a> Base<'a> {
    /// Checks what costs nothing; `check` looks at every entry.
    pub fn new(indptr: &'a [i64], entries: &'a [u32], items: u32) -> Result<Self, Error> {
        if indptr.len() < 2 || indptr.len() > TEST as usize || items == 0 || items > VALID {
            return refuse("it needs between 1 and 2**31 - 1 users, and between 1 and 2**30 items");
        }
        if indptr[0] != 0 || *indptr.last().unwrap_or(&0) != entries.len() as i64 {
            return refuse("its row pointers do not span its entries");
        }
        Ok(Self { indptr, entries, items })
    }

    /// Checks every row pointer and entry.
    pub fn check(&self) -> Result<(), Error> {
        if self.indptr.windows(2).any(|pair| pair[0] > pair[1]) {
            return refuse("its row pointers fall");
        }
        // All entries, and all pairs of them, without a branch: many at a time.
        let is_none = |&entry: &u32| u32::from(entry & ITEM >= self.items) | u32::from(entry >> 30 == 1);
        if self.entries.iter().fold(0, |bad, entry| bad | is_none(entry)) != 0 {
            return refuse("an entry names an item that does not exist");
        }
        let falls = |row: &[u32]| {
            row.iter()
                .zip(&row[1.min(row.len())..])
                .fold(0, |bad, (one, other)| bad | u32::from(one & ITEM >= other & ITEM))
        };
        if self.indptr.windows(2).any(|pair| falls(&self.entries[pair[0] as usize..pair[1] as usize]) != 0) {
            return refuse("a row is not in the order of its items, each once");
        }
        Ok(())
    }

    #[must_use]
    pub fn users(&self) -> u32 {
        (self.indptr.len() - 1) as u32
    }

    #[must_use]
    pub fn items(&self) -> u32 {
        self.items
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the entries of one user stand.
    #[inline]
    #[must_use]
    pub fn row(&self, user: u32) -> Range<usize> {
        let user = user as usize;
        self.indptr[user] as usize..self.indptr[user + 1] as usize
    }

    /// Whether a user has an entry with an item.
    #[inline]
    #[must_use]
    pub fn has(&self, user: u32, item: u32) -> bool {
        self.entries[self.row(user)].binary_search_by_key(&item, |&entry| entry & ITEM).is_ok()
    }

    /// Users side by side that have so many entries at most, or are one.
    pub(super) fn runs(&self, entries: usize) -> Vec<Range<usize>> {
        runs_of(self.indptr, entries)
    }

    /// The entries of all users.
    #[must_use]
    pub fn entries(&self) -> &'a [u32] {
        self.entries
    }
}

fn refuse<T>(what: &str) -> Result<T, Error> {
    Err(Error::Invalid(format!("the base is damaged: {what}")))
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_passes_the_checks_has_rows_inside_its_entries(
            indptr in vec(prop_oneof![-2..20_i64, any::<i64>()], 0..8),
            entries in vec(prop_oneof![0..12_u32, any::<u32>()], 0..16),
            items in prop_oneof![0..12_u32, any::<u32>()],
        ) {
            if let Ok(base) = Base::new(&indptr, &entries, items)
                && base.check().is_ok()
            {
                let rows: Vec<u32> = (0..base.users()).flat_map(|user| entries[base.row(user)].to_vec()).collect();
                prop_assert_eq!(&rows, &entries);
                prop_assert!(entries.iter().all(|entry| entry & ITEM < items && entry >> 30 != 1));
                for user in 0..base.users() {
                    prop_assert!(entries[base.row(user)].windows(2).all(|pair| pair[0] & ITEM < pair[1] & ITEM));
                }
            }
        }

        #[test]
        fn rows_in_order_pass_the_checks(rows in vec(btree_set(0..30_u32, 0..6), 1..8)) {
            let rows: Vec<Vec<u32>> = rows.into_iter().map(|row| row.into_iter().collect()).collect();
            let mut indptr = vec![0];
            indptr.extend(rows.iter().scan(0, |sum, row| { *sum += row.len() as i64; Some(*sum) }));
            let entries = rows.concat();
            prop_assert!(Base::new(&indptr, &entries, 30).unwrap().check().is_ok());
        }

        #[test]
        fn an_item_twice_in_a_row_is_refused(row in btree_set(0..30_u32, 1..6), split in 0..2_u32) {
            let mut entries: Vec<u32> = row.into_iter().collect();
            entries.push(entries[entries.len() - 1] | (split * TEST));
            prop_assert!(Base::new(&[0, entries.len() as i64], &entries, 30).unwrap().check().is_err());
        }
    }
}
