"""Users and items of an expansion by what they have in common: distinct cells, met by rows of blocks.

The mathematics of `expected`, whose documentation derives the formulas. Everything is said of
users; items are the same with the matrix transposed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # Its parts are loaded where they are used.

COLUMNS = 512
"""Most keep rates of one row that are told apart."""

WORK = 1 << 22
"""Most pairs of a distinct cell and a block; beyond it some cells stand for the others."""

STAND_INS = 256
"""At least so many cells stand for the others."""

PAIRED = 64
"""Most cells compared with each other."""

TILE = 1 << 20
"""Numbers in one temporary array, unless a single row of blocks takes more."""

# Keeps quotients of vanishing probabilities defined; what is multiplied with them vanishes as well.
_TINY = 1e-15

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Kinds = tuple[int, ...]
# Indicator of a user: 1 + the sum of sign · 1{no kept entry of the kinds marked 1}.
Indicator = list[tuple[int, Kinds]]


@dataclass(frozen=True)
class Blocks:
    """Rows of blocks, as a cell of users (or, transposed, of items) meets them."""

    keep: Array
    """Keep rate of an entry of each kind: shape (kinds, rows, columns)."""
    log: Array
    """log(1 - keep)."""
    copies: Array
    """How many blocks each column stands for: shape (columns,)."""
    exists: float
    """Probability that a block exists."""

    def mix(self, in_block: Array) -> Array:
        """F of v."""
        return np.maximum(1 - self.exists + self.exists * in_block, _TINY)

    def product(self, factors: Array) -> Array:
        """Product over the blocks of each row: shape (…, rows)."""
        return np.exp(np.log(factors) @ self.copies)

    def tiles(self, height: int) -> Iterator["Blocks"]:
        """Cut by rows, so that tables of `height` lines over a piece stay small."""
        step = max(1, TILE // (height * len(self.copies)))
        for first in range(0, self.keep.shape[1], step):
            rows = slice(first, first + step)
            yield Blocks(self.keep[:, rows], self.log[:, rows], self.copies, self.exists)


def blocks_of(rates: Array, exists: float) -> Blocks:
    """Return the blocks of keep rates of shape (kinds, rows, columns), of which each exists with a probability."""
    columns = rates.shape[2]
    # Bins of equally many blocks, in the order of the first kind's rate.
    edges = np.linspace(0, columns, min(columns, COLUMNS) + 1).astype(np.int64)
    copies = np.diff(edges).astype(np.float64)
    if columns > COLUMNS:
        rates = np.take_along_axis(rates, np.argsort(rates[:1], axis=2), axis=2)
        rates = np.add.reduceat(rates, edges[:-1], axis=2) / copies
    # The nearest number below 1 instead of 1: a finite logarithm.
    return Blocks(rates, np.log1p(-np.minimum(rates, np.nextafter(1.0, 0.0))), copies, exists)


@dataclass(frozen=True)
class Groups:
    """The distinct cells of users (or of items)."""

    degrees: Array
    """The distinct degrees: shape (classes, kinds)."""
    shares: "scipy.sparse.csr_array[np.float64, tuple[int, int]]"
    """Share of a cell's members that are of each class: shape (cells, classes)."""
    sizes: Array
    """Members of a cell: shape (cells,)."""
    members: Array
    """Members of all the cells that it stands for: shape (cells,)."""

    def mean(self, table: Array, blocks: Blocks) -> Array:
        """Mean of the lines of a table, one per class, over each cell: shape (cells, rows, columns)."""
        return np.asarray(self.shares @ table).reshape(len(self.sizes), -1, len(blocks.copies))

    def void(self, kinds: Kinds, blocks: Blocks) -> Array:
        """P(no kept entry of these kinds) in an existing block: shape (classes, rows·columns)."""
        exponents: Array = (self.degrees * kinds) @ blocks.log.reshape(len(blocks.log), -1)
        return np.exp(exponents)

    def take(self, chosen: Codes, members: Array) -> "Groups":
        """Some of the cells, standing for other numbers of members."""
        shares = self.shares[chosen]
        used = np.unique(shares.indices)
        return Groups(self.degrees[used], shares[:, used], self.sizes[chosen], members)

    def thinned(self, limit: int) -> "Groups":
        """At most `limit` cells for all: the middle one of each of `limit` strata of equally many members."""
        if len(self.sizes) <= limit:
            return self
        degrees = np.asarray(self.shares @ self.degrees)
        last, total = degrees[:, -1], degrees.sum(axis=1)

        def ends_in(order: Codes) -> Array:
            return np.concatenate(([0.0], np.cumsum(self.members[order])))

        def strata_of(ends: Array, count: int) -> Codes:
            strata: Codes = ((ends[:-1] + ends[1:]) / 2 * (count / ends[-1])).astype(np.int64)
            return strata

        # Bands of the last kind's degree, inside each by all degrees.
        order = np.lexsort((total, last))
        order = order[np.lexsort((total[order], strata_of(ends_in(order), int(np.sqrt(limit)))))]
        ends = ends_in(order)
        bounds = ends[np.append(np.flatnonzero(np.diff(strata_of(ends, limit), prepend=-1)), len(order))]
        middle = np.searchsorted(ends, (bounds[:-1] + bounds[1:]) / 2, side="right") - 1
        return self.take(order[middle], np.diff(bounds))


def groups_of(degrees: Codes, order: Codes, starts: Codes, blocks: Blocks) -> Groups:
    """Return the distinct cells of users of some degrees, shape (users, kinds); a few for all where they are many."""
    classes, labels = np.unique(degrees, axis=0, return_inverse=True)
    labels = labels.reshape(-1)[order]
    # Cells are alike when random tags of their members' classes have the same sum: of 10⁵ different cells, two are
    # mistaken for alike with probability 3e-10.
    tags = np.random.default_rng(0).integers(0, 2**64, len(classes), dtype=np.uint64)
    sums = np.add.reduceat(tags[labels], starts[:-1])
    _, first, copies = np.unique(sums, return_index=True, return_counts=True)
    sizes = np.diff(starts).astype(np.float64)
    weights = np.repeat(1 / sizes, np.diff(starts))
    every: scipy.sparse.csr_array[np.float64, tuple[int, int]]
    every = scipy.sparse.csr_array((weights, labels, starts), shape=(len(sizes), len(classes)))
    shares = every[first]
    shares.sum_duplicates()
    groups = Groups(classes.astype(np.float64), shares, sizes[first], copies * sizes[first])
    return groups.thinned(max(STAND_INS, WORK // blocks.log[0].size))


def chances(groups: Groups, indicator: Indicator, blocks: Blocks) -> Array:
    """P(the indicator of a user is 1): shape (cells, rows)."""
    parts = []
    for tile in blocks.tiles(max(groups.shares.shape)):
        chance = np.ones((len(groups.sizes), tile.keep.shape[1]))
        for sign, kinds in indicator:
            chance += sign * tile.product(tile.mix(groups.mean(groups.void(kinds, tile), tile)))
        parts.append(chance)
    return np.concatenate(parts, axis=1)


def having(groups: Groups, indicator: Indicator, blocks: Blocks) -> Array:
    """Expected number of users whose indicator is 1, in each row of blocks: shape (rows,)."""
    return groups.members @ chances(groups, indicator, blocks)


def variance_of(groups: Groups, indicator: Indicator, blocks: Blocks) -> float:
    """Variance of the number of users whose indicator is 1."""

    def covariance(pairs: Pairs) -> Array:
        tile = pairs.blocks
        voids = [(sign, pairs.groups.void(kinds, tile)) for sign, kinds in indicator]
        chances = [[sign * tile.product(tile.mix(mean)) for mean in pairs.each(void)] for sign, void in voids]
        one, other = np.sum(chances, axis=0)
        total: Array = -one * other
        # Each pair (u, u') comes with (u', u): two different kinds in one order, twice, give the same sum.
        for k, (sign, void) in enumerate(voids):
            for i, (other_sign, other_void) in enumerate(voids[: k + 1]):
                times = 1 if i == k else 2
                total += times * sign * other_sign * tile.product(tile.mix(pairs.both(void, other_void)))
        return total

    chance = chances(groups, indicator, blocks)
    return float((groups.members @ (chance * (1 - chance))).sum()) + _over_pairs(groups, blocks, covariance)


def losses(groups: Groups, kind: int, count: int, blocks: Blocks) -> tuple[Array, float]:
    """What incomplete users lose of one kind of interaction, of which the base has `count`.

    Returns the expected loss in each row of blocks, shape (rows,), and what it adds to the variance of the total.
    """
    b, lost, added = blocks.exists, [], 0.0

    def tables(some: Groups, tile: Blocks) -> tuple[Array, Array, Array]:
        degrees, void = some.degrees[:, [kind]], some.void((kind, 1 - kind), tile)
        return void, degrees * void, degrees**2 * void

    for tile in blocks.tiles(max(groups.shares.shape)):
        keep, in_block = tile.keep[0], [groups.mean(table, tile) for table in tables(groups, tile)]
        factors = tile.mix(in_block[0])
        w, y = b * keep * in_block[1] / factors, b * keep**2 * in_block[2] / factors
        h = (1 - b) * count * keep / factors
        a, void = w @ tile.copies, tile.product(factors)
        square = void * (a**2 + ((1 - keep) * w + y - w**2) @ tile.copies)
        with_total = void * ((w * (1 - keep + h)) @ tile.copies - a * ((b * h * (1 - in_block[0])) @ tile.copies))
        lost.append(groups.members @ (void * a))
        added += float((groups.members @ (square - (void * a) ** 2 - 2 * with_total)).sum())

    def covariance(pairs: Pairs) -> Array:
        tile = pairs.blocks
        rate = b * tile.keep[0]
        void, left, _ = tables(pairs.groups, tile)
        factors = tile.mix(pairs.both(void, void))
        w, w_other = rate * pairs.both(left, void) / factors, rate * pairs.both(void, left) / factors
        y = rate * tile.keep[0] * pairs.both(left, left) / factors
        together = (w @ tile.copies) * (w_other @ tile.copies) + (y - w * w_other) @ tile.copies
        loss, loss_other = (
            tile.product(tile.mix(v)) * ((rate * w / tile.mix(v)) @ tile.copies)
            for v, w in zip(pairs.each(void), pairs.each(left), strict=True)
        )
        covariances: Array = tile.product(factors) * together - loss * loss_other
        return covariances

    return np.concatenate(lost), added + _over_pairs(groups, blocks, covariance)


@dataclass(frozen=True)
class Pairs:
    """Pairs of users (u, u') of a row of blocks, one for all pairs that are alike."""

    groups: Groups
    blocks: Blocks
    of_one_cell: bool

    def each(self, f: Array) -> tuple[Array, Array]:
        """Means of f(u) and of f(u'), of a table with a line per class: shape (pairs, rows, columns)."""
        mean = self.groups.mean(f, self.blocks)
        return (mean, mean) if self.of_one_cell else (mean.repeat(len(mean), axis=0), np.tile(mean, (len(mean), 1, 1)))

    def both(self, f: Array, g: Array) -> Array:
        """Mean of f(u) g(u'): shape (pairs, rows, columns)."""
        one, other = self.groups.mean(f, self.blocks), self.groups.mean(g, self.blocks)
        if not self.of_one_cell:
            return (one[:, None] * other).reshape(-1, *one.shape[1:])
        size = self.groups.sizes[:, None, None]
        # Different rows of the cell.
        return (size * one * other - self.groups.mean(f * g, self.blocks)) / (size - 1)


def _over_pairs(groups: Groups, blocks: Blocks, covariance: Callable[[Pairs], Array]) -> float:
    """Sum a covariance, of shape (pairs, rows), over all ordered pairs of different users of a row of blocks."""
    shared = groups.take(np.flatnonzero(groups.sizes > 1), groups.members[groups.sizes > 1])
    few = groups.thinned(PAIRED)
    kinds = [(shared, True, shared.members * (shared.sizes - 1))]
    # Different cells have nothing in common but the blocks that do not exist.
    if blocks.exists < 1:
        between = np.outer(few.members, few.members) - np.diag(few.members * few.sizes)
        kinds.append((few, False, between.reshape(-1)))
    return sum(
        float((count @ covariance(Pairs(some, tile, of_one_cell))).sum())
        for some, of_one_cell, count in kinds
        if len(count)
        for tile in blocks.tiles(max(len(count), len(some.degrees)))
    )
