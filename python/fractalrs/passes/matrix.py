"""The streamed matrix: passes over the interactions of a base, an expansion or a data set, in bounded memory."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from fractalrs._core import Generator
from fractalrs._core import StreamedMatrix as Core
from fractalrs.base import Base
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, Options, operator_named, shuffle_named
from fractalrs.statistics import LookupCounts, word_below
from fractalrs.tools import (
    Progress,
    ProgressCallback,
    Shown,
    as_progress,
    check_count,
    check_kind,
    check_word,
    resolve_threads,
)
from fractalrs.words import SPLITS, Split

Vectors = npt.NDArray[Any]
"""float32 or float64; what comes back has the type of what went in."""
Matrix: TypeAlias = "sp.csr_array[Any, tuple[int, int]]"
_Product = Literal["gram", "plain", "transposed"]

PIECE_INTERACTIONS = 4_000_000
"""About how many interactions a piece of an expansion holds: enough to use its tables well."""
FEW_PIECES = 16
"""Where there would be fewer pieces, they are down to a quarter of that, so that threads have something to do."""
MEMORY = 1 << 30
"""How many bytes of dense results all threads together may hold."""
ROWS_MEMORY = 1 << 29
"""How many bytes rows that a pass has read may take, so that the next ones do not read them again."""
DENSITY_BINS = 384
"""About how many bins a side of the density picture has."""


@dataclass(frozen=True)
class Violations:
    """How often something was seen that must not be, and the first place: user id and item id."""

    count: int
    first: tuple[int, int] | None


@dataclass(frozen=True, repr=False)
class Degrees(Shown):
    """Activity of users, popularity of items and interactions of blocks: (m, n) blocks of p users × q items.

    Attributes
    ----------
    user_train, user_valid, user_test
        uint32, (m·p): activity, the interactions of each expanded user.
    item_train, item_valid, item_test
        uint32, (n·q): popularity, the interactions of each expanded item; empty, as is the next, without `each_item`.
    item_user_degree
        uint64, (n·q): the train activity of each item's train users, added up; assortativity follows from it.
    block_train, block_valid, block_test
        uint64, (m, n).
    density
        uint64: train interactions in bins of contiguous users × items, whole bins in each block.
    violations
        By name: ``out_of_range``, ``user_order``, ``item_order``, ``duplicates``, ``overlaps`` (of splits).

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> degrees = fr.StreamedMatrix(base).degrees()
    >>> int(degrees.user_train.sum()) == base.train_count
    True
    >>> degrees.violations["duplicates"]
    Violations(count=0, first=None)
    """

    user_train: npt.NDArray[np.uint32]
    user_valid: npt.NDArray[np.uint32]
    user_test: npt.NDArray[np.uint32]
    item_train: npt.NDArray[np.uint32]
    item_valid: npt.NDArray[np.uint32]
    item_test: npt.NDArray[np.uint32]
    item_user_degree: npt.NDArray[np.uint64]
    block_train: npt.NDArray[np.uint64]
    block_valid: npt.NDArray[np.uint64]
    block_test: npt.NDArray[np.uint64]
    density: npt.NDArray[np.uint64]
    violations: dict[str, Violations]


@dataclass(frozen=True, repr=False)
class NearItems(Shown):
    """The nearest items of some, the nearest first: as `StreamedMatrix.nearest_items` finds them.

    Attributes
    ----------
    ids, shared
        int64, −1 where there are no more, and uint32, the train users of both: (chosen, count), or (chosen, groups,
        count).
    paths
        float64, (chosen, 2): paths of three interactions with the item in their middle, the closed ones and all: with c
        users shared with each other item, Σ c (c − 1) and (d − 1) Σ c of an item of d users.

    Examples
    --------
    >>> import numpy as np
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> matrix = fr.StreamedMatrix(base)
    >>> matrix.nearest_items([0, 5], base.item_degrees("train"), least=5, count=3).ids.shape
    (2, 3)
    """

    ids: npt.NDArray[np.int64]
    shared: npt.NDArray[np.uint32]
    paths: npt.NDArray[np.float64]


def _order(source: Dataset | Options, timed: bool) -> str:
    """Return how a user's interactions follow each other: by block and unshuffled they are by item too."""
    by_block = source.order == "block" and source.id_order == "block"
    return "item" if by_block and not shuffle_named(source.shuffle).permutes and not timed else source.order


class StreamedMatrix(Shown):
    """The interactions of a base, an expansion or a data set as a matrix of which each pass sees every row once.

    An expansion generates them in every pass, a data set reads its files: the same numbers come out of both. Of an
    object store every pass asks again, for a row group a thread at a time, unless rows stay in memory.

    Parameters
    ----------
    source, threads
        A `Base`, an `Expansion` or a `Dataset`; threads are as many as this process may use by default.
    progress
        Show progress with time left on stderr when that is a terminal, or by a `Progress` of your own.
    users
        Of an expansion: only these users, whose ids rise, are generated; for `collect`.
    numbered_by
        Of a data set whose items are not numbered by block: the expansion it was written from, which knows their column
        blocks. Without it `degrees` takes all items for one column block.
    piece_interactions
        About how many interactions of a base or an expansion a thread takes at a time.
    memory
        Where dense results of all threads together would take more bytes, there are fewer threads.
    rows_memory
        Rows stay in memory where all of them take fewer bytes: four an interaction, and some for each user.

    Raises
    ------
    InputError
        If an argument cannot be used. In every pass: if a file is damaged (names file and row group) or, but for
        `degrees`, which counts them, holds an id out of range.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> expansion = fr.Expansion(base, fr.reduce(base, shape=(4, 8)))
    >>> matrix = fr.StreamedMatrix(expansion)
    >>> matrix.shape
    (240, 320)
    >>> matrix.degrees().item_train.shape
    (320,)
    """

    def __init__(
        self,
        source: Base | Expansion | Dataset,
        *,
        threads: int | None = None,
        progress: bool | Progress = False,
        users: npt.ArrayLike | None = None,
        numbered_by: Expansion | None = None,
        piece_interactions: int = PIECE_INTERACTIONS,
        memory: int = MEMORY,
        rows_memory: int = ROWS_MEMORY,
    ) -> None:
        check_kind("source", source, (Base, Expansion, Dataset), "a Base, an Expansion or a Dataset")
        check_count("piece_interactions", piece_interactions, 1)
        check_count("memory", memory)
        check_count("rows_memory", rows_memory)
        self.shape = source.shape
        chosen = None if users is None else _ids("users", users, self.shape[0])
        self.threads = resolve_threads(threads)
        self.progress = as_progress(progress)
        if isinstance(source, Dataset):
            self.block_shape = source.block_shape
            if numbered_by is not None:
                _check_numbering(source, numbered_by)
            self.order, self.id_order = _order(source, "timestamp" in source.schema.names), source.id_order
            if numbered_by is None and source.id_order != "block" and self.order == "block":
                self.order = "unknown"
            self.interactions: float = source.totals["interactions"]
            self.pieces = [(part.first, part.last) for part in source.parts]
            means = self._means(memory) | {"rows_memory": rows_memory}
            self._core = Core.of_files(*self.shape, self.pieces, _files(source), **means, open=_opener(source))
        elif isinstance(source, Base):
            self.block_shape, self.order, self.id_order = source.shape, "item", "block"
            self.interactions = source.count
            self.pieces = self._ranges(source.indptr, piece_interactions)
            self._core = Core.of_base(
                source.indptr, source.entries, source.shape[1], self.pieces, **self._means(memory)
            )
        else:
            if not isinstance(source.generator, Generator):
                raise InputError("an expansion made by a function is not streamed", "write it first")
            options = source.options
            self.block_shape = source.base.shape
            self.order, self.id_order = _order(options, options.timestamps), options.id_order
            numbered_by = source
            self.interactions = source.expected_interactions
            if chosen is None:
                has_row_blocks = operator_named(options.operator).has_row_blocks
                kept = source.keep_rates if has_row_blocks else np.ones(source.reduced.shape)
                self.pieces = self._ranges(np.append(0, np.cumsum(kept.sum(axis=1))), piece_interactions)
            else:
                # Each is collected once.
                edges = np.flatnonzero(np.diff(chosen.astype(np.int64), prepend=-2) > 1)
                runs = zip(chosen[edges].tolist(), np.diff(edges, append=len(chosen)).tolist(), strict=True)
                self.pieces, rows_memory = [(first, first + count) for first, count in runs], 0
            means = self._means(memory) | {"rows_memory": rows_memory}
            self._core = Core.of_expansion(source.generator, self.pieces, **means)

        generator = None if numbered_by is None else numbered_by.generator
        self._numbered_by = generator if isinstance(generator, Generator) and self.id_order != "block" else None

    @property
    def knows_blocks(self) -> bool:
        """Whether it can tell the column blocks of items."""
        return self.id_order == "block" or self._numbered_by is not None

    def _facts(self) -> dict[str, Any]:
        return {"shape": self.shape, "interactions": round(self.interactions), "pieces": len(self.pieces)}

    def _means(self, memory: int) -> dict[str, int]:
        return {"interactions": int(self.interactions), "threads": self.threads, "memory": memory}

    def _ranges(self, before: npt.NDArray[Any], size: int) -> list[tuple[int, int]]:
        """Cut the users into pieces alike in interactions, of which so many come before each block of users.

        Pieces depend on the matrix alone: so do sums of floating-point numbers, on any number of threads.
        """
        users = self.shape[0]
        count = max(math.ceil(self.interactions / size), min(FEW_PIECES, math.ceil(4 * self.interactions / size)), 1)
        cuts = np.interp(np.arange(1, count) * (before[-1] / count), before, np.linspace(0, users, len(before)))
        return list(pairwise(np.unique([0, *cuts.astype(np.int64), users]).tolist()))

    @property
    def keeps_rows(self) -> bool:
        """Whether rows are in memory, or will be after the first pass."""
        return self._core.keeps_rows

    def degrees(self, each_item: bool = True) -> Degrees:
        """Count the interactions of users, items and blocks, and all that must not be, in one pass.

        Parameters
        ----------
        each_item
            Whether to count those of each item, and to draw the density in bins. Without that, arrays of items are
            empty, blocks have one bin, and memory does not grow with the items; with it, a thread takes 20 bytes an
            item.
        """
        (p, q), most = self.block_shape, DENSITY_BINS if each_item else 0
        q = q if self.knows_blocks else self.shape[1]
        m, n = self.shape[0] // p, self.shape[1] // q
        bins = max(1, min(p, most // m)), max(1, min(q, most // n))
        blocks: dict[str, Any] = {"base_users": p, "base_items": q, "order_by_item": self.order == "item"}
        blocks["numbered_by"] = self._numbered_by
        with self._task("adding up") as report:
            found: dict[str, Any] = {**self._core.degrees(**blocks, bins=bins, each_item=each_item, progress=report)}
        blocks_of = {f"block_{split}": (m, n) for split in SPLITS}
        for name, shape in {**blocks_of, "density": (m * bins[0], n * bins[1])}.items():
            found[name] = found[name].reshape(shape)
        found["violations"] = {name: Violations(*seen) for name, seen in found["violations"].items()}
        return Degrees(**found)

    def gram(self, x: Vectors, what: str = "multiplying") -> Vectors:
        """Return AᵀA x for the train part A and x of shape (items, width), float32 or float64: one pass."""
        return self._multiplied("gram", x, what)

    def product(self, x: Vectors) -> Vectors:
        """Return A x for x of shape (items, width): one pass."""
        return self._multiplied("plain", x)

    def transposed_product(self, x: Vectors) -> Vectors:
        """Return Aᵀ x for x of shape (users, width): one pass."""
        return self._multiplied("transposed", x)

    def _multiplied(self, how: _Product, x: Vectors, what: str = "multiplying") -> Vectors:
        x, needed = np.asarray(x), self.shape[0 if how == "transposed" else 1]
        if x.ndim != 2 or x.dtype not in (np.float32, np.float64):
            raise InputError(f"x is {x.dtype} of {x.shape}; it must be float32 or float64 of shape ({needed}, width)")
        length, width = x.shape
        if length != needed or not width:
            raise InputError(f"x has {width} vectors of {length} entries; it must have at least one vector of {needed}")
        with self._task(what) as report:
            return self._core.multiply(how, np.ascontiguousarray(x), progress=report)

    def lookups(self, *, users: float = 1.0, items: float = 1.0, seed: int = 0) -> tuple[LookupCounts, LookupCounts]:
        """Count the train interactions of sampled users, and of sampled items: one pass.

        Memory does not grow with ids that are not sampled; which are depends on their numbers and the seed alone.

        Parameters
        ----------
        users, items
            The shares of ids that are sampled.
        """
        bounds = {"users_below": word_below(users), "items_below": word_below(items)}
        with self._task("counting lookups") as report:
            found = self._core.lookups(seed=seed, **bounds, progress=report)
        exact = next((counts for (_, counts), rate in zip(found, (users, items), strict=True) if rate >= 1), None)
        total = round(self.interactions) if exact is None else int(exact.sum())
        made = (
            LookupCounts(ids.astype(np.int64), counts.astype(np.int64), rows, total, rate)
            for (ids, counts), rows, rate in zip(found, self.shape, (users, items), strict=True)
        )
        return next(made), next(made)

    def cooccurrence(self, chosen: npt.ArrayLike) -> npt.NDArray[np.uint32]:
        """Count for every item and each of the chosen items the train users of both: shape (items, chosen)."""
        items = _ids("chosen items", chosen, self.shape[1], rise=False).astype(np.uint32)
        with self._task("comparing items") as report:
            return self._core.cooccurrence(items, progress=report).T

    def nearest_items(
        self, chosen: npt.ArrayLike, degrees: npt.ArrayLike, *, least: int, count: int, group: int | None = None
    ) -> "NearItems":
        """Find the nearest items (cosine of train columns) of each chosen item, the smallest id of several.

        Parameters
        ----------
        chosen, degrees
            Items, and the train interactions of every item.
        least, count, group
            Of items with so many interactions, so many nearest of each `group` of consecutive items, such as q for
            column blocks; by default of all.
        """
        items = _ids("chosen items", chosen, self.shape[1], rise=False).astype(np.uint32)
        popularity = np.ascontiguousarray(degrees, dtype=np.uint32)
        if popularity.shape != self.shape[1:]:
            raise InputError(f"degrees are {popularity.shape}; there must be one for each of {self.shape[1]} items")
        wanted = {"least": least, "count": count, "group": self.shape[1] if group is None else group}
        for name, value in wanted.items():
            check_count(name, value, 0 if name == "least" else 1)
        with self._task("comparing items") as report:
            ids, shared, paths = self._core.nearest_items(items, popularity, **wanted, progress=report)
        groups = -(-self.shape[1] // wanted["group"])
        shape = (len(items), groups, count) if group else (len(items), count)
        return NearItems(ids.reshape(shape), shared.reshape(shape), paths.reshape(-1, 2))

    def collect(self, users: npt.ArrayLike, split: Split = "train") -> Matrix:
        """Return the rows of a split of users whose ids rise as a matrix of ones, each row in its own order."""
        check_word("split", split, SPLITS)
        chosen = _ids("users", users, self.shape[0])
        with self._task("collecting rows") as report:
            starts, items = self._core.collect(chosen, split=split, progress=report)
        return sp.csr_array((np.ones(len(items)), items, starts.astype(np.int64)), shape=(len(chosen), self.shape[1]))

    def nearest(
        self, users: npt.ArrayLike, rows: Matrix, group: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Find the nearest user (cosine of train rows) of each given row in each group of consecutive users.

        Parameters
        ----------
        users, rows, group
            Ids that rise, their train rows, as from `collect`, each item once, and the users of a group, such as p for
            row blocks.

        Returns
        -------
        tuple of arrays, shape (rows, groups)
            The users, −1 where none shares an item; and the cosines.
        """
        chosen = _ids("users", users, self.shape[0])
        check_kind("rows", rows, (sp.csr_array, sp.csr_matrix), "a matrix as from collect")
        check_count("group", group, 1)
        starts, items = rows.indptr.astype(np.uint64), rows.indices.astype(np.int64)
        with self._task("comparing users") as report:
            found, squares = self._core.nearest(chosen, starts, items, group=group, progress=report)
        shape = (len(chosen), -(-self.shape[0] // group))
        return found.reshape(shape), np.sqrt(squares).reshape(shape)

    def as_linear_operator(self) -> LinearOperator:
        """Return the train part as a SciPy operator in float64; every product is a pass over all rows."""

        def times(how: _Product, x: Vectors) -> Vectors:
            return self._multiplied(how, np.asarray(x, dtype=np.float64).reshape(len(x), -1))

        plain, transposed = partial(times, "plain"), partial(times, "transposed")
        return LinearOperator(
            self.shape, matvec=plain, rmatvec=transposed, matmat=plain, rmatmat=transposed, dtype=np.float64
        )

    def _task(self, what: str) -> AbstractContextManager[ProgressCallback]:
        return self.progress.task(what, self.interactions, len(self.pieces))


def _ids(name: str, values: npt.ArrayLike, count: int, rise: bool = True) -> npt.NDArray[np.uint64]:
    """Return ids below a count; refuse what is none, or does not rise."""
    try:
        ids = np.asarray(values)
    except ValueError:  # Of lists of different length.
        ids = np.empty((0, 0))
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise InputError(f"{name} must be a row of whole numbers")
    if ids.size and not 0 <= ids.min() <= ids.max() < count:
        raise InputError(f"{name} must be from 0 to {count - 1}, not {ids.min()} to {ids.max()}")
    if rise and not (ids[1:] > ids[:-1]).all():
        raise InputError(f"{name} must rise", hint="sort them, each once: numpy.unique")
    return np.ascontiguousarray(ids, dtype=np.uint64)


def _files(dataset: Dataset) -> list[list[list[str]]]:
    """Return the files of each split of every part, by their paths or URLs."""
    return [
        [[str(dataset.place / file.path) for file in part.files.get(split, ())] for split in SPLITS]
        for part in dataset.parts
    ]


def _check_numbering(dataset: Dataset, numbered_by: Expansion) -> None:
    """Refuse an expansion that the data set was not made of."""
    check_kind("numbered_by", numbered_by, (Expansion,), "an Expansion")
    if numbered_by.fingerprint != dataset.manifest.fingerprints["expansion"]:
        raise InputError(f"numbered_by is not the expansion that {dataset.place} was made of", hint="give that one")


def _opener(dataset: Dataset) -> Callable[[str], BinaryIO] | None:
    """Return what opens its files by their URLs; None where they are on this machine."""
    if isinstance(dataset.place, Path):
        return None
    names = {str(dataset.place / file.path): file.path for split in dataset.splits for file in dataset.files(split)}
    return lambda url: dataset.store.open(names[url])
