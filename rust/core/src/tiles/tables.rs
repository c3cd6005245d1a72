//! Tables of a row block: made once and read by all threads of a call that are in it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::stitch::RowBlock;
use crate::base::Code;
use crate::chance::Permutation;
use crate::expansion::{Columns, Exchange, Expansion, GapTable};
use crate::time::shares;

/// Bytes of tables of columns: those of one row block, and the images of column permutations, which all of them share; so many
/// that 16,384 blocks of a small base have theirs. What blocks beyond need is worked out tile by tile.
const COLUMN_BYTES: usize = 224 << 20;
/// Bytes of tables of exchanges, of one row block.
const EXCHANGE_BYTES: usize = 64 << 20;

/// So many entries of a table are filled in the time in which one is worked out by itself: of columns; of columns whose
/// images are known; of exchanges, more in large cells.
pub const COLUMNS_MEANWHILE: f64 = 2.0;
const IMAGES_MEANWHILE: f64 = 8.0;
const EXCHANGES_MEANWHILE: f64 = 4.0;

/// What threads tabulate together.
pub struct Shared<C> {
    /// The images of the first column permutations, which all row blocks share.
    images: Vec<OnceLock<Vec<C>>>,
    /// The row blocks that some thread is in, or was in lately.
    row_blocks: Mutex<Vec<Weak<Tabulated<C>>>>,
}

/// A row block, and what is tabulated for its blocks.
pub struct Tabulated<C> {
    pub row_block: RowBlock,
    pub blocks: Vec<Block<C>>,
}

/// A block that exists, and its tables where they are worth it.
pub struct Block<C> {
    pub keep_rate: f64,
    pub tables: OnceLock<Box<Tables<C>>>,
    /// Where in its cell the slot is that each slot of users is exchanged with.
    pub exchanged: OnceLock<Vec<u8>>,
}

pub struct Tables<C> {
    pub gaps: GapTable,
    /// The column of each source item; empty for the shuffle `none`.
    pub columns: Vec<C>,
}

impl<C: Code> Shared<C> {
    pub fn new(expansion: &Expansion) -> Self {
        let most = most_columns::<C>(expansion).min(expansion.column_blocks as usize);
        let count = if expansion.options.shuffled { most } else { 0 };
        Self { images: std::iter::repeat_with(OnceLock::new).take(count).collect(), row_blocks: Mutex::default() }
    }

    /// Row block i: the one that other threads are in, if any is.
    pub fn enter(&self, expansion: &Expansion, i: u32) -> Arc<Tabulated<C>> {
        let mut row_blocks = self.row_blocks.lock().unwrap_or_else(PoisonError::into_inner);
        row_blocks.retain(|known| known.strong_count() > 0);
        if let Some(known) = row_blocks.iter().filter_map(Weak::upgrade).find(|known| known.row_block.i == i) {
            return known;
        }
        let made = Arc::new(Tabulated::new(expansion, i));
        row_blocks.push(Arc::downgrade(&made));
        made
    }

    /// Makes the tables that are worth it for `users` of a row block. Threads begin with different blocks, so that they
    /// divide the work.
    pub fn tabulate(&self, expansion: &Expansion, of: &Tabulated<C>, users: f64, begin: u64) {
        let Expansion { base_users, base_items, layout, user_cells, options, .. } = expansion;
        let entries = users / f64::from(*base_users) * layout.len() as f64;
        for number in beginning_with(begin, of.blocks.len().min(most_columns::<C>(expansion))) {
            let (i, j) = (of.row_block.i, of.row_block.column_blocks[number]);
            let Block { keep_rate, tables, .. } = &of.blocks[number];
            let images = self.images.get(j as usize);
            let known = images.is_some_and(|images| images.get().is_some());
            let meanwhile = if known { IMAGES_MEANWHILE } else { COLUMNS_MEANWHILE };
            if worth_a_table(*base_items, entries * keep_rate, meanwhile) {
                tables.get_or_init(|| {
                    let mut columns = Vec::new();
                    if options.shuffled {
                        let source = Columns::new(expansion, i, j);
                        let images = images.map(|images| images.get_or_init(|| source.images()));
                        source.fill(images.map(Vec::as_slice), &mut columns);
                    }
                    Box::new(Tables { gaps: GapTable::new(*keep_rate), columns })
                });
            }
        }
        let exchanging = expansion.exchanges_users()
            && user_cells.offsets_are_bytes()
            && worth_a_table(*base_users, users, EXCHANGES_MEANWHILE);
        let most_exchanged = if exchanging { EXCHANGE_BYTES / *base_users as usize } else { 0 };
        for number in beginning_with(begin, of.blocks.len().min(most_exchanged)) {
            let j = of.row_block.column_blocks[number];
            let exchanges = || Exchange::of_users(expansion, of.row_block.i, j).offsets();
            of.blocks[number].exchanged.get_or_init(exchanges);
        }
    }
}

/// The numbers below `count`, all of them, one that `begin` chooses first.
fn beginning_with(begin: u64, count: usize) -> impl Iterator<Item = usize> {
    let begin = (begin % count.max(1) as u64) as usize;
    (begin..count).chain(0..begin)
}

impl<C> Tabulated<C> {
    fn new(expansion: &Expansion, i: u32) -> Self {
        let (column_blocks, keep_rates): (Vec<u32>, Vec<f64>) = expansion.blocks(i).unzip();
        let row_block = RowBlock {
            i,
            offsets: column_blocks.iter().map(|&j| u64::from(j) * u64::from(expansion.base_items)).collect(),
            shares: shares(keep_rates.iter().copied()),
            turn: Permutation::new(expansion.keys.clocks, expansion.row_blocks()).image(i),
            column_blocks,
        };
        let blocks = keep_rates
            .into_iter()
            .map(|keep_rate| Block { keep_rate, tables: OnceLock::new(), exchanged: OnceLock::new() })
            .collect();
        Self { row_block, blocks }
    }
}

/// Whether so much of a table is looked up that it pays to fill all of it first: `meanwhile` entries take as long as one
/// look-up without it.
pub fn worth_a_table(entries: u32, lookups: f64, meanwhile: f64) -> bool {
    meanwhile * lookups > f64::from(entries)
}

/// So many blocks of a row block may have tables of columns: each with its images, which are as long.
fn most_columns<C>(expansion: &Expansion) -> usize {
    let columns = if expansion.options.shuffled { expansion.base_items as usize * size_of::<C>() } else { 0 };
    COLUMN_BYTES / (size_of::<GapTable>() + 2 * columns)
}
