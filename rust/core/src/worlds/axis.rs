//! What is shown to a user: different items, each with a probability that is known exactly.
//!
//! Items lie on an axis, each as long as its weight, by falling weight. For n exposures the axis is cut into n strata of
//! equal length, and a point of each shows its item; an item across a border of strata is shown at most once (Deville 1998).

use crate::chance::{Key, bounded};
use crate::error::Error;

/// Weights add up to less than this, so that products with numbers of exposures fit a word.
pub const HEAVIEST: u64 = 1 << 40;
/// So many exposures a user and round has at most.
pub const MOST_EXPOSURES: u32 = 1 << 24;

/// Items by falling weight.
pub struct Axis {
    /// The item of each rank.
    pub order: Vec<u32>,
    /// Where each item begins, and the last one ends.
    sums: Vec<u64>,
    /// Of every stretch of 2^`shift` the rank at its beginning, and one more; empty where none is worth it.
    guide: Vec<u32>,
    shift: u32,
}

/// How likely items are for a number of exposures.
#[derive(Clone, Copy)]
pub struct Shown {
    pub exposures: u32,
    /// The first so many ranks are shown for certain.
    certain: u32,
    /// Of the others: exposures, and the sum of weights.
    strata: u64,
    rest: u64,
}

impl Shown {
    /// The probability that an item of some weight is shown.
    #[inline]
    #[must_use]
    pub fn propensity(&self, weight: u64) -> f64 {
        let part = self.strata * weight;
        if part < self.rest {
            part as f64 / self.rest as f64
        } else if self.exposures == 0 {
            0.0
        } else {
            1.0
        }
    }
}

impl Axis {
    /// An axis of items whose weights, by rank, do not rise.
    pub fn new(order: Vec<u32>, weights: impl Iterator<Item = u64>) -> Result<Self, Error> {
        let mut sums = Vec::with_capacity(order.len() + 1);
        let mut sum = 0_u64;
        sums.push(0);
        for weight in weights {
            sum = sum.saturating_add(weight);
            sums.push(sum);
        }
        if sum >= HEAVIEST {
            return Err(Error::Invalid(format!("the weights of the policy add up to {sum}, which is 2**40 or more")));
        }
        Ok(Self { order, sums, guide: Vec::new(), shift: 0 })
    }

    /// An axis of weights by item.
    pub fn of_weights(weights: &[u64]) -> Result<Self, Error> {
        let mut order: Vec<u32> = (0..weights.len() as u32).collect();
        order.sort_unstable_by_key(|&item| (u64::MAX - weights[item as usize], item));
        let falling: Vec<u64> = order.iter().map(|&item| weights[item as usize]).collect();
        Self::new(order, falling.into_iter())
    }

    /// Makes a guide for those who look up many places.
    #[must_use]
    pub fn guided(mut self) -> Self {
        let (ends, total) = (&self.sums[1..], self.sums[self.order.len()]);
        self.shift = (total / (2 * self.order.len() as u64)).checked_ilog2().unwrap_or(0);
        let mut rank = 0;
        self.guide.extend((0..=(total >> self.shift) + 1).map(|stretch| {
            while ends.get(rank).is_some_and(|&end| end <= stretch << self.shift) {
                rank += 1;
            }
            rank as u32
        }));
        self
    }

    /// The rank of the item at a place.
    #[inline]
    fn rank_at(&self, place: u64) -> usize {
        let (ends, stretch) = (&self.sums[1..], (place >> self.shift) as usize);
        let (low, high) = match self.guide.get(stretch..stretch + 2) {
            Some(near) => (near[0] as usize, near[1] as usize),
            None => (0, ends.len()),
        };
        low + ends[low..high].partition_point(|&end| end <= place)
    }

    #[inline]
    #[must_use]
    pub fn weight(&self, rank: u32) -> u64 {
        self.sums[rank as usize + 1] - self.sums[rank as usize]
    }

    /// How likely items are where so many are shown: in proportion to their weights, and none more than once.
    pub fn shown(&self, exposures: u32) -> Result<Shown, Error> {
        let (count, total) = (self.order.len() as u32, self.sums[self.order.len()]);
        if exposures > count.min(MOST_EXPOSURES) {
            return Err(Error::Invalid(format!("{exposures} exposures are asked for, of {count} items")));
        }
        let fits = |certain: u32| {
            let left = u64::from(exposures - certain);
            certain == exposures || left * self.weight(certain) <= total - self.sums[certain as usize]
        };
        // Once it fits it fits with more of them certain too.
        let (mut certain, mut fitting) = (0, exposures);
        while certain < fitting {
            let middle = certain.midpoint(fitting);
            if fits(middle) {
                fitting = middle;
            } else {
                certain = middle + 1;
            }
        }
        let (strata, rest) = (u64::from(exposures - certain), total - self.sums[certain as usize]);
        if strata > 0 && rest == 0 {
            return Err(Error::Invalid(format!(
                "{exposures} exposures are asked for, and {certain} items have weights"
            )));
        }
        Ok(Shown { exposures, certain, strata, rest })
    }

    /// Draws the ranks that are shown: as many as exposures, each once.
    pub fn draw(&self, shown: &Shown, key: Key, ranks: &mut Vec<u32>) {
        let &Shown { certain, strata, rest, .. } = shown;
        ranks.clear();
        ranks.extend(0..certain);
        if strata == 0 {
            return;
        }
        let (words, borders) = (key.child(0), key.child(1));
        let others = self.order.len() as u64 - u64::from(certain);
        // The axis begins with any item.
        let turn = self.sums[certain as usize + bounded(key.child(2).0, others) as usize];
        let before = self.sums[certain as usize];
        // The item at a place, and how far from it its own end is.
        let found = |place: u64| {
            let mut there = turn + place;
            if there >= before + rest {
                there -= rest;
            }
            let rank = self.rank_at(there);
            (rank as u32, there - self.sums[rank], self.sums[rank + 1] - there)
        };
        let mut last = u32::MAX;
        for stratum in 0..strata {
            let border = stratum * rest;
            let place = border / strata;
            let (across, behind, ahead) = found(place);
            // The parts of the item across the border that lie in the stratum before and in this one.
            let part_of_place = border - place * strata;
            let left = behind * strata + part_of_place;
            let right = if left == 0 { 0 } else { ahead * strata - part_of_place };
            let taken = right > 0 && across != last && bounded(borders.child(stratum).0, rest - left) < right;
            last = if taken {
                across
            } else {
                let point = border + right + bounded(words.child(stratum).0, rest - right);
                found(point / strata).0
            };
            ranks.push(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_guide_leads_where_a_search_does(weights in prop::collection::vec(1_u64..100_000, 1..60), seed: u64) {
            let axis = Axis::of_weights(&weights).expect("light").guided();
            let total: u64 = weights.iter().sum();
            for number in 0..100 {
                let place = bounded(Key(seed).child(number).0, total);
                prop_assert_eq!(axis.rank_at(place), axis.sums[1..].partition_point(|&end| end <= place));
            }
        }
    }

    proptest! {
        #[test]
        fn no_item_is_shown_twice(weights in prop::collection::vec(0_u64..1_000, 2..60), seed: u64, share in 0.0..1.0_f64) {
            let there = weights.iter().filter(|&&weight| weight > 0).count();
            let exposures = (share * there as f64) as u32;
            let axis = Axis::of_weights(&weights).expect("light");
            let shown = axis.shown(exposures).expect("enough items");
            let mut ranks = Vec::new();
            for number in 0..20 {
                axis.draw(&shown, Key(seed).child(number), &mut ranks);
                prop_assert_eq!(ranks.len(), exposures as usize);
                let mut seen = vec![false; weights.len()];
                for &rank in &ranks {
                    prop_assert!(axis.weight(rank) > 0);
                    prop_assert!(!std::mem::replace(&mut seen[rank as usize], true));
                }
            }
        }

        #[test]
        fn propensities_add_up_to_the_exposures(weights in prop::collection::vec(0_u64..1_000, 2..60), share in 0.0..1.0_f64) {
            let there = weights.iter().filter(|&&weight| weight > 0).count();
            let exposures = (share * there as f64) as u32;
            let shown = Axis::of_weights(&weights).expect("light").shown(exposures).expect("enough items");
            let sum: f64 = weights.iter().map(|&weight| shown.propensity(weight)).sum();
            prop_assert!((sum - f64::from(exposures)).abs() < 1e-9);
        }
    }
}
