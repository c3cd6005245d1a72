"""The generator as `docs/generator.md` specifies it, in NumPy: slow, short, and written from that page alone.

Integers are uint64 and wrap at 2⁶⁴, which NumPy does silently for arrays and with a warning for scalars.
"""

from functools import reduce
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fractalrs.base import Base
    from fractalrs.cells import Cells

Words = npt.NDArray[Any]
"""uint64: an operation with a Python integer stays so, which NumPy's stubs do not know."""
Integers = npt.NDArray[np.int64]

LOW = 0xFFFFFFFF
BLOCK, KEEP, ROW, COLUMN, USER, ITEM, TEST = range(7)
"""The purposes: x in root/x."""


@np.errstate(over="ignore")
def mix(z: Words) -> Words:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return np.asarray(z ^ (z >> 31))


@np.errstate(over="ignore")
def child(key: npt.ArrayLike, x: npt.ArrayLike) -> Words:
    return mix(np.asarray(key, np.uint64) + (np.asarray(x, np.uint64) + 1) * 0x9E3779B97F4A7C15)


def root(seed: int) -> Words:
    return mix(np.asarray(seed ^ 0x6672616374616C73, np.uint64))


def under(key: npt.ArrayLike, *path: npt.ArrayLike) -> Words:
    """The key written key/x/y/… on the page."""
    return np.asarray(reduce(child, path, key), np.uint64)


def bounded(w: Words, c: int | Words) -> Words:
    """High 64 bits of the 128-bit product w·c, where c < 2³²."""
    return ((w >> 32) * c + ((w & LOW) * c >> 32)) >> 32


def thresholds(rate: float) -> Words:
    """T[0 … 255], in units of 2⁻³²."""
    first = int((1.0 - rate) * 2.0**64)
    s = [first]
    while len(s) < 256:
        s.append(s[-1] * first >> 64)
    return np.array([(value + 2**31) >> 32 for value in s], np.uint64)


def gaps(table: Words, w: npt.ArrayLike) -> Integers:
    """How many thresholds each 32-bit word is below."""
    return 256 - np.searchsorted(table[::-1], w, side="right").astype(np.int64)


def permutations(keys: npt.ArrayLike, c: int) -> Integers:
    """One permutation of 0 … c − 1 per key: shape (keys, c), the image of x in column x."""
    keys = np.asarray(keys, np.uint64).reshape(-1, 1)
    every = np.arange(len(keys))
    image = np.tile(np.arange(c, dtype=np.uint64), (len(keys), 1))
    if c <= 64:
        for t in range(c - 1, 0, -1):
            other = bounded(child(keys[:, 0], t), t + 1)
            image[every, t], image[every, other] = image[every, other], image[every, t]
        return image.astype(np.int64)
    b = isqrt(c - 1) + 1
    a = -(-c // b)
    walking = np.ones(image.shape, bool)
    while walking.any():
        left, right = np.divmod(image[walking], b)
        key = np.broadcast_to(keys, image.shape)[walking]
        for k in range(8):
            g = child(key, k)
            if k % 2 == 0:
                left = (left + bounded(child(g, right), a)) % a
            else:
                right = (right + bounded(child(g, left), b)) % b
        image[walking] = left * b + right
        walking = image >= c
    return image.astype(np.int64)


def permutation(key: npt.ArrayLike, c: int) -> Integers:
    image: Integers = permutations(key, c)[0]
    return image


def exchange(key: npt.ArrayLike, starts: Integers) -> Integers:
    """Slot after the exchange inside its cell, for every slot; `key` is U/i/j or I/i/j."""
    sizes = np.diff(starts)
    image = np.empty(starts[-1], np.int64)
    for size in np.unique(sizes):
        g = np.flatnonzero(sizes == size)
        first = starts[g][:, None]
        image[first + np.arange(size)] = first + permutations(child(key, g), int(size))
    return image


def keeps(key: npt.ArrayLike, rate: float, indptr: Integers) -> npt.NDArray[np.bool_]:
    """Whether a block keeps each entry of the base; `key` is D/i/j."""
    table = thresholds(rate)
    keys = child(key, np.arange(len(indptr) - 1))
    position, end = indptr[:-1].copy(), indptr[1:]
    keep = np.zeros(indptr[-1], bool)
    running, t = np.flatnonzero(position < end), 0
    while len(running):
        word = child(keys[running], t)
        for half in (word & LOW, word >> 32):
            gap = gaps(table, half)
            position[running] += gap
            hit = running[(gap < 256) & (position[running] < end[running])]
            keep[position[hit]] = True
            position[hit] += 1
        running, t = running[position[running] < end[running]], t + 1
    return keep


def inverse(image: Integers) -> Integers:
    """Where each value stands."""
    return np.argsort(image, kind="stable")


def expand(
    base: "Base",
    keep_rates: npt.NDArray[np.float64],
    cells: "Cells",
    *,
    shuffle: str,
    seed: int,
    block_keep: float = 1.0,
    test_items: str = "all",
    drop_incomplete: bool = False,
    order: str = "block",
) -> tuple[Integers, Integers]:
    """Expand it all: the train and the test interactions as (user, item), each of shape (count, 2)."""
    p, q = base.shape
    row_of = np.repeat(np.arange(p), np.diff(base.indptr))
    item_of, test_of = (base.entries & 0x7FFFFFFF).astype(np.int64), base.entries >> 31 == 1
    user_order, user_starts, item_order, item_starts = (
        np.asarray(array).astype(np.int64)
        for array in (cells.user_order, cells.user_starts, cells.item_order, cells.item_starts)
    )
    key = root(seed)
    trains, tests = [np.empty((0, 2), np.int64)], [np.empty((0, 2), np.int64)]
    for i, rates in enumerate(keep_rates):
        there = np.flatnonzero(rates)
        if block_keep < 1:
            there = there[under(key, BLOCK, i, there) < int(block_keep * 2.0**64)]
        if len(there) == 0:
            continue
        slots = anchor = np.arange(p)
        if shuffle != "none":
            slots = permutation(under(key, ROW, i), p)
            anchor = user_order[slots]
        blocks = []
        for j in there:
            kept = np.flatnonzero(keeps(under(key, KEEP, i, j), rates[j], base.indptr))
            source_row, column = np.arange(p), np.arange(q)
            if shuffle != "none":
                source_row = user_order[exchange(under(key, USER, i, j), user_starts)[slots]]
                place = exchange(under(key, ITEM, i, j), item_starts)[inverse(item_order)]
                column = permutation(under(key, COLUMN, j), q)[place]
            row = inverse(source_row)[row_of[kept]]
            blocks.append(np.column_stack([row, j * q + column[item_of[kept]], test_of[kept]]))
        block_row = np.concatenate(blocks)
        block_row = block_row[np.argsort(block_row[:, 0], kind="stable")]
        train, test = (block_row[block_row[:, 2] == sign, :2] for sign in (0, 1))
        if test_items == "one":
            counts = np.bincount(test[:, 0], minlength=p)
            chosen = bounded(under(key, TEST, i, anchor), counts.astype(np.uint64)).astype(np.int64)
            test = test[(np.cumsum(counts) - counts + chosen)[counts > 0]]
        trains.append(train + np.array([i * p, 0]))
        tests.append(test + np.array([i * p, 0]))

    train, test = np.concatenate(trains), np.concatenate(tests)
    if drop_incomplete:
        complete = np.intersect1d(train[:, 0], test[:, 0])
        train, test = train[np.isin(train[:, 0], complete)], test[np.isin(test[:, 0], complete)]
    if order == "item":
        train, test = (pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))] for pairs in (train, test))
    return train, test
