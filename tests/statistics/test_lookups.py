"""Lookups of embedding tables: what caches hit against a cache that is kept by hand, and what batches need."""

from collections import Counter, OrderedDict
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractalrs.statistics import (
    CACHES,
    REUSE_EDGES,
    LookupCounts,
    distinct_per_batch,
    hit_curve,
    hit_rate,
    random_hit_curve,
    reuse_shares,
)

Ids = npt.NDArray[np.int64]


def cache_hits(lookups: Ids, rows: int) -> float:
    """Keep a cache of so many rows, and return the share of lookups that find theirs."""
    cache: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for one in lookups.tolist():
        if one in cache:
            hits += 1
            cache.move_to_end(one)
        elif rows:
            cache[one] = None
            if len(cache) > rows:
                cache.popitem(last=False)
    return hits / len(lookups)


def tailed(rows: int, lookups: int, seed: int = 0) -> Ids:
    """Draw lookups of a table whose popularity has a fat tail."""
    weights = np.arange(1.0, rows + 1) ** -0.9
    return np.random.default_rng(seed).choice(rows, lookups, p=weights / weights.sum()).astype(np.int64)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=300), st.integers(31, 400))
def test_hit_rates_are_those_of_a_cache(ids: list[int], rows: int) -> None:
    lookups = np.array(ids)
    curve = hit_curve(lookups, rows)
    for size in CACHES:
        assert hit_rate(curve, size) == pytest.approx(cache_hits(lookups, int(size * rows + 1e-9)), abs=1e-12)


def test_a_sample_of_ids_hits_within_one_per_cent() -> None:
    rows = 20_000
    counts = LookupCounts.of_degrees(np.bincount(tailed(rows, 400_000), minlength=rows))
    whole = random_hit_curve(counts)
    some = counts.sampled(60_000)
    assert some.rate < 0.2
    assert len(some.ids) < 0.2 * len(counts.ids)
    sampled = random_hit_curve(counts, most=60_000)
    for size in CACHES[1:]:
        exact = cache_hits(counts.shuffled().astype(np.int64), int(size * rows))
        assert hit_rate(whole, size) == pytest.approx(exact, abs=1e-12)
        assert abs(hit_rate(sampled, size) - exact) < 0.01, size


def test_a_sample_has_its_share_of_lookups() -> None:
    counts = LookupCounts.of_degrees(np.bincount(tailed(50_000, 1_000_000), minlength=50_000))
    some, others = counts.sampled(50_000), counts.sampled(50_000, seed=1)
    assert some.counts.sum() / some.rate == pytest.approx(counts.lookups, rel=0.06)
    assert set(some.ids) != set(others.ids)
    np.testing.assert_array_equal(np.flatnonzero(some.has(np.arange(50_000))), some.ids)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=120), st.integers(1, 40))
def test_rows_of_batches(ids: list[int], size: int) -> None:
    lookups = np.array(ids)
    batches = [ids[start : start + size] for start in range(0, len(ids) - size + 1, size)]
    expected = {size: np.mean([len(set(batch)) for batch in batches])} if batches else {}
    assert distinct_per_batch(lookups, [size]) == pytest.approx(expected)
    times = [count for batch in batches or [ids] for count in Counter(batch).values()]
    of_ids, of_lookups = reuse_shares(lookups, size)
    edges = [0, *REUSE_EDGES, np.inf]
    for place, (low, high) in enumerate(pairwise(edges)):
        inside = [count for count in times if low < count <= high]
        assert of_ids[place] == pytest.approx(len(inside) / len(times))
        assert of_lookups[place] == pytest.approx(sum(inside) / sum(times))


def test_batches_of_sampled_ids_need_no_more_rows_than_they_have_lookups() -> None:
    once = np.arange(6_600)
    assert distinct_per_batch(once, [1_000], 0.0656) == pytest.approx({1_000: 1_000})
    # Of 512 lookups 34 are of sampled ids: too few to tell.
    assert list(distinct_per_batch(once, [512, 1_000], 0.0656)) == [1_000]


def test_batches_of_sampled_ids_are_near_those_of_all() -> None:
    lookups = tailed(20_000, 400_000)
    exact = distinct_per_batch(lookups, [8_192])[8_192]
    some = LookupCounts.of_degrees(np.bincount(lookups, minlength=20_000)).sampled(40_000)
    found = distinct_per_batch(lookups[some.has(lookups)], [8_192], some.rate)[8_192]
    assert found == pytest.approx(exact, rel=0.05)


def test_the_hottest_rows_and_the_busiest_shard() -> None:
    counts = LookupCounts.of_degrees(np.array([6, 2, 1, 1, 0, 0, 0, 0, 0, 0]))
    assert counts.top_share(0.1) == 0.6
    assert counts.top_share(0.2) == 0.8
    assert counts.shards(5) == (2, 4.0)
    assert counts.shards(3) == (4, 3.0)
    assert LookupCounts.of_degrees(np.zeros(7, int)).top_share(0.5) == 0


def test_uniform_lookups_hit_what_the_cache_holds() -> None:
    counts = LookupCounts.uniform(5_000, 400_000)
    curve = random_hit_curve(counts)
    assert hit_rate(curve, 0.1) == pytest.approx(0.1, abs=0.005)
    assert hit_rate(curve, 0.5) == pytest.approx(0.5, abs=0.01)
