"""The expansion: the value that determines every interaction of the expanded data set, before any is generated."""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs import _core, expectation
from fractalrs.attributes import read_attributes
from fractalrs.base import Base
from fractalrs.card import checked_licence
from fractalrs.cells import Cells
from fractalrs.cells import cells as make_cells
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError, OutputError
from fractalrs.folder import publish_folder
from fractalrs.operators import BlockFunction, FunctionGenerator, Operator, name_of
from fractalrs.payload import Payload, Ratings
from fractalrs.plan import DEFAULT_FORMAT, Format
from fractalrs.profiles import DEFAULT_PROFILE, SHUFFLES, Shuffle
from fractalrs.profiles import profile as find_profile
from fractalrs.reduction import ReducedMatrix
from fractalrs.writing import measured_bytes, write

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Split = Literal["train", "test"]
TestItems = Literal["all", "one"]
Order = Literal["block", "item", "time"]

RESERVED = ("user_id", "item_id", "rating", "timestamp")
"""Columns that are never carried under these names."""

SMALLEST_KEEP_RATE = 1e-6
"""Below this, and above 0, a keep rate cannot be met to 1e-6 of itself (docs/generator.md)."""

_BATCH_INTERACTIONS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of an expansion, resolved and checked; see `Expansion` for their meaning."""

    shuffle: Shuffle
    seed: int
    min_keep: float
    max_keep: float
    keep_scale: float
    block_keep: float
    test_items: TestItems
    drop_incomplete: bool
    order: Order
    timestamps: bool = False
    ratings: Ratings | None = None
    carry: tuple[str, ...] = ()
    cold_users: float = 0.0
    cold_items: float = 0.0
    operator: str = "dropout"

    def __post_init__(self) -> None:
        """Check every option that can be checked without the base."""
        _one_of("shuffle", self.shuffle, SHUFFLES)
        _one_of("test_items", self.test_items, get_args(TestItems))
        _one_of("order", self.order, get_args(Order))
        if self.order == "time" and not self.timestamps:
            raise InputError("the order is by time, but interactions get no times", hint="ask for timestamps too")
        if self.ratings is not None:
            _one_of("ratings", self.ratings, get_args(Ratings))
        for name in self.carry:
            if name in RESERVED or self.carry.count(name) > 1:
                why = "has an option of its own" if name in RESERVED else "is named twice"
                raise InputError(f"carry: the column {name!r} {why}")
        for name in ("cold_users", "cold_items"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be from 0 to below 1")
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"seed is {self.seed}; it must be from 0 to 2**64 - 1")
        for name in ("min_keep", "max_keep"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        if self.min_keep > self.max_keep:
            raise InputError(f"min_keep {self.min_keep} is above max_keep {self.max_keep}", hint="exchange the two")
        if not 0 < self.keep_scale < float("inf"):
            raise InputError(f"keep_scale is {self.keep_scale}; it must be above 0")
        if not 0 < self.block_keep <= 1:
            raise InputError(f"block_keep is {self.block_keep}; it must be above 0 and at most 1")
        if (self.cold_users or self.cold_items) and (self.test_items == "one" or self.drop_incomplete):
            raise InputError(
                "cold users and items have test interactions only: they do not go with test_items 'one' or "
                "drop_incomplete"
            )
        if self.operator != "dropout":
            self._check_operator()

    def _check_operator(self) -> None:
        """Refuse what only dropout knows."""
        kept = {"min_keep": 0.01, "max_keep": 0.95, "keep_scale": 1.0, "block_keep": 1.0, "shuffle": "none"}
        kept |= {"test_items": "all", "drop_incomplete": False}
        if self.operator != "kronecker":
            kept |= {"timestamps": False, "ratings": None, "carry": ()}
            kept |= {"cold_users": 0.0, "cold_items": 0.0}
        elif self.ratings == "carry":
            raise InputError("ratings: the operator 'kronecker' multiplies ratings", hint="say ratings='kronecker'")
        for name, value in kept.items():
            if getattr(self, name) != value:
                raise InputError(f"{name} does not go with the operator {self.operator!r}", hint=f"leave {name} out")

    @property
    def multiplies(self) -> bool:
        """Whether interactions have the product of a rating and an entry of the reduced matrix."""
        return self.operator == "kronecker" or self.ratings == "kronecker"


def keep_rates(reduced: npt.NDArray[np.float64], options: Options) -> npt.NDArray[np.float64]:
    """Keep rates K = min(max_keep, keep_scale · clip(R̂, min_keep, max_keep)), read-only.

    Raises
    ------
    InputError
        If one is too small to be met.
    """
    # In this order, in float64: the generator's decisions depend on the last bit.
    clipped = np.clip(reduced, options.min_keep, options.max_keep)
    rates = np.ascontiguousarray(np.minimum(options.max_keep, options.keep_scale * clipped))
    too_small = (rates > 0) & (rates < SMALLEST_KEEP_RATE)
    if too_small.any():
        raise InputError(
            f"a keep rate is {rates[too_small].min():.3g}; each must be 0, or from {SMALLEST_KEEP_RATE:g} to 1",
            hint="raise min_keep or keep_scale; to thin out strongly use block_keep",
        )
    rates.flags.writeable = False
    return rates


class Expansion:
    """A base to be expanded: the stochastic Kronecker product of Algorithm 2 with everything that determines it.

    A value: the same arguments give the same interactions in the same order, whatever the threads, the parts and the
    machine (``docs/generator.md``).

    Parameters
    ----------
    base
        p users × q items, signed: from `leave_last_out`.
    reduced
        R̂ of shape (m, n) from `reduce`, or any matrix of that kind with entries in [0, 1].
    profile
        Defaults: ``"realistic"`` (shuffle cells), ``"paper"`` (block), ``"traceable"`` (aligned), or ``"reference"``
        (block, one test item, incomplete users dropped, ordered by item).
    shuffle
        ``"none"``, ``"aligned"``, ``"cells"`` or ``"block"``.
    cells
        Cells for the shuffle ``"cells"``; ``fractalrs.cells(base)`` by default.
    seed
        0 to 2**64 − 1.
    min_keep, max_keep, keep_scale
        Keep rate K = min(max_keep, keep_scale · clip(R̂, min_keep, max_keep)): the probability that block (i, j)
        keeps an interaction (Algorithm 2, with bounds).
    block_keep
        Probability that a block exists at all.
    test_items
        ``"all"`` test interactions of an expanded user, or ``"one"`` of them, chosen uniformly.
    drop_incomplete
        Leave out expanded users without train or without test interactions; their ids stay unused.
    order
        Of a user's interactions: by column ``"block"``, the base's order inside (cheap), by ``"item"`` id, or by
        ``"time"``, the default where interactions have times.
    timestamps
        Give interactions times: those of their sources, moved along the source user's time line, each column block at
        a pace of its own (``docs/generator.md``). The base's payload must have ``timestamp``, and user cells one
        member (profile ``"traceable"``, or ``user_cell_size=1``).
    ratings
        ``"carry"``: every interaction has its source's rating. ``"kronecker"``: it is multiplied with R̂ᵢⱼ, as in the
        paper's non-binary predecessor. The base's payload must have ``rating``.
    carry
        Further columns of the base's payload that interactions keep.
    cold_users, cold_items
        The share of expanded users (items) that is cold: all their interactions are test.
    operator
        ``"dropout"`` (Algorithm 2); ``"kronecker"`` (equation 1 and Algorithm 1): all of R in every block, and the
        column ``rating`` is R̂ᵢⱼ·r, R̂ signed and r the rating if `ratings` is ``"kronecker"``, else 1; ``"sketch"``
        (equation 3): every entry of R becomes a sample of m rows and n columns of R's train part, user = row·m + r and
        item = column·n + s; or a function (equation 2, `operators.BlockFunction`), for experiments: Python's speed, and
        a row block in memory. All but dropout keep the order of users and items (shuffle ``"none"``) and have no keep
        rates.

    Raises
    ------
    InputError
        If an option is out of its range, or the parts do not fit each other.
    """

    def __init__(
        self,
        base: Base,
        reduced: ReducedMatrix | npt.ArrayLike,
        *,
        profile: str = DEFAULT_PROFILE,
        shuffle: Shuffle | None = None,
        cells: Cells | None = None,
        seed: int = 0,
        min_keep: float = 0.01,
        max_keep: float = 0.95,
        keep_scale: float = 1.0,
        block_keep: float = 1.0,
        test_items: TestItems | None = None,
        drop_incomplete: bool | None = None,
        order: Order | None = None,
        timestamps: bool = False,
        ratings: Ratings | None = None,
        carry: Sequence[str] = (),
        cold_users: float = 0.0,
        cold_items: float = 0.0,
        operator: Operator | BlockFunction = "dropout",
    ) -> None:
        if isinstance(operator, str):
            _one_of("operator", operator, get_args(Operator))
        self.base = base
        self.reduced = reduced if isinstance(reduced, ReducedMatrix) else ReducedMatrix.from_array(reduced)
        self.profile = profile
        defaults = find_profile(profile).for_operator(name_of(operator))
        self.options = Options(
            shuffle=shuffle or defaults.shuffle,
            seed=index(seed),
            min_keep=float(min_keep),
            max_keep=float(max_keep),
            keep_scale=float(keep_scale),
            block_keep=float(block_keep),
            test_items=test_items or defaults.test_items,
            drop_incomplete=defaults.drop_incomplete if drop_incomplete is None else bool(drop_incomplete),
            order=order or ("time" if timestamps else defaults.order),
            timestamps=bool(timestamps),
            ratings=ratings,
            carry=(carry,) if isinstance(carry, str) else tuple(carry),
            cold_users=float(cold_users),
            cold_items=float(cold_items),
            operator=name_of(operator),
        )
        if self.options.drop_incomplete and not self.has_test:
            raise InputError("drop_incomplete would leave nothing: no interaction is held out for test")
        if operator == "dropout":
            self.keep_rates = keep_rates(self.reduced.values, self.options)
        else:
            self.keep_rates = np.ones(self.reduced.shape)
        self.cells = self._cells(cells)
        if timestamps and self.cells.user_cell_size > 1:
            raise several_sources()
        self.payload = Payload.of(
            base, timestamps=timestamps, ratings=ratings, multiplied=self.options.multiplies, carry=self.options.carry
        )
        self._path: Path | None = None
        if isinstance(operator, str):
            self.generator = self._core_generator()
        else:
            # It does what writing asks of the core.
            made = FunctionGenerator(base, self.reduced.values, operator, self.seed, self.schema)
            self.generator = cast("_core.Generator", made)

    def _core_generator(self) -> _core.Generator:
        base, options = self.base, self.options
        factors = self.reduced.signed if options.operator == "kronecker" else self.reduced.values
        return _core.Generator(
            base.indptr,
            base.entries,
            base.shape[1],
            self.keep_rates,
            self.cells.user_order,
            self.cells.user_starts,
            self.cells.item_order,
            self.cells.item_starts,
            seed=self.seed,
            shuffled=self.shuffle != "none",
            block_keep=self.options.block_keep,
            one_test_item=options.test_items == "one",
            drop_incomplete=options.drop_incomplete,
            cold_users=options.cold_users,
            cold_items=options.cold_items,
            order=options.order,
            sketch=options.operator == "sketch",
            times=self.payload.times,
            # Of a split by time nothing may come after what was held out as the latest.
            test_is_late=base.split == "last",
            hour=base.ticks_per_hour,
            factors=factors if options.multiplies else None,
            ratings=self.payload.ratings,
            columns=self.payload.columns(),
        )

    def _cells(self, given: Cells | None) -> Cells:
        if given is not None and self.shuffle != "cells":
            raise InputError(f"cells are given, but the shuffle {self.shuffle!r} has its own")
        if self.shuffle == "cells":
            cells = make_cells(self.base) if given is None else given
        else:
            cells = Cells.whole(*self.base.shape) if self.shuffle == "block" else Cells.single(*self.base.shape)
        if cells.shape != self.base.shape:
            raise InputError(
                f"the cells are for {cells.shape[0]} users and {cells.shape[1]} items, the base has "
                f"{self.base.shape[0]} and {self.base.shape[1]}",
                hint="make them from this base: fractalrs.cells(base)",
            )
        return cells

    @property
    def shuffle(self) -> Shuffle:
        """The shuffle that was resolved."""
        return self.options.shuffle

    @property
    def seed(self) -> int:
        """The seed."""
        return self.options.seed

    @property
    def shape(self) -> tuple[int, int]:
        """Expanded user ids m·p and item ids n·q."""
        (m, n), (p, q) = self.reduced.shape, self.base.shape
        return m * p, n * q

    @property
    def schema(self) -> pa.Schema:
        """Of files, tables and batches: int32 where the id space fits, else int64."""

        def field(name: str, ids: int) -> pa.Field:
            return pa.field(name, pa.int32() if ids <= 1 << 31 else pa.int64(), nullable=False)

        return pa.schema([field("user_id", self.shape[0]), field("item_id", self.shape[1]), *self.payload.fields])

    @property
    def has_test(self) -> bool:
        """Whether any interaction can be test."""
        return self.base.test_count > 0 or self.options.cold_users > 0 or self.options.cold_items > 0

    @cached_property
    def expected(self) -> expectation.Expected:
        """What will come out, computed before anything is generated; bytes for the default format."""
        return dataclasses.replace(self.expected_counts, bytes=self.expected_bytes(DEFAULT_FORMAT))

    @cached_property
    def expected_counts(self) -> expectation.Expected:
        """What will come out, without the bytes: nothing is encoded to tell."""
        if self.options.operator == "sketch":
            return expectation.expected_sketch(self.base, self.reduced.shape)
        counts = expectation.expected(
            self.base,
            self.keep_rates,
            self.cells,
            shuffle=self.shuffle,
            block_keep=self.options.block_keep,
            test_items=self.options.test_items,
            drop_incomplete=self.options.drop_incomplete,
        )
        cold = self.options.cold_users, self.options.cold_items
        return expectation.with_cold(counts, self.base, self.keep_rates, self.options.block_keep, *cold)

    @property
    def expected_interactions(self) -> float:
        """Expected number of train and test interactions."""
        return self.expected_counts.train.mean + self.expected_counts.test.mean

    def expected_bytes(self, format: Format) -> int:
        """Expected bytes of all files in a format, measured by encoding a sample."""
        return measured_bytes(self, self.expected_interactions, format)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of everything that the interactions depend on."""
        content: dict[str, Any] = {
            "generator": _core.GENERATOR,
            "base": self.base.fingerprint,
            "options": dataclasses.asdict(self.options),
            "reduced": _digest(self.reduced.signed if self.options.operator == "kronecker" else self.reduced.values),
            # Times depend on how test interactions were chosen.
            "late": self.options.timestamps and self.base.split == "last",
            "cells": [
                _digest(array)
                for array in (
                    self.cells.user_order,
                    self.cells.user_starts,
                    self.cells.item_order,
                    self.cells.item_starts,
                )
            ],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def rows(self, first: int, last: int, split: Split = "train") -> pa.Table:
        """Generate the expanded users ``first`` to ``last`` (not included) alone.

        Parameters
        ----------
        first, last
            0 ≤ first ≤ last ≤ m·p.
        split
            ``"train"`` or ``"test"``.

        Returns
        -------
        pyarrow.Table
            Columns ``user_id``, ``item_id`` and what is carried, with exactly the files' schema and order.
        """
        self._check_range(first, last, split)
        users, items, sources, times, ratings = self.generator.rows(first, last, split == "test")
        columns = [pa.array(users), pa.array(items), *self.payload.gather(sources, times, ratings)]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def batches(self, split: Split = "train", users: tuple[int, int] | None = None) -> pa.RecordBatchReader:
        """Generate a range of expanded users, all by default, as a stream in flat memory.

        Parameters
        ----------
        split
            ``"train"`` or ``"test"``.
        users
            First user and the one after the last.
        """
        first, last = users if users is not None else (0, self.shape[0])
        self._check_range(first, last, split)
        kept_per_user = self.base.count / self.base.shape[0] * self.keep_rates.sum(axis=1).max()
        step = max(1, int(_BATCH_INTERACTIONS / max(1.0, kept_per_user * self.options.block_keep)))

        def generate() -> Iterator[pa.RecordBatch]:
            for start in range(first, last, step):
                yield from self.rows(start, min(last, start + step), split).to_batches()

        return pa.RecordBatchReader.from_batches(self.schema, generate())

    def as_linear_operator(self) -> "LinearOperator":
        """Give the train part as a SciPy operator, (m·p, n·q): every product generates it once, nothing is kept."""
        from fractalrs.rows import Rows

        return Rows(self).as_linear_operator()

    def _check_range(self, first: int, last: int, split: Split) -> None:
        _one_of("split", split, get_args(Split))
        if not 0 <= first <= last <= self.shape[0]:
            raise InputError(f"users {first} to {last} are not within 0 to {self.shape[0]}")

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        parts: int | None = None,
        threads: int | None = None,
        format: Format = DEFAULT_FORMAT,
        overwrite: bool = False,
        progress: bool = False,
        source_licence: str | None = None,
        items: Any = None,
        users: Any = None,
    ) -> Dataset:
        """Write the expanded data set; the same call on an unfinished one writes what is missing.

        Parameters
        ----------
        path
            Folder of the data set. It may not hold anything else.
        parts
            Number of parts; by default about 16 million expected interactions each.
        threads
            Generating threads; by default as many as this process may use.
        format
            How Parquet files are encoded.
        overwrite
            Delete a data set of another plan first. Only files of ours are deleted.
        progress
            Show progress on stderr when that is a terminal.
        source_licence
            What the data card says of the source's licence.
        items, users
            Attributes of the source's items and users, which are written for every expanded id too: a path or a table
            in memory, as `attributes.AttributeTable.read` takes it. They need cells of one member.

        Raises
        ------
        InputError, OutputError
            Before anything is written.
        WriteError
            When the run fails; what is finished stays.
        """
        return write(
            self,
            path,
            parts=parts,
            threads=threads,
            format=format,
            overwrite=overwrite,
            progress=progress,
            source_licence=None if source_licence is None else checked_licence(source_licence),
            attributes=[table.match(self.base) for table in read_attributes(items, users)],
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save to a folder that `load` maps into memory; nothing may be there yet.

        Raises
        ------
        OutputError
            If something is there, or it cannot be written to.
        """
        if self.options.operator not in get_args(Operator):
            raise InputError("an expansion made by a function cannot be saved: Python does not save functions")
        target = Path(path).absolute()
        if target.exists():
            raise OutputError(f"{target} exists already", hint="choose a new folder")
        reduced = self.reduced
        settings = {"profile": self.profile, **dataclasses.asdict(self.options)}
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
                folder = Path(name) / "expansion"
                folder.mkdir()
                # A value of its own: the folder it is saved in now is about to be renamed.
                dataclasses.replace(self.base).save(folder / "base")
                np.savez(
                    folder / "reduced.npz",
                    values=reduced.values,
                    signed=reduced.signed,
                    singular_values=reduced.singular_values,
                )
                self.cells.save(folder / "cells.npz")
                content = {"settings": settings, "reduced": reduced.description}
                (folder / "expansion.json").write_text(json.dumps(content, indent=2) + "\n")
                publish_folder(folder, target)
        except OSError as error:
            raise OutputError(f"cannot write {target}: {error.strerror}") from error
        if self.base.path is None:
            # Nothing is written again; but from now on the base has a path by which it can be pickled too.
            self.base.save(target / "base")
        self._path = target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load what `save` wrote; the base stays on disk, mapped into memory.

        Raises
        ------
        InputError
            If no saved expansion is there.
        """
        folder = Path(path).absolute()
        try:
            content = json.loads((folder / "expansion.json").read_text())
            settings = content["settings"]
            with np.load(folder / "reduced.npz") as arrays:
                reduced = ReducedMatrix(**arrays, description=content["reduced"])
            cells = Cells.load(folder / "cells.npz") if settings["shuffle"] == "cells" else None
        except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise InputError(f"{folder} is not a saved expansion: {error}") from None
        expansion = cls(Base.load(folder / "base"), reduced, cells=cells, **settings)
        expansion._path = folder
        return expansion

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise InputError("this expansion is not saved, so it cannot be sent to another process", "save it first")
        return type(self).load, (self._path,)

    def __repr__(self) -> str:
        (m, n), (p, q) = self.reduced.shape, self.base.shape
        return f"Expansion({p:,} users × {q:,} items, × ({m}, {n}), shuffle={self.shuffle!r}, seed={self.seed})"


def several_sources() -> InputError:
    """Say why interactions get no times."""
    return InputError(
        "timestamps need user cells of size 1: with larger ones an expanded user would mix the time lines of several "
        "source users",
        hint="use the profile traceable, or a user cell size of 1",
    )


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}", hint=f"choose one of {', '.join(allowed)}")


def _digest(array: npt.NDArray[Any]) -> str:
    return hashlib.sha256(str(array.shape).encode() + array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()
