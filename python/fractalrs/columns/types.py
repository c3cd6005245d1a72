"""What the columns of a source become: ratings are numbers, timestamps times or integers, others keep their type.

A timestamp keeps the type of its source: int64 for plain numbers, ``timestamp[ms | us | ns]`` with the source's time
zone, or date32. `ticks` gives the integers below, so that arithmetic needs no calendar, and `timestamps_from_ticks` the
type back without touching a number. Plain numbers count what their source counts: the hour that they tell by their
size is kept beside them, in the metadata of the field.
"""

from bisect import bisect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.columns.calendar import written_as_integers
from fractalrs.errors import InputError
from fractalrs.tools import resolve_threads
from fractalrs.words import WARNING

CORRECT_ROW = "correct or remove the row"

_TICKS_PER_HOUR = {"ms": 3_600_000, "us": 3_600_000_000, "ns": 3_600_000_000_000}
_UNITS = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
# Plain numbers since 1970 tell their unit by their size: each of these bounds is 3 March 1973 in a finer unit, and
# three zeros more are needed to mistake one unit for the next.
_BOUNDS = (10**8, 10**11, 10**14, 10**17, 2**63)
_PLAIN_UNITS = (("seconds", 3600), *((_UNITS[unit], ticks) for unit, ticks in _TICKS_PER_HOUR.items()))

PARQUET_TYPES = {
    **{kind: (kind, "NONE") for kind in (pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64())},
    pa.string(): (pa.large_string(), "STRING"),
    pa.date32(): (pa.int32(), "DATE"),
    **{
        pa.timestamp(unit, zone): (pa.int64(), f"TIMESTAMP({word},{zone is not None})")
        for unit, word in (("ms", "MILLIS"), ("us", "MICROS"), ("ns", "NANOS"))
        for zone in (None, "UTC")
    },
}
"""The types that are written: what Parquet stores, booleans, 32 or 64 bits or bytes, and what its schemas call that."""

_HOUR = b"fractalrs.ticks_per_hour"
_UNKNOWN = b"unknown"


def as_ratings(column: pa.ChunkedArray) -> pa.Array:
    """Return ratings as int64 or float64.

    Raises
    ------
    InputError
        If they are no numbers, or one is missing or not finite; the message has the first such row, counted from 1.
    """
    kind = column.type
    whole = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    try:
        ratings = one_chunk(column.cast(pa.int64() if whole else pa.float64()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"rating has the type {kind}: {error}", hint=_or_decline("give ratings as numbers", "rating")
        ) from None
    _refuse_missing(ratings, "rating")
    if pa.types.is_floating(ratings.type):
        _refuse_rows(pc.invert(pc.is_finite(ratings)), "rating", "is not a finite number")
    return ratings


def as_timestamps(column: pa.ChunkedArray) -> tuple[pa.Array, str | None]:
    """Return timestamps in the type that they will be written in, and a sentence on what was changed, if anything was.

    That is int64 for plain numbers, ``timestamp[ms | us | ns]`` with the time zone of the source, or date32.

    Raises
    ------
    InputError
        If they are neither numbers nor dates, or one is missing, not finite, negative or beyond 64 bits; the message
        has the first such row, counted from 1.
    """
    values, kind, note = one_chunk(column), pa.int64(), None
    _refuse_missing(values, "timestamp")
    if is_text(values.type):
        values = _parse_timestamps(values)
    if pa.types.is_floating(values.type):
        _refuse_rows(pc.invert(pc.is_finite(values)), "timestamp", "is not a finite number")
        whole = pc.floor(values.cast(pa.float64()))
        if not whole.equals(values.cast(pa.float64())):
            note = _on_fractions(values, whole)
        values = whole
    elif is_time(values.type):
        kind = written_type(values.type)
        unit = "days" if pa.types.is_date(kind) else _UNITS[kind.unit]
        note = f"timestamp: dates, counted in {unit} since 1970."
    elif not pa.types.is_integer(values.type):
        raise InputError(
            f"timestamp has the type {values.type}",
            hint=_or_decline("give timestamps as numbers or dates", "timestamp"),
        )
    try:
        values = values.cast(kind)
    except pa.ArrowInvalid as error:
        raise InputError(f"a timestamp is beyond 64 bits: {error}", hint="use a coarser unit") from None
    if kind == pa.int64() and (dates := written_as_integers(values)) is not None:
        _refuse_negative(_integers(dates), "is before 1970")
        note = f"timestamp: integers such as {values[0].as_py()} are dates, kept as {dates.type}."
        values = dates
    _refuse_negative(_integers(values), "is negative")
    return values, note


def as_carried(column: pa.ChunkedArray, name: str) -> pa.Array:
    """Return a further column in its own type if that is one of `PARQUET_TYPES`, else in the next one, its nulls kept.

    Narrower integers become int32, others int64, float16 float32, all of Arrow's texts, dictionary-encoded or not,
    string, date64 date32, timestamps in seconds those in ms; time zones stay.

    Raises
    ------
    InputError
        If it is of another type, an unsigned integer does not fit int64, or its text is longer than 2 GiB.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    wanted = _carried_type(kind)
    if wanted is None:
        raise InputError(
            f"the column {name!r} has the type {column.type}, which cannot be carried",
            hint="carry booleans, integers, floating-point numbers, text, dates and timestamps; cast it, or leave it "
            "out",
        )
    try:
        values = one_chunk(column)
        return values if values.type == wanted else values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowCapacityError) as error:
        raise InputError(
            f"the column {name!r} of type {kind} cannot be carried as {wanted}: {error}",
            hint="make its values shorter, or leave it out" if is_text(kind) else "cast it to text, or leave it out",
        ) from None


def timestamps_from_ticks(ticks: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return int64 ticks in a type of timestamps; nothing is computed, and nothing copied unless `kind` is date32."""
    return ticks.cast(pa.int32()).view(kind) if pa.types.is_date(kind) else ticks.view(kind)


def ticks(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.int64]:
    """Return timestamps, dates or integers as int64 ticks of their type: days for dates, milliseconds for ``ms``.

    Examples
    --------
    >>> ticks(pa.array(["1970-01-02"]).cast(pa.date32()))
    array([1])
    """
    return np.asarray(_integers(column), dtype=np.int64)


def numbers(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.float64]:
    """Return a column of numbers as float64, NaN where one is missing."""
    return np.asarray(column.cast(pa.float64()), dtype=np.float64)


def timestamp_field(kind: pa.DataType, ticks_per_hour: int | None = None) -> pa.Field:
    """Return the field of a column of timestamps; that of plain numbers keeps how many of them make an hour, if known.

    Raises
    ------
    InputError
        If an hour is no whole number of them.

    Examples
    --------
    >>> ticks_per_hour(timestamp_field(pa.int64(), 60)), ticks_per_hour(timestamp_field(pa.timestamp("ms")))
    (60, 3600000)
    """
    if not pa.types.is_integer(kind):
        return pa.field("timestamp", kind)
    if ticks_per_hour is not None and (isinstance(ticks_per_hour, bool) or ticks_per_hour < 1):
        raise InputError(f"ticks_per_hour must be a whole number, 1 or more, not {ticks_per_hour!r}")
    hour = _UNKNOWN if ticks_per_hour is None else str(ticks_per_hour).encode()
    return pa.field("timestamp", kind, metadata={_HOUR: hour})


def settled_field(field: pa.Field, timestamps: pa.Array) -> pa.Field:
    """Return the field of a column of timestamps, its hour decided by the size of the numbers unless it was before."""
    known = not pa.types.is_integer(field.type) or _HOUR in (field.metadata or {})
    return timestamp_field(field.type, ticks_per_hour(field) if known else hour_by_size(ticks(timestamps)))


def ticks_per_hour(field: pa.Field) -> int | None:
    """Return how many ticks of a column of timestamps make an hour.

    `None` where an hour has no whole number of them, as of dates, or where numbers do not tell what they count.
    """
    if pa.types.is_timestamp(field.type):
        return _TICKS_PER_HOUR[field.type.unit]
    hour = (field.metadata or {}).get(_HOUR, _UNKNOWN)
    if hour == _UNKNOWN:
        return None
    if not hour.isdigit() or int(hour) < 1:
        told = hour.decode(errors="replace")
        raise InputError(f"{_HOUR.decode()} of the field {field.name!r} is {told!r}; it must be a number from 1 up")
    return int(hour)


def hour_by_size(ticks: npt.NDArray[np.int64]) -> int | None:
    """Return how many of the plain numbers of a source, none negative, make an hour, by their size.

    From 10⁸ on they count seconds since 1970, from 10¹¹ milliseconds, from 10¹⁴ microseconds, from 10¹⁷ nanoseconds;
    zeros stand for an unknown time and do not matter. `None` where numbers below 10⁸ tell that they count something
    else, such as years or steps.

    Raises
    ------
    InputError
        If numbers from 10⁸ on are not all of one unit. The message has the first row whose unit differs from that of
        the first, counted from 1, and both values.
    """
    if len(ticks) and (least := ticks.min()) >= _BOUNDS[0] and _unit(least) == _unit(ticks.max()):
        return _PLAIN_UNITS[_unit(least)][1]
    clear = ticks >= _BOUNDS[0]
    if not clear.any():
        return None
    first = int(np.argmax(clear))
    unit = _unit(ticks[first])
    if not _unit(ticks.min(where=clear, initial=ticks[first])) == unit == _unit(ticks.max()):
        other = int(np.argmax(clear & ((ticks < _BOUNDS[unit]) | (ticks >= _BOUNDS[unit + 1]))))
        raise InputError(
            f"row {other + 1}: the timestamp {ticks[other]} looks like {_PLAIN_UNITS[_unit(ticks[other])][0]} since "
            f"1970, and {ticks[first]} in row {first + 1} like {_PLAIN_UNITS[unit][0]}",
            hint="convert all timestamps to one unit, or correct the row",
        )
    return None if np.any((ticks > 0) & ~clear) else _PLAIN_UNITS[unit][1]


def written_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which dates and timestamps are written: Parquet knows neither seconds nor date64."""
    if pa.types.is_date(kind):
        return pa.date32()
    return pa.timestamp("ms", kind.tz) if kind.unit == "s" else kind


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array without dictionary."""
    chunks = [_decoded(chunk) if pa.types.is_dictionary(column.type) else chunk for chunk in column.chunks]
    if not chunks:
        return pa.array([], column.type)
    if len(chunks) > 1 and pa.types.is_integer(column.type) and not column.null_count:
        return pa.array(gathered(column, column.type.to_pandas_dtype(), lambda values, out: np.copyto(out, values)))
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def gathered(
    column: pa.ChunkedArray, kind: npt.DTypeLike, fill: Callable[[npt.NDArray[Any], npt.NDArray[Any]], Any]
) -> npt.NDArray[Any]:
    """Return one array that a function fills from chunks of numbers, side by side on threads: from each its own place.

    Examples
    --------
    >>> gathered(pa.chunked_array([[1, 2], [3]]), np.int64, lambda values, out: np.negative(values, out=out))
    array([-1, -2, -3])
    """
    out = np.empty(len(column), kind)

    def filled(chunk: pa.Array, end: int) -> None:
        fill(chunk.to_numpy(), out[end - len(chunk) : end])

    # Memory that nobody has used yet comes page by page: for columns that takes longer than all else done here.
    with ThreadPoolExecutor(resolve_threads(None)) as pool:
        list(pool.map(filled, column.chunks, accumulate(map(len, column.chunks))))
    return out


def owned(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column that does not change when the NumPy array does from which the caller made it: a copy of numbers.

    Examples
    --------
    >>> years = np.array([1999, 2001])
    >>> column = owned(pa.chunked_array([years]))
    >>> years[0] = 0
    >>> column.to_pylist()
    [1999, 2001]
    """
    if not pa.types.is_primitive(column.type):
        return column
    return pa.chunked_array([pa.concat_arrays([chunk]) for chunk in column.chunks], column.type)


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's types for text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_time(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's timestamps or dates."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _on_fractions(values: pa.Array, whole: pa.Array) -> str:
    """Return what is said of times that are rounded down; refuse where most of them would be one time."""
    times, left = pc.count_distinct(values).as_py(), pc.count_distinct(whole).as_py()
    if 2 * left < times and pc.max(values).as_py() < _BOUNDS[0]:
        row = pc.index(pc.not_equal(values.cast(pa.float64()), whole), True).as_py()
        raise InputError(
            f"row {row + 1}: the timestamp {values[row].as_py()} has a fraction, and without fractions {times:,} "
            f"different times would be {left:,}",
            hint=_or_decline("write whole numbers of something finer, or dates with times of day", "timestamp"),
        )
    said = "timestamp: fractions were rounded down to whole numbers"
    return f"{said}." if left == times else f"{WARNING}{said}, so that {times:,} different times are {left:,} now."


def _integers(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return (column.cast(pa.int32()) if pa.types.is_date32(column.type) else column).cast(pa.int64())


def _parse_timestamps(texts: pa.Array) -> pa.Array:
    # As BigQuery writes them.
    texts = pc.replace_substring_regex(texts.cast(pa.string()), r"(:\d\d(\.\d+)?) UTC$", r"\1Z")
    dates = [pa.timestamp(unit, zone) for zone in (None, "UTC") for unit in ("ms", "us", "ns")]
    problem = None
    for kind in (pa.int64(), pa.float64(), *dates):
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid as error:
            problem = error
    raise InputError(
        f"a timestamp is neither a number nor an ISO date: {problem}", hint="write 2024-01-31 or 2024-01-31T12:00:00"
    )


def _decoded(column: pa.DictionaryArray) -> pa.Array:
    values = column.dictionary
    # Polars' categories are views, which nothing gathers.
    return (values.cast(pa.string()) if pa.types.is_string_view(values.type) else values).take(column.indices)


def _carried_type(kind: pa.DataType) -> pa.DataType | None:
    if kind in PARQUET_TYPES:
        return kind
    if is_time(kind):
        return written_type(kind)
    if pa.types.is_integer(kind):
        return pa.int32() if kind.bit_width < 32 else pa.int64()
    if pa.types.is_float16(kind):
        return pa.float32()
    return pa.string() if is_text(kind) else None


def _unit(ticks: np.int64) -> int:
    return bisect(_BOUNDS, int(ticks)) - 1


def _or_decline(what: str, role: str) -> str:
    return f"{what}, or decline the column: {role}_column='none' (--{role}-column none)"


def _refuse_missing(values: pa.Array, role: str) -> None:
    if values.null_count:
        _refuse_rows(pc.is_null(values), role, "is missing")


def _refuse_negative(values: pa.Array, problem: str) -> None:
    if len(values) and pc.min(values).as_py() < 0:
        _refuse_rows(pc.less(values, 0), "timestamp", problem)


def _refuse_rows(bad: pa.BooleanArray, role: str, problem: str) -> None:
    row = pc.index(bad, True).as_py()
    if row >= 0:
        raise InputError(f"row {row + 1}: the {role} {problem}", hint=_or_decline(CORRECT_ROW, role))
