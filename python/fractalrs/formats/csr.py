"""A sparse matrix in files that are mapped into memory: SciPy takes them as they are.

``train.indptr.npy`` (int64, users + 1), ``train.indices.npy`` (int64), ``train.data.npy`` (the ratings as float64, or
ones of int8) and ``train.json``; ``test.…`` likewise. Both index arrays are int64: SciPy copies what has two types.
"""

import errno
import json
import operator
import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.formats.format import Format, SplitReader, register
from fractalrs.formats.pieces import write_header
from fractalrs.tools import as_path, check_word, load_array, read_object, untrusted
from fractalrs.words import SPLITS, Split

if TYPE_CHECKING:
    import scipy.sparse as sp


_AGAIN = "export the data set again"
_LOOKED_AT = 1 << 22
"""So many ids are looked at at a time."""


def load_csr(path: str | os.PathLike[str], split: Split = "train") -> "sp.csr_array[Any, tuple[int, int]]":
    """Return an exported matrix, users × items, mapped into memory.

    Nothing is copied: the arrays are those on disk and cannot be changed. Their ids are looked at once, since SciPy
    would fault on ids that are out of range.
    Where a user's items do not rise (``has_sorted_indices`` is false, as it is unless the data set was expanded with
    ``order="item"``), what SciPy sorts in place fails: use ``sorted_indices()``, a copy in memory.

    Parameters
    ----------
    path, split
        What ``fr.export(dataset, path, format="csr")`` wrote, and ``"train"``, ``"valid"`` or ``"test"`` of it.

    Raises
    ------
    FileNotFoundError
        If there is no such matrix.
    InputError
        If a file is damaged, or the files do not fit together.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dataset = fr.write(fr.Expansion(base, fr.reduce(base, shape=(4, 8))), f"{folder}/out")
    ...     matrix = fr.load_csr(fr.export(dataset, f"{folder}/csr", format="csr"))
    ...     matrix.shape
    (240, 320)
    """
    # Takes longer to load than everything else that the exports need.
    import scipy.sparse as sp

    check_word("split", split, SPLITS)
    folder = as_path("path", path)
    about = folder / f"{split}.json"
    if not about.exists():
        raise FileNotFoundError(errno.ENOENT, f"holds no {split} matrix: there is no {about.name}", str(folder))
    with untrusted(about, _AGAIN):
        content = read_object(about.read_bytes(), about, _AGAIN)
        users, items = map(operator.index, content["shape"])
        rise = content["sorted_indices"] is True
    data, indices, indptr = (_mapped(folder / f"{split}.{part}.npy") for part in ("data", "indices", "indptr"))
    with untrusted(f"the files of the {split} matrix in {folder}", _AGAIN, "do not fit together"):
        _check(indptr, indices, data, users, items)
        matrix = sp.csr_array((data, indices, indptr), shape=(users, items), copy=False)
    # SciPy would read all indices to find out.
    matrix.has_sorted_indices = matrix.has_canonical_format = rise
    return matrix


def _mapped(file: Path) -> npt.NDArray[Any]:
    with untrusted(file, _AGAIN):
        return load_array(file, mapped=True)


def _check(indptr: npt.NDArray[Any], indices: npt.NDArray[Any], data: npt.NDArray[Any], users: int, items: int) -> None:
    """Refuse what is no matrix by a `ValueError`: SciPy's products trust what they are given."""
    for name, array, kinds, length in (
        ("indptr", indptr, "i", users + 1),
        ("indices", indices, "i", len(data)),
        ("data", data, "if", len(indices)),
    ):
        if array.ndim != 1 or array.dtype.kind not in kinds or len(array) != length:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    if indptr[0] != 0 or indptr[-1] != len(indices) or np.any(indptr[1:] < indptr[:-1]):
        raise ValueError(f"indptr does not rise from 0 to {len(indices):,}")
    for start in range(0, len(indices), _LOOKED_AT):
        some = indices[start : start + _LOOKED_AT]
        if some.min() < 0 or some.max() >= items:
            raise ValueError(f"an item is not within 0 to {items - 1:,}")


def _write(reader: SplitReader, folder: Path) -> None:
    user_count, item_count = reader.dataset.shape
    rated = _is_rated(reader.schema)
    with ExitStack() as stack:

        def begin(name: str, dtype: npt.DTypeLike, length: int) -> BinaryIO:
            file = stack.enter_context((folder / f"{reader.split}.{name}.npy").open("wb"))
            write_header(file, dtype, (length,))
            return file

        indptr = begin("indptr", np.int64, user_count + 1)
        indices = begin("indices", np.int64, reader.interactions)
        data = begin("data", np.float64 if rated else np.int8, reader.interactions)
        seen = next_user = 0
        rise, last = True, (-1, -1)
        make = partial(_Rows.of, rated=rated)
        for rows in reader.mapped(make, ["user_id", "item_id", *(["rating"] if rated else [])]):
            _write_offsets(indptr, rows, seen, next_user, int(rows.users[-1]) + 1, reader.batch_size)
            indices.write(rows.indices.data)
            data.write(rows.data.data)
            rise = rise and rows.rise and last < (rows.users[0], rows.indices[0])
            last, seen, next_user = (rows.users[-1], rows.indices[-1]), seen + len(rows.data), int(rows.users[-1]) + 1
        nobody = _Rows(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0), True)
        _write_offsets(indptr, nobody, seen, next_user, user_count + 1, reader.batch_size)
    about = {
        "shape": [user_count, item_count],
        "interactions": reader.interactions,
        "data": "rating" if rated else "ones",
        "sorted_indices": bool(rise),
    }
    (folder / f"{reader.split}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _size(reader: SplitReader) -> float:
    return 8 * (reader.dataset.shape[0] + 1) + reader.interactions * (16 if _is_rated(reader.schema) else 9)


def _is_rated(schema: pa.Schema) -> bool:
    """Return whether there are ratings, and they are numbers."""
    kind = schema.field("rating").type if "rating" in schema.names else pa.null()
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _ratings(batch: pa.RecordBatch) -> npt.NDArray[Any]:
    # One that is missing becomes NaN.
    return np.asarray(batch["rating"].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


@dataclass(frozen=True)
class _Rows:
    """What files get of a batch."""

    users: npt.NDArray[Any]  # Each once.
    starts: npt.NDArray[np.int64]  # Where each begins, and the end.
    indices: npt.NDArray[np.int64]
    data: npt.NDArray[Any]
    rise: bool  # Whether each user's items do.

    @classmethod
    def of(cls, batch: pa.RecordBatch, rated: bool) -> "_Rows":
        users, items = batch["user_id"].to_numpy(), batch["item_id"].to_numpy()
        others = np.flatnonzero(users[1:] != users[:-1]) + 1
        starts = np.concatenate(([0], others, [len(users)]))
        falls = items[1:] <= items[:-1]
        falls[others - 1] = False
        data = _ratings(batch) if rated else np.ones(len(batch), dtype=np.int8)
        return cls(users[starts[:-1]], starts, items.astype(np.int64), data, not falls.any())


def _write_offsets(file: BinaryIO, rows: _Rows, seen: int, first: int, last: int, at_once: int) -> None:
    """Write where the rows of users `first` to `last` (not included) begin: in pieces, for most may have none."""
    for start in range(first, last, at_once):
        ids = np.arange(start, min(start + at_once, last))
        file.write((seen + rows.starts[np.searchsorted(rows.users, ids)]).data)


register(Format("csr", "arrays that SciPy maps into memory", _write, _size))
