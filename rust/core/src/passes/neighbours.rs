//! Who shares interactions with whom: co-occurrence of chosen items with all, nearest users of chosen rows.

use std::sync::atomic::{AtomicU32, Ordering};

use super::rows::{StreamedMatrix, Workers, fold};
use crate::error::Error;

const NONE: u32 = u32::MAX;

/// Counts, for every item and each of the `chosen`, the train users of both: one row per item.
pub fn cooccurrence(matrix: &StreamedMatrix, chosen: &[u32], workers: &Workers) -> Result<Vec<u32>, Error> {
    let items = matrix.items as usize;
    let mut number_of = vec![NONE; items];
    for (number, &item) in chosen.iter().enumerate() {
        number_of[item as usize] = number as u32;
    }
    let counts: Vec<_> = (0..items * chosen.len()).map(|_| AtomicU32::new(0)).collect();
    fold(matrix, workers, 0, Vec::new, |here, _, row| {
        matrix.check(row)?;
        here.clear();
        here.extend(row.train.iter().map(|&item| number_of[item as usize]).filter(|&number| number != NONE));
        if !here.is_empty() {
            for &item in row.train {
                let counts = &counts[item as usize * chosen.len()..][..chosen.len()];
                for &number in here.iter() {
                    counts[number as usize].fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    })?;
    Ok(counts.into_iter().map(AtomicU32::into_inner).collect())
}

/// The train or test rows of the chosen users: where each begins (one more than users), and their items.
pub fn collect(
    matrix: &StreamedMatrix,
    chosen: &[u64],
    test: bool,
    workers: &Workers,
) -> Result<(Vec<u64>, Vec<i64>), Error> {
    let states = fold(matrix, workers, 0, Vec::new, |found, _, row| {
        if let Ok(number) = chosen.binary_search(&row.user) {
            matrix.check(row)?;
            found.push((number, if test { row.test.to_vec() } else { row.train.to_vec() }));
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
