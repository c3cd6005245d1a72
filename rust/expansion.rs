//! The expansion: everything that determines the expanded matrix, and the types its interactions come in.

use crate::base::{Base, Cells};
use crate::dropout::SMALLEST_KEEP_RATE;
use crate::error::Error;
use crate::layout::Layout;
use crate::permutation::Permutation;
use crate::random::{Key, Keys};
use crate::timeline::Timeline;

/// The number of the algorithm in `docs/generator.md`.
pub const GENERATOR: u32 = 2;

/// A type of expanded ids.
pub trait Id: Copy + Ord + Send + Sync + 'static {
    /// The id `step` after `start`; the caller has checked that the id space fits the type.
    fn at(start: u64, step: u32) -> Self;
}

impl Id for i32 {
    #[inline]
    fn at(start: u64, step: u32) -> Self {
        (start as u32).wrapping_add(step) as i32
    }
}

impl Id for i64 {
    #[inline]
    fn at(start: u64, step: u32) -> Self {
        (start + u64::from(step)) as i64
    }
}

/// Interactions in output order, users run-length encoded. What an expansion does not carry is empty.
#[derive(Debug)]
pub struct Interactions<I> {
    /// Expanded users with at least one interaction, and how many they have.
    pub users: Vec<(u64, u32)>,
    pub items: Vec<I>,
    /// The base's entry that each interaction comes from.
    pub sources: Vec<u32>,
    pub times: Vec<i64>,
    /// Ratings times factors of blocks.
    pub ratings: Vec<f64>,
}

impl<I> Default for Interactions<I> {
    fn default() -> Self {
        Self { users: Vec::new(), items: Vec::new(), sources: Vec::new(), times: Vec::new(), ratings: Vec::new() }
    }
}

impl<I: Copy> Interactions<I> {
    pub fn clear(&mut self) {
        self.users.clear();
        self.truncate(0);
    }

    /// Leaves the first `count` interactions, whose users the caller looks after.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.items.truncate(count);
        self.sources.truncate(count);
        self.times.truncate(count);
        self.ratings.truncate(count);
    }

    /// Takes the first `count` interactions away, whose users the caller looks after.
    pub(crate) fn drain(&mut self, count: usize) {
        self.items.drain(..count);
        self.sources.drain(..count.min(self.sources.len()));
        self.times.drain(..count.min(self.times.len()));
        self.ratings.drain(..count.min(self.ratings.len()));
    }

    /// Moves the test interactions among those from `start` on over to `test`; the others stay.
    pub(crate) fn divide(&mut self, start: usize, is_test: &[bool], test: &mut Self) {
        let of_test = is_test.iter().filter(|&&is_test| is_test).count();
        let end = self.items.len() - of_test;
        // In the order of times they mostly come last anyway, or there are none.
        if !is_test[end - start..].iter().all(|&is_test| is_test) {
            let side = |wanted: bool| (start..).zip(is_test).filter(move |&(_, &is_test)| is_test == wanted);
            let order: Vec<usize> = side(false).chain(side(true)).map(|(number, _)| number).collect();
            self.reorder(&order);
        }
        move_from(&mut self.items, end, &mut test.items);
        move_from(&mut self.sources, end, &mut test.sources);
        move_from(&mut self.times, end, &mut test.times);
        move_from(&mut self.ratings, end, &mut test.ratings);
    }

    /// Sorts the interactions from `start` on, which are one user's.
    pub(crate) fn sort_by_item(&mut self, start: usize)
    where
        I: Ord,
    {
        if self.sources.is_empty() {
            self.items[start..].sort_unstable();
        } else {
            let mut order: Vec<usize> = (start..self.items.len()).collect();
            order.sort_unstable_by_key(|&number| self.items[number]);
            self.reorder(&order);
        }
    }

    /// Puts the last interactions into an order.
    fn reorder(&mut self, order: &[usize]) {
        reorder(&mut self.items, order);
        reorder(&mut self.sources, order);
        reorder(&mut self.times, order);
        reorder(&mut self.ratings, order);
    }

    pub(crate) fn close_user(&mut self, user: u64, start: usize) {
        let count = (self.items.len() - start) as u32;
        if count > 0 {
            self.users.push((user, count));
        }
    }
}

/// Moves the values from `end` on over; a column that is not carried has none.
fn move_from<T: Copy>(values: &mut Vec<T>, end: usize, to: &mut Vec<T>) {
    if !values.is_empty() {
        to.extend_from_slice(&values[end..]);
        values.truncate(end);
    }
}

/// Puts the last values into an order; a column that is not carried has none.
fn reorder<T: Copy>(values: &mut [T], order: &[usize]) {
    if !values.is_empty() {
        let ordered: Vec<T> = order.iter().map(|&number| values[number]).collect();
        let start = values.len() - ordered.len();
        values[start..].copy_from_slice(&ordered);
    }
}

/// The order of a user's interactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Block,
    Item,
    Time,
}

/// What an expansion depends on beside the base, the keep rates and the cells.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    /// False for the shuffle `none`: rows and columns stay where they are in every block.
    pub shuffled: bool,
    /// The probability that a block exists at all.
    pub block_keep: f64,
    pub one_test_item: bool,
    pub drop_incomplete: bool,
    /// The share of expanded users, and of items, whose interactions are all test.
    pub cold_users: f64,
    pub cold_items: f64,
    pub order: Order,
    /// Equation 3 of the paper instead of dropout: of the keep rates only the shape counts.
    pub sketch: bool,
}

/// Which blocks exist, where their keep rates are above 0.
#[derive(Clone, Copy, Debug)]
pub struct Existence {
    key: Key,
    /// A block exists when its word is below this; `None`: all do.
    below: Option<u64>,
}

impl Existence {
    #[must_use]
    pub fn new(keys: &Keys, block_keep: f64) -> Self {
        Self { key: keys.exists, below: (block_keep < 1.0).then_some(words_below(block_keep)) }
    }

    #[must_use]
    pub fn has(&self, i: u32, j: u32) -> bool {
        self.below.is_none_or(|below| self.key.child(u64::from(i)).child(u64::from(j)).0 < below)
    }
}

/// What interactions carry beside users and items.
#[derive(Clone, Copy, Default)]
pub struct Payload<'a> {
    /// Whether they know their source, so that columns can be gathered by it.
    pub sources: bool,
    pub timeline: Option<&'a Timeline>,
    /// Factors of the ratings, one per block, row-major, and the rating of every entry: 1 where there are none.
    pub factors: Option<(&'a [f64], Option<&'a [f64]>)>,
}

/// Everything that determines the expanded matrix.
pub struct Expansion<'a> {
    pub(crate) base: Base<'a>,
    pub(crate) layout: &'a Layout,
    keep_rates: &'a [f64],
    pub(crate) column_blocks: u32,
    pub(crate) user_cells: Cells<'a>,
    pub(crate) item_cells: Cells<'a>,
    /// The slot of each item code: the inverse of the item cells' order.
    pub(crate) item_slots: Vec<u32>,
    pub(crate) keys: Keys,
    pub(crate) options: Options,
    pub(crate) payload: Payload<'a>,
    existence: Existence,
    /// Users and items are cold when their words are below these; `None`: none is.
    cold_users_below: Option<u64>,
    cold_items_below: Option<u64>,
}

impl<'a> Expansion<'a> {
    /// `layout` is that of the base in the order of the user cells, with what the payload needs; `keep_rates` is row-major
    /// with `column_blocks` columns.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        base: Base<'a>,
        layout: &'a Layout,
        keep_rates: &'a [f64],
        column_blocks: u32,
        user_cells: Cells<'a>,
        item_cells: Cells<'a>,
        options: Options,
        payload: Payload<'a>,
    ) -> Result<Self, Error> {
        let invalid = |what: String| Err(Error::Invalid(what));
        if column_blocks == 0 || keep_rates.is_empty() || !keep_rates.len().is_multiple_of(column_blocks as usize) {
            return invalid("the keep rates are not a matrix with at least one row and one column".into());
        }
        if let Some(rate) = keep_rates.iter().find(|&&k| !(k == 0.0 || (SMALLEST_KEEP_RATE..=1.0).contains(&k))) {
            return invalid(format!("a keep rate is {rate}; each must be 0, or from {SMALLEST_KEEP_RATE:e} to 1"));
        }
        if !(options.block_keep > 0.0 && options.block_keep <= 1.0) {
            return invalid(format!("block_keep is {}; it must be above 0 and at most 1", options.block_keep));
        }
        let mut item_slots = vec![0; item_cells.order().len()];
        for (slot, &code) in item_cells.order().iter().enumerate() {
            item_slots[code as usize] = slot as u32;
        }
        for (name, share) in [("cold_users", options.cold_users), ("cold_items", options.cold_items)] {
            if !(0.0..1.0).contains(&share) {
                return invalid(format!("{name} is {share}; it must be from 0 to below 1"));
            }
        }
        if payload.timeline.is_some() && options.shuffled && !user_cells.are_single() {
            return invalid(
                "times need user cells of size 1: else an expanded user has no time line of its own".into(),
            );
        }
        if options.order == Order::Time && payload.timeline.is_none() {
            return invalid("the order is by time, but there are no times".into());
        }
        if payload.factors.is_some_and(|(factors, ratings)| {
            factors.len() != keep_rates.len() || ratings.is_some_and(|ratings| ratings.len() != base.len())
        }) {
            return invalid("the factors or the ratings do not fit the keep rates and the base".into());
        }
        if options.sketch
            && (keep_rates.len() / column_blocks as usize > base.users() as usize || column_blocks > base.items())
        {
            return invalid("a sketch samples at most as many rows and columns as the base has".into());
        }
        if !options.shuffled && user_cells.order().iter().zip(0..).any(|(&user, slot)| user != slot) {
            return invalid("where nothing is shuffled, users stand in the order of their codes".into());
        }
        let keys = Keys::new(options.seed);
        Ok(Self {
            base,
            layout,
            keep_rates,
            column_blocks,
            user_cells,
            item_cells,
            item_slots,
            keys,
            options,
            payload,
            existence: Existence::new(&keys, options.block_keep),
            cold_users_below: (options.cold_users > 0.0).then_some(words_below(options.cold_users)),
            cold_items_below: (options.cold_items > 0.0).then_some(words_below(options.cold_items)),
        })
    }

    #[must_use]
    pub fn base(&self) -> &Base<'a> {
        &self.base
    }

    /// The number of row blocks.
    #[must_use]
    pub fn row_blocks(&self) -> u32 {
        (self.keep_rates.len() / self.column_blocks as usize) as u32
    }

    /// The number of expanded user ids.
    #[must_use]
    pub fn users(&self) -> u64 {
        u64::from(self.row_blocks()) * u64::from(self.base.users())
    }

    /// The number of expanded item ids.
    #[must_use]
    pub fn items(&self) -> u64 {
        u64::from(self.column_blocks) * u64::from(self.base.items())
    }

    /// Whether every interaction of an expanded user is test.
    pub(crate) fn is_cold_user(&self, user: u64) -> bool {
        self.cold_users_below.is_some_and(|below| self.keys.cold_users.child(user).0 < below)
    }

    /// Whether every interaction with an expanded item is test.
    pub(crate) fn is_cold_item(&self, item: u64) -> bool {
        self.cold_items_below.is_some_and(|below| self.keys.cold_items.child(item).0 < below)
    }

    pub(crate) fn has_cold_items(&self) -> bool {
        self.cold_items_below.is_some()
    }

    /// The anchor of each row of row block i: with user cells of size 1, its source user.
    pub fn source_users(&self, i: u32) -> impl Iterator<Item = u32> {
        let permutation = Permutation::new(self.keys.rows.child(u64::from(i)), self.base.users());
        (0..self.base.users())
            .map(move |row| if self.options.shuffled { self.user_cells.code(permutation.image(row)) } else { row })
    }

    /// The blocks of row block i that exist: column block and keep rate.
    pub(crate) fn blocks(&self, i: u32) -> impl Iterator<Item = (u32, f64)> {
        let row = &self.keep_rates[i as usize * self.column_blocks as usize..][..self.column_blocks as usize];
        let existing = row.iter().zip(0..).filter(move |&(&keep_rate, j)| keep_rate > 0.0 && self.existence.has(i, j));
        existing.map(|(&keep_rate, j)| (j, keep_rate))
    }
}

/// How many random words stand for a probability below 1.
fn words_below(probability: f64) -> u64 {
    (probability * 18_446_744_073_709_551_616.0) as u64
}
