"""Ratings: whether they are distributed as the real ones, among values and among users."""

import math

import numpy as np

from fractalrs.statistics import Ratings, thinning_excess, total_variation
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.spec import Family, MetricSpec, Values

LARGEST_EXCESS = 0.05
"""Where thinning adds more to the share of users, too few are left of each to judge by it."""


def _both(measured: Measured) -> tuple[Ratings, Ratings]:
    assert measured.ratings is not None
    return measured.ratings


def _are_products(measured: Measured) -> bool:
    """Return whether ratings are products with R̂: then there is nothing to compare but to generate them again."""
    return bool(measured.plan.options["ratings"] == "kronecker")


def _values(measured: Measured) -> Values | None:
    if _are_products(measured):
        return None
    real, synthetic = _both(measured)
    off = total_variation(real.counts, synthetic.counts)
    uniform = total_variation(real.counts, np.append(np.ones(len(real.values), dtype=np.int64), 0))
    what = "distinct values" if real.exact else "quantiles of the real ones"
    note = f"total variation of the shares of {len(real.values)} {what}, of {synthetic.counts.sum():,} interactions"
    floor = measured.histogram_floor(real.counts, int(synthetic.counts.sum()))
    return Values(None, None, off, uniform, off, note, thinned=floor, floor=floor)


def _mean(measured: Measured) -> Values:
    real, synthetic = _both(measured)
    if _are_products(measured):
        return Values(
            real.mean,
            None,
            synthetic.mean,
            note="the synthetic ones are products with the reduced matrix",
            judged=False,
        )
    null = float(real.values.mean()) if real.exact else None
    return Values(real.mean, None, synthetic.mean, null, abs(synthetic.mean - real.mean), thinned=real.mean, floor=0.0)


def _of_users(measured: Measured) -> Values | None:
    if _are_products(measured):
        return None
    real, synthetic = _both(measured)
    keep, users = measured.plan.keep_rates, measured.matrix.block_shape[0]
    excess = thinning_excess(real, keep, users)
    count = int(synthetic.counts.sum())
    null = len(keep) * users / count if count else None
    off = abs(synthetic.of_users - real.of_users - excess)
    note = f"distance from real and the {excess:.2g} that thinning adds"
    shares = (real.of_users, synthetic.of_users, off)
    of_real, found, apart = (None if math.isnan(value) else value for value in shares)
    flat = None
    if of_real is not None:
        flat = of_real + thinning_excess(real, np.full(keep.shape, keep.mean()), users)
    return Values(of_real, None, found, null, apart, note, excess <= LARGEST_EXCESS, thinned=flat, floor=0.0)


FAMILY = Family(
    section="ratings",
    title="Ratings",
    explanation="How users rate.",
    applies=lambda measured: measured.ratings is not None,
    of_columns=True,
    metrics=(
        MetricSpec(
            "ratings",
            _values,
            "½ Σ |p − q| of the shares of distinct values, or of quantiles of the real ones",
            threshold=0.02,
            reason="`carry`: every block keeps entries whatever their rating; uniform ratings have 0.34 and 0.40",
        ),
        MetricSpec("mean rating", _mean, "mean", note="distance: difference"),
        MetricSpec(
            "share of the variance of ratings that is between users",
            _of_users,
            "Σ nᵤ (x̄ᵤ − x̄)² / Σ (x − x̄)², distance from real and what thinning adds (Pearson 1905)",
            threshold=0.05,
            of_one_source=True,
            reason="`aligned`, `none`, or with times: ratings shuffled among interactions keep their histogram, and "
            "lose all of this: 0.19 and 0.32 fall to 0.001 and 0.02. No threshold where thinning adds more than 0.05, "
            "nor where users have several sources (`cells` 0.07 and 0.12)",
        ),
    ),
)
