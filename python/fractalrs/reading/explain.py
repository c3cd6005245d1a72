"""The line of a text file that cannot be used, and why: a slow pass that follows an error of the quick reader."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice

from fractalrs.columns import is_date, is_number
from fractalrs.errors import InputError
from fractalrs.reading.sniff import Layout


def explain(layout: Layout, positions: Mapping[str, int], good_lines: int) -> None:
    """Raise an error for the first line of cells that cannot be used, if there is one, beyond so many good lines.

    It says which line (the first is 1, a header counts), what is wrong with it and what to do. `positions` are those of
    `Source.read`.
    """
    dates = "timestamp" in positions and is_date(layout.first_cell(positions["timestamp"]))
    for number, cells in _records(layout, max(good_lines, layout.first_line)):
        where = f"{layout.path}, line {number}"
        if len(cells) != layout.width:
            raise InputError(
                f"{where}: {len(cells)} cell{'s' if len(cells) != 1 else ''} instead of {layout.width}",
                hint="correct or remove the line; for one user per line say format='lines' (--format lines)",
            )
        for role, column in positions.items():
            problem = _problem(role, cells[column], dates)
            if problem:
                raise InputError(f"{where}: {problem[0]}", hint=problem[1])


def _records(layout: Layout, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, cells) of every row of data that is not empty, after the lines skipped."""
    with io.TextIOWrapper(layout.stream(), encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        next(islice(text, skipped, skipped), None)
        if layout.quoted:
            reader = csv.reader(text, delimiter=layout.delimiter)
            number = skipped + 1
            try:
                for cells in reader:
                    if cells:
                        yield number, cells
                    number = skipped + reader.line_num + 1
            except csv.Error as error:
                raise InputError(
                    f"{layout.path}, line {number}: {error}", hint="is a double quote left open?"
                ) from None
        else:
            for number, line in enumerate(text, start=skipped + 1):
                if line.rstrip("\r\n"):
                    yield number, line.rstrip("\r\n").split(layout.delimiter)


def _problem(role: str, text: str, dates: bool) -> tuple[str, str] | None:
    """Return what is wrong with a cell and what to do about it; `None` if nothing is."""
    if role in ("user_id", "item_id") and not text:
        return f"the {role} is missing", "correct or remove the line"
    if role not in ("rating", "timestamp"):
        if any("\udc80" <= character <= "\udcff" for character in text):
            return f"the {role} is not UTF-8: {text!a}", "convert the file to UTF-8"
        return None
    if not text:
        return f"the {role} is missing", "fill it in, remove the line, or remove the column from the file"
    if text.strip().lower() in ("nan", "inf", "-inf", "+inf", "infinity", "-infinity"):
        return f"the {role} is {text}, not a finite number", "correct or remove the line"
    if role == "timestamp" and text.lstrip().startswith("-"):
        return f"the timestamp {text} is negative", "timestamps count from 0; correct or remove the line"
    if role == "timestamp" and dates:
        try:
            date = datetime.fromisoformat(text.removesuffix(" UTC")) if is_date(text) else None
        except ValueError:
            date = None
        if date is None:
            return f"the timestamp {text!r} is not an ISO date", "write 2024-01-31 or 2024-01-31T12:00:00"
        return (f"the timestamp {text} is before 1970", "correct or remove the line") if date.year < 1970 else None
    if not is_number(text):
        kind = "a number" if role == "rating" else "a number or an ISO date"
        return f"the {role} {text!r} is not {kind}", "correct or remove the line, or name another column"
    if abs(float(text)) >= (2**63 if role == "timestamp" else math.inf):
        return f"the {role} {text} is too large", "correct or remove the line"
    return None
