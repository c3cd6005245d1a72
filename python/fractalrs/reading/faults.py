"""Which line of a text file cannot be used, and what to do about it."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice

from fractalrs.columns import is_date, is_number
from fractalrs.errors import InputError
from fractalrs.reading.layout import Layout
from fractalrs.reading.times import form_advice, has_form, names_zone

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:([,. '\u00a0\u202f])\d{3})(?:\1\d{3})*([.,]\d+)?")
_CORRECT_LINE = "correct or remove the line"


def explain(layout: Layout, positions: Mapping[str, int], good_lines: int, time_format: str | None = None) -> None:
    """Raise an error for the first line of cells that cannot be used, if there is one, beyond so many good lines.

    Slow, so only after an error of the quick reader. The message has the number of the line (a header counts), what is
    wrong and what to do. `positions` are those of `Source.read`.
    """
    first_time = layout.first_cell(positions["timestamp"]) if "timestamp" in positions else ""
    for number, cells in records(layout, max(good_lines, layout.first_line)):
        where = f"{layout.stored.name}, line {number}"
        if tuple(cells) == layout.header:
            raise InputError(
                f"{where}: this is the header again, as of files that were put together", hint="remove such lines"
            )
        if len(cells) != layout.width:
            raise InputError(
                f"{where}: {len(cells)} cell{'s' if len(cells) != 1 else ''} instead of {layout.width}",
                hint=_width_advice(layout),
            )
        for role, column in positions.items():
            if role == "timestamp" and cells[column]:
                problem = _problem_of_time(layout, column, cells[column], first_time, time_format)
            else:
                problem = _problem(layout, role, cells[column])
            if problem:
                raise InputError(f"{where}: {problem[0]}", hint=problem[1])


def _width_advice(layout: Layout) -> str:
    users = {row[0] for row in layout.sample}
    by_user = layout.delimiter in (" ", "\t") and layout.names is None and len(users) == len(layout.sample)
    return _CORRECT_LINE + ("; for one user per line say format='lines' (--input-format lines)" if by_user else "")


def records(layout: Layout, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, cells) of every row of data that is not empty, after the lines skipped."""
    with (
        layout.stream() as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        next(islice(text, skipped, skipped), None)
        if layout.quoted:
            reader = csv.reader(text, delimiter=layout.delimiter, escapechar="\\" if layout.escaped else None)
            number = skipped + 1
            try:
                for cells in reader:
                    if cells:
                        yield number, cells
                    number = skipped + reader.line_num + 1
            except csv.Error as error:
                raise InputError(
                    f"{layout.stored.name}, line {number}: {error}", hint="is a double quote left open?"
                ) from None
        else:
            for number, line in enumerate(text, start=skipped + 1):
                if line.rstrip("\r\n"):
                    yield number, line.rstrip("\r\n").split(layout.delimiter)


def _problem(layout: Layout, role: str, text: str) -> tuple[str, str] | None:
    """Return what is wrong with a cell and what to do about it; `None` if nothing is."""
    if role in ("user_id", "item_id") and not text:
        return f"the {role} is missing", _CORRECT_LINE
    if role not in ("rating", "timestamp"):
        if any("\udc80" <= character <= "\udcff" for character in text):
            return f"the {role} is not UTF-8: {text!a}", (
                f"say in which encoding the file is, such as text_encoding={_encoding_of(text)!r} (--text-encoding)"
            )
        return None
    if not text:
        return f"the {role} is missing", f"fill it in or remove the line, {_decline(role)}"
    if text.strip().lower() in ("nan", "inf", "-inf", "+inf", "infinity", "-infinity"):
        return f"the {role} is {text}, not a finite number", f"{_CORRECT_LINE}, {_decline(role)}"
    number = text.replace(layout.decimal_point, ".") if layout.decimal_point != "." else text
    if not is_number(number) or (layout.decimal_point != "." and "." in text):
        kind = "a number" if role == "rating" else "a number or an ISO date"
        if _THOUSANDS.fullmatch(text.strip()):
            separator = next(character for character in text if not character.isalnum() and character not in "+-")
            hint = f"write numbers without {separator!r} between thousands, {_decline(role)}"
            return f"the {role} {text!r} is not {kind}", hint
        hint = f"{_CORRECT_LINE}, name another column, {_decline(role)}"
        return f"the {role} {text!r} is not {kind}", hint
    if abs(float(number)) >= (2**63 if role == "timestamp" else math.inf):
        return f"the {role} {text} is too large", _CORRECT_LINE
    return None


def _problem_of_time(
    layout: Layout, column: int, text: str, first: str, time_format: str | None
) -> tuple[str, str] | None:
    if time_format is not None:
        if has_form(text, time_format):
            return None
        return f"the timestamp {text!r} does not have the form {time_format!r}", _CORRECT_LINE
    if text.lstrip().startswith("-"):
        return f"the timestamp {text} is negative", "timestamps count from 0; correct or remove the line"
    if not is_date(first):
        problem = _problem(layout, "timestamp", text)
        advice = form_advice([row[column] for row in layout.sample if column < len(row)])
        return (problem[0], advice) if problem and advice else problem
    try:
        date = datetime.fromisoformat(text.removesuffix(" UTC")) if is_date(text) else None
    except ValueError:
        date = None
    if date is None:
        advice = form_advice([*(row[column] for row in layout.sample if column < len(row)), text])
        return f"the timestamp {text!r} is not an ISO date", advice or "write 2024-01-31 or 2024-01-31T12:00:00"
    if names_zone(text) != names_zone(first):
        zones = ("a time zone", "none") if names_zone(text) else ("no time zone", "one")
        return f"the timestamp {text!r} names {zones[0]}, and the first, {first!r}, {zones[1]}", (
            "write the zone in all rows, or in none"
        )
    return (f"the timestamp {text} is before 1970", _CORRECT_LINE) if date.year < 1970 else None


def _decline(role: str) -> str:
    return f"or decline the column: {role}_column='none' (--{role}-column none)"


def _encoding_of(text: str) -> str:
    """Return an encoding that reads a cell; Latin-1 reads anything."""
    raw = text.encode(errors="surrogateescape")
    # Letters of Latin-1 beyond ASCII seldom come in pairs.
    return "gbk" if re.fullmatch(rb"(?:[\x00-\x7f]|[\xb0-\xf7][\xa1-\xfe])+", raw) else "latin-1"
