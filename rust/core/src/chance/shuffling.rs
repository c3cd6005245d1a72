//! Shuffling: rows of columns in a random order that a key decides, without a random walk through memory.

use super::random::{Key, bounded};

/// A bucket holds about so many rows, so that it stays in the processor's cache.
const BUCKET: usize = 1 << 15;
const MOST_BUCKETS: usize = 1 << 10;
/// So many places in a bucket share a word.
const SHARING: usize = 2;

/// A uniformly random order of some rows: each row falls into a random bucket, and each bucket is shuffled by
/// Fisher–Yates (Rao 1961, Sandelius 1962).
pub struct Shuffling {
    /// The bucket of each row, and where each bucket begins.
    buckets: Vec<u16>,
    starts: Vec<usize>,
    /// Which row of its bucket comes to each place.
    rows: Vec<u32>,
}

impl Shuffling {
    #[must_use]
    pub fn new(key: Key, count: usize) -> Self {
        let number = count.div_ceil(BUCKET).next_power_of_two().min(MOST_BUCKETS);
        let buckets = fall(key.child(0), count, number);
        let mut starts = vec![0; number + 1];
        for &bucket in &buckets {
            starts[usize::from(bucket) + 1] += 1;
        }
        for bucket in 0..number {
            starts[bucket + 1] += starts[bucket];
        }
        let mut rows = Vec::with_capacity(count);
        for (bucket, pair) in starts.windows(2).enumerate() {
            let start = rows.len();
            rows.extend(0..(pair[1] - pair[0]) as u32);
            exchange(key.child(1).child(bucket as u64), &mut rows[start..]);
        }
        Self { buckets, starts, rows }
    }

    /// The values of a column in this order; there are as many as rows.
    #[must_use]
    pub fn apply<T: Copy + Default>(&self, values: &[T]) -> Vec<T> {
        let mut next = self.starts.clone();
        let mut fallen = vec![T::default(); self.buckets.len()];
        for (&bucket, &value) in self.buckets.iter().zip(values) {
            let place = &mut next[usize::from(bucket)];
            fallen[*place] = value;
            *place += 1;
        }
        let mut ordered = Vec::with_capacity(fallen.len());
        for pair in self.starts.windows(2) {
            let bucket = &fallen[pair[0]..pair[1]];
            ordered.extend(self.rows[pair[0]..pair[1]].iter().map(|&row| bucket[row as usize]));
        }
        ordered
    }
}

/// The bucket of each row, of a number that is a power of two.
fn fall(key: Key, count: usize, number: usize) -> Vec<u16> {
    let bits = number.ilog2();
    let of_word = 64_u32.checked_div(bits).unwrap_or(64) as usize;
    let mut buckets = Vec::with_capacity(count);
    for word in 0..count.div_ceil(of_word) {
        let mut word = key.child(word as u64).0;
        for _ in 0..of_word.min(count - buckets.len()) {
            buckets.push((word & (number as u64 - 1)) as u16);
            word = word.checked_shr(bits).unwrap_or(0);
        }
    }
    buckets
}

/// Shuffles by Fisher–Yates: exchanges the last place with any up to it, then the one before, and so on.
fn exchange(key: Key, rows: &mut [u32]) {
    let mut word = 0;
    for (number, last) in (1..rows.len()).rev().enumerate() {
        if number % SHARING == 0 {
            word = key.child((number / SHARING) as u64).0;
        }
        let other = bounded(word, last as u64 + 1);
        word = word.wrapping_mul(last as u64 + 1);
        rows.swap(last, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_order_has_every_row_once(key: u64, count in 0_usize..200_000) {
            let rows: Vec<u32> = (0..count as u32).collect();
            let mut ordered = Shuffling::new(Key(key), count).apply(&rows);
            prop_assert!(count < 10 || ordered != rows);
            ordered.sort_unstable();
            prop_assert_eq!(ordered, rows);
        }
    }

    #[test]
    fn every_row_comes_to_every_place_equally_often() {
        // 6 rows in 1 bucket, 60,000 times: counts of 10,000 with a standard deviation of 91.
        let mut counts = [[0_i32; 6]; 6];
        for key in 0..60_000 {
            let ordered = Shuffling::new(Key(key).child(9), 6).apply(&[0_usize, 1, 2, 3, 4, 5]);
            for (place, row) in ordered.into_iter().enumerate() {
                counts[row][place] += 1;
            }
        }
        assert!(counts.iter().flatten().all(|count| (count - 10_000).abs() < 500), "{counts:?}");
    }
}
