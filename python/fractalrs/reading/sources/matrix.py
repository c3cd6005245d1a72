"""SciPy's sparse matrices of users by items: in memory, and in ``.npz`` files."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.source import Asked, BatchSource, Source, SourceFormat, register, starts_with
from fractalrs.tools import load_arrays, untrusted

_INDICES = ("indptr", "indices", "row", "col", "coords", "offsets")


def _open_npz(path: Path, asked: Asked) -> Source:
    import scipy.sparse

    name = asked.name or str(path)
    hint = "write one with scipy.sparse.save_npz; if it is a ZIP archive, fetch it again: it is cut or damaged"
    with untrusted(name, hint, "is not a SciPy sparse matrix"):
        for part, array in load_arrays(path).items():
            if part in _INDICES and array.dtype.kind not in "iu":
                raise ValueError(f"{part} is {array.dtype}, no whole numbers")
        with path.open("rb") as file:
            matrix = scipy.sparse.load_npz(file)
        if hasattr(matrix, "check_format"):
            # Otherwise SciPy walks outside of its arrays.
            matrix.check_format(full_check=True)
    return _opened(matrix, name)


def _opened(matrix: Any, name: str) -> Source:
    if matrix.ndim != 2:
        raise InputError(f"{name} has {matrix.ndim} dimension instead of 2", hint="rows are users, columns are items")
    entries = matrix.tocoo()
    if entries.data.dtype.kind not in "biuf":
        raise InputError(f"{name} holds values of type {entries.data.dtype}", hint="ratings are real numbers")
    stored = entries.data != 0
    values = entries.data[stored]
    columns = {
        "user_id": pa.array(entries.row[stored].astype(np.int64)),
        "item_id": pa.array(entries.col[stored].astype(np.int64)),
    }
    notes = [f"Read {name} as a sparse matrix: row is user_id, column is item_id"]
    if (values != 1).any():
        columns["rating"] = pa.array(values.astype(np.float64 if values.dtype.kind == "f" else np.int64))
        notes[0] += ", value is rating"
    notes[0] += "."
    if not stored.all():
        notes.append(f"Left out {np.count_nonzero(~stored):,} stored zeros.")
    table = pa.table(columns)
    return BatchSource(
        name=name,
        notes=tuple(notes),
        names=table.column_names,
        fixed="a sparse matrix",
        batches=lambda numbers: table.select(numbers).to_batches(),
    )


def _is_matrix(value: Any) -> bool:
    # Whoever has one has loaded this.
    return "scipy.sparse" in sys.modules and bool(sys.modules["scipy.sparse"].issparse(value))


register(SourceFormat(("npz",), "a NumPy archive", lambda path: starts_with(path, b"PK\x03\x04"), _open_npz))
register(SourceFormat((), "a sparse matrix", _is_matrix, lambda matrix, asked: _opened(matrix, asked.called(matrix))))
