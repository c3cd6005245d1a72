"""CSV: ``train.csv`` and ``test.csv``, all columns, with a header."""

import csv
import io
from functools import partial

import pyarrow as pa

from fractalrs.formats.pieces import lines_of, register_text


def _header(schema: pa.Schema) -> str:
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(schema.names)
    return header.getvalue()


register_text("csv", "train.csv and test.csv, all columns", "{split}.csv", _header, partial(lines_of, delimiter=","))
