//! Feedback: the slates that a policy shows in a round, what is tried in their place, and how users respond.

use super::world::World;
use crate::chance::{Key, bounded};
use crate::error::Error;

/// Responses arrive after fewer rounds than this.
const LATEST: i32 = 1 << 16;

/// Items that are not shown to users again, those of each by number: from one of the starts to the next.
pub struct Seen<'a> {
    pub starts: &'a [u64],
    pub items: &'a [u32],
}

impl<'a> Seen<'a> {
    /// Refuses what are not rows of rising items for so many users.
    pub fn check(&self, users: usize, items: u32) -> Result<(), Error> {
        let rises = self.starts.windows(2).all(|pair| pair[0] <= pair[1]);
        let spans = self.starts.first() == Some(&0) && self.starts.last() == Some(&(self.items.len() as u64));
        if !rises || !spans || self.starts.len() != users + 1 {
            return Err(Error::Invalid("rows of items do not fit the users".into()));
        }
        for row in 0..users {
            let items_of = self.of(row);
            if items_of.windows(2).any(|pair| pair[0] >= pair[1]) || items_of.last().is_some_and(|&item| item >= items)
            {
                return Err(Error::Invalid("items of a user do not rise, or are not the world's".into()));
            }
        }
        Ok(())
    }

    fn of(&self, row: usize) -> &'a [u32] {
        &self.items[self.starts[row] as usize..self.starts[row + 1] as usize]
    }
}

/// What a round of feedback is beside its slates.
pub struct Rules {
    pub seed: u64,
    pub round: u64,
    pub slate: usize,
    /// The probability, in units of 2⁻³², that another item is tried in the place of each.
    pub epsilon: u64,
    /// … that the policy never hears of a response, and that what it hears comes a round later, again and again.
    pub missing: u64,
    pub late: u64,
    /// By position: the probability that users look there, in units of 2⁻³².
    pub examination: Vec<u64>,
}

/// How likely an item of the slate, and any other one, is shown: by the number of items not shown again.
pub struct Chances<'a> {
    pub kept: &'a [f64],
    pub tried: &'a [f64],
}

/// What is shown and how users respond: slate by slate.
#[derive(Default)]
pub struct Answers {
    pub items: Vec<i32>,
    pub propensities: Vec<f64>,
    pub responses: Vec<bool>,
    /// The round whose policy is the first to hear of a response; below 0: none.
    pub arrivals: Vec<i32>,
}

/// The items of the highest scores for each user, of equal ones the first: a slate each.
pub fn top(scores: &[f64], items: usize, slate: usize, seen: &Seen) -> Result<Vec<u32>, Error> {
    let mut slates = Vec::with_capacity(scores.len() / items * slate);
    let mut best: Vec<(f64, u32)> = Vec::with_capacity(slate + 1);
    for (row, scores) in scores.chunks(items).enumerate() {
        if !scores.iter().all(|score| score.is_finite()) {
            return Err(Error::Invalid("the scores of the policy are not finite".into()));
        }
        let seen = seen.of(row);
        best.clear();
        for (&score, item) in scores.iter().zip(0..) {
            if best.len() == slate && score <= best[slate - 1].0 || seen.binary_search(&item).is_ok() {
                continue;
            }
            best.truncate(slate - 1);
            best.insert(best.partition_point(|other| other.0 >= score), (score, item));
        }
        if best.len() < slate {
            return Err(too_few());
        }
        slates.extend(best.iter().map(|&(_, item)| item));
    }
    Ok(slates)
}

/// Slates by orders of items, of which each user gets any: its first items, and how many of the orders begin with each.
pub fn first_of_orders(
    world: &World,
    users: &[u32],
    orders: &[u32],
    length: usize,
    rules: &Rules,
    seen: &Seen,
) -> Result<(Vec<u32>, Vec<f64>), Error> {
    let (slate, count) = (rules.slate, orders.len() / length);
    let (mut slates, mut chances) = (Vec::new(), Vec::new());
    let mut times = vec![0_u32; world.items() as usize];
    for (row, &user) in users.iter().enumerate() {
        let seen = seen.of(row);
        let of = |order: usize| {
            let order = &orders[order * length..][..length];
            order.iter().filter(|item| seen.binary_search(item).is_err()).take(slate)
        };
        let chosen = bounded(key(world, rules.seed, rules.round, user).child(5).0, count as u64) as usize;
        let before = slates.len();
        slates.extend(of(chosen));
        if slates.len() - before < slate {
            return Err(too_few());
        }
        (0..count).flat_map(of).for_each(|&item| times[item as usize] += 1);
        chances.extend(slates[before..].iter().map(|&item| f64::from(times[item as usize]) / count as f64));
        (0..count).flat_map(of).for_each(|&item| times[item as usize] = 0);
    }
    Ok((slates, chances))
}

/// Shows users slates, tries other items in the places of some, and lets users respond.
///
/// `own` are the probabilities of what is shown, where it is not the policy's rule of trying that makes them.
pub fn answer(
    world: &World,
    users: &[u32],
    mut slates: Vec<u32>,
    own: Option<&[f64]>,
    chances: &Chances,
    seen: &Seen,
    rules: &Rules,
) -> Result<Answers, Error> {
    let mut made = Answers::default();
    let mut by_policy = Vec::with_capacity(rules.slate);
    for ((row, &user), slate) in users.iter().enumerate().zip(slates.chunks_mut(rules.slate)) {
        let (seen, key) = (seen.of(row), key(world, rules.seed, rules.round, user));
        by_policy.clear();
        by_policy.extend_from_slice(slate);
        try_others(world, slate, seen, rules.epsilon, key)?;
        let (kept, tried) = (chances.kept[seen.len()], chances.tried[seen.len()]);
        let taste = world.taste(user);
        for ((position, &item), &looks) in slate.iter().enumerate().zip(&rules.examination) {
            let draw = key.child(2).child(position as u64).0;
            let likes = world.preference(&taste, item);
            let response = (draw >> 32) < u64::from(likes) && (draw & 0xFFFF_FFFF) < looks;
            made.items.push(item as i32);
            made.propensities.push(match own {
                Some(own) => own[row * rules.slate + position],
                None if by_policy.contains(&item) => kept,
                None => tried,
            });
            made.responses.push(response);
            made.arrivals.push(if response { arrival(rules, key.child(3).child(position as u64)) } else { -1 });
        }
    }
    Ok(made)
}

/// Whether each user, who has not responded to anything, leaves for good.
#[must_use]
pub fn leaves(world: &World, users: &[u32], seed: u64, round: u64, probability: u64) -> Vec<bool> {
    users.iter().map(|&user| key(world, seed, round, user).child(4).0 >> 32 < probability).collect()
}

/// Puts any items that are neither shown nor seen in places of the slate.
fn try_others(world: &World, slate: &mut [u32], seen: &[u32], epsilon: u64, key: Key) -> Result<(), Error> {
    if epsilon == 0 {
        return Ok(());
    }
    let items = u64::from(world.items());
    let trying = |position: usize| key.child(0).child(position as u64).0 >> 32 < epsilon;
    for (position, item) in slate.iter_mut().enumerate() {
        if trying(position) {
            *item = u32::MAX;
        }
    }
    if (items - seen.len() as u64) < slate.len() as u64 {
        return Err(too_few());
    }
    for position in 0..slate.len() {
        if trying(position) {
            let words = key.child(1).child(position as u64);
            let mut found = (0..).map(|number| bounded(words.child(number).0, items) as u32);
            let item = found.find(|item| !slate.contains(item) && seen.binary_search(item).is_err());
            slate[position] = item.unwrap_or(0);
        }
    }
    Ok(())
}

fn arrival(rules: &Rules, key: Key) -> i32 {
    if key.child(0).0 >> 32 < rules.missing {
        return -1;
    }
    let late = (1..LATEST).take_while(|&times| key.child(times as u64).0 >> 32 < rules.late).count();
    rules.round as i32 + 1 + late as i32
}

/// The key of what happens to a user in a round of feedback.
fn key(world: &World, seed: u64, round: u64, user: u32) -> Key {
    world.of_feedback().child(seed).child(round).child(u64::from(user))
}

fn too_few() -> Error {
    Error::Invalid("there are too few items that a user has not responded to for a slate".into())
}
