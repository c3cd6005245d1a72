"""Passes over a data set in an object store: the numbers of a folder, and nothing of it is kept on this machine."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.dataset import Dataset, open_dataset, write
from fractalrs.errors import InputError
from fractalrs.passes import StreamedMatrix
from helpers.folders import small_expansion
from helpers.stores import BUCKET, SECRET, Server, between, environment, options, serving

PARQUET = fr.ParquetOptions(row_group_size=1_500)
CARRYING: dict[str, Any] = {"profile": "traceable", "timestamps": True, "ratings": "carry"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module", params=["plain", "carrying", "by month"])
def local(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    expansion = small_expansion()
    partition: Any = None
    if request.param != "plain":
        table = fr.sample_interactions(200, 150, 4_000).to_arrow()
        # Of two months.
        times = pa.array(table["timestamp"].to_numpy() % 5_000_000 + 1_600_000_000)
        table = table.set_column(table.schema.get_field_index("timestamp"), "timestamp", times)
        base = fr.leave_last_out(fr.read_interactions(table), payload=("rating", "timestamp"))
        expansion = fr.Expansion(base, np.full((3, 5), 0.4), seed=7, **CARRYING)
        partition = "month" if request.param == "by month" else None
    folder = tmp_path_factory.mktemp("local") / request.param.replace(" ", "-")
    made = write(expansion, folder, parts=3, parquet=PARQUET, partition=partition)
    for file in folder.rglob("*"):
        if file.is_file():
            server.ask(f"{BUCKET}/{folder.name}/{file.relative_to(folder)}", "PUT", file.read_bytes())
    return made


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing is left in TMPDIR, nor is anything put there meanwhile."""
    (folder := tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = folder.stat().st_mtime_ns
    yield folder
    assert [*folder.iterdir()] == []
    assert folder.stat().st_mtime_ns == before


def at(port: int, prefix: str) -> fr.ObjectStore:
    return fr.ObjectStore(f"s3://{BUCKET}/{prefix}", options(f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize(("threads", "rows_memory"), [(1, 1 << 29), (3, 0)])
def test_every_pass_gives_the_numbers_of_a_folder(
    server: Server, local: Dataset, threads: int, rows_memory: int
) -> None:
    remote = open_dataset(at(server.port, local.path.name))
    here, there = (StreamedMatrix(source, threads=threads, rows_memory=rows_memory) for source in (local, remote))
    assert (here.pieces, here.order) == (there.pieces, there.order)
    one, other = here.degrees(), there.degrees()
    for name in ("user_train", "user_test", "item_train", "item_test", "item_user_degree", "block_train", "density"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.violations == other.violations
    x = np.random.default_rng(0).random((local.shape[1], 3))
    assert np.array_equal(here.gram(x), there.gram(x))
    rows, wanted = (matrix.collect([3, 70, 599], "test") for matrix in (here, there))
    assert np.array_equal(rows.toarray(), wanted.toarray())


def test_rows_that_stay_in_memory_are_fetched_once(server: Server, local: Dataset) -> None:
    with between(server) as passing:
        remote = open_dataset(at(passing.port, local.path.name))
        for rows_memory in (0, 1 << 29):
            matrix = StreamedMatrix(remote, rows_memory=rows_memory)
            matrix.degrees()
            before = passing.received
            matrix.degrees()
            assert (passing.received == before) == (rows_memory > 0)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda content: content[:200] + b"\xff" * 1_000 + content[1_200:], "cannot read"),
        (lambda content: content[:-40], "cannot read"),
        (lambda _: b"", "cannot read"),
        (None, "does not exist"),
    ],
)
def test_a_part_that_is_missing_or_damaged_is_named(server: Server, local: Dataset, spoil: Any, told: str) -> None:
    remote = open_dataset(at(server.port, local.path.name))
    name = remote.files("train")[-1].path
    whole = server.content(local.path.name, name)
    try:
        if spoil is None:
            server.delete(local.path.name, name)
        else:
            server.ask(f"{BUCKET}/{local.path.name}/{name}", "PUT", spoil(whole))
        with pytest.raises(InputError, match=told) as refused:
            StreamedMatrix(remote, threads=2).degrees()
        assert f"s3://{BUCKET}/{local.path.name}/{name}" in str(refused.value)
        assert SECRET not in str(refused.value)
    finally:
        server.ask(f"{BUCKET}/{local.path.name}/{name}", "PUT", whole)


def test_a_server_that_is_away_for_a_moment_is_waited_for(server: Server, local: Dataset) -> None:
    with between(server) as passing, ThreadPoolExecutor(1) as pool:
        remote = open_dataset(at(passing.port, local.path.name))
        passing.leave()
        begun = pool.submit(StreamedMatrix(remote, threads=2).degrees)
        time.sleep(2)
        assert not begun.done()
        passing.listen()
        assert np.array_equal(begun.result().user_train, StreamedMatrix(local).degrees().user_train)


ENDLESS = """
import sys
import fractalrs as fr
matrix = fr.StreamedMatrix(fr.open_dataset(sys.argv[1]), threads=2, rows_memory=0)
print("begun", flush=True)
while True:
    matrix.degrees()
"""


def test_ctrl_c_ends_a_pass(server: Server, local: Dataset, scratch: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, f"s3://{BUCKET}/{local.path.name}"]
    env = os.environ | environment(server.endpoint)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in err.splitlines()[-1]
    assert "panicked" not in err
    assert [*scratch.iterdir()] == []
