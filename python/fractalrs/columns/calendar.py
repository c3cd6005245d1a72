"""Dates that are written as integers, such as 20110313: known from counts because every one of them is a date."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_YEARS = 1900, 2100
_CLOCK = ((24, 3600), (60, 60), (60, 1))
"""How many hours, minutes and seconds there are, and how many seconds each has."""
_DIGITS = (8, 10, 12, 14)
"""Of a day, and with each of these behind it."""
_ROWS = 1 << 20


def written_as_integers(values: pa.Array) -> pa.Array | None:
    """Return what integers mean that are all dates (YYYYMMDD, with hours, minutes and seconds or without), as times.

    Zeros, which stand for an unknown time, become 1970. `None` where any other integer is no date.

    Examples
    --------
    >>> written_as_integers(pa.array([20110313, 20120229])).to_pylist()
    [datetime.date(2011, 3, 13), datetime.date(2012, 2, 29)]
    >>> written_as_integers(pa.array([20110343]))
    """
    largest = pc.max(values).as_py() if len(values) else 0
    digits = len(str(largest))
    if digits not in _DIGITS or not _YEARS[0] <= largest // 10 ** (digits - 4) <= _YEARS[1]:
        return None
    numbers, parts = values.to_numpy(), []
    for start in range(0, len(numbers), _ROWS):
        part = _ticks(numbers[start : start + _ROWS], _CLOCK[: _DIGITS.index(digits)])
        if part is None:
            return None
        parts.append(part)
    ticks = np.concatenate(parts)
    # Times of day are seconds, which Parquet does not know.
    return (
        pa.array(ticks * 1000).cast(pa.timestamp("ms")) if digits > 8 else pa.array(ticks, pa.int32()).view(pa.date32())
    )


def _ticks(numbers: npt.NDArray[np.int64], clock: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64] | None:
    """Return days, or seconds where there are times of day, since 1970; `None` if a number is no date."""
    unknown = numbers == 0
    rest, good, seconds = numbers, numbers >= 0, np.zeros(len(numbers), np.int64)
    for most, unit in reversed(clock):
        rest, part = np.divmod(rest, 100)
        seconds += part * unit
        good &= part < most
    rest, day = np.divmod(rest, 100)
    year, month = np.divmod(rest, 100)
    good &= (_YEARS[0] <= year) & (year <= _YEARS[1]) & (month >= 1) & (month <= 12) & (day >= 1)
    if not np.all(good | unknown):
        return None
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    if np.any((days.astype("datetime64[D]").astype("datetime64[M]") != months) & ~unknown):
        return None
    found = days * 86_400 + seconds if clock else days
    found[unknown] = 0
    return found
