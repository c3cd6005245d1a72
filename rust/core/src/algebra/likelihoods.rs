//! Log likelihoods of all pairs of rows and candidates: what is best among them, without a matrix of them all.

use std::ops::Range;

use super::Sparse;
use crate::error::Error;
use crate::threads::{Progress, on_pieces};

/// So many candidates at most are scored at a time, so that their sums stay in the processor's cache.
const CANDIDATES: usize = 4_096;
/// A log likelihood beyond counts as this, so that no exponential of one outweighs all others.
const MOST: f32 = 50.0;

/// The score of a row r of ones and a candidate c: `Σ weights[i, c] + degree(r) slopes[c] + offsets[c] − usual[r]`, over
/// the columns i of the row.
pub struct Likelihoods<'a> {
    rows: Sparse<'a>,
    weights: Sparse<'a>,
    slopes: &'a [f64],
    offsets: &'a [f64],
    usual: &'a [f64],
}

/// The largest score and the next, of each row among candidates and of each candidate among rows; and which row that is,
/// of equals the first. Where there is none scores are −∞, and the row is 0.
#[derive(Clone, Debug, Default)]
pub struct Best {
    pub of_rows: [Vec<f32>; 2],
    pub of_candidates: [Vec<f32>; 2],
    pub found: Vec<i64>,
}

impl<'a> Likelihoods<'a> {
    /// Of rows × columns and columns × candidates; fails where they do not fit.
    pub fn new(
        rows: Sparse<'a>,
        weights: Sparse<'a>,
        slopes: &'a [f64],
        offsets: &'a [f64],
        usual: &'a [f64],
    ) -> Result<Self, Error> {
        let ((height, columns), (inner, candidates)) = (rows.shape(), weights.shape());
        if columns == inner && candidates == slopes.len() && candidates == offsets.len() && height == usual.len() {
            Ok(Self { rows, weights, slopes, offsets, usual })
        } else {
            Err(Error::Invalid("rows, candidates and what is said of them do not fit together".to_owned()))
        }
    }

    /// Finds the best, the same on any number of threads.
    pub fn best(&self, threads: usize, progress: &Progress) -> Result<Best, Error> {
        let (rows, candidates) = (self.rows.shape().0, self.slopes.len());
        // What is best of a row among all candidates that a thread has had, and what is best of each of these.
        let found = on_pieces(threads, self.pieces(threads), |(best, done): &mut (Best, Vec<_>), piece| {
            best.of_rows.iter_mut().for_each(|all| all.resize(rows, f32::NEG_INFINITY));
            best.begin(piece.len());
            let first = piece.start;
            self.for_each_row(piece, progress, |row, scores| best.take(row, scores));
            done.push((first, std::mem::take(&mut best.of_candidates), std::mem::take(&mut best.found)));
        })?;
        progress.advance(0)?;
        let mut all =
            Best { of_rows: [vec![f32::NEG_INFINITY; rows], vec![f32::NEG_INFINITY; rows]], ..Best::default() };
        all.begin(candidates);
        for (best, done) in found {
            all.add_rows(&best);
            for (first, scores, rows) in done {
                for (all, some) in all.of_candidates.iter_mut().zip(&scores) {
                    all[first..][..some.len()].copy_from_slice(some);
                }
                all.found[first..][..rows.len()].copy_from_slice(&rows);
            }
        }
        Ok(all)
    }

    /// Adds up the exponentials of a candidate's scores, none of them beyond e^±50: in the order of rows.
    pub fn sums(&self, threads: usize, progress: &Progress) -> Result<Vec<f64>, Error> {
        let pieces = on_pieces(threads, self.pieces(threads), |done: &mut Vec<(usize, Vec<f64>)>, piece| {
            let (first, mut sums) = (piece.start, vec![0.0; piece.len()]);
            self.for_each_row(piece, progress, |_, scores| {
                for (sum, score) in sums.iter_mut().zip(scores) {
                    *sum += f64::from(score.clamp(-MOST, MOST)).exp();
                }
            });
            done.push((first, sums));
        })?;
        progress.advance(0)?;
        let mut all = vec![0.0; self.slopes.len()];
        for (first, piece) in pieces.into_iter().flatten() {
            all[first..][..piece.len()].copy_from_slice(&piece);
        }
        Ok(all)
    }

    /// Candidates cut into pieces of about equally many, some for each thread.
    fn pieces(&self, threads: usize) -> Vec<Range<usize>> {
        let count = self.slopes.len();
        let most = CANDIDATES.min(count.div_ceil(threads.max(1))).max(1);
        let number = count.div_ceil(most);
        (0..number).map(|piece| count * piece / number..count * (piece + 1) / number).collect()
    }

    /// Calls `each` with every row and its scores for some candidates, until it is to stop.
    fn for_each_row(&self, candidates: Range<usize>, progress: &Progress, mut each: impl FnMut(usize, &[f32])) {
        let weights = Weights::of(&self.weights, &candidates);
        let (slopes, offsets) = (&self.slopes[candidates.clone()], &self.offsets[candidates.clone()]);
        let (mut sums, mut scores) = (vec![0.0; candidates.len()], vec![0.0; candidates.len()]);
        for (row, &usual) in self.usual.iter().enumerate() {
            if progress.advance(0).is_err() {
                return;
            }
            let columns = self.rows.row(row);
            for &column in columns {
                for &(candidate, weight) in weights.row(column as usize) {
                    sums[candidate as usize] += weight;
                }
            }
            let degree = columns.len() as f64;
            for (((score, sum), slope), offset) in scores.iter_mut().zip(&mut sums).zip(slopes).zip(offsets) {
                *score = (*sum + degree * slope + offset - usual) as f32;
                *sum = 0.0;
            }
            each(row, &scores);
        }
    }
}

/// The weights of some candidates, by column.
struct Weights {
    starts: Vec<usize>,
    entries: Vec<(u32, f64)>,
}

impl Weights {
    fn of(weights: &Sparse, candidates: &Range<usize>) -> Self {
        let (mut starts, mut entries) = (vec![0], Vec::new());
        for column in 0..weights.shape().0 {
            let (of_column, values) = weights.entries(column);
            let all = of_column.iter().enumerate().map(|(at, &candidate)| (candidate as usize, at));
            entries.extend(all.filter(|(candidate, _)| candidates.contains(candidate)).map(|(candidate, at)| {
                ((candidate - candidates.start) as u32, values.map_or(1.0, |values| values[at]))
            }));
            starts.push(entries.len());
        }
        Self { starts, entries }
    }

    fn row(&self, column: usize) -> &[(u32, f64)] {
        &self.entries[self.starts[column]..self.starts[column + 1]]
    }
}

impl Best {
    /// Begins with so many candidates, of whom nothing is known.
    fn begin(&mut self, candidates: usize) {
        self.of_candidates = [vec![f32::NEG_INFINITY; candidates], vec![f32::NEG_INFINITY; candidates]];
        self.found = vec![0; candidates];
    }

    /// Takes the scores of a row, the one after that of the call before.
    fn take(&mut self, row: usize, scores: &[f32]) {
        let [best, second] = &mut self.of_candidates;
        let (mut largest, mut next) = (self.of_rows[0][row], self.of_rows[1][row]);
        for (candidate, &score) in scores.iter().enumerate() {
            // Both are rarely so, which a processor guesses.
            if score > next {
                next = score.min(largest);
                largest = score.max(largest);
            }
            if score > second[candidate] {
                if score > best[candidate] {
                    second[candidate] = best[candidate];
                    best[candidate] = score;
                    self.found[candidate] = row as i64;
                } else {
                    second[candidate] = score;
                }
            }
        }
        (self.of_rows[0][row], self.of_rows[1][row]) = (largest, next);
    }

    /// Adds what is best of each row among other candidates.
    fn add_rows(&mut self, others: &Self) {
        let [best, second] = &mut self.of_rows;
        let rows = best.iter_mut().zip(second).zip(others.of_rows[0].iter().zip(&others.of_rows[1]));
        for ((best, second), (&other, &next)) in rows {
            *second = second.max(next).max(best.min(other));
            *best = best.max(other);
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // Which of two scores is the larger is exact.
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const ROWS: usize = 7;
    const COLUMNS: usize = 5;

    /// Starts and columns of what is there.
    fn compressed(there: &[Vec<bool>]) -> (Vec<i64>, Vec<i32>) {
        let columns: Vec<Vec<i32>> = there
            .iter()
            .map(|row| row.iter().zip(0..).filter_map(|(&there, column)| there.then_some(column)).collect())
            .collect();
        let ends = columns.iter().scan(0, |end, row| {
            *end += row.len() as i64;
            Some(*end)
        });
        (std::iter::once(0).chain(ends).collect(), columns.concat())
    }

    proptest! {
        #[test]
        fn the_best_are_those_of_all_scores(
            rows in vec(vec(any::<bool>(), COLUMNS), ROWS),
            theirs in (0_usize..9).prop_flat_map(|count| vec(vec(any::<bool>(), count), COLUMNS)),
            numbers in vec(-3_i32..3, 20),
            threads in 1_usize..5,
        ) {
            let candidates = theirs[0].len();
            let number = |at: usize| f64::from(numbers[at % numbers.len()]);
            let (starts, columns) = compressed(&rows);
            let (weight_starts, weight_columns) = compressed(&theirs);
            let weights: Vec<f64> = (0..weight_columns.len()).map(number).collect();
            let slopes: Vec<f64> = (0..candidates).map(|at| number(at + 3)).collect();
            let offsets: Vec<f64> = (0..candidates).map(|at| number(at + 7)).collect();
            let usual: Vec<f64> = (0..ROWS).map(|at| number(at + 11)).collect();
            let likelihoods = Likelihoods::new(
                Sparse::new(&starts, &columns, None, COLUMNS).unwrap(),
                Sparse::new(&weight_starts, &weight_columns, Some(&weights), candidates).unwrap(),
                &slopes,
                &offsets,
                &usual,
            )
            .unwrap();
            let mut scores = vec![vec![0.0_f32; candidates]; ROWS];
            for (row, scores) in scores.iter_mut().enumerate() {
                for (candidate, score) in scores.iter_mut().enumerate() {
                    let own = &columns[starts[row] as usize..starts[row + 1] as usize];
                    let shared = own.iter().filter_map(|&column| {
                        let range = weight_starts[column as usize] as usize..weight_starts[column as usize + 1] as usize;
                        range.into_iter().find(|&at| weight_columns[at] as usize == candidate).map(|at| weights[at])
                    });
                    let degree = own.len() as f64;
                    *score = (shared.sum::<f64>() + degree * slopes[candidate] + offsets[candidate] - usual[row]) as f32;
                }
            }
            let two = |mut all: Vec<f32>| {
                all.extend([f32::NEG_INFINITY; 2]);
                all.sort_by(|one, other| other.total_cmp(one));
                [all[0], all[1]]
            };
            let best = likelihoods.best(threads, &Progress::default()).unwrap();
            for (row, scores) in scores.iter().enumerate() {
                prop_assert_eq!(best.of_rows.each_ref().map(|all| all[row]), two(scores.clone()));
            }
            let sums = likelihoods.sums(threads, &Progress::default()).unwrap();
            for candidate in 0..candidates {
                let of_candidate: Vec<f32> = scores.iter().map(|row| row[candidate]).collect();
                prop_assert_eq!(best.of_candidates.each_ref().map(|all| all[candidate]), two(of_candidate.clone()));
                let first = of_candidate.iter().position(|&score| score == best.of_candidates[0][candidate]);
                prop_assert_eq!(first, Some(best.found[candidate] as usize));
                let expected: f64 = of_candidate.iter().map(|&score| f64::from(score).exp()).sum();
                prop_assert!((sums[candidate] - expected).abs() <= 1e-12 * expected);
            }
        }
    }

    #[test]
    fn no_likelihood_outweighs_all_others_and_a_call_can_be_stopped() {
        let (rows, weights) =
            (Sparse::new(&[0, 0, 0], &[], None, 0).unwrap(), Sparse::new(&[0], &[], None, 3).unwrap());
        let likelihoods = Likelihoods::new(rows, weights, &[0.0; 3], &[1e4, -1e4, 0.0], &[0.0, 0.0]).unwrap();
        let sums = likelihoods.sums(2, &Progress::default()).unwrap();
        for (sum, score) in sums.into_iter().zip([50.0_f64, -50.0, 0.0]) {
            assert!((sum / (2.0 * score.exp()) - 1.0).abs() < 1e-12);
        }
        let stopped = Progress { cancel: true.into(), ..Progress::default() };
        assert!(likelihoods.best(1, &stopped).is_err() && likelihoods.sums(1, &stopped).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (rows, weights) =
            (Sparse::new(&[0, 1], &[0], None, 2).unwrap(), Sparse::new(&[0, 0, 0], &[], None, 3).unwrap());
        assert!(Likelihoods::new(rows, weights, &[0.0; 3], &[0.0; 3], &[0.0]).is_ok());
        assert!(Likelihoods::new(rows, weights, &[0.0; 3], &[0.0; 2], &[0.0]).is_err());
        assert!(Likelihoods::new(weights, rows, &[0.0; 2], &[0.0; 2], &[0.0; 2]).is_err());
    }
}
