"""An operator of one's own: a function that makes each block, in Python (equation 2 of the paper)."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy  # Its parts are loaded where they are used.

from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.tools import whole_file, write_labelled
from fractalrs.words import Split

Matrix: TypeAlias = "scipy.sparse.csr_array[np.float64, tuple[int, int]]"

BlockFunction = Callable[[Matrix, float, np.random.Generator], Any]
"""Makes one block: takes R (signed: +1 train, −1 test; shape (p, q)), the entry R̂ᵢⱼ and a random generator of the
block's own, and returns a matrix of R's shape, sparse or dense: positive entries are train, negative ones test, zeros
nothing. It may be called again for a block, and must then return the same: what is random comes from the generator."""


COUNTED_BLOCKS = 16
"""So many blocks are made to tell how many interactions a function will give."""

_functions: "WeakKeyDictionary[BlockFunction, str]" = WeakKeyDictionary()
_unhashable: dict[int, tuple[BlockFunction, str]] = {}
"""By the object's id, which is not given to another one while the object is kept here."""


def name_of(operator: str | BlockFunction) -> str:
    """Return an operator's name for plans.

    What a function does cannot be told from outside: each function object has a name of its own, and a data set that it
    began is finished only by the same object.
    """
    if isinstance(operator, str):
        return operator
    name = getattr(operator, "__qualname__", type(operator).__name__)
    own = uuid.uuid4().hex
    try:
        own = _functions.setdefault(operator, own)
    except TypeError:
        own = _unhashable.setdefault(id(operator), (operator, own))[1]
    return f"function {name} {own}"


class FunctionGenerator:
    """Generates what a function makes of blocks, as the core does for its own operators; Python's speed, one thread.

    A row block is made whole and kept while its users are asked for: memory grows with the multipliers here.
    """

    def __init__(
        self, base: Base, reduced: npt.NDArray[np.float64], function: BlockFunction, seed: int, schema: pa.Schema
    ) -> None:
        self._function, self._reduced, self._seed, self._schema = function, reduced, seed, schema
        self._matrix = scipy.sparse.csr_array(base.to_scipy().astype(np.float64))
        self._made: tuple[int, Matrix] | None = None

    def interactions(self, first: int, last: int, split: Split) -> tuple[npt.NDArray[Any], ...]:
        """Generate users of one split, as `_core.Generator.interactions` does: without sources, times and ratings."""
        users, items = self._splits(first, last)[split]
        return users, items, np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0)

    def pieces(self, first: int, last: int, split: Split) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        """Generate users of one split row block by row block, as `_core.Stream` does."""
        p = self._matrix.shape[0]
        while first < last:
            end = min(last, (first // p + 1) * p)
            yield self.interactions(first, end, split)
            first = end

    def _splits(self, first: int, last: int) -> dict[Split, list[npt.NDArray[Any]]]:
        """Generate user ids and item ids of all splits, so that each block is made once; none is for validation."""
        p, pieces = self._matrix.shape[0], [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
        while first < last:
            i, start = divmod(first, p)
            end = min(p, start + last - first)
            part = self._row_block(i)[start:end].tocoo()
            pieces.append((first + part.row.astype(np.int64), part.col.astype(np.int64), part.data))
            first += end - start
        *columns, signs = map(np.concatenate, zip(*pieces, strict=True))
        kinds = [field.type.to_pandas_dtype() for field in self._schema]
        ids = [column.astype(kind) for column, kind in zip(columns, kinds, strict=True)]
        chosen: dict[Split, Any] = {"train": signs > 0, "valid": slice(0), "test": signs < 0}
        return {split: [array[rows] for array in ids] for split, rows in chosen.items()}

    def count_some(self) -> npt.NDArray[np.int64]:
        """Make some blocks, or all where there are few, and count train and test interactions: shape (blocks, 2)."""
        m, n = self._reduced.shape
        chosen = np.sort(np.random.default_rng([self._seed, m, n]).permutation(m * n)[:COUNTED_BLOCKS])
        data = [self._block(*divmod(int(block), n)).data for block in chosen]
        return np.array([[(block > 0).sum(), (block < 0).sum()] for block in data])

    def _row_block(self, i: int) -> Matrix:
        if self._made is None or self._made[0] != i:
            blocks = [self._block(i, j) for j in range(self._reduced.shape[1])]
            self._made = i, scipy.sparse.csr_array(scipy.sparse.hstack(blocks, format="csr"))
        return self._made[1]

    def _block(self, i: int, j: int) -> Matrix:
        rng = np.random.default_rng([self._seed, i, j])
        shape, gave = self._matrix.shape, f"block ({i}, {j}): the operator gave"
        try:
            made = self._function(self._matrix.copy(), float(self._reduced[i, j]), rng)
        except TypeError as error:
            hint = "it must take R, the entry of the reduced matrix and a random generator"
            raise InputError(f"{gave} an error: {error}", hint) from error
        is_matrix = scipy.sparse.issparse(made) or isinstance(made, np.ndarray)
        if not is_matrix or made.ndim != 2:
            raise InputError(f"{gave} {type(made).__name__}, not a matrix", "return a matrix of the base's shape")
        if made.dtype.kind not in "biuf":
            raise InputError(f"{gave} entries of type {made.dtype}, not numbers", "return a matrix of numbers")
        block = scipy.sparse.csr_array(made)
        if block.shape != shape:
            hint = "return a matrix of the base's shape"
            raise InputError(f"{gave} a matrix of {block.shape}, it must be {shape}", hint)
        if not np.isfinite(block.data).all():
            raise InputError(f"{gave} entries that are not finite numbers", "return finite ones")
        block.sum_duplicates()
        block.eliminate_zeros()
        return block.astype(np.float64)

    def run(
        self,
        parts: Sequence[tuple[int, int, int, Any, Any, Any]],
        *,
        compression: str,
        row_group_size: int,
        stage: str,
        progress: Callable[[int, int], Any] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Make parts, as `_core.Generator.run` does; neither threads nor encodings make a difference."""
        reports: list[dict[str, Any]] = []
        made, started = 0, time.perf_counter()
        for index, first, last, *targets in parts:
            report: dict[str, Any] = {"index": index, "train": None, "valid": None, "test": None}
            for (split, ids), target in zip(self._splits(first, last).items(), targets, strict=True):
                made += len(ids[0]) if target is not None else 0
                if target is not None and stage != "generate":
                    table = pa.Table.from_arrays([*map(pa.array, ids)], schema=self._schema)
                    report[split] = _write(table, target, compression, row_group_size, stage)
            reports.append(report)
            if progress is not None:
                progress(made, len(reports))
        return {"parts": reports, "generating_seconds": time.perf_counter() - started, "encoding_seconds": 0.0}


def _write(table: pa.Table, target: Any, compression: str, row_group_size: int, stage: str) -> Any:
    """Write a part's file with the labels by which it is known again; return its rows, bytes and digest."""
    labels, tables = dict(target[1]), [table] if table.num_rows else []

    def write(file: BinaryIO | None) -> Any:
        return write_labelled(file, tables, table.schema, compression, row_group_size, labels)

    if stage == "encode":
        return write(None)
    with whole_file(Path(target[0])) as temporary, temporary.open("wb") as file:
        return write(file)
