"""Attributes of the source's items or users: a table that the user brings, read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fractalrs.columns.names import ALIASES, Wanted, is_date, is_number, simplify
from fractalrs.errors import InputError
from fractalrs.reading.text import TextFile, check_stored
from fractalrs.words import ITEMS, USERS, Side

_A_TABLE = "give a table with names in its first line: the id, then the attributes"


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """Attributes of the source's items or users, as they were given.

    Attributes
    ----------
    side
        Whose they are.
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

    side: Side
    source: str
    id_column: str
    ids: pa.Array
    columns: pa.Table
    note: str

    @classmethod
    def read(cls, source: Any, side: Side) -> Self:
        """Read a file, or a table in memory.

        Parameters
        ----------
        source
            A path to a text file with a header (any delimiter; plain, gzip, zstd or bzip2) or to Parquet; or anything
            with ``__arrow_c_stream__`` (pyarrow, pandas, Polars).
        side
            What it describes.

        Raises
        ------
        InputError
            If it is no table, has an id twice, lacks one, or names a column as one of ours.
        FileNotFoundError
            If there is no such file.
        """
        if isinstance(source, str | PathLike):
            name, (table, note) = str(source), _read_path(Path(source), side)
        else:
            name = f"the {type(source).__name__} given as {side}"
            table, note = _read_value(source, side), f"Read {name}."
        if table.num_rows == 0:
            raise InputError(f"{name} holds no rows", hint=_A_TABLE)
        at = _id_position(table.column_names, side)
        id_column = table.column_names[at]
        _check_names(table.column_names, at, side, name)
        ids = _ids(table.column(at), f"{name}, column {id_column!r}")
        columns = table.remove_column(at)
        for number, column in enumerate(columns.column_names):
            columns = columns.set_column(number, column, _usual(columns.column(number), f"{name}, column {column!r}"))
        return cls(side, name, id_column, ids, columns, f"{note[:-1]}; its column {id_column!r} holds the ids.")


def read_attributes(item_attributes: Any = None, user_attributes: Any = None) -> tuple[AttributeTable, ...]:
    """Read what is given of the two; see `AttributeTable.read`."""
    given = ((ITEMS, item_attributes), (USERS, user_attributes))
    return tuple(AttributeTable.read(source, side) for side, source in given if source is not None)


def _read_path(path: Path, side: Side) -> tuple[pa.Table, str]:
    if not path.exists():
        raise FileNotFoundError(f"the file with attributes of {side}, {path}, does not exist")
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
            hint=f"write a line above it, such as {file.delimiter.join((f'{side.singular}_id', 'first', 'second'))}",
        )
    table = file.read_all(_id_position(names, side))
    return table.rename_columns(names), file.note


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_value(source: Any, side: Side) -> pa.Table:
    if not hasattr(source, "__arrow_c_stream__"):
        raise InputError(
            f"cannot read attributes of {side} from a {type(source).__name__}",
            hint="give a path, or a table: pyarrow, pandas, Polars, ...",
        )
    try:
        return pa.RecordBatchReader.from_stream(source).read_all()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"the {type(source).__name__} given as {side} cannot be read: {error}",
            hint="give each column a single type",
        ) from None


def _id_position(names: Sequence[str], side: Side) -> int:
    """Find the column of ids: by its usual names, else the first."""
    simple = [simplify(name) for name in names]
    return next((simple.index(alias) for alias in ALIASES[f"{side.singular}_id"] if alias in simple), 0)


def _check_names(names: Sequence[str], id_position: int, side: Side, source: str) -> None:
    """Refuse names that readers, some of which do not tell Title from title, could not tell apart."""
    one = side.singular
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
