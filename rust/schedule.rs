//! The schedule: when the interactions of an expanded user happen, as `docs/generator.md` defines it.
//!
//! Every column block goes through the timeline of the source user at a pace of its own: what it keeps is moved along the
//! timeline, never out of order, never before the item's first appearance.

use crate::permutation::Permutation;
use crate::random::{GOLDEN, Key, STIR, bounded};
use crate::scratch::Scratch;
use crate::timeline::RowTimeline;

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
    /// How much of the timeline is before it, in units of 2⁻³².
    part: u32,
    /// Where it may go at the earliest, and in how many places.
    earliest: u32,
    range: u32,
}

/// A late event. They come by the time of their entry, then by their block's begin, their block and their place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Late {
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
    late: Vec<Late>,
    /// In their order.
    times: Scratch<i64>,
}

impl Schedule {
    /// Gives the `count` events of an expanded user their times. `key` belongs to the user, `blocks` tells block by block
    /// where the entries that events come from stand in the layout, and `shares` are the blocks'. Returns the number of
    /// each event in the order of times, and the times in their order.
    pub fn arrange<'k>(
        &mut self,
        timeline: &RowTimeline,
        key: Key,
        shares: &[u64],
        count: usize,
        blocks: impl Iterator<Item = &'k [u32]>,
    ) -> (&[u32], &[i64]) {
        let places = timeline.times.len();
        // There are 2^finer buckets in every stretch of the timeline, so that an event or two go into each.
        let finer = (count / places.max(1)).max(1).ilog2().min(16);
        self.draw_shares(key.child(0), shares);
        self.prepare_moves(timeline);
        self.numbers.set_length(count);
        self.times.set_length(count);
        self.move_events(timeline, finer, shares, blocks);
        self.number_events();
        let jitter = key.child(1);
        let (end, room) = timeline.end();
        self.time_events(timeline, finer, end, jitter);
        self.time_late_events(count - self.late.len(), room, jitter);
        (&self.numbers, &self.times)
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
            Move { part, earliest, range: count.min(place + reach) - earliest }
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
                late.push(Late { time: timeline.late[place as usize], begin, block, place, event });
            }
            for (bucket, &entry) in buckets[..on_time].iter_mut().zip(entries) {
                let allowed = moves[(entry - timeline.first) as usize];
                // No product overflows: shares are at most 2³², and parts are below.
                let within = (share * u64::from(allowed.part)) >> 32;
                let pace = (begin + within).min(ONE - 1);
                *bucket = (((u64::from(allowed.earliest) << 32) + pace * u64::from(allowed.range)) >> shift) as u32;
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

    /// Numbers the events in the order of their buckets.
    fn number_events(&mut self) {
        let bounds = self.bounds.as_mut_slice();
        for number in self.numbers.iter_mut() {
            let next = &mut bounds[*number as usize];
            *number = *next;
            *next += 1;
        }
    }

    /// Makes the times of the events in each stretch of the timeline, the last one until `end`.
    fn time_events(&mut self, timeline: &RowTimeline, finer: u32, end: i64, jitter: Key) {
        let (bounds, times) = (self.bounds.as_slice(), &mut *self.times);
        let mut first = 0;
        for (place, &start) in timeline.times.iter().enumerate() {
            let last = bounds[((place + 1) << finer) - 1] as usize;
            let times = &mut times[first..last];
            if times.is_empty() {
                continue;
            }
            let end = timeline.times.get(place + 1).copied().unwrap_or(end);
            let spread = Spread::new(jitter, first, times.len());
            match timeline.clock.filter(|clock| (end - start) as u64 > clock.hour()) {
                None => {
                    let length = (end - start) as u64;
                    for (x, time) in times.iter_mut().enumerate() {
                        *time = start + bounded(spread.fraction(x), length) as i64;
                    }
                }
                Some(clock) => {
                    let from = clock.activity(start as u64);
                    let length = clock.activity(end as u64) - from;
                    for (x, time) in times.iter_mut().enumerate() {
                        *time = (clock.time(from + bounded(spread.fraction(x), length)) as i64).clamp(start, end);
                    }
                }
            }
            first = last;
        }
    }

    /// Makes the times of the late events, which are numbered from `first`.
    fn time_late_events(&mut self, first: usize, room: u64, jitter: Key) {
        let spread = Spread::new(jitter, first, self.late.len());
        for (x, &Late { time, event, .. }) in self.late.iter().enumerate() {
            self.numbers[event as usize] = (first + x) as u32;
            self.times[first + x] = time + bounded(spread.fraction(x), room) as i64;
        }
    }
}

/// Where in their stretch some events go: evenly, but for a quarter of a step to either side.
#[derive(Clone, Copy)]
struct Spread {
    jitter: u64,
    step: u64,
}

impl Spread {
    /// For `count` events, the first of them number `first` of its user's.
    #[inline]
    fn new(jitter: Key, first: usize, count: usize) -> Self {
        let jitter = jitter.0.wrapping_add((first as u64 + 1).wrapping_mul(GOLDEN));
        Self { jitter, step: STEPS.get(count).map_or_else(|| ONE / count as u64, |&step| step) }
    }

    /// Of event number x, in units of 2⁻⁶⁴.
    #[inline]
    fn fraction(self, x: usize) -> u64 {
        let x = x as u64;
        let h = self.jitter.wrapping_add(x.wrapping_mul(GOLDEN));
        let v = (h ^ (h >> 32)).wrapping_mul(STIR) >> 32;
        // No product overflows: x is below the number of events, and a step at most 2³² over that.
        ((x << 32) + (1 << 30) + (v >> 1)) * self.step
    }
}
