"""Propensities are exact: by enumeration, and by counts of what is shown."""

from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import chi2

import fractalrs as fr
from fractalrs.models import Popularity

USERS = 3_000


def enumerated(slate: int, items: int, epsilon: float) -> npt.NDArray[np.float64]:
    """How likely each item is shown where the slate is 0, 1, …: over all ways of trying others."""
    chances = np.zeros(items)
    for tries in product([False, True], repeat=slate):
        count = sum(tries)
        chance = epsilon**count * (1 - epsilon) ** (slate - count)
        kept = [item for item, tried in enumerate(tries) if not tried]
        others = list(combinations([item for item in range(items) if item not in kept], count))
        for tried in others:
            chances[[*kept, *tried]] += chance / len(others)
    return chances


def loop_of(tmp_path: Path, seed: int, **options: Any) -> pa.Table:
    world = fr.simulate(USERS, 30, 9_000, seed=1)
    fr.feedback(world, path=tmp_path / f"{seed}", seed=seed, slate=4, once=True, **options)
    return pq.read_table(next((tmp_path / f"{seed}" / "round=0001").iterdir()), partitioning=None)


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 0.75, 1.0])
@pytest.mark.parametrize(("slate", "items"), [(1, 2), (2, 2), (2, 3), (3, 4), (3, 8), (4, 6)])
def test_enumeration(slate: int, items: int, epsilon: float, tmp_path: Path) -> None:
    expected = enumerated(slate, items, epsilon)

    def first(_: Any) -> Any:
        return lambda users: np.tile(np.arange(slate), (len(users), 1))

    fr.feedback(fr.simulate(60, items, 5, seed=1), first, 1, slate, epsilon=epsilon, path=tmp_path / "loop")
    log = pq.read_table(next((tmp_path / "loop/round=0000").iterdir()), partitioning=None)
    item, said = log["item_id"].to_numpy(), log["propensity"].to_numpy()
    np.testing.assert_allclose(said, expected[item], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("policy", "epsilon"), [("SVD", 0.3), ("random", 0.0), ("popularity", 0.9)])
def test_by_inverse_propensities_every_item_that_can_be_shown_counts_once(
    policy: str, epsilon: float, tmp_path: Path
) -> None:
    for seed in range(3):
        log = loop_of(tmp_path, seed, policy=policy, epsilon=epsilon, rounds=2)
        before = pq.read_table(next((tmp_path / f"{seed}/round=0000").iterdir()), partitioning=None)
        able = 30 - np.bincount(before["user_id"].to_numpy(), before["response"].to_numpy(), minlength=USERS)
        off = np.bincount(log["user_id"].to_numpy(), 1 / log["propensity"].to_numpy(), minlength=USERS) - able
        assert abs(off.mean()) < 5 * off.std() / np.sqrt(USERS) + 1e-9


def test_draws_of_one_round_are_chi_square(tmp_path: Path) -> None:
    world, items = fr.simulate(20_000, 12, 9_000, seed=1), 12

    def first(_: Any) -> Any:
        return lambda users: np.tile([3, 1, 7], (len(users), 1))

    fr.feedback(world, first, 1, 3, epsilon=0.4, path=tmp_path / "loop")
    log = pq.read_table(next((tmp_path / "loop/round=0000").iterdir()), partitioning=None)
    counts = np.bincount(log["item_id"].to_numpy(), minlength=items)
    stated = np.zeros(items)
    stated[log["item_id"].to_numpy()] = log["propensity"].to_numpy()
    assert abs(stated.sum() - 3) < 1e-12
    # Different items of one slate are not independent: n less than independent draws vary.
    squares = float(((counts - 20_000 * stated) ** 2 / (20_000 * stated * (1 - stated))).sum())
    assert chi2.sf(squares, items - 1) > 1e-6


def test_thompson_states_the_share_of_draws(tmp_path: Path) -> None:
    log = loop_of(tmp_path, 0, policy="Thompson", rounds=2)
    propensity = log["propensity"].to_numpy() * 64
    np.testing.assert_array_equal(propensity, np.rint(propensity))
    # Over users with nothing heard of, shares of users are shares of draws.
    first = pq.read_table(next((tmp_path / "0/round=0000").iterdir()), partitioning=None)
    item, said = first["item_id"].to_numpy(), first["propensity"].to_numpy()
    shown = np.bincount(item, minlength=30) / USERS
    stated = np.zeros(30)
    stated[item] = said
    assert np.all(np.abs(shown - stated) < 6 * np.sqrt(stated * (1 - stated) / USERS) + 1e-9)


def test_greedy_slates_are_certain(tmp_path: Path) -> None:
    log = loop_of(tmp_path, 0, policy=Popularity(), rounds=2)
    assert set(log["propensity"].to_pylist()) == {1.0}
