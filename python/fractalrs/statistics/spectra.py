"""Singular values and vectors: their shape, their distances, and what theory says of a Kronecker product."""

import math

import numpy as np

from fractalrs.statistics.arrays import (
    ZERO_RATIO,
    Curve,
    Floats,
    Numbers,
    descending,
    largest_gap,
    positive_values,
    rank_curve,
    slope,
)


def log_slope(singular_values: Numbers) -> float | None:
    """Fit the slope of log σₖ over log k by least squares, all k with the same weight; None with fewer than two values.

    The "power-law" of the singular values of the method paper (section IV.1, Figure 1). They come in any order; those
    below 1e-12 of the largest are left out.

    Examples
    --------
    >>> round(log_slope(1 / np.arange(1, 9)), 6)
    -1.0
    """
    sigma = positive_values(singular_values)
    if sigma.size < 2:
        return None
    return slope(np.log(np.arange(1, sigma.size + 1)), np.log(sigma))


def effective_rank(singular_values: Numbers) -> float | None:
    """Compute over how many directions the interactions spread: exp(−Σ p log p) with p = σ² / Σσ².

    The effective rank of Roy and Vetterli (2007), who take p = σ / Σσ; with squares p is a share of the interactions
    (Σσ² is their number), and the many small singular values that were not computed matter less. Only those given
    count, in any order: compare equally many.
    From 1 to the number of values; None if there is none above zero.

    Examples
    --------
    >>> round(effective_rank(np.array([3.0, 3.0, 0.0])), 6)
    2.0
    """
    sigma = positive_values(singular_values)
    if sigma.size == 0:
        return None
    shares = (sigma / sigma[0]) ** 2
    shares /= shares.sum()
    return float(np.exp(-np.dot(shares, np.log(shares))))


def ratio_error(real: Numbers, synthetic: Numbers, count: int = 16) -> tuple[float, float] | None:
    """Compare the shapes of two spectra: |(σₖ / σ₁) of `synthetic` / that of `real` − 1| for k from 2 to `count`.

    Singular values come in any order, and may be of different scale, as data sets of different size have. Where one of
    them has fewer than `count` (R̂ has min(m, n)), k ends there; a k for which σₖ of `real` is zero is left out. Returns
    the median and the largest error; None if nothing is left to compare.

    Examples
    --------
    >>> ratio_error(np.array([4.0, 2.0]), np.array([8.0, 5.0]))
    (0.25, 0.25)
    """
    expected, actual = descending(real)[:count], descending(synthetic)[:count]
    length = min(expected.size, actual.size)
    if length < 2 or expected[0] == 0 or actual[0] == 0:
        return None
    expected, actual = expected[1:length] / expected[0], actual[1:length] / actual[0]
    known = expected > ZERO_RATIO
    if not known.any():
        return None
    errors = np.abs(actual[known] / expected[known] - 1)
    return float(np.median(errors)), float(errors.max())


def network_values(vector: Floats) -> Floats:
    """Rank the components of a singular vector: \\|component\\| · √size, in descending order.

    The "network values" of Leskovec et al. (2010), which the method paper wants to keep (section IV.3). Times √size,
    the mean square of a unit vector's components is 1 whatever its size; the sign of a singular vector has no meaning.
    Components of ids without interactions are zero, and stay.

    Examples
    --------
    >>> network_values(np.array([0.6, -0.8])).round(2).tolist()
    [1.13, 0.85]
    """
    return descending(np.abs(vector) * math.sqrt(vector.size))


def network_distance(a: Floats, b: Floats) -> float | None:
    """Compute the largest gap, from 0 to 1, between the distribution functions of two `network_values`, with zeros.

    Not divided by the mean: a unit vector has its scale. Values within 1e-12 of each other count as tied. None if one
    of them is empty.

    Examples
    --------
    >>> network_distance(np.array([1.0, 1.0]), np.array([1.0, 0.5]))
    0.5
    """
    return largest_gap(a, b)


def network_curve(values: Floats, points: int = 400) -> Curve:
    """Return the curve of `network_values`: x = rank / size, y = value; zeros count in the size but are not shown.

    Examples
    --------
    >>> network_curve(np.array([2.0, 1.0, 0.0])).y.tolist()
    [2.0, 1.0]
    """
    return rank_curve(values[values > 0], values.size, points)


def ratios(values: Numbers) -> Curve:
    """Return the curve of singular values in any order: x = number from 1, y = ratio to the first, from 1e-12.

    Examples
    --------
    >>> ratios(np.array([4.0, 2.0])).y.tolist()
    [1.0, 0.5]
    """
    sigma = positive_values(values)
    return Curve(np.arange(1, sigma.size + 1, dtype=np.float64), sigma / sigma[:1])


def kronecker(keep_rates: Floats, real: Floats, count: int) -> Floats:
    """Compute leading singular values of the analytic product K ⊗ R (Theorem 1): all products of theirs, in order.

    Examples
    --------
    >>> kronecker(np.array([[0.5, 0.0], [0.0, 0.25]]), np.array([4.0, 2.0]), 3).tolist()
    [2.0, 1.0, 1.0]
    """
    products = np.outer(np.linalg.svd(keep_rates, compute_uv=False), real)
    return np.asarray(np.sort(products.ravel())[::-1][:count])


def predicted(keep_rates: Floats, real: Floats, user_noise: Floats, item_noise: Floats, count: int) -> Floats:
    """Predict singular values of a synthetic matrix whose blocks are aligned, or not shuffled at all.

    σ² = θ² + (u_Kᵀ diag(W·1) u_K)(u_Rᵀ diag(r) u_R) + (v_Kᵀ diag(Wᵀ·1) v_K)(v_Rᵀ diag(c) v_R), with θ = σ_a(K) σ_b(R)
    for every pair (a, b), W = K∘(1 − K) the variance of a kept entry, r and c the degrees of R's users and items: the
    product's own value and what dropout adds along its singular vectors, as far as it is first order. K are the keep
    rates, (m, n); `real`, `user_noise` and `item_noise` σ_b, u_Rᵀ diag(r) u_R and v_Rᵀ diag(c) v_R of the leading
    singular triples of R. Fewer than `count` come back where there are fewer pairs.

    Examples
    --------
    >>> predicted(np.ones((1, 1)), np.array([4.0]), np.zeros(1), np.zeros(1), 1).tolist()
    [4.0]
    """
    u, s, vt = np.linalg.svd(keep_rates, full_matrices=False)
    spread = keep_rates * (1 - keep_rates)
    of_users = np.square(u).T @ spread.sum(axis=1)
    of_items = np.square(vt) @ spread.sum(axis=0)
    squares = np.outer(s, real) ** 2 + np.outer(of_users, user_noise) + np.outer(of_items, item_noise)
    return np.asarray(np.sqrt(np.sort(squares.ravel())[::-1][:count]))
