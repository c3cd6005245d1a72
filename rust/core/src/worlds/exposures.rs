//! Exposures: what users are shown in a round, and how they respond.

use super::axis::{Axis, Shown};
use super::world::World;
use crate::chance::{Permutation, bounded};
use crate::memory::prefetch;

/// Exposures, column by column.
#[derive(Default)]
pub struct Exposures {
    pub users: Vec<i32>,
    pub items: Vec<i32>,
    pub times: Vec<i64>,
    pub positions: Vec<i32>,
    pub propensities: Vec<f64>,
    pub responses: Vec<bool>,
    /// 0 where there is no response.
    pub ratings: Vec<i8>,
}

/// Makes what happens to one user after the other.
#[derive(Default)]
pub struct Maker {
    ranks: Vec<u32>,
    shown: Vec<u32>,
}

impl Maker {
    /// Appends what a user is shown from an axis; of exposures without a response only if they are wanted.
    #[allow(clippy::too_many_arguments)]
    pub fn expose(
        &mut self,
        world: &World,
        axis: &Axis,
        shown: &Shown,
        round: u64,
        user: u32,
        only_responses: bool,
        made: &mut Exposures,
    ) {
        let Self { ranks, shown: at } = self;
        let key = world.key(round, user);
        axis.draw(shown, key.child(0), ranks);
        let order = Permutation::new(key.child(1), ranks.len().max(1) as u32);
        at.resize(ranks.len(), 0);
        for (&rank, number) in ranks.iter().zip(0..) {
            prefetch(&axis.order[rank as usize]);
            at[order.image(number) as usize] = rank;
        }
        for &rank in ranks.iter() {
            prefetch(&world.items[axis.order[rank as usize] as usize]);
        }
        let (responding, rating, pausing) = (key.child(2), key.child(3), key.child(4));
        let taste = world.taste(user);
        let spec = &world.spec;
        let mut time = spec.start + bounded(key.child(5).0, spec.arrivals + 1);
        let mut number = 0_u64;
        for slate in at.chunks_mut(spec.examination.len()) {
            slate.sort_unstable();
            let mut pause = 0;
            for ((&rank, &looks), position) in slate.iter().zip(&spec.examination).zip(0..) {
                let item = axis.order[rank as usize];
                let preference = world.preference(&taste, item);
                let draw = responding.child(number).0;
                let response = (draw >> 32) < u64::from(preference) && (draw & 0xFFFF_FFFF) < looks;
                if response {
                    pause = u64::saturating_add(pause, between(&spec.pauses, pausing.child(number).0));
                }
                if response || !only_responses {
                    made.users.push(user as i32);
                    made.items.push(item as i32);
                    made.times.push(time as i64);
                    made.positions.push(position);
                    made.propensities.push(shown.propensity(axis.weight(rank)));
                    made.responses.push(response);
                    made.ratings.push(if response { stars(preference, rating.child(number).0) } else { 0 });
                }
                number += 1;
            }
            // Times are written as 64-bit integers with a sign.
            time = time.saturating_add(pause).min(i64::MAX as u64);
        }
    }
}

/// A random time between two of equally likely stretches.
fn between(pauses: &[u64], word: u64) -> u64 {
    let product = u128::from(word) * (pauses.len() as u128 - 1);
    let (stretch, fraction) = ((product >> 64) as usize, product as u64);
    let (low, high) = (pauses[stretch], pauses[stretch + 1]);
    low + bounded(fraction, high.saturating_sub(low) + 1)
}

/// 1 to 5: one and a binomial number of four with the preference.
fn stars(preference: u32, word: u64) -> i8 {
    let below = u64::from(preference >> 16);
    1 + (0..4).map(|quarter| i8::from((word >> (16 * quarter) & 0xFFFF) < below)).sum::<i8>()
}
