//! The expansion: everything that determines the expanded matrix, and the types its interactions come in.

use super::dropout::SMALLEST_KEEP_RATE;
use super::existence::{Existence, words_below};
use super::numbering::Numbering;
use super::options::{IdOrder, Operator, Options, Order, TestItems};
use super::shuffle::Exchange;
use crate::base::{Base, Cells, Layout, Mixing, Split, Times};
use crate::chance::{Keys, Permutation};
use crate::error::Error;
use crate::time::Timeline;

/// The number of the algorithm in `docs/generator.md`.
pub const GENERATOR: u32 = 3;

/// What interactions are to carry beside users and items.
#[derive(Default)]
pub struct Payload<'a> {
    /// Whether they know their source, so that columns can be gathered by it.
    pub sources: bool,
    pub times: Option<Times<'a>>,
    /// Factors of the ratings, one per block, row-major, and the rating of every entry: 1 where there are none.
    pub factors: Option<(Vec<f64>, Option<Vec<f64>>)>,
}

/// Everything that determines the expanded matrix, checked and laid out once: a value that depends on nobody's arrays, so
/// that some users can be made at the cost of these users alone.
pub struct Expansion {
    pub(crate) base_users: u32,
    pub(crate) base_items: u32,
    pub(crate) layout: Layout,
    keep_rates: Vec<f64>,
    pub(crate) column_blocks: u32,
    pub(crate) user_cells: Cells,
    pub(crate) item_cells: Cells,
    /// The slot of each item code.
    pub(crate) item_slots: Vec<u32>,
    pub(crate) keys: Keys,
    pub(crate) options: Options,
    pub(crate) carries_sources: bool,
    pub(crate) timeline: Option<Timeline>,
    pub(crate) factors: Option<(Vec<f64>, Option<Vec<f64>>)>,
    /// The ids of items, where they do not go by blocks.
    pub(crate) numbering: Option<Numbering>,
    existence: Existence,
    /// Users and items are cold when their words are below these; `None`: none is.
    cold_users_below: Option<u64>,
    cold_items_below: Option<u64>,
}

impl Expansion {
    /// `keep_rates` is row-major with `column_blocks` columns; the cells are those of the base.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        base: &Base,
        keep_rates: Vec<f64>,
        column_blocks: u32,
        user_cells: Cells,
        item_cells: Cells,
        options: Options,
        payload: Payload,
        threads: usize,
    ) -> Result<Self, Error> {
        check(base, &keep_rates, column_blocks, &user_cells, &options, &payload)?;
        // A sketch has no cells: its rows stand as in the base.
        let in_order: Vec<u32>;
        let users = if options.operator == Operator::Sketch {
            in_order = (0..base.users()).collect();
            &in_order
        } else {
            user_cells.order()
        };
        let keys = Keys::new(options.seed);
        // Cells of one member have nothing to mix.
        let is_mixed = options.mixed && !user_cells.are_single();
        let mixing = is_mixed.then_some(Mixing { cells: &user_cells, key: keys.mixing });
        let layout = Layout::new(base, users, payload.sources, payload.times, mixing, threads)?;
        let row_blocks = (keep_rates.len() / column_blocks as usize) as u32;
        let timeline = payload.times.map(|times| Timeline::new(base, &layout, times, row_blocks)).transpose()?;
        let mut expansion = Self {
            base_users: base.users(),
            base_items: base.items(),
            layout,
            keep_rates,
            column_blocks,
            item_slots: item_cells.slots(),
            user_cells,
            item_cells,
            keys,
            options,
            carries_sources: payload.sources,
            timeline,
            factors: payload.factors,
            numbering: None,
            existence: Existence::new(&keys, options.block_keep),
            cold_users_below: (options.cold_users > 0.0).then_some(words_below(options.cold_users)),
            cold_items_below: (options.cold_items > 0.0).then_some(words_below(options.cold_items)),
        };
        expansion.numbering = Numbering::of(&expansion, base);
        Ok(expansion)
    }

    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether users take each other's place inside their cells.
    pub(crate) fn exchanges_users(&self) -> bool {
        self.options.shuffled && !self.user_cells.are_single()
    }

    /// Whether the entries of each cell's users are dealt out among them.
    #[must_use]
    pub fn is_dealt(&self) -> bool {
        self.options.mixed && !self.user_cells.are_single()
    }

    /// The number of interactions of the base.
    #[must_use]
    pub fn base_interactions(&self) -> usize {
        self.layout.len()
    }

    /// How many train, validation and test entries the row of each user of the base has, by code: dealt out, where they are.
    /// Of no sketch, whose rows stand as in the base.
    #[must_use]
    pub fn degrees(&self) -> Vec<[u32; 3]> {
        self.layout.degrees(self.user_cells.order())
    }

    #[must_use]
    pub fn has_times(&self) -> bool {
        self.timeline.is_some()
    }

    #[must_use]
    pub fn base_items(&self) -> u32 {
        self.base_items
    }

    /// The number of row blocks.
    #[must_use]
    pub fn row_blocks(&self) -> u32 {
        (self.keep_rates.len() / self.column_blocks as usize) as u32
    }

    /// The number of expanded user ids.
    #[must_use]
    pub fn users(&self) -> u64 {
        u64::from(self.row_blocks()) * u64::from(self.base_users)
    }

    /// The number of expanded item ids.
    #[must_use]
    pub fn items(&self) -> u64 {
        u64::from(self.column_blocks) * u64::from(self.base_items)
    }

    /// The ids of items, where they do not go by blocks.
    #[must_use]
    pub fn numbering(&self) -> Option<&Numbering> {
        self.numbering.as_ref()
    }

    /// Whether every interaction of an expanded user is test.
    pub(crate) fn is_cold_user(&self, user: u64) -> bool {
        self.cold_users_below.is_some_and(|below| self.keys.cold_users.child(user).0 < below)
    }

    /// Whether every interaction with the expanded item of a place is test.
    pub(crate) fn is_cold_item(&self, place: u64) -> bool {
        self.cold_items_below.is_some_and(|below| self.keys.cold_items.child(place).0 < below)
    }

    pub(crate) fn has_cold_items(&self) -> bool {
        self.cold_items_below.is_some()
    }

    /// The anchor of each row of row block i: with user cells of size 1, its source user.
    pub fn source_users(&self, i: u32) -> impl Iterator<Item = u32> {
        let permutation = Permutation::new(self.keys.rows.child(u64::from(i)), self.base_users);
        (0..self.base_users)
            .map(move |row| if self.options.shuffled { self.user_cells.code(permutation.image(row)) } else { row })
    }

    /// The source user of each row of block (i, j).
    pub fn block_users(&self, i: u32, j: u32) -> impl Iterator<Item = u32> {
        let permutation = Permutation::new(self.keys.rows.child(u64::from(i)), self.base_users);
        let exchange = Exchange::of_users(self, i, j);
        (0..self.base_users).map(move |row| {
            if !self.options.shuffled {
                return row;
            }
            self.user_cells.code(exchange.image(self.user_cells.place(permutation.image(row))))
        })
    }

    /// So many consecutive expanded users are expected to have as many interactions each: those of a row block, or of a
    /// row where rows are sampled.
    pub(crate) fn rows_alike(&self) -> u64 {
        u64::from(if self.options.operator == Operator::Sketch { self.row_blocks() } else { self.base_users })
    }

    /// The interactions that an expanded user is expected to have, by the mean of those that are alike.
    pub(crate) fn expected_per_user(&self, user: u64) -> f64 {
        let number = (user / self.rows_alike()) as u32;
        if self.options.operator == Operator::Sketch {
            let density = self.layout.len() as f64 / f64::from(self.base_users) / f64::from(self.base_items);
            return self.layout.row(number).len() as f64 * f64::from(self.column_blocks) * density;
        }
        let kept_of_base: f64 = self.blocks(number).map(|(_, keep_rate)| keep_rate).sum();
        kept_of_base * self.layout.len() as f64 / f64::from(self.base_users)
    }

    /// The keep rate of block (i, j), if it exists.
    pub(crate) fn keep_rate(&self, i: u32, j: u32) -> Option<f64> {
        let keep_rate = self.keep_rates[i as usize * self.column_blocks as usize + j as usize];
        (keep_rate > 0.0 && self.existence.has(i, j)).then_some(keep_rate)
    }

    /// The blocks of row block i that exist: column block and keep rate.
    pub(crate) fn blocks(&self, i: u32) -> impl Iterator<Item = (u32, f64)> {
        let row = &self.keep_rates[i as usize * self.column_blocks as usize..][..self.column_blocks as usize];
        let existing = row.iter().zip(0..).filter(move |&(&keep_rate, j)| keep_rate > 0.0 && self.existence.has(i, j));
        existing.map(|(&keep_rate, j)| (j, keep_rate))
    }
}

/// Refuses what no expansion can be made of.
fn check(
    base: &Base,
    keep_rates: &[f64],
    column_blocks: u32,
    user_cells: &Cells,
    options: &Options,
    payload: &Payload,
) -> Result<(), Error> {
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
    for (name, share) in [("cold_users", options.cold_users), ("cold_items", options.cold_items)] {
        if !(0.0..1.0).contains(&share) {
            return invalid(format!("{name} is {share}; it must be from 0 to below 1"));
        }
    }
    if payload.times.is_some() && options.shuffled && !user_cells.are_single() {
        return invalid("times need user cells of size 1: else an expanded user has no time line of its own".into());
    }
    if options.order == Order::Time && payload.times.is_none() {
        return invalid("the order is by time, but there are no times".into());
    }
    if payload.factors.as_ref().is_some_and(|(factors, ratings)| {
        factors.len() != keep_rates.len() || ratings.as_ref().is_some_and(|ratings| ratings.len() != base.len())
    }) {
        return invalid("the factors or the ratings do not fit the keep rates and the base".into());
    }
    let has_valid = base.entries().iter().any(|&entry| Split::of(entry) == Split::Valid);
    if has_valid && (options.test_items == TestItems::One || options.drop_incomplete) {
        return invalid("one test item, or complete users alone, there are only without validation".into());
    }
    if options.operator == Operator::Sketch
        && (keep_rates.len() / column_blocks as usize > base.users() as usize || column_blocks > base.items())
    {
        return invalid("a sketch samples at most as many rows and columns as the base has".into());
    }
    if options.operator == Operator::Sketch && (payload.sources || payload.times.is_some() || payload.factors.is_some())
    {
        return invalid("a sketch carries nothing beside users and items".into());
    }
    if options.operator == Operator::Sketch && options.id_order != IdOrder::Block {
        return invalid("a sketch numbers its items by the base's".into());
    }
    if !options.shuffled && user_cells.order().iter().zip(0..).any(|(&user, slot)| user != slot) {
        return invalid("where nothing is shuffled, users stand in the order of their codes".into());
    }
    Ok(())
}
