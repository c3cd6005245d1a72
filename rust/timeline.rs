//! Time: when the interactions of an expanded user happen, as `docs/generator.md` defines it.
//!
//! A source user's interactions in their order are its timeline. Every column block goes through it at a pace of its own:
//! what it keeps is moved along the timeline, never out of order, never before the item's first appearance.

use std::ops::Range;

use crate::base::{Base, TEST};
use crate::error::Error;
use crate::permutation::Permutation;
use crate::prefetch::prefetch_all;
use crate::random::Key;

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
/// In place of an activity, where the clock makes no difference.
const EVEN: u64 = u64::MAX;
const HOURS: usize = 168;
/// Rates are in units of 2⁻¹² of the mean rate, from 1/64 to 64 times that.
const RATE_BITS: u32 = 12;
const LEAST_RATE: u64 = 1 << (RATE_BITS - 6);
const LARGEST_RATE: u64 = 1 << (RATE_BITS + 6);

/// How active people are in each hour of the week, and what time it is when they have done so much.
struct Clock {
    hour: u64,
    rates: [u64; HOURS],
    /// The activity before each hour of the week, and that of a whole week.
    before: [u64; HOURS + 1],
}

impl Clock {
    fn new(hour: u64, times: impl Iterator<Item = i64>) -> Self {
        let (mut counts, mut total) = ([0_u64; HOURS], 0);
        for time in times {
            counts[(time as u64 / hour % HOURS as u64) as usize] += 1;
            total += 1;
        }
        let scale = HOURS as u64 * (1 << RATE_BITS);
        let rates = counts.map(|count| (count * scale / total.max(1)).clamp(LEAST_RATE, LARGEST_RATE));
        let mut before = [0; HOURS + 1];
        for (number, rate) in rates.iter().enumerate() {
            before[number + 1] = before[number] + scaled(hour, *rate, RATE_BITS);
        }
        Self { hour, rates, before }
    }

    /// The activity up to a time.
    fn activity(&self, time: u64) -> u64 {
        let (hours, rest) = (time / self.hour, time % self.hour);
        let (week, hour) = (hours / HOURS as u64, (hours % HOURS as u64) as usize);
        week * self.before[HOURS] + self.before[hour] + scaled(rest, self.rates[hour], RATE_BITS)
    }

    /// The time at which there has been that much activity.
    fn time(&self, activity: u64) -> u64 {
        let (week, rest) = (activity / self.before[HOURS], activity % self.before[HOURS]);
        let hour = self.before.partition_point(|&before| before <= rest) - 1;
        let back = (1 << (2 * RATE_BITS)) / self.rates[hour];
        let rest = scaled(rest - self.before[hour], back, RATE_BITS).min(self.hour - 1);
        (week * HOURS as u64 + hour as u64) * self.hour + rest
    }
}

/// ⌊x·y / 2^bits⌋.
#[inline]
fn scaled(x: u64, y: u64, bits: u32) -> u64 {
    ((u128::from(x) * u128::from(y)) >> bits) as u64
}

/// The times of all entries of the base, user by user.
pub struct Timeline {
    /// Per entry: its place in the timeline of its user. Late entries come after all others.
    places: Vec<u32>,
    /// Per user: how many of its entries are not late.
    counts: Vec<u32>,
    /// By user and place, as the rows of the base: the time, and the place before which it may not come.
    times: Vec<i64>,
    floors: Vec<u32>,
    clock: Option<Clock>,
}

impl Timeline {
    /// `times` has the time of every entry. With `test_is_late` no train interaction of a user may follow its test
    /// interactions. `hour` is the number of ticks in an hour, where that is known.
    pub fn new(base: &Base, times: &[i64], test_is_late: bool, hour: Option<u64>) -> Result<Self, Error> {
        let refuse = |what: &str| Err(Error::Invalid(format!("the timestamps do not fit the base: {what}")));
        if times.len() != base.len() || times.len() >= u32::MAX as usize {
            return refuse("there must be one per interaction, and fewer than 2**32 - 1");
        }
        if times.iter().any(|&time| !(0..1 << 62).contains(&time)) {
            return refuse("they must be from 0 to 2**62 - 1");
        }
        if hour.is_some_and(|hour| !(1..=1 << 45).contains(&hour)) {
            return refuse("an hour must have from 1 to 2**45 ticks");
        }
        let is_late = |entry: usize| test_is_late && base.entries()[entry] & TEST != 0;
        let item = |entry: usize| (base.entries()[entry] & !TEST) as usize;
        let mut first = vec![i64::MAX; base.items() as usize];
        // Of what was held out, train tells nothing.
        for (entry, &time) in times.iter().enumerate().filter(|&(entry, _)| !is_late(entry)) {
            first[item(entry)] = first[item(entry)].min(time);
        }
        let clock = hour.map(|hour| {
            let known = times.iter().enumerate().filter(|&(entry, _)| !is_late(entry));
            Clock::new(hour, known.map(|(_, &time)| time))
        });
        let mut new = Self {
            places: vec![0; times.len()],
            counts: Vec::with_capacity(base.users() as usize),
            times: Vec::with_capacity(times.len()),
            floors: Vec::with_capacity(times.len()),
            clock,
        };
        let mut order: Vec<usize> = Vec::new();
        for user in 0..base.users() {
            let row = base.row(user);
            order.clear();
            order.extend(row.clone());
            // Entries of a row stand by item code.
            order.sort_unstable_by_key(|&entry| (is_late(entry), times[entry], entry));
            let count = order.partition_point(|&entry| !is_late(entry));
            if 0 < count && count < order.len() && times[order[count]] < times[order[count - 1]] {
                return refuse("a test interaction comes before a train interaction of its user");
            }
            let (mut latest_first, mut floor) = (0, 0);
            for (place, &entry) in order.iter().enumerate() {
                latest_first = if place < count { latest_first.max(first[item(entry)]) } else { 0 };
                while times[order[floor]] < latest_first {
                    floor += 1;
                }
                new.places[entry] = place as u32;
                new.times.push(times[entry]);
                new.floors.push(floor as u32);
            }
            new.counts.push(count as u32);
        }
        Ok(new)
    }

    /// Asks for what is known of a row of the base, ahead of its use.
    pub fn prefetch(&self, row: Range<usize>) {
        prefetch_all(&self.places[row.clone()]);
        prefetch_all(&self.floors[row.clone()]);
        prefetch_all(&self.times[row]);
    }
}

/// The way from one time of a timeline to the next, and what goes there.
struct Stretch {
    start: i64,
    /// People's activity at its start, and how much there is of it; within an hour `EVEN`, and how much time there is.
    from: u64,
    length: u64,
    /// The number of its first event, and the step from one to the next, in units of 2⁻³² of its length.
    first: usize,
    step: u64,
}

impl Stretch {
    fn new(clock: Option<&Clock>, start: i64, end: i64, events: Range<usize>) -> Self {
        let mut new = Self { start, from: EVEN, length: (end - start) as u64, first: events.start, step: 0 };
        if !events.is_empty() {
            new.step = STEPS.get(events.len()).map_or_else(|| ONE / events.len() as u64, |&step| step);
            if let Some(clock) = clock.filter(|clock| new.length > clock.hour) {
                new.from = clock.activity(start as u64);
                new.length = clock.activity(end as u64) - new.from;
            }
        }
        new
    }
}

/// The share of the timeline, in units of 2⁻³², that each block of a row block has to itself.
pub fn shares(keep_rates: impl Iterator<Item = f64> + Clone) -> Vec<u64> {
    let weight = |rate: f64| (rate * ONE as f64) as u64;
    let total: u64 = keep_rates.clone().map(weight).sum();
    keep_rates.map(|rate| ((u128::from(weight(rate)) << 32) / u128::from(total)).max(1) as u64).collect()
}

/// An interaction that an expanded user keeps: its column with the test bit, its entry in the base, and the number of its
/// block among those that exist.
#[derive(Clone, Copy, Default)]
pub struct Event {
    pub item: u32,
    pub entry: u32,
    pub block: u32,
    /// The bucket it is moved to, then the stretch of the timeline.
    pub at: u32,
}

/// How an entry's events may move along the timeline.
#[derive(Clone, Copy)]
struct Move {
    /// How much of the timeline is before it, in units of 2⁻³².
    part: u32,
    /// Where it may go at the earliest, and in how many places: those of late entries come after all others.
    earliest: u32,
    range: u32,
}

/// Arranges the interactions of one expanded user after the other.
#[derive(Default)]
pub struct Schedule {
    /// What the user keeps, block by block; then as arranged, with times.
    pub events: Vec<Event>,
    pub times: Vec<i64>,
    /// Where the share of each block begins for the user at hand.
    begins: Vec<u64>,
    /// By entry of the source user's row.
    moves: Vec<Move>,
    /// By place in its timeline; then its end.
    stretches: Vec<Stretch>,
    /// After a 0, where each bucket of arranged events ends.
    ends: Vec<u32>,
    /// Where events are sorted to, before they change places with `events`.
    arranged: Vec<Event>,
}

impl Schedule {
    /// Puts the events into the order of a key, as they are arranged where it is equal. Times, if there are any, follow.
    pub fn arrange_by<K: Ord>(&mut self, key: impl Fn(&Event) -> K) {
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        order.sort_by_key(|&number| key(&self.events[number]));
        self.events = order.iter().map(|&number| self.events[number]).collect();
        if !self.times.is_empty() {
            self.times = order.iter().map(|&number| self.times[number]).collect();
        }
    }

    /// Gives the events of an expanded user their times, and puts them into this order. `key` belongs to the expanded
    /// user, `user` is its source.
    pub fn arrange(&mut self, timeline: &Timeline, base: &Base, key: Key, user: u32, shares: &[u64]) {
        let row = base.row(user);
        let count = timeline.counts[user as usize];
        // There are 2^finer buckets in every stretch of the timeline, so that an event or two go into each.
        let finer = (self.events.len() as u32 / count.max(1)).max(1).ilog2().min(16);
        let clock = timeline.clock.as_ref();
        let after = end_of(timeline, &timeline.times[row.clone()], count as usize);
        self.draw_shares(key.child(0), shares);
        self.prepare_moves(timeline, row.clone(), count);
        self.move_events(row.start, count, finer, shares);
        let late = self.sort_events(row.start, count, finer);
        self.fill_stretches(clock, &timeline.times[row.clone()][..count as usize], after.start, finer);
        let jitter = key.child(1);
        let Self { times, begins, arranged, .. } = self;
        let stretches = self.stretches.as_slice();
        times.clear();
        times.extend(arranged[..late].iter().enumerate().map(|(number, event)| {
            let &Stretch { start, from, length, first, step } = &stretches[event.at as usize];
            let further = scaled(length, spread(jitter, number, number - first, step), 32);
            match clock {
                Some(clock) if from != EVEN => {
                    (clock.time(from + further) as i64).clamp(start, stretches[event.at as usize + 1].start)
                }
                _ => start + further as i64,
            }
        }));
        let arranged_late = &mut arranged[late..];
        if !arranged_late.is_empty() {
            let place = |event: &Event| timeline.places[event.entry as usize];
            let time = |event: &Event| timeline.times[row.start + place(event) as usize];
            arranged_late
                .sort_by_cached_key(|event| (time(event), begins[event.block as usize], event.block, place(event)));
            let step = ONE / arranged_late.len() as u64;
            times.extend(arranged_late.iter().enumerate().map(|(number, event)| {
                time(event) + scaled(after.room, spread(jitter, late + number, number, step), 32) as i64
            }));
        }
        std::mem::swap(&mut self.events, &mut self.arranged);
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

    /// Finds out once what many events of an entry of the source user will need.
    fn prepare_moves(&mut self, timeline: &Timeline, row: Range<usize>, count: u32) {
        let step = ONE / (2 * u64::from(count.max(1)));
        let reach = (3 * u64::from(count)).div_ceil(8) as u32;
        let floors = &timeline.floors[row.clone()];
        self.moves.clear();
        self.moves.extend(timeline.places[row].iter().map(|&place| {
            if place >= count {
                return Move { part: 0, earliest: count, range: 0 };
            }
            let earliest = floors[place as usize].max(place.saturating_sub(reach));
            let part = ((2 * u64::from(place) + 1) * step) as u32;
            Move { part, earliest, range: count.min(place + reach) - earliest }
        }));
    }

    /// Moves every event along the timeline, into a bucket, and counts those of each.
    fn move_events(&mut self, row_start: usize, count: u32, finer: u32, shares: &[u64]) {
        // Late events have a bucket of their own, the last one.
        self.ends.clear();
        self.ends.resize(((count as usize) << finer) + 3, 0);
        let shift = 32 - finer;
        let (moves, begins, ends) = (self.moves.as_slice(), self.begins.as_slice(), self.ends.as_mut_slice());
        let (mut block, mut begin, mut share) = (u32::MAX, 0, 0);
        for event in &mut self.events {
            if event.block != block {
                block = event.block;
                (begin, share) = (begins[block as usize], shares[block as usize]);
            }
            let allowed = moves[event.entry as usize - row_start];
            // No product overflows: shares are at most 2³², and parts are below.
            let within = (share * u64::from(allowed.part)) >> 32;
            let speed = (begin + within).min(ONE - 1);
            event.at = (((u64::from(allowed.earliest) << 32) + speed * u64::from(allowed.range)) >> shift) as u32;
            ends[event.at as usize + 2] += 1;
        }
        let mut end = 0;
        for start in ends {
            end += *start;
            *start = end;
        }
    }

    /// Sorts the events by bucket, block and place, and says how many are not late.
    fn sort_events(&mut self, row_start: usize, count: u32, finer: u32) -> usize {
        self.arranged.resize(self.events.len(), Event::default());
        let (events, moves) = (self.events.as_slice(), self.moves.as_slice());
        let (ends, arranged) = (self.ends.as_mut_slice(), self.arranged.as_mut_slice());
        for event in events {
            let slot = &mut ends[event.at as usize + 1];
            arranged[*slot as usize] = Event { at: event.at >> finer, ..*event };
            *slot += 1;
        }
        let late = ends[(count as usize) << finer] as usize;
        // Blocks came one after the other, but a block's events by item: in one bucket some may be the wrong way round.
        let is_before = |event: &Event, other: &Event| {
            let part = |event: &Event| moves[event.entry as usize - row_start].part;
            event.block == other.block && part(event) < part(other)
        };
        for number in 1..late {
            let mut slot = number;
            while slot > 0 && is_before(&arranged[slot], &arranged[slot - 1]) {
                arranged.swap(slot, slot - 1);
                slot -= 1;
            }
        }
        late
    }

    /// Tells the stretches from each time to the next, the last one to `end`, what is between.
    fn fill_stretches(&mut self, clock: Option<&Clock>, times: &[i64], end: i64, finer: u32) {
        let Self { stretches, ends, .. } = self;
        stretches.clear();
        let mut first = 0;
        stretches.extend(times.iter().enumerate().map(|(place, &start)| {
            let events = first..ends[(place + 1) << finer] as usize;
            first = events.end;
            Stretch::new(clock, start, times.get(place + 1).copied().unwrap_or(end), events)
        }));
        stretches.push(Stretch::new(None, end, end, first..first));
    }
}

/// Where in its cell the event of a number goes: evenly, but for a quarter of a step to either side.
fn spread(jitter: Key, drawn: usize, number: usize, step: u64) -> u64 {
    let word = jitter.child(drawn as u64).0 & (ONE - 1);
    // No product overflows: a step is at most 2³².
    number as u64 * step + ((((1 << 30) + (word >> 1)) * step) >> 32)
}

/// When the timeline ends, and for how long late events follow.
struct After {
    start: i64,
    room: u64,
}

fn end_of(timeline: &Timeline, times: &[i64], count: usize) -> After {
    let day = timeline.clock.as_ref().map_or(u64::MAX, |clock| 24 * clock.hour);
    let Some(&last) = times[..count].last() else { return After { start: 0, room: 0 } };
    let mean_gap = (last - times[0]) as u64 / (count as u64 - 1).max(1);
    match times.get(count) {
        // Nothing of train may follow; but when the late ones come is not for train to tell.
        Some(&late) => {
            let gap = (late - last) as u64;
            After { start: last + gap.min(if count > 1 { mean_gap } else { day }) as i64, room: gap.min(day) }
        }
        None => After { start: last + mean_gap.min(day) as i64, room: 0 },
    }
}
