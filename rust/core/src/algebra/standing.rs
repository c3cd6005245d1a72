//! Where items stand when users' tastes are multiplied with items' factors: how many score better, rank by rank.

#![allow(clippy::inline_always)] // What is not inlined is not widened.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::algebra::Sparse;
use crate::error::Error;
use crate::memory::{Loop, widened};
use crate::threads::{Progress, on_threads};

/// Users worked on together at most: each tile of factors is read from memory once for all of them …
const USERS: usize = 64;
/// … and has so many items: with 64 factors it stays in a processor's second cache.
const TILE: usize = 1024;

/// Scores: of user u for item i the sum of `tastes[u][k] · factors[k][i]`, taken in the order of k.
#[derive(Clone, Copy)]
pub struct Factorised<'a> {
    /// One row of numbers a user, and one a factor.
    tastes: &'a [f32],
    factors: &'a [f32],
    count: usize,
    items: usize,
}

/// How many items score better than an asked one, and how many as much, itself too. Where better ones are enough already,
/// some are left out.
pub type Standing = [u32; 2];

impl<'a> Factorised<'a> {
    /// Scores of so many factors and items; fails where the arrays do not fit.
    pub fn new(tastes: &'a [f32], factors: &'a [f32], count: usize, items: usize) -> Result<Self, Error> {
        if count == 0 || !tastes.len().is_multiple_of(count) || factors.len() != count * items {
            return Err(Error::Invalid("tastes and factors do not fit together".to_owned()));
        }
        Ok(Self { tastes, factors, count, items })
    }

    /// Compares the entries of `asked` with all items that are not in `known`, both by user: by the first factors alone, as
    /// many as each of the rising `ranks` says. One row a rank, each in the order of the entries. What is known itself
    /// stands last.
    pub fn standings(
        &self,
        known: &Sparse,
        asked: &Sparse,
        ranks: &[usize],
        enough: u32,
        threads: usize,
        progress: &Progress,
    ) -> Result<Vec<Vec<Standing>>, Error> {
        let users = self.tastes.len() / self.count;
        let fits = known.shape() == (users, self.items) && asked.shape() == (users, self.items);
        let inside = |matrix: &Sparse| {
            (0..users)
                .all(|user| matrix.row(user).iter().all(|&item| usize::try_from(item).is_ok_and(|i| i < self.items)))
        };
        let rise =
            ranks.is_sorted_by(|one, other| one < other) && ranks.iter().all(|rank| (1..=self.count).contains(rank));
        if !fits || !rise || !inside(known) || !inside(asked) {
            return Err(Error::Invalid(
                "what is known or asked does not fit the scores, or ranks do not rise".to_owned(),
            ));
        }
        let (next, step) = (AtomicUsize::new(0), users.div_ceil(threads.max(1)).clamp(1, USERS));
        let found = on_threads(threads, progress, || {
            let mut done = Vec::new();
            loop {
                let first = next.fetch_add(step, Ordering::Relaxed);
                if first >= users {
                    return Ok(done);
                }
                let mut some: Vec<_> =
                    (first..users.min(first + step)).map(|user| User::new(self, user, known, asked, ranks)).collect();
                for start in (0..self.items).step_by(TILE) {
                    let items = start..self.items.min(start + TILE);
                    progress.advance(0)?;
                    widened(Tile { scores: self, users: &mut some, items, ranks, enough });
                }
                done.extend(some);
            }
        })?;
        let mut all: Vec<User> = found.into_iter().flatten().collect();
        all.sort_unstable_by_key(|user| user.number);
        let by_rank = |rank: usize| all.iter().flat_map(move |user| user.asked.iter().map(move |asked| asked[rank].1));
        Ok((0..ranks.len()).map(|rank| by_rank(rank).collect()).collect())
    }

    fn taste(&self, user: usize) -> &'a [f32] {
        &self.tastes[user * self.count..][..self.count]
    }
}

/// A user whose items are compared.
struct User {
    number: usize,
    /// The items that are left out, those of later tiles.
    known: Vec<i32>,
    /// Of each asked item, by rank: its score, and where it stands among the items so far.
    asked: Vec<Vec<(f32, Standing)>>,
}

impl User {
    fn new(scores: &Factorised, number: usize, known: &Sparse, asked: &Sparse, ranks: &[usize]) -> Self {
        let mut left_out = known.row(number).to_vec();
        left_out.sort_unstable_by(|one, other| other.cmp(one));
        let taste = scores.taste(number);
        let score_of = |item: &i32| {
            if left_out.binary_search_by(|other| item.cmp(other)).is_ok() {
                return vec![(f32::NEG_INFINITY, [0, 0]); ranks.len()];
            }
            let mut terms =
                (0..).zip(taste).map(|(k, &taste)| taste * scores.factors[k * scores.items + *item as usize]);
            let (mut score, mut added) = (0.0_f32, 0);
            let by_rank = ranks.iter().map(|&rank| {
                terms.by_ref().take(rank - added).for_each(|term| score += term);
                added = rank;
                (score, [0, 0])
            });
            by_rank.collect()
        };
        let asked = asked.row(number).iter().map(score_of).collect();
        Self { number, known: left_out, asked }
    }
}

/// The items of a tile, for some users.
struct Tile<'t> {
    scores: &'t Factorised<'t>,
    users: &'t mut [User],
    items: Range<usize>,
    ranks: &'t [usize],
    enough: u32,
}

impl Loop for Tile<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { scores, users, items, ranks, enough } = self;
        let mut sums = [0.0_f32; TILE];
        for user in users {
            let sums = &mut sums[..items.len()];
            sums.fill(0.0);
            while let Some(item) = user.known.pop_if(|item| (*item as usize) < items.end) {
                // It stays there, whatever is added.
                sums[item as usize - items.start] = f32::NEG_INFINITY;
            }
            let taste = scores.taste(user.number);
            let mut added = 0;
            for (place, &rank) in ranks.iter().enumerate() {
                for (k, &taste) in taste.iter().enumerate().take(rank).skip(added) {
                    let factor = &scores.factors[k * scores.items..][items.clone()];
                    sums.iter_mut().zip(factor).for_each(|(sum, &factor)| *sum += taste * factor);
                }
                added = rank;
                for asked in &mut user.asked {
                    let (own, standing) = &mut asked[place];
                    if standing[0] >= enough {
                        continue;
                    }
                    let better: u32 = sums.iter().map(|&sum| u32::from(sum > *own)).sum();
                    let as_good: u32 = sums.iter().map(|&sum| u32::from(sum >= *own)).sum();
                    standing[0] += better;
                    standing[1] += as_good - better;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stand_where_all_scores_put_them() {
        let (users, items, count) = (70, 2 * TILE + 100, 5);
        let number = |seed: usize| ((seed * 7919 % 23) as f32) - 11.0;
        let tastes: Vec<f32> = (0..users * count).map(number).collect();
        let factors: Vec<f32> = (0..items * count).map(|seed| number(3 * seed + 1)).collect();
        let each = 4;
        let starts: Vec<i64> = (0..=users as i64).map(|user| each * user).collect();
        let columns = |step: usize| (0..users * each as usize).map(|k| (k * step % items) as i32).collect::<Vec<_>>();
        let (known, asked) = (columns(1_013), columns(577));
        let [known_rows, asked_rows] =
            [&known, &asked].map(|columns| Sparse::new(&starts, columns, None, items).unwrap());
        let scores = Factorised::new(&tastes, &factors, count, items).unwrap();
        let ranks = [1, 3, 5];
        for threads in [1, 3] {
            let ask =
                |enough| scores.standings(&known_rows, &asked_rows, &ranks, enough, threads, &Progress::default());
            let (found, early) = (ask(u32::MAX).unwrap(), ask(50).unwrap());
            for (rank, (found, early)) in ranks.into_iter().zip(found.into_iter().zip(early)) {
                for (entry, (standing, early)) in found.into_iter().zip(early).enumerate() {
                    let user = entry / each as usize;
                    let score = |item: usize| {
                        (0..rank).fold(0.0_f32, |sum, k| sum + tastes[user * count + k] * factors[k * items + item])
                    };
                    let is_known = known_rows.row(user).contains(&asked[entry]);
                    let own = if is_known { f32::NEG_INFINITY } else { score(asked[entry] as usize) };
                    let others_of = |user: usize| {
                        (0..items as i32).filter(|item| !known_rows.row(user).contains(item)).count() as u32
                    };
                    let others = (0..items).filter(|&item| !known_rows.row(user).contains(&(item as i32))).map(score);
                    let (better, tied) = others.fold((0, 0), |(better, tied), other| {
                        (better + u32::from(other > own), tied + u32::from(other.to_bits() == own.to_bits()))
                    });
                    if is_known {
                        assert_eq!(standing[0], others_of(user));
                        continue;
                    }
                    assert_eq!(standing, [better, tied]);
                    assert!(if better < 50 { early == standing } else { early[0] >= 50 });
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Factorised::new(&[1.0; 4], &[1.0; 7], 2, 3).is_err());
        let scores = Factorised::new(&[1.0; 2], &[1.0; 6], 2, 3).unwrap();
        let one = Sparse::new(&[0, 1], &[2], None, 3).unwrap();
        let wide = Sparse::new(&[0, 1], &[3], None, 3).unwrap();
        let ask = |known, asked, ranks: [usize; 2]| scores.standings(known, asked, &ranks, 9, 1, &Progress::default());
        assert!(ask(&one, &one, [1, 2]).is_ok());
        for (known, asked, ranks) in
            [(&one, &one, [2, 1]), (&one, &one, [1, 3]), (&wide, &one, [1, 2]), (&one, &wide, [1, 2])]
        {
            assert!(ask(known, asked, ranks).is_err());
        }
    }
}
