"""Moments that a user names, dates or plain numbers, as ticks of a column of timestamps."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from fractalrs.columns.types import ticks_per_hour
from fractalrs.errors import InputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HOUR = timedelta(hours=1) // _MICROSECOND
_DAY = 24 * _HOUR
_DIGITS = 8
"""Of a day that is written as a number."""
_FORM = "write 2024-01-31, 2024-01-31T12:00 (UTC, unless it says otherwise), or a number as the timestamps have"


def checked_moment(name: str, value: Any) -> str | int:
    """Return a moment as plain text or number; refuse what is none by the name of its option.

    Examples
    --------
    >>> checked_moment("test_after", date(2015, 1, 31)), checked_moment("test_after", "1420070400")
    ('2015-01-31', 1420070400)
    """
    text = value.isoformat() if isinstance(value, date) else str(value).strip()
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    # 20150131 is a day, as it is in sources.
    if not is_number and not (text.isdecimal() and len(text) != _DIGITS):
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise InputError(f"{name} is {value!r}, which is no date", hint=_FORM) from None
        return text
    number = int(value)
    if not 0 <= number < 1 << 62:
        raise InputError(f"{name} is {value}; a number of ticks is from 0 to 2^62 - 1", hint=_FORM)
    return number


def moment_ticks(name: str, moment: str | int, field: pa.Field) -> int:
    """Return the first tick of a column of timestamps that is not before a moment.

    Raises
    ------
    InputError
        If the moment is a date, and plain numbers do not tell what they count.

    Examples
    --------
    >>> moment_ticks("test_after", "1970-01-02T06:00", pa.field("timestamp", pa.date32()))
    2
    """
    if isinstance(moment, int):
        return moment
    given = datetime.fromisoformat(moment)
    since = (given if given.tzinfo else given.replace(tzinfo=UTC)) - _EPOCH
    microseconds, hour = since // _MICROSECOND, ticks_per_hour(field)
    if pa.types.is_date(field.type):
        return -(-microseconds // _DAY)
    if hour is None:
        raise InputError(
            f"{name} is the date {moment}, and the timestamps are numbers that do not tell what they count",
            hint="give a number such as they have",
        )
    return -(-microseconds * hour // _HOUR)


def shown_moment(tick: int, field: pa.Field) -> str:
    """Return a tick of a column of timestamps in words: as a date where it tells one.

    Examples
    --------
    >>> shown_moment(1_420_070_400_000, pa.field("timestamp", pa.timestamp("ms")))
    '2015-01-01T00:00:00'
    >>> shown_moment(7, pa.field("timestamp", pa.int64()))
    '7'
    """
    if pa.types.is_date(field.type):
        return str(np.datetime64(tick, "D"))
    hour = ticks_per_hour(field)
    return str(tick) if hour is None else str(np.datetime64(tick * 3600 // hour, "s"))
