//! Curves over ranks: integers at knots, and straight lines between them.

use serde::Deserialize;

use crate::error::Error;

/// A function of the ranks from 0 to the last knot's.
#[derive(Clone, Debug, Deserialize)]
pub struct Curve {
    /// They rise from 0.
    ranks: Vec<u64>,
    values: Vec<i64>,
}

impl Curve {
    /// Refuses what is no curve over so many ranks with values in a range.
    pub fn check(&self, what: &str, count: u64, least: i64, most: i64) -> Result<(), Error> {
        let rises = self.ranks.windows(2).all(|pair| pair[0] < pair[1]);
        let spans = self.ranks.first() == Some(&0) && self.ranks.last() == Some(&count);
        if !rises || !spans || self.ranks.len() != self.values.len() {
            return Err(Error::Invalid(format!("the knots of {what} do not rise from 0 to {count}")));
        }
        match self.values.iter().find(|value| !(least..=most).contains(value)) {
            Some(value) => Err(Error::Invalid(format!("{what} is {value} somewhere; it must be {least} to {most}"))),
            None => Ok(()),
        }
    }

    #[must_use]
    pub fn rises(&self) -> bool {
        self.values.windows(2).all(|pair| pair[0] <= pair[1])
    }

    #[must_use]
    pub fn falls(&self) -> bool {
        self.values.windows(2).all(|pair| pair[0] >= pair[1])
    }

    /// No value of a rank is more than so much above that of the rank before.
    #[must_use]
    pub fn steepest(&self) -> i64 {
        let lines = self.ranks.windows(2).zip(self.values.windows(2));
        let steps = lines.map(|(ranks, values)| {
            let (width, height) = (i128::from(ranks[1] - ranks[0]), i128::from(values[1]) - i128::from(values[0]));
            -(-height).div_euclid(width)
        });
        steps.max().map_or(0, |most| i64::try_from(most).unwrap_or(i64::MAX))
    }

    /// The value at a rank, rounded down.
    #[must_use]
    pub fn at(&self, rank: u64) -> i64 {
        let next = self.ranks.partition_point(|&knot| knot <= rank);
        if next == self.ranks.len() {
            return self.values.last().copied().unwrap_or(0);
        }
        let (start, end) = (self.ranks[next - 1], self.ranks[next]);
        let (low, high) = (i128::from(self.values[next - 1]), i128::from(self.values[next]));
        (low + ((high - low) * i128::from(rank - start)).div_euclid(i128::from(end - start))) as i64
    }
}
