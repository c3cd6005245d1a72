"""A source: what the user brings, opened as a table whatever its format; and the formats that there are.

Each format is one file in the folder `sources`: it defines how a source is opened, and registers itself.
"""

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from fractalrs.columns import Wanted
from fractalrs.errors import InputError
from fractalrs.reading.ids import as_dictionary
from fractalrs.reading.nested import unrolled
from fractalrs.tools import BYTES, untrusted

SAMPLE_ROWS = 1000
A_TABLE = "give a table with names in its first line: the id, then the attributes"


@dataclass(frozen=True)
class Asked:
    """What the caller says of a source: its columns, how a file is written, and the threads to read it with.

    `what` is what is read, for messages; where the source must name its columns, `id_name` is what that of the ids may
    be called. A file that was unpacked or fetched is called `name`.
    """

    wanted: Wanted = field(default_factory=lambda: Wanted({}))
    format: str = "auto"
    delimiter: str | None = None
    header: bool | None = None
    threads: int | None = None
    what: str = "interactions"
    id_name: str | None = None
    text_encoding: str | None = None
    time_format: str | None = None
    order_is_time: bool = False
    name: str | None = None

    def called(self, value: Any) -> str:
        """Return what messages call a value in memory."""
        given = "" if self.what == "interactions" else f" given as {self.what}"
        return f"the {type(value).__name__}{given}"


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """An opened source: its columns are known, its rows are still to be read.

    Messages call it `name`, and `notes` say how it was understood. `names` of columns, if it has any, and `sample`, its
    first rows as text, decide which column is what. Where users, items and perhaps ratings are known by the format
    alone, `fixed` is how messages say so. `blanks_are_layout` says whether blanks around a cell are no part of it, and
    `held` is what must live as long as the source.
    """

    name: str
    notes: tuple[str, ...]
    names: Sequence[str] | None = None
    sample: Sequence[Sequence[str]] = ()
    fixed: str | None = None
    blanks_are_layout: bool = False
    held: object = None

    @abstractmethod
    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read the columns asked for: role (`fractalrs.columns.ROLES`), or another name, to 0-based number.

        Ids may come as text or encoded; what is no role keeps its type.
        """

    def explain(self, positions: Mapping[str, int]) -> None:  # noqa: B027
        """Raise an error that says where the source cannot be used, if that is known better than by row."""


@dataclass(frozen=True, kw_only=True)
class BatchSource(Source):
    """A source that comes batch by batch: `batches` yields those of the columns of some numbers."""

    batches: Callable[[list[int]], Iterable[pa.RecordBatch]]

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read the columns asked for, ids encoded batch by batch: as text they would take several times the memory.

        Where the items are lists, each of their elements is a row.
        """
        chunks: dict[str, list[pa.Array]] = {role: [] for role in positions}
        for batch in self.batches(list(positions.values())):
            for role, column in zip(positions, unrolled(self.name, list(positions), batch.columns), strict=True):
                chunks[role].append(as_dictionary(column, role) if role in ("user_id", "item_id") else column)
        return pa.table({role: pa.chunked_array(arrays) if arrays else pa.nulls(0) for role, arrays in chunks.items()})


@dataclass(frozen=True)
class SourceFormat:
    """One way to write, or hold, a table.

    `names` are what `read_interactions` takes as ``format``, none for values in memory; messages say `what`. `claims`
    says whether a source, a path if there are `names` and else a value, is of this format, and `open` opens it. Text is
    what no other format claims; it alone takes a delimiter and a header. What `holds` sources of other formats, such as
    a folder, passes on what is asked.
    """

    names: tuple[str, ...]
    what: str
    claims: Callable[[Any], bool]
    open: Callable[[Any, Asked], Source]
    is_text: bool = False
    holds: bool = False
    takes_encoding: bool = False


SOURCE_FORMATS: list[SourceFormat] = []
"""All that are registered; those of values in the order in which they are tried."""


def register(format: SourceFormat) -> None:
    """Add a format to those that are read."""
    SOURCE_FORMATS.append(format)
    SOURCE_FORMATS.sort(key=lambda one: one.is_text)


def format_names() -> tuple[str, ...]:
    """Return what `read_interactions` takes as ``format``."""
    return "auto", *(name for format in SOURCE_FORMATS for name in format.names)


def open_path(path: Path, asked: Asked) -> Source:
    """Return a file or a folder, opened by the format that claims it.

    Raises
    ------
    InputError
        If it is none, not of the format asked for, or cannot be read.
    FileNotFoundError
        If it is not there.
    """
    name = asked.name or str(path)
    if not path.exists():
        what = "" if asked.what == "interactions" else f" with {asked.what}"
        raise FileNotFoundError(errno.ENOENT, f"no such file or folder{what}", name)
    if not (path.is_file() or path.is_dir()):
        # Every reader goes over it more than once.
        raise InputError(f"{name} is not a file or a folder", hint="write what comes through a pipe to a file first")
    found = next(format for format in SOURCE_FORMATS if (format.names or format.holds) and format.claims(path))
    if found.holds:
        return found.open(path, asked)
    if asked.format not in ("auto", *found.names):
        hint = "leave format out" if found.is_text else f"leave format out, or say format={found.names[0]!r}"
        raise InputError(f"{name} is {found.what}, not {asked.format}", hint=hint)
    if not found.is_text:
        refuse_text_options(name, asked, takes_encoding=found.takes_encoding)
    return found.open(path, asked)


def understood(name: str) -> AbstractContextManager[None]:
    """Refuse, within this context, a source whose bytes are no text or no table where they should be."""
    return untrusted(name, "write it again, or fetch it again: it may be damaged", "cannot be read", BYTES)


def refuse_text_options(source: str, asked: Asked, *, takes_encoding: bool = False) -> None:
    """Refuse what is asked of text where the source is none."""
    if asked.delimiter is not None or asked.header is not None:
        raise InputError(f"delimiter and header are for text files, not for {source}", hint="leave them out")
    if asked.text_encoding is not None and not takes_encoding:
        raise InputError(f"text_encoding is for text files, not for {source}", hint="leave it out")


def labels(names: Sequence[str], rows: pa.Table | pa.RecordBatch) -> dict[str, Any]:
    """Return `Source.names` or none, and `Source.sample`, of a table.

    0, 1, … is what pandas and NumPy call unnamed columns.
    """
    sample: list[Sequence[str]] = list(zip(*map(_texts, rows.columns), strict=True))
    if list(names) != [str(column) for column in range(len(names))]:
        return {"names": list(names), "sample": sample}
    return {"sample": sample or [[""] * len(names)]}


def _texts(column: pa.ChunkedArray | pa.Array) -> list[str]:
    """Return cells as text, empty where they are missing or cannot be shown."""
    try:
        column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        texts: list[str] = column.cast(pa.string()).fill_null("").to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return [""] * len(column)
    return texts


def starts_with(path: Path, magic: bytes) -> bool:
    """Return whether the first bytes of a file are these; a folder has none."""
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(len(magic)) == magic
