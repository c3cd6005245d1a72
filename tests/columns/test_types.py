"""Types of columns: timestamps keep theirs, and plain numbers carry with them what an hour is."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fractalrs.columns import (
    ALIASES,
    hour_by_size,
    one_chunk,
    settled_field,
    simplify,
    ticks,
    ticks_per_hour,
    timestamp_field,
    timestamps_from_ticks,
)
from fractalrs.errors import InputError

KINDS = [pa.int64(), pa.date32(), *(pa.timestamp(unit, zone) for unit in ("ms", "us", "ns") for zone in (None, "UTC"))]


def test_aliases_are_written_as_they_are_compared() -> None:
    every = [alias for aliases in ALIASES.values() for alias in aliases]
    assert every == [simplify(alias) for alias in every]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("kind", KINDS)
def test_ticks_and_back(kind: pa.DataType) -> None:
    numbers = np.array([0, 1, 2**31 - 1 if kind == pa.date32() else 2**63 - 1])
    column = timestamps_from_ticks(pa.array(numbers), kind)
    assert column.type == kind
    assert ticks(column).tolist() == numbers.tolist()
    assert ticks(pa.chunked_array([column[:1], column[1:]])).tolist() == numbers.tolist()


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    "kind", ["int8", "uint16", "int32", "int64", "uint64", "float64", "bool", "string", "date32[day]"]
)
def test_chunks_become_one(kind: str, missing: bool) -> None:
    whole = pa.array([1, 0, 1, None if missing else 0, 1, 1, 0]).cast(pa.int32()).cast(kind)
    column = pa.chunked_array([whole[:2], whole[2:2], whole[2:6], whole[6:]])
    assert one_chunk(column).equals(whole)


def test_the_largest_numbers_become_one_chunk() -> None:
    column = pa.chunked_array([[2**64 - 1], [2**63, 0]], pa.uint64())
    assert one_chunk(column).equals(pa.array([2**64 - 1, 2**63, 0], pa.uint64()))


@pytest.mark.parametrize("hour", [None, 1, 7, 3600])
def test_the_hour_of_numbers_goes_with_their_field(hour: int | None) -> None:
    field = timestamp_field(pa.int64(), hour)
    assert ticks_per_hour(field) == hour
    # What was decided stays, whatever the numbers that are left.
    assert ticks_per_hour(settled_field(field, pa.array([10**12]))) == hour
    table = pa.table([[10**12, 5]], schema=pa.schema([field]))
    for other in (table.slice(1), table.take([0]), table.select(["timestamp"]), pa.concat_tables([table, table])):
        assert ticks_per_hour(other.schema.field("timestamp")) == hour


def test_an_undecided_hour_is_decided_by_size() -> None:
    field = pa.field("timestamp", pa.int64())
    assert ticks_per_hour(field) is None
    assert ticks_per_hour(settled_field(field, pa.array([10**9]))) == 3600
    assert ticks_per_hour(settled_field(field, pa.array([7]))) is None
    assert hour_by_size(np.array([10**12, 0])) == 3_600_000


@pytest.mark.parametrize(("kind", "hour"), [(pa.date32(), None), (pa.timestamp("us", "UTC"), 3_600_000_000)])
def test_the_hour_of_times_is_that_of_their_type(kind: pa.DataType, hour: Any) -> None:
    field = timestamp_field(kind)
    assert ticks_per_hour(field) == ticks_per_hour(settled_field(field, pa.array([1], kind))) == hour
    assert settled_field(field.with_metadata({b"fractalrs.ticks_per_hour": b"7"}), pa.array([1], kind)) == field


@pytest.mark.parametrize("said", [b"0", b"-1", b"1.5", b"", b"\xff"])
def test_an_hour_that_is_no_number_is_refused(said: bytes) -> None:
    with pytest.raises(InputError, match=r"fractalrs\.ticks_per_hour of the field 'timestamp' is '"):
        ticks_per_hour(pa.field("timestamp", pa.int64(), metadata={b"fractalrs.ticks_per_hour": said}))
