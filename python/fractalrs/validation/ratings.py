"""Ratings: whether written ones are distributed as the real ones, among values and among users."""

import math
from collections.abc import Iterator

import numpy as np

from fractalrs.columns.types import numbers
from fractalrs.dataset.dataset import Dataset
from fractalrs.expansion.expansion import Expansion
from fractalrs.passes.batches import InteractionBatch, UserSampler, visit
from fractalrs.statistics.ratings import Ratings, RatingsTally
from fractalrs.statistics.times import total_variation
from fractalrs.validation.findings import Floats, Metric

RATINGS = "ratings"
MEAN = "mean rating"
OF_USERS = "share of the variance of ratings that is between users"

LOOKED_AT = 1 << 26
"""Train interactions that are looked at, of more a sample of users."""
LARGEST_EXCESS = 0.05
"""Where thinning adds more to the share of users, too few are left of each to judge by it."""
LARGEST_EXCESS = 0.05
"""Where thinning adds more to the share of users, too few are left of each to judge by it."""


def written(
    dataset: Dataset | Expansion, shape: UserSampler, one: Ratings, threads: int, progress: bool = False
) -> Ratings:
    """Count train ratings, by the values of the real ones."""
    tally = RatingsTally(one.values, one.exact)

    def add(rows: InteractionBatch) -> None:
        tally.add(rows.users, numbers(rows.table["rating"]))

    visit(
        dataset,
        "train",
        ["rating"],
        add,
        chosen=shape.sample(LOOKED_AT),
        threads=threads,
        what="counting ratings",
        progress=progress,
    )
    return tally.total()


def compare(
    dataset: Dataset | Expansion,
    shape: UserSampler,
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
