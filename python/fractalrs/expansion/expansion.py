"""The expansion: the value that determines every interaction of the expanded data set, before any is generated."""

import dataclasses
import inspect
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import numpy.typing as npt
import pyarrow as pa

from fractalrs._core import GENERATOR, Generator
from fractalrs.base import Base
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.expansion.cells import Cells
from fractalrs.expansion.declared import accepts, document, one_of, pair, refuse_unknown, whole
from fractalrs.expansion.division import divide, row_block_weights
from fractalrs.expansion.expected import Expected
from fractalrs.expansion.fingerprint import factors_of, fingerprint_of
from fractalrs.expansion.fitted import of_fit
from fractalrs.expansion.fitting import Fit
from fractalrs.expansion.functions import FunctionGenerator
from fractalrs.expansion.lookups import Lookups
from fractalrs.expansion.operators import Operator, operator_named
from fractalrs.expansion.options import DEFAULT_PROFILE, OPTIONS, Options
from fractalrs.expansion.payload import Payload
from fractalrs.expansion.reduction import ReducedMatrix
from fractalrs.expansion.saved import FILES, SAVED, put_whole, read_saved, write_saved
from fractalrs.expansion.shuffles import shuffle_named
from fractalrs.expansion.stream import BATCH_SIZE, Stream, chosen_schema, ticks_between
from fractalrs.tools import Place, Shown, Store, check_count, resolve_threads, store_of, unwritten, whole_folder
from fractalrs.words import SPLITS, Split


class Expansion(Lookups, Shown):
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
        Defaults: ``"realistic"`` (shuffle mixed), ``"paper"`` (block), ``"traceable"`` (aligned), or ``"reference"``
        (block, one test item, incomplete users dropped, ordered by item).
    cells
        Cells for the shuffles ``"mixed"`` and ``"cells"``; by default those of the fit, or `fractalrs.group_cells`'s.
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
            matrix, cells, options = of_fit(reduced, profile, cells, options)
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
            if base.valid_count:
                message = "a function makes train and test interactions, and the base has some for validation"
                raise InputError(message, hint="leave validation out")
            # It does what writing asks of the core.
            made = FunctionGenerator(base, self.reduced.values, options["operator"], self.seed, self.schema)
            self.generator = cast("Generator", made)
        else:
            self.generator = self._core_generator()

    def _core_generator(self) -> Generator:
        base, options, shuffle = self.base, self.options, shuffle_named(self.shuffle)
        return Generator(
            base.indptr,
            base.entries,
            base.shape[1],
            self.keep_rates,
            # Orders and starts: of users, then of items.
            *vars(self.cells).values(),
            threads=resolve_threads(None),
            options={**dataclasses.asdict(options), "shuffled": shuffle.permutes, "mixed": shuffle.mixes},
            times=self.payload.times,
            # Nothing may come after what was held out as the latest, nor after the cut of a split by the clock.
            test_is_late=base.test_is_late,
            hour=self.payload.hour,
            cuts=(base.cuts[0], base.cuts[-1]) if base.cuts else None,
            factors=factors_of(self.reduced, options) if options.multiplies else None,
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

    @cached_property
    def schema(self) -> pa.Schema:
        """Of files, tables and batches: int32 where the id space fits, else int64."""

        def field(name: str, ids: int) -> pa.Field:
            return pa.field(name, pa.int32() if ids <= 1 << 31 else pa.int64(), nullable=False)

        return pa.schema([field("user_id", self.shape[0]), field("item_id", self.shape[1]), *self.payload.fields])

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that an interaction can be in, train always."""
        # What a function makes may be of any sign.
        cold = self.options.cold_users > 0 or self.options.cold_items > 0
        has_test = self.operator.is_function or self.base.test_count > 0 or cold
        there = {"train": True, "valid": self.base.valid_count > 0, "test": has_test}
        return tuple(split for split in SPLITS if there[split])

    @cached_property
    def expected(self) -> Expected:
        """What will come out, computed before anything is generated."""
        return self.operator.expect(self.base, self.keep_rates, self.cells, self.options, self.generator)

    @property
    def expected_interactions(self) -> float:
        """Expected number of interactions of all splits."""
        return self.expected.interactions

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
        late = self.options.timestamps and self.base.test_is_late
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
        users, items, sources, times, ratings = self.generator.interactions(first, last, split)
        carried = self.payload.gather(self.schema.names[2:], sources, times, ratings)
        columns = [pa.array(users), pa.array(items), *carried]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def stream(
        self,
        split: Split = "train",
        *,
        users: tuple[int, int] | None = None,
        time: tuple[Any, Any] | None = None,
        columns: Sequence[str] | None = None,
        batch_size: int = BATCH_SIZE,
        threads: int | None = None,
    ) -> Stream:
        """Return interactions as Arrow record batches in their order, made while they are read, in flat memory.

        Parameters
        ----------
        users
            First expanded user and the one after the last; all by default.
        time
            Dates, or ticks: interactions from the first on and before the second; all by default.
        columns
            Names of the columns to make, in their order; all by default.
        batch_size
            How many interactions a batch has at the most.
        threads
            Threads that make batches ahead; by default as many as this process may use.

        Raises
        ------
        InputError
            If users are out of range, a column does not exist, or interactions get no times and are chosen by them.
        """
        chosen = self._checked(*pair("users", (0, self.shape[0]) if users is None else users), split)
        check_count("batch_size", batch_size, least=1)
        schema = chosen_schema(self.schema, columns)
        ticks = None if time is None else ticks_between(*pair("time", time), self.schema)
        return Stream(schema, split, chosen, ticks, batch_size, resolve_threads(threads), self.generator, self.payload)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand its train interactions over as an Arrow stream."""
        return self.stream().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Hand its schema over, for readers that ask for it before they read."""
        return self.schema.__arrow_c_schema__()

    def _checked(self, first: int, last: int, split: Split) -> tuple[int, int]:
        one_of("split", split, SPLITS)
        first, last = whole("first", first), whole("last", last)
        if not 0 <= first <= last <= self.shape[0]:
            message = f"users {first} to {last} are not within 0 to {self.shape[0]}"
            raise InputError(message, hint="give two numbers in this range, the smaller first")
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
            message = "an expansion made by a function cannot be saved: Python does not save functions"
            raise InputError(message, hint="write what it makes: fractalrs.write")
        store, begun = store_of(path), False
        target = store.path.absolute() if isinstance(store.path, Path) else store.path
        if target.exists() if isinstance(target, Path) else not store.list().keys() <= FILES:
            raise OutputError(f"{target} exists already", hint="choose a new folder")
        try:
            with whole_folder(target) if isinstance(target, Path) else put_whole(store) as folder:
                begun = True
                settings = {"profile": self.profile, **dataclasses.asdict(self.options)}
                write_saved(folder, self.base, self.reduced, self.cells, settings)
        except (OSError, OutputError, WriteError) as error:
            if isinstance(error, OutputError) and not begun:
                raise
            # The base and the cells name the temporary folder.
            raise unwritten(target, error.__cause__ or error, begun) from error
        if isinstance(target, Path) and self.base.path is None:
            # Nothing is written again; but from now on the base has a path by which it can be pickled too.
            self.base.save(target / "base")
        self._place = target if isinstance(target, Path) else store

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
            with store.local(FILES | {SAVED}) as here:
                # What is mapped outlives its names.
                return cls._read(here, store)
        except (OSError, OutputError) as error:
            raise InputError(
                f"{store.path} is not a saved expansion: {error}", "give what Expansion.save wrote"
            ) from None

    @classmethod
    def _read(cls, folder: Path, place: Path | Store) -> Self:
        reduced, cells, settings = read_saved(folder, place if isinstance(place, Path) else place.path)
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
