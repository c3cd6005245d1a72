//! Stack distances of a sequence of lookups (Mattson et al. 1970): what an LRU cache of every size would hit, in one go.

/// There are this many places at least.
const FEW_PLACES: usize = 1 << 10;
const NOWHERE: u32 = u32::MAX;

/// How many lookups have each stack distance: the different ids that were looked up since the last time, itself
/// included, so that a cache of that many rows has it still. Those at 0 are first ones, which no cache has.
///
/// `codes` are below `distinct`, and fewer than 2³¹ of them. (After Bennett and Kruskal 1975.)
#[must_use]
pub fn stack_distances(codes: &[u32], distinct: usize) -> Vec<u64> {
    let mut counts = vec![0; distinct + 1];
    let mut recency = Recency::new(distinct);
    for &code in codes {
        counts[recency.touch(code)] += 1;
    }
    counts
}

/// The ids in the order in which they were looked up last, one a place; places between them are empty.
struct Recency {
    /// The place of each id, and the id of each place.
    places: Vec<u32>,
    owners: Vec<u32>,
    /// A Fenwick tree over places of how many are taken.
    tree: Vec<u32>,
    next: usize,
    taken: u32,
}

impl Recency {
    fn new(distinct: usize) -> Self {
        let places = (2 * distinct).next_power_of_two().max(FEW_PLACES);
        Self {
            places: vec![NOWHERE; distinct],
            owners: vec![NOWHERE; places],
            tree: vec![0; places + 1],
            next: 0,
            taken: 0,
        }
    }

    /// Puts an id last, and returns how many others, itself included, were looked up since it was; 0 for a new one.
    fn touch(&mut self, code: u32) -> usize {
        if self.next == self.owners.len() {
            self.close_up();
        }
        let before = self.places[code as usize];
        let mut distance = 0;
        if before == NOWHERE {
            self.taken += 1;
        } else {
            let before = before as usize;
            distance = (self.taken - self.taken_up_to(before)) as usize + 1;
            self.owners[before] = NOWHERE;
            self.add(before, u32::MAX);
        }
        self.owners[self.next] = code;
        self.places[code as usize] = self.next as u32;
        self.add(self.next, 1);
        self.next += 1;
        distance
    }

    /// How many places are taken up to one, that one included.
    fn taken_up_to(&self, place: usize) -> u32 {
        let (mut number, mut sum) = (place + 1, 0_u32);
        while number > 0 {
            sum = sum.wrapping_add(self.tree[number]);
            number &= number - 1;
        }
        sum
    }

    fn add(&mut self, place: usize, change: u32) {
        let mut number = place + 1;
        while number < self.tree.len() {
            self.tree[number] = self.tree[number].wrapping_add(change);
            number += number & number.wrapping_neg();
        }
    }

    /// Moves all ids to the first places.
    fn close_up(&mut self) {
        let mut end = 0;
        for place in 0..self.owners.len() {
            let code = std::mem::replace(&mut self.owners[place], NOWHERE);
            if code != NOWHERE {
                self.owners[end] = code;
                self.places[code as usize] = end as u32;
                end += 1;
            }
        }
        self.next = end;
        for number in 1..self.tree.len() {
            let first = number & (number - 1);
            self.tree[number] = (end.min(number) - end.min(first)) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_are_those_of_a_list(codes in prop::collection::vec(0_u32..40, 0..5_000)) {
            let (mut list, mut expected) = (Vec::<u32>::new(), vec![0_u64; 41]);
            for &code in &codes {
                let distance = list.iter().position(|&other| other == code).map_or(0, |place| place + 1);
                if distance > 0 {
                    list.remove(distance - 1);
                }
                list.insert(0, code);
                expected[distance] += 1;
            }
            prop_assert_eq!(stack_distances(&codes, 40), expected);
        }
    }
}
