"""Interactions: the value that is read from what the user brings, and how it is written to a file."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from fractalrs.columns import (
    ROLES,
    as_carried,
    as_ratings,
    as_timestamps,
    check_names,
    owned,
    settled_field,
    ticks,
    ticks_per_hour,
)
from fractalrs.errors import InputError, OutputError
from fractalrs.reading.ids import encode_ids
from fractalrs.reading.preview import first_rows
from fractalrs.tools import Shown, as_path, checked_texts, html_table, installed, one_line, unwritten, whole_file

if TYPE_CHECKING:
    import pandas
    import polars

_STREAM_ROWS = 1 << 20
_SHOWN_ROWS = 5


class Interactions(Shown):
    """Users, items and, where known, ratings, timestamps and more of n interactions, in the order of their source.

    A value: nothing about it changes. Ids are kept as they are in the source; int64 if every id of the column is an
    integer in its usual form (``7``, not ``07``), else string.

    Parameters
    ----------
    table
        Columns ``user_id`` and ``item_id`` (integers or strings, dictionary-encoded or not) and perhaps ``rating``
        (numbers) and ``timestamp`` (numbers or dates; fractions are rounded down). Others are carried: booleans,
        numbers, text, dates and timestamps, nulls allowed.
    notes
        Sentences about how the interactions came about; some about ids and timestamps are added, and the first rows.

    Raises
    ------
    InputError
        If there are no rows; a column is missing, of an unusable type or has another's name; an id is missing; a rating
        is missing or not finite; a timestamp is missing, not finite or negative, or of another unit than the others
        (`ticks_per_hour`). The message has the first such row, counted from 1.

    Examples
    --------
    >>> import pyarrow as pa
    >>> Interactions(pa.table({"user_id": [7, 7, 9], "item_id": ["a", "b", "a"]}))
    Interactions(3 interactions of 2 users and 2 items; user_id, item_id)
    """

    __slots__ = ("_notes", "_table")

    def __init__(self, table: pa.Table, notes: Iterable[str] = ()) -> None:
        """Check the columns and encode the ids."""
        if not isinstance(table, pa.Table):
            raise InputError(f"table is a {type(table).__name__}", hint="read_interactions reads other sources")
        names = table.column_names
        if not {"user_id", "item_id"} <= set(names):
            raise InputError(
                f"interactions have the columns {', '.join(ROLES)}, the last two if known; saw {', '.join(names)}",
                hint="read_interactions(table) chooses and names the columns",
            )
        check_names([*(role for role in ROLES if role not in names), *names])
        if table.num_rows == 0:
            raise InputError("the source holds no interactions", hint="give at least one user and one item")
        chosen = list(checked_texts("notes", notes))
        columns, fields = [], []
        for name in (*(role for role in ROLES if role in names), *(name for name in names if name not in ROLES)):
            values, note = _checked(table.column(name), name)
            field = table.schema.field(name).with_type(values.type)
            fields.append(settled_field(field, values) if name == "timestamp" else pa.field(name, values.type))
            columns.append(values)
            chosen += [note] if note else []
        self._table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
        self._notes = (*chosen, first_rows(self._table))

    @property
    def table(self) -> pa.Table:
        """The interactions as kept in memory.

        ``user_id`` and ``item_id`` are dictionary<int32, int64 | string>, the dictionary holding each id that occurs
        once, in canonical order; ``rating`` is float64 or int64; ``timestamp`` has `timestamp_type`; the carried
        columns follow, of the types that `fractalrs.columns.as_carried` names. One chunk per column.
        """
        return self._table

    @property
    def columns(self) -> list[str]:
        """Names of the columns: ``user_id``, ``item_id``, ``rating`` and ``timestamp`` if known, the carried ones."""
        return list(self._table.column_names)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen while reading, a sentence each."""
        return self._notes

    @property
    def timestamps(self) -> npt.NDArray[np.int64] | None:
        """The timestamps, int64 [n], in ticks of `timestamp_type`; `None` where there are none. Read-only."""
        if "timestamp" not in self.columns:
            return None
        return ticks(self._table.column("timestamp").chunk(0))

    @property
    def timestamp_type(self) -> pa.DataType | None:
        """What the timestamps are, and are written as: int64, ``timestamp[ms | us | ns]`` or date32; `None` without.

        Numbers are int64 and keep their unit. Dates with a time of day keep the unit and time zone of the source;
        seconds, which Parquet does not know, become milliseconds.
        """
        return self._table.schema.field("timestamp").type if "timestamp" in self.columns else None

    @property
    def ticks_per_hour(self) -> int | None:
        """How much an hour is in the timestamps; `None` where they do not tell, as dates and counts do not.

        Plain numbers tell by their size (`fractalrs.columns.hour_by_size`).
        """
        return ticks_per_hour(self._table.schema.field("timestamp")) if "timestamp" in self.columns else None

    def codes(self, column: str) -> tuple[npt.NDArray[np.int32], pa.Array]:
        """Return contiguous codes for ``"user_id"`` or ``"item_id"``; nothing is computed or copied.

        Returns
        -------
        codes, ids
            int32 [n], read-only: the position in `ids` of each interaction's id; and int64 or string: the distinct ids
            in canonical order, numeric for int64, by UTF-8 bytes for string.
        """
        if column not in ("user_id", "item_id"):
            raise InputError(f"only user_id and item_id have codes, not {column!r}", hint="choose one of them")
        encoded = self._table.column(column).chunk(0)
        return encoded.indices.to_numpy(), encoded.dictionary

    def __len__(self) -> int:
        """Return n."""
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        users, items = (len(self.codes(column)[1]) for column in ("user_id", "item_id"))
        columns = ", ".join(self.columns)
        return one_line(f"Interactions({len(self):,} interactions of {users:,} users and {items:,} items; {columns})")

    def _repr_html_(self) -> str:
        first = self._plain(self._table.slice(0, _SHOWN_ROWS))
        rows = [[str(cell) for cell in row.values()] for row in first.to_pylist()]
        return html_table(repr(self), self.columns, rows)

    def to_arrow(self) -> pa.Table:
        """Return a pyarrow table with plain columns: ids int64 or string, timestamps of `timestamp_type`.

        Examples
        --------
        >>> import fractalrs as fr
        >>> fr.sample_interactions(60, 40, 600).to_arrow().column_names
        ['user_id', 'item_id', 'rating', 'timestamp']
        """
        return self._plain(self._table)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a pandas frame, whose columns are those of `to_arrow`.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        with installed("pandas"):
            import pandas
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> "polars.DataFrame":
        """Return a Polars frame likewise.

        Raises
        ------
        InputError
            If Polars is not installed.
        """
        with installed("polars"):
            import polars
        return polars.DataFrame(self.to_arrow())

    @staticmethod
    def _plain(table: pa.Table) -> pa.Table:
        plain = (getattr(field.type, "value_type", field.type) for field in table.schema)
        return table.cast(pa.schema(list(zip(table.column_names, plain, strict=True))))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return an Arrow stream with plain columns: ids int64 or string, timestamps of `timestamp_type`."""
        schema = self._plain(self._table.slice(0, 0)).schema
        batches = (batch.cast(schema) for batch in self._table.to_batches(max_chunksize=_STREAM_ROWS))
        return pa.RecordBatchReader.from_batches(schema, batches).__arrow_c_stream__(requested_schema)


def _checked(column: pa.ChunkedArray, name: str) -> tuple[pa.Array, str | None]:
    """Return a column as it is kept, and a sentence on it if there is something to say."""
    if name in ("user_id", "item_id"):
        return encode_ids(column, name)
    # Several chunks are copied into one in any case.
    column = owned(column) if column.num_chunks == 1 else column
    if name == "timestamp":
        return as_timestamps(column)
    return as_ratings(column) if name == "rating" else as_carried(column, name), None


def write_interactions(interactions: Interactions, path: str | os.PathLike[str]) -> None:
    """Write interactions to a new file: CSV with a header, or Parquet.

    Raises
    ------
    InputError
        If `path` ends neither in ``.csv`` nor in ``.parquet``.
    OutputError
        If something is there, or its folder is not or cannot be written to.
    WriteError
        If writing fails midway; nothing is left under `path`.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fr.write_interactions(fr.sample_interactions(60, 40, 600), f"{folder}/sample.csv")
    ...     fr.read_interactions(f"{folder}/sample.csv")
    Interactions(600 interactions of 60 users and 40 items; user_id, item_id, rating, timestamp)
    """
    if not isinstance(interactions, Interactions):
        raise InputError(f"interactions is a {type(interactions).__name__}", hint="read_interactions makes them")
    target = as_path("path", path)
    if target.suffix not in (".csv", ".parquet"):
        raise InputError(f"{target} ends neither in .csv nor in .parquet", hint="choose a name that does")
    if os.path.lexists(target):
        raise OutputError(f"{target} exists already", hint="choose another name")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist", hint="create it first")
    reader = pa.RecordBatchReader.from_stream(interactions)
    kind = pa.csv.CSVWriter if target.suffix == ".csv" else pq.ParquetWriter
    writer = None
    try:
        with whole_file(target) as temporary, kind(temporary, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except OSError as error:
        raise unwritten(target, error, writer is not None) from error
