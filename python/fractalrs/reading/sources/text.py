"""Text files: separated cells, RecBole ``.inter``, or one user per line.

The core reads files of plain numbers, and pyarrow's multi-threaded CSV reader all others. That does not say on which
line it failed, so an error is followed by a second, slow pass that finds the line.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from fractalrs._core import read_plain
from fractalrs.columns import ROLES, is_date, is_number
from fractalrs.errors import InputError
from fractalrs.reading.faults import explain
from fractalrs.reading.layout import UNIT_SEPARATOR, Layout, sniff
from fractalrs.reading.quotes import EscapedError, Watched, may_hold_quotes, refuse_hidden_rows
from fractalrs.reading.source import A_TABLE, Asked, Source, SourceFormat, register
from fractalrs.reading.sources.lines import LONGEST_LINE_BYTES, LinesSource
from fractalrs.reading.stored import BlockStream, Stored, without_lines
from fractalrs.reading.times import names_zone
from fractalrs.reading.written import check_numbers
from fractalrs.tools import resolve_threads

BLOCK_BYTES = 8 << 20
# The last one is how some shops export events: "2019-10-01 00:00:00 UTC".
_DATE_PARSERS = [pa_csv.ISO8601, "%Y-%m-%d %H:%M:%S UTC"]
# Numbers of carried columns. Leading zeros, a plus or more digits than a float holds would be lost, and 1E5 may well be
# the code of a product: such columns stay text.
_CARRIED_INTEGER = r"^(0|-?[1-9][0-9]*)$"
_CARRIED_FLOAT = r"^(-?(0|[1-9][0-9]{0,14})?\.[0-9]+|-?(0|[1-9][0-9]{0,14})\.?)([eE][+-][0-9]{1,3})?$|^-?(NaN|nan|inf)$"


def open_text(
    path: Path, asked: Asked, *, block_bytes: int = BLOCK_BYTES, longest_line_bytes: int = LONGEST_LINE_BYTES
) -> Source:
    """Return a text file, opened; it is read so many bytes at a time."""
    layout = _sniffed(path, asked)
    if asked.id_name and any(is_number(name) or is_date(name) for name in layout.names or ()):
        raise InputError(
            f"{layout.stored.name}, line {layout.first_line}: this is data, and names of columns are needed: "
            f"{', '.join(layout.names or ())}",
            hint=f"write a line above it, such as {layout.delimiter.join((asked.id_name, 'first', 'second'))}",
        )
    if layout.format == "lines":
        return LinesSource(
            name=layout.stored.name,
            notes=(layout.note, *layout.remarks),
            names=["user_id", "item_id", *(["rating"] if layout.weighted else [])],
            fixed="which has one user per line",
            blanks_are_layout=True,
            layout=layout,
            threads=asked.threads,
            block_bytes=longest_line_bytes,
        )
    return source_of((layout,), asked, block_bytes)


def open_parts(paths: Sequence[Path], names: Sequence[str], asked: Asked) -> Source:
    """Return several text files with names for messages, opened: parts of one table, which all are written alike."""
    parts: list[Layout] = []
    for path, name in zip(paths, names, strict=True):
        layout = _sniffed(path, replace(asked, name=name))
        first = parts[0] if parts else layout
        if layout.format == "lines" or (layout.names, layout.width) != (first.names, first.width):
            raise InputError(
                f"{name} and {first.stored.name} are not parts of one table: {_columns(layout)} and {_columns(first)}",
                hint="name one of them",
            )
        point = first.decimal_point
        parts.append(
            replace(layout, delimiter=first.delimiter, quoted=first.quoted, escaped=first.escaped, decimal_point=point)
        )
    return source_of(tuple(parts), asked, BLOCK_BYTES)


def _sniffed(path: Path, asked: Asked) -> Layout:
    try:
        stored = Stored.find(path, asked.name, asked.text_encoding)
        return sniff(stored, asked, True if asked.id_name else asked.header)
    except InputError as error:
        raise type(error)(error.message, hint=A_TABLE if asked.id_name else error.hint) from None


def _columns(layout: Layout) -> str:
    return ", ".join(map(repr, layout.names)) if layout.names else f"{layout.width} columns without names"


def source_of(parts: tuple[Layout, ...], asked: Asked, block_bytes: int) -> Source:
    """Return files of which is known how they are written, opened as one table."""
    first = parts[0]
    return TextSource(
        name=asked.name or first.stored.name,
        notes=(first.note, *first.remarks),
        names=first.names,
        sample=first.sample,
        blanks_are_layout=True,
        parts=parts,
        threads=asked.threads,
        block_bytes=block_bytes,
        time_format=asked.time_format,
    )


@dataclass(frozen=True, kw_only=True)
class TextSource(Source):
    """A text file, or the parts of one, of which is known how it is written."""

    parts: tuple[Layout, ...]
    threads: int | None
    block_bytes: int
    time_format: str | None

    @property
    def layout(self) -> Layout:
        """How its first part is written, and so the others."""
        return self.parts[0]

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read the columns asked for; an error has the number of the line.

        Ids become int64 if the core can read the file, else dictionary<int32, string>, their text unchanged; rating
        float64; timestamp int64, float64 or timestamp, whatever suits all of its cells, or string where its form is
        told; others int64, float64 or string likewise, empty cells null.
        """
        return infer_others(self.read_text(positions))

    def read_text(self, positions: Mapping[str, int]) -> pa.Table:
        """Read them likewise, others as text: what those hold shows in all parts of a table."""
        for role, position in positions.items():
            if role in ("rating", "timestamp"):
                cells = [row[position] for row in self.sample if position < len(row)]
                check_numbers(role, cells, f"{self.name}, column {self._label(position)}")
        plain = self._read_plain(positions)
        if plain is not None:
            return plain
        time_types = self._time_types(positions)
        for time_type in time_types:
            try:
                table = self._read_all(positions, time_type)
                self._refuse_headers(table, positions)
                return table
            except EscapedError:
                parts = tuple(replace(part, escaped=True) for part in self.parts)
                return replace(self, parts=parts).read_text(positions)
            except pa.ArrowInvalid as error:
                if time_type is time_types[-1]:
                    self.explain(positions)
                    raise InputError(
                        f"{self.name}: {error}", hint="is a double quote left open, or the delimiter a different one?"
                    ) from None
        raise AssertionError("the last attempt returns or raises")

    def _read_all(self, positions: Mapping[str, int], time_type: pa.DataType) -> pa.Table:
        quotes = any(map(may_hold_quotes, self.parts))
        with self._stream() as (stream, first_line):
            if not quotes:
                return self._read_cells(stream, positions, time_type, first_line)
            watched = Watched(stream, self.layout)
            table = self._read_cells(watched, positions, time_type, first_line)
        if watched.lines - first_line > len(table):
            refuse_hidden_rows(self.parts)
        return table

    def _label(self, position: int) -> str:
        return repr(self.names[position]) if self.names is not None else str(position + 1)

    def _refuse_headers(self, table: pa.Table, positions: Mapping[str, int]) -> None:
        """Refuse a header that comes again, as of files that were put together; looked for where its names are ids."""
        header, roles = self.layout.header, [role for role in ("user_id", "item_id") if role in positions]
        wanted = [header[positions[role]] for role in roles if positions[role] < len(header)]
        if not wanted or len(wanted) < len(roles):
            return
        for chunks in zip(*(table.column(role).chunks for role in roles), strict=True):
            if all(pc.index(each.dictionary, name).as_py() >= 0 for each, name in zip(chunks, wanted, strict=True)):
                for layout in self.parts:
                    explain(layout, positions, 0, self.time_format)

    def explain(self, positions: Mapping[str, int]) -> None:
        """Raise an error for the first line that cannot be used, if there is one."""
        for layout in self.parts:
            explain(layout, positions, self._count_good_lines(layout, positions), self.time_format)

    @contextmanager
    def _stream(self) -> Iterator[tuple[Any, int]]:
        """Open a stream of all parts, and say how many lines come before the first row."""
        if len(self.parts) == 1:
            with self.layout.stream() as stream:
                yield stream, self.layout.first_line
        else:
            yield BlockStream(self._joined()), 0

    def _joined(self) -> Iterator[bytes]:
        for layout in self.parts:
            with layout.stream() as stream:
                yield from without_lines(stream, layout.first_line)

    def _read_plain(self, positions: Mapping[str, int]) -> pa.Table | None:
        """Read ids and timestamps that are integers in their usual form, and no further columns: quickly."""
        layout, delimiter = self.layout, self.layout.delimiter.encode()
        dates = "timestamp" in positions and is_date(layout.first_cell(positions["timestamp"]))
        twice = len(set(positions.values())) < len(positions)
        told = self.time_format is not None and "timestamp" in positions
        # A comment could pass for a row whose first cell nobody looks at.
        hidden = any(part.comment for part in self.parts) and 0 not in positions.values()
        odd = (
            len(delimiter) > 1
            or delimiter in b"-.0123456789"
            or dates
            or twice
            or told
            or hidden
            or not set(positions) <= set(ROLES)
        )
        if odd or not all(part.is_tidy for part in self.parts):
            return None
        roles = sorted(positions, key=positions.__getitem__)
        kinds = ["-"] * layout.width
        for role, position in positions.items():
            kinds[position] = "d" if role == "rating" else "i"
        blocks = []
        for part in self.parts:
            rows = read_plain(
                part.stored.path,
                delimiter[0],
                "".join(kinds),
                part.first_line,
                block_bytes=self.block_bytes,
                threads=resolve_threads(self.threads),
            )
            if not rows:
                return None
            blocks += rows
        integers, decimals = (zip(*columns, strict=True) for columns in zip(*blocks, strict=True))
        columns = {role: next(decimals if role == "rating" else integers) for role in roles}
        return pa.table({role: pa.chunked_array([pa.array(part) for part in columns[role]]) for role in positions})

    def _read_cells(
        self, stream: Any, positions: Mapping[str, int], time_type: pa.DataType, first_line: int
    ) -> pa.Table:
        # What carried columns hold shows at the end of the file: they are text until then.
        text_type = pa.dictionary(pa.int32(), pa.string())
        types = {"rating": pa.float64(), "timestamp": time_type}
        one_byte = len(self.layout.delimiter.encode()) == 1
        table = pa_csv.read_csv(
            stream if one_byte else OneByteDelimiter(stream, self.layout.delimiter, self.layout.stored.path),
            read_options=pa_csv.ReadOptions(
                use_threads=self.threads != 1,
                block_size=self.block_bytes,
                # Columns go by number: names may repeat.
                column_names=[str(column) for column in range(self.layout.width)],
                skip_rows=first_line,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.layout.delimiter if one_byte else UNIT_SEPARATOR,
                quote_char='"' if self.layout.quoted else False,
                escape_char="\\" if self.layout.escaped else False,
                newlines_in_values=self.layout.quoted,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={str(column): types.get(role, text_type) for role, column in positions.items()},
                include_columns=[str(column) for column in positions.values()],
                # An id may read "NA" or "null"; only an empty cell is missing.
                null_values=[""],
                strings_can_be_null=False,
                timestamp_parsers=_DATE_PARSERS,
                decimal_point=self.layout.decimal_point,
            ),
        )
        return table.rename_columns(list(positions))

    def _time_types(self, positions: Mapping[str, int]) -> list[pa.DataType]:
        """Return types for the timestamps, from the one that the first rows suggest to the most lenient."""
        if "timestamp" not in positions:
            return [pa.null()]
        if self.time_format is not None:
            return [pa.string()]
        first = self.layout.first_cell(positions["timestamp"])
        if not is_date(first):
            return [pa.int64(), pa.float64()]
        zone = "UTC" if names_zone(first) else None
        # Fractions of seconds before UTC are read from text.
        fallback = [pa.string()] if first.endswith(" UTC") else []
        return [*(pa.timestamp(unit, zone) for unit in ("ms", "us", "ns")), *fallback]

    def _count_good_lines(self, layout: Layout, positions: Mapping[str, int]) -> int:
        """Return how many lines at the start need no closer look, block by block: going line by line is slow."""
        good, rest, to_skip = 0, b"", layout.first_line
        time_type = self._time_types(positions)[-1]
        if time_type == pa.string():
            return 0
        with layout.stream() as stream:
            while block := stream.read(self.block_bytes):
                block, newline, rest = (rest + block).rpartition(b"\n")
                data = block.split(b"\n", to_skip)[-1]
                # Where lines end otherwise, or can go on inside quotes, counting them is not so simple.
                if not newline or (layout.quoted and b'"' in data) or block.count(b"\r") != block.count(b"\r\n"):
                    break
                try:
                    if not _is_good(self._read_cells(io.BytesIO(data), positions, time_type, 0)):
                        break
                except (pa.ArrowInvalid, InputError):
                    break
                good += block.count(b"\n") + 1
                to_skip = 0
        return good


class OneByteDelimiter(io.RawIOBase):
    """A binary stream in which a delimiter of several bytes is replaced by one that the CSV reader takes."""

    def __init__(self, stream: Any, delimiter: str, path: Path) -> None:
        self._stream = stream
        self._delimiter = delimiter.encode()
        self._path = path
        self._kept = b""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`."""
        while True:
            # Never hand out more than was asked for.
            block: bytes = self._stream.read(max(1, size - len(self._kept)) if size >= 0 else None)
            if UNIT_SEPARATOR.encode() in block:
                raise InputError(
                    f"{self._path} holds the control character U+001F, so {self._delimiter.decode()!r} cannot be used",
                    hint="write the file with a delimiter of one character",
                )
            data = (self._kept + block).replace(self._delimiter, UNIT_SEPARATOR.encode())
            # A delimiter may begin here and end in the next block.
            keep = max(n for n in range(len(self._delimiter)) if data.endswith(self._delimiter[:n])) if block else 0
            self._kept = data[len(data) - keep :]
            data = data[: len(data) - keep]
            if data or not block:
                return data


def infer_others(table: pa.Table) -> pa.Table:
    """Return columns that are no roles, read as dictionary-encoded text, as what all of their cells are."""
    for place, name in enumerate(table.column_names):
        if name not in ROLES and pa.types.is_dictionary(table.column(place).type):
            column = table.column(place).unify_dictionaries()
            values = _infer(column.chunk(0).dictionary)
            chunks = [values.take(chunk.indices) for chunk in column.chunks]
            table = table.set_column(place, name, pa.chunked_array(chunks))
    return table


def _infer(texts: pa.StringArray) -> pa.Array:
    """Return texts as int64 or float64 where each is a number that this leaves as it is; an empty text is null."""
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    for kind, pattern in ((pa.int64(), _CARRIED_INTEGER), (pa.float64(), _CARRIED_FLOAT)):
        if texts.null_count < len(texts) and pc.all(pc.match_substring_regex(texts, pattern)).as_py():
            try:
                return texts.cast(kind)
            except pa.ArrowInvalid:  # beyond 64 bits
                pass
    return texts


def _is_good(table: pa.Table) -> bool:
    """Return whether `explain` would find nothing in these rows."""
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


register(SourceFormat(("csv", "inter", "lines"), "text", lambda _: True, open_text, is_text=True))
