"""Ids of users and items: as they are in the source, encoded by their canonical order."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.columns import gathered, is_text, is_time
from fractalrs.errors import InputError

_RANKED_ROWS = 1 << 20
_SPREAD = 4
"""Integers are near to each other if there are so many times as many in their range as rows."""
_EXACT = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}
"""From here on a floating-point number stands for several whole ones."""
_UUID_DASHES = (8, 13, 18, 23)
PLAIN_BLANKS = " \t"
BLANKS = PLAIN_BLANKS + "\u00a0\u200b\ufeff"
"""What around an id is no part of it: also blanks that do not break or have no width, and marks of byte order."""
OR_DROP = "correct or remove the {0}, or leave such {0}s out: missing_ids='drop' (--missing-ids drop)"
"""What to do where an id is missing in a row, or line."""


def encode_ids(column: pa.ChunkedArray, role: str) -> tuple[pa.DictionaryArray, str]:
    """Return ids encoded by their canonical order, and a sentence on what kind they are."""
    if column.type == pa.int64() and not column.null_count:
        low, high = pc.min_max(column).values()
        if high.as_py() - low.as_py() <= _SPREAD * len(column) + _RANKED_ROWS:
            return _encode_near(column, low.as_py(), high.as_py(), role)
    chunks = readable_ids(column, role)
    merged = pa.concat_arrays([chunk.dictionary for chunk in chunks]).dictionary_encode()
    # Codes of all chunks into one dictionary, in order of first appearance.
    places = merged.indices.to_numpy(zero_copy_only=False)
    codes = np.empty(len(column), dtype=np.int32)
    start = place = 0
    for chunk in chunks:
        if chunk.null_count:
            row = start + int(pc.index(pc.is_null(chunk.indices), True).as_py()) + 1
            raise InputError(f"row {row}: the {role} is missing", hint=OR_DROP.format("row"))
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
        raise InputError(f"row {row}: the {role} is missing", hint=OR_DROP.format("row"))
    return pa.DictionaryArray.from_arrays(pa.array(codes), ids), _describe(ids, role)


def _encode_near(column: pa.ChunkedArray, low: int, high: int, role: str) -> tuple[pa.DictionaryArray, str]:
    """Encode integers from `low` to `high`: a place in memory for each is quicker than hashes."""
    used = np.zeros(high - low + 1, dtype=bool)
    for chunk in column.chunks:
        used[chunk.to_numpy() - low] = True
    ids, ranks = pa.array(np.flatnonzero(used) + low), np.cumsum(used, dtype=np.int32) - np.int32(1)
    codes = gathered(column, np.int32, lambda values, out: np.take(ranks, values - low, out=out, mode="clip"))
    return pa.DictionaryArray.from_arrays(pa.array(codes), ids), _describe(ids, role)


def readable_ids(column: pa.ChunkedArray, role: str) -> list[pa.DictionaryArray]:
    """Return the chunks of a column of ids as dictionary<int32, int64 | string>, all of one type."""
    chunks = [as_dictionary(chunk, role) for chunk in column.chunks]
    if not any(pa.types.is_binary(chunk.type.value_type) for chunk in chunks):
        return chunks
    # Text, or bytes: that is decided by the values of all chunks.
    values = [chunk.dictionary for chunk in chunks]
    try:
        texts = [value.cast(pa.string()) for value in values]
    except pa.ArrowInvalid:
        texts = [_hexadecimal(value) for value in values]
    return [pa.DictionaryArray.from_arrays(chunk.indices, text) for chunk, text in zip(chunks, texts, strict=True)]


def without_blanks(ids: pa.Array, blanks: str = BLANKS) -> pa.Array:
    """Return text ids without blanks around them; most are ASCII, which is quicker."""
    is_ascii = pc.all(pc.string_is_ascii(ids), min_count=0).as_py()
    return pc.ascii_trim(ids, PLAIN_BLANKS) if is_ascii else pc.utf8_trim(ids, blanks)


def as_dictionary(ids: pa.Array, role: str) -> pa.DictionaryArray:
    """Return one array of ids as dictionary<int32, int64 | string | binary>."""
    if pa.types.is_dictionary(ids.type):
        usual = ids.type.value_type in (pa.int64(), pa.string(), pa.binary())
        if ids.type.index_type == pa.int32() and usual and not ids.dictionary.null_count:
            return ids
        ids = _plain(ids.dictionary, role).take(ids.indices)
    else:
        ids = _plain(ids, role)
    encoded = ids.dictionary_encode()
    if encoded.type.index_type != pa.int32():
        message = f"{role} has more than {2**31 - 1:,} distinct values"
        raise InputError(message, hint="is it the column of ids? Name it, or give fewer users or items")
    # The distinct ones alone are converted.
    return pa.DictionaryArray.from_arrays(encoded.indices, _as_ids(encoded.dictionary, role))


def _plain(ids: pa.Array, role: str) -> pa.Array:
    """Return ids in a type that can be encoded; not a number is a missing id, as pandas has it."""
    kind = ids.type
    if isinstance(kind, pa.BaseExtensionType):
        return _uuids(ids.storage) if kind.extension_name == "arrow.uuid" else _plain(ids.storage, role)
    if is_text(kind) or pa.types.is_null(kind):
        return ids.cast(pa.string())
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(ids), None, ids)
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return ids.cast(pa.binary())
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_binary(kind):
        return ids
    hint = "name the column of ids; times are no ids" if is_time(kind) else "give ids as integers or strings"
    if pa.types.is_nested(kind):
        hint = "write a row for each element, its id as a field of its own"
    raise InputError(f"{role} has the type {kind}", hint=hint)


def _as_ids(values: pa.Array, role: str) -> pa.Array:
    """Return distinct ids as int64, string or binary."""
    kind = values.type
    try:
        if kind in (pa.string(), pa.binary()):
            return values
        if pa.types.is_floating(kind):
            _check_exact(values, role)
        if pa.types.is_decimal(kind):
            # As text, as they may be beyond 64 bits in another chunk.
            whole = values if kind.scale == 0 else values.cast(pa.decimal128(38, 0))
            return whole.cast(pa.string())
        return values.cast(pa.string() if kind == pa.uint64() else pa.int64())
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{role} has the type {kind} and values that are not whole numbers: {error}",
            hint="give ids as integers or strings",
        ) from None


def _check_exact(values: pa.Array, role: str) -> None:
    """Refuse floating-point ids so large that ids beside each other have become one."""
    bound = _EXACT[values.type]
    large = values.filter(pc.greater_equal(pc.abs(values.cast(pa.float64())), bound))
    if len(large):
        raise InputError(
            f"{role} holds {values.type} values such as {large[0].as_py():.17g}: from {bound:,} on different ids "
            "become one",
            hint="read the column as integers or text where it comes from, before it becomes floating-point numbers",
        )


def _hexadecimal(values: pa.Array) -> pa.Array:
    """Return bytes as text of twice as many characters; all at once, as there may be millions."""
    values = pa.concat_arrays([values])
    offsets = np.frombuffer(values.buffers()[1], np.int32)[: len(values) + 1]
    data = values.buffers()[2]
    digits = memoryview(data)[: offsets[-1]].hex().encode() if data else b""
    return pa.StringArray.from_buffers(len(values), pa.py_buffer((2 * offsets).tobytes()), pa.py_buffer(digits))


def _uuids(values: pa.Array) -> pa.Array:
    """Return UUIDs in their usual form."""
    encoded = values.cast(pa.binary()).dictionary_encode()
    digits = np.frombuffer("".join(_hexadecimal(encoded.dictionary).to_pylist()).encode(), np.uint8).reshape(-1, 32)
    kept = [place for place in range(36) if place not in _UUID_DASHES]
    texts = np.full((len(digits), 36), ord("-"), np.uint8)
    texts[:, kept] = digits
    offsets = np.arange(len(digits) + 1, dtype=np.int32) * 36
    words = pa.StringArray.from_buffers(len(digits), pa.py_buffer(offsets.tobytes()), pa.py_buffer(texts.tobytes()))
    return words.take(encoded.indices)


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
