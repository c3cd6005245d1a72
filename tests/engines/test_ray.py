"""Ray: rows are those of the stream, and what tasks write is what one machine writes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.expansion import Expansion
from helpers.folders import digests

pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """`fractalrs.engines.ray` with a cluster of two workers."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=1 << 28, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    from fractalrs.engines import ray as engine

    yield engine
    ray.shutdown()


def test_rows_are_those_of_the_stream(engine: Any, expansion: Expansion, saved: Path) -> None:
    assert saved.is_dir()
    for split in ("train", "test"):
        made = engine.read(expansion, split, users=(50, 450), columns=["item_id", "user_id"], parts=6)
        tables = [pa.table(batch) for batch in made.iter_batches(batch_format="pyarrow", batch_size=None)]
        found = pa.concat_tables(tables).sort_by([("user_id", "ascending"), ("item_id", "ascending")])
        whole = pa.table(expansion.stream(split, users=(50, 450), columns=["item_id", "user_id"]))
        assert found.equals(whole.sort_by([("user_id", "ascending"), ("item_id", "ascending")]))


def test_ranges_without_rows_have_columns(engine: Any, expansion: Expansion, saved: Path) -> None:
    assert saved.is_dir()
    assert engine.read(expansion, users=(7, 7)).schema().names == ["user_id", "item_id"]


def test_tasks_write_what_one_machine_writes(engine: Any, expansion: Expansion, saved: Path, tmp_path: Path) -> None:
    assert saved.is_dir()
    fr.write(expansion, tmp_path / "alone", parts=4)
    engine.write(expansion, str(tmp_path / "out"), parts=4)
    assert digests(tmp_path / "out") == digests(tmp_path / "alone")
