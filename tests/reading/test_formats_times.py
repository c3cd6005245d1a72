"""Times in forms of their own, and the order of rows as time."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

from fractalrs.errors import InputError
from fractalrs.reading import Interactions, read_interactions
from helpers.sources import Write


def times(interactions: Interactions) -> list[Any]:
    return [time.as_py() for time in pa.table(interactions)["timestamp"]]


FORMS = [
    ("31/12/2019", "%d/%m/%Y", datetime(2019, 12, 31)),
    ("12/31/2019", "%m/%d/%Y", datetime(2019, 12, 31)),
    ("2020/1/1 0:00", "%Y/%m/%d %H:%M", datetime(2020, 1, 1)),
    ("31.12.2019 23:59:58", "%d.%m.%Y %H:%M:%S", datetime(2019, 12, 31, 23, 59, 58)),
    ("Tue Mar 27 18:11:20 +0200 2012", "%a %b %d %H:%M:%S %z %Y", datetime(2012, 3, 27, 16, 11, 20, tzinfo=UTC)),
    ("03 21, 2012", "%m %d, %Y", datetime(2012, 3, 21)),
    ("Mar 21, 2012", "%b %d, %Y", datetime(2012, 3, 21)),
    ("12/31/2019 11:30 PM", "%m/%d/%Y %I:%M %p", datetime(2019, 12, 31, 23, 30)),
    ("2019/12/31 10:00:00.25", "%Y/%m/%d %H:%M:%S.%f", datetime(2019, 12, 31, 10, 0, 0, 250_000)),
]


@pytest.mark.parametrize(("text", "form", "expected"), FORMS)
def test_forms_are_read_when_told_and_named_when_not(write: Write, text: str, form: str, expected: datetime) -> None:
    path = write("user_id;item_id;time\n" + f"1;2;{text}\n" * 3)
    json = write(f'{{"user_id": 1, "item_id": 2, "time": "{text}"}}\n' * 3, "r.json")
    frame = pd.DataFrame({"user_id": [1], "item_id": [2], "time": [text]})
    for source in (path, json, frame, pa.table({"user": [1], "item": [2], "time": [text]})):
        assert set(times(read_interactions(source, time_format=form))) == {expected}
        with pytest.raises(InputError) as error:
            read_interactions(source)
        # What is advised was tried.
        assert error.value.hint is not None
        assert f"time_format={form!r} (--time-format {form!r})" in error.value.hint
        assert "correct or remove" not in error.value.hint
    with pytest.raises(InputError, match="line 2: the timestamp"):
        read_interactions(path)


def test_both_readings_of_a_day_are_named(write: Write) -> None:
    path = write("user_id;item_id;time\n1;2;01/02/2020\n1;3;03/04/2020\n")
    with pytest.raises(InputError, match=r"time_format='%d/%m/%Y' .*, or '%m/%d/%Y' if that is meant"):
        read_interactions(path)


@pytest.mark.parametrize("bad", ["31/02/2019", "soon", "31/12/2019 10:00", "32/01/2019", "31/12/19x"])
def test_a_time_of_another_form_is_named_by_line(write: Write, bad: str) -> None:
    text = "user_id;item_id;time\n" + "1;2;31/12/2019\n" * 1500
    assert len(read_interactions(write(text), time_format="%d/%m/%Y")) == 1500
    with pytest.raises(InputError, match=f"line 1502: the timestamp '{bad}' does not have the form '%d/%m/%Y'"):
        read_interactions(write(text + f"1;2;{bad}\n"), time_format="%d/%m/%Y")
    with pytest.raises(InputError, match=f"row 2: the timestamp '{bad}' does not have the form"):
        read_interactions(
            pa.table({"user": [1, 1], "item": [2, 3], "time": ["31/12/2019", bad]}), time_format="%d/%m/%Y"
        )


def test_a_zone_in_some_rows_only_is_named_by_line(write: Write) -> None:
    zoned, bare = "1,2,2020-01-01T10:00:00Z\n", "1,2,2020-01-01T10:00:00\n"
    head = "user_id,item_id,time\n"
    with pytest.raises(InputError, match=r"line 4: the timestamp '2020-01-01T10:00:00' names no time zone, .* one"):
        read_interactions(write(head + zoned * 2 + bare))
    with pytest.raises(InputError, match=r"line 3: the timestamp '2020-01-01T10:00:00Z' names a time zone, .* none"):
        read_interactions(write(head + bare + zoned))


@pytest.mark.parametrize("form", ["", "now", 5, "%Q", "%Y %"])
def test_forms_that_are_none(form: Any) -> None:
    with pytest.raises(InputError, match="time_format is"):
        read_interactions(pa.table({"user": [1], "item": [2], "time": ["x"]}), time_format=form)


def test_numbers_have_no_form() -> None:
    with pytest.raises(InputError, match="the timestamps are no text but int64"):
        read_interactions(pa.table({"user": [1], "item": [2], "time": [5]}), time_format="%Y")


def test_the_order_of_rows_is_time(write: Write) -> None:
    expected = [1, 2, 3]
    sequences = write("1 5\n1 6\n2 5\n", "a.txt")
    for source in (
        sequences,
        write("user_id,item_id,timestamp\n1,5,900000009\n1,6,900000008\n2,5,900000007\n"),
        pa.table({"user": [1, 1, 2], "item": [5, 6, 5]}),
        scipy.sparse.coo_array(([1, 1, 1], ([1, 1, 2], [5, 6, 5]))),
        write("1 5 6\n2 5\n", "lines.txt"),
        write('{"user": 1, "item": 5}\n{"user": 1, "item": 6}\n{"user": 2, "item": 5}\n', "r.json"),
    ):
        read = read_interactions(source, order_is_time=True)
        assert times(read) == expected
        assert read.ticks_per_hour is None
        assert any("number of the row" in note for note in read.notes)
    assert "timestamp" not in read_interactions(sequences).columns
    for options in ({"timestamp_column": 2}, {"time_format": "%Y"}):
        with pytest.raises(InputError, match=r"order_is_time and time.* are both given"):
            read_interactions(sequences, order_is_time=True, **options)
    with pytest.raises(InputError, match="order_is_time is 'yes'"):
        read_interactions(sequences, order_is_time="yes")  # type: ignore[arg-type]
