"""Readers of expansions that are on no disk, and of data sets: they give the files' counts, sums and order."""

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs import hub
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.polars import scan
from helpers.folders import small_expansion


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    return small_expansion()


@pytest.fixture(scope="module")
def dataset(expansion: Expansion, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return fr.write(expansion, tmp_path_factory.mktemp("readers") / "out", parts=3)


@pytest.fixture(params=["expansion", "stream", "dataset"])
def source(request: pytest.FixtureRequest, expansion: Expansion) -> Any:
    return expansion.stream(threads=2) if request.param == "stream" else request.getfixturevalue(request.param)


def test_arrow_streams_give_the_files(expansion: Expansion, source: Any) -> None:
    table = expansion.table(0, 600)
    assert pa.table(source).equals(table)
    assert pa.schema(source).equals(table.schema)
    assert pl.DataFrame(source).equals(pl.DataFrame(table))
    assert pa.table(source).to_pandas().equals(table.to_pandas())


def run(query: str, **tables: Any) -> Any:
    """Run a query of DuckDB's over tables by their names."""
    connection: Any = duckdb.connect()
    for name, table in tables.items():
        connection.register(name, table)
    return connection.sql(query)


def test_duckdb_reads_it_once_a_query(expansion: Expansion, source: Any) -> None:
    table = expansion.table(0, 600)
    query = "SELECT count(*), sum(user_id), sum(item_id), count(DISTINCT item_id) FROM source WHERE user_id < 100"
    opened = []

    class Counting:
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            opened.append(1)
            return source.__arrow_c_stream__(requested_schema)

        def __arrow_c_schema__(self) -> object:
            return source.__arrow_c_schema__()

    scanned: Any = duckdb
    counting, wanted = Counting(), run(query, source=table).fetchall()
    assert scanned.sql(query.replace("source", "counting")).fetchall() == wanted
    assert len(opened) == 1
    assert counting
    assert pa.table(scanned.sql("FROM source").arrow()).cast(table.schema).equals(table)


QUERIES: list[Any] = [
    lambda frame: frame,
    lambda frame: frame.select("item_id"),
    lambda frame: frame.select("item_id", "user_id"),
    lambda frame: frame.select(pl.len()),
    lambda frame: frame.head(17),
    lambda frame: frame.filter(pl.col("user_id") == 311),
    lambda frame: frame.filter(pl.col("user_id").is_in([3, 4, 500])).select(pl.col("item_id").sum()),
    lambda frame: frame.filter(pl.col("user_id") > 10**6),
    lambda frame: frame.filter(pl.col("user_id") % 50 == 7, pl.col("item_id") > 300),
    lambda frame: frame.filter(pl.col("item_id") > 600).select("user_id").head(5),
    lambda frame: frame.group_by("item_id").len().sort("item_id"),
    lambda frame: frame.join(frame.filter(pl.col("user_id") < 9), on="item_id").select(pl.len()),
]


@pytest.mark.parametrize("number", range(len(QUERIES)))
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("kind", ["expansion", "dataset"])
def test_polars_scans_lazily(
    expansion: Expansion, request: pytest.FixtureRequest, number: int, split: Any, kind: str
) -> None:
    frame = pl.DataFrame(expansion.table(0, 600, split))
    scanned = scan(request.getfixturevalue(kind), split, threads=2)
    assert QUERIES[number](scanned).collect().equals(QUERIES[number](frame.lazy()).collect())


def test_polars_makes_only_the_users_that_pass(expansion: Expansion, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, stream = [], Expansion.stream

    def recording(self: Expansion, split: Any = "train", **named: Any) -> Any:
        asked.append((named.get("users"), named.get("columns")))
        return stream(self, split, **named)

    monkeypatch.setattr(Expansion, "stream", recording)
    scan(expansion).filter(pl.col("user_id").is_in([3, 9, 500])).select("item_id").collect()
    between = (pl.col("user_id") > 30) & (pl.col("user_id") < 34)
    scan(expansion).filter(between).collect()
    made = [(users, columns) for users, columns in asked if users is not None]
    assert [users for users, _ in made] == [(3, 10), (500, 501), (31, 34)]
    assert sorted(made[0][1] or []) == ["item_id", "user_id"]


def test_polars_reads_a_folder_of_any_name(expansion: Expansion, tmp_path: Path) -> None:
    dataset = fr.write(expansion, tmp_path / "b[1]*?" / "month=1", parts=2)
    assert scan(dataset).collect().equals(pl.DataFrame(expansion.table(0, 600)))


def test_the_hub_reads_shards(expansion: Expansion) -> None:
    splits: tuple[Any, ...] = ("train", "test")
    for split in splits:
        data: Any = hub.iterable(expansion, split, shards=5)
        assert data.num_shards == 5
        table = expansion.table(0, 600, split)
        made = pa.concat_tables([*data.with_format("arrow").iter(1_000)])
        assert made.cast(table.schema).equals(table)
    first = next(iter(hub.iterable(expansion, columns=["item_id"])))
    assert first == {"item_id": expansion.table(0, 600)["item_id"][0].as_py()}


def test_the_hub_divides_shards_among_nodes(expansion: Expansion) -> None:
    from datasets.distributed import split_dataset_by_node

    data = hub.iterable(expansion, shards=6)
    nodes = [split_dataset_by_node(data, rank=rank, world_size=3) for rank in range(3)]
    assert sum(sum(1 for _ in node) for node in nodes) == expansion.table(0, 600).num_rows


def test_what_cannot_be_read_is_refused(expansion: Expansion, dataset: Dataset) -> None:
    with pytest.raises(InputError, match="source is 'out'"):
        scan("out")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="split is 'validation'"):
        scan(expansion, "validation")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="load_dataset"):
        hub.iterable(dataset)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="shards must be"):
        hub.iterable(expansion, shards=0)
