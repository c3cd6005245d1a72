"""Times: when users are active, and when items appear."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from fractalrs.statistics import POINTS, Activity, Curve, InterEventTimes, memory, total_variation
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.spec import NEEDS_SOURCE, Family, FigureSpec, MetricSpec, Values, apart
from fractalrs.validation.wording import at

NEEDS_HOURS = "how long an hour is, is not known"
Draw = Callable[[Measured], dict[str, Curve] | None]


def _both(measured: Measured) -> tuple[Activity, Activity]:
    assert measured.activity is not None
    return measured.activity


def _count(measured: Measured) -> Values:
    real, synthetic = _both(measured)
    return Values(float(real.count), None, float(synthetic.count))


def _compared(measured: Measured) -> tuple[InterEventTimes, str] | None:
    """Return inter-event times on one clock, and whose clock was made coarser by how much, in words."""
    if (found := measured.inter_event_times) is None:
        return None
    which, factor = ("real", found.coarser) if found.coarser >= 1 else ("synthetic", 1 / found.coarser)
    return found, f"the {which} ones on a clock {factor:.3g} times as coarse"


def _inter_event_times(measured: Measured) -> Values:
    if (compared := _compared(measured)) is None:
        return Values(note="there are none")
    found, clock = compared
    note = f"KS distance of d / mean(d); {clock}"
    return Values(None, None, found.distance, found.null_distance, found.distance, note)


def _ties(measured: Measured) -> Values | None:
    if _compared(measured) is None:
        return None
    real, synthetic = (float(each.inter_event_times[0] / each.inter_event_times.sum()) for each in _both(measured))
    return Values(real, None, synthetic)


def _ties_on_one_clock(measured: Measured) -> Values | None:
    if (compared := _compared(measured)) is None:
        return None
    found, clock = compared
    real, synthetic = (float(shares[0]) if found.ticks[0] == 0 else 0.0 for shares in (found.real, found.synthetic))
    return Values(real, None, synthetic, float(found.null[0]), abs(synthetic - real), f"{clock}; distance: difference")


def _periodic(name: str, measured: Measured) -> Values:
    """Compare the hours of the day, or the days of the week."""
    real, synthetic = (getattr(each, name) for each in _both(measured))
    off, flat = (total_variation(real, other) for other in (synthetic, np.ones_like(real)))
    note = "total variation" if _both(measured)[0].clock.hour else NEEDS_HOURS
    floor = measured.histogram_floor(real, int(synthetic.sum()))
    return Values(None, None, off, flat, off, note, thinned=floor, floor=floor)


def _growth(measured: Measured) -> Values:
    real, synthetic = (each.catalogue_growth for each in _both(measured))
    if not len(real) or not len(synthetic):
        return Values(note="too many items to tell")
    greatest = float(np.abs(synthetic - real).max())
    return Values(None, None, greatest, None, greatest)


def _memory(measured: Measured) -> Values:
    real, synthetic = _both(measured)
    count = min(real.count, synthetic.count)
    of_real, of_synthetic = (memory(each, count) for each in (real, synthetic))
    note = f"detrended fluctuation exponent of {count:,} interactions, {real.clock}; distance: difference"
    if of_real is None or of_synthetic is None:
        note = f"too little time, or too few interactions, to tell ({real.clock})"
    repeated = replace(real, active=real.active * math.prod(measured.multipliers))
    thinned = memory(repeated, count)
    off, floor = (apart(of_real, other) for other in (of_synthetic, thinned))
    return Values(of_real, None, of_synthetic, 0.5, off, note, thinned=thinned, floor=floor)


def _copies(measured: Measured) -> Values:
    if (found := measured.event_copies) is None:
        return Values(note=NEEDS_SOURCE)
    ratio = found.in_a_row / found.by_chance if found.by_chance else None
    note = f"over those of a random order; {found.in_a_row / max(1, found.pairs):.2%} of {found.pairs:,} pairs"
    return Values(None, None, ratio, None if ratio is None else 1.0, ratio, note)


def _draw_inter_event_times(measured: Measured) -> dict[str, Curve] | None:
    if (found := measured.inter_event_times) is None:
        return None
    # What is a tie on the clock has the left end.
    x = np.maximum(found.ticks, 0.5) / found.mean
    few = np.unique(np.searchsorted(x, np.geomspace(x[0], x[-1], 400)).clip(0, len(x) - 1))
    return {label: Curve(x[few], getattr(found, label)[few]) for label in ("real", "synthetic", "null")}


def _draw_periodic(name: str, first: float, measured: Measured) -> dict[str, Curve] | None:
    real, synthetic = (getattr(each, name) for each in _both(measured))
    if not real.sum() or not synthetic.sum():
        return None
    counts = {"real": real, "synthetic": synthetic, "null": np.ones_like(real)}
    places = np.arange(len(real), dtype=np.float64) + first
    return {label: Curve(places, np.asarray(count / count.sum())) for label, count in counts.items()}


def _draw_growth(measured: Measured) -> dict[str, Curve] | None:
    both = zip(("real", "synthetic"), (each.catalogue_growth for each in _both(measured)), strict=True)
    return {label: Curve(np.linspace(0, 1, POINTS), growth) for label, growth in both if len(growth)} or None


def _figure(name: str, title: str, caption: str, data: Draw, where: str, x: float) -> FigureSpec:
    return FigureSpec(name=name, title=title, caption=caption, data=data, draw=name, describe=at(where, x))


FAMILY = Family(
    section="times",
    title="Times",
    explanation="When users are active, and when items appear.",
    applies=lambda measured: measured.activity is not None,
    of_columns=True,
    metrics=(
        MetricSpec(
            "interactions looked at",
            _count,
            "train interactions",
            note="train, of all users or of a sample of them: the same share of every row block",
            has_distance=False,
        ),
        MetricSpec(
            "inter-event times",
            _inter_event_times,
            "sup |F_real − F_synthetic| of d / mean(d), d the times between a user's interactions (Kolmogorov 1933, "
            "Smirnov 1939)",
            threshold=0.1,
            reason="KS distance; times drawn uniformly have 0.31 (MovieTweetings) to 0.93 (ml-latest-small)",
        ),
        MetricSpec(
            "ties between a user's interactions",
            _ties,
            "share of inter-event times that are 0",
            note="share of inter-event times that are 0, as they are stored",
            has_distance=False,
        ),
        MetricSpec(
            "ties between a user's interactions, on one clock",
            _ties_on_one_clock,
            "share of inter-event times that are 0 on the coarser of both clocks",
        ),
        MetricSpec(
            "hour of the day",
            partial(_periodic, "hours"),
            "½ Σ |p − q| of the shares of hours",
            threshold=0.02,
            reason="flat activity has 0.12 and 0.14; all times six hours later fail. What moves an event along its "
            "user's time line asks the activity of the whole data for the hour, which a user's habits are not: so "
            "more than sampling noise stays",
        ),
        MetricSpec(
            "day of the week",
            partial(_periodic, "weekdays"),
            "½ Σ |p − q| of the shares of days",
            threshold=0.02,
            reason="flat activity has 0.04 and 0.10",
        ),
        MetricSpec(
            "catalogue growth",
            _growth,
            "largest difference of the shares of items seen after equal shares of the interactions, 201 points",
            threshold=0.1,
            reason="column blocks of small keep rates discover their items late, of large ones early: that is R̂'s "
            "doing, and most of what is measured. It shows most where a catalogue is soon complete: the sample with "
            "300 users, 240 items and 9,000 interactions has 0.11 × (4, 8) and fails",
            note="greatest difference of the shares of items seen after equal shares of the interactions",
        ),
        MetricSpec(
            "long-range dependence of activity",
            _memory,
            "difference of detrended fluctuation exponents of activity, thinned to one count (Peng et al. 1994)",
            threshold=0.05,
            reason="white noise has 0.5, both real sets 0.64. Bins of an hour where an hour is known and gives 256 to "
            "1,048,576 of them, else up to 4,096 equal ones. Noise of few interactions a bin lowers the exponent: the "
            "larger data are thinned to the count of the smaller, eight times",
        ),
        MetricSpec(
            "copies of one source event in a row",
            _copies,
            "pairs of consecutive interactions that copy one event, over those of a random order",
            threshold=1.5,
            reason="× a random order; a sequence model that sees an event twice in a row learns the construction. "
            "Copies left at the time of their source have over 5",
        ),
    ),
    figures=(
        _figure(
            "inter_event_times",
            "Inter-event times",
            "The share of times between a user’s interactions up to a multiple of their mean, logarithmic. Both are "
            "put on the clock that is the coarser one against them; where lines begin is the share of ties on it. "
            "Times drawn at random would have few short ones.",
            _draw_inter_event_times,
            "at a tenth of the mean",
            0.1,
        ),
        _figure(
            "hours",
            "Hours of the day",
            "The share of interactions in each hour of the clock that timestamps follow: UTC, where they count from "
            "1970.",
            partial(_draw_periodic, "hours", 0.5),
            "at noon",
            12.5,
        ),
        _figure(
            "weekdays",
            "Days of the week",
            "The share of interactions on each day.",
            partial(_draw_periodic, "weekdays", 1),
            "on Sunday",
            7,
        ),
        _figure(
            "catalogue_growth",
            "Catalogue growth",
            "The share of all items that have been seen, while interactions go by in the order of time. A line that "
            "jumps up at once would leave no new items for later.",
            _draw_growth,
            "after half of the interactions",
            0.5,
        ),
    ),
)
