//! The nearest of each row by similarity: of a square product the largest values of each row, without the product.

use crate::algebra::Sparse;
use crate::error::Error;
use crate::threads::on_pieces;

/// Starts, columns and values of a matrix in CSR form.
pub type Csr = (Vec<i64>, Vec<i32>, Vec<f64>);

/// Of each row of A B, which is square, the largest `neighbours` values, and all that equal the last of those.
///
/// Values are not negative; zeros and a row's own are none. Each sum is taken in the order of A's columns, whatever the number
/// of threads; columns rise inside each row.
pub fn nearest(a: &Sparse, b: &Sparse, neighbours: usize, threads: usize) -> Result<Csr, Error> {
    let (rows, inner) = a.shape();
    if b.shape() != (inner, rows) || neighbours == 0 {
        return Err(Error::Invalid("the product is not square, or there are no neighbours to keep".to_owned()));
    }
    let chunks = a.chunks(threads).into_iter().enumerate().collect();
    let found = on_pieces(threads, chunks, |worker: &mut Worker, (number, range)| {
        let Worker { sums, kept, done } = worker;
        sums.values.resize(rows, 0.0);
        let mut piece: Csr = (Vec::with_capacity(range.len()), Vec::new(), Vec::new());
        for row in range {
            sums.add(a, b, row);
            sums.take_largest(row, neighbours, kept);
            piece.0.push(kept.len() as i64);
            piece.1.extend(kept.iter().map(|&(column, _)| column));
            piece.2.extend(kept.iter().map(|&(_, value)| value));
        }
        done.push((number, piece));
    })?;
    let mut pieces: Vec<(usize, Csr)> = found.into_iter().flat_map(|worker| worker.done).collect();
    pieces.sort_unstable_by_key(|&(number, _)| number);
    let mut all: Csr = (vec![0], Vec::new(), Vec::new());
    let mut end = 0;
    for (_, (counts, columns, values)) in pieces {
        all.0.extend(counts.iter().map(|count| {
            end += count;
            end
        }));
        all.1.extend(columns);
        all.2.extend(values);
    }
    Ok(all)
}

/// What a thread has: the row it works on, and the pieces of the result that it made, with their numbers.
#[derive(Default)]
struct Worker {
    sums: Sums,
    kept: Vec<(i32, f64)>,
    done: Vec<(usize, Csr)>,
}

/// The sums of one row, and which are not zero: of these a column may be named twice.
#[derive(Default)]
struct Sums {
    values: Vec<f64>,
    named: Vec<i32>,
    scratch: Vec<f64>,
}

impl Sums {
    fn add(&mut self, a: &Sparse, b: &Sparse, row: usize) {
        a.for_each_term(b, row, |column, term| {
            let sum = &mut self.values[column];
            if *sum == 0.0 {
                self.named.push(column as i32);
            }
            *sum += term;
        });
    }

    /// Writes the largest to `kept`, and all sums to zero.
    fn take_largest(&mut self, own: usize, neighbours: usize, kept: &mut Vec<(i32, f64)>) {
        self.values[own] = 0.0;
        self.scratch.clear();
        self.scratch.extend(self.named.iter().map(|&column| self.values[column as usize]));
        let mut least = f64::MIN_POSITIVE;
        if self.scratch.len() > neighbours {
            let (_, kth, _) = self.scratch.select_nth_unstable_by(neighbours - 1, |one, other| other.total_cmp(one));
            least = least.max(*kth);
        }
        kept.clear();
        for column in self.named.drain(..) {
            let value = std::mem::take(&mut self.values[column as usize]);
            if value >= least {
                kept.push((column, value));
            }
        }
        kept.sort_unstable_by_key(|&(column, _)| column);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_all_that_tie_but_never_ones_own() {
        // Rows {0, 1}, {0, 1}, {0, 2}, {2}, none: how many columns two rows share.
        let (starts, columns) = ([0, 2, 4, 6, 7, 7], [0, 1, 0, 1, 0, 2, 2]);
        let rows = Sparse::new(&starts, &columns, None, 3).unwrap();
        let (turned, across, _) = rows.transposed(2).unwrap();
        let turned = Sparse::new(&turned, &across, None, 5).unwrap();
        for threads in [1, 2, 7] {
            let (starts, near, values) = nearest(&rows, &turned, 1, threads).unwrap();
            assert_eq!(starts, [0, 1, 2, 5, 6, 6]);
            assert_eq!(near, [1, 0, 0, 1, 3, 2]);
            assert_eq!(values, [2.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
        }
        let (_, near, _) = nearest(&rows, &turned, 9, 1).unwrap();
        assert_eq!(near, [1, 2, 0, 2, 0, 1, 3, 2]);
    }

    #[test]
    fn what_is_not_square_is_refused() {
        let rows = Sparse::new(&[0, 1], &[0], None, 2).unwrap();
        assert!(nearest(&rows, &rows, 1, 1).is_err());
    }
}
