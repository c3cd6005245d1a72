//! The sketching operator of the paper's equation 3: every interaction of the base becomes a small sample of its train
//! part, some rows and some columns, so that no block of the result repeats another.

use std::ops::Range;

use super::expansion::Expansion;
use super::interactions::{Id, Interactions};
use crate::base::TEST;
use crate::chance::Permutation;
use crate::error::Error;
use crate::memory::prefetch;

/// About how many interactions are handed over at a time.
const BATCH: usize = 400_000;
/// The samples of a row's entries are kept for all its expanded users, unless they are more than this.
const SAMPLES: usize = 1 << 20;

/// Appends the interactions of the expanded users to `train` and `test`, and hands both to `each_batch` now and then; it
/// may take what is in them. Expanded user `row·m + r` has, for each item of the row, what the r-th sampled row and the
/// sampled columns share.
pub fn expand_sketch<I: Id>(
    expansion: &Expansion,
    users: Range<u64>,
    train: &mut Interactions<I>,
    test: &mut Interactions<I>,
    mut each_batch: impl FnMut(&mut Interactions<I>, &mut Interactions<I>) -> Result<(), Error>,
) -> Result<(), Error> {
    let base = &expansion.base;
    let (row_samples, column_samples) = (u64::from(expansion.row_blocks()), expansion.column_blocks);
    let (mut row, mut columns) = (u32::MAX, Vec::new());
    let mut made = 0;
    for user in users {
        let (train_start, test_start) = (train.items.len(), test.items.len());
        let (source, r) = ((user / row_samples) as u32, (user % row_samples) as u32);
        let entries = &base.entries()[base.row(source)];
        let keeping = entries.len() * column_samples as usize <= SAMPLES;
        if source != row {
            row = source;
            columns.clear();
            if keeping {
                for &entry in entries {
                    sample_columns(expansion, row, entry, &mut columns);
                }
            }
        }
        let key = expansion.keys.sketch.child(u64::from(row));
        let sampled = |entry: u32| {
            let key = key.child(u64::from(entry & !TEST)).child(0);
            Permutation::new(key, base.users()).image(r)
        };
        for (number, &entry) in entries.iter().enumerate() {
            let other = &base.entries()[base.row(sampled(entry))];
            if let Some(first) = other.first() {
                prefetch(first);
            }
            let side = if entry & TEST == 0 { &mut *train } else { &mut *test };
            let start = side.items.len();
            let offset = u64::from(entry & !TEST) * u64::from(column_samples);
            let from = if keeping { number * column_samples as usize } else { 0 };
            if !keeping {
                columns.clear();
                sample_columns(expansion, row, entry, &mut columns);
            }
            shared(&columns[from..][..column_samples as usize], other, |s| side.items.push(I::at(offset, s)));
            side.items[start..].sort_unstable();
        }
        train.close_user(user, train_start);
        test.close_user(user, test_start);
        made += train.items.len() - train_start + test.items.len() - test_start;
        if made > BATCH {
            made = 0;
            each_batch(train, test)?;
        }
    }
    each_batch(train, test)
}

/// Appends the sampled columns of an entry, by item: item and number.
fn sample_columns(expansion: &Expansion, row: u32, entry: u32, columns: &mut Vec<(u32, u32)>) {
    let key = expansion.keys.sketch.child(u64::from(row)).child(u64::from(entry & !TEST)).child(1);
    let permutation = Permutation::new(key, expansion.base.items());
    let start = columns.len();
    columns.extend((0..expansion.column_blocks).map(|s| (permutation.image(s), s)));
    columns[start..].sort_unstable();
}

/// Tells the numbers of the columns that are train items of a row; both rise by item.
fn shared(columns: &[(u32, u32)], mut row: &[u32], mut each: impl FnMut(u32)) {
    for &(item, number) in columns {
        row = &row[row.partition_point(|entry| entry & !TEST < item)..];
        match row.first() {
            Some(&entry) if entry == item => each(number),
            Some(_) => {}
            None => return,
        }
    }
}
