//! The layout: the entries of the base as blocks read them.
//!
//! Rows stand in the order of user cells, so that users that take each other's place are neighbours in memory; item codes
//! are as narrow as they can be; and where interactions have times, a row is in their order.

use std::ops::Range;

use super::base::{Base, ITEM, Split, TEST, VALID};
use super::mixing::Mixing;
use crate::error::Error;

/// An item code of some width, with a bit that says whether the entry is held out; and where codes are wide another one
/// that says for what.
pub trait Code: Copy + Default + Send + Sync + 'static {
    /// So many items have codes of this type.
    const ITEMS: u32;
    fn new(item: u32, is_test: bool) -> Self;
    /// Of the same item, held out for validation: of wide codes only.
    #[must_use]
    fn to_valid(self) -> Self;
    fn item(self) -> u32;
    /// Whether it is held out, for test or validation.
    fn is_test(self) -> bool;
    fn split(self) -> Split;
    /// Held out where either of them is: to be asked for that alone.
    #[must_use]
    fn or(self, other: Self) -> Self;
    /// This code with another item, which has no bit set that says test.
    #[must_use]
    fn with_item(self, item: Self) -> Self;
}

macro_rules! impl_code {
    ($type:ty, $item_bits:literal, $valid:expr) => {
        impl Code for $type {
            const ITEMS: u32 = 1 << $item_bits;

            #[inline]
            fn new(item: u32, is_test: bool) -> Self {
                item as Self | Self::from(is_test) << (Self::BITS - 1)
            }

            fn to_valid(self) -> Self {
                self | 1 << (Self::BITS - 1) | $valid
            }

            #[inline]
            fn item(self) -> u32 {
                u32::from(self & ((1 << $item_bits) - 1))
            }

            #[inline]
            fn is_test(self) -> bool {
                self >> (Self::BITS - 1) != 0
            }

            #[inline]
            fn split(self) -> Split {
                match (self.is_test(), self & $valid != 0) {
                    (false, _) => Split::Train,
                    (true, false) => Split::Test,
                    (true, true) => Split::Valid,
                }
            }

            #[inline]
            fn or(self, other: Self) -> Self {
                self | other
            }

            #[inline]
            fn with_item(self, item: Self) -> Self {
                (self & !((1 << $item_bits) - 1)) | item
            }
        }
    };
}

impl_code!(u16, 15, 0);
impl_code!(u32, 30, VALID);

/// The codes of all entries.
pub enum Codes {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

pub struct Layout {
    pub codes: Codes,
    /// Where each row begins, and the last one ends.
    starts: Vec<usize>,
    /// Where each entry stands in the base, if anything is carried.
    pub sources: Vec<u32>,
}

/// When the interactions of a base happened.
#[derive(Clone, Copy)]
pub struct Times<'a> {
    /// Of every entry.
    pub times: &'a [i64],
    /// No train interaction of a user may follow its test interactions.
    pub test_is_late: bool,
    /// The number of ticks in an hour, where that is known.
    pub hour: Option<u64>,
    /// Where the base was split by the clock: from when on nothing is train, and from when on everything is test.
    pub cuts: Option<(i64, i64)>,
}

impl<'a> Times<'a> {
    /// Checks that they can be made a timeline of.
    pub fn new(
        base: &Base,
        times: &'a [i64],
        test_is_late: bool,
        hour: Option<u64>,
        cuts: Option<(i64, i64)>,
    ) -> Result<Self, Error> {
        if times.len() != base.len() {
            return refuse_times("there must be one per interaction");
        }
        if times.iter().any(|&time| !(0..1 << 62).contains(&time)) {
            return refuse_times("they must be from 0 to 2**62 - 1");
        }
        if hour.is_some_and(|hour| !(1..=1 << 45).contains(&hour)) {
            return refuse_times("an hour must have from 1 to 2**45 ticks");
        }
        if let Some((first, last)) = cuts {
            let split_at = |time: i64| match (time >= first, time >= last) {
                (false, _) => Split::Train,
                (true, false) => Split::Valid,
                (true, true) => Split::Test,
            };
            let splits = base.entries().iter().map(|&entry| Split::of(entry));
            if !splits.zip(times).all(|(split, &time)| split == split_at(time)) {
                return refuse_times("a train interaction is after the cut, or a test interaction before it");
            }
        }
        Ok(Self { times, test_is_late, hour, cuts })
    }

    #[must_use]
    pub fn is_late(&self, base: &Base, entry: usize) -> bool {
        self.test_is_late && base.entries()[entry] & TEST != 0
    }

    /// What comes before what: train, where others are late, then validation, then test.
    #[must_use]
    pub fn rank(&self, base: &Base, entry: usize) -> Split {
        if self.test_is_late { Split::of(base.entries()[entry]) } else { Split::Train }
    }
}

pub(crate) fn refuse_times<T>(what: &str) -> Result<T, Error> {
    Err(Error::Invalid(format!("the timestamps do not fit the base: {what}")))
}

impl Layout {
    /// Lays a base out, its users in an order that `Cells` has checked; mixed, in that of their cells. Times have to be
    /// carried, and do not go with mixing.
    pub fn new(
        base: &Base,
        users: &[u32],
        carrying: bool,
        times: Option<Times>,
        mixing: Option<Mixing>,
        threads: usize,
    ) -> Result<Self, Error> {
        let carrying = carrying || times.is_some();
        if (carrying || mixing.is_some()) && base.len() >= u32::MAX as usize {
            let what = if carrying { "columns can be carried along" } else { "users can be mixed" };
            return Err(Error::Invalid(format!("{what} with fewer than 2**32 - 1 interactions")));
        }
        if let Some(mixing) = mixing {
            let (mut sources, starts) = mixing.deal(base, threads)?;
            let codes = codes_of(base, users, &sources);
            if !carrying {
                sources = Vec::new();
            }
            return Ok(Self { codes, starts, sources });
        }
        let mut starts = Vec::with_capacity(users.len() + 1);
        starts.push(0);
        starts.extend(users.iter().scan(0, |end, &user| {
            *end += base.row(user).len();
            Some(*end)
        }));
        let mut sources = Vec::new();
        if carrying {
            sources.reserve_exact(base.len());
            for &user in users {
                let start = sources.len();
                sources.extend(base.row(user).map(|entry| entry as u32));
                if let Some(times) = times {
                    // Entries of a row stand by item code.
                    sources[start..].sort_unstable_by_key(|&entry| {
                        let entry = entry as usize;
                        (times.rank(base, entry), times.times[entry], entry)
                    });
                }
            }
        }
        Ok(Self { codes: codes_of(base, users, &sources), starts, sources })
    }

    /// The number of all entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the entries of the user in a slot of the user cells stand.
    #[inline]
    #[must_use]
    pub fn row(&self, slot: u32) -> Range<usize> {
        self.starts[slot as usize]..self.starts[slot as usize + 1]
    }

    /// How many train, validation and test entries the row of each user has, by code; `users` is the order of its rows.
    #[must_use]
    pub fn degrees(&self, users: &[u32]) -> Vec<[u32; 3]> {
        match &self.codes {
            Codes::Narrow(codes) => self.degrees_in(codes, users),
            Codes::Wide(codes) => self.degrees_in(codes, users),
        }
    }

    fn degrees_in<C: Code>(&self, codes: &[C], users: &[u32]) -> Vec<[u32; 3]> {
        let mut degrees = vec![[0; 3]; users.len()];
        for (&user, row) in users.iter().zip(self.starts.windows(2)) {
            for code in &codes[row[0]..row[1]] {
                degrees[user as usize][code.split() as usize] += 1;
            }
        }
        degrees
    }
}

/// The codes of entries in the order of `sources`, or where there are none of the rows of users.
fn codes_of(base: &Base, users: &[u32], sources: &[u32]) -> Codes {
    let has_valid = base.entries().iter().any(|&entry| Split::of(entry) == Split::Valid);
    if base.items() <= u16::ITEMS && !has_valid {
        Codes::Narrow(lay_out(base, users, sources))
    } else {
        Codes::Wide(lay_out(base, users, sources))
    }
}

fn lay_out<C: Code>(base: &Base, users: &[u32], sources: &[u32]) -> Vec<C> {
    let mut codes = Vec::with_capacity(base.len());
    let code = |entry: u32| {
        let code = C::new(entry & ITEM, entry & TEST != 0);
        if Split::of(entry) == Split::Valid { code.to_valid() } else { code }
    };
    if sources.is_empty() {
        for &user in users {
            codes.extend(base.entries()[base.row(user)].iter().map(|&entry| code(entry)));
        }
    } else {
        codes.extend(sources.iter().map(|&source| code(base.entries()[source as usize])));
    }
    codes
}
