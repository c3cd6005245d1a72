"""The statistics of fidelity, as pure functions of sums, singular values and singular vectors.

*Degrees* are the numbers of interactions of all users, or of all items: one-dimensional, in any order, integer or float
(the reduced matrix has sums as well), at least zero. Unless said otherwise, an id without interactions is left out, and
sums are divided by their mean over the ids that are left, so that data sets of different size can be compared. A
statistic that has no meaning for its arguments is None.

Every function sorts at most: O(n log n) time and a few arrays of the size of its argument.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # Its parts are loaded where they are used: `scipy.stats` takes a third of a second.

from fractalrs.validation.findings import Curve, Floats

Numbers = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]

TAIL_SHARE = 0.05
"""Hill's estimator reads this share of the largest sums …"""
TAIL_LEAST = 10
"""… and at least so many of them, …"""
TAIL_DISTINCT = 5
"""… with at least so many different values: fewer say more about the steps between them than about the tail."""

SLOPE_FROM, SLOPE_TO = 0.01, 0.5
"""Part of the ranking that `rank_slope` reads."""

_SLOPE_POINTS = 200

_SAME = 1e-12
"""Values of mean or mean square 1 that differ by less are equal but for rounding."""

_FLAT = 1e-9
"""A ranking whose logarithm falls by less is flat but for rounding."""

_ZERO_RATIO = 1e-12
"""A singular value smaller than this times the largest is zero but for rounding."""

_NULL_POINTS = 1 << 14
_NULL_TAIL = 1e-12
_NULL_SUMS, _NULL_SHARED = 64, 256


# ---------------------------------------------------------------------------------------------- inequality of the sums


def gini(sums: Numbers) -> float | None:
    """Compute the Gini coefficient: 0 where all have the same, nearly 1 where one has all.

    G = Σᵣ (2r − N − 1) x₍ᵣ₎ / (N Σ x) with x₍₁₎ ≤ … ≤ x₍N₎ the sums that are not zero (Gini 1912, in the form over
    order statistics).

    Parameters
    ----------
    sums
        Ties have no influence; one element gives 0.

    Returns
    -------
    float or None
        From 0 to 1 − 1/N; None if there is no interaction.
    """
    x = _ascending(sums)
    if x.size == 0:
        return None
    weights = np.arange(1 - x.size, x.size, 2, dtype=np.float64)
    weights *= x
    return float(weights.sum() / (x.size * x.sum()))


def top_share(sums: Numbers, share: float) -> float | None:
    """Compute which share of all interactions the most active ids have: one point of the Lorenz curve (Lorenz 1905).

    Parameters
    ----------
    sums
        Ties have no influence.
    share
        Of the ids that have an interaction: 0.01 for the top 1 %. Where it is not a whole number of ids, the Lorenz
        curve is interpolated linearly: 2.5 of 250 ids are the largest two and half of the third.

    Returns
    -------
    float or None
        From `share` (all equal) to 1; None if there is no interaction.

    Raises
    ------
    ValueError
        If `share` is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must be from 0 to 1")
    x = _ascending(sums)
    if x.size == 0:
        return None
    return float(_lorenz(x[::-1], np.array([share]))[0] / x.sum())


def coverage(sums: Numbers) -> float | None:
    """Compute the share of ids with at least one interaction; None if there is no id."""
    sums = _checked(sums)
    return float(np.count_nonzero(sums) / sums.size) if sums.size else None


def density(count: int, rows: int, columns: int) -> float | None:
    """Compute the share of all pairs that interact, `count` / (`rows` · `columns`); None if there is no pair."""
    # Python's integers do not overflow.
    pairs = int(rows) * int(columns)
    return int(count) / pairs if pairs else None


# ----------------------------------------------------------------------------- distances between distributions of sums


def kolmogorov_smirnov(a: Numbers, b: Numbers) -> float | None:
    """Compute the largest gap between the distribution functions of a / mean(a) and b / mean(b).

    sup |F_a − F_b| (Kolmogorov 1933, Smirnov 1939), exact for any two sizes. Values within 1e-12 of each other count
    as tied: divided by different means, values that are equal may differ in the last bit, and half of all users may
    have the same sum.

    Parameters
    ----------
    a, b
        Degrees. Their sizes may differ.

    Returns
    -------
    float or None
        From 0 (the same shape) to 1; None if one of them has no interaction.
    """
    return _largest_gap(_relative(a), _relative(b))


def wasserstein(a: Numbers, b: Numbers) -> float | None:
    """Compute the area between the distribution functions of a / mean(a) and b / mean(b).

    ∫ |F_a − F_b| dx, the Wasserstein distance of order 1 (Vaserstein 1969), exact for any two sizes: 0.1 means that
    sums have to move by a tenth of the mean, on average, to turn one distribution into the other.

    Parameters
    ----------
    a, b
        Degrees. Their sizes may differ, ties have no influence.

    Returns
    -------
    float or None
        At least 0; None if one of them has no interaction.
    """
    first, second = _Distribution.of(_relative(a)), _Distribution.of(_relative(b))
    if first is None or second is None:
        return None
    points = np.sort(np.concatenate([first.values, second.values]))
    gaps = np.abs(first.at(points[:-1]) - second.at(points[:-1]))
    return float(np.dot(gaps, np.diff(points)))


# --------------------------------------------------------------------------------------------------- power laws of sums


@dataclass(frozen=True)
class Tail:
    """The exponent of a fat tail: P(X > x) ∝ x^−exponent for large x; the density falls with exponent + 1.

    Attributes
    ----------
    exponent
        The smaller, the fatter.
    low, high
        Interval of 95 %, by asymptotic normality: exponent · (1 ∓ 1.96 / √count).
    count
        Number of values used.
    """

    exponent: float
    low: float
    high: float
    count: int


def hill(sums: Numbers) -> Tail | None:
    """Estimate the tail exponent from the largest 5 % of the sums, at least 10.

    With x₍₁₎ ≥ x₍₂₎ ≥ … the sums and k of them used, exponent = k / Σᵢ₌₁ᵏ log(x₍ᵢ₎ / x₍ₖ₊₁₎) (Hill 1975); its standard
    error is exponent / √k (Hall 1982).

    Parameters
    ----------
    sums
        Of integers, several may tie with x₍ₖ₊₁₎: those inside the k count with log 1 = 0, so that no choice among
        equals is made. That sums are integers biases the exponent by up to about 1 / x₍ₖ₊₁₎ of itself (measured
        on Pareto samples of exponent 1.5: 1 % rounded and 10 % rounded down at 10), which the interval ignores.

    Returns
    -------
    Tail or None
        None with fewer than 11 sums that are not zero, or fewer than 5 different values among the k.
    """
    x = _ascending(sums)
    count = max(TAIL_LEAST, int(TAIL_SHARE * x.size))
    if x.size <= count:
        return None
    tail, threshold = x[-count:], x[-count - 1]
    if np.count_nonzero(np.diff(tail)) + 1 < TAIL_DISTINCT:
        return None
    exponent = count / float(np.log(tail / threshold).sum())
    margin = 1.96 * exponent / math.sqrt(count)
    return Tail(exponent, exponent - margin, exponent + margin, count)


def rank_slope(sums: Numbers) -> float | None:
    """Fit the slope of log(sum) over log(rank) between the first 1 % and the middle of the ranking.

    Least squares over 200 log-spaced positions t from 0.01 to 0.5, of log x₍₁₊⌊tN⌋₎ on log t, with x₍₁₎ ≥ x₍₂₎ ≥ …: the
    "power-law" part of the ranked sums of the method paper (section IV.1, Figure 1). A power law x₍ᵣ₎ ∝ r^−s gives −s;
    s is 1 / the exponent of `hill`, were the law to hold everywhere.

    The first percent is a handful of ids in a small data set (6 of 600), and would weigh as much as all the others on
    a log axis. Beyond the middle the paper sees the decay accelerate, which `end_decay` measures.

    Parameters
    ----------
    sums
        Ties are steps of the ranking, and stay. Positions are shares of the ranking, so that every sum taken twice
        gives the same slope.

    Returns
    -------
    float or None
        At most 0; None with fewer than two sums that are not zero.
    """
    x = _ascending(sums)
    if x.size < 2:
        return None
    positions = np.geomspace(SLOPE_FROM, SLOPE_TO, _SLOPE_POINTS)
    ranked_sums = x[x.size - 1 - (positions * x.size).astype(np.int64)]
    return _slope(np.log(positions), np.log(ranked_sums))


def end_decay(sums: Numbers) -> float | None:
    """Compute how much steeper the ranking falls at its end than in its middle.

    The method paper stresses that the ranked sums of real data decay faster at their end than their power law says
    (section IV.1; Figures 1, 3 and 4). With y₀, y₁, … the mean sums over the bands ((√½)ᵏ⁺¹, (√½)ᵏ] of the ranking,
    k = 0 the last 29 % of the ids, the slope at the end is log(y₁ / y₀) a band, that of the middle (from 9 % to 50 %)
    log(y₆ / y₂) / 4; the statistic is their quotient.

    Parameters
    ----------
    sums
        Means over bands are robust to ties, where a slope through single ranks is 0 or ∞. A rank that two bands share
        counts in part with each, so that every sum taken twice gives the same value.

    Returns
    -------
    float or None
        1 for a power law, above it where the decay accelerates, 0 where half of the ids have the same smallest sum;
        None if all of the middle is equal, or there is no interaction.
    """
    x = _ascending(sums)
    if x.size == 0:
        return None
    edges = 0.5 ** (np.arange(8) / 2)
    means = -np.diff(_lorenz(x[::-1], edges)) / -np.diff(edges * x.size)
    middle = math.log(means[2] / means[6])
    if middle > -_FLAT:
        return None
    return math.log(means[0] / means[1]) / (middle / 4)


# ----------------------------------------------------------------------------------------------------------- the graph


def degree_product(item_sums: Numbers, item_user_degree: Numbers) -> int:
    """Sum the user's degree times the item's degree over all interactions, exactly.

    Σᵢ dᵢ · sᵢ, without a look at any interaction.

    Parameters
    ----------
    item_sums
        dᵢ: number of interactions of each item; whole numbers.
    item_user_degree
        sᵢ: per item, the sum of the degrees of its users; whole numbers, exact as float64 below 2⁵³ ≈ 9e15 (1e6
        users of 1e6 interactions are 1e12).
    """
    # The sum may exceed 64 bits; Python's integers do not overflow.
    return int(np.dot(_whole(item_sums).astype(object), _whole(item_user_degree).astype(object)))


def assortativity(user_sums: Numbers, item_sums: Numbers, product: int) -> float | None:
    """Compute the degree assortativity: do active users choose popular items?

    Pearson correlation over the M interactions between the degree of their user and of their item (Newman 2002, for
    two kinds of nodes): with Σ over interactions, r = (M Σ dᵤdᵢ − Σdᵤ Σdᵢ) / √((M Σdᵤ² − (Σdᵤ)²)(M Σdᵢ² − (Σdᵢ)²)),
    where Σdᵤ over interactions is Σdᵤ² over users, and so on.

    Parameters
    ----------
    user_sums, item_sums
        Degrees, whole numbers.
    product
        Σ dᵤ · dᵢ over all interactions: from `degree_product`.

    Returns
    -------
    float or None
        From −1 to 1; accurate to 1e-15, since everything before the root is computed in integers of any size. None
        where all users, or all items, with interactions have the same degree.

    Raises
    ------
    ValueError
        If users and items do not have the same number of interactions.
    """
    count, user_first, user_second = _moments(user_sums)
    item_count, item_first, item_second = _moments(item_sums)
    if count != item_count:
        raise ValueError(f"users have {count} interactions, but items have {item_count}")
    user_spread = count * user_second - user_first**2
    item_spread = count * item_second - item_first**2
    if user_spread == 0 or item_spread == 0:
        return None
    return float(count * int(product) - user_first * item_first) / (math.sqrt(user_spread) * math.sqrt(item_spread))


# ------------------------------------------------------------------------------------------------------------ spectrum


def log_slope(singular_values: Numbers) -> float | None:
    """Fit the slope of log σₖ over log k by least squares, all k with the same weight.

    The "power-law" of the singular values of the method paper (section IV.1, Figure 1).

    Parameters
    ----------
    singular_values
        In any order; those below 1e-12 of the largest are left out.

    Returns
    -------
    float or None
        None with fewer than two values.
    """
    sigma = _spectrum(singular_values)
    if sigma.size < 2:
        return None
    return _slope(np.log(np.arange(1, sigma.size + 1)), np.log(sigma))


def effective_rank(singular_values: Numbers) -> float | None:
    """Compute over how many directions the interactions spread: exp(−Σ p log p) with p = σ² / Σσ².

    The effective rank of Roy and Vetterli (2007), who take p = σ / Σσ; with squares p is a share of the interactions
    (Σσ² is their number), and the many small singular values that were not computed matter less.

    Parameters
    ----------
    singular_values
        In any order. Only those given count: compare equally many.

    Returns
    -------
    float or None
        From 1 to the number of values; None if there is none above zero.
    """
    sigma = _spectrum(singular_values)
    if sigma.size == 0:
        return None
    shares = (sigma / sigma[0]) ** 2
    shares /= shares.sum()
    return float(np.exp(-np.dot(shares, np.log(shares))))


def ratio_error(real: Numbers, other: Numbers, count: int = 16) -> tuple[float, float] | None:
    """Compare the shapes of two spectra: |(σₖ / σ₁) of `other` / (σₖ / σ₁) of `real` − 1| for k from 2.

    Parameters
    ----------
    real, other
        Singular values in any order; of different scale, as data sets of different size have.
    count
        The last k; or the number of values where one of them has fewer (R̂ has min(m, n)). A k for which σₖ of `real`
        is zero is left out.

    Returns
    -------
    (float, float) or None
        Median and largest error. None if nothing is left to compare.
    """
    expected, found = _descending(real)[:count], _descending(other)[:count]
    length = min(expected.size, found.size)
    if length < 2 or expected[0] == 0 or found[0] == 0:
        return None
    expected, found = expected[1:length] / expected[0], found[1:length] / found[0]
    known = expected > _ZERO_RATIO
    if not known.any():
        return None
    errors = np.abs(found[known] / expected[known] - 1)
    return float(np.median(errors)), float(errors.max())


# ---------------------------------------------------------------------------------------------------- singular vectors


def network_values(vector: Floats) -> Floats:
    """Rank the components of a singular vector: \\|component\\| · √size, in descending order.

    The "network values" of Leskovec et al. (2010), which the method paper wants to keep (section IV.3). Times √size,
    the mean square of a unit vector's components is 1 whatever its size; the sign of a singular vector has no meaning.

    Parameters
    ----------
    vector
        Of unit length. Components of ids without interactions are zero, and stay.
    """
    return _descending(np.abs(vector) * math.sqrt(vector.size))


def network_distance(a: Floats, b: Floats) -> float | None:
    """Compute the largest gap between the distribution functions of two `network_values`, zeros included.

    Not divided by the mean: a unit vector has its scale. Values within 1e-12 of each other count as tied.

    Returns
    -------
    float or None
        From 0 to 1; None if one of them is empty.
    """
    return _largest_gap(a, b)


# ---------------------------------------------------------------------------------------------------------- for figures


def ranked(values: Numbers, points: int = 400) -> Curve:
    """Make the curve of ranked sums: x = rank / n, y = value / mean, zeros left out.

    Parameters
    ----------
    values
        Degrees.
    points
        The curve has at most so many points (at least 2), at log-spaced ranks, always the first and the last.

    Returns
    -------
    Curve
        Empty if there is no interaction.
    """
    x = _relative(values)[::-1]
    return _thinned(x, x.size, points)


def network_curve(values: Floats, points: int = 400) -> Curve:
    """Make the curve of `network_values`: x = rank / size, y = value; zeros count in the size but are not shown.

    Parameters
    ----------
    values
        From `network_values`.
    points
        As in `ranked`.
    """
    return _thinned(values[values > 0], values.size, points)


def ratios(values: Numbers) -> Curve:
    """Make the curve of singular values: x = number from 1, y = ratio to the first.

    Parameters
    ----------
    values
        Singular values in any order; those below 1e-12 of the largest are left out, so all zeros give an empty curve.
    """
    sigma = _spectrum(values)
    return Curve(np.arange(1, sigma.size + 1, dtype=np.float64), sigma / sigma[:1])


# ------------------------------------------------------------------------------------- uniform random data of that size


def null_sums(count: int, trials: int, density: float) -> npt.NDArray[np.int64]:
    """Give the sums to expect of `count` ids if each pair interacts with probability `density`, independently.

    The quantiles of Binomial(trials, density) at the mid-ranks (r − ½) / count. Only the few thousand values that
    occur are computed.

    Parameters
    ----------
    count
        Users, say; then `trials` is the number of items.
    trials, density
        Of the binomial distribution.

    Returns
    -------
    int64, shape (count,)
        In ascending order. Single sums are quantiles rather than means of order statistics, which for the first and
        the last makes a fraction of a standard deviation. Their total is count · trials · density but for a few
        interactions.
    """
    distribution = scipy.stats.binom(trials, density)
    low, high = (int(distribution.ppf(level)) for level in (0.5 / count, 1 - 0.5 / count))
    sums = np.arange(low, high + 1)
    # The quantile at a level is the least sum whose distribution function reaches it.
    reached = np.floor(count * distribution.cdf(sums) + 0.5).astype(np.int64)
    reached[-1] = count
    return np.repeat(sums, np.diff(reached, prepend=0))


def null_singular_values(rows: int, columns: int, density: float, k: int) -> Floats:
    """Give the leading singular values to expect if each pair interacts with probability `density`, independently.

    The matrix is its mean, of rank one with θ = density · √(rows · columns), plus noise of variance
    s² = density (1 − density). The first value is √((θ² + s² rows)(θ² + s² columns)) / θ (Benaych-Georges and
    Nadakuditi 2012). The others follow the law of Marchenko and Pastur (1967), with its edge at s (√rows + √columns):
    they are its quantiles at mid-ranks.

    Parameters
    ----------
    rows, columns, density
        Shape and density of the random matrix.
    k
        Number of values, from 0 to min(rows, columns).

    Returns
    -------
    float64, shape (k,)
        In descending order. Where rows and columns have 20 interactions or more on average, the first is within 1 %
        and the larger half of the others within 3 % (tested on 600 × 400 of density 0.05; measured on five shapes).
        With 7 to 10 on average it was 3 % and 7 %: the fewer, the more the busiest rows and columns stand out, and
        the values after the first are too low.

    Raises
    ------
    ValueError
        If k does not fit the shape.
    """
    small, large = sorted((int(rows), int(columns)))
    if not 0 <= k <= small:
        raise ValueError(f"{k} singular values were asked of a {rows} × {columns} matrix")
    variance = density * (1 - density)
    mean = density * math.sqrt(small * large)
    # A weaker mean is lost in the noise.
    stands_out = mean**2 > variance * math.sqrt(small * large)

    # λ = 1 + γ + 2√γ cos φ turns the law's density into a smooth one, 2 sin² φ / (π λ), on 0 ≤ φ ≤ π.
    gamma = small / large
    phi = np.linspace(0, math.pi, _NULL_POINTS + 1)
    levels = 1 + gamma + 2 * math.sqrt(gamma) * np.cos(phi)
    steps = np.sin(phi[1:-1]) ** 2 / levels[1:-1]
    above = np.concatenate([[0.0], np.cumsum(steps), steps.sum(keepdims=True)])
    above[1:-1] -= steps / 2
    bulk_size = small - stands_out
    shares = (np.arange(min(k, bulk_size)) + 0.5) / max(bulk_size, 1)
    eigenvalues = np.interp(np.interp(shares, above / above[-1], phi), phi, levels)
    bulk = np.sqrt(variance * large * np.maximum(eigenvalues, 0))
    if not stands_out:
        return bulk
    first = math.sqrt((mean**2 + variance * small) * (mean**2 + variance * large)) / mean
    return np.concatenate([[first], bulk])[:k]


@dataclass(frozen=True, eq=False)
class NullPairs:
    """Pairs of rows (or of columns) of uniform random data: how many ones each has, and how many both have.

    Attributes
    ----------
    sums, weights
        (k): numbers of ones from 1, and the probability of each.
    shared
        (s): numbers of ones that two have in the same place.
    chances
        (k, k, s): the probability of each of those, given both sums.
    """

    sums: npt.NDArray[np.int64]
    weights: Floats
    shared: npt.NDArray[np.int64]
    chances: Floats


def null_pairs(trials: int, density: float) -> NullPairs:
    """Give what two rows have and share if each pair interacts with probability `density`, independently.

    The sum of a row is Binomial(trials, density). Given the sums a and b, the places of one row are a uniform choice
    independent of the other's: what both have is hypergeometric, C(a, s) C(trials − a, b − s) / C(trials, b).

    Parameters
    ----------
    trials
        Columns, for rows.
    density
        Above 0.

    Returns
    -------
    NullPairs
        Exact but for tails of 1e-12, and where more than 64 sums or 256 numbers of shared ones occur: of those every
        second, third, … stands for its neighbours.
    """
    marginal = scipy.stats.binom(trials, density)
    sums = _steps(marginal.ppf(_NULL_TAIL), marginal.isf(_NULL_TAIL), _NULL_SUMS)
    weights = marginal.pmf(sums)
    sums, weights = sums[sums > 0], (weights / weights.sum())[sums > 0]
    few, many = (scipy.stats.binom(int(extreme), extreme / trials) for extreme in (sums[0], sums[-1]))
    shared = _steps(few.ppf(_NULL_TAIL), many.isf(_NULL_TAIL), _NULL_SHARED)
    one, other = sums[:, None, None], sums[:, None]
    possible = (shared <= np.minimum(one, other)) & (one + other - shared <= trials)
    there = np.where(possible, shared, 0)
    logarithm = _log_choose(one, there) + _log_choose(trials - one, other - there) - _log_choose(trials, other)
    chances = np.where(possible, np.exp(logarithm), 0.0)
    return NullPairs(sums, weights, shared, chances / chances.sum(axis=2, keepdims=True))


# -------------------------------------------------------------------------------------------------------------- helpers


def _checked(sums: Numbers) -> Numbers:
    if sums.ndim != 1 or (sums.size and not (sums.min() >= 0 and np.isfinite(sums.max()))):
        raise ValueError("sums must be one-dimensional, finite and at least 0")
    return sums


def _ascending(sums: Numbers) -> Floats:
    """Sort the sums that are not zero."""
    sums = _checked(sums)
    return np.sort(sums[sums > 0]).astype(np.float64, copy=False)


def _descending(values: Numbers) -> Floats:
    return np.sort(values.astype(np.float64))[::-1]


def _relative(sums: Numbers) -> Floats:
    """Sort the sums that are not zero and divide them by their mean."""
    x = _ascending(sums)
    return x / x.mean() if x.size else x


def _spectrum(values: Numbers) -> Floats:
    sigma = _descending(values)
    return sigma[sigma > _ZERO_RATIO * sigma[:1]]


def _lorenz(descending: Floats, shares: Floats) -> Floats:
    """Sum the largest values: those up to each share of the ranking, with a part of the one on the edge."""
    totals = np.concatenate([[0.0], np.cumsum(descending)])
    sums: Floats = np.interp(shares * descending.size, np.arange(totals.size), totals)
    return sums


def _steps(low: float, high: float, most: int) -> npt.NDArray[np.int64]:
    """Whole numbers from `low` (from 0) to `high`: all, or each second, third, … so that they are not too many."""
    low, high = max(0, int(low)), int(high)
    return np.arange(low, high + 1, -(-(high - low + 1) // most))


def _log_choose(n: Any, k: Any) -> Floats:
    # Of logarithms of factorials the difference would lose digits.
    return np.asarray(-np.log(n + 1.0) - scipy.special.betaln(n - k + 1.0, k + 1.0))


def _slope(x: Floats, y: Floats) -> float:
    x = x - x.mean()
    return float(np.dot(x, y - y.mean()) / np.dot(x, x))


def _thinned(descending: Floats, size: int, points: int) -> Curve:
    if descending.size == 0:
        return Curve(np.empty(0), np.empty(0))
    ranks = np.unique(np.rint(np.geomspace(1, descending.size, points)).astype(np.int64))
    return Curve(ranks / size, descending[ranks - 1])


@dataclass(frozen=True, eq=False)
class _Distribution:
    """An empirical distribution function: different values, ascending, and the share of all up to each."""

    values: Floats
    shares: Floats

    @classmethod
    def of(cls, sample: Floats) -> "_Distribution | None":
        if sample.size == 0:
            return None
        # Degrees have few different values.
        values, counts = np.unique(sample, return_counts=True)
        return cls(values, np.concatenate([[0.0], np.cumsum(counts) / sample.size]))

    def at(self, points: Floats) -> Floats:
        return self.shares[np.searchsorted(self.values, points, side="right")]


def _largest_gap(a: Floats, b: Floats) -> float | None:
    first, second = _Distribution.of(a), _Distribution.of(b)
    if first is None or second is None:
        return None
    points = np.concatenate([first.values, second.values])
    points = points + _SAME * np.maximum(points, 1)
    return float(np.abs(first.at(points) - second.at(points)).max())


def _whole(numbers: Numbers) -> npt.NDArray[np.int64]:
    whole = numbers.astype(np.int64)
    if not np.array_equal(whole, numbers):
        raise ValueError("numbers of interactions must be whole")
    return whole


def _moments(sums: Numbers) -> tuple[int, int, int]:
    """Sum dᵏ over nodes for k = 1, 2, 3: number, sum and sum of squares of the degree over interactions; exact."""
    # A million interactions cubed times a million users exceeds 64 bits; different values are few.
    values, counts = np.unique(_whole(_checked(sums)), return_counts=True)
    degrees, numbers = values.astype(object), counts.astype(object)
    first, second, third = (int(np.dot(numbers, degrees**power)) for power in (1, 2, 3))
    return first, second, third
