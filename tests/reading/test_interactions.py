"""Reading: every source that is promised, ids unchanged, and errors that say where."""

import bz2
import errno
import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fractalrs.columns import Wanted
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.reading import AttributeTable, Interactions, read_interactions, write_interactions
from fractalrs.reading.readers import interactions_of
from fractalrs.reading.source import SOURCE_FORMATS, Asked, Source, SourceFormat, register
from fractalrs.reading.sources.memory import open_table
from fractalrs.reading.sources.text import OneByteDelimiter, open_text
from fractalrs.words import USERS
from helpers.sources import CELLS, FOUR, Write, ids, rows


def read_in_blocks(path: Path, size: int, carry: tuple[str, ...] = (), **asked: Any) -> Interactions:
    """Read a text file so many bytes at a time."""
    wanted = Wanted({}, carry)
    source = open_text(path, Asked(wanted, **asked), block_bytes=size, longest_line_bytes=size)
    return interactions_of(source, wanted)


# --- text files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", " ", "::", "||", ", ", "<>", "¦"])
@pytest.mark.parametrize("header", ["userId,movieId,rating,timestamp\n", ""])
def test_any_delimiter_with_and_without_header(write: Write, delimiter: str, header: str) -> None:
    path = write((header + CELLS).replace(",", delimiter), "ratings.dat")
    found_alone = delimiter in (",", "\t", ";", "|", " ", "::")
    assert rows(read_interactions(path, delimiter=None if found_alone else delimiter)) == FOUR
    assert rows(read_interactions(path, delimiter=delimiter, header=bool(header), threads=1)) == FOUR


@pytest.mark.parametrize("block", [1, 2, 3, 7])
@pytest.mark.parametrize("delimiter", ["::", "aab", "<>"])
def test_a_delimiter_across_blocks_is_still_one(tmp_path: Path, block: int, delimiter: str) -> None:
    text = f"x:{delimiter}y::{delimiter}a\n:<{delimiter}aa{delimiter}>".encode()
    (tmp_path / "file").write_bytes(text)
    with pa.OSFile(str(tmp_path / "file")) as file:
        stream = OneByteDelimiter(file, delimiter, tmp_path)
        out = b"".join(iter(lambda: stream.read(block), b""))
    assert out == text.replace(delimiter.encode(), b"\x1f")


def test_ids_with_part_of_the_delimiter_survive(write: Write) -> None:
    read = read_interactions(write("a:b::c:d::3\na:::x::4\n", "x.dat"))
    assert rows(read) == [("a:b", "c:d", 3.0), ("a", ":x", 4.0)]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
@pytest.mark.parametrize("header", ["user_id,item_id,rating,timestamp\n", ""])
def test_line_ends_byte_order_marks_and_empty_lines(write: Write, ending: str, start: str, header: str) -> None:
    text = start + header + CELLS.replace("\n", "\n\n", 1)
    assert rows(read_interactions(write(text.replace("\n", ending).rstrip("\r\n")))) == FOUR


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".zst", lambda b: pa.compress(b, "zstd", asbytes=True))],
)
@pytest.mark.parametrize("named", [True, False])
def test_compressed(write: Write, suffix: str, compress: Callable[[bytes], bytes], named: bool) -> None:
    packed = compress(CELLS.encode())
    assert rows(read_interactions(write(packed, "ratings.csv" + suffix if named else "ratings"))) == FOUR


def test_concatenated_gzip_members(write: Write) -> None:
    first, rest = CELLS.split("\n", 1)
    path = write(gzip.compress(first.encode() + b"\n") + gzip.compress(rest.encode()), "r.csv.gz")
    assert rows(read_interactions(path)) == FOUR


def test_plain_text_under_a_compressed_name(write: Write) -> None:
    assert rows(read_interactions(write(CELLS, "ratings.csv.gz"))) == FOUR


def test_quoted_cells_hold_anything(write: Write) -> None:
    text = (
        'date,"user_id",text,business_id,stars\n2020-01-02,"a,""b""","long\n\nreview, really",c,5\n2020-01-03,d,,e,1\n'
    )
    read = read_interactions(write(text))
    assert rows(read) == [('a,"b"', "c", 5.0, datetime(2020, 1, 2)), ("d", "e", 1.0, datetime(2020, 1, 3))]
    assert any("'text'" in note and "not used" in note for note in read.notes)


def test_quotes_between_tabs_are_characters(write: Write) -> None:
    assert rows(read_interactions(write('u\t"weird\nv\tx"y\n', "a.tsv"))) == [("u", '"weird'), ("v", 'x"y')]


def test_inter(write: Write) -> None:
    text = "item_id:token\tuser_id:token\trating:float\ttimestamp:float\n10\t2\t4.5\t900000001.0\n7\t1\t3\t900000002\n"
    for name in ("ml.inter", "ml.txt"):
        read = read_interactions(write(text, name))
        assert rows(read) == FOUR[:2]
        assert read.table.schema.field("timestamp").type == pa.int64()
    assert rows(read_interactions(write(text, "x"), format="inter", user_column="user_id:token")) == FOUR[:2]


def test_fractional_timestamps_are_rounded_down_and_said(write: Write) -> None:
    read = read_interactions(write("user_id,item_id,timestamp\n1,2,12.75\n1,3,13.0\n"))
    assert rows(read) == [(1, 2, 12), (1, 3, 13)]
    assert any("rounded down" in note for note in read.notes)


def test_one_user_per_line(write: Write) -> None:
    text = "0 5 3\n1 5\n\n2 \n3 9 5 7 \n"
    read = read_interactions(write(text, "train.txt"))
    assert rows(read) == [(0, 5), (0, 3), (1, 5), (3, 9), (3, 5), (3, 7)]
    assert "one user per line" in read.notes[0]
    assert rows(read_interactions(write(text.replace(" ", "\t"), "train.txt"))) == rows(read)
    assert rows(read_interactions(write(gzip.compress(text.encode()), "train.txt.gz"), threads=1)) == rows(read)
    commas = write("u1,x y,z\nu2,z\n", "train.csv")
    assert rows(read_interactions(commas, format="lines", delimiter=",")) == [("u1", "x y"), ("u1", "z"), ("u2", "z")]


def test_lines_of_equal_counts_are_a_table_unless_asked(write: Write) -> None:
    path = write("1 5 3\n2 6 4\n", "train.txt")
    assert rows(read_interactions(path)) == [(1, 5, 3.0), (2, 6, 4.0)]
    assert rows(read_interactions(path, format="lines")) == [(1, 5), (1, 3), (2, 6), (2, 4)]


def test_lines_across_batches_keep_their_numbers(write: Write) -> None:
    text = "".join(f"{user},{user + 1},{user + 2}\n" for user in range(100))
    read = read_in_blocks(write(text), 64, format="lines", delimiter=",")
    assert rows(read) == [(user, user + more) for user in range(100) for more in (1, 2)]
    with pytest.raises(InputError, match="line 101: an id is missing"):
        read_in_blocks(write(text + "7,,8\n"), 64, format="lines", delimiter=",")


# --- headers and column names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "userId,movieId,rating,timestamp",
        "reviewerID,asin,overall,unixReviewTime",
        "user_id,parent_asin,rating,timestamp",
        "USER_ID,Item_ID,Rating,Timestamp",
        "user id,item id,rating,timestamp",
        "User-ID,ISBN,Book-Rating,time",
        "user_id,business_id,stars,date",
        "userID,artistID,weight,ts",
        "customer_id,article_id,count,t_dat",
        "CustomerID,MovieID,Rating,Date",
        "visitorid,itemid,value,timestamp",
        "author.steamid,app_id,hours,created_at",
        "user_id,anime_id,score,time",
        "user,location_id,rating,check-in time",
        "uid,iid,rating,ts",
    ],
)
def test_usual_names(write: Write, header: str) -> None:
    assert rows(read_interactions(write(header + "\n" + CELLS))) == FOUR
    # Names decide, not places.
    cells = [line.split(",")[::-1] for line in (header + "\n" + CELLS).splitlines()]
    turned = "".join(",".join(line) + "\n" for line in cells)
    assert rows(read_interactions(write(turned))) == FOUR


def test_the_better_of_two_known_names_wins(write: Write) -> None:
    text = "user_id,asin,parent_asin,rating,timestamp\n1,c,p,5,7\n"
    assert ids(read_interactions(write(text)), "item_id") == ["p"]
    assert ids(read_interactions(write(text), item_column="asin"), "item_id") == ["c"]


def test_columns_by_name_and_position(write: Write) -> None:
    path = write("who,what,when,grade\n2,10,900000001,4.5\n")
    named = {"user_column": "who", "item_column": "What", "rating_column": "grade", "timestamp_column": "when"}
    assert rows(read_interactions(path, **named)) == FOUR[:1]  # type: ignore[arg-type]
    by_position = read_interactions(path, user_column=1, item_column="2", rating_column=4, timestamp_column="3")
    assert rows(by_position) == FOUR[:1]
    assert rows(read_interactions(path, user_column="who", item_column="what")) == [(2, 10)]
    headless = write("x,10,2,y,5\nx,11,2,y,4\n")
    assert rows(read_interactions(headless, user_column=3, item_column="2")) == [(2, 10), (2, 11)]
    assert rows(read_interactions(headless, user_column=3, item_column=2, rating_column=5)) == [
        (2, 10, 5.0),
        (2, 11, 4.0),
    ]


def test_without_names_a_time_is_known_by_its_looks(write: Write) -> None:
    assert rows(read_interactions(write("1,2,900000001\n"))) == [(1, 2, 900000001)]
    assert read_interactions(write("1,2,900000001\n")).columns == ["user_id", "item_id", "timestamp"]
    assert read_interactions(write("1,2,3\n")).columns == ["user_id", "item_id", "rating"]
    assert rows(read_interactions(write("1,2,2020-01-01,5\n"))) == [(1, 2, 5.0, datetime(2020, 1, 1))]
    counted = write("1,2,5,3\n")
    with pytest.raises(InputError, match=r"column 4 should hold the timestamp; saw .* '3' in column 4"):
        read_interactions(counted)
    assert rows(read_interactions(counted, timestamp_column=4)) == [(1, 2, 5.0, 3)]


def test_a_header_is_found_by_what_does_not_parse(write: Write) -> None:
    with pytest.raises(InputError, match="'who', 'what', 'grade'"):
        read_interactions(write("who,what,grade\na,b,3\nc,d,4\n"))
    assert rows(read_interactions(write("a,b,3\nc,d,4\n"))) == [("a", "b", 3.0), ("c", "d", 4.0)]
    assert rows(read_interactions(write("item,user\nc,d\n"), header=False)) == [("item", "user"), ("c", "d")]
    assert rows(read_interactions(write("a,b\nc,d\n"), header=True, user_column="a", item_column="b")) == [("c", "d")]


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["0054890", "+1", "-0", "1.0", "0x1F", "9223372036854775808", "NA", "null", "é"])
def test_one_odd_id_keeps_the_column_as_text(write: Write, odd: str) -> None:
    read = read_interactions(write(f"user_id,item_id\n1,{odd}\n2,10\n3,9\n"))
    assert ids(read, "item_id") == [odd, "10", "9"]
    assert ids(read, "user_id") == [1, 2, 3]
    assert any("item_id: 3 distinct strings" in note for note in read.notes)


def test_integers_sort_as_numbers_and_text_by_bytes(write: Write) -> None:
    read = read_interactions(write("user_id,item_id\n10,b\n-9,é\n9,\U0001f600\n10,\uffff\n9223372036854775807,B\n"))
    assert read.codes("user_id")[1].to_pylist() == [-9, 9, 10, 2**63 - 1]
    assert read.codes("item_id")[1].to_pylist() == ["B", "b", "é", "\uffff", "\U0001f600"]
    codes = read.codes("user_id")[0]
    assert codes.dtype == np.int32
    assert codes.tolist() == [2, 0, 1, 2, 3]


# Blanks around an id are no part of it.
ANY_ID = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda text: text == text.strip(" \t")
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(pairs=st.lists(st.tuples(ANY_ID | st.integers(0, 10**20).map(str), ANY_ID), min_size=1))
def test_any_ids_survive_csv(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    def quote(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    path = tmp_path / "any.csv"
    lines = [f"{quote(user)},{quote(item)}\n" for user, item in pairs]
    path.write_bytes(("user_id,item_id\n" + "".join(lines)).encode())
    read = read_interactions(path, missing_ids="keep")
    for column, texts in zip(("user_id", "item_id"), zip(*pairs, strict=True), strict=True):
        found = ids(read, column)
        assert [str(one) for one in found] == list(texts)
        distinct = read.codes(column)[1].to_pylist()
        assert distinct == sorted(set(found), key=lambda one: one if isinstance(one, int) else one.encode())


# --- timestamps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ticks", "kind"),
    [
        ("1970-01-02", 86_400_000, pa.timestamp("ms")),
        ("1970-01-01 00:01:40", 100_000, pa.timestamp("ms")),
        ("1970-01-01T01:00:00Z", 3_600_000, pa.timestamp("ms", "UTC")),
        ("1970-01-01T01:00:00+01:00", 0, pa.timestamp("ms", "UTC")),
        ("1970-01-01 00:01:40 UTC", 100_000, pa.timestamp("ms")),
        ("1970-01-01 00:00:01.25", 1_250, pa.timestamp("ms")),
        ("1970-01-01 00:00:01.0025", 1_002_500, pa.timestamp("us")),
        ("1970-01-01T00:00:01.000000001", 1_000_000_001, pa.timestamp("ns")),
    ],
)
def test_written_dates_are_ticks_of_a_type(write: Write, text: str, ticks: int, kind: pa.DataType) -> None:
    read = read_interactions(write(f"user_id,item_id,date\n1,2,{text}\n1,3,{text}\n"))
    assert read.timestamps is not None
    assert read.timestamps.tolist() == [ticks, ticks]
    assert read.timestamp_type == kind
    assert pa.table(read)["timestamp"].type == kind
    assert any("dates, counted in" in note for note in read.notes)


def test_a_later_finer_value_changes_how_all_are_read(write: Write) -> None:
    text = "user_id,item_id,time\n1,2,{}\n" + "1,2,{}\n" * 1200 + "1,2,{}\n"
    late = read_interactions(write(text.replace("{}", "5", 1201).replace("{}", "6.0"))).timestamps
    assert late is not None
    assert late[[0, -1]].tolist() == [5, 6]
    day = "1970-01-01 00:00:0"
    late = read_interactions(write(text.replace("{}", day + "1", 1201).replace("{}", day + "2.5"))).timestamps
    assert late is not None
    assert late[[0, -1]].tolist() == [1_000, 2_500]


# --- binary files -----------------------------------------------------------------------------------------------------


def as_table() -> pa.Table:
    users, items, ratings, times = zip(*FOUR, strict=True)
    return pa.table({"userId": users, "movieId": items, "rating": ratings, "timestamp": times})


def test_parquet_file_and_folder(tmp_path: Path) -> None:
    table = as_table()
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    pq.write_table(table.slice(0, 1), folder / "a.parquet")
    pq.write_table(table.slice(1, 1), folder / "b" / "x.parquet")
    pq.write_table(table.slice(2, 1), folder / "c.parquet")
    (folder / "_SUCCESS").touch()
    (folder / "_temporary.parquet").write_text("not read")
    assert rows(read_interactions(folder)) == FOUR
    assert rows(read_interactions(str(folder / "a.parquet"), format="parquet", threads=1)) == FOUR[:1]
    pq.write_table(table, tmp_path / "no_suffix", row_group_size=1)
    assert rows(read_interactions(tmp_path / "no_suffix")) == FOUR
    picked = read_interactions(tmp_path / "no_suffix", user_column="movieId", item_column=1)
    assert rows(picked)[0][:2] == (10, 2)


@pytest.mark.parametrize("kind", ["csr_matrix", "coo_array", "csc_array"])
def test_sparse_file_and_value(tmp_path: Path, kind: str) -> None:
    build = getattr(scipy.sparse, kind)
    rated = build(np.array([[0, 2.5, 0], [0, 0, 0], [1, 0, 4]]))
    scipy.sparse.save_npz(tmp_path / "m.npz", rated)
    for source in (tmp_path / "m.npz", rated):
        assert sorted(rows(read_interactions(source))) == [(0, 1, 2.5), (2, 0, 1.0), (2, 2, 4.0)]
    ones = read_interactions(build(np.array([[0, 1], [1, 1]], dtype=np.int8)))
    assert ones.columns == ["user_id", "item_id"]
    assert sorted(rows(ones)) == [(0, 1), (1, 0), (1, 1)]


def test_stored_zeros_are_no_interactions() -> None:
    read = read_interactions(scipy.sparse.coo_array(([1, 0, 1], ([0, 1, 2], [0, 1, 1]))))
    assert rows(read) == [(0, 0), (2, 1)]
    assert any("1 stored zeros" in note for note in read.notes)


# --- values in memory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        lambda table: table,
        lambda table: table.to_reader(max_chunksize=2),
        lambda table: table.to_batches()[0],
        lambda table: table.to_pandas(),
        lambda table: table.to_pandas().iloc[[0, 1, 2]].set_index(pd.Index([7, 8, 9])),
        pl.from_arrow,
        lambda _: np.array(FOUR),
        lambda _: np.array([[str(cell) for cell in row] for row in FOUR]),
        lambda _: np.array(FOUR, dtype=[("user", "i4"), ("item", "u8"), ("rating", "f4"), ("time", "i8")]),
        lambda _: pd.DataFrame(FOUR),
        read_interactions,
        lambda table: table.set_column(0, "userId", table["userId"].cast(pa.large_string()).dictionary_encode()),
        lambda table: table.to_pandas().astype({"userId": "category", "movieId": "float"}),
        lambda table: pl.DataFrame(table).cast({"userId": pl.String, "movieId": pl.UInt16}),
    ],
)
def test_values_in_memory(convert: Callable[[pa.Table], Any]) -> None:
    assert rows(read_interactions(convert(as_table()))) == FOUR


def test_an_object_with_an_arrow_stream_is_enough() -> None:
    class Source:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return as_table().__arrow_c_stream__(requested_schema)

    assert rows(read_interactions(Source())) == FOUR


def test_interactions_pass_through() -> None:
    read = read_interactions(as_table())
    assert read_interactions(read) is read


@pytest.mark.parametrize(
    ("values", "ticks", "kind"),
    [
        (pa.array([1, 2], pa.timestamp("s")), [1000, 2000], pa.timestamp("ms")),
        (pa.array([1000, 2000], pa.timestamp("ms")), [1000, 2000], pa.timestamp("ms")),
        (pa.array([1, 2], pa.timestamp("s", "UTC")), [1000, 2000], pa.timestamp("ms", "UTC")),
        (pa.array([1000, 2000], pa.timestamp("us", "Europe/Paris")), [1000, 2000], pa.timestamp("us", "Europe/Paris")),
        (pa.array([1, 2], pa.timestamp("ns")).dictionary_encode(), [1, 2], pa.timestamp("ns")),
        (pa.array([1, 2], pa.date32()), [1, 2], pa.date32()),
        (pa.array([86_400_000, 172_800_000], pa.date64()), [1, 2], pa.date32()),
        (pa.array(["12", "13"]), [12, 13], pa.int64()),
        (pa.array(["1970-01-02", "1970-01-03"], pa.large_string()), [86_400_000, 172_800_000], pa.timestamp("ms")),
        (pa.array([3.0, 4.9], pa.float32()), [3, 4], pa.int64()),
        (pa.array([3, 4], pa.uint16()), [3, 4], pa.int64()),
    ],
)
def test_timestamps_in_memory(values: pa.Array, ticks: list[int], kind: pa.DataType) -> None:
    read = read_interactions(pa.table({"user": [1, 1], "item": [1, 2], "time": values}))
    assert read.timestamps is not None
    assert read.timestamps.dtype == np.int64
    assert read.timestamps.tolist() == ticks
    assert read.timestamp_type == read.table["timestamp"].type == kind
    # What is exported is what was read: the same again, of the same type.
    again = read_interactions(pa.table(read))
    assert again.table.equals(read.table)
    assert again.timestamp_type == kind


HOUR = 3600


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([10**8, 10**11 - 1], HOUR),
        ([10**11, 10**14 - 1], HOUR * 10**3),
        ([10**14, 10**17 - 1], HOUR * 10**6),
        ([10**17, 2**63 - 1], HOUR * 10**9),
        ([0, 1_400_000_000, 0], HOUR),
        ([0, 0], None),
        ([2019, 2020], None),
        ([10**8 - 1, 1_400_000_000], None),
        (pa.array([1_400_000_000.5]), HOUR),
        (pa.array([0], pa.timestamp("s")), HOUR * 10**3),
        (pa.array([0], pa.timestamp("ms")), HOUR * 10**3),
        (pa.array([0], pa.timestamp("us", "UTC")), HOUR * 10**6),
        (pa.array([1, 10**15], pa.timestamp("ns")), HOUR * 10**9),
        (pa.array([18_000], pa.date32()), None),
    ],
)
def test_an_hour_is_known_by_type_or_size(values: Any, expected: int | None) -> None:
    values = pa.array(values) if isinstance(values, list) else values
    n = len(values)
    assert read_interactions(pa.table({"user": [1] * n, "item": [2] * n, "time": values})).ticks_per_hour == expected


def test_without_timestamps_there_is_no_type() -> None:
    read = read_interactions(as_table().drop(["timestamp"]))
    assert (read.timestamps, read.timestamp_type, read.ticks_per_hour) == (None, None, None)


def test_mixed_units_are_refused(write: Write) -> None:
    times = [7, 1_400_000_000, 0, 1_500_000_000, 1_400_000_000_000, 1_400_000_000_000_000]
    path = write("user_id,item_id,timestamp\n" + "".join(f"1,2,{time}\n" for time in times))
    with pytest.raises(InputError) as error:
        read_interactions(path)
    assert str(error.value) == (
        f"{path}: row 5: the timestamp 1400000000000 looks like milliseconds since 1970, and 1400000000 in row 2 like "
        "seconds\nhint: convert all timestamps to one unit, or correct the row"
    )
    # Also where the first is the larger one.
    with pytest.raises(
        InputError, match=r"row 2: the timestamp 1500000000 looks like seconds .* 10{17} in row 1 like n"
    ):
        read_interactions(pa.table({"user": [1, 1], "item": [1, 2], "time": [10**17, 1_500_000_000]}))


def test_dictionaries_may_hold_unused_and_repeated_values() -> None:
    sloppy = pa.DictionaryArray.from_arrays(pa.array([3, 1, 0], pa.int8()), pa.array(["7", "8", "unused", "7"]))
    read = read_interactions(pa.table({"user": sloppy, "item": ["a", "b", "a"]}))
    assert read.codes("user_id")[1].to_pylist() == [7, 8]
    assert read.codes("user_id")[0].tolist() == [0, 1, 0]


def test_interactions_say_what_they_are() -> None:
    read = read_interactions(as_table())
    assert len(read) == 3
    assert read.columns == ["user_id", "item_id", "rating", "timestamp"]
    assert "3 interactions of 2 users and 2 items" in repr(read)
    assert pl.DataFrame(read).schema == {
        "user_id": pl.Int64,
        "item_id": pl.Int64,
        "rating": pl.Float64,
        "timestamp": pl.Int64,
    }
    with pytest.raises(ValueError, match="read-only"):
        read.codes("user_id")[0][0] = 1
    with pytest.raises(AttributeError):
        read.table = None  # type: ignore[misc]
    with pytest.raises(InputError, match="rating"):
        read.codes("rating")
    assert read_interactions(as_table().select(["userId", "movieId"])).timestamps is None


def test_integer_ratings_stay_integers() -> None:
    read = read_interactions(pa.table({"user": [1], "item": [2], "rating": pa.array([5], pa.int8())}))
    assert read.table.schema.field("rating").type == pa.int64()


# --- carried columns --------------------------------------------------------------------------------------------------

EVENTS = """userId,movieId,rating,timestamp,Event Type,session,minutes,device
2,10,4.5,900000001,view,0054,1,
1,7,3,900000002,"buy, now",17,2.5,5
2,7,1,900000003,view,,,-7
"""


def carried(interactions: Interactions) -> dict[str, list[Any]]:
    roles = ("user_id", "item_id", "rating", "timestamp")
    return {name: values for name, values in pa.table(interactions).to_pydict().items() if name not in roles}


@pytest.mark.parametrize("delimiter", [",", "\t", "::"])
@pytest.mark.parametrize("packed", [False, True])
def test_further_columns_of_text(write: Write, delimiter: str, packed: bool) -> None:
    text = EVENTS.replace("buy, now", "buy").replace('"', "").replace(",", delimiter)
    path = write(gzip.compress(text.encode()) if packed else text, "events.csv")
    read = read_interactions(path, carry=["minutes", "event-type", 6, "device"])
    assert read.columns == ["user_id", "item_id", "rating", "timestamp", "minutes", "Event Type", "session", "device"]
    assert carried(read) == {
        "minutes": [1.0, 2.5, None],
        "Event Type": ["view", "buy", "view"],
        "session": ["0054", "17", None],
        "device": [None, 5, -7],
    }
    types = [field.type for field in read.table.schema][4:]
    assert types == [pa.float64(), pa.string(), pa.string(), pa.int64()]
    assert "carried: 'minutes', 'Event Type', 'session', 'device'." in read.notes[1]
    assert "not used: 'minutes', 'device'" in read_interactions(path, carry=["Event Type", "session"]).notes[1]
    assert rows(read_interactions(path)) == FOUR


def test_quoted_further_columns(write: Write) -> None:
    assert carried(read_interactions(write(EVENTS), carry=["Event Type"])) == {
        "Event Type": ["view", "buy, now", "view"]
    }


def test_further_columns_of_inter_lose_their_type_suffix(write: Write) -> None:
    text = "user_id:token\titem_id:token\tdevice:token\tprice:float\n1\t2\tphone\t3\n2\t2\t\t4.5\n"
    path = write(text, "ml.inter")
    for name in ("device", "device:token", 3):
        assert carried(read_interactions(path, carry=[name])) == {"device": ["phone", None]}
    assert carried(read_interactions(path, carry=["price"])) == {"price": [3.0, 4.5]}


def test_further_columns_without_names_are_called_by_position(write: Write) -> None:
    path = write("1,2,x,5\n3,4,y,6\n")
    read = read_interactions(path, user_column=1, item_column=2, carry=[4, "3"])
    assert carried(read) == {"column_4": [5, 6], "column_3": ["x", "y"]}
    frame = pd.DataFrame([[1, 2, "x"], [3, 4, "y"]])
    assert carried(read_interactions(frame, user_column=1, item_column=2, carry=[3])) == {"column_3": ["x", "y"]}


def test_a_carried_name_tells_a_header(write: Write) -> None:
    path = write("a,b,c\nd,e,f\n")
    read = read_interactions(path, user_column=1, item_column=2, carry=["c"])
    assert carried(read) == {"c": ["f"]}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "-2", ""], pa.array([1, -2, None])),
        (["0", "9223372036854775807"], pa.array([0, 2**63 - 1])),
        (["1", "2.5", "-.5", "3.", "1e-05", "NaN"], pa.array([1, 2.5, -0.5, 3, 1e-05, float("nan")])),
        (["-0", "1"], pa.array([-0.0, 1.0])),
        *((["1", odd], pa.array(["1", odd])) for odd in ("007", "+5", "0x1F", "1E5", "-", ".", "1_0", "9" * 16 + ".0")),
        (["1", "9223372036854775808"], pa.array(["1", "9223372036854775808"])),
        (["1.5", "12345678901234567890"], pa.array(["1.5", "12345678901234567890"])),
        (["00", "01"], pa.array(["00", "01"])),
        (["true", "NA", "null"], pa.array(["true", "NA", "null"])),
        (["", ""], pa.array([None, None], pa.string())),
        (["2020-01-01", "é"], pa.array(["2020-01-01", "é"])),
    ],
)
def test_text_becomes_numbers_where_all_cells_are(write: Write, cells: list[str], expected: pa.Array) -> None:
    path = write("user_id,item_id,x\n" + "".join(f"1,2,{cell}\n" for cell in cells))
    found = read_interactions(path, carry=["x"]).table["x"].chunk(0)
    assert found.type == expected.type
    np.testing.assert_array_equal(found.to_numpy(zero_copy_only=False), expected.to_numpy(zero_copy_only=False))


@pytest.mark.parametrize(
    ("early", "late", "kind"),
    [
        ("5", "x", pa.string()),
        ("5", "2.5", pa.float64()),
        ("", "7", pa.int64()),
        ("2.5", "", pa.float64()),
        ("2020-01-01", "5", pa.string()),
    ],
)
@pytest.mark.parametrize("threads", [1, None])
def test_a_late_cell_decides_for_the_whole_column(
    write: Write, early: str, late: str, kind: pa.DataType, threads: int | None
) -> None:
    path = write("user_id,item_id,x\n" + f"1,2,{early}\n" * 5000 + f"1,2,{late}\n" + f"1,2,{early}\n" * 5000)
    column = read_in_blocks(path, 4096, ("x",), threads=threads).table["x"]
    assert column.type == kind
    assert column.num_chunks == 1
    cast: Callable[[str], Any] = {pa.int64(): int, pa.float64(): float}.get(kind, str)
    values = [cast(cell) if cell else None for cell in (early, late)]
    assert column.to_pylist() == [values[0]] * 5000 + [values[1]] + [values[0]] * 5000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(cells=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_any_carried_text_survives(tmp_path: Path, cells: list[str]) -> None:
    cells = [*cells, "text"]
    path = tmp_path / "any.csv"
    lines = ['1,2,"' + cell.replace('"', '""') + '"\n' for cell in cells]
    path.write_bytes(("user_id,item_id,x\n" + "".join(lines)).encode())
    assert carried(read_interactions(path, carry=["x"])) == {"x": [cell or None for cell in cells]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1)
    | st.lists(st.none() | st.floats(-1e14, 1e14), min_size=1)
)
def test_any_carried_number_survives(tmp_path: Path, values: list[Any]) -> None:
    path = tmp_path / "any.csv"
    path.write_text("user_id,item_id,x\n" + "".join(f"1,2,{'' if v is None else repr(v)}\n" for v in values))
    assert carried(read_interactions(path, carry=["x"])) == {"x": values}


KEPT = [
    (pa.array([True, None, False]), pa.bool_()),
    *(
        (pa.array([1, None, 3], kind), pa.int32())
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16())
    ),
    *((pa.array([1, None, 3], kind), pa.int64()) for kind in (pa.int64(), pa.uint32(), pa.uint64())),
    *((pa.array([1.5, None, 3], kind), pa.float32()) for kind in (pa.float16(), pa.float32())),
    (pa.array([1.5, None, float("inf")]), pa.float64()),
    *((pa.array(["a", None, "a"], kind), pa.string()) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    (pa.array(["a", None, "a"]).dictionary_encode(), pa.string()),
    (pa.array(["a", None, "a"], pa.large_string()).dictionary_encode(), pa.string()),
    (pa.array([1, None, 3], pa.date32()), pa.date32()),
    (pa.array([86_400_000, None, 0], pa.date64()), pa.date32()),
    (pa.array([1, None, -3], pa.timestamp("s", "UTC")), pa.timestamp("ms", "UTC")),
    *((pa.array([1, None, -3], kind), kind) for kind in (pa.timestamp("us"), pa.timestamp("ns", "Asia/Tokyo"))),
]


@pytest.mark.parametrize(("values", "kind"), KEPT, ids=lambda value: str(getattr(value, "type", "")))
def test_types_of_tables_are_kept(tmp_path: Path, values: pa.Array, kind: pa.DataType) -> None:
    table = as_table().append_column("x", values)
    pq.write_table(table, tmp_path / "events.parquet", row_group_size=2)
    parts = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    for source in (table, parts, tmp_path / "events.parquet"):
        column = read_interactions(source, carry=["x"]).table["x"]
        assert column.type == kind
        assert column.num_chunks == 1
        np.testing.assert_array_equal(column.to_pylist(), values.to_pylist())


def test_frames_and_structured_arrays_carry() -> None:
    table = as_table().append_column("device", pa.array(["tv", None, "tv"]))
    expected = {"device": ["tv", None, "tv"]}
    categories = pl.DataFrame(table).cast({"device": pl.Categorical})
    for source in (
        table.to_pandas(),
        table.to_pandas().astype({"device": "category"}),
        pl.DataFrame(table),
        categories,
    ):
        assert carried(read_interactions(source, carry=["device"])) == expected
    array = np.array([(1, 2, 5)], dtype=[("user", "i4"), ("item", "u8"), ("hour", "u1")])
    assert carried(read_interactions(array, carry=["hour"])) == {"hour": [5]}


def test_interactions_pass_through_with_what_they_carry(write: Write) -> None:
    read = read_interactions(write(EVENTS), carry=["device"])
    assert read_interactions(read, carry=["device"]) is read
    with pytest.raises(InputError, match=r"have no column 'session' to carry; saw user_id, item_id, .*, device"):
        read_interactions(read, carry=["session"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_written_and_read_again_is_the_same(write: Write, tmp_path: Path, suffix: str) -> None:
    text = EVENTS.replace(",90000000", ",2020-01-01T10:00:0").replace(":01,", ":01.5,")
    read = read_interactions(write(text), carry=["Event Type", "minutes"])
    write_interactions(read, tmp_path / f"again{suffix}")
    again = read_interactions(tmp_path / f"again{suffix}", carry=["Event Type", "minutes"])
    assert again.table.equals(read.table)
    assert again.timestamp_type == read.timestamp_type == pa.timestamp("ms")


@pytest.mark.parametrize(
    ("carry", "options", "message"),
    [
        (["price"], {}, "no column 'price' to carry; saw the columns 'userId', 'movieId', .*give its position"),
        ([9], {}, "no column number 9 to carry; saw"),
        ([0], {}, "no column number 0 to carry"),
        (["movieId"], {}, "the column 'movieId' to carry is the item_id already; saw .*--item-column"),
        ([3], {}, "the column 3 to carry is the rating already; saw .*--rating-column"),
        (["timestamp"], {}, "the column 'timestamp' to carry is the timestamp already"),
        (["device", "device"], {}, "would be called 'device'; saw"),
        (["device", 8], {}, "would be called 'device'; saw"),
        (["rating"], {"rating_column": "minutes"}, "would be called 'rating'; saw"),
        (3, {}, r"carry is 3.*give a list of columns"),
        (["device"], {"header": "yes"}, "header is 'yes'.*give True or False"),
        ("device", {}, r"carry is the text 'device'.*give a list of columns: \['device'\]"),
    ],
)
def test_columns_that_cannot_be_carried(write: Write, carry: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}") as error:
        read_interactions(write(EVENTS), carry=carry, **options)
    assert "ratings.csv" in error.value.message or carry in ("device", 3) or options.keys() == {"header"}


def test_names_that_differ_in_case_alone_are_refused(write: Write) -> None:
    path = write("user,item,Rating,stars,tv,TV\n1,2,3,4,5,6\n")
    with pytest.raises(InputError, match="would be called 'TV'"):
        read_interactions(path, carry=["tv", "TV"])
    with pytest.raises(InputError, match="would be called 'Rating'"):
        read_interactions(path, rating_column="stars", carry=["Rating"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([[1]]), "the column 'x' has the type list.* carry booleans, integers"),
        (pa.array([{"a": 1}]), "the column 'x' has the type struct"),
        (pa.array([1], pa.decimal128(5, 2)), "the column 'x' has the type decimal128"),
        (pa.array([1], pa.time32("s")), "the column 'x' has the type time32"),
        (pa.array([1], pa.duration("s")), "the column 'x' has the type duration"),
        (pa.array([b"a"]), "the column 'x' has the type binary"),
        (pa.array([None]), "the column 'x' has the type null"),
        (pa.array([2**63], pa.uint64()), "the column 'x' of type uint64 cannot be carried as int64.*cast it to text"),
        (pa.array([2**62], pa.timestamp("s")), "the column 'x' of type timestamp.s. cannot be carried as timestamp.ms"),
    ],
)
def test_types_that_cannot_be_carried(values: pa.Array, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s)^the Table: {message}"):
        read_interactions(pa.table({"user": [1], "item": [2], "x": values}), carry=["x"])


def test_sources_without_further_columns_refuse(write: Write, tmp_path: Path) -> None:
    matrix = scipy.sparse.eye_array(3).tocsr()
    scipy.sparse.save_npz(tmp_path / "m.npz", matrix)
    for source in (matrix, tmp_path / "m.npz", write("0 5 3\n1 5\n2 7 8 9\n", "train.txt")):
        with pytest.raises(InputError, match="has no further columns to carry: asked for 'device'"):
            read_interactions(source, carry=["device"])


def test_carried_text_that_is_not_utf8_is_named(write: Write) -> None:
    with pytest.raises(InputError, match="line 3: the x is not UTF-8"):
        read_interactions(write(b"user_id,item_id,x\n1,2,a\n1,2,\xff\n"), carry=["x"])


def test_other_errors_keep_their_line_beside_carried_columns(write: Write) -> None:
    good = "user_id,item_id,rating,device\n" + "1,2,3,tv\n" * 2000
    with pytest.raises(InputError, match="line 2002: the rating 'bad' is not a number"):
        read_in_blocks(write(good + "1,2,bad,tv\n"), 4096, ("device",))
    with pytest.raises(InputError, match="line 5: the rating 'bad' is not a number"):
        read_in_blocks(write(EVENTS + "1,7,bad,900000002,view,,,\n"), 4096, ("session", "device"))


# --- errors -----------------------------------------------------------------------------------------------------------

GOOD = "user_id,item_id,rating,timestamp\n1,2,3,4\n"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty"),
        ("\n \n", {}, "is empty"),
        ("userId,movieId,rating\n", {}, "a header and no rows"),
        ("userId,movieId,rating\n\n", {}, "a header and no rows"),
        ("foo,bar,baz\n1,2,3\n", {}, "users and the items.*'foo', 'bar', 'baz'"),
        ("user_id,bar\n1,2\n", {}, "holds the items.*'user_id', 'bar'"),
        (GOOD, {"rating_column": "grade"}, "no column 'grade' for rating.*'user_id', 'item_id', 'rating', 'timestamp'"),
        (GOOD, {"user_column": 5}, "no column number 5 for user_id"),
        (GOOD, {"user_column": 0}, "no column number 0 for user_id"),
        (GOOD, {"user_column": "item_id", "item_column": "item_id"}, "asked for twice"),
        ("1,2,3,4,5\n", {}, "5 columns without names"),
        (GOOD + "1,2,good,4\n", {}, "line 3: the rating 'good' is not a number"),
        (GOOD + "1,2,3,soon\n", {}, "line 3: the timestamp 'soon' is not a number"),
        ("\n" + GOOD + "\n\n1,2,3,4\n1,2,3,soon\n", {}, "line 7: the timestamp 'soon'"),
        ("1,2,abc\n3,4,5\n", {}, "line 1: the rating 'abc'"),
        ("user_id,item_id,date\n1,2,2020-01-01\n1,2,2020-13-01\n", {}, "line 3: the timestamp '2020-13-01'"),
        ("user_id,item_id,date\n1,2,2020-01-01\n1,2,1969-01-01\n", {}, "line 3: the timestamp 1969-01-01 is before"),
        (GOOD + ",2,3,4\n", {}, "line 3: the user_id is missing"),
        (GOOD + '1,"",3,4\n', {}, "line 3: the item_id is missing"),
        (GOOD + "1,2,,4\n", {}, "line 3: the rating is missing"),
        (GOOD + "1,2,3,\n", {}, "line 3: the timestamp is missing"),
        (GOOD + "1,2,NaN,4\n", {}, "line 3: the rating is NaN"),
        (GOOD + "1,2,inf,4\n", {}, "line 3: the rating is inf"),
        (GOOD + "1,2,3,nan\n", {}, "line 3: the timestamp is nan"),
        (GOOD + "1,2,3,-4\n", {}, "line 3: the timestamp -4 is negative"),
        (GOOD + "1,2,3,1e30\n", {}, "line 3: the timestamp 1e30 is too large"),
        (GOOD + "1,2,3\n", {}, r"line 3: 3 cells instead of 4\nhint: correct or remove the line$"),
        (GOOD + "1,2,3,4,5\n", {}, "line 3: 5 cells instead of 4"),
        (GOOD + '"a\nb",2,3,4\n1,2,x,4\n', {}, "line 5: the rating 'x'"),
        (GOOD.replace(",", "::") + "1::2::3\n", {}, "line 3: 3 cells instead of 4"),
        (GOOD.replace(",", "::") + "1::2::3::x\n", {}, "line 3: the timestamp 'x'"),
        (GOOD.replace(",", "::") + "1\x1f::2::3::4\n", {}, "U.001F"),
        (GOOD.replace(",", "\t") + "1\t2\t3\n", {}, "line 3: 3 cells instead of 4"),
        (GOOD.encode() + b"1,\xff,3,4\n", {}, r"line 3: the item_id is not UTF-8"),
        (GOOD + '1,"2,3,4\n', {}, "line 3"),
        ("one\ntwo\n", {}, "line 1: found no delimiter in 'one'"),
        (GOOD, {"delimiter": ""}, "cannot be a delimiter"),
        (GOOD, {"format": "inter"}, r"not a RecBole .inter file(?s:.*)--input-format csv"),
        (GOOD, {"format": "parquet"}, "is text, not parquet"),
        (GOOD, {"format": "npz"}, "is text, not npz"),
        (GOOD, {"format": "excel"}, "unknown format 'excel'"),
        (GOOD, {"format": 3}, "unknown format 3"),
        (GOOD, {"threads": 0}, "threads is 0"),
        (GOOD, {"threads": "2"}, "threads is '2'"),
        (GOOD, {"delimiter": 3}, "delimiter is 3"),
        ("1 2\n2 3 4\n", {"format": "lines", "header": True}, "no header"),
        (b"\x89PNG\0\0", {}, "not a text file"),
        (b"PK\x03\x04rest", {}, "not a SciPy sparse matrix"),
        (b"PAR1 and no more", {}, "cannot be read as Parquet"),
        (b"PAR1 and no more", {"format": "csv"}, "is Parquet, not csv"),
        (b"PAR1 and no more", {"header": False}, "for text files"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-10], {}, "damaged"),
    ],
)
def test_unusable_files(write: Write, content: str | bytes, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}") as error:
        read_interactions(write(content), **options)
    if "format" not in options and "threads" not in options and "delimiter" not in options:
        assert "ratings.csv" in error.value.message


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,1,bad,5", "the rating 'bad'"),
        ("1,1,1,", "the timestamp is missing"),
        ("1,1,1,-5", "the timestamp -5 is negative"),
        ("1,1,nan,5", "the rating is nan"),
        ("1,,1,5", "the item_id is missing"),
        ("1,1,1", "3 cells instead of 4"),
    ],
)
@pytest.mark.parametrize("quoted", ["", '"1\n",1,1,1\n'])
def test_the_line_is_right_far_into_a_file(write: Write, ending: str, row: str, message: str, quoted: str) -> None:
    good = "".join(f"{row},{row},1,5\n" for row in range(1000))
    text = '"user_id",item_id,rating,timestamp\n' + good + quoted + good + row + "\n" + good
    with pytest.raises(InputError, match=f"line {2002 + quoted.count(chr(10))}: {message}"):
        read_in_blocks(write(text.replace("\n", ending)), 4096)


def test_missing_files_and_folders_without_parquet(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv") as error:
        read_interactions(tmp_path / "nothing.csv")
    assert error.value.errno == errno.ENOENT
    assert error.value.filename == str(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match="holds no files"):
        read_interactions(tmp_path)
    with pytest.raises(InputError, match="holds no files"):
        read_interactions(tmp_path, format="csv")
    pq.write_table(as_table(), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="is Parquet, not csv"):
        read_interactions(tmp_path, format="csv")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([1, 2], "from a list"),
        (None, "from a NoneType"),
        (pl.DataFrame({"user": [1], "item": [2]}).lazy(), "from a LazyFrame"),
        (pa.table({"a": [1], "b": [2]}), "'a', 'b'"),
        (pa.table({"user": pa.array([], pa.int64()), "item": pa.array([], pa.int64())}), "no rows"),
        (pa.table({"user": [1, None], "item": [2, 2]}), "row 2: the user_id is missing"),
        (pa.table({"user": ["a", ""], "item": [2, 2]}), "row 2: the user_id is missing"),
        (pa.table({"user": [1.5], "item": [2]}), "not whole numbers"),
        (pa.table({"user": [True], "item": [2]}), "user_id has the type bool"),
        (pa.table({"user": [[1]], "item": [2]}), "user_id has the type list"),
        (
            pa.table({"user": [1, 1], "item": [2, 3], "rating": [1.0, float("nan")]}),
            "row 2: the rating is not a finite",
        ),
        (pa.table({"user": [1, 1], "item": [2, 3], "rating": [1.0, None]}), "row 2: the rating is missing"),
        (pa.table({"user": [1], "item": [2], "rating": ["good"]}), "rating has the type string"),
        (pa.table({"user": [1, 1], "item": [2, 3], "time": [1, -2]}), "row 2: the timestamp is negative"),
        (pa.table({"user": [1, 1], "item": [2, 3], "time": [1, None]}), "row 2: the timestamp is missing"),
        (pa.table({"user": [1, 1], "item": [2, 3], "time": [1, float("nan")]}), "row 2: the timestamp is not a finite"),
        (pa.table({"user": [1], "item": [2], "time": ["soon"]}), "'soon'"),
        (pa.table({"user": [1], "item": [2], "time": [[1]]}), "timestamp has the type list"),
        (pd.DataFrame({"user": ["a", 1], "item": [1, 2]}), "DataFrame cannot be read"),
        (np.array([1, 2, 3]), "shape"),
        (np.ones((2, 5)), "shape"),
        (np.array([[1, 2.5]]), "not whole numbers"),
        (scipy.sparse.coo_array((3, 3)), "no interactions"),
        (scipy.sparse.coo_array([[1j]]), "complex"),
        (scipy.sparse.coo_array(np.array([[1, float("nan")]])), "rating is not a finite"),
        (scipy.sparse.coo_array([1, 0, 2]), "1 dimension"),
    ],
)
def test_unusable_values(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        read_interactions(source)


def test_options_for_files_are_refused_in_memory() -> None:
    with pytest.raises(InputError, match="for files"):
        read_interactions(as_table(), format="csv")
    with pytest.raises(InputError, match="for text files"):
        read_interactions(as_table(), delimiter=",")


def test_what_is_written_must_be_interactions_under_a_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="interactions is a Table"):
        write_interactions(as_table(), tmp_path / "a.csv")
    with pytest.raises(InputError, match="path is 3"):
        write_interactions(read_interactions(as_table()), 3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="table is a int"):
        Interactions(3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_writing_to_a_full_disk_is_refused_or_fails_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    read = read_interactions(as_table())
    # Names there are made by nobody, root included.
    with pytest.raises(OutputError, match="cannot write /proc/a"):
        write_interactions(read, f"/proc/a{suffix}")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left on device"):
        write_interactions(read, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_values_do_not_change_with_the_arrays_they_were_read_from() -> None:
    array = np.asfortranarray([[1, 1, 3, 10**9], [1, 2, 4, 10**9 + 1], [2, 1, 5, 10**9 + 2]])
    frame = pd.DataFrame({"user": [1, 2], "age": [20.0, 30.0]})
    read, attributes = read_interactions(array), AttributeTable.read(frame, USERS)
    array[:] = 7
    ages = frame["age"].to_numpy()
    ages.flags.writeable = True
    ages[:] = 0
    assert read.table["rating"].to_pylist() == [3, 4, 5]
    assert read.timestamps is not None
    assert read.timestamps.tolist() == [10**9, 10**9 + 1, 10**9 + 2]
    assert attributes.columns["age"].to_pylist() == [20.0, 30.0]


def test_columns_of_what_has_none_to_choose_from_are_refused(write: Write) -> None:
    with pytest.raises(InputError, match="user_column is 'nope', and the interactions have their columns already"):
        read_interactions(read_interactions(as_table()), user_column="nope")
    for source in (scipy.sparse.csr_array(np.eye(3)), write("1 2 3\n2 3\n")):
        with pytest.raises(InputError, match=r"item_column is 2, and .* has no columns to choose from"):
            read_interactions(source, item_column=2)


def test_sources_and_columns_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match="source is an empty text"):
        read_interactions("")
    with pytest.raises(InputError, match="attributes of users is an empty text"):
        AttributeTable.read("", USERS)
    with pytest.raises(InputError, match=r"rating_column is 1\.5; it must be the name or the position"):
        read_interactions(as_table(), rating_column=1.5)  # type: ignore[arg-type]
    for carry in (5, [None], np.array(5), np.zeros((2, 2))):
        with pytest.raises(InputError, match=r"carry is .*\nhint: give a list of columns"):
            read_interactions(as_table(), carry=carry)  # type: ignore[arg-type]
    for notes in (5, "a", [5]):
        with pytest.raises(InputError, match="notes is "):
            Interactions(pa.table({"user_id": [1], "item_id": [2]}), notes)  # type: ignore[arg-type]


def test_interactions_need_users_and_items_once() -> None:
    with pytest.raises(InputError, match="saw user_id, genre"):
        Interactions(pa.table({"user_id": [1], "genre": ["x"]}))
    for name in ("user_id", "Rating", "Genre"):
        table = pa.table([[1], [2], [3], [4]], names=["user_id", "item_id", "genre", name])
        with pytest.raises(InputError, match=f"would be called '{name}'"):
            Interactions(table)


def test_errors_come_with_advice(write: Write) -> None:
    with pytest.raises(InputError) as error:
        read_interactions(write("foo,bar\nx,2\n"))
    assert "--user-column" in str(error.value)


# --- a format of one's own --------------------------------------------------------------------------------------------


def open_json_lines(path: Path, asked: Asked) -> Source:
    """A table of one JSON object per line."""
    table = pa.Table.from_pylist([json.loads(line) for line in path.read_text().splitlines()[1:]])
    return replace(open_table(table, asked), name=str(path))


def test_a_format_is_what_registers_itself(write: Write) -> None:
    path = write('JSON\n{"user": 1, "item": 2, "rating": 3}\n{"user": 6, "item": 4, "rating": 5}\n', "r.jsonl")
    mine = SourceFormat(("jsonl",), "JSON", lambda path: path.read_bytes().startswith(b"JSON\n"), open_json_lines)
    with pytest.raises(InputError, match="unknown format 'jsonl'"):
        read_interactions(path, format="jsonl")
    register(mine)
    try:
        for format in ("auto", "jsonl"):
            assert rows(read_interactions(path, format=format)) == [(1, 2, 3), (6, 4, 5)]
        assert AttributeTable.read(path, USERS).id_column == "user"
        with pytest.raises(InputError, match=r"(?s)r\.jsonl is JSON, not csv.*format='jsonl'"):
            read_interactions(path, format="csv")
        assert rows(read_interactions(write(CELLS))) == FOUR
    finally:
        SOURCE_FORMATS.remove(mine)


# --- real data --------------------------------------------------------------------------------------------------------


def test_movietweetings(movietweetings: Path) -> None:
    read = read_interactions(movietweetings)
    assert (len(read), *(len(read.codes(column)[1]) for column in ("user_id", "item_id"))) == (100_000, 16_554, 10_506)
    assert read.columns == ["user_id", "item_id", "rating", "timestamp"]
    lines = movietweetings.read_text().splitlines()
    assert ids(read, "item_id") == [line.split("::")[1] for line in lines]
    assert ids(read, "user_id") == [int(line.split("::")[0]) for line in lines]
    assert read.timestamps is not None
    assert read.timestamps.tolist() == [int(line.split("::")[3]) for line in lines]
    assert (read.timestamp_type, read.ticks_per_hour) == (pa.int64(), 3600)
    further = read_interactions(movietweetings, user_column=1, item_column=2, carry=[4, 3])
    assert carried(further) == {
        "column_4": read.timestamps.tolist(),
        "column_3": [int(line.split("::")[2]) for line in lines],
    }


def test_ml_latest_small(ml_latest_small: Path) -> None:
    read = read_interactions(ml_latest_small)
    assert (len(read), *(len(read.codes(column)[1]) for column in ("user_id", "item_id"))) == (100_004, 671, 9_066)
    expected = pd.read_csv(ml_latest_small)
    for ours, theirs in zip(pa.table(read).to_pandas().items(), expected.items(), strict=True):
        np.testing.assert_array_equal(ours[1], theirs[1])
    assert (read.timestamp_type, read.ticks_per_hour) == (pa.int64(), 3600)
    times = pd.read_csv(ml_latest_small, dtype=str).assign(when=lambda frame: frame.pop("timestamp"))
    assert carried(read_interactions(times, carry=["when"]))["when"] == times["when"].tolist()
