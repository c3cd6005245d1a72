"""RecBole's atomic files: ``NAME.train.inter`` and ``NAME.test.inter``, where NAME is the folder's."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.errors import InputError
from fractalrs.formats.format import Format, register
from fractalrs.formats.reader import SplitReader
from fractalrs.formats.text import length, write_lines

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def write(reader: SplitReader, folder: Path) -> None:
    """Write a split."""
    with pa.OSFile(str(folder / f"{folder.name}.{reader.split}.inter"), "wb") as file:
        _write(reader.batches(), reader.schema, file)


def size(reader: SplitReader) -> float:
    """Return about how many bytes a split has."""
    return reader.scaled(lambda sample: length(_write, sample))


def _write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any) -> None:
    if unfit := [name for name in schema.names if re.search(r'[:"\s]', name)]:
        raise InputError(f"RecBole cannot read a column named {unfit[0]!r}", hint="choose another format")
    header = "\t".join(f"{field.name}:{_type(field)}" for field in schema) + "\n"
    plain = pa.schema([field.with_type(_without_calendar(field.type)) for field in schema])
    write_lines((_seconds(batch, plain) for batch in batches), plain, sink, header, "\t")


def _type(field: pa.Field) -> str:
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp)
    number = any(is_number(field.type) for is_number in numbers)
    return "float" if number and field.name not in ("user_id", "item_id") else "token"


def _without_calendar(type: pa.DataType) -> pa.DataType:
    return pa.float64() if pa.types.is_timestamp(type) else type


def _seconds(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return points in time as seconds since 1970: RecBole reads numbers."""
    columns = [
        # Nanoseconds are beyond what a float keeps, and nobody misses those.
        pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), _PER_SECOND[column.type.unit])
        if pa.types.is_timestamp(column.type)
        else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, schema=schema)


register(Format("recbole", "atomic files", write, size))
