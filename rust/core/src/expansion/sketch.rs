//! The sketching operator of the paper's equation 3: every interaction of the base becomes a small sample of its train
//! part, some rows and some columns, so that no block of the result repeats another.

use std::ops::Range;

use super::expansion::Expansion;
use super::interactions::{Id, Splits, count_all};
use crate::base::Code;
use crate::chance::Permutation;
use crate::error::Error;
use crate::memory::prefetch;

/// About how many interactions are handed over at a time.
const BATCH: usize = 400_000;
/// The samples of a row's entries are kept for all its expanded users, unless they are more than this.
const SAMPLES: usize = 1 << 20;

/// Appends the interactions of the expanded users to those of their splits, and hands all to `each_batch` now and then; it
/// may take what is in them. Expanded user `row·m + r` has, for each item of the row, what the r-th sampled row and the
/// sampled columns share.
pub fn expand_sketch<C: Code, I: Id>(
    expansion: &Expansion,
    codes: &[C],
    users: Range<u64>,
    splits: &mut Splits<I>,
    mut each_batch: impl FnMut(&mut Splits<I>) -> Result<(), Error>,
) -> Result<(), Error> {
    let row_of = |user: u32| &codes[expansion.layout.row(user)];
    let (row_samples, column_samples) = (u64::from(expansion.row_blocks()), expansion.column_blocks);
    let (mut row, mut columns) = (u32::MAX, Vec::new());
    let mut made = 0;
    for user in users {
        let starts = splits.each_ref().map(|split| split.items.len());
        let before = count_all(splits);
        let (source, r) = ((user / row_samples) as u32, (user % row_samples) as u32);
        let entries = row_of(source);
        let keeping = entries.len() * column_samples as usize <= SAMPLES;
        if source != row {
            row = source;
            columns.clear();
            if keeping {
                for code in entries {
                    sample_columns(expansion, row, code.item(), &mut columns);
                }
            }
        }
        let key = expansion.keys.sketch.child(u64::from(row));
        let sampled = |item: u32| {
            let key = key.child(u64::from(item)).child(0);
            Permutation::new(key, expansion.base_users).image(r)
        };
        for (number, code) in entries.iter().enumerate() {
            let other = row_of(sampled(code.item()));
            if let Some(first) = other.first() {
                prefetch(first);
            }
            let side = &mut splits[code.split() as usize];
            let start = side.items.len();
            let offset = u64::from(code.item()) * u64::from(column_samples);
            let from = if keeping { number * column_samples as usize } else { 0 };
            if !keeping {
                columns.clear();
                sample_columns(expansion, row, code.item(), &mut columns);
            }
            shared(&columns[from..][..column_samples as usize], other, |s| side.items.push(I::at(offset, s)));
            side.items[start..].sort_unstable();
        }
        splits.iter_mut().zip(starts).for_each(|(split, start)| split.close_user(user, start));
        made += count_all(splits) - before;
        if made > BATCH {
            made = 0;
            each_batch(splits)?;
        }
    }
    each_batch(splits)
}

/// Appends the sampled columns of a row's entry, by item: item and number.
fn sample_columns(expansion: &Expansion, row: u32, item: u32, columns: &mut Vec<(u32, u32)>) {
    let key = expansion.keys.sketch.child(u64::from(row)).child(u64::from(item)).child(1);
    let permutation = Permutation::new(key, expansion.base_items);
    let start = columns.len();
    columns.extend((0..expansion.column_blocks).map(|s| (permutation.image(s), s)));
    columns[start..].sort_unstable();
}

/// Calls `each` with the numbers of the columns that are train items of a row; both rise by item.
fn shared<C: Code>(columns: &[(u32, u32)], mut row: &[C], mut each: impl FnMut(u32)) {
    for &(item, number) in columns {
        row = &row[row.partition_point(|code| code.item() < item)..];
        match row.first() {
            Some(code) if code.item() == item && !code.is_test() => each(number),
            Some(_) => {}
            None => return,
        }
    }
}
