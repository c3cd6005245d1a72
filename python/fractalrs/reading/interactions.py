"""Interactions: what the user brings, and how it is read.

`read_interactions` takes a file, a folder or a value in memory and returns `Interactions`: users and items under their
own ids, with ratings and timestamps where the source has them, and with further columns that are asked for.
"""

import errno
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
import scipy.sparse

from fractalrs.columns.names import ROLES, Wanted, check_names, choose_columns
from fractalrs.columns.types import (
    CORRECT_ROW,
    as_carried,
    as_ratings,
    as_timestamps,
    ticks_per_hour,
    timestamps_from_ticks,
)
from fractalrs.errors import InputError, OutputError
from fractalrs.reading.text import TextFile, check_stored

FORMATS = ("auto", "csv", "inter", "parquet", "npz", "lines")
"""What `read_interactions` accepts as `format`."""

_PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
_SAMPLE_ROWS = 1000
_STREAM_ROWS = 1 << 20


class Interactions:
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
        Sentences about how the interactions came about; some about ids and timestamps are added.

    Raises
    ------
    InputError
        If there are no rows; a column is missing, of an unusable type or has another's name; an id is missing; a rating
        is missing or not finite; a timestamp is missing, not finite or negative, or of another unit than the others
        (`ticks_per_hour`). The message has the first such row, counted from 1.
    """

    __slots__ = ("_notes", "_table", "_ticks_per_hour", "_timestamp_type")

    def __init__(self, table: pa.Table, notes: Iterable[str] = ()) -> None:
        """Check the columns and encode the ids."""
        names = table.column_names
        if not {"user_id", "item_id"} <= set(names):
            raise InputError(
                f"interactions have the columns {', '.join(ROLES)}, the last two if known; saw {', '.join(names)}",
                hint="read_interactions(table) chooses and names the columns",
            )
        check_names([*(role for role in ROLES if role not in names), *names])
        if table.num_rows == 0:
            raise InputError("the source holds no interactions", hint="give at least one user and one item")
        said = list(notes)
        columns = {}
        self._timestamp_type: pa.DataType | None = None
        self._ticks_per_hour: int | None = None
        for role in (role for role in ROLES if role in names):
            column = table.column(role)
            if role in ("user_id", "item_id"):
                columns[role], note = _encode_ids(column, role)
            elif role == "rating":
                columns[role], note = as_ratings(column), None
            else:
                columns[role], self._timestamp_type, note = as_timestamps(column)
                self._ticks_per_hour = ticks_per_hour(columns[role].to_numpy(), self._timestamp_type)
            said += [note] if note else []
        for name in names:
            if name not in ROLES:
                columns[name] = as_carried(table.column(name), name)
        self._table = pa.table(columns)
        self._notes = tuple(said)

    @property
    def table(self) -> pa.Table:
        """The interactions as kept in memory.

        ``user_id`` and ``item_id`` are dictionary<int32, int64 | string>, the dictionary holding each id that occurs
        once, in canonical order; ``rating`` is float64 or int64; ``timestamp`` is int64, in ticks of `timestamp_type`;
        the carried columns follow, of the types that `fractalrs.columns.types.as_carried` names. One chunk per column.
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
        return cast("npt.NDArray[np.int64]", self._table.column("timestamp").chunk(0).to_numpy())

    @property
    def timestamp_type(self) -> pa.DataType | None:
        """What the timestamps are, and are written as: int64, ``timestamp[ms | us | ns]`` or date32; `None` without.

        Numbers are int64 and keep their unit. Dates with a time of day keep the unit and time zone of the source;
        seconds, which Parquet does not know, become milliseconds.
        """
        return self._timestamp_type

    @property
    def ticks_per_hour(self) -> int | None:
        """How much an hour is in the timestamps; `None` where they do not tell, as dates and counts do not.

        Plain numbers tell by their size (`fractalrs.columns.types.ticks_per_hour`).
        """
        return self._ticks_per_hour

    def codes(self, column: str) -> tuple[npt.NDArray[np.int32], pa.Array]:
        """Return contiguous codes for an id column; nothing is computed or copied.

        Parameters
        ----------
        column
            ``"user_id"`` or ``"item_id"``.

        Returns
        -------
        codes : numpy.ndarray
            int32 [n], read-only: the position in `ids` of each interaction's id.
        ids : pyarrow.Array
            int64 or string: the distinct ids in canonical order, numeric for int64, by UTF-8 bytes for string.
        """
        if column not in ("user_id", "item_id"):
            raise InputError(f"only user_id and item_id have codes, not {column!r}")
        encoded = self._table.column(column).chunk(0)
        return encoded.indices.to_numpy(), encoded.dictionary

    def __len__(self) -> int:
        """Return n."""
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        """Say how much of what there is."""
        users, items = (len(self.codes(column)[1]) for column in ("user_id", "item_id"))
        columns = ", ".join(self.columns)
        return f"Interactions({len(self):,} interactions of {users:,} users and {items:,} items; {columns})"

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export as an Arrow stream with plain columns: ids int64 or string, timestamps of `timestamp_type`."""
        plain = {name: _plain_type(self._table.schema.field(name).type) for name in self.columns}
        if self._timestamp_type is not None:
            plain["timestamp"] = self._timestamp_type
        schema = pa.schema(plain)
        batches = (self._plain(batch, schema) for batch in self._table.to_batches(max_chunksize=_STREAM_ROWS))
        return pa.RecordBatchReader.from_batches(schema, batches).__arrow_c_stream__(requested_schema)

    def _plain(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        columns = [
            timestamps_from_ticks(column, field.type) if field.name == "timestamp" else column.cast(field.type)
            for column, field in zip(batch.columns, schema, strict=True)
        ]
        return pa.record_batch(columns, schema=schema)


def write_interactions(interactions: Interactions, path: str | os.PathLike[str]) -> None:
    """Write interactions to a new file: CSV with a header, or Parquet.

    Parameters
    ----------
    interactions
        What to write.
    path
        Ends in ``.csv`` or ``.parquet``; nothing may be there yet.

    Raises
    ------
    InputError
        If the name ends otherwise.
    OutputError
        If something is there, or its folder is not.
    """
    target = Path(path)
    if target.suffix not in (".csv", ".parquet"):
        raise InputError(f"{target} ends neither in .csv nor in .parquet", hint="choose a name that does")
    if target.exists():
        raise OutputError(f"{target} exists already", hint="choose another name")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist", hint="create it first")
    temporary = target.with_name(f".{target.name}.tmp")
    reader = pa.RecordBatchReader.from_stream(interactions)
    try:
        if target.suffix == ".csv":
            with pa.csv.CSVWriter(temporary, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
        else:
            with pq.ParquetWriter(temporary, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)


def read_interactions(
    source: Any,
    *,
    format: str = "auto",
    delimiter: str | None = None,
    header: bool | None = None,
    user_column: str | int | None = None,
    item_column: str | int | None = None,
    rating_column: str | int | None = None,
    timestamp_column: str | int | None = None,
    carry: Sequence[str | int] = (),
    threads: int | None = None,
) -> Interactions:
    """Read user/item interactions from a file, a folder or a value in memory.

    Parameters
    ----------
    source
        A path to

        - a text file of separated cells, with or without a header, any delimiter (CSV, TSV, ``::``, ...), or a RecBole
          ``.inter`` file, or one user per line (``user item item ...``); plain or compressed with gzip, zstd or bzip2;
        - a Parquet file, or a folder with Parquet files, read in the order of their paths;
        - a SciPy sparse ``.npz`` file;

        or, in memory,

        - a pyarrow Table or RecordBatchReader, a pandas or Polars DataFrame, or anything else that has
          ``__arrow_c_stream__``;
        - a SciPy sparse matrix or array: row is user, column is item, values are ratings unless all are 1; stored
          zeros are no interactions;
        - a NumPy array [n, 2..4] of user, item, rating, timestamp, or a structured array with named fields;
        - `Interactions`, returned as they are.
    format
        ``"auto"``, or for files ``"csv"`` (any delimiter), ``"inter"``, ``"parquet"``, ``"npz"`` or ``"lines"`` (one
        user per line, which ``"auto"`` picks only where the number of ids differs between lines).
    delimiter
        What stands between the cells of a text file; found by itself when `None`.
    header
        Whether a text file's first line holds column names; found by itself when `None`.
    user_column, item_column, rating_column, timestamp_column
        Names or positions of the columns; positions count from 1. The names of the usual data sets are known
        (`column_names.ALIASES`). Without names the order is user, item, rating, timestamp; naming both users and items
        then picks just the columns that are named.
    carry
        Further columns to keep, by name or position, such as the device or the session. They keep their names and
        types: booleans, numbers, text, dates and timestamps. Those of a text file are int64 or float64 where all cells
        are numbers that this leaves unchanged, else string; an empty cell is null.
    threads
        1 reads on the calling thread; anything else uses pyarrow's own pool of threads.

    Returns
    -------
    Interactions
        In the order of the source; `Interactions.notes` says what was chosen. Timestamps keep their unit and type
        (`Interactions.timestamp_type`); dates that name no time zone are taken as UTC, fractional numbers are rounded
        down.

    Raises
    ------
    InputError
        If the source cannot be used. The message has the file and the line (text) or row (else), and what to do.
    FileNotFoundError
        If there is no such file or folder.
    """
    if isinstance(carry, str):
        raise InputError(f"carry is the text {carry!r}", hint=f"give a list of columns: [{carry!r}]")
    roles = dict(zip(ROLES, (user_column, item_column, rating_column, timestamp_column), strict=True))
    wanted = Wanted(roles, tuple(carry))
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}", hint=f"one of {', '.join(FORMATS)}")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}", hint="give 1 or more, or nothing for all")
    if isinstance(source, str | os.PathLike):
        return _read_path(Path(source), format, delimiter, header, wanted, threads)
    if format != "auto":
        raise InputError(f"format {format!r} is for files, and the source is a {_type_name(source)}")
    _refuse_text_options(delimiter, header, f"a {_type_name(source)}")
    if isinstance(source, Interactions):
        if missing := [column for column in carry if column not in source.columns]:
            raise InputError(
                f"the interactions have no column {missing[0]!r} to carry; saw {', '.join(source.columns)}",
                hint="read them from their source with carry",
            )
        return source
    return _read_value(source, wanted)


def _read_path(
    path: Path,
    format: str,
    delimiter: str | None,
    header: bool | None,
    wanted: Wanted,
    threads: int | None,
) -> Interactions:
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "no such file or folder", str(path))
    check_stored(path)
    found = _kind(path)
    if format == "auto":
        format = found
    elif found != format and (found != "text" or format in ("parquet", "npz")):
        hint = f"leave format out, or say format={found!r}" if found != "text" else "leave format out"
        kind = {"parquet": "Parquet", "npz": "a NumPy archive", "text": "text"}[found]
        raise InputError(f"{path} is {kind}, not {format}", hint=hint)
    if format in ("parquet", "npz"):
        _refuse_text_options(delimiter, header, str(path))
        return _read_parquet(path, wanted, threads) if format == "parquet" else _read_npz(path, wanted)

    file = TextFile.open(
        path, format="auto" if format == "text" else format, delimiter=delimiter, header=header, wanted=wanted
    )
    if file.format == "lines":
        _refuse_carry(wanted, f"{path}, which has one user per line")
        return _with_source(str(path), file.read({}, threads), [file.note])
    columns = choose_columns(file.names, file.sample, wanted, str(path))
    table = file.read(columns.positions, threads)
    try:
        return _with_source(str(path), table, [file.note, columns.note])
    except InputError:
        file.explain(columns.positions)  # says which line it is
        raise


def _kind(path: Path) -> str:
    """Tell Parquet and NumPy archives from text by their first bytes; a folder is Parquet."""
    if path.is_dir():
        return "parquet"
    with path.open("rb") as file:
        magic = file.read(4)
    return {b"PAR1": "parquet", b"PK\x03\x04": "npz"}.get(magic, "text")


def _refuse_text_options(delimiter: str | None, header: bool | None, source: str) -> None:
    if delimiter is not None or header is not None:
        raise InputError(f"delimiter and header are for text files, not for {source}", hint="leave them out")


def _refuse_carry(wanted: Wanted, source: str) -> None:
    if wanted.carry:
        raise InputError(
            f"{source}, has no further columns to carry: asked for {wanted.carry[0]!r}", hint="leave carry out"
        )


def _read_parquet(path: Path, wanted: Wanted, threads: int | None) -> Interactions:
    files = [path]
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in _PARQUET_SUFFIXES
            and file.is_file()
            and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
        )
        if not files:
            raise InputError(f"the folder {path} holds no Parquet files", hint="name a file, or a folder with .parquet")
    try:
        source = pa_dataset.dataset([str(file) for file in files], format="parquet")
        sample = source.head(_SAMPLE_ROWS, use_threads=threads != 1)
        columns = _choose(source.schema.names, sample, wanted, str(path))
        numbers = list(columns[0].values())
        if len(set(source.schema.names)) < len(source.schema.names):
            raise InputError(f"{path} has two columns of the same name", hint="rename one")
        batches = source.to_batches(
            columns=[source.schema.names[number] for number in numbers],
            batch_size=_STREAM_ROWS,
            use_threads=threads != 1,
        )
        table = _collect(batches, dict(zip(columns[0], range(len(numbers)), strict=True)))
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from None
    many = f"{len(files)} Parquet files" if path.is_dir() else "Parquet"
    return _with_source(str(path), table, [f"Read {path.name} as {many}.", columns[1]])


def _read_npz(path: Path, wanted: Wanted) -> Interactions:
    try:
        with path.open("rb") as file:
            matrix = scipy.sparse.load_npz(file)
    except (ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a SciPy sparse matrix: {error}",
            hint="write one with scipy.sparse.save_npz; unpack a ZIP archive of text files first",
        ) from None
    return _read_sparse(matrix, str(path), wanted)


def _read_value(source: Any, wanted: Wanted) -> Interactions:
    name = f"the {_type_name(source)}"
    if scipy.sparse.issparse(source):
        return _read_sparse(source, name, wanted)
    try:
        if isinstance(source, np.ndarray):
            reader = _array_to_table(source).to_reader()
        elif hasattr(source, "__arrow_c_stream__"):
            reader = pa.RecordBatchReader.from_stream(source)
        else:
            raise InputError(
                f"cannot read interactions from a {_type_name(source)}",
                hint="give a path, a table (pyarrow, pandas, Polars, ...), a SciPy sparse matrix or a NumPy array",
            )
        batches = iter(reader)
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            raise InputError(f"{name} holds no rows", hint="give at least one user and one item")
        positions, note = _choose(reader.schema.names, first.slice(0, _SAMPLE_ROWS), wanted, name)
        table = _collect(chain([first], batches), positions)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{name} cannot be read: {error}", hint="give each column a single type") from None
    return _with_source(name, table, [f"Read {name}.", note])


def _read_sparse(matrix: Any, name: str, wanted: Wanted) -> Interactions:
    _refuse_carry(wanted, f"{name}, a sparse matrix")
    if matrix.ndim != 2:
        raise InputError(f"{name} has {matrix.ndim} dimension instead of 2", hint="rows are users, columns are items")
    entries = matrix.tocoo()
    if entries.data.dtype.kind not in "biuf":
        raise InputError(f"{name} holds values of type {entries.data.dtype}", hint="ratings are real numbers")
    stored = entries.data != 0
    values = entries.data[stored]
    columns = {
        "user_id": pa.array(entries.row[stored].astype(np.int64)),
        "item_id": pa.array(entries.col[stored].astype(np.int64)),
    }
    notes = [f"Read {name} as a sparse matrix: row is user_id, column is item_id"]
    if (values != 1).any():
        columns["rating"] = pa.array(values.astype(np.float64 if values.dtype.kind == "f" else np.int64))
        notes[0] += ", value is rating"
    notes[0] += "."
    if not stored.all():
        notes.append(f"Left out {np.count_nonzero(~stored):,} stored zeros.")
    return _with_source(name, pa.table(columns), notes)


def _array_to_table(array: npt.NDArray[Any]) -> pa.Table:
    """View a NumPy array as a table; without names its columns are called 0, 1, ..."""
    if array.dtype.names is not None:
        return pa.table({name: np.ascontiguousarray(array[name].ravel()) for name in array.dtype.names})
    if array.ndim != 2 or not 2 <= array.shape[1] <= 4:
        raise InputError(
            f"the ndarray has the shape {array.shape}",
            hint="give [n, 2..4] with the columns user, item, rating, timestamp; a matrix of users by items as "
            "scipy.sparse.csr_array(matrix)",
        )
    return pa.table({str(column): np.ascontiguousarray(array[:, column]) for column in range(array.shape[1])})


def _choose(
    names: Sequence[str], rows: pa.Table | pa.RecordBatch, wanted: Wanted, source: str
) -> tuple[dict[str, int], str]:
    """Choose the columns of a table; names 0, 1, 2, ... are what pandas and NumPy give where there are none."""
    named = list(names) != [str(column) for column in range(len(names))]
    if named:  # they decide alone; not every cell can be shown as text
        chosen = choose_columns(names, [], wanted, source)
    else:
        sample = zip(*([_text(cell) for cell in column.to_pylist()] for column in rows.columns), strict=True)
        chosen = choose_columns(None, list(sample), wanted, source)
    return chosen.positions, chosen.note


def _collect(batches: Iterable[pa.RecordBatch], positions: Mapping[str, int]) -> pa.Table:
    """Gather the chosen columns, ids encoded batch by batch: as text they would take several times the memory."""
    chunks: dict[str, list[pa.Array]] = {role: [] for role in positions}
    for batch in batches:
        for role, position in positions.items():
            column = batch.column(position)
            chunks[role].append(_as_dictionary(column, role) if role in ("user_id", "item_id") else column)
    return pa.table({role: pa.chunked_array(arrays) if arrays else pa.nulls(0) for role, arrays in chunks.items()})


def _with_source(name: str, table: pa.Table, notes: Iterable[str]) -> Interactions:
    try:
        return Interactions(table, notes)
    except InputError as error:
        raise InputError(f"{name}: {error.message}", hint=error.hint) from None


def _encode_ids(column: pa.ChunkedArray, role: str) -> tuple[pa.DictionaryArray, str | None]:
    """Encode ids by their canonical order, and say what kind they are."""
    chunks = [_as_dictionary(chunk, role) for chunk in column.chunks]
    merged = pa.concat_arrays([chunk.dictionary for chunk in chunks]).dictionary_encode()
    # Codes of all chunks into one dictionary, in order of first appearance.
    places = merged.indices.to_numpy(zero_copy_only=False)
    codes = np.empty(len(column), dtype=np.int32)
    start = place = 0
    for chunk in chunks:
        if chunk.null_count:
            row = start + int(pc.index(pc.is_null(chunk.indices), True).as_py()) + 1
            raise InputError(f"row {row}: the {role} is missing", hint=CORRECT_ROW)
        local = places[place : place + len(chunk.dictionary)]
        codes[start : start + len(chunk)] = local[chunk.indices.to_numpy()]
        start += len(chunk)
        place += len(chunk.dictionary)

    used = np.zeros(len(merged.dictionary), dtype=bool)
    used[codes] = True
    ids = _canonical(merged.dictionary.filter(pa.array(used)))
    order = pc.sort_indices(ids)
    ranks = np.empty(len(used), dtype=np.int32)
    ranks[np.flatnonzero(used)[order.to_numpy()]] = np.arange(len(ids), dtype=np.int32)
    for start in range(0, len(codes), _STREAM_ROWS):
        codes[start : start + _STREAM_ROWS] = ranks[codes[start : start + _STREAM_ROWS]]
    ids = ids.take(order)
    if pa.types.is_string(ids.type) and ids[0].as_py() == "":
        row = int(np.flatnonzero(codes == 0)[0]) + 1
        raise InputError(f"row {row}: the {role} is missing", hint=CORRECT_ROW)
    return pa.DictionaryArray.from_arrays(pa.array(codes), ids), _describe_ids(ids, role)


def _as_dictionary(ids: pa.Array, role: str) -> pa.DictionaryArray:
    """Encode one array of ids as dictionary<int32, int64 | string> with distinct values."""
    if pa.types.is_dictionary(ids.type):
        values = _as_ids(ids.dictionary, role)
        if ids.type.index_type == pa.int32() and values is ids.dictionary and not values.null_count:
            return ids
        ids = values.take(ids.indices)
    encoded = _as_ids(ids, role).dictionary_encode()
    if encoded.type.index_type != pa.int32():
        raise InputError(f"{role} has too many distinct values")
    return encoded


def _as_ids(values: pa.Array, role: str) -> pa.Array:
    """Cast to int64 or string."""
    kind = values.type
    if kind in (pa.int64(), pa.string()):
        return values
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind)
    try:
        if is_text:
            return values.cast(pa.string())
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return values.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{role} holds {kind} values that are not whole numbers below 2^63: {error}",
            hint="give ids as integers or strings",
        ) from None
    raise InputError(f"{role} has the type {kind}", hint="give ids as integers or strings")


def _canonical(ids: pa.Array) -> pa.Array:
    """Turn text ids into int64 if each of them is an integer in its usual form, so that none of them changes."""
    if pa.types.is_integer(ids.type):
        return ids
    try:
        numbers = ids.cast(pa.int64())
    except pa.ArrowInvalid:
        return ids
    return numbers if numbers.cast(pa.string()).equals(ids) else ids


def _describe_ids(ids: pa.Array, role: str) -> str:
    if pa.types.is_integer(ids.type):
        return f"{role}: {len(ids):,} distinct integers."
    odd = ids.filter(pc.invert(pc.match_substring_regex(ids, "^(0|-?[1-9][0-9]*)$")))
    why = f"{odd[0].as_py()!r} is not an integer in its usual form" if len(odd) else "some are beyond 64 bits"
    return f"{role}: {len(ids):,} distinct strings ({why})."


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)


def _type_name(source: object) -> str:
    return type(source).__name__
