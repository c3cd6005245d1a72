"""RecBole's atomic files: ``NAME.train.inter`` and ``NAME.test.inter``, where NAME is the folder's."""

import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.errors import InputError
from fractalrs.formats.pieces import register_text, write_lines

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any) -> None:
    if unfit := [name for name in schema.names if re.search(r'[:"\s]', name)]:
        raise InputError(f"RecBole cannot read a column named {unfit[0]!r}", hint="choose another format")
    header = "\t".join(f"{field.name}:{_type(field)}" for field in schema) + "\n"
    plain = pa.schema(
        [field.with_type(pa.float64()) if pa.types.is_timestamp(field.type) else field for field in schema]
    )
    lines = (pa.record_batch([_seconds(column) for column in batch.columns], schema=plain) for batch in batches)
    write_lines(lines, plain, sink, header, "\t")


def _type(field: pa.Field) -> str:
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp)
    number = any(is_number(field.type) for is_number in numbers)
    return "float" if number and field.name not in ("user_id", "item_id") else "token"


def _seconds(column: pa.Array) -> pa.Array:
    """Return points in time as seconds since 1970, for RecBole reads numbers; other columns as they are."""
    if not pa.types.is_timestamp(column.type):
        return column
    # Nanoseconds are beyond what a float keeps, and nobody misses those.
    return pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), _PER_SECOND[column.type.unit])


register_text("recbole", "atomic files", "{folder}.{split}.inter", _write)
