//! Dropout: which entries of a source row a block keeps, by integer draws of the gap to the next kept entry.

use crate::chance::{Key, Keys};

/// The longest gap one draw can give; a longer one goes on with the next draw.
const LONGEST: usize = 256;

/// How many of the bits of a draw mostly decide alone.
const NEAR_BITS: u32 = 12;
/// In place of a gap, where they do not.
const UNDECIDED: u8 = u8::MAX;
/// In place of a gap of so many or more.
const FAR: u8 = UNDECIDED - 1;

/// The smallest keep rate above 0 for which the draws are exact enough.
pub const SMALLEST_KEEP_RATE: f64 = 1e-6;

/// The distribution of the gap between kept entries for one keep rate.
pub struct GapTable {
    /// By the first bits of a draw: the gap, or `FAR`, or `UNDECIDED`.
    near: [u8; 1 << NEAR_BITS],
    /// 2⁴⁸ times the probability that the gap exceeds s, falling with s.
    thresholds: [u64; LONGEST],
}

impl GapTable {
    /// The table of a keep rate between [`SMALLEST_KEEP_RATE`] and 1.
    #[must_use]
    pub fn new(keep_rate: f64) -> Self {
        // Exact: a float64 times a power of two; below 2⁶⁴ because the keep rate is not 0.
        let drop = ((1.0 - keep_rate) * 18_446_744_073_709_551_616.0) as u64;
        let mut thresholds = [0; LONGEST];
        let mut exceeds = drop;
        for threshold in &mut thresholds {
            *threshold = (exceeds + (1 << 15)) >> 16;
            exceeds = ((u128::from(exceeds) * u128::from(drop)) >> 64) as u64;
        }
        let mut near = [UNDECIDED; 1 << NEAR_BITS];
        let mut end = near.len();
        for (gap, &threshold) in (0..FAR).zip(&thresholds) {
            // The draws from this threshold up to the one before have this gap.
            let start = threshold.div_ceil(1 << (48 - NEAR_BITS)) as usize;
            if start < end {
                near[start..end].fill(gap);
            }
            end = end.min((threshold >> (48 - NEAR_BITS)) as usize);
        }
        near[..end].fill(FAR);
        Self { near, thresholds }
    }

    /// What most draws need.
    #[must_use]
    pub fn near(&self) -> &[u8] {
        &self.near
    }

    /// Calls `each` with every entry of a row that a block keeps, and its place, in their order. Returns how many draws that
    /// took.
    #[inline]
    pub fn keep<T: Copy>(&self, draws: Draws, row: RowDraws, entries: &[T], mut each: impl FnMut(usize, T)) -> u64 {
        let mut word = row.first;
        let (mut place, mut number) = (0, 0);
        loop {
            // Made ahead, so that it is there when the branches below have been decided.
            let next = draws.words.child((number + 1) << 32 | u64::from(row.row)).0;
            for quarter in 0..4 {
                let high = (word >> (16 * quarter)) as u16;
                let gap = usize::from(self.near[usize::from(high >> (16 - NEAR_BITS))]);
                if gap < usize::from(FAR) {
                    place += gap;
                } else {
                    if gap == usize::from(FAR) && place + gap >= entries.len() {
                        return 4 * number + quarter + 1;
                    }
                    let number = (4 * number + quarter) << 32 | u64::from(row.row);
                    let gap = self.undecided(high, || draws.last_bits.child(number).0);
                    place += gap;
                    if gap == LONGEST && place < entries.len() {
                        continue;
                    }
                }
                if place >= entries.len() {
                    return 4 * number + quarter + 1;
                }
                each(place, entries[place]);
                place += 1;
            }
            word = next;
            number += 1;
        }
    }

    /// The number of thresholds above the draw with these high bits; a word with its last bits is made where they decide.
    #[inline(never)]
    fn undecided(&self, high: u16, last_bits: impl FnOnce() -> u64) -> usize {
        let first = u64::from(high) << 32;
        let gap = self.thresholds.partition_point(|&threshold| first + u64::from(u32::MAX) < threshold);
        if self.thresholds.get(gap).is_none_or(|&threshold| threshold <= first) {
            return gap;
        }
        let draw = first | (last_bits() & 0xFFFF_FFFF);
        self.thresholds.partition_point(|&threshold| draw < threshold)
    }
}

/// The randomness of one block's keep decisions.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    words: Key,
    last_bits: Key,
}

impl Draws {
    #[must_use]
    pub fn new(keys: &Keys, i: u32, j: u32) -> Self {
        let of_block = |key: Key| key.child(u64::from(i)).child(u64::from(j));
        Self { words: of_block(keys.keep), last_bits: of_block(keys.keep_last_bits) }
    }

    /// That of a source row, with its first word, rows ahead of its use.
    #[inline]
    #[must_use]
    pub fn row(&self, row: u32) -> RowDraws {
        RowDraws { first: self.words.child(u64::from(row)).0, row }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct RowDraws {
    first: u64,
    row: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_near_is_what_a_search_finds(
            keep_rate in prop_oneof![SMALLEST_KEEP_RATE..1e-3, 1e-3..1.0_f64, Just(1.0)],
            draws: [u64; 64],
        ) {
            let table = GapTable::new(keep_rate);
            let edges = table.thresholds.iter().flat_map(|&t| [t.wrapping_sub(1), t, t.wrapping_add(1)]);
            for draw in draws.into_iter().chain(edges).map(|draw| draw % (1 << 48)) {
                let expected = table.thresholds.iter().filter(|&&t| draw < t).count();
                let near = table.near[(draw >> (48 - NEAR_BITS)) as usize];
                prop_assert!(near == UNDECIDED || usize::from(near) == expected.min(usize::from(FAR)));
                prop_assert_eq!(table.undecided((draw >> 32) as u16, || draw), expected);
            }
        }
    }

    #[test]
    fn draws_are_decided_wherever_their_first_bits_allow_it() {
        for keep_rate in [SMALLEST_KEEP_RATE, 1e-3, 0.01, 0.117, 0.5, 0.95, 1.0] {
            let table = GapTable::new(keep_rate);
            for (number, &near) in table.near.iter().enumerate() {
                let first = (number as u64) << (48 - NEAR_BITS);
                let last = first + (1 << (48 - NEAR_BITS)) - 1;
                let gaps = [first, last].map(|draw| table.thresholds.iter().filter(|&&t| draw < t).count());
                let gaps = gaps.map(|gap| gap.min(usize::from(FAR)));
                assert_eq!(usize::from(near), if gaps[0] == gaps[1] { gaps[0] } else { usize::from(UNDECIDED) });
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_a_search_for_every_gap_keeps(
            keep_rate in prop_oneof![SMALLEST_KEEP_RATE..1e-3, 1e-3..0.03_f64, 0.03..1.0_f64],
            length in prop_oneof![0..300_usize, 200..3_000_usize],
            row: u32,
        ) {
            let (table, draws) = (GapTable::new(keep_rate), Draws::new(&Keys::new(9), 1, 2));
            let mut kept = Vec::new();
            let taken = table.keep(draws, draws.row(row), &vec![(); length], |place, ()| kept.push(place));
            let (mut expected, mut place, mut number) = (Vec::new(), 0, 0);
            while place < length {
                let word = draws.words.child((number / 4) << 32 | u64::from(row)).0;
                let high = u64::from((word >> (16 * (number % 4))) as u16);
                let draw = high << 32 | draws.last_bits.child(number << 32 | u64::from(row)).0 & 0xFFFF_FFFF;
                let gap = table.thresholds.iter().filter(|&&threshold| draw < threshold).count();
                place += gap;
                if gap < LONGEST && place < length {
                    expected.push(place);
                    place += 1;
                }
                number += 1;
            }
            // Where the last entry is kept one more draw says that there is none after it.
            let more = u64::from(expected.last().is_some_and(|&last| last + 1 == length) || length == 0);
            prop_assert_eq!((kept, taken), (expected, number + more));
        }
    }

    #[test]
    fn a_row_that_is_over_takes_no_more_draws() {
        // At the smallest keep rate nearly every draw goes beyond a short row: one is enough.
        let table = GapTable::new(SMALLEST_KEEP_RATE);
        let draws = Draws::new(&Keys::new(5), 1, 2);
        let needed = |length: usize| {
            (0..1_000).map(|row| table.keep(draws, draws.row(row), &vec![(); length], |_, ()| ())).sum::<u64>()
        };
        assert_eq!(needed(0), 1_000);
        assert!((1_000..1_010).contains(&needed(20)));
        // Hardly any of such a row's entries is kept, and no draw goes further than `LONGEST`.
        assert!((400_000..400_300).contains(&needed(400 * LONGEST)));
    }

    #[test]
    fn a_keep_rate_of_one_keeps_everything() {
        let mut kept = Vec::new();
        let draws = Draws::new(&Keys::new(5), 1, 2);
        GapTable::new(1.0).keep(draws, draws.row(3), &[(); 1_000], |place, ()| kept.push(place));
        assert_eq!(kept, (0..1_000).collect::<Vec<_>>());
    }
}
