//! Stitching: an expanded user put together from what its blocks keep.

use crate::expansion::{Expansion, Id, Interactions, Order};
use crate::kept::{CHUNK, Kept, Run};
use crate::layout::Code;
use crate::random::bounded;
use crate::schedule::Schedule;
use crate::scratch::Scratch;

/// The blocks of a row block that exist.
pub struct RowBlock {
    pub i: u32,
    /// The column block of each, and its first expanded item.
    pub column_blocks: Vec<u32>,
    pub offsets: Vec<u64>,
    /// The share of the time line that each has.
    pub shares: Vec<u64>,
}

/// An expanded user, its number in the tile, and the slot of its anchor.
#[derive(Clone, Copy)]
pub struct User {
    pub id: u64,
    pub number: usize,
    pub slot: u32,
}

/// Puts one user after the other together.
#[derive(Default)]
pub struct Stitcher {
    runs: Vec<Run>,
    events: Events,
    schedule: Schedule,
    orders: Orders,
}

/// Orders of a user's events other than that of their times.
#[derive(Default)]
struct Orders {
    /// 0, 1, 2, …: block by block.
    as_made: Vec<u32>,
    by_item: Vec<u32>,
    /// Train first, then test.
    divided: Vec<u32>,
}

/// What a user keeps, block by block, with all that is carried.
#[derive(Default)]
struct Events {
    items: Scratch<u64>,
    is_test: Scratch<bool>,
    /// Where the entries that they come from stand in the layout.
    entries: Scratch<u32>,
    /// Their ratings times the factors of their blocks, where they have factors.
    ratings: Vec<f64>,
    /// By block: where they end.
    ends: Vec<usize>,
}

impl Stitcher {
    /// Appends the interactions of a user, the one after that of the call before.
    pub fn stitch<C: Code, I: Id>(
        &mut self,
        expansion: &Expansion,
        row_block: &RowBlock,
        kept: &mut Kept<C>,
        user: User,
        train: &mut Interactions<I>,
        test: &mut Interactions<I>,
    ) {
        let starts = (train.items.len(), test.items.len());
        kept.runs(user.number, &mut self.runs);
        if expansion.payload.sources {
            self.stitch_carrying(expansion, row_block, kept, user, train, test);
        } else {
            self.stitch_plain(expansion, row_block, kept, user, train, test);
        }
        train.close_user(user.id, starts.0);
        test.close_user(user.id, starts.1);
    }

    /// Where nothing but items is carried.
    fn stitch_plain<C: Code, I: Id>(
        &mut self,
        expansion: &Expansion,
        row_block: &RowBlock,
        kept: &Kept<C>,
        user: User,
        train: &mut Interactions<I>,
        test: &mut Interactions<I>,
    ) {
        let (train_start, test_start) = (train.items.len(), test.items.len());
        let options = &expansion.options;
        let cold = expansion.is_cold_user(user.id);
        let any_cold = cold || expansion.has_cold_items();
        let count: usize = self.runs.iter().map(|run| run.len()).sum();
        train.items.resize(train_start + count + CHUNK, I::at(0, 0));
        let mut end = train_start;
        for (&run, &offset) in self.runs.iter().zip(&row_block.offsets) {
            if !any_cold && !run.has_test {
                kept.copy_codes(run, &mut train.items[end..], |code| I::at(offset, code.item()));
                end += run.len();
                continue;
            }
            for &code in kept.codes(run) {
                let item = I::at(offset, code.item());
                if code.is_test() || cold || expansion.is_cold_item(offset + u64::from(code.item())) {
                    test.items.push(item);
                } else {
                    train.items[end] = item;
                    end += 1;
                }
            }
        }
        train.items.truncate(end);
        let of_test = test.items.len() - test_start;
        if options.one_test_item && of_test > 1 {
            test.items[test_start] = test.items[test_start + chosen_test(expansion, row_block.i, user, of_test)];
            test.items.truncate(test_start + 1);
        }
        if options.drop_incomplete && (of_test == 0 || end == train_start) {
            train.items.truncate(train_start);
            test.items.truncate(test_start);
        }
        if options.order == Order::Item {
            train.items[train_start..].sort_unstable();
            test.items[test_start..].sort_unstable();
        }
    }

    /// With all that is carried.
    fn stitch_carrying<C: Code, I: Id>(
        &mut self,
        expansion: &Expansion,
        row_block: &RowBlock,
        kept: &Kept<C>,
        user: User,
        train: &mut Interactions<I>,
        test: &mut Interactions<I>,
    ) {
        let Expansion { layout, keys, user_cells, options, payload, .. } = expansion;
        let Self { runs, events, schedule, orders } = self;
        events.collect(runs, kept, &row_block.offsets);
        events.choose(expansion, row_block, user);
        events.rate(expansion, row_block);
        let count = events.items.len();
        if orders.as_made.len() < count {
            orders.as_made.extend(orders.as_made.len() as u32..count as u32);
        }
        let (mut order, mut times) = (&orders.as_made[..count], &[][..]);
        if let Some(timeline) = payload.timeline {
            let anchor = user_cells.code(user.slot);
            let key = keys.times.child(u64::from(row_block.i)).child(u64::from(anchor));
            let timeline = timeline.row(user.slot, layout.row(user.slot));
            let by_time;
            (by_time, times) = schedule.arrange(&timeline, key, &row_block.shares, &events.entries, &events.ends);
            if options.order == Order::Time {
                order = by_time;
            }
        }
        if options.order == Order::Item {
            orders.by_item.clear();
            orders.by_item.extend_from_slice(order);
            orders.by_item.sort_unstable_by_key(|&event| events.items[event as usize]);
            order = &orders.by_item;
        }
        let (of_train, of_test) = divide(order, &events.is_test, &mut orders.divided);
        events.append(of_train, &layout.sources, times, train);
        events.append(of_test, &layout.sources, times, test);
    }
}

/// Takes the test interactions apart from the others, in the order given.
fn divide<'o>(order: &'o [u32], is_test: &[bool], divided: &'o mut Vec<u32>) -> (&'o [u32], &'o [u32]) {
    let of_test = is_test.iter().filter(|&&is_test| is_test).count();
    let of_train = order.len() - of_test;
    let is_test = |event: u32| is_test[event as usize];
    // In the order of times they mostly are, or there are none.
    if order[of_train..].iter().all(|&event| is_test(event)) {
        return order.split_at(of_train);
    }
    divided.clear();
    divided.extend(order.iter().filter(|&&event| !is_test(event)));
    divided.extend(order.iter().filter(|&&event| is_test(event)));
    divided.split_at(of_train)
}

/// Which of a user's test interactions stays, where only one does.
fn chosen_test(expansion: &Expansion, i: u32, user: User, count: usize) -> usize {
    let anchor = expansion.user_cells.code(user.slot);
    let key = expansion.keys.test_item.child(u64::from(i)).child(u64::from(anchor));
    bounded(key.0, count as u64) as usize
}

impl Events {
    fn collect<C: Code>(&mut self, runs: &[Run], kept: &Kept<C>, offsets: &[u64]) {
        let count: usize = runs.iter().map(|run| run.len()).sum();
        let items = self.items.set_length(count + CHUNK);
        let is_test = self.is_test.set_length(count + CHUNK);
        let entries = self.entries.set_length(count + CHUNK);
        self.ends.clear();
        let mut end = 0;
        for (&run, &offset) in runs.iter().zip(offsets) {
            kept.copy_codes(run, &mut items[end..], |code| offset + u64::from(code.item()));
            kept.copy_codes(run, &mut is_test[end..], Code::is_test);
            kept.copy_entries(run, &mut entries[end..]);
            end += run.len();
            self.ends.push(end);
        }
        self.set_count(count);
    }

    fn set_count(&mut self, count: usize) {
        self.items.set_length(count);
        self.is_test.set_length(count);
        self.entries.set_length(count);
    }

    /// Makes test interactions of those with cold items or users, and drops what the options drop.
    fn choose(&mut self, expansion: &Expansion, row_block: &RowBlock, user: User) {
        let options = &expansion.options;
        let cold = expansion.is_cold_user(user.id);
        if cold || expansion.has_cold_items() {
            for (is_test, &item) in self.is_test.iter_mut().zip(self.items.iter()) {
                *is_test |= cold || expansion.is_cold_item(item);
            }
        }
        if options.one_test_item || options.drop_incomplete {
            let of_test = self.is_test.iter().filter(|&&is_test| is_test).count();
            if options.drop_incomplete && (of_test == 0 || of_test == self.is_test.len()) {
                self.retain(|_| false);
            } else if options.one_test_item && of_test > 1 {
                let (chosen, mut seen) = (chosen_test(expansion, row_block.i, user, of_test), 0);
                self.retain(|is_test| {
                    seen += usize::from(is_test);
                    !is_test || seen == chosen + 1
                });
            }
        }
    }

    /// `stays` is told of each event whether it is a test interaction.
    fn retain(&mut self, mut stays: impl FnMut(bool) -> bool) {
        let (mut start, mut left) = (0, 0);
        for end in &mut self.ends {
            for event in start..*end {
                if stays(self.is_test[event]) {
                    self.items[left] = self.items[event];
                    self.is_test[left] = self.is_test[event];
                    self.entries[left] = self.entries[event];
                    left += 1;
                }
            }
            start = std::mem::replace(end, left);
        }
        self.set_count(left);
    }

    /// Multiplies ratings and factors, if the expansion has factors.
    fn rate(&mut self, expansion: &Expansion, row_block: &RowBlock) {
        let Some((factors, ratings)) = expansion.payload.factors else { return };
        let factors = &factors[row_block.i as usize * expansion.column_blocks as usize..];
        let rating =
            |entry: u32| ratings.map_or(1.0, |ratings| ratings[expansion.layout.sources[entry as usize] as usize]);
        self.ratings.clear();
        for (&j, &end) in row_block.column_blocks.iter().zip(&self.ends) {
            let entries = &self.entries[self.ratings.len()..end];
            self.ratings.extend(entries.iter().map(|&entry| factors[j as usize] * rating(entry)));
        }
    }

    /// Appends some events to the interactions of one side, in the order given.
    fn append<I: Id>(&self, order: &[u32], sources: &[u32], times: &[i64], side: &mut Interactions<I>) {
        let events = || order.iter().map(|&event| event as usize);
        side.items.extend(events().map(|event| I::at(self.items[event], 0)));
        side.sources.extend(events().map(|event| sources[self.entries[event] as usize]));
        if !times.is_empty() {
            side.times.extend(events().map(|event| times[event]));
        }
        if !self.ratings.is_empty() {
            side.ratings.extend(events().map(|event| self.ratings[event]));
        }
    }
}
