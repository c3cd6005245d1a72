"""What an expansion is expected to hold, against enumeration of everything that can happen and against simulation."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fractalrs.base import Base
from fractalrs.expansion import Cells, Options, expected_groups
from fractalrs.expansion.expected import Count, Expected, expected
from helpers import oracle

TRIALS = 4000
P, Q = 12, 9
KEEP = np.array([[0.05, 0.5, 0.15], [0.3, 0.0, 0.9]])


def _base(p: int, q: int, seed: int, *, test: float = 0.3, spread: float = 0.8) -> Base:
    """Uneven users and items; every user has an interaction."""
    rng = np.random.default_rng(seed)
    weight = np.outer(rng.lognormal(0, spread, p), rng.lognormal(0, spread, q))
    wanted = rng.random((p, q)) < np.minimum(0.3 * weight / weight.mean(), 0.95)
    wanted[np.arange(p), rng.integers(q, size=p)] = True
    indptr = np.concatenate(([0], np.cumsum(wanted.sum(axis=1))))
    indices = np.nonzero(wanted)[1]
    return Base.from_arrays(indptr, indices, rng.random(len(indices)) < test, item_ids=np.arange(q))


def _cells(p: int, q: int) -> Cells:
    """Mixed orders, and sizes 3, 4, 3, 4 …: cells of unequal members and of unequal size."""

    def one_side(count: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        order = np.random.default_rng(count).permutation(count).astype(np.uint32)
        cuts = np.cumsum(np.resize([3, 4], count))
        return order, np.concatenate(([0], cuts[cuts < count], [count])).astype(np.uint32)

    return Cells(*one_side(p), *one_side(q))


def _places(cells: list[npt.NDArray[np.uint32]], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Exchange inside cells, anew in each trial: shape (TRIALS, members)."""
    place = np.empty((TRIALS, sum(map(len, cells))), dtype=np.int64)
    for members in cells:
        place[:, members] = members[np.argsort(rng.random((TRIALS, len(members))), axis=1)]
    return place


def _layout(shuffle: str, cells: Cells) -> Cells:
    """Groups in which a shuffle lets users, and items, change places."""
    return {"cells": cells, "mixed": cells, "block": Cells.whole(*cells.shape)}.get(shuffle, Cells.single(*cells.shape))


def _simulate(
    base: Base, layout: Cells, block_keep: float, test_items: str, drop: bool, mixing_seed: int | None
) -> dict[str, npt.NDArray[np.int64]]:
    """Numbers of users, items, train and test interactions in TRIALS expansions.

    The row (column) permutation shared by a row (column) block renames and is left out: it changes no number.
    """
    rng = np.random.default_rng(17)
    (p, q), (m, n) = base.shape, KEEP.shape
    user_cells = np.split(layout.user_order, layout.user_starts[1:-1])
    item_cells = np.split(layout.item_order, layout.item_starts[1:-1])
    rows, columns = np.repeat(np.arange(p), np.diff(base.indptr)), base.indices
    if mixing_seed is not None:
        order, starts = layout.user_order.astype(np.int64), layout.user_starts.astype(np.int64)
        rows = oracle.mixed(oracle.root(mixing_seed), base, 2 * base.test_mask.astype(int), order, starts)
    user, item, kept = [], [], []
    for i, j in product(range(m), range(n)):
        exists = rng.random((TRIALS, 1)) < block_keep
        kept.append(exists & (rng.random((TRIALS, base.count)) < KEEP[i, j]))
        user.append(i * p + _places(user_cells, rng)[:, rows])
        item.append(j * q + _places(item_cells, rng)[:, columns])
    # From (trial, entry of every block) to a flat list of what is kept.
    keep = np.concatenate(kept, axis=1)
    trial = np.nonzero(keep)[0]
    users = trial * m * p + np.concatenate(user, axis=1)[keep]
    items = trial * n * q + np.concatenate(item, axis=1)[keep]
    test = np.tile(base.test_mask, m * n)[np.nonzero(keep)[1]]

    written = np.ones(len(trial), dtype=bool)
    if test_items == "one":
        ticket = np.where(test, rng.random(len(trial)), -1.0)
        best = np.zeros(TRIALS * m * p)
        np.maximum.at(best, users, ticket)
        written = ~test | (ticket == best[users])
    if drop:
        has_train = np.bincount(users[~test], minlength=TRIALS * m * p) > 0
        has_test = np.bincount(users[test], minlength=TRIALS * m * p) > 0
        written &= (has_train & has_test)[users]

    def distinct(ids: npt.NDArray[np.int64], each: int) -> npt.NDArray[np.int64]:
        return np.bincount(np.unique(ids[written]) // each, minlength=TRIALS)

    return {
        "users": distinct(users, m * p),
        "items": distinct(items, n * q),
        "train": np.bincount(trial[written & ~test], minlength=TRIALS),
        "test": np.bincount(trial[written & test], minlength=TRIALS),
    }


@pytest.mark.parametrize("drop", [False, True], ids=["keep", "drop"])
@pytest.mark.parametrize("test_items", ["all", "one"])
@pytest.mark.parametrize("block_keep", [1.0, 0.5])
@pytest.mark.parametrize("shuffle", ["none", "aligned", "cells", "mixed", "block"])
def test_against_simulation(shuffle: Any, block_keep: float, test_items: Any, drop: bool) -> None:
    base, cells = _base(P, Q, 1), _layout(shuffle, _cells(P, Q))
    options = Options(shuffle=shuffle, block_keep=block_keep, test_items=test_items, drop_incomplete=drop, seed=3)
    got = expected(base, KEEP, cells, options)
    seen = _simulate(base, cells, block_keep, test_items, drop, 3 if shuffle == "mixed" else None)

    assert (got.user_ids, got.item_ids) == (2 * P, 3 * Q)
    error = {name: 5 * values.std() / np.sqrt(TRIALS) for name, values in seen.items()}
    # Items lose entries independently in the formula only.
    error["items"] += 0.05 * seen["items"].mean() if drop or test_items == "one" else 0
    assert abs(got.users - seen["users"].mean()) < error["users"]
    assert abs(got.items - seen["items"].mean()) < error["items"]
    assert abs(got.train.mean - seen["train"].mean()) < error["train"]
    assert abs(got.test.mean - seen["test"].mean()) < error["test"]
    assert got.train.std == pytest.approx(seen["train"].std(), rel=0.06)
    assert got.test.std == pytest.approx(seen["test"].std(), rel=0.06)


def _enumerate(base: Base, keep: npt.NDArray[np.float64], block_keep: float, test_items: str, drop: bool) -> Expected:
    """Go through every outcome of one row block of aligned blocks, with its probability."""
    n, (p, q) = keep.shape[1], base.shape
    rows, columns, tests = np.repeat(np.arange(p), np.diff(base.indptr)), base.indices, base.test_mask
    outcomes = []
    for exists in product([0, 1], repeat=n):
        for kept in product([0, 1], repeat=n * base.count):
            chosen = np.array(kept, dtype=bool).reshape(n, base.count)
            rate = keep[0][:, None] * np.array(exists)[:, None]
            chance = np.where(chosen, rate, 1 - rate).prod()
            chance *= np.where(exists, block_keep, 1 - block_keep).prod()
            if chance == 0:
                continue
            train, test = ((chosen & which).sum(axis=0) for which in (~tests, tests))
            train, test = (np.bincount(rows, weights=of, minlength=p) for of in (train, test))
            complete = (train > 0) & (test > 0) if drop else np.ones(p, dtype=bool)
            items = len({(j, columns[e]) for j, e in zip(*np.nonzero(chosen & complete[rows]), strict=True)})
            numbers = [((train + test > 0) & complete).sum(), items, train[complete].sum()]
            numbers.append((np.minimum(test, 1) if test_items == "one" else test)[complete].sum())
            outcomes.append([chance, *numbers])
    chance, *numbers = np.array(outcomes).T
    means = [chance @ values for values in numbers]
    stds = [np.sqrt(chance @ (values - mean) ** 2) for values, mean in zip(numbers, means, strict=True)]
    train, test = (Count(means[k], stds[k]) for k in (2, 3))
    return Expected(p, n * q, means[0], means[1], train, test)


@pytest.mark.parametrize("drop", [False, True], ids=["keep", "drop"])
@pytest.mark.parametrize("test_items", ["all", "one"])
@pytest.mark.parametrize("block_keep", [1.0, 0.4])
@pytest.mark.parametrize("keep", [[[0.3, 0.7]], [[1.0, 0.2]]])
def test_aligned_is_exact(keep: list[list[float]], block_keep: float, test_items: Any, drop: bool) -> None:
    # User 0: items 0 and 1 train, 2 test; user 1: item 0 test, item 2 train.
    base = Base.from_arrays([0, 3, 5], [0, 1, 2, 0, 2], np.array([False, False, True, True, False]))
    rates = np.array(keep)
    options = Options(shuffle="aligned", block_keep=block_keep, test_items=test_items, drop_incomplete=drop)
    got = expected(base, rates, Cells.single(2, 3), options)
    want = _enumerate(base, rates, block_keep, test_items, drop)
    assert got.users == pytest.approx(want.users, rel=1e-12)
    if test_items == "all" and not drop:
        assert got.items == pytest.approx(want.items, rel=1e-12)
    for mine, theirs in ((got.train, want.train), (got.test, want.test)):
        assert mine.mean == pytest.approx(theirs.mean, rel=1e-12)
        assert mine.std == pytest.approx(theirs.std, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("shuffle", ["aligned", "cells", "block"])
@pytest.mark.parametrize(("test_items", "drop"), [("all", False), ("one", False), ("all", True), ("one", True)])
def test_large_cases_are_reduced_soundly(
    shuffle: Any, test_items: Any, drop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A small case and small limits: real ones have far more of both.
    rng = np.random.default_rng(5)
    base, cells = _base(500, 200, 2, test=0.05, spread=1.2), _layout(shuffle, _cells(500, 200))
    keep = np.clip(rng.gamma(0.7, 0.15, (1, 120)), 0.01, 0.95)
    monkeypatch.setattr(expected_groups, "STAND_INS", 1)

    def result(columns: int, stand_ins: int, paired: int) -> npt.NDArray[np.float64]:
        for name, value in (("COLUMNS", columns), ("WORK", stand_ins * keep.size), ("PAIRED", paired)):
            monkeypatch.setattr(expected_groups, name, value)
        options = Options(shuffle=shuffle, block_keep=0.1, test_items=test_items, drop_incomplete=drop)
        got = expected(base, keep, cells, options)
        return np.array([got.users, got.items, got.train.mean, got.test.mean, got.train.std, got.test.std])

    exact = result(columns=120, stand_ins=500, paired=120)
    binned = result(columns=60, stand_ins=500, paired=64)
    thinned = result(columns=120, stand_ins=80, paired=64)
    for reduced, means, stds in ((binned, 2e-3, 0.05), (thinned, 1e-2, 0.1)):
        np.testing.assert_allclose(reduced[:4], exact[:4], rtol=means)
        np.testing.assert_allclose(reduced[4:], exact[4:], rtol=stds)


@pytest.mark.parametrize("test_items", ["all", "one"])
def test_nothing_held_out(test_items: Any) -> None:
    base = Base.from_arrays([0, 2, 3], [0, 1, 1])
    options = Options(shuffle="aligned", test_items=test_items)
    got = expected(base, np.array([[0.5, 0.25]]), Cells.single(2, 2), options)
    assert got.test == Count(0.0, 0.0)
    assert got.train.mean == pytest.approx(3 * 0.75)
    assert got.users == pytest.approx(2 - (0.5 * 0.75) ** 2 - 0.5 * 0.75)
