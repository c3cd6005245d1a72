"""Files divided by weeks, months and days: the same interactions, in folders that every engine reads."""

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.columns import ticks
from fractalrs.dataset import Folder, folders_of
from fractalrs.dataset.periods import Periods
from fractalrs.validation.checks import times as time_checks
from helpers.folders import digests, sql, stamps

PARTITIONS = ("week", "month", "day")
DAY = 86_400


def make_base(**options: Any) -> Base:
    return fr.leave_last_out(fr.sample_interactions(120, 90, 3_000, 1), payload=["rating", "timestamp"], **options)


def make_expansion(base: Base | None = None, **options: Any) -> fr.Expansion:
    base = make_base() if base is None else base
    settings: dict[str, Any] = {"profile": "traceable", "timestamps": True, "ratings": "carry", "seed": 7}
    return fr.Expansion(base, np.linspace(0.1, 0.9, 6).reshape(2, 3), **settings | options)


@pytest.fixture(scope="module")
def expansion() -> fr.Expansion:
    return make_expansion()


@pytest.fixture(scope="module", params=PARTITIONS)
def written(expansion: fr.Expansion, request: Any, tmp_path_factory: pytest.TempPathFactory) -> fr.Dataset:
    return fr.write(expansion, tmp_path_factory.mktemp("written") / "out", parts=4, partition=request.param)


def files_of(folder: Path, split: str) -> list[Path]:
    return sorted((folder / split).rglob("*.parquet"))


def period_of(partition: str, seconds: int) -> str:
    """The folder of a moment, by the calendar of Python alone."""
    day = date(1970, 1, 1) + timedelta(days=seconds // DAY)
    year, number, _ = day.isocalendar()
    week = f"{year}-W{number:02d}"
    return f"{partition}=" + {"day": day.isoformat(), "week": week, "month": f"{day:%Y-%m}"}[partition]


def test_every_file_holds_its_period(written: fr.Dataset) -> None:
    assert written.partition is not None
    for split in ("train", "test"):
        files = files_of(written.path, split)
        assert {str(file.relative_to(written.path)) for file in files} == {file.path for file in written.files(split)}
        for file in files:
            times = pq.read_table(file, columns=["timestamp"])["timestamp"].to_numpy()
            assert {period_of(written.partition, int(time)) for time in times} == {file.parent.name}
            assert all(np.diff(pq.read_table(file)["user_id"].to_numpy()) >= 0)


def test_the_interactions_are_those_of_undivided_files(written: fr.Dataset, expansion: fr.Expansion) -> None:
    for split in ("train", "test"):
        whole = pa.concat_tables([pq.ParquetFile(file).read() for file in files_of(written.path, split)])
        keys = [whole[name].to_numpy() for name in ("timestamp", "user_id")]
        table = expansion.table(0, expansion.shape[0], split)
        right = [table[name].to_numpy() for name in ("timestamp", "user_id")]
        # Of a user's interactions at one time all are in one file, in their order.
        assert whole.take(np.lexsort(keys)).equals(table.take(np.lexsort(right)))
        assert written.totals[split] == len(table)


def test_every_engine_reads_the_folders(written: fr.Dataset, expansion: fr.Expansion) -> None:
    name = written.partition
    assert name is not None
    table = expansion.table(0, expansion.shape[0], "train")
    periods = [period_of(name, int(time)).partition("=")[2] for time in table["timestamp"].to_numpy()]
    wanted = dict(zip(*np.unique(periods, return_counts=True), strict=True))
    folder = written.path / "train"
    by_arrow = pa.dataset.dataset(folder, partitioning="hive").to_table().to_pandas()[name].astype(str).value_counts()
    by_polars = pl.scan_parquet(folder, hive_partitioning=True).group_by(name).len().collect()
    files = f"read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    by_duckdb = sql(f"SELECT {name}::VARCHAR, count(*) FROM {files} GROUP BY 1").fetchall()
    assert dict(by_arrow) == wanted
    assert written.train.schema.names == [*written.schema.names, name]
    for period, count in wanted.items():
        chosen = written.train.to_table(filter=pa.compute.field(name) == period)
        assert len(chosen) == count
    assert dict(zip(by_polars[name].cast(pl.String), by_polars["len"], strict=True)) == wanted
    assert dict(by_duckdb) == wanted


def test_bytes_do_not_depend_on_who_writes_them(written: fr.Dataset, expansion: fr.Expansion, tmp_path: Path) -> None:
    plan = fr.plan(expansion, parts=4, partition=written.partition)
    for part in (2, 0, 3, 1, 2):
        entry = fr.write_part(plan, part, tmp_path / "parts")
        assert entry == written.parts[part]
    fr.finish(plan, tmp_path / "parts")
    fr.write(expansion, tmp_path / "threads", parts=4, partition=written.partition, threads=2)
    assert digests(tmp_path / "parts") == digests(written.path) == digests(tmp_path / "threads")


def test_a_part_that_is_there_is_left_alone(expansion: fr.Expansion, tmp_path: Path) -> None:
    plan = fr.plan(expansion, parts=4, partition="month")
    entry = fr.write_part(plan, 2, tmp_path)
    before = stamps(tmp_path)
    assert fr.write_part(plan, 2, tmp_path) == entry
    assert stamps(tmp_path) == before


def test_a_part_that_lacks_a_file_is_written_again(
    written: fr.Dataset, expansion: fr.Expansion, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(written.path, tmp_path / "out"))
    before, rng = digests(out), np.random.default_rng(0)
    (out / "manifest.json").unlink()
    every = [file for split in ("train", "test") for file in files_of(out, split)]
    gone = {str(file.relative_to(out)) for file in rng.choice(np.array(every, object), 3)}
    for name in gone:
        (out / name).unlink()
    touched = {Path(name).name + name.partition("/")[0] for name in gone}
    untouched = {
        str(file.relative_to(out)) for file in every if file.name + file.relative_to(out).parts[0] not in touched
    }
    kept = stamps(out, untouched)
    assert kept
    fr.write(expansion, out, parts=4, partition=written.partition)
    assert digests(out) == before
    assert stamps(out, untouched) == kept


@pytest.mark.parametrize("steps", [0, 2, 9, 30, 61])
def test_a_run_that_is_killed_is_finished_by_the_same(
    written: fr.Dataset, expansion: fr.Expansion, tmp_path: Path, steps: int
) -> None:
    class Killed(BaseException):
        """Ends a run as a signal would."""

    left, replace = itertools.count(steps, -1), os.replace

    def replace_or_die(*names: Any) -> None:
        if next(left) == 0:
            raise Killed
        replace(*names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace_or_die)
        with pytest.raises(Killed):
            fr.write(expansion, tmp_path / "out", parts=4, partition=written.partition)
    there, whole = digests(tmp_path / "out"), digests(written.path)
    assert {name: digest for name, digest in there.items() if not name.startswith(".")}.items() <= whole.items()
    assert "manifest.json" not in there
    kept = stamps(tmp_path / "out", {name for name in there if "part-" in name and not name.startswith(".")})
    fr.write(expansion, tmp_path / "out", parts=4, partition=written.partition)
    assert digests(tmp_path / "out") == whole
    # What was whole of a part of which something lacked was made again, and put in place of the same.
    assert stamps(tmp_path / "out").keys() >= kept.keys()


def test_a_missing_part_is_named(written: fr.Dataset, expansion: fr.Expansion, tmp_path: Path) -> None:
    out = Path(shutil.copytree(written.path, tmp_path / "out"))
    (out / "manifest.json").unlink()
    plan = fr.plan(expansion, parts=4, partition=written.partition)
    next(file for file in files_of(out, "train") if "part-00002" in file.name).unlink()
    with pytest.raises(fr.OutputError, match="it lacks train part 2 of 4"):
        fr.finish(plan, out)
    with pytest.raises(fr.InputError, match="is not complete: it lacks"):
        fr.open_dataset(out)


def test_overwriting_deletes_all_of_it_and_nothing_else(written: fr.Dataset, tmp_path: Path) -> None:
    out = Path(shutil.copytree(written.path, tmp_path / "out"))
    other = make_expansion(seed=8)
    with pytest.raises(fr.OutputError, match="seed is 7 there and 8 here"):
        fr.write(other, out, parts=4, partition=written.partition)
    stray = out / "train" / "week=2015-W01" / "mine.parquet"
    stray.parent.mkdir(exist_ok=True, parents=True)
    stray.write_bytes(b"mine")
    with pytest.raises(fr.OutputError, match=r"holds what is not ours: train/week=2015-W01/mine\.parquet"):
        fr.write(other, out, parts=4, overwrite=True)
    stray.unlink()
    fr.write(other, out, parts=4, overwrite=True)
    assert not list(out.glob("*/*=*/*"))
    assert digests(out) == digests(fr.write(other, tmp_path / "fresh", parts=4).path)


def test_another_partition_is_another_plan(written: fr.Dataset, expansion: fr.Expansion) -> None:
    for other in {None, *PARTITIONS} - {written.partition}:
        with pytest.raises(fr.OutputError, match=f"partition is {written.partition} there and {other} here"):
            fr.write(expansion, written.path, parts=4, partition=other)  # type: ignore[arg-type]


def test_files_are_what_they_were_without_one(expansion: fr.Expansion, tmp_path: Path) -> None:
    fr.write(expansion, tmp_path / "out", parts=2)
    for name in ("manifest.json", "private/plan.json"):
        assert "partition" not in json.loads((tmp_path / "out" / name).read_text())
    assert "partition" not in json.loads((tmp_path / "out/private/plan.json").read_text())["writing"]


def test_it_is_validated(written: fr.Dataset, expansion: fr.Expansion) -> None:
    report = fr.validate(written, expansion.base, only="integrity", digests=True)
    assert report.holds, report.failures
    assert time_checks.PERIODS in [check.name for check in report.checks]


def test_a_file_in_another_folder_is_found(written: fr.Dataset, expansion: fr.Expansion, tmp_path: Path) -> None:
    out = Path(shutil.copytree(written.path, tmp_path / "out"))
    manifest = json.loads((out / "manifest.json").read_text())
    one, other, *_ = (file for file in manifest["parts"][1]["train"])
    folders = [Path(file["path"]).parent for file in (one, other)]
    name = Path(one["path"]).name
    (out / one["path"]).rename(tmp_path / "file")
    (out / other["path"]).rename(out / folders[0] / name)
    (tmp_path / "file").rename(out / folders[1] / name)
    one["path"], other["path"] = other["path"], one["path"]
    for file in (one, other):
        assert (out / file["path"]).stat().st_size == file["bytes"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    failures = fr.validate(out, expansion.base, only="integrity").failures
    assert time_checks.PERIODS in failures


def test_passes_give_what_undivided_files_give(written: fr.Dataset, expansion: fr.Expansion) -> None:
    divided, generated = fr.StreamedMatrix(written), fr.StreamedMatrix(expansion)
    users = np.arange(expansion.shape[0])
    for split in ("train", "test"):
        one, other = (matrix.collect(users, split) for matrix in (divided, generated))
        assert np.array_equal(one.indptr, other.indptr)
        assert np.array_equal(one.indices, other.indices)
    one_of, other_of = divided.degrees(), generated.degrees()
    assert np.array_equal(one_of.item_train, other_of.item_train)
    assert one_of.violations == other_of.violations


@pytest.mark.parametrize("format", ["csv", "csr", "sequences"])
def test_exports_are_those_of_undivided_files(
    written: fr.Dataset, expansion: fr.Expansion, tmp_path: Path, format: str
) -> None:
    plain = fr.write(expansion, tmp_path / "plain", parts=4)
    one = fr.export(written, tmp_path / "one", format=format)
    other = fr.export(plain, tmp_path / "other", format=format)
    assert digests(one) == digests(other)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["one", "other", "plain"]


def test_it_is_published_and_read_again(written: fr.Dataset, tmp_path: Path) -> None:
    fr.publish(written.path, tmp_path / "public")
    public = fr.open_dataset(tmp_path / "public")
    assert (public.partition, public.totals) == (written.partition, written.totals)
    assert public.train.count_rows() == written.totals["train"]
    assert "**/*.parquet" in (tmp_path / "public" / "README.md").read_text()
    assert len(fr.read_interactions(tmp_path / "public")) == written.totals["interactions"]


def test_a_part_without_interactions_has_an_empty_file(tmp_path: Path) -> None:
    base = make_base(split="time", test_share=0.01, validation=True)
    expansion = make_expansion(base)
    dataset = fr.write(expansion, tmp_path / "out", parts=60, partition="month")
    empty = [part.files["test"] for part in dataset.parts if sum(file.rows for file in part.files["test"]) == 0]
    assert empty
    first = Periods.of(expansion, "month").folders[0]
    assert {(len(files), Path(files[0].path).parent.name) for files in empty} == {(1, first)}
    assert fr.validate(dataset, base, only="integrity").holds
    (dataset.path / "manifest.json").unlink()
    before = stamps(dataset.path)
    fr.write(expansion, tmp_path / "out", parts=60, partition="month")
    assert {name: stamp for name, stamp in stamps(dataset.path).items() if name in before and "part-" in name} == {
        name: stamp for name, stamp in before.items() if "part-" in name
    }


def dates() -> Iterator[date]:
    return (date(1999, 12, 20) + timedelta(days=days) for days in itertools.count())


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(PARTITIONS),
    st.lists(st.integers(0, 40_000 * DAY), min_size=2, max_size=8, unique=True),
    st.sampled_from([("ms", 1_000), ("us", 10**6), ("ns", 10**9)]),
)
def test_periods_are_those_of_the_calendar(partition: Any, seconds: list[int], unit: tuple[str, int]) -> None:
    name, per_second = unit
    times = pa.array([second * per_second for second in seconds], pa.timestamp(name))
    count = len(seconds)
    base = Base.from_arrays([0, count], np.arange(count), payload={"timestamp": times})
    periods = Periods.of(fr.Expansion(base, [[0.5]], profile="traceable", timestamps=True), partition)
    assert np.all(np.diff(periods.starts) > 0)
    for second, tick in zip(seconds, ticks(times).tolist(), strict=True):
        place = int(np.searchsorted(periods.starts, tick, side="right")) - 1
        assert periods.folders[place] == period_of(partition, second)
        assert folders_of(partition, pa.field("timestamp", times.type), np.array([tick])) == {periods.folders[place]}
    assert periods.starts[-1] > ticks(times).max() - 32 * DAY * per_second


def test_days_are_divided_too(tmp_path: Path) -> None:
    days = pa.array(np.arange(40) % 19 * 9, pa.int32()).cast(pa.date32())
    base = Base.from_arrays(np.arange(0, 41, 4), np.tile(np.arange(4), 10), payload={"timestamp": days})
    expansion = fr.Expansion(base, [[0.9, 0.5]], profile="traceable", timestamps=True)
    dataset = fr.write(expansion, tmp_path / "out", parts=2, partition="month")
    assert fr.validate(dataset, base, only="integrity").holds
    for file in files_of(dataset.path, "train"):
        assert {f"month={day:%Y-%m}" for day in pq.read_table(file)["timestamp"].to_pylist()} == {file.parent.name}


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({"timestamps": False}, {"partition": "week"}, "the partition by week needs timestamps\nhint: say timestamps"),
        ({"order": "item"}, {"partition": "day"}, "needs the order 'time', not 'item'"),
        ({}, {"partition": "year"}, "unknown partition 'year'\nhint: use one of week, month, day"),
    ],
)
def test_what_cannot_be_divided_is_refused(
    options: dict[str, Any], arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(fr.InputError, match=message):
        fr.write(make_expansion(**options), tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_numbers_that_tell_no_dates_are_refused() -> None:
    base = Base.from_arrays([0, 2], [0, 1], payload={"timestamp": [3, 4]})
    with pytest.raises(fr.InputError, match="needs dates, and the timestamps are numbers that do not tell any"):
        fr.plan(fr.Expansion(base, [[0.5]], profile="traceable", timestamps=True), partition="week")


def test_too_many_periods_are_refused() -> None:
    base = Base.from_arrays([0, 2], [0, 1], payload={"timestamp": pa.array([0, 2**61], pa.timestamp("ms"))})
    expansion = fr.Expansion(base, [[0.5]], profile="traceable", timestamps=True)
    with pytest.raises(fr.InputError, match="days: too many to be divided by day"):
        fr.plan(expansion, partition="day")


def test_parts_that_would_not_fit_are_refused(expansion: fr.Expansion) -> None:
    least = int(np.ceil(expansion.expected_interactions / 1_000))
    with pytest.raises(fr.InputError, match=f"parts is 2: .*\nhint: give at least {least} parts"):
        fr.plan(expansion, parts=2, partition="week", part_interactions=1_000)
    assert fr.plan(expansion, partition="week", part_interactions=1_000).part_count == least


def test_a_recipe_makes_it_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"profile": "traceable", "timestamps": True, "user_multiplier": 2, "item_multiplier": 3}
    dataset = fr.expand("sample", tmp_path / "out", partition="month", parts=2, **options)
    plan = Folder.read(dataset.path).plan
    assert plan is not None
    assert plan.partition == "month"
    with pytest.raises(fr.InputError, match=r"the partition by month needs timestamps\nhint: say timestamps"):
        fr.expand("sample", tmp_path / "other", partition="month", user_multiplier=2, item_multiplier=3)
