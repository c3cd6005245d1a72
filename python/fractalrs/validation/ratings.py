"""Ratings: whether written ones are distributed as the real ones, among values and among users."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.validation.carried import Integers, Rows, Shape, column, train, visit
from fractalrs.validation.findings import Floats, Metric
from fractalrs.validation.times import total_variation

if TYPE_CHECKING:
    from fractalrs.base import Base
    from fractalrs.dataset import Dataset
    from fractalrs.expansion import Expansion

RATINGS = "ratings"
MEAN = "mean rating"
OF_USERS = "share of the variance of ratings that is between users"

VALUES = 256
"""Up to so many distinct values are compared one by one, …"""
QUANTILES = 100
"""… more of them by quantiles of the real ones."""
LOOKED_AT = 1 << 26
"""Train interactions that are looked at, of more a sample of users."""
LARGEST_EXCESS = 0.05
"""Where thinning adds more to the share of users, too few are left of each to judge by it."""


@dataclass(frozen=True)
class Ratings:
    """The distribution of train ratings.

    Attributes
    ----------
    values
        float64, in ascending order: the distinct real ratings, or where each of their quantiles begins.
    exact
        Whether they are the distinct ratings.
    counts
        int64: how many ratings there are of each value (quantile), and at the end how many of none.
    mean, of_users
        The mean; and the share of the variance of ratings that is between users, Σ nᵤ (x̄ᵤ − x̄)² / Σ (x − x̄)² (the
        correlation ratio η², Pearson 1905). NaN where that has no meaning.
    """

    values: Floats
    exact: bool
    counts: Integers
    mean: float
    of_users: float

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give what is kept of real ratings."""
        return {f"rating_{name}": np.array(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> "Ratings | None":
        """Take what `arrays` gave; None where it is not there."""
        if "rating_values" not in arrays:
            return None
        found = {name: arrays[f"rating_{name}"] for name in cls.__dataclass_fields__}
        return cls(
            found["values"], bool(found["exact"]), found["counts"], float(found["mean"]), float(found["of_users"])
        )


class _Tally:
    """Adds up ratings of whole users, from several threads."""

    def __init__(self, values: Floats, exact: bool) -> None:
        self.values, self.exact = values, exact
        self.counts = np.zeros(len(values) + 1, dtype=np.int64)
        self.sums: list[tuple[float, float, float, float]] = [(0.0, 0.0, 0.0, 0.0)]
        self._lock = Lock()

    def add(self, rows: Rows) -> None:
        """Add some users."""
        ratings = _numbers(rows.table["rating"])
        there = np.isfinite(ratings)
        place = np.searchsorted(self.values, ratings, side="right") - 1
        # What is below the least real one is of its quantile.
        known = there & (self.values[place] == ratings if self.exact else True)
        counts = np.bincount(np.where(known, np.maximum(place, 0), len(self.values)), minlength=len(self.counts))
        users, ratings = rows.users[there] - rows.users.min(initial=np.iinfo(np.int64).max), ratings[there]
        of_user, totals = np.bincount(users), np.bincount(users, ratings)
        between = float((totals[of_user > 0] ** 2 / of_user[of_user > 0]).sum())
        with self._lock:
            self.counts += counts
            self.sums.append((float(len(ratings)), float(ratings.sum()), float(np.square(ratings).sum()), between))

    def total(self) -> Ratings:
        """Give the distribution."""
        # Whatever the order in which threads added them.
        count, total, squares, between = (math.fsum(column) for column in zip(*self.sums, strict=True))
        if not count:
            return Ratings(self.values, self.exact, self.counts, math.nan, math.nan)
        spread = squares - total**2 / count
        of_users = (between - total**2 / count) / spread if spread > 1e-12 * squares else math.nan
        return Ratings(self.values, self.exact, self.counts, total / count, of_users)


def _numbers(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def real(base: "Base") -> Ratings | None:
    """Count the base's train ratings; its payload must have ``rating``. None where these are no numbers."""
    kind = column(base, "rating").type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    rows = train(base, "rating")
    ratings = _numbers(rows.table["rating"])
    finite = ratings[np.isfinite(ratings)]
    if not len(finite):
        return None
    values = np.unique(finite)
    exact = len(values) <= VALUES
    if not exact:
        values = np.unique(np.quantile(finite, np.arange(QUANTILES) / QUANTILES))
    tally = _Tally(values, exact)
    tally.add(rows)
    return tally.total()


def written(
    dataset: "Dataset | Expansion", shape: Shape, one: Ratings, threads: int, progress: bool = False
) -> Ratings:
    """Count train ratings, by the values of the real ones."""
    tally = _Tally(one.values, one.exact)
    what = "counting ratings" if progress else None
    visit(dataset, "train", ["rating"], tally.add, chosen=shape.sample(LOOKED_AT), threads=threads, what=what)
    return tally.total()


def compare(
    dataset: "Dataset | Expansion",
    shape: Shape,
    one: Ratings,
    keep: Floats,
    kronecker: bool,
    limits: dict[str, float],
    threads: int,
    progress: bool = False,
) -> list[Metric]:
    """Measure written ratings beside the real ones; see `metrics`."""
    other = written(dataset, shape, one, threads, progress)
    return list(metrics(one, other, keep, shape.base_users, kronecker, limits))


def metrics(
    one: Ratings, other: Ratings, keep: Floats, users: int, kronecker: bool, limits: dict[str, float]
) -> Iterator[Metric]:
    """Compare real ratings with written ones.

    Parameters
    ----------
    keep
        Keep rates, (m, n).
    users
        Base users.
    kronecker
        Whether written ratings are products: then there is nothing to compare but to generate them again.
    """
    if kronecker:
        yield Metric(MEAN, "ratings", one.mean, None, other.mean, note="the written ones are products with R̂")
        return
    off = total_variation(one.counts, other.counts)
    uniform = total_variation(one.counts, np.append(np.ones(len(one.values), dtype=np.int64), 0))
    what = "distinct values" if one.exact else "quantiles of the real ones"
    note = f"total variation of the shares of {len(one.values)} {what}, of {other.counts.sum():,} interactions"
    yield Metric(RATINGS, "ratings", None, None, off, uniform, off, limits.get(RATINGS), note)
    values = (one.mean, None, other.mean, float(one.values.mean()) if one.exact else None)
    yield Metric(MEAN, "ratings", *values, abs(other.mean - one.mean), limits.get(MEAN), "distance: difference")
    excess = _excess(one, keep, users)
    count = int(other.counts.sum())
    null = len(keep) * users / count if count else None
    off = abs(other.of_users - one.of_users - excess)
    note = f"distance from real and the {excess:.2g} that thinning adds"
    limit = limits.get(OF_USERS) if excess <= LARGEST_EXCESS else None
    known = [None if math.isnan(value) else value for value in (one.of_users, other.of_users, off)]
    yield Metric(OF_USERS, "ratings", known[0], None, known[1], null, known[2], limit, note)


def _excess(one: Ratings, keep: Floats, users: int) -> float:
    """How much thinning adds to the share of the variance that is between users.

    An expanded user of row block i keeps about S = Σⱼ Kᵢⱼ copies of each of its source's d events. The mean of their
    ratings has the variance σ² Σⱼ Kᵢⱼ (1 − Kᵢⱼ) / (d S²) about the source's, σ² that of the source's ratings; over all
    users Σ dS · that = Σ σ² Σⱼ Kᵢⱼ (1 − Kᵢⱼ) / S, of Σ S times the real sum of squares.
    """
    copies = keep.sum(axis=1)
    noise = (keep * (1 - keep)).sum(axis=1)[copies > 0] / copies[copies > 0]
    count = max(1, int(one.counts.sum()))
    return float(noise.sum() / max(copies.sum(), 1e-12) * (1 - one.of_users) * users / count)
