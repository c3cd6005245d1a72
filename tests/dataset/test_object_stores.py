"""Data sets in an object store: the same bytes as in a folder, whole or not there, whatever happens to the writer."""

import json
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs as pa_fs
import pytest

from fractalrs.base import leave_last_out
from fractalrs.dataset import Dataset, Plan, finish, open_dataset, plan, write, write_part
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.expansion import Expansion
from fractalrs.formats import export
from fractalrs.reading import read_interactions, sample_interactions
from fractalrs.tools import ObjectStore
from fractalrs.validation import validate
from fractalrs.workflow import publish
from helpers.commands import run
from helpers.folders import digests, small_base, small_expansion
from helpers.stores import BUCKET, SECRET, Server, answering, asking, between, environment, options, serving

PARTS = 24


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write(small_expansion(), tmp_path_factory.mktemp("local") / "out", parts=PARTS)


@pytest.fixture(scope="module")
def whole(server: Server) -> Dataset:
    """Written once, and read by many."""
    return write(small_expansion(), at(server, "whole"), parts=PARTS, threads=2)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which files are made before they are put."""
    (folder := tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def at(server: Server, prefix: str) -> ObjectStore:
    return ObjectStore(f"s3://{BUCKET}/{prefix}", options(server.endpoint))


def test_the_bytes_are_those_of_a_folder(server: Server, whole: Dataset, local: Dataset) -> None:
    assert server.digests("whole") == digests(local.path)
    assert server.pending() == 0
    assert whole.totals == local.totals
    assert repr(whole).startswith(f"Dataset('s3://{BUCKET}/whole'")


def test_what_is_there_is_known_without_a_download(server: Server) -> None:
    expansion = Expansion(small_base(), np.full((8, 8), 0.9))
    with between(server) as passing:
        store = ObjectStore(f"s3://{BUCKET}/resumed", options(f"http://127.0.0.1:{passing.port}"))
        size = write(expansion, store, parts=4).totals["bytes"]
        there = server.digests("resumed")
        for name in ("manifest.json", "train/part-00003-of-00004.parquet"):
            server.delete("resumed", name)
        before = passing.received
        write(expansion, store, parts=4)
        took = passing.received - before
    assert server.digests("resumed") == there
    # Of each file only its metadata came.
    assert took < 40_000 < size / 4


def test_files_without_metadata_are_read(server: Server, local: Dataset) -> None:
    """Other programs that copy a data set may drop them."""
    for name in digests(local.path):
        if name != "manifest.json":
            server.ask(f"{BUCKET}/copied/{name}", "PUT", (local.path / name).read_bytes())
    write(small_expansion(), at(server, "copied"), parts=PARTS)
    assert server.digests("copied") == digests(local.path)
    damaged = server.content("copied", "test/part-00000-of-00024.parquet")[:-9] + b"123456789"
    server.ask(f"{BUCKET}/copied/test/part-00000-of-00024.parquet", "PUT", damaged)
    server.delete("copied", "manifest.json")
    with pytest.raises(OutputError, match=r"copied/test/part-00000-of-00024\.parquet is damaged"):
        write(small_expansion(), at(server, "copied"), parts=PARTS)


def test_parts_by_anybody_in_any_order(server: Server, local: Dataset) -> None:
    made, store = plan(small_expansion(), parts=PARTS), at(server, "parts")
    with ThreadPoolExecutor(4) as pool:
        [*pool.map(lambda part: write_part(made, part, store), [*range(PARTS - 1, 0, -1), 5, 6])]
    with pytest.raises(OutputError, match=r"s3://bucket/parts cannot be finished: it lacks train part 0 of 24"):
        finish(made, store)
    with pytest.raises(InputError, match="not complete"):
        open_dataset(store)
    write_part(made, 0, store)
    finish(made, store)
    assert server.digests("parts") == digests(local.path)


def test_another_plan_is_refused_and_replaced_when_that_is_said(server: Server) -> None:
    store = at(server, "replaced")
    write(small_expansion(seed=1), store, parts=4)
    there = server.digests("replaced")
    with pytest.raises(OutputError, match="made otherwise: seed is 1 there and 2 here"):
        write(small_expansion(seed=2), store, parts=3)
    with pytest.raises(OutputError, match="made otherwise"):
        write_part(plan(small_expansion(seed=2), parts=3), 0, store)
    assert server.digests("replaced") == there
    write(small_expansion(seed=2), store, parts=3, overwrite=True)
    assert sum(name.endswith(".parquet") for name in server.sizes("replaced")) == 6
    server.ask(f"{BUCKET}/replaced/theirs.txt", "PUT", b"theirs")
    with pytest.raises(OutputError, match=r"holds what is not ours: theirs\.txt"):
        write(small_expansion(seed=3), store, parts=3, overwrite=True)


def test_one_of_many_claims_wins(server: Server) -> None:
    store = at(server, "claims")
    with ThreadPoolExecutor(8) as pool:
        won = [*pool.map(lambda number: store.claim("a/plan", b"%d" % number), range(20))]
    assert sum(won) == 1
    assert server.content("claims", "a/plan") == b"%d" % won.index(True)
    store.put("a/plan", b"another")
    with store.open("a/plan") as file:
        assert (file.read(3), file.seek(-2, os.SEEK_END), file.read(), file.read()) == (b"ano", 5, b"er", b"")
    assert store.sizes(["a/plan", "a/nothing", "a"]) == store.list() == {"a/plan": 7}
    store.delete(["a/plan", "a/nothing"])
    assert store.list() == {}


def test_one_of_two_plans_at_once_claims_the_place(server: Server) -> None:
    def attempt(seed: int) -> str:
        try:
            write(small_expansion(seed=seed), at(server, "claimed"), parts=4)
        except (OutputError, WriteError) as error:
            return str(error)
        return "won"

    with ThreadPoolExecutor(4) as pool:
        told = [*pool.map(attempt, range(4))]
    assert told.count("won") == 1
    assert sum("made otherwise" in each for each in told) == 3
    assert open_dataset(at(server, "claimed")).totals["files"] == 8


WRITER = """
import os, random, signal, sys, time
from fractalrs.dataset import plan, write_plan
from fractalrs.tools import ObjectStore
from helpers.folders import small_expansion
made, rng = plan(small_expansion(), parts=24), random.Random(int(sys.argv[1]))
_ = made.parts, made.expected_bytes, made.expansion.generator
for line in sys.stdin:
    prefix, longest = line.split()
    child = os.fork()
    if child == 0:
        write_plan(made, f"s3://bucket/{prefix}", threads=2)
        os._exit(0)
    if float(longest):
        time.sleep(rng.uniform(0, float(longest)))
        os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Writes to prefixes in processes of its own, and kills them after a random time up to what it is told."""


def test_killed_at_random_moments_the_same_call_finishes_the_same_bytes(
    server: Server, local: Dataset, scratch: Path
) -> None:
    reference = {name: md5((local.path / name).read_bytes()).hexdigest() for name in digests(local.path)}
    seed = random.SystemRandom().randrange(1 << 32)
    with asking(WRITER, str(seed), endpoint=server.endpoint) as ask:

        def writing(prefix: str, longest: float = 0) -> int:
            return int(ask(f"{prefix} {longest}"))

        assert writing("kills/0") == 0
        began = time.monotonic()
        assert writing("kills/1") == 0
        usual, kills, turn = time.monotonic() - began, 0, 0
        seen: set[int] = set()
        while kills < 20 and turn < 100:
            prefix, turn = f"kills/{2 + turn // 3}", turn + 1
            kills += writing(prefix, usual) == signal.SIGKILL
            there = server.etags(prefix)
            seen.add(len(there))
            # Nothing truncated: what has a name has the bytes that it has in a folder.
            assert there.items() <= reference.items(), seed
            assert server.pending() == 0, seed
            assert "manifest.json" not in there or there.keys() == reference.keys(), seed
        assert kills == 20
        # They were at all stages.
        assert len(seen) > 5, (seed, seen)
        for number in range(2, 2 + -(-turn // 3)):
            assert writing(f"kills/{number}") == 0
            assert server.etags(f"kills/{number}") == reference, seed
    assert server.pending() == 0
    assert [*scratch.iterdir()] == []


def test_ctrl_c_leaves_whole_files_alone(server: Server, scratch: Path) -> None:
    command = [sys.executable, "-m", "fractalrs", "expand", "sample", f"s3://{BUCKET}/interrupted", "--seed", "1"]
    command += ["--user-multiplier", "4", "--item-multiplier", "8", "--profile", "paper", "--parts", "60"]
    env = os.environ | environment(server.endpoint)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    while sum(name.startswith("train/") for name in server.sizes("interrupted")) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    assert "panicked" not in err
    assert server.pending() == 0
    assert [*scratch.iterdir()] == []
    assert len(server.sizes("interrupted")) < 120
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert "files are finished already" in done.stderr
    assert len(server.sizes("interrupted")) == 120 + 9
    assert server.pending() == 0


def test_a_server_that_is_away_for_five_seconds_is_waited_for(server: Server, local: Dataset) -> None:
    with between(server) as passing, ThreadPoolExecutor(1) as pool:
        store = ObjectStore(f"s3://{BUCKET}/away", options(f"http://127.0.0.1:{passing.port}"))
        writing = pool.submit(write, small_expansion(), store, parts=PARTS)
        while len(server.sizes("away")) < 8:
            time.sleep(0.01)
        passing.leave()
        time.sleep(5)
        assert not writing.done()
        passing.listen()
        writing.result()
    assert server.digests("away") == digests(local.path)


OPTIONS = ("--user-multiplier", 2, "--item-multiplier", 2, "--profile", "paper", "--quiet")


@pytest.mark.parametrize(
    ("get", "put", "told"),
    [
        ((403, "AccessDenied"), (403, "AccessDenied"), "the store denies access (AccessDenied)"),
        ((403, "ExpiredToken"), (403, "ExpiredToken"), "the store denies access (ExpiredToken)"),
        ((404, "NoSuchBucket"), (404, "NoSuchBucket"), "there is no such bucket"),
        ((200, ""), (403, "AccessDenied"), "the store denies access (AccessDenied)"),
        ((400, "InvalidRequest"), (400, "InvalidRequest"), "the store answers 400 Bad Request, InvalidRequest"),
    ],
)
def test_what_the_store_denies_is_refused(get: tuple[int, str], put: tuple[int, str], told: str) -> None:
    with answering(get, put) as (server, asked):
        given = [f"--storage-option={name}={value}" for name, value in options(server.endpoint).items()]
        done = run("expand", "sample", "s3://bucket/out", *OPTIONS, *given)
    assert (done.code, done.out) == (2, ""), done.err
    assert "s3://bucket/out" in done.err
    assert told in done.err
    assert SECRET not in done.err
    # Nothing, or one attempt to claim the place.
    assert [each for each in asked if not each.startswith("GET")] in ([], ["PUT /bucket/out/private/plan.json"])


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for given, told in (
        (["s3://bucket/x", "--storage-option", f"secret_acces_key={SECRET}"], "secret_acces_key"),
        (["s3://bucket/x", "--storage-option", SECRET], "a --storage-option is no KEY=VALUE"),
        ([tmp_path / "out", "--storage-option", f"secret_access_key={SECRET}"], "is in no object store"),
        (["s3://"], "names no bucket"),
        (["ftp://somewhere/out"], "ftp:// is no local folder"),
    ):
        done = run("expand", "sample", *given, *OPTIONS)
        assert (done.code, done.out) == (2, "")
        assert told in done.err
        assert SECRET not in done.err
    assert not (tmp_path / "out").exists()


def test_credentials_are_nowhere(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    store = at(server, "secret")
    made = write(small_expansion(), store, parts=2)
    contents = [server.content("secret", name) for name in server.sizes("secret")]
    assert not any(SECRET.encode() in content for content in contents)
    assert SECRET not in caplog.text + repr(made) + repr(store) + str(store.path / "x")
    # Other processes need them.
    assert pickle.loads(pickle.dumps(store)).list() == store.list()


def test_what_others_read(server: Server, whole: Dataset, local: Dataset) -> None:
    names = {"aws_endpoint_url": server.endpoint, "aws_access_key_id": "nobody", "aws_secret_access_key": SECRET}
    read = pl.scan_parquet(f"s3://{BUCKET}/whole/train/*.parquet", storage_options=names | {"aws_region": "us-east-1"})
    assert read.collect().equals(pl.read_parquet(local.path / "train/*.parquet"))
    system = pa_fs.S3FileSystem(
        access_key="nobody", secret_key=SECRET, endpoint_override=server.endpoint, region="us-east-1"
    )
    files = [f"{BUCKET}/whole/{file.path}" for file in whole.files("test")]
    assert pa.dataset.dataset(files, filesystem=system).to_table().equals(local.test.to_table())


@pytest.mark.usefixtures("whole")
def test_a_data_set_is_opened_read_validated_and_exported(
    server: Server, local: Dataset, tmp_path: Path, scratch: Path
) -> None:
    again = open_dataset(at(server, "whole"))
    assert again.train.to_table().equals(local.train.to_table())
    assert again.test.head(5).equals(local.test.head(5))
    assert again.items is None
    report, here = validate(again, small_base(), digests=True), validate(local, small_base(), digests=True)
    assert report.holds == here.holds
    assert [str(check) for check in report.findings.checks] == [str(check) for check in here.findings.checks]
    assert report.findings.subject["data set"] == "whole"
    for made, name in ((again, "there"), (local, "here")):
        export(made, tmp_path / name, format="csv")
    assert digests(tmp_path / "there") == digests(tmp_path / "here")
    for made, name in ((again, "public there"), (local, "public here")):
        publish(made, tmp_path / name)
    assert digests(tmp_path / "public there") == digests(tmp_path / "public here")
    assert [*scratch.iterdir()] == []


@pytest.mark.usefixtures("whole")
def test_damage_is_found_there_too(server: Server, tmp_path: Path, scratch: Path) -> None:
    for name in server.sizes("whole"):
        server.ask(f"{BUCKET}/damaged/{name}", "PUT", server.content("whole", name))
    name = "train/part-00001-of-00024.parquet"
    content = bytearray(server.content("damaged", name))
    content[len(content) // 2] ^= 1
    server.ask(f"{BUCKET}/damaged/{name}", "PUT", bytes(content))
    found = validate(at(server, "damaged"), only="integrity", digests=True)
    assert not found.holds
    assert name in str(found)
    for _ in range(2):
        with pytest.raises(InputError, match=rf"s3://bucket/damaged/{name} is not what the manifest says"):
            publish(at(server, "damaged"), tmp_path / "public")
        assert {*tmp_path.iterdir()} == {scratch}
        assert [*scratch.iterdir()] == []
        # Gone.
        server.ask(f"{BUCKET}/damaged/{name}", "DELETE")


def test_the_commands_take_urls(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(server.endpoint).items():
        monkeypatch.setenv(name, value)
    url = f"s3://{BUCKET}/cli"
    dry = run("expand", "sample", url, *OPTIONS[:-1], "--seed", 5, "--dry-run", "--json")
    assert json.loads(dry.out)["output"] == url
    assert server.sizes("cli") == {}
    done = run("expand", "sample", url, *OPTIONS[:-1], "--seed", 5, "--parts", 3, "--json")
    assert json.loads(done.out)["output"] == url
    assert "nothing to do" in run("expand", "sample", url, *OPTIONS[:-1], "--seed", 5, "--parts", 3).err
    told = json.loads(run("info", url, "--json").out)
    assert (told["output"], told["parts"], told["private"]) == (url, 3, "there: keep it at home")
    assert 'profile = "paper"' in run("info", url, "--recipe").out
    assert len(run("head", url, "--rows", 4).out.splitlines()) == 5
    assert run("validate", url, "--source", "sample", "--only", "integrity", "--quiet").code == 0
    assert run("export", url, tmp_path / "csv", "--format", "csv").code == 0
    assert run("publish", url, tmp_path / "public", "--quiet").code == 0
    assert "private" not in {file.name for file in (tmp_path / "public").iterdir()}
    assert run("info", f"s3://{BUCKET}/nothing").err.startswith(f"error: nothing is there: s3://{BUCKET}/nothing")
    refused = run("export", url, "s3://bucket/csv", "--format", "csv")
    assert (refused.code, "give a local path" in refused.err) == (2, True)


def test_a_saved_expansion_is_all_that_workers_need(server: Server, local: Dataset, scratch: Path) -> None:
    store, expansion = at(server, "saved"), small_expansion()
    with pytest.raises(InputError, match="s3://bucket/saved is not a saved expansion"):
        Expansion.load(store)
    # What a writer that was killed has left does not stand in the way.
    store.put("cells.npz", b"begun")
    expansion.save(store)
    assert "expansion.json" in server.sizes("saved")
    for again in (Expansion.load(store), pickle.loads(pickle.dumps(expansion))):
        assert again.fingerprint == expansion.fingerprint
        assert again.table(0, 50).equals(expansion.table(0, 50))
        assert again.base.path is None
    sent: Plan = pickle.loads(pickle.dumps(plan(again, parts=PARTS)))
    assert write_part(sent, 3, at(server, "sent")).files["train"] == local.parts[3].files["train"]
    with pytest.raises(OutputError, match="s3://bucket/saved exists already"):
        small_expansion(seed=2).save(store)
    with pytest.raises(OutputError, match="no such bucket"):
        expansion.save(ObjectStore("s3://elsewhere/x", options(server.endpoint)))
    assert [*scratch.iterdir()] == []


def test_a_place_may_have_any_name(server: Server) -> None:
    dataset = write(small_expansion(), at(server, "alive"), parts=2)
    assert validate(dataset, only="integrity").holds


def test_keys_in_urls_are_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match="before '@'") as refused:
        ObjectStore("s3://name:hidden@bucket/out")
    assert "hidden" not in str(refused.value)


def test_a_fork_of_a_process_that_used_a_store_uses_it_too(server: Server, whole: Dataset, scratch: Path) -> None:
    context, store = multiprocessing.get_context("fork"), at(server, "whole")
    there = store.list()
    answers = context.Queue()

    def use() -> None:
        try:
            written = write(small_expansion(), at(server, "forked"), parts=3)
            found = [store.list(), open_dataset(store).test.count_rows(), written.totals["test"]]
            with pytest.raises(FileNotFoundError, match="does not exist: 's3://bucket/whole/nothing'"):
                store.open("nothing").read()
            with pytest.raises(OutputError, match="no such bucket"):
                Dataset(ObjectStore("s3://elsewhere/x", options(server.endpoint)))
            answers.put(found)
        except BaseException as error:
            answers.put(repr(error))

    child = context.Process(target=use)
    child.start()
    assert answers.get(timeout=60) == [there, whole.totals["test"], whole.totals["test"]]
    child.join(30)
    assert child.exitcode == 0
    assert open_dataset(at(server, "forked")).totals["interactions"] == whole.totals["interactions"]
    assert [*scratch.iterdir()] == []


def test_parts_too_large_for_one_request_are_refused(server: Server) -> None:
    store = at(server, "large")
    with pytest.raises(OutputError, match="give more parts"):
        store.require_room(6e9, 0, 6e9, 1, "")
    store.require_room(6e9, 0, 1e6, 1, "")
    assert np.isfinite(store.free())


class Cramped(ObjectStore):
    """A store beside too little room for a data set; for its private files there is."""

    @contextmanager
    def local(self, names: Iterable[str]) -> Iterator[Path]:
        if "manifest.json" in (wanted := [*names]):
            raise OutputError("too little free disk for /tmp: it needs about 2 GB, 1 GB are free")
        with super().local(wanted) as folder:
            yield folder


@pytest.mark.parametrize("partition", [None, "month"])
def test_without_room_it_is_validated_where_it_is(
    server: Server, tmp_path: Path, partition: Any, caplog: pytest.LogCaptureFixture
) -> None:
    table = sample_interactions(200, 150, 4_000).to_arrow()
    # Of two months.
    times = pa.array(table["timestamp"].to_numpy() % 5_000_000 + 1_600_000_000)
    table = table.set_column(table.schema.get_field_index("timestamp"), "timestamp", times)
    base = leave_last_out(read_interactions(table), payload=("rating", "timestamp"))
    carried: dict[str, Any] = {"profile": "traceable", "timestamps": True, "ratings": "carry"}
    expansion = Expansion(base, np.full((3, 5), 0.4), seed=7, **carried)
    items = pa.table({"item": base.item_ids, "year": pa.array(range(150))})
    here = write(
        expansion, tmp_path / "out", parts=2 if partition is None else 1, partition=partition, item_attributes=items
    )
    prefix = f"cramped/{partition}"
    for name in digests(here.path):
        server.ask(f"{BUCKET}/{prefix}/{name}", "PUT", (here.path / name).read_bytes())
    there = open_dataset(Cramped(f"s3://{BUCKET}/{prefix}", options(server.endpoint)))
    named: dict[str, Any] = {"digests": True, "threads": 2, "only": None if partition is None else "integrity"}
    one, other = (validate(dataset, base, **named) for dataset in (here, there))
    assert [str(check) for check in one.findings.checks] == [str(check) for check in other.findings.checks]
    assert [str(metric) for metric in one.findings.metrics] == [str(metric) for metric in other.findings.metrics]
    assert f"so every pass reads s3://{BUCKET}/{prefix} again" in caplog.text
    if partition is None:
        whole = server.content(prefix, "items.parquet")
        server.ask(f"{BUCKET}/{prefix}/items.parquet", "PUT", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
        assert "its BLAKE3 digest is not that of the manifest" in str(validate(there, only="integrity", digests=True))
        for name in ("items.parquet", here.files("test")[-1].path):
            server.delete(prefix, name)
        found = str(validate(there, only="integrity"))
        assert f"{name} is missing" in found
        assert "it is missing" in found
