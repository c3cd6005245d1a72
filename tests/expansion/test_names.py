"""Names of ids do not matter: the same interactions under other ids, in other rows, give the same expansion."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.base import Base, canonical
from fractalrs.words import OrderBy
from helpers.bases import random_pairs

Pairs = npt.NDArray[np.int64]


def hashed(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:12]


NAMES: dict[str, Callable[[int], Any]] = {
    "integers backwards": lambda number: 10**6 - 7 * number,
    "hashes": hashed,
    "text": lambda number: f"id {number}",
}


def sample() -> Pairs:
    table = fr.sample_interactions(150, 120, 2_500).table
    return np.column_stack([table[name].to_numpy() for name in ("user_id", "item_id")]).astype(np.int64)


def fat() -> Pairs:
    return random_pairs(180, 90, 9, user_tail=1.2, item_tail=1.0, seed=8)


def base_named(pairs: Pairs, name: Callable[[int], Any], seed: int | None = None) -> Base:
    """Hold out by distinct times, whatever the order of rows: that of `seed`."""
    order = np.arange(len(pairs)) if seed is None else np.random.default_rng(seed).permutation(len(pairs))
    times = np.random.default_rng(1).permutation(len(pairs)) * 86_400 + 10**9
    columns = {
        "user_id": pa.array([name(int(user)) for user in pairs[order, 0]]),
        "item_id": pa.array([name(int(item)) for item in pairs[order, 1]]),
        "timestamp": pa.array(times[order]),
    }
    return fr.leave_last_out(fr.read_interactions(pa.table(columns)))


def places(cells: fr.Cells, base: Base) -> list[list[int]]:
    """Return the cells, with members named by their place in the canonical order, which is the same for all names."""
    known = canonical(base)
    users, items = np.argsort(known.users)[cells.user_order], np.argsort(known.items)[cells.item_order]
    return [array.tolist() for array in (users, cells.user_starts, items, cells.item_starts)]


@pytest.fixture(scope="module", params=[sample, fat], ids=["sample", "fat"])
def plain(request: pytest.FixtureRequest) -> tuple[Pairs, Base]:
    pairs = request.param()
    return pairs, base_named(pairs, int)


@pytest.fixture(scope="module", params=NAMES)
def other(request: pytest.FixtureRequest, plain: tuple[Pairs, Base]) -> Base:
    return base_named(plain[0], NAMES[request.param], seed=3)


def test_the_fit_is_the_same(plain: tuple[Pairs, Base], other: Base) -> None:
    base = plain[1]
    assert base.test_count == other.test_count > 0
    one, same = fr.fit(base, (3, 5)), fr.fit(other, (3, 5))
    np.testing.assert_array_equal(one.reduced.values, same.reduced.values)
    assert one.reduced.description == same.reduced.description
    assert places(one.cells, base) == places(same.cells, other)
    counts = [fr.Expansion(b, f).expected for b, f in ((base, one), (other, same))]
    for split in ("train", "test"):
        means, spreads = zip(*((getattr(c, split).mean, getattr(c, split).std) for c in counts), strict=True)
        assert means[0] == pytest.approx(means[1], rel=1e-9)
        assert spreads[0] == pytest.approx(spreads[1], rel=1e-9)


@pytest.mark.parametrize("order_by", ["content", "cells", "degree"])
def test_the_reduced_matrix_is_the_same(plain: tuple[Pairs, Base], other: Base, order_by: OrderBy) -> None:
    one, same = (fr.reduce(base, (4, 6), order_by=order_by) for base in (plain[1], other))
    np.testing.assert_array_equal(one.values, same.values)
    np.testing.assert_array_equal(one.signed, same.signed)


def test_in_the_order_of_ids_it_is_not(plain: tuple[Pairs, Base], other: Base) -> None:
    one, another = (fr.reduce(base, (4, 6), order_by="id").values for base in (plain[1], other))
    assert np.abs(one - another).max() > 1e-3


def test_cells_are_the_same(plain: tuple[Pairs, Base], other: Base) -> None:
    assert places(fr.group_cells(plain[1]), plain[1]) == places(fr.group_cells(other), other)
