"""The shuffle `mixed`: the entries of a cell's users dealt out among them, as docs/generator.md says of mixing."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractalrs.base import Base
from fractalrs.expansion import Cells, Expansion
from helpers import oracle
from helpers.core import core, group_cells, make_base, make_expansion

Integers = npt.NDArray[np.int64]
P, Q, SIZE = 60, 50, 5
SIGMAS = 5.0


def cell_of(cells: Cells) -> Integers:
    """The cell of each user."""
    found = np.empty(len(cells.user_order), np.int64)
    found[cells.user_order] = np.repeat(np.arange(len(cells.user_starts) - 1), np.diff(cells.user_starts.astype(int)))
    return found


def with_other_owners(base: Base, cells: Cells, seed: int) -> Base:
    """The base with every interaction at another user of its cell, in another way for each item."""
    rng, user_of, cell = (
        np.random.default_rng(seed),
        np.repeat(np.arange(base.shape[0]), np.diff(base.indptr)),
        cell_of(cells),
    )
    users = user_of.copy()
    for item in range(base.shape[1]):
        for number in np.unique(cell):
            members = np.flatnonzero(cell == number)
            there = np.flatnonzero((base.indices == item) & np.isin(user_of, members))
            users[there] = rng.permutation(members)[: len(there)]
    order = np.lexsort((base.indices, users))
    starts = np.append(0, np.cumsum(np.bincount(users, minlength=base.shape[0])))
    return Base.from_arrays(starts, base.indices[order], base.test_mask[order], item_ids=np.arange(base.shape[1]))


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 70]), st.sampled_from(["block", "item"]))
def test_who_of_a_cell_has_an_interaction_decides_nothing(seed: int, size: int, order: str) -> None:
    """Bit for bit: what comes out depends on how many users of each cell have an item, not on who."""
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 90))
    base, cells = make_base(rng.integers(0, 20, p), Q, test_share=0.3, seed=seed), group_cells(p, Q, size, 4, seed=seed)
    other, rates = with_other_owners(base, cells, seed), [[0.9, 0.2], [0.05, 1.0]]
    one, two = (core(make_expansion(some, rates, "mixed", cells, seed=seed, order=order)) for some in (base, other))
    for mine, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_cells_show_the_difference() -> None:
    """The test above sees what it is to see: `cells` does depend on who."""
    base, cells = make_base([12] * P, Q), group_cells(P, Q, SIZE, 4)
    other = with_other_owners(base, cells, 0)
    one, two = (core(make_expansion(some, [[0.5]], "cells", cells, seed=1))[0] for some in (base, other))
    assert len(one) != len(two) or (one != two).any()


def test_everything_kept_is_each_cell_dealt_out() -> None:
    """Of a block that keeps all: users' cells and items are those of the base, each item as often, no pair twice."""
    base, cells = make_base(np.random.default_rng(2).integers(0, 30, P), Q), group_cells(P, Q, SIZE, 1)
    expansion = make_expansion(base, [[1.0, 1.0]], "mixed", cells, seed=4)
    train, test = core(expansion)
    pairs = np.concatenate((train, test))
    assert len(np.unique(pairs, axis=0)) == len(pairs) == 2 * base.count
    for j in range(2):
        here = pairs[pairs[:, 1] // Q == j]
        degrees = np.bincount(here[:, 1] % Q, minlength=Q)
        assert sorted(degrees) == sorted(base.item_degrees())


def carrying(seed: int = 0, p: int = P) -> Base:
    """A base whose payload says where its interactions stand."""
    base = make_base(np.random.default_rng(seed).integers(15, 30, p), Q, seed=seed)
    return Base.from_arrays(
        base.indptr,
        base.indices,
        base.test_mask,
        item_ids=np.arange(Q),
        payload=pa.table({"source": np.arange(base.count)}),
    )


def owners(expansion: Expansion) -> tuple[Integers, Integers]:
    """The expanded user of each interaction, and the real one of its source."""
    base = expansion.base
    user_of = np.repeat(np.arange(base.shape[0]), np.diff(base.indptr))
    tables = [expansion.table(0, expansion.shape[0], split) for split in ("train", "test")]
    user, source = (np.concatenate([table[name].to_numpy() for table in tables]) for name in ("user_id", "source"))
    return user.astype(np.int64), user_of[source.astype(np.int64)]


def test_no_row_of_a_block_is_one_person() -> None:
    """Every user of a cell has its share of each row, as chance has it; with `cells` one has them all."""
    base, cells = carrying(), group_cells(P, Q, SIZE, 4)
    most = {}
    for shuffle in ("cells", "mixed"):
        expansion = make_expansion(base, np.full((40, 1), 1.0), shuffle, cells, seed=3, carry=["source"])
        user, real = owners(expansion)
        counts = np.zeros((40 * P, P))
        np.add.at(counts, (user, real), 1)
        assert np.all((counts > 0).sum(axis=0) > 0)
        # The interactions of a row are of one cell.
        assert all(len(np.unique(cell_of(cells)[np.flatnonzero(row)])) == 1 for row in counts)
        most[shuffle] = (counts.max(axis=1) / counts.sum(axis=1)).mean()
    assert most["cells"] == 1
    assert most["mixed"] < 0.45


def test_each_member_gets_each_entry_as_often() -> None:
    """Over seeds, the row that an interaction goes to is uniform in its cell, whatever the item's other owners."""
    base, cells, seeds = carrying(), group_cells(P, Q, SIZE, 4), 400
    real = np.repeat(np.arange(P), np.diff(base.indptr))
    order, starts = cells.user_order.astype(np.int64), cells.user_starts.astype(np.int64)
    split = 2 * base.test_mask.astype(int)
    rows = np.array([oracle.mixed(oracle.root(seed), base, split, order, starts) for seed in range(seeds)])
    offset = oracle.inverse(order)[rows] - starts[cell_of(cells)[real]]
    for number in range(SIZE):
        share = (offset == number).mean(axis=0)
        deviation = (share - 1 / SIZE) / np.sqrt((1 / SIZE) * (1 - 1 / SIZE) / seeds)
        assert abs(deviation).max() < SIGMAS
    # Two interactions of one user go together no more often than by chance.
    first = base.indptr[:-1]
    together = (rows[:, first] == rows[:, first + 1]).mean()
    assert abs(together - 1 / SIZE) < SIGMAS * np.sqrt(0.2 * 0.8 / (seeds * P))


def test_cells_of_one_have_nothing_to_mix() -> None:
    base, cells = make_base([7, 0, 12, 3] * 10, Q), group_cells(40, Q, 1, 4)
    plain, mixed = (core(make_expansion(base, [[0.5, 0.9]], shuffle, cells, seed=5)) for shuffle in ("cells", "mixed"))
    for one, two in zip(plain, mixed, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("options", [{}, {"test_items": "one"}, {"drop_incomplete": True}, {"block_keep": 0.5}])
def test_expected_counts_are_those_of_mixed_users(options: dict[str, Any]) -> None:
    """Users with interactions, and what dropped ones lose, of many row blocks of one deal."""
    base, cells = make_base([3] * 80, Q, test_share=0.3), group_cells(80, Q, SIZE, 4)
    expansion = make_expansion(base, np.full((300, 2), 0.3), "mixed", cells, seed=6, **options)
    train, test = core(expansion)
    users = len(np.unique(np.concatenate((train, test))[:, 0]))
    assert users == pytest.approx(expansion.expected.users, rel=0.02)
    for made, wanted in ((train, expansion.expected.train), (test, expansion.expected.test)):
        assert abs(len(made) - wanted.mean) < SIGMAS * wanted.std
