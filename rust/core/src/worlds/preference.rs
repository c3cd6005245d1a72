//! Preferences: how likely a user likes an item when shown it, by groups of groups and tastes of their own, in integers.

use crate::chance::{Key, Permutation};

/// Dimensions of taste.
pub const DIMENSIONS: usize = 16;
pub type Taste = [i16; DIMENSIONS];

/// The steps of the table of the logistic function: 128 for each unit, up to 16.
const STEPS: usize = 16 * 128;
/// An argument has so many units for each step: 2¹⁶ for one.
const STEP_BITS: u32 = 9;
/// ⌊exp(−1/128) · 2⁶⁴⌋.
const DECAY: u64 = 0xFE01_FEAB_5511_27CB;
/// The mean of the sum of a word's bytes.
const MEAN: i32 = 1_020;

/// The sum of the bytes of a word without its mean: nearly normal, with a standard deviation of 209.02.
#[inline]
fn nearly_normal(word: u64) -> i32 {
    const EVEN: u64 = 0x00FF_00FF_00FF_00FF;
    let pairs = (word & EVEN) + (word >> 8 & EVEN);
    (pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as i32 - MEAN
}

/// The tastes of one side, users or items: a place in a hierarchy of groups, whose tastes add up to each one's own.
pub struct Tastes {
    count: u32,
    places: Key,
    own: Key,
    own_share: i32,
    /// Groups of the last level, and what the groups that each belongs to add up to.
    leaves: u64,
    of_leaves: Vec<[i32; DIMENSIONS]>,
}

impl Tastes {
    /// `shares` say how much each level of groups counts, and at last each member; level l has b^(l + 1) groups.
    pub fn new(count: u32, branching: u32, shares: &[i32], places: Key, groups: Key, own: Key) -> Self {
        let (own_share, levels) = shares.split_last().map_or((0, shares), |(&own, levels)| (own, levels));
        let (mut of_leaves, mut leaves) = (vec![[0; DIMENSIONS]], 1);
        for (level, &share) in (0..).zip(levels) {
            leaves *= u64::from(branching);
            let key = groups.child(level);
            let add = |leaf: u64| {
                let (mut sum, key) = (of_leaves[(leaf / u64::from(branching)) as usize], key.child(leaf));
                for (value, k) in sum.iter_mut().zip(0..) {
                    *value += share * nearly_normal(key.child(k).0);
                }
                sum
            };
            of_leaves = (0..leaves).map(add).collect();
        }
        Self { count, places, own, own_share, leaves, of_leaves }
    }

    /// The group of the last level that one belongs to.
    fn leaf(&self, one: u32) -> u64 {
        let place = Permutation::single_image(self.places, self.count, one);
        u64::from(place) * self.leaves / u64::from(self.count)
    }

    #[must_use]
    pub fn of(&self, one: u32) -> Taste {
        let groups = &self.of_leaves[self.leaf(one) as usize];
        let key = self.own.child(u64::from(one));
        std::array::from_fn(|k| ((groups[k] + self.own_share * nearly_normal(key.child(k as u64).0)) >> 8) as i16)
    }
}

/// A taste stretched along each dimension by a scale of 2⁻⁸.
pub fn stretched(taste: Taste, scales: &[u32; DIMENSIONS]) -> Taste {
    std::array::from_fn(|k| {
        let value = (i32::from(taste[k]) * scales[k] as i32) >> 8;
        value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
    })
}

#[inline]
pub fn agreement(user: &Taste, item: &Taste) -> i32 {
    user.iter().zip(item).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// The logistic function, in integers.
pub struct Logistic {
    /// Its values at 0, −1/128, −2/128, …, in units of 2⁻³².
    falling: Vec<u32>,
}

impl Logistic {
    pub fn new() -> Self {
        let mut power = 1_u128 << 64;
        let falling = (0..=STEPS).map(|_| {
            let value = (power << 32) / ((1 << 64) + power);
            power = (power * u128::from(DECAY)) >> 64;
            value as u32
        });
        Self { falling: falling.collect() }
    }

    /// The value at x / 2¹⁶, in units of 2⁻³².
    #[inline]
    pub fn at(&self, x: i64) -> u32 {
        let far = (x.unsigned_abs()).min(((STEPS as u64) << STEP_BITS) - 1);
        let (step, rest) = ((far >> STEP_BITS) as usize, far & ((1 << STEP_BITS) - 1));
        let (high, low) = (self.falling[step], self.falling[step + 1]);
        let value = high - ((u64::from(high - low) * rest) >> STEP_BITS) as u32;
        if x > 0 { value.wrapping_neg() } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_bytes_are_those_of_each_byte() {
        for number in 0..1_000 {
            let word = Key(7).child(number).0;
            let sum: i32 = word.to_le_bytes().iter().map(|&byte| i32::from(byte)).sum();
            assert_eq!(nearly_normal(word), sum - MEAN);
        }
    }

    #[test]
    fn the_logistic_function_is_near_and_symmetric() {
        let logistic = Logistic::new();
        for x in (-1_000_000..1_000_000_i64).step_by(997) {
            let exact = 1.0 / (1.0 + (-(x as f64) / 65_536.0).exp());
            let value = f64::from(logistic.at(x)) / 4_294_967_296.0;
            assert!((value - exact).abs() < 1e-6, "{x}: {value} for {exact}");
            assert!(x == 0 || logistic.at(x) == logistic.at(-x).wrapping_neg());
        }
    }
}
