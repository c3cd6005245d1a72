"""The payload of a base: columns that go along with its interactions, one row for each.

They are checked when they come from a caller, hashed into the fingerprint, and described for ``base.json``. The column
``timestamp`` keeps its type; where that is int64, the metadata of its field says what an hour is
(`fractalrs.columns.ticks_per_hour`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.columns import (
    as_carried,
    as_timestamps,
    check_names,
    is_time,
    one_chunk,
    owned,
    settled_field,
    ticks_per_hour,
)
from fractalrs.errors import InputError

MAX_ROWS = 2**32 - 1
"""A base with payload holds at most so many interactions: their rows are counted in 32 bits."""


def checked_payload(payload: Mapping[str, Any] | pa.Table, count: int) -> pa.Table | None:
    """Return a payload of `count` rows that a caller gives, after checking it; `None` if it has no columns.

    Columns get the types of `as_carried` and `as_timestamps` of `fractalrs.columns`.
    """
    try:
        table = payload if isinstance(payload, pa.Table) else pa.table(dict(payload))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
        raise InputError(f"the payload is no table: {error}", hint="give names and arrays of equal length") from None
    if not table.column_names:
        return None
    check_names(["user_id", "item_id", *table.column_names])
    if table.num_rows != count:
        raise InputError(
            f"the payload has {table.num_rows:,} rows for {count:,} interactions", hint="give one for each"
        )
    check_payload_size(count)
    return in_one_chunk(_with_columns(table.schema, map(_checked, map(owned, table.columns), table.column_names)))


def check_payload_size(count: int, most: int = MAX_ROWS) -> None:
    """Refuse more interactions than a base with payload can hold."""
    if count > most:
        raise InputError(f"{count:,} interactions cannot have a payload, {most:,} can", hint="leave the payload out")


def in_one_chunk(payload: pa.Table) -> pa.Table:
    """Return a payload with one chunk a column and its hour settled; nothing is copied where it is so already."""
    if any(column.num_chunks != 1 for column in payload.columns):
        payload = _with_columns(payload.schema, map(one_chunk, payload.columns))
    if "timestamp" not in payload.column_names:
        return payload
    at = payload.column_names.index("timestamp")
    field = payload.schema.field(at)
    return payload.set_column(at, settled_field(field, payload.column(at).chunk(0)), payload.column(at))


def digested(payload: pa.Table) -> Iterator[bytes | memoryview]:
    """Yield names, types and values as they are hashed, whatever the values' layout in memory."""
    yield json.dumps(describe_payload(payload)).encode()
    for column in payload.columns:
        values = column.chunk(0)
        yield values.null_count.to_bytes(8, "little")
        if values.null_count:
            yield _bytes(values.is_valid())
        if not pa.types.is_primitive(values.type):
            values = values.fill_null("") if values.null_count else values
            yield _bytes(pc.binary_length(values))
            yield _text(values)
        else:
            yield _bytes(values)


def describe_payload(payload: pa.Table) -> dict[str, Any]:
    """Return what `base.json` says of a payload: types of columns, and how many ticks of its timestamps an hour has."""
    description: dict[str, Any] = {"columns": {field.name: str(field.type) for field in payload.schema}}
    if "timestamp" in payload.column_names:
        description["ticks_per_hour"] = ticks_per_hour(payload.schema.field("timestamp"))
    return description


def _with_columns(schema: pa.Schema, columns: Iterable[pa.Array]) -> pa.Table:
    """Return a table of other columns, perhaps of other types, that keep the metadata of their fields."""
    arrays = list(columns)
    fields = [field.with_type(array.type) for field, array in zip(schema, arrays, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _checked(column: pa.ChunkedArray, name: str) -> pa.Array:
    if name != "timestamp":
        return as_carried(column, name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_integer(kind) or is_time(kind)):
        raise InputError(
            f"the timestamp of a payload holds integers, dates or times; saw {column.type}",
            hint="cast it, or read it with read_interactions",
        )
    try:
        return as_timestamps(column)[0]
    except InputError as error:
        raise InputError(f"the payload: {error.message}", hint=error.hint) from None


def _bytes(values: pa.Array) -> memoryview:
    """Return values of a fixed width as little-endian bytes, zero where they are missing."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    elif pa.types.is_temporal(values.type):
        values = values.view(pa.int32() if values.type.bit_width == 32 else pa.int64())
    array: npt.NDArray[Any] = (values.fill_null(0) if values.null_count else values).to_numpy()
    return array.astype(array.dtype.newbyteorder("<"), copy=False).data


def _text(values: pa.Array) -> memoryview:
    """Return the bytes of all texts, one after another."""
    _, ends, data = values.buffers()
    if data is None:
        return memoryview(b"")
    ends = np.frombuffer(ends, dtype=np.int32)
    return memoryview(data)[ends[values.offset] : ends[values.offset + len(values)]]
