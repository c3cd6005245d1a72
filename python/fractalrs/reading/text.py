"""Read interactions from text files: separated cells, RecBole ``.inter``, or one user per line.

`TextFile` looks at the first lines of a file to learn how it is written; pyarrow's multi-threaded CSV reader then
reads it. That reader does not say on which line it failed, so an error is followed by a second, slow pass that finds
the line: `TextFile.explain`.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from fractalrs.columns.names import ROLES, Wanted, has_header, is_date, is_number, strip_type
from fractalrs.errors import InputError

_HEAD_BYTES = 1 << 20
_HEAD_LINES = 1000
_BLOCK_BYTES = 8 << 20
_LONGEST_LINE_BYTES = 64 << 20  # one user per line: an active user's line can be long
_DELIMITERS = ("::", "\t", ",", ";", "|", " ")
_UNIT_SEPARATOR = "\x1f"
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_COMPRESSED_SUFFIXES = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
# The last one is how some shops export events: "2019-10-01 00:00:00 UTC".
_DATE_PARSERS = [pa_csv.ISO8601, "%Y-%m-%d %H:%M:%S UTC"]
# Numbers of carried columns. Leading zeros, a plus or more digits than a float holds would be lost, and 1E5 may well be
# the code of a product: such columns stay text.
_CARRIED_INTEGER = r"^(0|-?[1-9][0-9]*)$"
_CARRIED_FLOAT = r"^(-?(0|[1-9][0-9]{0,14})?\.[0-9]+|-?(0|[1-9][0-9]{0,14})\.?)([eE][+-][0-9]{1,3})?$|^-?(NaN|nan|inf)$"
_ZONE = re.compile(r":\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)$")


def check_stored(path: Path) -> None:
    """Refuse what is no file and no folder: every reader goes over it more than once."""
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is not a file or a folder", hint="write what comes through a pipe to a file first")


@dataclass(frozen=True)
class TextFile:
    """How a text file is written, learned from its first lines by `TextFile.open`.

    Attributes
    ----------
    path
        The file.
    compression
        ``"gzip"``, ``"zstd"``, ``"bz2"`` or `None`.
    format
        ``"csv"`` (any delimiter), ``"inter"`` or ``"lines"``.
    delimiter
        What stands between cells; for ``"lines"`` a space means any white space.
    quoted
        Whether cells may stand in double quotes.
    names
        The column names in the header, `None` without one.
    first_line
        How many lines come before the first row of data.
    sample
        The first rows, cells as text.
    """

    path: Path
    compression: str | None
    format: str
    delimiter: str
    quoted: bool
    names: list[str] | None
    first_line: int
    sample: list[list[str]]

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        format: str = "auto",
        delimiter: str | None = None,
        header: bool | None = None,
        wanted: Wanted,
    ) -> "TextFile":
        """Learn how a file is written.

        Parameters
        ----------
        path
            The file, plain or compressed with gzip, zstd or bzip2 (told by its first bytes).
        format
            ``"csv"``, ``"inter"``, ``"lines"`` or ``"auto"``.
        delimiter
            One character or more; `None` finds it.
        header
            Whether the first line holds names; `None` finds it.
        wanted
            The columns that the user named.

        Raises
        ------
        InputError
            If the file is empty, holds only a header, is not text, or is not in the format asked for.
        """
        compression = _compression(path)
        lines, whole = _head(path, compression)
        if not any(line.strip() for line in lines):
            raise InputError(f"{path} is empty", hint="a source needs at least one line with a user and an item")
        skipped = next(number for number, line in enumerate(lines) if line.strip())
        lines = lines[skipped:]
        suffix = _inner_suffix(path)
        if delimiter is not None:
            delimiter = _checked_delimiter(delimiter)
        elif format != "lines":
            delimiter = _find_delimiter(lines, whole, suffix)

        is_inter = ":token" in lines[0]
        if format == "inter" and not is_inter:
            raise InputError(
                f"{path} is not a RecBole .inter file: its first line is {_shorten(lines[0])!r}",
                hint="such a file starts with names and types, as in user_id:token; try format='csv' (--format csv)",
            )
        if format == "lines" or (format == "auto" and not header and _is_one_user_per_line(lines, delimiter)):
            if header:
                raise InputError(f"{path}: a file with one user per line has no header", hint="leave out header=True")
            return cls(path, compression, "lines", delimiter or " ", False, None, 0, [])

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
        return cls(
            path=path,
            compression=compression,
            format="inter" if is_inter and header else "csv",
            delimiter=delimiter,
            quoted=quoted,
            names=[strip_type(name) for name in rows[0]] if header else None,
            first_line=skipped + int(header),
            sample=rows[int(header) :],
        )

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

    def read(self, positions: Mapping[str, int], threads: int | None = None) -> pa.Table:
        """Read the columns asked for.

        Parameters
        ----------
        positions
            Role, or name of a carried column, to 0-based column number.
        threads
            1 reads on the calling thread; anything else uses pyarrow's pool.

        Returns
        -------
        pyarrow.Table
            Columns named by role: ids dictionary<int32, string>, their text unchanged; rating float64; timestamp int64,
            float64 or timestamp, whatever suits all of its cells. Carried columns int64, float64 or string likewise,
            empty cells null.

        Raises
        ------
        InputError
            If a line cannot be read; the message has its number.
        """
        if self.format == "lines":
            return self._read_lines(threads)
        time_types = self._time_types(positions)
        for time_type in time_types:
            try:
                with self._stream() as stream:
                    return _infer_carried(self._read_cells(stream, positions, time_type, self.first_line, threads))
            except pa.ArrowInvalid as error:
                if time_type is time_types[-1]:
                    self.explain(positions)
                    raise InputError(
                        f"{self.path}: {error}", hint="is a double quote left open, or the delimiter a different one?"
                    ) from None
            except OSError as error:
                raise self._damaged(error) from None
        raise AssertionError("the last attempt returns or raises")

    def read_all(self, id_column: int) -> pa.Table:
        """Read every column, each under its 0-based number; `id_column` must have something in every line."""
        try:
            with self._stream() as stream:
                columns = {str(column): column for column in range(len(self.names or self.sample[0]))}
                table = self._read_cells(stream, columns, pa.null(), self.first_line, None)
        except pa.ArrowInvalid as error:
            self.explain({"item_id": id_column})
            raise InputError(
                f"{self.path}: {error}", hint="is a double quote left open, or the file not in UTF-8?"
            ) from None
        except OSError as error:
            raise self._damaged(error) from None
        if any(pc.index(chunk.dictionary, "").as_py() >= 0 for chunk in table.column(id_column).chunks):
            self.explain({"item_id": id_column})  # says which line it is
        return _infer_carried(table)

    def explain(self, positions: Mapping[str, int]) -> None:
        """Go through the file line by line and raise an error for the first one that cannot be used, if any.

        Parameters
        ----------
        positions
            Role, or name of a carried column, to 0-based column number.

        Raises
        ------
        InputError
            With the number of the line (the first is 1, a header counts), what is wrong with it and what to do.
        """
        if self.format == "lines":
            return
        width = len(self.names or self.sample[0])
        dates = "timestamp" in positions and is_date(self._first_cell(positions["timestamp"]))
        for number, cells in self._records(self._count_good_lines(positions)):
            where = f"{self.path}, line {number}"
            if len(cells) != width:
                raise InputError(
                    f"{where}: {len(cells)} cell{'s' if len(cells) != 1 else ''} instead of {width}",
                    hint="correct or remove the line; for one user per line say format='lines' (--format lines)",
                )
            for role, column in positions.items():
                problem = _problem(role, cells[column], dates)
                if problem:
                    raise InputError(f"{where}: {problem[0]}", hint=problem[1])

    def _read_cells(
        self, stream: Any, positions: Mapping[str, int], time_type: pa.DataType, first_line: int, threads: int | None
    ) -> pa.Table:
        # What carried columns hold shows at the end of the file: they are text until then.
        text_type = pa.dictionary(pa.int32(), pa.string())
        types = {"rating": pa.float64(), "timestamp": time_type}
        one_byte = len(self.delimiter.encode()) == 1
        table = pa_csv.read_csv(
            stream if one_byte else _OneByteDelimiter(stream, self.delimiter, self.path),
            read_options=pa_csv.ReadOptions(
                use_threads=threads != 1,
                block_size=_BLOCK_BYTES,
                # Columns go by number: names may repeat.
                column_names=[str(column) for column in range(len(self.names or self.sample[0]))],
                skip_rows=first_line,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.delimiter if one_byte else _UNIT_SEPARATOR,
                quote_char='"' if self.quoted else False,
                newlines_in_values=self.quoted,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={str(column): types.get(role, text_type) for role, column in positions.items()},
                include_columns=[str(column) for column in positions.values()],
                # An id may read "NA" or "null"; only an empty cell is missing.
                null_values=[""],
                strings_can_be_null=False,
                timestamp_parsers=_DATE_PARSERS,
            ),
        )
        return table.rename_columns(list(positions))

    def _read_lines(self, threads: int | None) -> pa.Table:
        users, items = [], []
        lines_before = 0
        try:
            with self._stream() as stream:
                batches = pa_csv.open_csv(
                    stream,
                    read_options=pa_csv.ReadOptions(
                        use_threads=threads != 1, block_size=_LONGEST_LINE_BYTES, column_names=["line"]
                    ),
                    parse_options=pa_csv.ParseOptions(
                        delimiter=_UNIT_SEPARATOR, quote_char=False, ignore_empty_lines=False
                    ),
                    convert_options=pa_csv.ConvertOptions(
                        column_types={"line": pa.string()}, null_values=[], strings_can_be_null=False
                    ),
                )
                for batch in batches:
                    batch_users, batch_items = self._split_lines(batch.column(0), lines_before)
                    users.append(batch_users)
                    items.append(batch_items)
                    lines_before += batch.num_rows
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.path} cannot be read as one user per line: {error}") from None
        except OSError as error:
            raise self._damaged(error) from None
        return pa.table({"user_id": pa.chunked_array(users), "item_id": pa.chunked_array(items)})

    def _split_lines(self, lines: pa.StringArray, lines_before: int) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
        trimmed = pc.utf8_trim_whitespace(lines)
        if self.delimiter == " ":
            tokens = pc.utf8_split_whitespace(trimmed)
        else:
            tokens = pc.split_pattern(trimmed, self.delimiter)
        flat = tokens.flatten()
        counts = tokens.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        starts = np.cumsum(counts) - counts
        missing = pc.equal(flat, "").to_numpy(zero_copy_only=False)
        missing[starts[counts == 1]] = False  # an empty line, or a user without items, says nothing
        if missing.any():
            line = int(np.searchsorted(starts, np.flatnonzero(missing)[0], side="right")) + lines_before
            raise InputError(f"{self.path}, line {line}: an id is missing", hint="correct or remove the line")
        is_item = np.ones(len(flat), dtype=bool)
        is_item[starts] = False
        users = pc.dictionary_encode(flat.take(pa.array(starts)))
        codes = np.repeat(users.indices.to_numpy(zero_copy_only=False), counts - 1)
        return (
            pa.DictionaryArray.from_arrays(pa.array(codes), users.dictionary),
            pc.dictionary_encode(flat.filter(pa.array(is_item))),
        )

    def _time_types(self, positions: Mapping[str, int]) -> list[pa.DataType]:
        """Types for the timestamps, from the one that the first rows suggest to the most lenient."""
        if "timestamp" not in positions:
            return [pa.null()]
        first = self._first_cell(positions["timestamp"])
        if not is_date(first):
            return [pa.int64(), pa.float64()]
        zone = "UTC" if _ZONE.search(first) else None
        return [pa.timestamp(unit, zone) for unit in ("ms", "us", "ns")]

    def _first_cell(self, column: int) -> str:
        return next((row[column] for row in self.sample if column < len(row)), "")

    def _stream(self) -> Any:
        return pa.input_stream(str(self.path), compression=self.compression)

    def _count_good_lines(self, positions: Mapping[str, int]) -> int:
        """Count the lines at the start, block by block, that need no closer look: going line by line is slow."""
        good, rest, to_skip = 0, b"", self.first_line
        time_type = self._time_types(positions)[-1]
        with self._stream() as stream:
            while block := stream.read(_BLOCK_BYTES):
                block, newline, rest = (rest + block).rpartition(b"\n")
                data = block.split(b"\n", to_skip)[-1]
                # Where lines end otherwise, or can go on inside quotes, counting them is not so simple.
                if not newline or (self.quoted and b'"' in data) or block.count(b"\r") != block.count(b"\r\n"):
                    break
                try:
                    if not _is_good(self._read_cells(io.BytesIO(data), positions, time_type, 0, None)):
                        break
                except (pa.ArrowInvalid, InputError):
                    break
                good += block.count(b"\n") + 1
                to_skip = 0
        return good

    def _records(self, skipped: int) -> Iterator[tuple[int, list[str]]]:
        """Yield (number of the first line, cells) of every row of data that is not empty, after the lines skipped."""
        skipped = max(skipped, self.first_line)
        with io.TextIOWrapper(self._stream(), encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            next(islice(text, skipped, skipped), None)
            if self.quoted:
                reader = csv.reader(text, delimiter=self.delimiter)
                number = skipped + 1
                try:
                    for cells in reader:
                        if cells:
                            yield number, cells
                        number = skipped + reader.line_num + 1
                except csv.Error as error:
                    raise InputError(
                        f"{self.path}, line {number}: {error}", hint="is a double quote left open?"
                    ) from None
            else:
                for number, line in enumerate(text, start=skipped + 1):
                    if line.rstrip("\r\n"):
                        yield number, line.rstrip("\r\n").split(self.delimiter)

    def _damaged(self, error: OSError) -> OSError | InputError:
        if self.compression is None:
            return error
        return InputError(f"{self.path} is damaged: {error}", hint="fetch the file again")


class _OneByteDelimiter(io.RawIOBase):
    """A binary stream in which a delimiter of several bytes is replaced by one that the CSV reader takes."""

    def __init__(self, stream: Any, delimiter: str, path: Path) -> None:
        self._stream = stream
        self._delimiter = delimiter.encode()
        self._path = path
        self._kept = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while True:
            # Never hand out more than was asked for.
            block: bytes = self._stream.read(max(1, size - len(self._kept)) if size >= 0 else None)
            if _UNIT_SEPARATOR.encode() in block:
                raise InputError(
                    f"{self._path} holds the control character U+001F, so {self._delimiter.decode()!r} cannot be used",
                    hint="write the file with a delimiter of one character",
                )
            data = (self._kept + block).replace(self._delimiter, _UNIT_SEPARATOR.encode())
            # A delimiter may begin here and end in the next block.
            keep = max(n for n in range(len(self._delimiter)) if data.endswith(self._delimiter[:n])) if block else 0
            self._kept = data[len(data) - keep :]
            data = data[: len(data) - keep]
            if data or not block:
                return data


def _compression(path: Path) -> str | None:
    with path.open("rb") as file:
        magic = file.read(4)
    return next((name for start, name in _COMPRESSIONS.items() if magic.startswith(start)), None)


def _inner_suffix(path: Path) -> str:
    """The suffix in lower case, without that of a compression."""
    return (Path(path.stem) if path.suffix.lower() in _COMPRESSED_SUFFIXES else path).suffix.lower()


def _head(path: Path, compression: str | None) -> tuple[list[str], bool]:
    """Return the first lines, and whether that is the whole file."""
    try:
        with pa.input_stream(str(path), compression=compression) as stream:
            head = stream.read(_HEAD_BYTES)
            whole = not stream.read(1)
    except OSError as error:
        if compression is None:
            raise
        raise InputError(f"{path} is damaged: {error}", hint="fetch the file again") from None
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
    if not delimiter or set(delimiter) & {"\n", "\r", '"', "\0", _UNIT_SEPARATOR}:
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
    """Tell ``user item item ...`` lines: counts of ids differ, each user has one line, and there is no header."""
    if delimiter not in (" ", "\t"):
        return False
    rows = [line.split() for line in lines if line.strip()]
    users = {row[0] for row in rows}
    return len({len(row) for row in rows}) > 1 and len(users) == len(rows) and not has_header(rows[:1])


def _is_quoted(lines: list[str], delimiter: str) -> bool:
    """Cells between commas and the like may stand in quotes; elsewhere a quote is a character as any other."""
    return len(delimiter.encode()) == 1 and (delimiter not in "\t " or lines[0].startswith('"'))


def _split(lines: list[str], delimiter: str, quoted: bool) -> list[list[str]]:
    if not quoted:
        return [line.split(delimiter) for line in lines if line]
    try:
        return [row for row in csv.reader((line + "\n" for line in lines), delimiter=delimiter) if row]
    except csv.Error:  # a quote that is never closed
        return _split(lines, delimiter, False)


def _infer_carried(table: pa.Table) -> pa.Table:
    """Turn carried columns and attributes, read as dictionary-encoded text, into what all of their cells are."""
    for place, name in enumerate(table.column_names):
        if name not in ROLES:
            column = table.column(place).unify_dictionaries()
            values = _infer(column.chunk(0).dictionary)
            chunks = [values.take(chunk.indices) for chunk in column.chunks]
            table = table.set_column(place, name, pa.chunked_array(chunks))
    return table


def _infer(texts: pa.StringArray) -> pa.Array:
    """Cast to int64 or float64 where every text is a number that this leaves as it is; an empty text is null."""
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    for kind, pattern in ((pa.int64(), _CARRIED_INTEGER), (pa.float64(), _CARRIED_FLOAT)):
        if texts.null_count < len(texts) and pc.all(pc.match_substring_regex(texts, pattern)).as_py():
            try:
                return texts.cast(kind)
            except pa.ArrowInvalid:  # beyond 64 bits
                pass
    return texts


def _is_good(table: pa.Table) -> bool:
    """Whether `_problem` would find nothing in these rows."""
    for role, column in zip(table.column_names, table.columns, strict=True):
        if role in ("user_id", "item_id"):
            if any(pc.index(chunk.dictionary, "").as_py() >= 0 for chunk in column.chunks):
                return False
            continue
        if role not in ROLES:
            continue
        numbers = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        if numbers.null_count or not pc.all(pc.is_finite(numbers)).as_py():
            return False
        if role == "timestamp" and not 0 <= pc.min(numbers).as_py() <= pc.max(numbers).as_py() < 2**63:
            return False
    return True


def _problem(role: str, text: str, dates: bool) -> tuple[str, str] | None:
    """Say what is wrong with a cell and what to do about it."""
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


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
