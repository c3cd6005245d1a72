"""What a column holds, by the looks of some of its cells: times, how fine they are, numbers or names."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

# The control characters that separate files, groups, records and units are blanks to `str`, and none to `float`.
_NUMBER = re.compile(r"[^\S\x1c-\x1f]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[^\S\x1c-\x1f]*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T](\d\d):(\d\d)(:(\d\d)(\.\d{1,9})?)?( ?UTC|Z|[+-]\d\d(:?\d\d)?)?)?")
_UNIX_TIME = re.compile(r"[1-9]\d{8,18}(\.\d*)?")
_COMPACT = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(([01]\d|2[0-3])(([0-5]\d)([0-5]\d)?)?)?(?:\.0*)?"
)
"""20110313, with or without hour, minute and second: dates written as integers."""
_FRACTION = re.compile(r"[+-]?\d*\.\d*[1-9]\d*")
_NONE = ("", "0", "0.0")
"""No time, or an unknown one: they tell nothing of the others."""
_DAY = 86_400 * 10**9
_GRAINS = (_DAY, 3_600 * 10**9, 60 * 10**9, 10**9, 10**6, 10**3, 1)
_LEAST = 3
"""So many cells at least tell dates written as integers from numbers that look so by chance…"""
_MANY = 20
"""… and so many times from ids, which recur."""


@dataclass(frozen=True)
class Looks:
    """What some cells of a column look like.

    Attributes
    ----------
    first
        The first cell that says something, for messages.
    dates, times
        Whether all, zeros aside, are dates as text or as integers (YYYYMMDD), or any kind of time.
    is_numbers, has_fractions
        Whether at least half are numbers, and whether all are and some of them are no whole ones.
    grain
        The largest of day, hour, minute, second … in nanoseconds, of which all cells that are times are multiples;
        `None` where fewer than half are times.
    recurring
        Whether values come back as ids do: fewer than nine in ten are distinct, or there are few.
    """

    first: str
    dates: bool
    times: bool
    is_numbers: bool
    has_fractions: bool
    grain: int | None
    recurring: bool

    @property
    def is_never_an_id(self) -> bool:
        """Whether a column without a name cannot be one of ids."""
        return self.dates or self.has_fractions or (self.times and not self.recurring)

    @property
    def kind(self) -> str:
        """What it holds, in words."""
        if self.dates or self.times:
            return "dates" if self.dates else "times"
        return "numbers that are not whole numbers" if self.has_fractions else "numbers" if self.is_numbers else "text"


def looks_of(cells: Iterable[str]) -> Looks:
    """Return what cells look like; those that are empty tell nothing.

    Examples
    --------
    >>> looks_of(["20110313", "20110314", "20110401"]).dates, looks_of(["4.5", "3"]).has_fractions
    (True, True)
    """
    told = [cell for cell in map(str.strip, cells) if cell not in _NONE]
    compact = len(told) >= _LEAST and all(map(_COMPACT.fullmatch, told))
    dates = bool(told) and (compact or all(map(is_date, told)))
    numbers = sum(map(is_number, told))
    grains = [grain for cell in told if (grain := _grain(cell, compact)) is not None]
    return Looks(
        first=told[0] if told else "",
        dates=dates,
        times=bool(told) and len(grains) == len(told),
        is_numbers=2 * numbers >= len(told),
        has_fractions=numbers == len(told) and any(map(_FRACTION.fullmatch, told)),
        grain=min(grains) if grains and 2 * len(grains) >= len(told) else None,
        recurring=len(told) < _MANY or 10 * len(set(told)) < 9 * len(told),
    )


def column_of(rows: Sequence[Sequence[str]], column: int) -> list[str]:
    """Return the cells of a column that there are."""
    return [row[column] for row in rows if column < len(row)]


def is_number(text: str) -> bool:
    """Return whether a cell is a finite decimal number."""
    return _NUMBER.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Return whether a cell has the form of an ISO 8601 date, with or without a time of day."""
    return _DATE.fullmatch(text) is not None


def _grain(cell: str, compact: bool) -> int | None:
    """Return the largest unit of which a time is a multiple, in nanoseconds; `None` if it is none."""
    if found := _DATE.fullmatch(cell):
        hour, minute, _, second, fraction = found.groups()[1:6]
        return _largest(hour, minute, second, int(Decimal(fraction or "0") * 10**9))
    if compact and (found := _COMPACT.fullmatch(cell)):
        _, hour, _, minute, second = found.groups()
        return _largest(hour, minute, second, 0)
    if not _UNIX_TIME.fullmatch(cell):
        return None
    whole = cell.partition(".")[0]
    # As `hour_by_size` has it: seconds up to 11 digits, then three digits more for each finer unit.
    scale = 10 ** (9 - 3 * max(0, (len(whole) - 9) // 3))
    return _of(int(Decimal(cell) * scale))


def _largest(hour: str | None, minute: str | None, second: str | None, nanoseconds: int) -> int:
    seconds = int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    return _of(seconds * 10**9 + nanoseconds)


def _of(time: int) -> int:
    return next(grain for grain in _GRAINS if time % grain == 0)
