//! A job: parts made on threads of its own, each written under a temporary name, flushed and renamed.

use std::cmp::Reverse;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::encoding::Format;
use super::part_file::{FileSummary, PartFile};
use super::row_group::Stored;
use super::sharing::{Hand, Sharing, Task};
use super::sink::{Sink, Temporary};
use crate::error::Error;
use crate::expansion::{Expansion, Interactions};
use crate::for_id_types;
use crate::threads::{Progress, on_threads};
use crate::tiles::{Ranges, Tiler, Wanted, range_interactions};

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
    pub train: Option<Target>,
    pub test: Option<Target>,
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

/// What is known of a part when it is done. A file without target has no summary.
#[derive(Clone, Debug)]
pub struct PartSummary {
    pub index: u64,
    pub train: Option<FileSummary>,
    pub test: Option<FileSummary>,
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
    // Those of most users first: of as many interactions they take the longest.
    let mut parts: Vec<&Part> = parts.iter().collect();
    parts.sort_by_key(|part| Reverse(part.users.end - part.users.start));
    let most = range_interactions(expansion, Wanted::All);
    let ranges = parts.iter().map(|part| Ranges::new(expansion, part.users.clone(), most).collect());
    let ranges: Vec<Vec<Range<u64>>> = ranges.collect();
    let counts: Vec<usize> = ranges.iter().map(Vec::len).collect();
    let job = Job { parts: &parts, ranges: &ranges, format, stage, progress };
    let (sharing, tiler) = (Sharing::new(&counts, threads), Tiler::new(expansion, Wanted::All));
    thread::scope(|scope| {
        // Few files wait for the disk at a time, so that generation cannot run away from it.
        let (to_disk, finished) = mpsc::sync_channel(threads);
        let publisher = scope.spawn(move || publish(&finished, stage, progress));
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
    format: &'r Format<'r>,
    stage: Stage,
    progress: &'r Progress,
}

/// What a range, or what is left of a part, holds: train and test interactions.
type Both<I> = [Interactions<I>; 2];

impl Job<'_> {
    /// One thread's share of a job; returns the time spent generating and encoding.
    fn work<U: Stored, I: Stored>(
        self,
        sharing: &Sharing<Both<I>>,
        mut tiler: Tiler,
        to_disk: &SyncSender<Finished>,
    ) -> Result<(Duration, Duration), Error> {
        let Self { parts, ranges, progress, .. } = self;
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
                    let [mut of_train, mut of_test] = std::mem::take(&mut files.held);
                    let mut held = of_train.items.len() + of_test.items.len();
                    let (users, all) = (ranges[part][range].clone(), &parts[part].users);
                    tiler.expand(users, all, &mut of_train, &mut of_test, |of_train, of_test| {
                        let generated = Instant::now();
                        generating += generated - mark;
                        progress.advance(of_train.items.len() + of_test.items.len() - held)?;
                        files.write(of_train, of_test)?;
                        held = of_train.items.len() + of_test.items.len();
                        mark = Instant::now();
                        encoding += mark - generated;
                        Ok(())
                    })?;
                    files.held = [of_train, of_test];
                }
                Task::Take { made, .. } => {
                    own.as_mut().ok_or_else(no_part)?.take(&made)?;
                    encoding += mark.elapsed();
                }
                Task::Ahead { part, range } => {
                    let [mut of_train, mut of_test] = Both::<I>::default();
                    let (users, all) = (ranges[part][range].clone(), &parts[part].users);
                    tiler.expand(users, all, &mut of_train, &mut of_test, |_, _| progress.advance(0))?;
                    progress.advance(of_train.items.len() + of_test.items.len())?;
                    sharing.hand_over(part, range, [of_train, of_test]);
                    generating += mark.elapsed();
                }
                Task::Finish { part } => {
                    let finished = own.take().ok_or_else(no_part)?.finish(parts[part].index)?;
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
    train: Split<'f, U, I>,
    test: Split<'f, U, I>,
    held: Both<I>,
}

impl<'f, U: Stored, I: Stored> Files<'f, U, I> {
    fn open(part: &Part, format: &'f Format<'f>, stage: Stage) -> Result<Self, Error> {
        let split = |target: &Option<Target>| Split::open(target.as_ref(), format, stage);
        Ok(Self { train: split(&part.train)?, test: split(&part.test)?, held: Both::default() })
    }

    fn write(&mut self, of_train: &mut Interactions<I>, of_test: &mut Interactions<I>) -> Result<(), Error> {
        self.train.write(of_train)?;
        self.test.write(of_test)
    }

    /// Adds what was made elsewhere.
    fn take(&mut self, made: &Both<I>) -> Result<(), Error> {
        let [of_train, of_test] = &mut self.held;
        of_train.append(&made[0]);
        of_test.append(&made[1]);
        self.train.write(of_train)?;
        self.test.write(of_test)
    }

    fn finish(self, index: u64) -> Result<Finished, Error> {
        let [mut of_train, mut of_test] = self.held;
        Ok(Finished { index, train: self.train.finish(&mut of_train)?, test: self.test.finish(&mut of_test)? })
    }
}

/// Where one part's interactions of one split go.
enum Split<'f, U: Stored, I: Stored> {
    Dropped,
    File { path: PathBuf, file: Box<PartFile<'f, U, I, Sink>> },
}

impl<'f, U: Stored, I: Stored> Split<'f, U, I> {
    fn open(target: Option<&Target>, format: &'f Format<'f>, stage: Stage) -> Result<Self, Error> {
        let Some(target) = target.filter(|_| stage != Stage::Generate) else { return Ok(Self::Dropped) };
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
        }
    }

    fn finish(self, interactions: &mut Interactions<I>) -> Result<Option<(Sink, FileSummary)>, Error> {
        match self {
            Self::Dropped => Ok(None),
            Self::File { path, file } => {
                file.finish(interactions).map(Some).map_err(|error| Error::unwritable(&path, error))
            }
        }
    }
}

/// A part whose files are written but do not have their names yet.
struct Finished {
    index: u64,
    train: Option<(Sink, FileSummary)>,
    test: Option<(Sink, FileSummary)>,
}

/// Flushes finished files and gives them their names, beside the generating threads.
fn publish(finished: &Receiver<Finished>, stage: Stage, progress: &Progress) -> Result<Vec<PartSummary>, Error> {
    let publish_part = |part: Finished| {
        if progress.cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let (train, test) = (part.train.unzip(), part.test.unzip());
        let sinks = [train.0, test.0];
        if stage == Stage::Flush {
            sinks.iter().flatten().try_for_each(Sink::flush_to_disk)?;
        }
        sinks.into_iter().flatten().try_for_each(Sink::publish)?;
        progress.parts.fetch_add(1, Ordering::Relaxed);
        Ok(PartSummary { index: part.index, train: train.1, test: test.1 })
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
