"""Declarations: a metric is one value, a figure one too; the report, thresholds, docs and plots follow from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from fractalrs.statistics import Curve, Floats
from fractalrs.validation.findings import Label, Metric
from fractalrs.validation.measure.measured import Four, Measured
from fractalrs.words import SIDES

NEEDS_SOURCE = "needs --source"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Values:
    """What a metric comes to; see `Metric`.

    Attributes
    ----------
    note
        Instead of the declaration's.
    judged
        Whether a threshold means something here.
    """

    real: float | None = None
    reduced: float | None = None
    synthetic: float | None = None
    null: float | None = None
    distance: float | None = None
    note: str = ""
    judged: bool = True


@dataclass(frozen=True)
class MetricSpec:
    """A metric.

    Attributes
    ----------
    name
        Short and stable; one with ``{side}`` is two: of users and of items.
    measure
        Gives its values of what was measured, and of a side where the name has one; None where it is left out.
    formula
        What it is, and from whom.
    threshold, reason
        The largest distance that holds, and why; no threshold for a metric that is only shown.
    sparse_threshold
        The threshold for users of few interactions, where it is another one.
    of_one_source
        Whether the threshold is for data whose users have one source user each.
    note
        What its value means.
    has_distance
        Whether it can be given a threshold.
    """

    name: str
    measure: Callable[..., Values | None]
    formula: str
    threshold: float | None = None
    reason: str = ""
    sparse_threshold: float | None = None
    of_one_source: bool = False
    note: str = ""
    has_distance: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Its names in reports: two where it is of users and of items."""
        return tuple(dict.fromkeys(self.name.format(side=side) for side in SIDES))


@dataclass(frozen=True, kw_only=True)
class FigureSpec:
    """A figure.

    Attributes
    ----------
    name
        Key of its data in `Findings`.
    title, caption
        As the report shows them.
    data
        Gives curves by label, a matrix, or a sequence of curves for a gallery; None where there is nothing to draw.
    draw
        The function of `fractalrs.plot` that draws it; none for what is only told in JSON.
    describe
        Says in words what it shows, to who does not see it: of curves by the names of lines, or of the matrix.
    is_gallery
        Whether it is a row of small figures, numbered from 1.
    """

    name: str
    title: str
    data: Callable[[Measured], "Drawn | None"]
    caption: str = ""
    draw: str = ""
    describe: Callable[[Any], str] = lambda _: ""
    is_gallery: bool = False


Drawn = Mapping[str, Curve] | Sequence[Mapping[str, Curve]] | Floats


@dataclass(frozen=True, kw_only=True)
class Family:
    """Metrics and figures that stand together.

    Attributes
    ----------
    section, title, explanation
        Key of the section, and how the report begins it.
    metrics, figures
        In the order of the report; those of users come before those of items.
    applies
        Whether there is anything to measure.
    of_columns
        Whether it needs what interactions carry besides users and items.
    """

    section: str
    title: str
    explanation: str
    metrics: tuple[MetricSpec, ...] = ()
    figures: tuple[FigureSpec, ...] = ()
    applies: Callable[[Measured], bool] = lambda _: True
    of_columns: bool = False

    def measure(self, measured: Measured, thresholds: Mapping[str, float]) -> Iterator[Metric]:
        """Yield its metrics with their values; names, where there are two, of users before those of items."""
        for side in SIDES:
            for spec in self.metrics:
                of_sides = "{side}" in spec.name
                if not of_sides and side is not SIDES[0]:
                    continue
                values = spec.measure(measured, side) if of_sides else spec.measure(measured)
                if values is None:
                    continue
                name = spec.name.format(side=side)
                threshold = thresholds.get(name) if values.judged else None
                yield Metric(
                    name,
                    self.section,
                    values.real,
                    values.reduced,
                    values.synthetic,
                    values.null,
                    values.distance,
                    threshold,
                    values.note or spec.note,
                )


def apart(a: float | None, b: float | None) -> float | None:
    """Return the difference of two values; None where one is missing."""
    return None if a is None or b is None else abs(b - a)


def if_known(function: Callable[[Any], _T | None], value: Any) -> _T | None:
    """Return what a function says of a value, if there is one."""
    return None if value is None else function(value)


def difference(four: Four, statistic: Callable[[Any], float | None], note: str = "") -> Values:
    """Return a statistic of all four; the distance is the difference of synthetic and real."""
    real, reduced, synthetic, null = (
        if_known(statistic, value) for value in (four.real, four.reduced, four.synthetic, four.null)
    )
    return Values(real, reduced, synthetic, null, apart(real, synthetic), note)


def distance(four: Four, between: Callable[[Any, Any], float | None], note: str = "") -> Values:
    """Return the distances of the other three from real."""
    reduced, synthetic, null = (
        None if value is None else between(four.real, value) for value in (four.reduced, four.synthetic, four.null)
    )
    return Values(None, reduced, synthetic, null, synthetic, note)


def curves(draw: Callable[[Any], Curve], values: Mapping[str, Any]) -> dict[str, Curve]:
    """Draw what is there, in the order in which it is always shown."""
    return {label: draw(values[label]) for label in get_args(Label) if values.get(label) is not None}
