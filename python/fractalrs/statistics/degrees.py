"""Degrees: how unequal users and items are, how far apart two distributions of degrees, and their power laws."""

import math
from dataclasses import dataclass

import numpy as np

from fractalrs.statistics.arrays import (
    Curve,
    Floats,
    Numbers,
    ascending,
    checked,
    largest_gap,
    lorenz,
    rank_curve,
    relative,
    shares_up_to,
    slope,
)

_TAIL_SHARE, _TAIL_LEAST = 0.05, 10
"""Hill's estimator reads this share of the largest degrees, and at least so many of them, …"""
_TAIL_DISTINCT = 5
"""… with at least so many different values: fewer say more about the steps between them than about the tail."""
_SLOPE_POSITIONS = np.geomspace(0.01, 0.5, 200)
"""Part of the ranking that `rank_slope` reads."""
_FLAT = 1e-9
"""A ranking whose logarithm falls by less is flat but for rounding."""


def gini(degrees: Numbers) -> float | None:
    """Compute the Gini coefficient: 0 where all have the same, nearly 1 where one has all.

    G = Σᵣ (2r − N − 1) x₍ᵣ₎ / (N Σ x) with x₍₁₎ ≤ … ≤ x₍N₎ the degrees of all ids, those without interactions
    included (Gini 1912, in the form over order statistics). Ties have no influence. From 0 (also of one element) to
    1 − 1/N; None without interactions.

    Examples
    --------
    >>> gini(np.array([1, 1, 1])), gini(np.array([1, 3])), gini(np.array([0, 1, 3]))
    (0.0, 0.25, 0.5)
    """
    return _gini(np.sort(checked(degrees)).astype(np.float64))


def active_gini(degrees: Numbers) -> float | None:
    """Compute the Gini coefficient of the ids that have an interaction, as `gini` does that of all.

    Examples
    --------
    >>> active_gini(np.array([0, 1, 3]))
    0.25
    """
    return _gini(ascending(degrees))


def _gini(x: Floats) -> float | None:
    if not (total := x.sum()):
        return None
    return float((np.arange(1 - x.size, x.size, 2) * x).sum() / (x.size * total))


def top_share(degrees: Numbers, share: float) -> float | None:
    """Compute which share of all interactions the most active ids have: one point of the Lorenz curve (Lorenz 1905).

    `share` is one of the ids that have an interaction: 0.01 for the top 1 %. Where it is not a whole number of ids, the
    Lorenz curve is interpolated linearly: 2.5 of 250 ids are the largest two and half of the third. The result is from
    `share` (all equal) to 1; None without interactions.

    Raises
    ------
    ValueError
        If `share` is not from 0 to 1.

    Examples
    --------
    >>> top_share(np.array([6, 2, 1, 1]), 0.25)
    0.6
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must be from 0 to 1")
    x = ascending(degrees)
    if x.size == 0:
        return None
    return float(lorenz(x[::-1], np.array([share]))[0] / x.sum())


def coverage(degrees: Numbers) -> float | None:
    """Compute the share of ids with at least one interaction; None if there is no id.

    Examples
    --------
    >>> coverage(np.array([3, 0, 1, 0]))
    0.5
    """
    degrees = checked(degrees)
    return float(np.count_nonzero(degrees) / degrees.size) if degrees.size else None


def kolmogorov_smirnov(a: Numbers, b: Numbers) -> float | None:
    """Compute the largest gap between the distribution functions of a / mean(a) and b / mean(b).

    sup |F_a − F_b| (Kolmogorov 1933, Smirnov 1939), exact for any two sizes. Values within 1e-12 of each other count
    as tied: divided by different means, values that are equal may differ in the last bit, and half of all users may
    have the same sum. From 0 (the same shape) to 1; None if one of them has no interaction.

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([1, 2, 3]), np.array([10, 20, 30]))
    0.0
    """
    return largest_gap(relative(a), relative(b))


def wasserstein(a: Numbers, b: Numbers) -> float | None:
    """Compute the area between the distribution functions of a / mean(a) and b / mean(b).

    ∫ |F_a − F_b| dx, the Wasserstein distance of order 1 (Vaserstein 1969), exact for any two sizes: 0.1 means that
    degrees have to move by a tenth of the mean, on average, to turn one distribution into the other. Ids without
    interactions count. Ties have no influence. None if one of them has no interaction.

    Examples
    --------
    >>> round(wasserstein(np.array([1, 3]), np.array([2, 2])), 3)
    0.5
    """
    x, y = checked(a).astype(np.float64), checked(b).astype(np.float64)
    if not x.any() or not y.any():
        return None
    x, y = x / x.mean(), y / y.mean()
    points = np.sort(np.concatenate([np.unique(x), np.unique(y)]))
    gaps = np.abs(shares_up_to(points[:-1], x) - shares_up_to(points[:-1], y))
    return float(np.dot(gaps, np.diff(points)))


@dataclass(frozen=True)
class Tail:
    """The exponent of a fat tail: P(X > x) ∝ x^−exponent for large x; the density falls with exponent + 1.

    The smaller, the fatter. `low` to `high` is the interval of 95 %, by asymptotic normality: exponent ·
    (1 ∓ 1.96 / √count), `count` the number of values used.
    """

    exponent: float
    low: float
    high: float
    count: int


def hill(degrees: Numbers) -> Tail | None:
    """Estimate the tail exponent from the largest 5 % of the degrees, at least 10.

    With x₍₁₎ ≥ x₍₂₎ ≥ … the degrees and k of them used, exponent = k / Σᵢ₌₁ᵏ log(x₍ᵢ₎ / x₍ₖ₊₁₎) (Hill 1975); its
    standard error is exponent / √k (Hall 1982). Of integers, several may tie with x₍ₖ₊₁₎: those inside the k count with
    log 1 = 0, so that no choice among equals is made. That degrees are integers biases the exponent by up to about
    1 / x₍ₖ₊₁₎ of itself (measured on Pareto samples of exponent 1.5: 1 % rounded and 10 % rounded down at 10), which
    the interval ignores. None with fewer than 11 degrees that are not zero, or fewer than 5 different values among the
    k.

    Examples
    --------
    >>> round(hill(np.arange(1, 1001) ** 2).exponent, 2)
    18.95
    """
    x = ascending(degrees)
    count = max(_TAIL_LEAST, int(_TAIL_SHARE * x.size))
    if x.size <= count:
        return None
    tail, threshold = x[-count:], x[-count - 1]
    if np.count_nonzero(np.diff(tail)) + 1 < _TAIL_DISTINCT:
        return None
    exponent = count / float(np.log(tail / threshold).sum())
    margin = 1.96 * exponent / math.sqrt(count)
    return Tail(exponent, exponent - margin, exponent + margin, count)


def rank_slope(degrees: Numbers) -> float | None:
    """Fit the slope of log(degree) over log(rank) between the first 1 % and the middle of the ranking.

    Least squares over 200 log-spaced positions t from 0.01 to 0.5, of log x₍₁₊⌊tN⌋₎ on log t, with x₍₁₎ ≥ x₍₂₎ ≥ …: the
    "power-law" part of the ranked degrees of the method paper (section IV.1, Figure 1). A power law x₍ᵣ₎ ∝ r^−s gives
    −s; s is 1 / the exponent of `hill`, were the law to hold everywhere.

    The first percent is a handful of ids in a small data set (6 of 600), and would weigh as much as all the others on
    a log axis. Beyond the middle the paper sees the decay accelerate, which `end_decay` measures. Ties are steps of the
    ranking, and stay. Positions are shares of the ranking, so that every sum taken twice gives the same slope. At most
    0; None with fewer than two degrees that are not zero.

    Examples
    --------
    >>> round(rank_slope(1000 / np.arange(1, 1001)), 1)
    -1.0
    """
    x = ascending(degrees)
    if x.size < 2:
        return None
    ranked_degrees = x[x.size - 1 - (_SLOPE_POSITIONS * x.size).astype(np.int64)]
    return slope(np.log(_SLOPE_POSITIONS), np.log(ranked_degrees))


def end_decay(degrees: Numbers) -> float | None:
    """Compute how much steeper the ranking falls at its end than in its middle.

    The method paper stresses that the ranked degrees of real data decay faster at their end than their power law says
    (section IV.1; Figures 1, 3 and 4). With y₀, y₁, … the mean degrees over the bands ((√½)ᵏ⁺¹, (√½)ᵏ] of the ranking,
    k = 0 the last 29 % of the ids, the slope at the end is log(y₁ / y₀) a band, that of the middle (from 9 % to 50 %)
    log(y₆ / y₂) / 4; the statistic is their quotient. Means over bands are robust to ties, where a slope through single
    ranks is 0 or ∞. A rank that two bands share counts in part with each, so that every sum taken twice gives the same
    value. It is 1 for a power law, above it where the decay accelerates, 0 where half of the ids have the same smallest
    sum; None if all of the middle is equal, or there is no interaction.

    Examples
    --------
    >>> round(end_decay(1000 / np.arange(1, 1001)), 1)
    1.0
    """
    x = ascending(degrees)
    if x.size == 0:
        return None
    edges = 0.5 ** (np.arange(8) / 2)
    means = -np.diff(lorenz(x[::-1], edges)) / -np.diff(edges * x.size)
    middle = math.log(means[2] / means[6])
    if middle > -_FLAT:
        return None
    return math.log(means[0] / means[1]) / (middle / 4)


def ranked(values: Numbers, points: int = 400) -> Curve:
    """Return the curve of ranked degrees: x = rank / n, y = degree / mean, zeros left out.

    At most so many points (at least 2), at log-spaced ranks, always the first and the last; none without interactions.

    Examples
    --------
    >>> ranked(np.array([1, 3])).y.tolist()
    [1.5, 0.5]
    """
    x = relative(values)[::-1]
    return rank_curve(x, x.size, points)
