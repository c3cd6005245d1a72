"""Text: CSV, and the atomic files of RecBole."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fractalrs.errors import InputError
from fractalrs.formats.split import Split

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def write_csv(split: Split, folder: Path) -> None:
    """Write a split as ``train.csv`` or ``test.csv``, all columns."""
    with pa.OSFile(str(folder / f"{split.name}.csv"), "wb") as file:
        _write_csv(split.batches(), split.schema, file)


def csv_size(split: Split) -> float:
    """Estimate the bytes of a split as CSV."""
    return split.scaled(lambda sample: _length(_write_csv, sample))


def write_recbole(split: Split, folder: Path) -> None:
    """Write a split as ``NAME.train.inter`` or ``NAME.test.inter``, where NAME is the folder's."""
    with pa.OSFile(str(folder / f"{folder.name}.{split.name}.inter"), "wb") as file:
        _write_recbole(split.batches(), split.schema, file)


def recbole_size(split: Split) -> float:
    """Estimate the bytes of a split as an atomic file."""
    return split.scaled(lambda sample: _length(_write_recbole, sample))


def _write_csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any) -> None:
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(schema.names)
    _write(batches, schema, sink, header.getvalue(), ",")


def _write_recbole(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any) -> None:
    if unfit := [name for name in schema.names if re.search(r'[:"\s]', name)]:
        raise InputError(f"RecBole cannot read a column named {unfit[0]!r}", hint="choose another format")
    header = "\t".join(f"{field.name}:{_recbole_type(field)}" for field in schema) + "\n"
    plain = pa.schema([field.with_type(_without_calendar(field.type)) for field in schema])
    _write((_seconds(batch, plain) for batch in batches), plain, sink, header, "\t")


def _recbole_type(field: pa.Field) -> str:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp)
    number = any(is_kind(field.type) for is_kind in kinds)
    return "float" if number and field.name not in ("user_id", "item_id") else "token"


def _without_calendar(type: pa.DataType) -> pa.DataType:
    return pa.float64() if pa.types.is_timestamp(type) else type


def _seconds(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Turn points in time into seconds since 1970: RecBole reads numbers."""
    columns = [
        # Nanoseconds are beyond what a float keeps, and nobody misses those.
        pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), _PER_SECOND[column.type.unit])
        if pa.types.is_timestamp(column.type)
        else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, schema=schema)


def _write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any, header: str, delimiter: str) -> None:
    # pyarrow would put every name in quotes, which RecBole does not take off.
    sink.write(header.encode())
    options = pa.csv.WriteOptions(include_header=False, delimiter=delimiter)
    try:
        with pa.csv.CSVWriter(sink, schema, write_options=options) as writer:
            for batch in batches:
                writer.write_batch(batch)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InputError(f"a column cannot be written as text: {error}", hint="choose another format") from None


def _length(write: Any, sample: pa.RecordBatch) -> int:
    sink = pa.BufferOutputStream()
    write([sample], sample.schema, sink)
    return int(sink.getvalue().size)
