"""Truth at any size: preferences and propensities of expanded ids, through what each pair stands for in the world."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, Stream
from fractalrs.simulation.policies import Floats, Integers, OfUsers, value_of
from fractalrs.simulation.world import World
from fractalrs.tools import Shown, check_kind, checked_pairs, resolve_threads
from fractalrs.words import Split

_CELLS = 1 << 21
"""So many cells of users × items are worked on at a time."""
_CHECKED = 64
"""The interactions of so many users of a base are compared with what the world logs."""


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
        self._users, self._items = _ids_of(expansion.base, world)

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
        return self._keep(user, item) * logged

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
        user, item, shape = self._coded(users, items, threads)
        keys, wanted = self._responses, user.astype(np.int64) * self.expansion.base.shape[1] + item
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.asarray(keys[places] == wanted).reshape(shape)

    @cached_property
    def _responses(self) -> Integers:
        """The interactions of the base, each as one number, rising."""
        base = self.expansion.base
        return np.asarray(base.owners * base.shape[1] + base.indices)

    def stream(
        self, split: Split = "train", *, users: tuple[int, int] | None = None, threads: int | None = None
    ) -> "TrueStream":
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
        return TrueStream(self, self.expansion.stream(split, users=users, threads=threads))

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
        return self.world.preference(*source, threads=threads), self._keep(user, item) * logged

    def _keep(self, users: npt.NDArray[np.uint64], items: npt.NDArray[np.uint64]) -> Floats:
        """Return how likely the blocks of pairs are there and keep them."""
        p, q = self.expansion.base.shape
        rates: Floats = self.expansion.keep_rates[users // np.uint64(p), self.expansion.places(items) // q]
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


@dataclass(frozen=True, repr=False)
class TrueStream(Shown):
    """Interactions of an expansion with their true preferences and propensities, as Arrow record batches.

    Made while they are read, as often as wanted, from `Truth.stream`.

    Examples
    --------
    >>> import fractalrs as fr
    >>> world = fr.simulate(60, 40, 600, seed=7)
    >>> base = fr.leave_last_out(world)
    >>> stream = fr.Truth(world, fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)).stream(users=(0, 9))
    >>> all(batch["propensity"].to_numpy().max() <= 1 for batch in stream)
    True
    """

    truth: Truth
    interactions: Stream

    @property
    def schema(self) -> pa.Schema:
        """The columns of the interactions, and what is true of them."""
        known = (pa.field(name, pa.float64(), nullable=False) for name in ("preference", "propensity"))
        return pa.schema([*self.interactions.schema, *known])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self.interactions:
            known = self.truth.of_pairs(batch["user_id"], batch["item_id"], self.interactions.threads)
            yield pa.RecordBatch.from_arrays([*batch.columns, *map(pa.array, known)], schema=self.schema)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand it over as an Arrow stream."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self)).__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Hand the schema over, for readers that ask for it before they read."""
        return self.schema.__arrow_c_schema__()


def _ids_of(base: Base, world: World) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the ids that codes of a base have in the world; refuse a base that is not of it."""
    ids = []
    for array, count, side in zip((base.user_ids, base.item_ids), world.shape, ("user", "item"), strict=True):
        is_whole = pa.types.is_integer(array.type)
        if not is_whole or pc.min(array).as_py() < 0 or pc.max(array).as_py() >= count:
            raise InputError(
                f"the base of the expansion has {side}s that the world has not: they do not belong together",
                hint="expand leave_last_out(world) of the same world",
            )
        ids.append(array.to_numpy(zero_copy_only=False).astype(np.uint32))
    few = ids[0][:: -(-len(ids[0]) // _CHECKED)]
    users, items = world.responses(few)
    rows = np.isin(ids[0][base.owners], few)
    given = ids[0][base.owners[rows]].astype(np.int64) * world.shape[1] + ids[1][base.indices[rows]]
    if not np.array_equal(np.sort(given), np.unique(users.astype(np.int64) * world.shape[1] + items)):
        raise InputError(
            "the base of the expansion has other interactions than the world logs: they do not belong together",
            hint="expand leave_last_out(world) of the same world",
        )
    return ids[0], ids[1]
