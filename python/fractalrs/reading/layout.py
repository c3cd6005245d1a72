"""How a text file is written: learned from its first lines."""

import re
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fractalrs.columns import ROLES, Wanted, choose_columns, has_header, is_number, strip_type
from fractalrs.errors import InputError
from fractalrs.reading.cells import is_escaped, is_quoted, split
from fractalrs.reading.source import Asked
from fractalrs.reading.stored import HEAD_BYTES, Stored, WholeLines
from fractalrs.reading.unread import refuse_unread

UNIT_SEPARATOR = "\x1f"
"""A control character that no text file of use holds: it stands for delimiters of several bytes."""
_HEAD_LINES = 1000
_DELIMITERS = ("::", "\t", ",", ";", "|", " ")
_EXCEL = re.compile(r'"?sep=(.)"?')
_WEIGHTED = re.compile(r"[^:\s]+:\d+(\.\d+)?")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d{1,2}|-?\d+")
_DECIMAL_POINT = re.compile(r"-?\d*\.\d+")
_SURE_ROWS = 5
"""So many lines whose first number counts the others do so on purpose."""
_BLANKS = re.compile(rb"[ \t]{2,}|\t")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a text file is written.

    `format` is ``"csv"`` (any delimiter), ``"inter"`` or ``"lines"``, for which a space as delimiter means any white
    space. Quotes within quotes are two, or behind a backslash where they are `escaped`. `first_line` says how many
    lines come before the first row of data, of which `sample` has the first ones, cells as text; ``"lines"`` have none.
    Lines that begin with `comment` are none of the table, and where it is `aligned` several blanks are one. Of one user
    per line, the first number may be `counted` items, the user then being the line, and the items `weighted`:
    ``item:count``. `header` is the line of names as it stands, and `remarks` are sentences on what is unusual.
    """

    stored: Stored
    format: str
    delimiter: str
    quoted: bool = False
    escaped: bool = False
    names: list[str] | None = None
    header: tuple[str, ...] = ()
    first_line: int = 0
    sample: list[list[str]]
    width: int = 0
    comment: str = ""
    aligned: bool = False
    decimal_point: str = "."
    counted: bool = False
    weighted: bool = False
    remarks: tuple[str, ...] = ()

    def first_cell(self, column: int) -> str:
        """Return the first cell of a column that there is."""
        return next((row[column] for row in self.sample if column < len(row)), "")

    @property
    def is_tidy(self) -> bool:
        """Whether the file's own bytes are the table's."""
        return not (self.stored.compression or self.stored.encoding or self.aligned or self.decimal_point != ".")

    def stream(self) -> AbstractContextManager[Any]:
        """Open a stream of the table: unpacked, in UTF-8, single blanks, empty lines for comments.

        Reading says where it is damaged; lines keep their numbers.
        """
        return self.stored.stream(WholeLines(self._tidy) if self.aligned or self.comment else None)

    def _tidy(self, lines: bytes) -> bytes:
        if self.comment:
            lines = re.sub(rb"(?:(?<=[\r\n])|\A)" + re.escape(self.comment.encode()) + rb"[^\r\n]*", b"", lines)
        if self.aligned:
            lines = _BLANKS.sub(b" ", lines).strip(b" ")
            for end in (b"\n", b"\r"):
                lines = lines.replace(end + b" ", end).replace(b" " + end, end)
        return lines

    @property
    def note(self) -> str:
        """One sentence that says how the file was understood."""
        name, how = self.stored.path.name, self.stored.how
        if self.format == "lines":
            between = "white space" if self.delimiter == " " else repr(self.delimiter)
            item = "item:count" if self.weighted else "item"
            first = "count" if self.counted else "user"
            who = ", the user being the number of the line" if self.counted else ""
            return f"Read {name} as one user per line ({first} {item} {item} ...{who}), {between} between ids{how}."
        kind = "a RecBole .inter file" if self.format == "inter" else "a table"
        header = "with a header" if self.names is not None else "without a header"
        between = "blanks" if self.aligned else repr(self.delimiter)
        return f"Read {name} as {kind} {header}, {between} between cells{how}."


class NoRowsError(InputError):
    """A text file holds a header alone, as the empty parts do that Spark writes."""


@dataclass(frozen=True)
class _Lead:
    """What comes before the table: so many lines, which begin with `comment`, and what Excel says is the delimiter."""

    lines: int
    comment: str = ""
    last_comment: str = ""
    delimiter: str | None = None


def sniff(stored: Stored, asked: Asked, header: bool | None) -> Layout:
    """Return how a file is written; what is not said, as in `fractalrs.reading.source.Asked`, is found.

    Raises
    ------
    InputError
        If the file is empty, holds only a header, is not text, or is not in the format asked for.
    """
    lines, whole = _head(stored)
    lead = _find_lead(lines)
    lines = [line for line in lines[lead.lines :] if not (lead.comment and line.startswith(lead.comment))]
    if not lines:
        raise InputError(f"{stored.name} is empty", hint="a source needs at least one line with a user and an item")
    delimiter, format = asked.delimiter, asked.format
    if delimiter is not None:
        delimiter = _checked_delimiter(delimiter)
    elif format != "lines":
        delimiter = lead.delimiter or _find_delimiter(lines, whole, stored.suffix)
    if format == "inter" and ":token" not in lines[0]:
        raise InputError(
            f"{stored.name} is not a RecBole .inter file: its first line is {_shorten(lines[0])!r}",
            hint="such a file starts with names and types, as in user_id:token; try format='csv' (--input-format csv)",
        )
    counted = format in ("auto", "lines") and not header and _is_counted(lines, delimiter)
    if format == "lines" or counted or (format == "auto" and not header and _is_one_user_per_line(lines, delimiter)):
        if header:
            raise InputError(f"{stored.name}: a file with one user per line has no header", hint="leave out header")
        return _of_users(stored, lines, delimiter or " ", counted, lead)
    aligned = delimiter in (None, " ", "\t") and _is_aligned(lines, delimiter)
    if aligned:
        delimiter, lines = " ", [" ".join(line.split()) for line in lines]
    if not delimiter:
        raise InputError(
            f"{stored.name}, line {lead.lines + 1}: found no delimiter in {_shorten(lines[0])!r}",
            hint="each line needs a user and an item; say what stands between the cells with delimiter (--delimiter)",
        )
    return _of_table(stored, lines, whole, delimiter, aligned, header, asked.wanted, lead)


def _of_users(stored: Stored, lines: list[str], delimiter: str, counted: bool, lead: _Lead) -> Layout:
    between = None if delimiter == " " else delimiter
    items = [token for line in lines for token in line.split(between)[1:]]
    weighted = bool(items) and all(_WEIGHTED.fullmatch(token) for token in items)
    return Layout(
        stored=stored,
        format="lines",
        delimiter=delimiter,
        sample=[],
        first_line=lead.lines,
        comment=lead.comment,
        counted=counted,
        weighted=weighted,
        remarks=_on_comments(lead),
    )


def _of_table(
    stored: Stored,
    lines: list[str],
    whole: bool,
    delimiter: str,
    aligned: bool,
    header: bool | None,
    wanted: Wanted,
    lead: _Lead,
) -> Layout:
    is_inter = ":token" in lines[0]
    quoted = is_quoted(lines, delimiter)
    rows = split(lines, delimiter, quoted)
    escaped = quoted and any('\\"' in line for line in lines) and is_escaped(lines, delimiter, whole)
    if escaped:
        rows = split(lines, delimiter, quoted, "\\")
    if not whole and len(rows) > 2:
        rows.pop()  # perhaps cut inside quotes
    numbered = header is not False and _is_numbered(rows, header)
    if header is None:
        header = is_inter or numbered or has_header(rows, wanted)
    _refuse_preamble(rows, stored.name, lead.lines)
    if header and len(rows) == 1:
        raise NoRowsError(
            f"{stored.name} holds a header and no rows: {_shorten(lines[0])!r}",
            hint="if that line is data, say header=False (--no-header)",
        )
    names = [strip_type(name) for name in rows[0]] if header else None
    first_line = lead.lines + (1 + sum(cell.count("\n") for cell in rows[0]) if header else 0)
    sample, remarks = rows[int(header) :], list(_on_comments(lead))
    in_comment = _names_in_comment(lead, delimiter, len(sample[0]))
    if names is None and in_comment is not None:
        names = in_comment
        remarks.append("The names of its columns stand in a comment.")
    width = len(names or sample[0])
    beyond = min(map(len, sample)) - width
    if names is not None and beyond > 0 and not any(any(row[width:]) for row in sample):
        remarks.append("Every line ends with delimiters: the last columns are empty.")
        names = [*names, *[""] * beyond]
    elif names is not None and all(len(row) == width + 1 for row in sample):
        names = _widened(names, sample, remarks, quoted and lines[0].startswith('"'))
    width = len(names or sample[0])
    if names is not None and numbered:
        names = _by_order(names, sample, stored.name)
        remarks.append("Its header is of numbers: columns go by their order.")
    if names is None and width > 2 and all(len(row) == width and not row[-1] for row in sample):
        remarks.append("Every line ends with a delimiter: the last column is empty.")
        while sample[0][2:] and not any(row[-1] for row in sample):
            sample = [row[:-1] for row in sample]
    if escaped:
        remarks.append('Quotes within quotes are written \\".')
    point = "," if _has_decimal_commas(sample) else "."
    if point == ",":
        remarks.append("Numbers have decimal commas.")
    return Layout(
        stored=stored,
        format="inter" if is_inter and header else "csv",
        delimiter=delimiter,
        quoted=quoted,
        escaped=escaped,
        names=names,
        header=tuple(rows[0]) if header else (),
        first_line=first_line,
        sample=sample,
        width=width,
        comment=lead.comment,
        aligned=aligned,
        decimal_point=point,
        remarks=tuple(remarks),
    )


def _refuse_preamble(rows: list[list[str]], name: str, before: int) -> None:
    """Refuse a text that begins with lines of another kind than the table below them."""
    width, count = Counter(map(len, rows)).most_common(1)[0]
    if width > len(rows[0]) == 1 and 2 * count > len(rows):
        raise InputError(
            f"{name}, line {before + 1}: 1 cell, and {width} in most lines",
            hint="remove what comes before the table, or begin such lines with #",
        )


def _head(stored: Stored) -> tuple[list[str], bool]:
    """Return the first lines, and whether that is the whole file."""
    refuse_unread(stored.name, stored.raw_head(1 << 12), stored.path)
    with stored.stream() as stream:
        head = stream.read(HEAD_BYTES)
        whole = not stream.read(1)
    if b"\0" in head:
        if 3 * head.count(b"\0") > len(head):
            wide = f"utf-16-{'le' if head.index(0) % 2 else 'be'}"
            raise InputError(
                f"{stored.name} is not UTF-8, but looks like {wide}",
                hint=f"say text_encoding={wide!r} (--text-encoding {wide})",
            )
        raise InputError(
            f"{stored.name} is not a text file",
            hint="text is read, plain or compressed with gzip, zstd or bzip2; also JSON, Parquet, SciPy's .npz, ZIP "
            "and tar archives",
        )
    lines = head.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not whole and len(lines) > 1:
        lines.pop()
    return lines[:_HEAD_LINES], whole and len(lines) <= _HEAD_LINES


def _find_lead(lines: list[str]) -> _Lead:
    """Return what comes before the table: empty lines, what Excel writes for itself, comments."""
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    if first == len(lines):
        return _Lead(first)
    if excel := _EXCEL.fullmatch(lines[first].strip("\r\n")):
        return _Lead(first + 1, delimiter=excel[1])
    mark = lines[first][0]
    if mark not in "#%":
        return _Lead(first)
    end = next((number for number, line in enumerate(lines) if line.strip() and line[0] != mark), len(lines))
    if end == len(lines):
        return _Lead(first)
    # An id may begin so as well, and then its line has as many cells as the others; so may the first name of a header.
    delimiter = _find_delimiter(lines[end:], False, "")
    width = len(lines[end].split(delimiter))
    told = [line for line in lines[first:end] if line.strip()]
    alike = [line for line in told if line[1:2].strip(f"{mark} \t") and len(line.split(delimiter)) == width]
    if delimiter and len(alike) == len(told) and not has_header([told[-1].lstrip(mark).split(delimiter)]):
        return _Lead(first)
    return _Lead(end, comment=mark, last_comment=told[-1])


def _names_in_comment(lead: _Lead, delimiter: str, width: int) -> list[str] | None:
    """Return the names that the last comment holds, if it is such as ``# user_id,item_id``."""
    cells = lead.last_comment.lstrip(lead.comment + " \t").split(delimiter) if lead.comment else []
    return [strip_type(cell) for cell in cells] if len(cells) == width and has_header([cells]) else None


def _on_comments(lead: _Lead) -> tuple[str, ...]:
    if lead.delimiter is not None:
        return (f"Its first line says that the delimiter is {lead.delimiter!r}.",)
    return (f"Skipped the lines that begin with {lead.comment!r}, which are comments.",) if lead.comment else ()


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
        rows = split(lines, delimiter, is_quoted(lines, delimiter))
        if not whole and len(rows) > 1:
            rows.pop()
        if not rows:
            continue
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


def _is_aligned(lines: list[str], delimiter: str | None) -> bool:
    """Return whether columns are aligned by blanks: any number of them is one, and only so all lines are alike."""
    rows = split(lines, delimiter, is_quoted(lines, delimiter)) if delimiter else []
    # Nothing stands between two blanks; between two tabs an empty cell may.
    full = all(cell for row in rows for cell in row)
    regular = len({len(row) for row in rows}) == 1
    if rows and (full and _are_alike(rows) if delimiter == " " else regular):
        return False
    return _are_alike([line.split() for line in lines if line.strip()])


def _are_alike(rows: list[list[str]]) -> bool:
    """Return whether rows have as many cells, the first of them perhaps one less: names of rows have no name."""
    widths = {len(row) for row in rows[1:]} or {len(rows[0])}
    return len(widths) == 1 and min(widths) >= 2 and len(rows[0]) in (max(widths), max(widths) - 1)


def _is_counted(lines: list[str], delimiter: str | None) -> bool:
    """Return whether every line is ``count item item ...``, the user being the line."""
    rows = [line.split() for line in lines if line.strip()] if delimiter in (" ", "\t", None) else []
    if len({len(row) for row in rows}) < 2 or not all(row[0].isdecimal() for row in rows):
        return False
    all_count = all(int(row[0][:9]) == len(row) - 1 for row in rows)
    return all_count and (len(rows) >= _SURE_ROWS or len({row[0] for row in rows}) < len(rows))


def _is_one_user_per_line(lines: list[str], delimiter: str | None) -> bool:
    """Return whether lines are ``user item item ...``: counts differ, each user has one line, there is no header."""
    if delimiter not in (" ", "\t"):
        return False
    rows = [line.split() for line in lines if line.strip()]
    users = {row[0] for row in rows}
    weighted = all(_WEIGHTED.fullmatch(token) for row in rows for token in row[1:])
    uneven = len({len(row) for row in rows}) > 1
    # A header and names of rows are a table of R.
    r_table = len(rows) > 2 and _are_alike(rows) and len(rows[0]) < len(rows[1]) and not is_number(rows[0][-1])
    return (uneven or weighted) and len(users) == len(rows) and not r_table and not has_header(rows[:1])


def _is_numbered(rows: list[list[str]], header: bool | None) -> bool:
    """Return whether the first row numbers the columns from 0, as pandas does that knows no names."""
    first = rows[0][1:] if not rows[0][0] else rows[0]
    if len(rows) < 2 or len(first) < 2 or first != [str(number) for number in range(len(first))]:
        return False
    if header or not rows[0][0]:
        return True
    # A first row of data may read so; not if below a number is text, has a fraction or is as large as a time.
    columns = ([row[place] for row in rows[1:] if place < len(row)] for place in range(len(first)))
    return any(cells and all(not cell.isdecimal() or len(cell) > 8 for cell in cells) for cells in columns)


def _by_order(names: list[str], sample: list[list[str]], name: str) -> list[str]:
    """Return names for columns that have only numbers: their roles by order, behind the names of rows."""
    start = int(not names[0])
    if not 2 <= len(names) - start <= len(ROLES):
        return names
    chosen, _ = choose_columns(None, [row[start:] for row in sample], Wanted({}), name)
    roles = {place + start: role for role, place in chosen.items()}
    return [roles.get(place, name) for place, name in enumerate(names)]


def _widened(names: list[str], sample: list[list[str]], remarks: list[str], quoted: bool) -> list[str]:
    """Return the names of a table whose rows have a cell more than its header."""
    first = [row[0] for row in sample]
    numbers = [int(cell) for cell in first if cell.isdecimal() and len(cell) < 19]
    rising = len(numbers) == len(first) and all(a < b for a, b in pairwise(numbers))
    if len(first) > 1 and (rising or (quoted and len(set(first)) == len(first))):
        remarks.append("The rows have a cell more than the header: the first column holds names of rows.")
        return ["", *names]
    return names


def _has_decimal_commas(sample: list[list[str]]) -> bool:
    """Return whether a column has numbers with a comma, which none of thousands can be, and none has a point."""
    width = min(map(len, sample))
    columns = [[row[place] for row in sample] for place in range(width)]
    if any(all(_DECIMAL_POINT.fullmatch(cell) for cell in cells) for cells in columns):
        return False
    return any(
        any("," in cell for cell in cells) and all(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
        for cells in columns
    )


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
