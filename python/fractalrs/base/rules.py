"""Rules of a split: which interactions are held out, one function a rule."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.base.base import TEST_BIT, VALID_BIT
from fractalrs.columns import checked_moment, moment_ticks, shown_moment
from fractalrs.errors import InputError
from fractalrs.tools import check_count, check_word
from fractalrs.words import HoldOut, Ties, percent

_Integers = npt.NDArray[np.int64]
HeldOut = npt.NDArray[np.uint32]
"""Of each interaction the bits that say what it is held out for; 0: it is train."""
TEST, VALID = TEST_BIT, TEST_BIT | VALID_BIT


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
    validation: bool = False
    valid_after: Any = None
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
            message = f"leave_out is {self.leave_out}, and only the split 'last' leaves so many out"
            raise InputError(message, hint="leave it out, or say split='last' (--split last)")
        if self.test_after is not None:
            object.__setattr__(self, "test_after", checked_moment("test_after", self.test_after))
            if self.split != "time":
                raise InputError("test_after is for the split 'time'", hint="say split='time' (--split time)")
        if self.test_share is not None:
            if not isinstance(self.test_share, int | float | np.floating) or not 0 < self.test_share < 1:
                raise InputError(f"test_share is {self.test_share!r}; it must be a number above 0 and below 1")
            if self.split not in ("time", "users"):
                raise InputError("test_share is for the splits 'time' and 'users'", hint="say which one: --split time")
        if not isinstance(self.validation, bool):
            raise InputError(f"validation is {self.validation!r}; it must be True or False")
        if self.validation and self.split == "none":
            message = "validation is asked for, and the split 'none' holds nothing out"
            raise InputError(message, hint="leave validation out, or choose another split")
        if self.valid_after is not None:
            object.__setattr__(self, "valid_after", checked_moment("valid_after", self.valid_after))
            if self.split != "time":
                raise InputError("valid_after is for the split 'time'", hint="say split='time' (--split time)")
        given = self.test_after is not None, self.test_share is not None
        if self.split == "time" and sum(given) != 1:
            wrong = "both are given" if all(given) else "none is given"
            raise InputError(f"the split 'time' needs test_after or test_share, and {wrong}", hint="give one of them")
        if self.split == "users" and self.test_share is None:
            raise InputError(
                "the split 'users' needs test_share", hint="say how many: test_share=0.1 (--test-share 0.1)"
            )

    @property
    def has_validation(self) -> bool:
        """Whether anything is held out for validation."""
        return self.validation or self.valid_after is not None

    @property
    def held_out_of_each(self) -> int:
        """How many interactions of each user are held out, where so many of each are."""
        return self.leave_out * (1 + self.has_validation)

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
        least = self.held_out_of_each + 1 if split == "last" else 0
        return replace(self, split=split, min_timestamps=least if self.min_timestamps is None else self.min_timestamps)


@dataclass(frozen=True)
class Rows:
    """What a rule sees: where each user's interactions begin, their timestamps where it asks for them, their field."""

    indptr: _Integers
    times: _Integers | None
    field: pa.Field | None
    notes: list[str]


def held_out(rule: SplitRule, rows: Rows) -> tuple[HeldOut, tuple[int, ...]]:
    """Return what a rule holds out, and where it cuts time; the latest of each user the core finds."""
    return _RULES[rule.split](rule, rows)


def _random(rule: SplitRule, rows: Rows) -> tuple[HeldOut, tuple[int, ...]]:
    """One of each user, each with the same probability; and another one for validation."""
    rng, found = np.random.default_rng(rule.seed), np.zeros(rows.indptr[-1], dtype=np.uint32)
    starts, degrees = rows.indptr[:-1], np.diff(rows.indptr)
    test = rng.integers(degrees)
    if rule.has_validation:
        valid = rng.integers(degrees - 1)
        found[starts + valid + (valid >= test)] = VALID
    found[starts + test] = TEST
    return found, ()


def _users(rule: SplitRule, rows: Rows) -> tuple[HeldOut, tuple[int, ...]]:
    """All of some users, each with the same probability; and as many others for validation."""
    users, share = len(rows.indptr) - 1, rule.test_share or 0.0
    times = 1 + rule.has_validation
    count = min(max(round(share * users), 1), (users - 1) // times)
    if count == 0:
        raise InputError("the split 'users' with validation needs three users", hint="leave validation out")
    of_user = np.zeros(users, dtype=np.uint32)
    chosen = np.random.default_rng(rule.seed).choice(users, times * count, replace=False)
    of_user[chosen[:count]], of_user[chosen[count:]] = TEST, VALID
    more = ", and as many for validation" if times > 1 else ""
    rows.notes.append(f"Held out {count:,} of {users:,} users{more}.")
    return np.repeat(of_user, np.diff(rows.indptr)), ()


def _time(rule: SplitRule, rows: Rows) -> tuple[HeldOut, tuple[int, ...]]:
    """All from a time on; for validation those before it from another time on, or as many."""
    times, field = rows.times, rows.field
    assert times is not None
    assert field is not None
    if rule.test_after is None:
        cut = _quantile(times, round((rule.test_share or 0.0) * len(times)), "test", field)
    else:
        cut = _given("test_after", rule.test_after, times, field)
    cuts: tuple[int, ...] = (cut,)
    found = np.where(times >= cut, TEST, np.uint32(0))
    _note("Test", found == TEST, cut, rows)
    if rule.has_validation:
        before = times[times < cut]
        if rule.valid_after is None:
            first = _quantile(before, len(times) - len(before), "validation", field)
        else:
            first = _given("valid_after", rule.valid_after, before, field)
        cuts = (first, cut)
        found[(times >= first) & (times < cut)] = VALID
        _note("Validation", found == VALID, first, rows)
    return found, cuts


def _note(what: str, chosen: npt.NDArray[np.bool_], cut: int, rows: Rows) -> None:
    assert rows.field is not None
    share, since = percent(np.count_nonzero(chosen) / len(chosen)), shown_moment(cut, rows.field)
    rows.notes.append(f"{what} is what happened from {since} on: {share} of the interactions.")


def _given(name: str, moment: str | int, times: _Integers, field: pa.Field) -> int:
    """Return a time that is given; refuse one before or from which on nothing happened."""
    first, last, cut = int(times.min()), int(times.max()), moment_ticks(name, moment, field)
    if cut <= first or cut > last:
        what = "before it: nothing is left to train on" if cut <= first else "from it on"
        what += "" if name == "test_after" or cut <= first else " and before test"
        hint = f"choose a time between: they are from {shown_moment(first, field)} to {shown_moment(last, field)}"
        raise InputError(f"{name} is {moment}, and no interaction is {what}", hint=hint)
    return cut


def _quantile(times: _Integers, wanted: int, what: str, field: pa.Field) -> int:
    """Return the time from which on about so many are, and not all; refuse where all are at one time."""
    first, last, count = int(times.min()), int(times.max()), len(times)
    if first == last:
        raise InputError(
            f"the split 'time' would leave nothing before {what}: all of it happened at {shown_moment(first, field)}",
            hint="use the split 'random'" if what == "test" else "hold out less, or leave validation out",
        )
    at = count - min(max(wanted, 1), count - 1)
    cut = int(np.partition(times, at)[at])
    return cut if cut > first else int(times[times > first].min())


_RULES: dict[str, Callable[[SplitRule, Rows], tuple[HeldOut, tuple[int, ...]]]] = {
    "random": _random,
    "users": _users,
    "time": _time,
}
