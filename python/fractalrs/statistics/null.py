"""What to expect of uniform random data: each pair interacts with the same probability, independently."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # Its parts are loaded where they are used: `scipy.stats` takes a third of a second.

from fractalrs.statistics.arrays import Floats, Integers

_NULL_POINTS = 1 << 14
_NULL_TAIL = 1e-12
_NULL_DEGREES, _NULL_SHARED = 64, 256


def null_degrees(count: int, trials: int, density: float) -> Integers:
    """Compute the degrees to expect of `count` ids if each pair interacts with probability `density`, independently.

    The quantiles of Binomial(trials, density) at the mid-ranks (r − ½) / count: of users, `trials` is the number of
    items. Only the few thousand values that occur are computed.

    Ascending, int64, shape (count,). Single degrees are quantiles rather than means of order statistics, which for the
    first and the last makes a fraction of a standard deviation. Their total is count · trials · density but for a few
    interactions.

    Examples
    --------
    >>> null_degrees(4, 100, 0.5).tolist()
    [44, 48, 52, 56]
    """
    distribution = scipy.stats.binom(trials, density)
    low, high = (int(distribution.ppf(level)) for level in (0.5 / count, 1 - 0.5 / count))
    degrees = np.arange(low, high + 1)
    # The quantile at a level is the least sum whose distribution function reaches it.
    reached = np.floor(count * distribution.cdf(degrees) + 0.5).astype(np.int64)
    reached[-1] = count
    return np.repeat(degrees, np.diff(reached, prepend=0))


def null_singular_values(rows: int, columns: int, density: float, k: int) -> Floats:
    """Compute the leading singular values to expect if each pair interacts with probability `density`, independently.

    The matrix is its mean, of rank one with θ = density · √(rows · columns), plus noise of variance
    s² = density (1 − density). The first value is √((θ² + s² rows)(θ² + s² columns)) / θ (Benaych-Georges and
    Nadakuditi 2012). The others follow the law of Marchenko and Pastur (1967), with its edge at s (√rows + √columns):
    they are its quantiles at mid-ranks.

    Descending, float64, shape (k,), k from 0 to min(rows, columns). Where rows and columns have 20 interactions or more
    on average, the first is within 1 % and the larger half of the others within 3 % (tested on 600 × 400 of density
    0.05; measured on five shapes). With 7 to 10 on average it was 3 % and 7 %: the fewer, the more the busiest rows and
    columns stand out, and the values after the first are too low.

    Raises
    ------
    ValueError
        If k does not fit the shape.

    Examples
    --------
    >>> null_singular_values(100, 50, 0.1, 2).round(1).tolist()
    [8.0, 5.0]
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
    """Pairs of rows (or of columns) of uniform random data: how many ones each has, and how many both have."""

    degrees: Integers  # (k): numbers of ones from 1 …
    weights: Floats  # … and the probability of each.
    shared: Integers  # (s): numbers of ones that two have in the same place.
    chances: Floats  # (k, k, s): the probability of each of those, given both degrees.


def null_pairs(trials: int, density: float) -> NullPairs:
    """Compute what two rows have and share if each pair interacts with probability `density`, independently.

    The sum of a row is Binomial(trials, density). Given the degrees a and b, the places of one row are a uniform choice
    independent of the other's: what both have is hypergeometric, C(a, s) C(trials − a, b − s) / C(trials, b).

    Exact but for tails of 1e-12, and where more than 64 degrees or 256 numbers of shared ones occur: of those every
    second, third, … stands for its neighbours. The density is above 0; for rows, `trials` is the number of columns.

    Examples
    --------
    >>> int(null_pairs(10, 0.5).degrees.max())
    10
    """
    marginal = scipy.stats.binom(trials, density)
    degrees = _steps(marginal.ppf(_NULL_TAIL), marginal.isf(_NULL_TAIL), _NULL_DEGREES)
    weights = marginal.pmf(degrees)
    degrees, weights = degrees[degrees > 0], (weights / weights.sum())[degrees > 0]
    few, many = (scipy.stats.binom(int(extreme), extreme / trials) for extreme in (degrees[0], degrees[-1]))
    shared = _steps(few.ppf(_NULL_TAIL), many.isf(_NULL_TAIL), _NULL_SHARED)
    a, b = degrees[:, None, None], degrees[:, None]
    possible = (shared <= np.minimum(a, b)) & (a + b - shared <= trials)
    there = np.where(possible, shared, 0)
    logarithm = _log_choose(a, there) + _log_choose(trials - a, b - there) - _log_choose(trials, b)
    chances = np.where(possible, np.exp(logarithm), 0.0)
    return NullPairs(degrees, weights, shared, chances / chances.sum(axis=2, keepdims=True))


def _steps(low: float, high: float, most: int) -> Integers:
    """Whole numbers from `low` (from 0) to `high`: all, or each second, third, … so that they are not too many."""
    low, high = max(0, int(low)), int(high)
    return np.arange(low, high + 1, -(-(high - low + 1) // most))


def _log_choose(n: Any, k: Any) -> Floats:
    # Of logarithms of factorials the difference would lose digits.
    return np.asarray(-np.log(n + 1.0) - scipy.special.betaln(n - k + 1.0, k + 1.0))
