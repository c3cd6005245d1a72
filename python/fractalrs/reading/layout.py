"""A text file line by line: how it is written, learned from its first lines, and which line cannot be used."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from fractalrs.columns import Wanted, has_header, is_date, is_number, strip_type
from fractalrs.errors import InputError

UNIT_SEPARATOR = "\x1f"
"""A control character that no text file of use holds: it stands for delimiters of several bytes."""
_HEAD_BYTES = 1 << 20
_HEAD_LINES = 1000
_DELIMITERS = ("::", "\t", ",", ";", "|", " ")
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_COMPRESSED_SUFFIXES = (".gz", ".zst", ".zstd", ".bz2")


@dataclass(frozen=True)
class Layout:
    """How a text file is written.

    `compression` is ``"gzip"``, ``"zstd"``, ``"bz2"`` or `None`; `format` is ``"csv"`` (any delimiter), ``"inter"`` or
    ``"lines"``, for which a space as delimiter means any white space. `first_line` says how many lines come before the
    first row of data, of which `sample` has the first ones, cells as text; ``"lines"`` have none.
    """

    path: Path
    compression: str | None
    format: str
    delimiter: str
    quoted: bool
    names: list[str] | None
    first_line: int
    sample: list[list[str]]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names or self.sample[0])

    def first_cell(self, column: int) -> str:
        """Return the first cell of a column that there is."""
        return next((row[column] for row in self.sample if column < len(row)), "")

    def stream(self) -> AbstractContextManager[Any]:
        """Open a stream of the file's bytes, unpacked; reading says where they are damaged."""
        return _unpacked(self.path, self.compression)

    @property
    def note(self) -> str:
        """One sentence that says how the file was understood."""
        packed = f", {self.compression}-compressed" if self.compression else ""
        if self.format == "lines":
            between = "white space" if self.delimiter == " " else repr(self.delimiter)
            return f"Read {self.path.name} as one user per line (user item item ...), {between} between ids{packed}."
        kind = "a RecBole .inter file" if self.format == "inter" else "a table"
        header = "with a header" if self.names is not None else "without a header"
        return f"Read {self.path.name} as {kind} {header}, {self.delimiter!r} between cells{packed}."


def sniff(path: Path, format: str, delimiter: str | None, header: bool | None, wanted: Wanted) -> Layout:
    """Return how a file is written; what is not said, as in `fractalrs.reading.source.Asked`, is found.

    Raises
    ------
    InputError
        If the file is empty, holds only a header, is not text, or is not in the format asked for.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    compression = next((name for start, name in _COMPRESSIONS.items() if magic.startswith(start)), None)
    lines, whole = _head(path, compression)
    skipped = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    lines = lines[skipped:]
    if not lines:
        raise InputError(f"{path} is empty", hint="a source needs at least one line with a user and an item")
    if delimiter is not None:
        delimiter = _checked_delimiter(delimiter)
    elif format != "lines":
        # That of a compression comes behind the suffix that tells something.
        inner = Path(path.stem) if path.suffix.lower() in _COMPRESSED_SUFFIXES else path
        delimiter = _find_delimiter(lines, whole, inner.suffix.lower())

    is_inter = ":token" in lines[0]
    if format == "inter" and not is_inter:
        raise InputError(
            f"{path} is not a RecBole .inter file: its first line is {_shorten(lines[0])!r}",
            hint="such a file starts with names and types, as in user_id:token; try format='csv' (--input-format csv)",
        )
    if format == "lines" or (format == "auto" and not header and _is_one_user_per_line(lines, delimiter)):
        if header:
            raise InputError(f"{path}: a file with one user per line has no header", hint="leave out header=True")
        return Layout(path, compression, "lines", delimiter or " ", False, None, 0, [])

    if not delimiter:
        raise InputError(
            f"{path}, line {skipped + 1}: found no delimiter in {_shorten(lines[0])!r}",
            hint="say what stands between the cells with delimiter (--delimiter)",
        )
    quoted = _is_quoted(lines, delimiter)
    rows = _split(lines, delimiter, quoted)
    if not whole and len(rows) > 2:
        rows.pop()  # perhaps cut inside quotes
    if header is None:
        header = is_inter or has_header(rows, wanted)
    if header and len(rows) == 1:
        raise InputError(
            f"{path} holds a header and no rows: {_shorten(lines[0])!r}",
            hint="if that line is data, say header=False (--no-header)",
        )
    return Layout(
        path=path,
        compression=compression,
        format="inter" if is_inter and header else "csv",
        delimiter=delimiter,
        quoted=quoted,
        names=[strip_type(name) for name in rows[0]] if header else None,
        first_line=skipped + int(header),
        sample=rows[int(header) :],
    )


@contextmanager
def _unpacked(path: Path, compression: str | None) -> Iterator[Any]:
    try:
        with pa.input_stream(str(path), compression=compression) as stream:
            yield stream
    except OSError as error:
        if compression is None:
            raise
        raise InputError(f"{path} is damaged: {error}", hint="fetch the file again") from None


def _head(path: Path, compression: str | None) -> tuple[list[str], bool]:
    """Return the first lines, and whether that is the whole file."""
    with _unpacked(path, compression) as stream:
        head = stream.read(_HEAD_BYTES)
        whole = not stream.read(1)
    if b"\0" in head:
        raise InputError(
            f"{path} is not a text file",
            hint="text in UTF-8 is read, plain or compressed with gzip, zstd or bzip2; also Parquet and SciPy's .npz",
        )
    lines = head.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not whole and len(lines) > 1:
        lines.pop()
    return lines[:_HEAD_LINES], whole and len(lines) <= _HEAD_LINES


def _checked_delimiter(delimiter: str) -> str:
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if not delimiter or set(delimiter) & {"\n", "\r", '"', "\0", UNIT_SEPARATOR}:
        raise InputError(f"{delimiter!r} cannot be a delimiter", hint="give one character or more, such as , or ::")
    return delimiter


def _find_delimiter(lines: list[str], whole: bool, suffix: str) -> str | None:
    """Return the delimiter that splits all lines alike, else the one that splits most of them alike."""
    best: tuple[float, ...] = (0.0,)
    found = None
    for delimiter in _DELIMITERS:
        rows = _split(lines, delimiter, _is_quoted(lines, delimiter))
        if not whole and len(rows) > 1:
            rows.pop()
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if max(map(len, rows)) < 2:
            continue
        # A header that holds known names tells more than the regularity of the cells: ids may hold anything.
        known = has_header(rows[:1]) and len(rows[0]) > 1
        fits_suffix = (suffix, delimiter) in ((".csv", ","), (".tsv", "\t"), (".inter", "\t"))
        score = (float(known), float(width >= 2 and count == len(rows)), float(fits_suffix), float(width >= 2) * count)
        if score > best:
            best, found = score, delimiter
    return found


def _is_one_user_per_line(lines: list[str], delimiter: str | None) -> bool:
    """Return whether lines are ``user item item ...``: counts differ, each user has one line, there is no header."""
    if delimiter not in (" ", "\t"):
        return False
    rows = [line.split() for line in lines if line.strip()]
    users = {row[0] for row in rows}
    return len({len(row) for row in rows}) > 1 and len(users) == len(rows) and not has_header(rows[:1])


def _is_quoted(lines: list[str], delimiter: str) -> bool:
    """Return whether cells may stand in quotes: between commas and the like; elsewhere a quote is a character."""
    return len(delimiter.encode()) == 1 and (delimiter not in "\t " or lines[0].startswith('"'))


def _split(lines: list[str], delimiter: str, quoted: bool) -> list[list[str]]:
    if not quoted:
        return [line.split(delimiter) for line in lines if line]
    try:
        return [row for row in csv.reader((line + "\n" for line in lines), delimiter=delimiter) if row]
    except csv.Error:  # a quote that is never closed
        return _split(lines, delimiter, False)


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def explain(layout: Layout, positions: Mapping[str, int], good_lines: int) -> None:
    """Raise an error for the first line of cells that cannot be used, if there is one, beyond so many good lines.

    Slow, so only after an error of the quick reader. The message has the number of the line (a header counts), what is
    wrong and what to do. `positions` are those of `Source.read`.
    """
    dates = "timestamp" in positions and is_date(layout.first_cell(positions["timestamp"]))
    for number, cells in _records(layout, max(good_lines, layout.first_line)):
        where = f"{layout.path}, line {number}"
        if len(cells) != layout.width:
            raise InputError(
                f"{where}: {len(cells)} cell{'s' if len(cells) != 1 else ''} instead of {layout.width}",
                hint="correct or remove the line; for one user per line say format='lines' (--input-format lines)",
            )
        for role, column in positions.items():
            problem = _problem(role, cells[column], dates)
            if problem:
                raise InputError(f"{where}: {problem[0]}", hint=problem[1])


def _records(layout: Layout, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, cells) of every row of data that is not empty, after the lines skipped."""
    with (
        layout.stream() as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
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
        return f"the {role} is missing", f"fill it in or remove the line, {_decline(role)}"
    if text.strip().lower() in ("nan", "inf", "-inf", "+inf", "infinity", "-infinity"):
        return f"the {role} is {text}, not a finite number", f"correct or remove the line, {_decline(role)}"
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
        hint = f"correct or remove the line, name another column, {_decline(role)}"
        return f"the {role} {text!r} is not {kind}", hint
    if abs(float(text)) >= (2**63 if role == "timestamp" else math.inf):
        return f"the {role} {text} is too large", "correct or remove the line"
    return None


def _decline(role: str) -> str:
    return f"or decline the column: {role}_column='none' (--{role}-column none)"
