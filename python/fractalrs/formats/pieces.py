"""Files of text, and of NumPy's arrays, written piece by piece: what several formats share."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fractalrs._core import text_lines
from fractalrs.errors import InputError
from fractalrs.formats.format import Format, SplitReader, register

_FEW_TEXTS = 8
"""Numbers of which each occurs more often than that are written once each."""


def register_text(
    name: str,
    about: str,
    file_name: str,
    header: Callable[[pa.Schema], str],
    lines: Callable[[pa.RecordBatch], bytes],
) -> None:
    """Add a format of one file of text a split; ``{split}`` and ``{folder}`` in its name stand for theirs."""

    def write_split(reader: SplitReader, folder: Path) -> None:
        path = folder / file_name.format(split=reader.split, folder=folder.name)
        with path.open("wb") as file:
            file.write(header(reader.schema).encode())
            for text in reader.mapped(lines):
                file.write(text)

    def size(reader: SplitReader) -> float:
        return len(header(reader.schema)) + reader.scaled(lambda sample: len(lines(sample)))

    register(Format(name, about, write_split, size))


def lines_of(batch: pa.RecordBatch, delimiter: str) -> bytes:
    """Return a line for each interaction."""
    try:
        if any(_is_quoted(column.type) for column in batch.columns):
            sink = pa.BufferOutputStream()
            options = pa.csv.WriteOptions(include_header=False, delimiter=delimiter)
            pa.csv.write_csv(batch, sink, write_options=options)
            return bytes(sink.getvalue())
        return text_lines([_column(column) for column in batch.columns], delimiter)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InputError(f"a column cannot be written as text: {error}", hint="choose another format") from None


def _is_quoted(kind: pa.DataType) -> bool:
    """Return whether values may need quotes: what are no numbers, nor written like some."""
    bare = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_temporal, pa.types.is_decimal)
    return not any(is_bare(kind) for is_bare in bare)


def _column(column: pa.Array) -> Any:
    """Return whole numbers as they are, or all as texts: where each begins, and their bytes."""
    kind = column.type
    if pa.types.is_integer(kind) and kind != pa.uint64() and not column.null_count:
        values = column.to_numpy()
        return values if values.dtype in (np.int32, np.int64) else values.astype(np.int64)
    distinct = column.dictionary_encode()
    if len(distinct.dictionary) * _FEW_TEXTS < len(column):
        texts = distinct.dictionary.cast(pa.string()).take(distinct.indices)
    else:
        texts = column.cast(pa.string())
    # What is missing is an empty text.
    _, starts, characters = pc.fill_null(texts, "").buffers()
    return (
        np.frombuffer(starts, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1],
        np.frombuffer(characters or b"", dtype=np.uint8),
    )


def write_header(file: IO[bytes], dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
    """Begin an array of NumPy's format in C order; its bytes follow."""
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": shape})
