//! Keyed bijections of 0 … c − 1 that can be evaluated at one point, in memory that does not depend on c.

use super::random::{Key, bounded};

/// Up to this many elements a permutation is an exactly uniform Fisher–Yates shuffle.
pub const SMALL: u32 = 64;
const ROUNDS: usize = 8;

/// Eight rounds on a grid of a × b cells, at least as many as there are elements.
#[derive(Clone, Copy, Debug)]
struct Grid {
    a: u32,
    b: u32,
    rounds: [Key; ROUNDS],
}

impl Grid {
    fn new(key: Key, a: u32, b: u32) -> Self {
        Self { a, b, rounds: std::array::from_fn(|round| key.child(round as u64)) }
    }

    #[inline]
    fn forwards(&self, mut left: u32, mut right: u32) -> (u32, u32) {
        for pair in self.rounds.chunks_exact(2) {
            left = shifted(left, pair[0].child(u64::from(right)), self.a);
            right = shifted(right, pair[1].child(u64::from(left)), self.b);
        }
        (left, right)
    }

    /// The rounds backwards.
    #[inline]
    fn backwards(&self, mut left: u32, mut right: u32) -> (u32, u32) {
        for pair in self.rounds.chunks_exact(2).rev() {
            right = unshifted(right, pair[1].child(u64::from(left)), self.b);
            left = unshifted(left, pair[0].child(u64::from(right)), self.a);
        }
        (left, right)
    }
}

/// A permutation of more than [`SMALL`] elements: a Feistel network with cycle walking.
#[derive(Clone, Copy, Debug)]
pub struct Feistel {
    count: u32,
    grid: Grid,
}

impl Feistel {
    fn new(key: Key, count: u32) -> Self {
        let root = count.isqrt();
        let b = if root * root == count { root } else { root + 1 };
        Self { count, grid: Grid::new(key, count.div_ceil(b), b) }
    }

    #[inline]
    fn image(&self, mut x: u32) -> u32 {
        loop {
            let (left, right) = self.grid.forwards(x / self.grid.b, x % self.grid.b);
            x = left * self.grid.b + right;
            if x < self.count {
                return x;
            }
        }
    }

    /// What the image is that of.
    #[inline]
    fn preimage(&self, mut x: u32) -> u32 {
        loop {
            let (left, right) = self.grid.backwards(x / self.grid.b, x % self.grid.b);
            x = left * self.grid.b + right;
            if x < self.count {
                return x;
            }
        }
    }
}

#[inline]
fn unshifted(value: u32, word: Key, modulus: u32) -> u32 {
    let shift = bounded(word.0, u64::from(modulus)) as u32;
    if value >= shift { value - shift } else { value + modulus - shift }
}

#[inline]
fn shifted(value: u32, word: Key, modulus: u32) -> u32 {
    let sum = value + bounded(word.0, u64::from(modulus)) as u32;
    if sum >= modulus { sum - modulus } else { sum }
}

/// A permutation of any number of elements below 2³¹.
#[derive(Clone, Copy, Debug)]
pub enum Permutation {
    Small([u8; SMALL as usize]),
    Large(Feistel),
}

impl Permutation {
    #[inline]
    #[must_use]
    pub fn new(key: Key, count: u32) -> Self {
        if count > SMALL {
            return Self::Large(Feistel::new(key, count));
        }
        let mut images = [0; SMALL as usize];
        for (place, &x) in ending(key, count)[..count as usize].iter().enumerate() {
            images[usize::from(x)] = place as u8;
        }
        Self::Small(images)
    }

    /// Calls `each` with every element and its image, in any order.
    #[inline]
    pub fn for_each(key: Key, count: u32, mut each: impl FnMut(u32, u32)) {
        if count > SMALL {
            let feistel = Feistel::new(key, count);
            (0..count).for_each(|x| each(x, feistel.image(x)));
        } else {
            for (&x, place) in ending(key, count)[..count as usize].iter().zip(0..) {
                each(u32::from(x), place);
            }
        }
    }

    /// The image of x, which must be below the number of elements.
    #[inline]
    #[must_use]
    pub fn image(&self, x: u32) -> u32 {
        match self {
            Self::Small(images) => u32::from(images[x as usize]),
            Self::Large(feistel) => feistel.image(x),
        }
    }

    /// The point whose image is x.
    #[must_use]
    pub fn preimage(&self, x: u32) -> u32 {
        match self {
            Self::Small(images) => images.iter().position(|&image| u32::from(image) == x).unwrap_or(0) as u32,
            Self::Large(feistel) => feistel.preimage(x),
        }
    }

    /// The image of one point under the permutation of `key`, without making the others.
    #[inline]
    #[must_use]
    pub fn single_image(key: Key, count: u32, x: u32) -> u32 {
        if count > SMALL {
            return Feistel::new(key, count).image(x);
        }
        let exchange = |place: u32, last: u32, other: u32| {
            let place_of_last = if place == other { last } else { place };
            if place == last { other } else { place_of_last }
        };
        if count <= 2 * Exchanges::SHARING + 1 {
            // The exchanges of two words, those of fewer elements followed by some of place 0 with itself: no branch
            // depends on the count.
            let mut place = x;
            for (number, mut word) in [key.0, key.child(1).0].into_iter().enumerate() {
                for of_word in 1..=Exchanges::SHARING {
                    let last = count.saturating_sub(number as u32 * Exchanges::SHARING + of_word);
                    let product = u128::from(word) * u128::from(last + 1);
                    word = product as u64;
                    place = exchange(place, last, (product >> 64) as u32);
                }
            }
            return place;
        }
        Exchanges::new(key, count).fold(x, |place, (last, other)| exchange(place, last, other))
    }

    /// The point whose image under the permutation of `key` is `image`, without making the others of a large one.
    #[must_use]
    pub fn single_preimage(key: Key, count: u32, image: u32) -> u32 {
        if count > SMALL {
            return Feistel::new(key, count).preimage(image);
        }
        u32::from(ending(key, count)[image as usize])
    }
}

/// Which element ends at each place of a small permutation.
#[inline]
fn ending(key: Key, count: u32) -> [u8; SMALL as usize] {
    let mut ending = std::array::from_fn(|x| x as u8);
    for (last, other) in Exchanges::new(key, count) {
        ending.swap(last as usize, other as usize);
    }
    ending
}

/// A permutation of any number of elements up to 2⁶²: of fewer than 2³¹ it is the one above.
#[derive(Clone, Copy, Debug)]
pub enum WidePermutation {
    Narrow(Permutation),
    Wide(u64, WideFeistel),
}

/// The network of more elements than have numbers of 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct WideFeistel(Grid);

impl WidePermutation {
    #[must_use]
    pub fn new(key: Key, count: u64) -> Self {
        if count < 1 << 31 {
            return Self::Narrow(Permutation::new(key, count as u32));
        }
        let root = count.isqrt();
        let b = if root * root == count { root } else { root + 1 };
        Self::Wide(count, WideFeistel(Grid::new(key, count.div_ceil(b) as u32, b as u32)))
    }

    /// The image of x, which must be below the number of elements.
    #[inline]
    #[must_use]
    pub fn image(&self, x: u64) -> u64 {
        match self {
            Self::Narrow(permutation) => u64::from(permutation.image(x as u32)),
            Self::Wide(count, WideFeistel(grid)) => walked(x, *count, grid.b, |left, right| grid.forwards(left, right)),
        }
    }

    /// The point whose image is x.
    #[inline]
    #[must_use]
    pub fn preimage(&self, x: u64) -> u64 {
        match self {
            Self::Narrow(permutation) => u64::from(permutation.preimage(x as u32)),
            Self::Wide(count, WideFeistel(grid)) => {
                walked(x, *count, grid.b, |left, right| grid.backwards(left, right))
            }
        }
    }
}

/// Applies rounds until the cell is that of an element.
#[inline]
fn walked(mut x: u64, count: u64, b: u32, rounds: impl Fn(u32, u32) -> (u32, u32)) -> u64 {
    let b = u64::from(b);
    loop {
        let (left, right) = rounds((x / b) as u32, (x % b) as u32);
        x = u64::from(left) * b + u64::from(right);
        if x < count {
            return x;
        }
    }
}

/// The exchanges of Fisher–Yates: the last place with any up to it, then the one before, and so on.
struct Exchanges {
    key: Key,
    count: u32,
    last: u32,
    /// What is left of a word that is good for some exchanges.
    word: u64,
}

impl Exchanges {
    /// So many exchanges share a word.
    const SHARING: u32 = 4;

    #[inline]
    fn new(key: Key, count: u32) -> Self {
        Self { key, count, last: count, word: key.0 }
    }
}

impl Iterator for Exchanges {
    type Item = (u32, u32);

    #[inline]
    fn next(&mut self) -> Option<(u32, u32)> {
        if self.last <= 1 {
            return None;
        }
        let before = self.count - self.last;
        if before != 0 && before.is_multiple_of(Self::SHARING) {
            self.word = self.key.child(u64::from(before / Self::SHARING)).0;
        }
        let product = u128::from(self.word) * u128::from(self.last);
        self.word = product as u64;
        self.last -= 1;
        Some((self.last, (product >> 64) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_permutation_is_a_bijection(key: u64, count in 1_u32..5_000) {
            let permutation = Permutation::new(Key(key), count);
            let mut seen = vec![false; count as usize];
            for x in 0..count {
                seen[permutation.image(x) as usize] = true;
            }
            prop_assert!(seen.iter().all(|&hit| hit));
        }
    }

    proptest! {
        #[test]
        fn one_image_is_that_of_the_whole_permutation(key: u64, count in 1_u32..200, x: u32) {
            let x = x % count;
            prop_assert_eq!(Permutation::single_image(Key(key), count, x), Permutation::new(Key(key), count).image(x));
        }
    }

    proptest! {
        #[test]
        fn a_preimage_is_what_the_image_is_that_of(key: u64, count in 1_u32..5_000, x: u32) {
            let x = x % count;
            let image = Permutation::single_image(Key(key), count, x);
            prop_assert_eq!(Permutation::single_preimage(Key(key), count, image), x);
            prop_assert_eq!(Permutation::new(Key(key), count).preimage(image), x);
        }
    }

    proptest! {
        #[test]
        fn a_wide_permutation_is_undone(key: u64, count in 1_u64..1 << 40, x: u64) {
            let (permutation, x) = (WidePermutation::new(Key(key), count), x % count);
            let image = permutation.image(x);
            prop_assert!(image < count);
            prop_assert_eq!(permutation.preimage(image), x);
            if count < 1 << 31 {
                prop_assert_eq!(image, u64::from(Permutation::new(Key(key), count as u32).image(x as u32)));
            }
        }
    }

    #[test]
    fn the_largest_count_stays_in_range() {
        let count = (1 << 31) - 1;
        let permutation = Permutation::new(Key(3), count);
        for x in [0, 1, count / 2, count - 1] {
            assert!(permutation.image(x) < count);
        }
    }
}
