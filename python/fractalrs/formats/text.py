"""What formats of text share."""

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.csv

from fractalrs.errors import InputError


def write_lines(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Any, header: str, delimiter: str) -> None:
    """Write a header as it stands, then a line for each interaction."""
    # pyarrow would put every name in quotes, which RecBole does not take off.
    sink.write(header.encode())
    options = pa.csv.WriteOptions(include_header=False, delimiter=delimiter)
    try:
        with pa.csv.CSVWriter(sink, schema, write_options=options) as writer:
            for batch in batches:
                writer.write_batch(batch)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InputError(f"a column cannot be written as text: {error}", hint="choose another format") from None


def length(write: Callable[[Iterable[pa.RecordBatch], pa.Schema, Any], None], sample: pa.RecordBatch) -> int:
    """Return how many bytes a sample has when it is written."""
    sink = pa.BufferOutputStream()
    write([sample], sample.schema, sink)
    return int(sink.getvalue().size)
