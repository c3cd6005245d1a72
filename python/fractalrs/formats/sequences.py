"""One row per user, in Parquet: ``user_id`` and, for every further column, a list in stored order."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs.dataset import FileEntry, whole_users
from fractalrs.formats.format import Format, SplitReader, register
from fractalrs.tools import in_order


def _write(reader: SplitReader, folder: Path) -> None:
    """Write a split into a folder of its name, with the same files as in the data set."""
    (folder / reader.split).mkdir()
    schema = reader.schema

    def write_file(file: FileEntry) -> None:
        _write_users(reader.of_file(file), schema, folder / file.path)

    for _ in in_order(write_file, reader.files, reader.threads):
        pass


def _size(reader: SplitReader) -> float:
    def size(sample: pa.RecordBatch) -> int:
        sink = pa.BufferOutputStream()
        _write_users([sample], sample.schema, sink)
        return int(sink.getvalue().size)

    return reader.scaled(size)


def _write_users(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any) -> None:
    user, *others = schema
    lists = pa.schema(
        [user, *(pa.field(field.name, pa.list_(field.with_name("element")), nullable=False) for field in others)]
    )
    delta = [field.name for field in others if pa.types.is_integer(field.type) or pa.types.is_timestamp(field.type)]
    encodings = {"user_id": "DELTA_BINARY_PACKED"} | {f"{name}.list.element": "DELTA_BINARY_PACKED" for name in delta}
    # Dictionaries serve what is left: texts, and ratings, which have few values.
    dictionary = [f"{field.name}.list.element" for field in others if field.name not in delta]
    with pq.ParquetWriter(
        sink, lists, compression="lz4", use_dictionary=dictionary or False, column_encoding=encodings
    ) as writer:
        for table in whole_users(batches):
            writer.write_batch(_grouped(table.combine_chunks().to_batches()[0], lists))


def _grouped(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return one row for each user."""
    starts = np.flatnonzero(np.diff(batch["user_id"].to_numpy(), prepend=-1))
    offsets = pa.array(np.append(starts, len(batch)), pa.int32())
    lists = [
        pa.ListArray.from_arrays(offsets, column, type=field.type)
        for field, column in zip(list(schema)[1:], batch.columns[1:], strict=True)
    ]
    return pa.record_batch([batch["user_id"].take(pa.array(starts)), *lists], schema=schema)


register(Format("sequences", "Parquet, one row per user with lists", _write, _size))
