"""The core gives the interactions that docs/generator.md specifies, bit for bit: it is compared with `oracle`."""

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fractalrs.base import Base
from fractalrs.expansion import Cells, Expansion
from fractalrs.words import SPLITS
from helpers import oracle
from helpers.core import (
    GOLDEN_RATES,
    HALVES,
    Pairs,
    core,
    golden_base,
    group_cells,
    make_base,
    make_expansion,
    pairs_of,
)

Rates = npt.NDArray[np.float64]

ALL_RATES = (0.0, 1e-6, 1e-4, 0.01, 0.117, 0.5, 0.95, 1.0)


def slow(base: Base, rates: npt.ArrayLike, shuffle: str, cells: Cells | None = None, **options: Any) -> Pairs:
    """What the oracle gives for the same."""
    if shuffle not in ("cells", "mixed") or cells is None:
        cells = Cells.whole(*base.shape) if shuffle == "block" else Cells.single(*base.shape)
    train, _, test = oracle.expand(base, np.asarray(rates, float), cells, shuffle=shuffle, **options)
    return oracle.pairs(train), oracle.pairs(test)


def assert_same(base: Base, rates: npt.ArrayLike, shuffle: str, cells: Cells | None = None, **options: Any) -> Pairs:
    expansion = make_expansion(base, rates, shuffle, cells, **options)
    np.testing.assert_array_equal(expansion.keep_rates, rates)
    ours, theirs = core(expansion), slow(base, rates, shuffle, cells, **options)
    for name, mine, right in zip(HALVES, ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, right, err_msg=f"{name}, {shuffle}, {options}")
    return theirs


SHUFFLES = [
    ("none", None),
    ("aligned", None),
    ("block", None),
    ("cells", (1, 1)),
    ("cells", (4, 4)),
    ("cells", (1, 4)),
    ("cells", (4, 1)),
    ("cells", (3, 16)),
    ("cells", (70, 5)),
    ("cells", (1000, 1000)),
    ("mixed", (1, 4)),
    ("mixed", (4, 1)),
    ("mixed", (5, 5)),
    ("mixed", (70, 5)),
    ("mixed", (1000, 3)),
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"block_keep": 0.6},
    {"test_items": "one"},
    {"drop_incomplete": True},
    {"order": "item"},
    {"block_keep": 0.5, "test_items": "one", "drop_incomplete": True, "order": "item"},
    {"id_order": "scrambled"},
    {"id_order": "popularity"},
    {"id_order": "scrambled", "order": "item", "cold_items": 0.1},
    {"id_order": "popularity", "order": "item", "block_keep": 0.5, "test_items": "one"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize(("shuffle", "sizes"), SHUFFLES)
def test_every_shuffle_and_option(shuffle: str, sizes: tuple[int, int] | None, options: dict[str, Any]) -> None:
    degrees = np.random.default_rng(1).integers(0, 25, 150)
    base = make_base(degrees, 97)
    cells = group_cells(150, 97, *sizes) if sizes else None
    rates = [[0.3, 0.0, 1.0, 0.117], [0.01, 0.95, 0.5, 1e-4], [0.2, 1e-6, 0.05, 0.7]]
    train, test = assert_same(base, rates, shuffle, cells, seed=7, **options)
    # Enough is compared, and the options do what they say.
    assert len(train) > 1000
    assert len(test) > 100
    if "drop_incomplete" in options:
        np.testing.assert_array_equal(np.unique(train[:, 0]), np.unique(test[:, 0]))
    if "test_items" in options:
        assert len(np.unique(test[:, 0])) == len(test)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_seeds_of_64_bits(seed: int) -> None:
    base = make_base([5, 0, 9, 12], 70)
    assert_same(base, [[0.5, 0.3]], "cells", group_cells(4, 70, 2, 3), seed=seed, test_items="one", block_keep=0.9)


@pytest.mark.parametrize("rate", ALL_RATES)
@pytest.mark.parametrize("shuffle", ["none", "block"])
def test_long_rows_skip_more_than_a_draw_can_say(shuffle: str, rate: float) -> None:
    """A gap of 256 or more takes several draws: rows of thousands of entries, beside empty and short ones."""
    base = make_base([0, 2500, 1, 0, 700, 257, 256, 255, 2999, 0], 3000)
    rates = np.full((100 if rate < 0.01 else 2, 2), rate)
    train, test = assert_same(base, rates, shuffle, seed=3)
    draws = rates.size * base.count
    assert abs(len(train) + len(test) - draws * rate) <= 5 * np.sqrt(draws * rate * (1 - rate))


@pytest.mark.parametrize(
    "rate", [float(np.nextafter(1e-6, 1)), 2.0**-19, 1 / 3, 0.5 + 2.0**-53, 1 - 2.0**-33, float(np.nextafter(1, 0))]
)
def test_rates_at_the_edges_of_the_table(rate: float) -> None:
    base = make_base([600] * 40, 1000)
    assert_same(base, np.full((2, 2), rate), "aligned", seed=11)


def test_thresholds_to_the_last_bit() -> None:
    """Random numbers hardly ever meet the edge of a threshold, so the rates are chosen to put it on the numbers drawn.

    Two float64 rates next to each other, one with x < T[s] and one without, for the number xₙ of each block's row.
    """
    key, row, width = oracle.root(4), np.array([0]), 9 * 257
    depths, numbers = np.repeat([0, 1, 2, 3, 10, 31, 100, 254, 255], 9), np.tile(np.arange(9), 9)
    edges, places = [], []
    for j, (s, n) in enumerate(zip(depths, numbers, strict=True)):
        x = [oracle.draws(key, 0, j, row, k)[0] for k in range(n + 1)]
        low, high = 1e-6, 1.0
        while np.nextafter(low, high) < high:
            middle = low + (high - low) / 2
            low, high = (middle, high) if x[n] < oracle.thresholds(middle)[s] else (low, middle)
        # The next float64 of 1 − K is 2⁻⁵³ away, and T[s] at most s + 1 times that: up to s = 31 this is one number.
        assert int(oracle.thresholds(low)[s]) - int(oracle.thresholds(high)[s]) <= 1 + s // 32
        edges.append([low, high])
        gaps = oracle.gaps(oracle.thresholds(high), x)
        assert gaps[n] == s
        places.append((gaps[:n] + (gaps[:n] < 256)).sum() + s)
    base = make_base([width], width)
    below, above = (assert_same(base, np.array([rates]), "none", seed=4) for rates in zip(*edges, strict=True))
    kept = np.zeros((2, len(depths) * width), bool)
    for both, of_rates in zip((below, above), kept, strict=True):
        of_rates[np.concatenate(both)[:, 1]] = True
    for j, place in enumerate(places):
        one, two = kept[:, j * width : (j + 1) * width]
        # Alike up to the draw, and then the higher rate alone keeps the entry.
        assert np.flatnonzero(one != two)[0] == place
        assert two[place]


@example(2**64 - 1, 2**64 - 1)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_products_of_128_bits(w: int, c: int) -> None:
    words, counts = np.array([w], np.uint64), np.array([c], np.uint64)
    assert int(oracle.bounded(words, counts)[0]) == int(oracle.bounded(words, c)[0]) == w * c >> 64


@pytest.mark.parametrize("shuffle", ["none", "aligned", "cells", "mixed", "block"])
@pytest.mark.parametrize(
    ("p", "q"), [(1, 1), (1, 200), (200, 1), (2, 2), (63, 65), (64, 64), (65, 63), (65, 65), (66, 1000), (81, 100)]
)
def test_sizes_around_the_two_kinds_of_permutation(p: int, q: int, shuffle: str) -> None:
    degrees = np.random.default_rng(p).integers(0, min(q, 20) + 1, p)
    degrees[0] = max(degrees[0], 1)
    base = make_base(degrees, q, test_share=0.3)
    cells = group_cells(p, q, 3, 5)
    assert_same(base, [[0.5, 1.0], [0.9, 0.2]], shuffle, cells, seed=5, order="item")
    assert_same(base, [[0.5, 1.0], [0.9, 0.2]], shuffle, cells, seed=5, test_items="one", block_keep=0.7)


@pytest.mark.parametrize("shuffle", ["none", "aligned", "cells", "mixed", "block"])
def test_base_without_test_interactions(shuffle: str) -> None:
    base = make_base([5, 1, 20, 3], 80, test_share=0.0)
    for test_items in ("all", "one"):
        train, test = assert_same(base, [[0.5, 0.9]], shuffle, group_cells(4, 80, 2, 4), seed=1, test_items=test_items)
        assert len(train) > 0
        assert len(test) == 0


def test_no_block_exists() -> None:
    base = make_base([5, 1, 20, 3], 80)
    for rates, block_keep in ([[0.0, 0.0]], 1.0), ([[1.0, 1.0]], 1e-12):
        train, test = assert_same(base, rates, "block", seed=1, block_keep=block_keep)
        assert len(train) == len(test) == 0


@dataclass(frozen=True)
class Case:
    base: Base
    cells: Cells
    rates: Rates
    shuffle: str
    options: dict[str, Any]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any base, partition into cells of any sizes, keep rates and options, all small."""
    p, q = draw(st.integers(1, 130)), draw(st.integers(1, 130))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.02, 0.2, 0.9, 1.0]))
    degrees = rng.binomial(q, density, p)
    degrees[rng.integers(p)] = rng.integers(1, q + 1)
    base = make_base(degrees, q, test_share=draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])), seed=p)
    codes = []
    for count in (p, q):
        cuts = np.flatnonzero(rng.random(count - 1) < draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))) + 1
        codes += [rng.permutation(count).astype(np.uint32), np.concatenate([[0], cuts, [count]]).astype(np.uint32)]
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    rates = draw(st.lists(st.sampled_from(ALL_RATES) | st.floats(1e-6, 1.0), min_size=20, max_size=20))
    options = {
        "seed": draw(st.integers(0, 2**64 - 1)),
        "block_keep": draw(st.sampled_from([1.0, 0.75, 0.3])),
        "test_items": draw(st.sampled_from(["all", "one"])),
        # Refused where nothing is held out.
        "drop_incomplete": bool(base.test_count) and draw(st.booleans()),
        "order": draw(st.sampled_from(["block", "item"])),
        "id_order": draw(st.sampled_from(["block", "scrambled", "popularity"])),
    }
    shuffle = draw(st.sampled_from(["none", "aligned", "cells", "mixed", "block"]))
    return Case(base, Cells(*codes), np.resize(rates, shape), shuffle, options)


@settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(cases())
def test_any_base_and_options(case: Case) -> None:
    assert_same(case.base, case.rates, case.shuffle, case.cells, **case.options)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(cases(), st.lists(st.floats(0, 1), max_size=8))
def test_rows_stitched_from_any_cuts_are_the_whole(case: Case, cuts: list[float]) -> None:
    """Also empty ranges, and ranges that begin and end inside a row block."""
    expansion = make_expansion(case.base, case.rates, case.shuffle, case.cells, **case.options)
    users = len(case.rates) * case.base.shape[0]
    edges = [0, *sorted(int(cut * users) for cut in cuts), users]
    for split in SPLITS:
        whole = expansion.table(0, users, split=split)
        pieces = [expansion.table(a, b, split=split) for a, b in itertools.pairwise(edges)]
        assert all(piece.schema == whole.schema for piece in pieces)
        for piece, (a, b) in zip(pieces, itertools.pairwise(edges), strict=True):
            ids = piece["user_id"].to_numpy()
            assert np.all((ids >= a) & (ids < b))
        np.testing.assert_array_equal(pairs_of(pa.concat_tables(pieces)), pairs_of(whole))


# The golden expansion: integer arithmetic and literals, so that no library has a say in it.
GOLDEN_DIGESTS = {  # shuffle: train, test
    "none": (
        "c48d8156b9a53cbea807ba99a71d7f9b65395c5d5c1b99f9d8cce23afdcc3e32",
        "7b9a2da1d17983dd2b15f1ea878619ce84312fa55814a499e5b854cc78a3436c",
    ),
    "aligned": (
        "556a0e9f87c26cbac6afebbe456a9647b23eca3e9cbe130f63ad272c04727b41",
        "498764bf0aa0f75bf7fd9f00f017b5dd409ba92d0dd78a3e41a3586cdea46b2e",
    ),
    "cells": (
        "42ee98cf3034de04f27243ba5355cd4d544f83c1a5274d0c4a8d3f6731d33fbb",
        "050a659003257f447c61b95c1a5d162db6fce0227a9f24e1b1d30419a87d74e9",
    ),
    "mixed": (
        "a081d8a2f74ee06c67ad6b558cb1fb8ec33e5073e1d222b190054b73b1e245f2",
        "735a9e02ed34ebbebf589c7d3b4a5175e84fe2ae680df7a7c68f960017d89806",
    ),
    "block": (
        "0ddbc48a8d1512b52c6faf3443196896ca10db010150be034ffd86e525473bf0",
        "66b7ec2ba1ca8bdfe17db614451ea7a3104a99ae9124124b00c6b0f72391f3fe",
    ),
}


def golden_cells() -> Cells:
    codes = [np.arange(90) * 37 % 90, [*range(0, 90, 4), 90], np.arange(40) * 13 % 40, [*range(0, 40, 3), 40]]
    return Cells(*(np.array(array, np.uint32) for array in codes))


def digest(pairs: oracle.Integers) -> str:
    """SHA-256 of user, item, user, item, … as little-endian int64."""
    return hashlib.sha256(pairs.astype("<i8").tobytes()).hexdigest()


@pytest.mark.parametrize("shuffle", GOLDEN_DIGESTS)
def test_golden_digests(shuffle: str) -> None:
    """They change with the generator, and then its number changes as well."""
    base, cells = golden_base(), golden_cells()
    options: dict[str, Any] = {"seed": 20_240_607, "block_keep": 0.9, "test_items": "one"}
    theirs = slow(base, GOLDEN_RATES, shuffle, cells, **options)
    assert (digest(theirs[0]), digest(theirs[1])) == GOLDEN_DIGESTS[shuffle]
    ours = core(make_expansion(base, GOLDEN_RATES, shuffle, cells, **options))
    assert (digest(ours[0]), digest(ours[1])) == GOLDEN_DIGESTS[shuffle]


def sparse_base(p: int, q: int) -> Base:
    """A few interactions, also of the last user and the last item."""
    users = np.array([0, 1, p // 2, p - 2, p - 1])
    degrees = np.zeros(p, int)
    degrees[users] = 3
    items = np.tile([0, q // 3, q - 1], len(users))
    test = np.tile([False, True, False], len(users))
    return Base.from_arrays(np.append(0, np.cumsum(degrees)), items, test, item_ids=np.arange(q))


@pytest.mark.parametrize("shuffle", ["none", "aligned", "cells", "mixed", "block"])
@pytest.mark.parametrize("q", [2**15 - 1, 2**15, 2**15 + 1, 2**16, 2**16 + 1])
def test_numbers_of_items_around_the_width_of_codes(q: int, shuffle: str) -> None:
    """The last item as a train and as a test interaction: with the bit that says test, codes have 16 or 32 bits."""
    users, last = 6, np.array([False, False, True])
    items, test = np.tile([0, q // 3, q - 1], users), np.concatenate([last & (user % 2 == 0) for user in range(users)])
    base = Base.from_arrays(np.arange(0, 3 * users + 1, 3), items, test, item_ids=np.arange(q))
    train, test = assert_same(base, [[0.9, 1.0]], shuffle, group_cells(users, q, 2, 3), seed=2)
    assert len(train) > 20
    assert len(test) > 3


@pytest.mark.parametrize("shuffle", ["none", "cells", "block"])
def test_item_ids_beyond_32_bits(shuffle: str) -> None:
    q, n = 70_000, 40_000
    base, cells = sparse_base(5, q), group_cells(5, q, 2, 3)
    rates = np.zeros((2, n))
    rates[:, [0, 17, 30_678, 30_679, n - 1]] = 0.8
    options: dict[str, Any] = {"seed": 9, "test_items": "one", "order": "item"}
    train, _ = assert_same(base, rates, shuffle, cells, **options)
    assert train[:, 1].max() > 2**31 + 2**29
    table = make_expansion(base, rates, shuffle, cells, **options).table(0, 10)
    assert table.schema.types == [pa.int32(), pa.int64()]


@pytest.mark.parametrize("shuffle", ["none", "cells", "mixed", "block"])
def test_user_ids_beyond_32_bits(shuffle: str) -> None:
    p, m = 70_000, 40_000
    base, cells = sparse_base(p, 6), group_cells(p, 6, 3, 2)
    rates = np.zeros((m, 2))
    rates[[0, 30_678, m - 1]] = 0.8
    options: dict[str, Any] = {"seed": 9, "test_items": "one"}
    expansion = make_expansion(base, rates, shuffle, cells, **options)
    theirs = slow(base, rates, shuffle, cells, **options)
    for first in (0, 30_678 * p, (m - 1) * p):
        ours = core(expansion, first, first + p)
        for mine, right in zip(ours, theirs, strict=True):
            here = (right[:, 0] >= first) & (right[:, 0] < first + p)
            assert here.any()
            np.testing.assert_array_equal(mine, right[here])
    assert expansion.table(0, 1).schema.types == [pa.int64(), pa.int32()]


def test_many_columns_blocks_mostly_missing() -> None:
    """`block_keep` leaves a few of 20,000 column blocks."""
    base = sparse_base(80, 9)
    assert_same(base, np.full((3, 20_000), 0.5), "cells", group_cells(80, 9, 4, 4), seed=2, block_keep=0.001)


@pytest.mark.parametrize(("m", "kind"), [(2**15, pa.int32()), (2**15 + 1, pa.int64())])
def test_id_type_follows_from_the_id_space(m: int, kind: pa.DataType) -> None:
    """2¹⁶ users × 2¹⁵ row blocks: the last id is the largest int32."""
    base = sparse_base(2**16, 4)
    schema = make_expansion(base, np.full((m, 1), 0.5), "none", seed=0).table(0, 0).schema
    assert schema.names == ["user_id", "item_id"]
    assert schema.types == [kind, pa.int32()]


@example(rate=0.1)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(rate=st.floats(0.02, 0.9))
def test_keep_rates_as_specified(rate: float) -> None:
    """K = min(max_keep, keep_scale · clip(R̂, min_keep, max_keep)), in that order of operations."""
    values = np.array([[0.0, 0.005, rate, 1.0]])
    base = make_base([3] * 8, 8)
    bounds: dict[str, Any] = {"min_keep": 0.01, "max_keep": 0.95, "keep_scale": 1.37}
    expansion = Expansion(base, values, shuffle="none", seed=0, **bounds)
    np.testing.assert_array_equal(expansion.keep_rates, np.minimum(0.95, 1.37 * np.clip(values, 0.01, 0.95)))
