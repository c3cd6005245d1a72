"""What interactions carry beside users and items: which columns there are, and where the core takes them from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.base.base import Base
from fractalrs.columns.types import timestamps_from_ticks
from fractalrs.errors import InputError
from fractalrs.expansion.options import Options

_LAST_DAY = 1 << 30
"""Dates are days in 32 bits; a test interaction may come after the last of them."""


@dataclass(frozen=True)
class Payload:
    """The columns of an expansion after users and items.

    Attributes
    ----------
    fields
        Their names and types, in the files' order: rating, timestamp, then those that are carried.
    table
        The base's values of the carried ones, rating included: one per entry.
    times
        The base's timestamps, int64 ticks, where interactions get times.
    ratings
        The base's ratings, float64, where they are multiplied with the reduced matrix.
    """

    fields: tuple[pa.Field, ...]
    table: pa.Table
    times: npt.NDArray[np.int64] | None
    ratings: npt.NDArray[np.float64] | None

    @classmethod
    def of(cls, base: Base, options: Options) -> "Payload":
        """Find the columns in the base; ratings that are multiplied the core makes.

        Raises
        ------
        InputError
            If the base lacks one of them.
        """
        wanted, multiplied = list(options.payload), options.multiplies
        payload = base.payload if base.payload is not None else pa.table({})
        there = payload.column_names
        for name in wanted:
            if name not in there:
                raise InputError(
                    f"the base has no column {name!r}; it has {', '.join(map(repr, there)) or 'none'}",
                    hint=f"make it with leave_last_out(interactions, payload={wanted})",
                )
        fields, carried = [], {}
        for name in ["rating", *wanted] if multiplied and not options.ratings else wanted:
            if name == "timestamp":
                if pa.types.is_date32(base.timestamp_type) and pc.max(payload[name]).as_py() >= _LAST_DAY:
                    raise InputError(f"a date is {_LAST_DAY} days after 1970 or later", hint="correct it")
                fields.append(pa.field(name, _written(base.timestamp_type), nullable=False))
            elif name == "rating" and multiplied:
                fields.append(pa.field(name, pa.float64(), nullable=False))
            else:
                carried[name] = payload[name].chunk(0).cast(_written(payload[name].type))
                fields.append(pa.field(name, carried[name].type, nullable=carried[name].null_count > 0))
        return cls(
            tuple(fields),
            pa.table(carried),
            _numbers(payload["timestamp"], np.int64) if options.timestamps else None,
            _numbers(payload["rating"], np.float64) if options.ratings == "kronecker" else None,
        )

    def columns(self) -> list[tuple[str, str, Any, Any, Any]]:
        """Give the core its columns: name, meaning, values, where texts start, which values are there."""
        columns = []
        for field in self.fields:
            values = starts = valid = None
            if field.name in self.table.column_names:
                values, starts, valid = _arrays(self.table[field.name].chunk(0))
            columns.append((field.name, _meaning(field.type), values, starts, valid))
        return columns

    def gather(
        self,
        sources: npt.NDArray[np.uint32],
        times: npt.NDArray[np.int64],
        ratings: npt.NDArray[np.float64],
    ) -> list[pa.Array]:
        """Make the columns of interactions from the entries they come from, and from what the core made for them."""
        rows = pa.array(sources)
        arrays = []
        for field in self.fields:
            if field.name in self.table.column_names:
                # Not combined, even where it is one chunk already: that would copy all of the base's values.
                arrays.append(self.table[field.name].chunk(0).take(rows))
            elif field.name == "timestamp":
                arrays.append(timestamps_from_ticks(pa.array(times), field.type))
            else:
                arrays.append(pa.array(ratings))
        return arrays


def _numbers(column: pa.ChunkedArray, kind: Any) -> npt.NDArray[Any]:
    return np.ascontiguousarray(column.chunk(0).to_numpy(zero_copy_only=False), dtype=kind)


def _written(kind: pa.DataType) -> pa.DataType:
    """Give the type in which a column of the base is written: Parquet knows time zones only as UTC."""
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz is not None else kind


def _meaning(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return str(kind.unit) + (" utc" if kind.tz else "")
    return "date" if pa.types.is_date32(kind) else "text" if pa.types.is_string(kind) else "number"


def _arrays(array: pa.Array) -> tuple[Any, Any, Any]:
    valid = None if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_string(array.type):
        text = pc.fill_null(array, "").cast(pa.large_string())
        _, starts, letters = text.buffers()
        letters = np.empty(0, np.uint8) if letters is None else np.frombuffer(letters, np.uint8)
        return letters, np.frombuffer(starts, np.int64)[text.offset : text.offset + len(text) + 1], valid
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    elif pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    if array.null_count:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False)), None, valid
