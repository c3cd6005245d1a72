//! Sources: the entry of the base that a pair of expanded ids stands for in its block, there or not; and what was left out.

use std::sync::Mutex;

use super::membership::{Pair, in_blocks};
use super::tables::{COLUMNS_MEANWHILE, worth_a_table};
use super::tile::{Tiler, Wanted};
use crate::base::{Base, Code, Codes, ITEM, Split};
use crate::chance::Permutation;
use crate::error::Error;
use crate::expansion::{Columns, Exchange, Expansion, Operator, Splits};
use crate::threads::{Progress, on_threads};

/// So many pairs of a block are looked up at a time.
const CHUNK: usize = 1 << 16;
/// Pairs are counted by block where there are no more blocks than this, or than pairs.
const COUNTED: usize = 1 << 16;

/// The source user and the source item of some pairs, by their codes.
///
/// A user has a source for each item where entries were dealt out among the users of a cell: of those with the item the
/// one whose entry it got, and else, by the same order of the deal, one without. Only then are there `holders`.
pub fn sources(
    expansion: &Expansion,
    holders: Option<&Holders>,
    pairs: &[Pair],
    threads: usize,
    progress: &Progress,
) -> Result<Vec<(u32, u32)>, Error> {
    refuse_sketch(expansion)?;
    let placed = in_blocks(expansion, pairs);
    let pairs = placed.as_ref();
    let (order, starts) = by_block(expansion, pairs);
    let jobs = starts.windows(2).flat_map(|pair| order[pair[0]..pair[1]].chunks(CHUNK));
    let (jobs, found) = (Mutex::new(jobs), Mutex::new(vec![(0, 0); pairs.len()]));
    let next = || jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    on_threads(threads, progress, || {
        let mut made = Vec::with_capacity(CHUNK);
        let mut anchors = Anchors { row_block: u32::MAX, images: Vec::new() };
        while let Some(numbers) = next() {
            progress.advance(0)?;
            made.clear();
            let some = numbers.iter().map(|&number| pairs[number as usize]);
            of_block(expansion, holders, some, &mut anchors, &mut made);
            let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (&number, &source) in numbers.iter().zip(&made) {
                found[number as usize] = source;
            }
        }
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// The numbers of pairs block by block, as they come inside each, and where each block begins, and the last one ends.
fn by_block(expansion: &Expansion, pairs: &[Pair]) -> (Vec<u32>, Vec<usize>) {
    let (p, q) = (u64::from(expansion.base_users), u64::from(expansion.base_items));
    let block = |&(user, item): &Pair| user / p * u64::from(expansion.column_blocks) + item / q;
    let blocks: Vec<u64> = pairs.iter().map(block).collect();
    let count = expansion.row_blocks() as usize * expansion.column_blocks as usize;
    if count > COUNTED.max(pairs.len()) {
        let mut order: Vec<u32> = (0..pairs.len() as u32).collect();
        order.sort_by_key(|&number| blocks[number as usize]);
        let ends =
            order.chunk_by(|&one, &other| blocks[one as usize] == blocks[other as usize]).scan(0, |end, alike| {
                *end += alike.len();
                Some(*end)
            });
        let starts = std::iter::once(0).chain(ends).collect();
        return (order, starts);
    }
    let mut starts = vec![0; count + 1];
    for &block in &blocks {
        starts[block as usize + 1] += 1;
    }
    for block in 0..count {
        starts[block + 1] += starts[block];
    }
    let (mut places, mut order) = (starts.clone(), vec![0; pairs.len()]);
    for (&block, number) in blocks.iter().zip(0..) {
        let place = &mut places[block as usize];
        order[*place] = number;
        *place += 1;
    }
    (order, starts)
}

/// Where the rows of a row block stand before its blocks exchange them, which the blocks have in common.
struct Anchors {
    row_block: u32,
    images: Vec<u32>,
}

impl Anchors {
    /// Tabulates them, where all blocks of the row block are likely to look up as many as this one.
    fn enter(&mut self, expansion: &Expansion, i: u32, rows: &Permutation, lookups: usize) {
        if self.row_block != i {
            self.row_block = i;
            self.images.clear();
        }
        let worth = lookups as u64 * u64::from(expansion.column_blocks) > u64::from(expansion.base_users);
        if self.images.is_empty() && worth {
            self.images.extend((0..expansion.base_users).map(|row| rows.image(row)));
        }
    }
}

/// Finds the sources of pairs of one block.
fn of_block(
    expansion: &Expansion,
    holders: Option<&Holders>,
    pairs: impl ExactSizeIterator<Item = Pair> + Clone,
    anchors: &mut Anchors,
    made: &mut Vec<(u32, u32)>,
) {
    let Expansion { base_users, base_items, keys, user_cells, options, .. } = expansion;
    let Some((user, item)) = pairs.clone().next() else { return };
    let (i, j) = ((user / u64::from(*base_users)) as u32, (item / u64::from(*base_items)) as u32);
    let rows = Permutation::new(keys.rows.child(u64::from(i)), *base_users);
    let exchange = Exchange::of_users(expansion, i, j);
    let columns = Columns::new(expansion, i, j);
    let mut items = Vec::new();
    if options.shuffled && worth_a_table(*base_items, pairs.len() as f64, COLUMNS_MEANWHILE) {
        let mut table: Vec<u32> = Vec::new();
        columns.fill(None, &mut table);
        items.resize(table.len(), 0);
        for (&column, item) in table.iter().zip(0..) {
            items[column as usize] = item;
        }
    }
    if options.shuffled {
        anchors.enter(expansion, i, &rows, pairs.len());
    }
    let anchor = |row: u32| anchors.images.get(row as usize).copied().unwrap_or_else(|| rows.image(row));
    let slot_of = |row: u32| exchange.image(user_cells.place(anchor(row)));
    let mut slots: Vec<u32> = Vec::new();
    if options.shuffled && pairs.len() > *base_users as usize {
        slots.extend((0..*base_users).map(slot_of));
    }
    let begun = made.len();
    let within = |(user, item): Pair| ((user % u64::from(*base_users)) as u32, (item % u64::from(*base_items)) as u32);
    made.extend(pairs.map(within));
    if !options.shuffled {
        return;
    }
    // One step after the other for all pairs: what each waits for in memory is then waited for together.
    let mut last = (u32::MAX, 0);
    for (row, column) in &mut made[begun..] {
        // Pairs of one user mostly follow each other.
        if last.0 != *row {
            last = (*row, slots.get(*row as usize).copied().unwrap_or_else(|| slot_of(*row)));
        }
        *row = last.1;
        *column = items.get(*column as usize).copied().unwrap_or_else(|| columns.item(*column));
    }
    let Some(holders) = holders else {
        made[begun..].iter_mut().for_each(|(slot, _)| *slot = user_cells.code(*slot));
        return;
    };
    let firsts: Vec<usize> =
        made[begun..].iter().map(|&(slot, item)| holders.first(item, user_cells.place(slot).start)).collect();
    for ((slot, item), first) in made[begun..].iter_mut().zip(firsts) {
        *slot = dealt_from(expansion, holders, first, *slot, *item);
    }
}

/// The users who have each item, cell by cell: of a cell those of train before those of validation before those of test,
/// so that they stand in the order in which their entries are dealt out.
pub struct Holders {
    slots: Vec<u32>,
    /// Where those of each item begin, and those of the last one end.
    starts: Vec<usize>,
}

impl Holders {
    pub fn new(expansion: &Expansion, base: &Base) -> Self {
        let (cells, entries) = (&expansion.user_cells, base.entries());
        let mut starts = vec![0; base.items() as usize + 1];
        for &entry in entries {
            starts[(entry & ITEM) as usize + 1] += 1;
        }
        for item in 0..base.items() as usize {
            starts[item + 1] += starts[item];
        }
        let (mut places, mut slots) = (starts.clone(), vec![0; entries.len()]);
        for cell in 0..cells.len() {
            let (start, end) = cells.bounds(cell);
            for split in Split::ALL {
                for slot in start..end {
                    let row = &entries[base.row(cells.code(slot))];
                    for &entry in row.iter().filter(|&&entry| Split::of(entry) == split) {
                        let place = &mut places[(entry & ITEM) as usize];
                        slots[*place] = slot;
                        *place += 1;
                    }
                }
            }
        }
        Self { slots, starts }
    }

    /// Where those begin who have an item and do not stand before a cell.
    #[inline]
    fn first(&self, item: u32, start: u32) -> usize {
        let (first, end) = (self.starts[item as usize], self.starts[item as usize + 1]);
        first + self.slots[first..end].partition_point(|&slot| slot < start)
    }

    /// The slots of a cell, which ends with `end`, whose users have an item.
    #[inline]
    fn of(&self, item: u32, first: usize, end: u32) -> &[u32] {
        let rest = &self.slots[first..self.starts[item as usize + 1]];
        &rest[..rest.iter().take_while(|&&slot| slot < end).count()]
    }
}

/// The user of the cell whose entry with the item, or lack of one, was dealt to a slot.
#[inline]
fn dealt_from(expansion: &Expansion, holders: &Holders, first: usize, slot: u32, item: u32) -> u32 {
    let cells = &expansion.user_cells;
    let place = cells.place(slot);
    if place.size == 1 {
        return cells.code(slot);
    }
    let key = expansion.keys.mixing.child(u64::from(place.cell)).child(u64::from(item));
    let number = Permutation::single_preimage(key, place.size, place.offset);
    let with = holders.of(item, first, place.start + place.size);
    let slot = with.get(number as usize).copied().unwrap_or_else(|| {
        // Those without come after those with, each by slot.
        let mut without = place.start + number - with.len() as u32;
        let mut many = Vec::new();
        let mut few = [0; 16];
        let rising = if let Some(few) = few.get_mut(..with.len()) {
            few.copy_from_slice(with);
            few
        } else {
            many.extend_from_slice(with);
            &mut many[..]
        };
        rising.sort_unstable();
        for &mut slot in rising {
            without += u32::from(slot <= without);
        }
        without
    });
    cells.code(slot)
}

/// What dropout, and what drops whole interactions, left out of each user's: how many, and the expanded items.
pub fn unobserved(
    expansion: &Expansion,
    users: &[u64],
    threads: usize,
    progress: &Progress,
) -> Result<(Vec<i64>, Vec<i64>), Error> {
    refuse_sketch(expansion)?;
    let mut made: Vec<Vec<i64>> = vec![Vec::new(); users.len()];
    let jobs = Mutex::new(users.iter().zip(&mut made));
    let next = || jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    on_threads(threads, progress, || {
        let mut tiler = Tiler::new(expansion, Wanted::Ids);
        let mut written = Vec::new();
        while let Some((&user, left)) = next() {
            progress.advance(0)?;
            let mut all = Splits::<i64>::default();
            tiler.expand(user..user + 1, &(user..user + 1), &mut all, |_| Ok(()))?;
            written.clear();
            written.extend(all.iter().flat_map(|split| &split.items));
            written.sort_unstable();
            match &expansion.layout.codes {
                Codes::Narrow(codes) => entries_of(expansion, codes, user, left),
                Codes::Wide(codes) => entries_of(expansion, codes, user, left),
            }
            if let Some(numbering) = &expansion.numbering {
                numbering.number(left);
            }
            left.retain(|item| written.binary_search(item).is_err());
        }
        Ok(())
    })?;
    Ok((made.iter().map(|items| items.len() as i64).collect(), made.concat()))
}

/// The items of all entries of a user's source rows, block by block.
fn entries_of<C: Code>(expansion: &Expansion, codes: &[C], user: u64, items: &mut Vec<i64>) {
    let Expansion { base_users, base_items, layout, keys, user_cells, options, .. } = expansion;
    let (i, row) = ((user / u64::from(*base_users)) as u32, (user % u64::from(*base_users)) as u32);
    let rows = Permutation::new(keys.rows.child(u64::from(i)), *base_users);
    let anchor = if options.shuffled { rows.image(row) } else { row };
    for j in 0..expansion.column_blocks {
        let exchange = Exchange::of_users(expansion, i, j);
        let columns = Columns::new(expansion, i, j);
        let slot = if options.shuffled { exchange.image(user_cells.place(anchor)) } else { anchor };
        let offset = i64::from(j) * i64::from(*base_items);
        items.extend(codes[layout.row(slot)].iter().map(|code| {
            let item = code.item();
            offset + i64::from(if options.shuffled { columns.column(item) } else { item })
        }));
    }
}

fn refuse_sketch(expansion: &Expansion) -> Result<(), Error> {
    if expansion.options.operator == Operator::Sketch {
        return Err(Error::Invalid("a sketch samples rows and columns: its pairs have no source of their own".into()));
    }
    Ok(())
}
