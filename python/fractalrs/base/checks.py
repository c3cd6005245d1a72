"""What a caller gives to make a base of: arrays in CSR order, and ids."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.errors import InputError

Integers = npt.NDArray[np.int64]

MAX_USERS, MAX_ITEMS = 1 << 31, 1 << 30
"""Codes of users fit 31 bits, codes of items 30."""


def integers(values: npt.ArrayLike, name: str) -> Integers:
    """Return a one-dimensional array of integers as int64; refuse anything else by its name."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name} must be a one-dimensional array of integers: {error}") from None
    # An empty list arrives as floats.
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(f"{name} must be a one-dimensional array of integers, not {array.dtype} {array.shape}")
    return array.astype(np.int64, copy=False)


def check_codes(users: int, items: int) -> None:
    """Refuse more users, or items, than there are codes."""
    if users > MAX_USERS or items > MAX_ITEMS:
        most = f"{MAX_USERS:,} users and {MAX_ITEMS:,} items"
        raise InputError(f"a base holds at most {most}, not {users:,} and {items:,}", hint="take some of them")


def checked_mask(name: str, mask: npt.ArrayLike | None, count: int) -> npt.NDArray[np.bool_]:
    """Return booleans, one per interaction, all False where none are given; refuse anything else by its name."""
    try:
        found = np.zeros(count, dtype=bool) if mask is None else np.asarray(mask)
    except ValueError as error:
        raise InputError(f"{name} must be booleans, one per interaction: {error}") from None
    if found.dtype != np.bool_ or found.shape != (count,):
        raise InputError(
            f"{name} must be {count} booleans, one per interaction, not {found.dtype} of shape {found.shape}"
        )
    return found


def check_rows(starts: Integers, items: Integers) -> None:
    """Refuse what is no CSR matrix with sorted rows."""
    if len(starts) < 2 or starts[0] != 0 or starts[-1] != len(items) or np.any(starts[1:] < starts[:-1]):
        raise InputError(
            f"indptr must rise from 0 to the number of indices, {len(items)}, with one step per user",
            hint="give the indptr and indices of a CSR matrix with at least one row",
        )
    if len(items) and items.min() < 0:
        raise InputError(f"item code {items.min()} is negative", hint="item codes start at 0")
    rising = items[1:] > items[:-1]
    rising[starts[(starts > 0) & (starts < len(items))] - 1] = True
    if not rising.all():
        at = int(np.argmin(rising)) + 1
        user = int(np.searchsorted(starts, at, side="right")) - 1
        wrong = "repeats" if items[at] == items[at - 1] else "is out of order at"
        raise InputError(
            f"the row of user code {user} {wrong} item code {items[at]}",
            hint="sort each row by item code and keep each item once",
        )


def checked_ids(values: Any, name: str) -> pa.Array:
    """Return distinct ids as int64 or string; refuse anything else by its name."""
    if isinstance(values, str):
        raise InputError(f"{name} is the text {values!r}", hint="give a list of ids")
    try:
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise InputError(f"{name} must be integers or strings: {error}") from None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    whole = pa.types.is_integer(array.type)
    if not (whole or pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        raise InputError(f"{name} must be integers or strings, not {array.type}")
    if array.null_count:
        raise InputError(f"{name} holds {array.null_count} nulls", hint="give each an id, or leave them out")
    if len(array.unique()) != len(array):
        raise InputError(f"{name} holds the same id more than once", hint="give each an id of its own")
    try:
        return pa.concat_arrays([array.cast(pa.int64() if whole else pa.string())])
    except pa.ArrowInvalid as error:
        raise InputError(f"{name} must be integers below 2^63 or strings: {error}") from None
