"""The generator against theory. What `oracle` shows holds for the core as well: test_oracle.py makes them equal.

The seeds are fixed, so a result never changes; the bounds are those a fair generator would break in about one of a
million choices of the seeds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise, permutations
from math import factorial, isqrt, prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from fractalrs.base import Base
from fractalrs.expansion import Cells
from helpers import oracle
from helpers.core import Pairs, core, group_cells, make_base, make_expansion
from helpers.oracle import COLUMN, ITEM, ROW, USER, Integers, root, under

Floats = npt.NDArray[np.float64]

ALPHA = 1e-6
"""Chance that a fair generator fails a test, all comparisons of the test together (Bonferroni)."""
SIGMAS = 5.0
SHUFFLES = ["none", "aligned", "cells", "block"]


def chi_square(observed: npt.ArrayLike, expected: npt.ArrayLike) -> float:
    """Two-sided p-value: counts that are too even are as wrong as counts that are too uneven."""
    counts = np.asarray(observed, float).ravel()
    means = np.broadcast_to(np.asarray(expected, float), np.shape(observed)).ravel()
    return two_sided(float(((counts - means) ** 2 / means).sum()), len(counts) - 1)


def two_sided(statistic: float, freedom: int) -> float:
    return float(2 * min(stats.chi2.cdf(statistic, freedom), stats.chi2.sf(statistic, freedom)))


def uniform(values: Integers, kinds: int) -> float:
    """p-value of values that should be uniform on 0 … kinds − 1."""
    return chi_square(np.bincount(values.ravel(), minlength=kinds), values.size / kinds)


# Thresholds: by enumeration, not by sampling.

RATES = [1e-6, 1e-4, 0.01, 0.117, 1 / 3, 0.5, 0.95, 1 - 2.0**-40, 1.0, *np.geomspace(1e-6, 1, 60).tolist()]


@pytest.mark.parametrize("rates", [RATES], ids=["all"])
def test_gaps_are_geometric(rates: list[float]) -> None:
    """Exact fractions, from how many of the 2⁴⁸ numbers give each gap."""
    for rate in rates:
        table, keep = [int(t) for t in oracle.thresholds(rate)], Fraction(rate)
        # P(gap > s) for s = 0 … 255; a gap of 256 starts anew.
        beyond = [Fraction(t, 2**48) for t in table]
        for s in range(256):
            assert abs(beyond[s] - Fraction(1 - rate) ** (s + 1)) < Fraction(2, 10**15)
            # 1 − K as a float64 is off by up to 2⁻⁵⁴.
            assert abs(beyond[s] - (1 - keep) ** (s + 1)) < Fraction(2, 10**15) + Fraction(s + 1, 2**54)
        mean_gap = sum(beyond) / (1 - beyond[255])
        effective = 1 / (1 + mean_gap)
        assert abs(effective / keep - 1) < Fraction(1, 10**10)
        for away in (1, 2, 3, 4):
            chance = (1 if away == 1 else beyond[away - 2]) - beyond[away - 1]
            assert abs(chance - (1 - keep) ** (away - 1) * keep) < Fraction(1, 10**14)


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.117, 0.5, 0.95, 1.0])
def test_numbers_below_a_threshold_give_its_gap(rate: float) -> None:
    """Of the 2⁴⁸ numbers, T[s − 1] − T[s] give gap s: it falls as the number rises, and it is right at each edge."""
    table = oracle.thresholds(rate)
    below = np.array([np.count_nonzero(table > number) for number in table])
    np.testing.assert_array_equal(oracle.gaps(table, table), below)
    inside = table[table > 0]
    below = np.array([np.count_nonzero(table > number - 1) for number in inside])
    np.testing.assert_array_equal(oracle.gaps(table, inside - 1), below)
    np.testing.assert_array_equal(oracle.gaps(table, [0, 2**48 - 1]), [np.count_nonzero(table), 0])


# Keep decisions of the core.


def test_block_counts_are_binomial() -> None:
    """10⁸ draws, each block's count against its exact binomial distribution."""
    degrees = np.arange(2_100) % 1_001
    base = Base.from_arrays(np.append(0, np.cumsum(degrees)), np.concatenate([np.arange(d) for d in degrees]))
    rates = np.geomspace(1e-4, 1, 100).reshape(10, 10)
    (p, q), (m, n) = base.shape, rates.shape
    assert base.count * rates.size >= 10**8
    expansion = make_expansion(base, rates, "none", seed=1)
    for i in range(m):
        train, _ = core(expansion, i * p, (i + 1) * p)
        for count, rate in zip(np.bincount(train[:, 1] // q, minlength=n), rates[i], strict=True):
            assert stats.binomtest(int(count), base.count, rate).pvalue > ALPHA / rates.size


def keep_decisions(rate: float, seed: int, shape: tuple[int, int] = (8, 8), size: tuple[int, int] = (400, 100)) -> Any:
    """Whether each entry of a full base is kept: bool, [i, j, row, position]."""
    (m, n), (p, q) = shape, size
    base = Base.from_arrays(np.arange(p + 1) * q, np.tile(np.arange(q), p))
    train, _ = core(make_expansion(base, np.full(shape, rate), "none", seed=seed))
    kept = np.zeros((m * p, n * q), bool)
    kept[train[:, 0], train[:, 1]] = True
    return kept.reshape(m, p, n, q).swapaxes(1, 2)


def correlation(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_], rate: float) -> float:
    """Correlation of two sets of decisions, in standard deviations."""
    both = np.count_nonzero(a & b) - rate * (np.count_nonzero(a) + np.count_nonzero(b)) + a.size * rate**2
    return float(both / (rate * (1 - rate) * np.sqrt(a.size)))


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_keep_decisions_are_unrelated(rate: float) -> None:
    kept = keep_decisions(rate, 0)
    for lag in (1, 2, 3, 4, 50):
        assert abs(correlation(kept[..., lag:], kept[..., :-lag], rate)) < SIGMAS
    for axis in (0, 1, 2):
        for lag in (1, 2):
            neighbours = np.roll(kept, lag, axis)
            assert abs(correlation(kept, neighbours, rate)) < SIGMAS
    # Keys are chains of i, j and the row: equal sums of them must not meet.
    for other in (
        kept.swapaxes(0, 1)[np.triu_indices(8, 1)],
        np.roll(kept, (1, -1), (0, 1))[np.triu_indices(8, 1)],
        np.roll(kept, (1, -1), (1, 2))[np.triu_indices(8, 1)],
    ):
        assert abs(correlation(kept[np.triu_indices(8, 1)], other, rate)) < SIGMAS
    # The two halves of a block, and of a row.
    assert abs(correlation(kept[:, :, :200], kept[:, :, 200:], rate)) < SIGMAS
    assert abs(correlation(kept[..., :50], kept[..., 50:], rate)) < SIGMAS


@pytest.mark.parametrize("position_rate", [0.02, 0.3, 0.8])
def test_every_position_of_a_row_is_kept_alike(position_rate: float) -> None:
    """The first and the last entry too."""
    kept = keep_decisions(position_rate, 4)
    draws = kept.size // kept.shape[-1]
    counts = kept.sum(axis=(0, 1, 2))
    scores = (counts - draws * position_rate) / np.sqrt(draws * position_rate * (1 - position_rate))
    assert two_sided(float((scores**2).sum()), len(scores)) > ALPHA
    assert np.abs(scores).max() < SIGMAS + 1


@pytest.mark.parametrize("other", [1, 2, 2**32, 2**63])
def test_seeds_keep_unrelated_entries(other: int) -> None:
    zero, one = keep_decisions(0.3, 0), keep_decisions(0.3, other)
    assert abs(correlation(zero, one, 0.3)) < SIGMAS
    assert abs(correlation(zero, np.roll(one, 1, axis=1), 0.3)) < SIGMAS


# Permutations as such: c ≤ 64 and c > 64 are made in two ways.


@cache
def sample(c: int, count: int = 20_000) -> Integers:
    """Permutations of 0 … c − 1 under keys of every purpose, as the generator uses them."""
    serial = np.arange(count // 4)
    keys = [under(root(5), purpose, serial) for purpose in (ROW, COLUMN)]
    keys += [under(root(6), purpose, serial // 50, serial % 50, 3) for purpose in (USER, ITEM)]
    return oracle.permutations(np.concatenate(keys), c)


def rank(images: Integers) -> Integers:
    """Number of each permutation in the last axis among all c! of them."""
    c = images.shape[-1]
    later = np.stack([(images[..., t + 1 :] < images[..., t, None]).sum(-1) for t in range(c)], axis=-1)
    return np.asarray(later @ [factorial(c - 1 - t) for t in range(c)])


@pytest.mark.parametrize("c", [1, 2, 3, 4, 5, 6, 63, 64, 65, 66, 67, 72, 73, 81, 100, 101, 1000])
def test_permutations_are_bijections(c: int) -> None:
    images = sample(c, 80)
    np.testing.assert_array_equal(np.sort(images, axis=1), np.broadcast_to(np.arange(c), images.shape))


@pytest.mark.parametrize("c", [2, 3, 4, 5, 6])
def test_all_permutations_are_alike(c: int) -> None:
    assert len({int(rank(np.array(order))) for order in permutations(range(c))}) == factorial(c)
    assert uniform(rank(sample(c)), factorial(c)) > ALPHA


@pytest.mark.parametrize("c", [2, 3, 4, 5])
def test_every_key_counted_all_permutations_are_alike(c: int) -> None:
    """Each comes of ⌊2⁶⁴ / c!⌋ keys or of one more: those from one edge to the next.

    For the key is the only word here, and the places to exchange with, one after the other, rise with it.
    """
    edges = [-(-(number << 64) // factorial(c)) for number in range(factorial(c) + 1)]
    ends = [edges[:-1], [edge - 1 for edge in edges[1:]]]
    first, last = (rank(oracle.permutations(np.array(keys, np.uint64), c)) for keys in ends)
    np.testing.assert_array_equal(first, last)
    assert sorted(first) == list(range(factorial(c)))


def test_exchanges_are_alike_to_the_last_bits_of_their_words() -> None:
    """Total variation of the whole permutation from uniform, if the words of four exchanges each are uniform."""
    for c in range(2, 65):
        choices, distance = range(c, 1, -1), Fraction(0)
        for first in range(0, c - 1, 4):
            outcomes = prod(choices[first : first + 4])
            # So many outcomes come of one word more than the others.
            more = 2**64 % outcomes
            distance += Fraction(more * (outcomes - more), outcomes * 2**64)
        assert distance < Fraction(1, 2**40)


def image_of_each_point(images: Integers) -> float:
    """p-value of the counts of (point, image). Their rows and columns have fixed sums: (c − 1)² degrees."""
    count, c = images.shape
    counts = np.bincount((images + np.arange(c) * c).ravel(), minlength=c * c)
    return two_sided(float(((counts - count / c) ** 2).sum() * (c - 1) / count), (c - 1) ** 2)


@pytest.mark.parametrize("c", [5, 8, 63, 64, 65, 67, 81, 100])
def test_images_of_points_are_uniform(c: int) -> None:
    assert image_of_each_point(sample(c)) > ALPHA


@pytest.mark.parametrize("c", [5, 8, 63, 64, 65, 67, 81, 100])
def test_images_of_pairs_are_uniform(c: int) -> None:
    """Also of neighbours, and of points that a Feistel network puts in one row or one column of its grid."""
    b = isqrt(c - 1) + 1
    pairs = [(0, 1), (0, b), (1, c - 1), (c // 2, c // 2 + 1), (c - 2, c - 1), (b - 1, c - 1)]
    images = sample(c)
    for x, y in pairs:
        first, second = images[:, x], images[:, y]
        # The second image among the c − 1 that are left.
        assert uniform(first * (c - 1) + second - (second > first), c * (c - 1)) > ALPHA / len(pairs)


@pytest.mark.parametrize(("c", "count"), [(65, 20_000), (100, 20_000), (1000, 4_000)])
def test_neighbours_are_parted(c: int, count: int) -> None:
    """Points one step apart in the grid of the Feistel network, a rows of b, and their images one step apart too.

    Two points of one row stay so when each even round moves both alike, a chance of 1 / a in each of four; two points
    of one column likewise. So c / a⁴ (c / b⁴) of the fair count is added, about 1 / c, and no more.
    """
    images, b = sample(c, count), isqrt(c - 1) + 1
    a = -(-c // b)
    row, column = np.divmod(images, b)
    left = np.flatnonzero(np.arange(c) % b < b - 1)
    left, above = left[left < c - 1], np.arange(c - b)
    beside = (row[:, left] == row[:, left + 1]) & ((column[:, left + 1] - column[:, left]) % b == 1)
    below = (column[:, above] == column[:, above + b]) & ((row[:, above + b] - row[:, above]) % a == 1)
    # The fair reference: as many of all ordered pairs of places are such a step.
    rows, columns = np.divmod(np.arange(c), b)
    steps_beside = (rows[:, None] == rows) & ((columns - columns[:, None]) % b == 1)
    steps_below = (columns[:, None] == columns) & ((rows - rows[:, None]) % a == 1)
    for still, steps, side in ((beside, steps_beside, a), (below, steps_below, b)):
        fair = still.size * steps.sum() / (c * (c - 1))
        noise = SIGMAS / np.sqrt(fair)
        assert -noise < still.sum() / fair - 1 < c / side**4 + noise


def fixed_points(images: Integers) -> Integers:
    return np.asarray((images == np.arange(images.shape[1])).sum(axis=1))


def transpositions(images: Integers) -> Integers:
    """Number of pairs that change places."""
    twice = np.take_along_axis(images, images, axis=1) == np.arange(images.shape[1])
    return np.asarray((twice.sum(axis=1) - fixed_points(images)) // 2)


def chance_of_cycles(c: int, length: int, count: int) -> float:
    """P(a uniform permutation of c points has `count` cycles of this length), by inclusion and exclusion."""
    rest = c // length - count
    alternating = sum(Fraction((-1) ** k, factorial(k) * length**k) for k in range(rest + 1))
    return float(alternating / (factorial(count) * length**count))


@pytest.mark.parametrize("c", [5, 8, 63, 64, 65, 67, 81, 100])
@pytest.mark.parametrize(("cycles", "length"), [(fixed_points, 1), (transpositions, 2)])
def test_short_cycles_are_as_frequent_as_by_chance(c: int, cycles: Callable[[Integers], Integers], length: int) -> None:
    seen = np.bincount(np.minimum(cycles(sample(c)), 4), minlength=5)
    chances = [chance_of_cycles(c, length, count) for count in range(4)]
    chances.append(1 - sum(chances))
    # c − 1 fixed points are impossible, and so are 3 transpositions of 5 points.
    possible = np.array(chances) > 1e-9
    assert not seen[~possible].any()
    assert chi_square(seen[possible], seen.sum() * np.array(chances)[possible]) > ALPHA


@pytest.mark.parametrize("c", [5, 65])
def test_keys_that_follow_each_other_permute_unrelatedly(c: int) -> None:
    for purposes in ((ROW, ROW), (COLUMN, COLUMN), (ROW, COLUMN), (USER, ITEM)):
        serial = np.arange(5_000)
        step = 1 if purposes[0] == purposes[1] else 0
        one = oracle.permutations(under(root(0), purposes[0], serial), c)
        two = oracle.permutations(under(root(0), purposes[1], serial + step), c)
        assert agreement(one, two) < SIGMAS


def agreement(one: Integers, two: Integers) -> float:
    """Points with the same image, over all permutations, against chance: on average 1 of a pair, with variance 1."""
    pairs = one.size // one.shape[-1]
    return float(abs(np.count_nonzero(one == two) - pairs) / np.sqrt(pairs))


# Permutations of the core, read off a base in which each user and each item has a number of interactions of its own.


@dataclass(frozen=True)
class Permuted:
    """What the blocks do to c users and c items: `source` [i, j, row], `column` [i, j, item]."""

    source: Integers
    column: Integers


def read_off(c: int, shape: tuple[int, int], shuffle: str, seed: int = 0, cells: Cells | None = None) -> Permuted:
    """Expand the base in which user u has the items 0 … u, all of it kept."""
    (m, n), degrees = shape, np.arange(1, c + 1)
    base = Base.from_arrays(np.append(0, np.cumsum(degrees)), np.concatenate([np.arange(d) for d in degrees]))
    pairs, _ = core(make_expansion(base, np.ones(shape), shuffle, cells, seed=seed))
    i, row, j, column = *np.divmod(pairs[:, 0], c), *np.divmod(pairs[:, 1], c)
    block = (i * n + j) * c
    lengths = np.bincount(block + row, minlength=m * n * c).reshape(m, n, c)
    heights = np.bincount(block + column, minlength=m * n * c).reshape(m, n, c)
    # Item x has c − x interactions.
    return Permuted(lengths - 1, np.argsort(c - heights, axis=-1))


def neighbours(kinds: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Pairs of blocks side by side, below each other, and on a diagonal; `kinds` is [i, j]."""
    yield kinds[:, 1:], kinds[:, :-1]
    yield kinds[1:], kinds[:-1]
    yield kinds[1:, 1:], kinds[:-1, :-1]
    yield kinds[1:, :-1], kinds[:-1, 1:]


def unrelated(one: Integers, two: Integers, kinds: int, others: int | None = None) -> float:
    """p-value of pairs of values that should be uniform and independent."""
    others = kinds if others is None else others
    return uniform(one * others + two, kinds * others)


@pytest.mark.parametrize("cells", [None, "whole", "whole in another order"])
def test_block_gives_each_block_permutations_of_its_own(cells: str | None) -> None:
    """One cell of everyone has the same distribution, whatever the order inside it."""
    one = None if cells is None else Cells.whole(4, 4) if cells == "whole" else group_cells(4, 4, 4, 4, seed=1)
    permuted = read_off(4, (100, 100), "block" if one is None else "cells", 0, one)
    rows, columns = rank(permuted.source), rank(permuted.column)
    assert uniform(rows, 24) > ALPHA / 11
    assert uniform(columns, 24) > ALPHA / 11
    assert unrelated(rows, columns, 24) > ALPHA / 11
    for kind in (rows, columns):
        for here, there in neighbours(kind):
            assert unrelated(here, there, 24) > ALPHA / 11


def test_block_permutes_many_users_unrelatedly() -> None:
    """The same above 64, where the permutations are made in another way."""
    permuted = read_off(70, (20, 20), "block")
    for images in (permuted.source, permuted.column):
        assert image_of_each_point(images.reshape(-1, 70)) > ALPHA
        assert agreement(images[:, 1:], images[:, :-1]) < SIGMAS
        assert agreement(images[1:], images[:-1]) < SIGMAS
        assert agreement(images[1:, 1:], images[:-1, :-1]) < SIGMAS
    assert agreement(permuted.source, permuted.column) < SIGMAS


def test_none_permutes_nothing() -> None:
    permuted = read_off(10, (3, 4), "none")
    for images in (permuted.source, permuted.column):
        np.testing.assert_array_equal(images, np.broadcast_to(np.arange(10), images.shape))


@pytest.mark.parametrize(
    ("c", "shape"), [(3, (300, 300)), (4, (3_000, 2)), (4, (2, 3_000)), (70, (300, 2)), (70, (2, 300))]
)
def test_aligned_shares_its_permutations(c: int, shape: tuple[int, int]) -> None:
    """Rows by the blocks of a row block, columns by the blocks of a column block; uniform and unrelated otherwise."""
    permuted = read_off(c, shape, "aligned")
    rows, columns = permuted.source[:, 0], permuted.column[0]
    np.testing.assert_array_equal(permuted.source, np.broadcast_to(rows[:, None], permuted.source.shape))
    np.testing.assert_array_equal(permuted.column, np.broadcast_to(columns, permuted.column.shape))
    for images in (rows, columns):
        if len(images) < 300:
            continue
        assert agreement(images[1:], images[:-1]) < SIGMAS
        assert image_of_each_point(images) > ALPHA / 3
        if c < 5:
            kinds = rank(images)
            assert uniform(kinds, factorial(c)) > ALPHA / 3
            assert unrelated(kinds[1:], kinds[:-1], factorial(c)) > ALPHA / 3
    if shape == (300, 300):
        assert agreement(rows, columns) < SIGMAS
        assert unrelated(rank(rows), rank(columns), factorial(c)) > ALPHA


def test_cells_of_one_are_aligned() -> None:
    base = make_base([3, 9, 0, 12, 5, 7] * 15, 40)
    rates = [[0.5, 1.0, 0.1], [0.9, 0.01, 0.3]]
    single = core(make_expansion(base, rates, "cells", Cells.single(90, 40), seed=3))
    aligned = core(make_expansion(base, rates, "aligned", seed=3))
    whole = core(make_expansion(base, rates, "cells", Cells.whole(90, 40), seed=3))
    block = core(make_expansion(base, rates, "block", seed=3))
    for split in (0, 1):
        np.testing.assert_array_equal(single[split], aligned[split])
        np.testing.assert_array_equal(whole[split], block[split])


def test_cells_exchange_inside_cells_only() -> None:
    """Which cell stands where is `aligned`'s permutation; who of the cell, uniform, and new in every block."""
    c, shape = 12, (60, 60)
    cells = Cells(
        np.array([7, 2, 9, 0, 11, 4, 1, 10, 3, 8, 6, 5], np.uint32),
        np.array([0, 3, 7, 12], np.uint32),
        np.array([5, 0, 8, 3, 10, 1, 11, 2, 7, 4, 9, 6], np.uint32),
        np.array([0, 4, 6, 9, 12], np.uint32),
    )
    aligned, permuted = read_off(c, shape, "aligned"), read_off(c, shape, "cells", 0, cells)
    # Slot after the exchange, for each slot before it: [i, j, slot].
    place = np.argsort(cells.user_order)
    of_users = np.take_along_axis(place[permuted.source], np.argsort(aligned.source, axis=-1), axis=-1)
    of_items = np.take_along_axis(np.argsort(aligned.column, axis=-1), permuted.column, axis=-1)[..., cells.item_order]
    kinds = []
    for slots, starts in ((of_users, cells.user_starts), (of_items, cells.item_starts)):
        for first, end in pairwise(starts.astype(int)):
            inside = slots[..., first:end] - first
            np.testing.assert_array_equal(
                np.sort(inside, axis=-1), np.broadcast_to(np.arange(end - first), inside.shape)
            )
            kinds.append((rank(inside), factorial(end - first)))
    comparisons = len(kinds) + 3 * len(kinds) + len(kinds) * (len(kinds) - 1) // 2
    for kind, count in kinds:
        assert uniform(kind, count) > ALPHA / comparisons
        # 120 × 120 kinds are too many for 3,600 blocks: their classes will do.
        few = min(count, 24)
        for here, there in list(neighbours(kind % few))[:3]:
            assert unrelated(here, there, few) > ALPHA / comparisons
    for a, (one, count) in enumerate(kinds):
        for two, others in kinds[:a]:
            assert unrelated(one % min(count, 24), two % min(others, 24), min(count, 24), min(others, 24)) > (
                ALPHA / comparisons
            )


def test_seeds_permute_unrelatedly() -> None:
    for shuffle, shape in (("block", (40, 40)), ("aligned", (2_000, 2)), ("aligned", (2, 2_000))):
        zero, one = read_off(5, shape, shuffle, 0), read_off(5, shape, shuffle, 1)
        pairs = [(zero.source, one.source), (zero.column, one.column)]
        if shuffle == "aligned":
            # The longer side: the other has two permutations in all.
            pairs = [(zero.source[:, 0], one.source[:, 0])] if shape[0] > 2 else [(zero.column[0], one.column[0])]
        for here, there in pairs:
            assert agreement(here, there) < SIGMAS
            assert unrelated(rank(here) % 24, rank(there) % 24, 24) > ALPHA


# Expansions of the core.


@pytest.mark.parametrize("c", [40, 70])
@pytest.mark.parametrize("shuffle", ["aligned", "cells", "block"])
def test_shuffles_keep_the_same_entries(c: int, shuffle: str) -> None:
    """Once its permutations are undone, every shuffle is `none`: the same entries of every row of every block."""
    rates = np.array([[0.5, 0.1, 0.9], [0.01, 0.3, 1.0]])
    base = make_base(np.random.default_rng(c).integers(0, c, c), c)
    cells = group_cells(c, c, 4, 3)
    permuted = read_off(c, (2, 3), shuffle, 8, cells)
    item = np.argsort(permuted.column, axis=-1)
    shuffled = core(make_expansion(base, rates, shuffle, cells, seed=8))
    plain = core(make_expansion(base, rates, "none", seed=8))
    for pairs, expected in zip(shuffled, plain, strict=True):
        i, row, j, column = *np.divmod(pairs[:, 0], c), *np.divmod(pairs[:, 1], c)
        undone = np.column_stack([i * c + permuted.source[i, j, row], j * c + item[i, j, column]])
        np.testing.assert_array_equal(undone[np.lexsort((undone[:, 1], undone[:, 0]))], expected)


@pytest.mark.parametrize("shuffle", [*SHUFFLES, "mixed"])
@pytest.mark.parametrize(("p", "q"), [(50, 60), (150, 130)])
def test_no_pair_twice_and_train_and_test_disjoint(p: int, q: int, shuffle: str) -> None:
    base = make_base(np.random.default_rng(0).integers(1, q // 2, p), q, test_share=0.3)
    train, test = core(make_expansion(base, np.full((4, 5), 0.9), shuffle, group_cells(p, q, 4, 4), seed=2))
    assert min(len(train), len(test)) > 1_000
    pairs = np.concatenate([train, test])
    assert np.all(pairs >= 0)
    assert np.all(pairs < [4 * p, 5 * q])
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def chosen_ranks(base: Base, rates: Floats, shuffle: str, cells: Cells, seed: int) -> tuple[Integers, Integers, Pairs]:
    """Of each user with test interactions: which of them stays, and out of how many; and all and the chosen ones."""
    _, every = core(make_expansion(base, rates, shuffle, cells, seed=seed))
    train, chosen = core(make_expansion(base, rates, shuffle, cells, seed=seed, test_items="one"))
    np.testing.assert_array_equal(train, core(make_expansion(base, rates, shuffle, cells, seed=seed))[0])
    users, first, counts = np.unique(every[:, 0], return_index=True, return_counts=True)
    np.testing.assert_array_equal(chosen[:, 0], users)
    width = rates.shape[1] * base.shape[1]
    codes, wanted = every @ [width, 1], chosen @ [width, 1]
    order = np.argsort(codes)
    found = order[np.searchsorted(codes[order], wanted).clip(max=len(codes) - 1)]
    np.testing.assert_array_equal(codes[found], wanted)
    return found - first, counts, (every, chosen)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_one_test_item_is_any_of_them(shuffle: str) -> None:
    """24 test interactions a user, in 8 column blocks: each rank, and each block, as often as another."""
    p, q, shape = 100, 40, (100, 8)
    base = Base.from_arrays(
        np.arange(p + 1) * 5,
        np.add.outer(np.arange(p) % 7, [0, 6, 13, 20, 33]).ravel(),
        np.tile([True, False, True, True, False], p),
        item_ids=np.arange(q),
    )
    ranks, counts, (_, chosen) = chosen_ranks(base, np.ones(shape), shuffle, group_cells(p, q, 4, 4), 0)
    assert np.all(counts == 24)
    assert len(ranks) == 10_000
    assert uniform(ranks, 24) > ALPHA / 4
    assert uniform(chosen[:, 1] // q, 8) > ALPHA / 4
    # Users beside each other, and the same user of row blocks beside each other.
    halves = ranks.reshape(100, p)
    assert unrelated(halves[:, 1:], halves[:, :-1], 24) > ALPHA / 4
    assert unrelated(halves[1:], halves[:-1], 24) > ALPHA / 4


@pytest.mark.parametrize("shuffle", [*SHUFFLES, "mixed"])
def test_one_test_item_is_fair_among_those_kept(shuffle: str) -> None:
    """With as many as happen to be kept; the fair reference gives each of a user's test interactions the same share."""
    p, q, rates = 300, 80, np.tile([0.9, 0.5, 0.2, 0.05], (30, 1))
    base = make_base(np.random.default_rng(3).integers(1, 20, p), q, test_share=0.3)
    ranks, counts, (every, chosen) = chosen_ranks(base, rates, shuffle, group_cells(p, q, 4, 4), 1)
    share = 1 / counts
    several = counts > 1
    assert np.count_nonzero(several) > 3_000
    first, last = (ranks == 0)[several], (ranks == counts - 1)[several]
    for seen in (first, last):
        spread = np.sqrt((share[several] * (1 - share[several])).sum())
        assert abs(seen.sum() - share[several].sum()) < SIGMAS * spread
    middle = (counts - 1) / 2
    assert abs((ranks - middle).sum()) < SIGMAS * np.sqrt(((counts**2 - 1) / 12).sum())
    # The chance of each user that its one comes from column block j.
    _, users = np.unique(every[:, 0], return_inverse=True)
    for j in range(rates.shape[1]):
        chance = np.bincount(users, every[:, 1] // q == j) / counts
        seen = np.count_nonzero(chosen[:, 1] // q == j)
        assert abs(seen - chance.sum()) < SIGMAS * np.sqrt((chance * (1 - chance)).sum())


def sum_of_binomials(count: int, rates: tuple[float, ...]) -> Floats:
    """Distribution of Σⱼ Binomial(count, rateⱼ): probabilities of 0, 1, 2, …"""
    total = np.ones(1)
    for rate in rates:
        total = np.convolve(total, stats.binom.pmf(np.arange(count + 1), count, rate))
    return total


@pytest.mark.parametrize("split", ["train", "test"])
def test_sums_of_none_are_a_kronecker_product(split: Literal["train", "test"]) -> None:
    """Proposition 1: sums of K ⊗ R are outer products of sums; each sum here against its exact distribution."""
    rates = np.array([[0.5, 0.117, 0.95, 0.01], [0.05, 0.3, 0.7, 0.2], [0.9, 0.4, 0.02, 0.6]])
    base = make_base(np.random.default_rng(5).integers(0, 150, 300), 200, test_share=0.4)
    pairs = core(make_expansion(base, rates, "none", seed=6))[split == "test"]
    degrees = base.user_degrees(split), base.item_degrees(split)
    cached = cache(sum_of_binomials)
    for side, (degree, table) in enumerate(zip(degrees, (rates, rates.T), strict=True)):
        sums = np.bincount(pairs[:, side], minlength=len(table) * len(degree))
        mean, variance = np.kron(table.sum(1), degree), np.kron((table * (1 - table)).sum(1), degree)
        for index, observed in enumerate(sums):
            block, code = divmod(index, len(degree))
            chances = cached(int(degree[code]), tuple(table[block]))
            p_value = 2 * min(chances[: observed + 1].sum(), chances[observed:].sum())
            assert p_value > ALPHA / len(sums)
        scores = (sums - mean)[variance > 0] / np.sqrt(variance[variance > 0])
        assert abs(scores.sum()) < SIGMAS * np.sqrt(len(scores))
        # The squares have variance 2 and a little more: sums of a few draws.
        assert abs((scores**2).mean() - 1) < SIGMAS * np.sqrt(2.5 / len(scores))
