"""Attributes of the source's items or users: a table that the user brings, read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fractalrs.columns import ALIASES, is_text, owned, simplify
from fractalrs.errors import InputError
from fractalrs.reading.ids import readable_ids, without_blanks
from fractalrs.reading.readers import open_source
from fractalrs.reading.source import A_TABLE, Asked, understood
from fractalrs.tools import Shown
from fractalrs.words import ITEMS, USERS, Side


@dataclass(frozen=True, eq=False, repr=False)
class AttributeTable(Shown):
    """Attributes of the source's items or users, as they were given.

    Attributes
    ----------
    side, source, note
        Whose they are, what messages call the table, and what was chosen while reading.
    id_column, ids
        The name of its column of ids, and these as text, each once.
    columns
        The attributes, row by row with `ids`.

    Examples
    --------
    >>> import pyarrow as pa
    >>> AttributeTable.read(pa.table({"movieId": [1, 2], "title": ["Up", "Her"]}), ITEMS).id_column
    'movieId'
    """

    side: Side
    source: str
    id_column: str
    ids: pa.Array
    columns: pa.Table
    note: str

    @classmethod
    def read(cls, source: Any, side: Side) -> Self:
        """Read a table that describes a side.

        It is a path to a text file with a header (any delimiter; plain, gzip, zstd or bzip2) or to Parquet; or anything
        with ``__arrow_c_stream__`` (pyarrow, pandas, Polars).

        Raises
        ------
        InputError
            If it is no table, has an id twice, lacks one, or names a column as one of ours.
        FileNotFoundError
            If there is no such file.
        """
        asked = Asked(what=f"attributes of {side}", id_name=side.id_column)
        opened = open_source(source, asked)
        if opened.fixed is not None:
            raise InputError(f"{opened.name}, {opened.fixed}, holds no {asked.what}", hint=A_TABLE)
        names = opened.names or [str(number) for number in range(len(opened.sample[0]))]
        at = _id_position(names, side)
        _check_names(names, at, side, opened.name)
        # Under these no column is a role: all keep their types.
        labels = [f"column {name!r}" for name in names]
        with understood(opened.name):
            table = opened.read({label: number for number, label in enumerate(labels)})
        if table.num_rows == 0:
            raise InputError(f"{opened.name} holds no rows", hint=A_TABLE)
        try:
            ids = _ids(table.column(at), f"{opened.name}, {labels[at]}")
        except InputError:
            opened.explain({side.id_column: at})
            raise
        columns = {
            name: owned(_usual(table.column(number), f"{opened.name}, {labels[number]}"))
            for number, name in enumerate(names)
            if number != at
        }
        note = f"{opened.notes[0][:-1]}; its column {names[at]!r} holds the ids."
        return cls(side, opened.name, names[at], ids, pa.table(columns), note)


def read_attributes(item_attributes: Any = None, user_attributes: Any = None) -> tuple[AttributeTable, ...]:
    """Read what is given of the two, as `AttributeTable.read` does.

    Examples
    --------
    >>> import pyarrow as pa
    >>> [table.columns.column_names for table in read_attributes(pa.table({"movieId": [1, 2], "title": ["Up", "Her"]}))]
    [['title']]
    """
    given = ((ITEMS, item_attributes), (USERS, user_attributes))
    return tuple(AttributeTable.read(source, side) for side, source in given if source is not None)


def _id_position(names: Sequence[str], side: Side) -> int:
    """Return the column of ids: by its usual names, else the first."""
    simple = [simplify(name) for name in names]
    return next((simple.index(alias) for alias in ALIASES[side.id_column] if alias in simple), 0)


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
    """Return ids as text; refuse what is not there, or there twice."""
    # As those of interactions, so that they match.
    chunks = [chunk.dictionary.cast(pa.string()).take(chunk.indices) for chunk in readable_ids(column, where)]
    ids = without_blanks(pa.concat_arrays(chunks))
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
    """Return a column in a type that every reader of Parquet knows, and one for all that hold the same."""
    if pa.types.is_dictionary(column.type):
        kind = _usual_type(column.type.value_type)
        return pa.chunked_array([chunk.dictionary.cast(kind).take(chunk.indices) for chunk in column.chunks], kind)
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
    if is_text(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_usual_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_usual_type(field.type)) for field in kind])
    return kind
