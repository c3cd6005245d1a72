//! Who shares interactions with whom: co-occurrence of chosen items with all, nearest users of chosen rows.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::rows::{StreamedMatrix, Workers, fold};
use crate::base::Split;
use crate::error::Error;
use crate::threads::on_threads;

const NONE: u32 = u32::MAX;
/// Rows are taken together until they have so many interactions.
const CHUNK: usize = 1 << 22;

/// Counts, for each of the `chosen` and every item, the train users of both: one row per chosen item.
pub fn cooccurrence(matrix: &StreamedMatrix, chosen: &[u32], workers: &Workers) -> Result<Vec<u32>, Error> {
    let items = matrix.items as usize;
    let mut number_of = vec![NONE; items];
    for (number, &item) in chosen.iter().enumerate() {
        number_of[item as usize] = number as u32;
    }
    let mut counts = vec![0_u32; items * chosen.len()];
    let rows: Vec<_> = counts.chunks_mut(items.max(1)).map(Mutex::new).collect();
    let states = fold(matrix, workers, 0, Chunk::default, |chunk, _, row| {
        matrix.check(row)?;
        chunk.push(row.train, &number_of);
        if chunk.items.len() >= CHUNK { chunk.count(&rows) } else { Ok(()) }
    })?;
    for mut chunk in states {
        chunk.count(&rows)?;
    }
    drop(rows);
    Ok(counts)
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
    fn count(&mut self, counts: &[Mutex<&mut [u32]>]) -> Result<(), Error> {
        self.having.sort_unstable();
        for alike in self.having.chunk_by(|one, other| one.0 == other.0) {
            let mut counts = counts[alike[0].0 as usize].lock().map_err(|_| Error::Panicked)?;
            for &(_, first, last) in alike {
                for &item in &self.items[first as usize..last as usize] {
                    counts[item as usize] += 1;
                }
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
    let items = (matrix.items as usize).max(1);
    let counts = cooccurrence(matrix, chosen, workers)?;
    let next = AtomicUsize::new(0);
    let threads = workers.threads.min(chosen.len()).max(1);
    let found = on_threads(threads, workers.progress, || {
        let mut found = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(&item) = chosen.get(number) else { return Ok(found) };
            workers.progress.advance(0)?;
            found.push((number, asked.of(item as usize, &counts[number * items..][..items])));
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
    // For each item, the given rows that have it.
    let mut posting_starts = vec![0_usize; matrix.items as usize + 1];
    for &item in items {
        posting_starts[item as usize + 1] += 1;
    }
    for item in 1..posting_starts.len() {
        posting_starts[item] += posting_starts[item - 1];
    }
    let mut ends = posting_starts.clone();
    let mut postings = vec![0_u32; items.len()];
    for (number, pair) in starts.windows(2).enumerate() {
        for &item in &items[pair[0] as usize..pair[1] as usize] {
            postings[ends[item as usize]] = number as u32;
            ends[item as usize] += 1;
        }
    }
    let bytes = given.len() * (groups * size_of::<(i64, f64)>() + size_of::<u32>());
    let new = || (vec![(-1_i64, 0.0_f64); given.len() * groups], vec![0_u32; given.len()], Vec::new());
    let states = fold(matrix, workers, bytes, new, |(best, shared, touched), _, row| {
        matrix.check(row)?;
        for &item in row.train {
            for &number in &postings[posting_starts[item as usize]..posting_starts[item as usize + 1]] {
                if shared[number as usize] == 0 {
                    touched.push(number);
                }
                shared[number as usize] += 1;
            }
        }
        for number in touched.drain(..) {
            let number = number as usize;
            let common = f64::from(std::mem::take(&mut shared[number]));
            if given[number] == row.user {
                continue;
            }
            let length = (starts[number + 1] - starts[number]) as f64;
            let candidate = (row.user as i64, common * common / (length * row.train.len() as f64));
            let place = &mut best[number * groups + (row.user / group) as usize];
            *place = nearer(*place, candidate);
        }
        Ok(())
    })?;
    let best = states
        .into_iter()
        .map(|(best, ..)| best)
        .reduce(|all, some| all.into_iter().zip(some).map(|(a, b)| nearer(a, b)).collect());
    Ok(best.unwrap_or_default().into_iter().unzip())
}

fn nearer(one: (i64, f64), other: (i64, f64)) -> (i64, f64) {
    match other.1.total_cmp(&one.1) {
        std::cmp::Ordering::Greater => other,
        std::cmp::Ordering::Equal if other.0 >= 0 && other.0 < one.0 => other,
        _ => one,
    }
}
