//! Stitching: an expanded user put together from what its blocks keep.

use super::kept::{CHUNK, Kept, KeptSlice};
use crate::base::{Code, Split};
use crate::chance::bounded;
use crate::expansion::{Expansion, Id, Order, Splits, TestItems};
use crate::memory::Scratch;
use crate::time::Schedule;

/// The blocks of a row block that exist.
pub struct RowBlock {
    pub i: u32,
    /// The column block of each, and its first expanded item.
    pub column_blocks: Vec<u32>,
    pub offsets: Vec<u64>,
    /// The share of the time line that each has, and the turn in which the row block's clock is shifted.
    pub shares: Vec<u64>,
    pub turn: u32,
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
    slices: Vec<KeptSlice>,
    schedule: Schedule,
    /// 0, 1, 2, …: events in the order in which they were made.
    as_made: Vec<u32>,
    /// Times in their order, where interactions come in another one.
    in_order: Scratch<i64>,
    /// What each of those put together is for.
    splits: Vec<Split>,
}

impl Stitcher {
    /// Appends the interactions of a user, the one after that of the call before.
    pub fn stitch<C: Code, I: Id>(
        &mut self,
        expansion: &Expansion,
        row_block: &RowBlock,
        kept: &mut Kept<C>,
        user: User,
        made: &mut Splits<I>,
    ) {
        let starts = made.each_ref().map(|split| split.items.len());
        kept.slices(user.number, &mut self.slices);
        choose(expansion, row_block, user, &mut self.slices, kept);
        let count = self.slices.iter().map(|slice| slice.len()).sum();
        if kept.carrying() {
            self.stitch_carrying(expansion, row_block, kept, user, count, made);
        } else {
            self.stitch_plain(&row_block.offsets, kept, count, made);
        }
        for (split, start) in made.iter_mut().zip(starts) {
            if let Some(numbering) = &expansion.numbering {
                numbering.number(&mut split.items[start..]);
            }
            if expansion.options.order == Order::Item {
                split.sort_by_item(start);
            }
            split.close_user(user.id, start);
        }
    }

    /// Where nothing but items is carried.
    fn stitch_plain<C: Code, I: Id>(
        &self,
        offsets: &[u64],
        kept: &Kept<C>,
        count: usize,
        [train, held_out @ ..]: &mut Splits<I>,
    ) {
        let mut end = train.items.len();
        train.items.resize(end + count + CHUNK, I::at(0, 0));
        for (&slice, &offset) in self.slices.iter().zip(offsets) {
            if !slice.has_test {
                kept.copy_codes(slice, &mut train.items[end..], |code| I::at(offset, code.item()));
                end += slice.len();
                continue;
            }
            let codes = kept.codes(slice);
            for &code in codes {
                // No branch asks what most are: train.
                train.items[end] = I::at(offset, code.item());
                end += usize::from(!code.is_test());
            }
            for code in codes.iter().filter(|code| code.is_test()) {
                held_out[code.split() as usize - 1].items.push(I::at(offset, code.item()));
            }
        }
        train.items.truncate(end);
    }

    /// With all that is carried.
    #[allow(clippy::too_many_arguments)]
    fn stitch_carrying<C: Code, I: Id>(
        &mut self,
        expansion: &Expansion,
        row_block: &RowBlock,
        kept: &Kept<C>,
        user: User,
        count: usize,
        [train, held_out @ ..]: &mut Splits<I>,
    ) {
        let Expansion { layout, keys, user_cells, options, timeline, factors, .. } = expansion;
        let Self { slices, schedule, as_made, in_order, splits } = self;
        if as_made.len() < count {
            as_made.extend(as_made.len() as u32..count as u32);
        }
        let start = train.items.len();
        let mut places = &as_made[..count];
        if let Some(timeline) = timeline {
            let anchor = user_cells.code(user.slot);
            let key = keys.times.child(u64::from(row_block.i)).child(u64::from(anchor));
            let timeline = timeline.row(user.slot, layout.row(user.slot));
            let blocks = slices.iter().map(|&slice| kept.entries(slice));
            train.times.resize(start + count, 0);
            let times = &mut train.times[start..];
            if options.order == Order::Time {
                places = schedule.arrange(&timeline, key, row_block.turn, &row_block.shares, blocks, times);
            } else {
                let in_order = in_order.set_length(count);
                let numbers = schedule.arrange(&timeline, key, row_block.turn, &row_block.shares, blocks, in_order);
                for (time, &number) in times.iter_mut().zip(numbers) {
                    *time = in_order[number as usize];
                }
            }
        }
        train.items.resize(start + count, I::at(0, 0));
        train.sources.resize(start + count, 0);
        let (items, sources) = (&mut train.items[start..], &mut train.sources[start..]);
        splits.clear();
        splits.resize(count, Split::Train);
        for ((slice, places), &offset) in places_of(slices, places).zip(&row_block.offsets) {
            for ((&place, &code), &entry) in places.iter().zip(kept.codes(slice)).zip(kept.entries(slice)) {
                items[place as usize] = I::at(offset, code.item());
                sources[place as usize] = layout.sources[entry as usize];
            }
            if slice.has_test {
                for (&place, code) in places.iter().zip(kept.codes(slice)) {
                    splits[place as usize] = code.split();
                }
            }
        }
        if let Some((factors, of_base)) = factors {
            let factors = &factors[row_block.i as usize * expansion.column_blocks as usize..];
            train.ratings.resize(start + count, 0.0);
            let ratings = &mut train.ratings[start..];
            for ((_, places), &j) in places_of(slices, places).zip(&row_block.column_blocks) {
                for &place in places {
                    let rating = of_base.as_ref().map_or(1.0, |of_base| of_base[sources[place as usize] as usize]);
                    ratings[place as usize] = factors[j as usize] * rating;
                }
            }
        }
        train.divide(start, splits, held_out);
    }
}

/// Where the interactions of each slice are put.
fn places_of<'p>(slices: &'p [KeptSlice], mut places: &'p [u32]) -> impl Iterator<Item = (KeptSlice, &'p [u32])> {
    slices.iter().map(move |&slice| {
        let of_slice;
        (of_slice, places) = places.split_at(slice.len());
        (slice, of_slice)
    })
}

/// Makes test interactions of those with cold items or users, and drops what the options drop.
fn choose<C: Code>(
    expansion: &Expansion,
    row_block: &RowBlock,
    user: User,
    slices: &mut [KeptSlice],
    kept: &mut Kept<C>,
) {
    let options = &expansion.options;
    let cold = expansion.is_cold_user(user.id);
    if cold || expansion.has_cold_items() {
        for (slice, &offset) in slices.iter_mut().zip(&row_block.offsets) {
            kept.mark(slice, |item| cold || expansion.is_cold_item(offset + u64::from(item)));
        }
    }
    if options.test_items == TestItems::One || options.drop_incomplete {
        let codes = slices.iter().flat_map(|&slice| kept.codes(slice));
        let (count, of_test) =
            codes.fold((0, 0), |(count, of_test), code| (count + 1, of_test + usize::from(code.is_test())));
        if options.drop_incomplete && (of_test == 0 || of_test == count) {
            for slice in slices {
                kept.retain(slice, |_| false);
            }
        } else if options.test_items == TestItems::One && of_test > 1 {
            let (chosen, mut seen) = (chosen_test(expansion, row_block.i, user, of_test), 0);
            for slice in slices {
                kept.retain(slice, |is_test| {
                    seen += usize::from(is_test);
                    !is_test || seen == chosen + 1
                });
            }
        }
    }
}

/// Which of a user's test interactions stays, where only one does.
fn chosen_test(expansion: &Expansion, i: u32, user: User, count: usize) -> usize {
    let anchor = expansion.user_cells.code(user.slot);
    let key = expansion.keys.test_item.child(u64::from(i)).child(u64::from(anchor));
    bounded(key.0, count as u64) as usize
}
