"""Agreement of rankings: against SciPy, against loops, and where there is nothing to agree on."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fractalrs.evaluation import Agreement, Draws, Figure, agreement, tau_b, verdict
from fractalrs.evaluation.agreement import APART, AS_WELL, NOT, figure, pairs_of, values_of

Floats = npt.NDArray[np.float64]


def values_with(means: list[float], users: int = 400, seed: int = 0) -> Floats:
    """Return hits of models over users, with these rates."""
    rng = np.random.default_rng(seed)
    return (rng.random((len(means), users)) < np.array(means)[:, None]).astype(float)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=9))
def test_tau_is_scipys(points: list[tuple[int, int]]) -> None:
    one, other = np.array(points, dtype=float).T
    expected = scipy.stats.kendalltau(one, other).statistic if len(set(one)) > 1 < len(set(other)) else np.nan
    np.testing.assert_allclose(tau_b(one, other), expected, atol=1e-12)
    both = tau_b(np.stack([one, other], axis=1), np.stack([other, other], axis=1))
    np.testing.assert_allclose(both[0], expected, atol=1e-12)


def test_users_are_drawn_the_same_for_all_models() -> None:
    values = values_with([0.2, 0.5], 50)
    values[1] = 1 - values[0]
    draws = Draws.of(values, 0)
    np.testing.assert_allclose(draws.drawn.sum(axis=0), 1)
    # The spread is that of a mean of independent users.
    assert draws.drawn[0].std() == pytest.approx(values[0].std() / np.sqrt(50), rel=0.1)
    assert (draws.drawn == Draws.of(values, 0).drawn).all()
    assert (draws.drawn != Draws.of(values, 1).drawn).any()


def test_a_pair_is_decisive_where_a_paired_test_says_so() -> None:
    values = values_with([0.1, 0.12, 0.3, 0.32], 600)
    found = Draws.of(values, 0).decisive
    for first, second, sure in zip(*pairs_of(4), found, strict=True):
        p = scipy.stats.ttest_rel(values[first], values[second]).pvalue
        assert sure == (p < 0.05), (first, second, p)
    assert found.tolist() == [False, True, True, True, True, False]


def test_users_of_the_real_data_vary_in_the_interval_of_tau_alone() -> None:
    means = np.array([0.1, 0.2, 0.3])
    sure = Draws(means, np.repeat(means[:, None], 999, axis=1))
    # Each of two pairs is turned in 2 % of the draws, so both are decisive; one of them is turned in 4 %.
    drawn = sure.drawn.copy()
    drawn[0, :20] = 0.25
    drawn[2, 20:40] = 0.15
    less = Draws(means, drawn)
    assert less.decisive.all()
    of_real, of_other = agreement([(less, sure)], 0), agreement([(sure, less)], 0)
    assert of_real.kept.interval == (1.0, 1.0)
    for found, low in ((of_real.tau, 1 / 3), (of_other.tau, 1 / 3), (of_other.kept, 2 / 3)):
        assert found.interval is not None
        np.testing.assert_allclose(found.interval, (low, 1.0))


def test_the_same_ranking_agrees_and_the_reverse_does_not() -> None:
    real = Draws.of(values_with([0.1, 0.3, 0.5, 0.7]), 0)
    same, other = (
        Draws.of(values_with([0.05, 0.2, 0.4, 0.6], seed=1), 1),
        Draws.of(values_with([0.7, 0.5, 0.3, 0.1]), 2),
    )
    found = agreement([(real, same)], 0)
    assert (found.tau.value, found.kept.value, found.apart, found.decisive) == (1.0, 1.0, 0.0, 6.0)
    found = agreement([(real, other)], 0)
    assert (found.tau.value, found.kept.value, found.apart) == (-1.0, 0.0, None)
    both = agreement([(real, same), (real, other)], 0)
    assert both.kept.value == 0.5
    assert both.kept.interval == (0.0, 1.0)


def test_far_pairs_are_kept_where_near_ones_are_not() -> None:
    real = Draws.of(values_with([0.10, 0.13, 0.40, 0.44, 0.80], 5_000), 0)
    # Neighbours change places.
    other = Draws.of(values_with([0.13, 0.10, 0.44, 0.40, 0.80], 5_000, seed=1), 1)
    found = agreement([(real, other)], 0)
    assert found.decisive == 10
    assert found.kept.value == pytest.approx(0.8)
    assert found.apart is not None
    assert 0.25 < found.apart < 0.5
    ceiling, null = (
        agreement([(real, real)], 0),
        agreement([(real, Draws.of(values_with([0.5, 0.4, 0.3, 0.2, 0.1]), 0))], 0),
    )
    assert verdict(found, found, null) == AS_WELL
    assert verdict(found, ceiling, null) == APART.format(f"{found.apart:.0%}")


@pytest.mark.parametrize("seed", range(5))
def test_models_that_know_nothing_agree_on_nothing(seed: int) -> None:
    one, other = (Draws.of(values_with([0.1] * 8, 300, 2 * seed + which), which) for which in (0, 1))
    low, high = agreement([(one, other)], seed).tau.interval or (1.0, 1.0)
    assert low <= 0 <= high


def test_shuffled_labels_agree_on_nothing() -> None:
    means, rng = [0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], np.random.default_rng(4)
    values = values_with(means)
    real, inside = Draws.of(values, 0), 0
    for _ in range(10):
        shuffled = [(real, Draws.of(values[rng.permutation(8)], seed)) for seed in range(12)]
        low, high = agreement(shuffled, 0).tau.interval or (1.0, 1.0)
        inside += low <= 0 <= high
    # Of ten intervals of 95 % two are outside once in a dozen times.
    assert inside >= 8


def test_no_decisive_pair_has_no_share() -> None:
    equal = Draws.of(np.ones((3, 50)), 0)
    found = agreement([(equal, equal)], 0)
    assert found.kept == found.tau == Figure(None, None)
    assert found.apart is None
    assert verdict(found, found, found) == f"{NOT}: the real data decide too few pairs to tell"


def test_verdicts() -> None:
    def found(kept: float, apart: float | None = None) -> Agreement:
        return Agreement(Figure(0.5, (0.4, 0.6)), Figure(kept, (kept, kept)), apart, 12.0)

    null = found(0.5)
    assert verdict(found(0.95, 0.0), found(1.0), null) == AS_WELL
    assert verdict(found(0.8, 0.3), found(0.8), null) == AS_WELL
    assert verdict(found(0.8, 0.3), found(0.9), null) == "for pairs further apart than 30% only"
    assert verdict(found(0.8), found(0.9), null) == NOT
    assert verdict(found(0.8, 0.3), found(0.7), found(0.8)) == f"{NOT}: equal degrees alone keep as many pairs"


def test_a_figure_has_both_kinds_of_chance_in_it() -> None:
    draws = [np.random.default_rng(seed).normal(seed, 0.01, 999) for seed in range(3)]
    picks = np.random.default_rng(9).integers(3, size=(999, 3))
    one = figure([0.0], draws[:1], np.zeros((999, 1), dtype=np.int64))
    three = figure([0.0, 1.0, 2.0], draws, picks)
    assert one.interval is not None
    assert three.interval is not None
    assert one.interval[1] - one.interval[0] == pytest.approx(4 * 0.01, rel=0.2)
    assert three.value == 1.0
    assert three.interval[1] - three.interval[0] > 1
    values = values_of([Draws.of(values_with([0.2, 0.6]), 0)], 0)
    assert [round(each.value or 0, 1) for each in values] == [0.2, 0.6]


def test_means_of_users_drawn_anew_spread_as_those_of_the_library() -> None:
    values = np.random.default_rng(2).random((3, 700)) ** [[1], [4], [16]]
    library = scipy.stats.bootstrap((values,), np.mean, axis=-1, n_resamples=4_000, method="percentile", rng=1)
    draws = Draws.of(values, 0)
    spread = library.bootstrap_distribution.std(axis=1)
    np.testing.assert_allclose(draws.drawn.std(axis=1), spread, rtol=0.1)
    low, high = np.percentile(draws.drawn, (2.5, 97.5), axis=1)
    assert (np.abs(low - library.confidence_interval.low) < 0.3 * spread).all()
    assert (np.abs(high - library.confidence_interval.high) < 0.3 * spread).all()
    assert Draws.of(values[:1], 1).drawn[0, 0] != draws.drawn[0, 0]


def test_what_misleads_is_told_from_what_does_not_tell() -> None:
    real = Draws.of(values_with([0.8, 0.5, 0.2]), 0)
    other_way, like_noise = Draws.of(values_with([0.2, 0.5, 0.8]), 1), Draws.of(values_with([0.5, 0.5, 0.501]), 1)
    assert agreement([(real, real)], 0).reversed == 0
    assert agreement([(real, other_way)], 0).reversed == 1
    assert agreement([(real, like_noise)], 0).reversed == 0
    assert agreement([(real, real), (real, other_way)], 0).reversed == 0.5
    assert agreement([(like_noise, real)], 0).reversed is None
    # Repetitions count alike, whatever number of pairs each decides.
    two = Draws.of(values_with([0.8, 0.5, 0.2])[[0, 0, 2]], 0)
    assert two.decisive.sum() == 2
    found = agreement([(real, real), (two, other_way)], 0)
    assert (found.kept.value, found.reversed) == (0.5, 0.5)
