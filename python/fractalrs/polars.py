"""Polars: expansions and data sets as lazy frames, of which only what a query needs is made or read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fractalrs.dataset import Dataset
from fractalrs.expansion import BATCH_SIZE, Expansion
from fractalrs.tools import check_kind, installed, resolve_threads
from fractalrs.words import Split

if TYPE_CHECKING:
    import polars as pl

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
        An expansion, which needs no file; or a data set in a local folder.
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
    if isinstance(source, Dataset):
        files = [source.path / file.path for file in source.files(split)]
        if not files:
            return pl.LazyFrame(pl.from_arrow(source.schema.empty_table()))
        return pl.scan_parquet(files, glob=False, hive_partitioning=False)
    stream = source.stream(split, threads=resolve_threads(threads))
    empty = pl.DataFrame(stream.schema.empty_table())

    def read(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        names = with_columns if with_columns is not None else stream.schema.names
        filtered_by = [] if predicate is None else predicate.meta.root_names()
        # A frame without columns would not know its length.
        made = list(dict.fromkeys([*names, *filtered_by])) or ["item_id"]
        left = n_rows
        for users in _ranges(source, predicate if {*filtered_by} == {"user_id"} else None):
            part = source.stream(
                split, users=users, columns=made, batch_size=batch_size or BATCH_SIZE, threads=stream.threads
            )
            for batch in part:
                frame = pl.DataFrame(batch)
                if predicate is not None:
                    frame = frame.filter(predicate)
                if left is not None:
                    frame = frame.head(left)
                    left -= frame.height
                yield frame.select(names) if names else frame
                if left == 0:
                    return

    return register_io_source(read, schema=empty.schema, is_pure=True)


def _ranges(expansion: Expansion, predicate: "pl.Expr | None") -> Iterator[tuple[int, int]]:
    """Return ranges of users in their order, at least of those that a predicate of users lets through."""
    if predicate is None:
        yield 0, expansion.shape[0]
        return
    import polars as pl

    kind = expansion.schema.field("user_id").type.to_pandas_dtype()
    for first in range(0, expansion.shape[0], _IDS):
        ids = np.arange(first, min(first + _IDS, expansion.shape[0]), dtype=kind)
        passing = pl.DataFrame({"user_id": ids}).filter(predicate)["user_id"].to_numpy()
        breaks = np.flatnonzero(np.diff(passing) > _GAP)
        firsts, lasts = (
            passing[np.append(0, breaks + 1)[: len(passing)]],
            passing[np.append(breaks, -1)[: len(passing)]],
        )
        yield from ((int(start), int(last) + 1) for start, last in zip(firsts, lasts, strict=True))
