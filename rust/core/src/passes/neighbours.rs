//! Who shares interactions with whom: co-occurrence of chosen items with all, nearest users of chosen rows.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::overlaps::{GivenRows, Overlaps};
use super::rows::{StreamedMatrix, Workers, fold};
use crate::base::Split;
use crate::error::Error;
use crate::threads::on_threads;

const NONE: u32 = u32::MAX;
/// Who is nearer, or as near, passes a comparison with so much of the nearest one, whatever was rounded.
const ALMOST: f64 = 1.0 - 1e-9;
/// Rows are taken together until they take so many numbers of 32 bits: the more, the oftener counts are in cache.
const CHUNK: usize = 1 << 23;

/// Counts, for each of the `chosen` and every item, the train users of both: one row per chosen item.
pub fn cooccurrence(matrix: &StreamedMatrix, chosen: &[u32], workers: &Workers) -> Result<Vec<u32>, Error> {
    let counts = counted(matrix, chosen, workers)?;
    let mut all = Vec::with_capacity(matrix.items as usize * chosen.len());
    let mut one = Vec::new();
    for counts in counts {
        counts.read(&mut one);
        all.extend_from_slice(&one);
    }
    Ok(all)
}

/// Counts the train users that a chosen item and every item have in common, in 2 bytes each.
struct Counts {
    /// The lowest 16 bits of each count.
    low: Vec<u16>,
    /// The items whose lowest bits went back to zero, as often as they did.
    full: Vec<u32>,
}

impl Counts {
    #[inline]
    fn add(&mut self, item: u32) {
        let (count, is_full) = self.low[item as usize].overflowing_add(1);
        self.low[item as usize] = count;
        if is_full {
            self.full.push(item);
        }
    }

    /// Writes the count of each item.
    fn read(&self, counts: &mut Vec<u32>) {
        counts.clear();
        counts.extend(self.low.iter().map(|&count| u32::from(count)));
        self.full.iter().for_each(|&item| counts[item as usize] += 1 << 16);
    }
}

fn counted(matrix: &StreamedMatrix, chosen: &[u32], workers: &Workers) -> Result<Vec<Counts>, Error> {
    let items = matrix.items as usize;
    let mut number_of = vec![NONE; items];
    for (number, &item) in chosen.iter().enumerate() {
        number_of[item as usize] = number as u32;
    }
    let new = |_: &u32| Mutex::new(Counts { low: vec![0; items], full: Vec::new() });
    let counts: Vec<_> = chosen.iter().map(new).collect();
    let states = fold(matrix, workers, CHUNK * size_of::<u32>(), Chunk::default, |chunk, _, row| {
        matrix.check(row)?;
        chunk.push(row.train, &number_of);
        if chunk.items.len() + 3 * chunk.having.len() >= CHUNK { chunk.count(&counts) } else { Ok(()) }
    })?;
    for mut chunk in states {
        chunk.count(&counts)?;
    }
    counts.into_iter().map(|counts| counts.into_inner().map_err(|_| Error::Panicked)).collect()
}

/// Rows that have a chosen item. One chosen item after the other, its counts stay in cache.
#[derive(Default)]
struct Chunk {
    items: Vec<u32>,
    /// The number of a chosen item, and where a row begins and ends that has it.
    having: Vec<(u32, u32, u32)>,
}

impl Chunk {
    fn push(&mut self, row: &[i64], number_of: &[u32]) {
        let (first, known) = (self.items.len() as u32, self.having.len());
        let numbers = row.iter().map(|&item| number_of[item as usize]).filter(|&number| number != NONE);
        self.having.extend(numbers.map(|number| (number, first, first + row.len() as u32)));
        if self.having.len() > known {
            self.items.extend(row.iter().map(|&item| item as u32));
        }
    }

    /// Adds the rows to the counts of the chosen items that they have, and forgets them.
    fn count(&mut self, counts: &[Mutex<Counts>]) -> Result<(), Error> {
        self.having.sort_unstable();
        for alike in self.having.chunk_by(|one, other| one.0 == other.0) {
            let mut counts = counts[alike[0].0 as usize].lock().map_err(|_| Error::Panicked)?;
            for &(_, first, last) in alike {
                self.items[first as usize..last as usize].iter().for_each(|&item| counts.add(item));
            }
        }
        self.having.clear();
        self.items.clear();
        Ok(())
    }
}

/// What is asked for of the chosen items.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Train interactions of every item; items of fewer than `least` are nobody's neighbours.
    pub degrees: &'a [u32],
    pub least: u32,
    /// So many nearest items are looked for in each group of so many consecutive items.
    pub count: usize,
    pub group: usize,
}

/// The nearest items of each chosen one, the nearest first, group after group: their ids, −1 where there are no more, and
/// the train users of both. And the paths of three interactions through each chosen item, closed ones and all.
#[derive(Default)]
pub struct NearItems {
    pub ids: Vec<i64>,
    pub shared: Vec<u32>,
    pub paths: Vec<[f64; 2]>,
}

/// Finds the nearest items (cosine of train columns) of the chosen ones, the smallest id of several.
pub fn nearest_items(
    matrix: &StreamedMatrix,
    chosen: &[u32],
    asked: Asked,
    workers: &Workers,
) -> Result<NearItems, Error> {
    let counts = counted(matrix, chosen, workers)?;
    let next = AtomicUsize::new(0);
    let threads = workers.threads.min(chosen.len()).max(1);
    let found = on_threads(threads, workers.progress, || {
        let (mut found, mut counts_of) = (Vec::new(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(&item) = chosen.get(number) else { return Ok(found) };
            workers.progress.advance(0)?;
            counts[number].read(&mut counts_of);
            found.push((number, asked.of(item as usize, &counts_of)));
        }
    })?;
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    found.sort_unstable_by_key(|&(number, _)| number);
    let mut all = NearItems::default();
    for (_, one) in found {
        all.ids.extend(one.ids);
        all.shared.extend(one.shared);
        all.paths.extend(one.paths);
    }
    Ok(all)
}

impl Asked<'_> {
    /// Finds the nearest items of one, given the train users that it shares with each.
    fn of(&self, own: usize, counts: &[u32]) -> NearItems {
        let mut found = NearItems::default();
        let mut best: Vec<(f64, usize)> = Vec::with_capacity(self.count + 1);
        for first in (0..counts.len()).step_by(self.group) {
            best.clear();
            let last = counts.len().min(first + self.group);
            for (item, &shared) in (first..last).zip(&counts[first..last]) {
                let full = best.len() == self.count;
                // Most have nothing in common.
                if (full && shared == 0) || item == own || self.degrees[item] < self.least {
                    continue;
                }
                // The same but for the degree of the item itself.
                let cosine = f64::from(shared) / f64::from(self.degrees[item].max(1)).sqrt();
                if full && best.last().is_none_or(|&(least, _)| cosine <= least) {
                    continue;
                }
                best.truncate(self.count - 1);
                best.insert(best.partition_point(|&(other, _)| other >= cosine), (cosine, item));
            }
            found.ids.extend(best.iter().map(|&(_, item)| item as i64));
            found.shared.extend(best.iter().map(|&(_, item)| counts[item]));
            let missing = self.count - best.len();
            found.ids.extend(std::iter::repeat_n(-1, missing));
            found.shared.extend(std::iter::repeat_n(0, missing));
        }
        let others =
            || counts.iter().enumerate().filter(|&(item, _)| item != own).map(|(_, &shared)| u64::from(shared));
        let closed: u128 = others().map(|shared| u128::from(shared * shared.saturating_sub(1))).sum();
        let all: u64 = others().sum();
        found.paths.push([closed as f64, (f64::from(counts[own]) - 1.0) * all as f64]);
        found
    }
}

/// The rows of one split of the chosen users: where each begins (one more than users), and their items.
pub fn collect(
    matrix: &StreamedMatrix,
    chosen: &[u64],
    split: Split,
    workers: &Workers,
) -> Result<(Vec<u64>, Vec<i64>), Error> {
    let states = fold(matrix, workers, 0, Vec::new, |found, _, row| {
        if let Ok(number) = chosen.binary_search(&row.user) {
            matrix.check(row)?;
            found.push((number, row.of(split).to_vec()));
        }
        Ok(())
    })?;
    let mut found: Vec<_> = states.into_iter().flatten().collect();
    found.sort_unstable_by_key(|&(number, _)| number);
    let (mut starts, mut items) = (vec![0], Vec::new());
    let mut found = found.into_iter().peekable();
    for number in 0..chosen.len() {
        while let Some((_, row)) = found.next_if(|&(other, _)| other == number) {
            items.extend(row);
        }
        starts.push(items.len() as u64);
    }
    Ok((starts, items))
}

/// The nearest user (cosine of train rows) of each given row among each `group` consecutive users; the smallest id of
/// several. `given` has the rows' own ids, which are never their nearest. One row per given row, one column per group:
/// the user, or −1 where no user shares an item, and the squared cosine.
pub fn nearest(
    matrix: &StreamedMatrix,
    given: &[u64],
    starts: &[u64],
    items: &[i64],
    group: u64,
    workers: &Workers,
) -> Result<(Vec<i64>, Vec<f64>), Error> {
    let groups = matrix.users.div_ceil(group) as usize;
    let given_rows = GivenRows::groups(starts, items, matrix.items as usize);
    let lengths: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let bytes = given.len() * groups * size_of::<(i64, f64)>() + given_rows.len() * size_of::<Overlaps>();
    // Group by group: of a row all given rows are asked for one after the other.
    let new = || {
        let overlaps: Vec<_> = given_rows.iter().map(Overlaps::new).collect();
        (vec![(-1_i64, 0.0_f64); given.len() * groups], overlaps)
    };
    let states = fold(matrix, workers, bytes, new, |(best, overlaps), _, row| {
        matrix.check(row)?;
        let own = row.train.len() as f64;
        let best = &mut best[(row.user / group) as usize * given.len()..][..given.len()];
        for overlaps in overlaps {
            overlaps.of(row.train, |number, shared| {
                let (squared, product, place) = (f64::from(shared).powi(2), lengths[number] * own, &mut best[number]);
                // Most are far from the nearest one: no need to divide.
                if squared > ALMOST * place.1 * product && given[number] != row.user {
                    *place = nearer(*place, (row.user as i64, squared / product));
                }
            });
        }
        Ok(())
    })?;
    let best = states
        .into_iter()
        .map(|(best, _)| best)
        .reduce(|all, some| all.into_iter().zip(some).map(|(a, b)| nearer(a, b)).collect())
        .unwrap_or_default();
    let by_row = (0..given.len()).flat_map(|number| (0..groups).map(move |group| group * given.len() + number));
    Ok(by_row.map(|place| best[place]).unzip())
}

fn nearer(one: (i64, f64), other: (i64, f64)) -> (i64, f64) {
    match other.1.total_cmp(&one.1) {
        std::cmp::Ordering::Greater => other,
        std::cmp::Ordering::Equal if other.0 >= 0 && other.0 < one.0 => other,
        _ => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_beyond_their_sixteen_bits() {
        let mut counts = Counts { low: vec![0; 5], full: Vec::new() };
        let wanted = [1, 65_535, 65_536, 131_073, 0];
        for (item, times) in (0..).zip(wanted) {
            (0..times).for_each(|_| counts.add(item));
        }
        let mut read = vec![7];
        counts.read(&mut read);
        assert_eq!(read, wanted);
    }
}
