"""A data set in an object store is read as one in a folder is, and nothing of it is kept on this machine."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from fractalrs.dataset import Dataset, open_dataset, write
from fractalrs.errors import InputError
from fractalrs.loading import Batch, Batches, Histories
from fractalrs.polars import scan
from fractalrs.tools import ObjectStore
from helpers.folders import small_expansion
from helpers.stores import BUCKET, SECRET, Server, between, environment, options, serving

PARTS = 6
PARQUET = fr.ParquetOptions(row_group_size=1_500)
WINDOW = 1_500


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write(small_expansion(), tmp_path_factory.mktemp("local") / "out", parts=PARTS, parquet=PARQUET)


@pytest.fixture(scope="module", autouse=True)
def copied(server: Server, local: Dataset) -> None:
    copy(server, local, "whole")


@pytest.fixture
def remote(server: Server) -> Dataset:
    return open_dataset(at(server.port))


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is left in TMPDIR, nor is anything put there meanwhile."""
    (folder := tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = folder.stat().st_mtime_ns
    yield
    assert [*folder.iterdir()] == []
    assert folder.stat().st_mtime_ns == before


def at(port: int, prefix: str = "whole") -> ObjectStore:
    return ObjectStore(f"s3://{BUCKET}/{prefix}", options(f"http://127.0.0.1:{port}"))


def copy(server: Server, dataset: Dataset, prefix: str) -> None:
    for file in dataset.path.rglob("*"):
        if file.is_file():
            server.ask(f"{BUCKET}/{prefix}/{file.relative_to(dataset.path)}", "PUT", file.read_bytes())


def together(batches: Any) -> pa.Table:
    return pa.concat_tables([pa.table(batch) for batch in batches])


def same(some: list[Batch], others: list[Batch]) -> bool:
    return len(some) == len(others) and all(
        one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
        for one, other in zip(some, others, strict=True)
    )


@pytest.mark.parametrize("shuffle", [False, "window"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_batches_are_those_of_a_folder(local: Dataset, remote: Dataset, shuffle: Any, split: Any) -> None:
    for named in ({}, {"columns": ["item_id"]}, {"rank": 1, "world_size": 2, "worker": 2, "workers": 3}):
        here, there = (
            list(Batches(source, 400, split, shuffle=shuffle, window=WINDOW, seed=3, **named))
            for source in (local, remote)
        )
        assert same(here, there)
        assert here


@pytest.mark.parametrize("shuffle", [False, "window"])
def test_a_state_goes_on_there_and_here(local: Dataset, remote: Dataset, shuffle: Any) -> None:
    named: dict[str, Any] = {"shuffle": shuffle, "window": WINDOW}
    whole = list(Batches(local, 400, **named))
    for stop in range(0, len(whole) + 1, 9):
        interrupted = Batches(remote, 400, **named)
        begun = iter(interrupted)
        head = [next(begun) for _ in range(stop)]
        state = json.loads(json.dumps(interrupted.state_dict()))
        for source in (local, remote):
            resumed = Batches(source, 400, **named)
            resumed.load_state_dict(state)
            assert same(head + list(resumed), whole)


@pytest.mark.parametrize(
    "query",
    [
        lambda frame: frame,
        lambda frame: frame.select("item_id", "user_id"),
        lambda frame: frame.select(pl.len()),
        lambda frame: frame.head(17),
        lambda frame: frame.filter(pl.col("user_id") == 311),
        lambda frame: frame.filter(pl.col("user_id") > 10**6),
        lambda frame: frame.filter(pl.col("user_id") % 50 == 7, pl.col("item_id") > 300),
        lambda frame: frame.filter(pl.col("item_id") > 600).select("user_id").head(5),
        lambda frame: frame.join(frame.filter(pl.col("user_id") < 9), on="item_id").select(pl.len()),
    ],
)
def test_polars_gives_the_same(local: Dataset, remote: Dataset, query: Any) -> None:
    for split in ("train", "test", "valid"):
        here, there = (query(scan(source, split)).collect() for source in (local, remote))
        assert here.equals(there)


def test_only_what_may_pass_is_fetched(server: Server, local: Dataset) -> None:
    size = local.totals["bytes"]
    with between(server) as passing:
        remote = open_dataset(at(passing.port))

        def takes(query: Any) -> int:
            before = passing.received
            query(scan(remote)).collect()
            return passing.received - before

        whole = takes(lambda frame: frame)
        assert takes(lambda frame: frame.filter(pl.col("user_id") == 311)) < whole / 5
        assert takes(lambda frame: frame.filter(pl.col("user_id") < 0)) == 0
        assert takes(lambda frame: frame.head(3)) < whole / 5
        assert takes(lambda frame: frame.select("user_id").sum()) < 0.8 * whole
        before = passing.received
        batches = iter(Batches(remote, 100))
        next(batches)
        assert passing.received - before < size / 3


def test_users_at_the_edges_of_row_groups_are_read(local: Dataset, remote: Dataset) -> None:
    for file in local.files("train")[:3]:
        metadata = pq.read_metadata(local.path / file.path)
        groups = [metadata.row_group(group).column(0).statistics for group in range(metadata.num_row_groups)]
        for user in {edge for users in groups for edge in (users.min, users.max)}:
            here, there = (scan(source).filter(pl.col("user_id") == user).collect() for source in (local, remote))
            assert here.equals(there)


@pytest.fixture
def spoilt(server: Server, local: Dataset) -> Iterator[str]:
    copy(server, local, "spoilt")
    yield "spoilt"
    for name in server.sizes("spoilt"):
        server.delete("spoilt", name)


def damage(content: bytes) -> bytes:
    # The first page of each row group's users, and the footer's length, are not that long.
    return content[:200] + b"\xff" * 100 + content[300:]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (damage, "cannot read"),
        (lambda content: content[:-40], "cannot read"),
        (lambda _: b"", "cannot read"),
        (None, "does not exist"),
    ],
)
@pytest.mark.parametrize("shuffle", [False, "window"])
def test_a_part_that_is_missing_or_damaged_is_named(
    server: Server, spoilt: str, spoil: Any, told: str, shuffle: Any
) -> None:
    remote, name = open_dataset(at(server.port, spoilt)), "train/part-00003-of-00006.parquet"
    if spoil is None:
        server.delete(spoilt, name)
    else:
        server.ask(f"{BUCKET}/{spoilt}/{name}", "PUT", spoil(server.content(spoilt, name)))
    readers: list[Any] = [
        lambda: list(Batches(remote, 400, shuffle=shuffle, window=WINDOW)),
        lambda: scan(remote).collect(),
    ]
    for read in readers:
        with pytest.raises((InputError, pl.exceptions.ComputeError), match=told) as refused:
            read()
        assert f"s3://{BUCKET}/{spoilt}/{name}" in str(refused.value)
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize("kind", ["batches", "scan"])
def test_a_server_that_is_away_for_a_moment_is_waited_for(server: Server, local: Dataset, kind: str) -> None:
    def read(source: Dataset, begun: Any = lambda: None) -> pa.Table:
        if kind == "scan":
            begun()
            return scan(source).collect().to_arrow()
        return together(begun() or batch for batch in Batches(source, 400, window=WINDOW))

    with between(server) as passing, ThreadPoolExecutor(1) as pool:
        remote = open_dataset(at(passing.port))
        returning = None

        def come_back() -> None:
            time.sleep(2)
            passing.listen()

        def leave() -> None:
            nonlocal returning
            if returning is None:
                passing.leave()
                returning = pool.submit(come_back)

        assert read(remote, leave).equals(read(local))
        assert returning is not None
        returning.result()


def test_what_is_dropped_reads_no_more(server: Server) -> None:
    with between(server) as passing:
        remote = open_dataset(at(passing.port))
        for shuffle in (False, "window"):
            batches = iter(Batches(remote, 100, shuffle=shuffle, window=WINDOW))
            next(batches)
            del batches
            after = passing.received
            time.sleep(0.3)
            assert passing.received == after


def test_histories_say_what_to_do_as_of_a_folder(local: Dataset, remote: Dataset) -> None:
    for source in (local, remote):
        with pytest.raises(InputError, match="export it as csr and use load_csr"):
            Histories(source)  # type: ignore[arg-type]


def children(of: int) -> list[int]:
    """Return the processes that another one started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            about = stat.read_text().rpartition(")")[2].split()
            found += [int(stat.parent.name)] * (int(about[1]) == of and about[0] != "Z")
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux for processes")
def test_forked_workers_share_an_epoch_and_leave_no_process(local: Dataset, remote: Dataset) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def work(worker: int) -> None:
        batches = iter(Batches(remote, 400, shuffle="window", window=WINDOW, worker=worker, workers=3, threads=1))
        first = next(batches)
        answers.put((worker, [first, *batches], children(os.getpid())))
        if worker == 0:
            time.sleep(60)

    # Loaders' workers are daemons.
    workers = [context.Process(target=work, args=(worker,), daemon=True) for worker in range(3)]
    for process in workers:
        process.start()
    found = {worker: (batches, helpers) for worker, batches, helpers in (answers.get(timeout=60) for _ in workers)}
    helpers = [helper for _, helpers in found.values() for helper in helpers]
    assert len(helpers) == 3
    # However they end.
    workers[0].kill()
    for process in workers:
        process.join(30)
    for worker in range(3):
        named: dict[str, Any] = {"shuffle": "window", "window": WINDOW, "worker": worker, "workers": 3}
        assert same(found[worker][0], list(Batches(local, 400, **named)))
    give_up = time.monotonic() + 20
    while any(Path(f"/proc/{helper}").exists() for helper in helpers):
        assert time.monotonic() < give_up
        time.sleep(0.05)


ENDLESS = """
import sys
import fractalrs as fr
from fractalrs.loading import Batches
batches = Batches(fr.open_dataset(sys.argv[1]), 100, shuffle="window", window=1_500)
print("begun", flush=True)
while True:
    list(batches)
"""


def test_ctrl_c_ends_an_epoch(server: Server) -> None:
    command = [sys.executable, "-c", ENDLESS, f"s3://{BUCKET}/whole"]
    env = os.environ | environment(server.endpoint)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in err.splitlines()[-1]
