"""What the statistics share: degrees and singular values checked and sorted, distribution functions, curves.

*Degrees* are the numbers of interactions of all users, or of all items: one-dimensional, in any order, integer or float
(the reduced matrix has them as well), at least zero. Unless said otherwise, an id without interactions is left out, and
degrees are divided by their mean over the ids that are left, so that data sets of different size can be compared. A
statistic that has no meaning for its arguments is None.

Every function of this package sorts at most: O(n log n) time and a few arrays of the size of its argument.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.tools import Shown

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]

_SAME = 1e-12
"""Values of mean or mean square 1 that differ by less are equal but for rounding."""
ZERO_RATIO = 1e-12
"""A singular value smaller than this times the largest is zero but for rounding."""


def checked(degrees: Numbers) -> Numbers:
    """Return degrees that can be ones; refuse all others with a ValueError."""
    if degrees.ndim != 1 or (degrees.size and not (degrees.min() >= 0 and np.isfinite(degrees.max()))):
        raise ValueError("degrees must be one-dimensional, finite and at least 0")
    return degrees


def ascending(degrees: Numbers) -> Floats:
    """Return the degrees that are not zero, the smallest first."""
    degrees = checked(degrees)
    return np.sort(degrees[degrees > 0]).astype(np.float64, copy=False)


def descending(values: Numbers) -> Floats:
    """Return values as floats, the largest first."""
    return np.sort(values.astype(np.float64))[::-1]


def relative(degrees: Numbers) -> Floats:
    """Return the degrees that are not zero over their mean, the smallest first."""
    x = ascending(degrees)
    return x / x.mean() if x.size else x


def positive_values(values: Numbers) -> Floats:
    """Return the singular values that are not zero but for rounding, the largest first."""
    sigma = descending(values)
    return sigma[sigma > ZERO_RATIO * sigma[:1]]


def lorenz(descending: Floats, shares: Floats) -> Floats:
    """Return the sums of the largest values up to each share of the ranking, with a part of the one on the edge."""
    totals = np.concatenate([[0.0], np.cumsum(descending)])
    sums: Floats = np.interp(shares * descending.size, np.arange(totals.size), totals)
    return sums


def slope(x: Floats, y: Floats) -> float:
    """Return the slope of y over x by least squares."""
    x = x - x.mean()
    return float(np.dot(x, y - y.mean()) / np.dot(x, x))


def shares_up_to(points: Floats, sample: Floats) -> Floats:
    """Return the shares of a sample up to each point."""
    return np.searchsorted(np.sort(sample), points, side="right") / sample.size


def largest_gap(a: Floats, b: Floats) -> float | None:
    """Return the largest gap between two distribution functions; None if a sample is empty."""
    if not a.size or not b.size:
        return None
    points = np.concatenate([np.unique(a), np.unique(b)])
    points = points + _SAME * np.maximum(points, 1)
    return float(np.abs(shares_up_to(points, a) - shares_up_to(points, b)).max())


@dataclass(frozen=True, repr=False)
class Curve(Shown):
    """Points of a line in a figure, few enough to draw: x and y (float64, same length).

    Examples
    --------
    >>> Curve(np.array([0.5, 1.0]), np.array([2.0, 1.0])).y.tolist()
    [2.0, 1.0]
    """

    x: Floats
    y: Floats


def rank_curve(descending: Floats, size: int, points: int) -> Curve:
    """Return x = rank / size and y = value at so many log-spaced ranks at most (from 2), always the first and last."""
    if descending.size == 0:
        return Curve(np.empty(0), np.empty(0))
    ranks = np.unique(np.rint(np.geomspace(1, descending.size, points)).astype(np.int64))
    return Curve(ranks / size, descending[ranks - 1])
