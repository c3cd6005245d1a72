"""What an expansion will hold, computed before anything is generated.

The generator is specified in ``docs/generator.md``. What follows for one row block i, with K_j the keep rate of block
(i, j), b the probability that a block exists (`block_keep`), and t_r, s_r the train and test interactions of source
row r:

*Independence.* Blocks exist independently, entries of an existing block are kept independently, and an expanded user
anchored in cell g reads in every block a source row that is uniform in g, drawn anew for each block; two users of one
cell read different rows. So the mean of a product over blocks is the product of the blocks' means:

    P(no entry of a kind)  =  V  =  prod_j F_j,    F_j = 1 - b + b v_j,    v_j = mean over r in g of (1 - K_j)^d_r

with d the degrees of that kind: all, train, or test. Items are the same with columns for rows.

*Totals.* A total N over nnz entries has mean b nnz sum K and, per block, variance
b nnz K (1 - K) + b (1 - b) (nnz K)², whatever the shuffle.

*Users* with an interaction, and test interactions under ``test_items="one"``: the sum of 1 - V (all), of 1 - V (test).
Users with both, under `drop_incomplete`: the sum of 1 - V (train) - V (test) + V (all).

*What incomplete users lose.* A user loses L, all train interactions, when it has no test interaction. With
w_j = b K_j mean(t_r (1 - K_j)^s_r) / F_j, y_j = b K_j² mean(t_r² (1 - K_j)^s_r) / F_j, a = sum_j w_j, F and V for test:

    E L       = V a
    E L²      = V (a² + sum_j [(1 - K_j) w_j + y_j - w_j²])
    Cov(N, L) = V (sum_j w_j [1 - K_j + h_j] - a sum_j b h_j (1 - v_j)),    h_j = (1 - b) nnz K_j / F_j
    Var(N - sum L) = Var N - 2 sum Cov(N, L) + Var(sum L)

where N is the train total of the row block. Test interactions are the same with train and test exchanged.

*Two users* u, u' have covariances of the same form, with means over pairs of rows: different rows of one cell, or any
rows of two cells.

Exact: all means but `items` as below, and the standard deviations but as below. Approximate:

- `items` under ``test_items="one"`` or `drop_incomplete`: as if entries went independently, with the share of the
  row block's train, and of its test, interactions that go in the mean.
- Standard deviations under ``test_items="one"`` or `drop_incomplete` where `block_keep` is below 1: users of different
  cells miss the same blocks; their covariance is taken from at most `PAIRED` cells that stand for all (within 5 %).
- Large cases: more than `COLUMNS` keep rates in a row are binned, each bin with its mean; and where pairs of a cell and
  a block would be more than `WORK`, some cells, spread over all degrees, stand for all (means within 0.1 %, standard
  deviations within 5 %).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fractalrs.base.base import Base
from fractalrs.expansion.cells import Cells

if TYPE_CHECKING:
    from fractalrs.expansion.options import Options

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

_Array = npt.NDArray[np.float64]
_Codes = npt.NDArray[np.int64]
_Kinds = tuple[int, ...]
# Indicator of a user: 1 + the sum of sign · 1{no kept entry of the kinds marked 1}.
_Indicator = list[tuple[int, _Kinds]]


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


def expected(base: Base, keep_rates: _Array, cells: Cells, options: "Options") -> Expected:
    """Compute what an expansion will hold, as derived in the documentation of this module.

    Parameters
    ----------
    base
        The base of p users and q items.
    keep_rates
        K: float64, shape (m, n), in [0, 1].
    cells
        Groups of users and of items; read only when the shuffle is ``"cells"``.
    options
        Of which shuffle, `block_keep`, `test_items` and `drop_incomplete` count here.

    Returns
    -------
    Expected
        Numbers of users, items, train and test interactions.
    """
    (p, q), (m, n), block_keep = base.shape, keep_rates.shape, options.block_keep
    one_test_item = options.test_items == "one"
    user_degrees = np.column_stack([base.user_degrees("train"), base.user_degrees("test")])
    item_degrees = np.column_stack([base.item_degrees("train"), base.item_degrees("test")])
    user_layout = _layout(p, options.shuffle, cells.user_order, cells.user_starts)
    item_layout = _layout(q, options.shuffle, cells.item_order, cells.item_starts)
    counts = np.array([base.train_count, base.test_count])
    kept = block_keep * keep_rates.sum(axis=1)[:, None] * counts
    written = kept.copy()
    per_block = block_keep * counts * (keep_rates * (1 - keep_rates))[..., None]
    per_block += block_keep * (1 - block_keep) * (counts * keep_rates[..., None]) ** 2
    variance = per_block.sum(axis=(0, 1))

    if options.drop_incomplete:
        blocks = _blocks(np.stack([keep_rates, keep_rates]), block_keep)
        groups = _groups(user_degrees, *user_layout, blocks)
        complete: _Indicator = [(-1, (1, 0)), (-1, (0, 1)), (1, (1, 1))]
        users = _having(groups, complete, blocks)
        for kind in (0,) if one_test_item else (0, 1):
            lost, change = _losses(groups, kind, counts[kind], blocks)
            written[:, kind] -= lost
            variance[kind] += change
        if one_test_item:
            written[:, 1], variance[1] = users, _variance(groups, complete, blocks)
    else:
        blocks = _blocks(keep_rates[None], block_keep)
        some: _Indicator = [(-1, (1,))]
        users = _having(_groups(user_degrees.sum(axis=1, keepdims=True), *user_layout, blocks), some, blocks)
        if one_test_item:
            groups = _groups(user_degrees[:, 1:], *user_layout, blocks)
            written[:, 1], variance[1] = _having(groups, some, blocks), _variance(groups, some, blocks)

    # An item's train, and test, entries in each block are written at these rates: shape (2, n, m).
    share = np.divide(written, kept, out=np.ones_like(kept), where=kept > 0).clip(0, 1)
    rates = share.T[:, None, :] * keep_rates.T
    if not one_test_item and not options.drop_incomplete:
        rates, item_degrees = rates[:1], item_degrees.sum(axis=1, keepdims=True)
    blocks = _blocks(rates, block_keep)
    items = _having(_groups(item_degrees, *item_layout, blocks), [(-1, (1,) * len(rates))], blocks)

    train, test = (
        Count(float(mean), float(np.sqrt(max(spread, 0.0))))
        for mean, spread in zip(written.sum(axis=0), variance, strict=True)
    )
    return Expected(m * p, n * q, float(users.sum()), float(items.sum()), train, test)


@dataclass(frozen=True)
class _Blocks:
    """Rows of blocks, as a cell of users (or, transposed, of items) meets them.

    Attributes
    ----------
    keep, log : float64, shape (kinds, rows, columns)
        Keep rate of an entry of each kind, and log(1 - keep).
    copies : float64, shape (columns,)
        How many blocks each column stands for.
    exists : float
        Probability that a block exists.
    """

    keep: _Array
    log: _Array
    copies: _Array
    exists: float

    def mix(self, in_block: _Array) -> _Array:
        """F of v."""
        return np.maximum(1 - self.exists + self.exists * in_block, _TINY)

    def product(self, factors: _Array) -> _Array:
        """Product over the blocks of each row: shape (…, rows)."""
        return np.exp(np.log(factors) @ self.copies)

    def tiles(self, height: int) -> Iterator["_Blocks"]:
        """Cut by rows, so that tables of `height` lines over a piece stay small."""
        step = max(1, TILE // (height * len(self.copies)))
        for first in range(0, self.keep.shape[1], step):
            rows = slice(first, first + step)
            yield _Blocks(self.keep[:, rows], self.log[:, rows], self.copies, self.exists)


def _blocks(rates: _Array, exists: float) -> _Blocks:
    columns = rates.shape[2]
    # Bins of equally many blocks, in the order of the first kind's rate.
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
    sizes : float64, shape (cells,)
        Members of a cell.
    members : float64, shape (cells,)
        Members of all the cells that it stands for.
    """

    degrees: _Array
    shares: "sp.csr_array[np.float64, tuple[int, int]]"
    sizes: _Array
    members: _Array

    def mean(self, table: _Array, blocks: _Blocks) -> _Array:
        """Mean of the lines of a table, one per class, over each cell: shape (cells, rows, columns)."""
        return np.asarray(self.shares @ table).reshape(len(self.sizes), -1, len(blocks.copies))

    def void(self, kinds: _Kinds, blocks: _Blocks) -> _Array:
        """P(no kept entry of these kinds) in an existing block: shape (classes, rows·columns)."""
        exponents: _Array = (self.degrees * kinds) @ blocks.log.reshape(len(blocks.log), -1)
        return np.exp(exponents)

    def take(self, chosen: _Codes, members: _Array) -> "_Groups":
        """Some of the cells, standing for other numbers of members."""
        shares = self.shares[chosen]
        used = np.unique(shares.indices)
        return _Groups(self.degrees[used], shares[:, used], self.sizes[chosen], members)

    def thinned(self, limit: int) -> "_Groups":
        """At most `limit` cells for all: the middle one of each of `limit` strata of equally many members."""
        if len(self.sizes) <= limit:
            return self
        degrees = np.asarray(self.shares @ self.degrees)
        last, total = degrees[:, -1], degrees.sum(axis=1)

        def ends_in(order: _Codes) -> _Array:
            return np.concatenate(([0.0], np.cumsum(self.members[order])))

        def strata_of(ends: _Array, count: int) -> _Codes:
            strata: _Codes = ((ends[:-1] + ends[1:]) / 2 * (count / ends[-1])).astype(np.int64)
            return strata

        # Bands of the last kind's degree, inside each by all degrees.
        order = np.lexsort((total, last))
        order = order[np.lexsort((total[order], strata_of(ends_in(order), int(np.sqrt(limit)))))]
        ends = ends_in(order)
        bounds = ends[np.append(np.flatnonzero(np.diff(strata_of(ends, limit), prepend=-1)), len(order))]
        middle = np.searchsorted(ends, (bounds[:-1] + bounds[1:]) / 2, side="right") - 1
        return self.take(order[middle], np.diff(bounds))


def _layout(
    count: int, shuffle: str, order: npt.NDArray[np.uint32], starts: npt.NDArray[np.uint32]
) -> tuple[_Codes, _Codes]:
    if shuffle == "cells":
        return order.astype(np.int64), starts.astype(np.int64)
    return np.arange(count), np.array([0, count]) if shuffle == "block" else np.arange(count + 1)


def _groups(degrees: _Codes, order: _Codes, starts: _Codes, blocks: _Blocks) -> _Groups:
    classes, labels = np.unique(degrees, axis=0, return_inverse=True)
    labels = labels.reshape(-1)[order]
    # Cells are alike when random tags of their members' classes have the same sum: of 10⁵ different cells, two are
    # mistaken for alike with probability 3e-10.
    tags = np.random.default_rng(0).integers(0, 2**64, len(classes), dtype=np.uint64)
    sums = np.add.reduceat(tags[labels], starts[:-1])
    _, first, copies = np.unique(sums, return_index=True, return_counts=True)
    sizes = np.diff(starts).astype(np.float64)
    weights = np.repeat(1 / sizes, np.diff(starts))
    every: sp.csr_array[np.float64, tuple[int, int]]
    every = sp.csr_array((weights, labels, starts), shape=(len(sizes), len(classes)))
    shares = every[first]
    shares.sum_duplicates()
    groups = _Groups(classes.astype(np.float64), shares, sizes[first], copies * sizes[first])
    return groups.thinned(max(STAND_INS, WORK // blocks.log[0].size))


def _chances(groups: _Groups, indicator: _Indicator, blocks: _Blocks) -> _Array:
    """P(the indicator of a user is 1): shape (cells, rows)."""
    parts = []
    for tile in blocks.tiles(max(groups.shares.shape)):
        chance = np.ones((len(groups.sizes), tile.keep.shape[1]))
        for sign, kinds in indicator:
            chance += sign * tile.product(tile.mix(groups.mean(groups.void(kinds, tile), tile)))
        parts.append(chance)
    return np.concatenate(parts, axis=1)


def _having(groups: _Groups, indicator: _Indicator, blocks: _Blocks) -> _Array:
    """Expected number of users whose indicator is 1, in each row of blocks: shape (rows,)."""
    return groups.members @ _chances(groups, indicator, blocks)


def _variance(groups: _Groups, indicator: _Indicator, blocks: _Blocks) -> float:
    """Variance of the number of users whose indicator is 1."""

    def covariance(pairs: _Pairs) -> _Array:
        tile = pairs.blocks
        voids = [(sign, pairs.groups.void(kinds, tile)) for sign, kinds in indicator]
        chances = [[sign * tile.product(tile.mix(mean)) for mean in pairs.each(void)] for sign, void in voids]
        one, other = np.sum(chances, axis=0)
        total: _Array = -one * other
        # Each pair (u, u') comes with (u', u): two different kinds in one order, twice, give the same sum.
        for k, (sign, void) in enumerate(voids):
            for i, (other_sign, other_void) in enumerate(voids[: k + 1]):
                times = 1 if i == k else 2
                total += times * sign * other_sign * tile.product(tile.mix(pairs.both(void, other_void)))
        return total

    chance = _chances(groups, indicator, blocks)
    return float((groups.members @ (chance * (1 - chance))).sum()) + _over_pairs(groups, blocks, covariance)


def _losses(groups: _Groups, kind: int, count: int, blocks: _Blocks) -> tuple[_Array, float]:
    """What incomplete users lose of one kind of interaction, of which the base has `count`.

    Returns the expected loss in each row of blocks, shape (rows,), and what it adds to the variance of the total.
    """
    b, lost, added = blocks.exists, [], 0.0

    def tables(some: _Groups, tile: _Blocks) -> tuple[_Array, _Array, _Array]:
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

    def covariance(pairs: _Pairs) -> _Array:
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
        covariances: _Array = tile.product(factors) * together - loss * loss_other
        return covariances

    return np.concatenate(lost), added + _over_pairs(groups, blocks, covariance)


@dataclass(frozen=True)
class _Pairs:
    """Pairs of users (u, u') of a row of blocks, one for all pairs that are alike."""

    groups: _Groups
    blocks: _Blocks
    of_one_cell: bool

    def each(self, f: _Array) -> tuple[_Array, _Array]:
        """Means of f(u) and of f(u'), of a table with a line per class: shape (pairs, rows, columns)."""
        mean = self.groups.mean(f, self.blocks)
        return (mean, mean) if self.of_one_cell else (mean.repeat(len(mean), axis=0), np.tile(mean, (len(mean), 1, 1)))

    def both(self, f: _Array, g: _Array) -> _Array:
        """Mean of f(u) g(u'): shape (pairs, rows, columns)."""
        one, other = self.groups.mean(f, self.blocks), self.groups.mean(g, self.blocks)
        if not self.of_one_cell:
            return (one[:, None] * other).reshape(-1, *one.shape[1:])
        size = self.groups.sizes[:, None, None]
        # Different rows of the cell.
        return (size * one * other - self.groups.mean(f * g, self.blocks)) / (size - 1)


def _over_pairs(groups: _Groups, blocks: _Blocks, covariance: Callable[[_Pairs], _Array]) -> float:
    """Sum a covariance, of shape (pairs, rows), over all ordered pairs of different users of a row of blocks."""
    shared = groups.take(np.flatnonzero(groups.sizes > 1), groups.members[groups.sizes > 1])
    few = groups.thinned(PAIRED)
    kinds = [(shared, True, shared.members * (shared.sizes - 1))]
    # Different cells have nothing in common but the blocks that do not exist.
    if blocks.exists < 1:
        between = np.outer(few.members, few.members) - np.diag(few.members * few.sizes)
        kinds.append((few, False, between.reshape(-1)))
    return sum(
        float((count @ covariance(_Pairs(some, tile, of_one_cell))).sum())
        for some, of_one_cell, count in kinds
        if len(count)
        for tile in blocks.tiles(max(len(count), len(some.degrees)))
    )


def with_cold(counts: Expected, base: Base, keep_rates: _Array, options: "Options") -> Expected:
    """Move what cold users and items have from train to test.

    A train interaction stays with the probability s = (1 - cold_users)(1 - cold_items). The variance is that of
    thinning, and that of whole users, and whole items, going: with T_u the expected train interactions of an expanded
    user, cold_users (1 - cold_users) (1 - cold_items)² sum T_u²; items likewise. Users are as without cells.
    """
    cold_users, cold_items = options.cold_users, options.cold_items
    stays = (1 - cold_users) * (1 - cold_items)
    if stays == 1:
        return counts
    spread = [
        options.block_keep**2 * float((keep_rates.sum(axis=axis) ** 2).sum() * (degrees.astype(np.float64) ** 2).sum())
        for axis, degrees in ((1, base.user_degrees("train")), (0, base.item_degrees("train")))
    ]
    whole = cold_users * (1 - cold_users) * (1 - cold_items) ** 2 * spread[0]
    whole += cold_items * (1 - cold_items) * (1 - cold_users) ** 2 * spread[1]
    mean, thinned = counts.train.mean, stays * (1 - stays) * counts.train.mean
    train = Count(stays * mean, float(np.sqrt(stays**2 * counts.train.std**2 + thinned + whole)))
    moved = (1 - stays) ** 2 * counts.train.std**2 + thinned + whole
    test = Count(counts.test.mean + (1 - stays) * mean, float(np.sqrt(counts.test.std**2 + moved)))
    return replace(counts, train=train, test=test)


def expected_of_some(base: Base, shape: tuple[int, int], counts: npt.NDArray[np.int64], options: "Options") -> Expected:
    """Estimate what a function will make, from train and test interactions of some blocks, (blocks, 2).

    Numbers of users and items are as if every block kept the same share of the base by chance.
    """
    blocks, all_blocks = len(counts), shape[0] * shape[1]
    # Of a sample drawn without replacement; a single block is all of them.
    spread = counts.std(axis=0, ddof=min(1, blocks - 1))
    errors = all_blocks * spread * np.sqrt((1 - blocks / all_blocks) / blocks)
    train, test = (
        Count(float(mean), float(error)) for mean, error in zip(counts.mean(axis=0) * all_blocks, errors, strict=True)
    )
    share = min(1.0, float(counts.sum()) / blocks / base.count)
    alike = expected(base, np.full(shape, share), Cells.single(*base.shape), options)
    return replace(alike, train=train, test=test)


def expected_sketch(base: Base, shape: tuple[int, int]) -> Expected:
    """Compute what the sketching operator will hold.

    Each of the entries of the base becomes m × n cells, of which a share ρ, the density of the train part, is an
    interaction. Standard deviations and the numbers of users and items take the cells as independent.
    """
    (p, q), (m, n) = base.shape, shape
    density = base.train_count / (p * q)
    counts = [
        Count(cells * density, float(np.sqrt(cells * density * (1 - density))))
        for cells in (m * n * base.train_count, m * n * base.test_count)
    ]
    users = m * float((1 - (1 - density) ** (n * base.user_degrees().astype(np.float64))).sum())
    items = n * float((1 - (1 - density) ** (m * base.item_degrees().astype(np.float64))).sum())
    return Expected(m * p, n * q, users, items, counts[0], counts[1])
