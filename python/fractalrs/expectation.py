"""What an expansion will hold, computed before anything is generated.

The generator is specified in ``docs/generator.md``. What follows from it for one row block i, with K_j the keep rate of
block (i, j), b the probability that a block exists (`block_keep`), and t_r, s_r the train and test interactions of
source row r:

*Independence.* Blocks exist independently, entries of an existing block are kept independently, and an expanded user
anchored in cell g reads in every block a source row that is uniform in g, drawn anew for each block; two users of one
cell read different rows. So whatever is a product over blocks has the product of the blocks' means as its mean:

    P(no entry of a kind)  =  V  =  prod_j F_j,    F_j = 1 - b + b · v_j,    v_j = mean over r in g of (1 - K_j)^d_r

with d the degrees of that kind: all, train, or test. Items are the same with columns for rows.

*Totals.* A total over nnz entries has mean b · nnz · sum K and, per block, variance
b · nnz · K (1 - K) + b (1 - b) (nnz · K)². Both are exact, whatever the shuffle.

*Users* with an interaction, and test interactions under ``test_items="one"``: the sum of 1 - V (all), of 1 - V (test).
Users with both under `drop_incomplete`: the sum of 1 - V (train) - V (test) + V (all).

*What incomplete users lose.* A user's train interactions T are lost when it has no test interaction: L = T · 1{no test}.
With w_j = K_j · mean(t_r (1 - K_j)^s_r), y_j = K_j² · mean(t_r² (1 - K_j)^s_r) and a = sum_j b w_j / F_j:

    E L       = V a
    E L²      = V (a² + sum_j [b ((1 - K_j) w_j + y_j) / F_j - (b w_j / F_j)²])
    Cov(N, L) = V (sum_j b w_j / F_j · [1 - K_j + (1 - b) nnz K_j / F_j] - a · sum_j b (1 - b) nnz K_j (1 - v_j) / F_j)

where N is the train total of the row block; Var(N - sum L) = Var N - 2 sum Cov(N, L) + Var(sum L). Test interactions are
the same with train and test exchanged.

*Two users* u and u' have the same form with means over pairs: v = mean x_r x_r' and so on, over different rows r, r' of
one cell, or over two cells.

Exact for every shuffle and every `block_keep`: all means but the one named below, and all standard deviations at
`block_keep` 1. Approximate:

- `items` under ``test_items="one"`` or `drop_incomplete`: entries of a row block are taken to go independently, with the
  share of the train, and of the test, interactions that go there in the mean.
- standard deviations under ``test_items="one"`` or `drop_incomplete` at `block_keep` below 1, where one missing block
  hurts all its users at once: this covariance between cells is taken from at most `PAIRED` cells that stand for all.
- large cases: more than `COLUMNS` blocks in a row are binned by keep rate, each bin with its mean; and when the blocks
  are many, evenly spaced cells in the order of degree stand for the others. Relative errors stay below 1e-3.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fractalrs.base import Base
from fractalrs.cells import Cells

Array = npt.NDArray[np.float64]
Degrees = npt.NDArray[np.int64]
PairMean = Callable[[Array, Array], Array]
"""From tables f, g, one row per distinct degrees, to the means of f(u) g(u') over the pairs of users (u, u')."""

COLUMNS = 512
"""Most keep rates of one row that are told apart."""

WORK = 1 << 24
"""Most pairs of a distinct cell and a block; beyond it some cells stand for the others."""

STAND_INS = 64
"""At least so many cells stand for the others."""

PAIRED = 24
"""Most cells compared with each other."""

TILE = 1 << 20
"""Numbers in one temporary array, unless a single row of blocks takes more."""

# Keeps quotients of vanishing probabilities defined; what is multiplied with them vanishes as well.
_TINY = 1e-290


@dataclass(frozen=True)
class Count:
    """A random count: its mean and standard deviation."""

    mean: float
    std: float


@dataclass(frozen=True)
class Expected:
    """What an expansion will hold.

    Attributes
    ----------
    user_ids, item_ids : int
        Size of the id space: m·p and n·q.
    users, items : float
        Expected number of users, and of items, with at least one written interaction.
    train, test : Count
        Written interactions.
    """

    user_ids: int
    item_ids: int
    users: float
    items: float
    train: Count
    test: Count


def expected(
    base: Base,
    keep_rates: Array,
    cells: Cells,
    *,
    shuffle: str,
    block_keep: float,
    test_items: str,
    drop_incomplete: bool,
) -> Expected:
    """Compute what an expansion will hold, as derived in the documentation of this module.

    Parameters
    ----------
    base
        The base of p users and q items.
    keep_rates
        K: float64, shape (m, n), in [0, 1].
    cells
        Groups of users and of items; read only when `shuffle` is ``"cells"``.
    shuffle
        ``"none"``, ``"aligned"``, ``"cells"`` or ``"block"``.
    block_keep
        Probability that a block exists, in [0, 1].
    test_items
        ``"all"``, or ``"one"`` test interaction per user, chosen uniformly.
    drop_incomplete
        Whether users without train, or without test, interactions lose all.

    Returns
    -------
    Expected
        Numbers of users, items, train and test interactions.
    """
    (p, q), (m, n) = base.shape, keep_rates.shape
    user_degrees = np.column_stack([base.user_degrees("train"), base.user_degrees("test")])
    item_degrees = np.column_stack([base.item_degrees("train"), base.item_degrees("test")])
    user_layout = _layout(p, shuffle, cells.user_order, cells.user_starts)
    item_layout = _layout(q, shuffle, cells.item_order, cells.item_starts)
    counts = np.array([base.train_count, base.test_count])
    kept = block_keep * keep_rates.sum(axis=1)[:, None] * counts
    written = kept.copy()
    variance = np.array([_total_variance(keep_rates, block_keep, count) for count in counts])

    if drop_incomplete:
        blocks = _blocks(np.stack([keep_rates, keep_rates]), block_keep)
        groups = _groups(user_degrees, *user_layout).for_work(blocks)
        # Neither train nor test missing, by inclusion and exclusion.
        complete: Events = [(-1, (1, 0)), (-1, (0, 1)), (1, (1, 1))]
        users = _having(groups, complete, blocks)
        for kind in (0, 1) if test_items == "all" else (0,):
            lost, change = _losses(groups, kind, counts[kind], blocks)
            written[:, kind] -= lost
            variance[kind] += change
        if test_items == "one":
            written[:, 1], variance[1] = users, _having_variance(groups, complete, blocks)
    else:
        blocks, any_kept = _blocks(keep_rates[None], block_keep), [(-1, (1,))]
        groups = _groups(user_degrees.sum(axis=1, keepdims=True), *user_layout).for_work(blocks)
        users = _having(groups, any_kept, blocks)
        if test_items == "one":
            groups = _groups(user_degrees[:, 1:], *user_layout).for_work(blocks)
            written[:, 1] = _having(groups, any_kept, blocks)
            variance[1] = _having_variance(groups, any_kept, blocks)

    # Shape (2, n, m): what is written of an item's train, and of its test, interactions in each block.
    share = np.divide(written, kept, out=np.ones_like(kept), where=kept > 0).clip(0, 1)
    rates = share.T[:, None, :] * keep_rates.T
    if test_items == "all" and not drop_incomplete:
        rates, item_degrees = rates[:1], item_degrees.sum(axis=1, keepdims=True)
    blocks = _blocks(rates, block_keep)
    items = _having(_groups(item_degrees, *item_layout).for_work(blocks), [(-1, (1,) * len(rates))], blocks)

    train, test = (
        Count(float(mean), float(np.sqrt(max(spread, 0.0))))
        for mean, spread in zip(written.sum(axis=0), variance, strict=True)
    )
    return Expected(m * p, n * q, float(users.sum()), float(items.sum()), train, test)


def _total_variance(keep: Array, exists: float, count: int) -> float:
    per_block = exists * count * keep * (1 - keep) + exists * (1 - exists) * (count * keep) ** 2
    return float(per_block.sum())


Events = list[tuple[int, tuple[int, ...]]]
"""Indicator of a user, as 1 + sum of sign · 1{no kept entry of the marked kinds}."""


@dataclass(frozen=True)
class _Blocks:
    """Rows of blocks as a group of users (or items) meets them.

    Attributes
    ----------
    keep, log : float64, shape (kinds, rows, columns)
        Keep rate of an entry of each kind, and log(1 - keep).
    copies : float64, shape (columns,)
        How many blocks each column stands for.
    exists : float
        Probability that a block exists.
    """

    keep: Array
    log: Array
    copies: Array
    exists: float

    def mix(self, in_block: Array) -> Array:
        """Mean of a factor that is 1 in a block that does not exist."""
        return np.maximum(1 - self.exists + self.exists * in_block, _TINY)

    def product(self, factors: Array) -> Array:
        """Product over the blocks of each row: shape (…, rows)."""
        return np.exp(np.log(factors) @ self.copies)

    def tiles(self, height: int) -> Iterator["_Blocks"]:
        """Cut by rows, so that a table of `height` lines over one piece stays small."""
        step = max(1, TILE // (height * len(self.copies)))
        for first in range(0, self.keep.shape[1], step):
            rows = slice(first, first + step)
            yield _Blocks(self.keep[:, rows], self.log[:, rows], self.copies, self.exists)


def _blocks(rates: Array, exists: float) -> _Blocks:
    columns = rates.shape[2]
    # Bins of equally many blocks, in the order of the first kind's rate; up to COLUMNS blocks each is a bin of its own.
    edges = np.linspace(0, columns, min(columns, COLUMNS) + 1).astype(np.int64)
    copies = np.diff(edges).astype(np.float64)
    if columns > COLUMNS:
        rates = np.take_along_axis(rates, np.argsort(rates[:1], axis=2), axis=2)
        rates = np.add.reduceat(rates, edges[:-1], axis=2) / copies
    # The nearest number below 1 instead of 1: a finite logarithm.
    return _Blocks(rates, np.log1p(-np.minimum(rates, np.nextafter(1.0, 0.0))), copies, exists)


@dataclass(frozen=True)
class _Groups:
    """The distinct cells of users (or of items).

    Attributes
    ----------
    degrees : float64, shape (classes, kinds)
        The distinct degrees.
    shares : sparse float64, shape (cells, classes)
        Share of a cell's members that are of each class.
    sizes, copies : float64, shape (cells,)
        Members of a cell, and how many such cells there are.
    """

    degrees: Array
    shares: "sp.csr_array[np.float64, tuple[int, int]]"
    sizes: Array
    copies: Array

    def mean(self, table: Array, blocks: _Blocks) -> Array:
        """Mean of the lines of a table, one per class, over each cell: shape (cells, rows, columns)."""
        return np.asarray(self.shares @ table).reshape(len(self.sizes), -1, len(blocks.copies))

    def void(self, kinds: Sequence[int], blocks: _Blocks) -> Array:
        """P(no kept entry of these kinds) in each existing block: shape (classes, rows·columns)."""
        return np.exp((self.degrees * kinds) @ blocks.log.reshape(len(blocks.log), -1))

    def take(self, chosen: npt.NDArray[np.int64], copies: Array) -> "_Groups":
        """Some of the cells, with new numbers of copies."""
        shares = self.shares[chosen]
        used = np.unique(shares.indices)
        return _Groups(self.degrees[used], shares[:, used], self.sizes[chosen], copies)

    def thinned(self, limit: int) -> "_Groups":
        """At most `limit` cells that stand for all: the middle of each of `limit` strata of equally many users."""
        if len(self.sizes) <= limit:
            return self
        degrees = np.asarray(self.shares @ self.degrees)
        order = np.lexsort((degrees.sum(axis=1), degrees[:, -1]))
        users = np.concatenate(([0.0], np.cumsum((self.copies * self.sizes)[order])))
        strata = ((users[:-1] + users[1:]) / 2 * (limit / users[-1])).astype(np.int64)
        first = np.flatnonzero(np.diff(strata, prepend=-1))
        bounds = users[np.append(first, len(order))]
        middle = order[np.searchsorted(users, (bounds[:-1] + bounds[1:]) / 2, side="right") - 1]
        return self.take(middle, np.diff(bounds) / self.sizes[middle])

    def for_work(self, blocks: _Blocks) -> "_Groups":
        """As many cells as the number of blocks leaves time for."""
        return self.thinned(max(STAND_INS, WORK // blocks.log[0].size))


def _layout(
    count: int, shuffle: str, order: npt.NDArray[np.uint32], starts: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if shuffle == "cells":
        return order.astype(np.int64), starts.astype(np.int64)
    return np.arange(count), np.array([0, count]) if shuffle == "block" else np.arange(count + 1)


def _groups(degrees: Degrees, order: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> _Groups:
    classes, labels = np.unique(degrees, axis=0, return_inverse=True)
    labels = labels.reshape(-1)[order]
    # Cells are alike when the 64-bit tags of their members' classes have the same sum: of 10⁵ different cells any two
    # are mistaken for alike with probability 3e-10.
    tags = np.random.default_rng(0).integers(0, 2**64, len(classes), dtype=np.uint64)
    sums = np.add.reduceat(tags[labels], starts[:-1])
    _, first, copies = np.unique(sums, return_index=True, return_counts=True)
    sizes = np.diff(starts)[first].astype(np.float64)
    members = sp.csr_array((np.ones(len(labels)), labels, starts), shape=(len(starts) - 1, len(classes)))[first]
    members.sum_duplicates()
    members.data /= np.repeat(sizes, np.diff(members.indptr))
    return _Groups(classes.astype(np.float64), members, sizes, copies.astype(np.float64))


def _having(groups: _Groups, events: Events, blocks: _Blocks) -> Array:
    """Expected number of users in each row of blocks for whom the indicator is 1: shape (rows,)."""
    users, found = groups.copies * groups.sizes, []
    for tile in blocks.tiles(len(groups.sizes)):
        chance = 1.0 + sum(
            sign * tile.product(tile.mix(groups.mean(groups.void(kinds, tile), tile))) for sign, kinds in events
        )
        found.append(users @ chance)
    return np.concatenate(found)


def _having_variance(groups: _Groups, events: Events, blocks: _Blocks) -> float:
    """Variance of the number of users for whom the indicator is 1."""
    users, variance = groups.copies * groups.sizes, 0.0
    for tile in blocks.tiles(len(groups.sizes)):
        chance = 1.0 + sum(
            sign * tile.product(tile.mix(groups.mean(groups.void(kinds, tile), tile))) for sign, kinds in events
        )
        variance += float((users @ (chance * (1 - chance))).sum())

    def covariance(some: _Groups, mean: PairMean, tile: _Blocks) -> Array:
        total = np.zeros(1)
        for (sign, kinds), (other_sign, other_kinds) in product(events, repeat=2):
            one, other = some.void(kinds, tile), some.void(other_kinds, tile)
            ones = np.ones_like(one)
            alone = tile.mix(mean(one, ones)) * tile.mix(mean(ones, other))
            both = tile.mix(mean(one, other))
            total = total + sign * other_sign * tile.product(alone) * np.expm1(np.log(both / alone) @ tile.copies)
        return total

    return variance + _over_pairs(groups, blocks, covariance)


def _losses(groups: _Groups, kind: int, count: int, blocks: _Blocks) -> tuple[Array, float]:
    """What incomplete users lose of one kind of interaction.

    Returns the expected loss in each row of blocks, shape (rows,), and by how much the loss changes the variance of
    the total of that kind, of which the base has `count`.
    """
    other = [1 - kind, kind]
    users, b, lost, change = groups.copies * groups.sizes, blocks.exists, [], 0.0

    def tables(some: _Groups, tile: _Blocks) -> tuple[Array, Array]:
        void = some.void(other, tile)
        return void, some.degrees[:, [kind]] * void

    for tile in blocks.tiles(len(groups.sizes)):
        keep = tile.keep[0]
        void, left = tables(groups, tile)
        in_block = groups.mean(void, tile)
        factors = tile.mix(in_block)
        w = b * keep * groups.mean(left, tile) / factors
        y = b * keep**2 * groups.mean(groups.degrees[:, [kind]] * left, tile) / factors
        total, probability = w @ tile.copies, tile.product(factors)
        mean = probability * total
        square = probability * (total**2 + ((1 - keep) * w + y - w**2) @ tile.copies)
        missing = (1 - b) * count * keep / factors
        with_total = probability * (
            (w * (1 - keep + missing)) @ tile.copies - total * ((b * missing * (1 - in_block)) @ tile.copies)
        )
        lost.append(users @ mean)
        change += float((users @ (square - mean**2 - 2 * with_total)).sum())

    def covariance(some: _Groups, mean: PairMean, tile: _Blocks) -> Array:
        keep = tile.keep[0]
        void, left = tables(some, tile)
        ones = np.ones_like(void)
        factors = tile.mix(mean(void, void))
        w, w_other = b * keep * mean(left, void) / factors, b * keep * mean(void, left) / factors
        y = b * keep**2 * mean(left, left) / factors
        both = tile.product(factors) * ((w @ tile.copies) * (w_other @ tile.copies) + (y - w * w_other) @ tile.copies)
        alone, alone_other = tile.mix(mean(void, ones)), tile.mix(mean(ones, void))
        loss = tile.product(alone) * ((b * keep * mean(left, ones) / alone) @ tile.copies)
        loss_other = tile.product(alone_other) * ((b * keep * mean(ones, left) / alone_other) @ tile.copies)
        return both - loss * loss_other

    return np.concatenate(lost), change + _over_pairs(groups, blocks, covariance)


def _over_pairs(groups: _Groups, blocks: _Blocks, covariance: Callable[[_Groups, PairMean, _Blocks], Array]) -> float:
    """Sum a covariance, given as shape (pairs, rows), over all ordered pairs of different users of a row of blocks."""
    total = 0.0
    shared = groups.take(np.flatnonzero(groups.sizes > 1), groups.copies[groups.sizes > 1])
    if len(shared.sizes):
        size = shared.sizes[:, None, None]
        for tile in blocks.tiles(len(shared.sizes)):

            def of_one_cell(f: Array, g: Array, tile: _Blocks = tile) -> Array:
                return (size * shared.mean(f, tile) * shared.mean(g, tile) - shared.mean(f * g, tile)) / (size - 1)

            pairs = shared.copies * shared.sizes * (shared.sizes - 1)
            total += float((pairs @ covariance(shared, of_one_cell, tile)).sum())

    # Cells have nothing to do with each other but the blocks that they miss together.
    if blocks.exists < 1 and groups.copies.sum() > 1:
        few = groups.thinned(PAIRED)
        users = few.copies * few.sizes
        pairs = (np.outer(users, users) - np.diag(users * few.sizes)).reshape(-1)
        for tile in blocks.tiles(len(pairs)):

            def of_two_cells(f: Array, g: Array, tile: _Blocks = tile) -> Array:
                return (few.mean(f, tile)[:, None] * few.mean(g, tile)).reshape(len(pairs), -1, len(tile.copies))

            total += float((pairs @ covariance(few, of_two_cells, tile)).sum())
    return total
