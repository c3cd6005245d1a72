//! A sparse matrix in memory: its products with dense vectors, and its transpose.

#![allow(clippy::inline_always)] // What is not inlined is not widened.

use std::ops::Range;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::error::Error;
use crate::memory::{Loop, prefetch_lines, widened};
use crate::threads::{along, on_pieces, runs_of, threads_for};

/// Rows are worked on together until they have so many entries, so that each window of columns is used often …
const CHUNK_ENTRIES: usize = 1 << 21;
/// … while it is in a processor's second cache: so many bytes of vectors.
const WINDOW_BYTES: usize = 1 << 20;
/// Vectors multiplied at a time, in registers, …
const LANES: usize = 16;
/// … or where there are so many: fewer passes over the entries, and longer runs of memory.
const MANY_LANES: usize = 32;
/// So many rows ahead the columns of a window are asked for.
const PREFETCH_ROWS: usize = 8;

/// A matrix in CSR form. Without `values` all its entries are 1.
#[derive(Clone, Copy)]
pub struct Sparse<'a> {
    starts: &'a [i64],
    columns: &'a [i32],
    values: Option<&'a [f64]>,
    width: usize,
}

impl<'a> Sparse<'a> {
    /// A matrix of `width` columns; fails where the arrays do not fit together.
    pub fn new(starts: &'a [i64], columns: &'a [i32], values: Option<&'a [f64]>, width: usize) -> Result<Self, Error> {
        let fits = starts.first() == Some(&0)
            && starts.last() == Some(&(columns.len() as i64))
            && starts.windows(2).all(|pair| pair[0] <= pair[1])
            && values.is_none_or(|values| values.len() == columns.len());
        if fits {
            Ok(Self { starts, columns, values, width })
        } else {
            Err(Error::Invalid("the arrays are not a matrix in CSR form".to_owned()))
        }
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.starts.len() - 1, self.width)
    }

    /// The columns of a row's entries.
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [i32] {
        &self.columns[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// The columns of a row's entries, and their values unless all are 1.
    #[must_use]
    pub fn entries(&self, row: usize) -> (&'a [i32], Option<&'a [f64]>) {
        let range = self.starts[row] as usize..self.starts[row + 1] as usize;
        (&self.columns[range.clone()], self.values.map(|values| &values[range]))
    }

    /// Calls `each` with the column and the value of every term of a row of A B, for this matrix A: in the order of A's entries.
    #[inline]
    pub(super) fn for_each_term(&self, b: &Sparse, row: usize, mut each: impl FnMut(usize, f64)) {
        let (inner, weights) = self.entries(row);
        for (at, &k) in inner.iter().enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[at]);
            let (columns, values) = b.entries(k as usize);
            for (at, &column) in columns.iter().enumerate() {
                each(column as usize, weight * values.map_or(1.0, |values| values[at]));
            }
        }
    }

    /// Writes A x to y, for x with `count` numbers for each column and y with as many for each row.
    ///
    /// Every sum is taken in the order of the entries, if their columns rise, whatever the number of threads.
    pub fn multiply(&self, x: &[f64], count: usize, y: &mut [f64], threads: usize) -> Result<(), Error> {
        let (rows, columns) = self.shape();
        if count == 0 || x.len() != columns * count || y.len() != rows * count {
            return Err(Error::Invalid("the vectors do not fit the matrix".to_owned()));
        }
        let mut first = 0;
        while first < count {
            let lanes = match count - first {
                MANY_LANES.. => MANY_LANES,
                LANES.. => LANES,
                8.. => 8,
                4.. => 4,
                _ => 1,
            };
            match lanes {
                MANY_LANES => self.multiply_panel::<MANY_LANES, Lines<MANY_LANES>>(x, y, first, count, threads),
                LANES => self.multiply_panel::<LANES, Lines<LANES>>(x, y, first, count, threads),
                8 => self.multiply_panel::<8, Lines<8>>(x, y, first, count, threads),
                4 => self.multiply_panel::<4, [f64; 4]>(x, y, first, count, threads),
                _ => self.multiply_panel::<1, [f64; 1]>(x, y, first, count, threads),
            }?;
            first += lanes;
        }
        Ok(())
    }

    /// Writes what N vectors give to the N columns of y from `first` on, of `count`.
    fn multiply_panel<const N: usize, X: Side<N>>(
        &self,
        x: &[f64],
        y: &mut [f64],
        first: usize,
        count: usize,
        threads: usize,
    ) -> Result<(), Error> {
        let side_by_side = x.chunks_exact(count).map(|row| X::of(std::array::from_fn(|lane| row[first + lane])));
        let x = &side_by_side.collect::<Vec<X>>();
        let chunks = along(self.chunks(threads), y, |rows| rows.len() * count);
        on_pieces(threads, chunks, |cursors: &mut Vec<usize>, (rows, y)| {
            widened(Panel::<N, X> { matrix: self, rows, x, y, first, count, cursors });
        })?;
        Ok(())
    }

    /// Returns the transpose: starts, columns, which rise inside each row, and values if there are any.
    pub fn transposed(&self, threads: usize) -> Result<Owned, Error> {
        // Each share of the rows counts all columns for itself. Cutting may make twice as many as are asked for.
        let shares = threads_for(threads, self.columns.len() / 2, self.width);
        let mut shares: Vec<Share> = runs_of(self.starts, self.columns.len().div_ceil(shares))
            .into_iter()
            .map(|rows| Share { rows, next: Vec::new() })
            .collect();
        on_pieces(threads, shares.iter_mut().collect(), |(): &mut (), share| {
            share.next.resize(self.width, 0);
            for &column in self.within(&share.rows) {
                share.next[column as usize] += 1;
            }
        })?;
        let mut starts = Vec::with_capacity(self.width + 1);
        let mut end = 0;
        for column in 0..self.width {
            starts.push(end);
            for share in &mut shares {
                let count = share.next[column];
                share.next[column] = end;
                end += count;
            }
        }
        starts.push(end);
        // Every place is written once, by whichever thread.
        let columns: Vec<AtomicI32> = (0..self.columns.len()).map(|_| AtomicI32::new(0)).collect();
        let values: Option<Vec<AtomicU64>> = self.values.map(|all| all.iter().map(|_| AtomicU64::new(0)).collect());
        on_pieces(threads, shares, |(): &mut (), mut share| {
            for row in share.rows {
                for at in self.starts[row] as usize..self.starts[row + 1] as usize {
                    let place = &mut share.next[self.columns[at] as usize];
                    columns[*place as usize].store(row as i32, Ordering::Relaxed);
                    if let (Some(turned), Some(values)) = (&values, self.values) {
                        turned[*place as usize].store(values[at].to_bits(), Ordering::Relaxed);
                    }
                    *place += 1;
                }
            }
        })?;
        let columns = columns.into_iter().map(AtomicI32::into_inner).collect();
        let values = values.map(|all| all.into_iter().map(|bits| f64::from_bits(bits.into_inner())).collect());
        Ok((starts, columns, values))
    }

    /// The columns of the entries of some rows.
    fn within(&self, rows: &Range<usize>) -> &'a [i32] {
        &self.columns[self.starts[rows.start] as usize..self.starts[rows.end] as usize]
    }

    /// Ranges of rows alike in entries.
    pub(super) fn chunks(&self, threads: usize) -> Vec<Range<usize>> {
        runs_of(self.starts, (self.columns.len() / (8 * threads)).clamp(1, CHUNK_ENTRIES))
    }
}

/// Starts, columns and, unless all are 1, values of a matrix in CSR form.
pub type Owned = (Vec<i64>, Vec<i32>, Option<Vec<f64>>);

/// Rows that one thread turns on their side: how many entries of each column they have, then where the next one goes.
struct Share {
    rows: Range<usize>,
    next: Vec<i64>,
}

/// What N vectors have for one column, side by side.
trait Side<const N: usize>: Sync {
    fn of(values: [f64; N]) -> Self;
    fn values(&self) -> &[f64; N];
}

impl<const N: usize> Side<N> for [f64; N] {
    fn of(values: [f64; N]) -> Self {
        values
    }

    #[inline(always)]
    fn values(&self) -> &[f64; N] {
        self
    }
}

/// The same on cache lines of its own, where it fills them.
#[repr(align(64))]
struct Lines<const N: usize>([f64; N]);

impl<const N: usize> Side<N> for Lines<N> {
    fn of(values: [f64; N]) -> Self {
        Self(values)
    }

    #[inline(always)]
    fn values(&self) -> &[f64; N] {
        &self.0
    }
}

/// What some rows give for N vectors: the columns of y from `first` on, of `count`.
struct Panel<'p, const N: usize, X> {
    matrix: &'p Sparse<'p>,
    rows: Range<usize>,
    x: &'p [X],
    y: &'p mut [f64],
    first: usize,
    count: usize,
    cursors: &'p mut Vec<usize>,
}

impl<const N: usize, X: Side<N>> Loop for Panel<'_, N, X> {
    #[inline(always)]
    fn run(mut self) {
        for y in self.y.chunks_exact_mut(self.count) {
            y[self.first..][..N].fill(0.0);
        }
        self.cursors.clear();
        self.cursors.extend(self.matrix.starts[self.rows.clone()].iter().map(|&start| start as usize));
        let window = (WINDOW_BYTES / size_of::<X>()) as i32;
        let mut end = 0_i32;
        while (end as usize) < self.matrix.width {
            end = end.saturating_add(window);
            self.add_window(if (end as usize) < self.matrix.width { end } else { i32::MAX });
        }
    }
}

impl<const N: usize, X: Side<N>> Panel<'_, N, X> {
    /// Adds what the entries before the column `end` give that were not added yet.
    #[inline(always)]
    fn add_window(&mut self, end: i32) {
        let Sparse { starts, columns, values, .. } = self.matrix;
        let Self { x, first, count, .. } = *self;
        let ends = &starts[self.rows.start + 1..=self.rows.end];
        for (number, (&last, y)) in ends.iter().zip(self.y.chunks_exact_mut(count)).enumerate() {
            if let Some(&far) = self.cursors.get(number + PREFETCH_ROWS) {
                prefetch_lines(columns, far, 2);
            }
            let cursor = &mut self.cursors[number];
            let y = &mut y[first..][..N];
            let mut sum: [f64; N] = std::array::from_fn(|lane| y[lane]);
            let (before, here) = (*cursor, &columns[*cursor..last as usize]);
            match values {
                None => {
                    for &column in here {
                        if column >= end {
                            break;
                        }
                        let x = x[column as usize].values();
                        for lane in 0..N {
                            sum[lane] += x[lane];
                        }
                        *cursor += 1;
                    }
                }
                Some(values) => {
                    for (&column, &value) in here.iter().zip(&values[before..]) {
                        if column >= end {
                            break;
                        }
                        let x = x[column as usize].values();
                        for lane in 0..N {
                            sum[lane] += value * x[lane];
                        }
                        *cursor += 1;
                    }
                }
            }
            y.copy_from_slice(&sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: [i64; 5] = [0, 2, 2, 5, 6];
    const COLUMNS: [i32; 6] = [0, 2, 0, 1, 2, 1];
    const VALUES: [f64; 6] = [1.0, -2.0, 3.0, 0.5, 4.0, -1.0];

    #[test]
    fn products_are_sums_over_entries() {
        for count in [1, 3, 4, 8, 29, 67] {
            let x: Vec<f64> = (0..3 * count).map(|k| (k * k % 17) as f64 - 5.0).collect();
            for values in [None, Some(&VALUES[..])] {
                let matrix = Sparse::new(&STARTS, &COLUMNS, values, 3).unwrap();
                let mut expected = vec![0.0; 4 * count];
                for row in 0..4 {
                    for at in STARTS[row] as usize..STARTS[row + 1] as usize {
                        for k in 0..count {
                            let value = values.map_or(1.0, |values| values[at]);
                            expected[row * count + k] += value * x[COLUMNS[at] as usize * count + k];
                        }
                    }
                }
                for threads in [1, 2, 3] {
                    let mut y = vec![7.0; 4 * count];
                    matrix.multiply(&x, count, &mut y, threads).unwrap();
                    assert_eq!(y, expected);
                }
            }
        }
    }

    #[test]
    fn wide_products_are_sums_over_entries_too() {
        // Several windows of any number of lanes, empty rows, rows asked for ahead, and columns in any order.
        let (width, rows) = (140_000, 25);
        let starts: Vec<i64> = (0..=rows as i64).map(|row| row * row * 3).collect();
        let columns: Vec<i32> = (0..starts[rows]).map(|at| (at * 7_919 % width as i64) as i32).collect();
        let values: Vec<f64> = columns.iter().map(|&column| f64::from(column % 11) - 5.0).collect();
        for count in [1, 4, 8, 16, 32] {
            // Whole numbers: their sums are exact in any order.
            let x: Vec<f64> = (0..width * count).map(|k| (k % 1_009) as f64 - 500.0).collect();
            for values in [None, Some(&values[..])] {
                let mut expected = vec![0.0; rows * count];
                for row in 0..rows {
                    for at in starts[row] as usize..starts[row + 1] as usize {
                        for k in 0..count {
                            let value = values.map_or(1.0, |values| values[at]);
                            expected[row * count + k] += value * x[columns[at] as usize * count + k];
                        }
                    }
                }
                let mut y = vec![7.0; rows * count];
                Sparse::new(&starts, &columns, values, width).unwrap().multiply(&x, count, &mut y, 2).unwrap();
                assert_eq!(y, expected);
            }
        }
    }

    #[test]
    fn it_is_turned_on_its_side() {
        for threads in [1, 2, 3] {
            let given = Sparse::new(&STARTS, &COLUMNS, Some(&VALUES), 3).unwrap();
            let (starts, columns, values) = given.transposed(threads).unwrap();
            assert_eq!(starts, [0, 2, 4, 6]);
            assert_eq!(columns, [0, 2, 2, 3, 0, 2]);
            assert_eq!(values, Some(vec![1.0, 3.0, 0.5, -1.0, -2.0, 4.0]));
        }
        let nothing = Sparse::new(&[0, 0, 0], &[], None, 2).unwrap().transposed(2).unwrap();
        assert_eq!(nothing, (vec![0; 3], vec![], None));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Sparse::new(&[0, 3, 2], &[0, 1], None, 3).is_err());
        assert!(Sparse::new(&[0, 2], &[0, 1], Some(&[1.0]), 3).is_err());
        let matrix = Sparse::new(&[0, 2], &[0, 1], None, 3).unwrap();
        assert!(matrix.multiply(&[0.0; 2], 1, &mut [0.0], 1).is_err());
    }
}
