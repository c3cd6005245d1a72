//! The product of two sparse matrices where little of it is zero: a dense one.

use super::Sparse;
use crate::error::Error;
use crate::threads::{along, on_pieces};

/// Writes A B to `out`, row by row. Every sum is taken in the order of A's entries, whatever the number of threads.
pub fn dense_product(a: &Sparse, b: &Sparse, out: &mut [f32], threads: usize) -> Result<(), Error> {
    let ((rows, inner), (height, width)) = (a.shape(), b.shape());
    if inner != height || out.len() != rows * width {
        return Err(Error::Invalid("the matrices do not fit together".to_owned()));
    }
    let pieces = along(a.chunks(threads), out, |range| range.len() * width);
    on_pieces(threads, pieces, |sums: &mut Vec<f64>, (range, out)| {
        sums.resize(width, 0.0);
        for (row, out) in range.zip(out.chunks_mut(width.max(1))) {
            a.for_each_term(b, row, |column, term| sums[column] += term);
            for (out, sum) in out.iter_mut().zip(&mut *sums) {
                *out = std::mem::take(sum) as f32;
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_the_sum_of_what_its_entries_meet() {
        let a = Sparse::new(&[0, 2, 2, 3], &[0, 2, 1], Some(&[2.0, 3.0, 5.0]), 3).unwrap();
        let b = Sparse::new(&[0, 2, 3, 4], &[0, 1, 1, 0], Some(&[1.0, 7.0, 11.0, 13.0]), 2).unwrap();
        for threads in [1, 2, 5] {
            let mut out = [1.0; 6];
            dense_product(&a, &b, &mut out, threads).unwrap();
            assert_eq!(out.map(|value| value as i32), [2 + 39, 14, 0, 0, 0, 55]);
        }
        assert!(dense_product(&b, &a, &mut [0.0; 9], 1).is_err());
        assert!(dense_product(&a, &b, &mut [0.0; 5], 1).is_err());
    }
}
