"""Real data × (16, 32) by the command line with every shuffle, read back with three readers."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fractalrs as fr
from helpers.commands import run
from helpers.folders import sql

# Enough of the interactions to be real, few enough for a slow machine.
OPTIONS = ["--user-multiplier", "16", "--item-multiplier", "32", "--keep-scale", "0.5", "--parts", "3", "--seed", "7"]


@pytest.fixture(params=["movietweetings", "ml_latest_small"])
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.mark.parametrize("shuffle", ["none", "aligned", "cells", "block"])
def test_counts_of_every_reader_equal_the_manifests(source: Path, tmp_path: Path, shuffle: str) -> None:
    path = tmp_path / "out"
    done = run("expand", source, path, *OPTIONS, "--shuffle", shuffle, "--json")
    assert done.code == 0, done.err
    summary: dict[str, Any] = json.loads(done.out)
    dataset = fr.open_dataset(path)
    users, items = dataset.shape
    for split in ("train", "test"):
        count = dataset.totals[split]
        assert summary[split]["written"] == count
        assert abs(count - summary[split]["expected"]) < 5 * summary[split]["std"]
        assert getattr(dataset, split).count_rows() == count

        glob = f"{path}/{split}/*.parquet"
        row = (
            pl.scan_parquet(glob)
            .select(
                pl.len().alias("rows"),
                pl.col("user_id").min().alias("least user"),
                pl.col("user_id").max().alias("last user"),
                pl.col("item_id").min().alias("least item"),
                pl.col("item_id").max().alias("last item"),
            )
            .collect()
            .row(0)
        )
        ((*bounds,),) = sql(
            f"SELECT count(*), min(user_id), max(user_id), min(item_id), max(item_id) FROM '{glob}'"
        ).fetchall()
        assert list(row) == bounds
        assert bounds[0] == count
        assert 0 <= bounds[1] <= bounds[2] < users
        assert 0 <= bounds[3] <= bounds[4] < items
    assert dataset.shuffle == shuffle
    assert dataset.multipliers == (16, 32)


def test_no_pair_is_in_train_and_test_or_twice(ml_latest_small: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    dataset = fr.expand(ml_latest_small, path, user_multiplier=16, item_multiplier=32, keep_scale=0.2)
    pairs = f"(FROM '{path}/train/*.parquet' UNION ALL FROM '{path}/test/*.parquet')"
    ((distinct,),) = sql(f"SELECT count(*) FROM (SELECT DISTINCT user_id, item_id FROM {pairs})").fetchall()
    assert distinct == dataset.totals["interactions"]
