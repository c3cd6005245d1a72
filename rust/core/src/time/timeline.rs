//! Timelines: the times of source users' interactions, and what an expanded user may know of them, as
//! `docs/generator.md` defines it.

use std::ops::Range;

use super::clock::{Clock, HOURS};
use crate::base::{Base, ITEM, Layout, Split, Times, refuse_times};
use crate::error::Error;
use crate::memory::{prefetch, prefetch_all};

const DAYS: u64 = 7;
/// Row blocks share so many shifts: with more the bursts of source users would average out.
const SHIFTS: u32 = 4;
/// They are spread over so much of all time, one part of 20; of a short time over 8 weeks, but not more than a third.
const SHARE: u64 = 20;
const FEW_WEEKS: u64 = 8;
const LARGEST_SHARE: u64 = 3;

/// The times of all entries, in the order of the layout.
pub struct Timeline {
    /// Per row: how many of its entries are not late, and of the late ones, which come after them, how many are for
    /// validation: these come first.
    counts: Vec<(u32, u32)>,
    times: Vec<i64>,
    /// Per entry that is not late: the place in its row before which it may not come.
    floors: Vec<u32>,
    clock: Option<Clock>,
    /// From when on nothing is train, and from when on everything is test.
    cuts: Option<(i64, i64)>,
    shifts: Shifts,
}

/// By how many weeks the clocks of row blocks may be shifted.
#[derive(Clone, Copy)]
struct Shifts {
    /// When data begin.
    begin: i64,
    /// Ticks of a week; of seven, which are the days of dates, where it is not known how many an hour has.
    week: u64,
    weeks: u64,
    count: u32,
}

impl Shifts {
    /// Of entries that are not late there are those from `begin` to `end`, if any.
    fn new(hour: Option<u64>, (begin, end): (i64, i64), row_blocks: u32) -> Self {
        let week = hour.map_or(DAYS, |hour| HOURS as u64 * hour);
        let whole = end.saturating_sub(begin).max(0) as u64 / week;
        let weeks = whole.div_ceil(SHARE).max(whole.div_ceil(LARGEST_SHARE).min(FEW_WEEKS)).max(1);
        Self { begin, week, weeks, count: SHIFTS.min(row_blocks) }
    }

    /// The shift of a row block by its turn, where there is only so much room.
    fn ticks(&self, turn: u32, room: u64) -> i64 {
        let weeks = self.weeks.min(room / self.week + 1);
        (u64::from(turn % self.count) * weeks / u64::from(self.count) * self.week) as i64
    }
}

impl Timeline {
    /// `layout` is that of the base and the times.
    pub fn new(base: &Base, layout: &Layout, times: Times, row_blocks: u32) -> Result<Self, Error> {
        let item = |entry: usize| (base.entries()[entry] & ITEM) as usize;
        let on_time = || times.times.iter().enumerate().filter(|&(entry, _)| !times.is_late(base, entry));
        let mut first = vec![i64::MAX; base.items() as usize];
        // Of what was held out, train tells nothing.
        for (entry, &time) in on_time() {
            first[item(entry)] = first[item(entry)].min(time);
        }
        let span = on_time().fold((i64::MAX, 0), |(begin, end), (_, &time)| (begin.min(time), end.max(time)));
        let clock = times.hour.map(|hour| Clock::new(hour, on_time().map(|(_, &time)| time)));
        let mut new = Self {
            counts: Vec::with_capacity(base.users() as usize),
            times: layout.sources.iter().map(|&entry| times.times[entry as usize]).collect(),
            floors: Vec::with_capacity(base.len()),
            clock,
            cuts: times.cuts,
            shifts: Shifts::new(times.hour, span, row_blocks),
        };
        for slot in 0..base.users() {
            let row = layout.row(slot);
            let (sources, times_of_row) = (&layout.sources[row.clone()], &new.times[row]);
            let rank = |&entry: &u32| times.rank(base, entry as usize);
            let count = sources.partition_point(|entry| rank(entry) == Split::Train);
            let valid = sources.partition_point(|entry| rank(entry) < Split::Test) - count;
            for late in [count, count + valid] {
                if 0 < late && late < sources.len() && times_of_row[late] < times_of_row[late - 1] {
                    return refuse_times("a test interaction comes before a train interaction of its user");
                }
            }
            let (mut latest_first, mut floor) = (0, 0);
            new.floors.extend(sources[..count].iter().map(|&entry| {
                latest_first = latest_first.max(first[item(entry as usize)]);
                while times_of_row[floor] < latest_first {
                    floor += 1;
                }
                floor as u32
            }));
            new.floors.resize(new.floors.len() + sources.len() - count, 0);
            new.counts.push((count as u32, valid as u32));
        }
        Ok(new)
    }

    /// Asks for what is known of a row of the layout, ahead of its use.
    pub fn prefetch(&self, slot: u32, row: Range<usize>) {
        prefetch(&self.counts[slot as usize]);
        prefetch_all(&self.floors[row.clone()]);
        prefetch_all(&self.times[row]);
    }

    /// The timeline of one source user, by its slot and its row in the layout.
    #[must_use]
    pub fn row(&self, slot: u32, row: Range<usize>) -> RowTimeline<'_> {
        let (count, valid) = self.counts[slot as usize];
        let count = count as usize;
        let (times, late) = self.times[row.clone()].split_at(count);
        RowTimeline {
            first: row.start as u32,
            times,
            late,
            valid,
            floors: &self.floors[row][..count],
            clock: self.clock.as_ref(),
            cuts: self.cuts,
            shifts: self.shifts,
        }
    }
}

/// The timeline of one source user.
pub struct RowTimeline<'t> {
    /// Where the entry at place 0 stands in the layout.
    pub first: u32,
    /// By place: the times of entries that are not late, then those of the others.
    pub times: &'t [i64],
    pub late: &'t [i64],
    /// How many of the others are for validation; they come first.
    pub valid: u32,
    pub floors: &'t [u32],
    pub clock: Option<&'t Clock>,
    pub cuts: Option<(i64, i64)>,
    shifts: Shifts,
}

impl RowTimeline<'_> {
    /// From when to when the stretch from a place goes; the last one until `end`.
    #[inline]
    #[must_use]
    pub fn stretch(&self, place: usize, end: i64) -> (i64, i64) {
        (self.times[place], self.times.get(place + 1).copied().unwrap_or(end))
    }

    /// When the last stretch ends, and for how long late events follow their entry.
    #[must_use]
    pub fn end(&self) -> (i64, u64) {
        let day = self.clock.map_or(u64::MAX, |clock| 24 * clock.hour());
        let Some(&last) = self.times.last() else {
            // Of users who come after the cut the late events are all there are.
            return (0, if self.cuts.is_some() { mean_gap(self.late).unwrap_or(0).min(day) } else { 0 });
        };
        let gap = self.late.first().map(|&late| (late - last) as u64);
        let mean = mean_gap(self.times);
        let reach = match (self.cuts, gap) {
            // Nothing of train may follow; but when the late ones come is not for train to tell.
            (Some((cut, _)), _) => ((cut - 1 - last) as u64).min(mean.unwrap_or(day)).min(day),
            (None, Some(gap)) => gap.min(mean.unwrap_or(day)),
            (None, None) => mean.unwrap_or(0).min(day),
        };
        (last + reach as i64, gap.map_or(0, |gap| gap.min(day)))
    }

    /// By how much events of each split are shifted in the row block of a turn. Where there are cuts none is crossed;
    /// `end` is that of the last stretch.
    #[must_use]
    pub fn shifts(&self, turn: u32, end: i64) -> [i64; 3] {
        // Where data begin nobody is put forward: they would begin with a hole.
        let first = self.times.first().or(self.late.first()).copied().unwrap_or(0);
        let lead = first.saturating_sub(self.shifts.begin).max(0) as u64 / LARGEST_SHARE;
        let Some((cut, test_cut)) = self.cuts else { return [self.shifts.ticks(turn, lead); 3] };
        let last_valid = self.late[..self.valid as usize].last().copied().unwrap_or(test_cut - 1);
        let rooms = [cut - 1 - end, test_cut - 1 - last_valid, i64::MAX];
        rooms.map(|room| self.shifts.ticks(turn, lead.min(room.max(0) as u64)))
    }

    /// When late events for validation end.
    #[must_use]
    pub fn end_of_valid(&self) -> i64 {
        self.cuts.map_or(i64::MAX, |(_, cut)| cut - 1)
    }
}

/// The mean gap between times that rise, if there are two.
fn mean_gap(times: &[i64]) -> Option<u64> {
    let &[first, .., last] = times else { return None };
    Some((last - first) as u64 / (times.len() as u64 - 1))
}
