"""From interactions to a base: binarise, filter, code, and hold out the latest interaction of each user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.base.base import TEST_BIT, Base
from fractalrs.base.payload import MAX_ROWS, check_payload_size
from fractalrs.columns import ROLES
from fractalrs.errors import InputError
from fractalrs.reading import Interactions, read_interactions
from fractalrs.tools import check_count, check_word, checked_columns
from fractalrs.words import HoldOut, Ties

_Integers = npt.NDArray[np.int64]


def leave_last_out(
    interactions: Any,
    *,
    split: HoldOut = "auto",
    ties: Ties = "last",
    min_timestamps: int | None = None,
    seed: int = 0,
    payload: Sequence[str] = (),
) -> Base:
    """Return the base of interactions, with the latest interaction of each user held out as test.

    In this order: repeated (user, item) pairs collapse to the latest one (of equally late ones, the last in file
    order); the distinct timestamps of each user are counted, and users with too few are dropped; items left without
    interactions are dropped; codes are given in canonical order, numeric where all ids are integers and else
    bytewise; test interactions are chosen. So the base depends on the order of the file in ties alone.

    Parameters
    ----------
    interactions
        `Interactions`, or anything that `read_interactions` takes.
    split
        ``"last"``: the latest interaction of each user is test. ``"random"``: one interaction of each user is test,
        each with the same probability, from `seed`. ``"none"``: nothing is held out. ``"auto"``: ``"last"`` where
        there are timestamps that are not all equal, else ``"random"``; `Base.notes` says which.
    ties
        What ``"last"`` does with several interactions at the last timestamp of a user: ``"last"`` takes the last of
        them in file order, ``"all"`` takes all.
    min_timestamps
        Users with fewer distinct timestamps are dropped. By default 2 for ``"last"``, which leaves every user a
        train interaction; for the others nobody is dropped for their timestamps. With ``"random"``, users with fewer
        than two interactions are dropped in any case.
    seed
        Chooses the test interactions of ``"random"``.
    payload
        Names of columns of the interactions that go along, in this order: ``"rating"``, ``"timestamp"`` and further
        ones that were carried. Of repeated pairs they are those of the interaction that stays.

    Returns
    -------
    Base
        With `Base.split` saying how the test interactions were chosen and `Base.notes` what was decided and dropped.

    Raises
    ------
    InputError
        If an option is unknown, the timestamps or the payload it needs are missing, or fewer than two users or items
        are left.

    Notes
    -----
    This is the split of Algorithm 2 of the paper "Scalable Realistic Recommendation Datasets through Fractal
    Expansions", whose published data set counts all ties of the last timestamp as test.

    Examples
    --------
    >>> import fractalrs as fr
    >>> fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    Base(60 users × 40 items, 540 train, 60 test, split='last')
    """
    check_word("split", split, get_args(HoldOut))
    check_word("ties", ties, get_args(Ties))
    check_count("min_timestamps", 0 if min_timestamps is None else min_timestamps)
    check_count("seed", seed)
    columns = checked_columns("payload", payload)
    if not isinstance(interactions, Interactions):
        interactions = read_interactions(interactions, carry=[name for name in columns if name not in ROLES])
    _check_payload(columns, interactions)

    notes: list[str] = []
    split, least = _resolve(split, min_timestamps, interactions.timestamps, notes)
    user_ids, item_ids = (interactions.codes(column)[1] for column in ("user_id", "item_id"))
    pairs, enough, seen = _filtered(interactions, split, least, notes)
    indptr, entries = _held_out(pairs, enough, seen, split, ties, seed)
    positions = pairs.positions
    del pairs
    users, items = ("numerically" if pa.types.is_integer(ids.type) else "bytewise" for ids in (user_ids, item_ids))
    notes.append(f"Codes follow user ids sorted {users} and item ids sorted {items}.")
    kept = user_ids.filter(pa.array(enough)), item_ids.filter(pa.array(seen))
    base = Base(indptr, entries, *kept, split, tuple(notes))
    return with_payload(base, interactions, columns, positions) if columns else base


def with_payload(
    base: Base, interactions: Interactions, names: Sequence[str], positions: _Integers, max_rows: int = MAX_ROWS
) -> Base:
    """Return a base with the columns `names` of the rows that became its entries."""
    check_payload_size(base.count, max_rows)
    rows, table = pa.array(positions), interactions.table
    columns = [table.column(name).chunk(0).take(rows) for name in names]
    schema = pa.schema([table.schema.field(name) for name in names])
    return replace(base, payload=pa.Table.from_arrays(columns, schema=schema))


@dataclass(frozen=True)
class _Pairs:
    """Distinct (user, item) pairs, sorted by user then item, with the time and file position of their latest row."""

    users: _Integers
    items: _Integers
    positions: _Integers
    timestamps: _Integers | None

    def keep(self, mask: npt.NDArray[np.bool_]) -> "_Pairs":
        times = None if self.timestamps is None else self.timestamps[mask]
        return _Pairs(self.users[mask], self.items[mask], self.positions[mask], times)


def _resolve(
    split: HoldOut, min_timestamps: int | None, timestamps: _Integers | None, notes: list[str]
) -> tuple[HoldOut, int]:
    """Return the split that is meant and the least number of distinct timestamps; refuse what needs timestamps."""
    if split == "auto":
        if timestamps is None:
            split, reason = "random", "the interactions have no timestamps"
        elif timestamps.min() == timestamps.max():
            split, reason = "random", "all timestamps are equal"
        else:
            split, reason = "last", "the interactions have timestamps"
        notes.append(f"Split: {split}, because {reason}.")
    if timestamps is None:
        if split == "last":
            raise InputError(
                "the split 'last' needs timestamps, and the interactions have none",
                hint="name the timestamp column, or use the split 'random' or 'none'",
            )
        if min_timestamps:
            raise InputError(
                f"a minimum of {min_timestamps} distinct timestamps needs timestamps, and the interactions have none",
                hint="name the timestamp column, or leave the minimum out",
            )
    return split, (2 if split == "last" else 0) if min_timestamps is None else min_timestamps


def _filtered(
    interactions: Interactions, split: HoldOut, min_timestamps: int, notes: list[str]
) -> tuple[_Pairs, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the pairs that stay, and which users and which items do."""
    (user_codes, user_ids), (item_codes, item_ids) = (interactions.codes(name) for name in ("user_id", "item_id"))
    _check_size(len(user_ids), len(item_ids), "the interactions have", [])
    pairs = collapse(user_codes, item_codes, len(item_ids), interactions.timestamps)
    del user_codes, item_codes
    if repeated := len(interactions) - len(pairs.users):
        notes.append(f"Collapsed {_count(repeated, 'repeated (user, item) pair')} to the latest.")

    enough, dropped = np.ones(len(user_ids), dtype=bool), []

    def drop(users: npt.NDArray[np.bool_], reason: str) -> None:
        if count := int(np.count_nonzero(enough & users)):
            dropped.append(f"Dropped {_count(count, 'user')} with {reason}.")
        enough[users] = False

    if min_timestamps > 1 and pairs.timestamps is not None:
        distinct = _distinct_timestamps(pairs.users, pairs.timestamps, len(user_ids))
        drop(distinct < min_timestamps, f"fewer than {min_timestamps} distinct timestamps")
    if split == "random":
        drop(np.bincount(pairs.users, minlength=len(user_ids)) < 2, "fewer than 2 interactions")
    notes += dropped
    pairs = pairs.keep(enough[pairs.users]) if dropped else pairs
    seen = np.bincount(pairs.items, minlength=len(item_ids)) > 0
    _check_size(int(enough.sum()), int(seen.sum()), "the filter leaves", dropped)
    if not seen.all():
        notes.append(f"Dropped {_count(int((~seen).sum()), 'item')} left without interactions.")
    return pairs, enough, seen


def _held_out(
    pairs: _Pairs, enough: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_], split: HoldOut, ties: Ties, seed: int
) -> tuple[_Integers, npt.NDArray[np.uint32]]:
    """Return where each user's entries begin, and the entries, test ones marked."""
    # New codes of what is kept, in the old order; those of the rest mean nothing.
    new_users, new_items = np.cumsum(enough) - 1, np.cumsum(seen) - 1
    entries = new_items[pairs.items].astype(np.uint32)
    users = new_users[pairs.users]
    indptr = np.concatenate(([0], np.cumsum(np.bincount(users))))
    if split == "last":
        assert pairs.timestamps is not None
        latest = _latest(indptr, pairs.timestamps)
        if ties == "last":
            last = _last_of(indptr, latest, pairs.positions)
            latest = np.equal(pairs.positions, np.repeat(last, np.diff(indptr)))
        entries[latest] |= TEST_BIT
    elif split == "random":
        rng = np.random.default_rng(seed)
        entries[indptr[:-1] + rng.integers(np.diff(indptr))] |= TEST_BIT
    return indptr, entries


def collapse(
    users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], q: int, timestamps: _Integers | None
) -> _Pairs:
    """Return distinct (user, item) pairs, each with its latest row; of equally late ones the last in file order."""
    n = len(users)
    pairs = users.astype(np.int64)
    pairs *= q
    pairs += items
    bits = n.bit_length()
    if int(pairs.max()).bit_length() + bits <= 63:
        # Pair and position in one integer: sorting values is several times faster than sorting indices.
        pairs <<= bits
        pairs |= np.arange(n)
        pairs.sort()
        positions = pairs & ((1 << bits) - 1)
        pairs >>= bits
    else:
        positions = np.argsort(pairs, kind="stable")
        pairs = pairs[positions]

    first = np.concatenate(([True], pairs[1:] != pairs[:-1]))
    starts = np.append(np.flatnonzero(first), n)
    if len(starts) <= n:
        if timestamps is None:
            positions = positions[starts[1:] - 1]
        else:
            positions = _last_of(starts, _latest(starts, timestamps[positions]), positions)
        pairs = pairs[first]
    owners = pairs // q
    return _Pairs(owners, pairs - owners * q, positions, None if timestamps is None else timestamps[positions])


def _latest(indptr: _Integers, timestamps: _Integers) -> npt.NDArray[np.bool_]:
    """Return whether each element has the largest timestamp of its row."""
    latest: _Integers = np.maximum.reduceat(timestamps, indptr[:-1])
    return np.equal(timestamps, np.repeat(latest, np.diff(indptr)))


def _last_of(indptr: _Integers, chosen: npt.NDArray[np.bool_], positions: _Integers) -> _Integers:
    """Return the largest file position of each row among those that are chosen."""
    return np.maximum.reduceat(np.where(chosen, positions, -1), indptr[:-1])


def _distinct_timestamps(users: _Integers, timestamps: _Integers, p: int) -> _Integers:
    """Return the number of distinct timestamps of each user: int64, shape (p,)."""
    low, high = int(timestamps.min()), int(timestamps.max())
    bits = (high - low).bit_length()
    if p.bit_length() + bits <= 63:
        times = timestamps - low
    else:
        # Nanoseconds, say: their ranks are as good and need fewer bits.
        distinct, times = np.unique(timestamps, return_inverse=True)
        bits = len(distinct).bit_length()
    keys = np.sort((users << bits) | times)
    first = np.concatenate(([True], keys[1:] != keys[:-1]))
    return np.bincount(keys[first] >> bits, minlength=p)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _check_payload(names: Sequence[str], interactions: Interactions) -> None:
    known = [name for name in interactions.columns if name not in ("user_id", "item_id")]
    for name in names:
        if name in ("rating", "timestamp") and name not in known:
            raise InputError(
                f"the interactions have no {name}s to keep", hint=f"name their column: {name}_column (--{name}-column)"
            )
        if name not in known:
            raise InputError(
                f"the interactions have no column {name!r} to keep; saw {', '.join(known) or 'no further columns'}",
                hint="read_interactions(..., carry=[...]) keeps further columns of the source",
            )
    if len(set(names)) < len(names):
        raise InputError(f"the payload names a column twice: {', '.join(names)}", hint="name each column once")


def _check_size(users: int, items: int, what: str, dropped: list[str]) -> None:
    if users < 2 or items < 2:
        left = f"{what} {_count(users, 'user')} and {_count(items, 'item')}; at least 2 of each are needed."
        advice = "lower min_timestamps, or use the split 'random' or 'none'" if dropped else ""
        raise InputError(
            " ".join([left, *dropped]), hint=advice or "give interactions of several users with several items"
        )
