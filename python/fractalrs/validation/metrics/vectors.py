"""Singular vectors: how widely each taste is shared, the paper's network values."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import scipy

from fractalrs.statistics import Curve, Floats, network_curve, network_distance, network_values
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.measure.spectrum import VECTORS
from fractalrs.validation.metrics.spec import NEEDS_SOURCE, Family, FigureSpec, MetricSpec, Values, curves
from fractalrs.validation.wording import tops
from fractalrs.words import ITEMS, USERS, Side

_NULL_POINTS = 4_000


def _measure(measured: Measured, side: Side) -> Values:
    compared = measured.vectors[side]
    if compared.real is None:
        return Values(note=NEEDS_SOURCE)
    each: dict[str, Any] = {
        label: None if vectors is None else _distance(compared.real, map(network_values, vectors.T))
        for label, vectors in vars(compared).items()
        if label not in ("real", "null")
    }
    null = _distance(compared.real, map(_null_component, range(VECTORS)))
    return Values(**each, null=null, distance=each["synthetic"], floor=each["thinned"])


def _distance(real: Floats, others: Iterable[Floats]) -> float:
    """Return the mean distance of the network values of vectors in columns from others, as far as there are both."""
    each = [network_distance(network_values(one), other) for one, other in zip(real.T, others, strict=False)]
    return float(np.mean([value for value in each if value is not None]))


def _null_component(k: int) -> Floats:
    """Return a uniform random matrix's singular vector, ranked: constant for the first, else normal."""
    points = (np.arange(_NULL_POINTS)[::-1] + 0.5) / _NULL_POINTS
    return np.ones(_NULL_POINTS) if k == 0 else np.asarray(scipy.stats.halfnorm.ppf(points))


def _gallery(side: Side, measured: Measured) -> list[dict[str, Curve]]:
    there = {label: matrix for label, matrix in vars(measured.vectors[side]).items() if matrix is not None}
    each = zip(*(map(network_values, matrix.T) for matrix in there.values()), strict=False)
    return [curves(network_curve, dict(zip(there, values, strict=True))) for values in each]


def _figure(side: Side, name: str) -> FigureSpec:
    return FigureSpec(
        name=f"{name}_vector",
        title=f"Network values of {side}",
        caption=f"How much each of the {side} has of a taste, the most first, for each of the leading {name} singular "
        "vectors; both axes logarithmic. A level line is a taste that all share, a steep one belongs to few.",
        data=partial(_gallery, side),
        draw="network_values",
        labels=(f"share of {side}", "weight / mean square"),
        describe=tops,
        is_gallery=True,
    )


FAMILY = Family(
    section="vectors",
    title="Singular vectors",
    explanation="How widely each of those tastes is shared: the paper’s network values.",
    metrics=(
        MetricSpec(
            "network values of {side}",
            _measure,
            "mean over the first 8 vectors of sup |F_real − F_synthetic| of |component| · √size (method paper, "
            "section IV.3; Leskovec et al. 2010)",
            note="mean KS distance of the first 8; thinned: real data as one block",
        ),
    ),
    figures=(_figure(USERS, "left"), _figure(ITEMS, "right")),
)
