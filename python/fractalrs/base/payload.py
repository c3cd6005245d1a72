"""The payload of a base: columns that go along with its interactions, one row for each.

They are checked when they come from a caller, hashed into the fingerprint, and described and found again on disk.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.columns.names import check_names
from fractalrs.columns.types import as_carried, is_tick_type, one_chunk
from fractalrs.errors import InputError

MAX_ROWS = 2**32 - 1
"""A base with payload holds at most so many interactions: their rows are counted in 32 bits."""


class _Digest(Protocol):
    def update(self, data: Any, /) -> None: ...


def checked_payload(
    payload: Mapping[str, Any] | pa.Table,
    count: int,
    timestamp_type: pa.DataType | None,
    ticks_per_hour: int | None,
) -> tuple[pa.Table | None, pa.DataType | None]:
    """Check a payload that a caller gives.

    Parameters
    ----------
    payload
        Names to arrays, `count` values each; ``timestamp`` are integers, 0 or more.
    count
        Number of interactions.
    timestamp_type
        What the timestamps count ticks of; int64 by default.
    ticks_per_hour
        How many of them make an hour, `None` if that means nothing.

    Returns
    -------
    payload : pyarrow.Table or None
        Columns of the types that `fractalrs.columns.types.as_carried` gives, ``timestamp`` int64; `None` if there are
        none.
    timestamp_type : pyarrow.DataType or None
        `None` without timestamps.

    Raises
    ------
    InputError
        If two columns have one name, a column is of another length or an unusable type, there are too many
        interactions, or the timestamps are not what their type says.
    """
    try:
        table = payload if isinstance(payload, pa.Table) else pa.table(dict(payload))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"the payload is no table: {error}", hint="give names and arrays of equal length") from None
    names = table.column_names
    if "timestamp" not in names and (timestamp_type is not None or ticks_per_hour is not None):
        raise InputError("timestamp_type or ticks_per_hour is given for a payload without timestamp")
    if not names:
        return None, None
    check_names(["user_id", "item_id", *names])
    if table.num_rows != count:
        raise InputError(
            f"the payload has {table.num_rows:,} rows for {count:,} interactions", hint="give one for each"
        )
    check_payload_size(count)
    columns = {name: as_carried(table[name], name) for name in names}
    if "timestamp" not in names:
        return pa.table(columns), None

    ticks = columns["timestamp"]
    if not pa.types.is_integer(ticks.type) or ticks.null_count or pc.any(pc.less(ticks, 0)).as_py():
        raise InputError(
            f"the timestamp of a payload holds integers, 0 or more, none missing; saw {ticks.type}",
            hint="give dates as integers, and say with timestamp_type what these count",
        )
    if timestamp_type is not None and not is_tick_type(timestamp_type):
        raise InputError(f"timestamp_type is {timestamp_type}", hint="use int64, date32, or timestamp in ms, us or ns")
    if ticks_per_hour is not None and (isinstance(ticks_per_hour, bool) or ticks_per_hour < 1):
        raise InputError(f"ticks_per_hour must be a whole number, 1 or more, not {ticks_per_hour!r}")
    columns["timestamp"] = ticks.cast(pa.int64())
    return pa.table(columns), timestamp_type or pa.int64()


def check_payload_size(count: int) -> None:
    """Refuse more interactions than a base with payload can hold."""
    if count > MAX_ROWS:
        raise InputError(
            f"{count:,} interactions cannot have a payload, {MAX_ROWS:,} can", hint="leave the payload out"
        )


def in_one_chunk(payload: pa.Table) -> pa.Table:
    """Make one chunk of each column; nothing is copied where it is one already."""
    if all(column.num_chunks == 1 for column in payload.columns):
        return payload
    return pa.table({name: one_chunk(payload[name]) for name in payload.column_names})


def update_digest(
    digest: _Digest, payload: pa.Table, timestamp_type: pa.DataType | None, ticks_per_hour: int | None
) -> None:
    """Feed names, types, values and the meaning of the timestamps to a hash, whatever the values' layout in memory."""
    digest.update(json.dumps(describe_payload(payload, timestamp_type, ticks_per_hour)).encode())
    for column in payload.columns:
        values = column.chunk(0)
        digest.update(values.null_count.to_bytes(8, "little"))
        if values.null_count:
            digest.update(_bytes(values.is_valid()))
        if pa.types.is_string(values.type):
            values = values.fill_null("") if values.null_count else values
            digest.update(_bytes(pc.binary_length(values)))
            digest.update(_text(values))
        else:
            digest.update(_bytes(values))


def describe_payload(
    payload: pa.Table, timestamp_type: pa.DataType | None, ticks_per_hour: int | None
) -> dict[str, Any]:
    """Say for `base.json` what a payload holds; `load_payload` reads it."""
    description: dict[str, Any] = {"columns": {field.name: str(field.type) for field in payload.schema}}
    if timestamp_type is not None:
        is_zoned = pa.types.is_timestamp(timestamp_type)
        description["timestamp"] = {
            "type": str(pa.timestamp(timestamp_type.unit) if is_zoned else timestamp_type),
            "zone": timestamp_type.tz if is_zoned else None,
            "ticks_per_hour": ticks_per_hour,
        }
    return description


def load_payload(
    file: Path, description: Mapping[str, Any], count: int
) -> tuple[pa.Table, pa.DataType | None, int | None]:
    """Map a saved payload into memory.

    Parameters
    ----------
    file
        The Arrow file.
    description
        What `describe_payload` said when it was saved.
    count
        Number of interactions.

    Returns
    -------
    payload : pyarrow.Table
    timestamp_type : pyarrow.DataType or None
    ticks_per_hour : int or None

    Raises
    ------
    ValueError
        If the file does not hold what the description says.
    KeyError, TypeError
        If the description is not one.
    """
    payload = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    found = {field.name: str(field.type) for field in payload.schema}
    if found != description["columns"] or payload.num_rows != count:
        raise ValueError(f"{payload.num_rows} rows of {found}")
    timestamp = description.get("timestamp")
    if timestamp is None:
        return payload, None, None
    kind = pa.type_for_alias(timestamp["type"])
    if timestamp["zone"] is not None:
        kind = pa.timestamp(kind.unit, timestamp["zone"])
    return payload, kind, timestamp["ticks_per_hour"]


def _bytes(values: pa.Array) -> memoryview:
    """Give values of a fixed width as little-endian bytes, zero where they are missing."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    elif pa.types.is_temporal(values.type):
        values = values.view(pa.int32() if pa.types.is_date(values.type) else pa.int64())
    array: npt.NDArray[Any] = (values.fill_null(0) if values.null_count else values).to_numpy()
    return array.astype(array.dtype.newbyteorder("<"), copy=False).data


def _text(values: pa.StringArray) -> memoryview:
    """Give the bytes of all texts, one after another."""
    _, ends, data = values.buffers()
    if data is None:
        return memoryview(b"")
    ends = np.frombuffer(ends, dtype=np.int32)
    return memoryview(data)[ends[values.offset] : ends[values.offset + len(values)]]
