"""Passes over the interactions of a base, an expansion or a data set: sums, products with vectors, neighbours."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from fractalrs import _core
from fractalrs.base.base import Base
from fractalrs.dataset.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.tools.machine import resolve_threads
from fractalrs.tools.progress import Report, progress_bar

if TYPE_CHECKING:
    from fractalrs.expansion.expansion import Expansion

Vectors = npt.NDArray[Any]
"""float32 or float64; what comes back has the type of what went in."""
Matrix = sp.csr_array[Any, tuple[int, int]]

PIECE_INTERACTIONS = 4_000_000
"""About how many interactions a piece of an expansion holds: enough to use its tables well."""
FEW_PIECES = 16
"""Where there would be fewer pieces, they are down to a quarter of that, so that threads have something to do."""

SUMS_BYTES = 1 << 30
"""How many bytes of dense sums all threads together may hold."""

DENSITY_BINS = 384
"""About how many bins a side of the density picture has."""


@dataclass(frozen=True)
class Violations:
    """How often something was seen that must not be, and the first place: user id and item id."""

    count: int
    first: tuple[int, int] | None


@dataclass(frozen=True)
class Degrees:
    """What one pass over all rows finds; (m, n) blocks of p users × q items.

    Attributes
    ----------
    user_train, user_test
        uint32, (m·p): interactions of each expanded user.
    item_train, item_test
        uint32, (n·q): interactions of each expanded item; these and the next are empty where items are not added up.
    item_user_degree
        uint64, (n·q): for each item the train sums of its train users added up; degree assortativity follows from it.
    block_train, block_test
        uint64, (m, n).
    density
        uint64: train interactions in bins of contiguous users × items, whole bins in each block.
    violations
        By name: ``out_of_range``, ``user_order``, ``item_order``, ``duplicates``, ``overlaps`` (train and test).
    """

    user_train: npt.NDArray[np.uint32]
    user_test: npt.NDArray[np.uint32]
    item_train: npt.NDArray[np.uint32]
    item_test: npt.NDArray[np.uint32]
    item_user_degree: npt.NDArray[np.uint64]
    block_train: npt.NDArray[np.uint64]
    block_test: npt.NDArray[np.uint64]
    density: npt.NDArray[np.uint64]
    violations: dict[str, Violations]


def _order(order: str, shuffle: str, timed: bool) -> str:
    """Tell in what order a user's interactions are: by block and unshuffled they are by item too."""
    return "item" if order == "block" and shuffle == "none" and not timed else order


class StreamedMatrix:
    """The interactions of a base, an expansion or a data set, to be gone through from the first user to the last.

    An expansion generates them in every pass, a data set reads its files: the same numbers come out of both.

    Parameters
    ----------
    source
        A `Base`, an `Expansion` or a `Dataset`.
    threads
        By default as many as this process may use.
    progress
        Show progress with time left on stderr when that is a terminal.
    users
        Of an expansion: only these users, whose ids rise, are generated; for `collect`.
    piece_interactions
        About how many interactions of a base or an expansion one thread goes through at a time.
    sums_bytes
        Where dense sums of all threads together would take more bytes, there are fewer threads.

    Raises
    ------
    InputError
        In every pass: if a file is damaged (names file and row group) or holds an id out of range, which `degrees`
        counts.
    """

    def __init__(
        self,
        source: "Base | Expansion | Dataset",
        *,
        threads: int | None = None,
        progress: bool = False,
        users: npt.NDArray[np.uint64] | None = None,
        piece_interactions: int = PIECE_INTERACTIONS,
        sums_bytes: int = SUMS_BYTES,
    ) -> None:
        self.shape = source.shape
        self.threads = resolve_threads(threads)
        self.progress = progress
        if isinstance(source, Dataset):
            manifest = source.manifest
            self.block_shape = (manifest["base_users"], manifest["base_items"])
            timed = any(column["name"] == "timestamp" for column in manifest["schema"])
            self.order = _order(manifest["order"], manifest["shuffle"], timed)
            self.interactions: float = source.totals["interactions"]
            self.pieces = [(first, last) for first, last in (part["users"] for part in manifest["parts"])]
            files = [
                (self._file(source, part, "train"), self._file(source, part, "test")) for part in manifest["parts"]
            ]
            self._rows = _core.StreamedMatrix.of_files(*self.shape, self.pieces, files, **self._means(sums_bytes))
        elif isinstance(source, Base):
            self.block_shape, self.order = source.shape, "item"
            self.interactions = source.count
            self.pieces = self._ranges(source.indptr, piece_interactions)
            self._rows = _core.StreamedMatrix.of_base(
                source.indptr, source.entries, source.shape[1], self.pieces, **self._means(sums_bytes)
            )
        else:
            if not isinstance(source.generator, _core.Generator):
                raise InputError("rows of an expansion made by a function are not measured here", "write it first")
            options = source.options
            self.block_shape = source.base.shape
            self.order = _order(options.order, options.shuffle, options.timestamps)
            self.interactions = source.expected_interactions
            if users is not None:
                self.pieces = [(int(user), int(user) + 1) for user in users]
            else:
                kept = np.ones(source.reduced.shape) if options.operator == "sketch" else source.keep_rates
                self.pieces = self._ranges(np.append(0, np.cumsum(kept.sum(axis=1))), piece_interactions)
            self._rows = _core.StreamedMatrix.of_expansion(source.generator, self.pieces, **self._means(sums_bytes))

    def _means(self, sums_bytes: int) -> dict[str, int]:
        return {"interactions": int(self.interactions), "threads": self.threads, "memory": sums_bytes}

    @staticmethod
    def _file(dataset: Dataset, part: dict[str, Any], split: str) -> Path | None:
        return dataset.path / part[split]["path"] if split in part else None

    def _ranges(self, before: npt.NDArray[Any], size: int) -> list[tuple[int, int]]:
        """Cut the users into pieces alike in interactions, of which so many come before each block of users.

        Pieces depend on the matrix alone: so do sums of floating-point numbers, on any number of threads.
        """
        users = self.shape[0]
        count = max(math.ceil(self.interactions / size), min(FEW_PIECES, math.ceil(4 * self.interactions / size)), 1)
        cuts = np.interp(np.arange(1, count) * (before[-1] / count), before, np.linspace(0, users, len(before)))
        return list(pairwise(np.unique([0, *cuts.astype(np.int64), users]).tolist()))

    def degrees(self, each_item: bool = True) -> Degrees:
        """Add up users, items and blocks, and look for everything that must not be, in one pass.

        Parameters
        ----------
        each_item
            Whether to add up each item, and to draw the density in bins. Without that, arrays of items are empty,
            blocks have one bin, and memory does not grow with the items; with it, a thread takes 16 bytes an item.
        """
        blocks = tuple(count // size for count, size in zip(self.shape, self.block_shape, strict=True))
        most = DENSITY_BINS if each_item else 0
        bins = tuple(max(1, min(size, most // count)) for count, size in zip(blocks, self.block_shape, strict=True))
        with self._bar("adding up") as report:
            found = self._rows.degrees(
                base_users=self.block_shape[0],
                base_items=self.block_shape[1],
                order_by_item=self.order == "item",
                bins=bins,
                each_item=each_item,
                progress=report,
            )
        return Degrees(
            found["user_train"],
            found["user_test"],
            found["item_train"],
            found["item_test"],
            found["item_user_degree"],
            found["block_train"].reshape(blocks),
            found["block_test"].reshape(blocks),
            found["density"].reshape(blocks[0] * bins[0], blocks[1] * bins[1]),
            {name: Violations(count, first) for name, (count, first) in found["violations"].items()},
        )

    def gram(self, x: Vectors, what: str = "multiplying") -> Vectors:
        """AᵀA x for the train part A and x of shape (items, width), float32 or float64: one pass."""
        with self._bar(what) as report:
            return self._rows.multiply("gram", np.ascontiguousarray(x), progress=report)

    def product(self, x: Vectors) -> Vectors:
        """A x for x of shape (items, width): one pass."""
        with self._bar("multiplying") as report:
            return self._rows.multiply("plain", np.ascontiguousarray(x), progress=report)

    def transposed_product(self, x: Vectors) -> Vectors:
        """Aᵀ x for x of shape (users, width): one pass."""
        with self._bar("multiplying") as report:
            return self._rows.multiply("transposed", np.ascontiguousarray(x), progress=report)

    def cooccurrence(self, chosen: npt.ArrayLike) -> npt.NDArray[np.uint32]:
        """Count for every item and each of the chosen items the train users of both: shape (items, chosen)."""
        with self._bar("comparing items") as report:
            return self._rows.cooccurrence(np.ascontiguousarray(chosen, dtype=np.uint32), progress=report)

    def collect(self, users: npt.ArrayLike, *, test: bool = False) -> Matrix:
        """Take the train (or test) rows of some users as a sparse matrix of ones, each row in its own order.

        Parameters
        ----------
        users
            Ids that rise.
        """
        chosen = np.ascontiguousarray(users, dtype=np.uint64)
        with self._bar("collecting rows") as report:
            starts, items = self._rows.collect(chosen, test=test, progress=report)
        return sp.csr_array((np.ones(len(items)), items, starts.astype(np.int64)), shape=(len(chosen), self.shape[1]))

    def nearest(
        self, users: npt.ArrayLike, rows: Matrix, group: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Find the nearest user (cosine of train rows) of each given row in each group of consecutive users.

        Parameters
        ----------
        users, rows
            Ids that rise and their train rows, as from `collect`.
        group
            Users a group, such as p for row blocks.

        Returns
        -------
        tuple of arrays, shape (rows, groups)
            The users, −1 where none shares an item; and the cosines.
        """
        chosen = np.ascontiguousarray(users, dtype=np.uint64)
        starts, items = rows.indptr.astype(np.uint64), rows.indices.astype(np.int64)
        with self._bar("comparing users") as report:
            found, squares = self._rows.nearest(chosen, starts, items, group=group, progress=report)
        shape = (len(chosen), -(-self.shape[0] // group))
        return found.reshape(shape), np.sqrt(squares).reshape(shape)

    def as_linear_operator(self) -> LinearOperator:
        """The train part as a SciPy operator in float64; every product is a pass over all rows."""
        return LinearOperator(
            shape=self.shape,
            dtype=np.float64,
            matvec=lambda x: self.product(np.asarray(x, dtype=np.float64).reshape(-1, 1))[:, 0],
            rmatvec=lambda x: self.transposed_product(np.asarray(x, dtype=np.float64).reshape(-1, 1))[:, 0],
            matmat=lambda x: self.product(np.asarray(x, dtype=np.float64)),
            rmatmat=lambda x: self.transposed_product(np.asarray(x, dtype=np.float64)),
        )

    def _bar(self, what: str) -> AbstractContextManager[Report | None]:
        return progress_bar(self.progress, self.interactions, len(self.pieces), what)
