//! Users one after the other, wherever their interactions come from.

use std::ops::Range;

use crate::base::Split;
use crate::error::Error;
use crate::expansion::Interactions;

/// The interactions of one user.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    pub user: u64,
    pub train: &'r [i64],
    pub valid: &'r [i64],
    pub test: &'r [i64],
}

impl<'r> Row<'r> {
    /// The items of a split.
    pub fn of(&self, split: Split) -> &'r [i64] {
        match split {
            Split::Train => self.train,
            Split::Valid => self.valid,
            Split::Test => self.test,
        }
    }

    /// The items of all splits, one after the other.
    pub fn all(&self) -> impl Iterator<Item = i64> + use<'r> {
        self.train.iter().chain(self.valid).chain(self.test).copied()
    }

    pub fn len(&self) -> usize {
        self.train.len() + self.valid.len() + self.test.len()
    }
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

/// Puts the splits of each user together.
pub fn merge<C: UserCursor>(mut splits: [C; 3], each: &mut Visitor) -> Result<(), Error> {
    splits.iter_mut().try_for_each(UserCursor::advance)?;
    while let Some(user) = splits.iter().filter_map(UserCursor::user).min() {
        let [train, valid, test] =
            splits.each_ref().map(|split| if split.user() == Some(user) { split.items() } else { &[] });
        each(Row { user, train, valid, test })?;
        for split in splits.iter_mut().filter(|split| split.user() == Some(user)) {
            split.advance()?;
        }
    }
    Ok(())
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
