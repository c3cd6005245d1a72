//! Lookups: how often the row of each id would be looked up in an embedding table, of all ids or of a keyed sample.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::rows::{StreamedMatrix, Workers, fold};
use crate::chance::{Key, Keys};
use crate::error::Error;
use crate::memory::prefetch;

/// How many interactions ahead counts of items are asked for.
const AHEAD: usize = 16;

/// A keyed sample of ids: the same ids, whoever asks, and the fewer are some of the more.
#[derive(Clone, Copy, Debug)]
pub struct IdSample {
    key: Key,
    /// An id is taken where its word is below this; all are where there is none.
    below: Option<u64>,
}

impl IdSample {
    #[must_use]
    pub fn new(seed: u64, below: Option<u64>) -> Self {
        // Epochs, whose keys are children too, are fewer.
        Self { key: Keys::new(seed).loading.child(u64::MAX), below }
    }

    #[inline]
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        self.below.is_none_or(|below| self.key.child(id).0 < below)
    }
}

/// The ids of a sample that are looked up at all, in their order, and how often each is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    pub ids: Vec<u64>,
    pub counts: Vec<u32>,
}

impl Lookups {
    /// The counts of an id that is there more than once are added up.
    fn sorted(mut pairs: Vec<(u64, u32)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup_by(|(id, count), (kept, sum)| {
            let alike = id == kept;
            *sum += if alike { *count } else { 0 };
            alike
        });
        let (ids, counts) = pairs.into_iter().unzip();
        Self { ids, counts }
    }
}

/// Counts the train interactions of sampled users and of sampled items.
pub fn lookups(matrix: &StreamedMatrix, samples: [IdSample; 2], workers: &Workers) -> Result<[Lookups; 2], Error> {
    let [of_users, of_items] = samples;
    // A table where every item counts, else a map a thread.
    let entries = if of_items.below.is_none() { matrix.items as usize } else { 0 };
    let table: Vec<AtomicU32> = (0..entries).map(|_| AtomicU32::new(0)).collect();
    let new = || (Vec::new(), HashMap::new());
    let states = fold(matrix, workers, 0, new, |(users, items): &mut (Vec<_>, HashMap<u64, u32>), _, row| {
        matrix.check(row)?;
        if !row.train.is_empty() && of_users.has(row.user) {
            users.push((row.user, row.train.len() as u32));
        }
        if table.is_empty() {
            for &item in row.train.iter().filter(|&&item| of_items.has(item as u64)) {
                *items.entry(item as u64).or_default() += 1;
            }
            return Ok(());
        }
        for (number, &item) in row.train.iter().enumerate() {
            if let Some(&far) = row.train.get(number + AHEAD) {
                prefetch(&table[far as usize]);
            }
            table[item as usize].fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })?;
    let counted = table.into_iter().map(AtomicU32::into_inner).zip(0..).filter(|&(count, _)| count > 0);
    let (mut users, mut items) = (Vec::new(), counted.map(|(count, item)| (item, count)).collect::<Vec<_>>());
    // Map by map, each of which is then gone: pairs take less room.
    items.reserve_exact(states.iter().map(|(_, some_items)| some_items.len()).sum());
    for (some_users, some_items) in states {
        users.extend(some_users);
        items.extend(some_items);
    }
    Ok([Lookups::sorted(users), Lookups::sorted(items)])
}
