"""Files of text, and of NumPy's arrays, written piece by piece: what several formats share."""

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from fractalrs.errors import InputError
from fractalrs.formats.format import Format, Lines, SplitReader, register


def register_text(name: str, about: str, file_name: str, write: Lines) -> None:
    """Add a format of one file of text a split; ``{split}`` and ``{folder}`` in its name stand for theirs."""

    def write_split(reader: SplitReader, folder: Path) -> None:
        path = folder / file_name.format(split=reader.split, folder=folder.name)
        with pa.OSFile(str(path), "wb") as file:
            write(reader.batches(), reader.schema, file)

    register(Format(name, about, write_split, lambda reader: reader.length(write)))


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


def write_header(file: IO[bytes], dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
    """Begin an array of NumPy's format in C order; its bytes follow."""
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": shape})
