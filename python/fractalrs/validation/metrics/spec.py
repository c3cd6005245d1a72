"""Declarations: a metric is one value, a figure one too; the report, thresholds, docs and plots follow from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from fractalrs.statistics import Curve, Floats
from fractalrs.validation.findings import Label, Metric
from fractalrs.validation.measure.measured import Compared, Measured
from fractalrs.words import SIDES

NEEDS_SOURCE = "needs --source"
Drawn = Mapping[str, Curve] | Sequence[Mapping[str, Curve]] | Floats


@dataclass(frozen=True)
class Values:
    """What a metric comes to; see `Metric`."""

    real: float | None = None
    reduced: float | None = None
    synthetic: float | None = None
    null: float | None = None
    distance: float | None = None
    note: str = ""  # Instead of the declaration's.
    judged: bool = True  # Whether a threshold means something here.
    thinned: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class MetricSpec:
    """A metric: `measure` gives its values, of a side where the name has one, or None where it is left out."""

    name: str  # Short and stable; one with ``{side}`` is two: of users and of items.
    measure: Callable[..., Values | None]
    formula: str  # What it is, and from whom.
    threshold: float | None = None  # The largest distance that holds; None for a metric that is only shown …
    reason: str = ""  # … and why.
    from_floor: bool = False  # Whether it counts from the distance of the thinned real data, which nothing can avoid.
    of_one_source: bool = False  # Whether the threshold is for data whose users have one source user each.
    note: str = ""  # What its value means.
    has_distance: bool = True  # Whether it can be given a threshold.

    @property
    def names(self) -> tuple[str, ...]:
        """Its names in reports: two where it is of users and of items."""
        return tuple(dict.fromkeys(self.name.format(side=side) for side in SIDES))


@dataclass(frozen=True, kw_only=True)
class FigureSpec:
    """A figure: `data` gives curves by label, a matrix, or a gallery's sequence of curves; None leaves it out."""

    name: str  # Key of its data in `Findings`.
    title: str
    data: Callable[[Measured], Drawn | None]
    caption: str = ""
    draw: str = ""  # The function of `fractalrs.plot` that draws it; none for what is only told in JSON.
    describe: Callable[[Any], str] = lambda _: ""  # In words, of curves by the names of lines, or of the matrix.
    labels: tuple[str, str] | None = None  # Of its axes, x and y, where those of the drawing are too general.
    is_gallery: bool = False  # Whether it is a row of small figures, numbered from 1.


@dataclass(frozen=True, kw_only=True)
class Family:
    """Metrics and figures that stand together, in the order of the report: those of users before those of items."""

    section: str  # Key of the section; the report begins it with title and explanation.
    title: str
    explanation: str
    metrics: tuple[MetricSpec, ...] = ()
    figures: tuple[FigureSpec, ...] = ()
    applies: Callable[[Measured], bool] = lambda _: True  # Whether there is anything to measure.
    of_columns: bool = False  # Whether it needs what interactions carry besides users and items.

    def measure(self, measured: Measured, thresholds: Mapping[str, float]) -> Iterator[Metric]:
        """Yield its metrics with their values; names, where there are two, of users before those of items."""
        for side in SIDES:
            for spec in self.metrics:
                of_sides = "{side}" in spec.name
                if not of_sides and side is not SIDES[0]:
                    continue
                values = spec.measure(measured, side) if of_sides else spec.measure(measured)
                if values is not None:
                    found, name = vars(values).copy(), spec.name.format(side=side)
                    threshold = thresholds.get(name) if found.pop("judged") else None
                    found |= {"note": values.note or spec.note, "from_floor": spec.from_floor}
                    yield Metric(name, self.section, threshold=threshold, **found)


def apart(a: float | None, b: float | None) -> float | None:
    """Return the difference of two values; None where one is missing."""
    return None if a is None or b is None else abs(b - a)


def difference(compared: Compared, statistic: Callable[[Any], float | None], note: str = "") -> Values:
    """Return a statistic of all; the distance is the difference of synthetic and real, the floor that of thinned."""
    each: dict[str, Any] = {
        label: None if value is None else statistic(value) for label, value in vars(compared).items()
    }
    real = each["real"]
    return Values(**each, distance=apart(real, each["synthetic"]), floor=apart(real, each["thinned"]), note=note)


def distance(compared: Compared, between: Callable[[Any, Any], float | None], note: str = "") -> Values:
    """Return the distances of the others from real."""
    values, real = vars(compared), compared.real
    others = {label: of for label, of in values.items() if label != "real"}
    each: dict[str, Any] = {label: None if of is None else between(real, of) for label, of in others.items()}
    return Values(**each, distance=each["synthetic"], floor=each["thinned"], note=note)


def curves(draw: Callable[[Any], Curve], values: Mapping[str, Any]) -> dict[str, Curve]:
    """Draw what is there, in the order in which it is always shown."""
    return {label: draw(values[label]) for label in get_args(Label) if values.get(label) is not None}
