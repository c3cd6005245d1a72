"""Options of a recipe that say which interactions are held out."""

from dataclasses import dataclass
from datetime import date

from fractalrs.columns import checked_moment
from fractalrs.expansion import Group, option
from fractalrs.words import HoldOut, Ties

SPLITTING = ("leave_out", "test_after", "test_share", "validation", "valid_after")
"""Options of some splits, which a plan names where they are given."""


@dataclass(frozen=True, init=False, repr=False)
class Splitting:
    """How the source is split."""

    split: HoldOut = option(
        "auto",
        "Test is the last interaction of each user (last), a random one (random), every one from a time on (time), "
        "all of some users (users), or none. auto: last or random, as the source allows.",
        Group.SPLIT,
        value="NAME",
    )
    leave_out: int = option(
        1,
        "With split last: so many of the last interactions of each user are test.",
        Group.SPLIT,
        value="K",
        within=lambda count: count >= 1,
        words="a whole number of at least 1",
    )
    test_after: str | None = option(
        None,
        "With split time: test is what happened then or later, such as 2015-01-31 (UTC) or a number as the timestamps "
        "have.",
        Group.SPLIT,
        more="In Python, a date or datetime too.",
        value="TIME",
        accepts=int | date,
        take=checked_moment,
        unset="none",
    )
    test_share: float | None = option(
        None,
        "With split time: so many of the interactions, the latest, are test. With split users: so many of the users.",
        Group.SPLIT,
        value="SHARE",
        within=lambda share: 0 < share < 1,
        words="a number above 0 and below 1",
        unset="none",
    )
    validation: bool = option(
        False,
        "Hold out about as much again for validation: what comes right before test (last, time), another interaction "
        "(random), or other users (users).",
        Group.SPLIT,
    )
    valid_after: str | None = option(
        None,
        "With split time: validation is what happened then or later, before test.",
        Group.SPLIT,
        value="TIME",
        accepts=int | date,
        take=checked_moment,
        unset="none",
    )
    ties: Ties | None = option(
        None,
        "Of several latest interactions at one time, the last is test, or all are.",
        Group.SPLIT,
        unset="by profile",
    )
    min_timestamps: int | None = option(
        None,
        "Drop users with fewer distinct timestamps.",
        Group.SPLIT,
        within=lambda count: count >= 0,
        words="a whole number of at least 0",
        unset="2 where split is last, 3 by profile reference",
    )
    hold_out_users: float | None = option(
        None,
        "Make the data set without so many of the users, so that an audit can compare those in it with them.",
        Group.SPLIT,
        value="SHARE",
        within=lambda share: 0 < share < 1,
        words="a number above 0 and below 1",
        unset="none",
    )
