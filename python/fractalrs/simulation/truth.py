"""Truth at any size: preferences and propensities of expanded ids, through what each pair stands for in the world."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.dataset import Known, write_truth
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, shuffle_named
from fractalrs.simulation.belonging import ids_of
from fractalrs.simulation.policies import Floats, Integers, OfUsers, value_of
from fractalrs.simulation.true_stream import TrueStream
from fractalrs.simulation.world import World
from fractalrs.tools import (
    Digest,
    Place,
    Progress,
    Shown,
    as_progress,
    check_kind,
    checked_pairs,
    resolve_threads,
)
from fractalrs.words import Split

_CELLS = 1 << 21
"""So many cells of users × items are worked on at a time."""


_ROWS = 1 << 20
"""About so many rows of what dropout left out are made at a time."""
_KNOWN = tuple(pa.field(name, pa.float64(), nullable=False) for name in ("preference", "propensity"))


class Truth(Shown):
    """What is true of the pairs of an expansion of what a world logged: exactly, and without a table of them.

    Each expanded user and item stand for a user and an item of the world, their *source* in the block that they meet
    in. With the shuffle ``"mixed"`` the interactions of a few alike users are dealt out among them, item by item: then
    the source of a pair is the user whose interaction with the item was dealt there, or, where there was none, the one
    of the others that the same deal puts there. So for each item every user of the world is a source once in a block.

    Parameters
    ----------
    world
        From `simulate`.
    expansion
        Of a base that `leave_last_out` made of the world.

    Raises
    ------
    InputError
        If the base of the expansion is not of this world, or its operator samples or is a function.

    Examples
    --------
    >>> import fractalrs as fr
    >>> world = fr.simulate(60, 40, 600, seed=7)
    >>> base = fr.leave_last_out(world)
    >>> expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)
    >>> truth = fr.Truth(world, expansion)
    >>> truth.preference([0, 99], [0, 99]).shape
    (2,)
    """

    def __init__(self, world: World, expansion: Expansion) -> None:
        check_kind("world", world, World, "a World, as simulate returns one")
        check_kind("expansion", expansion, Expansion, "an Expansion")
        if expansion.options.operator != "dropout":
            raise InputError(
                f"the operator {expansion.options.operator!r} gives pairs no source of their own",
                hint="expand by dropout, the default",
            )
        self.world, self.expansion = world, expansion
        self._users, self._items = ids_of(expansion.base, world)

    def source(
        self, users: npt.ArrayLike, items: npt.ArrayLike, *, threads: int | None = None
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Return the user and the item of the world that pairs of expanded ids stand for.

        Parameters
        ----------
        users, items
            Ids, broadcast against each other.

        Examples
        --------
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600, seed=7)
        >>> base = fr.leave_last_out(world)
        >>> truth = fr.Truth(world, fr.Expansion(base, fr.reduce(base, (2, 3)), shuffle="none"))
        >>> bool(truth.source(3, 5) == truth.source(3 + base.shape[0], 5 + 2 * base.shape[1]))
        True
        """
        user, item, shape = self._coded(users, items, threads)
        return self._users[user].reshape(shape), self._items[item].reshape(shape)

    def preference(self, users: npt.ArrayLike, items: npt.ArrayLike, *, threads: int | None = None) -> Floats:
        """Return the probability that expanded users like items when they look at them: that of their sources.

        Parameters
        ----------
        users, items
            Ids, broadcast against each other.

        Returns
        -------
        numpy.ndarray
            float64, of the shape of the two together.

        Raises
        ------
        InputError
            If an id is out of range.
        """
        return self.world.preference(*self.source(users, items, threads=threads), threads=threads)

    def propensity(self, users: npt.ArrayLike, items: npt.ArrayLike, *, threads: int | None = None) -> Floats:
        """Return the probability that pairs were shown and kept: the source's propensity times the block's keep rate.

        That a written interaction is there at all has this probability times that of a response.

        Of the world, users and items with too few responses for the base are not in the expansion: estimates from what
        is, by these propensities, are biased upwards where users have few (``docs/simulation.md``).

        Parameters
        ----------
        users, items
            Ids, broadcast against each other.

        Returns
        -------
        numpy.ndarray
            float64, of the shape of the two together.

        Raises
        ------
        InputError
            If an id is out of range, or an option drops interactions by other rules (``test_items="one"``,
            ``drop_incomplete``).
        """
        self._check_known()
        user, item = checked_pairs(users, items, self.expansion.shape)
        logged = self.world.propensity(*self.source(user, item, threads=threads), threads=threads)
        return self.keep_rates(user, item) * logged

    def observed(
        self, users: npt.ArrayLike, items: npt.ArrayLike, *, threads: int | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return whether the sources of pairs responded, whether or not dropout kept that.

        What is so and not in `Expansion.contains` is what `Expansion.unobserved` gives.

        Parameters
        ----------
        users, items
            Ids, broadcast against each other.

        Returns
        -------
        numpy.ndarray
            bool, of the shape of the two together.

        Examples
        --------
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600, seed=7)
        >>> base = fr.leave_last_out(world)
        >>> expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)
        >>> written = expansion.table(0, 100)
        >>> bool(fr.Truth(world, expansion).observed(written["user_id"], written["item_id"]).all())
        True
        """
        user, item = checked_pairs(users, items, self.expansion.shape)
        base = self.expansion.base
        found: npt.NDArray[np.bool_] = self.expansion.core.observed(
            base.indptr, base.entries, user.ravel(), item.ravel(), resolve_threads(threads)
        )
        return found.reshape(user.shape)

    def stream(
        self, split: Split = "train", *, users: tuple[int, int] | None = None, threads: int | None = None
    ) -> TrueStream:
        """Return the interactions of a split with what is true of them, made while they are read, in flat memory.

        Of the world, users and items with too few responses for the base are not in the expansion: estimates from what
        is, by these propensities, are biased upwards where users have few (``docs/simulation.md``).

        Parameters
        ----------
        users
            First expanded user and the one after the last; all by default.

        Returns
        -------
        TrueStream
            The columns of `Expansion.stream` and, float64, ``preference`` and ``propensity``.

        Raises
        ------
        InputError
            If users are out of range, or propensities are not known (`propensity`).

        Examples
        --------
        >>> import pyarrow as pa
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600, seed=7)
        >>> base = fr.leave_last_out(world)
        >>> truth = fr.Truth(world, fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7))
        >>> pa.table(truth.stream("test")).column_names
        ['user_id', 'item_id', 'preference', 'propensity']
        """
        self._check_known()
        return TrueStream(self._carrying.stream(split, users=users, threads=threads), self.keep_rates)

    def write(
        self,
        path: Place,
        *,
        unobserved: bool = False,
        threads: int | None = None,
        progress: bool | Progress = False,
    ) -> dict[str, int]:
        """Write what is true of a data set of the expansion to its folder ``truth/``, beside ``train/`` and ``test/``.

        A file there has the rows of the file of the same name here, in the same order: ``user_id``, ``item_id``,
        ``preference`` and ``propensity``. The same call writes what is missing or damaged. `verify` looks at it too,
        `publish` leaves it at home: it is the answer key.

        Parameters
        ----------
        path
            Folder of the data set, which is complete.
        unobserved
            Write ``truth/unobserved/`` too, with what dropout left out: likewise, of all splits.
        progress
            `True` for a bar, or what is told of rows and files.

        Returns
        -------
        dict
            Rows by split, and ``"unobserved"``.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        InputError
            If propensities are not known (`propensity`), the policy of the world is a function, or the data set is of
            another expansion, not complete, or divided by periods.
        OutputError
            If what is there is true of another world, or there is too little room.
        WriteError
            If writing fails; the same call goes on.

        Examples
        --------
        >>> import tempfile
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600, seed=7)
        >>> base = fr.leave_last_out(world)
        >>> expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     totals = fr.write(expansion, folder).totals
        ...     rows = fr.Truth(world, expansion).write(folder, unobserved=True)
        >>> rows["train"] == totals["train"], sum(rows.values()) == 6 * base.count
        (True, True)
        """
        self.require_writable()
        check_kind("unobserved", unobserved, bool, "True or False")
        return write_truth(
            path, self, unobserved=unobserved, threads=resolve_threads(threads), progress=as_progress(progress)
        )

    def require_writable(self) -> None:
        """Refuse what `write` refuses whatever the data set: propensities that are not known, a policy in no file.

        Examples
        --------
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600, seed=7)
        >>> fr.Truth(world, fr.Expansion(fr.leave_last_out(world), [[0.5]])).require_writable()
        """
        self._check_known()
        _ = self.digest, self._carrying

    @property
    def digest(self) -> str:
        """BLAKE3 digest, in hex, of the world; refused where its policy is a function."""
        return Digest([self.world.text.encode()]).hex()

    @property
    def true_schema(self) -> pa.Schema:
        """Columns of what is true: ids, preference and propensity."""
        return pa.schema([*list(self.expansion.schema)[:2], *_KNOWN])

    def rows(self, kind: Known, users: tuple[int, int], threads: int) -> Iterator[pa.RecordBatch]:
        """Make what is true of some users: of the interactions of a split, or of what dropout left out.

        Examples
        --------
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600, seed=7)
        >>> base = fr.leave_last_out(world)
        >>> truth = fr.Truth(world, fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7))
        >>> next(truth.rows("unobserved", (0, 9), threads=1)).schema.names
        ['user_id', 'item_id', 'preference', 'propensity']
        """
        if kind != "unobserved":
            for batch in self.stream(kind, users=users, threads=threads):
                yield batch.select(self.true_schema.names)
            return
        of_user = self.expansion.base.count * self.expansion.reduced.shape[1] / self.expansion.base.shape[0]
        step = max(1, round(_ROWS / of_user))
        for first in range(*users, step):
            some = np.arange(first, min(users[1], first + step))
            starts, items = self.expansion.unobserved(some, threads=threads)
            user = np.repeat(some, np.diff(starts))
            columns = (user, items, *self.of_pairs(user, items, threads))
            arrays = [pa.array(column, field.type) for column, field in zip(columns, self.true_schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.true_schema)

    @cached_property
    def _carrying(self) -> Expansion:
        """The same expansion, whose interactions carry what is known of their sources: propensities are of the log."""
        expansion = self.expansion
        base, options = expansion.base, expansion.options
        if {field.name for field in _KNOWN} & {*expansion.schema.names}:
            raise InputError(
                "the base has a column preference or propensity of its own", hint="carry it by another name"
            )
        source = self._users[base.owners], self._items[base.indices]
        known = self.world.preference(*source), self.world.propensity(*source)
        needed = {} if base.payload is None else {name: base.payload[name] for name in options.payload}
        # What the hour of times is stands in the metadata of their field.
        fields = [] if base.payload is None else [base.payload.schema.field(name) for name in needed]
        payload = pa.table([*needed.values(), *known], schema=pa.schema([*fields, *_KNOWN]))
        settings = asdict(options) | {"carry": (*options.carry, *(field.name for field in _KNOWN))}
        cells = expansion.cells if shuffle_named(expansion.shuffle).takes_cells else None
        reduced, profile = expansion.reduced, expansion.profile
        return Expansion(replace(base, payload=payload), reduced, profile=profile, cells=cells, **settings)

    def policy_value(self, policy: OfUsers, users: npt.ArrayLike | None = None) -> float:
        """Return how many of the items that a policy shows an expanded user are liked, in the mean over users: exactly.

        By default the users are a sample of 1,000 where there are more: exact for these, and an estimate for all.

        Parameters
        ----------
        policy
            Takes ids of expanded users, int64 (users,), and returns the probability that it shows each expanded item:
            (users, items); those of a user add up to the items of a slate.
        users
            Ids; by default all up to 1,000 of them, spread evenly.

        Raises
        ------
        InputError
            If what it returns are no such probabilities.

        Examples
        --------
        >>> import numpy as np
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600, seed=7)
        >>> base = fr.leave_last_out(world)
        >>> truth = fr.Truth(world, fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7))
        >>> uniform = np.full(truth.expansion.shape[1], 1 / truth.expansion.shape[1])
        >>> 0 < truth.policy_value(lambda users: np.tile(uniform, (len(users), 1))) < 1
        True
        """

        def liked(rows: Integers, chances: Floats) -> float:
            row, item = np.nonzero(chances)
            return float((chances[row, item] * self.preference(rows[row], item)).sum())

        shape = self.expansion.shape
        return value_of(policy, users, shape, max(1, _CELLS // shape[1]), liked)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Truth):
            return NotImplemented
        return self.world == other.world and self.expansion.fingerprint == other.expansion.fingerprint

    def __hash__(self) -> int:
        return hash((self.world, self.expansion.fingerprint))

    def _check_known(self) -> None:
        options = self.expansion.options
        if options.drop_incomplete or options.test_items == "one":
            raise InputError(
                "this expansion drops interactions by what else a user has, so their propensities are not known",
                hint="expand without drop_incomplete, and with test_items='all'",
            )

    def of_pairs(self, users: npt.ArrayLike, items: npt.ArrayLike, threads: int) -> tuple[Floats, Floats]:
        """Return preferences and propensities of pairs, of which the sources are looked up once."""
        user, item = checked_pairs(users, items, self.expansion.shape)
        source = self.source(user, item, threads=threads)
        logged = self.world.propensity(*source, threads=threads)
        return self.world.preference(*source, threads=threads), self.keep_rates(user, item) * logged

    def keep_rates(self, users: npt.ArrayLike, items: npt.ArrayLike) -> Floats:
        """Return how likely the blocks of pairs are there and keep them: float64, of the shape of the ids.

        Examples
        --------
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600, seed=7)
        >>> base = fr.leave_last_out(world)
        >>> truth = fr.Truth(world, fr.Expansion(base, [[0.25, 0.5]]))
        >>> truth.keep_rates([0, 0], [0, base.shape[1]]).tolist()
        [0.25, 0.5]
        """
        p, q = self.expansion.base.shape
        rates: Floats = self.expansion.keep_rates[np.asarray(users) // p, self.expansion.places(items) // q]
        return rates * self.expansion.options.block_keep

    def _coded(
        self, users: npt.ArrayLike, items: npt.ArrayLike, threads: int | None
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], tuple[int, ...]]:
        """Return the codes of the sources in the base."""
        user, item = checked_pairs(users, items, self.expansion.shape)
        base = self.expansion.base
        found = self.expansion.core.sources(
            base.indptr, base.entries, user.ravel(), item.ravel(), resolve_threads(threads)
        )
        return *found, user.shape

    def _facts(self) -> dict[str, Any]:
        users, items = self.expansion.shape
        return {"users": users, "items": items, "world": self.world, "shuffle": self.expansion.shuffle}
