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

With the shuffle ``"mixed"`` d are the degrees after the cells' interactions were dealt out, which the seed says.

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

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fractalrs._core import mixed_degrees
from fractalrs.base import Base
from fractalrs.expansion.cells import Cells
from fractalrs.expansion.expected_groups import Array, Indicator, blocks_of, groups_of, having, losses, variance_of
from fractalrs.tools import Shown, resolve_threads
from fractalrs.words import SPLITS, Split

Degrees = npt.NDArray[np.integer[Any]]


class Chances(Protocol):
    """What counts here of an expansion's options."""

    @property
    def mixes(self) -> bool:
        """Whether the interactions of a cell's users are dealt out among them, by the seed."""

    @property
    def seed(self) -> int:
        """The seed."""

    @property
    def block_keep(self) -> float:
        """Probability that a block exists."""

    @property
    def test_items(self) -> str:
        """How many test interactions of an expanded user: all, or one."""

    @property
    def drop_incomplete(self) -> bool:
        """Whether users without train or test interactions are left out."""

    @property
    def cold_users(self) -> float:
        """Share of users that have test interactions only."""

    @property
    def cold_items(self) -> float:
        """Share of items that have test interactions only."""


@dataclass(frozen=True)
class Count:
    """A random count: its mean and standard deviation."""

    mean: float
    std: float


@dataclass(frozen=True, repr=False)
class Expected(Shown):
    """What an expansion will hold.

    Ids are m·p and n·q; users and items those expected to have a written interaction; train, valid and test the written
    ones.
    """

    user_ids: int
    item_ids: int
    users: float
    items: float
    train: Count
    test: Count
    valid: Count = Count(0.0, 0.0)

    @property
    def interactions(self) -> float:
        """The expected number of all interactions."""
        return self.train.mean + self.valid.mean + self.test.mean


def user_degrees(base: Base, cells: Cells, options: Chances) -> Degrees:
    """Return the train, validation and test interactions of each user, (p, 3), as an expansion's rows have them."""
    if not options.mixes:
        return np.column_stack([base.user_degrees(split) for split in SPLITS])
    deal = cells.user_order, cells.user_starts, options.seed
    return mixed_degrees(base.indptr, base.entries, base.shape[1], *deal, threads=resolve_threads(None))


def expected(base: Base, keep_rates: Array, cells: Cells, options: Chances, degrees: Degrees | None = None) -> Expected:
    """Compute what an expansion with keep rates K, shape (m, n), will hold, as derived above.

    `degrees` are those of `user_degrees`, which takes a while.
    """
    (p, q), (m, n), block_keep = base.shape, keep_rates.shape, options.block_keep
    one_test_item = options.test_items == "one"
    # With validation no test interaction is chosen, and nobody dropped: then all splits are alike.
    splits: tuple[Split, ...] = ("train", "test", "valid") if base.valid_count else ("train", "test")
    degrees = user_degrees(base, cells, options) if degrees is None else degrees
    of_users = degrees[:, [SPLITS.index(split) for split in splits]].astype(np.int64)
    of_items = np.column_stack([base.item_degrees(split) for split in splits])
    user_layout = cells.user_order.astype(np.int64), cells.user_starts.astype(np.int64)
    item_layout = cells.item_order.astype(np.int64), cells.item_starts.astype(np.int64)
    counts = of_users.sum(axis=0)
    kept = block_keep * keep_rates.sum(axis=1)[:, None] * counts
    written = kept.copy()
    per_block = block_keep * counts * (keep_rates * (1 - keep_rates))[..., None]
    per_block += block_keep * (1 - block_keep) * (counts * keep_rates[..., None]) ** 2
    variance = per_block.sum(axis=(0, 1))

    if options.drop_incomplete:
        blocks = blocks_of(np.stack([keep_rates, keep_rates]), block_keep)
        groups = groups_of(of_users, *user_layout, blocks)
        complete: Indicator = [(-1, (1, 0)), (-1, (0, 1)), (1, (1, 1))]
        users = having(groups, complete, blocks)
        for kind in (0,) if one_test_item else (0, 1):
            lost, change = losses(groups, kind, counts[kind], blocks)
            written[:, kind] -= lost
            variance[kind] += change
        if one_test_item:
            written[:, 1], variance[1] = users, variance_of(groups, complete, blocks)
    else:
        blocks = blocks_of(keep_rates[None], block_keep)
        some: Indicator = [(-1, (1,))]
        users = having(groups_of(of_users.sum(axis=1, keepdims=True), *user_layout, blocks), some, blocks)
        if one_test_item:
            groups = groups_of(of_users[:, 1:], *user_layout, blocks)
            written[:, 1], variance[1] = having(groups, some, blocks), variance_of(groups, some, blocks)

    # An item's train, and test, entries in each block are written at these rates: shape (2, n, m).
    share = np.divide(written, kept, out=np.ones_like(kept), where=kept > 0).clip(0, 1)
    rates = share.T[:, None, :] * keep_rates.T
    if not one_test_item and not options.drop_incomplete:
        rates, of_items = rates[:1], of_items.sum(axis=1, keepdims=True)
    blocks = blocks_of(rates, block_keep)
    items = having(groups_of(of_items, *item_layout, blocks), [(-1, (1,) * len(rates))], blocks)

    found = (
        Count(float(mean), float(np.sqrt(max(spread, 0.0))))
        for mean, spread in zip(written.sum(axis=0), variance, strict=True)
    )
    plain = Expected(m * p, n * q, float(users.sum()), float(items.sum()), *found)
    return _with_cold(plain, base, keep_rates, options)


def _with_cold(counts: Expected, base: Base, keep_rates: Array, options: Chances) -> Expected:
    """Move what cold users and items have from train, and from validation, to test.

    A train interaction stays with the probability s = (1 - cold_users)(1 - cold_items). The variance is that of
    thinning, and that of whole users, and whole items, going: with T_u the expected train interactions of an expanded
    user, cold_users (1 - cold_users) (1 - cold_items)² sum T_u²; items likewise. Users are as without cells.
    """
    cold_users, cold_items = options.cold_users, options.cold_items
    stays = (1 - cold_users) * (1 - cold_items)
    if stays == 1:
        return counts
    splits: tuple[Split, ...] = ("train", "valid")
    for split in splits if base.valid_count else splits[:1]:
        all_of_it = counts.valid if split == "valid" else counts.train
        spread = [
            options.block_keep**2
            * float((keep_rates.sum(axis=axis) ** 2).sum() * (degrees.astype(np.float64) ** 2).sum())
            for axis, degrees in ((1, base.user_degrees(split)), (0, base.item_degrees(split)))
        ]
        whole = cold_users * (1 - cold_users) * (1 - cold_items) ** 2 * spread[0]
        whole += cold_items * (1 - cold_items) * (1 - cold_users) ** 2 * spread[1]
        mean, thinned = all_of_it.mean, stays * (1 - stays) * all_of_it.mean
        left = Count(stays * mean, float(np.sqrt(stays**2 * all_of_it.std**2 + thinned + whole)))
        moved = (1 - stays) ** 2 * all_of_it.std**2 + thinned + whole
        test = Count(counts.test.mean + (1 - stays) * mean, float(np.sqrt(counts.test.std**2 + moved)))
        counts = replace(counts, valid=left, test=test) if split == "valid" else replace(counts, train=left, test=test)
    return counts


def expected_of_some(base: Base, shape: tuple[int, int], counts: npt.NDArray[np.int64], options: Chances) -> Expected:
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
        for cells in (m * n * base.train_count, m * n * base.test_count, m * n * base.valid_count)
    ]
    users = m * float((1 - (1 - density) ** (n * base.user_degrees().astype(np.float64))).sum())
    items = n * float((1 - (1 - density) ** (m * base.item_degrees().astype(np.float64))).sum())
    return Expected(m * p, n * q, users, items, *counts)
