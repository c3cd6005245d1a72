"""Many worlds, each drawn anew: a reproducible stream of them, as sequences or as interactions."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.reading import Interactions, read_interactions
from fractalrs.simulation.model import DIMENSIONS, Logging, Model
from fractalrs.simulation.ranges import QUANTITIES, Over, resolved
from fractalrs.simulation.world import World
from fractalrs.tools import Shown, check_count, in_order, resolve_threads, suggests

Values = dict[str, float]
_LOOKED_AT = 1 << 32
_DIMENSIONS = range(1, DIMENSIONS + 1)
_COLUMNS = ("user_id", "item_id", "timestamp")


@suggests
def worlds(n: int, over: str | Mapping[str, Any] = "realistic", seed: int = 0) -> "Worlds":
    """Return many different worlds, each drawn at random: to train on all of them what is to work in one's own.

    Parameters
    ----------
    n
        How many.
    over
        ``"realistic"``; ``"unrealistic"``, which goes far beyond; or what some quantities are drawn over in place of
        the realistic ranges: a range ``(low, high)``, a list of choices, or one value. ``docs/worlds.md`` has all.
    seed
        The same seed gives the same worlds, each of which is made alone.

    Raises
    ------
    InputError
        If a quantity does not exist, or cannot be what it is drawn over.

    Examples
    --------
    >>> many = worlds(1_000, over={"users": 50, "noise": 0.0}, seed=7)
    >>> many[17].values["users"], many[17].values == worlds(18, over=many.over, seed=7)[17].values
    (50, True)
    >>> sum(len(made) for made in many[:3].sequences())
    150
    """
    check_count("n", n, least=1)
    check_count("seed", seed)
    return Worlds(range(int(n)), resolved(over), int(seed))


@dataclass(frozen=True, repr=False)
class Sequences(Shown):
    """What the users of a world respond to, each in the order of time.

    Attributes
    ----------
    items : int32, shape (responses,)
        User by user.
    timestamps : int64, shape (responses,)
        Seconds since 1970.
    starts : int64, shape (users + 1,)
        Where those of each user begin, and the last ones end.

    Examples
    --------
    >>> made = worlds(1, over={"users": 50})[0].sequences()
    >>> len(made), made.padded(4).shape
    (50, (50, 4))
    """

    items: npt.NDArray[np.int32]
    timestamps: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def padded(self, length: int) -> npt.NDArray[np.int32]:
        """Return the last so many items of each user, −1 before them where there are fewer: int32, (users, length)."""
        places = self.starts[1:, None] + np.arange(-length, 0)
        there = places >= self.starts[:-1, None]
        if not len(self.items):
            return np.full(there.shape, -1, np.int32)
        return np.where(there, self.items[np.where(there, places, 0)], np.int32(-1))

    def to_table(self) -> pa.Table:
        """Return them as an Arrow table of ``user_id``, ``item_id`` and ``timestamp``."""
        users = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.starts))
        return pa.table(dict(zip(_COLUMNS, (users, self.items, self.timestamps), strict=True)))

    def _facts(self) -> dict[str, Any]:
        return {"users": len(self), "responses": len(self.items)}


@dataclass(frozen=True, repr=False)
class Draw(Shown):
    """One of many worlds.

    Attributes
    ----------
    number, seed
        Which, of what seed.
    values
        What was drawn, by name.

    Examples
    --------
    >>> draw = worlds(5, seed=3)[4]
    >>> draw.world().shape == (draw.values["users"], draw.values["items"])
    True
    """

    number: int
    seed: int
    values: Values

    def world(self) -> World:
        """Return the world, without drift and noise, which are of sequences."""
        drawn = self.values
        users, items = int(drawn["users"]), int(drawn["items"])
        scales = (drawn["taste"] * 0.9 / math.sqrt(k) if k <= drawn["dimensions"] else 0.0 for k in _DIMENSIONS)
        of_groups = drawn["groups"] / 3
        model = Model(
            users,
            items,
            activity=drawn["activity"],
            popularity=drawn["popularity"],
            level=drawn["level"],
            appeal=drawn["appeal"],
            tastes=tuple(scales),
            branching=int(drawn["branching"]),
            shares=(of_groups, of_groups, of_groups, max(0.0, 1 - drawn["groups"])),
        )
        own, exponent = Random(f"{self.seed} {self.number}").getrandbits(63), drawn["exposure"]
        logging = Logging(own, f"popularity^{exponent:g}", exponent, None, (_LOOKED_AT,))
        return logging.world(model, min(users * int(drawn["exposures"]), users * (items - 1)))

    def sequences(self, *, threads: int | None = 1) -> Sequences:
        """Return what its users respond to, with drift and noise.

        Examples
        --------
        >>> draw = worlds(1, over={"users": 50, "drift": 0.0, "noise": 0.0})[0]
        >>> logged = pa.table(draw.world().observations(only_responses=True))
        >>> draw.sequences().items.tolist() == logged["item_id"].to_pylist()
        True
        """
        world, (drift, noise) = self.world(), (self.values["drift"], self.values["noise"])
        items, timestamps, starts = _logged(world, 0, threads)
        users, count = world.shape[0], len(items)
        raw = np.random.PCG64(Random(f"{self.seed} {self.number} sequences").getrandbits(128))
        places = np.arange(count) - np.repeat(starts[:-1], np.diff(starts))
        user = np.repeat(np.arange(users), np.diff(starts))
        if drift:
            # Another user's taste, which what a user responds to comes ever more from.
            others, _, theirs = _logged(world, 1, threads)
            shift = 1 + int(raw.random_raw()) % max(1, users - 1)
            other = (user + shift) % users
            own, of_other = np.diff(starts)[user], np.diff(theirs)[other]
            moved = _shares(raw, count) < drift * places / np.maximum(own - 1, 1)
            # One who responds to nothing moves nobody.
            moved &= of_other > 0
            items = items.copy()
            items[moved] = others[(theirs[other] + places * of_other // own)[moved]]
        if noise:
            wrong = _shares(raw, count) < noise
            any_item = (_shares(raw, count) * world.shape[1]).astype(np.int32)
            items = np.where(wrong, any_item, items)
        return Sequences(items, timestamps, starts)

    def interactions(self) -> Interactions:
        """Return its sequences as interactions: ``user_id``, ``item_id`` and ``timestamp``, each pair once.

        Examples
        --------
        >>> worlds(1, over={"users": 50})[0].interactions().columns
        ['user_id', 'item_id', 'timestamp']
        """
        table = self.sequences().to_table()
        pair = table["user_id"].to_numpy().astype(np.int64) * int(self.values["items"]) + table["item_id"].to_numpy()
        return read_interactions(table.take(np.sort(np.unique(pair, return_index=True)[1])))

    def _facts(self) -> dict[str, Any]:
        return {"number": self.number, "seed": self.seed, "users": self.values["users"], "items": self.values["items"]}


@dataclass(frozen=True, repr=False)
class Worlds(Shown):
    """Many worlds in some order, made when they are looked at.

    Attributes
    ----------
    numbers
        Which, in what order: ``many[100:200]`` has some of them.
    over
        What each quantity is drawn over.

    Examples
    --------
    >>> many = worlds(100, seed=7)
    >>> easy_first = many.sorted(lambda values: values["noise"])
    >>> easy_first[0].values["noise"] <= easy_first[99].values["noise"]
    True
    """

    numbers: Sequence[int]
    over: dict[str, Over]
    seed: int

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Draw: ...
    @overload
    def __getitem__(self, place: slice) -> "Worlds": ...
    def __getitem__(self, place: int | slice) -> "Draw | Worlds":
        if isinstance(place, slice):
            return replace(self, numbers=self.numbers[place])
        number = self.numbers[place]
        # A key for each quantity: ranges of one change no other.
        values = {
            name: quantity.draw(self.over[name], Random(f"{self.seed} {number} {name}"))
            for name, quantity in QUANTITIES.items()
        }
        return Draw(number, self.seed, values)

    def __iter__(self) -> Iterator[Draw]:
        return (self[place] for place in range(len(self)))

    def sorted(self, key: Callable[[Values], float]) -> "Worlds":
        """Return them in the order of what was drawn, equal ones as they are: a curriculum."""
        order = sorted(range(len(self)), key=lambda place: key(self[place].values))
        return replace(self, numbers=tuple(self.numbers[place] for place in order))

    def sequences(self, *, threads: int | None = None) -> Iterator[Sequences]:
        """Make the sequences of one world after the other, some ahead on threads."""
        return in_order(lambda draw: draw.sequences(threads=1), iter(self), resolve_threads(threads))

    def _facts(self) -> dict[str, Any]:
        return {"worlds": len(self), "seed": self.seed}


def _logged(
    world: World, round: int, threads: int | None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return items and times of responses in a round, user by user, and where those of each begin."""
    log = world.observations(only_responses=True, columns=_COLUMNS, round=round, threads=threads)
    user, item, time = (column.to_numpy() for column in pa.Table.from_batches(log, log.schema).columns)
    starts = np.append(0, np.cumsum(np.bincount(user, minlength=world.shape[0])))
    return item, time, starts


def _shares(raw: np.random.PCG64, count: int) -> npt.NDArray[np.float64]:
    """Return numbers from 0 to 1, of words that are the same with every version."""
    return np.asarray((raw.random_raw(count) >> np.uint64(11)) * 2.0**-53)
