"""CSV: ``train.csv`` and ``test.csv``, all columns, with a header."""

import csv
import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from fractalrs.formats.pieces import register_text, write_lines


def _write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any) -> None:
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(schema.names)
    write_lines(batches, schema, sink, header.getvalue(), ",")


register_text("csv", "train.csv and test.csv, all columns", "{split}.csv", _write)
