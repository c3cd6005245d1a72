"""The world: who likes what, what is shown to whom, and what is logged; a value, in flat memory."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fractalrs._core import ExposureLog
from fractalrs._core import World as Core
from fractalrs.errors import InputError
from fractalrs.reading import Interactions, read_interactions
from fractalrs.simulation import saved
from fractalrs.simulation.ids import checked_range, codes_of, spread
from fractalrs.simulation.log import INTERACTIONS, Columns, Observations, chosen_schema
from fractalrs.simulation.policies import Floats, Integers, OfUsers, Policy, value_of
from fractalrs.tools import (
    Progress,
    Shown,
    as_progress,
    check_count,
    checked_ids,
    checked_pairs,
    require_memory,
    resolve_threads,
)

_PIECE = 1 << 16
"""Threads make about so many exposures at a time."""
_ROUNDS = 1 << 64
_ITEM_BYTES = 72
"""What the core knows of an item at most: its taste and appeal, its rank, and where it lies on the axis of weights."""
_CELLS = 1 << 22
"""So many cells of users × items are worked on at a time."""


class World(Shown):
    """Users whose preferences are known, a logging policy with known propensities, and what it logs.

    A value: the same arguments give the same world and the same log, whatever the threads and the machine
    (``docs/simulation.md``). Made by `simulate`. It is a source: `leave_last_out`, `expand` and `read_interactions`
    take it, and get what users responded to. Ids of users and of items are 0, 1, 2, ….

    Parameters
    ----------
    spec, policy, name
        What the core knows of it, in whole numbers; what weighs items where that depends on the user; and its name.

    Examples
    --------
    >>> import fractalrs as fr
    >>> world = fr.simulate(60, 40, 600, seed=7)
    >>> fr.leave_last_out(world, split="none").shape[0] <= 60
    True
    """

    def __init__(self, spec: Mapping[str, Any], policy: Policy | None = None, name: str = "popularity") -> None:
        self.spec = dict(spec)
        if isinstance(items := self.spec.get("items"), int):
            require_memory(_ITEM_BYTES * items, f"a world of {items:,} items", "simulate fewer items")
        self.core = Core(self.spec)
        self.policy = policy
        self.policy_name = name

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users p and of items q."""
        return self.spec["users"], self.spec["items"]

    @property
    def seed(self) -> int:
        """The seed."""
        return int(self.spec["seed"])

    @property
    def slate(self) -> int:
        """How many items are shown together."""
        return len(self.spec["examination"])

    @property
    def examination(self) -> Floats:
        """The probability that a user looks at each position of a slate: float64, shape (slate,)."""
        return np.array(self.spec["examination"]) / 2.0**32

    @property
    def exposure_count(self) -> int:
        """Number of exposures of a round."""
        return int(self.spec["activity"]["values"][-1])

    def exposures(self, users: npt.ArrayLike) -> Integers:
        """Return how many exposures each user has in a round: int64, of the shape of `users`.

        Examples
        --------
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600)
        >>> int(world.exposures(range(60)).sum()) == world.exposure_count
        True
        """
        ids = checked_ids("users", users, self.shape[0])
        return self.core.exposures(codes_of(ids.ravel())).astype(np.int64).reshape(ids.shape)

    def preference(self, users: npt.ArrayLike, items: npt.ArrayLike, *, threads: int | None = None) -> Floats:
        """Return the probability that users like items when they look at them: the truth.

        Parameters
        ----------
        users, items
            Ids, broadcast against each other.

        Returns
        -------
        numpy.ndarray
            float64, of the shape of the two together: whole numbers of 2⁻³².

        Raises
        ------
        InputError
            If an id is out of range.

        Examples
        --------
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600)
        >>> world.preference([[0], [1]], [2, 3, 4]).shape
        (2, 3)
        """
        user, item, shape = self._pairs(users, items)
        return self.core.preferences(user, item, resolve_threads(threads)).reshape(shape)

    def propensity(self, users: npt.ArrayLike, items: npt.ArrayLike, *, threads: int | None = None) -> Floats:
        """Return the probability that the logging policy shows users items in a round: exact.

        Over all items that adds up to a user's exposures. Nobody is shown an item twice in a round.

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
            If an id is out of range, or the policy does not give weights.

        Examples
        --------
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600)
        >>> bool(abs(world.propensity(7, range(40)).sum() - world.exposures(7)) < 1e-9)
        True
        """
        user, item, shape = self._pairs(users, items)
        if self.policy is None:
            return self.core.propensities(user, item, resolve_threads(threads)).reshape(shape)
        found, number = np.unique(user, return_inverse=True)
        values = np.empty(len(user))
        for start, rows in self._in_batches(found):
            here = (number >= start) & (number < start + len(rows))
            chances = self.core.chances(rows, self._weights(rows)).reshape(len(rows), -1)
            values[here] = chances[number[here] - start, item[here]]
        return values.reshape(shape)

    def preferences(self, users: npt.ArrayLike, *, threads: int | None = None) -> Floats:
        """Return the preferences of users for every item: float64, shape (users, items).

        Examples
        --------
        >>> import fractalrs as fr
        >>> fr.simulate(60, 40, 600).preferences([3, 4]).shape
        (2, 40)
        """
        ids = codes_of(checked_ids("users", users, self.shape[0]).ravel())
        return self.core.rows(ids, resolve_threads(threads)).reshape(len(ids), self.shape[1])

    def observations(
        self,
        *,
        only_responses: bool = False,
        columns: Sequence[str] | None = None,
        users: tuple[int, int] | None = None,
        round: int = 0,
        threads: int | None = None,
    ) -> Observations:
        """Return the log of a round, user by user, as Arrow record batches that are made while they are read.

        Parameters
        ----------
        only_responses
            Whether exposures without a response are dropped.
        columns
            Some of those of the log, in their order: ``user_id``, ``item_id``, ``timestamp`` (seconds since 1970),
            ``position`` in the slate, ``propensity`` (as `propensity` gives it), ``response`` and ``rating`` (1 to 5,
            null without a response).
        users
            The first user and the one after the last; all by default.
        round
            Users come back in every round, with the preferences they have and by chance of its own.

        Raises
        ------
        InputError
            If a column does not exist, or users or the round are out of range.

        Examples
        --------
        >>> import pyarrow as pa
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600)
        >>> pa.table(world.observations()).num_rows == world.exposure_count
        True
        """
        among = checked_range(users, self.shape[0])
        check_count("round", round)
        if round >= _ROUNDS:
            raise InputError(f"round is {round}; it must be below 2^64")
        return Observations(chosen_schema(columns), among, only_responses, int(round), resolve_threads(threads), self)

    def interactions(self) -> Interactions:
        """Return what users responded to, in memory: ``user_id``, ``item_id``, ``rating`` and ``timestamp``.

        Examples
        --------
        >>> import fractalrs as fr
        >>> fr.simulate(60, 40, 600).interactions().columns
        ['user_id', 'item_id', 'rating', 'timestamp']
        """
        return read_interactions(self)

    def policy_value(self, policy: OfUsers, users: npt.ArrayLike | None = None) -> float:
        """Return how many of the items that a policy shows a user are liked, in the mean over users: exactly.

        By default the users are a sample of 1,000 where a world has more: exact for these, and an estimate for all.

        Parameters
        ----------
        policy
            Takes ids of users, int64 (users,), and returns the probability that it shows each item: (users, items);
            those of a user add up to the items of a slate.
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
        >>> world = fr.simulate(60, 40, 600)
        >>> uniform = world.policy_value(lambda users: np.full((len(users), 40), 1 / 40))
        >>> best = world.policy_value(lambda users: np.eye(40)[world.preferences(users).argmax(axis=1)])
        >>> 0 < uniform < best < 1
        True
        """

        def liked(rows: Integers, chances: Floats) -> float:
            return float((chances * self.preferences(rows)).sum())

        return value_of(policy, users, self.shape, self._at_once, liked)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the world to a file, ``world.json``, from which `open` makes it again.

        Raises
        ------
        InputError
            If its policy is a function, which no file can hold.
        OutputError
            If something is there, or it cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     world.save(f"{folder}/world.json")
        ...     fr.World.open(folder).shape
        (60, 40)
        """
        saved.write_world(path, self.text)

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        only_responses: bool = False,
        rounds: int = 1,
        threads: int | None = None,
        progress: bool | Progress = False,
    ) -> int:
        """Write the world and what it logs to a new folder, which appears when all of it is written.

        It has ``world.json``, ``round=0000/part-00000-of-00001.parquet`` and so on, with the columns of `observations`,
        ``manifest.json`` and a card, ``README.md``.

        Parameters
        ----------
        only_responses
            Whether exposures without a response are left out.
        rounds
            How many rounds are logged.
        progress
            `True` for a bar, or what is told of rows and files.

        Returns
        -------
        int
            How many rows were written.

        Raises
        ------
        InputError
            If its policy is a function, which no file can hold.
        OutputError
            If something is there, its folder cannot be written to, or its disk has too little room.
        WriteError
            If writing fails midway; nothing is left.

        Examples
        --------
        >>> import tempfile
        >>> import pyarrow.dataset as ds
        >>> import fractalrs as fr
        >>> world = fr.simulate(60, 40, 600)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = world.write(f"{folder}/out", rounds=2)
        ...     rows = ds.dataset(f"{folder}/out", partitioning="hive", exclude_invalid_files=True).count_rows()
        >>> rows == written == 2 * world.exposure_count
        True
        """
        saved.require_saved(self.policy, self.policy_name)
        check_count("rounds", rounds, least=1)
        rounds, parts = int(rounds), saved.ranges_of(self.shape[0], self.exposure_count)
        resolve_threads(threads)
        rows = rounds * self.exposure_count * (self._response_rate() if only_responses else 1.0)
        saved.require_log(path, rows)
        logs = (
            self.observations(only_responses=only_responses, users=users, round=number, threads=threads)
            for number in range(rounds)
            for users in parts
        )
        with as_progress(progress).task("simulating", rows, rounds * len(parts)) as report:
            return saved.write_log(path, self.spec, self.policy_name, logs, len(parts), report)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return a saved world, from its file or from the folder that ``fractalrs simulate`` wrote.

        Raises
        ------
        InputError
            If there is none, or it is damaged.

        Examples
        --------
        >>> import fractalrs as fr
        >>> try:
        ...     fr.World.open("nowhere")
        ... except fr.InputError as error:
        ...     print("no world" in str(error))
        True
        """
        spec, name = saved.read_world(path)
        try:
            return cls(spec, None, name)
        except InputError as error:
            raise InputError(f"{path} is no saved world: {error.message}", hint="write it again") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, World) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash((self.seed, self.shape, self.exposure_count, self.policy_name))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._value()

    def _value(self) -> tuple[dict[str, Any], Policy | None, str]:
        return self.spec, self.policy, self.policy_name

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand what users responded to over as an Arrow stream."""
        return self.observations(only_responses=True, columns=INTERACTIONS).__arrow_c_stream__(requested_schema)

    def _facts(self) -> dict[str, Any]:
        p, q = self.shape
        return {"users": p, "items": q, "exposures": self.exposure_count, "policy": self.policy_name, "seed": self.seed}

    @property
    def text(self) -> str:
        """The content of ``world.json``; refused where its policy is a function."""
        saved.require_saved(self.policy, self.policy_name)
        return saved.world_text(self.spec, self.policy_name)

    def _pairs(
        self, users: npt.ArrayLike, items: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], tuple[int, ...]]:
        user, item = checked_pairs(users, items, self.shape)
        return codes_of(user.ravel()), codes_of(item.ravel()), user.shape

    @property
    def _at_once(self) -> int:
        """Of so many users all items are looked at together."""
        return max(1, _CELLS // self.shape[1])

    def _in_batches(self, users: npt.NDArray[np.uint32]) -> Iterator[tuple[int, npt.NDArray[np.uint32]]]:
        yield from ((start, users[start : start + self._at_once]) for start in range(0, len(users), self._at_once))

    def _weights(self, users: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
        assert self.policy is not None
        return self.policy.weights(users.astype(np.int64), self.exposures(users), self.shape[1]).ravel()

    def _response_rate(self) -> float:
        """Return about which share of exposures is responded to."""
        users = codes_of(spread(self.shape[0])[: self._at_once])
        return len(self.responses(users)[0]) / max(1, int(self.exposures(users).sum()))

    def responses(self, users: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Return users and items of what some users respond to in the first round."""
        users = codes_of(users)
        weights = None if self.policy is None else self._weights(users)
        made = self.core.expose(users, weights, round=0, only_responses=True)
        return made[0], made[1]

    def pieces(self, first: int, last: int, round: int, only_responses: bool, threads: int) -> Iterator[Columns]:
        """Make the log of some users, some users at a time."""
        if self.policy is None:
            at_once = max(1, min(1 << 31, _PIECE * self.shape[0] // max(1, self.exposure_count)))
            how = {"round": round, "at_once": at_once, "threads": threads}
            yield from ExposureLog(self.core, first, last, only_responses=only_responses, **how)
            return
        for start in range(first, last, self._at_once):
            users = np.arange(start, min(start + self._at_once, last), dtype=np.uint32)
            yield self.core.expose(users, self._weights(users), round=round, only_responses=only_responses)
