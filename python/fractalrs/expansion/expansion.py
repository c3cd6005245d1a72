"""The expansion: the value that determines every interaction of the expanded data set, before any is generated."""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs import _core
from fractalrs.base.base import Base
from fractalrs.dataset.folder import publish_folder
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import expected as expectation
from fractalrs.expansion.cells import Cells
from fractalrs.expansion.operators import BlockFunction, FunctionGenerator, Operator
from fractalrs.expansion.options import Options, Order, Ratings, TestItems, one_of
from fractalrs.expansion.payload import Payload
from fractalrs.expansion.profiles import DEFAULT_PROFILE, Shuffle
from fractalrs.expansion.reduction import ReducedMatrix

if TYPE_CHECKING:
    pass

Split = Literal["train", "test"]

_BATCH_INTERACTIONS = 1_000_000


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
        Cells for the shuffle ``"cells"``; ``fractalrs.group_cells(base)`` by default.
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
        Of a user's interactions: by column ``"block"``, inside in the base's order, with times in theirs (cheap), by
        ``"item"`` id, or by ``"time"``, the default where interactions have times.
    timestamps
        Give interactions times: those of their sources, moved along the source user's time line, each column block at
        a pace of its own (``docs/generator.md``). The base's payload must have ``timestamp``, and user cells one
        member (profile ``"traceable"``, or ``user_cell_size=1``). With times, a seed keeps other interactions than
        without.
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
        min_keep: float = Options.min_keep,
        max_keep: float = Options.max_keep,
        keep_scale: float = Options.keep_scale,
        block_keep: float = Options.block_keep,
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
        self.base = base
        self.reduced = reduced if isinstance(reduced, ReducedMatrix) else ReducedMatrix.from_array(reduced)
        self.profile = profile
        self.options = Options.resolve(
            profile,
            operator,
            shuffle=shuffle,
            seed=seed,
            min_keep=min_keep,
            max_keep=max_keep,
            keep_scale=keep_scale,
            block_keep=block_keep,
            test_items=test_items,
            drop_incomplete=drop_incomplete,
            order=order,
            timestamps=timestamps,
            ratings=ratings,
            carry=carry,
            cold_users=cold_users,
            cold_items=cold_items,
        )
        self.keep_rates = self.options.keep_rates(self.reduced.values)
        self.cells = self.options.fit(base, cells)
        self.payload = Payload.of(base, self.options)
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
        # What a function makes may be of any sign.
        by_function = isinstance(self.generator, FunctionGenerator)
        return by_function or self.base.test_count > 0 or self.options.cold_users > 0 or self.options.cold_items > 0

    @cached_property
    def expected(self) -> expectation.Expected:
        """What will come out, computed before anything is generated."""
        if self.options.operator == "sketch":
            return expectation.expected_sketch(self.base, self.reduced.shape)
        if isinstance(self.generator, FunctionGenerator):
            return expectation.expected_of_some(
                self.base, self.reduced.shape, self.generator.count_some(), self.options
            )
        counts = expectation.expected(self.base, self.keep_rates, self.cells, self.options)
        return expectation.with_cold(counts, self.base, self.keep_rates, self.options)

    @property
    def expected_interactions(self) -> float:
        """Expected number of train and test interactions."""
        return self.expected.train.mean + self.expected.test.mean

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

    def table(self, first: int, last: int, split: Split = "train") -> pa.Table:
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
        users, items, sources, times, ratings = self.generator.interactions(first, last, split == "test")
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
                yield from self.table(start, min(last, start + step), split).to_batches()

        return pa.RecordBatchReader.from_batches(self.schema, generate())

    def _check_range(self, first: int, last: int, split: Split) -> None:
        one_of("split", split, get_args(Split))
        if not 0 <= first <= last <= self.shape[0]:
            raise InputError(f"users {first} to {last} are not within 0 to {self.shape[0]}")

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


def _digest(array: npt.NDArray[Any]) -> str:
    return hashlib.sha256(str(array.shape).encode() + array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()
