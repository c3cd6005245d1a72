"""The stream: interactions of an expansion as Arrow record batches, made while they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fractalrs._core import Generator
from fractalrs._core import Stream as Pieces
from fractalrs.columns import checked_moment, moment_ticks
from fractalrs.errors import InputError
from fractalrs.expansion.functions import FunctionGenerator
from fractalrs.expansion.payload import Payload
from fractalrs.tools import Shown, checked_texts
from fractalrs.words import Split

BATCH_SIZE = 131_072
"""So many interactions a batch has at the most, by default."""
_SMALLEST_PIECE = 65_536
_LARGEST_PIECE = 1 << 22
"""Threads make pieces of about so many interactions, of which batches are cut."""


@dataclass(frozen=True, repr=False)
class Stream(Shown):
    """Interactions of one split in their order, as Arrow record batches: made while they are read, as often as wanted.

    Whatever the threads and the batch size, it gives the rows of `Expansion.table`. Threads start with the first batch
    of an iteration and make the next ones ahead; they end with it, or when it is dropped. Every reader of Arrow streams
    takes it: ``polars.DataFrame(stream)``, ``pyarrow.table(stream)``, DuckDB's ``FROM stream``.

    Parameters
    ----------
    schema
        The columns, in their order.
    split, users, batch_size, threads
        As `Expansion.stream` takes them.
    ticks
        The first tick of its timestamps and the one after the last; None for all.

    Examples
    --------
    >>> import pyarrow as pa
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)
    >>> stream = expansion.stream(columns=["item_id"], batch_size=100)
    >>> max(len(batch) for batch in stream) <= 100
    True
    >>> pa.table(stream).equals(expansion.table(0, 120).select(["item_id"]))
    True
    """

    schema: pa.Schema
    split: Split
    users: tuple[int, int]
    ticks: tuple[int, int] | None
    batch_size: int
    threads: int
    _generator: Generator | FunctionGenerator
    _payload: Payload

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        names = self.schema.names
        carried = [name for name in names if name not in ("user_id", "item_id")]
        piece = min(max(self.batch_size, _SMALLEST_PIECE), _LARGEST_PIECE)
        wanted = {"with_users": "user_id" in names, "carrying": bool(carried or self.ticks), "interactions": piece}
        for users, items, *rest in self._pieces(wanted):
            ids = {"user_id": users, "item_id": items}
            gathered = dict(zip(carried, self._payload.gather(carried, *rest), strict=True))
            arrays = [gathered[name] if name in gathered else pa.array(ids[name]) for name in names]
            batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
            if self.ticks is not None:
                start, end = self.ticks
                times = rest[1]
                batch = batch.filter(pa.array((times >= start) & (times < end)))
            yield from evenly_cut(batch, self.batch_size)

    def _pieces(self, wanted: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        first, last = self.users
        if isinstance(self._generator, FunctionGenerator):
            return self._generator.pieces(first, last, self.split)
        return iter(Pieces(self._generator, first, last, self.split, **wanted, threads=self.threads))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand it over as an Arrow stream."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self)).__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Hand the schema over, for readers that ask for it before they read."""
        return self.schema.__arrow_c_schema__()


def evenly_cut(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch, without a copy, into batches of nearly equal length, none longer than so much or empty.

    Examples
    --------
    >>> import pyarrow as pa
    >>> [len(piece) for piece in evenly_cut(pa.record_batch({"item_id": range(10)}), 4)]
    [3, 3, 4]
    """
    count = -(-len(batch) // most)
    for number in range(count):
        start, end = len(batch) * number // count, len(batch) * (number + 1) // count
        yield batch.slice(start, end - start)


def chosen_schema(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """Return the schema of some columns in the order in which they are asked for, all by default."""
    if columns is None:
        return schema
    names = checked_texts("columns", columns)
    for name in names:
        if name not in schema.names or names.count(name) > 1:
            why = "is asked for twice" if name in schema.names else "does not exist"
            raise InputError(f"the column {name!r} {why}", hint=f"choose from {', '.join(schema.names)}")
    if not names:
        raise InputError("columns is empty", hint=f"choose from {', '.join(schema.names)}")
    return pa.schema([schema.field(name) for name in names])


def ticks_between(first: Any, last: Any, schema: pa.Schema) -> tuple[int, int]:
    """Return dates, or ticks, as ticks of the timestamps."""
    if "timestamp" not in schema.names:
        raise InputError("interactions get no times", hint="expand with timestamps=True")
    field = schema.field("timestamp")
    start, end = (moment_ticks("time", checked_moment("time", moment), field) for moment in (first, last))
    return start, end
