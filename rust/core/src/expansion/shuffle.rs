//! The shuffle inside one block: what users and items exchange inside their cells, and where source items go.

use super::expansion::Expansion;
use crate::base::{Cells, Code, Place};
use crate::chance::{Key, Permutation};

/// The exchange inside cells that one block makes on its own.
pub(crate) struct Exchange<'c> {
    cells: &'c Cells,
    key: Key,
    /// The permutation of the only cell, made once.
    of_all: Option<Permutation>,
}

impl<'c> Exchange<'c> {
    pub(crate) fn new(cells: &'c Cells, key: Key) -> Self {
        let of_all = (cells.len() == 1).then(|| Permutation::new(key.child(0), cells.order().len() as u32));
        Self { cells, key, of_all }
    }

    /// What users exchange in block (i, j).
    pub(crate) fn of_users(expansion: &'c Expansion, i: u32, j: u32) -> Self {
        Self::new(&expansion.user_cells, expansion.keys.user_cells.child(u64::from(i)).child(u64::from(j)))
    }

    fn key_of(&self, cell: u32) -> Key {
        self.key.child(u64::from(cell))
    }

    /// The slot that the one at `place` is exchanged with.
    #[inline]
    pub(crate) fn image(&self, place: Place) -> u32 {
        match &self.of_all {
            Some(permutation) => permutation.image(place.offset),
            None => place.start + Permutation::single_image(self.key_of(place.cell), place.size, place.offset),
        }
    }

    /// Where in its cell the image of each slot is, where that is a byte: see [`Cells::offsets_are_bytes`].
    pub(crate) fn offsets(&self) -> Vec<u8> {
        let mut offsets = vec![0; self.cells.order().len()];
        self.for_each(|start, offset, image| offsets[(start + offset) as usize] = image as u8);
        offsets
    }

    /// Calls `each` with the start of every cell, a place in it and that of its image, for all places.
    fn for_each(&self, mut each: impl FnMut(u32, u32, u32)) {
        for cell in 0..self.cells.len() {
            let (start, end) = self.cells.bounds(cell);
            if end - start == 1 {
                each(start, 0, 0);
            } else {
                Permutation::for_each(self.key_of(cell as u32), end - start, |offset, image| {
                    each(start, offset, image);
                });
            }
        }
    }

    /// The slot whose image is the one at `place`.
    pub(crate) fn preimage(&self, place: Place) -> u32 {
        place.start + Permutation::single_preimage(self.key_of(place.cell), place.size, place.offset)
    }
}

/// Where the source items of one block go.
pub struct Columns<'e> {
    expansion: &'e Expansion,
    exchange: Exchange<'e>,
    permutation: Permutation,
}

impl<'e> Columns<'e> {
    #[must_use]
    pub fn new(expansion: &'e Expansion, i: u32, j: u32) -> Self {
        let keys = &expansion.keys;
        let exchange = Exchange::new(&expansion.item_cells, keys.item_cells.child(u64::from(i)).child(u64::from(j)));
        let permutation = Permutation::new(keys.columns.child(u64::from(j)), expansion.base_items);
        Self { expansion, exchange, permutation }
    }

    /// The source item of one column.
    pub(crate) fn item(&self, column: u32) -> u32 {
        let slot = self.permutation.preimage(column);
        self.exchange.cells.code(self.exchange.preimage(self.exchange.cells.place(slot)))
    }

    /// The column of one source item.
    #[inline]
    pub(crate) fn column(&self, item: u32) -> u32 {
        let place = self.exchange.cells.place(self.expansion.item_slots[item as usize]);
        self.permutation.image(self.exchange.image(place))
    }

    /// The images of all slots under the column permutation.
    pub(crate) fn images<C: Code>(&self) -> Vec<C> {
        (0..self.expansion.base_items).map(|slot| C::new(self.permutation.image(slot), false)).collect()
    }

    /// The columns of all source items. `images` may hold those of the permutation.
    pub fn fill<C: Code>(&self, images: Option<&[C]>, table: &mut Vec<C>) {
        let cells = self.exchange.cells;
        let image = |slot: u32| C::new(self.permutation.image(slot), false);
        let column = |slot: u32| images.map_or_else(|| image(slot), |images| images[slot as usize]);
        table.resize(cells.order().len(), C::default());
        self.exchange.for_each(|start, offset, image| {
            table[cells.code(start + offset) as usize] = column(start + image);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn offsets_are_where_images_are(key: u64, sizes in proptest::collection::vec(1_u32..257, 1..6)) {
            let ends = sizes.iter().scan(0, |end, size| { *end += size; Some(*end) });
            let starts: Vec<u32> = std::iter::once(0).chain(ends).collect();
            let count = starts[sizes.len()];
            let cells = Cells::new((0..count).collect(), starts, count, "user").unwrap();
            prop_assert!(cells.offsets_are_bytes());
            let exchange = Exchange::new(&cells, Key(key));
            let offsets = exchange.offsets();
            for slot in 0..count {
                let place = cells.place(slot);
                prop_assert_eq!(place.start + u32::from(offsets[slot as usize]), exchange.image(place));
            }
        }
    }

    #[test]
    fn a_place_among_more_than_a_byte_counts_is_no_byte() {
        let cells = |size| Cells::new((0..300).collect(), vec![0, size, 300], 300, "user").unwrap();
        assert!(cells(256).offsets_are_bytes() && cells(44).offsets_are_bytes());
        assert!(!cells(257).offsets_are_bytes() && !cells(43).offsets_are_bytes());
    }
}
