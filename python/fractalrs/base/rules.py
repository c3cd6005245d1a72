"""Rules of a split: which interactions are held out, one function a rule."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.columns import checked_moment, moment_ticks, shown_moment
from fractalrs.errors import InputError
from fractalrs.tools import check_count, check_word
from fractalrs.words import HoldOut, Ties, percent

_Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SplitRule:
    """Which interactions are held out; see `leave_last_out` for what each field means.

    To make one is to check it.

    Examples
    --------
    >>> SplitRule("time", test_share=0.05).test_share
    0.05
    """

    split: HoldOut = "auto"
    ties: Ties = "last"
    leave_out: int = 1
    test_after: Any = None
    test_share: float | None = None
    min_timestamps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that each is what it may be, and that they go together."""
        check_word("split", self.split, get_args(HoldOut))
        check_word("ties", self.ties, get_args(Ties))
        check_count("leave_out", self.leave_out, 1)
        check_count("min_timestamps", 0 if self.min_timestamps is None else self.min_timestamps)
        check_count("seed", self.seed)
        if self.leave_out > 1 and self.split not in ("auto", "last"):
            raise InputError(f"leave_out is {self.leave_out}, and only the split 'last' leaves so many out")
        if self.test_after is not None:
            object.__setattr__(self, "test_after", checked_moment("test_after", self.test_after))
            if self.split != "time":
                raise InputError("test_after is for the split 'time'", hint="say split='time' (--split time)")
        if self.test_share is not None:
            if not isinstance(self.test_share, int | float | np.floating) or not 0 < self.test_share < 1:
                raise InputError(f"test_share is {self.test_share!r}; it must be a number above 0 and below 1")
            if self.split not in ("time", "users"):
                raise InputError("test_share is for the splits 'time' and 'users'", hint="say which one: --split time")
        given = self.test_after is not None, self.test_share is not None
        if self.split == "time" and sum(given) != 1:
            wrong = "both are given" if all(given) else "none is given"
            raise InputError(f"the split 'time' needs test_after or test_share, and {wrong}", hint="give one of them")
        if self.split == "users" and self.test_share is None:
            raise InputError(
                "the split 'users' needs test_share", hint="say how many: test_share=0.1 (--test-share 0.1)"
            )

    def resolved(self, timestamps: _Integers | None, notes: list[str]) -> "SplitRule":
        """Return the rule that ``"auto"`` means, with the least number of distinct timestamps; note which and why."""
        split = self.split
        if split == "auto":
            if timestamps is None:
                split, reason = "random", "the interactions have no timestamps"
            elif timestamps.min() == timestamps.max():
                split, reason = "random", "all timestamps are equal"
            else:
                split, reason = "last", "the interactions have timestamps"
            notes.append(f"Split: {split}, because {reason}.")
            if split == "random" and self.leave_out > 1:
                raise InputError(
                    f"leave_out is {self.leave_out}, which needs timestamps, and {reason}",
                    hint="name the timestamp column, or leave it out",
                )
        if timestamps is None:
            if split in ("last", "time"):
                raise InputError(
                    f"the split {split!r} needs timestamps, and the interactions have none",
                    hint="name the timestamp column, or use the split 'random' or 'none'",
                )
            # Everybody has one, whatever it is.
            if (self.min_timestamps or 0) > 1:
                raise InputError(
                    f"a minimum of {self.min_timestamps} distinct timestamps needs timestamps, and the interactions "
                    "have none",
                    hint="name the timestamp column, or leave the minimum out",
                )
        # So every user keeps a train interaction.
        least = self.leave_out + 1 if split == "last" else 0
        return replace(self, split=split, min_timestamps=least if self.min_timestamps is None else self.min_timestamps)


@dataclass(frozen=True)
class Rows:
    """What a rule sees: where each user's interactions begin, their timestamps where it asks for them, their field."""

    indptr: _Integers
    times: _Integers | None
    field: pa.Field | None
    notes: list[str]


def held_out(rule: SplitRule, rows: Rows) -> tuple[Mask, tuple[int, ...]]:
    """Return which interactions a rule holds out, and where it cuts time; the latest of each user the core finds."""
    return _RULES[rule.split](rule, rows)


def _random(rule: SplitRule, rows: Rows) -> tuple[Mask, tuple[int, ...]]:
    """One of each user, each with the same probability."""
    rng, mask = np.random.default_rng(rule.seed), np.zeros(rows.indptr[-1], dtype=bool)
    mask[rows.indptr[:-1] + rng.integers(np.diff(rows.indptr))] = True
    return mask, ()


def _users(rule: SplitRule, rows: Rows) -> tuple[Mask, tuple[int, ...]]:
    """All of some users, each with the same probability."""
    users, share = len(rows.indptr) - 1, rule.test_share or 0.0
    count = min(max(round(share * users), 1), users - 1)
    chosen = np.zeros(users, dtype=bool)
    chosen[np.random.default_rng(rule.seed).choice(users, count, replace=False)] = True
    rows.notes.append(f"Held out {count:,} of {users:,} users.")
    return np.repeat(chosen, np.diff(rows.indptr)), ()


def _time(rule: SplitRule, rows: Rows) -> tuple[Mask, tuple[int, ...]]:
    """All from a time on."""
    times, field = rows.times, rows.field
    assert times is not None
    assert field is not None
    first, last = int(times.min()), int(times.max())
    span = f"they are from {shown_moment(first, field)} to {shown_moment(last, field)}"
    if first == last:
        raise InputError(f"the split 'time' would leave nothing to train on: {span}", hint="use the split 'random'")
    if rule.test_after is None:
        cut = _quantile(times, rule.test_share or 0.0)
    else:
        cut = moment_ticks("test_after", rule.test_after, field)
        for wrong, what in ((cut <= first, "before it: nothing is left to train on"), (cut > last, "from it on")):
            if wrong:
                raise InputError(
                    f"test_after is {rule.test_after}, and no interaction is {what}",
                    hint=f"choose a time between: {span}",
                )
    mask: Mask = times >= cut
    share = percent(np.count_nonzero(mask) / len(mask))
    rows.notes.append(f"Test is what happened from {shown_moment(cut, field)} on: {share} of the interactions.")
    return mask, (cut,)


def _quantile(times: _Integers, share: float) -> int:
    """Return the time from which on about so many are, and not all; there are two times at least."""
    count = len(times)
    at = count - min(max(round(share * count), 1), count - 1)
    cut, first = int(np.partition(times, at)[at]), int(times.min())
    return cut if cut > first else int(times[times > first].min())


_RULES: dict[str, Callable[[SplitRule, Rows], tuple[Mask, tuple[int, ...]]]] = {
    "random": _random,
    "users": _users,
    "time": _time,
}
