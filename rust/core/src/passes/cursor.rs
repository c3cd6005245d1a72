//! Users one after the other, wherever their interactions come from.

use std::ops::Range;

use crate::error::Error;
use crate::expansion::Interactions;

/// The interactions of one user.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    pub user: u64,
    pub train: &'r [i64],
    pub test: &'r [i64],
}

/// What takes one row after the other.
pub type Visitor<'v> = dyn FnMut(Row) -> Result<(), Error> + 'v;

/// Interactions of users in their order, one user at a time.
pub trait UserCursor {
    /// Goes on to the next user, the first one at the beginning.
    fn advance(&mut self) -> Result<(), Error>;
    /// The user at hand; none at the end.
    fn user(&self) -> Option<u64>;
    fn items(&self) -> &[i64];
}

/// Puts train and test of each user together.
pub fn merge(mut train: impl UserCursor, mut test: impl UserCursor, each: &mut Visitor) -> Result<(), Error> {
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

/// The users of interactions in memory.
pub struct InteractionsCursor<'i> {
    interactions: &'i Interactions<i64>,
    next: usize,
    range: Range<usize>,
}

impl<'i> InteractionsCursor<'i> {
    pub fn new(interactions: &'i Interactions<i64>) -> Self {
        Self { interactions, next: 0, range: 0..0 }
    }
}

impl UserCursor for InteractionsCursor<'_> {
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
