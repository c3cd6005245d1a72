"""Attributes of expanded items and users: ``items.parquet`` and ``users.parquet`` beside the interactions.

The user brings a table of the source's items, or users. It is read once, matched with the base by id, and gathered
block by block: memory holds the source's table and one row group, whatever the multipliers. Every expanded id needs one
source for that, so its cells must have one member.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fractalrs.columns.names import ALIASES, Wanted, is_date, is_number, simplify
from fractalrs.dataset.plan import ParquetOptions, attribute_file
from fractalrs.errors import InputError
from fractalrs.reading.text import TextFile, check_stored
from fractalrs.tools.progress import progress_bar
from fractalrs.tools.sealed import Digest, parquet_writer, write_labelled

if TYPE_CHECKING:
    from fractalrs.base.base import Base
    from fractalrs.dataset.write import FileReport
    from fractalrs.expansion.expansion import Expansion

Kind = Literal["items", "users"]

_GROUP_ROWS = 1 << 20
"""Rows of a row group: as many whole blocks as fit, or a piece of one."""
_DICTIONARY_BYTES = 16 << 20
"""A text stands once in a row group, not once a block, as long as all texts of its column take less than this."""
_A_TABLE = "give a table with names in its first line: the id, then the attributes"


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """Attributes of the source's items or users, as they were given.

    Attributes
    ----------
    kind
        ``"items"`` or ``"users"``.
    source
        What messages call the table.
    id_column
        The name of its column of ids.
    ids
        Text, each once.
    columns
        The attributes, row by row with `ids`.
    note
        What was chosen while reading.
    """

    kind: Kind
    source: str
    id_column: str
    ids: pa.Array
    columns: pa.Table
    note: str

    @classmethod
    def read(cls, source: Any, kind: Kind) -> Self:
        """Read a file, or a table in memory.

        Parameters
        ----------
        source
            A path to a text file with a header (any delimiter; plain, gzip, zstd or bzip2) or to Parquet; or anything
            with ``__arrow_c_stream__`` (pyarrow, pandas, Polars).
        kind
            What it describes.

        Raises
        ------
        InputError
            If it is no table, has an id twice, lacks one, or names a column as one of ours.
        FileNotFoundError
            If there is no such file.
        """
        if isinstance(source, str | PathLike):
            name, (table, note) = str(source), _read_path(Path(source), kind)
        else:
            name = f"the {type(source).__name__} given as {kind}"
            table, note = _read_value(source, kind), f"Read {name}."
        if table.num_rows == 0:
            raise InputError(f"{name} holds no rows", hint=_A_TABLE)
        at = _id_position(table.column_names, kind)
        id_column = table.column_names[at]
        _check_names(table.column_names, at, kind, name)
        ids = _ids(table.column(at), f"{name}, column {id_column!r}")
        columns = table.remove_column(at)
        for number, column in enumerate(columns.column_names):
            columns = columns.set_column(number, column, _usual(columns.column(number), f"{name}, column {column!r}"))
        return cls(kind, name, id_column, ids, columns, f"{note[:-1]}; its column {id_column!r} holds the ids.")

    def match(self, base: "Base") -> "Attributes":
        """Put the rows in the order of a base's codes; ids are equal when they read the same.

        Raises
        ------
        InputError
            If no id is one of the base's.
        """
        ids = base.item_ids if self.kind == "items" else base.user_ids
        places = pc.index_in(ids.cast(pa.string()), value_set=self.ids)
        if places.null_count == len(ids):
            few, wanted = (", ".join(repr(str(one)) for one in some[:3].to_pylist()) for some in (self.ids, ids))
            raise InputError(
                f"{self.source}: no id in its column {self.id_column!r} ({few}, …) is one of the {self.kind} of the "
                f"interactions ({wanted}, …)",
                hint=f"ids must read as in the interactions; the column of ids may be called {self.kind[:-1]}_id",
            )
        columns = {f"source_{self.kind[:-1]}_id": ids}
        for name in self.columns.column_names:
            columns[name] = self.columns.column(name).take(places).combine_chunks()
        # A block then gathers numbers of texts, not texts.
        columns = {name: _encoded(column) for name, column in columns.items()}
        ignored = len(self.ids) - len(ids) + places.null_count
        return Attributes(self.kind, pa.table(columns), places.null_count, ignored)


@dataclass(frozen=True, eq=False)
class Attributes:
    """Attributes of a base's items or users.

    Attributes
    ----------
    kind
        ``"items"`` or ``"users"``.
    table
        A row per code of the base: ``source_item_id`` (``source_user_id``), then the attributes, null where the base's
        id was not in the table.
    missing
        Ids of the base that were not in the table.
    ignored
        StreamedMatrix of the table whose id is not in the base.
    """

    kind: Kind
    table: pa.Table
    missing: int
    ignored: int

    @property
    def counts(self) -> dict[str, int]:
        """How many ids of the base were in the table, how many were not, and how many rows were of no use."""
        return {"matched": len(self.table) - self.missing, "missing": self.missing, "ignored": self.ignored}

    @property
    def note(self) -> str:
        """One sentence about what was found."""
        more = f", {self.missing:,} without attributes" if self.missing else ""
        ignored = f"; {self.ignored:,} rows of other ids are left out" if self.ignored else ""
        return f"Attributes of {len(self.table) - self.missing:,} of {len(self.table):,} {self.kind}{more}{ignored}."

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of everything that is written of them."""
        digest = Digest()
        with pa.ipc.new_stream(digest, self.table.schema) as writer:
            writer.write_table(self.table)
        return digest.sha256

    def schema(self, expansion: "Expansion") -> pa.Schema:
        """Columns of the file: the expanded id, the source's, the block, the attributes."""
        one = self.kind[:-1]
        expanded, block = expansion.schema.field(f"{one}_id"), pa.field(f"{one}_block", pa.int32(), nullable=False)
        source, *others = self.table.schema
        return pa.schema([expanded, source.with_nullable(False), block, *others])

    def groups(self, expansion: "Expansion") -> Iterator[pa.Table]:
        """Make the rows, a few blocks at a time, in the order of expanded ids."""
        schema, size = self.schema(expansion), len(self.table)
        for blocks in self._blocks(expansion):
            first, last = blocks.start, blocks.stop
            codes = np.concatenate([source_codes(expansion, self.kind, block) for block in blocks])
            source, *others = self.table.take(pa.array(codes)).columns
            expanded = pa.array(np.arange(first * size, last * size), schema.field(0).type)
            block = pa.array(np.repeat(np.arange(first, last, dtype=np.int32), size))
            yield pa.table([expanded, source, block, *others], schema=schema)

    def _blocks(self, expansion: "Expansion") -> list[range]:
        """Cut the blocks into runs whose rows are a row group."""
        count, step = expansion.reduced.shape[self.kind == "items"], max(1, _GROUP_ROWS // len(self.table))
        return [range(first, min(count, first + step)) for first in range(0, count, step)]

    def write(
        self,
        file: Path,
        expansion: "Expansion",
        format: ParquetOptions,
        labels: Mapping[str, str],
        progress: bool = False,
    ) -> "FileReport":
        """Write the file, with labels in its footer and a seal."""
        rows, pieces = expansion.shape[self.kind == "items"], len(self._blocks(expansion))
        with (
            file.open("wb") as opened,
            progress_bar(progress, rows, pieces, attribute_file(self.kind)) as report,
        ):
            return write_labelled(
                opened,
                self.groups(expansion),
                self.schema(expansion),
                format.compression,
                _GROUP_ROWS,
                labels,
                report,
                **self._encodings(expansion),
            )

    def expected_bytes(self, expansion: "Expansion", format: ParquetOptions) -> int:
        """Tell how large the file will be, from encoding the first rows of it."""
        sink = pa.BufferOutputStream()
        schema = self.schema(expansion)
        with parquet_writer(sink, schema, format.compression, **self._encodings(expansion)) as writer:
            group = next(self.groups(expansion))
            writer.write_table(group, row_group_size=_GROUP_ROWS)
        return int(sink.tell() * expansion.shape[self.kind == "items"] / len(group))

    def _encodings(self, expansion: "Expansion") -> dict[str, Any]:
        schema = self.schema(expansion)
        return {
            # Rising ids are next to nothing as differences; everything else comes again in every block.
            "column_encoding": {schema.names[0]: "DELTA_BINARY_PACKED"},
            "use_dictionary": _leaves(schema)[1:],
            "dictionary_pagesize_limit": _DICTIONARY_BYTES,
        }


def read_attributes(items: Any = None, users: Any = None) -> tuple[AttributeTable, ...]:
    """Read what is given of the two; see `AttributeTable.read`."""
    given: tuple[tuple[Kind, Any], ...] = (("items", items), ("users", users))
    return tuple(AttributeTable.read(source, kind) for kind, source in given if source is not None)


def source_codes(expansion: "Expansion", kind: Kind, block: int) -> npt.NDArray[np.uint32]:
    """Tell the code of the source item of each column of a column block, or of the source user of each row."""
    if expansion.shuffle == "none":
        return np.arange(expansion.base.shape[kind == "items"], dtype=np.uint32)
    if kind == "users":
        return expansion.generator.source_users(block)
    columns = expansion.generator.columns(0, block)
    codes = np.empty_like(columns)
    codes[columns] = np.arange(len(columns), dtype=columns.dtype)
    return codes


def _read_path(path: Path, kind: Kind) -> tuple[pa.Table, str]:
    if not path.exists():
        raise FileNotFoundError(f"the file with attributes of {kind}, {path}, does not exist")
    check_stored(path)
    if _is_parquet(path):
        try:
            return pq.read_table(path), f"Read {path.name} as Parquet."
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} cannot be read as Parquet: {error}") from None
    try:
        file = TextFile.open(path, header=True, wanted=Wanted({}))
    except InputError as error:
        raise InputError(error.message, hint=_A_TABLE) from None
    names = file.names or []
    if any(is_number(name) or is_date(name) for name in names):
        raise InputError(
            f"{path}, line {file.first_line}: this is data, and names of columns are needed: {', '.join(names)}",
            hint=f"write a line above it, such as {file.delimiter.join((f'{kind[:-1]}_id', 'first', 'second'))}",
        )
    table = file.read_all(_id_position(names, kind))
    return table.rename_columns(names), file.note


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_value(source: Any, kind: Kind) -> pa.Table:
    if not hasattr(source, "__arrow_c_stream__"):
        raise InputError(
            f"cannot read attributes of {kind} from a {type(source).__name__}",
            hint="give a path, or a table: pyarrow, pandas, Polars, ...",
        )
    try:
        return pa.RecordBatchReader.from_stream(source).read_all()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"the {type(source).__name__} given as {kind} cannot be read: {error}",
            hint="give each column a single type",
        ) from None


def _id_position(names: Sequence[str], kind: Kind) -> int:
    """Find the column of ids: by its usual names, else the first."""
    simple = [simplify(name) for name in names]
    return next((simple.index(alias) for alias in ALIASES[f"{kind[:-1]}_id"] if alias in simple), 0)


def _check_names(names: Sequence[str], id_position: int, kind: Kind, source: str) -> None:
    """Refuse names that readers, some of which do not tell Title from title, could not tell apart."""
    one = kind[:-1]
    ours = {f"{one}_id", f"source_{one}_id", f"{one}_block"}
    seen = set()
    for position, name in enumerate(names):
        plain = name.strip().lower()
        if not plain:
            raise InputError(f"{source}: column {position + 1} has no name", hint="name it, or leave it out")
        if plain in seen:
            raise InputError(f"{source}: there are two columns {name!r}", hint="rename one, or leave it out")
        if plain in ours and position != id_position:
            raise InputError(
                f"{source}: the column {name!r} is called as one of ours ({', '.join(sorted(ours))})",
                hint=f"rename it; the column of ids is {names[id_position]!r}",
            )
        seen.add(plain)


def _ids(column: pa.ChunkedArray, where: str) -> pa.Array:
    """Take ids as text; refuse what is not there, or there twice."""
    ids = _usual(column, where).combine_chunks()
    try:
        # As pandas stores whole numbers once one was missing.
        ids = (ids.cast(pa.int64()) if pa.types.is_floating(ids.type) else ids).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(f"{where} has the type {column.type}", hint="give ids as integers or strings") from None
    missing = pc.index(pc.fill_null(pc.equal(ids, ""), True), True).as_py()
    if missing >= 0:
        raise InputError(f"{where}, row {missing + 1}: the id is missing", hint="correct or remove the row")
    codes = ids.dictionary_encode().indices.to_numpy()
    counts = np.bincount(codes)
    if counts.max() > 1:
        code = int(np.argmax(counts > 1))
        first, second = np.flatnonzero(codes == code)[:2] + 1
        raise InputError(
            f"{where}: the id {ids[int(first) - 1].as_py()!r} is there {counts[code]} times, first in the rows {first} "
            f"and {second}",
            hint="keep one row of each id; if this is not the column of ids, give that one the usual name",
        )
    return ids


def _usual(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Give a column a type that every reader of Parquet knows, and one for all that hold the same."""
    if pa.types.is_dictionary(column.type):
        plain = [
            chunk.dictionary.cast(_usual_type(column.type.value_type)).take(chunk.indices) for chunk in column.chunks
        ]
        return pa.chunked_array(plain, _usual_type(column.type.value_type))
    try:
        column = column.cast(_usual_type(column.type))
        # What is done to the column later, on nothing.
        pq.write_table(pa.table({"column": column.slice(0, 0).take(pa.array([], pa.int32()))}), pa.BufferOutputStream())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(f"{where}: the type {column.type} cannot be written", hint="leave the column out") from None
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        # Spark does not read nanoseconds.
        try:
            return column.cast(pa.timestamp("us", column.type.tz))
        except pa.ArrowInvalid:
            return column
    return column


def _usual_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_usual_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_usual_type(field.type)) for field in kind])
    return kind


def _encoded(column: pa.Array) -> pa.Array:
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def _leaves(schema: pa.Schema) -> list[str]:
    """Name the columns as Parquet does, those inside lists and structs too."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    leaves = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [leaves.column(number).path for number in range(len(leaves))]
