"""Polars: expansions and data sets as lazy frames, of which only what a query needs is made or read."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.dataset import Dataset, opened
from fractalrs.expansion import BATCH_SIZE, Expansion, Stream
from fractalrs.tools import check_kind, installed, resolve_threads
from fractalrs.words import Split

if TYPE_CHECKING:
    import polars as pl

_Rows = Callable[[list[str], "pl.Expr | None", int], Iterator[pa.RecordBatch | pa.Table]]
"""Gives columns, at least of users who pass a predicate, in batches of about so many interactions."""
_IDS = 1 << 20
"""A predicate is asked about so many users at a time."""
_GAP = 16
"""Users so near to each other are made in one go."""


def scan(source: Expansion | Dataset, split: Split = "train", *, threads: int | None = None) -> "pl.LazyFrame":
    """Return interactions as a lazy frame: Polars' queries make, or read, only the columns and users that they need.

    Of an expansion, where a filter is of ``user_id`` alone, only the users are made that pass it.

    Parameters
    ----------
    source
        An expansion, which needs no file; or a data set. Of one in an object store only parts and row groups are read
        that have users who pass such a filter, one row group at a time.
    threads
        Threads that generate; by default as many as this process may use.

    Raises
    ------
    InputError
        If Polars is not installed, or there is no such split.

    Examples
    --------
    >>> import polars as pl
    >>> import fractalrs as fr
    >>> from fractalrs.polars import scan
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)
    >>> query = scan(expansion).filter(pl.col("user_id") < 3).select(pl.col("item_id").n_unique())
    >>> query.collect().item() <= expansion.table(0, 3).num_rows
    True
    """
    with installed("polars"):
        import polars as pl
        from polars.io.plugins import register_io_source
    check_kind("source", source, (Expansion, Dataset), "an Expansion or a Dataset")
    rows: _Rows
    if isinstance(source, Dataset):
        files = source.files(split)
        if not files:
            return pl.LazyFrame(pl.from_arrow(source.schema.empty_table()))
        if isinstance(source.place, Path):
            return pl.scan_parquet([source.place / file.path for file in files], glob=False, hive_partitioning=False)
        rows = partial(_read, source, split)
    else:
        rows = partial(_generated, source.stream(split, threads=resolve_threads(threads)), source)
    schema = pl.DataFrame(source.schema.empty_table()).schema

    def answer(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        names = with_columns if with_columns is not None else source.schema.names
        filtered_by = [] if predicate is None else predicate.meta.root_names()
        # A frame without columns would not know its length.
        columns = list(dict.fromkeys([*names, *filtered_by])) or ["item_id"]
        left = n_rows
        for batch in rows(columns, predicate if {*filtered_by} == {"user_id"} else None, batch_size or BATCH_SIZE):
            frame = pl.DataFrame(batch)
            if predicate is not None:
                frame = frame.filter(predicate)
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            yield frame.select(names) if names else frame
            if left == 0:
                return

    return register_io_source(answer, schema=schema, is_pure=True)


def _generated(
    stream: Stream, expansion: Expansion, columns: list[str], predicate: "pl.Expr | None", batch_size: int
) -> Iterator[pa.RecordBatch]:
    """Generate columns of all users that a predicate of users lets through, and of some of their neighbours."""
    for users in _ranges(expansion, predicate):
        yield from expansion.stream(
            stream.split, users=users, columns=columns, batch_size=batch_size, threads=stream.threads
        )


def _read(
    dataset: Dataset, split: Split, columns: list[str], predicate: "pl.Expr | None", _: int
) -> Iterator[pa.Table]:
    """Read columns of the row groups in which a predicate of users may let some through."""
    for part in dataset.parts:
        if not _passes(dataset, predicate, part.first, part.last):
            continue
        for file in part.files[split]:
            with opened(dataset.place / file.path, file.rows) as parquet:
                for group in range(parquet.num_row_groups):
                    users = parquet.metadata.row_group(group).column(0).statistics
                    if _passes(dataset, predicate, users.min, users.max + 1):
                        yield parquet.read_row_group(group, columns=columns)


def _passes(source: Expansion | Dataset, predicate: "pl.Expr | None", first: int, last: int) -> bool:
    """Return whether a predicate of users lets any of these through."""
    return predicate is None or any(map(len, _passing(source, predicate, first, last)))


def _passing(
    source: Expansion | Dataset, predicate: "pl.Expr", first: int, last: int
) -> Iterator[npt.NDArray[np.integer[Any]]]:
    """Return those of users whom a predicate of users lets through, some at a time."""
    import polars as pl

    kind = source.schema.field("user_id").type.to_pandas_dtype()
    for start in range(first, last, _IDS):
        ids = np.arange(start, min(start + _IDS, last), dtype=kind)
        yield pl.DataFrame({"user_id": ids}).filter(predicate)["user_id"].to_numpy()


def _ranges(expansion: Expansion, predicate: "pl.Expr | None") -> Iterator[tuple[int, int]]:
    """Return ranges of users in their order, at least of those that a predicate of users lets through."""
    if predicate is None:
        yield 0, expansion.shape[0]
        return
    for passing in _passing(expansion, predicate, 0, expansion.shape[0]):
        breaks = np.flatnonzero(np.diff(passing) > _GAP)
        firsts, lasts = (
            passing[np.append(0, breaks + 1)[: len(passing)]],
            passing[np.append(breaks, -1)[: len(passing)]],
        )
        yield from ((int(start), int(last) + 1) for start, last in zip(firsts, lasts, strict=True))
