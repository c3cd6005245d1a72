"""The metrics and figures of fidelity, family by family: a new one is declared in its family, a new family here.

Each compares the statistics of the synthetic R̃ with those of the real train part R, of R̂, of a floor, R repeated and
thinned to the size and density of R̃, and of a null model: uniform random data of these. An operator without keep rates
leaves R̂ out.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from fractalrs.statistics import Curve, Floats
from fractalrs.validation.findings import Metric
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics import (
    access,
    blocks,
    degrees,
    graph,
    hardness,
    neighbours,
    ratings,
    repetition,
    spectrum,
    times,
    vectors,
)
from fractalrs.validation.metrics.spec import Family, FigureSpec, MetricSpec

# In the order of the report.
_ROOMS = (degrees, spectrum, hardness, vectors, graph, neighbours, repetition, access, times, ratings, blocks)
FAMILIES: tuple[Family, ...] = tuple(room.FAMILY for room in _ROOMS)
METRICS: tuple[MetricSpec, ...] = tuple(spec for family in FAMILIES for spec in family.metrics)
FIGURES: tuple[FigureSpec, ...] = tuple(spec for family in FAMILIES for spec in family.figures)
BLOCK_DEVIATION = blocks.DEVIATION


def measure(measured: Measured, thresholds: Mapping[str, float], families: Iterable[Family]) -> Iterator[Metric]:
    """Yield the metrics of families that apply, with their values."""
    for family in families:
        if family.applies(measured):
            yield from family.measure(measured, thresholds)


def draw(measured: Measured, figures: Iterable[FigureSpec]) -> tuple[dict[str, dict[str, Curve]], dict[str, Floats]]:
    """Return the curves and the maps of figures that there is something to draw in."""
    curves: dict[str, dict[str, Curve]] = {}
    maps: dict[str, Floats] = {}
    for spec in figures:
        data = spec.data(measured)
        if isinstance(data, np.ndarray):
            maps[spec.name] = data
        elif isinstance(data, Mapping):
            curves[spec.name] = dict(data)
        elif data is not None:
            curves |= {f"{spec.name}_{number}": dict(each) for number, each in enumerate(data, 1)}
    return curves, maps


__all__ = ["BLOCK_DEVIATION", "FAMILIES", "FIGURES", "METRICS", "Family", "FigureSpec", "MetricSpec", "draw", "measure"]
