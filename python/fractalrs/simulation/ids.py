"""Ids of users and items as the core takes them, and those of a sample."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.tools import check_count

SAMPLE = 1_000
"""Of so many users a policy's value is the mean, by default."""


def checked_range(users: Any, count: int) -> tuple[int, int]:
    """Return the first of some users and the one after the last, as Python's own; refuse what a world has not.

    Examples
    --------
    >>> checked_range(None, 60), checked_range((3, np.int64(9)), 60)
    ((0, 60), (3, 9))
    """
    try:
        first, last = (0, count) if users is None else users
    except (TypeError, ValueError):
        raise InputError(f"users is {users!r}; it must be two whole numbers") from None
    check_count("the first of users", first)
    check_count("the last of users", last)
    if not first <= last <= count:
        message = f"users {first} to {last} are not within 0 to {count}"
        raise InputError(message, hint="give two numbers in this range, the smaller first")
    return int(first), int(last)


def spread(count: int) -> npt.NDArray[np.uint64]:
    """Return numbers below a count, spread evenly: all, or as many as a sample has.

    Examples
    --------
    >>> spread(3).tolist(), len(spread(10**9))
    ([0, 1, 2], 1000)
    """
    few = min(count, SAMPLE)
    return (np.arange(few, dtype=np.uint64) * np.uint64(count)) // np.uint64(few)


def codes_of(ids: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Return ids as the core takes them."""
    return np.ascontiguousarray(ids, dtype=np.uint32)
