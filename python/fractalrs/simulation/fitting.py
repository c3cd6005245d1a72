"""Fitting a world to real interactions: its numbers solved so that what it logs has their moments.

Every step makes the world, splits its log as the real one was split, and moves each number by what its moment misses.
The same seed throughout makes that a function of the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy  # Its parts are loaded where they are used.

from fractalrs.base import Base, base_statistics, leave_last_out, truncated_svd
from fractalrs.errors import InputError
from fractalrs.simulation.log import INTERACTIONS, chosen_schema
from fractalrs.simulation.model import Logging, Model
from fractalrs.statistics import Activity, decoded, gini, ratios
from fractalrs.words import HoldOut

RATIOS = 16
_STEPS, _DAMPED = 32, 6
"""Steps at most; from the second number on each is shorter than the one before."""
_STRETCHES = 400
_WITHIN = {"Gini of users": 0.02, "Gini of items": 0.02, "interactions": 0.01, "density": 0.01, "singular ratios": 0.1}
"""How far each may be off: in itself for a Gini, else in parts of the real value; of ratios the median."""
_ENOUGH = 0.6
"""Steps end when all are within so much of that."""
_LEVEL, _LEVELS = 2.0, (-7.0, 0.0)
"""How fast the level of preferences moves with the logarithm of the median ratio, and where to."""
_SAME = 0.003
"""A size this near stays: every other one is another draw of tastes."""
_SPLITS: tuple[HoldOut, ...] = ("last", "random", "none")
"""How a log can be split as a base was, by what is known of that."""
_HOUR, _LATEST = 3_600, 1 << 52
_FASTEST = 1.5
"""No number moves by more than this factor in a step."""


@dataclass(frozen=True)
class Moments:
    """What is to be met: of real interactions split in some way, or of what a world logs, split likewise."""

    users: int
    items: int
    interactions: int
    gini_users: float
    gini_items: float
    ratios: npt.NDArray[np.float64]
    split: HoldOut = "last"
    activity: Activity | None = None

    def misses(self, real: "Moments") -> dict[str, float]:
        """Return how far each is off, by the name that `_WITHIN` has."""
        cells, real_cells = self.users * self.items, real.users * real.items
        count = min(len(self.ratios), len(real.ratios))
        off = np.abs(self.ratios[1:count] / real.ratios[1:count] - 1)
        return {
            "Gini of users": abs(self.gini_users - real.gini_users),
            "Gini of items": abs(self.gini_items - real.gini_items),
            "interactions": abs(self.interactions / real.interactions - 1),
            "density": abs(self.interactions / cells / (real.interactions / real_cells) - 1),
            "singular ratios": float(np.median(off)) if len(off) else 0.0,
        }


def moments_of(real: Any) -> Moments:
    """Return the moments of real interactions, of a base, or of what `base_statistics` returned of one."""
    split: HoldOut = "last"
    if isinstance(real, Mapping):
        statistics = real
    else:
        base = real if isinstance(real, Base) else _base_of(real)
        split = _split_of(base)
        timed = base.payload is not None and "timestamp" in base.payload.column_names
        statistics = base_statistics(base, timestamps=timed)
    try:
        users, items = (int(size) for size in statistics["shape"])
        return Moments(
            users,
            items,
            int(np.sum(statistics["counts"])),
            gini(statistics["train_user_degrees"]) or 0.0,
            gini(statistics["train_item_degrees"]) or 0.0,
            ratios(statistics["singular_values"]).y[:RATIOS],
            split,
            Activity.from_arrays(statistics),
        )
    except KeyError as error:
        raise InputError(
            f"fit has no {error}", hint="give interactions, a base, or what base_statistics returns of one"
        ) from None


def fitted(real: Moments, logging: Logging, start: Model) -> tuple[Model, int]:
    """Return the model, and the exposures, of which a log has the real moments; refuse where none is found."""
    model, exposures = _with_times(start, real), 4 * real.interactions
    best: tuple[float, Model, int, dict[str, float]] | None = None
    for number in range(_STEPS):
        exposures = min(exposures, model.users * (model.items - 1))
        made = _logged(logging, model, exposures, real.split)
        if made is None:
            exposures = round(_FASTEST * exposures) + 1
            continue
        misses = made.misses(real)
        worst = max(misses[name] / within for name, within in _WITHIN.items())
        if best is None or worst < best[0]:
            best = worst, model, exposures, misses
        if worst < _ENOUGH:
            break
        pace = min(1.0, _DAMPED / (number + 1))
        model, exposures = _moved(model, exposures, made, real, pace)
    if best is None:
        raise InputError(
            f"fit has {real.interactions} interactions, and no log of about so many has what can be compared",
            hint="fit to more interactions",
        )
    worst, model, exposures, misses = best
    if worst > 1:
        missed = [f"{name} off by {misses[name]:.3g}" for name, within in _WITHIN.items() if misses[name] > within]
        raise InputError(
            f"no world of the policy {logging.name!r} that was tried has the moments of fit; the nearest has "
            f"{', '.join(missed)}",
            hint="simulate without fit, from numbers of your own, or fit with another policy",
        )
    return model, exposures


def _base_of(real: Any) -> Base:
    try:
        return leave_last_out(real, payload=["timestamp"])
    except InputError:
        return leave_last_out(real)


def _split_of(base: Base) -> HoldOut:
    """Return how logs are to be split to be compared with a base; refuse what they cannot be."""
    for split in _SPLITS:
        if base.split == split and not base.valid_count:
            return split
    raise InputError(
        "fit is a base with validation, or whose split is by times or by users, or was given",
        hint="give the interactions that it was made of, or leave_last_out of them with split='last'",
    )


def _logged(logging: Logging, model: Model, exposures: int, split: HoldOut) -> Moments | None:
    """Return the moments of what a world logs; None where that is too little for any."""
    # Errors of the policy are the user's, those of this log are not.
    log = pa.Table.from_batches(
        list(logging.world(model, exposures).observations(only_responses=True, columns=INTERACTIONS)),
        chosen_schema(INTERACTIONS),
    )
    try:
        base = leave_last_out(log, split=split)
    except InputError:
        return None
    users, items = base.shape
    singular = truncated_svd(base.train, min(RATIOS, *base.shape), 0).s
    of_users, of_items = (gini(degrees) or 0.0 for degrees in (base.user_degrees("train"), base.item_degrees("train")))
    return Moments(users, items, base.count, of_users, of_items, ratios(singular).y)


def _moved(model: Model, exposures: int, made: Moments, real: Moments, pace: float) -> tuple[Model, int]:
    """Move each number by what its moment misses; the spread of a log-normal tail of a Gini g is 2 erf⁻¹(g)."""

    def step(wanted: float, got: float) -> float:
        return float(np.clip(wanted / max(got, 1e-12), 1 / _FASTEST, _FASTEST) ** pace)

    def size(now: int, wanted: int, got: int) -> int:
        return now if abs(got / wanted - 1) < _SAME else max(2, round(now * step(wanted, got)))

    def tail(wanted: float, got: float) -> float:
        erfinv = scipy.special.erfinv
        return step(float(erfinv(min(wanted, 0.99))), float(erfinv(min(got, 0.99))))

    count = min(len(made.ratios), len(real.ratios))
    tastes = np.array(model.tastes)
    tastes[: count - 1] *= np.clip(real.ratios[1:count] / made.ratios[1:count], 1 / _FASTEST, _FASTEST) ** pace
    # The lower the level, the more tastes can do: a preference is 1 at most.
    lacking = float(np.log(np.median(real.ratios[1:count] / made.ratios[1:count]))) if count > 1 else 0.0
    moved = replace(
        model,
        level=float(np.clip(model.level - pace * _LEVEL * lacking, *_LEVELS)),
        users=size(model.users, real.users, made.users),
        items=size(model.items, real.items, made.items),
        activity=min(5.0, model.activity * tail(real.gini_users, made.gini_users)),
        popularity=min(5.0, model.popularity * tail(real.gini_items, made.gini_items)),
        # Dimensions are as good as each other: the k-th strongest makes ratio k + 1.
        tastes=tuple(np.sort(tastes)[::-1].tolist()),
    )
    return moved, round(exposures * step(real.interactions, made.interactions))


def _with_times(model: Model, real: Moments) -> Model:
    """Give a model the real times between interactions, and the time over which they lie: in seconds."""
    activity = real.activity
    if activity is None or not activity.inter_event_times.any():
        return model
    codes = np.flatnonzero(activity.inter_event_times)
    over = np.cumsum(activity.inter_event_times[codes])
    places = np.searchsorted(over, np.linspace(0, over[-1], _STRETCHES + 1))
    clock = activity.clock
    # Ticks whose length is not known are taken for seconds.
    ticks = (clock.hour or _HOUR) / _HOUR
    lengths = np.floor(decoded(codes) / ticks)[np.minimum(places, len(codes) - 1)].astype(np.int64)
    mean_length = activity.inter_event_sum / max(1, real.users)
    start, arrivals = (int(x // ticks) for x in (clock.start, max(0, clock.width * clock.bins - round(mean_length))))
    if start < 0 or start + arrivals > _LATEST or lengths.max() > _LATEST:
        raise InputError(
            f"the times of fit begin at {clock.start} ticks, which are no seconds from 1970 on",
            hint="give interactions without timestamps, or with those of a known unit",
        )
    return replace(model, start=start, arrivals=arrivals, pauses=tuple(lengths.tolist()))
