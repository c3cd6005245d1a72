//! Periods of time, such as weeks: the interactions of a part that are in one have a file of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::encoding::Format;
use super::part_file::{FileSummary, PartFile};
use super::row_group::Stored;
use super::run::{Stage, Target};
use super::sink::{Sink, Temporary};
use crate::error::Error;
use crate::expansion::Interactions;
use crate::threads::Progress;

/// Labels of a file: its period, and how many files of its part and split there are.
const PERIOD: &str = "fractalrs.period";
const FILES: &str = "fractalrs.files";

/// Periods one after the other: each goes from its start to the next one's, the first from the beginning of time.
pub struct Periods {
    starts: Vec<i64>,
    /// What their folders are called.
    folders: Vec<String>,
}

impl Periods {
    pub fn new(starts: Vec<i64>, folders: Vec<String>) -> Result<Self, Error> {
        let rise = starts.windows(2).all(|pair| pair[0] < pair[1]);
        if starts.is_empty() || starts.len() != folders.len() || !rise {
            return Err(Error::Invalid("periods must rise, and each must have a folder".to_owned()));
        }
        Ok(Self { starts, folders })
    }

    fn of(&self, time: i64) -> usize {
        self.starts.partition_point(|&start| start <= time).saturating_sub(1)
    }

    /// Whether a time is in a period.
    fn holds(&self, period: usize, time: i64) -> bool {
        (period == 0 || self.starts[period] <= time) && self.starts.get(period + 1).is_none_or(|&next| time < next)
    }
}

/// The interactions of a part and split by period, each in the order in which they were made.
pub(super) struct ByPeriod<I> {
    target: Target,
    stage: Stage,
    of: BTreeMap<usize, Interactions<I>>,
}

impl<I: Stored> ByPeriod<I> {
    pub(super) fn new(target: Target, stage: Stage) -> Self {
        Self { target, stage, of: BTreeMap::new() }
    }

    /// Takes all interactions over.
    pub(super) fn take(&mut self, made: &mut Interactions<I>, periods: &Periods) {
        let mut row = 0;
        for &(user, count) in &made.users {
            let end = row + count as usize;
            while row < end {
                let period = periods.of(made.times[row]);
                let together = made.times[row..end].iter().take_while(|&&time| periods.holds(period, time)).count();
                self.of.entry(period).or_default().push(user, made, row..row + together);
                row += together;
            }
        }
        made.clear();
    }

    /// Writes a file for every period that occurs; a part without interactions has an empty one, of the first period.
    pub(super) fn finish<U: Stored>(
        mut self,
        format: &Format,
        periods: &Periods,
        progress: &Progress,
    ) -> Result<Vec<(Sink, FileSummary)>, Error> {
        if self.of.is_empty() {
            self.of.insert(0, Interactions::default());
        }
        let (count, mut files) = (self.of.len(), Vec::with_capacity(self.of.len()));
        while let Some((period, mut made)) = self.of.pop_first() {
            progress.advance(0)?;
            let (folder, mut labels) = (&periods.folders[period], self.target.labels.clone());
            labels.push((PERIOD.to_owned(), folder.clone()));
            labels.push((FILES.to_owned(), count.to_string()));
            let path = in_folder(&self.target.path, folder);
            let unwritable = |error| Error::unwritable(&path, error);
            let sink = if self.stage == Stage::Encode {
                Sink::Null
            } else {
                Sink::File(Temporary::create_in_folder(path.clone())?)
            };
            let file = PartFile::<U, I, _>::new(sink, format, &labels).map_err(unwritable)?;
            let (mut sink, summary) = file.finish(&mut made).map_err(unwritable)?;
            // There may be more of them than a process may have open.
            sink.close();
            files.push((sink, FileSummary { folder: Some(folder.clone()), ..summary }));
        }
        Ok(files)
    }
}

/// Where a file is that has a folder of its own in the folder of a path.
fn in_folder(path: &Path, folder: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(folder).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn periods_that_do_not_rise_are_refused() {
        for (starts, folders) in [(vec![], vec![]), (vec![1, 1], vec!["a", "b"]), (vec![1, 2], vec!["a"])] {
            assert!(Periods::new(starts, folders.into_iter().map(str::to_owned).collect()).is_err());
        }
    }

    proptest! {
        #[test]
        fn each_period_has_its_interactions_in_their_order(
            starts in prop::collection::btree_set(-50_i64..50, 1..8),
            runs in prop::collection::vec(prop::collection::vec(-60_i64..60, 1..9), 0..9),
        ) {
            let starts: Vec<i64> = starts.into_iter().collect();
            let periods = Periods::new(starts.clone(), starts.iter().map(ToString::to_string).collect()).unwrap();
            let period = |time: i64| starts.iter().filter(|&&start| start <= time).count().saturating_sub(1);
            let mut made = Interactions::<i32>::default();
            for (user, times) in runs.iter().enumerate() {
                made.users.push((user as u64, times.len() as u32));
                made.items.extend(made.items.len() as i32..(made.items.len() + times.len()) as i32);
                made.times.extend(times);
            }
            let (items, times) = (made.items.clone(), made.times.clone());
            let target = Target { path: PathBuf::new(), labels: Vec::new() };
            let mut divided = ByPeriod::new(target, Stage::Encode);
            divided.take(&mut made, &periods);
            prop_assert!(made.items.is_empty() && made.users.is_empty());
            for (number, found) in &divided.of {
                let mine: Vec<i32> =
                    items.iter().zip(&times).filter(|&(_, &time)| period(time) == *number).map(|(&item, _)| item).collect();
                prop_assert_eq!(&found.items, &mine);
                let counts: u32 = found.users.iter().map(|&(_, count)| count).sum();
                prop_assert_eq!(counts as usize, found.items.len());
                prop_assert!(found.users.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
            prop_assert_eq!(divided.of.values().map(|found| found.items.len()).sum::<usize>(), items.len());
        }
    }
}
