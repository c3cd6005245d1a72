//! Tiles: some consecutive expanded users of one row block, assembled from their blocks.
//!
//! A tile is made block by block, so that one column table stays in the processor's cache while it is used, then
//! stitched together user by user.

use std::ops::{Deref, Range};
use std::sync::Arc;

use super::kept::{Kept, Reading, Visit};
use super::stitch::{RowBlock, Stitcher, User};
use super::tables::{Block, COLUMNS_MEANWHILE, Shared, Tables, Tabulated, worth_a_table};
use crate::base::{Code, Codes, Place};
use crate::chance::Permutation;
use crate::error::Error;
use crate::expansion::{Columns, Draws, Exchange, Expansion, GapTable, Id, Operator, Order, Splits, expand_sketch};
use crate::memory::{Ahead, prefetch, prefetch_all};

/// About how many interactions a range holds: enough to use a column table well, few enough to stay in cache.
const RANGE_INTERACTIONS: f64 = 200_000.0;
/// What is carried takes more of the cache than the items.
const CARRYING_RANGE_INTERACTIONS: f64 = 100_000.0;
/// Where users have many interactions, for there are many blocks, a range holds so many users all the same, so that what a
/// block needs is made for all of them; but no more than so many times as many interactions.
const RANGE_USERS: f64 = 16.0;
const LARGEST_RANGE: f64 = 16.0;
/// A tile may hold so many times what a range of many users is meant for, and one of so few a little more than the largest range:
/// nearly every range is one tile.
const TILE_PER_RANGE: f64 = 5.0;
const LARGEST_TILE: f64 = LARGEST_RANGE + 1.0;
const TILE_USERS: u32 = 4_096;
/// A tile keeps one counter per user and block; this bounds them where there are many blocks.
const TILE_COUNTERS: usize = 1 << 20;
/// The tables of the next block are asked for while one is at work, unless they would push its own out of the cache.
const PREFETCHED_BYTES: usize = 1 << 18;
/// How many users ahead the entry of a table of exchanges is asked for.
const PREFETCH_SLOTS: usize = 32;

/// What interactions are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that the expansion carries.
    All,
    /// Users and items; what else they have only where their order depends on it.
    Ids,
}

/// Makes expanded users, tile by tile.
pub enum Tiler<'e> {
    Narrow(Box<Tiles<'e, u16>>),
    Wide(Box<Tiles<'e, u32>>),
}

impl<'e> Tiler<'e> {
    #[must_use]
    pub fn new(expansion: &'e Expansion, wanted: Wanted) -> Self {
        let carrying = is_carrying(expansion, wanted);
        match &expansion.layout.codes {
            Codes::Narrow(codes) => {
                Self::Narrow(Box::new(Tiles::new(expansion, codes, carrying, Arc::new(Shared::new(expansion)))))
            }
            Codes::Wide(codes) => {
                Self::Wide(Box::new(Tiles::new(expansion, codes, carrying, Arc::new(Shared::new(expansion)))))
            }
        }
    }

    /// One for another thread, which has its tables in common with this one.
    #[must_use]
    pub fn sharing(&self) -> Self {
        match self {
            Self::Narrow(tiles) => Self::Narrow(Box::new(tiles.sharing())),
            Self::Wide(tiles) => Self::Wide(Box::new(tiles.sharing())),
        }
    }

    /// Appends the interactions of the expanded users to those of their splits, and hands all to `each_tile` after every
    /// tile; it may take what is in them. The users are some of those of `job`, most of which are to be made, before or
    /// after: tables are made for as many.
    pub fn expand<I: Id>(
        &mut self,
        users: Range<u64>,
        job: &Range<u64>,
        made: &mut Splits<I>,
        each_tile: impl FnMut(&mut Splits<I>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Narrow(tiles) => tiles.expand(users, job, made, each_tile),
            Self::Wide(tiles) => tiles.expand(users, job, made, each_tile),
        }
    }
}

fn is_carrying(expansion: &Expansion, wanted: Wanted) -> bool {
    expansion.carries_sources && (wanted == Wanted::All || expansion.options.order == Order::Time)
}

/// About how many interactions a range is meant for, where users have few.
fn meant_for(carrying: bool) -> f64 {
    if carrying { CARRYING_RANGE_INTERACTIONS } else { RANGE_INTERACTIONS }
}

/// Users cut into ranges of about so many expected interactions, or fewer, each among users who are expected to have
/// equally many.
#[derive(Clone)]
pub struct Ranges<E> {
    expansion: E,
    size: Size,
    /// Users who are alike, the first range of them that is left, and how many ranges they are cut into.
    alike: Range<u64>,
    number: u64,
    count: u64,
    /// The end of all users.
    end: u64,
}

/// How large a range is: of about so many interactions; and of at least so many users, but at most `LARGEST_RANGE` times
/// as many interactions.
#[derive(Clone, Copy)]
struct Size {
    interactions: f64,
    users: f64,
}

impl<E: Deref<Target = Expansion>> Ranges<E> {
    pub fn new(expansion: E, users: Range<u64>, interactions: f64) -> Self {
        Self::of_size(expansion, users, Size { interactions, users: 0.0 })
    }

    /// Ranges that are mostly one tile each.
    pub fn of_tiles(expansion: E, users: Range<u64>, wanted: Wanted) -> Self {
        // The sketching operator has no tables.
        let of_blocks = expansion.options.operator != Operator::Sketch;
        let interactions = meant_for(is_carrying(&expansion, wanted));
        Self::of_size(expansion, users, Size { interactions, users: if of_blocks { RANGE_USERS } else { 0.0 } })
    }

    fn of_size(expansion: E, users: Range<u64>, size: Size) -> Self {
        Self { expansion, size, alike: users.start..users.start, number: 0, count: 0, end: users.end }
    }

    fn bound(&self, number: u64) -> u64 {
        let length = u128::from(self.alike.end - self.alike.start);
        self.alike.start + (length * u128::from(number) / u128::from(self.count)) as u64
    }
}

impl<E: Deref<Target = Expansion>> Iterator for Ranges<E> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        if self.number == self.count {
            let first = self.alike.end;
            if first >= self.end {
                return None;
            }
            let rows = self.expansion.rows_alike();
            self.alike = first..self.end.min((first / rows + 1) * rows);
            let users = self.alike.end - first;
            let per_user = self.expansion.expected_per_user(first);
            let Size { interactions, users: fewest } = self.size;
            let most = interactions.max((fewest * per_user).min(LARGEST_RANGE * interactions));
            self.count = ((per_user * users as f64 / most).ceil() as u64).clamp(1, users);
            self.number = 0;
        }
        self.number += 1;
        Some(self.bound(self.number - 1)..self.bound(self.number))
    }
}

/// Makes tiles from item codes of one width. Its memory is bounded by the constants above and the longest cell of users,
/// beside the tables that it shares.
pub struct Tiles<'e, C> {
    expansion: &'e Expansion,
    codes: &'e [C],
    shared: Arc<Shared<C>>,
    /// The row block that it is in, once it is in one.
    row: Option<Arc<Tabulated<C>>>,
    /// A column table that is not kept.
    passing_table: Vec<C>,
    /// The slot of the anchor of each user of the tile, and its place among the cells if users are exchanged.
    slots: Vec<u32>,
    places: Vec<Place>,
    /// What the block at hand reads, user by user.
    visits: Vec<Visit>,
    kept: Kept<C>,
    stitcher: Stitcher,
}

impl<'e, C: Code> Tiles<'e, C> {
    fn new(expansion: &'e Expansion, codes: &'e [C], carrying: bool, shared: Arc<Shared<C>>) -> Self {
        Self {
            expansion,
            codes,
            shared,
            row: None,
            passing_table: Vec::new(),
            slots: Vec::new(),
            places: Vec::new(),
            visits: Vec::new(),
            kept: Kept::new(carrying),
            stitcher: Stitcher::default(),
        }
    }

    fn sharing(&self) -> Self {
        Self::new(self.expansion, self.codes, self.kept.carrying(), Arc::clone(&self.shared))
    }

    fn expand<I: Id>(
        &mut self,
        users: Range<u64>,
        job: &Range<u64>,
        made: &mut Splits<I>,
        mut each_tile: impl FnMut(&mut Splits<I>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.expansion.options.operator == Operator::Sketch {
            return expand_sketch(self.expansion, self.codes, users, made, each_tile);
        }
        let base_users = u64::from(self.expansion.base_users);
        let mut first = users.start;
        while first < users.end {
            let i = (first / base_users) as u32;
            let row_block = u64::from(i) * base_users..(u64::from(i) + 1) * base_users;
            let segment_end = users.end.min(row_block.end);
            let of_job = job.end.min(row_block.end).saturating_sub(job.start.max(row_block.start));
            let row = self.enter(i, of_job, first);
            while first < segment_end {
                self.find_slots(&row, (first - row_block.start) as u32, (segment_end - first) as u32);
                self.keep(&row);
                self.stitch(&row.row_block, first, made);
                each_tile(made)?;
                first += self.slots.len() as u64;
            }
        }
        Ok(())
    }

    /// Turns to row block i, from user `first` on, in which a job makes `users` users.
    fn enter(&mut self, i: u32, users: u64, first: u64) -> Arc<Tabulated<C>> {
        let row = match self.row.take() {
            Some(row) if row.row_block.i == i => row,
            _ => self.shared.enter(self.expansion, i),
        };
        self.shared.tabulate(self.expansion, &row, users as f64, first);
        self.row = Some(Arc::clone(&row));
        row
    }

    /// Begins a tile at a row of the row block: finds the slots of its users, at most `limit`, and no more than its memory
    /// is meant for.
    fn find_slots(&mut self, row: &Tabulated<C>, first_row: u32, limit: u32) {
        let Expansion { base_users, layout, keys, user_cells, options, .. } = self.expansion;
        let permutation = Permutation::new(keys.rows.child(u64::from(row.row_block.i)), *base_users);
        let exchanging = self.expansion.exchanges_users();
        let kept_of_base: f64 = row.blocks.iter().map(|block| block.keep_rate).sum();
        let limit = limit.min(TILE_USERS).min((TILE_COUNTERS / row.blocks.len().max(1)) as u32).max(1);
        let meant = meant_for(self.kept.carrying());
        self.slots.clear();
        self.places.clear();
        let mut interactions = 0.0;
        for row in first_row..first_row + limit {
            let slot = if options.shuffled { permutation.image(row) } else { row };
            self.slots.push(slot);
            if exchanging {
                self.places.push(user_cells.place(slot));
            }
            interactions += layout.row(slot).len() as f64 * kept_of_base;
            let has_few = (self.slots.len() as f64) < RANGE_USERS;
            if interactions > meant * if has_few { LARGEST_TILE } else { TILE_PER_RANGE } {
                break;
            }
        }
    }

    /// Finds what the tile's users keep, block by block.
    fn keep(&mut self, row: &Tabulated<C>) {
        self.kept.clear(self.slots.len());
        let i = row.row_block.i;
        for (number, (block, &j)) in row.blocks.iter().zip(&row.row_block.column_blocks).enumerate() {
            let draws = Draws::new(&self.expansion.keys, i, j);
            self.visit(i, j, block, draws);
            let next = row.blocks.get(number + 1).and_then(|block| block.tables.get());
            let next = next.filter(|next| size_of_val(next.columns.as_slice()) <= PREFETCHED_BYTES);
            self.keep_visited(i, j, block, draws, next.map(Box::as_ref));
        }
    }

    /// Finds the rows that a block reads for the tile's users.
    fn visit(&mut self, i: u32, j: u32, block: &Block<C>, draws: Draws) {
        let Expansion { layout, user_cells, .. } = self.expansion;
        let visit = |slot: u32| {
            let row = layout.row(slot);
            Visit { draws: draws.row(user_cells.code(slot)), start: row.start, length: row.len() }
        };
        self.visits.clear();
        let exchanging = !self.places.is_empty();
        if !exchanging {
            self.visits.extend(self.slots.iter().map(|&slot| visit(slot)));
        } else if let Some(offsets) = block.exchanged.get() {
            let exchanged = self.places.iter().zip(&self.slots).enumerate().map(|(number, (place, &slot))| {
                if let Some(&far) = self.slots.get(number + PREFETCH_SLOTS) {
                    prefetch(&offsets[far as usize]);
                }
                place.start + u32::from(offsets[slot as usize])
            });
            self.visits.extend(exchanged.map(visit));
        } else {
            let exchange = Exchange::of_users(self.expansion, i, j);
            self.visits.extend(self.places.iter().map(|&place| visit(exchange.image(place))));
        }
    }

    /// Adds what a block keeps of the rows it visits, and asks for what the next one will need.
    fn keep_visited(&mut self, i: u32, j: u32, block: &Block<C>, draws: Draws, next: Option<&Tables<C>>) {
        let Self { expansion, codes, visits, kept, passing_table, .. } = self;
        let (keep_rate, tables) = (block.keep_rate, block.tables.get());
        let passing_gaps;
        let gaps = if let Some(tables) = tables {
            &tables.gaps
        } else {
            passing_gaps = GapTable::new(keep_rate);
            &passing_gaps
        };
        let next_columns = Ahead::new(next.map_or(&[][..], |next| &next.columns), visits.len());
        let next_gaps = Ahead::new(next.map_or(&[][..], |next| next.gaps.near()), visits.len());
        let reading = Reading { codes, visits, gaps, draws, next_columns, next_gaps };
        if !expansion.options.shuffled {
            return kept.add(&reading, |code| code);
        }
        let table = if let Some(tables) = tables {
            &tables.columns
        } else {
            let columns = Columns::new(expansion, i, j);
            let entries: usize = visits.iter().map(|visit| visit.length).sum();
            if !worth_a_table(expansion.base_items, entries as f64 * keep_rate, COLUMNS_MEANWHILE) {
                return kept.add(&reading, |code| C::new(columns.column(code.item()), false));
            }
            columns.fill(None, passing_table);
            passing_table
        };
        kept.add(&reading, |code| table[code.item() as usize]);
    }

    /// Puts the tile's users together from their blocks, the first of them `first_user`.
    fn stitch<I: Id>(&mut self, row_block: &RowBlock, first_user: u64, made: &mut Splits<I>) {
        let Expansion { layout, timeline, .. } = self.expansion;
        for (number, &slot) in self.slots.iter().enumerate() {
            if let (true, Some(timeline), Some(&next)) = (self.kept.carrying(), timeline, self.slots.get(number + 1)) {
                let row = layout.row(next);
                prefetch_all(&layout.sources[row.clone()]);
                timeline.prefetch(next, row);
            }
            let user = User { id: first_user + number as u64, number, slot };
            self.stitcher.stitch(self.expansion, row_block, &mut self.kept, user, made);
        }
    }
}
