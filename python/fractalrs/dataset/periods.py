"""Periods of time: the folders into which the files of a data set are divided by week, month or day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.columns import hour_by_size, ticks, ticks_per_hour
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.words import Partition

_MOST = 100_000
"""So many periods at most."""
_DAYS: dict[Partition, int] = {"day": 1, "week": 7, "month": 28}
"""How many days a period has at the least."""
_LAST_DAY = (date.max - date(1970, 1, 1)).days
_THURSDAY = 3
"""1970 began on a Thursday, three days after a Monday."""


@dataclass(frozen=True)
class Periods:
    """Periods one after the other.

    Attributes
    ----------
    starts
        int64, rising: the first tick of the timestamps of each.
    folders
        What each one's folder is called: ``"week=2015-W03"``.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600), payload=["timestamp"])
    >>> expansion = fr.Expansion(base, [[0.5]], profile="traceable", timestamps=True)
    >>> Periods.of(expansion, "month").folders[0]
    'month=2015-03'
    """

    starts: npt.NDArray[np.int64]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, expansion: Expansion, partition: Partition) -> "Periods":
        """Return all periods in which an interaction of an expansion can be.

        Raises
        ------
        InputError
            If there are no timestamps, they do not tell days, interactions are not in their order, or there would be
            too many periods.
        """
        options, base = expansion.options, expansion.base
        if not options.timestamps:
            raise InputError(f"the partition by {partition} needs timestamps", hint="say timestamps (--timestamps)")
        if options.order != "time":
            raise InputError(
                f"the partition by {partition} needs the order 'time', not {options.order!r}",
                hint="leave the order out",
            )
        field, hour = pa.field("timestamp", base.timestamp_type), base.ticks_per_hour
        day = _ticks_a_day(field, hour)
        if day is None:
            raise InputError(
                f"the partition by {partition} needs dates, and the timestamps are numbers that do not tell any",
                hint="leave partition out",
            )
        times = ticks(base.column("timestamp"))
        first, last = int(times.min()), int(times.max())
        # What the time lines end with: see docs/generator.md.
        latest = last + (day if hour is not None else last - first) + _longest_shift(last - first, 7 * day)
        days = first // day, latest // day
        if days[1] - days[0] >= _MOST * _DAYS[partition] or days[1] > _LAST_DAY:
            raise InputError(
                f"the timestamps span {days[1] - days[0] + 1:,} days: too many to be divided by {partition}",
                hint="choose a longer period, or correct those that are too early or too late",
            )
        starts = _starts(partition, *days)
        return cls(starts * day, tuple(_folder(partition, start) for start in starts.tolist()))


def _longest_shift(span: int, week: int) -> int:
    """Return the most ticks by which the clock of a row block is shifted."""
    weeks = span // week
    return (max(-(-weeks // 20), min(8, -(-weeks // 3)), 1) - 1) * week


def folders_of(partition: Partition, field: pa.Field, times: npt.NDArray[np.int64]) -> set[str]:
    """Return the folders of the periods in which some times are, whose column is a field; none where they tell no days.

    Examples
    --------
    >>> folders_of("week", pa.field("timestamp", pa.timestamp("ms")), np.array([1_420_070_400_000]))
    {'week=2015-W01'}
    """
    numbers = pa.types.is_integer(field.type)
    day = _ticks_a_day(field, hour_by_size(times) if numbers else ticks_per_hour(field))
    return set() if day is None else {_folder(partition, int(time) // day) for time in times}


def _ticks_a_day(field: pa.Field, hour: int | None) -> int | None:
    return 1 if pa.types.is_date(field.type) else None if hour is None else 24 * hour


def _folder(partition: Partition, day: int) -> str:
    """Return the folder of the period of a day since 1970."""
    return f"{partition}={_NAMES[partition](date(1970, 1, 1) + timedelta(days=day))}"


def _starts(partition: Partition, first: int, last: int) -> npt.NDArray[np.int64]:
    """Return the first day, since 1970, of each period from one day to another."""
    if partition == "month":
        months = np.arange(np.datetime64(first, "D").astype("M8[M]"), np.datetime64(last, "D").astype("M8[M]") + 1)
        return months.astype("M8[D]").astype(np.int64)
    if partition == "week":
        return 7 * np.arange((first + _THURSDAY) // 7, (last + _THURSDAY) // 7 + 1) - _THURSDAY
    return np.arange(first, last + 1)


def _week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


_NAMES: dict[Partition, Callable[[date], str]] = {
    "day": date.isoformat,
    "week": _week,
    "month": lambda day: f"{day.year}-{day.month:02d}",
}
