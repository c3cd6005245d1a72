//! Keyed randomness: every random word is a function of where it is used, never of what was drawn before.

/// The step of `SplitMix64`, and what its mixing multiplies by first.
pub const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
pub const STIR: u64 = 0xBF58_476D_1CE4_E5B9;

/// A 64-bit key. Children of a key are random words and keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u64);

impl Key {
    #[inline]
    #[must_use]
    pub fn child(self, x: u64) -> Self {
        Self(mix(self.0.wrapping_add(x.wrapping_add(1).wrapping_mul(GOLDEN))))
    }
}

/// One key per purpose, so that no two decisions share randomness.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub exists: Key,
    pub keep: Key,
    pub rows: Key,
    pub columns: Key,
    pub user_cells: Key,
    pub item_cells: Key,
    pub test_item: Key,
    pub times: Key,
    pub cold_users: Key,
    pub cold_items: Key,
    pub sketch: Key,
    /// Keep decisions to the last bit.
    pub keep_last_bits: Key,
    /// Items that users have nothing to do with.
    pub negatives: Key,
    /// The order in which interactions are loaded.
    pub loading: Key,
    /// Who of a cell gets whose entries.
    pub mixing: Key,
    /// By how much the clock of each row block is shifted.
    pub clocks: Key,
    /// Worlds of known truth.
    pub worlds: Key,
    /// The numbers of items.
    pub numbers: Key,
}

impl Keys {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = Key(mix(seed ^ 0x6672_6163_7461_6C73));
        Self {
            exists: root.child(0),
            keep: root.child(1),
            rows: root.child(2),
            columns: root.child(3),
            user_cells: root.child(4),
            item_cells: root.child(5),
            test_item: root.child(6),
            times: root.child(7),
            cold_users: root.child(8),
            cold_items: root.child(9),
            sketch: root.child(10),
            keep_last_bits: root.child(11),
            negatives: root.child(12),
            loading: root.child(13),
            mixing: root.child(14),
            clocks: root.child(15),
            worlds: root.child(16),
            numbers: root.child(17),
        }
    }
}

/// Maps a random word to 0 … count − 1.
#[inline]
#[must_use]
pub fn bounded(word: u64, count: u64) -> u64 {
    ((u128::from(word) * u128::from(count)) >> 64) as u64
}

#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(STIR);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_the_published_splitmix64_sequence() {
        // The reference sequence of SplitMix64 for the state 1234567.
        let words: Vec<u64> = (0..3).map(|x| Key(1_234_567).child(x).0).collect();
        assert_eq!(words, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn bounded_covers_its_range() {
        assert_eq!(bounded(0, 7), 0);
        assert_eq!(bounded(u64::MAX, 7), 6);
        assert_eq!(bounded(u64::MAX, 1), 0);
    }
}
