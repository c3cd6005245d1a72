"""The expansion: the value that determines every interaction of the expanded data set, before any is generated."""

import dataclasses
import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs._core import GENERATOR, Generator
from fractalrs.base import BASE_FILES, Base
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.expansion.cells import Cells
from fractalrs.expansion.declared import accepts, document, one_of, pair, refuse_unknown, whole
from fractalrs.expansion.division import divide, row_block_weights
from fractalrs.expansion.expected import Expected
from fractalrs.expansion.fitting import Fit
from fractalrs.expansion.functions import FunctionGenerator
from fractalrs.expansion.operators import Operator, operator_named
from fractalrs.expansion.options import DEFAULT_PROFILE, OPTIONS, Options
from fractalrs.expansion.payload import Payload
from fractalrs.expansion.reduction import ReducedMatrix
from fractalrs.expansion.shuffles import shuffle_named
from fractalrs.tools import Digest, Place, Shown, Store, check_count, digest_of_json, store_of, whole_folder
from fractalrs.words import SPLITS, Split

BATCH_INTERACTIONS = 1_000_000
"""About how many interactions a batch has by default, at the most."""


SAVED = "expansion.json"
"""Of a saved expansion the file that is written last."""
_FILES = {"reduced.npz", "cells.npz", *map("base/{}".format, BASE_FILES)}
"""The others."""


class Expansion(Shown):
    """A base to be expanded: the stochastic Kronecker product of Algorithm 2 with everything that determines it.

    A value: the same arguments give the same interactions in the same order, whatever the threads, the parts and the
    machine (``docs/generator.md``).

    Parameters
    ----------
    base
        p users × q items, signed: from `leave_last_out`.
    reduced
        What `fit` made of a base, with its cells; or R̂ of shape (m, n) from `reduce`; or any matrix of that kind with
        entries in [0, 1].
    profile
        Defaults: ``"realistic"`` (shuffle cells), ``"paper"`` (block), ``"traceable"`` (aligned), or ``"reference"``
        (block, one test item, incomplete users dropped, ordered by item).
    cells
        Cells for the shuffle ``"cells"``; those of the fit, or ``fractalrs.group_cells(base)``, by default.
    {options}

    Raises
    ------
    InputError
        If an option is out of its range, or the parts do not fit each other.

    Examples
    --------
    >>> from fractalrs import leave_last_out, reduce, sample_interactions
    >>> base = leave_last_out(sample_interactions(60, 40, 600))
    >>> expansion = Expansion(base, reduce(base, (2, 3)), seed=7)
    >>> expansion.shape
    (120, 120)
    >>> expansion.table(0, 10).schema.names
    ['user_id', 'item_id']
    """

    @accepts(OPTIONS.values())
    def __init__(
        self,
        base: Base,
        reduced: ReducedMatrix | Fit | npt.ArrayLike,
        *,
        profile: str = DEFAULT_PROFILE,
        cells: Cells | None = None,
        **options: Any,
    ) -> None:
        refuse_unknown(options, inspect.signature(Expansion).parameters)
        self.base = base
        if isinstance(reduced, Fit):
            matrix, cells, options = _of_fit(reduced, profile, cells, options)
        else:
            matrix = reduced if isinstance(reduced, ReducedMatrix) else ReducedMatrix.from_array(reduced)
        self.reduced = matrix
        self.profile = profile
        self.options = Options.resolve(profile, **options)
        self.keep_rates = self.options.keep_rates(self.reduced.values)
        self.cells = self.options.fit(base, cells)
        self.payload = Payload.of(base, self.options)
        self._place: Path | Store | None = None
        if self.operator.is_function:
            # It does what writing asks of the core.
            made = FunctionGenerator(base, self.reduced.values, options["operator"], self.seed, self.schema)
            self.generator = cast("Generator", made)
        else:
            self.generator = self._core_generator()

    def _core_generator(self) -> Generator:
        base, options = self.base, self.options
        return Generator(
            base.indptr,
            base.entries,
            base.shape[1],
            self.keep_rates,
            # Orders and starts: of users, then of items.
            *vars(self.cells).values(),
            options={**dataclasses.asdict(options), "shuffled": shuffle_named(self.shuffle).permutes},
            times=self.payload.times,
            # Of a split by time nothing may come after what was held out as the latest.
            test_is_late=base.split == "last",
            hour=self.payload.hour,
            factors=_factors(self.reduced, options) if options.multiplies else None,
            ratings=self.payload.ratings,
            columns=self.payload.columns(),
        )

    @property
    def operator(self) -> Operator:
        """What makes its blocks."""
        return operator_named(self.options.operator)

    @property
    def shuffle(self) -> str:
        """The name of the shuffle that was resolved."""
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
        cold = self.options.cold_users > 0 or self.options.cold_items > 0
        return self.operator.is_function or self.base.test_count > 0 or cold

    @cached_property
    def expected(self) -> Expected:
        """What will come out, computed before anything is generated."""
        return self.operator.expect(self.base, self.keep_rates, self.cells, self.options, self.generator)

    @property
    def expected_interactions(self) -> float:
        """Expected number of train and test interactions."""
        return self.expected.train.mean + self.expected.test.mean

    def cuts(self, parts: int) -> list[int]:
        """Return the P + 1 users between which P parts of equally many expected interactions are, from 0 to all.

        Where row blocks are made of the base's users, those of one count the same. What is dropped later counts too.

        Examples
        --------
        >>> from fractalrs import leave_last_out, sample_interactions
        >>> base = leave_last_out(sample_interactions(60, 40, 600))
        >>> Expansion(base, [[0.25], [0.75]], max_keep=0.9, shuffle="aligned").cuts(4)
        [0, 60, 80, 100, 120]
        """
        (m, _), (p, _) = self.reduced.shape, self.base.shape
        if self.operator.is_function:
            return divide([1] * m, p, parts)
        if self.operator.has_row_blocks:
            return divide(row_block_weights(self.keep_rates, self.seed, self.options.block_keep), p, parts)
        degrees: list[int] = self.base.user_degrees().tolist()
        return divide(degrees, m, parts)

    @cached_property
    def fingerprint(self) -> str:
        """BLAKE3 digest, in hex, of everything that the interactions depend on."""
        # Times depend on how test interactions were chosen.
        late = self.options.timestamps and self.base.split == "last"
        return fingerprint_of(GENERATOR, self.base.fingerprint, self.options, late, self.reduced, self.cells)

    def table(self, first: int, last: int, split: Split = "train") -> pa.Table:
        """Generate the expanded users ``first`` to ``last`` (not included) alone.

        Parameters
        ----------
        first, last
            0 ≤ first ≤ last ≤ m·p.

        Returns
        -------
        pyarrow.Table
            Columns ``user_id``, ``item_id`` and what is carried, with exactly the files' schema and order.
        """
        first, last = self._checked(first, last, split)
        users, items, sources, times, ratings = self.generator.interactions(first, last, split == "test")
        columns = [pa.array(users), pa.array(items), *self.payload.gather(sources, times, ratings)]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def batches(
        self, split: Split = "train", users: tuple[int, int] | None = None, *, interactions: int = BATCH_INTERACTIONS
    ) -> pa.RecordBatchReader:
        """Generate a range of expanded users, all by default, as a stream in flat memory.

        Parameters
        ----------
        users
            First user and the one after the last.
        interactions
            About how many a batch has at the most.
        """
        first, last = self._checked(*pair("users", (0, self.shape[0]) if users is None else users), split)
        check_count("interactions", interactions)
        kept_per_user = self.base.count / self.base.shape[0] * self.keep_rates.sum(axis=1).max()
        step = max(1, int(interactions / max(1.0, kept_per_user * self.options.block_keep)))

        def generate() -> Iterator[pa.RecordBatch]:
            for start in range(first, last, step):
                yield from self.table(start, min(last, start + step), split).to_batches()

        return pa.RecordBatchReader.from_batches(self.schema, generate())

    def _checked(self, first: int, last: int, split: Split) -> tuple[int, int]:
        one_of("split", split, SPLITS)
        first, last = whole("first", first), whole("last", last)
        if not 0 <= first <= last <= self.shape[0]:
            raise InputError(f"users {first} to {last} are not within 0 to {self.shape[0]}")
        return first, last

    def save(self, path: Place) -> None:
        """Save to a folder that `load` maps into memory, or into an object store; nothing may be there yet.

        Raises
        ------
        InputError
            If a function makes its blocks.
        OutputError
            If something is there, or it cannot be written to.
        WriteError
            If writing fails midway; nothing is left under `path` that `load` takes.
        """
        if self.operator.is_function:
            raise InputError("an expansion made by a function cannot be saved: Python does not save functions")
        store, begun = store_of(path), False
        target = store.path.absolute() if isinstance(store.path, Path) else store.path
        if target.exists() if isinstance(target, Path) else not store.list().keys() <= _FILES:
            raise OutputError(f"{target} exists already", hint="choose a new folder")
        try:
            with whole_folder(target) if isinstance(target, Path) else _put_whole(store) as folder:
                begun = True
                self._write(folder)
        except (OSError, OutputError, WriteError) as error:
            # The base and the cells name the temporary folder.
            why, kind = error.__cause__ or error, WriteError if begun else OutputError
            raise kind(f"cannot write {target}: {getattr(why, 'strerror', None) or why}") from error
        if isinstance(target, Path) and self.base.path is None:
            # Nothing is written again; but from now on the base has a path by which it can be pickled too.
            self.base.save(target / "base")
        self._place = target if isinstance(target, Path) else store

    def _write(self, folder: Path) -> None:
        settings, arrays = {"profile": self.profile, **dataclasses.asdict(self.options)}, dict(vars(self.reduced))
        content = {"settings": settings, "reduced": arrays.pop("description")}
        # A value of its own: the folder it is saved in now is about to be renamed.
        dataclasses.replace(self.base).save(folder / "base")
        np.savez(folder / "reduced.npz", allow_pickle=False, **arrays)
        self.cells.save(folder / "cells.npz")
        (folder / SAVED).write_text(json.dumps(content, indent=2) + "\n")

    @classmethod
    def load(cls, path: Place) -> Self:
        """Load what `save` wrote; the base stays on disk, mapped into memory.

        What is in an object store is fetched into a temporary folder, as long as it is used.

        Raises
        ------
        InputError
            If no saved expansion is there.
        """
        store = store_of(path)
        if isinstance(store.path, Path):
            return cls._read(folder := store.path.absolute(), folder)
        try:
            with store.local(_FILES | {SAVED}) as here:
                # What is mapped outlives its names.
                return cls._read(here, store)
        except (OSError, OutputError) as error:
            raise InputError(f"{store.path} is not a saved expansion: {error}") from None

    @classmethod
    def _read(cls, folder: Path, place: Path | Store) -> Self:
        try:
            content = json.loads((folder / SAVED).read_text())
            settings = content["settings"]
            with np.load(folder / "reduced.npz") as arrays:
                reduced = ReducedMatrix(**arrays, description=content["reduced"])
            cells = Cells.load(folder / "cells.npz") if shuffle_named(settings["shuffle"]).takes_cells else None
        except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
            where = place if isinstance(place, Path) else place.path
            raise InputError(f"{where} is not a saved expansion: {error}") from None
        base = Base.load(folder / "base")
        # Of a temporary folder the base must not tell.
        base = base if folder == place else dataclasses.replace(base)
        expansion = cls(base, reduced, cells=cells, **settings)
        expansion._place = place
        return expansion

    def __reduce__(self) -> tuple[Any, ...]:
        if self._place is None:
            raise InputError("this expansion is not saved, so it cannot be sent to another process", "save it first")
        return _load_same, (type(self), self._place, self.fingerprint)

    def __repr__(self) -> str:
        (m, n), (p, q) = self.reduced.shape, self.base.shape
        return f"Expansion({p:,} users × {q:,} items, × ({m}, {n}), shuffle={self.shuffle!r}, seed={self.seed})"

    def _facts(self) -> dict[str, Any]:
        named = {"base": self.base, "multipliers": self.reduced.shape, "user_ids": self.shape[0]}
        named |= {"item_ids": self.shape[1], "profile": self.profile, "shuffle": self.shuffle}
        return {**named, "operator": self.operator.name, "columns": ", ".join(self.schema.names), "seed": self.seed}


@contextmanager
def _put_whole(store: Store) -> Iterator[Path]:
    """Yield a folder to fill; at the end it is put into a store, and last what makes it an expansion."""
    with store.staging() as staging:
        yield staging.path(SAVED).parent
        last = staging.path(SAVED).read_bytes()
        for name in staging.finished():
            if name != SAVED:
                staging.publish(name)
    if not store.claim(SAVED, last):
        raise FileExistsError(17, "somebody else has saved one meanwhile")


def _of_fit(
    fitted: Fit, profile: str, cells: Cells | None, options: dict[str, Any]
) -> tuple[ReducedMatrix, Cells, dict[str, Any]]:
    """Return what an expansion takes from a fit; refuse what it was not made for."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in fitted.rates.items():
        if given.get(name, value) != value:
            raise InputError(f"{name} is {given[name]}, but the fit was made for {value:g}", f"fit again with {name}")
    if cells is not None:
        raise InputError("cells are given, but the fit has its own", hint="take fit.reduced with cells of your own")
    if not shuffle_named(Options.resolve(profile, **given).shuffle).takes_cells:
        raise InputError("a fit is for the shuffle 'cells'", hint="take the profile realistic, or reduce in its place")
    return fitted.reduced, fitted.cells, given | fitted.rates


def fingerprint_of(
    generator: int, base: str, options: Options, late: bool, reduced: ReducedMatrix, cells: Cells
) -> str:
    """Return `Expansion.fingerprint` of what it depends on: of the base its fingerprint is enough."""
    content: dict[str, Any] = {
        "generator": generator,
        "base": base,
        "options": dataclasses.asdict(options),
        "reduced": _digest(_factors(reduced, options)),
        "late": late,
        "cells": [*map(_digest, vars(cells).values())],
    }
    return digest_of_json(content)


def _factors(reduced: ReducedMatrix, options: Options) -> npt.NDArray[np.float64]:
    """What the output depends on of the reduced matrix."""
    return reduced.signed if operator_named(options.operator).multiplies else reduced.values


def _load_same(kind: type[Expansion], path: Path | Store, fingerprint: str) -> Expansion:
    """Load a pickled expansion, which is its path: refuse another one that lies there now."""
    expansion = kind.load(path)
    if expansion.fingerprint == fingerprint:
        return expansion
    where = path if isinstance(path, Path) else path.path
    raise InputError(
        f"the expansion saved in {where} is not the one that was pickled", "pickle the one that is there now"
    )


document(Expansion, OPTIONS.values())


def _digest(array: npt.NDArray[Any]) -> str:
    return Digest([str(array.shape).encode(), array.astype(array.dtype.newbyteorder("<")).tobytes()]).hex()
