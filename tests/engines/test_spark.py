"""Spark: rows of the source are those of the files, and what tasks write is what one machine writes."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.dataset import write_parts
from fractalrs.expansion import Expansion
from helpers.folders import RATES, digests

pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]


def is_spark(session: Any) -> bool:
    """Whether it is Spark itself: it has executors, and time zones."""
    return hasattr(session, "_jsparkSession")


def load(spark: Any, path: Path, **options: Any) -> Any:
    reader = spark.read.format("fractalrs")
    for name, value in options.items():
        reader = reader.option(name, value)
    return reader.load(str(path))


def in_order(frame: Any) -> pa.Table:
    table = frame.toArrow()
    return table.sort_by([(name, "ascending") for name in table.schema.names])


def of_stream(expansion: Expansion, **options: Any) -> pa.Table:
    table = pa.table(expansion.stream(**options))
    return table.sort_by([(name, "ascending") for name in table.schema.names])


def test_the_source_is_found_and_has_the_rows_of_the_files(spark: Any, expansion: Expansion, saved: Path) -> None:
    for split in ("train", "test"):
        frame = load(spark, saved, split=split, parts=5)
        assert frame.columns == ["user_id", "item_id"]
        assert in_order(frame).equals(of_stream(expansion, split=split))


def test_columns_and_users_are_chosen(spark: Any, expansion: Expansion, saved: Path) -> None:
    found = in_order(load(spark, saved, users="100:200", columns="item_id, user_id", parts=7))
    assert found.equals(of_stream(expansion, users=(100, 200), columns=["item_id", "user_id"]))
    (count,) = load(spark, saved, columns="item_id").where("item_id < 10").agg({"*": "count"}).collect()[0]
    assert count == int((pa.table(expansion.stream())["item_id"].to_numpy() < 10).sum())


def test_it_is_joined_and_grouped_as_any_table(spark: Any, expansion: Expansion, saved: Path) -> None:
    load(spark, saved).createOrReplaceTempView("train")
    load(spark, saved, split="test").createOrReplaceTempView("test")
    query = "SELECT count(DISTINCT t.user_id) FROM test t JOIN train r ON t.user_id = r.user_id"
    tables = [pa.table(expansion.stream(split)) for split in ("train", "test")]
    both = np.intersect1d(*(table["user_id"].to_numpy() for table in tables))
    assert spark.sql(query).collect()[0][0] == len(both)


def test_every_type_that_is_carried_is_one_of_sparks(spark: Any, tmp_path: Path) -> None:
    count, rng = 500, np.random.default_rng(3)
    whole = rng.integers(0, 1000, count)
    kept = {
        "flag": pa.array(whole % 2 == 0),
        "narrow": pa.array(whole, pa.int32(), mask=whole % 5 == 0),
        "wide": pa.array(whole * 10**12),
        "half": pa.array(whole / 2, pa.float32()),
        "whole": pa.array(whole / 3),
        "text": pa.array([f"é{value}" for value in whole]).dictionary_encode(),
        "day": pa.array(whole, pa.int32()).cast(pa.date32()),
        **{
            f"at_{unit}_{place}": pa.array(whole * 10**9 + 123_456_789, pa.timestamp(unit, zone))
            for unit in ("ms", "us", "ns")
            for place, zone in (("here", None), ("utc", "UTC"), ("berlin", "Europe/Berlin"))
        },
    }
    source = pa.table({"user": rng.integers(0, 40, count), "item": np.arange(count) % 50, **kept})
    base = fr.leave_last_out(fr.read_interactions(source, carry=[*kept]), payload=[*kept])
    expansion = Expansion(base, RATES, shuffle="aligned", carry=[*kept], seed=1)
    expansion.save(tmp_path / "saved")
    frame = load(spark, tmp_path / "saved", parts=3)
    assert [field.nullable for field in frame.schema.fields] == [field.nullable for field in expansion.schema]
    found, whole_table = in_order(frame), of_stream(expansion)
    assert found.schema.names == whole_table.schema.names
    for name in found.schema.names:
        kind = found.schema.field(name).type
        assert found[name].equals(whole_table[name].cast(kind, safe=False)), name
        if pa.types.is_timestamp(kind):
            assert kind.unit == "us"
            if is_spark(spark):
                assert (kind.tz is None) == (expansion.schema.field(name).type.tz is None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "validation"}, "split"),
        ({"users": "5"}, "the option users is '5'"),
        ({"users": "0:10000"}, "are not within 0 to 600"),
        ({"columns": "item_id,rating"}, "'rating' does not exist"),
        ({"parts": "many"}, "the option parts is 'many'"),
        ({"parts": 0}, "parts is 0"),
        ({"colour": "red"}, "the option colour does not exist"),
    ],
)
def test_options_that_are_none_are_refused(spark: Any, saved: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        load(spark, saved, **options).collect()


def test_what_is_no_saved_expansion_is_refused(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="is not a saved expansion"):
        load(spark, tmp_path).collect()


def test_tasks_write_what_one_machine_writes(spark: Any, expansion: Expansion, saved: Path, tmp_path: Path) -> None:
    from fractalrs.engines.spark import write

    assert saved.is_dir()
    fr.write(expansion, tmp_path / "alone", parts=6)
    dataset = write(spark, expansion, str(tmp_path / "out"), parts=6)
    assert dataset.totals == fr.open_dataset(tmp_path / "alone").totals
    assert digests(tmp_path / "out") == digests(tmp_path / "alone")
    # What somebody else has written of it is kept.
    shutil.rmtree(tmp_path / "out")
    write_parts(fr.plan(expansion, parts=6), range(2, 4), tmp_path / "out")
    write(spark, expansion, str(tmp_path / "out"), parts=6)
    assert digests(tmp_path / "out") == digests(tmp_path / "alone")
    with pytest.raises(fr.OutputError, match="parts is 6 there and 7 here"):
        write(spark, expansion, str(tmp_path / "out"), parts=7)


def test_an_expansion_that_is_not_saved_is_refused(spark: Any, tmp_path: Path) -> None:
    from fractalrs.engines.spark import write

    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    with pytest.raises(fr.InputError, match="not saved"):
        write(spark, Expansion(base, [[0.5]], shuffle="aligned"), str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_executor_changes_nothing(spark: Any, tmp_path: Path) -> None:
    from fractalrs.engines.spark import write

    if not is_spark(spark):
        pytest.skip("Sail has no executors")
    base = fr.leave_last_out(fr.sample_interactions(2_000, 800, 100_000))
    expansion = Expansion(base, np.full((8, 16), 0.7), shuffle="aligned", seed=1)
    expansion.save(tmp_path / "saved")
    killed: list[int] = []

    def kill() -> None:
        while not list((tmp_path / "out").glob("train/*")):
            time.sleep(0.05)
        found = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout.split()
        for java in found:
            workers = subprocess.run(["pgrep", "-P", java, "java"], capture_output=True, text=True).stdout.split()
            if workers:
                os.kill(int(workers[0]), signal.SIGKILL)
                killed.append(int(workers[0]))
                return

    killer = Thread(target=kill, daemon=True)
    killer.start()
    write(spark, expansion, str(tmp_path / "out"), parts=40)
    killer.join(60)
    assert killed
    fr.write(expansion, tmp_path / "alone", parts=40)
    assert digests(tmp_path / "out") == digests(tmp_path / "alone")
