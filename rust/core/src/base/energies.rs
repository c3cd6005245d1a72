//! How many interactions are left of those between classes of users and of items when they are averaged over cells.

use crate::algebra::Sparse;
use crate::error::Error;

/// Some cells of users: the members of cell g are `members[starts[g]..starts[g + 1]]`.
pub struct SomeCells<'c> {
    pub members: &'c [i64],
    pub starts: &'c [i64],
    /// The class of each cell.
    pub classes: &'c [i64],
}

/// Sums of squares by class of users and of items, row by row: of means over cells of users and of items, of means over
/// cells of users alone, of items alone, and of the entries themselves.
pub struct Energies {
    pub means: Vec<f64>,
    pub along_users: Vec<f64>,
    pub along_items: Vec<f64>,
    pub total: Vec<f64>,
}

impl Energies {
    /// Measures a matrix of ones: `cells` of its rows, and of its columns the cell of each, with sizes and classes of those;
    /// of so many classes.
    pub fn of(
        matrix: &Sparse,
        cells: &SomeCells,
        item_cells: &[i64],
        item_sizes: &[i64],
        item_classes: &[i64],
        shape: (usize, usize),
    ) -> Result<Self, Error> {
        let in_range = |codes: &[i64], count: usize| codes.iter().all(|&code| (code as usize) < count);
        let fits = cells.starts.len() == cells.classes.len() + 1
            && cells.starts.windows(2).all(|pair| pair[0] < pair[1])
            && cells.starts.last().is_some_and(|&last| last as usize <= cells.members.len())
            && in_range(cells.members, matrix.shape().0)
            && in_range(cells.classes, shape.0)
            && item_cells.len() == matrix.shape().1
            && in_range(item_cells, item_sizes.len())
            && item_sizes.len() == item_classes.len()
            && in_range(item_classes, shape.1);
        if !fits {
            return Err(Error::Invalid("the cells do not fit the matrix".to_owned()));
        }
        let zeros = || vec![0.0; shape.0 * shape.1];
        let mut sums = Self { means: zeros(), along_users: zeros(), along_items: zeros(), total: zeros() };
        let (mut of_items, mut of_cells) = (Tally::new(item_cells.len()), Tally::new(item_sizes.len()));
        let mut of_member = Tally::new(item_sizes.len());
        for (pair, &class) in cells.starts.windows(2).zip(cells.classes) {
            let line = class as usize * shape.1;
            let place = |cell: usize| line + item_classes[cell] as usize;
            let members = &cells.members[pair[0] as usize..pair[1] as usize];
            let size = members.len() as f64;
            for &member in members {
                for &item in matrix.row(member as usize) {
                    let cell = item_cells[item as usize] as usize;
                    of_items.add(item as usize);
                    of_cells.add(cell);
                    of_member.add(cell);
                    sums.total[place(cell)] += 1.0;
                }
                of_member.drain(|cell, count| sums.along_items[place(cell)] += count * count / item_sizes[cell] as f64);
            }
            of_items.drain(|item, count| sums.along_users[place(item_cells[item] as usize)] += count * count / size);
            of_cells.drain(|cell, count| sums.means[place(cell)] += count * count / (size * item_sizes[cell] as f64));
        }
        Ok(sums)
    }
}

/// Counts of few of many.
struct Tally {
    counts: Vec<u32>,
    counted: Vec<usize>,
}

impl Tally {
    fn new(length: usize) -> Self {
        Self { counts: vec![0; length], counted: Vec::new() }
    }

    fn add(&mut self, place: usize) {
        if self.counts[place] == 0 {
            self.counted.push(place);
        }
        self.counts[place] += 1;
    }

    /// Hands over what was counted, and begins anew.
    fn drain(&mut self, mut each: impl FnMut(usize, f64)) {
        for place in self.counted.drain(..) {
            each(place, f64::from(std::mem::take(&mut self.counts[place])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_lose_energy() {
        // Two users of one cell with items 0, 1 and 1, 2; items 1 and 2 are a cell.
        let matrix = Sparse::new(&[0, 2, 4], &[0, 1, 1, 2], None, 3).unwrap();
        let cells = SomeCells { members: &[0, 1], starts: &[0, 2], classes: &[0] };
        let sums = Energies::of(&matrix, &cells, &[0, 1, 1], &[1, 2], &[0, 1], (1, 2)).unwrap();
        assert_eq!(sums.total, [1.0, 3.0]);
        assert_eq!(sums.along_users, [0.5, 4.0 / 2.0 + 1.0 / 2.0]);
        assert_eq!(sums.along_items, [1.0, 1.0 / 2.0 + 4.0 / 2.0]);
        assert_eq!(sums.means, [0.5, 9.0 / 4.0]);
        assert!(Energies::of(&matrix, &cells, &[0, 1], &[1, 2], &[0, 1], (1, 2)).is_err());
    }
}
