//! Rows of an expanded matrix, user by user, wherever they come from: a base, an expansion, or the files written of it.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::{Base, TEST};
use crate::error::Error;
use crate::expansion::{Expansion, Interactions};
use crate::threads::{Progress, on_threads};
use crate::tiles::Tiler;

/// The interactions of one user.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    pub user: u64,
    pub train: &'r [i64],
    pub test: &'r [i64],
}

/// What takes one row after the other.
pub type Visitor<'v> = dyn FnMut(Row) -> Result<(), Error> + 'v;

/// A matrix that can be gone through in pieces.
pub trait Rows: Sync {
    fn users(&self) -> u64;
    fn items(&self) -> u64;
    /// Ranges of users that can be visited alone.
    fn pieces(&self) -> &[Range<u64>];
    /// Visits the users of a piece that have interactions, in the order in which they are stored.
    fn visit(&self, piece: usize, each: &mut Visitor) -> Result<(), Error>;
}

/// Goes through all rows on some threads. Each thread has a state of its own, made by `new`; all states are returned.
pub fn fold<S: Send>(
    rows: &dyn Rows,
    threads: usize,
    progress: &Progress,
    new: impl Fn() -> S + Sync,
    each: impl Fn(&mut S, usize, Row) -> Result<(), Error> + Sync,
) -> Result<Vec<S>, Error> {
    let next = AtomicUsize::new(0);
    on_threads(threads.min(rows.pieces().len()).max(1), progress, || {
        let mut state = new();
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= rows.pieces().len() {
                return Ok(state);
            }
            let mut untold = 0;
            rows.visit(piece, &mut |row| {
                untold += row.train.len() + row.test.len();
                if untold > 1 << 16 {
                    progress.advance(std::mem::take(&mut untold))?;
                }
                each(&mut state, piece, row)
            })?;
            progress.advance(untold)?;
            progress.parts.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// Refuses a row that is not within the matrix, for passes that rely on it.
pub fn check(rows: &dyn Rows, row: Row) -> Result<(), Error> {
    let items = rows.items() as i64;
    if row.user >= rows.users() || row.train.iter().chain(row.test).any(|item| !(0..items).contains(item)) {
        return Err(Error::Invalid(format!("user {} has an id out of range", row.user as i64)));
    }
    Ok(())
}

/// Interactions of users in their order, one user at a time.
pub trait Runs {
    /// Goes on to the next user, the first one at the beginning.
    fn advance(&mut self) -> Result<(), Error>;
    /// The user at hand; none at the end.
    fn user(&self) -> Option<u64>;
    fn items(&self) -> &[i64];
}

/// Puts train and test of each user together.
pub fn merge(mut train: impl Runs, mut test: impl Runs, each: &mut Visitor) -> Result<(), Error> {
    train.advance()?;
    test.advance()?;
    loop {
        let user = match (train.user(), test.user()) {
            (Some(one), Some(other)) => one.min(other),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return Ok(()),
        };
        let (of_train, of_test) = (train.user() == Some(user), test.user() == Some(user));
        each(Row {
            user,
            train: if of_train { train.items() } else { &[] },
            test: if of_test { test.items() } else { &[] },
        })?;
        if of_train {
            train.advance()?;
        }
        if of_test {
            test.advance()?;
        }
    }
}

/// The runs of interactions in memory.
struct Made<'i> {
    interactions: &'i Interactions<i64>,
    next: usize,
    range: Range<usize>,
}

impl<'i> Made<'i> {
    fn new(interactions: &'i Interactions<i64>) -> Self {
        Self { interactions, next: 0, range: 0..0 }
    }
}

impl Runs for Made<'_> {
    fn advance(&mut self) -> Result<(), Error> {
        let count = self.interactions.users.get(self.next).map_or(0, |&(_, count)| count as usize);
        self.range = self.range.end..self.range.end + count;
        self.next += 1;
        Ok(())
    }

    fn user(&self) -> Option<u64> {
        self.interactions.users.get(self.next - 1).map(|&(user, _)| user)
    }

    fn items(&self) -> &[i64] {
        &self.interactions.items[self.range.clone()]
    }
}

/// The rows of a base itself.
pub struct BaseRows<'a> {
    pub base: Base<'a>,
    pub pieces: &'a [Range<u64>],
}

impl Rows for BaseRows<'_> {
    fn users(&self) -> u64 {
        u64::from(self.base.users())
    }

    fn items(&self) -> u64 {
        u64::from(self.base.items())
    }

    fn pieces(&self) -> &[Range<u64>] {
        self.pieces
    }

    fn visit(&self, piece: usize, each: &mut Visitor) -> Result<(), Error> {
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for user in self.pieces[piece].clone() {
            train.clear();
            test.clear();
            for &entry in &self.base.entries()[self.base.row(user as u32)] {
                let items = if entry & TEST == 0 { &mut train } else { &mut test };
                items.push(i64::from(entry & !TEST));
            }
            if !(train.is_empty() && test.is_empty()) {
                each(Row { user, train: &train, test: &test })?;
            }
        }
        Ok(())
    }
}

/// The rows of an expansion, generated while they are visited.
pub struct ExpandedRows<'a> {
    pub expansion: &'a Expansion,
    pub pieces: &'a [Range<u64>],
}

impl Rows for ExpandedRows<'_> {
    fn users(&self) -> u64 {
        self.expansion.users()
    }

    fn items(&self) -> u64 {
        self.expansion.items()
    }

    fn pieces(&self) -> &[Range<u64>] {
        self.pieces
    }

    fn visit(&self, piece: usize, each: &mut Visitor) -> Result<(), Error> {
        let (mut train, mut test) = (Interactions::default(), Interactions::default());
        Tiler::new(self.expansion).expand(self.pieces[piece].clone(), &mut train, &mut test, |train, test| {
            merge(Made::new(train), Made::new(test), each)?;
            train.clear();
            test.clear();
            Ok(())
        })
    }
}
