//! The rows of a matrix, user by user, wherever they come from: a base, an expansion, or the files written of it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cache::RowCache;
use super::cursor::{InteractionsCursor, Row, Visitor, merge};
use super::far::Opener;
use super::files::FileCursor;
use crate::base::{Base, ITEM, Split};
use crate::error::Error;
use crate::expansion::{Expansion, Interactions, Splits};
use crate::threads::{Progress, on_threads};
use crate::tiles::{Tiler, Wanted};

/// A matrix that can be gone through in pieces.
pub struct StreamedMatrix<'a> {
    pub users: u64,
    pub items: u64,
    /// About how many interactions there are.
    pub interactions: u64,
    /// Ranges of users that can be visited alone.
    pub pieces: &'a [Range<u64>],
    pub source: Source<'a>,
    /// What keeps rows that were visited; none where each is visited once, or is in memory.
    pub cache: Option<&'a RowCache>,
}

/// Where rows come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    Base(Base<'a>),
    /// They are generated while they are visited.
    Expansion(&'a Expansion),
    /// For each piece its files of each split: none, one, or one of each period; and what opens them, where they are not
    /// on this machine.
    Files(&'a [[Vec<PathBuf>; 3]], Option<&'a Opener<'a>>),
}

/// How a pass may use the machine.
#[derive(Clone, Copy)]
pub struct Workers<'p> {
    pub threads: usize,
    /// How many bytes of dense sums there may be at a time, of all threads together; there is always room for one sum.
    pub memory: usize,
    pub progress: &'p Progress,
}

impl Workers<'_> {
    /// How many states of so many bytes there may be, one a thread.
    pub(super) fn states(&self, bytes: usize) -> usize {
        self.threads.min(self.memory / bytes.max(1)).max(1)
    }
}

/// What one thread visits pieces with.
pub(super) type Reader<'r> = Box<dyn FnMut(usize, &mut Visitor) -> Result<(), Error> + 'r>;

impl StreamedMatrix<'_> {
    /// A reader visits the users of a piece that have interactions, in the order in which they are stored.
    pub(super) fn reader(&self) -> Reader<'_> {
        let mut read = self.source_reader();
        let Some(cache) = self.cache else { return read };
        Box::new(move |piece, each| {
            if let Some(outcome) = cache.visit(piece, each) {
                return outcome;
            }
            let mut recorder = cache.record();
            read(piece, &mut |row| {
                recorder.push(row);
                each(row)
            })?;
            recorder.keep(piece);
            Ok(())
        })
    }

    fn source_reader(&self) -> Reader<'_> {
        match self.source {
            Source::Base(base) => {
                let mut splits: [Vec<i64>; 3] = Default::default();
                Box::new(move |piece, each| {
                    for user in self.pieces[piece].clone() {
                        splits.iter_mut().for_each(Vec::clear);
                        for &entry in &base.entries()[base.row(user as u32)] {
                            splits[Split::of(entry) as usize].push(i64::from(entry & ITEM));
                        }
                        let [train, valid, test] = &splits;
                        let row = Row { user, train, valid, test };
                        if row.len() > 0 {
                            each(row)?;
                        }
                    }
                    Ok(())
                })
            }
            Source::Expansion(expansion) => {
                // Pieces of one row block share its tables.
                let mut tiler = Tiler::new(expansion, Wanted::Ids);
                let mut made = Splits::default();
                Box::new(move |piece, each| {
                    let users = &self.pieces[piece];
                    tiler.expand(users.clone(), users, &mut made, |made| {
                        merge(made.each_ref().map(InteractionsCursor::new), each)?;
                        made.iter_mut().for_each(Interactions::clear);
                        Ok(())
                    })
                })
            }
            Source::Files(files, opener) => Box::new(move |piece, each| {
                let open = |split: Split| match files[piece][split as usize].as_slice() {
                    [] => FileCursor::open(None, None),
                    [file] => FileCursor::open(Some(file), opener),
                    several => FileCursor::gather(several, opener),
                };
                merge([open(Split::Train)?, open(Split::Valid)?, open(Split::Test)?], each)
            }),
        }
    }

    /// Refuses a row that is not within the matrix, for passes that rely on it.
    pub(super) fn check(&self, row: Row) -> Result<(), Error> {
        // A count looks at many items at a time. What is negative is too large as well.
        let outside = |items: &[i64]| items.iter().filter(|&&item| item as u64 >= self.items).count() > 0;
        if row.user >= self.users || [row.train, row.valid, row.test].into_iter().any(outside) {
            return Err(Error::Invalid(format!("user {} has an id out of range", row.user as i64)));
        }
        Ok(())
    }
}

/// Visits a piece and counts what was done.
pub(super) fn visit(reader: &mut Reader, piece: usize, progress: &Progress, each: &mut Visitor) -> Result<(), Error> {
    let mut uncounted = 0;
    reader(piece, &mut |row| {
        uncounted += row.len();
        if uncounted > 1 << 16 {
            progress.advance(std::mem::take(&mut uncounted))?;
        }
        each(row)
    })?;
    progress.advance(uncounted)?;
    progress.parts.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Goes through all rows on some threads. Each thread has a state of its own of about so many bytes, made by `new`; all
/// states are returned. Which thread takes which piece is left to chance.
pub(super) fn fold<S: Send>(
    matrix: &StreamedMatrix,
    workers: &Workers,
    state_bytes: usize,
    new: impl Fn() -> S + Sync,
    each: impl Fn(&mut S, usize, Row) -> Result<(), Error> + Sync,
) -> Result<Vec<S>, Error> {
    let next = AtomicUsize::new(0);
    let threads = workers.states(state_bytes).min(matrix.pieces.len()).max(1);
    on_threads(threads, workers.progress, || {
        let (mut state, mut reader) = (new(), matrix.reader());
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= matrix.pieces.len() {
                return Ok(state);
            }
            visit(&mut reader, piece, workers.progress, &mut |row| each(&mut state, piece, row))?;
        }
    })
}
