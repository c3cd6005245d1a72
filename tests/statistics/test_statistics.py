from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.integrate
import scipy.sparse as sp
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fractalrs import statistics
from fractalrs.statistics import Curve

Integers = npt.NDArray[np.int64]
Statistic = Callable[[Any], float | None]

NOTHING = np.zeros(0, dtype=np.int64)
ZEROS = np.zeros(7, dtype=np.int64)

some_degrees = st.lists(st.integers(0, 10**6), min_size=1, max_size=60).map(
    lambda values: np.array(values, dtype=np.int64)
)
tied_degrees = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(lambda values: np.array(values, dtype=np.int64))
any_degrees = st.one_of(some_degrees, tied_degrees)
positive_degrees = any_degrees.filter(lambda degrees: bool(degrees.any()))


def long_tail(count: int, seed: int = 0) -> Integers:
    """Integer degrees with a fat tail, many ties and some zeros, in no order."""
    return np.random.default_rng(seed).zipf(1.8, count).clip(max=10**6) - 1


def tail_exponent(degrees: Any) -> float | None:
    tail = statistics.hill(degrees)
    return tail.exponent if tail else None


def top_tenth(degrees: Any) -> float | None:
    return statistics.top_share(degrees, 0.1)


# Statistics of relative degrees, of ids that have interactions.
SHAPES: list[Statistic] = [
    statistics.active_gini,
    top_tenth,
    tail_exponent,
    statistics.rank_slope,
    statistics.end_decay,
]


def close(found: float | None, expected: float | None, tolerance: float = 1e-9) -> bool:
    if found is None or expected is None:
        return found is expected
    return abs(found - expected) <= tolerance * max(1, abs(expected))


@pytest.mark.parametrize("statistic", [*SHAPES, statistics.gini])
@settings(deadline=None)
@given(degrees=any_degrees, factor=st.sampled_from([2, 3, 7, 1000]))
def test_shapes_do_not_depend_on_the_scale(statistic: Statistic, degrees: Integers, factor: int) -> None:
    assert close(statistic(degrees * factor), statistic(degrees))
    assert close(statistic(degrees / factor), statistic(degrees))


@pytest.mark.parametrize("statistic", [*SHAPES, statistics.gini, statistics.coverage])
@settings(deadline=None)
@given(degrees=any_degrees, seed=st.integers(0, 1000))
def test_shapes_do_not_depend_on_the_order(statistic: Statistic, degrees: Integers, seed: int) -> None:
    before = degrees.copy()
    assert statistic(np.random.default_rng(seed).permutation(degrees)) == statistic(degrees)
    np.testing.assert_array_equal(degrees, before)


@pytest.mark.parametrize("statistic", SHAPES)
@settings(deadline=None)
@given(degrees=any_degrees)
def test_shapes_leave_out_ids_without_interactions(statistic: Statistic, degrees: Integers) -> None:
    assert statistic(np.concatenate([ZEROS, degrees])) == statistic(degrees)


@pytest.mark.parametrize("statistic", [statistics.gini, top_tenth, statistics.end_decay])
@settings(deadline=None)
@given(degrees=positive_degrees, copies=st.integers(2, 16))
def test_every_sum_taken_twice_changes_nothing(statistic: Statistic, degrees: Integers, copies: int) -> None:
    assert close(statistic(np.repeat(degrees, copies)), statistic(degrees))


@pytest.mark.parametrize("count", [20, 257, 6040])
def test_every_sum_taken_twice_leaves_the_slope(count: int) -> None:
    degrees = long_tail(count)
    slope = statistics.rank_slope(degrees)
    assert slope is not None
    for copies in (2, 16):
        assert close(statistics.rank_slope(np.repeat(degrees, copies)), slope)


@pytest.mark.parametrize("statistic", [*SHAPES, statistics.gini])
@pytest.mark.parametrize("degrees", [NOTHING, ZEROS, ZEROS.astype(float)], ids=["no id", "zeros", "float zeros"])
def test_shapes_of_nothing_are_none(statistic: Statistic, degrees: Any) -> None:
    assert statistic(degrees) is None


@pytest.mark.parametrize("statistic", [*SHAPES, statistics.gini, statistics.coverage])
@pytest.mark.parametrize(
    "degrees", [np.array([1, -1]), np.array([1.0, np.nan]), np.array([1.0, np.inf]), np.ones((2, 2))]
)
def test_what_cannot_be_sums_is_refused(statistic: Statistic, degrees: Any) -> None:
    with pytest.raises(ValueError, match="degrees must be"):
        statistic(degrees)


# --- Gini and shares


def naive_gini(degrees: Any) -> float:
    """Half of the mean difference of all pairs, relative to the mean."""
    x = degrees.astype(float)
    return float(np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean()))


@settings(deadline=None)
@given(positive_degrees)
def test_gini_is_the_relative_mean_difference(degrees: Integers) -> None:
    gini = statistics.gini(degrees)
    assert gini is not None
    assert close(gini, naive_gini(degrees), 1e-12)
    assert 0 <= gini <= 1 - 1 / len(degrees) + 1e-12
    assert close(statistics.active_gini(degrees), naive_gini(degrees[degrees > 0]), 1e-12)


def test_gini_of_known_sums() -> None:
    assert statistics.gini(np.array([5])) == 0
    assert statistics.gini(np.full(1000, 3)) == 0
    assert statistics.gini(np.array([1, 3])) == pytest.approx(0.25, abs=1e-15)
    assert statistics.gini(np.array([0, 1, 3, 0])) == pytest.approx(0.625, abs=1e-15)
    assert statistics.active_gini(np.array([0, 1, 3, 0])) == pytest.approx(0.25, abs=1e-15)
    assert statistics.gini(np.arange(1, 1001)) == pytest.approx(999 / 3000, abs=1e-14)


def test_gini_does_not_overflow() -> None:
    # 2r · x summed is 4e22.
    degrees = np.array([10**9] * 2_000_000 + [2 * 10**9] * 2_000_000)
    assert statistics.gini(degrees) == pytest.approx(1 / 6, rel=1e-12)


@settings(deadline=None)
@given(positive_degrees, st.floats(0, 1), st.floats(0, 1))
def test_top_share_is_a_concave_rising_curve(degrees: Integers, first: float, second: float) -> None:
    low, high = sorted([first, second])
    below, above, between = (statistics.top_share(degrees, share) for share in (low, high, (low + high) / 2))
    assert below is not None
    assert above is not None
    assert between is not None
    assert low - 1e-12 <= below <= above + 1e-12 <= 1 + 2e-12
    assert between >= (below + above) / 2 - 1e-12


def test_top_share_takes_part_of_an_id() -> None:
    degrees = np.array([1, 0, 4, 3, 2])
    assert statistics.top_share(degrees, 0) == 0
    assert statistics.top_share(degrees, 0.25) == pytest.approx(0.4, abs=1e-15)
    assert statistics.top_share(degrees, 0.375) == pytest.approx(0.55, abs=1e-15)
    assert statistics.top_share(degrees, 1) == 1
    assert statistics.top_share(np.array([9]), 0.01) == pytest.approx(0.01, abs=1e-15)
    large = long_tail(30_000)
    large = large[large > 0]
    expected = np.sort(large)[::-1][: large.size // 10].sum() / large.sum()
    assert close(statistics.top_share(large[: large.size // 10 * 10], 0.1), expected, 1e-3)
    exact = np.sort(large)[::-1][:7].sum() / large.sum()
    assert close(statistics.top_share(large, 7 / large.size), exact, 1e-12)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_from_0_to_1(share: float) -> None:
    with pytest.raises(ValueError, match="share is"):
        statistics.top_share(np.array([1, 2]), share)


def test_coverage_and_density() -> None:
    assert statistics.coverage(np.array([0, 2, 0, 1])) == 0.5
    assert statistics.coverage(ZEROS) == 0
    assert statistics.coverage(NOTHING) is None
    assert statistics.density(3, 4, 5) == 0.15
    assert statistics.density(3, 0, 5) is None
    assert statistics.density(int(np.int32(2**30)), 2**40, 2**40) == 2.0**-50


# --- distances


def exact_pair(a: Integers, b: Integers) -> tuple[Integers, Integers]:
    """Multiply with the other's mean instead of dividing by the own one: integers, so that ties are ties."""
    a, b = a[a > 0], b[b > 0]
    return a * (int(b.sum()) * a.size), b * (int(a.sum()) * b.size)


@settings(deadline=None)
@given(positive_degrees, positive_degrees)
@example(np.array([1, 1, 2, 3]), np.array([49, 49, 98, 147, 49, 49, 98, 147]))
def test_kolmogorov_smirnov_is_the_one_of_scipy(a: Integers, b: Integers) -> None:
    found = statistics.kolmogorov_smirnov(a, b)
    assert found is not None
    # Four times each, which leaves the statistic: the p-value of a few warns.
    first, second = (np.repeat(sample, 4) for sample in exact_pair(a, b))
    expected = scipy.stats.ks_2samp(first, second, method="asymp").statistic
    assert abs(found - expected) <= 1e-12
    assert 0 <= found <= 1


@pytest.mark.parametrize(("first", "second"), [(1000, 1000), (5000, 137), (3, 4000)])
def test_distances_of_large_samples_are_those_of_scipy(first: int, second: int) -> None:
    a, b = long_tail(first, 1) + 1, long_tail(second, 2) + 20
    x, y = a / a.mean(), b / b.mean()
    ks, distance = statistics.kolmogorov_smirnov(a, b), statistics.wasserstein(a, b)
    assert close(ks, scipy.stats.ks_2samp(x, y, method="asymp").statistic, 1e-12)
    assert close(distance, scipy.stats.wasserstein_distance(x, y), 1e-12)


@settings(deadline=None)
@given(positive_degrees, positive_degrees)
def test_wasserstein_is_the_one_of_scipy(a: Integers, b: Integers) -> None:
    found = statistics.wasserstein(a, b)
    assert close(found, scipy.stats.wasserstein_distance(a / a.mean(), b / b.mean()), 1e-12)


@pytest.mark.parametrize("distance", [statistics.kolmogorov_smirnov, statistics.wasserstein])
@settings(deadline=None)
@given(a=positive_degrees, b=positive_degrees, factor=st.sampled_from([3, 7, 49]), copies=st.integers(1, 5))
def test_distances_see_nothing_but_shape(
    distance: Callable[[Any, Any], float | None], a: Integers, b: Integers, factor: int, copies: int
) -> None:
    same = np.repeat(a * factor, copies)
    if distance is statistics.kolmogorov_smirnov:
        same = np.concatenate([ZEROS, same])
    assert close(distance(a, same), 0, 1e-12)
    assert close(distance(same, b), distance(a, b), 1e-12)
    assert close(distance(b, a), distance(a, b), 1e-12)


@settings(deadline=None)
@given(positive_degrees, positive_degrees, positive_degrees)
def test_distances_obey_the_triangle(a: Integers, b: Integers, c: Integers) -> None:
    for distance in (statistics.kolmogorov_smirnov, statistics.wasserstein):
        ab, bc, ac = distance(a, b), distance(b, c), distance(a, c)
        assert ab is not None
        assert bc is not None
        assert ac is not None
        assert ac <= ab + bc + 1e-12


@pytest.mark.parametrize("distance", [statistics.kolmogorov_smirnov, statistics.wasserstein])
def test_distances_from_nothing_are_none(distance: Callable[[Any, Any], float | None]) -> None:
    assert distance(ZEROS, np.array([1])) is None
    assert distance(np.array([1]), NOTHING) is None


# --- power laws


def pareto(exponent: float, count: int, seed: int) -> npt.NDArray[np.float64]:
    """Draw from P(X > x) = x^−exponent, x ≥ 1."""
    return np.random.default_rng(seed).random(count) ** (-1 / exponent)


@pytest.mark.parametrize("exponent", [0.8, 1.5, 3.0])
def test_hill_holds_the_exponent_in_19_of_20_intervals(exponent: float) -> None:
    tails = [statistics.hill(pareto(exponent, 10_000, seed)) for seed in range(300)]
    hits = 0
    for tail in tails:
        assert tail is not None
        assert tail.count == 500
        assert tail.high - tail.low == pytest.approx(2 * 1.96 * tail.exponent / 500**0.5)
        hits += tail.low <= exponent <= tail.high
    # Three standard deviations of a binomial of 300 and 0.95.
    assert 274 <= hits <= 296


def test_hill_is_the_mean_excess_of_logarithms() -> None:
    degrees = long_tail(3000)
    x = np.sort(degrees[degrees > 0])[::-1]
    count = int(0.05 * x.size)
    expected = 1 / np.mean(np.log(x[:count]) - np.log(x[count]))
    tail = statistics.hill(degrees)
    assert tail is not None
    assert tail.count == count
    assert tail.exponent == pytest.approx(expected, rel=1e-12)


def test_hill_of_integers_is_close() -> None:
    degrees = np.floor(pareto(1.5, 200_000, 3)).astype(np.int64) * 100 + 50
    tail = statistics.hill(degrees)
    assert tail is not None
    assert tail.exponent == pytest.approx(1.5, rel=0.15)


def test_hill_needs_values_that_differ() -> None:
    assert statistics.hill(np.arange(1, 11)) is None
    tail = statistics.hill(np.arange(1, 12))
    assert tail is not None
    assert tail.count == 10
    assert tail.exponent == pytest.approx(10 / np.log(np.arange(2, 12)).sum(), rel=1e-12)
    assert statistics.hill(np.repeat([1, 2], 5000)) is None
    assert statistics.hill(np.concatenate([np.ones(1000, dtype=int), [9, 8, 7]])) is None


def power_law(exponent: float, count: int) -> npt.NDArray[np.float64]:
    return np.arange(1, count + 1, dtype=float) ** -exponent


def test_the_slope_of_a_power_law() -> None:
    for exponent in (0.3, 1.0, 2.0):
        assert statistics.rank_slope(power_law(exponent, 200_000)) == pytest.approx(-exponent, rel=2e-3)
    assert statistics.rank_slope(np.full(50, 4)) == pytest.approx(0, abs=1e-15)
    assert statistics.rank_slope(np.array([4])) is None
    assert statistics.rank_slope(np.array([8, 0, 2])) is not None


def test_the_slope_ignores_the_first_percent_and_the_second_half() -> None:
    degrees = power_law(0.7, 1000)
    changed = degrees.copy()
    changed[:10] *= 50
    changed[501:] *= 0.01
    assert statistics.rank_slope(changed) == statistics.rank_slope(degrees)
    changed[20:40] *= 1.01
    assert statistics.rank_slope(changed) != statistics.rank_slope(degrees)


@settings(deadline=None)
@given(positive_degrees)
def test_the_slope_is_never_positive(degrees: Integers) -> None:
    slope = statistics.rank_slope(degrees)
    assert slope is None or slope <= 1e-12


@pytest.mark.parametrize("exponent", [0.3, 0.8, 2.0])
def test_a_power_law_does_not_decay_faster_at_its_end(exponent: float) -> None:
    assert statistics.end_decay(power_law(exponent, 100_000)) == pytest.approx(1, abs=1e-3)


def test_accelerated_decay_is_seen_and_grows() -> None:
    rank = np.arange(1, 20_001) / 20_000
    decays = [statistics.end_decay(rank**-0.5 * np.exp(-strength * rank)) for strength in (0.0, 0.5, 1.0, 3.0)]
    assert all(decay is not None for decay in decays)
    found = np.array(decays, dtype=float)
    assert np.all(np.diff(found) > 0.2)
    # Slower at the end than in the middle: a plateau.
    slower = statistics.end_decay(rank**-0.5 + 1)
    assert slower is not None
    assert 0 < slower < 0.95


def test_ties_at_the_end_do_not_upset_the_decay() -> None:
    smooth = 400 * pareto(1.2, 20_000, 5)
    expected = statistics.end_decay(smooth)
    # More than half of the ids tie at the smallest sum.
    coarse = np.floor(smooth / 400).astype(np.int64)
    assert np.mean(coarse == 1) > 0.5
    assert statistics.end_decay(coarse) == pytest.approx(0, abs=1e-12)
    finer = np.floor(smooth / 100).astype(np.int64)
    assert len(np.unique(np.sort(finer)[:10_000])) < 5
    assert statistics.end_decay(finer) == pytest.approx(expected, rel=0.2)


def test_the_decay_of_equal_sums_has_no_meaning() -> None:
    assert statistics.end_decay(np.full(1000, 7)) is None
    assert statistics.end_decay(np.array([7])) is None
    # The mean of equal numbers differs from them in the last bit.
    assert statistics.end_decay(np.full(100, 0.1)) is None
    assert statistics.end_decay(np.full(100_000, 0.7)) is None
    # A few that are larger, or smaller, leave the middle as flat.
    assert statistics.end_decay(np.array([9] + [7] * 100)) is None


# --- the graph


def bipartite(rows: int, columns: int, seed: int) -> Integers:
    """A 0/1 matrix whose rows and columns differ in degree."""
    rng = np.random.default_rng(seed)
    chance = np.outer(rng.random(rows), rng.random(columns)) + 0.2 * rng.random((rows, columns))
    return (rng.random((rows, columns)) < chance).astype(np.int64)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(2, 30), st.integers(0, 10**6))
def test_assortativity_is_the_correlation_over_interactions(rows: int, columns: int, seed: int) -> None:
    matrix = bipartite(rows, columns, seed)
    users, items = matrix.sum(axis=1), matrix.sum(axis=0)
    row, column = np.nonzero(matrix)
    product = statistics.degree_product(items, matrix.T @ users)
    assert product == int((users[row] * items[column]).sum())
    found = statistics.assortativity(users, items, product)
    # NumPy's correlation of a constant is a warning and NaN.
    if len(np.unique(users[row])) < 2 or len(np.unique(items[column])) < 2:
        assert found is None
        return
    assert found is not None
    assert abs(found - np.corrcoef(users[row], items[column])[0, 1]) <= 1e-9
    assert -1 - 1e-12 <= found <= 1 + 1e-12


def test_assortativity_of_the_extremes() -> None:
    # Two complete bipartite parts: busy with popular.
    matrix = np.zeros((5, 7), dtype=np.int64)
    matrix[:2, :5] = 1
    matrix[2:, 5:] = 1
    users, items = matrix.sum(axis=1), matrix.sum(axis=0)
    product = statistics.degree_product(items, matrix.T @ users)
    assert statistics.assortativity(users, items, product) == pytest.approx(-1, abs=1e-15)
    assert statistics.assortativity(np.array([2, 2]), np.array([3, 1]), 8) is None
    assert statistics.assortativity(ZEROS, ZEROS, 0) is None


def test_assortativity_of_large_degrees_is_exact() -> None:
    # All interactions of a degree of 3·10⁶ meet one of that degree: its cube is 2.7e19, beyond 64 bits.
    large = 3 * 10**6
    users = items = np.array([large, 1, large])
    degrees = np.array([large**2, 1, large**2])
    product = statistics.degree_product(items, degrees)
    assert product == 2 * large**3 + 1
    assert product == statistics.degree_product(items, degrees.astype(np.float64))
    assert statistics.assortativity(users, items, product) == pytest.approx(1, abs=1e-15)


def test_assortativity_refuses_sums_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="users have 3 interactions, but items have 4"):
        statistics.assortativity(np.array([1, 2]), np.array([4]), 3)
    with pytest.raises(ValueError, match="whole"):
        statistics.degree_product(np.array([1.5]), np.array([1]))


# --- spectrum


def test_the_slope_of_a_spectrum() -> None:
    values = 30 * np.arange(1, 65) ** -0.6
    assert statistics.log_slope(values) == pytest.approx(-0.6, rel=1e-12)
    assert statistics.log_slope(values[::-1]) == statistics.log_slope(values)
    uneven = values * np.random.default_rng(0).uniform(0.9, 1.1, 64)
    uneven = np.sort(uneven)[::-1]
    expected = np.polyfit(np.log(np.arange(1, 65)), np.log(uneven), 1)[0]
    assert statistics.log_slope(uneven) == pytest.approx(expected, rel=1e-9)
    assert statistics.log_slope(np.append(uneven, [1e-15, 0])) == statistics.log_slope(uneven)
    assert statistics.log_slope(np.array([1.0])) is None
    assert statistics.log_slope(np.zeros(3)) is None
    assert statistics.log_slope(np.zeros(0)) is None


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=50).map(np.array), st.floats(0.001, 1000))
def test_effective_rank_is_the_exponential_of_the_entropy(values: npt.NDArray[np.float64], factor: float) -> None:
    found = statistics.effective_rank(values)
    assert found is not None
    assert close(found, float(np.exp(scipy.stats.entropy(values**2))))
    assert close(statistics.effective_rank(values * factor), found)
    assert 1 - 1e-12 <= found <= values.size * (1 + 1e-12)


def test_effective_rank_of_known_spectra() -> None:
    assert statistics.effective_rank(np.full(8, 3.0)) == pytest.approx(8, rel=1e-14)
    assert statistics.effective_rank(np.array([5.0, 0.0])) == 1
    assert statistics.effective_rank(np.zeros(3)) is None


def test_ratio_error_compares_shapes() -> None:
    real = np.array([100.0, 50.0, 40.0, 20.0])
    other = np.array([10.0, 5.5, 3.0, 2.0])
    median, largest = statistics.ratio_error(real, other) or (0, 0)
    assert median == pytest.approx(0.1, rel=1e-12)
    assert largest == pytest.approx(0.25, rel=1e-12)
    assert statistics.ratio_error(real, other, count=2) == pytest.approx((0.1, 0.1))
    assert statistics.ratio_error(real, other[:2]) == pytest.approx((0.1, 0.1))
    assert statistics.ratio_error(real[::-1], real * 7) == pytest.approx((0, 0), abs=1e-15)
    assert statistics.ratio_error(np.array([2.0, 1.0, 0.0]), np.array([2.0, 1.0, 1.0])) == (0, 0)
    assert statistics.ratio_error(real, other[:1]) is None
    assert statistics.ratio_error(real, np.zeros(4)) is None
    assert statistics.ratio_error(real, other, count=1) is None


# --- singular vectors


def unit(size: int, seed: int) -> npt.NDArray[np.float64]:
    vector = np.random.default_rng(seed).standard_normal(size)
    return np.asarray(vector / np.linalg.norm(vector))


def test_network_values_have_mean_square_one() -> None:
    vector = unit(500, 0)
    values = statistics.network_values(vector)
    assert np.mean(values**2) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(values, np.sort(np.abs(vector))[::-1] * 500**0.5, rtol=1e-12)
    np.testing.assert_array_equal(statistics.network_values(-vector), values)


def test_network_distance_is_that_of_scipy_and_sees_scale() -> None:
    a, b = statistics.network_values(unit(500, 0)), statistics.network_values(unit(3000, 1) ** 3)
    expected = scipy.stats.ks_2samp(a, b, method="asymp").statistic
    assert close(statistics.network_distance(a, b), expected, 1e-12)
    assert statistics.network_distance(a, 2 * a) == scipy.stats.ks_2samp(a, 2 * a, method="asymp").statistic
    assert statistics.network_distance(a, np.repeat(a, 16)) == pytest.approx(0, abs=1e-12)
    assert statistics.network_distance(a, a[:0]) is None


def test_network_distance_takes_rounding_for_zero() -> None:
    zeros = np.append(unit(50, 0), np.zeros(50))
    nearly = np.append(unit(50, 0), np.full(50, 1e-18))
    assert statistics.network_distance(statistics.network_values(zeros), statistics.network_values(nearly)) == 0


# --- curves


def check_ranks(curve: Curve, size: int, points: int) -> None:
    assert curve.x.size == curve.y.size <= points
    assert curve.x[0] == 1 / size
    assert curve.x[-1] == 1
    assert np.all(np.diff(curve.x) > 0)


@settings(deadline=None)
@given(positive_degrees, st.integers(2, 30))
def test_ranked_keeps_both_ends(degrees: Integers, points: int) -> None:
    curve = statistics.ranked(degrees, points)
    x = np.sort(degrees[degrees > 0])[::-1]
    check_ranks(curve, x.size, points)
    ranks = np.rint(curve.x * x.size).astype(int)
    np.testing.assert_allclose(curve.y, x[ranks - 1] / x.mean(), rtol=1e-12)


def test_ranked_is_thinned_on_a_log_scale() -> None:
    curve = statistics.ranked(long_tail(300_000))
    size = round(1 / curve.x[0])
    check_ranks(curve, size, 400)
    assert curve.x.size > 250
    steps = np.diff(np.log(curve.x))
    assert steps[-100:] == pytest.approx(np.log(size) / 399, rel=1e-2)
    assert statistics.ranked(np.array([3, 0])).y.tolist() == [1]
    assert statistics.ranked(ZEROS).x.size == 0


def test_network_curve_counts_zeros_but_does_not_show_them() -> None:
    values = statistics.network_values(np.array([0.0, 0.6, 0.0, -0.8]))
    curve = statistics.network_curve(values)
    assert curve.x.tolist() == [0.25, 0.5]
    assert curve.y == pytest.approx([1.6, 1.2])
    assert statistics.network_curve(np.sort(unit(5000, 2))[::-1] + 1, 50).x.size <= 50


def test_ratios_start_at_one() -> None:
    curve = statistics.ratios(np.array([2.0, 8.0, 4.0, 0.0]))
    assert curve.x.tolist() == [1, 2, 3]
    assert curve.y.tolist() == [1, 0.5, 0.25]
    assert statistics.ratios(np.zeros(2)).x.size == 0


# --- uniform random data


@pytest.mark.parametrize("count", [1, 2, 999])
@pytest.mark.parametrize("trials", [1, 40, 10_000])
@pytest.mark.parametrize("density", [0.0, 3e-5, 0.031, 0.77, 1.0])
def test_null_sums_are_quantiles_of_the_binomial(count: int, trials: int, density: float) -> None:
    expected = scipy.stats.binom.ppf((np.arange(1, count + 1) - 0.5) / count, trials, density)
    np.testing.assert_array_equal(statistics.null_degrees(count, trials, density), expected)


def test_null_sums_are_those_of_a_random_matrix() -> None:
    rows, columns, density = 600, 400, 0.05
    users, items = np.zeros(rows), np.zeros(columns)
    for seed in range(20):
        matrix = np.random.default_rng(seed).random((rows, columns)) < density
        users += np.sort(matrix.sum(axis=1))
        items += np.sort(matrix.sum(axis=0))
    expected = statistics.null_degrees(rows, columns, density)
    assert np.abs(users / 20 - expected).max() < 3
    assert np.abs(users / 20 - expected)[20:-20].max() < 1
    assert statistics.gini(users) == pytest.approx(statistics.gini(expected), rel=0.03)
    assert statistics.gini(items) == pytest.approx(
        statistics.gini(statistics.null_degrees(columns, rows, density)), rel=0.03
    )
    assert expected.sum() == pytest.approx(rows * columns * density, abs=20)


def test_null_sums_of_millions() -> None:
    degrees = statistics.null_degrees(2_200_000, 855_000, 6.5e-4)
    assert degrees.shape == (2_200_000,)
    assert degrees.mean() == pytest.approx(855_000 * 6.5e-4, rel=1e-6)
    assert degrees.std() == pytest.approx((855_000 * 6.5e-4) ** 0.5, rel=1e-3)


@pytest.mark.parametrize(("rows", "columns"), [(600, 400), (400, 600), (500, 500), (2000, 300)])
def test_null_singular_values_are_those_of_a_random_matrix(rows: int, columns: int) -> None:
    density = 0.05
    random = sp.random_array((rows, columns), density=density, rng=np.random.default_rng(1))
    measured = np.linalg.svd((random.toarray() > 0).astype(np.float64), compute_uv=False)
    expected = statistics.null_singular_values(rows, columns, density, min(rows, columns))
    assert expected[0] == pytest.approx(measured[0], rel=0.01)
    half = min(rows, columns) // 2
    np.testing.assert_allclose(expected[1:half], measured[1:half], rtol=0.03)
    edge = (density * (1 - density)) ** 0.5 * (rows**0.5 + columns**0.5)
    assert 0.97 * edge < expected[1] < edge
    assert np.all(np.diff(expected) <= 0)
    np.testing.assert_array_equal(statistics.null_singular_values(rows, columns, density, 5), expected[:5])


def test_null_singular_values_add_up_to_the_interactions() -> None:
    for rows, columns, density in [(600, 400, 0.05), (300, 300, 0.3), (5000, 200, 0.01)]:
        values = statistics.null_singular_values(rows, columns, density, min(rows, columns))
        assert np.sum(values**2) == pytest.approx(rows * columns * density, rel=5e-3)


@pytest.mark.parametrize(
    ("rows", "columns", "numbers"), [(40, 20, [2, 9, 19]), (2_200_000, 855_000, [2, 64, 2048, 99999])]
)
def test_null_singular_values_are_quantiles_of_marchenko_and_pastur(
    rows: int, columns: int, numbers: list[int]
) -> None:
    density, gamma = 0.3, columns / rows
    low, high = (1 - gamma**0.5) ** 2, (1 + gamma**0.5) ** 2
    values = statistics.null_singular_values(rows, columns, density, numbers[-1])
    for number in numbers:
        level = values[number - 1] ** 2 / (density * (1 - density) * rows)
        above, _ = scipy.integrate.quad(
            lambda x: ((high - x) * (x - low)) ** 0.5 / (2 * np.pi * gamma * x), level, high, epsabs=0, epsrel=1e-9
        )
        assert above == pytest.approx((number - 1.5) / (columns - 1), rel=2e-3)


def test_null_singular_values_of_the_extremes() -> None:
    assert statistics.null_singular_values(6, 4, 0.0, 4).tolist() == [0, 0, 0, 0]
    assert statistics.null_singular_values(6, 4, 1.0, 4) == pytest.approx([24**0.5, 0, 0, 0])
    assert statistics.null_singular_values(6, 4, 0.5, 0).size == 0
    assert statistics.null_singular_values(1, 1, 0.9, 1).shape == (1,)
    # One interaction in ten rows and columns: no value stands out of the noise.
    lost = statistics.null_singular_values(100, 100, 0.001, 100)
    assert lost[0] < 2 * (0.001 * 100) ** 0.5
    with pytest.raises(ValueError, match="5 singular values were asked of a 6 × 4 matrix"):
        statistics.null_singular_values(6, 4, 0.5, 5)
