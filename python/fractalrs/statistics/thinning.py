"""What to expect of the real data, repeated m × n times and thinned at one flat rate: what any expansion loses.

In m × n blocks every real user is there m times, each time with n copies of all its interactions; every interaction is
kept with the same probability K̄, independently. That has the size and the density of an expansion, and none of its
structure: the floor beside which an expansion's distances from real data are judged.
"""

import math

import numpy as np
import scipy  # Its parts are loaded where they are used: `scipy.stats` takes a third of a second.

from fractalrs.statistics.arrays import Floats, Integers, Numbers, checked
from fractalrs.statistics.graph import edge_moments, whole

_SPREADS, _LEAST = 8.0, 10.0
"""Beyond so many standard deviations, and so many interactions more, a binomial degree does not occur."""
_AT_A_TIME = 1 << 20
_NORMAL = 1_000.0
"""A count of a larger variance is as good as normally distributed."""
_CLASSES_TO_E, _HALVINGS, _ROUNDS = 8.0, 40, 60
FEW_OF_NOISE = 32
"""So many singular values of the noise may stand out of it: the most active users' and the most popular items' own."""


def thinned_degrees(degrees: Numbers, repeats: int, copies: int, keep_rate: float) -> Integers:
    """Compute the degrees to expect of ids that are there `repeats` times with `copies` of each interaction, thinned.

    An id of degree d becomes `repeats` ids of degree Binomial(copies · d, keep_rate), ids without interactions too. Of
    the mixture of these, the quantiles at the mid-ranks (r − ½) / N of all N ids, as `null_degrees` takes them of one
    binomial: for users, `repeats` is the user multiplier and `copies` the item multiplier, for items the other way
    round.

    Ascending, int64, shape (repeats · len(degrees),). Statistics of it are those of a random thinning but for
    sampling noise (Gini of 600 ids × 4: 0.003).

    Examples
    --------
    >>> thinned_degrees(np.array([0, 10]), 2, 4, 0.5).tolist()
    [0, 0, 18, 22]
    """
    values, numbers = np.unique(whole(checked(degrees)), return_counts=True)
    trials = values * copies
    mean = trials * keep_rate
    spread = _SPREADS * np.sqrt(mean * (1 - keep_rate)) + _LEAST
    low = np.maximum(np.floor(mean - spread), 0).astype(np.int64)
    high = np.minimum(np.ceil(mean + spread), trials).astype(np.int64)
    mass = np.zeros(int(high.max(initial=0)) + 1)
    ends = np.cumsum(high - low + 1)
    for group in np.split(np.arange(len(values)), np.flatnonzero(np.diff(ends // _AT_A_TIME)) + 1):
        lengths = high[group] - low[group] + 1
        which = np.repeat(group, lengths)
        found = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths - low[group], lengths)
        chances = scipy.stats.binom.pmf(found, trials[which], keep_rate) * numbers[which]
        mass += np.bincount(found, chances, minlength=len(mass))
    count = repeats * len(degrees)
    # The quantile at a level is the least degree whose distribution function reaches it.
    reached = np.floor(count * np.minimum(np.cumsum(mass) / max(mass.sum(), 1.0), 1.0) + 0.5).astype(np.int64)
    reached[-1:] = count
    return np.repeat(np.arange(len(mass)), np.diff(reached, prepend=0))


def thinned_variation(counts: Numbers, repeats: int, kept: int) -> float | None:
    """Compute the expected total variation between a histogram and that of its events, repeated and thinned.

    Of a thinning it is known how many of the `repeats` · N events are `kept`: they are a random choice of these. So the
    number of each value is hypergeometric, and what is expected of ½ Σ |its share − p| is known exactly: its mean
    deviation is 2 ν (1 − (K + k − ν) / M) P(ν), with K events of the value among all M, k of them kept, and ν the
    least number above k K / M (Diaconis and Zabell 1991). Beyond numbers for which that can be computed it is that of a
    normal distribution, √(2 / π) of the standard deviation. None where there are no events, or none is kept.

    Examples
    --------
    >>> thinned_variation(np.array([1, 1]), 1, 1)
    0.5
    >>> thinned_variation(np.array([3, 5]), 4, 32)
    0.0
    """
    each = checked(counts)
    whole_count, kept = repeats * int(each.sum()), min(kept, repeats * int(each.sum()))
    if not kept:
        return None
    of_value = each[each > 0].astype(np.float64) * repeats
    mean = kept * of_value / whole_count
    variance = mean * (1 - of_value / whole_count) * (whole_count - kept) / max(1, whole_count - 1)
    deviation = np.sqrt(2 / np.pi * variance)
    # Of many, factorials are too large for their differences.
    few = variance < _NORMAL
    least = np.floor(mean[few]) + 1
    chance = scipy.stats.hypergeom.pmf(least, whole_count, of_value[few], kept)
    deviation[few] = 2 * least * (1 - (of_value[few] + kept - least) / whole_count) * chance
    return float(deviation.sum() / kept / 2)


def thinned_assortativity(
    real: float, user_degrees: Numbers, item_degrees: Numbers, multipliers: tuple[int, int], keep_rate: float
) -> float:
    """Compute the degree assortativity to expect of the real data, repeated m × n times and thinned.

    The degree of a kept interaction's user is 1 + Binomial(n d − 1, K̄): its mean over interactions rises with d, and
    its noise has nothing to do with the item's. So the real correlation is lowered by
    √(V / (V + N)) for users, V = K̄² n² var(d) and N = K̄ (1 − K̄) (n mean(d) − 1), mean and variance over interactions;
    for items likewise, with m. Both come from sorted degrees.

    Examples
    --------
    >>> users, items = np.array([2, 1, 1]), np.array([3, 1])
    >>> round(thinned_assortativity(-0.5, users, items, (1, 1), 0.5), 3)
    -0.167
    >>> thinned_assortativity(-0.5, users, items, (4, 8), 1.0)
    -0.5
    """
    lowered = real
    for degrees, copies in ((user_degrees, multipliers[1]), (item_degrees, multipliers[0])):
        count, first, second = edge_moments(degrees)
        mean = first / count
        signal = (keep_rate * copies) ** 2 * (count * second - first**2) / count**2
        noise = keep_rate * (1 - keep_rate) * (copies * mean - 1)
        lowered *= math.sqrt(signal / (signal + noise)) if signal else 0.0
    return lowered


def thinned_singular_values(
    real: Floats,
    noises: tuple[Floats, Floats],
    degrees: tuple[Numbers, Numbers],
    multipliers: tuple[int, int],
    keep_rate: float,
) -> Floats:
    """Compute leading singular values to expect of the real data, repeated m × n times and thinned.

    A singular value σ of R becomes the largest root x = σ′² of (x − S g)(x − T h) = x θ², with θ = K̄ √(m n) σ,
    S = K̄ (1 − K̄) n uᵀ diag(r) u and T = K̄ (1 − K̄) m vᵀ diag(c) v what thinning adds along its vectors, and g and h how
    much larger noise makes noise: the resolvents, met by an interaction, of a matrix of independent entries with R's
    degrees (`docs/theory.md`). Where the equation has no root, thinned data have nothing but noise: its edge.

    Parameters
    ----------
    real, noises
        Leading singular values of R, and uᵀ diag(r) u and vᵀ diag(c) v of their vectors: shapes (k,).
    degrees
        Of R's users and of its items, in any order.

    Returns
    -------
    float64, shape (k,)
        In descending order.

    Examples
    --------
    >>> flat = np.zeros(1), np.zeros(1)
    >>> thinned_singular_values(np.array([4.0]), flat, (np.array([4]), np.array([4])), (2, 2), 1.0).round(6).tolist()
    [8.0]
    """
    (m, n), variance = multipliers, keep_rate * (1 - keep_rate)
    users, items = (
        _classes(each, repeats, variance * copies)
        for each, repeats, copies in zip(degrees, (m, n), (n, m), strict=True)
    )
    along_users, along_items = variance * n * noises[0], variance * m * noises[1]
    squares = (keep_rate * real) ** 2 * m * n

    def root(x: Floats) -> Floats:
        """Return the largest root where noise is that at x; infinite where there is more noise than that."""
        g, h = _resolvents(users, items, x)
        left, right = along_users * g, along_items * h
        middle = squares + left + right
        with np.errstate(invalid="ignore"):
            found = (middle + np.sqrt(np.maximum(middle**2 - 4 * left * right, 0))) / 2
        return np.where(np.isfinite(found), found, np.inf)

    low = np.zeros(len(real))
    high = 4 * (squares + along_users + along_items + users[0].max(initial=0) + items[0].max(initial=0)) + 1e-300
    for _ in range(_HALVINGS):
        x = (low + high) / 2
        is_low = root(x) > x
        low, high = np.where(is_low, x, low), np.where(is_low, high, x)
    return np.asarray(-np.sort(-np.sqrt(high)))


def _classes(degrees: Numbers, repeats: int, noise: float) -> tuple[Floats, Floats, Floats]:
    """Return the noise of ids of alike degree, which share of interactions they have, and how many they are."""
    values, counts = np.unique(whole(checked(degrees)), return_counts=True)
    values, counts = values[values > 0].astype(np.float64), counts[values > 0]
    _, place = np.unique(np.floor(np.log(values) * _CLASSES_TO_E), return_inverse=True)
    energy: Floats = np.bincount(place, values * counts).astype(np.float64)
    size = np.bincount(place, values**2 * counts) / energy
    return noise * size, energy / energy.sum(), np.bincount(place, repeats * counts).astype(np.float64)


def _resolvents(
    users: tuple[Floats, Floats, Floats], items: tuple[Floats, Floats, Floats], x: Floats
) -> tuple[Floats, Floats]:
    """Return the resolvents of items and of users that an interaction meets at x; infinite where there are none.

    A few of the largest may stand out of the noise: they are not part of what others see.
    """

    def of(noise: Floats, share: Floats, count: Floats, seen: Floats) -> Floats:
        size = np.outer(seen, noise) / np.maximum(x, 1e-300)[:, None]
        out = ~(size < 1 - 1e-3)
        found = (share / (1 - np.where(out, 0, size))).sum(axis=1)
        return np.where(out @ count > FEW_OF_NOISE, np.inf, found)

    of_items = of_users = np.ones(len(x))
    with np.errstate(invalid="ignore"):
        for _ in range(_ROUNDS):
            of_users = of(*users, of_items)
            of_items = of(*items, of_users)
    return of_items, of_users
