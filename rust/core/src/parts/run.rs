//! A job: parts made on threads of its own, each written under a temporary name, flushed and renamed.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::encoding::Format;
use super::part_file::{FileSummary, PartFile};
use super::periods::{ByPeriod, Periods};
use super::row_group::Stored;
use super::sharing::{Hand, Sharing, Task};
use super::sink::{Sink, Temporary};
use crate::base::Split;
use crate::error::Error;
use crate::expansion::{Expansion, Interactions, Splits, count_all};
use crate::for_id_types;
use crate::threads::{Progress, on_threads};
use crate::tiles::{Ranges, Tiler, Wanted};

/// A file of a part: where it goes, and what its own metadata says.
#[derive(Clone, Debug)]
pub struct Target {
    pub path: PathBuf,
    pub labels: Vec<(String, String)>,
}

/// A part to make. A file that is finished already has no target.
#[derive(Clone, Debug)]
pub struct Part {
    pub index: u64,
    pub users: Range<u64>,
    /// Of each split.
    pub targets: [Option<Target>; 3],
}

/// How far a job goes: the later stages can be left out to time the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Make interactions and drop them.
    Generate,
    /// Encode and digest them too, and drop the bytes.
    Encode,
    /// Write files, without waiting for the disk.
    Write,
    /// Write files and flush them to the disk before they get their names.
    Flush,
}

/// What is known of a part when it is done. What has no target has no summary.
#[derive(Clone, Debug)]
pub struct PartSummary {
    pub index: u64,
    /// Of each split: a file, or one of each period that occurs.
    pub files: [Vec<FileSummary>; 3],
}

/// The parts of a job in their order, and the time its threads spent in each step.
#[derive(Debug)]
pub struct JobSummary {
    pub parts: Vec<PartSummary>,
    pub generating: Duration,
    pub encoding: Duration,
}

/// Makes the parts on `threads` threads and returns when all of them are done, or at the first error.
pub fn run(
    expansion: &Expansion,
    parts: &[Part],
    format: &Format,
    stage: Stage,
    threads: usize,
    progress: &Progress,
) -> Result<JobSummary, Error> {
    for_id_types!(expansion, run_with(expansion, parts, format, stage, threads, progress))
}

fn run_with<U: Stored, I: Stored>(
    expansion: &Expansion,
    parts: &[Part],
    format: &Format,
    stage: Stage,
    threads: usize,
    progress: &Progress,
) -> Result<JobSummary, Error> {
    // Those of a row block one after the other: its tables are made once.
    let mut parts: Vec<&Part> = parts.iter().collect();
    parts.sort_by_key(|part| part.users.start);
    let ranges = parts.iter().map(|part| Ranges::of_tiles(expansion, part.users.clone(), Wanted::All).collect());
    let ranges: Vec<Vec<Range<u64>>> = ranges.collect();
    let counts: Vec<usize> = ranges.iter().map(Vec::len).collect();
    let first = parts.first().map_or(0, |part| part.users.start);
    let all = first..parts.iter().map(|part| part.users.end).max().unwrap_or(first);
    let job = Job { parts: &parts, ranges: &ranges, all: &all, format, stage, progress };
    let (sharing, tiler) = (Sharing::new(&counts, threads), Tiler::new(expansion, Wanted::All));
    thread::scope(|scope| {
        // Few files wait for the disk at a time, so that generation cannot run away from it.
        let (to_disk, finished) = mpsc::sync_channel(threads);
        let publisher = thread::Builder::new().spawn_scoped(scope, move || publish(&finished, stage, progress));
        let publisher = publisher.map_err(|error| Error::NoThread(error.to_string()))?;
        let times = on_threads(threads, progress, || job.work::<U, I>(&sharing, tiler.sharing(), &to_disk));
        drop(to_disk);
        let summaries = publisher.join().unwrap_or(Err(Error::Panicked));
        let times = match times {
            // What stopped the workers may be the publisher's failure.
            Err(Error::Cancelled) => return Err(summaries.err().unwrap_or(Error::Cancelled)),
            times => times?,
        };
        let mut parts = summaries?;
        parts.sort_by_key(|part| part.index);
        let generating = times.iter().map(|&(generating, _)| generating).sum();
        let encoding = times.iter().map(|&(_, encoding)| encoding).sum();
        Ok(JobSummary { parts, generating, encoding })
    })
}

/// What the threads of a job have in common.
#[derive(Clone, Copy)]
struct Job<'r> {
    parts: &'r [&'r Part],
    ranges: &'r [Vec<Range<u64>>],
    /// From the first user of all parts to the last.
    all: &'r Range<u64>,
    format: &'r Format<'r>,
    stage: Stage,
    progress: &'r Progress,
}

impl Job<'_> {
    /// One thread's share of a job; returns the time spent generating and encoding.
    fn work<U: Stored, I: Stored>(
        self,
        sharing: &Sharing<Splits<I>>,
        mut tiler: Tiler,
        to_disk: &SyncSender<Finished>,
    ) -> Result<(Duration, Duration), Error> {
        let Self { parts, ranges, all, progress, .. } = self;
        let (mut generating, mut encoding) = (Duration::ZERO, Duration::ZERO);
        let (mut hand, mut own) = (Hand::default(), None);
        let no_part = || Error::Invalid("a range is added to no part".into());
        loop {
            let task = sharing.next(&mut hand, progress)?;
            let mut mark = Instant::now();
            match task {
                Task::Open { part } => own = Some(Files::<U, I>::open(parts[part], self.format, self.stage)?),
                Task::Add { part, range } => {
                    let files = own.as_mut().ok_or_else(no_part)?;
                    let mut made = std::mem::take(&mut files.held);
                    let mut held = count_all(&made);
                    tiler.expand(ranges[part][range].clone(), all, &mut made, |made| {
                        let generated = Instant::now();
                        generating += generated - mark;
                        progress.advance(count_all(made) - held)?;
                        files.write(made)?;
                        held = count_all(made);
                        mark = Instant::now();
                        encoding += mark - generated;
                        Ok(())
                    })?;
                    files.held = made;
                }
                Task::Take { made, .. } => {
                    own.as_mut().ok_or_else(no_part)?.take(&made)?;
                    encoding += mark.elapsed();
                }
                Task::Ahead { part, range } => {
                    let mut made = Splits::<I>::default();
                    tiler.expand(ranges[part][range].clone(), all, &mut made, |_| progress.advance(0))?;
                    progress.advance(count_all(&made))?;
                    sharing.hand_over(part, range, made);
                    generating += mark.elapsed();
                }
                Task::Finish { part } => {
                    let finished = own.take().ok_or_else(no_part)?.finish(parts[part].index, progress)?;
                    encoding += mark.elapsed();
                    if to_disk.send(finished).is_err() {
                        return Err(Error::Cancelled);
                    }
                }
                Task::Stop => return Ok((generating, encoding)),
            }
        }
    }
}

/// The files of the part that a thread owns, and the interactions that do not fill a row group yet.
struct Files<'f, U: Stored, I: Stored> {
    files: [OfSplit<'f, U, I>; 3],
    held: Splits<I>,
}

impl<'f, U: Stored, I: Stored> Files<'f, U, I> {
    fn open(part: &Part, format: &'f Format<'f>, stage: Stage) -> Result<Self, Error> {
        let open = |split: Split| OfSplit::open(part.targets[split as usize].as_ref(), format, stage);
        Ok(Self { files: [open(Split::Train)?, open(Split::Valid)?, open(Split::Test)?], held: Splits::default() })
    }

    fn write(&mut self, made: &mut Splits<I>) -> Result<(), Error> {
        self.files.iter_mut().zip(made).try_for_each(|(file, made)| file.write(made))
    }

    /// Adds what was made elsewhere.
    fn take(&mut self, made: &Splits<I>) -> Result<(), Error> {
        let Self { files, held } = self;
        files.iter_mut().zip(held).zip(made).try_for_each(|((file, held), made)| {
            held.append(made);
            file.write(held)
        })
    }

    fn finish(self, index: u64, progress: &Progress) -> Result<Finished, Error> {
        let Self { files: [train, valid, test], held: [mut of_train, mut of_valid, mut of_test] } = self;
        let files = [
            train.finish(&mut of_train, progress)?,
            valid.finish(&mut of_valid, progress)?,
            test.finish(&mut of_test, progress)?,
        ];
        Ok(Finished { index, files })
    }
}

/// Where one part's interactions of one split go.
enum OfSplit<'f, U: Stored, I: Stored> {
    Dropped,
    File { path: PathBuf, file: Box<PartFile<'f, U, I, Sink>> },
    ByPeriod { made: ByPeriod<I>, format: &'f Format<'f>, periods: &'f Periods },
}

impl<'f, U: Stored, I: Stored> OfSplit<'f, U, I> {
    fn open(target: Option<&Target>, format: &'f Format<'f>, stage: Stage) -> Result<Self, Error> {
        let Some(target) = target.filter(|_| stage != Stage::Generate) else { return Ok(Self::Dropped) };
        if let Some(periods) = format.periods {
            return Ok(Self::ByPeriod { made: ByPeriod::new(target.clone(), stage), format, periods });
        }
        let sink =
            if stage == Stage::Encode { Sink::Null } else { Sink::File(Temporary::create(target.path.clone())?) };
        let path = target.path.clone();
        match PartFile::new(sink, format, &target.labels) {
            Ok(file) => Ok(Self::File { path, file: Box::new(file) }),
            Err(error) => Err(Error::unwritable(&path, error)),
        }
    }

    fn write(&mut self, interactions: &mut Interactions<I>) -> Result<(), Error> {
        match self {
            Self::Dropped => {
                interactions.clear();
                Ok(())
            }
            Self::File { path, file } => file.write(interactions).map_err(|error| Error::unwritable(path, error)),
            Self::ByPeriod { made, periods, .. } => {
                made.take(interactions, periods);
                Ok(())
            }
        }
    }

    fn finish(
        mut self,
        interactions: &mut Interactions<I>,
        progress: &Progress,
    ) -> Result<Vec<(Sink, FileSummary)>, Error> {
        self.write(interactions)?;
        match self {
            Self::Dropped => Ok(Vec::new()),
            Self::File { path, file } => {
                let made = file.finish(interactions).map_err(|error| Error::unwritable(&path, error))?;
                Ok(vec![made])
            }
            Self::ByPeriod { made, format, periods } => made.finish::<U>(format, periods, progress),
        }
    }
}

/// A part whose files are written but do not have their names yet.
struct Finished {
    index: u64,
    files: [Vec<(Sink, FileSummary)>; 3],
}

/// Flushes finished files and gives them their names, beside the generating threads.
fn publish(finished: &Receiver<Finished>, stage: Stage, progress: &Progress) -> Result<Vec<PartSummary>, Error> {
    let publish_part = |part: Finished| {
        if progress.cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let mut sinks = Vec::new();
        let files = part.files.map(|files| {
            let (of_files, summaries): (Vec<_>, Vec<_>) = files.into_iter().unzip();
            sinks.extend(of_files);
            summaries
        });
        if stage == Stage::Flush {
            sinks.iter().try_for_each(Sink::flush_to_disk)?;
        }
        sinks.into_iter().try_for_each(Sink::publish)?;
        progress.parts.fetch_add(1, Ordering::Relaxed);
        Ok(PartSummary { index: part.index, files })
    };
    // Every part is taken from the channel, even after a failure: no worker waits for a publisher that is gone.
    let mut outcome = Ok(Vec::new());
    for part in finished {
        match (publish_part(part), &mut outcome) {
            (Ok(summary), Ok(summaries)) => summaries.push(summary),
            (Err(error), Ok(_)) => {
                progress.cancel.store(true, Ordering::Relaxed);
                outcome = Err(error);
            }
            (_, Err(_)) => {}
        }
    }
    outcome
}
