"""Worlds are what their specification says, bit for bit."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from helpers.world_oracle import Oracle

SHAPES = [(60, 40, 250), (70, 300, 2_000), (5, 8, 6)]
LOGGED = ("user_id", "item_id", "timestamp", "position", "propensity", "response", "rating")


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [table[name].to_pylist() for name in LOGGED[:-1]]
    return list(zip(*columns, table["rating"].fill_null(0).to_pylist(), strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"policy": "uniform", "slate": 3, "position_bias": 0.7},
        {"policy": "popularity^2", "taste": 2.0, "level": 0.3, "activity": 0.4},
    ],
)
def test_preferences_and_logs_are_the_oracles(shape: tuple[int, int, int], options: dict[str, Any]) -> None:
    world = fr.simulate(*shape, seed=sum(shape), **options)
    oracle, (users, items) = Oracle(world.spec), world.shape
    everyone, all_items = np.arange(users), np.arange(items)
    np.testing.assert_array_equal(world.preference(everyone[:, None], all_items), oracle.preference())
    np.testing.assert_array_equal(world.preferences(everyone), oracle.preference())
    np.testing.assert_array_equal(world.exposures(everyone), oracle.exposures)
    for number in (0, 3):
        log = pa.table(world.observations(round=number))
        assert rows_of(log) == oracle.log(range(users), number)
        # What is logged as its propensity is what the world says of the pair.
        said = world.propensity(log["user_id"], log["item_id"])
        np.testing.assert_array_equal(said, log["propensity"])


def test_own_policies_are_the_oracles() -> None:
    world = fr.simulate(30, 50, 300, seed=3, policy=fr.EpsilonGreedy(lambda users: np.sin(np.outer(users, range(50)))))
    users = np.arange(30)
    assert world.policy is not None
    weights = world.policy.weights(users, world.exposures(users), 50)
    assert rows_of(pa.table(world.observations())) == Oracle(world.spec).log(range(30), 0, weights)


def test_the_same_bits_whatever_the_threads_and_whoever_else_is_asked() -> None:
    world = fr.simulate(3_000, 500, 60_000, seed=5, slate=4, position_bias=1.0)
    whole = pa.table(world.observations(threads=1))
    assert whole.equals(pa.table(world.observations(threads=5)))
    for first, last in [(0, 1), (1_234, 1_240), (2_999, 3_000)]:
        alone = pa.table(world.observations(users=(first, last), threads=2))
        users = whole["user_id"].to_numpy()
        assert alone.equals(whole.filter(pa.array((users >= first) & (users < last))))
    again = fr.simulate(3_000, 500, 60_000, seed=5, slate=4, position_bias=1.0)
    assert whole.equals(pa.table(again.observations()))
    only = pa.table(world.observations(only_responses=True))
    assert only.equals(whole.filter(whole["response"]))


def test_another_seed_or_round_is_another_log() -> None:
    world, other = (fr.simulate(100, 80, 900, seed=seed) for seed in (1, 2))
    first, second = (pa.table(world.observations(round=number))["item_id"] for number in (0, 1))
    assert not first.equals(second)
    assert not first.equals(pa.table(other.observations())["item_id"])
    assert not np.array_equal(world.preferences([0]), other.preferences([0]))
