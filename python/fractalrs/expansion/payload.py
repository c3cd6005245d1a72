"""What interactions carry beside users and items: which columns there are, and where the core takes them from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.base import Base
from fractalrs.columns import PARQUET_TYPES, numbers, ticks, ticks_per_hour, timestamps_from_ticks
from fractalrs.errors import InputError
from fractalrs.expansion.options import Options
from fractalrs.tools import Shown

_LAST_DAY = 1 << 30
"""Dates are days in 32 bits; a test interaction may come after the last of them."""


@dataclass(frozen=True, repr=False)
class Payload(Shown):
    """The columns of an expansion after users and items."""

    fields: tuple[pa.Field, ...]
    """Their names and types, in the files' order: rating, timestamp, then those that are carried."""
    table: pa.Table
    """The base's values of the carried ones, rating included: one per entry."""
    times: npt.NDArray[np.int64] | None
    """The base's timestamps, ticks, where interactions get times."""
    hour: int | None
    """How many ticks of the base's timestamps an hour has, if that is known."""
    ratings: npt.NDArray[np.float64] | None
    """The base's ratings, where they are multiplied with the reduced matrix."""

    @classmethod
    def of(cls, base: Base, options: Options) -> "Payload":
        """Return the columns of an expansion of a base, if it has them all; multiplied ratings the core makes."""
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
                kind = payload[name].type
                if pa.types.is_date32(kind) and ticks(payload[name]).max() >= _LAST_DAY:
                    raise InputError(f"a date is {_LAST_DAY} days after 1970 or later", hint="correct it")
                fields.append(pa.field(name, _written(kind), nullable=False))
            elif name == "rating" and multiplied:
                fields.append(pa.field(name, pa.float64(), nullable=False))
            else:
                carried[name] = payload[name].chunk(0).cast(_written(payload[name].type))
                fields.append(pa.field(name, carried[name].type, nullable=carried[name].null_count > 0))
        return cls(
            tuple(fields),
            pa.table(carried),
            np.ascontiguousarray(ticks(payload["timestamp"].chunk(0))) if options.timestamps else None,
            ticks_per_hour(payload.schema.field("timestamp")) if "timestamp" in there else None,
            np.ascontiguousarray(numbers(payload["rating"].chunk(0))) if options.ratings == "kronecker" else None,
        )

    def columns(self) -> list[tuple[str, str, Any, Any, Any]]:
        """Return the columns as the core takes them: name, meaning, values, where texts start, which are there."""
        columns = []
        for field in self.fields:
            stored, meaning = PARQUET_TYPES[field.type]
            values = starts = valid = None
            if field.name in self.table.column_names:
                values, starts, valid = _arrays(self.table[field.name].chunk(0), stored)
            columns.append((field.name, meaning, values, starts, valid))
        return columns

    def gather(
        self,
        names: Sequence[str],
        sources: npt.NDArray[np.uint32],
        times: npt.NDArray[np.int64],
        ratings: npt.NDArray[np.float64],
    ) -> list[pa.Array]:
        """Return some columns of interactions: of the entries they come from, and as the core made them."""
        kinds = {field.name: field.type for field in self.fields}
        arrays = []
        for name in names:
            if name in self.table.column_names:
                # Not combined, even where it is one chunk already: that would copy all of the base's values.
                arrays.append(self.table[name].chunk(0).take(pa.array(sources)))
            elif name == "timestamp":
                arrays.append(timestamps_from_ticks(pa.array(times), kinds[name]))
            else:
                arrays.append(pa.array(ratings))
        return arrays


def _written(kind: pa.DataType) -> pa.DataType:
    """Return the type in which a column of the base is written: Parquet knows time zones only as UTC."""
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz is not None else kind


def _arrays(array: pa.Array, stored: pa.DataType) -> tuple[Any, Any, Any]:
    valid = None if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)
    # What is unsigned keeps its bits.
    array = array.cast(stored, safe=False)
    if array.null_count:
        array = array.fill_null(False if pa.types.is_boolean(stored) else 0 if pa.types.is_primitive(stored) else "")
    if pa.types.is_primitive(stored):
        return np.ascontiguousarray(array.to_numpy(zero_copy_only=False)), None, valid
    _, starts, letters = array.buffers()
    letters = np.empty(0, np.uint8) if letters is None else np.frombuffer(letters, np.uint8)
    return letters, np.frombuffer(starts, np.int64)[array.offset : array.offset + len(array) + 1], valid
