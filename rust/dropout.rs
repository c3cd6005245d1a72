//! Dropout: which entries of a source row a block keeps, by integer draws of the gap to the next kept entry.

use std::ops::Range;

use crate::random::Key;

/// The longest gap one word can give; a longer one goes on with the next word.
const LONGEST: usize = 256;

/// The smallest keep rate above 0 whose effective rate is within 1e-6 of itself.
pub const SMALLEST_KEEP_RATE: f64 = 1e-6;

/// The distribution of the gap between kept entries for one keep rate.
pub struct GapTable {
    /// 2³² times the probability that the gap exceeds s, falling with s; the last one stops every search.
    thresholds: [u32; LONGEST + 1],
    /// By the top byte of a word: a gap that no word with this byte falls below, at most 255.
    guide: [u8; 256],
}

impl GapTable {
    /// The table of a keep rate between [`SMALLEST_KEEP_RATE`] and 1.
    #[must_use]
    pub fn new(keep_rate: f64) -> Self {
        // Exact: a float64 times a power of two; below 2⁶⁴ because the keep rate is not 0.
        let drop = ((1.0 - keep_rate) * 18_446_744_073_709_551_616.0) as u64;
        let mut thresholds = [0; LONGEST + 1];
        let mut exceeds = drop;
        for threshold in &mut thresholds[..LONGEST] {
            *threshold = ((exceeds + (1 << 31)) >> 32) as u32;
            exceeds = ((u128::from(exceeds) * u128::from(drop)) >> 64) as u64;
        }
        let mut guide = [0; 256];
        let mut gap = LONGEST - 1;
        for (byte, least) in guide.iter_mut().enumerate() {
            let largest_word = (byte as u32) << 24 | 0x00FF_FFFF;
            while gap > 0 && largest_word >= thresholds[gap - 1] {
                gap -= 1;
            }
            *least = gap as u8;
        }
        Self { thresholds, guide }
    }

    /// The number of thresholds above the word.
    #[inline]
    #[must_use]
    pub fn gap(&self, word: u32) -> usize {
        let mut gap = usize::from(self.guide[(word >> 24) as usize]);
        // Most bytes see at most one threshold: one step without a branch that would be hard to predict.
        gap += usize::from(word < self.thresholds[gap]);
        while word < self.thresholds[gap] {
            gap += 1;
        }
        gap
    }

    /// Writes the places that the stream of a row keeps to the front of `kept`, and says how many they are.
    /// `row` is where the row's entries stand among all; `kept` is at least as long.
    #[inline]
    pub fn keep(&self, stream: RowStream, row: Range<usize>, kept: &mut [usize]) -> usize {
        let RowStream { key, first: mut word } = stream;
        let mut count = 0;
        let mut place = row.start;
        let mut draw = 0;
        loop {
            // Made ahead, so that it is there when the branches below have been decided.
            draw += 1;
            let next = key.child(draw).0;
            for half in [word as u32, (word >> 32) as u32] {
                let gap = self.gap(half);
                place += gap;
                if place >= row.end {
                    return count;
                }
                if gap < LONGEST {
                    let Some(slot) = kept.get_mut(count) else { return count };
                    *slot = place;
                    count += 1;
                    place += 1;
                }
            }
            word = next;
        }
    }
}

/// The random words of one source row in one block; the first is made with the key, rows ahead of its use.
#[derive(Clone, Copy, Debug)]
pub struct RowStream {
    key: Key,
    first: u64,
}

impl RowStream {
    #[inline]
    #[must_use]
    pub fn new(block: Key, row: u32) -> Self {
        let key = block.child(u64::from(row));
        Self { key, first: key.child(0).0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_guide_finds_what_a_search_from_zero_finds(
            keep_rate in prop_oneof![SMALLEST_KEEP_RATE..1e-3, 1e-3..1.0_f64, Just(1.0)],
            words: [u32; 64],
        ) {
            let table = GapTable::new(keep_rate);
            let edges = table.thresholds.iter().flat_map(|&t| [t.wrapping_sub(1), t, t.wrapping_add(1)]);
            for word in words.into_iter().chain(edges) {
                let expected = table.thresholds[..LONGEST].iter().filter(|&&t| word < t).count();
                prop_assert_eq!(table.gap(word), expected);
            }
        }
    }

    #[test]
    fn a_keep_rate_of_one_keeps_everything() {
        let mut kept = vec![0; 1_000];
        assert_eq!(GapTable::new(1.0).keep(RowStream::new(Key(5), 0), 7..1_007, &mut kept), 1_000);
        assert_eq!(kept, (7..1_007).collect::<Vec<_>>());
    }
}
