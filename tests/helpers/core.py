"""What the core gives for small bases, beside what `oracle` gives."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.base import Base
from fractalrs.expansion import Cells, Expansion
from fractalrs.words import Split
from helpers import oracle

Pairs = tuple[oracle.Integers, oracle.Integers]
HALVES: tuple[Split, ...] = ("train", "test")
"""The splits of what has no validation."""


def make_base(degrees: npt.ArrayLike, q: int, *, test_share: float = 0.2, seed: int = 0) -> Base:
    """A base with random items in rows of the given lengths."""
    rng = np.random.default_rng(seed)
    rows = [np.sort(rng.choice(q, degree, replace=False)) for degree in np.asarray(degrees)]
    indptr = np.cumsum([0, *(len(row) for row in rows)])
    mask = rng.random(indptr[-1]) < test_share
    return Base.from_arrays(indptr, np.concatenate(rows), mask, item_ids=np.arange(q))


def group_cells(p: int, q: int, user_size: int, item_size: int, *, seed: int = 0) -> Cells:
    """Cells of the given size, the last one smaller, of users and items in random order."""
    rng = np.random.default_rng(seed)
    starts = [np.append(np.arange(0, count, size), count) for count, size in ((p, user_size), (q, item_size))]
    orders = [rng.permutation(count) for count in (p, q)]
    codes = [array.astype(np.uint32) for array in (orders[0], starts[0], orders[1], starts[1])]
    return Cells(*codes)


def make_expansion(
    base: Base, rates: npt.ArrayLike, shuffle: Any, cells: Cells | None = None, **options: Any
) -> Expansion:
    """An expansion whose keep rates are `rates`; cells count for the shuffles `cells` and `mixed` alone."""
    used = cells if shuffle in ("cells", "mixed") else None
    return Expansion(base, rates, shuffle=shuffle, cells=used, min_keep=0.0, max_keep=1.0, **options)


def core(expansion: Expansion, first: int = 0, last: int | None = None) -> Pairs:
    """What the core gives for a range of users, by default all: (user, item) pairs of train and of test."""
    last = len(expansion.keep_rates) * expansion.base.shape[0] if last is None else last
    train, test = (pairs_of(expansion.table(first, last, split=split)) for split in HALVES)
    return train, test


def pairs_of(table: pa.Table) -> oracle.Integers:
    return np.column_stack([table[name].to_numpy().astype(np.int64) for name in ("user_id", "item_id")])


GOLDEN_RATES = [[1.0, 0.125, 0.0, 0.5], [0.01, 0.7, 0.95, 0.3], [0.25, 1e-4, 0.6, 0.042]]


def golden_base() -> Base:
    users, items = np.divmod(np.arange(90 * 40), 40)
    interacts = (7 * users * users + 13 * items + 5 * users * items) % 11 < 3
    indptr = np.concatenate([[0], np.cumsum(interacts.reshape(90, 40).sum(axis=1))])
    test = ((3 * users + 5 * items) % 7 == 0)[interacts]
    return Base.from_arrays(indptr, items[interacts], test, item_ids=np.arange(40))
