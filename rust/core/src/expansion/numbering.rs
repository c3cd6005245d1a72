//! Numbering: which id the item of each column of each column block has, where ids do not go by blocks.
//!
//! A *place* is `j·q + column`, the id of an item where they do. Both ways are evaluated at one point.

use std::cmp::Reverse;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::expansion::Expansion;
use super::interactions::Id;
use super::options::IdOrder;
use crate::base::{Base, ITEM, Split};
use crate::chance::{Key, Permutation, WidePermutation};

/// Of so many items at most all numbers are tabulated, in 4 bytes each, once that pays; of more each is computed.
const TABULATED: u64 = 1 << 23;
/// Expected degrees are alike where they differ in no bit but the last 47: 32 levels from any number to twice that.
const LEVEL_SHIFT: u32 = 47;

/// A bijection of places and ids.
pub struct Numbering {
    order: Bijection,
    numbers: Tabulated,
    places: Tabulated,
}

enum Bijection {
    Scrambled(WidePermutation),
    Popularity(Popularity),
}

impl Numbering {
    /// None where items have the numbers of their places.
    pub(super) fn of(expansion: &Expansion, base: &Base) -> Option<Self> {
        let items = expansion.items();
        let order = match expansion.options.id_order {
            IdOrder::Block => return None,
            IdOrder::Scrambled => Bijection::Scrambled(WidePermutation::new(expansion.keys.numbers, items)),
            IdOrder::Popularity => Bijection::Popularity(Popularity::of(expansion, base)),
        };
        Some(Self { order, numbers: Tabulated::new(items), places: Tabulated::new(items) })
    }

    /// Gives places their ids.
    pub fn number<I: Id>(&self, items: &mut [I]) {
        match &self.order {
            Bijection::Scrambled(permutation) => self.numbers.replace(items, |place| permutation.image(place)),
            Bijection::Popularity(popularity) => {
                let mut columns = None;
                self.numbers.replace(items, |place| popularity.number(place, &mut columns));
            }
        }
    }

    /// Gives ids their places back.
    pub fn place<I: Id>(&self, items: &mut [I]) {
        match &self.order {
            Bijection::Scrambled(permutation) => self.places.replace(items, |number| permutation.preimage(number)),
            Bijection::Popularity(popularity) => self.places.replace(items, |number| popularity.place(number)),
        }
    }
}

/// A function of so many numbers, which is tabulated when half of them were asked for.
struct Tabulated {
    count: u64,
    asked: AtomicU64,
    table: OnceLock<Vec<u32>>,
}

impl Tabulated {
    fn new(count: u64) -> Self {
        Self { count, asked: AtomicU64::new(0), table: OnceLock::new() }
    }

    fn table(&self, asked: u64, mut image: impl FnMut(u64) -> u64) -> Option<&[u32]> {
        let known = self.table.get().or_else(|| {
            let before = if self.count > TABULATED { 0 } else { self.asked.fetch_add(asked, Ordering::Relaxed) };
            let pays = self.count <= TABULATED && 2 * (before + asked) > self.count;
            pays.then(|| self.table.get_or_init(|| (0..self.count).map(|x| image(x) as u32).collect()))
        });
        known.map(Vec::as_slice)
    }

    fn replace<I: Id>(&self, items: &mut [I], mut image: impl FnMut(u64) -> u64) {
        let table = self.table(items.len() as u64, &mut image);
        for item in items {
            let x = item.number();
            *item = I::at(table.map_or_else(|| image(x), |table| u64::from(table[x as usize])), 0);
        }
    }
}

/// Items by the level of their expected degree, the highest first; those of one level by column block, inside one by rank.
///
/// The rank of a slot is its place among the slots of a block, by the mean degree of its cell. So the items of a block that
/// are of one level are a run of ranks: runs are all that is kept of every block.
struct Popularity {
    base_items: u32,
    /// Under which each column block has the key of its permutation; none where nothing is shuffled.
    columns: Option<Key>,
    /// The slot of each rank, and the rank of each slot.
    slots: Vec<u32>,
    ranks: Vec<u32>,
    /// The slot of each column, and the other way round, where nothing is shuffled.
    slot_of_item: Vec<u32>,
    item_of_slot: Vec<u32>,
    /// By column block and rank; where those of each block begin; and their numbers by first id.
    runs: Vec<Run>,
    starts: Vec<usize>,
    by_id: Vec<u32>,
}

/// The permutation of a column block, the last that was asked for: places mostly come block by block.
type LastColumns = Option<(u32, Permutation)>;

#[derive(Clone, Copy)]
struct Run {
    first_id: u64,
    column_block: u32,
    first_rank: u32,
}

impl Popularity {
    fn of(expansion: &Expansion, base: &Base) -> Self {
        let (weights, sums) = (mean_degrees(expansion, base), sums_of_keep_rates(expansion));
        let mut slots: Vec<u32> = (0..expansion.base_items).collect();
        // Numbers that are not negative are in the order of their bits.
        slots.sort_by_key(|&slot| (Reverse(weights[slot as usize].to_bits()), slot));
        let mut ranks = vec![0; slots.len()];
        for (&slot, rank) in slots.iter().zip(0..) {
            ranks[slot as usize] = rank;
        }
        // The ranks from which on another mean degree begins.
        let mut steps: Vec<(f64, u32)> =
            slots.iter().zip(0..).map(|(&slot, rank)| (weights[slot as usize], rank)).collect();
        steps.dedup_by_key(|&mut (weight, _)| weight.to_bits());
        let (mut levels, mut runs, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        for (&sum, column_block) in sums.iter().zip(0_u32..) {
            let level_of = |weight: f64| (sum * weight).to_bits() >> LEVEL_SHIFT;
            let mut of_block: Vec<_> = steps.iter().map(|&(weight, rank)| (level_of(weight), rank)).collect();
            of_block.dedup_by_key(|&mut (level, _)| level);
            levels.extend(of_block.iter().map(|&(level, _)| level));
            runs.extend(of_block.iter().map(|&(_, first_rank)| Run { first_id: 0, column_block, first_rank }));
            starts.push(runs.len());
        }
        let mut by_id: Vec<u32> = (0..runs.len() as u32).collect();
        by_id.sort_by_key(|&run| (Reverse(levels[run as usize]), run));
        let mut first_id = 0;
        for &run in &by_id {
            let run = run as usize;
            let last = starts[runs[run].column_block as usize + 1] == run + 1;
            let end = if last { expansion.base_items } else { runs[run + 1].first_rank };
            runs[run].first_id = first_id;
            first_id += u64::from(end - runs[run].first_rank);
        }
        Self {
            base_items: expansion.base_items,
            columns: expansion.options.shuffled.then_some(expansion.keys.columns),
            slots,
            ranks,
            slot_of_item: expansion.item_slots.clone(),
            item_of_slot: expansion.item_cells.order().to_vec(),
            runs,
            starts,
            by_id,
        }
    }

    fn columns_of(&self, j: u32) -> Option<Permutation> {
        self.columns.map(|key| Permutation::new(key.child(u64::from(j)), self.base_items))
    }

    fn number(&self, place: u64, last: &mut LastColumns) -> u64 {
        let q = u64::from(self.base_items);
        let (j, column) = ((place / q) as u32, (place % q) as u32);
        if last.is_none_or(|(of, _)| of != j) {
            *last = self.columns_of(j).map(|columns| (j, columns));
        }
        let slot = last.map_or_else(|| self.slot_of_item[column as usize], |(_, columns)| columns.preimage(column));
        let rank = self.ranks[slot as usize];
        let runs = &self.runs[self.starts[j as usize]..self.starts[j as usize + 1]];
        let run = runs[runs.partition_point(|run| run.first_rank <= rank) - 1];
        run.first_id + u64::from(rank - run.first_rank)
    }

    fn place(&self, number: u64) -> u64 {
        let after = self.by_id.partition_point(|&run| self.runs[run as usize].first_id <= number);
        let run = self.runs[self.by_id[after - 1] as usize];
        let slot = self.slots[(u64::from(run.first_rank) + number - run.first_id) as usize];
        let column = self
            .columns_of(run.column_block)
            .map_or_else(|| self.item_of_slot[slot as usize], |columns| columns.image(slot));
        u64::from(run.column_block) * u64::from(self.base_items) + u64::from(column)
    }
}

/// The mean train degree of the items of each slot's cell.
fn mean_degrees(expansion: &Expansion, base: &Base) -> Vec<f64> {
    let mut degrees = vec![0_u64; expansion.base_items as usize];
    for &entry in base.entries().iter().filter(|&&entry| Split::of(entry) == Split::Train) {
        degrees[(entry & ITEM) as usize] += 1;
    }
    let cells = &expansion.item_cells;
    let mut means = vec![0.0; degrees.len()];
    for (start, end) in (0..cells.len()).map(|cell| cells.bounds(cell)) {
        let total: u64 = (start..end).map(|slot| degrees[cells.code(slot) as usize]).sum();
        means[start as usize..end as usize].fill(total as f64 / f64::from(end - start));
    }
    means
}

/// The keep rates of the blocks of each column block that exist, added up.
fn sums_of_keep_rates(expansion: &Expansion) -> Vec<f64> {
    let mut sums = vec![0.0; expansion.column_blocks as usize];
    for i in 0..expansion.row_blocks() {
        for (j, keep_rate) in expansion.blocks(i) {
            sums[j as usize] += keep_rate;
        }
    }
    sums
}
