//! The world: who likes what and what is shown, laid out once from what is given of it.

use serde::Deserialize;

use super::axis::{Axis, MOST_EXPOSURES, Shown};
use super::curve::Curve;
use super::preference::{DIMENSIONS, Logistic, Taste, Tastes, agreement, stretched};
use crate::chance::{Key, Keys, Permutation};
use crate::error::Error;

/// No group of the last level may be smaller than one, and tables of them fit memory.
const MOST_LEAVES: u64 = 1 << 20;
/// Times are below this.
const LATEST: u64 = 1 << 52;

/// All that a world is determined by, in integers.
#[derive(Clone, Debug, Deserialize)]
pub struct Spec {
    pub seed: u64,
    pub users: u32,
    pub items: u32,
    /// Each group has so many groups, at each level.
    pub branching: u32,
    /// How much each level counts, and each one's own taste, in units of 2⁻⁸.
    pub shares: Vec<i32>,
    /// How much agreement along each dimension of taste counts, in units of 1/384.
    pub scales: [u32; DIMENSIONS],
    /// By rank of popularity: the logit of the preference at no agreement, in units of 2⁻¹⁶.
    pub appeal: Curve,
    /// By rank of popularity: the weight with which items are shown.
    pub weights: Curve,
    /// By rank of activity: the exposures of all users before.
    pub activity: Curve,
    /// Positions of a slate: the probability that a user looks at each, in units of 2⁻³².
    pub examination: Vec<u64>,
    /// Users arrive from here on, for so long.
    pub start: u64,
    pub arrivals: u64,
    /// Equally likely times between one response and the next lie between each of these and the one after.
    pub pauses: Vec<u64>,
}

/// A world, laid out.
pub struct World {
    pub(super) spec: Spec,
    keys: WorldKeys,
    users: Tastes,
    logistic: Logistic,
    /// By item: its taste, stretched, its logit at no agreement, and its rank of popularity.
    pub(super) items: Vec<Item>,
    pub axis: Axis,
}

pub(super) struct Item {
    taste: Taste,
    appeal: i32,
    rank: u32,
}

/// One key a purpose.
struct WorldKeys {
    activity: Key,
    rounds: Key,
    feedback: Key,
}

impl World {
    pub fn new(spec: Spec) -> Result<Self, Error> {
        check(&spec)?;
        let root = Keys::new(spec.seed).worlds;
        let tastes = |count, purpose| {
            let (places, groups, own) = (root.child(purpose), root.child(purpose + 1), root.child(purpose + 2));
            Tastes::new(count, spec.branching, &spec.shares, places, groups, own)
        };
        let (users, of_items) = (tastes(spec.users, 3), tastes(spec.items, 6));
        let popularity = Permutation::new(root.child(1), spec.items);
        let mut order = vec![0; spec.items as usize];
        let items = (0..spec.items).map(|item| {
            let rank = popularity.image(item);
            order[rank as usize] = item;
            let appeal = spec.appeal.at(u64::from(rank)) as i32;
            Item { taste: stretched(of_items.of(item), &spec.scales), appeal, rank }
        });
        let items = items.collect();
        let axis = Axis::new(order, (0..u64::from(spec.items)).map(|rank| spec.weights.at(rank) as u64))?.guided();
        let keys = WorldKeys { activity: root.child(0), rounds: root.child(2), feedback: root.child(9) };
        Ok(Self { spec, keys, users, logistic: Logistic::new(), items, axis })
    }

    #[must_use]
    pub fn users(&self) -> u32 {
        self.spec.users
    }

    #[must_use]
    pub fn items(&self) -> u32 {
        self.spec.items
    }

    /// How many exposures a user has in a round.
    #[must_use]
    pub fn exposures(&self, user: u32) -> u32 {
        let rank = u64::from(Permutation::single_image(self.keys.activity, self.spec.users, user));
        (self.spec.activity.at(rank + 1) - self.spec.activity.at(rank)) as u32
    }

    #[must_use]
    pub fn taste(&self, user: u32) -> Taste {
        self.users.of(user)
    }

    /// How likely a user of some taste likes an item, in units of 2⁻³².
    #[inline]
    #[must_use]
    pub fn preference(&self, taste: &Taste, item: u32) -> u32 {
        let item = &self.items[item as usize];
        self.logistic.at(i64::from(item.appeal) + i64::from(agreement(taste, &item.taste)))
    }

    /// The probability that the policy of this world shows an item to a user with so many exposures.
    #[must_use]
    pub fn propensity(&self, shown: &Shown, item: u32) -> f64 {
        shown.propensity(self.axis.weight(self.items[item as usize].rank))
    }

    /// The key of what happens to a user in a round.
    pub(super) fn key(&self, round: u64, user: u32) -> Key {
        self.keys.rounds.child(round).child(u64::from(user))
    }

    /// The key of what happens where policies learn from what they showed.
    pub(super) fn of_feedback(&self) -> Key {
        self.keys.feedback
    }
}

fn check(spec: &Spec) -> Result<(), Error> {
    let invalid = |what: String| Err(Error::Invalid(what));
    let (users, items) = (u64::from(spec.users), u64::from(spec.items));
    if !(1..1 << 31).contains(&users) || !(1..1 << 31).contains(&items) {
        return invalid(format!("a world has from 1 to 2**31 - 1 users and items, not {users} and {items}"));
    }
    let leaves = spec.shares.iter().skip(1).try_fold(1_u64, |leaves, _| {
        let leaves = leaves * u64::from(spec.branching);
        (spec.branching > 0 && leaves <= MOST_LEAVES).then_some(leaves)
    });
    let shares: i64 = spec.shares.iter().map(|&share| i64::from(share)).sum();
    if spec.shares.is_empty() || leaves.is_none() || shares > 1 << 10 || spec.shares.iter().any(|&share| share < 0) {
        return invalid(
            "the hierarchy of groups is too large, or its levels do not count from 0 to 1024 in all".into(),
        );
    }
    if spec.scales.iter().any(|&scale| scale > 1 << 13) {
        return invalid("tastes count for more than can be computed".into());
    }
    spec.appeal.check("the appeal of items", items, -(1 << 24), 1 << 24)?;
    spec.weights.check("the weight of items", items, 1, 1 << 40)?;
    if !spec.weights.falls() {
        return invalid("the weight of items rises with the rank of popularity; it must not".into());
    }
    let most = users.saturating_mul(u64::from(MOST_EXPOSURES)).min(1 << 62);
    spec.activity.check("the number of exposures", users, 0, most as i64)?;
    if !spec.activity.rises() || spec.activity.steepest() > items as i64 {
        return invalid(format!("a user has up to {} exposures of {items} items", spec.activity.steepest()));
    }
    if spec.examination.is_empty() || spec.examination.iter().any(|&chance| chance > 1 << 32) {
        return invalid("a slate has positions, each of which users look at with a probability".into());
    }
    if spec.start.saturating_add(spec.arrivals) > LATEST
        || spec.pauses.len() < 2
        || spec.pauses.iter().any(|&time| time > LATEST)
    {
        return invalid("times are too late, or there are no pauses".into());
    }
    Ok(())
}
