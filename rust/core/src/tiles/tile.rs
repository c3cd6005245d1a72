//! Tiles: some consecutive expanded users of one row block, assembled from their blocks.
//!
//! A tile is made block by block, so that one column table stays in the processor's cache while it is used, then
//! stitched together user by user.

use std::collections::HashMap;
use std::ops::Range;

use super::kept::{Kept, Visit};
use super::stitch::{RowBlock, Stitcher, User};
use crate::base::{Code, Codes, Place};
use crate::chance::Permutation;
use crate::error::Error;
use crate::expansion::{Columns, Draws, Exchange, Expansion, GapTable, Id, Interactions, Operator, expand_sketch};
use crate::memory::prefetch_all;
use crate::time::shares;

/// About how many interactions a tile holds: enough to use a column table well, few enough to stay in cache.
const TILE_INTERACTIONS: f64 = 400_000.0;
/// What is carried takes more of the cache than the items.
const CARRYING_TILE_INTERACTIONS: f64 = 100_000.0;
const TILE_USERS: u32 = 4_096;
/// A tile keeps one counter per user and block; this bounds them where there are many blocks.
const TILE_COUNTERS: usize = 1 << 20;
/// Bytes of tables a worker keeps for the row block it is in, and of column permutations for all of them. What is beyond
/// is tabulated tile by tile.
const TABLE_BYTES: usize = 32 << 20;
/// What a table of images takes beside them.
const IMAGES_BYTES: usize = 64;

/// Makes expanded users, tile by tile.
pub enum Tiler<'e> {
    Narrow(Box<Tiles<'e, u16>>),
    Wide(Box<Tiles<'e, u32>>),
}

impl<'e> Tiler<'e> {
    #[must_use]
    pub fn new(expansion: &'e Expansion) -> Self {
        match &expansion.layout.codes {
            Codes::Narrow(codes) => Self::Narrow(Box::new(Tiles::new(expansion, codes))),
            Codes::Wide(codes) => Self::Wide(Box::new(Tiles::new(expansion, codes))),
        }
    }

    /// Appends the interactions of the expanded users to `train` and `test`, and hands both to `each_tile` after every
    /// tile; it may take what is in them.
    pub fn expand<I: Id>(
        &mut self,
        users: Range<u64>,
        train: &mut Interactions<I>,
        test: &mut Interactions<I>,
        each_tile: impl FnMut(&mut Interactions<I>, &mut Interactions<I>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Narrow(tiles) => tiles.expand(users, train, test, each_tile),
            Self::Wide(tiles) => tiles.expand(users, train, test, each_tile),
        }
    }
}

/// A block that exists, and what is tabulated for it while the row block lasts.
struct Block<C> {
    keep_rate: f64,
    tables: Option<Box<Tables<C>>>,
}

struct Tables<C> {
    gaps: GapTable,
    /// The column of each source item; empty for the shuffle `none`.
    columns: Vec<C>,
}

/// Makes tiles from item codes of one width. Its memory is bounded by the constants above and the longest cell of users.
pub struct Tiles<'e, C> {
    expansion: &'e Expansion,
    codes: &'e [C],
    row_block: RowBlock,
    blocks: Vec<Block<C>>,
    table_bytes_left: usize,
    /// The images of column permutations, which all row blocks share.
    images: HashMap<u32, Vec<C>>,
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
    fn new(expansion: &'e Expansion, codes: &'e [C]) -> Self {
        Self {
            expansion,
            codes,
            row_block: RowBlock { i: u32::MAX, column_blocks: Vec::new(), offsets: Vec::new(), shares: Vec::new() },
            blocks: Vec::new(),
            table_bytes_left: 0,
            images: HashMap::new(),
            passing_table: Vec::new(),
            slots: Vec::new(),
            places: Vec::new(),
            visits: Vec::new(),
            kept: Kept::new(expansion.carries_sources),
            stitcher: Stitcher::default(),
        }
    }

    fn expand<I: Id>(
        &mut self,
        users: Range<u64>,
        train: &mut Interactions<I>,
        test: &mut Interactions<I>,
        mut each_tile: impl FnMut(&mut Interactions<I>, &mut Interactions<I>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.expansion.options.operator == Operator::Sketch {
            return expand_sketch(self.expansion, self.codes, users, train, test, each_tile);
        }
        let base_users = u64::from(self.expansion.base_users);
        let mut first = users.start;
        while first < users.end {
            let i = (first / base_users) as u32;
            let segment_end = users.end.min((u64::from(i) + 1) * base_users);
            self.enter(i, segment_end - first);
            while first < segment_end {
                let row = (first - u64::from(i) * base_users) as u32;
                self.find_slots(row, (segment_end - first) as u32);
                self.keep();
                self.stitch(first, train, test);
                each_tile(train, test)?;
                first += self.slots.len() as u64;
            }
        }
        Ok(())
    }

    /// Turns to row block i, in which `users` users are to be made.
    fn enter(&mut self, i: u32, users: u64) {
        let &Expansion { base_users, base_items, ref layout, options, .. } = self.expansion;
        if self.row_block.i != i {
            let (column_blocks, keep_rates): (Vec<u32>, Vec<f64>) = self.expansion.blocks(i).unzip();
            self.row_block = RowBlock {
                i,
                offsets: column_blocks.iter().map(|&j| u64::from(j) * u64::from(base_items)).collect(),
                shares: shares(keep_rates.iter().copied()),
                column_blocks,
            };
            self.blocks = keep_rates.into_iter().map(|keep_rate| Block { keep_rate, tables: None }).collect();
            self.table_bytes_left = TABLE_BYTES;
        }
        let columns_bytes = if options.shuffled { base_items as usize * size_of::<C>() } else { 0 };
        let bytes = columns_bytes + size_of::<GapTable>();
        // What so many users read on average.
        let entries = users as f64 / f64::from(base_users) * layout.len() as f64;
        for (block, &j) in self.blocks.iter_mut().zip(&self.row_block.column_blocks) {
            let worth_it = worth_a_table(base_items, entries * block.keep_rate);
            if block.tables.is_none() && worth_it && bytes <= self.table_bytes_left {
                let mut columns = Vec::new();
                if options.shuffled {
                    let source = Columns::new(self.expansion, i, j);
                    if (self.images.len() + 1) * (columns_bytes + IMAGES_BYTES) <= TABLE_BYTES {
                        self.images.entry(j).or_insert_with(|| source.images());
                    }
                    source.fill(self.images.get(&j).map(Vec::as_slice), &mut columns);
                }
                block.tables = Some(Box::new(Tables { gaps: GapTable::new(block.keep_rate), columns }));
                self.table_bytes_left -= bytes;
            }
        }
    }

    /// Begins a tile at a row of the row block: finds the slots of its users, at most `limit`, and no more than its memory
    /// is meant for.
    fn find_slots(&mut self, first_row: u32, limit: u32) {
        let Expansion { base_users, layout, keys, user_cells, options, carries_sources, .. } = self.expansion;
        let permutation = Permutation::new(keys.rows.child(u64::from(self.row_block.i)), *base_users);
        let exchanging = options.shuffled && !user_cells.are_single();
        let kept_of_base: f64 = self.blocks.iter().map(|block| block.keep_rate).sum();
        let limit = limit.min(TILE_USERS).min((TILE_COUNTERS / self.blocks.len().max(1)) as u32).max(1);
        let most = if *carries_sources { CARRYING_TILE_INTERACTIONS } else { TILE_INTERACTIONS };
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
            if interactions > most {
                break;
            }
        }
    }

    /// Finds what the tile's users keep, block by block.
    fn keep(&mut self) {
        self.kept.clear(self.slots.len());
        for number in 0..self.blocks.len() {
            let draws = Draws::new(&self.expansion.keys, self.row_block.i, self.row_block.column_blocks[number]);
            self.visit(number, draws);
            self.keep_visited(number, draws);
        }
    }

    /// Finds the rows that a block reads for the tile's users.
    fn visit(&mut self, number: usize, draws: Draws) {
        let Expansion { layout, keys, user_cells, .. } = self.expansion;
        let visit = |slot: u32| {
            let row = layout.row(slot);
            Visit { draws: draws.row(user_cells.code(slot)), start: row.start, length: row.len() }
        };
        self.visits.clear();
        let exchanging = !self.places.is_empty();
        if exchanging {
            let (i, j) = (self.row_block.i, self.row_block.column_blocks[number]);
            let exchange = Exchange::new(user_cells, keys.user_cells.child(u64::from(i)).child(u64::from(j)));
            self.visits.extend(self.places.iter().map(|&place| visit(exchange.image(place))));
        } else {
            self.visits.extend(self.slots.iter().map(|&slot| visit(slot)));
        }
    }

    /// Adds what a block keeps of the rows it visits.
    fn keep_visited(&mut self, number: usize, draws: Draws) {
        let Self { expansion, codes, row_block, visits, kept, passing_table, .. } = self;
        let Block { keep_rate, tables } = &self.blocks[number];
        let passing_gaps;
        let gaps = if let Some(tables) = tables {
            &tables.gaps
        } else {
            passing_gaps = GapTable::new(*keep_rate);
            &passing_gaps
        };
        if !expansion.options.shuffled {
            return kept.add(codes, visits, gaps, draws, |code| code);
        }
        let table = if let Some(tables) = tables {
            prefetch_all(&tables.columns);
            &tables.columns
        } else {
            let columns = Columns::new(expansion, row_block.i, row_block.column_blocks[number]);
            let entries: usize = visits.iter().map(|visit| visit.length).sum();
            if !worth_a_table(expansion.base_items, entries as f64 * keep_rate) {
                let column = |code: C| C::new(columns.column(code.item()), false);
                return kept.add(codes, visits, gaps, draws, column);
            }
            columns.fill(None, passing_table);
            passing_table
        };
        kept.add(codes, visits, gaps, draws, |code| table[code.item() as usize]);
    }

    /// Puts the tile's users together from their blocks, the first of them `first_user`.
    fn stitch<I: Id>(&mut self, first_user: u64, train: &mut Interactions<I>, test: &mut Interactions<I>) {
        let Expansion { layout, timeline, .. } = self.expansion;
        for (number, &slot) in self.slots.iter().enumerate() {
            if let (Some(timeline), Some(&next)) = (timeline, self.slots.get(number + 1)) {
                let row = layout.row(next);
                prefetch_all(&layout.sources[row.clone()]);
                timeline.prefetch(next, row);
            }
            let user = User { id: first_user + number as u64, number, slot };
            self.stitcher.stitch(self.expansion, &self.row_block, &mut self.kept, user, train, test);
        }
    }
}

/// Whether so many columns of a block are looked up that it pays to tabulate all of them first.
fn worth_a_table(base_items: u32, lookups: f64) -> bool {
    2.0 * lookups > f64::from(base_items)
}
