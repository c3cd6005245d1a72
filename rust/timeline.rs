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
/// In place of a bucket.
const LATE: u64 = u64::MAX;
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

/// The way from one time to the next: in proportion to people's activity, except within an hour.
struct Stretch<'t> {
    start: i64,
    end: i64,
    /// The clock, and the activity at both ends.
    activity: Option<(&'t Clock, u64, u64)>,
}

impl<'t> Stretch<'t> {
    #[inline]
    fn new(timeline: &'t Timeline, start: i64, end: i64) -> Self {
        let clock = timeline.clock.as_ref().filter(|clock| (end - start) as u64 > clock.hour);
        let activity = clock.map(|clock| (clock, clock.activity(start as u64), clock.activity(end as u64)));
        Self { start, end, activity }
    }

    /// The time after the fraction `f`, in units of 2⁻³².
    #[inline]
    fn at(&self, f: u64) -> i64 {
        match self.activity {
            Some((clock, from, to)) => (clock.time(from + scaled(to - from, f, 32)) as i64).clamp(self.start, self.end),
            None => self.start + scaled((self.end - self.start) as u64, f, 32) as i64,
        }
    }
}

/// The share of the timeline, in units of 2⁻³², that each block of a row block has to itself.
pub fn shares(keep_rates: impl Iterator<Item = f64> + Clone) -> Vec<u64> {
    let weight = |rate: f64| (rate * ONE as f64) as u64;
    let total: u64 = keep_rates.clone().map(weight).sum();
    keep_rates.map(|rate| ((u128::from(weight(rate)) << 32) / u128::from(total)).max(1) as u64).collect()
}

/// An interaction that an expanded user keeps: its entry in the base, the number of its block among those that exist,
/// and its column with the test bit.
#[derive(Clone, Copy)]
pub struct Event {
    pub entry: u32,
    pub block: u32,
    pub item: u32,
}

/// Arranges the interactions of one expanded user after the other.
#[derive(Default)]
pub struct Schedule {
    /// What the user keeps, to be arranged.
    pub events: Vec<Event>,
    /// Where the share of each block begins for the user at hand.
    begins: Vec<u64>,
    /// The bucket that each event is moved to, and its place; and the events that are late.
    moved: Vec<u64>,
    late: Vec<u32>,
    /// The events bucket by bucket, place before number; and where buckets end.
    stretches: Vec<u64>,
    ends: Vec<u32>,
    /// There are 2^finer buckets in every stretch of the timeline, so that an event or two go into each.
    finer: u32,
    /// The events in the order of time, or another; and their times, in this order.
    pub order: Vec<u32>,
    pub times: Vec<i64>,
}

impl Schedule {
    /// Puts the events into the order of a key, as they are collected where it is equal. Times, if there are any, follow.
    pub fn arrange_by<K: Ord>(&mut self, key: impl Fn(&Event) -> K) {
        let mut times = vec![0; self.times.len()];
        for (&event, &time) in self.order.iter().zip(&self.times) {
            times[event as usize] = time;
        }
        self.order.clear();
        self.order.extend(0..self.events.len() as u32);
        self.order.sort_by_key(|&event| key(&self.events[event as usize]));
        if !times.is_empty() {
            self.times.clear();
            self.times.extend(self.order.iter().map(|&event| times[event as usize]));
        }
    }

    /// Gives the events of an expanded user their times. `key` belongs to the expanded user, `user` is its source.
    pub fn arrange(&mut self, timeline: &Timeline, base: &Base, key: Key, user: u32, shares: &[u64]) {
        self.order.clear();
        self.times.clear();
        let row = base.row(user);
        let count = timeline.counts[user as usize] as usize;
        let (times, floors) = (&timeline.times[row.clone()], &timeline.floors[row]);
        self.draw_shares(key.child(0), shares);
        self.move_events(timeline, &floors[..count], shares);
        let jitter = key.child(1);
        let after = end_of(timeline, times, count);
        let arranged = self.stretches.len();
        self.order.resize(arranged, 0);
        self.times.resize(arranged, 0);
        let mut first = 0;
        for place in 0..count {
            let end = self.ends[((place + 1) << self.finer) - 1] as usize;
            if first == end {
                continue;
            }
            let next = if place + 1 < count { times[place + 1] } else { after.start };
            let way = Stretch::new(timeline, times[place], next);
            let step = STEPS.get(end - first).map_or_else(|| ONE / (end - first) as u64, |&step| step);
            let made = self.order[first..end].iter_mut().zip(&mut self.times[first..end]);
            for (number, (&event, (order, time))) in self.stretches[first..end].iter().zip(made).enumerate() {
                *order = event as u32;
                *time = way.at(spread(jitter, first + number, number, step));
            }
            first = end;
        }
        if !self.late.is_empty() {
            let Self { events, begins, late, .. } = self;
            let place = |event: Event| timeline.places[event.entry as usize];
            late.sort_unstable_by_key(|&number| {
                let event = events[number as usize];
                (times[place(event) as usize], begins[event.block as usize], event.block, place(event))
            });
            let step = ONE / late.len() as u64;
            for (number, &event) in late.iter().enumerate() {
                let f = spread(jitter, self.times.len(), number, step);
                let time = times[place(events[event as usize]) as usize];
                self.times.push(time + scaled(after.room, f, 32) as i64);
                self.order.push(event);
            }
        }
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

    /// Moves every event along the timeline, and sorts them into its stretches.
    fn move_events(&mut self, timeline: &Timeline, floors: &[u32], shares: &[u64]) {
        let count = floors.len() as u64;
        self.late.clear();
        self.finer = (self.events.len() as u64 / count.max(1)).max(1).ilog2().min(16);
        let shift = 32 - self.finer;
        self.ends.clear();
        self.ends.resize((floors.len() << self.finer) + 1, 0);
        let step = ONE / (2 * count.max(1));
        let reach = (3 * count).div_ceil(8);
        self.moved.clear();
        let (mut block, mut begin, mut share) = (u32::MAX, 0, 0);
        for (number, event) in self.events.iter().enumerate() {
            let place = u64::from(timeline.places[event.entry as usize]);
            if event.block != block {
                block = event.block;
                (begin, share) = (self.begins[block as usize], shares[block as usize]);
            }
            let Some(&floor) = floors.get(place as usize) else {
                self.late.push(number as u32);
                self.moved.push(LATE);
                continue;
            };
            // No product overflows: shares are at most 2³², and parts are below.
            let within = (share * ((2 * place + 1) * step)) >> 32;
            let speed = (begin + within).min(ONE - 1);
            let earliest = u64::from(floor).max(place.saturating_sub(reach));
            let latest = count.min(place + reach);
            let bucket = ((earliest << 32) + speed * (latest - earliest)) >> shift;
            self.ends[bucket as usize + 1] += 1;
            self.moved.push(bucket << 32 | place);
        }
        let mut end = 0;
        for start in &mut self.ends {
            end += *start;
            *start = end;
        }
        self.stretches.clear();
        self.stretches.resize(self.moved.len() - self.late.len(), 0);
        let (mut block, mut of_block) = (u32::MAX, 0);
        for (number, (&moved, event)) in self.moved.iter().zip(&self.events).enumerate() {
            if moved == LATE {
                continue;
            }
            if event.block != block {
                (block, of_block) = (event.block, number as u32);
            }
            let arranged = moved << 32 | number as u64;
            let end = &mut self.ends[(moved >> 32) as usize];
            let mut slot = *end as usize;
            *end += 1;
            // Blocks come one after the other, but a block's events by item: of one bucket, the later place comes last.
            // A slot that is not taken yet has number 0.
            while slot > 0 && self.stretches[slot - 1] as u32 >= of_block && self.stretches[slot - 1] > arranged {
                self.stretches[slot] = self.stretches[slot - 1];
                slot -= 1;
            }
            self.stretches[slot] = arranged;
        }
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
