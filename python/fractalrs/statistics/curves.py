"""Curves: points of a line in a figure, few enough to draw."""

from dataclasses import dataclass

import numpy as np

from fractalrs.statistics.arrays import Floats, Numbers, positive_values, relative


@dataclass(frozen=True)
class Curve:
    """Points of a line in a figure, few enough to draw: x and y (float64, same length).

    Examples
    --------
    >>> Curve(np.array([0.5, 1.0]), np.array([2.0, 1.0])).y.tolist()
    [2.0, 1.0]
    """

    x: Floats
    y: Floats


def ranked(values: Numbers, points: int = 400) -> Curve:
    """Return the curve of ranked degrees: x = rank / n, y = value / mean, zeros left out.

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

    Examples
    --------
    >>> ranked(np.array([1, 3])).y.tolist()
    [1.5, 0.5]
    """
    x = relative(values)[::-1]
    return _thinned(x, x.size, points)


def network_curve(values: Floats, points: int = 400) -> Curve:
    """Return the curve of `network_values`: x = rank / size, y = value; zeros count in the size but are not shown.

    Parameters
    ----------
    values
        From `network_values`.
    points
        As in `ranked`.

    Examples
    --------
    >>> network_curve(np.array([2.0, 1.0, 0.0])).y.tolist()
    [2.0, 1.0]
    """
    return _thinned(values[values > 0], values.size, points)


def ratios(values: Numbers) -> Curve:
    """Return the curve of singular values: x = number from 1, y = ratio to the first.

    Parameters
    ----------
    values
        Singular values in any order; those below 1e-12 of the largest are left out, so all zeros give an empty curve.

    Examples
    --------
    >>> ratios(np.array([4.0, 2.0])).y.tolist()
    [1.0, 0.5]
    """
    sigma = positive_values(values)
    return Curve(np.arange(1, sigma.size + 1, dtype=np.float64), sigma / sigma[:1])


def _thinned(descending: Floats, size: int, points: int) -> Curve:
    if descending.size == 0:
        return Curve(np.empty(0), np.empty(0))
    ranks = np.unique(np.rint(np.geomspace(1, descending.size, points)).astype(np.int64))
    return Curve(ranks / size, descending[ranks - 1])
