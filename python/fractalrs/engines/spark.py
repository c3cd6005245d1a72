"""Spark: an expansion that is on no disk as a source of rows, and a data set whose parts are written by tasks.

``spark.read.format("fractalrs").load(path)`` finds `ExpansionSource` by itself from Spark 4 on, where fractalrs is
installed on all machines.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from fractalrs.dataset import Dataset, finish, plan
from fractalrs.engines.work import Parts, Ranges
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion

_TYPES = {
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "STRING",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP_NTZ",
    pa.timestamp("us", "UTC"): "TIMESTAMP",
}
"""What Spark calls the types that expansions have, of timestamps the only ones that it has."""
OPTIONS = ("split", "users", "columns", "parts")
"""What ``option(name, value)`` takes."""


class ExpansionSource(DataSource):
    """The interactions of a saved expansion: ``spark.read.format("fractalrs").option("split", "test").load(path)``.

    Options, all of them texts: ``split`` (``train``, by default, ``valid`` or ``test``), ``users`` (``0:1000``, without
    the last), ``columns`` (``user_id,item_id``: those that are left out are not made), ``parts`` (into how many the
    whole expansion is cut: each is a partition). Rows of a partition are in the order of files. Timestamps are in
    microseconds, of finer ones the rest is cut off.
    """

    @classmethod
    def name(cls) -> str:
        """Return the name that ``format`` takes."""
        return "fractalrs"

    def schema(self) -> str:
        """Return the columns as Spark calls them."""
        _, columns = _asked(self.options)
        return ", ".join(
            f"`{field.name.replace('`', '``')}` {_TYPES[field.type]}{'' if field.nullable else ' NOT NULL'}"
            for field in columns
        )

    def reader(self, schema: Any) -> DataSourceReader:
        """Return what makes the rows."""
        names = [name.lower() for name in schema.names]
        ranges, columns = _asked(self.options)
        if names != [name.lower() for name in columns.names]:
            hint = f'leave the schema out, and choose columns by .option("columns", "{",".join(columns.names)}")'
            raise InputError(f"the schema given has the columns {', '.join(schema.names)}", hint)
        # Sail hands over Arrow's schema, in which it has lost the time zone of timestamps.
        return _Reader(ranges, schema if isinstance(schema, pa.Schema) else columns)


class _Reader(DataSourceReader):
    """Rows of ranges of users, each range a partition; it is sent to every task."""

    def __init__(self, ranges: Ranges, schema: pa.Schema) -> None:
        self._ranges, self._schema = ranges, schema

    def partitions(self) -> Sequence[InputPartition]:
        """Return the ranges of users."""
        return [InputPartition(users) for users in self._ranges.users]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Make the rows of one."""
        for batch in self._ranges.batches(*partition.value):
            columns = [
                # Nothing but nanoseconds does not fit.
                column.cast(field.type, safe=not pa.types.is_timestamp(field.type))
                for column, field in zip(batch.columns, self._schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self._schema)


def write(spark: Any, expansion: Expansion, url: str, **options: Any) -> Dataset:
    """Write a data set whose parts are made by Spark's tasks, in any order, retried and speculated as it likes.

    The files are those of `fractalrs.write`, byte for byte. The plan appears first, the manifest last; what is finished
    stays, and the same call goes on.

    Parameters
    ----------
    spark
        The session, also of Connect.
    expansion
        It has to be saved (`Expansion.save`) where all machines read it. Each worker loads it once.
    url
        Where the data set will be, for all machines the same.
    **options
        As `fractalrs.plan` takes them.

    Raises
    ------
    InputError, OutputError
        If the expansion is not saved, or the place cannot be used: before any task starts.

    Examples
    --------
    ::

        expansion.save("/shared/expansion")
        spark.write(session, expansion, "/shared/out", parts=512)
    """
    made = plan(expansion, **options)
    parts = Parts.begin(made, url)

    def make(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.record_batch({"rows": [parts.write(part) for part in batch["id"].to_pylist()]})

    spark.range(0, parts.count, 1, parts.count).mapInArrow(make, "rows long").collect()
    return finish(made, parts.place)


def _asked(options: Any) -> tuple[Ranges, pa.Schema]:
    """Return what a reader is asked for, and its columns in types that Spark has."""
    given = {name: value for name, value in options.items() if name != "path"}
    for name in given:
        if name not in OPTIONS:
            raise InputError(f"the option {name} does not exist", hint=f"choose from {', '.join(OPTIONS)}")
    if "path" not in options:
        raise InputError("no path is given", hint="load(path) takes the path that Expansion.save got")
    expansion = Expansion.load(options["path"])
    users, columns, parts = (given.get(name) for name in ("users", "columns", "parts"))
    ranges = Ranges.of(
        expansion,
        options["path"],
        given.get("split", "train"),
        users=None if users is None else _pair(users),
        columns=None if columns is None else [name.strip() for name in columns.split(",")],
        parts=None if parts is None else _whole(parts),
    )
    schema = expansion.stream(columns=ranges.columns).schema
    return ranges, pa.schema([field.with_type(_spark_type(field.type)).remove_metadata() for field in schema])


def _spark_type(kind: pa.DataType) -> pa.DataType:
    if not pa.types.is_timestamp(kind):
        return kind
    return pa.timestamp("us", None if kind.tz is None else "UTC")


def _pair(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None:
        raise InputError(f"the option users is {text!r}", hint="give two numbers, such as 0:1000")
    return int(match[1]), int(match[2])


def _whole(text: str) -> int:
    if not text.strip().isdecimal():
        raise InputError(f"the option parts is {text!r}; it must be a whole number")
    return int(text)
