"""What the log is for: estimates of other policies by exact propensities are right, and without them wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import fractalrs as fr

Floats = npt.NDArray[np.float64]
SLATES: dict[str, dict[str, Any]] = {"one": {}, "three": {"slate": 3, "position_bias": 0.7}}


@dataclass(frozen=True)
class Log:
    """A log of exposures, and the target's probability of each."""

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    response: npt.NDArray[np.bool_]
    propensity: Floats  # That the item is shown.
    examination: Floats  # That it is looked at then.

    @classmethod
    def of(cls, world: fr.World, users: tuple[int, int] | None = None) -> "Log":
        table = pa.table(world.observations(users=users))
        user, item, response, propensity, position = (
            table[name].to_numpy() for name in ("user_id", "item_id", "response", "propensity", "position")
        )
        first = 0 if users is None else users[0]
        return cls(user - first, item, response, propensity, world.examination[position])


def estimates(log: Log, target: Floats, propensity: Floats) -> dict[str, tuple[float, float]]:
    """The value of a target policy, (users, items), by several estimators, with standard errors over users."""
    users = len(target)
    weight = target[log.user, log.item] / propensity
    # What an item's responses have been on average stands in for a model.
    shown = np.bincount(log.item, minlength=target.shape[1])
    model = np.bincount(log.item, log.response / log.examination, minlength=target.shape[1]) / np.maximum(shown, 1)

    def by_user(values: Floats) -> Floats:
        return np.bincount(log.user, values, minlength=users).astype(np.float64)

    liked = log.response / log.examination
    reward, weights = by_user(weight * liked), by_user(weight)
    ratio = reward.sum() / weights.sum()
    corrected = target @ model + by_user(weight * (liked - model[log.item]))
    plain = target[log.user, log.item]
    return {
        "ips": (reward.mean(), reward.std() / np.sqrt(users)),
        "snips": (ratio, (reward - ratio * weights).std() / np.sqrt(users) / weights.mean()),
        "dr": (corrected.mean(), corrected.std() / np.sqrt(users)),
        "replay": (float((plain * log.response).sum() / plain.sum()), 0.0),
    }


def targets(world: fr.World) -> dict[str, Floats]:
    """Three policies that show one item."""
    users, items = world.shape
    likes = world.preferences(np.arange(users))
    popular = world.propensity(np.full(items, 0), np.arange(items))
    return {
        "uniform": np.full((users, items), 1 / items),
        "taste": likes**2 / (likes**2).sum(axis=1, keepdims=True),
        "unpopular": np.tile((1 / (0.05 + popular)) / (1 / (0.05 + popular)).sum(), (users, 1)),
    }


@pytest.mark.parametrize("slate", SLATES)
def test_estimates_are_unbiased_where_replay_is_off(slate: str) -> None:
    world = fr.simulate(4_000, 300, 150_000, seed=2, appeal=1.0, **SLATES[slate])
    log, replay_off, permuted_off = Log.of(world), [], []
    for target in targets(world).values():
        exact = world.policy_value(target.__getitem__, np.arange(4_000))
        assert exact == pytest.approx((target * world.preferences(np.arange(4_000))).sum(axis=1).mean(), rel=1e-12)
        found = estimates(log, target, log.propensity)
        for name in ("ips", "snips", "dr"):
            value, error = found[name]
            assert error < 0.03 * exact
            assert abs(value - exact) < 4 * error, (name, value, exact, error)
        replay_off.append(abs(found["replay"][0] / exact - 1))
        value, error = estimates(log, target, np.random.default_rng(0).permutation(log.propensity))["ips"]
        permuted_off.append(abs(value - exact) / max(4 * error, 0.1 * exact))
    assert max(replay_off) > 0.1
    # With the propensities of other rows the same estimates are wrong, and seen to be.
    assert max(permuted_off) > 1


def test_intervals_cover() -> None:
    logs, users = 100, 200
    world = fr.simulate(logs * users, 60, 200_000, seed=4)
    target = targets(world)["taste"]
    exact, covered = float((target * world.preferences(np.arange(logs * users))).sum() / (logs * users)), 0
    for number in range(logs):
        first = number * users
        log = Log.of(world, users=(first, first + users))
        value, error = estimates(log, target[first : first + users], log.propensity)["dr"]
        covered += abs(value - exact) < 1.96 * error
    # 95 of 100, give or take three standard deviations.
    assert covered >= 88
