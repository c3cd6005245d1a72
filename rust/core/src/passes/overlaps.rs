//! How many items a row shares with each of many given rows.
//!
//! Who has an item is a list of given rows, which short rows go through. In long ones popular items would cost most that
//! way: there they are one bit a given row, and all given rows are counted at once, digit by binary digit.

#![allow(clippy::inline_always)] // What is not inlined is not widened.

use std::ops::Range;

use crate::memory::{Loop, prefetch, prefetch_all, widened};

/// Given rows that are counted together, and the bits of them all.
const TOGETHER: usize = 1024;
const WORDS: usize = TOGETHER / u32::BITS as usize;
type Bits = [u32; WORDS];

/// Items that so many of these have are popular: adding their bits takes as long as going through so many.
const POPULAR: u32 = 4;
const UNPOPULAR: u32 = u32::MAX;
/// Longer rows are added up with bits. As long as through the lists of so many items takes it to read all counts off.
const SHORT: usize = 32;

/// Bits are added so many items at a time.
const AT_A_TIME: usize = 8;
/// Binary digits of a count, and how many popular items are added until it is read off: eight at a time, and fewer than the
/// digits hold.
const DIGITS: usize = 12;
const MOST: usize = (1 << DIGITS) - AT_A_TIME;

/// At most [`TOGETHER`] given rows, by item.
pub struct GivenRows {
    /// The numbers of these rows.
    pub numbers: Range<usize>,
    /// For each item, and one more, where the list of those that have it begins, and which bits are theirs.
    items: Vec<(u32, u32)>,
    lists: Vec<u32>,
    bits: Vec<Bits>,
}

impl GivenRows {
    /// Takes rows that have each item once in groups, each of consecutive ones. `starts` are where each row begins, and the end of the last one.
    pub fn groups(starts: &[u64], items: &[i64], all_items: usize) -> Vec<Self> {
        let rows = starts.len() - 1;
        (0..rows)
            .step_by(TOGETHER)
            .map(|first| Self::new(first..rows.min(first + TOGETHER), starts, items, all_items))
            .collect()
    }

    fn new(numbers: Range<usize>, starts: &[u64], items: &[i64], all_items: usize) -> Self {
        let row = |number: usize| &items[starts[number] as usize..starts[number + 1] as usize];
        let mut places = vec![(0_u32, UNPOPULAR); all_items + 1];
        for &item in numbers.clone().flat_map(row) {
            places[item as usize + 1].0 += 1;
        }
        let mut popular = 0;
        for item in 0..all_items {
            if places[item + 1].0 >= POPULAR {
                places[item].1 = popular;
                popular += 1;
            }
            places[item + 1].0 += places[item].0;
        }
        let mut ends: Vec<u32> = places.iter().map(|&(start, _)| start).collect();
        let mut lists = vec![0; ends[all_items] as usize];
        let mut bits = vec![[0; WORDS]; popular as usize];
        for (number, given) in numbers.clone().enumerate() {
            for &item in row(given) {
                let end = &mut ends[item as usize];
                lists[*end as usize] = number as u32;
                *end += 1;
                if let Some(bits) = bits.get_mut(places[item as usize].1 as usize) {
                    bits[number / 32] |= 1 << (number % 32);
                }
            }
        }
        Self { numbers, items: places, lists, bits }
    }

    fn list(&self, item: i64) -> Range<usize> {
        self.items[item as usize].0 as usize..self.items[item as usize + 1].0 as usize
    }
}

/// Counts of given rows, all of them zero between two rows.
pub struct Overlaps<'g> {
    given: &'g GivenRows,
    counts: [u32; TOGETHER],
    touched: Vec<u32>,
    /// Of a long row, the bits of its popular items and the lists of its others.
    popular: Vec<u32>,
    rare: Vec<&'g [u32]>,
    digits: [Bits; DIGITS],
}

impl<'g> Overlaps<'g> {
    pub fn new(given: &'g GivenRows) -> Self {
        let digits = [[0; WORDS]; DIGITS];
        Self { given, counts: [0; TOGETHER], touched: Vec::new(), popular: Vec::new(), rare: Vec::new(), digits }
    }

    /// Tells the number of each given row that shares items with this one, and how many.
    pub fn of(&mut self, row: &[i64], mut each: impl FnMut(usize, u32)) {
        let first = self.given.numbers.start;
        if row.len() <= SHORT {
            self.go_through(row);
            for number in self.touched.drain(..) {
                each(first + number as usize, std::mem::take(&mut self.counts[number as usize]));
            }
            return;
        }
        self.add_up(row);
        for number in 0..self.given.numbers.len() {
            let shared = std::mem::take(&mut self.counts[number]);
            if shared > 0 {
                each(first + number, shared);
            }
        }
    }

    fn go_through(&mut self, row: &[i64]) {
        for &item in row {
            for &number in &self.given.lists[self.given.list(item)] {
                let count = &mut self.counts[number as usize];
                if *count == 0 {
                    self.touched.push(number);
                }
                *count += 1;
            }
        }
    }

    fn add_up(&mut self, row: &[i64]) {
        let Self { given, counts, popular, rare, digits, .. } = self;
        for &item in row {
            let (_, bits) = given.items[item as usize];
            if bits != UNPOPULAR {
                popular.push(bits);
            } else if let list @ [first, ..] = &given.lists[given.list(item)] {
                prefetch(first);
                rare.push(list);
            }
        }
        for list in rare.drain(..) {
            for &number in list {
                counts[number as usize] += 1;
            }
        }
        for popular in popular.chunks(MOST) {
            widened(Adding { bits: &given.bits, popular, digits, counts });
        }
        popular.clear();
    }
}

/// Adds one to the counts of all given rows that have an item, for at most [`MOST`] popular ones.
struct Adding<'a> {
    bits: &'a [Bits],
    popular: &'a [u32],
    /// Zero before and after.
    digits: &'a mut [Bits; DIGITS],
    counts: &'a mut [u32; TOGETHER],
}

impl Loop for Adding<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { bits, popular, digits, counts } = self;
        let of = |place: usize| popular.get(place).map_or(&[0; WORDS], |&number| &bits[number as usize]);
        for first in (0..popular.len()).step_by(AT_A_TIME) {
            for ahead in 0..AT_A_TIME {
                prefetch_all(of(first + AT_A_TIME + ahead));
            }
            add_eight(std::array::from_fn(|place| of(first + place)), digits);
        }
        let needed = (usize::BITS - popular.len().leading_zeros()) as usize;
        for (weight, bits) in digits[..needed].iter_mut().enumerate() {
            for (word, counts) in bits.iter_mut().zip(counts.as_chunks_mut::<32>().0) {
                for (bit, count) in counts.iter_mut().enumerate() {
                    *count += (*word >> bit & 1) << weight;
                }
                *word = 0;
            }
        }
    }
}

/// Adds eight bits to each number, given digit by digit, the lowest first: pairs of equal weight become one of the next.
#[inline(always)]
fn add_eight(bits: [&Bits; AT_A_TIME], digits: &mut [Bits; DIGITS]) {
    for word in 0..WORDS {
        let one = |number: usize| bits[number][word];
        let (ones, first) = sum(digits[0][word], one(0), one(1));
        let (ones, second) = sum(ones, one(2), one(3));
        let (twos, early) = sum(digits[1][word], first, second);
        let (ones, third) = sum(ones, one(4), one(5));
        let (ones, fourth) = sum(ones, one(6), one(7));
        let (twos, late) = sum(twos, third, fourth);
        let (fours, mut carried) = sum(digits[2][word], early, late);
        (digits[0][word], digits[1][word], digits[2][word]) = (ones, twos, fours);
        for digit in &mut digits[3..] {
            (digit[word], carried) = (digit[word] ^ carried, digit[word] & carried);
        }
    }
}

/// The sum of three bits, 32 times: its lower and its upper digit.
#[inline(always)]
fn sum(one: u32, two: u32, three: u32) -> (u32, u32) {
    let different = one ^ two;
    (different ^ three, one & two | different & three)
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    /// Few rows, or more than are counted together, of items below 60.
    fn rows() -> impl Strategy<Value = Vec<Vec<i64>>> {
        let mut row = vec(btree_set(0..60_i64, 0..50), 1..40).boxed();
        row = prop_oneof![3 => row, 1 => vec(btree_set(0..60_i64, 30..60), 1_020..1_100)].boxed();
        row.prop_map(|rows| rows.into_iter().map(|row| row.into_iter().collect()).collect())
    }

    fn check(given: &[Vec<i64>], others: &[Vec<i64>], all_items: usize) {
        let lengths = given.iter().scan(0, |end, row| {
            *end += row.len() as u64;
            Some(*end)
        });
        let starts: Vec<u64> = std::iter::once(0).chain(lengths).collect();
        let groups = GivenRows::groups(&starts, &given.concat(), all_items);
        let mut overlaps: Vec<_> = groups.iter().map(Overlaps::new).collect();
        for row in others {
            let mut found = vec![0; given.len()];
            for group in &mut overlaps {
                group.of(row, |number, shared| found[number] += shared as usize);
            }
            let shared = |one: &Vec<i64>| one.iter().filter(|item| row.binary_search(item).is_ok()).count();
            assert_eq!(found, given.iter().map(shared).collect::<Vec<_>>());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn shared_items_are_counted(given in rows(), others in vec(btree_set(0..60_i64, 0..60), 1..20)) {
            check(&given, &others.into_iter().map(|row| row.into_iter().collect()).collect::<Vec<_>>(), 60);
        }
    }

    #[test]
    fn counts_are_read_off_before_their_digits_are_full() {
        let all = MOST * 2 + 5;
        let given: Vec<Vec<i64>> =
            (1..=i64::from(POPULAR) + 3).map(|step| (0..all as i64).filter(|item| item % step < 2).collect()).collect();
        check(&given, &given, all);
    }
}
