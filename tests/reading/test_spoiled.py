"""Files that were spoiled on their way: what would be read wrongly without a word is read right, or refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fractalrs.errors import InputError
from fractalrs.reading import read_interactions
from helpers.sources import Write, ids, rows, said

PAIRS = [(user, item) for user in range(1, 31) for item in (101, 102, 103)]


def table(line: Callable[[int, int, int], str], header: str = "user,item,rating\n") -> str:
    """Write a line for each pair, of user, item and number."""
    return header + "".join(f"{line(user, item, number)}\n" for number, (user, item) in enumerate(PAIRS))


# --- keys in the names of folders -------------------------------------------------------------------------------------


def test_keys_of_folders_are_columns_of_text_as_of_parquet(write: Write, tmp_path: Path) -> None:
    days = {"2024-01-30": [(1, 7), (2, 7)], "2024-01-31": [(1, 8)], "2024-02-01": [(3, 8)]}
    for day, pairs in days.items():
        text = "user,item\n" + "".join(f"{user},{item}\n" for user, item in pairs)
        write(text, f"text/dt={day}/h=07/any.csv")
        (tmp_path / f"parquet/dt={day}/h=07").mkdir(parents=True)
        columns = dict(zip(("user", "item"), zip(*pairs, strict=True), strict=True))
        pq.write_table(pa.table(columns), tmp_path / f"parquet/dt={day}/h=07/any.parquet")
    of_text, of_parquet = (read_interactions(tmp_path / kind, carry=["dt", "h"]) for kind in ("text", "parquet"))
    january = [(1, 7, "2024-01-30", 7), (2, 7, "2024-01-30", 7), (1, 8, "2024-01-31", 7)]
    assert rows(of_text) == [*january, (3, 8, "2024-02-01", 7)]
    assert of_text.to_arrow().equals(of_parquet.to_arrow())
    for read in (of_text, of_parquet):
        assert said(read, "Keys in the names of folders are columns: dt, h.")
    timed = read_interactions(tmp_path / "text", timestamp_column="dt")
    assert timed.to_arrow().equals(read_interactions(tmp_path / "parquet", timestamp_column="dt").to_arrow())
    assert [time.day for *_, time in rows(timed)] == [30, 30, 31, 1]


def test_carried_columns_of_keyed_parts_have_one_type(write: Write, tmp_path: Path) -> None:
    write("user,item,code,none\n1,7,007,\n", "dt=1/a.csv")
    write("user,item,code,none\n1,8,8,5\n", "dt=2/a.csv")
    read = read_interactions(tmp_path, carry=["code", "none", "dt"])
    assert rows(read) == [(1, 7, "007", None, 1), (1, 8, "8", 5, 2)]


def test_keys_of_a_part_without_one_are_null_and_names_are_unquoted(write: Write, tmp_path: Path) -> None:
    write('{"user": 1, "item": 7}\n', "dt=a%20b/x.json")
    write('{"user": "u", "item": 8}\n', "dt=__HIVE_DEFAULT_PARTITION__/x.json")
    assert rows(read_interactions(tmp_path, carry=["dt"])) == [("u", 8, None), ("1", 7, "a b")]


def test_keys_are_not_used_where_columns_have_no_names(write: Write, tmp_path: Path) -> None:
    write("1,7\n2,7\n", "dt=1/a.csv")
    write("1,8\n", "dt=2/a.csv")
    read = read_interactions(tmp_path)
    assert rows(read) == [(1, 7), (2, 7), (1, 8)]
    assert said(read, "Keys in the names of folders are not used, as columns have no names: dt.")


def test_empty_parts_of_spark_with_a_header_are_left_out(write: Write, tmp_path: Path) -> None:
    write("user,item\n", "part-00000-x.csv")
    write("user,item\n1,7\n", "part-00001-x.csv")
    write("user,item\n2,7\n", "part-00002-x.csv")
    assert rows(read_interactions(tmp_path)) == [(1, 7), (2, 7)]


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (lambda user, item, _: f"{7.65612e16 + user:.5E},{item},1", "'7.65612E\\+16' is a number without its last"),
        (lambda user, item, n: f"{user},{'1E+05' if n == 5 else item},1", "'1E\\+05' is a number without its last"),
        (lambda user, item, n: f"{user}{'.0' if n % 2 else ''},{item},1", "'1.0' and '1' are one number written in"),
        (lambda user, item, _: f'{user},"[{item}, 5]",1', r"'\[101, 5\]' is a list of ids"),
        (lambda user, item, _: f"{user},{item}|5|6,1", r"'101\|5\|6' is a list of ids"),
        (lambda user, item, _: f"{user},N{item} N5 N6,1", "'N101 N5 N6' is a list of ids"),
    ],
)
def test_ids_that_were_spoiled_are_refused_and_kept_when_asked(
    line: Callable[[int, int, int], str], message: str, write: Write
) -> None:
    path = write(table(line))
    with pytest.raises(InputError, match=message) as caught:
        read_interactions(path)
    assert "(--missing-ids keep)" in str(caught.value.hint)
    assert len(read_interactions(path, missing_ids="keep")) == len(PAIRS)


def test_thousands_and_single_lists_are_ids_like_others(write: Write) -> None:
    read = read_interactions(write(table(lambda user, item, _: f'"{user},000,000","{item}",1')))
    assert len(read.codes("user_id")[1]) == 30
    read = read_interactions(write(table(lambda user, item, n: f"{user},{'1 2 3 4' if n == 5 else item},1"), "b.csv"))
    assert len(read.codes("item_id")[1]) == 4


def test_ids_that_differ_in_leading_zeros_are_two_and_said(write: Write) -> None:
    read = read_interactions(write("user,item\n007,1\n7,1\n8,2\n"))
    assert ids(read, "user_id") == ["007", "7", "8"]
    assert said(read, "user_id: '007' and '7' were taken for two ids")


@pytest.mark.parametrize("blank", ["\u00a0", "\u200b", "\ufeff"])
def test_blanks_without_width_make_no_second_user(blank: str, write: Write) -> None:
    read = read_interactions(write(table(lambda user, item, n: f"{blank if n % 2 else ''}{user},{item},1")))
    assert sorted(set(ids(read, "user_id"))) == list(range(1, 31))
    assert said(read, "blanks around ids were removed")


def test_files_put_together_with_marks_of_byte_order_are_one(write: Write) -> None:
    read = read_interactions(write(b"\xef\xbb\xbfuser,item\n1,7\n" + b"\xef\xbb\xbf2,7\n"))
    assert rows(read) == [(1, 7), (2, 7)]


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["user,item", "user,item,rating", " user , item "])
def test_a_header_that_comes_again_is_named(header: str, write: Write) -> None:
    width = header.count(",") + 1
    part = header + "\n" + "".join(",".join([f"u{user}", f"i{item}", "5"][:width]) + "\n" for user, item in PAIRS)
    with pytest.raises(InputError, match=f"line {len(PAIRS) + 2}: this is the header again"):
        read_interactions(write(part + part))


def test_a_user_called_as_the_column_is_one(write: Write) -> None:
    assert rows(read_interactions(write("user,item\nuser,a\nb,item\n"))) == [("user", "a"), ("b", "item")]


def test_quotes_behind_backslashes_hide_no_row(write: Write) -> None:
    read = read_interactions(
        write(table(lambda user, item, _: f'{user},"ends \\"",{item}', "user,title,item\n")), carry=["title"]
    )
    assert [(user, item) for user, item, _ in rows(read)] == PAIRS
    assert rows(read)[0][2] == 'ends "'
    assert said(read, "Quotes within quotes are written")


def test_quotes_behind_backslashes_hide_no_row_far_down(write: Write) -> None:
    lines = [f'{user},{chr(34) + "ends " + chr(92) + chr(34) * 2 if n == 2000 else "x"},{item}\n' for n in range(3000)
             for user, item in [PAIRS[n % len(PAIRS)]]]  # fmt: skip
    read = read_interactions(write("user,title,item\n" + "".join(lines)))
    assert rows(read) == [PAIRS[n % len(PAIRS)] for n in range(3000)]


def test_a_backslash_before_the_closing_quote_is_a_character(write: Write) -> None:
    read = read_interactions(
        write(table(lambda user, item, _: f'{user},"C:\\",{item}', "user,title,item\n")), carry=["title"]
    )
    assert rows(read)[:2] == [(1, 101, "C:\\"), (1, 102, "C:\\")]


def test_a_quote_left_open_far_down_is_named(write: Write) -> None:
    titles = {2000: '"open', 2003: '"shut"'}
    lines = [f"{PAIRS[n % 90][0]},{titles.get(n, 'x')},{PAIRS[n % 90][1]},4\n" for n in range(3000)]
    with pytest.raises(InputError, match="line 2002: a double quote is left open, and hides the lines below"):
        read_interactions(write("user,title,item,rating\n" + "".join(lines)))


def test_cells_of_several_lines_are_read_also_far_down(write: Write) -> None:
    titles = {2000: '"two\nlines"', 2003: '"three\n\nlines, all in all"'}
    lines = [f"{PAIRS[n % 90][0]},{titles.get(n, 'x')},{PAIRS[n % 90][1]},4\n" for n in range(3000)]
    assert len(read_interactions(write("user,title,item,rating\n" + "".join(lines)))) == 3000


def test_several_empty_columns_at_the_end_are_none(write: Write) -> None:
    expected = [(user, item, 4.0) for user, item in PAIRS]
    for name, header in (("a.csv", "user,item,rating\n"), ("b.csv", "")):
        read = read_interactions(write(table(lambda user, item, _: f"{user},{item},4,,,", header), name))
        assert rows(read) == expected


def test_lines_before_the_table_are_named(write: Write) -> None:
    with pytest.raises(InputError, match="line 1: 1 cell, and 3 in most lines") as caught:
        read_interactions(
            write(table(lambda user, item, _: f"{user},{item},4", "Ratings of May\n\nuser,item,rating\n"))
        )
    assert "remove what comes before the table" in str(caught.value.hint)


def test_utf_16_without_a_mark_is_named_with_its_encoding(write: Write) -> None:
    for word in ("utf-16-le", "utf-16-be"):
        path = write(table(lambda user, item, _: f"{user},{item},4").encode(word), f"{word}.csv")
        with pytest.raises(InputError, match=f"is not UTF-8, but looks like {word}"):
            read_interactions(path)
        assert len(read_interactions(path, text_encoding=word)) == len(PAIRS)


# --- numbers and times ------------------------------------------------------------------------------------------------


def test_decimal_commas_in_quotes_are_read(write: Write) -> None:
    read = read_interactions(write(table(lambda user, item, n: f'{user},{item},"{n % 5},5"')))
    assert [rating for *_, rating in rows(read)][:3] == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (lambda user, item, n: f'{user},{item},"{n + 1},234"', "'1,234' is not a number", "without ',' between"),
        (lambda user, item, n: f"{user};{item};{n or 1}.234.567", "'1.234.567' is not a number", "without '.' between"),
        (lambda user, item, n: f"{user};{item};{n + 1}{'.234' if n % 2 else ''}", "point between thousands", "without"),
    ],
)
def test_separators_of_thousands_are_named(
    line: Callable[[int, int, int], str], message: str, hint: str, write: Write
) -> None:
    delimiter = line(1, 2, 3)[1]
    with pytest.raises(InputError, match=message) as caught:
        read_interactions(write(table(line, delimiter.join(("user", "item", "plays")) + "\n")))
    assert hint in str(caught.value.hint)


def test_three_decimals_are_decimals(write: Write) -> None:
    read = read_interactions(write(table(lambda user, item, n: f"{user};{item};{n / 7:.3f}", "user;item;plays\n")))
    assert rows(read)[1][2] == 0.143


def test_times_that_a_spreadsheet_rounded_are_refused(write: Write) -> None:
    path = write(table(lambda user, item, n: f"{user},{item},{1.5e12 + 7919 * n:.5E}", "user,item,timestamp\n"))
    with pytest.raises(InputError, match=r"'1\.50000E\+12' is a number without its last digits"):
        read_interactions(path)
    path = write(table(lambda user, item, n: f"{user},{item},{1.5e9 + n:.9E}", "user,item,timestamp\n"), "exact.csv")
    assert [time for *_, time in rows(read_interactions(path))] == [1_500_000_000 + n for n in range(len(PAIRS))]


@pytest.mark.parametrize("source", ["csv", "arrow"])
def test_times_that_would_mostly_be_one_are_not_rounded(source: str, write: Write) -> None:
    times = [n / 700 for n in range(1, len(PAIRS) + 1)]
    path = write(table(lambda user, item, n: f"{user},{item},{times[n]}", "user,item,timestamp\n"))
    users, items = zip(*PAIRS, strict=True)
    given = pa.table({"user": users, "item": items, "timestamp": times}) if source == "arrow" else path
    with pytest.raises(InputError, match=r"row 1: the timestamp .* without fractions 90 different times would be 1"):
        read_interactions(given)
    assert "timestamp" not in read_interactions(given, timestamp_column="none").columns


def test_times_that_fall_together_by_rounding_are_warned_of(write: Write) -> None:
    path = write(table(lambda user, item, n: f"{user},{item},{1.5e9 + n / 4}", "user,item,timestamp\n"))
    assert said(read_interactions(path), "Warning: timestamp: fractions were rounded down to whole numbers, so that 90")


def test_times_of_day_beside_dates_are_warned_of(write: Write) -> None:
    read = read_interactions(
        write(
            table(lambda user, item, n: f"{user},{item},2024-01-{n % 30 + 1:02d},{n % 24}:05", "user,item,date,time\n")
        )
    )
    assert said(read, "Warning: The timestamps 'date' are days, and 'time' has times of day")
    read = read_interactions(
        write(table(lambda user, item, _: f"{user},{item},2024-01-05", "user,item,date\n"), "b.csv")
    )
    assert not said(read, "times of day")


def test_a_form_is_advised_for_dates_without_zeros(write: Write) -> None:
    path = write(table(lambda user, item, n: f"{user},{item},2024-{n % 12 + 1}-{n % 28 + 1}", "user,item,date\n"))
    with pytest.raises(InputError) as caught:
        read_interactions(path)
    assert "--time-format '%Y-%m-%d'" in str(caught.value.hint)
    read = read_interactions(path, time_format="%Y-%m-%d")
    assert [(time.month, time.day) for *_, time in rows(read)] == [(n % 12 + 1, n % 28 + 1) for n in range(len(PAIRS))]


def test_times_of_utc_are_read_from_json_as_from_text(write: Write) -> None:
    times = [f"2017-07-14 02:40:{n % 60:02d}{'.25' if n % 2 else ''} UTC" for n in range(len(PAIRS))]
    objects = [{"user": user, "item": item, "time": times[n]} for n, (user, item) in enumerate(PAIRS)]
    of_json = read_interactions(write("".join(json.dumps(one) + "\n" for one in objects), "events.jsonl"))
    of_text = read_interactions(write(table(lambda user, item, n: f"{user},{item},{times[n]}", "user,item,time\n")))
    assert [time.microsecond for *_, time in rows(of_json)][:3] == [0, 250_000, 0]
    assert of_json.to_arrow().equals(of_text.to_arrow())


# --- names and objects ------------------------------------------------------------------------------------------------


def test_two_columns_of_one_name_are_refused_where_they_differ(write: Write) -> None:
    path = write(table(lambda user, item, _: f"{user},{item},x{item}", "user,item,item\n"))
    with pytest.raises(InputError, match="the columns 2 and 3 are both called 'item'") as caught:
        read_interactions(path)
    assert "--item-column 2" in str(caught.value.hint)
    assert ids(read_interactions(path, item_column=3), "item_id")[0] == "x101"
    same = write(table(lambda user, item, _: f"{user},{item},{item}", "user,item,item\n"), "same.csv")
    assert len(read_interactions(same)) == len(PAIRS)


def test_what_lacks_in_json_can_be_declined(write: Write) -> None:
    objects = [{"user": user, "item": item, "value": None if item == 102 else 1.5} for user, item in PAIRS]
    path = write("".join(json.dumps(one) + "\n" for one in objects), "events.jsonl")
    with pytest.raises(InputError, match=r"line 2: the rating .value. is missing") as caught:
        read_interactions(path)
    assert "(--rating-column none)" in str(caught.value.hint)
    assert len(read_interactions(path, rating_column="none")) == len(PAIRS)


def test_objects_in_an_object_are_named(write: Write) -> None:
    inner = [{"user": user, "item": item} for user, item in PAIRS]
    with pytest.raises(InputError, match="is a single JSON object with the keys 'data', 'count'"):
        read_interactions(write(json.dumps({"data": inner, "count": 3}), "page.json"))


def test_a_table_of_many_columns_is_not_printed_in_full(write: Write) -> None:
    names = [f"title {number}" for number in range(1000)]
    with pytest.raises(InputError, match="and 971 more"):
        read_interactions(write("user," + ",".join(names) + "\n" + ",".join(["1"] * 1001) + "\n"))
