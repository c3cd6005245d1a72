//! The cells of alike users, or of alike items.

use crate::error::Error;

/// A partition of users, or of items, into cells: `order` lists the codes cell by cell, cell g in the slots
/// `starts[g]` to `starts[g + 1]`.
pub struct Cells {
    order: Vec<u32>,
    starts: Vec<u32>,
    /// The cell of each slot; empty where every cell has one member and the slot is the cell.
    cell_of_slot: Vec<u32>,
    /// The members of the largest cell.
    largest: u32,
}

impl Cells {
    /// Checks that they are a partition of `count` codes.
    pub fn new(order: Vec<u32>, starts: Vec<u32>, count: u32, what: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::Invalid(format!("the {what} cells do not fit the base: {why}")));
        if order.len() != count as usize {
            return refuse(&format!("they order {} codes, the base has {count}", order.len()));
        }
        let mut seen = vec![false; order.len()];
        for &code in &order {
            match seen.get_mut(code as usize) {
                Some(hit) if !*hit => *hit = true,
                _ => return refuse("their order is not a permutation"),
            }
        }
        if starts.first() != Some(&0)
            || starts.last() != Some(&count)
            || starts.windows(2).any(|pair| pair[0] >= pair[1])
        {
            return refuse("their starts do not rise from 0 to the number of codes");
        }
        let mut cell_of_slot = Vec::new();
        if starts.len() <= order.len() {
            cell_of_slot.reserve_exact(order.len());
            for (cell, pair) in starts.windows(2).enumerate() {
                cell_of_slot.resize(pair[1] as usize, cell as u32);
            }
        }
        let largest = starts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        Ok(Self { order, starts, cell_of_slot, largest })
    }

    /// Whether no cell has two members, so that nothing is ever exchanged.
    #[must_use]
    pub fn are_single(&self) -> bool {
        self.cell_of_slot.is_empty()
    }

    /// Whether every place in a cell fits into a byte.
    #[must_use]
    pub fn offsets_are_bytes(&self) -> bool {
        self.largest <= 1 << u8::BITS
    }

    #[inline]
    #[must_use]
    pub fn code(&self, slot: u32) -> u32 {
        self.order[slot as usize]
    }

    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The slot of each code: the inverse of the order.
    #[must_use]
    pub fn slots(&self) -> Vec<u32> {
        let mut slots = vec![0; self.order.len()];
        for (slot, &code) in self.order.iter().enumerate() {
            slots[code as usize] = slot as u32;
        }
        slots
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots of cell g: its start and its end.
    #[inline]
    #[must_use]
    pub fn bounds(&self, cell: usize) -> (u32, u32) {
        (self.starts[cell], self.starts[cell + 1])
    }

    /// The cell of a slot, and where in it the slot is.
    #[inline]
    #[must_use]
    pub fn place(&self, slot: u32) -> Place {
        if self.are_single() {
            return Place { cell: slot, start: slot, size: 1, offset: 0 };
        }
        let cell = self.cell_of_slot[slot as usize];
        let (start, end) = self.bounds(cell as usize);
        Place { cell, start, size: end - start, offset: slot - start }
    }
}

/// A slot as its cell sees it: `start + offset` is the slot.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub cell: u32,
    pub start: u32,
    pub size: u32,
    pub offset: u32,
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_passes_the_checks_is_a_partition(
            order in prop_oneof![vec(0..6_u32, 0..6), vec(any::<u32>(), 0..6), Just((0..6).collect()).prop_shuffle()],
            starts in vec(0..8_u32, 0..6),
            count in 0..8_u32,
        ) {
            if let Ok(cells) = Cells::new(order.clone(), starts.clone(), count, "user") {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                prop_assert!(sorted.into_iter().eq(0..count));
                for slot in 0..count {
                    let place = cells.place(slot);
                    prop_assert_eq!(place.start + place.offset, slot);
                    prop_assert!(place.offset < place.size);
                    prop_assert_eq!(cells.bounds(place.cell as usize), (place.start, place.start + place.size));
                    prop_assert_eq!(cells.slots()[cells.code(slot) as usize], slot);
                }
            }
        }
    }
}
