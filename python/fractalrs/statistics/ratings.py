"""How users rate: the distribution of ratings among values and among users."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.statistics.arrays import Floats, Integers

VALUES, QUANTILES = 256, 100
"""Up to so many distinct values are compared one by one, more of them by quantiles of the real ones."""


@dataclass(frozen=True)
class Ratings:
    """The distribution of train ratings.

    `of_users` is the share of the variance of ratings that is between users, Σ nᵤ (x̄ᵤ − x̄)² / Σ (x − x̄)² (the
    correlation ratio η², Pearson 1905). It and the mean are NaN where they have no meaning.
    """

    values: Floats  # Ascending: the distinct real ratings, or where each of their quantiles begins.
    exact: bool  # Whether they are the distinct ratings.
    counts: Integers  # How many ratings there are of each value (quantile), and at the end how many of none.
    mean: float
    of_users: float

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is kept of real ratings."""
        return {f"rating_{name}": np.array(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "Ratings | None":
        """Return the ratings that `arrays` kept; None where they are not there."""
        if "rating_values" not in arrays:
            return None
        values, exact, counts, mean, of_users = (arrays[f"rating_{name}"] for name in cls.__dataclass_fields__)
        return cls(values, bool(exact), counts, float(mean), float(of_users))


class RatingsTally:
    """Adds up ratings of whole users, from several threads."""

    def __init__(self, values: Floats, exact: bool) -> None:
        self.values, self.exact = values, exact
        self.counts = np.zeros(len(values) + 1, dtype=np.int64)
        self.sums: list[tuple[float, float, float, float]] = [(0.0, 0.0, 0.0, 0.0)]
        self._lock = Lock()

    def add(self, users: Integers, ratings: Floats) -> None:
        """Add the interactions of some users."""
        there = np.isfinite(ratings)
        place = np.searchsorted(self.values, ratings, side="right") - 1
        # What is below the least real one is of its quantile.
        known = there & (self.values[place] == ratings if self.exact else True)
        counts = np.bincount(np.where(known, np.maximum(place, 0), len(self.values)), minlength=len(self.counts))
        users, ratings = users[there] - users.min(initial=np.iinfo(np.int64).max), ratings[there]
        of_user, totals = np.bincount(users), np.bincount(users, ratings)
        between = float((totals[of_user > 0] ** 2 / of_user[of_user > 0]).sum())
        with self._lock:
            self.counts += counts
            self.sums.append((float(len(ratings)), float(ratings.sum()), float(np.square(ratings).sum()), between))

    def total(self) -> Ratings:
        """Return the distribution."""
        # Whatever the order in which threads added them.
        count, total, squares, between = (math.fsum(column) for column in zip(*self.sums, strict=True))
        if not count:
            return Ratings(self.values, self.exact, self.counts, math.nan, math.nan)
        spread = squares - total**2 / count
        of_users = (between - total**2 / count) / spread if spread > 1e-12 * squares else math.nan
        return Ratings(self.values, self.exact, self.counts, total / count, of_users)


def distinct_or_quantiles(ratings: Floats) -> tuple[Floats, bool]:
    """Return the values by which ratings, of which one is finite, are counted, and whether they are all there are.

    Examples
    --------
    >>> distinct_or_quantiles(np.array([5.0, 3.0, 5.0]))[0].tolist()
    [3.0, 5.0]
    """
    finite = ratings[np.isfinite(ratings)]
    values = np.unique(finite)
    if len(values) <= VALUES:
        return values, True
    return np.unique(np.quantile(finite, np.arange(QUANTILES) / QUANTILES)), False


def thinning_excess(real: Ratings, keep: Floats, users: int) -> float:
    """Compute how much thinning adds to the share of the variance that is between users.

    An expanded user of row block i keeps about S = Σⱼ Kᵢⱼ copies of each of its source's d events. The mean of their
    ratings has the variance σ² Σⱼ Kᵢⱼ (1 − Kᵢⱼ) / (d S²) about the source's, σ² that of the source's ratings; over all
    users Σ dS · that = Σ σ² Σⱼ Kᵢⱼ (1 − Kᵢⱼ) / S, of Σ S times the real sum of squares. `keep` are the keep rates,
    (m, n); `users` is how many the base has.
    """
    copies = keep.sum(axis=1)
    noise = (keep * (1 - keep)).sum(axis=1)[copies > 0] / copies[copies > 0]
    count = max(1, int(real.counts.sum()))
    return float(noise.sum() / max(copies.sum(), 1e-12) * (1 - real.of_users) * users / count)
