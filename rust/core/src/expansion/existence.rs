//! Existence: which blocks are there at all.

use crate::chance::{Key, Keys};

/// Which blocks exist, where their keep rates are above 0.
#[derive(Clone, Copy, Debug)]
pub struct Existence {
    key: Key,
    /// A block exists when its word is below this; `None`: all do.
    below: Option<u64>,
}

impl Existence {
    #[must_use]
    pub fn new(keys: &Keys, block_keep: f64) -> Self {
        Self { key: keys.exists, below: (block_keep < 1.0).then_some(words_below(block_keep)) }
    }

    #[must_use]
    pub fn has(&self, i: u32, j: u32) -> bool {
        self.below.is_none_or(|below| self.key.child(u64::from(i)).child(u64::from(j)).0 < below)
    }
}

/// How many random words stand for a probability below 1.
pub(super) fn words_below(probability: f64) -> u64 {
    (probability * 18_446_744_073_709_551_616.0) as u64
}
