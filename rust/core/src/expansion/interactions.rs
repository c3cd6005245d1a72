//! Interactions in output order, and the types their ids come in.

use std::ops::Range;

use crate::base::Split;

/// A type of expanded ids.
pub trait Id: Copy + Ord + Send + Sync + 'static {
    /// The id `step` after `start`; the caller has checked that the id space fits the type.
    fn at(start: u64, step: u32) -> Self;

    /// It as a number.
    fn number(self) -> u64;
}

impl Id for i32 {
    #[inline]
    fn at(start: u64, step: u32) -> Self {
        (start as u32).wrapping_add(step) as i32
    }

    #[inline]
    fn number(self) -> u64 {
        u64::from(self as u32)
    }
}

impl Id for i64 {
    #[inline]
    fn at(start: u64, step: u32) -> Self {
        (start + u64::from(step)) as i64
    }

    #[inline]
    fn number(self) -> u64 {
        self as u64
    }
}

/// Calls a function for the types of expanded user and item ids, which the id space alone decides.
#[macro_export]
macro_rules! for_id_types {
    ($expansion:expr, $function:ident($($argument:expr),*)) => {
        match [$expansion.users(), $expansion.items()].map(|ids| ids <= 1 << 31) {
            [true, true] => $function::<i32, i32>($($argument),*),
            [true, false] => $function::<i32, i64>($($argument),*),
            [false, true] => $function::<i64, i32>($($argument),*),
            [false, false] => $function::<i64, i64>($($argument),*),
        }
    };
}

/// Interactions of each split: train, validation, test.
pub type Splits<I> = [Interactions<I>; 3];

/// How many interactions all splits hold.
#[must_use]
pub fn count_all<I>(splits: &Splits<I>) -> usize {
    splits.iter().map(|interactions| interactions.items.len()).sum()
}

/// Interactions in output order, users run-length encoded. What an expansion does not carry is empty.
#[derive(Debug)]
pub struct Interactions<I> {
    /// Expanded users with at least one interaction, and how many they have.
    pub users: Vec<(u64, u32)>,
    pub items: Vec<I>,
    /// The base's entry that each interaction comes from.
    pub sources: Vec<u32>,
    pub times: Vec<i64>,
    /// Ratings times factors of blocks.
    pub ratings: Vec<f64>,
}

impl<I> Default for Interactions<I> {
    fn default() -> Self {
        Self { users: Vec::new(), items: Vec::new(), sources: Vec::new(), times: Vec::new(), ratings: Vec::new() }
    }
}

impl<I: Copy> Interactions<I> {
    pub fn clear(&mut self) {
        self.users.clear();
        self.truncate(0);
    }

    /// Leaves the first `count` interactions, whose users the caller looks after.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.items.truncate(count);
        self.sources.truncate(count);
        self.times.truncate(count);
        self.ratings.truncate(count);
    }

    /// Takes the first `count` interactions away, whose users the caller looks after.
    pub(crate) fn drain(&mut self, count: usize) {
        self.items.drain(..count);
        self.sources.drain(..count.min(self.sources.len()));
        self.times.drain(..count.min(self.times.len()));
        self.ratings.drain(..count.min(self.ratings.len()));
    }

    /// Appends some interactions of a user, who is not before the last one here.
    pub(crate) fn push(&mut self, user: u64, other: &Self, rows: Range<usize>) {
        match self.users.last_mut() {
            Some(last) if last.0 == user => last.1 += rows.len() as u32,
            _ => self.users.push((user, rows.len() as u32)),
        }
        let carried = |length: usize| if length == 0 { 0..0 } else { rows.clone() };
        self.items.extend_from_slice(&other.items[rows.clone()]);
        self.sources.extend_from_slice(&other.sources[carried(other.sources.len())]);
        self.times.extend_from_slice(&other.times[carried(other.times.len())]);
        self.ratings.extend_from_slice(&other.ratings[carried(other.ratings.len())]);
    }

    /// Appends the interactions of the users after those that are here.
    pub(crate) fn append(&mut self, other: &Self) {
        self.users.extend_from_slice(&other.users);
        self.items.extend_from_slice(&other.items);
        self.sources.extend_from_slice(&other.sources);
        self.times.extend_from_slice(&other.times);
        self.ratings.extend_from_slice(&other.ratings);
    }

    /// Moves those held out among the interactions from `start` on over to their splits; the others stay.
    pub(crate) fn divide(&mut self, start: usize, splits: &[Split], held_out: &mut [Self; 2]) {
        let train = splits.len() - splits.iter().filter(|&&split| split != Split::Train).count();
        let mut last = &splits[train..];
        // In the order of times they mostly come last anyway, or there are none.
        if last.contains(&Split::Train) || !last.is_sorted() {
            let mut order: Vec<usize> = (start..self.items.len()).collect();
            order.sort_by_key(|&number| splits[number - start]);
            self.reorder(&order);
            last = splits;
        }
        let [valid, test] = held_out;
        for (split, other) in [(Split::Test, test), (Split::Valid, valid)] {
            let end = self.items.len() - last.iter().filter(|&&of| of == split).count();
            move_from(&mut self.items, end, &mut other.items);
            move_from(&mut self.sources, end, &mut other.sources);
            move_from(&mut self.times, end, &mut other.times);
            move_from(&mut self.ratings, end, &mut other.ratings);
        }
    }

    /// Sorts the interactions from `start` on, which are one user's.
    pub(crate) fn sort_by_item(&mut self, start: usize)
    where
        I: Ord,
    {
        if self.sources.is_empty() {
            self.items[start..].sort_unstable();
        } else {
            let mut order: Vec<usize> = (start..self.items.len()).collect();
            order.sort_unstable_by_key(|&number| self.items[number]);
            self.reorder(&order);
        }
    }

    /// Puts the last interactions into an order.
    fn reorder(&mut self, order: &[usize]) {
        reorder(&mut self.items, order);
        reorder(&mut self.sources, order);
        reorder(&mut self.times, order);
        reorder(&mut self.ratings, order);
    }

    pub(crate) fn close_user(&mut self, user: u64, start: usize) {
        let count = (self.items.len() - start) as u32;
        if count > 0 {
            self.users.push((user, count));
        }
    }
}

/// Moves the values from `end` on over; a column that is not carried has none.
fn move_from<T: Copy>(values: &mut Vec<T>, end: usize, to: &mut Vec<T>) {
    if !values.is_empty() {
        to.extend_from_slice(&values[end..]);
        values.truncate(end);
    }
}

/// Puts the last values into an order; a column that is not carried has none.
fn reorder<T: Copy>(values: &mut [T], order: &[usize]) {
    if !values.is_empty() {
        let ordered: Vec<T> = order.iter().map(|&number| values[number]).collect();
        let start = values.len() - ordered.len();
        values[start..].copy_from_slice(&ordered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_goes_to_its_split_in_order(
            before in 0_usize..3,
            codes in prop::collection::vec(0_usize..3, 0..40),
            carried: bool,
        ) {
            let splits: Vec<Split> = codes.iter().map(|&code| Split::ALL[code]).collect();
            let items: Vec<i32> = (0..(before + splits.len()) as i32).collect();
            let times = if carried { items.iter().map(|&item| i64::from(item)).collect() } else { Vec::new() };
            let mut made: Splits<i32> = [Interactions { items, times, ..Interactions::default() }, Interactions::default(), Interactions::default()];
            let [train, held_out @ ..] = &mut made;
            train.divide(before, &splits, held_out);
            for (split, found) in Split::ALL.into_iter().zip(&made) {
                let theirs = splits.iter().zip(before as i32..).filter(|&(&of, _)| of == split).map(|(_, item)| item);
                let first = if split == Split::Train { before } else { 0 };
                let expected: Vec<i32> = (0..first as i32).chain(theirs).collect();
                prop_assert_eq!(&found.items, &expected);
                let times: Vec<i64> = expected.iter().map(|&item| i64::from(item)).collect();
                prop_assert_eq!(&found.times, if carried { &times } else { &found.times });
                prop_assert!(carried || found.times.is_empty());
            }
        }
    }
}
