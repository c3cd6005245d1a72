//! Timelines: the times of source users' interactions, and what an expanded user may know of them, as
//! `docs/generator.md` defines it.

use std::ops::Range;

use super::clock::Clock;
use crate::base::{Base, Layout, TEST, Times, refuse_times};
use crate::error::Error;
use crate::memory::{prefetch, prefetch_all};

/// The times of all entries, in the order of the layout.
pub struct Timeline {
    /// Per row: how many of its entries are not late. The late ones come after them.
    counts: Vec<u32>,
    times: Vec<i64>,
    /// Per entry that is not late: the place in its row before which it may not come.
    floors: Vec<u32>,
    clock: Option<Clock>,
    /// From this time on nothing is train.
    cut: Option<i64>,
}

impl Timeline {
    /// `layout` is that of the base and the times.
    pub fn new(base: &Base, layout: &Layout, times: Times) -> Result<Self, Error> {
        let item = |entry: usize| (base.entries()[entry] & !TEST) as usize;
        let on_time = || times.times.iter().enumerate().filter(|&(entry, _)| !times.is_late(base, entry));
        let mut first = vec![i64::MAX; base.items() as usize];
        // Of what was held out, train tells nothing.
        for (entry, &time) in on_time() {
            first[item(entry)] = first[item(entry)].min(time);
        }
        let clock = times.hour.map(|hour| Clock::new(hour, on_time().map(|(_, &time)| time)));
        let mut new = Self {
            counts: Vec::with_capacity(base.users() as usize),
            times: layout.sources.iter().map(|&entry| times.times[entry as usize]).collect(),
            floors: Vec::with_capacity(base.len()),
            clock,
            cut: times.cut,
        };
        for slot in 0..base.users() {
            let row = layout.row(slot);
            let (sources, times_of_row) = (&layout.sources[row.clone()], &new.times[row]);
            let count = sources.partition_point(|&entry| !times.is_late(base, entry as usize));
            if 0 < count && count < sources.len() && times_of_row[count] < times_of_row[count - 1] {
                return refuse_times("a test interaction comes before a train interaction of its user");
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
            new.counts.push(count as u32);
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
        let count = self.counts[slot as usize] as usize;
        let (times, late) = self.times[row.clone()].split_at(count);
        RowTimeline {
            first: row.start as u32,
            times,
            late,
            floors: &self.floors[row][..count],
            clock: self.clock.as_ref(),
            cut: self.cut,
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
    pub floors: &'t [u32],
    pub clock: Option<&'t Clock>,
    pub cut: Option<i64>,
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
        let &[first, .., last] = self.times else {
            // One stands at both ends.
            let Some(&only) = self.times.first() else { return (0, 0) };
            let room = self.late.first().map_or(0, |&late| (late - only) as u64).min(day);
            let gap = self.cut.map_or(room, |cut| ((cut - 1 - only) as u64).min(day));
            return (only + gap as i64, room);
        };
        let mean_gap = (last - first) as u64 / (self.times.len() as u64 - 1);
        if let Some(cut) = self.cut {
            let gap = ((cut - 1 - last) as u64).min(mean_gap).min(day);
            return (last + gap as i64, self.late.first().map_or(0, |&late| (late - last) as u64).min(day));
        }
        match self.late.first() {
            // Nothing of train may follow; but when the late ones come is not for train to tell.
            Some(&late) => {
                let gap = (late - last) as u64;
                (last + gap.min(mean_gap) as i64, gap.min(day))
            }
            None => (last + mean_gap.min(day) as i64, 0),
        }
    }
}
