"""Readers: one way to open what the user brings, whatever its format, and interactions read from it.

The formats are those of `fractalrs.reading.sources`, where each registers itself.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from fractalrs.columns import OPTIONAL, ROLES, Wanted, choose_columns, serving
from fractalrs.errors import InputError
from fractalrs.reading.ids import OR_DROP, readable_ids
from fractalrs.reading.interactions import Interactions
from fractalrs.reading.missing import missing_among, settle_ids
from fractalrs.reading.remote import is_remote, open_remote
from fractalrs.reading.source import Asked, Source, format_names, open_path, refuse_text_options, understood
from fractalrs.reading.sources import SOURCE_FORMATS
from fractalrs.reading.stored import checked_encoding
from fractalrs.reading.times import checked_form
from fractalrs.reading.told import timed
from fractalrs.tools import as_path, check_kind, check_word, checked_columns, resolve_threads, suggests
from fractalrs.words import MissingIds


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
    missing_ids: MissingIds = "refuse",
    uses: Sequence[str] = OPTIONAL,
    text_encoding: str | None = None,
    time_format: str | None = None,
    order_is_time: bool = False,
    threads: int | None = None,
) -> Interactions:
    """Read user/item interactions from a file, a folder or a value in memory.

    Parameters
    ----------
    source
        A path to a text file (any delimiter, RecBole's ``.inter``, or one user per line; plain or compressed), to JSON
        (an object per line, or an array of them), Parquet, a sparse ``.npz`` or ``.mtx``, to a folder or an archive
        (``.zip``, ``.tar.gz``) that holds one such table, or the URL of one (``file://``, ``s3://``, ``gs://``, …);
        or a table (pyarrow, pandas, Polars, …), a SciPy sparse matrix or a NumPy array. `Interactions` are returned as
        they are.
    format
        ``"auto"``, or for files ``"csv"`` (any delimiter), ``"inter"``, ``"json"``, ``"parquet"``, ``"npz"``,
        ``"mtx"``, ``"netflix"`` (blocks of one item each) or ``"lines"`` (one user per line, which ``"auto"``
        picks only where the number of ids differs between lines).
    delimiter, header
        What stands between the cells of a text file, and whether its first line holds names; found when `None`.
    user_column, item_column, rating_column, timestamp_column
        Names or positions of the columns; positions count from 1. The names of the usual data sets are known
        (`fractalrs.columns.ALIASES`), and of several times the finest is taken. Without names the order is user, item,
        rating, timestamp; naming both users and items then picks just the columns that are named. Ratings and
        timestamps can be declined: ``"none"``.
    carry
        Further columns to keep, by name or position, with their names and types (`fractalrs.columns.as_carried`): of
        text files int64 or float64 where that leaves all cells unchanged, else string; an empty cell is null.
    missing_ids
        Of rows with NA, -1 or the like as an id: ``"refuse"`` many, ``"drop"`` these and those without, or ``"keep"``.
    uses
        ``"rating"`` and ``"timestamp"`` if they are needed; else they are neither read nor checked.
    text_encoding, time_format
        Of text its encoding, such as ``"gbk"``; of timestamps the form of ``strptime``, such as ``"%d/%m/%Y %H:%M"``.
    order_is_time
        Whether the rows are in order of time: then the timestamp is the number of the row, from 1.
    threads
        1 reads on the calling thread; anything else uses pyarrow's own pool of threads.

    Returns
    -------
    Interactions
        In the order of the source; its `notes` say what was chosen. Timestamps keep their unit and type; dates without
        a time zone are UTC, dates such as 20110313 dates, fractional numbers are rounded down.

    Raises
    ------
    InputError
        If the source cannot be used. The message has the file and the line (text) or row (else), and what to do.
    FileNotFoundError
        If there is none.

    Examples
    --------
    >>> import pyarrow as pa
    >>> read_interactions(pa.table({"userId": [1, 1, 2], "movieId": [5, 6, 5], "rating": [4, 3, 5]}))
    Interactions(3 interactions of 2 users and 2 items; user_id, item_id, rating)
    """
    roles = dict(zip(ROLES, (user_column, item_column, rating_column, timestamp_column), strict=True))
    told = _told(text_encoding, time_format, order_is_time, roles)
    asked = Asked(Wanted(roles, checked_columns("carry", carry)), format, delimiter, header, threads, **told)
    _check(asked, missing_ids, uses)
    if isinstance(source, Interactions):
        _check_made(source, asked, missing_ids)
        return source
    return interactions_of(open_source(source, asked), asked.wanted, missing_ids, uses)


def _check_made(interactions: Interactions, asked: Asked, missing_ids: str) -> None:
    """Refuse what cannot be asked of interactions that are read already."""
    _refuse_file_options(interactions, asked)
    if missing_ids != "refuse":
        raise InputError(f"missing_ids is {missing_ids!r}, and the interactions have their ids already", "leave it out")
    for name, given in (("order_is_time", asked.order_is_time), ("time_format", asked.time_format)):
        if given:
            raise InputError(f"{name} is {given!r}, and the interactions have their times already", "leave it out")
    _refuse_roles(asked.wanted.roles, "the interactions", "have their columns already")
    if missing := [column for column in asked.wanted.carry if column not in interactions.columns]:
        raise InputError(
            f"the interactions have no column {missing[0]!r} to carry; saw {', '.join(interactions.columns)}",
            hint="read them from their source with carry",
        )


def interactions_of(
    source: Source, wanted: Wanted, missing_ids: MissingIds = "refuse", uses: Sequence[str] = OPTIONAL
) -> Interactions:
    """Read the interactions of an opened source."""
    positions, notes = _positions(source, wanted)
    if unused := [role for role in OPTIONAL if role in positions and role not in uses]:
        notes += [f"Not read, as nothing uses it: {' and '.join(unused)}."]
    read = {role: place for role, place in positions.items() if role not in unused}
    places = {role: f"{source.name}, {_label(source, place)}" for role, place in read.items()}

    def complete(role: str) -> str | None:
        """Return an option that names another column for a role, whose ids are all there."""
        for column in serving(source.names, role, positions.values()):
            with suppress(InputError):
                ids = pa.chunked_array(readable_ids(source.read({role: column}).column(role), role))
                if len(ids) == table.num_rows and not missing_among(ids):
                    return f"--{_argument(role).replace('_', '-')} {(source.names or ())[column]}"
        return None

    try:
        with understood(source.name):
            table = source.read(read)
            table, said = settle_ids(table, missing_ids, places, source.blanks_are_layout, complete)
            return Interactions(table, (*notes, *said))
    except InputError as error:
        if error.message.startswith(source.name):
            raise
        _explain(source, read)
        # Of ids their column is named too.
        role = next((role for role in ("user_id", "item_id") if error.message.startswith(f"{role} ")), None)
        where = source.name if role is None else places[role]
        raise InputError(f"{where}: {error.message}", hint=error.hint) from None


def _explain(source: Source, positions: Mapping[str, int]) -> None:
    """Raise an error with the line that cannot be used; of one without an id it says too that such may be left out."""
    try:
        source.explain(positions)
    except InputError as error:
        if not error.message.endswith("_id is missing"):
            raise
        raise InputError(error.message, hint=OR_DROP.format("line")) from None


def _positions(source: Source, wanted: Wanted) -> tuple[dict[str, int], list[str]]:
    """Return the 0-based number of each column that has a use, and what was chosen."""
    if source.fixed is None:
        positions, chosen = choose_columns(source.names, source.sample, wanted, source.name)
        return positions, [*source.notes, *chosen]
    _refuse_roles(wanted.asked, f"{source.name}, {source.fixed},", "has no columns to choose from")
    if wanted.carry:
        raise InputError(
            f"{source.name}, {source.fixed}, has no further columns to carry: asked for {wanted.carry[0]!r}",
            hint="leave carry out",
        )
    known = {role: place for place, role in enumerate(source.names or ())}
    return {role: place for role, place in known.items() if role not in wanted.declined}, [*source.notes]


def _label(source: Source, place: int) -> str:
    return f"column {source.names[place]!r}" if source.names is not None else f"column {place + 1}"


def open_source(source: Any, asked: Asked) -> Source:
    """Return a path or a value in memory, opened by the format that claims it."""
    if isinstance(source, str | os.PathLike):
        name = "source" if asked.what == "interactions" else asked.what
        if source == "":
            raise InputError(f"{name} is an empty text", hint="give a path; . is the current folder")
        if is_remote(source):
            return _timed(open_remote(source, asked), asked)
        with understood(asked.name or str(source)):
            return _timed(open_path(as_path(name, source), asked), asked)
    _refuse_file_options(source, asked)
    for format in SOURCE_FORMATS:
        if not (format.names or format.holds) and format.claims(source):
            return _timed(format.open(source, asked), asked)
    raise InputError(
        f"cannot read {asked.what} from a {type(source).__name__}",
        hint="give a path, or a table (pyarrow, pandas, Polars, ...); interactions also as a SciPy sparse matrix or a "
        "NumPy array",
    )


def _timed(source: Source, asked: Asked) -> Source:
    return timed(source, asked) if asked.what == "interactions" else source


def _told(encoding: object, form: object, order_is_time: object, roles: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of text and times, checked; where the order of rows is time, no column is."""
    if not isinstance(order_is_time, bool):
        raise InputError(f"order_is_time is {order_is_time!r}", hint="give True or False")
    if order_is_time:
        for name, given in (("timestamp_column", roles["timestamp"]), ("time_format", form)):
            if given not in (None, "none"):
                raise InputError(f"order_is_time and {name} are both given", hint="leave one out")
        roles["timestamp"] = "none"
    told = {"text_encoding": checked_encoding(encoding), "time_format": checked_form(form)}
    return told | {"order_is_time": order_is_time}


def _check(asked: Asked, missing_ids: str, uses: Sequence[str]) -> None:
    check_word("missing_ids", missing_ids, get_args(MissingIds))
    for role in checked_columns("uses", uses):
        check_word("use", role, OPTIONAL)
    check_word("format", asked.format, format_names())
    if asked.delimiter is not None and not isinstance(asked.delimiter, str):
        raise InputError(f"delimiter is {asked.delimiter!r}", hint="give one character or more, such as , or ::")
    if asked.header is not None and not isinstance(asked.header, bool):
        raise InputError(f"header is {asked.header!r}", hint="give True or False")
    if asked.threads is not None:
        resolve_threads(asked.threads)
    for role, column in asked.wanted.roles.items():
        if column is not None:
            check_kind(_argument(role), column, (str, int, np.integer), "the name or the position of a column")


def _refuse_file_options(value: Any, asked: Asked) -> None:
    if asked.format != "auto":
        raise InputError(
            f"format {asked.format!r} is for files, and the source is a {type(value).__name__}", "leave it out"
        )
    refuse_text_options(f"a {type(value).__name__}", asked)


def _refuse_roles(roles: Mapping[str, str | int | None], source: str, why: str) -> None:
    for role, column in roles.items():
        if column is not None:
            raise InputError(f"{_argument(role)} is {column!r}, and {source} {why}", hint="leave it out")


def _argument(role: str) -> str:
    return f"{role.removesuffix('_id')}_column"
