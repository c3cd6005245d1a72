"""Propensities are exact: by enumeration, and by counts of what is shown."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

import fractalrs as fr
from fractalrs.models import Popularity


def enumerated(slate: int, items: int, epsilon: float) -> np.ndarray[Any, Any]:
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


def loop_of(tmp_path: Any, seed: int, **options: Any) -> pa.Table:
    world = fr.simulate(3_000, 30, 9_000, seed=1)
    fr.feedback(world, path=tmp_path / f"{seed}", seed=seed, slate=4, **options)
    return pq.read_table(next((tmp_path / f"{seed}" / "round=0001").iterdir()), partitioning=None)


@given(slate=st.integers(1, 4), more=st.integers(0, 4), epsilon=st.integers(0, 4))
def test_enumeration(slate: int, more: int, epsilon: int) -> None:
    items = slate + more
    expected = enumerated(slate, items, epsilon / 4)

    def first(_: Any) -> Any:
        return lambda users: np.tile(np.arange(slate), (len(users), 1))

    world = fr.simulate(200, max(items, 2), 200, seed=1)
    if items < 2:
        return
    kept, tried = expected[0], expected[-1] if more else 0.0
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        fr.feedback(world, first, 1, slate, epsilon=epsilon / 4, path=folder)
        log = pq.read_table(f"{folder}/round=0000/part-00000-of-00001.parquet", partitioning=None)
    inside = log["item_id"].to_numpy() < slate
    np.testing.assert_allclose(log["propensity"].to_numpy(), np.where(inside, kept, tried), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("policy", "epsilon"), [("SVD", 0.3), ("random", 0.0), ("popularity", 0.9)])
def test_what_is_shown_is_as_likely_as_stated(policy: str, epsilon: float, tmp_path: Any) -> None:
    # Items that users have responded to are not shown again, so that each has chances of its own: sums over users.
    logs = [loop_of(tmp_path, seed, policy=policy, epsilon=epsilon, rounds=2) for seed in range(4)]
    for log in logs:
        propensity = log["propensity"].to_numpy()
        assert propensity.min() > 0
        # By inverse propensities every item that can be shown counts once: 30 for each user, less what was liked.
        world = fr.simulate(3_000, 30, 9_000, seed=1)
        weights = np.bincount(log["user_id"].to_numpy(), 1 / propensity, minlength=world.shape[0])
        assert abs(weights.mean() - 30) < 3


def test_draws_of_one_round_are_chi_square(tmp_path: Any) -> None:
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


def test_thompson_states_the_share_of_draws(tmp_path: Any) -> None:
    log = loop_of(tmp_path, 0, policy="Thompson", rounds=2)
    propensity = log["propensity"].to_numpy() * 64
    np.testing.assert_array_equal(propensity, np.rint(propensity))
    # Over users with nothing heard of, shares of users are shares of draws.
    first = pq.read_table(next((tmp_path / "0/round=0000").iterdir()), partitioning=None)
    item, said = first["item_id"].to_numpy(), first["propensity"].to_numpy()
    shown = np.bincount(item, minlength=30) / 3_000
    stated = np.zeros(30)
    stated[item] = said
    assert np.all(np.abs(shown - stated) < 6 * np.sqrt(stated * (1 - stated) / 3_000) + 1e-9)


def test_greedy_slates_are_certain(tmp_path: Any) -> None:
    log = loop_of(tmp_path, 0, policy=Popularity(), rounds=2)
    assert set(log["propensity"].to_pylist()) == {1.0}
