"""Readers: one way to open what the user brings, whatever its format, and interactions read from it.

The formats are those of `fractalrs.reading.sources`, where each registers itself.
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fractalrs.columns import ROLES, Wanted, choose_columns
from fractalrs.errors import InputError
from fractalrs.reading.interactions import Interactions
from fractalrs.reading.source import Asked, Source, format_names
from fractalrs.reading.sources import SOURCE_FORMATS
from fractalrs.tools import as_path, check_kind, check_word, checked_columns, resolve_threads, suggests


@suggests
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
        A path to a text file (any delimiter, RecBole's ``.inter``, or one user per line; plain or compressed), to
        Parquet, a folder with Parquet files, or a sparse ``.npz``; or a table (pyarrow, pandas, Polars, …), a SciPy
        sparse matrix or a NumPy array. `Interactions` are returned as they are.
    format
        ``"auto"``, or for files ``"csv"`` (any delimiter), ``"inter"``, ``"parquet"``, ``"npz"`` or ``"lines"`` (one
        user per line, which ``"auto"`` picks only where the number of ids differs between lines).
    delimiter, header
        What stands between the cells of a text file, and whether its first line holds names; found when `None`.
    user_column, item_column, rating_column, timestamp_column
        Names or positions of the columns; positions count from 1. The names of the usual data sets are known
        (`fractalrs.columns.ALIASES`). Without names the order is user, item, rating, timestamp; naming both users and
        items then picks just the columns that are named.
    carry
        Further columns to keep, by name or position, with their names and types (`fractalrs.columns.as_carried`).
        Those of a text file are int64 or float64 where all cells are numbers that this leaves unchanged, else string;
        an empty cell is null.
    threads
        1 reads on the calling thread; anything else uses pyarrow's own pool of threads.

    Returns
    -------
    Interactions
        In the order of the source; `Interactions.notes` says what was chosen. Timestamps keep their unit and type;
        dates that name no time zone are taken as UTC, fractional numbers are rounded down.

    Raises
    ------
    InputError
        If the source cannot be used. The message has the file and the line (text) or row (else), and what to do.
    FileNotFoundError
        If there is no such file or folder.

    Examples
    --------
    >>> import pyarrow as pa
    >>> read_interactions(pa.table({"userId": [1, 1, 2], "movieId": [5, 6, 5], "rating": [4, 3, 5]}))
    Interactions(3 interactions of 2 users and 2 items; user_id, item_id, rating)
    """
    roles = dict(zip(ROLES, (user_column, item_column, rating_column, timestamp_column), strict=True))
    asked = Asked(Wanted(roles, checked_columns("carry", carry)), format, delimiter, header, threads)
    _check(asked)
    for role, column in roles.items():
        if column is not None:
            check_kind(_argument(role), column, (str, int, np.integer), "the name or the position of a column")
    if not isinstance(source, Interactions):
        return interactions_of(open_source(source, asked), asked.wanted)
    _refuse_file_options(source, asked)
    _refuse_roles(asked.wanted, "the interactions", "have their columns already")
    if missing := [column for column in asked.wanted.carry if column not in source.columns]:
        raise InputError(
            f"the interactions have no column {missing[0]!r} to carry; saw {', '.join(source.columns)}",
            hint="read them from their source with carry",
        )
    return source


def interactions_of(source: Source, wanted: Wanted) -> Interactions:
    """Read the interactions of an opened source."""
    if source.fixed is None:
        positions, note = choose_columns(source.names, source.sample, wanted, source.name)
        notes = (*source.notes, note)
    else:
        _refuse_roles(wanted, f"{source.name}, {source.fixed},", "has no columns to choose from")
        if wanted.carry:
            raise InputError(
                f"{source.name}, {source.fixed}, has no further columns to carry: asked for {wanted.carry[0]!r}",
                hint="leave carry out",
            )
        positions, notes = {role: place for place, role in enumerate(source.names or ())}, source.notes
    table = source.read(positions)
    try:
        return Interactions(table, notes)
    except InputError as error:
        source.explain(positions)
        raise InputError(f"{source.name}: {error.message}", hint=error.hint) from None


def open_source(source: Any, asked: Asked) -> Source:
    """Return a path or a value in memory, opened by the format that claims it."""
    if isinstance(source, str | os.PathLike):
        name = "source" if asked.what == "interactions" else asked.what
        if source == "":
            raise InputError(f"{name} is an empty text", hint="give a path; . is the current folder")
        return _open_path(as_path(name, source), asked)
    _refuse_file_options(source, asked)
    for format in SOURCE_FORMATS:
        if not format.names and format.claims(source):
            return format.open(source, asked)
    raise InputError(
        f"cannot read {asked.what} from a {type(source).__name__}",
        hint="give a path, or a table (pyarrow, pandas, Polars, ...); interactions also as a SciPy sparse matrix or a "
        "NumPy array",
    )


def _open_path(path: Path, asked: Asked) -> Source:
    if not path.exists():
        what = "" if asked.what == "interactions" else f" with {asked.what}"
        raise FileNotFoundError(errno.ENOENT, f"no such file or folder{what}", str(path))
    if not (path.is_file() or path.is_dir()):
        # Every reader goes over it more than once.
        raise InputError(f"{path} is not a file or a folder", hint="write what comes through a pipe to a file first")
    found = next(format for format in SOURCE_FORMATS if format.names and format.claims(path))
    if asked.format not in ("auto", *found.names):
        hint = "leave format out" if found.is_text else f"leave format out, or say format={found.names[0]!r}"
        raise InputError(f"{path} is {found.what}, not {asked.format}", hint=hint)
    if not found.is_text:
        _refuse_text_options(str(path), asked)
    return found.open(path, asked)


def _check(asked: Asked) -> None:
    check_word("format", asked.format, format_names())
    if asked.delimiter is not None and not isinstance(asked.delimiter, str):
        raise InputError(f"delimiter is {asked.delimiter!r}", hint="give one character or more, such as , or ::")
    if asked.header is not None and not isinstance(asked.header, bool):
        raise InputError(f"header is {asked.header!r}", hint="give True or False")
    if asked.threads is not None:
        resolve_threads(asked.threads)


def _refuse_file_options(value: Any, asked: Asked) -> None:
    if asked.format != "auto":
        raise InputError(f"format {asked.format!r} is for files, and the source is a {type(value).__name__}")
    _refuse_text_options(f"a {type(value).__name__}", asked)


def _refuse_roles(wanted: Wanted, source: str, why: str) -> None:
    for role, column in wanted.roles.items():
        if column is not None:
            raise InputError(f"{_argument(role)} is {column!r}, and {source} {why}", hint="leave it out")


def _argument(role: str) -> str:
    return f"{role.removesuffix('_id')}_column"


def _refuse_text_options(source: str, asked: Asked) -> None:
    if asked.delimiter is not None or asked.header is not None:
        raise InputError(f"delimiter and header are for text files, not for {source}", hint="leave them out")
