"""What stands where an id is missing, and blanks around ids: found in the distinct ids, before they are encoded."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.errors import InputError
from fractalrs.reading.ids import BLANKS, PLAIN_BLANKS, readable_ids, without_blanks
from fractalrs.reading.written import check_written
from fractalrs.words import WARNING, MissingIds, percent

_WORDS = (
    *("", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "(null)", "<null>", "none", "nil", "\\n", "-", "--", "?"),
    *("undefined", "unknown", "missing", "anonymous", "00000000-0000-0000-0000-000000000000"),
)
"""What is written for no id, in lower case."""
_MINUS_ONE, _ZERO = ("-1", "-1.0"), ("0", "0.0")
_SMALL_SHARE = 0.01
"""Up to this share of rows, or in a single row, such a word is taken for an id: somebody may be called so."""
_ZERO_SHARE, _ZERO_ROWS, _ZERO_TIMES = 0.02, 50, 4
"""Zero is an id like others, unless it has this share of rows, so many, and so many times as many as any other id."""
_SAID_SHARE = 0.05
"""From this share of rows on that are left out there is a warning."""


def settle_ids(
    table: pa.Table,
    missing: MissingIds,
    places: Mapping[str, str],
    blanks_are_layout: bool,
    complete: Callable[[str], str | None],
) -> tuple[pa.Table, list[str]]:
    """Return a table whose ids have no blanks around them and stand for somebody, and sentences on what was done.

    Parameters
    ----------
    table
        Columns ``user_id`` and ``item_id``, and any others.
    missing
        What to do with rows without ids, or with what is written for none.
    places
        What messages call the source and the column of each role.
    blanks_are_layout
        Whether ids that differ in blanks around them alone are the same, as in text.
    complete
        Returns the option that names a column that would serve for a role, if there is one that has all ids.

    Raises
    ------
    InputError
        If more than a small share of rows lack an id, ids differ in blanks alone, or were spoiled (`check_written`).
    """
    notes, rows = [], table.num_rows
    keep = np.ones(rows, dtype=bool)
    left_out: dict[str, None] = {}
    for role in ("user_id", "item_id"):
        column = table.column(role)
        if column.type != pa.int64() or column.null_count:
            blanks = PLAIN_BLANKS if missing == "keep" else BLANKS
            chunks, note = _stripped(readable_ids(column, role), role, places[role], blanks_are_layout, blanks)
            column = pa.chunked_array(chunks, chunks[0].type) if chunks else column
            table = table.set_column(table.column_names.index(role), role, column)
            notes += note
            if missing != "keep":
                notes += check_written(chunks, role, places[role])
        found = missing_among(column)
        if not found or missing == "keep":
            continue
        if missing == "drop":
            keep &= ~_rows_of(column, list(found))
            left_out |= dict.fromkeys(found)
        elif (count := sum(found.values())) > max(1, _SMALL_SHARE * rows):
            raise InputError(_words(places[role], role, found, rows), hint=_hint(found, count < rows, complete(role)))
        elif kept := [repr(word) for word in found if word]:
            notes.append(
                f"{role}: {', '.join(kept)} in {count:,} row{'s' if count > 1 else ''} was taken for an id; "
                "missing_ids='drop' (--missing-ids drop) leaves such rows out."
            )
    if dropped := rows - int(np.count_nonzero(keep)):
        table, share = table.filter(pa.array(keep)), dropped / rows
        warns = WARNING if share > _SAID_SHARE else ""
        what = ", ".join(repr(word) if word else "missing" for word in left_out)
        notes.append(f"{warns}{percent(share)} of rows ({dropped:,}) were left out: their user or item was {what}.")
    return table, notes


def missing_among(column: pa.ChunkedArray) -> dict[str, int]:
    """Return what among ids stands for none, with the number of rows that have it; missing ones under an empty text."""
    counts = _counts(column)
    found = {word: count for word, count in counts.items() if word.lower() in _WORDS}
    found |= {word: counts[word] for word in _MINUS_ONE if word in counts and _is_alone_negative(column)}
    for word in _ZERO:
        count = counts.get(word, 0)
        if count >= max(_ZERO_ROWS, _ZERO_SHARE * len(column)) and count >= _ZERO_TIMES * _second(column):
            found[word] = count
    return found


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Return how many rows have each id that may stand for none."""
    counts = {"": column.null_count} if column.null_count else {}
    if column.type == pa.int64():
        low, high = pc.min_max(column).values()
        for number in (0, -1):
            if low.as_py() <= number <= high.as_py() and (rows := pc.sum(pc.equal(column, number)).as_py()):
                counts[str(number)] = rows
        return counts
    for chunk in column.chunks:
        suspects = np.flatnonzero(_suspects(chunk.dictionary))
        if len(suspects):
            rows_of = np.bincount(chunk.indices.drop_null().to_numpy(), minlength=len(chunk.dictionary))
            for place in suspects:
                word = str(chunk.dictionary[place].as_py())
                counts[word] = counts.get(word, 0) + int(rows_of[place])
    return {word: rows for word, rows in counts.items() if rows}


def _suspects(values: pa.Array) -> npt.NDArray[np.bool_]:
    if pa.types.is_integer(values.type):
        mask = pc.is_in(values, pa.array([0, -1], values.type))
    else:
        # Most ids are longer, or other words.
        mask = pc.is_in(pc.ascii_lower(values), pa.array([*_WORDS, *_MINUS_ONE, *_ZERO]))
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)


def _is_alone_negative(column: pa.ChunkedArray) -> bool:
    """Return whether -1 is the only negative number among ids: else they are numbers of any kind, such as hashes."""
    if column.type == pa.int64():
        return bool(pc.min(column).as_py() == -1)
    for chunk in column.chunks:
        values = chunk.dictionary
        if pa.types.is_integer(values.type):
            others = pc.less(values, -1)
        else:
            others = pc.and_not(pc.match_substring_regex(values, r"^-\d"), pc.is_in(values, pa.array(_MINUS_ONE)))
        if pc.any(others).as_py():
            return False
    return True


def _second(column: pa.ChunkedArray) -> int:
    """Return how many rows the most frequent id other than zero has."""
    counts = pc.value_counts(column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column)
    values, rows = counts.field("values"), counts.field("counts")
    zero = pa.array([0], values.type) if pa.types.is_integer(values.type) else pa.array(_ZERO)
    return pc.max(rows.filter(pc.invert(pc.is_in(values, zero)))).as_py() or 0


def _rows_of(column: pa.ChunkedArray, words: list[str]) -> npt.NDArray[np.bool_]:
    """Return which rows have one of some ids, or none."""
    parts = []
    for chunk in column.chunks:
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        is_number = pa.types.is_integer(values.type)
        wanted = pa.array([int(word) if is_number else word for word in words if word or not is_number], values.type)
        bad = pc.is_in(values, wanted).to_numpy(zero_copy_only=False)
        if values is not chunk:
            missing = chunk.is_null().to_numpy(zero_copy_only=False)
            bad = bad[chunk.indices.fill_null(0).to_numpy()] | missing if len(bad) else missing
        parts.append(bad)
    return np.concatenate(parts).astype(bool)


def _stripped(
    chunks: list[pa.DictionaryArray], role: str, place: str, blanks_are_layout: bool, blanks: str
) -> tuple[list[pa.DictionaryArray], list[str]]:
    """Return ids without blanks around them, and a sentence on it if there were any."""
    if not chunks or not pa.types.is_string(chunks[0].type.value_type):
        return chunks, []
    whole = [chunk.dictionary for chunk in chunks]
    bare = [without_blanks(values, blanks) for values in whole]
    changed = [one.nbytes != other.nbytes or not one.equals(other) for one, other in zip(whole, bare, strict=True)]
    if not any(changed):
        return chunks, []
    before, after = pa.chunked_array(whole).unique(), pa.chunked_array(bare).unique()
    odd = before.filter(pc.not_equal(before, without_blanks(before, blanks)))
    if len(after) < len(before) and not blanks_are_layout:
        known, trimmed = pa.concat_arrays([before]), without_blanks(odd, blanks)
        twins = odd.filter(pc.is_in(trimmed, known))
        twin = (twins if len(twins) else odd)[0].as_py()
        raise InputError(
            f"{place}: the {role}s {twin!r} and {twin.strip(blanks)!r} differ in blanks around them alone",
            hint="strip the blanks where the column comes from, or write the ids so that they differ otherwise",
        )
    made = [pa.DictionaryArray.from_arrays(chunk.indices, text) for chunk, text in zip(chunks, bare, strict=True)]
    return made, [f"{role}: blanks around ids were removed, as of {odd[0].as_py()!r}."]


def _words(place: str, role: str, found: Mapping[str, int], rows: int) -> str:
    listed = ", ".join(f"{repr(word) if word else 'nothing'} in {count:,}" for word, count in found.items())
    return f"{place}: {percent(sum(found.values()) / rows)} of the {rows:,} rows have no {role}, but {listed}"


def _hint(found: Mapping[str, int], some_are_left: bool, complete: str | None) -> str:
    ways = ["leave these rows out with missing_ids='drop' (--missing-ids drop)"] if some_are_left else []
    ways += [] if "" in found else ["take these for ids with missing_ids='keep' (--missing-ids keep)"]
    ways += [f"use a column that is complete: {complete}"] if complete else []
    return ", or ".join(ways) or "name another column"
