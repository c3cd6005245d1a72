"""Attributes of expanded items and users: whose they are, what is read and refused, and that it is all or nothing."""

import bz2
import dataclasses
import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from fractalrs.dataset import Folder, match
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.expansion import Expansion
from fractalrs.reading import AttributeTable
from fractalrs.tools import LocalStaging, LocalStore, ProgressCallback
from fractalrs.words import ITEMS, USERS, Side
from helpers import oracle
from helpers.commands import run
from helpers.folders import RATES, cleared_but_killed, digests, read, small_base, sql, stamps

SIZE = ("--user-multiplier", 3, "--item-multiplier", 5)
KINDS = ("items", "users")
SIDES = {"items": ITEMS, "users": USERS}
GIVEN = {"items": "item_attributes", "users": "user_attributes"}


@cache
def named_base() -> fr.Base:
    """Give `small_base` ids that must stay text: item codes as 000, 007, …, users as u0, u1, …."""
    base = small_base()
    users, items = (
        [form.format(code) for code in range(count)] for form, count in zip(("u{}", "{:03}"), base.shape, strict=True)
    )
    return fr.Base.from_arrays(base.indptr, base.indices, base.test_mask, users, items)


def expansion_of(shuffle: Any = "aligned", base: fr.Base | None = None, **options: Any) -> Expansion:
    return Expansion(base or named_base(), RATES, **{"shuffle": shuffle, "seed": 7} | options)


def items_table() -> pa.Table:
    """Attributes of all items of `named_base`, in no order, with nulls."""
    codes = np.random.default_rng(1).permutation(150)
    return pa.table(
        {
            "movieId": [f"{code:03}" for code in codes],
            "title": [None if code == 3 else f"Title {code % 40}" for code in codes],
            "year": pa.array([1900 + int(code) for code in codes]),
            "score": pa.array([None if code == 5 else code / 8 for code in codes], pa.float64()),
        }
    )


def users_table() -> pa.Table:
    return pa.table({"user": [f"u{code}" for code in range(200)], "age": np.arange(200) % 70})


TABLES = {"items": items_table, "users": users_table}


def grouped(side: Side, rows: int) -> Any:
    """Match a table of `TABLES` with `named_base`, to be written in row groups of so many rows."""
    made = match(AttributeTable.read(TABLES[side.plural](), side), named_base())
    return dataclasses.replace(made, group_rows=rows)


def slow_sources(expansion: Expansion, kind: str) -> npt.NDArray[np.int64]:
    """Work out the source code of every expanded id as docs/generator.md says."""
    (m, n), (p, q) = expansion.reduced.shape, expansion.base.shape
    if expansion.shuffle == "none":
        return np.tile(np.arange(q), n) if kind == "items" else np.tile(np.arange(p), m)
    key, cells = oracle.root(expansion.seed), expansion.cells
    if kind == "users":
        order = cells.user_order.astype(np.int64)
        return np.concatenate([order[oracle.permutation(oracle.under(key, oracle.ROW, i), p)] for i in range(m)])
    place = oracle.inverse(cells.item_order.astype(np.int64))
    columns = [oracle.permutation(oracle.under(key, oracle.COLUMN, j), q)[place] for j in range(n)]
    return np.concatenate([oracle.inverse(column) for column in columns])


# --- identity --------------------------------------------------------------------------------------------------------


def test_files_do_not_depend_on_threads(tmp_path: Path) -> None:
    made = []
    for threads in (1, 2, 3):
        given = {GIVEN[kind]: grouped(SIDES[kind], 64) for kind in KINDS}
        fr.write(expansion_of(), tmp_path / f"{threads}", threads=threads, **given)
        made.append(digests(tmp_path / f"{threads}"))
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize(
    ("shuffle", "sizes", "kinds", "group_rows"),
    [
        ("none", None, KINDS, 1 << 20),
        ("aligned", None, KINDS, 1 << 20),
        ("aligned", None, KINDS, 400),
        ("aligned", None, KINDS, 64),
        ("cells", (1, 4), ("users",), 1 << 20),
        ("cells", (4, 1), ("items",), 1 << 20),
        ("cells", (1, 1), KINDS, 1 << 20),
    ],
)
def test_every_expanded_id_has_the_row_of_its_source(
    tmp_path: Path,
    shuffle: str,
    sizes: tuple[int, int] | None,
    kinds: tuple[str, ...],
    group_rows: int,
) -> None:
    expansion = expansion_of(shuffle, cells=fr.group_cells(named_base(), *sizes) if sizes else None)
    dataset = fr.write(expansion, tmp_path / "out", **{GIVEN[kind]: grouped(SIDES[kind], group_rows) for kind in kinds})
    for kind in KINDS:
        found = getattr(dataset, kind)
        if kind not in kinds:
            assert found is None
            assert not (tmp_path / f"out/{kind}.parquet").exists()
            continue
        one, given, sources = kind[:-1], TABLES[kind](), slow_sources(expansion, kind)
        ids = getattr(expansion.base, f"{one}_ids")
        table = found.to_table()
        expected = {
            f"{one}_id": pa.array(range(len(sources))),
            f"source_{one}_id": ids.take(sources),
            f"{one}_block": pa.array(np.arange(len(sources)) // len(ids)),
        }
        rows = pc.index_in(ids.take(sources), given.column(0))
        expected |= {name: given[name].take(rows) for name in given.column_names[1:]}
        assert table.column_names == list(expected)
        for name, column in expected.items():
            assert table[name].to_pylist() == column.to_pylist(), name
        assert table.schema.field(0).equals(expansion.schema.field(f"{one}_id"))
        assert table.schema.field(2).equals(pa.field(f"{one}_block", pa.int32(), nullable=False))
        groups = pq.read_metadata(tmp_path / f"out/{kind}.parquet")
        assert max(groups.row_group(k).num_rows for k in range(groups.num_row_groups)) <= group_rows


@pytest.mark.parametrize("shuffle", ["none", "aligned"])
def test_every_interaction_mapped_back_is_one_of_the_source(tmp_path: Path, shuffle: str) -> None:
    expansion = expansion_of(shuffle)
    path = tmp_path / "out"
    dataset = fr.write(expansion, path, item_attributes=items_table(), user_attributes=users_table(), parts=2)
    base = expansion.base
    assert dataset.items is not None
    assert dataset.users is not None
    items, users = dataset.items.to_table()["source_item_id"], dataset.users.to_table()["source_user_id"]
    owners = np.repeat(np.arange(200), np.diff(base.indptr))
    for split, mask in (("train", ~base.test_mask), ("test", base.test_mask)):
        real = set(
            zip(
                base.user_ids.take(owners[mask]).to_pylist(),
                base.item_ids.take(base.indices[mask]).to_pylist(),
                strict=True,
            )
        )
        pairs = read(path, split)
        back = zip(users.take(pairs["user_id"]).to_pylist(), items.take(pairs["item_id"]).to_pylist(), strict=True)
        assert set(back) == real, split


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, "items", "items need one source for each expanded item, but the shuffle 'mixed' .* a cell of 5 items"),
        ({}, "users", "users need one source .* a cell of 7 users.*user_cell_size 1"),
        ({"shuffle": "block"}, "items", "the shuffle 'block' gives it another one in every block, out of all items"),
        ({"profile": "paper"}, "users", "the shuffle 'block'"),
        ({"user_cell_size": 1}, "items", "a cell of 5 items"),
        ({"item_cell_size": 1}, "users", "a cell of 7 users"),
        ({"item_cell_size": 2}, "items", "a cell of 2 items"),
    ],
)
def test_without_identity_it_is_refused_before_anything_is_read(
    tmp_path: Path, options: dict[str, Any], kind: str, message: str
) -> None:
    # Neither the source nor the attributes are there to be read.
    request: dict[str, Any] = {"user_multiplier": 3, "item_multiplier": 5, GIVEN[kind]: tmp_path / "none.csv"} | options
    with pytest.raises(InputError, match=f"(?s){message}") as caught:
        fr.expand(tmp_path / "none", tmp_path / "out", **request)
    for choice in ("--profile traceable", "--shuffle aligned", f"--{kind[:-1]}-cell-size 1"):
        assert choice in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_an_expansion_without_identity_refuses_too(tmp_path: Path) -> None:
    expansion = expansion_of("cells", cells=fr.group_cells(named_base(), 1, 3))
    with pytest.raises(InputError, match="a cell of 3 items"):
        fr.write(expansion, tmp_path / "out", item_attributes=items_table())
    with pytest.raises(InputError, match="out of all users"):
        fr.write(expansion_of("block"), tmp_path / "out", user_attributes=users_table())
    assert list(tmp_path.iterdir()) == []


# --- matching --------------------------------------------------------------------------------------------------------


def test_missing_rows_are_null_extra_ones_ignored_and_both_counted(tmp_path: Path) -> None:
    some = items_table().slice(0, 100)
    extra = pa.table({"movieId": ["x", "7", "07"], "title": ["a"] * 3, "year": [1] * 3, "score": [1.0] * 3})
    dataset = fr.write(expansion_of(), tmp_path / "out", item_attributes=pa.concat_tables([some, extra]))
    told = dataset.attributes["items"]
    assert {name: getattr(told, name) for name in ("rows", "matched", "missing", "ignored")} == {
        "rows": 750,
        "matched": 100,
        "missing": 50,
        "ignored": 3,
    }
    assert dataset.items is not None
    table = dataset.items.to_table()
    known = pc.is_in(table["source_item_id"], some["movieId"])
    assert pc.sum(known).as_py() == 500
    assert table["year"].is_valid().equals(known)
    assert table["source_item_id"].null_count == 0


@pytest.mark.parametrize("in_base", ["integers", "text"])
@pytest.mark.parametrize("given", ["integers", "text", "narrow", "floats", "dictionary"])
def test_ids_are_equal_when_they_read_the_same(in_base: str, given: str) -> None:
    small = small_base()
    ids: Any = [*range(149), 1 << 40] if in_base == "integers" else [*map(str, range(149)), "007"]
    base = fr.Base.from_arrays(small.indptr, small.indices, small.test_mask, item_ids=ids)
    column = {
        "integers": pa.array(range(150)),
        "text": pa.array([*map(str, range(149)), "0149"]),
        "narrow": pa.array(range(150), pa.uint8()),
        "floats": pa.array(range(150), pa.float64()),
        "dictionary": pa.array(map(str, range(150))).dictionary_encode(),
    }[given]
    found = match(AttributeTable.read(pa.table({"item": column, "n": range(150)}), ITEMS), base)
    assert found.counts == {"matched": 149, "missing": 1, "ignored": 1}
    assert found.table["n"].to_pylist() == [*range(149), None]
    assert found.table["source_item_id"].to_pylist() == ids if in_base == "integers" else True


def test_ids_of_a_text_file_keep_their_zeros(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_text("movie_id::title\n000::none\n7::seven\n007::Bond\n")
    found = match(AttributeTable.read(tmp_path / "movies.dat", ITEMS), named_base())
    assert found.table["title"].slice(0, 8).to_pylist() == ["none", *[None] * 6, "Bond"]
    assert found.counts == {"matched": 2, "missing": 148, "ignored": 1}
    assert found.note == "Attributes of 2 of 150 items, 148 without attributes; 1 rows of other ids are left out."


# --- what is read ----------------------------------------------------------------------------------------------------


def contents(table: Any) -> list[Any]:
    read = match(AttributeTable.read(table, ITEMS), named_base())
    return [read.fingerprint, read.table.schema.names]


def test_one_table_in_any_form_is_the_same(tmp_path: Path) -> None:
    table = items_table()
    expected = contents(table)
    frame = table.to_pandas()
    csv = frame.to_csv(index=False)
    tsv, colons = (frame.to_csv(index=False, sep="\t").replace("\t", sep) for sep in ("\t", "::"))
    recbole = re.sub("^[^\n]*", "movieId:token\ttitle:token_seq\tyear:float\tscore:float", tsv)
    files = {"a.csv": csv, "b.tsv": tsv, "c.dat": colons, "d.item": recbole, "e.csv": csv.replace("\n", "\r\n")}
    for name, text in files.items():
        (tmp_path / name).write_text(text, newline="")
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(csv.encode()))
    (tmp_path / "g.csv.bz2").write_bytes(bz2.compress(csv.encode()))
    with pa.output_stream(tmp_path / "h.csv.zst", compression="zstd") as stream:
        stream.write(csv.encode())
    pq.write_table(table, tmp_path / "i.parquet")
    (tmp_path / "j").mkdir()
    for k in range(3):
        pq.write_table(table.slice(k * 50, 50), tmp_path / f"j/part-{k}.parquet")
    for file in sorted(tmp_path.iterdir()):
        assert contents(file) == expected, file.name
        assert contents(str(file)) == expected, file.name
    categories = frame.astype({"title": "category"}).set_index("movieId")
    values = [frame, pl.from_arrow(table), table.to_reader(max_chunksize=7), categories]
    values.append(pl.from_arrow(table).with_columns(pl.col("title").cast(pl.Categorical)))  # type: ignore[union-attr]
    for value in values:
        assert contents(value) == expected, type(value)


def test_text_becomes_numbers_only_where_that_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text(
        'uid,zip,age,weight,code,huge,bio,empty,small,"a ""b"""\n'
        'u0,01234,7,70.5,12e5,1,"says ""hi"", ok",,1e-05,NA\n'
        "u1,98765,,80,7,99999999999999999999,None,,2,x\n"
    )
    read = AttributeTable.read(tmp_path / "users.csv", USERS)
    columns = {name: read.columns[name] for name in read.columns.column_names}
    assert {name: (str(column.type), column.to_pylist()) for name, column in columns.items()} == {
        "zip": ("string", ["01234", "98765"]),
        "age": ("int64", [7, None]),
        "weight": ("double", [70.5, 80.0]),
        "code": ("string", ["12e5", "7"]),
        "huge": ("string", ["1", "99999999999999999999"]),
        "bio": ("string", ['says "hi", ok', "None"]),
        "empty": ("string", [None, None]),
        "small": ("double", [1e-05, 2.0]),
        'a "b"': ("string", ["NA", "x"]),
    }


def test_types_survive_and_nested_ones_too(tmp_path: Path) -> None:
    days = pd.to_datetime(["2020-01-01"] * 150)
    frame = pl.DataFrame(
        {
            "item": [f"{code:03}" for code in range(150)],
            "genres": [["Drama", "War"], None, []] * 50,
            "flag": [True, False, None] * 50,
            "tiny": pl.Series([1, 2, 3] * 50, dtype=pl.Int8),
            "when": pl.Series(days, dtype=pl.Datetime("ns")),
            "pair": [{"a": 1, "b.c": "x"}] * 150,
        }
    )
    dataset = fr.write(expansion_of("none"), tmp_path / "out", item_attributes=frame)
    again = pl.read_parquet(tmp_path / "out/items.parquet")
    expected = pl.concat([frame.drop("item")] * 5).with_columns(pl.col("when").cast(pl.Datetime("us")))
    assert again.drop("item_id", "source_item_id", "item_block").equals(expected)
    assert again.schema["when"] == pl.Datetime("us")
    assert dataset.items is not None
    assert str(dataset.items.schema.field("tiny").type) == "int8"
    ((found,),) = sql(f"SELECT sum(len(genres)) FROM '{tmp_path}/out/items.parquet'").fetchall()
    assert found == 5 * 50 * 2


@pytest.mark.parametrize("header", ["movieId,id,n", "id,n,movie_id", "n,ITEM,id", "asin,parent,n", "what,id,n"])
def test_the_column_of_ids_is_known_by_name_or_is_the_first(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    known = [name for name in names if name in ("movieId", "movie_id", "ITEM", "asin")]
    at = names.index(known[0]) if known else 0
    rows = [["a"] * at + [f"{code:03}"] + ["b"] * (2 - at) for code in range(150)]
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in (names, *rows)))
    read = AttributeTable.read(tmp_path / "a.csv", ITEMS)
    assert (read.id_column, read.columns.column_names) == (names[at], [*names[:at], *names[at + 1 :]])
    assert f"its column {names[at]!r} holds the ids." in read.note
    assert match(read, named_base()).counts["matched"] == 150


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("movieId,title\n", "a header and no rows"),
        ("movieId\n000\n001\n", "found no delimiter"),
        ("1::Toy Story::Comedy\n2::Jumanji::Drama\n", r"line 1: this is data.*hint: .* item_id::first"),
        ("movieId,title\n000,a\n001,b\n000,c\n", "'movieId': the id '000' is there 2 times, .* rows 1 and 3"),
        ("movieId,title\n000,a\n,b\n", r"line 3: the item_id is missing"),
        ("movieId,title\n000,a,c\n001,b\n", r"line 2: 3 cells instead of 2"),
        ("movieId,title\n900,a\n901,b\n", r"no id in its column 'movieId' \('900', '901', …\) is one of the items"),
        ("title,year\na,1\nb,2\n", r"no id in its column 'title' .*hint: .*may be called item_id"),
        ("movieId,title,Title\n000,a,b\n", "two columns 'Title'"),
        ("movieId,title,\n000,a,b\n", "column 3 has no name"),
        ("movieId,item_block\n000,a\n", "column 'item_block' is called as one of ours .*hint: .* is 'movieId'"),
        ("movieId,source_item_id\n000,a\n", "'source_item_id' is called as one of ours"),
        ("item_id,ITEM_ID\n000,a\n", "two columns 'ITEM_ID'"),
        ("id,n\n\x00,a\n", "is not a text file"),
    ],
)
def test_unusable_files_are_refused_and_nothing_is_written(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "movies.csv"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        fr.write(expansion_of(), tmp_path / "out", item_attributes=file)
    assert re.search(message, str(caught.value), re.DOTALL), caught.value
    assert "movies.csv" in str(caught.value)
    assert caught.value.hint is not None
    assert [entry.name for entry in tmp_path.iterdir()] == ["movies.csv"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "cannot read attributes of items from a list"),
        (pa.table({"item": ["000", None], "n": [1, 2]}), "'item', row 2: the id is missing"),
        (pa.table({"item": ["000", ""], "n": [1, 2]}), "'item', row 2: the id is missing"),
        (pa.table({"item": [0.5, 1], "n": [1, 2]}), "'item' has the type double"),
        (pa.table({"item": [["000"]], "n": [1]}), "'item' has the type list"),
        (pa.table({"item": pa.array([], pa.string())}), "holds no rows"),
        (
            pa.table({"item": ["000"], "n": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}),
            "column 'n': the type month_day_nano_interval cannot be written",
        ),
        (pd.DataFrame({"item": ["000", "001"], "n": [1, "a"]}), "cannot be read.*single type"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        fr.write(expansion_of(), tmp_path / "out", item_attributes=value)
    assert re.search(message, str(caught.value), re.DOTALL), caught.value
    assert "given as items" in str(caught.value) or "attributes of items" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file or folder with attributes of users: .*none.csv"):
        fr.write(expansion_of(), tmp_path / "out", user_attributes=tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"bad.parquet cannot be read as Parquet"):
        fr.write(expansion_of(), tmp_path / "out", user_attributes=tmp_path / "bad.parquet")
    (tmp_path / "bad.csv").write_bytes("movieId,title\n000,Amélie\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"bad.csv, line 2: the column 'title' is not UTF-8"):
        fr.write(expansion_of(), tmp_path / "out", item_attributes=tmp_path / "bad.csv")
    (tmp_path / "bad.csv.gz").write_bytes(gzip.compress(b"movieId,title\n" + b"000,a\n" * 9_000)[:-20])
    with pytest.raises(InputError, match=r"bad.csv.gz is damaged"):
        fr.write(expansion_of(), tmp_path / "out", item_attributes=tmp_path / "bad.csv.gz")
    assert not (tmp_path / "out").exists()


# --- the files, all or nothing, and resuming -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run in 3 parts with attributes of both; not to be changed."""
    path = tmp_path_factory.mktemp("attributes") / "out"
    fr.write(expansion_of(), path, parts=3, item_attributes=items_table(), user_attributes=users_table())
    return path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    """A copy of `written` that a test may damage."""
    shutil.copytree(written, tmp_path / "out")
    return tmp_path / "out"


def write_again(path: Path | LocalStore, **options: Any) -> fr.Dataset:
    tables = {"parts": 3, "item_attributes": items_table(), "user_attributes": users_table()}
    return fr.write(expansion_of(), path, **tables | options)


@pytest.mark.parametrize("compression", ["none", "lz4", "snappy", "zstd(3)"])
def test_the_files_are_what_the_manifest_says_and_what_spark_3_5_reads(tmp_path: Path, compression: str) -> None:
    dataset = write_again(tmp_path / "out", parquet=fr.ParquetOptions(compression=compression))
    codec = {"none": "UNCOMPRESSED", "lz4": "LZ4_RAW", "zstd(3)": "ZSTD"}.get(compression, compression.upper())
    for kind in KINDS:
        told = dataset.attributes[kind]
        file = tmp_path / "out" / told.path
        assert digests(tmp_path / "out")[f"{kind}.parquet"] == told.blake3
        assert file.stat().st_size == told.bytes
        assert pl.scan_parquet(file).select(pl.len()).collect().item() == told.rows
        assert sql(f"SELECT DISTINCT compression FROM parquet_metadata('{file}')").fetchall() == [(codec,)]
        assert b"ARROW:schema" not in (pq.read_metadata(file).metadata or {})
        group = pq.read_metadata(file).row_group(0)
        encodings = {group.column(k).path_in_schema: set(group.column(k).encodings) for k in range(group.num_columns)}
        assert encodings.pop(f"{kind[:-1]}_id") == {"DELTA_BINARY_PACKED", "RLE"}
        assert all(found == {"PLAIN", "RLE", "RLE_DICTIONARY"} for found in encodings.values())


def test_the_interactions_are_those_without_attributes(tmp_path: Path, written: Path) -> None:
    fr.write(expansion_of(), tmp_path / "out", parts=3)
    for split in ("train", "test"):
        assert read(tmp_path / "out", split).equals(read(written, split))
    plan, other = (json.loads((path / "private/plan.json").read_text()) for path in (tmp_path / "out", written))
    assert "attributes" not in plan
    assert plan["fingerprints"]["expansion"] == other["fingerprints"]["expansion"]
    dataset = fr.open_dataset(tmp_path / "out")
    assert (dataset.items, dataset.users) == (None, None)
    assert "items.parquet" not in (tmp_path / "out/README.md").read_text()


@dataclass(frozen=True)
class Failing(LocalStore):
    """A folder in which a run fails when it makes, publishes, or puts a file with this name."""

    at: str = ""
    error: BaseException | None = None
    made: bool = False

    def put(self, name: str, content: bytes) -> None:
        if name == self.at and self.error is not None:
            raise self.error
        super().put(name, content)

    @contextmanager
    def staging(self) -> Iterator[LocalStaging]:
        with super().staging() as staging:
            yield FailingStaging(staging.store, staging.folder, staging.touched, self)


@dataclass(frozen=True)
class FailingStaging(LocalStaging):
    failing: Failing

    def path(self, name: str) -> Path:
        if name == self.failing.at and not self.failing.made and self.failing.error is not None:
            raise self.failing.error
        return super().path(name)

    def publish(self, name: str, *, flushed: bool = False) -> None:
        if name == self.failing.at and self.failing.error is not None:
            raise self.failing.error
        super().publish(name, flushed=flushed)


class FailingProgress(fr.Progress):
    """Fails when half of a file of attributes is written."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @contextmanager
    def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:  # noqa: ARG002
        def report(*_: float) -> None:
            if what.endswith(".parquet"):
                raise self.error

        yield report


@pytest.mark.parametrize(
    ("step", "there"),
    [
        ("items.parquet", set()),
        ("progress", set()),
        ("made items.parquet", set()),
        ("users.parquet", {"items.parquet"}),
        ("README.md", {"items.parquet", "users.parquet"}),
    ],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_run_leaves_nothing_half_written_and_goes_on(
    tmp_path: Path, written: Path, step: str, there: set[str], error: BaseException
) -> None:
    path = tmp_path / "out"
    store = Failing(path, step.removeprefix("made "), error, step.startswith("made"))
    with pytest.raises(WriteError if isinstance(error, OSError) else KeyboardInterrupt):
        write_again(store, progress=FailingProgress(error) if step == "progress" else False)
    names = {file.name for file in path.iterdir()}
    assert names == {".gitignore", "private", "train", "test", *there}
    with pytest.raises(InputError, match="not complete"):
        fr.open_dataset(path)
    parts = stamps(path)
    write_again(path)
    assert digests(path) == digests(written)
    assert stamps(path, set(parts)) == parts


def test_killed_between_the_files_the_second_alone_is_written(out: Path, written: Path) -> None:
    for name in ("manifest.json", "README.md", "users.parquet"):
        (out / name).unlink()
    left = out / ".fractalrs-0123456789abcdef"
    left.mkdir()
    (left / "users.parquet").write_bytes(b"killed")
    before = stamps(out, {name for name in digests(out) if not name.startswith(".")})
    write_again(out)
    assert digests(out) == digests(written)
    assert stamps(out, set(before)) == before


def test_a_lost_file_is_written_again_and_nothing_else(out: Path, written: Path) -> None:
    (out / "items.parquet").unlink()
    before = stamps(out, {name for name in digests(written) if name not in ("items.parquet", "manifest.json")})
    del before["README.md"]
    write_again(out)
    assert digests(out) == digests(written)
    assert stamps(out, set(before)) == before
    complete = stamps(out)
    write_again(out)
    assert stamps(out) == complete


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("damage", ["middle", "truncated", "text", "another"])
def test_a_damaged_file_is_named_on_resume(out: Path, written: Path, damage: str, manifest: bool) -> None:
    file = out / "items.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(
        {
            "middle": bytes(content),
            "truncated": bytes(content[:-9]),
            "text": b"x" * len(content),
            "another": (out / "users.parquet").read_bytes(),
        }[damage]
    )
    (out / ("users.parquet" if manifest else "manifest.json")).unlink()
    before = stamps(out)
    with pytest.raises(OutputError, match=r"items.parquet is (damaged|a part of a data set that was made otherwise)"):
        write_again(out)
    assert stamps(out) == before
    write_again(out, overwrite=True)
    assert digests(out) == digests(written)


def test_a_data_set_that_was_complete_knows_every_byte_of_the_footers(out: Path) -> None:
    file = out / "users.parquet"
    content = file.read_bytes()
    assert content.count(b"parquet-cpp") == 1
    file.write_bytes(content.replace(b"parquet-cpp", b"parquet-cpq"))
    (out / "items.parquet").unlink()
    before = stamps(out)
    with pytest.raises(OutputError, match=r"users\.parquet is damaged"):
        write_again(out)
    assert stamps(out) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item_attributes": None}, "made otherwise: attributes of items are not given here"),
        (
            {"item_attributes": None, "user_attributes": None},
            "items are not given here; attributes of users are not given here",
        ),
        ({"item_attributes": items_table().slice(1)}, "made otherwise: attributes of items are not the same"),
        (
            {"item_attributes": items_table().rename_columns(["movieId", "name", "year", "score"])},
            "items are not the same",
        ),
    ],
)
def test_other_attributes_are_refused_and_can_overwrite(
    out: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    before = stamps(out)
    with pytest.raises(OutputError, match=message):
        write_again(out, **options)
    assert stamps(out) == before
    write_again(out, overwrite=True, **options)
    write_again(tmp_path / "new", **options)
    assert digests(out) == digests(tmp_path / "new")


def test_attributes_of_other_ids_of_the_same_interactions_are_refused(out: Path) -> None:
    """A base is the same when its codes are: the ids are what the attributes add."""
    base = named_base()
    renamed = fr.Base.from_arrays(base.indptr, base.indices, base.test_mask, base.user_ids, base.item_ids[::-1])
    with pytest.raises(OutputError, match="attributes of items are not the same"):
        fr.write(expansion_of(base=renamed), out, parts=3, item_attributes=items_table(), user_attributes=users_table())


def test_attributes_that_were_not_asked_for_at_first_are_refused(tmp_path: Path) -> None:
    fr.write(expansion_of(), tmp_path / "out")
    before = stamps(tmp_path)
    with pytest.raises(OutputError, match="attributes of users are not given there"):
        fr.write(expansion_of(), tmp_path / "out", user_attributes=users_table())
    assert stamps(tmp_path) == before


@pytest.mark.parametrize("private", [True, False])
def test_a_file_of_that_name_is_ours_only_where_a_plan_or_manifest_names_it(out: Path, private: bool) -> None:
    if not private:
        shutil.rmtree(out / "private")
        write_again(out)
    write_again(out, overwrite=True, item_attributes=None)
    assert not (out / "items.parquet").exists()
    (out / "items.parquet").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"not ours: items\.parquet"):
            write_again(out, item_attributes=None, overwrite=overwrite)
    assert (out / "items.parquet").read_text() == "mine"


@pytest.mark.parametrize("without", [[], ["private"], ["manifest.json"]])
def test_an_overwrite_killed_anywhere_leaves_what_can_be_cleared(
    written: Path, tmp_path: Path, without: list[str]
) -> None:
    cleared = 0
    for path in cleared_but_killed(written, tmp_path, without):
        Folder.ours(path).clear()
        LocalStore(path).clear()
        assert list(path.iterdir()) == []
        cleared += 1
    assert cleared > 9


@dataclass(frozen=True)
class Full(LocalStore):
    """A folder on a disk with so many bytes left."""

    left: int = 0

    def free(self) -> int:
        return self.left


def test_free_disk_is_for_attributes_too(tmp_path: Path) -> None:
    expansion = expansion_of()
    names = [f"{code:03}" for code in range(150)]
    large = pa.table({"item": names, "text": [str(code) * 3_000 for code in range(150)]})
    fr.write(expansion, Full(tmp_path / "without", 200_000))
    with pytest.raises(OutputError, match="too little free disk"):
        fr.write(
            expansion,
            Full(tmp_path / "out", 200_000),
            item_attributes=large,
            parquet=fr.ParquetOptions(compression="none"),
        )
    assert not (tmp_path / "out").exists()
    path = tmp_path / "out"
    fr.write(expansion, Full(path, 3_000_000), item_attributes=large, parquet=fr.ParquetOptions(compression="none"))
    # What is finished needs no room.
    (path / "manifest.json").unlink()
    fr.write(expansion, Full(path, 100_000), item_attributes=large, parquet=fr.ParquetOptions(compression="none"))


MEMORY = """
import numpy as np, pyarrow as pa, pathlib, sys
import fractalrs as fr
from fractalrs.dataset.attributes import match
from fractalrs.reading.attributes import AttributeTable
from fractalrs.tools import peak_memory
from fractalrs.words import ITEMS
base = fr.leave_last_out(fr.sample_interactions(500, 2_000, 20_000))
names = pa.array(base.item_ids.cast(pa.string()))
table = pa.table({"item": names, "title": pa.array([f"title {k}" for k in range(2_000)]), "x": np.arange(2_000.0)})
for n in (2_048, 8_192):
    expansion = fr.Expansion(base, np.full((1, n), 0.01), shuffle="aligned")
    given = match(AttributeTable.read(table, ITEMS), base)
    report = given.write(pathlib.Path(sys.argv[1]), expansion, fr.ParquetOptions(), {})
    print(report["rows"], peak_memory())
"""


def test_memory_does_not_grow_with_the_multiplier(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "items.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    (rows, small), (more, large) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert (rows, more) == (4_096_000, 16_384_000)
    # All rows in memory would take 28 bytes each. Fewer than four row groups fill nothing: they would seem to grow.
    assert large - small < 60e6 < 28 * (more - rows) / 5


# --- the command line, the card and validation -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ratings.csv of 200 users × 150 items, items.csv and users.csv."""
    folder = tmp_path_factory.mktemp("source")
    sample = fr.sample_interactions(200, 150, 4_000, 1)
    fr.write_interactions(sample, folder / "ratings.csv")
    for kind in KINDS:
        ids = sample.codes(f"{kind[:-1]}_id")[1].to_pylist()
        rows = [f"{one},{kind} {one % 7}\n" for one in ids]
        (folder / f"{kind}.csv").write_text(f"{kind[:-1]}Id,name\n" + "".join(rows[5:]) + f"{10**6},extra\n")
    return folder


def test_the_command_line_tells_what_was_found(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    command = ["expand", source / "ratings.csv", path, *SIZE, "--profile", "traceable", "--json"]
    command += ["--item-attributes", source / "items.csv", "--user-attributes", source / "users.csv"]
    forecast = json.loads(run(*command, "--dry-run").out)
    assert not path.exists()
    done = run(*command)
    assert done.code == 0, done.err
    for words in (
        "Read items.csv as a table with a header, ',' between cells; its column 'itemId' holds the ids.",
        "Attributes of 145 of 150 items, 5 without attributes; 1 rows of other ids are left out.",
        "its column 'userId' holds the ids.",
        "Attributes of 195 of 200 users",
        "writing items.parquet",
    ):
        assert words in done.err
    told = json.loads(done.out)["attributes"]
    assert json.loads(run("info", path, "--json").out)["attributes"] == told
    assert "items.parquet" in run("info", path).out
    manifest = json.loads((path / "manifest.json").read_text())["attributes"]
    for kind, (matched, rows) in {"items": (145, 750), "users": (195, 600)}.items():
        counts = {"matched": matched, "missing": 5, "ignored": 1}
        size = (path / f"{kind}.parquet").stat().st_size
        assert told[kind] == {"path": f"{kind}.parquet", "rows": rows, "bytes": size} | counts
        assert manifest[kind] == told[kind] | {"blake3": digests(path)[f"{kind}.parquet"]}
        assert forecast["attributes"][kind] == {"bytes": pytest.approx(size, rel=0.3)} | counts
    card = (path / "README.md").read_text()
    assert "| attributes | `items.parquet`: 750 rows |\n| attributes | `users.parquet`: 600 rows |" in card
    assert "source's own id stands beside every expanded one in `items.parquet` and `users.parquet`" in card
    assert card.split("---")[1].count("path:") == 2
    before = stamps(path)
    assert "is complete already" in run(*command).err
    done = run(*command[:-4])
    assert done.code == 2
    assert "attributes of items are not given here; attributes of users are not given here" in done.err
    assert stamps(path) == before


class Recording(fr.Progress):
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float, int]] = []

    @contextmanager
    def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:  # noqa: ARG002
        yield lambda done, parts_done: self.told.append((what, done, parts_done))


def test_progress_of_attributes_counts_row_groups(tmp_path: Path) -> None:
    shown = Recording()
    given = {GIVEN[kind]: grouped(SIDES[kind], 300) for kind in KINDS}
    fr.write(expansion_of(), tmp_path / "out", progress=shown, **given)
    told = [one for one in shown.told if one[0].endswith(".parquet")]
    assert told == [
        *(("items.parquet", rows, part) for part, rows in ((1, 300), (2, 600), (3, 750))),
        *(("users.parquet", 200 * part, part) for part in (1, 2, 3)),
    ]


def test_progress_of_attributes_is_shown_on_a_terminal_only(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    command = ["expand", source / "ratings.csv", tmp_path / "out", *SIZE, "--profile", "traceable"]
    command += ["--item-attributes", source / "items.csv", "--user-attributes", source / "users.csv"]
    done = run(*command, terminal=True)
    assert (done.code, done.out) == (0, "")
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", done.err).replace("\r", "\n").splitlines()
    for kind in KINDS:
        assert any(re.fullmatch(rf"{kind}\.parquet ━+ 100% \d+\.\d M/s 1/1 parts 0:00:00", line) for line in shown), (
            shown
        )
    for options, terminal in ((["--no-progress"], True), (["--quiet"], True), ([], False)):
        shutil.rmtree(tmp_path / "out")
        done = run(*command, *options, terminal=terminal)
        assert done.code == 0
        assert "M/s" not in done.err
        assert (done.err == "") == ("--quiet" in options)


def test_python_takes_tables_where_the_command_takes_files(source: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"user_multiplier": 3, "item_multiplier": 5, "item_cell_size": 1}
    items = source / "items.csv"
    for name, value in (("a", items), ("b", pl.read_csv(items)), ("c", pd.read_csv(items))):
        fr.expand(source / "ratings.csv", tmp_path / name, item_attributes=value, **options)
        assert digests(tmp_path / name) == digests(tmp_path / "a")


def test_the_command_line_refuses_before_it_reads_or_writes(source: Path, tmp_path: Path) -> None:
    command = ["expand", source / "ratings.csv", tmp_path / "out", *SIZE]
    for options, message in (
        (
            ["--item-attributes", source / "items.csv"],
            "error: attributes of items need one .*\nhint: .*--item-cell-size 1",
        ),
        (
            ["--item-attributes", 500, "--profile", "traceable"],
            "no such file or folder with attributes of items: .*500",
        ),
        (["--user-attributes", source, "--profile", "traceable"], "the id '1' is there 15 times"),
    ):
        done = run(*command, *options)
        assert (done.code, done.out) == (2, "")
        assert re.search(message, done.err), done.err
        assert "reading" not in done.err
        assert not (tmp_path / "out").exists()


def test_both_helps_tell_files_from_counts() -> None:
    words = {
        name: " ".join(re.sub("[│ \n]+", " ", run(name, "--help-all").out).split()) for name in ("expand", "sample")
    }
    for kind in KINDS:
        assert f"--{kind[:-1]}-attributes FILE Attributes of the source's {kind}" in words["expand"]
        assert f"--{kind} " not in words["expand"]
        assert f"--{kind} INT Number of {kind}." in words["sample"]


def test_the_hub_library_loads_train_and_test_alone(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(out.parent / "hub"))
    datasets = pytest.importorskip("datasets", reason="the hub library `datasets` is not installed")
    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(str(out), cache_dir=str(out.parent / "cache"))
    totals = fr.open_dataset(out).totals
    assert {split: rows.num_rows for split, rows in loaded.items()} == {
        name: totals[name] for name in ("train", "test")
    }


def checks_of(path: Path, base: fr.Base | None = None, **options: Any) -> dict[str, Any]:
    report = fr.validate(path, base, only="integrity", **options)
    return {check.name: check for check in report.checks if "has the expanded" in check.name}


NAMES = ("items.parquet has the expanded items", "users.parquet has the expanded users")


def test_validation_checks_ids_and_sources(out: Path) -> None:
    for base, words in ((None, "all 750, but not their sources"), (named_base(), "all 750, and their sources")):
        found = checks_of(out, base, digests=True)
        assert tuple(found) == NAMES
        assert all(check.holds for check in found.values())
        assert found[NAMES[0]].detail == words


@pytest.mark.parametrize(
    ("damage", "needs_base", "message"),
    [
        ("ids", False, "row 300 is not that item's"),
        ("blocks", False, "row 300 is not that item's"),
        ("sources", True, "row 300 is not that item's, or has another block or source"),
        ("rows", False, "it has 749 rows instead of 750"),
        ("gone", False, "it is missing"),
        ("text", False, "it cannot be read"),
        ("column", False, "it cannot be read"),
    ],
)
def test_validation_sees_what_is_wrong(out: Path, damage: str, needs_base: bool, message: str) -> None:
    file = out / "items.parquet"
    table = pq.read_table(file)
    order = pa.array([*range(300), 301, 300, *range(302, 750)])
    changed = {
        "ids": lambda: table.set_column(0, table.schema.field(0), table["item_id"].take(order)),
        "blocks": lambda: table.set_column(
            2,
            table.schema.field(2),
            pc.subtract(table["item_block"], pc.cast(pc.equal(table["item_id"], 300), pa.int32())),
        ),
        "sources": lambda: table.set_column(1, table.schema.field(1), table["source_item_id"].take(order)),
        "rows": lambda: table.slice(0, 749),
        "column": lambda: table.drop_columns(["item_block"]),
    }.get(damage)
    if changed is not None:
        pq.write_table(changed(), file)
    elif damage == "gone":
        file.unlink()
    else:
        file.write_text("text")
    found = checks_of(out, named_base() if needs_base else None)
    assert found[NAMES[0]].holds is False
    assert message in found[NAMES[0]].detail
    assert found[NAMES[1]].holds
    if needs_base:
        # Without the base nothing tells but the size.
        assert "bytes instead of" in checks_of(out)[NAMES[0]].detail
    if damage == "sources":
        assert "BLAKE3" in checks_of(out, digests=True)[NAMES[0]].detail


# --- real data -------------------------------------------------------------------------------------------------------


def test_real_movies_by_the_command_line(ml_latest_small: Path, tmp_path: Path) -> None:
    path, movies = tmp_path / "out", ml_latest_small.parent / "movies.csv"
    sql(f"COPY (SELECT userId, count(*) AS ratings FROM '{ml_latest_small}' GROUP BY 1) TO '{tmp_path}/users.csv'")
    command = ["expand", ml_latest_small, path, "--user-multiplier", 4, "--item-multiplier", 32, "--keep-scale", 0.5]
    command += [
        "--profile",
        "traceable",
        "--item-attributes",
        movies,
        "--user-attributes",
        tmp_path / "users.csv",
        "--json",
    ]
    done = run(*command)
    assert done.code == 0, done.err
    told = json.loads(done.out)["attributes"]
    assert {name: told["items"][name] for name in ("rows", "matched", "missing")} == {
        "rows": 32 * 9066,
        "matched": 9066,
        "missing": 0,
    }
    pairs = f"(FROM '{path}/train/*.parquet' UNION ALL FROM '{path}/test/*.parquet')"
    joined = f"{pairs} JOIN '{path}/items.parquet' USING (item_id) JOIN '{path}/users.parquet' USING (user_id)"
    real = f"'{ml_latest_small}' real ON real.userId = source_user_id AND real.movieId = source_item_id"
    ((found, count),) = sql(f"SELECT count(*), count(DISTINCT (user_id, item_id)) FROM {joined} JOIN {real}").fetchall()
    assert found == count == fr.open_dataset(path).totals["interactions"]
    ((wrong, right),) = sql(
        "SELECT count(*) FILTER (expanded.title != movies.title OR expanded.genres != movies.genres), count(*) "
        f"FROM '{path}/items.parquet' expanded JOIN read_csv('{movies}') movies ON movieId = source_item_id"
    ).fetchall()
    assert (wrong, right) == (0, 32 * 9066)
    blocks = sql(f"SELECT item_block, count(DISTINCT source_item_id) FROM '{path}/items.parquet' GROUP BY 1 ORDER BY 1")
    assert blocks.fetchall() == [(block, 9066) for block in range(32)]


def test_ids_of_attributes_match_whatever_their_type() -> None:
    read = [
        AttributeTable.read(pa.table({"item_id": values, "title": ["a", "b"]}), ITEMS).ids.to_pylist()
        for values in (
            pa.array([7, 9], pa.uint64()),
            pa.array([7.0, 9.0]),
            pa.array([7, 9]).cast(pa.decimal128(38, 0)),
            pa.array([b"7", b"9"]),
            pa.array([" 7", "9 "]),
        )
    ]
    assert read == [["7", "9"]] * 5
