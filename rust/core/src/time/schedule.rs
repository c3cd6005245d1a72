//! The schedule: when the interactions of an expanded user happen, as `docs/generator.md` defines it.
//!
//! Every column block goes through the timeline of the source user at a pace of its own: what it keeps is moved along the
//! timeline, never out of order, never before the item's first appearance.

use super::timeline::RowTimeline;
use crate::base::Split;
use crate::chance::{GOLDEN, Key, Permutation, STIR, bounded};
use crate::memory::Scratch;

const ONE: u64 = 1 << 32;
/// `ONE` in equal parts, by how many they are: a division takes longer than all else that is done for an event.
const STEPS: [u64; 64] = {
    let mut steps = [0; 64];
    let mut parts = 1;
    while parts < steps.len() {
        steps[parts] = ONE / parts as u64;
        parts += 1;
    }
    steps
};

/// The share of the timeline, in units of 2⁻³², that each block of a row block has to itself.
pub fn shares(keep_rates: impl Iterator<Item = f64> + Clone) -> Vec<u64> {
    let weight = |rate: f64| (rate * ONE as f64) as u64;
    let total: u64 = keep_rates.clone().map(weight).sum();
    keep_rates.map(|rate| ((u128::from(weight(rate)) << 32) / u128::from(total)).max(1) as u64).collect()
}

/// How the events of a place may move along the timeline.
#[derive(Clone, Copy)]
struct Move {
    /// Where it may go at the earliest, in units of 2⁻³², and in how many places.
    earliest: u64,
    range: u32,
    /// How much of the timeline is before it, in units of 2⁻³².
    part: u32,
}

/// A stretch of the timeline, from one place to the next, and the events that fall into it.
#[derive(Clone, Copy)]
struct Stretch {
    /// The number of the first event.
    first: u32,
    /// The distance of two events, in units of 2⁻³² of the length.
    step: u64,
    /// Where it begins, and how long it is: in time, or in activity.
    from: u64,
    length: u64,
}

/// A late event. They come by the time of their entry, then by their block's begin, their block and their place; those
/// for validation come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Late {
    is_test: bool,
    time: i64,
    begin: u64,
    block: usize,
    place: u32,
    event: u32,
}

/// Arranges the interactions of one expanded user after the other: the events of its blocks.
#[derive(Default)]
pub struct Schedule {
    /// Where the share of each block begins for the user at hand.
    begins: Vec<u64>,
    /// By place that is not late.
    moves: Vec<Move>,
    /// By event: the bucket that it is moved to, then its number in the order of times.
    numbers: Scratch<u32>,
    /// Where each bucket begins; once events are numbered, where it ends.
    bounds: Vec<u32>,
    stretches: Vec<Stretch>,
    /// The stretches that are in activity.
    by_clock: Vec<usize>,
    late: Vec<Late>,
}

impl Schedule {
    /// Makes the times of an expanded user's events, in their order, and returns the number of each event in that order.
    /// `key` belongs to the user, `turn` to the row block, `blocks` tells block by block where the entries that events come
    /// from stand in the layout, and `shares` are the blocks'.
    pub fn arrange<'k>(
        &mut self,
        timeline: &RowTimeline,
        key: Key,
        turn: u32,
        shares: &[u64],
        blocks: impl Iterator<Item = &'k [u32]>,
        times: &mut [i64],
    ) -> &[u32] {
        let count = times.len();
        let places = timeline.times.len();
        // There are 2^finer buckets in every stretch of the timeline, so that an event or two go into each.
        let finer = (count / places.max(1)).max(1).ilog2().min(16);
        self.draw_shares(key.child(0), shares);
        self.prepare_moves(timeline);
        self.numbers.set_length(count);
        self.move_events(timeline, finer, shares, blocks);
        let jitter = key.child(1);
        let (end, room) = timeline.end();
        self.find_stretches(timeline, finer, end);
        self.number_events(timeline, finer, end, jitter, times);
        let (on_time, shifts) = (count - self.late.len(), timeline.shifts(turn, end));
        times[..on_time].iter_mut().for_each(|time| *time += shifts[Split::Train as usize]);
        self.time_late_events(on_time, room, timeline.end_of_valid(), shifts, jitter, times);
        &self.numbers
    }

    /// Lays the shares of the blocks one after the other, in an order of this user's own.
    fn draw_shares(&mut self, key: Key, shares: &[u64]) {
        let permutation = Permutation::new(key, shares.len() as u32);
        self.begins.resize(shares.len(), 0);
        let mut begin = 0;
        for number in 0..shares.len() as u32 {
            let block = permutation.image(number) as usize;
            self.begins[block] = begin;
            begin += shares[block];
        }
    }

    /// Finds out once what many events of a place will need.
    fn prepare_moves(&mut self, timeline: &RowTimeline) {
        let count = timeline.times.len() as u32;
        let step = ONE / (2 * u64::from(count.max(1)));
        let reach = (3 * u64::from(count)).div_ceil(8) as u32;
        self.moves.clear();
        self.moves.extend(timeline.floors.iter().zip(0..).map(|(&floor, place): (_, u32)| {
            let part = ((2 * u64::from(place) + 1) * step) as u32;
            let earliest = floor.max(place.saturating_sub(reach));
            Move { earliest: u64::from(earliest) << 32, range: count.min(place + reach) - earliest, part }
        }));
    }

    /// Moves every event along the timeline, into a bucket, and finds where each bucket begins. Late events have the last
    /// bucket to themselves.
    fn move_events<'k>(
        &mut self,
        timeline: &RowTimeline,
        finer: u32,
        shares: &[u64],
        blocks: impl Iterator<Item = &'k [u32]>,
    ) {
        let Self { begins, numbers, late, .. } = self;
        let moves = self.moves.as_slice();
        let late_bucket = moves.len() << finer;
        self.bounds.clear();
        self.bounds.resize(late_bucket + 2, 0);
        let bounds = self.bounds.as_mut_slice();
        let first_late = timeline.first + moves.len() as u32;
        let shift = 32 - finer;
        late.clear();
        let mut start = 0;
        for (block, ((entries, &begin), &share)) in blocks.zip(begins.iter()).zip(shares).enumerate() {
            let buckets = &mut numbers[start..start + entries.len()];
            let mut on_time = entries.len();
            while on_time > 0 && entries[on_time - 1] >= first_late {
                on_time -= 1;
                let place = entries[on_time] - first_late;
                buckets[on_time] = late_bucket as u32;
                let event = (start + on_time) as u32;
                let (is_test, time) = (place >= timeline.valid, timeline.late[place as usize]);
                late.push(Late { is_test, time, begin, block, place, event });
            }
            for (bucket, &entry) in buckets[..on_time].iter_mut().zip(entries) {
                let allowed = moves[(entry - timeline.first) as usize];
                // No product overflows: shares are at most 2³², and parts are below.
                let within = (share * u64::from(allowed.part)) >> 32;
                let pace = (begin + within).min(ONE - 1);
                *bucket = ((allowed.earliest + pace * u64::from(allowed.range)) >> shift) as u32;
                bounds[*bucket as usize + 1] += 1;
            }
            start += entries.len();
        }
        late.sort_unstable();
        let mut begin = 0;
        for bound in bounds {
            begin += *bound;
            *bound = begin;
        }
    }

    /// Finds the stretches of the timeline, the last of which ends at `end`, and what falls into each.
    fn find_stretches(&mut self, timeline: &RowTimeline, finer: u32, end: i64) {
        let Self { bounds, stretches, by_clock, .. } = self;
        stretches.clear();
        by_clock.clear();
        let mut first = 0;
        for place in 0..timeline.times.len() {
            let last = bounds[(place + 1) << finer];
            let count = last - first;
            let (start, end) = timeline.stretch(place, end);
            let (mut from, mut length) = (start as u64, (end - start) as u64);
            if let Some(clock) = timeline.clock.filter(|clock| length > clock.hour() && count > 0) {
                from = clock.activity(start as u64);
                length = clock.activity(end as u64) - from;
                by_clock.push(place);
            }
            stretches.push(Stretch { first, step: step(count), from, length });
            first = last;
        }
        // That of the late events.
        stretches.push(Stretch { first, step: 0, from: 0, length: 0 });
    }

    /// Numbers the events in the order of their buckets, and makes the times of those that are not late.
    fn number_events(&mut self, timeline: &RowTimeline, finer: u32, end: i64, jitter: Key, times: &mut [i64]) {
        let (bounds, stretches) = (self.bounds.as_mut_slice(), self.stretches.as_slice());
        for number in self.numbers.iter_mut() {
            let bucket = *number;
            let next = &mut bounds[bucket as usize];
            *number = *next;
            *next += 1;
            let stretch = stretches[(bucket >> finer) as usize];
            let fraction = fraction(jitter, *number, stretch.first, stretch.step);
            times[*number as usize] = (stretch.from + bounded(fraction, stretch.length)) as i64;
        }
        let Some(clock) = timeline.clock else { return };
        for &place in &self.by_clock {
            let (start, end) = timeline.stretch(place, end);
            for time in &mut times[stretches[place].first as usize..stretches[place + 1].first as usize] {
                *time = (clock.time(*time as u64) as i64).clamp(start, end);
            }
        }
    }

    /// Makes the times of the late events, which are numbered from `first`.
    fn time_late_events(
        &mut self,
        first: usize,
        room: u64,
        end_of_valid: i64,
        shifts: [i64; 3],
        jitter: Key,
        times: &mut [i64],
    ) {
        let step = step(self.late.len() as u32);
        for (x, &Late { is_test, time, event, .. }) in self.late.iter().enumerate() {
            let number = (first + x) as u32;
            self.numbers[event as usize] = number;
            let time = time + bounded(fraction(jitter, number, first as u32, step), room) as i64;
            times[first + x] = if is_test {
                time + shifts[Split::Test as usize]
            } else {
                (time + shifts[Split::Valid as usize]).min(end_of_valid)
            };
        }
    }
}

/// The distance of so many events, in units of 2⁻³² of what they share.
#[inline]
fn step(count: u32) -> u64 {
    STEPS.get(count as usize).map_or_else(|| ONE / u64::from(count), |&step| step)
}

/// Where in its stretch event `number` of a user goes, in units of 2⁻⁶⁴: evenly, but for a quarter of a step to either side.
/// The stretch begins with event `first`, and a step of it is `step`.
#[inline]
fn fraction(jitter: Key, number: u32, first: u32, step: u64) -> u64 {
    let h = jitter.0.wrapping_add((u64::from(number) + 1).wrapping_mul(GOLDEN));
    let v = (h ^ (h >> 32)).wrapping_mul(STIR) >> 32;
    // No product overflows: what comes before in the stretch is below its events, and a step at most 2³² over those.
    ((u64::from(number - first) << 32) + (1 << 30) + (v >> 1)) * step
}
