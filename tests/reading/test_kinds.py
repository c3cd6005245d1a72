"""Kinds of faults that people's files have: what is read from each is right, or refused with what would help."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from fractalrs.errors import InputError
from fractalrs.reading import Interactions, read_interactions
from helpers.sources import CASES, ids, said

DAY = 86_400


def case(name: str) -> Path:
    if not (CASES / name).exists():
        pytest.skip(f"the case {name} is not beside the project")
    return CASES / name


def counts(read: Interactions) -> tuple[int, int, int]:
    return len(read), *(len(read.codes(column)[1]) for column in ("user_id", "item_id"))  # type: ignore[return-value]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


# --- columns are judged by their values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"date": "20110313", "time_ms": "1300000680123"}, "time_ms"),
        ({"timestamp": "1299974400", "time": "2011-03-13 07:18:02"}, "time"),
        ({"time": "2011-03-13 07:18:00", "timestamp": "1300000680.123"}, "timestamp"),
        ({"date": "2011-03-13", "createdAt": "2011-03-13T07:18"}, "createdAt"),
        ({"unixReviewTime": "1299974400", "reviewTime": "03 13, 2011"}, "unixReviewTime"),
        ({"time": "7", "eventdate": "2011-03-13"}, "eventdate"),
        ({"timestamp": "1300000682", "ts": "1300000681"}, "timestamp"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_finest_time_is_the_timestamp(path: Path, columns: dict[str, str], chosen: str, turned: bool) -> None:
    names, cells = list(columns), list(columns.values())
    names, cells = (names[::-1], cells[::-1]) if turned else (names, cells)
    rows = "".join(",".join(["1", str(item), *cells]).replace("  ", " ") + "\n" for item in range(5))
    path.write_text(
        ",".join(["user_id", "item_id", *(f'"{name}"' for name in names)]) + "\n" + rows.replace("13, ", "13 ")
    )
    assert said(read_interactions(path), f"timestamp is '{chosen}'")
    pq.write_table(pa.Table.from_pandas(pd.read_csv(path)), path.with_suffix(".parquet"))
    assert said(read_interactions(path.with_suffix(".parquet")), f"timestamp is '{chosen}'")


def test_the_rating_is_a_column_of_numbers(path: Path) -> None:
    path.write_text("user_id,item_id,rating,stars\n1,2,good,4\n2,2,bad,3\n")
    assert read_interactions(path).table["rating"].to_pylist() == [4, 3]


@pytest.mark.parametrize("suffix", ["", ".0"])
@pytest.mark.parametrize("threads", [1, None])
def test_dates_written_as_integers_are_dates(path: Path, suffix: str, threads: int | None) -> None:
    path.write_text(f"user_id,item_id,date\n1,5,20110313{suffix}\n1,6,20120229{suffix}\n2,5,20110401{suffix}\n")
    read = read_interactions(path, threads=threads)
    assert read.timestamp_type == pa.date32()
    assert read.table["timestamp"].to_pylist() == [date(2011, 3, 13), date(2012, 2, 29), date(2011, 4, 1)]
    assert said(read, "20110313 are dates")
    assert said(read, "time 2011-03-13")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (20110313, date(2011, 3, 13)),
        (2011031307, datetime(2011, 3, 13, 7)),
        (201103130718, datetime(2011, 3, 13, 7, 18)),
        (20110313071859, datetime(2011, 3, 13, 7, 18, 59)),
        # No dates: days, minutes and months that there are not; counts, years and seconds.
        *(
            (number, number)
            for number in (20110343, 20110229, 20111301, 20110313071860, 2011, 19_000_001, 1_300_000_680)
        ),
    ],
)
def test_integers_are_dates_where_all_are(cell: int, expected: Any) -> None:
    read = read_interactions(pa.table({"user": [1, 2], "item": [3, 4], "time": [cell, 0]}))
    assert read.table["timestamp"].to_pylist()[0] == expected
    mixed = read_interactions(pa.table({"user": [1, 2], "item": [3, 4], "time": [cell, cell - cell % 100 + 99]}))
    assert mixed.timestamp_type == pa.int64()


def test_integer_dates_before_1970_are_refused() -> None:
    with pytest.raises(InputError, match="row 2: the timestamp is before 1970"):
        read_interactions(pa.table({"user": [1, 2], "item": [3, 4], "time": [20110313, 19691231]}))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        # A click log: session, time, item, category.
        (
            "11,2014-04-07T10:51:09.277Z,2053,0\n11,2014-04-07T10:54:09.868Z,2052,0\n",
            "column 2 should hold the item_id",
        ),
        ("2014-04-07,11,2053\n2014-04-08,12,2053\n2014-04-08,12,2053\n", "dates such as '2014-04-07' in column 1"),
        ("20140407,11\n20140408,12\n20140408,13\n", "column 1 should hold the user_id; saw dates"),
        ("4.5,11,2053\n3,12,2053\n", "not whole numbers such as '4.5' in column 1"),
        ("7,11,5,20\n7,12,4,30\n", "column 4 should hold the timestamp"),
        ("".join(f"{1_300_000_000 + 7 * row},{row % 5},{row % 3}\n" for row in range(40)), "saw times such as"),
    ],
)
def test_looks_that_contradict_the_position_are_refused(path: Path, rows: str, message: str) -> None:
    path.write_text(rows)
    with pytest.raises(InputError, match=message) as error:
        read_interactions(path)
    assert "table.csv" in error.value.message
    assert "--user-column" in str(error.value)
    read_interactions(path, user_column=1, item_column=2)


def test_of_two_times_without_names_the_finer_is_taken_and_none_is_a_rating(path: Path) -> None:
    path.write_text("1,2,1300000680,2011-03-13\n1,3,1300000681,2011-03-13\n")
    read = read_interactions(path)
    assert read.columns == ["user_id", "item_id", "timestamp"]
    assert said(read, "timestamp is column 3; not used: column 4")


def test_the_first_row_is_shown_as_it_was_understood_where_users_and_items_could_be_exchanged(path: Path) -> None:
    path.write_text("7,1193,5\n7,661,3\n8,661,4\n")
    read = read_interactions(path)
    assert said(read, "the user '7' has the item '1193'. If it is the other way round: --user-column 2 --item-column 1")
    other = read_interactions(path, user_column=2, item_column=1, rating_column=3)
    assert ids(other, "user_id") == [1193, 661, 661]
    assert not said(other, "other way round")


@pytest.mark.parametrize("name", ["user_id", "userId"])
@pytest.mark.parametrize(
    "ids_of_users", [range(1990, 2020), range(20110301, 20110331), range(30), range(10**9, 10**9 + 30)]
)
def test_ids_that_look_like_years_dates_or_zero_are_ids(path: Path, name: str, ids_of_users: range) -> None:
    lines = [f"{user},{item},5,{1_300_000_000 + item}\n" for user in ids_of_users for item in range(4)]
    path.write_text(f"{name},movieId,rating,timestamp\n" + "".join(lines))
    assert counts(read_interactions(path)) == (120, 30, 4)
    if ids_of_users[0] != 20110301:
        path.write_text("".join(lines))
        assert counts(read_interactions(path)) == (120, 30, 4)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("", "1\t1193\t5\t978300760"),
        ("", "1::1193::5::978300760"),
        ("userId,movieId,rating,timestamp", "1,1193,3.5,1112486027"),
        ("user_id\titem_id\trating\ttimestamp", "1\t1193\t5\t881250949"),
    ],
)
def test_movielens_in_all_editions(path: Path, header: str, row: str) -> None:
    path.write_text(f"{header}\n{row}\n{row.replace('1193', '661')}\n".lstrip())
    read = read_interactions(path)
    assert read.columns == ["user_id", "item_id", "rating", "timestamp"]
    assert (ids(read, "user_id"), ids(read, "item_id"), read.ticks_per_hour) == ([1, 1], [1193, 661], 3600)


# --- what stands for no id --------------------------------------------------------------------------------------------


def placed(word: Any, share: float = 0.1, rows: int = 1000) -> list[Any]:
    every = round(1 / share)
    return [word if row % every == 0 else row % 97 + 1 for row in range(rows)]


WORDS = [
    "NA",
    "N/A",
    "nan",
    "NaN",
    "NULL",
    "null",
    "None",
    r"\N",
    "",
    "-1",
    "0",
    "-",
    "00000000-0000-0000-0000-000000000000",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("role", ["user_id", "item_id"])
def test_placeholders_are_refused_with_their_share_or_dropped(path: Path, word: str, role: str) -> None:
    other = "item_id" if role == "user_id" else "user_id"
    lines = [f"{one},{row % 50 + 1},{row}\n" for row, one in enumerate(placed(word))]
    path.write_text(f"{role},{other},timestamp\n" + "".join(lines))
    with pytest.raises(
        InputError, match=rf"table\.csv, column '{role}': 10 % of the 1,000 rows have no {role}"
    ) as error:
        read_interactions(path)
    assert "missing_ids='drop' (--missing-ids drop)" in str(error.value)
    read = read_interactions(path, missing_ids="drop")
    assert len(read) == 900
    assert all(isinstance(one, int) and one > 0 for one in ids(read, role))
    assert said(read, "Warning: 10 % of rows (100) were left out")
    if word:
        kept = read_interactions(path, missing_ids="keep")
        assert len(kept) == 1000
        assert word in {str(one) for one in ids(kept, role)}


@pytest.mark.parametrize("number", [-1, 0, None])
def test_placeholders_among_integers_of_tables(tmp_path: Path, number: int | None) -> None:
    table = pa.table({"user_id": pa.array(placed(number), pa.int64()), "item_id": [row % 50 for row in range(1000)]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100)
    for source in (table, table.to_pandas(), tmp_path / "t.parquet", table.to_reader(max_chunksize=64)):
        with pytest.raises(InputError, match="10 % of the 1,000 rows have no user_id"):
            read_interactions(source)
    assert len(read_interactions(table, missing_ids="drop")) == 900


def test_a_complete_column_is_named(tmp_path: Path, path: Path) -> None:
    frame = pd.DataFrame({"user_id": placed(None), "item_id": 5, "visitorid": range(1000), "session": placed("NA")})
    frame.to_csv(path, index=False)
    frame.astype({"session": str}).to_parquet(tmp_path / "t.parquet")
    for source in (path, tmp_path / "t.parquet", pa.Table.from_pandas(frame.astype({"session": str}))):
        with pytest.raises(InputError, match=r"a column that is complete: --user-column visitorid$"):
            read_interactions(source)
    frame.assign(visitorid=placed("NULL")).to_csv(path, index=False)
    with pytest.raises(InputError) as error:
        read_interactions(path)
    assert "complete" not in str(error.value.hint)


def test_a_few_odd_words_are_ids_and_said(path: Path) -> None:
    path.write_text("user_id,item_id\n" + "".join(f"u{row},{row % 7}\n" for row in range(500)) + "NA,3\n")
    read = read_interactions(path)
    assert "NA" in ids(read, "user_id")
    assert said(read, "user_id: 'NA' in 1 row was taken for an id; missing_ids='drop'")
    assert "NA" not in ids(read_interactions(path, missing_ids="drop"), "user_id")


def test_zero_and_negative_ids_of_real_data_stay(path: Path) -> None:
    rng = np.random.default_rng(1)
    # Ids from 0 on, the first the most popular; and hashes of either sign.
    for items in (
        rng.zipf(1.5, 5000) % 300 - 0,
        np.minimum(rng.geometric(0.02, 5000) - 1, 400),
        rng.integers(-5, 6, 5000),
    ):
        path.write_text("user_id,item_id\n" + "".join(f"{row % 100},{item}\n" for row, item in enumerate(items)))
        assert len(read_interactions(path)) == 5000
    assert len(read_interactions(scipy.sparse.csr_array(np.ones((3, 200))))) == 600


@pytest.mark.parametrize("blank", [" 18", "18 ", "\t18"])
def test_blanks_around_ids_are_no_part_of_them(path: Path, blank: str) -> None:
    path.write_text(f"user_id,item_id,rating\n1,{blank},5\n2,18,4\n2,19,3\n")
    read = read_interactions(path)
    assert ids(read, "item_id") == [18, 18, 19]
    assert said(read, "item_id: blanks around ids were removed")
    texts = pa.table({"user": [1, 2], "item": [blank, "19"]})
    assert ids(read_interactions(texts), "item_id") == [18, 19]
    with pytest.raises(
        InputError, match=r"the Table, column 'item': the item_ids .* differ in blanks around them alone"
    ):
        read_interactions(pa.table({"user": [1, 2], "item": [blank, "18"]}))


def test_ids_of_blanks_alone_are_missing(path: Path) -> None:
    path.write_text("user_id,item_id,rating\n1,  ,5\n2,18,4\n2,19,3\n")
    with pytest.raises(InputError, match="row 1: the item_id is missing"):
        read_interactions(path)


# --- optional columns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rating", ["good", "2/5", "", "4,500"])
def test_ratings_that_nothing_uses_are_not_checked(path: Path, rating: str) -> None:
    path.write_text(f"user_id;item_id;rating;timestamp\n1;2;3;9\n1;3;{rating};8\n")
    with pytest.raises(InputError, match=r"(?s)line 3: the rating.*--rating-column none"):
        read_interactions(path)
    for read in (read_interactions(path, uses=["timestamp"]), read_interactions(path, rating_column="none")):
        assert read.columns == ["user_id", "item_id", "timestamp"]
    assert said(read_interactions(path, uses=[]), "Not read, as nothing uses it: rating and timestamp.")


def test_declined_columns_of_other_sources(tmp_path: Path) -> None:
    table = pa.table({"user": [1, 2], "item": [3, 4], "rating": [None, 1.0], "time": ["soon", None]})
    pq.write_table(table, tmp_path / "t.parquet")
    for source in (table, tmp_path / "t.parquet"):
        read = read_interactions(source, rating_column="none", timestamp_column="NONE")
        assert read.columns == ["user_id", "item_id"]
    assert read_interactions(scipy.sparse.coo_array([[2, 3]]), rating_column="none").columns == ["user_id", "item_id"]
    assert read_interactions(np.array([[1, 2, 3, 4]]), timestamp_column="none").columns == [
        "user_id",
        "item_id",
        "rating",
    ]
    for given in ({"uses": ["item_id"]}, {"missing_ids": "ignore"}, {"uses": "rating"}):
        with pytest.raises(InputError):
            read_interactions(table, **given)


# --- ids of every type ------------------------------------------------------------------------------------------------

UUIDS = [uuid.UUID(int=7), uuid.UUID(int=2**127 + 5), uuid.UUID(int=7)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([Decimal(7), Decimal(9), Decimal(7)], pa.decimal128(38, 0)), [7, 9, 7]),
        (pa.array([Decimal("7.00"), Decimal("9.00"), Decimal("7.00")], pa.decimal128(9, 2)), [7, 9, 7]),
        (
            pa.array([Decimal(10**30), Decimal(9), Decimal(10**30)], pa.decimal128(38, 0)),
            [str(10**30), "9", str(10**30)],
        ),
        (pa.array([2**63, 2**64 - 1, 2**63], pa.uint64()), [str(2**63), str(2**64 - 1), str(2**63)]),
        (pa.array([7, 9, 7], pa.uint64()), [7, 9, 7]),
        (pa.array([7, 9, 7], pa.uint64()).dictionary_encode(), [7, 9, 7]),
        (pa.array([one.bytes for one in UUIDS], pa.binary(16)).cast(pa.binary(16)), [one.hex for one in UUIDS]),
        (
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one.bytes for one in UUIDS], pa.binary(16))),
            [*map(str, UUIDS)],
        ),
        (pa.array([b"a", b"\xc3\xa9", b"a"]), ["a", "é", "a"]),
        (pa.array([b"a", b"\xff\x00", b"a"], pa.large_binary()), ["61", "ff00", "61"]),
        (pa.array([7.0, 2.0**53 - 1, 7.0]), [7, 2**53 - 1, 7]),
        (pa.array(["7", "9", "7"], pa.string_view()), [7, 9, 7]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_ids_of_every_type_are_kept(tmp_path: Path, values: pa.Array, expected: list[Any]) -> None:
    table = pa.table({"user_id": values, "item_id": [1, 2, 3]})
    sources: list[Any] = [table, table.to_reader(max_chunksize=1)]
    if not pa.types.is_dictionary(values.type):
        pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
        sources.append(tmp_path / "t.parquet")
    for source in sources:
        assert ids(read_interactions(source), "user_id") == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([1.0, 2.0**53]), "from 9,007,199,254,740,992 on different ids become one"),
        (pa.array([1.0, 2.0**24], pa.float32()), "from 16,777,216 on"),
        (pa.array([1.5, 2]), "not whole numbers"),
        (pa.array([Decimal("1.5"), Decimal(2)]), "not whole numbers"),
        (pa.array([True, False]), "has the type bool"),
        (pa.array([1, 2], pa.timestamp("s")), "has the type timestamp.*times are no ids"),
        (pa.array([[1], [2]]), "has the type list"),
    ],
)
def test_ids_that_cannot_be_kept_are_refused_by_file_and_column(tmp_path: Path, values: pa.Array, message: str) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"userId": values, "item_id": [1, 2]}), file)
    with pytest.raises(InputError, match=rf"(?s)t\.parquet, column 'userId': user_id .*{message}"):
        read_interactions(file)


# --- made-up files beside the project ---------------------------------------------------------------------------------


def test_a_log_with_three_times() -> None:
    read = read_interactions(case("log-date-hourmin-time_ms.csv"))
    assert said(read, "timestamp is 'time_ms'")
    assert read.ticks_per_hour == 3_600_000
    dated = read_interactions(case("log-date-hourmin-time_ms.csv"), timestamp_column="date")
    assert dated.timestamp_type == pa.date32()
    assert dated.table["timestamp"][0].as_py() == date(2022, 4, 15)


def test_cases_of_ids_and_times() -> None:
    assert counts(read_interactions(case("decimal-ids.parquet"))) == (4686, 300, 200)
    hashes = read_interactions(case("uint64-hash-ids.parquet"))
    assert counts(hashes) == (4686, 300, 200)
    expected = pq.read_table(case("uint64-hash-ids.parquet"))["user_id"].to_pylist()
    assert [int(one) for one in ids(hashes, "user_id")] == expected
    assert counts(read_interactions(case("blanks-after-some-commas.csv"))) == (1199, 282, 187)
    with pytest.raises(InputError, match="line 72: the timestamp is missing"):
        read_interactions(case("optional-times-missing.csv"))
    assert len(read_interactions(case("optional-times-missing.csv"), timestamp_column="none")) == 1199
    with pytest.raises(InputError, match=r"6\.7 % of the 1,199 rows have no user_id, but 'NULL' in 40, 'nan' in 40"):
        read_interactions(case("placeholder-ids.csv"))
    assert len(read_interactions(case("placeholder-ids.csv"), missing_ids="drop")) == 1119
