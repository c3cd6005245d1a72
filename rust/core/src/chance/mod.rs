//! Chance: keyed randomness, and permutations that can be evaluated at one point.

mod permutation;
mod random;
mod shuffling;

pub use permutation::{Permutation, WidePermutation};
pub(crate) use random::{GOLDEN, STIR};
pub use random::{Key, Keys, bounded};
pub use shuffling::Shuffling;
