//! Membership: whether single interactions exist, found by making one row of one block for each.

use std::borrow::Cow;
use std::cmp::Ordering::Equal;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::tables::{COLUMNS_MEANWHILE, worth_a_table};
use super::tile::{Tiler, Wanted};
use crate::base::{Code, Codes, Split};
use crate::chance::{Permutation, bounded};
use crate::error::Error;
use crate::expansion::{Columns, Draws, Exchange, Expansion, GapTable, Operator, Splits, TestItems};
use crate::threads::{Progress, on_threads};

/// So many pairs are looked up at a time.
const CHUNK: usize = 4_096;
/// So often a user's items are drawn, for each that is wanted, before too few are taken to be left.
const DRAWS_PER_NEGATIVE: u64 = 1_000;

/// A user and an item.
pub type Pair = (u64, u64);

/// Pairs of users and the places of their items.
pub(super) fn in_blocks<'p>(expansion: &Expansion, pairs: &'p [Pair]) -> Cow<'p, [Pair]> {
    let Some(numbering) = &expansion.numbering else { return Cow::Borrowed(pairs) };
    let mut places: Vec<i64> = pairs.iter().map(|&(_, item)| item as i64).collect();
    numbering.place(&mut places);
    pairs.iter().zip(places).map(|(&(user, _), place)| (user, place as u64)).collect()
}

/// Finds the split in which each user of some pairs has an interaction with the item, on threads; none if it has none.
pub fn find(
    expansion: &Expansion,
    pairs: &[Pair],
    threads: usize,
    progress: &Progress,
) -> Result<Vec<Option<Split>>, Error> {
    let options = &expansion.options;
    // What is dropped of a user depends on all interactions it has.
    let whole_users =
        options.operator == Operator::Sketch || options.test_items == TestItems::One || options.drop_incomplete;
    let (p, q) = (u64::from(expansion.base_users), u64::from(expansion.base_items));
    // Of a whole user items are compared as they are written.
    let placed = if whole_users { Cow::Borrowed(pairs) } else { in_blocks(expansion, pairs) };
    let pairs = placed.as_ref();
    let group = |&(user, item): &Pair| if whole_users { (user, 0) } else { (user / p, item / q) };
    // Pairs of one block, or of one user, are looked up together.
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_unstable_by_key(|&number| (group(&pairs[number]), number));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; pairs.len()]));
    let threads = threads.min(pairs.len().div_ceil(CHUNK)).max(1);
    on_threads(threads, progress, || {
        let mut made = Vec::with_capacity(CHUNK);
        while let Some(chunk) = order.chunks(CHUNK).nth(next.fetch_add(1, Ordering::Relaxed)) {
            made.clear();
            let alike = |&one: &usize, &other: &usize| group(&pairs[one]).cmp(&group(&pairs[other])) == Equal;
            for numbers in chunk.chunk_by(alike) {
                progress.advance(0)?;
                let some = numbers.iter().map(|&number| pairs[number]);
                match (&expansion.layout.codes, whole_users) {
                    (_, true) => of_user(expansion, pairs[numbers[0]].0, some, &mut made)?,
                    (Codes::Narrow(codes), false) => of_block(expansion, codes, some, &mut made),
                    (Codes::Wide(codes), false) => of_block(expansion, codes, some, &mut made),
                }
            }
            let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (&number, &split) in chunk.iter().zip(&made) {
                found[number] = split;
            }
        }
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Finds pairs of one block.
fn of_block<C: Code>(
    expansion: &Expansion,
    codes: &[C],
    pairs: impl ExactSizeIterator<Item = Pair> + Clone,
    made: &mut Vec<Option<Split>>,
) {
    let Expansion { base_users, base_items, layout, keys, user_cells, options, .. } = expansion;
    let Some((user, item)) = pairs.clone().next() else { return };
    let (i, j) = ((user / u64::from(*base_users)) as u32, (item / u64::from(*base_items)) as u32);
    let Some(keep_rate) = expansion.keep_rate(i, j) else {
        made.extend(pairs.map(|_| None));
        return;
    };
    let (draws, gaps) = (Draws::new(keys, i, j), GapTable::new(keep_rate));
    let rows = Permutation::new(keys.rows.child(u64::from(i)), *base_users);
    let exchange = Exchange::of_users(expansion, i, j);
    let columns = Columns::new(expansion, i, j);
    let mut table: Vec<C> = Vec::new();
    let read = pairs.len() as f64 * layout.len() as f64 / f64::from(*base_users);
    if options.shuffled && worth_a_table(*base_items, read * keep_rate, COLUMNS_MEANWHILE) {
        columns.fill(None, &mut table);
    }
    let column = |item: u32| {
        if !options.shuffled {
            return item;
        }
        table.get(item as usize).map_or_else(|| columns.column(item), |column| column.item())
    };
    made.extend(pairs.map(|(user, item)| {
        let (row, wanted) = ((user % u64::from(*base_users)) as u32, (item % u64::from(*base_items)) as u32);
        let anchor = if options.shuffled { rows.image(row) } else { row };
        let slot = if expansion.exchanges_users() { exchange.image(user_cells.place(anchor)) } else { anchor };
        let entries = &codes[layout.row(slot)];
        let mut found = None;
        gaps.keep(draws, draws.row(user_cells.code(slot)), entries, |_, code| {
            if column(code.item()) == wanted {
                let cold = expansion.is_cold_user(user) || expansion.is_cold_item(item);
                found = Some(if cold { Split::Test } else { code.split() });
            }
        });
        found
    }));
}

/// Finds pairs of one user among all interactions it has.
fn of_user(
    expansion: &Expansion,
    user: u64,
    pairs: impl Iterator<Item = Pair>,
    made: &mut Vec<Option<Split>>,
) -> Result<(), Error> {
    let mut all = Splits::<i64>::default();
    let mut tiler = Tiler::new(expansion, Wanted::Ids);
    tiler.expand(user..user + 1, &(user..user + 1), &mut all, |_| Ok(()))?;
    let has = |split: Split, item: u64| all[split as usize].items.contains(&(item as i64));
    made.extend(pairs.map(|(_, item)| Split::ALL.into_iter().find(|&split| has(split, item))));
    Ok(())
}

/// Draws `count` different items for each user that it has nothing to do with, uniformly: user by user. The first of them
/// are those that are drawn where fewer are wanted. Fails with the first user that has too few left.
pub fn negatives(
    expansion: &Expansion,
    users: &[u64],
    count: usize,
    seed: u64,
    threads: usize,
    progress: &Progress,
) -> Result<Vec<u64>, Error> {
    let key = expansion.keys.negatives.child(seed);
    let mut chosen = vec![Vec::with_capacity(count); users.len()];
    let mut begun = vec![0_u64; users.len()];
    let mut waiting: Vec<usize> = (0..users.len()).collect();
    let (mut candidates, mut pairs) = (Vec::new(), Vec::new());
    while !waiting.is_empty() && count > 0 {
        candidates.clear();
        pairs.clear();
        for &number in &waiting {
            let (key, lacking) = (key.child(users[number]), count - chosen[number].len());
            let draws = begun[number]..begun[number] + lacking as u64;
            begun[number] = draws.end;
            if draws.end > DRAWS_PER_NEGATIVE * count as u64 {
                let user = users[number];
                let message = format!("user {user} has hardly {count} items left that it has no interaction with");
                return Err(Error::Invalid(message));
            }
            candidates.extend(draws.map(|draw| (number, bounded(key.child(draw).0, expansion.items()))));
        }
        pairs.extend(candidates.iter().map(|&(number, item)| (users[number], item)));
        let found = find(expansion, &pairs, threads, progress)?;
        for (&(number, item), split) in candidates.iter().zip(found) {
            if split.is_none() {
                chosen[number].push(item);
            }
        }
        for &number in &waiting {
            let mut unique = HashSet::with_capacity(count);
            chosen[number].retain(|&item| unique.insert(item));
        }
        waiting.retain(|&number| chosen[number].len() < count);
    }
    Ok(chosen.concat())
}
