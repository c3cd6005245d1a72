"""Ids that were spoiled on their way: rounded by a spreadsheet, written in two ways, or several in one cell."""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.errors import InputError

_ROUNDED = r"^-?[0-9](\.[0-9]+)?[eE]\+[0-9]{2,3}$"
"""As spreadsheets show numbers that are too long for them: 7.65612E+16."""
_LIST = r"^(\[.*\]|\(.*,.*\)|\{.*,.*\}|[A-Za-z]{0,3}[0-9]+([ ,;|]+[A-Za-z]{0,3}[0-9]+){2,})$"
_THOUSANDS = r"^[0-9]{1,3}([ ,][0-9]{3})+$"
_FLOAT = r"^-?[0-9]+\.0+$"
_ZEROS = r"^0+[0-9]+$"
_ROUNDED_TIME = re.compile(r"[0-9](\.[0-9]{1,8})?[eE]\+[0-9]{2}")
_POINTED = re.compile(r"[1-9][0-9]{0,2}(\.[0-9]{3})*|0")
_ANY = "|".join((_ROUNDED, _LIST, _FLOAT, _ZEROS))
_KEEP = "missing_ids='keep' (--missing-ids keep) takes them as they are"


def check_written(chunks: Sequence[pa.DictionaryArray], role: str, place: str) -> list[str]:
    """Return a sentence on text ids that differ in leading zeros alone, if there are such.

    Raises
    ------
    InputError
        If ids were rounded, are lists, or the same number is written in two ways: users would be merged or split.

    Examples
    --------
    >>> check_written([pa.array(["07", "7", "8"]).dictionary_encode()], "user_id", "ratings.csv")
    ["user_id: '07' and '7' were taken for two ids, as others that differ in leading zeros."]
    """
    values = [chunk.dictionary for chunk in chunks]
    if not values or not pa.types.is_string(values[0].type):
        return []
    if not any(pc.any(pc.match_substring_regex(one, _ANY)).as_py() for one in values):
        return []
    distinct = pc.unique(pa.chunked_array(values))

    def like(pattern: str) -> pa.Array:
        return distinct.filter(pc.match_substring_regex(distinct, pattern))

    if len(rounded := like(_ROUNDED)):
        raise InputError(
            f"{place}: the {role} {rounded[0].as_py()!r} is a number without its last digits, as spreadsheets write "
            "long ones: different ids have become one",
            hint=f"export the column as text, or as numbers without decimals; {_KEEP}",
        )
    lists = like(_LIST)
    lists = lists.filter(pc.invert(pc.match_substring_regex(lists, _THOUSANDS)))
    if 2 * len(lists) > len(distinct):
        raise InputError(
            f"{place}: the {role} {_shorten(lists[0].as_py())!r} is a list of ids in one cell",
            hint=f"write a row for each of them (pandas: explode), or the table as JSON lines or Parquet; {_KEEP}",
        )
    floats = like(_FLOAT)
    bare = pc.replace_substring_regex(floats, r"\.0+$", "")
    if len(twice := floats.filter(pc.is_in(bare, distinct))):
        one = twice[0].as_py()
        raise InputError(
            f"{place}: the {role}s {one!r} and {one.partition('.')[0]!r} are one number written in two ways",
            hint=f"write all ids without decimals where the column comes from; {_KEEP}",
        )
    zeros = like(_ZEROS)
    bare = pc.replace_substring_regex(zeros, "^0+([0-9])", r"\1")
    twice = zeros.filter(pc.is_in(bare, distinct))
    if not len(twice):
        return []
    one = twice[0].as_py()
    return [f"{role}: {one!r} and {str(int(one))!r} were taken for two ids, as others that differ in leading zeros."]


def check_numbers(role: str, cells: Sequence[str], place: str) -> None:
    """Refuse ratings with points between thousands, and times that a spreadsheet rounded, by their first cells.

    Examples
    --------
    >>> check_numbers("rating", ["4.5", "3"], "ratings.csv")
    """
    told = [cell for cell in map(str.strip, cells) if cell]
    if role == "timestamp" and told and all(map(_ROUNDED_TIME.fullmatch, told)):
        raise InputError(
            f"{place}: the timestamp {told[0]!r} is a number without its last digits, as spreadsheets write long ones",
            hint="export the column as numbers without decimals, or decline it: timestamp_column='none' "
            "(--timestamp-column none)",
        )
    pointed = [cell for cell in told if "." in cell]
    others = any(len(cell) < 4 for cell in told if "." not in cell)
    if role == "rating" and others and len(pointed) > 2 and all(map(_POINTED.fullmatch, told)):
        raise InputError(
            f"{place}: the rating {pointed[0]!r} seems to have a point between thousands, as all that have one do",
            hint="write numbers without it, or decline the column: rating_column='none' (--rating-column none)",
        )


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
