"""JSON, archives, folders and URLs, each with what it should give."""

import gzip
import http.server
import io
import json
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from fractalrs.errors import InputError
from fractalrs.reading import AttributeTable, read_interactions
from fractalrs.words import ITEMS
from helpers.sources import CASES, CELLS, FOUR, NAMES, Write, rows, said


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("reviews.json.gz", 1200, ("ARRT4KY6W59ZYE", "B00K0Y50AJ", 2.0, 1_300_000_680)),
        ("three-keys.jsonl", 1200, (68, 13, 1_300_000_680)),
        ("spark-csv-folder", 4686, (68, 13, 2.0, 1_300_000_680)),
        ("hive-partition-keys", 4686, (68, 13, 2.0, 1_300_000_680)),
    ],
)
def test_shared_cases(name: str, count: int, first: tuple[Any, ...]) -> None:
    if not (CASES / name).exists():
        pytest.skip("the shared cases are not beside the project")
    read = read_interactions(CASES / name)
    assert len(read) == count
    assert rows(read)[0] == first


# --- JSON -------------------------------------------------------------------------------------------------------------

OBJECTS: list[dict[str, Any]] = [
    {"user_id": user, "item_id": item, "stars": rating, "date": time, "extra": {"a": [1]}}
    for user, item, rating, time in FOUR
]


def as_lines(objects: list[Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


@pytest.mark.parametrize("form", ["lines", "array", "indented array", "indented objects", "one line"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("threads", [1, None])
def test_objects(write: Write, form: str, packed: bool, threads: int | None) -> None:
    text = {
        "lines": as_lines(OBJECTS),
        "array": json.dumps(OBJECTS),
        "indented array": "\ufeff" + json.dumps(OBJECTS, indent=2),
        "indented objects": "".join(json.dumps(one, indent=2) + "\n" for one in OBJECTS),
        "one line": "".join(json.dumps(one) + " " for one in OBJECTS),
    }[form]
    read = read_interactions(write(gzip.compress(text.encode()) if packed else text, "r.json"), threads=threads)
    assert rows(read) == FOUR
    assert said(read, "as JSON")


def test_fields_of_fields(write: Write) -> None:
    objects = [{"author": {"steamid": f"7{user}"}, "game": {"app": {"id": item}}} for user, item, *_ in FOUR]
    path = write(as_lines(objects), "r.jsonl")
    expected = [(72, 10), (71, 7), (72, 7)]
    assert rows(read_interactions(path, item_column="game.app.id")) == expected
    assert rows(read_interactions(path, user_column="author.steamid", item_column="game.app.id")) == expected
    pq.write_table(pa.Table.from_pylist(objects), path.with_suffix(".parquet"))
    assert rows(read_interactions(path.with_suffix(".parquet"), item_column="game.app.id")) == expected


def test_dates_text_and_carried_fields(write: Write) -> None:
    objects = [{"user": "2020-01-01", "item": "b", "date": "2018-07-07 22:09:11", "text": 'it, "is"'}] * 2
    read = read_interactions(write(as_lines(objects), "r.json"), carry=["text"])
    assert rows(read) == [("2020-01-01", "b", datetime(2018, 7, 7, 22, 9, 11), 'it, "is"')] * 2


def test_ids_of_several_types_are_text(write: Write) -> None:
    objects = [{"user": 5, "item": 2**64 - 1}, {"user": "a", "item": 3}, {"user": 7, "item": 2**53 + 1}]
    expected = [("5", "18446744073709551615"), ("a", "3"), ("7", "9007199254740993")]
    for text in (as_lines(objects), json.dumps(objects)):
        assert rows(read_interactions(write(text, "r.json"))) == expected
    late = [{"user": 5, "item": 1}] * 2000 + [{"user": "a", "item": 1}]
    assert rows(read_interactions(write(as_lines(late), "r.json")))[-1] == ("a", 1)
    rated = [{"user": 5, "item": 1, "rating": 4}] * 2000 + [{"user": 5, "item": 1, "rating": 4.5}]
    assert rows(read_interactions(write(as_lines(rated), "r.json")))[-1] == (5, 1, 4.5)


def test_one_user_per_object(write: Write, tmp_path: Path) -> None:
    objects = [
        {"user": 1, "items": [5, 6], "time": [10, 11]},
        {"user": 2, "items": [], "time": []},
        {"user": 3, "items": [5], "time": [9]},
    ]
    expected = [(1, 5, 10), (1, 6, 11), (3, 5, 9)]
    assert rows(read_interactions(write(as_lines(objects), "r.json"))) == expected
    table = pa.Table.from_pylist(objects)
    pq.write_table(table, tmp_path / "r.parquet")
    for source in (tmp_path / "r.parquet", table):
        assert rows(read_interactions(source)) == expected
    objects[0]["time"] = [10]
    with pytest.raises(InputError, match="the lists of timestamp are not as long as those of item_id"):
        read_interactions(write(as_lines(objects), "r.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (as_lines(OBJECTS) + '{"user_id": 1,\n', r"r\.json, line 4: this is not JSON"),
        (as_lines(OBJECTS) + '{"user_id": 1, "stars": 1, "date": 3}\n', r"line 4: the item_id \(item_id\) is missing"),
        (as_lines(OBJECTS) + '{"user_id": 1.5, "item_id": 2, "stars": 1, "date": 3}\n', "line 4: the user_id is 1.5"),
        (
            as_lines(OBJECTS) + '{"user_id": 1, "item_id": 2, "stars": "x", "date": 3}\n',
            "line 4: the rating 'x' is not",
        ),
        (as_lines(OBJECTS) + "[1, 2]\n", "which is no object"),
        ("[[1, 2], [3, 4]]", "element 1 holds .1, 2., which is no object"),
        ("[]", "empty JSON array"),
        ('{"a": {"0": 1, "1": 2}, "b": {"0": 1}}', "is a single JSON object with the keys 'a', 'b'"),
        ('{"u1": ["a", "b"], "u2": ["c"]}', "is a single JSON object with the keys 'u1', 'u2'"),
        ('{"foo": 1, "bar": 2}\n{"foo": 1, "bar": 2}\n', "saw the columns 'foo', 'bar'"),
    ],
)
def test_unusable_json(write: Write, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_interactions(write(text, "r.json"))


def test_options_of_text_are_refused_for_json(write: Write) -> None:
    path = write(as_lines(OBJECTS), "r.json")
    assert rows(read_interactions(path, format="json", text_encoding="utf-8")) == FOUR
    for options in ({"delimiter": ","}, {"header": True}):
        with pytest.raises(InputError, match="for text files"):
            read_interactions(path, **options)
    with pytest.raises(InputError, match="is JSON, not csv"):
        read_interactions(path, format="csv")


# --- archives ---------------------------------------------------------------------------------------------------------

MEMBERS: dict[str, str] = {
    "ml/README.txt": "read me",
    "ml/movies.csv": "movieId,title\n10,Up\n",
    "ml/ratings.csv": NAMES + CELLS,
}


def zipped(members: Mapping[str, str | bytes], **options: Any) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def tarred(members: dict[str, str], mode: str) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return sink.getvalue()


@pytest.mark.parametrize("form", ["zip", "w", "w:gz", "w:bz2"])
def test_archives(write: Write, form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    path = write(zipped(MEMBERS) if form == "zip" else tarred(MEMBERS, form), "ml")
    read = read_interactions(path)
    assert rows(read) == FOUR
    assert read.notes[0] == f"Picked ml/ratings.csv in {path} beside ml/movies.csv."
    # What was unpacked is gone.
    assert list(scratch.iterdir()) == []


def test_errors_in_archives_name_archive_member_and_line(write: Write) -> None:
    path = write(zipped(MEMBERS | {"ml/ratings.csv": NAMES + CELLS + "1,7,bad,3\n"}), "ml.zip")
    with pytest.raises(InputError, match=r"ml\.zip: ml/ratings\.csv, line 5: the rating 'bad'"):
        read_interactions(path)


def test_archives_of_other_formats(write: Write) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"user": [2], "item": [10]}), sink)
    inner: list[dict[str, str | bytes]] = [
        {"a.parquet": sink.getvalue()},
        {"a.json": '{"user": 2, "item": 10}\n'},
        {"a.csv.gz": gzip.compress(b"user,item\n2,10\n")},
        {"__MACOSX/._a.csv": "x", "a.csv": "user,item\n2,10\n"},
        {"../../a.csv": "user,item\n2,10\n"},
        {"out.edges": "% bip\n2 10\n"},
    ]
    for members in inner:
        assert rows(read_interactions(write(zipped(members), "a.zip"))) == [(2, 10)]
    attributes = AttributeTable.read(write(zipped({"movies.csv": "movieId,title\n10,Up\n"}), "m.zip"), ITEMS)
    assert attributes.columns.to_pydict() == {"title": ["Up"]}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.csv": NAMES + CELLS, "b.csv": NAMES + CELLS}, "holds more than one table: a.csv, b.csv"),
        ({"train.txt": "1 2 3\n", "test.txt": "1 2\n"}, "holds more than one table: test.txt, train.txt"),
        ({"README.md": "x"}, "holds no table; saw README.md"),
        ({"xl/workbook.xml": "x"}, "an Excel workbook"),
        ({}, "holds no table; saw nothing"),
    ],
)
def test_archives_without_one_table(write: Write, members: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_interactions(write(zipped(members), "a.zip"))


def test_damaged_archives(write: Write) -> None:
    good = zipped({"ratings.csv": NAMES + CELLS * 1000})
    for content in (good[: len(good) // 2], good[:200] + b"damage" + good[206:]):
        with pytest.raises(InputError, match=r"a\.zip"):
            read_interactions(write(content, "a.zip"))
    packed = tarred(MEMBERS, "w:gz")
    with pytest.raises(InputError, match=r"a\.tgz is damaged"):
        read_interactions(write(packed[:-30], "a.tgz"))


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_with_one_table_of_interactions(write: Write, tmp_path: Path) -> None:
    for name, content in MEMBERS.items():
        write(content, name)
    read = read_interactions(tmp_path / "ml")
    assert rows(read) == FOUR
    assert read.notes[0] == f"Picked ratings.csv in {tmp_path / 'ml'} beside movies.csv."
    assert rows(read_interactions(tmp_path / "ml", delimiter=",", header=True, format="csv")) == FOUR


@pytest.mark.parametrize("header", [NAMES, ""])
@pytest.mark.parametrize("packed", [False, True])
def test_parts_of_a_table(write: Write, tmp_path: Path, header: str, packed: bool) -> None:
    lines = CELLS.splitlines()
    for number, line in enumerate(["", *lines]):
        text = (header + line if line else "").encode()  # the first is empty, no last newline
        name = f"out/part-0000{number}-ab.csv"
        write(gzip.compress(text) if packed and text else text, name + (".gz" if packed else ""))
    write("", "out/_SUCCESS")
    read = read_interactions(tmp_path / "out")
    assert rows(read) == FOUR
    assert said(read, "and 2 like it")
    dates = [line.rpartition(",")[0] + ",2020-01-0" + str(day) for day, line in enumerate(lines, start=1)]
    for number, line in enumerate(dates, start=1):
        write(header + line + "\n", f"dates/ratings_{number}.csv")
    assert [row[3].day for row in rows(read_interactions(tmp_path / "dates"))] == [1, 2, 3]


def test_a_line_in_a_part_is_named_with_it(write: Write, tmp_path: Path) -> None:
    write(NAMES + CELLS, "out/part-0.csv")
    write(NAMES + CELLS + "1,x\n", "out/part-1.csv")
    with pytest.raises(InputError, match=r"out: part-1\.csv, line 5: 2 cells instead of 4"):
        read_interactions(tmp_path / "out")
    write("a,b\n1,2\n", "out/part-1.csv")
    with pytest.raises(InputError, match=r"part-1\.csv and .*part-0\.csv are not parts of one table"):
        read_interactions(tmp_path / "out", header=True)


def test_parts_of_blocks_and_of_json(write: Write, tmp_path: Path) -> None:
    write("1:\n5,3,2005-01-01\n", "n/combined_data_1.txt")
    write("2:\n6,4,2005-01-02\n", "n/combined_data_2.txt")
    write("1,1990,A film\n2,1991,Another\n", "n/movie_titles.csv")
    assert [row[:3] for row in rows(read_interactions(tmp_path / "n"))] == [(5, 1, 3.0), (6, 2, 4.0)]
    write('{"user": 5, "item": 1}\n', "j/part-0.json")
    write('{"user": "a", "item": 2}\n', "j/part-1.json")
    assert rows(read_interactions(tmp_path / "j")) == [("5", 1), ("a", 2)]


def test_keys_of_partitions(tmp_path: Path) -> None:
    table = pa.table({"user": [2, 1], "item": [10, 7], "day": ["2020-01-01", "2020-01-02"]})
    pq.write_to_dataset(table, tmp_path / "h", partition_cols=["day"])
    read = read_interactions(tmp_path / "h", timestamp_column="day")
    assert sorted(rows(read)) == [(1, 7, datetime(2020, 1, 2)), (2, 10, datetime(2020, 1, 1))]
    assert sorted(rows(read_interactions(tmp_path / "h", carry=["day"]))) == [
        (1, 7, "2020-01-02"),
        (2, 10, "2020-01-01"),
    ]
    if (CASES / "hive-partition-keys").exists():
        read = read_interactions(CASES / "hive-partition-keys", timestamp_column="dt")
        assert {row[3] for row in rows(read)} == {datetime(2020, 1, 1), datetime(2020, 1, 2)}


def test_our_own_data_set(tmp_path: Path) -> None:
    source = fr.sample_interactions(60, 40, 600)
    made = fr.expand(source, tmp_path / "out", user_multiplier=2, item_multiplier=2)
    read = read_interactions(tmp_path / "out")
    assert len(read) == made.totals["train"] + made.totals["test"]
    assert said(read, "the train and test interactions of a data set of fractalrs")
    assert len(read_interactions(tmp_path / "out" / "train")) == made.totals["train"]
    (tmp_path / "out" / "manifest.json").unlink()
    with pytest.raises(InputError, match="a data set of fractalrs that is not finished"):
        read_interactions(tmp_path / "out")


def test_folders_without_a_table(write: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no files"):
        read_interactions(tmp_path)
    write("x", "README.md")
    with pytest.raises(InputError, match=r"holds no table; saw README\.md"):
        read_interactions(tmp_path)


# --- URLs -------------------------------------------------------------------------------------------------------------


def test_local_urls(write: Write) -> None:
    path = write(NAMES + CELLS, "my ratings.csv")
    for url in (path.as_uri(), f"file://localhost{path.as_posix()}"):
        assert rows(read_interactions(url)) == FOUR
    with pytest.raises(FileNotFoundError):
        read_interactions("file:///no/such/file.csv")
    with pytest.raises(InputError, match="names the machine 'elsewhere'"):
        read_interactions("file://elsewhere/ratings.csv")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://example.org/ml-20m.zip", r"is not read from the network\nhint: fetch it first: curl -LO 'https"),
        ("HTTP://example.org/a.csv", "curl -LO"),
        ("hf://datasets/a/b.csv", "hf:// is nothing that is read"),
        ("foo://bar", "foo:// is nothing that is read"),
    ],
)
def test_urls_that_nothing_reaches(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_interactions(url)
    with pytest.raises(InputError, match=message):
        AttributeTable.read(url, ITEMS)


@pytest.mark.parametrize("target", ["s3://bucket/out", "gs://bucket/out", "https://host/out", "file:///tmp/out"])
@pytest.mark.parametrize("kind", [str, Path])
def test_urls_are_no_outputs(
    target: str, kind: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = fr.sample_interactions(60, 40, 600)
    # A data set may go to an object store.
    if not target.startswith(("s3", "gs")):
        with pytest.raises(fr.FractalrsError, match=":// is no local folder"):
            fr.expand(source, kind(target), user_multiplier=2, item_multiplier=2)
    with pytest.raises(fr.FractalrsError, match=":// is no local folder"):
        fr.write_interactions(source, kind(target + ".csv"))
    assert list(tmp_path.iterdir()) == []


class Bucket(http.server.BaseHTTPRequestHandler):
    """As much of an object store as reading takes: objects by name, in ranges, and a list of them."""

    objects: dict[str, bytes] = {}  # noqa: RUF012

    def answer(self, body: bool) -> None:
        path, _, query = self.path.partition("?")
        name = path.removeprefix("/bucket/").removeprefix("/bucket")
        content = self.objects.get(name)
        if content is None and "list-type=2" not in query:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if content is None:
            keys = "".join(
                f"<Contents><Key>{key}</Key><Size>{len(self.objects[key])}</Size></Contents>" for key in self.objects
            )
            content = f"<ListBucketResult><IsTruncated>false</IsTruncated>{keys}</ListBucketResult>".encode()
        start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = content[int(start) : int(end) + 1 if end else None]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self.wfile.write(part)

    def do_GET(self) -> None:
        self.answer(True)

    def do_HEAD(self) -> None:
        self.answer(False)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An object store on this machine; what is behind the names of its objects."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"?scheme=http&endpoint_override=127.0.0.1:{server.server_port}&region=us-east-1&allow_bucket_creation=false"
    server.shutdown()
    server.server_close()
    thread.join()


def test_objects_of_a_store(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "objects", {"ml/ratings.csv": (NAMES + CELLS).encode(), "ml.zip": zipped(MEMBERS)})
    for name in ("ml/ratings.csv", "ml.zip"):
        read = read_interactions(f"s3://bucket/{name}{bucket}")
        assert rows(read) == FOUR
        assert said(read, "Fetched s3://bucket/ml")
    with pytest.raises(FileNotFoundError):
        read_interactions(f"s3://bucket/none.csv{bucket}")
