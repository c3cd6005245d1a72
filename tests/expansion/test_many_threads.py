"""What is counted, sorted and dealt of a base on threads: as NumPy has it, and the same on any number of them."""

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp

from fractalrs.base import Base, Canonical, Sparse, canonical
from fractalrs.expansion import Cells, Expansion, Options
from fractalrs.expansion.expected import user_degrees
from fractalrs.tools import allowed_threads
from fractalrs.words import SPLITS, Split
from helpers.core import group_cells

P, Q = 4_000, 700
THREADS = (1, 2, 5)


@pytest.fixture(scope="module")
def base() -> Base:
    """Users from none to all items, more than one thread works on at a time, of all splits."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(rng.random(Q) < share) for share in rng.random(P) ** 2]
    indptr = np.cumsum([0, *map(len, rows)])
    split = rng.choice(3, indptr[-1], p=[0.8, 0.1, 0.1])
    made = Base.from_arrays(indptr, np.concatenate(rows), split == 2, item_ids=np.arange(Q), valid_mask=split == 1)
    assert made.count > 2 << 18
    return made


def dense(base: Base, split: Split) -> npt.NDArray[np.bool_]:
    matrix, mask = np.zeros(base.shape, dtype=bool), base.mask(split)
    matrix[base.owners[mask], base.indices[mask]] = True
    return matrix


@pytest.mark.parametrize("threads", THREADS)
def test_degrees(base: Base, threads: int) -> None:
    with allowed_threads(threads):
        fresh = replace(base)
        for split in SPLITS:
            there = dense(base, split)
            np.testing.assert_array_equal(fresh.user_degrees(split), there.sum(axis=1))
            np.testing.assert_array_equal(fresh.item_degrees(split), there.sum(axis=0))
    np.testing.assert_array_equal(fresh.user_degrees(), np.diff(base.indptr))


def in_order(base: Base, threads: int) -> Canonical:
    with allowed_threads(threads):
        return canonical(replace(base))


@pytest.mark.parametrize("threads", THREADS)
def test_the_canonical_order(base: Base, threads: int) -> None:
    known, alone = in_order(base, threads), in_order(base, 1)
    np.testing.assert_array_equal(known.users, alone.users)
    np.testing.assert_array_equal(known.items, alone.items)
    expected = dense(base, "train")[known.users][:, known.items]
    for rows, there in ((known.products.rows, expected), (known.products.turned, expected.T)):
        np.testing.assert_array_equal(rows.columns, np.nonzero(there)[1])
        np.testing.assert_array_equal(np.diff(rows.starts), there.sum(axis=1))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("width", [3, 900])
def test_a_transpose(threads: int, width: int) -> None:
    rng = np.random.default_rng(3)
    matrix = sp.csr_array((rng.random((40, width)) < 0.4) * rng.standard_normal((40, width)))
    with allowed_threads(threads):
        turned = Sparse.of(matrix).turned
    expected = sp.csr_array(matrix.T)
    np.testing.assert_array_equal(turned.starts, expected.indptr)
    np.testing.assert_array_equal(turned.columns, expected.indices)
    np.testing.assert_array_equal(turned.values, expected.data)


def dealt(base: Base, cells: Cells, threads: int) -> Expansion:
    with allowed_threads(threads):
        return Expansion(base, [[0.5]], cells=cells, shuffle="mixed", seed=9)


@pytest.mark.parametrize("size", [1, 7, P])
def test_who_gets_what_is_dealt(base: Base, size: int) -> None:
    """The same on any number of threads, and a cell has as many interactions of each split as before."""
    cells = group_cells(P, Q, size, 5)
    first, *others = (dealt(base, cells, threads) for threads in THREADS)
    for other, split in product(others, SPLITS):
        assert other.table(0, P, split=split).equals(first.table(0, P, split=split))
    counts = user_degrees(base, cells, Options(shuffle="mixed", seed=9))
    np.testing.assert_array_equal(first.generator.degrees(), counts)
    real = np.column_stack([base.user_degrees(split) for split in SPLITS])
    assert np.array_equal(counts, real) == (size == 1)
    of_cells, as_before = (
        np.add.reduceat(some[cells.user_order], cells.user_starts[:-1], axis=0) for some in (counts, real)
    )
    np.testing.assert_array_equal(of_cells, as_before)
