"""From interactions to a base: binarise, filter, code, and hold out what a rule says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs._core import collapse
from fractalrs.base.base import Base
from fractalrs.base.payload import MAX_ROWS, check_payload_size
from fractalrs.base.rules import Rows, SplitRule, held_out
from fractalrs.base.storage import ITEM
from fractalrs.columns import ROLES
from fractalrs.errors import InputError
from fractalrs.reading import MADE_UP, Interactions, read_interactions
from fractalrs.tools import checked_columns, resolve_threads, suggests
from fractalrs.words import LATEST, WARNING, HoldOut, Ties, percent

_Integers = npt.NDArray[np.int64]
_AT_A_TIME = 1 << 20
"""So many entries are looked at together: what is made of them stays in a cache."""
_MANY_DROPPED, _MANY_REPEATED = 0.1, 0.5
"""From these shares of users and of interactions on, what is done to them is worth a warning."""


@suggests
def leave_last_out(
    interactions: Any,
    *,
    split: HoldOut = "auto",
    ties: Ties = "last",
    leave_out: int = 1,
    test_after: str | int | date | None = None,
    test_share: float | None = None,
    validation: bool = False,
    valid_after: str | int | date | None = None,
    min_timestamps: int | None = None,
    seed: int = 0,
    payload: Sequence[str] = (),
) -> Base:
    """Return the base of interactions, with each user's latest held out as test, or what another rule says.

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
        each with the same probability, from `seed`. ``"time"``: every interaction from a time on is test
        (`test_after` or `test_share`). ``"users"``: all interactions of some users are test (`test_share`), each user
        with the same probability, from `seed`. ``"none"``: nothing is held out. ``"auto"``: ``"last"`` where there are
        timestamps that are not all equal, else ``"random"``; `Base.notes` says which.
    ties
        What ``"last"`` does with several interactions at the last timestamp of a user: ``"last"`` takes the last of
        them in file order, ``"all"`` takes all.
    leave_out
        With ``"last"``: so many of the latest interactions of each user are test; with all ties, those at so many of
        the latest timestamps.
    test_after
        With ``"time"``: test is what happened then or later: a date such as ``"2015-01-31"`` or
        ``"2015-01-31T12:00"`` (UTC), or a number as the timestamps have.
    test_share
        With ``"time"``: test are about so many of the interactions, the latest. With ``"users"``: so many of the users.
    validation, valid_after
        Hold out about as much again for validation: what comes right before test, another interaction of each user, or
        other users. With ``"time"`` it may begin at a time of its own, as `test_after` says one.
    min_timestamps
        Users with fewer distinct timestamps are dropped. By default one more than are held out of each for ``"last"``,
        which leaves every user a train interaction; for the others nobody is dropped for their timestamps. With
        ``"random"``, users with fewer than two interactions (three with validation) are dropped in any case.
    seed
        Chooses the test interactions of ``"random"``, and the users of ``"users"``.
    payload
        Names of columns of the interactions that go along, in this order: ``"rating"``, ``"timestamp"`` and further
        ones that were carried. Of repeated pairs they are those of the interaction that stays.

    Returns
    -------
    Base
        `Base.split` says how the test interactions were chosen, `Base.notes` what was decided and dropped.

    Raises
    ------
    InputError
        If an option is unknown, what it needs is missing, or fewer than two users or items are left.

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
    rule = SplitRule(split, ties, leave_out, test_after, test_share, validation, valid_after, min_timestamps, seed)
    return _base_of(interactions, rule, checked_columns("payload", payload))


def needed(split: HoldOut, min_timestamps: int | None, payload: Sequence[str]) -> list[str]:
    """Return which of ratings and timestamps a base is made with.

    Where there is a payload, times decide which of repeated pairs stays.

    Examples
    --------
    >>> needed("random", None, []), needed("auto", None, ["rating"])
    ([], ['rating', 'timestamp'])
    """
    timed = split in ("auto", *LATEST) or (min_timestamps or 0) > 1 or bool(payload)
    return [role for role, is_needed in (("rating", "rating" in payload), ("timestamp", timed)) if is_needed]


def _base_of(interactions: Any, rule: SplitRule, columns: tuple[Any, ...]) -> Base:
    if not isinstance(interactions, Interactions):
        further = [name for name in columns if name not in ROLES]
        interactions = read_interactions(
            interactions, carry=further, uses=needed(rule.split, rule.min_timestamps, columns)
        )
    _check_payload(columns, interactions)

    notes = [note for note in interactions.notes if note == MADE_UP or note.startswith(WARNING)]
    rule = rule.resolved(interactions.timestamps, notes)
    user_ids, item_ids = (interactions.codes(column)[1] for column in ("user_id", "item_id"))
    pairs, cuts = _filtered(interactions, rule, bool(columns), notes), tuple[int, ...]()
    if rule.split not in ("last", "none"):
        by_time = rule.split == "time"
        times = interactions.timestamps[pairs.positions] if by_time and interactions.timestamps is not None else None
        field = interactions.table.schema.field("timestamp") if by_time else None
        found, cuts = held_out(rule, Rows(pairs.indptr, times, field, notes))
        pairs.entries[...] |= found
    users, items = ("numerically" if pa.types.is_integer(ids.type) else "bytewise" for ids in (user_ids, item_ids))
    notes.append(f"Codes follow user ids sorted {users} and item ids sorted {items}.")
    kept = user_ids.filter(pa.array(pairs.users)), item_ids.filter(pa.array(pairs.items))
    base = Base(pairs.indptr, pairs.entries, *kept, rule.split, tuple(notes), cuts=cuts)
    return with_payload(base, interactions, columns, pairs.positions) if columns else base


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
    """Distinct pairs of those that stay: entries by user, the position of each one's row, and which ids stay."""

    indptr: _Integers
    entries: npt.NDArray[np.uint32]
    positions: _Integers
    users: npt.NDArray[np.bool_]
    items: npt.NDArray[np.bool_]


def _filtered(interactions: Interactions, rule: SplitRule, positions: bool, notes: list[str]) -> _Pairs:
    """Return the pairs that stay, the latest held out where the split says so; positions are empty unless asked for."""
    (users, user_ids), (items, item_ids) = (interactions.codes(name) for name in ("user_id", "item_id"))
    _check_size(len(user_ids), len(item_ids), "the interactions have", [])
    times, min_timestamps = interactions.timestamps, rule.min_timestamps or 0
    positions |= rule.split == "time"
    indptr, entries, places, has_times = collapse(
        users,
        items,
        times,
        len(user_ids),
        hold_out=rule.ties if rule.split == "last" else None,
        leave_out=rule.leave_out,
        validation=rule.has_validation,
        least_times=1 if times is None else max(min_timestamps, 1),
        positions=positions,
        threads=resolve_threads(None),
    )
    if repeated := len(interactions) - len(entries):
        notes.append(f"Collapsed {_count(repeated, 'repeated (user, item) pair')} to the latest.")
        if repeated > _MANY_REPEATED * len(interactions):
            share = percent(repeated / len(interactions))
            notes.append(f"{WARNING}{share} of the interactions repeat a user and an item; the latest of them stay.")

    degrees, enough, dropped = np.diff(indptr), np.ones(len(user_ids), dtype=bool), []

    def drop(users: npt.NDArray[np.bool_], reason: str) -> None:
        if count := int(np.count_nonzero(enough & users)):
            dropped.append(f"Dropped {_count(count, 'user')} with {reason}.")
            if count > _MANY_DROPPED * len(users):
                notes.append(_warning(degrees[enough & users], len(users), reason))
        enough[users] = False

    drop(~has_times, f"fewer than {min_timestamps} distinct timestamps")
    if rule.split == "random":
        least = 2 + rule.has_validation
        drop(degrees < least, f"fewer than {least} interactions")
    notes += dropped
    if dropped:
        stay = np.repeat(enough, degrees)
        entries, places = entries[stay], places[stay] if positions else places
        indptr = np.concatenate(([0], np.cumsum(degrees[enough])))
    seen = np.zeros(len(item_ids), dtype=bool)
    for start in range(0, len(entries), _AT_A_TIME):
        seen[entries[start : start + _AT_A_TIME] & ITEM] = True
    _check_size(int(enough.sum()), int(seen.sum()), "the filter leaves", dropped)
    if not seen.all():
        notes.append(f"Dropped {_count(int((~seen).sum()), 'item')} left without interactions.")
        # New codes of what stays, in the old order; those of the rest mean nothing.
        entries = (np.cumsum(seen) - 1).astype(np.uint32)[entries & ITEM] | entries & ~ITEM
    return _Pairs(indptr, entries, places, enough, seen)


def _warning(degrees: _Integers, users: int, reason: str) -> str:
    """Say that many users are dropped, and by which options they would not be; they have so many interactions each."""
    share = f"{percent(len(degrees) / users)} of users ({len(degrees):,} of {users:,})"
    text = f"{WARNING}{share} were dropped because they have {reason}"
    # What a random choice needs.
    kept = int(np.count_nonzero(degrees >= 2)) if reason.endswith("timestamps") else 0
    if kept:
        whom = "them" if kept == len(degrees) else f"{kept:,} of them"
        return f"{text}; min_timestamps=1 and split='random' (--min-timestamps 1 --split random) would keep {whom}."
    options = "--min-timestamps 0 --split none" if reason.endswith("timestamps") else "--split none"
    return f"{text}; {options}, which holds nothing out, would keep them."


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
