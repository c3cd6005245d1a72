//! What is asked of a world for many users or pairs at once.

use std::sync::Mutex;

use super::axis::Axis;
use super::exposures::{Exposures, Maker};
use super::world::World;
use crate::error::Error;
use crate::memory::prefetch;
use crate::threads::{Progress, on_threads};

/// A thread takes so many answers at a time.
const CHUNK: usize = 1 << 14;
/// So many pairs ahead items are asked for.
const PREFETCHED: usize = 8;

/// A user and an item.
pub type Pair = (u32, u32);

/// How likely each user likes the item when shown it.
pub fn preferences(world: &World, pairs: &[Pair], threads: usize, progress: &Progress) -> Result<Vec<f64>, Error> {
    of_pairs(
        world,
        pairs,
        threads,
        progress,
        |user| Ok(world.taste(user)),
        |taste, item| chance(world.preference(taste, item)),
    )
}

/// The probability that the policy of the world shows each user the item in a round.
pub fn propensities(world: &World, pairs: &[Pair], threads: usize, progress: &Progress) -> Result<Vec<f64>, Error> {
    let shown = |user| world.axis.shown(world.exposures(user));
    of_pairs(world, pairs, threads, progress, shown, |shown, item| world.propensity(shown, item))
}

/// How likely users like each item: user by user.
pub fn rows(world: &World, users: &[u32], threads: usize, progress: &Progress) -> Result<Vec<f64>, Error> {
    let items = world.items() as usize;
    let mut values = vec![0.0; users.len() * items];
    share_out(users.iter().zip(values.chunks_mut(items)), threads, progress, |(&user, row)| {
        let taste = world.taste(user);
        for (value, item) in row.iter_mut().zip(0..) {
            *value = chance(world.preference(&taste, item));
        }
        Ok(())
    })?;
    Ok(values)
}

/// What users are shown in a round: by the policy of the world, or by weights of all items, user by user.
pub fn expose(
    world: &World,
    users: &[u32],
    weights: Option<&[u64]>,
    round: u64,
    only_responses: bool,
    mut check: impl FnMut() -> Result<(), Error>,
) -> Result<Exposures, Error> {
    let (mut maker, mut made) = (Maker::default(), Exposures::default());
    for (number, &user) in users.iter().enumerate() {
        check()?;
        let own = weights.map(|weights| Axis::of_weights(row_of(weights, number, world))).transpose()?;
        let axis = own.as_ref().unwrap_or(&world.axis);
        let shown =
            axis.shown(world.exposures(user)).map_err(|error| Error::Invalid(format!("user {user}: {error}")))?;
        maker.expose(world, axis, &shown, round, user, only_responses, &mut made);
    }
    Ok(made)
}

/// The probability that each item is shown by weights of all items, user by user.
pub fn chances(world: &World, users: &[u32], weights: &[u64]) -> Result<Vec<f64>, Error> {
    let mut values = Vec::with_capacity(weights.len());
    for (number, &user) in users.iter().enumerate() {
        let row = row_of(weights, number, world);
        let shown = Axis::of_weights(row)?.shown(world.exposures(user));
        let shown = shown.map_err(|error| Error::Invalid(format!("user {user}: {error}")))?;
        values.extend(row.iter().map(|&weight| shown.propensity(weight)));
    }
    Ok(values)
}

fn row_of<'w>(weights: &'w [u64], number: usize, world: &World) -> &'w [u64] {
    let items = world.items() as usize;
    &weights[number * items..][..items]
}

/// A number of 2⁻³², exactly.
fn chance(value: u32) -> f64 {
    f64::from(value) / 4_294_967_296.0
}

/// Answers pairs, of which those of one user that follow each other share what is known of the user.
fn of_pairs<T: Copy + Sync>(
    world: &World,
    pairs: &[Pair],
    threads: usize,
    progress: &Progress,
    known: impl Fn(u32) -> Result<T, Error> + Sync,
    answer: impl Fn(&T, u32) -> f64 + Sync,
) -> Result<Vec<f64>, Error> {
    let mut values = vec![0.0; pairs.len()];
    // Many pairs ask for each user more than once.
    let everyone = if pairs.len() >= 2 * world.users() as usize { 0..world.users() } else { 0..0 };
    let table = everyone.map(&known).collect::<Result<Vec<T>, Error>>()?;
    share_out(pairs.chunks(CHUNK).zip(values.chunks_mut(CHUNK)), threads, progress, |(pairs, values)| {
        let mut last = None;
        for (number, (&(user, item), value)) in pairs.iter().zip(values).enumerate() {
            if let Some(&(_, far)) = pairs.get(number + PREFETCHED) {
                prefetch(&world.items[far as usize]);
            }
            let of_user = match (table.get(user as usize), last) {
                (Some(&of_user), _) => of_user,
                (None, Some((other, of_user))) if other == user => of_user,
                _ => known(user)?,
            };
            *value = answer(&of_user, item);
            last = Some((user, of_user));
        }
        Ok(())
    })?;
    Ok(values)
}

/// Does each of some jobs, on threads.
fn share_out<J: Send>(
    jobs: impl Iterator<Item = J> + Send,
    threads: usize,
    progress: &Progress,
    work: impl Fn(J) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let jobs = Mutex::new(jobs);
    let next = || jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    on_threads(threads, progress, || {
        while let Some(job) = next() {
            progress.advance(0)?;
            work(job)?;
        }
        Ok(())
    })
    .map(drop)
}
