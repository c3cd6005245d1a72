"""When interactions happen, counted: inter-event times, hours, weekdays, activity by bin, and catalogue growth.

All of it is counted in one pass over whole users, in memory that depends on the number of items and on the length of
time alone. What is kept of the real train part are such counts, so that no source is needed later.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.statistics.arrays import Floats, Integers

_BITS = 12
"""Inter-event times are counted exactly up to 2¹², and with so many significant bits beyond."""
CODES = (64 - _BITS) << _BITS
_BINS = 4096
"""Bins of a clock that knows no hours, or where hours are too few or too many."""
_FEWEST_BINS, _MOST_BINS = 256, 1 << 20
_THINNINGS = 8
"""An exponent is the mean of that of so many random choices of interactions."""
_BOX, _BOXES = 8, 16
POINTS = 201
ITEMS = 1 << 27
"""With more expanded items, when each is first seen does not fit into memory: 1 GiB."""
_LATER = np.iinfo(np.int64).max
_AS_THEY_ARE = ("hours", "weekdays", "active", "catalogue_growth")
"""Fields of `Activity` that are kept as they are."""


@dataclass(frozen=True)
class Clock:
    """Bins of time: bin k has the ticks from ``start + k · width``, of `bins`; `hour` ticks make an hour, if known.

    Examples
    --------
    >>> str(Clock.of(np.array([0, 4_095]), hour=None))
    '4,096 equal bins'
    """

    start: int
    width: int
    bins: int
    hour: int | None

    @classmethod
    def of(cls, times: Integers, hour: int | None) -> "Clock":
        """Span times: by hours where that gives enough bins but not too many, else by equal parts."""
        first, last = int(times.min()), int(times.max())
        if hour is not None:
            start = first // hour * hour
            bins = (last - start) // hour + 1
            if _FEWEST_BINS <= bins <= _MOST_BINS:
                return cls(start, hour, bins, hour)
        width = max(1, -(-(last + 1 - first) // _BINS))
        return cls(first, width, (last - first) // width + 1, hour)

    def bin(self, times: Integers) -> Integers:
        """Return the bin of each time; what is outside is put into the first or the last."""
        return np.asarray(np.clip((times - self.start) // self.width, 0, self.bins - 1))

    def __str__(self) -> str:
        """Return how long a bin is, in words."""
        if self.width == self.hour:
            return "bins of an hour"
        return f"{self.bins:,} equal bins" + (f" of {self.width / self.hour:.3g} hours" if self.hour else "")


@dataclass(frozen=True)
class Activity:
    """Counts of train interactions in time.

    Hours of the day, and days of the week from Monday, are those of the clock that the timestamps follow (UTC, if they
    count from 1970); empty where the length of an hour is not known.
    """

    clock: Clock  # The bins of `active`.
    inter_event_times: Integers  # Between consecutive interactions of a user: how many of each code (`decoded`).
    inter_event_sum: float  # They added up, in ticks.
    hours: Integers
    weekdays: Integers
    active: Integers  # Interactions by bin.
    catalogue_growth: Floats  # Share of all items seen when 0, 1/200, … of the interactions are over; or empty.

    @property
    def count(self) -> int:
        """Number of interactions."""
        return int(self.active.sum())

    @property
    def mean_inter_event_time(self) -> float:
        """In ticks; 0 where there is none."""
        return self.inter_event_sum / max(1, int(self.inter_event_times.sum()))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is kept of real interactions: counts, no ids."""
        codes = np.flatnonzero(self.inter_event_times)
        clock = self.clock
        return {
            "time_clock": np.array([clock.start, clock.width, clock.bins, clock.hour or 0]),
            "time_inter_event_codes": codes,
            "time_inter_event_counts": self.inter_event_times[codes],
            "time_inter_event_sum": np.array(self.inter_event_sum),
            **{f"time_{name}": getattr(self, name) for name in _AS_THEY_ARE},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "Activity | None":
        """Return the activity that `arrays` kept; None where it is not there."""
        if "time_clock" not in arrays:
            return None
        start, width, bins, hour = arrays["time_clock"].tolist()
        counts = np.zeros(CODES, dtype=np.int64)
        counts[arrays["time_inter_event_codes"]] = arrays["time_inter_event_counts"]
        as_they_are = (arrays[f"time_{name}"] for name in _AS_THEY_ARE)
        clock = Clock(start, width, bins, hour or None)
        return cls(clock, counts, float(arrays["time_inter_event_sum"]), *as_they_are)


class ActivityTally:
    """Adds up interactions of whole users, from several threads; `growing` are those whose catalogue grows."""

    def __init__(self, clock: Clock, items: int, growing: npt.NDArray[np.bool_] | None = None) -> None:
        self.clock, self.growing = clock, growing
        self.inter_event_times = np.zeros(CODES, dtype=np.int64)
        self.inter_event_sums = [0.0]
        self.of_week = np.zeros(7 * 24 if clock.hour else 0, dtype=np.int64)
        self.active, self.growing_active = np.zeros((2, clock.bins), dtype=np.int64)
        self.first = np.full(items if items <= ITEMS else 0, _LATER)
        self._lock = Lock()

    def add(self, users: Integers, items: Integers, times: Integers) -> None:
        """Add the interactions of some users, in any order."""
        users, items, times = by_time(users, items, times)
        lengths = np.diff(times)[users[1:] == users[:-1]]
        counts = np.bincount(encoded(lengths), minlength=CODES)
        bins = self.clock.bin(times)
        growing = slice(None) if self.growing is None else self.growing[users]
        with self._lock:
            self.inter_event_times += counts
            self.inter_event_sums.append(float(lengths.sum(dtype=np.float64)))
            self.active += np.bincount(bins, minlength=self.clock.bins)
            if self.clock.hour:
                # 1970 began on a Thursday.
                hours = (times // self.clock.hour + 3 * 24) % (7 * 24)
                self.of_week += np.bincount(hours, minlength=7 * 24)
            if len(self.first):
                self.growing_active += np.bincount(bins[growing], minlength=self.clock.bins)
                np.minimum.at(self.first, items[growing], times[growing])

    def total(self) -> Activity:
        """Return the counts."""
        by_day, known = self.of_week.reshape(-1, 24), self.clock.hour is not None
        hours, weekdays = (by_day.sum(axis=axis) if known else self.of_week for axis in (0, 1))
        # Whatever the order in which threads added them.
        total, growth = math.fsum(self.inter_event_sums), self._catalogue_growth()
        return Activity(self.clock, self.inter_event_times, total, hours, weekdays, self.active, growth)

    def _catalogue_growth(self) -> Floats:
        seen = self.first[self.first < _LATER]
        if not len(seen):
            return np.empty(0)
        appeared = np.bincount(self.clock.bin(seen), minlength=self.clock.bins)
        over, known = (np.concatenate([[0], np.cumsum(counts)]) for counts in (self.growing_active, appeared))
        return np.asarray(np.interp(np.linspace(0, 1, POINTS), over / over[-1], known / known[-1]))


def by_time(users: Integers, items: Integers, times: Integers) -> tuple[Integers, Integers, Integers]:
    """Return interactions by user and then time.

    Examples
    --------
    >>> [column.tolist() for column in by_time(np.array([1, 0]), np.array([7, 8]), np.array([5, 6]))]
    [[0, 1], [8, 7], [6, 5]]
    """
    if np.all((users[1:] > users[:-1]) | ((users[1:] == users[:-1]) & (times[1:] >= times[:-1]))):
        return users, items, times
    order = np.lexsort((times, users))
    return users[order], items[order], times[order]


def encoded(lengths: Integers) -> Integers:
    """Return codes that rise with inter-event times: the length below 2¹², then 12 significant bits and a shift."""
    shift = np.maximum(np.frexp(lengths.astype(np.float64))[1] - _BITS, 0).astype(np.int64)
    # A length next to a power of 2 is rounded to it.
    return np.asarray((shift << _BITS) + np.minimum(lengths >> shift, (1 << _BITS) - 1))


def decoded(codes: Integers) -> Floats:
    """Return the inter-event times that codes stand for, the middle of those of one code."""
    shift = codes >> _BITS
    scale = np.exp2(shift)
    return np.asarray((codes & ((1 << _BITS) - 1)) * scale + (scale - 1) / 2)


def on_clock(counts: Integers, coarser: float) -> tuple[Floats, Floats]:
    """Return the distribution of inter-event times on a clock of ticks `coarser` ≥ 1 times as long, at a random phase.

    A time g is ⌊g / c⌋ ticks of that clock, or one more with probability g / c − ⌊g / c⌋: ⌊(t + g) / c⌋ − ⌊t / c⌋ for a
    uniform t. The mean is that of g / c. From how many there are of each code, distinct ticks in ascending order, and
    the share of each.
    """
    codes = np.flatnonzero(counts)
    length = decoded(codes) / coarser
    below = np.floor(length)
    above = length - below
    weights = np.concatenate([counts[codes] * (1 - above), counts[codes] * above])
    found, place = np.unique(np.concatenate([below, below + 1]), return_inverse=True)
    shares = np.bincount(place, weights)
    return found[shares > 0], shares[shares > 0] / weights.sum()


@dataclass(frozen=True)
class InterEventTimes:
    """Real and synthetic inter-event times on one clock: cumulated shares up to `ticks`, `mean` ticks on average.

    `null` are exponential times: interactions drawn uniformly. `coarser` is how many times longer the real clock's tick
    was made; below 1, the synthetic clock's by 1 / `coarser`.
    """

    ticks: Floats
    real: Floats
    synthetic: Floats
    null: Floats
    mean: float
    coarser: float

    @property
    def distance(self) -> float:
        """Kolmogorov–Smirnov distance."""
        return float(np.abs(self.synthetic - self.real).max())

    @property
    def null_distance(self) -> float:
        """That of null."""
        return float(np.abs(self.null - self.real).max())


def compare_inter_event_times(real: Activity, synthetic: Activity) -> InterEventTimes | None:
    """Compare real and synthetic inter-event times, each over their mean, on a clock of one resolution.

    An expanded user has c times as many interactions as its source in the same stretch of time, but the clock ticks no
    faster: its tick is c times as long against them. What falls into one tick is a tie there and a short time in the
    real data. (Of those of MovieLens' small set 22 % are 0 s and half at most 10 s, so that no generator on a clock
    of seconds could meet their distribution when they are six times as dense.) So the real interactions are put on a
    clock whose tick is c times as long, c the ratio of the means, at a random phase (`on_clock`), and compared tick
    by tick: both means are then equal, and the distance is that of d / mean(d). Where the synthetic times are longer,
    it is the other way round. None where there are none, or all are 0.
    """
    if not real.inter_event_sum or not synthetic.inter_event_sum:
        return None
    coarser = real.mean_inter_event_time / synthetic.mean_inter_event_time
    of_real = on_clock(real.inter_event_times, max(1.0, coarser))
    of_synthetic = on_clock(synthetic.inter_event_times, max(1.0, 1 / coarser))
    points = np.union1d(of_real[0], of_synthetic[0])
    found = [_cumulated(points, *each) for each in (of_real, of_synthetic)]
    mean = min(real.mean_inter_event_time, synthetic.mean_inter_event_time)
    # Of ticks k at a random phase: a time of k to k + 1 on average counts as k + ½.
    null = 1 - np.exp(-(points + 0.5) / mean)
    return InterEventTimes(points, found[0], found[1], null, mean, coarser)


def _cumulated(points: Floats, found: Floats, shares: Floats) -> Floats:
    sums = np.concatenate([[0.0], np.cumsum(shares)])
    return np.asarray(np.minimum(1.0, sums[np.searchsorted(found, points, side="right")]))


def total_variation(a: Integers, b: Integers) -> float | None:
    """Compute ½ Σ |p − q| of two histograms; None where one is empty.

    Examples
    --------
    >>> total_variation(np.array([1, 1]), np.array([2, 0]))
    0.5
    """
    if not a.sum() or not b.sum():
        return None
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def fluctuation_exponent(series: npt.ArrayLike) -> float | None:
    """Compute the slope of detrended fluctuation analysis: 0.5 without memory, 1 for 1/f noise, 1.5 for a random walk.

    y(k) = Σ_{i ≤ k} (x_i − x̄) is cut into boxes of n values, and its least-squares line taken from it in each box;
    F(n) is the root mean square of what is left, over all whole boxes. The exponent is the slope of log F over log n,
    for 16 box sizes from 8 to a quarter of the series, evenly spaced in the logarithm (Peng et al. 1994, Mosaic
    organization of DNA nucleotides, Phys. Rev. E 49). None for fewer than 64 values, or constant ones.
    """
    values = np.asarray(series, dtype=np.float64)
    if len(values) < 8 * _BOX or np.ptp(values) == 0:
        return None
    profile = np.cumsum(values - values.mean())
    sizes = np.unique(np.geomspace(_BOX, len(values) // 4, _BOXES).round().astype(np.int64))
    fluctuations = []
    for size in sizes:
        boxes = profile[: len(profile) // size * size].reshape(-1, size)
        place = np.arange(size) - (size - 1) / 2
        slopes = boxes @ place / (place @ place)
        left = boxes - boxes.mean(axis=1, keepdims=True) - slopes[:, None] * place
        fluctuations.append(np.sqrt(np.square(left).mean()))
    if not min(fluctuations):
        return None
    return float(np.polyfit(np.log(sizes), np.log(fluctuations), 1)[0])


def memory(activity: Activity, count: int, seed: int = 0) -> float | None:
    """Compute the mean exponent of the activity of eight random choices of about `count` interactions.

    Few interactions a bin are noisy, and noise without memory lowers the exponent: series are compared at one count.
    """
    share = count / max(1, activity.count)
    if share >= 1:
        return fluctuation_exponent(activity.active)
    rng = np.random.default_rng(seed)
    found = [fluctuation_exponent(rng.binomial(activity.active, share)) for _ in range(_THINNINGS)]
    return None if None in found else float(np.mean(found))  # type: ignore[arg-type]
