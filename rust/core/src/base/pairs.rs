//! Interactions become distinct pairs of user and item, and the latest of each user is held out.

use std::ops::Range;

use super::base::{TEST, VALID};
use crate::error::Error;
use crate::threads::{on_pieces, runs_of};

/// Users are worked on together until they have so many interactions.
const CHUNK_INTERACTIONS: usize = 1 << 18;

/// Which of several interactions at the last time of a user are test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    Last,
    All,
}

/// Which pairs of a user are test: so many of the latest, or with all ties all those at so many of the latest times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldOut {
    pub ties: Ties,
    pub count: usize,
    /// Whether as many before those are for validation.
    pub validation: bool,
}

/// What to do with a user's pairs.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Marks the latest as test, if given.
    pub hold_out: Option<HoldOut>,
    /// So many distinct times are enough.
    pub least_times: usize,
    /// Whether to say which interaction each pair was.
    pub positions: bool,
}

/// Distinct pairs, by user and then item.
pub struct Pairs {
    /// Where each user's begin.
    pub starts: Vec<i64>,
    /// Item codes, those held out marked with [`TEST`].
    pub entries: Vec<u32>,
    /// The interaction that became each pair: the latest, and the last in the file of equally late ones.
    pub positions: Vec<i64>,
    /// Whether each user's pairs have enough distinct times.
    pub enough: Vec<bool>,
}

/// Some users: theirs of the arrays of [`Pairs`].
struct Chunk<'p> {
    first: usize,
    entries: &'p mut [u32],
    positions: &'p mut [i64],
    counts: &'p mut [i64],
    enough: &'p mut [bool],
}

/// Interactions in the order of their file.
struct Interactions<'i> {
    items: &'i [i32],
    times: Option<&'i [i64]>,
    /// Where each user's begin, …
    starts: Vec<i64>,
    /// … in this order, which keeps that of the file inside a user; empty where it is the file's.
    order: Vec<usize>,
}

/// What is needed of one user, again and again.
#[derive(Default)]
struct Room {
    keys: Vec<u64>,
    kept: Vec<u32>,
    times: Vec<i64>,
    /// Times of what stays, as the how manieth it is, and where.
    latest: Vec<(i64, u32, usize)>,
}

impl Pairs {
    /// Collapses interactions of `count` users: codes of users and of items, and times if they are known.
    pub fn collapse(
        users: &[i32],
        items: &[i32],
        times: Option<&[i64]>,
        count: usize,
        rule: Rule,
        threads: usize,
    ) -> Result<Self, Error> {
        let n = users.len();
        let in_range = users.iter().all(|&user| (user as usize) < count) && items.iter().all(|&item| item >= 0);
        if items.len() != n || times.is_some_and(|times| times.len() != n) || !in_range {
            return Err(Error::Invalid("users, items and times do not fit each other".to_owned()));
        }
        if times.is_none() && (rule.hold_out.is_some() || rule.least_times > 1) {
            return Err(Error::Invalid("there are no times".to_owned()));
        }
        if rule.hold_out.is_some_and(|rule| rule.validation) && items.iter().any(|&item| item as u32 >= VALID) {
            return Err(Error::Invalid("with validation there are at most 2**30 items".to_owned()));
        }
        let given = Interactions::by_user(users, items, times, count);
        let mut pairs = Self {
            starts: vec![0; count + 1],
            entries: vec![0; n],
            positions: vec![0; if rule.positions { n } else { 0 }],
            enough: vec![true; count],
        };
        let chunks = pairs.chunks(&given.starts);
        on_pieces(threads, chunks, |room: &mut Room, chunk| given.collapse(chunk, rule, room))?;
        pairs.close_up(&given.starts);
        Ok(pairs)
    }

    fn chunks(&mut self, starts: &[i64]) -> Vec<Chunk<'_>> {
        let mut chunks = Vec::new();
        let (mut entries, mut positions) = (&mut self.entries[..], &mut self.positions[..]);
        let (mut counts, mut enough) = (&mut self.starts[1..], &mut self.enough[..]);
        for Range { start: first, end: last } in runs_of(starts, CHUNK_INTERACTIONS) {
            let size = (starts[last] - starts[first]) as usize;
            let chunk;
            (chunk, entries) = entries.split_at_mut(size);
            let places;
            (places, positions) = positions.split_at_mut(size.min(positions.len()));
            let number;
            (number, counts) = counts.split_at_mut(last - first);
            let some;
            (some, enough) = enough.split_at_mut(last - first);
            chunks.push(Chunk { first, entries: chunk, positions: places, counts: number, enough: some });
        }
        chunks
    }

    /// Closes the gaps that repeated pairs leave, and sums the counts of users up.
    fn close_up(&mut self, given: &[i64]) {
        let mut end = 0;
        for (user, &from) in given[..given.len() - 1].iter().enumerate() {
            let (from, count) = (from as usize, self.starts[user + 1] as usize);
            if from != end {
                self.entries.copy_within(from..from + count, end);
                if !self.positions.is_empty() {
                    self.positions.copy_within(from..from + count, end);
                }
            }
            end += count;
            self.starts[user + 1] = end as i64;
        }
        self.entries.truncate(end);
        self.positions.truncate(end);
    }
}

impl<'i> Interactions<'i> {
    fn by_user(users: &[i32], items: &'i [i32], times: Option<&'i [i64]>, count: usize) -> Self {
        let mut starts = vec![0_i64; count + 1];
        for &user in users {
            starts[user as usize + 1] += 1;
        }
        for user in 0..count {
            starts[user + 1] += starts[user];
        }
        let mut order = Vec::new();
        if !users.is_sorted() {
            order.resize(users.len(), 0);
            let mut next = starts.clone();
            for (position, &user) in users.iter().enumerate() {
                order[next[user as usize] as usize] = position;
                next[user as usize] += 1;
            }
        }
        Self { items, times, starts, order }
    }

    fn collapse(&self, chunk: Chunk, rule: Rule, room: &mut Room) {
        let begin = self.starts[chunk.first];
        for (number, (count, enough)) in chunk.counts.iter_mut().zip(chunk.enough).enumerate() {
            let (first, last) = (self.starts[chunk.first + number], self.starts[chunk.first + number + 1]);
            let at = (first - begin) as usize;
            let entries = &mut chunk.entries[at..at + (last - first) as usize];
            room.read(self, first as usize, last as usize);
            for (entry, &key) in entries.iter_mut().zip(&room.kept) {
                *entry = self.items[self.position(first as usize, key)] as u32;
            }
            if rule.positions {
                for (position, &key) in chunk.positions[at..].iter_mut().zip(&room.kept) {
                    *position = self.position(first as usize, key) as i64;
                }
            }
            *count = room.kept.len() as i64;
            if rule.least_times > 1 {
                *enough = room.has_times(rule.least_times);
            }
            match rule.hold_out {
                Some(HoldOut { ties, count: 1, validation: false }) => room.hold_out(ties, entries),
                Some(rule) => room.hold_out_many(rule, entries),
                None => {}
            }
        }
    }

    /// The position in the file of a user's k-th interaction.
    fn position(&self, first: usize, k: u32) -> usize {
        if self.order.is_empty() { first + k as usize } else { self.order[first + k as usize] }
    }
}

impl Room {
    /// Finds which of a user's interactions stay, one for each item, by item: as the how manieth they are; and their times.
    fn read(&mut self, given: &Interactions, first: usize, last: usize) {
        self.keys.clear();
        self.keys.extend((0..(last - first) as u32).map(|k| {
            let item = given.items[given.position(first, k)];
            u64::from(item as u32) << 32 | u64::from(k)
        }));
        if !self.keys.is_sorted() {
            self.keys.sort_unstable();
        }
        self.kept.clear();
        self.times.clear();
        let mut before = None;
        for &key in &self.keys {
            let (item, k) = (key >> 32, key as u32);
            let time = given.times.map(|times| times[given.position(first, k)]);
            if before == Some(item) {
                let place = self.kept.len() - 1;
                if time.is_none_or(|time| time >= self.times[place]) {
                    self.kept[place] = k;
                    self.times.truncate(place);
                    self.times.extend(time);
                }
            } else {
                self.kept.push(k);
                self.times.extend(time);
                before = Some(item);
            }
        }
    }

    /// Whether there are so many distinct times.
    fn has_times(&mut self, least: usize) -> bool {
        if least == 2 {
            return self.times.iter().any(|&time| time != self.times[0]);
        }
        self.keys.clear();
        // As good as the times themselves to count.
        self.keys.extend(self.times.iter().map(|&time| time as u64));
        self.keys.sort_unstable();
        self.keys.dedup();
        self.keys.len() >= least
    }

    /// Marks the latest of a user's entries, from the last one back.
    fn hold_out_many(&mut self, rule: HoldOut, entries: &mut [u32]) {
        let Self { kept, times, latest, .. } = self;
        latest.clear();
        latest.extend(times.iter().zip(kept.iter()).enumerate().map(|(place, (&time, &k))| (time, k, place)));
        latest.sort_unstable();
        let (mut rank, mut later) = (0, None);
        for &(time, _, place) in latest.iter().rev() {
            let is_tied = rule.ties == Ties::All && later == Some(time);
            rank += usize::from(later.is_some() && !is_tied);
            if rank >= rule.count << usize::from(rule.validation) {
                return;
            }
            entries[place] |= if rank < rule.count { TEST } else { TEST | VALID };
            later = Some(time);
        }
    }

    /// Marks the latest of a user's entries.
    fn hold_out(&self, ties: Ties, entries: &mut [u32]) {
        let Some(&latest) = self.times.iter().max() else { return };
        let at_last = self.times.iter().zip(&self.kept).enumerate().filter(|&(_, (&time, _))| time == latest);
        match ties {
            Ties::All => at_last.for_each(|(place, _)| entries[place] |= TEST),
            Ties::Last => {
                if let Some((place, _)) = at_last.max_by_key(|&(_, (_, &k))| k) {
                    entries[place] |= TEST;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn collapsed(hold_out: Option<HoldOut>, least_times: usize, threads: usize) -> Pairs {
        let users = [1, 0, 1, 0, 1, 1];
        let items = [7, 3, 2, 1, 7, 9];
        let times = [5, 4, 8, 4, 5, 8];
        let rule = Rule { hold_out, least_times, positions: true };
        Pairs::collapse(&users, &items, Some(&times), 3, rule, threads).unwrap()
    }

    #[test]
    fn repeated_pairs_become_one() {
        for threads in [1, 2, 3] {
            let pairs = collapsed(None, 2, threads);
            assert_eq!(pairs.starts, [0, 2, 5, 5]);
            assert_eq!(pairs.entries, [1, 3, 2, 7, 9]);
            assert_eq!(pairs.positions, [3, 1, 2, 4, 5]);
            assert_eq!(pairs.enough, [false, true, false]);
        }
    }

    #[test]
    fn the_latest_are_held_out() {
        let held_out = |ties, count| collapsed(Some(HoldOut { ties, count, validation: false }), 1, 1).entries;
        let valid = HoldOut { ties: Ties::Last, count: 1, validation: true };
        assert_eq!(collapsed(Some(valid), 1, 1).entries, [1 | TEST, 3 | TEST | VALID, 2 | TEST | VALID, 7, 9 | TEST]);
        assert_eq!(held_out(Ties::Last, 1), [1 | TEST, 3, 2, 7, 9 | TEST]);
        assert_eq!(held_out(Ties::All, 1), [1 | TEST, 3 | TEST, 2 | TEST, 7, 9 | TEST]);
        assert_eq!(held_out(Ties::Last, 2), [1 | TEST, 3 | TEST, 2 | TEST, 7, 9 | TEST]);
        assert_eq!(held_out(Ties::All, 2), [1 | TEST, 3 | TEST, 2 | TEST, 7 | TEST, 9 | TEST]);
    }

    #[test]
    fn item_codes_have_31_bits() {
        let rule = Rule {
            hold_out: Some(HoldOut { ties: Ties::Last, count: 1, validation: false }),
            least_times: 2,
            positions: true,
        };
        let items = [i32::MAX - 1, 0, 1, 1, i32::MAX - 1, 0];
        let pairs = Pairs::collapse(&[1, 0, 1, 0, 1, 0], &items, Some(&[9, 4, 3, 2, 9, 1]), 2, rule, 2).unwrap();
        assert_eq!(pairs.entries, [TEST, 1, 1, (i32::MAX - 1) as u32 | TEST]);
        assert_eq!(pairs.positions, [1, 3, 2, 4]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let rule = Rule { hold_out: None, least_times: 1, positions: false };
        assert!(Pairs::collapse(&[0, 2], &[0, 0], None, 2, rule, 1).is_err());
        assert!(Pairs::collapse(&[0, -1], &[0, 0], None, 2, rule, 1).is_err());
        assert!(Pairs::collapse(&[0, 1], &[0, -1], None, 2, rule, 1).is_err());
        assert!(Pairs::collapse(&[0, 1], &[0], None, 2, rule, 1).is_err());
        assert!(Pairs::collapse(&[0], &[0], None, 1, Rule { least_times: 2, ..rule }, 1).is_err());
    }

    proptest! {
        #[test]
        fn any_arrays_are_refused_or_become_the_pairs_there_are(
            interactions in vec((-1..5_i32, prop_oneof![-1..9_i32, any::<i32>()], any::<i64>()), 0..40),
            (missing, count, threads) in (0..2_usize, 0..6_usize, 1..4_usize),
            (timed, all, held_out, validation) in any::<(bool, bool, bool, bool)>(),
            (held, least_times) in (0..4_usize, 0..3_usize),
        ) {
            let users: Vec<i32> = interactions.iter().map(|&(user, _, _)| user).collect();
            let items: Vec<i32> = interactions.iter().skip(missing).map(|&(_, item, _)| item).collect();
            let times: Vec<i64> = interactions.iter().map(|&(_, _, time)| time).collect();
            let ties = if all { Ties::All } else { Ties::Last };
            let hold_out = held_out.then_some(HoldOut { ties, count: held, validation });
            let rule = Rule { hold_out, least_times, positions: true };
            if let Ok(pairs) = Pairs::collapse(&users, &items, timed.then_some(&times[..]), count, rule, threads) {
                let mut expected: Vec<(i32, i32)> = users.iter().copied().zip(items.iter().copied()).collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(pairs.starts.len(), count + 1);
                prop_assert_eq!(pairs.starts[count], expected.len() as i64);
                let bits = if validation { VALID - 1 } else { TEST - 1 };
                let found: Vec<(i32, i32)> = pairs.starts.windows(2).enumerate()
                    .flat_map(|(user, range)| pairs.entries[range[0] as usize..range[1] as usize].iter()
                        .map(move |&entry| (user as i32, (entry & bits) as i32)))
                    .collect();
                prop_assert_eq!(found, expected);
                for (&position, entry) in pairs.positions.iter().zip(&pairs.entries) {
                    prop_assert_eq!(items[position as usize] as u32, entry & bits);
                }
            }
        }
    }
}
