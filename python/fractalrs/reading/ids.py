"""Ids of users and items: as they are in the source, encoded by their canonical order."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.columns import CORRECT_ROW, is_text
from fractalrs.errors import InputError

_RANKED_ROWS = 1 << 20
_SPREAD = 4
"""Integers are near to each other if there are so many times as many in their range as rows."""


def encode_ids(column: pa.ChunkedArray, role: str) -> tuple[pa.DictionaryArray, str]:
    """Return ids encoded by their canonical order, and a sentence on what kind they are."""
    if column.type == pa.int64() and not column.null_count:
        low, high = pc.min_max(column).values()
        if high.as_py() - low.as_py() <= _SPREAD * len(column) + _RANKED_ROWS:
            return _encode_near(column, low.as_py(), high.as_py(), role)
    chunks = [as_dictionary(chunk, role) for chunk in column.chunks]
    merged = pa.concat_arrays([chunk.dictionary for chunk in chunks]).dictionary_encode()
    # Codes of all chunks into one dictionary, in order of first appearance.
    places = merged.indices.to_numpy(zero_copy_only=False)
    codes = np.empty(len(column), dtype=np.int32)
    start = place = 0
    for chunk in chunks:
        if chunk.null_count:
            row = start + int(pc.index(pc.is_null(chunk.indices), True).as_py()) + 1
            raise InputError(f"row {row}: the {role} is missing", hint=CORRECT_ROW)
        local = places[place : place + len(chunk.dictionary)]
        codes[start : start + len(chunk)] = local[chunk.indices.to_numpy()]
        start += len(chunk)
        place += len(chunk.dictionary)

    used = np.zeros(len(merged.dictionary), dtype=bool)
    used[codes] = True
    ids = _canonical(merged.dictionary.filter(pa.array(used)))
    order = pc.sort_indices(ids)
    ranks = np.empty(len(used), dtype=np.int32)
    ranks[np.flatnonzero(used)[order.to_numpy()]] = np.arange(len(ids), dtype=np.int32)
    for start in range(0, len(codes), _RANKED_ROWS):
        codes[start : start + _RANKED_ROWS] = ranks[codes[start : start + _RANKED_ROWS]]
    ids = ids.take(order)
    if pa.types.is_string(ids.type) and ids[0].as_py() == "":
        row = int(np.flatnonzero(codes == 0)[0]) + 1
        raise InputError(f"row {row}: the {role} is missing", hint=CORRECT_ROW)
    return pa.DictionaryArray.from_arrays(pa.array(codes), ids), _describe(ids, role)


def _encode_near(column: pa.ChunkedArray, low: int, high: int, role: str) -> tuple[pa.DictionaryArray, str]:
    """Encode integers from `low` to `high`: a place in memory for each is quicker than hashes."""
    used = np.zeros(high - low + 1, dtype=bool)
    for chunk in column.chunks:
        used[chunk.to_numpy() - low] = True
    ids, ranks = pa.array(np.flatnonzero(used) + low), np.cumsum(used, dtype=np.int32) - np.int32(1)
    codes = np.empty(len(column), dtype=np.int32)
    start = 0
    for chunk in column.chunks:
        np.take(ranks, chunk.to_numpy() - low, out=codes[start : start + len(chunk)], mode="clip")
        start += len(chunk)
    return pa.DictionaryArray.from_arrays(pa.array(codes), ids), _describe(ids, role)


def as_dictionary(ids: pa.Array, role: str) -> pa.DictionaryArray:
    """Return one array of ids as dictionary<int32, int64 | string> with distinct values."""
    if pa.types.is_dictionary(ids.type):
        values = _as_ids(ids.dictionary, role)
        if ids.type.index_type == pa.int32() and values is ids.dictionary and not values.null_count:
            return ids
        ids = values.take(ids.indices)
    encoded = _as_ids(ids, role).dictionary_encode()
    if encoded.type.index_type != pa.int32():
        raise InputError(f"{role} has too many distinct values")
    return encoded


def _as_ids(values: pa.Array, role: str) -> pa.Array:
    """Return ids as int64 or string."""
    kind = values.type
    if kind in (pa.int64(), pa.string()):
        return values
    try:
        if is_text(kind) or pa.types.is_null(kind):
            return values.cast(pa.string())
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return values.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{role} holds {kind} values that are not whole numbers below 2^63: {error}",
            hint="give ids as integers or strings",
        ) from None
    raise InputError(f"{role} has the type {kind}", hint="give ids as integers or strings")


def _canonical(ids: pa.Array) -> pa.Array:
    """Return text ids as int64 if each of them is an integer in its usual form, so that none of them changes."""
    if pa.types.is_integer(ids.type):
        return ids
    try:
        numbers = ids.cast(pa.int64())
    except pa.ArrowInvalid:
        return ids
    return numbers if numbers.cast(pa.string()).equals(ids) else ids


def _describe(ids: pa.Array, role: str) -> str:
    if pa.types.is_integer(ids.type):
        return f"{role}: {len(ids):,} distinct integers."
    odd = ids.filter(pc.invert(pc.match_substring_regex(ids, "^(0|-?[1-9][0-9]*)$")))
    why = f"{odd[0].as_py()!r} is not an integer in its usual form" if len(odd) else "some are beyond 64 bits"
    return f"{role}: {len(ids):,} distinct strings ({why})."
