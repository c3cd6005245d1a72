"""How the written times compare with the real ones.

Of a large data set a sample of users is looked at, the same share of every row block. The growth of the catalogue is
always that of a sample: of as many interactions as real ones times the item multiplier, so that an expanded item has as
many as its source.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from fractalrs.dataset.dataset import Dataset
from fractalrs.expansion.expansion import Expansion
from fractalrs.passes.batches import InteractionBatch, UserSampler, visit
from fractalrs.statistics.times import (
    POINTS,
    Activity,
    ActivityTally,
    by_time,
    compare_gaps,
    memory,
    total_variation,
)
from fractalrs.validation.findings import Curve, Floats, Metric

GAPS = "gaps between a user's interactions"
TIES = "ties between a user's interactions"
TIES_ON_ONE_CLOCK = f"{TIES}, on one clock"
HOURS = "hour of the day"
WEEKDAYS = "day of the week"
GROWTH = "growth of the catalogue"
MEMORY = "long-range dependence of activity"
COPIES = "copies of one source event in a row"

NEEDS_HOURS = "how long an hour is, is not known"

LOOKED_AT = 1 << 26
"""Train interactions that are looked at, if the growth of the catalogue does not ask for more."""
COPIES_LOOKED_AT = 1 << 22
"""Those whose sources are generated again to count copies."""
ITEMS = 1 << 27
"""With more expanded items, when each is first seen does not fit into memory: 1 GiB."""
COPIES_LOOKED_AT = 1 << 22
"""Those whose sources are generated again to count copies."""
ITEMS = 1 << 27
"""With more expanded items, when each is first seen does not fit into memory: 1 GiB."""


def written(
    dataset: Dataset | Expansion, shape: UserSampler, one: Activity, threads: int, progress: bool = False
) -> Activity:
    """Count train interactions in time, `one` being the real ones."""
    growing = shape.sample(one.count * shape.item_multiplier)
    tally = ActivityTally(one.clock, dataset.shape[1], growing)
    looked_at = shape.sample(max(one.count * shape.item_multiplier, LOOKED_AT))

    def add(rows: InteractionBatch) -> None:
        tally.add(rows.users, rows.items, rows.times)

    visit(
        dataset,
        "train",
        ["timestamp"],
        add,
        chosen=looked_at,
        threads=threads,
        what="counting times",
        progress=progress,
    )
    return tally.total()


@dataclass(frozen=True)
class Copies:
    """Consecutive train interactions of a user that are copies of one source event.

    Attributes
    ----------
    in_a_row
        How many pairs of consecutive interactions are.
    by_chance
        How many would be in a random order: Σ c (c − 1) / C over users and source events, for c copies of the event
        among a user's C interactions.
    pairs
        How many pairs there are.
    """

    in_a_row: int
    by_chance: float
    pairs: int


def copies(
    dataset: Dataset | Expansion, shape: UserSampler, origin: Expansion, threads: int, progress: bool = False
) -> Copies:
    """Count copies among consecutive interactions of a sample of users, generated again from `origin`."""
    found: list[tuple[int, Floats, int]] = []
    count = origin.base.count

    def add(rows: InteractionBatch) -> None:
        # Interactions nobody planned have no source, and are no copies.
        users, sources, _ = by_time(rows.users, rows.traced, rows.times)
        same = users[1:] == users[:-1]
        in_a_row = np.count_nonzero(same & (sources[1:] == sources[:-1]) & (sources[1:] >= 0))
        keys, each = np.unique((users - users.min()) * (count + 1) + sources + 1, return_counts=True)
        owners = keys // (count + 1)
        copied = np.bincount(owners, np.where(keys % (count + 1) > 0, each * (each - 1), 0))
        found.append((int(in_a_row), copied / np.maximum(np.bincount(owners, each), 1), int(np.count_nonzero(same))))

    chosen = shape.sample(COPIES_LOOKED_AT)
    visit(
        dataset,
        "train",
        ["timestamp"],
        add,
        chosen=chosen,
        origin=origin,
        threads=threads,
        what="looking for copies in time",
        progress=progress,
    )
    in_a_row, by_chance, pairs = zip(*found, strict=True) if found else ((), (), ())
    # The exact sum of all users: the same, however they were read.
    return Copies(sum(in_a_row), math.fsum(chain.from_iterable(by_chance)), sum(pairs))


def compare(
    dataset: Dataset | Expansion,
    shape: UserSampler,
    one: Activity,
    origin: Expansion | None,
    limits: dict[str, float],
    threads: int,
    progress: bool = False,
) -> tuple[list[Metric], dict[str, dict[str, Curve]]]:
    """Measure written times beside the real ones, and draw them; `origin` is what was expanded, if that is known."""
    other = written(dataset, shape, one, threads, progress)
    copied = None if origin is None else copies(dataset, shape, origin, threads, progress)
    return list(metrics(one, other, copied, limits)), curves(one, other)


def metrics(one: Activity, other: Activity, copied: Copies | None, limits: dict[str, float]) -> Iterator[Metric]:
    """Compare the real activity with the written one."""
    yield Metric(
        "interactions looked at",
        "times",
        float(one.count),
        None,
        float(other.count),
        note="train, of all users or of a sample of them: the same share of every row block",
    )
    yield from _gap_metrics(one, other, limits)
    for name, of_real, found in ((HOURS, one.hours, other.hours), (WEEKDAYS, one.weekdays, other.weekdays)):
        distance = total_variation(of_real, found)
        flat = total_variation(of_real, np.ones_like(of_real))
        note = "total variation" if one.clock.hour else NEEDS_HOURS
        yield Metric(name, "times", None, None, distance, flat, distance, limits.get(name), note)
    if len(one.growth) and len(other.growth):
        note = "greatest difference of the shares of items seen after equal shares of the interactions"
        greatest = float(np.abs(other.growth - one.growth).max())
        yield Metric(GROWTH, "times", None, None, greatest, None, greatest, limits.get(GROWTH), note)
    else:
        yield Metric(GROWTH, "times", threshold=limits.get(GROWTH), note="too many items to tell")
    count = min(one.count, other.count)
    exponents = [memory(each, count) for each in (one, other)]
    note = f"detrended fluctuation exponent of {count:,} interactions, {one.clock}; distance: difference"
    if None in exponents:
        note = f"too little time, or too few interactions, to tell ({one.clock})"
    values = (exponents[0], None, exponents[1], 0.5)
    yield Metric(MEMORY, "times", *values, _apart(exponents[0], exponents[1]), limits.get(MEMORY), note)
    if copied is None:
        yield Metric(COPIES, "times", threshold=limits.get(COPIES), note="needs --source")
    else:
        ratio = copied.in_a_row / copied.by_chance if copied.by_chance else None
        note = f"over those of a random order; {copied.in_a_row / max(1, copied.pairs):.2%} of {copied.pairs:,} pairs"
        null = None if ratio is None else 1.0
        yield Metric(COPIES, "times", None, None, ratio, null, ratio, limits.get(COPIES), note)


def _gap_metrics(one: Activity, other: Activity, limits: dict[str, float]) -> Iterator[Metric]:
    compared = compare_gaps(one, other)
    if compared is None:
        yield Metric(GAPS, "times", threshold=limits.get(GAPS), note="there are none")
        return
    which, factor = ("real", compared.coarser) if compared.coarser >= 1 else ("written", 1 / compared.coarser)
    note = f"KS distance of d / mean(d); the {which} ones on a clock {factor:.3g} times as coarse"
    values = (None, None, compared.distance, compared.null_distance)
    yield Metric(GAPS, "times", *values, compared.distance, limits.get(GAPS), note)
    ties = [float(each.gaps[0] / each.gaps.sum()) for each in (one, other)]
    yield Metric(TIES, "times", ties[0], None, ties[1], note="share of gaps that are 0, as they are stored")
    ties = [float(shares[0]) if compared.ticks[0] == 0 else 0.0 for shares in (compared.real, compared.synthetic)]
    null = float(compared.null[0])
    note = f"the {which} ones on that coarser clock; distance: difference"
    off = abs(ties[1] - ties[0])
    limit = limits.get(TIES_ON_ONE_CLOCK)
    yield Metric(TIES_ON_ONE_CLOCK, "times", ties[0], None, ties[1], null, off, limit, note)


def _apart(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(other - one)


def curves(one: Activity, other: Activity) -> dict[str, dict[str, Curve]]:
    """Draw gaps, hours, days of the week and the growth of the catalogue."""
    drawn: dict[str, dict[str, Curve]] = {}
    compared = compare_gaps(one, other)
    if compared is not None:
        # What is a tie on the clock has the left end.
        x = np.maximum(compared.ticks, 0.5) / compared.mean
        few = np.unique(np.searchsorted(x, np.geomspace(x[0], x[-1], 400)).clip(0, len(x) - 1))
        drawn["gaps"] = {label: Curve(x[few], getattr(compared, label)[few]) for label in ("real", "synthetic", "null")}
    for name, of_real, found in (("hours", one.hours, other.hours), ("weekdays", one.weekdays, other.weekdays)):
        if of_real.sum() and found.sum():
            places = np.arange(len(of_real), dtype=np.float64) + (0.5 if name == "hours" else 1)
            counts = {"real": of_real, "synthetic": found, "null": np.ones_like(of_real)}
            drawn[name] = {label: Curve(places, np.asarray(count / count.sum())) for label, count in counts.items()}
    over = np.linspace(0, 1, POINTS)
    grown = {label: each.growth for label, each in (("real", one), ("synthetic", other)) if len(each.growth)}
    if grown:
        drawn["growth"] = {label: Curve(over, y) for label, y in grown.items()}
    return drawn
