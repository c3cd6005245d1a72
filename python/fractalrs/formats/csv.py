"""CSV: ``train.csv`` and ``test.csv``, all columns, with a header."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from fractalrs.formats.format import Format, register
from fractalrs.formats.reader import SplitReader
from fractalrs.formats.text import length, write_lines


def write(reader: SplitReader, folder: Path) -> None:
    """Write a split."""
    with pa.OSFile(str(folder / f"{reader.split}.csv"), "wb") as file:
        _write(reader.batches(), reader.schema, file)


def size(reader: SplitReader) -> float:
    """Return about how many bytes a split has."""
    return reader.scaled(lambda sample: length(_write, sample))


def _write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any) -> None:
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(schema.names)
    write_lines(batches, schema, sink, header.getvalue(), ",")


register(Format("csv", "train.csv and test.csv, all columns", write, size))
