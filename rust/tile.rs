//! Tiles: some consecutive expanded users of one row block, assembled from their blocks.
//!
//! A tile is made block by block, so that one column table stays in the processor's cache while it is used, then
//! stitched together user by user.

use std::collections::HashMap;
use std::ops::Range;

use crate::base::{Base, Place, TEST};
use crate::dropout::{GapTable, RowStream};
use crate::error::Error;
use crate::expansion::{Expansion, Id, Interactions, Order};
use crate::permutation::Permutation;
use crate::prefetch::{prefetch, prefetch_all};
use crate::random::bounded;
use crate::shuffle::{Columns, Exchange};
use crate::sketch;
use crate::timeline::{self, Event, Schedule};

/// About how many interactions a tile holds: enough to use a column table well, few enough to stay in cache.
const TILE_INTERACTIONS: f64 = 400_000.0;
const TILE_USERS: u32 = 4_096;
/// A tile keeps one counter per user and block; this bounds them where there are many blocks.
const TILE_COUNTERS: usize = 1 << 20;
/// Bytes of tables a worker keeps for the row block it is in, and of column permutations for all of them. What is beyond
/// is tabulated tile by tile.
const TABLE_BYTES: usize = 32 << 20;
/// How far ahead row pointers and kept entries are asked for.
const PREFETCH_ROWS: usize = 16;
const PREFETCH_ENTRIES: usize = 32;
/// A block that exists, and what is tabulated for it while the row block lasts.
struct Block {
    j: u32,
    keep_rate: f64,
    tables: Option<Box<Tables>>,
}

struct Tables {
    gaps: GapTable,
    /// The column of each source item; empty for the shuffle `none`.
    columns: Vec<u32>,
}
/// Makes expanded users, tile by tile. Its memory is bounded by the constants above and the longest cell of users.
pub struct Tiler<'e, 'a> {
    expansion: &'e Expansion<'a>,
    i: u32,
    blocks: Vec<Block>,
    /// The first expanded item of each block.
    offsets: Vec<u64>,
    table_bytes_left: usize,
    /// The images of column permutations, which all row blocks share.
    images: HashMap<u32, Vec<u32>>,
    /// A column table that is not kept.
    passing_table: Vec<u32>,
    /// The anchor of each user of the tile, its place among the cells, and its source row in the block at hand.
    anchors: Vec<u32>,
    places: Vec<Place>,
    sources: Vec<u32>,
    streams: Vec<RowStream>,
    /// Where the block at hand finds its kept entries in the base.
    found: Vec<usize>,
    /// Kept entries of the tile, block by block and user by user: column and test bit; where they stand in the base, if
    /// anything is carried; and where each user's end.
    kept: Vec<u32>,
    kept_places: Vec<u32>,
    ends: Vec<usize>,
    cursors: Vec<usize>,
    /// The share of the time line that each block has.
    shares: Vec<u64>,
    schedule: Schedule,
}

impl<'e, 'a> Tiler<'e, 'a> {
    #[must_use]
    pub fn new(expansion: &'e Expansion<'a>) -> Self {
        Self {
            expansion,
            i: u32::MAX,
            blocks: Vec::new(),
            offsets: Vec::new(),
            table_bytes_left: 0,
            images: HashMap::new(),
            passing_table: Vec::new(),
            anchors: Vec::new(),
            places: Vec::new(),
            sources: Vec::new(),
            streams: Vec::new(),
            found: Vec::new(),
            kept: Vec::new(),
            kept_places: Vec::new(),
            ends: Vec::new(),
            cursors: Vec::new(),
            shares: Vec::new(),
            schedule: Schedule::default(),
        }
    }

    /// Appends the interactions of the expanded users to `train` and `test`, and hands both to `each_tile` after every
    /// tile; it may take what is in them.
    pub fn expand<I: Id>(
        &mut self,
        users: Range<u64>,
        train: &mut Interactions<I>,
        test: &mut Interactions<I>,
        mut each_tile: impl FnMut(&mut Interactions<I>, &mut Interactions<I>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.expansion.options.sketch {
            return sketch::expand(self.expansion, users, train, test, each_tile);
        }
        let base_users = u64::from(self.expansion.base.users());
        let mut first = users.start;
        while first < users.end {
            let i = (first / base_users) as u32;
            let segment_end = users.end.min((u64::from(i) + 1) * base_users);
            self.enter(i, segment_end - first);
            while first < segment_end {
                let row = (first - u64::from(i) * base_users) as u32;
                let users = self.find_anchors(row, (segment_end - first) as u32);
                self.tile();
                self.stitch(first, train, test);
                each_tile(train, test)?;
                first += u64::from(users);
            }
        }
        Ok(())
    }

    /// Turns to row block i, in which `users` users are to be made.
    fn enter(&mut self, i: u32, users: u64) {
        if self.i != i {
            self.i = i;
            let blocks = self.expansion.blocks(i);
            self.blocks = blocks.map(|(j, keep_rate)| Block { j, keep_rate, tables: None }).collect();
            let items = u64::from(self.expansion.base.items());
            self.offsets = self.blocks.iter().map(|block| u64::from(block.j) * items).collect();
            self.shares = timeline::shares(self.blocks.iter().map(|block| block.keep_rate));
            self.table_bytes_left = TABLE_BYTES;
        }
        let shuffled = self.expansion.options.shuffled;
        let columns_bytes = if shuffled { self.expansion.base.items() as usize * size_of::<u32>() } else { 0 };
        let bytes = columns_bytes + size_of::<GapTable>();
        for block in &mut self.blocks {
            let worth_it = worth_a_table(self.expansion, users, block.keep_rate);
            if block.tables.is_none() && worth_it && bytes <= self.table_bytes_left {
                let mut columns = Vec::new();
                if shuffled {
                    let source = Columns::new(self.expansion, i, block.j);
                    if (self.images.len() + 1) * columns_bytes <= TABLE_BYTES {
                        self.images.entry(block.j).or_insert_with(|| source.images());
                    }
                    source.fill(self.images.get(&block.j).map(Vec::as_slice), &mut columns);
                }
                block.tables = Some(Box::new(Tables { gaps: GapTable::new(block.keep_rate), columns }));
                self.table_bytes_left -= bytes;
            }
        }
    }

    /// Finds the kept entries of the tile's users, block by block.
    fn tile(&mut self) {
        let Expansion { base, keys, user_cells, options, .. } = self.expansion;
        let i = u64::from(self.i);
        let exchanging = options.shuffled && !user_cells.are_single();
        self.sources.clone_from(&self.anchors);
        self.ends.clear();
        self.kept.clear();
        self.kept_places.clear();
        let carrying = self.expansion.payload.sources;
        for block in &self.blocks {
            let j = u64::from(block.j);
            if exchanging {
                let exchange = Exchange::new(user_cells, keys.user_cells.child(i).child(j));
                self.sources.clear();
                self.sources.extend(self.places.iter().map(|&place| user_cells.code(exchange.image(place))));
            }
            let passing_gaps;
            let gaps = if let Some(tables) = &block.tables {
                prefetch_all(&tables.columns);
                &tables.gaps
            } else {
                passing_gaps = GapTable::new(block.keep_rate);
                &passing_gaps
            };
            let key = keys.keep.child(i).child(j);
            self.streams.clear();
            self.streams.extend(self.sources.iter().map(|&source| RowStream::new(key, source)));
            let before = self.kept.len();
            let count = keep_rows(base, gaps, &self.sources, &self.streams, &mut self.found, |count| {
                self.ends.push(before + count);
            });
            if carrying {
                self.kept_places.extend(self.found[..count].iter().map(|&place| place as u32));
            }
            place_entries(self.expansion, self.i, block, &self.found[..count], &mut self.kept, &mut self.passing_table);
        }
    }

    /// Begins a tile at a row of the row block: finds the anchor of each of its users, and its place among the user
    /// cells. The tile has at most `limit` users, and no more than its memory is meant for; returns how many.
    fn find_anchors(&mut self, first_row: u32, limit: u32) -> u32 {
        let Expansion { base, keys, user_cells, options, payload, .. } = self.expansion;
        let permutation = Permutation::new(keys.rows.child(u64::from(self.i)), base.users());
        let kept_of_base: f64 = self.blocks.iter().map(|block| block.keep_rate).sum();
        let limit = limit.min(TILE_USERS).min((TILE_COUNTERS / self.blocks.len().max(1)) as u32).max(1);
        self.anchors.clear();
        self.places.clear();
        let mut interactions = 0.0;
        // What is carried takes as much of the cache as the items.
        let most = if payload.sources { TILE_INTERACTIONS / 2.0 } else { TILE_INTERACTIONS };
        for row in first_row..first_row + limit {
            let anchor = if options.shuffled {
                let place = user_cells.place(permutation.image(row));
                self.places.push(place);
                user_cells.code(place.start + place.offset)
            } else {
                row
            };
            self.anchors.push(anchor);
            interactions += base.row(anchor).len() as f64 * kept_of_base;
            if interactions > most {
                break;
            }
        }
        self.anchors.len() as u32
    }

    /// Puts the tile's users together from their blocks, the first of them `first_user`.
    fn stitch<I: Id>(&mut self, first_user: u64, train: &mut Interactions<I>, test: &mut Interactions<I>) {
        let rows = self.anchors.len();
        self.cursors.clear();
        // A block's entries start where those of the block before it end.
        self.cursors.push(0);
        self.cursors.extend(self.ends.chunks_exact(rows).filter_map(|ends| ends.last()));
        for row in 0..rows {
            let user = first_user + row as u64;
            let starts = (train.items.len(), test.items.len());
            if self.expansion.payload.sources {
                if let (Some(timeline), Some(&next)) = (self.expansion.payload.timeline, self.anchors.get(row + 1)) {
                    timeline.prefetch(self.expansion.base.row(next));
                }
                self.stitch_carrying(row, user, train, test);
            } else {
                self.stitch_plain(row, user, (train, starts.0), (test, starts.1));
            }
            train.close_user(user, starts.0);
            test.close_user(user, starts.1);
        }
    }

    /// What block `number` keeps of a row of the tile: a range of the tile's kept entries. To be asked once, row by row.
    fn next_range(&mut self, number: usize, row: usize) -> Range<usize> {
        let end = self.ends[number * self.anchors.len() + row];
        std::mem::replace(&mut self.cursors[number], end)..end
    }

    /// Appends the items of one user, where nothing else is carried.
    fn stitch_plain<I: Id>(
        &mut self,
        row: usize,
        user: u64,
        (train, train_start): (&mut Interactions<I>, usize),
        (test, test_start): (&mut Interactions<I>, usize),
    ) {
        let expansion = self.expansion;
        let options = &expansion.options;
        let cold = expansion.is_cold_user(user);
        let any_cold = cold || expansion.has_cold_items();
        for number in 0..self.blocks.len() {
            let offset = self.offsets[number];
            let range = self.next_range(number, row);
            let kept = &self.kept[range];
            if !any_cold && kept.iter().fold(0, |any, entry| any | entry) & TEST == 0 {
                train.items.extend(kept.iter().map(|&entry| I::at(offset, entry)));
                continue;
            }
            for &entry in kept {
                let column = entry & !TEST;
                let is_test = entry & TEST != 0 || cold || expansion.is_cold_item(offset + u64::from(column));
                let items = if is_test { &mut test.items } else { &mut train.items };
                items.push(I::at(offset, column));
            }
        }
        let of_test = test.items.len() - test_start;
        if options.one_test_item && of_test > 1 {
            test.items[test_start] = test.items[test_start + self.chosen_test(row, of_test)];
            test.items.truncate(test_start + 1);
        }
        if options.drop_incomplete && (of_test == 0 || train.items.len() == train_start) {
            train.items.truncate(train_start);
            test.items.truncate(test_start);
        }
        if options.order == Order::Item {
            train.items[train_start..].sort_unstable();
            test.items[test_start..].sort_unstable();
        }
    }

    /// Which of a user's test interactions stays, where only one does.
    fn chosen_test(&self, row: usize, count: usize) -> usize {
        let key = self.expansion.keys.test_item.child(u64::from(self.i)).child(u64::from(self.anchors[row]));
        bounded(key.0, count as u64) as usize
    }

    /// Appends the interactions of one user with all that they carry.
    fn stitch_carrying<I: Id>(
        &mut self,
        row: usize,
        user: u64,
        train: &mut Interactions<I>,
        test: &mut Interactions<I>,
    ) {
        let Expansion { base, keys, options, payload, .. } = self.expansion;
        self.collect_events(row, user);
        let anchor = self.anchors[row];
        let schedule = &mut self.schedule;
        schedule.times.clear();
        if let Some(timeline) = payload.timeline {
            let key = keys.times.child(u64::from(self.i)).child(u64::from(anchor));
            schedule.arrange(timeline, base, key, anchor, &self.shares);
        }
        match options.order {
            Order::Time => {}
            // As they were collected.
            Order::Block if payload.timeline.is_none() => {}
            Order::Block => schedule.arrange_by(|event| (event.block, event.entry)),
            Order::Item => schedule.arrange_by(|event| (event.block, event.item & !TEST)),
        }
        let mut times = schedule.times.as_slice();
        // Train and test come in long runs.
        for run in schedule.events.chunk_by(|a, b| (a.item ^ b.item) & TEST == 0) {
            let side = if run[0].item & TEST != 0 { &mut *test } else { &mut *train };
            let column_block = |event: &Event| self.blocks[event.block as usize].j;
            side.items.extend(run.iter().map(|event| I::at(self.offsets[event.block as usize], event.item & !TEST)));
            side.sources.extend(run.iter().map(|event| event.entry));
            if payload.timeline.is_some() {
                let of_run;
                (of_run, times) = times.split_at(run.len());
                side.times.extend_from_slice(of_run);
            }
            if let Some((factors, ratings)) = payload.factors {
                let factors = &factors[self.i as usize * self.expansion.column_blocks as usize..];
                side.ratings.extend(run.iter().map(|event| {
                    let rating = ratings.map_or(1.0, |ratings| ratings[event.entry as usize]);
                    factors[column_block(event) as usize] * rating
                }));
            }
        }
    }

    /// Collects what one user keeps, block by block.
    fn collect_events(&mut self, row: usize, user: u64) {
        let expansion = self.expansion;
        let options = &expansion.options;
        let cold = expansion.is_cold_user(user);
        let mut events = std::mem::take(&mut self.schedule.events);
        events.clear();
        for number in 0..self.blocks.len() {
            let range = self.next_range(number, row);
            let kept = self.kept[range.clone()].iter().zip(&self.kept_places[range]);
            let block = number as u32;
            if !cold && !expansion.has_cold_items() {
                events.extend(kept.map(|(&item, &entry)| Event { item, entry, block, at: 0 }));
                continue;
            }
            let offset = self.offsets[number];
            events.extend(kept.map(|(&item, &entry)| {
                let is_cold = cold || expansion.is_cold_item(offset + u64::from(item & !TEST));
                Event { item: if is_cold { item | TEST } else { item }, entry, block, at: 0 }
            }));
        }
        if options.one_test_item || options.drop_incomplete {
            let of_test = events.iter().filter(|event| event.item & TEST != 0).count();
            if options.drop_incomplete && (of_test == 0 || of_test == events.len()) {
                events.clear();
            } else if options.one_test_item && of_test > 1 {
                let (chosen, mut seen) = (self.chosen_test(row, of_test), 0);
                events.retain(|event| {
                    let is_test = event.item & TEST != 0;
                    seen += usize::from(is_test);
                    !is_test || seen == chosen + 1
                });
            }
        }
        self.schedule.events = events;
    }
}

/// Whether `users` users look up so many columns of a block that it pays to tabulate all of them first.
fn worth_a_table(expansion: &Expansion, users: u64, keep_rate: f64) -> bool {
    let base = &expansion.base;
    let lookups = users as f64 / f64::from(base.users()) * base.len() as f64 * keep_rate;
    2.0 * lookups > f64::from(base.items())
}

/// Finds the places of the kept entries of some source rows. Tells `each_row` how many there are at its end, and returns
/// how many there are in all.
fn keep_rows(
    base: &Base,
    gaps: &GapTable,
    sources: &[u32],
    streams: &[RowStream],
    found: &mut Vec<usize>,
    mut each_row: impl FnMut(usize),
) -> usize {
    let mut count = 0;
    for (number, (&source, &stream)) in sources.iter().zip(streams).enumerate() {
        if let Some(&far) = sources.get(number + PREFETCH_ROWS) {
            prefetch(base.row_pointer(far));
        }
        let row = base.row(source);
        if found.len() < count + row.len() {
            found.resize((count + row.len()).max(found.len() * 3 / 2), 0);
        }
        count += gaps.keep(stream, row, &mut found[count..]);
        each_row(count);
    }
    count
}

/// Appends the kept entries of a block, their source items turned into columns.
fn place_entries(
    expansion: &Expansion,
    i: u32,
    block: &Block,
    found: &[usize],
    kept: &mut Vec<u32>,
    passing_table: &mut Vec<u32>,
) {
    let Expansion { base, options, .. } = expansion;
    let entries = base.entries();
    let fetched = found.iter().enumerate().map(|(number, &place)| {
        if let Some(&far) = found.get(number + PREFETCH_ENTRIES) {
            prefetch(&entries[far]);
        }
        entries[place]
    });
    if !options.shuffled {
        kept.extend(fetched);
        return;
    }
    let table = if let Some(tables) = &block.tables {
        &tables.columns
    } else {
        let columns = Columns::new(expansion, i, block.j);
        if 2 * found.len() <= base.items() as usize {
            kept.extend(fetched.map(|entry| (entry & TEST) | columns.column(entry & !TEST)));
            return;
        }
        columns.fill(None, passing_table);
        passing_table
    };
    kept.extend(fetched.map(|entry| (entry & TEST) | table[(entry & !TEST) as usize]));
}
