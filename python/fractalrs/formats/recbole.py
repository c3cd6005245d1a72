"""RecBole's atomic files: ``NAME.train.inter`` and ``NAME.test.inter``, where NAME is the folder's."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.errors import InputError
from fractalrs.formats.pieces import lines_of, register_text

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _header(schema: pa.Schema) -> str:
    if unfit := [name for name in schema.names if re.search(r'[:"\s]', name)]:
        raise InputError(f"RecBole cannot read a column named {unfit[0]!r}", hint="choose another format")
    return "\t".join(f"{field.name}:{_type(field)}" for field in schema) + "\n"


def _lines(batch: pa.RecordBatch) -> bytes:
    return lines_of(pa.record_batch([_seconds(column) for column in batch.columns], batch.schema.names), "\t")


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


register_text("recbole", "atomic files", "{folder}.{split}.inter", _header, _lines)
