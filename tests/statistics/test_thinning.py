"""The floor: what formulas say of real data repeated and thinned is what many random thinnings come to."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from fractalrs import statistics

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
M, N, RATE = 3, 5, 0.15
THINNINGS = 40


def real(users: int = 120, items: int = 80, seed: int = 0) -> Floats:
    """A matrix of fat tails, with a user and an item that have nothing."""
    rng = np.random.default_rng(seed)
    activity, popularity = rng.pareto(1.5, users) + 0.3, rng.pareto(1.2, items) + 0.2
    matrix = rng.random((users, items)) < np.minimum(0.03 * np.outer(activity, popularity), 0.9)
    matrix[0], matrix[:, 0] = False, False
    return matrix.astype(np.float64)


def thinned(matrix: Floats, seed: int, m: int = M, n: int = N, rate: float = RATE) -> Floats:
    """Repeat m × n times and keep every interaction with one probability."""
    repeated = np.tile(matrix, (m, n))
    return np.asarray(repeated * (np.random.default_rng(seed).random(repeated.shape) < rate))


def degrees_of(matrix: Floats, axis: int) -> Integers:
    return np.asarray(matrix.sum(axis=axis), dtype=np.int64)


def top_tenth(degrees: Any) -> float | None:
    return statistics.top_share(degrees, 0.1)


@pytest.mark.parametrize(
    ("statistic", "tolerance"),
    [(statistics.gini, 0.003), (statistics.active_gini, 0.004), (statistics.coverage, 0.004), (top_tenth, 0.005)],
)
@pytest.mark.parametrize(("axis", "repeats", "copies"), [(1, M, N), (0, N, M)])
def test_degrees_are_those_of_random_thinnings(
    statistic: Callable[[Any], float | None], tolerance: float, axis: int, repeats: int, copies: int
) -> None:
    matrix = real()
    expected = statistics.thinned_degrees(degrees_of(matrix, axis), repeats, copies, RATE)
    drawn = [statistic(degrees_of(thinned(matrix, seed), axis)) for seed in range(THINNINGS)]
    assert statistic(expected) == pytest.approx(np.mean([value for value in drawn if value is not None]), abs=tolerance)
    # That is no empty statement: thinning moves these two by more.
    if statistic in (statistics.gini, statistics.coverage) and axis == 1:
        assert abs(float(statistic(expected) or 0) - float(statistic(degrees_of(matrix, axis)) or 0)) > 2 * tolerance


@pytest.mark.parametrize("distance", [statistics.wasserstein, statistics.kolmogorov_smirnov])
def test_distances_are_those_of_random_thinnings(distance: Callable[[Any, Any], float | None]) -> None:
    before = degrees_of(real(), 1)
    expected = distance(before, statistics.thinned_degrees(before, M, N, RATE))
    drawn = [distance(before, degrees_of(thinned(real(), seed), 1)) for seed in range(THINNINGS)]
    # Sampling noise adds to a distance, never takes from it.
    assert expected == pytest.approx(np.mean([value for value in drawn if value is not None]), abs=0.02)


def test_degrees_are_quantiles_of_the_mixture() -> None:
    degrees, repeats, copies, rate = np.array([0, 0, 3, 40, 3, 500]), 7, 4, 0.3
    found = statistics.thinned_degrees(degrees, repeats, copies, rate)
    levels = (np.arange(42) + 0.5) / 42
    points = np.arange(4 * 500 + 1)
    mixture: Floats = np.mean([stats.binom.cdf(points, copies * degree, rate) for degree in degrees], axis=0)
    assert np.array_equal(found, [int(np.argmax(mixture >= level - 1e-12)) for level in levels])


def test_degrees_of_equal_ids_are_those_of_uniform_data() -> None:
    """One binomial is what uniform random data have."""
    found = statistics.thinned_degrees(np.full(50, 30), 6, 4, 0.2)
    assert np.array_equal(found, statistics.null_degrees(300, 120, 0.2))


def test_degrees_where_all_is_kept_or_nothing() -> None:
    degrees = np.array([5, 0, 2])
    assert statistics.thinned_degrees(degrees, 2, 3, 1.0).tolist() == [0, 0, 6, 6, 15, 15]
    assert statistics.thinned_degrees(degrees, 2, 3, 0.0).tolist() == [0] * 6
    assert statistics.thinned_degrees(np.array([], dtype=np.int64), 2, 3, 0.5).size == 0


def test_degrees_of_many_different_ids() -> None:
    """More outcomes than are held at a time: 400 degrees of thousands of outcomes each."""
    degrees = np.arange(1, 401) * 1_000
    found = statistics.thinned_degrees(degrees, 3, 4, 0.5)
    assert found.sum() == pytest.approx(3 * 4 * 0.5 * degrees.sum(), rel=1e-4)
    assert np.all(np.diff(found) >= 0)
    level = np.mean(stats.binom.cdf(400_000, 4 * degrees, 0.5))
    assert np.mean(found <= 400_000) == pytest.approx(level, abs=1 / 1_200)


def correlation(matrix: Floats) -> float:
    users, items = np.nonzero(matrix)
    return float(np.corrcoef(matrix.sum(axis=1)[users], matrix.sum(axis=0)[items])[0, 1])


@pytest.mark.parametrize(("m", "n", "rate"), [(M, N, RATE), (1, 1, 0.3), (2, 8, 0.05)])
def test_assortativity_is_that_of_random_thinnings(m: int, n: int, rate: float) -> None:
    matrix = real()
    users, items, before = degrees_of(matrix, 1), degrees_of(matrix, 0), correlation(matrix)
    expected = statistics.thinned_assortativity(before, users, items, (m, n), rate)
    drawn = [correlation(thinned(matrix, seed, m, n, rate)) for seed in range(THINNINGS)]
    # Two and a half standard errors of the mean.
    assert expected == pytest.approx(np.mean(drawn), abs=2.5 * np.std(drawn) / np.sqrt(THINNINGS) + 0.002)
    assert abs(expected - before) > 0.005


def test_the_kept_interaction_itself_is_no_noise() -> None:
    """Of users of one to four interactions, which one of is known to be kept."""
    rng = np.random.default_rng(1)
    active = rng.integers(1, 5, 20_000)
    users = np.repeat(np.arange(20_000), active)
    # The more active, the more popular their items.
    items = (rng.random(len(users)) ** (0.5 + active[users] / 2) * 200).astype(np.int64)

    def assortativity(users: Integers, items: Integers) -> tuple[float, Integers, Integers]:
        of_users, of_items = np.bincount(users, minlength=20_000), np.bincount(items, minlength=200)
        return float(np.corrcoef(of_users[users], of_items[items])[0, 1]), of_users, of_items

    before, of_users, of_items = assortativity(users, items)
    kept = [rng.random(len(users)) < 0.3 for _ in range(THINNINGS)]
    drawn = [assortativity(users[each], items[each])[0] for each in kept]
    expected = statistics.thinned_assortativity(before, of_users, of_items, (1, 1), 0.3)
    assert expected == pytest.approx(np.mean(drawn), abs=3 * np.std(drawn) / np.sqrt(THINNINGS))


def test_assortativity_where_all_are_alike() -> None:
    assert statistics.thinned_assortativity(0.0, np.full(4, 2), np.array([4, 4]), (2, 2), 0.5) == 0.0


def test_singular_values_are_those_of_a_random_thinning() -> None:
    """Of three tastes, whose values stand out, and noise."""
    groups = np.equal.outer(np.arange(200) % 3, np.arange(150) % 3) * 0.5 + 0.05
    matrix = (np.random.default_rng(0).random((200, 150)) < groups).astype(np.float64)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    noises = np.square(u).T @ matrix.sum(axis=1), np.square(vt) @ matrix.sum(axis=0)
    degrees = matrix.sum(axis=1), matrix.sum(axis=0)
    found = statistics.thinned_singular_values(s, noises, degrees, (M, N), RATE)[:10]
    drawn = np.mean([np.linalg.svd(thinned(matrix, seed), compute_uv=False)[:10] for seed in range(5)], axis=0)
    assert found[:3] == pytest.approx(drawn[:3], rel=0.01)
    # The rest is noise, of which a finite matrix has less at its edge.
    assert found[3:] == pytest.approx(drawn[3:], rel=0.08)
    product = statistics.kronecker(np.full((M, N), RATE), s, 10)
    assert np.abs(found - drawn).sum() < 0.3 * np.abs(product - drawn).sum()


def test_closed_paths_are_counted_one_by_one() -> None:
    matrix = real(30, 20, seed=4)
    shared = matrix.T @ matrix
    for item in range(20):
        paths = closed = 0
        for user in np.flatnonzero(matrix[:, item]):
            for other in np.flatnonzero(matrix[:, item]):
                for away in np.flatnonzero(matrix[user]):
                    if other != user and away != item:
                        paths += 1
                        closed += int(matrix[other, away])
        assert statistics.closed_paths(shared[item], item) == (closed, paths)


def test_clustering_falls_as_the_density_does() -> None:
    """A closed path needs one interaction more: sums of both, over many thinnings, have the ratio K̄ times real."""

    def total(matrix: Floats) -> Floats:
        shared = matrix.T @ matrix
        counted = np.array([statistics.closed_paths(row, item) for item, row in enumerate(shared)])
        return np.asarray(counted.sum(axis=0))

    matrix, rate = real(), 0.3
    closed, paths = total(matrix)
    drawn = np.sum([total(thinned(matrix, seed, 1, 1, rate)) for seed in range(60)], axis=0)
    assert drawn[0] / drawn[1] == pytest.approx(rate * closed / paths, rel=0.02)


@pytest.mark.parametrize(
    ("counts", "repeats", "kept"),
    [([3, 5, 40], 4, 30), ([1, 2, 3, 0, 500], 6, 700), ([30_000, 50_000, 1], 32, 200_000), ([1, 1, 1, 1], 1, 2)],
)
def test_variation_is_that_of_random_thinnings(counts: list[int], repeats: int, kept: int) -> None:
    """Few of each value and many, one of them without any."""
    rng, events = np.random.default_rng(0), np.array(counts) * repeats
    shares = [rng.multivariate_hypergeometric(events, kept, method="marginals") / kept for _ in range(4_000)]
    drawn = np.abs(np.array(shares) - events / events.sum()).sum(axis=1) / 2
    assert statistics.thinned_variation(np.array(counts), repeats, kept) == pytest.approx(drawn.mean(), rel=0.05)


def test_variation_of_all_and_of_none() -> None:
    counts = np.array([4, 6])
    assert statistics.thinned_variation(counts, 3, 30) == pytest.approx(0, abs=1e-12)
    # More than there are is all there is.
    assert statistics.thinned_variation(counts, 3, 31) == pytest.approx(0, abs=1e-12)
    assert statistics.thinned_variation(counts, 3, 0) is None
    assert statistics.thinned_variation(counts * 0, 3, 5) is None
