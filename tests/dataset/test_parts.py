"""Parts: written one by one, by any processes, in any order, twice, and killed, they make the same data set."""

import errno
import fcntl
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.dataset import Folder, Manifest, Plan, Private, forecast
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import Expansion
from fractalrs.tools import LocalStore, write_sealed
from helpers.folders import LITTER, RATES, digests, files_of, small_base, small_expansion, stamps

PARTS = 7


@pytest.fixture(scope="module")
def plan() -> Plan:
    return fr.plan(small_expansion(), parts=PARTS)


@pytest.fixture(scope="module")
def written(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run; not to be changed."""
    path = tmp_path_factory.mktemp("parts") / "out"
    fr.write(plan.expansion, path, parts=PARTS)
    return path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "out")
    return tmp_path / "out"


# --- the plan --------------------------------------------------------------------------------------------------------


def test_a_plan_says_what_will_be_written(plan: Plan, written: Path) -> None:
    dataset = fr.open_dataset(written)
    assert list(plan.files) == [file.path for part in dataset.parts for (file,) in part.files.values()]
    assert [(part.first, part.last) for part in plan.parts] == [(part.first, part.last) for part in dataset.parts]
    assert plan.expansion_fingerprint == plan.expansion.fingerprint == dataset.manifest.fingerprints["expansion"]
    assert plan.expected_bytes == pytest.approx(dataset.totals["bytes"], rel=0.5)
    for split, rows in plan.expected_rows.items():
        assert rows == pytest.approx(dataset.totals[split], rel=0.1)
    assert repr(plan).startswith("Plan(7 parts, 14 files, × (3, 5)")


def test_a_plan_and_a_manifest_are_read_back_as_they_were_written(plan: Plan, written: Path) -> None:
    text = (written / "private/plan.json").read_bytes()
    assert Plan.from_json(text, written) == plan
    assert Plan.from_json(text, written).to_json().encode() == text
    text = (written / "manifest.json").read_bytes()
    assert Manifest.from_json(text, written).to_json().encode() == text


def test_a_plan_is_pickled_with_its_expansion_when_that_is_saved(tmp_path: Path) -> None:
    expansion = small_expansion(shuffle="aligned")
    given = {"item_attributes": pa.table({"item": expansion.base.item_ids, "n": np.arange(150)})}
    made = fr.plan(expansion, parts=3, **given)
    with pytest.raises(InputError, match="not saved"):
        pickle.dumps(made)
    expansion.save(tmp_path / "saved")
    sent = pickle.loads(pickle.dumps(made))
    assert sent == made
    for part in sent.parts:
        fr.write_part(sent, part.index, tmp_path / "out")
    fr.finish(sent, tmp_path / "out")
    fr.write(expansion, tmp_path / "whole", parts=3, **given)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_pickle_whose_expansion_was_replaced_is_refused(tmp_path: Path) -> None:
    expansion = small_expansion()
    expansion.save(tmp_path / "saved")
    pickled = pickle.dumps(fr.plan(expansion))
    shutil.rmtree(tmp_path / "saved")
    small_expansion(seed=8).save(tmp_path / "saved")
    with pytest.raises(InputError, match=r"is no longer|was replaced|another|not the"):
        pickle.loads(pickled)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("expansion", lambda _: fr.plan(small_base())),  # type: ignore[arg-type]
        ("parquet", lambda _: fr.write(small_expansion(), "out", parquet="zstd")),  # type: ignore[arg-type]
        ("recipe", lambda _: fr.plan(small_expansion(), recipe=[1])),  # type: ignore[arg-type]
        *(
            ("part_interactions", lambda _, least=least: fr.plan(small_expansion(), part_interactions=least))
            for least in (0, -1, "x")
        ),
        *(
            ("path", lambda plan, path=path, call=call: call(plan, path))
            for path in (5, None, b"out", "a\0b", "a" * 300)
            for call in (
                lambda plan, path: fr.write(plan.expansion, path),
                lambda plan, path: fr.write_part(plan, 0, path),
                lambda plan, path: fr.finish(plan, path),
                lambda plan, path: forecast(plan, path),
                lambda _, path: fr.open_dataset(path),
            )
        ),
        ("plan", lambda _: fr.write_part(None, 0, "out")),  # type: ignore[arg-type]
        ("plan", lambda _: fr.finish(small_expansion(), "out")),  # type: ignore[arg-type]
        ("plan", lambda _: forecast(None, "out")),  # type: ignore[arg-type]
    ],
)
def test_arguments_of_a_wrong_kind_are_named(
    plan: Plan, name: str, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^{name} (is|must be) "):
        call(plan)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parts", ["3", 2.0, True, [1]])
def test_parts_that_are_no_whole_number_are_refused(parts: Any) -> None:
    with pytest.raises(InputError, match=r"parts is .*whole number"):
        fr.plan(small_expansion(), parts=parts)


@pytest.mark.parametrize(
    "options", [{"row_group_size": 2.5}, {"row_group_size": "1"}, {"compression": 3}, {"encoding": None}]
)
def test_parquet_options_of_other_types_are_refused(options: Any) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        fr.ParquetOptions(**options)


def test_a_recipe_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match="recipe holds what is no plain JSON value"):
        fr.plan(small_expansion(), recipe={"source": Path("x")})


# --- parts -----------------------------------------------------------------------------------------------------------


def test_parts_in_any_order_and_finish_give_what_write_gives(plan: Plan, written: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    for number in (3, 0, 6, 5, 1, 2, 4):
        entry = fr.write_part(plan, number, path)
        assert entry == fr.open_dataset(written).parts[number]
        assert {name for name in digests(path) if name.startswith("private/")} == {
            name for name in digests(written) if name.startswith("private/")
        }
    with pytest.raises(InputError, match=r"not complete: it lacks manifest.json"):
        fr.open_dataset(path)
    assert fr.finish(plan, path).totals == fr.open_dataset(written).totals
    assert digests(path) == digests(written)


def test_a_part_that_is_there_is_not_written_again(plan: Plan, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "parts"
    first = fr.write_part(plan, 2, path)
    before = stamps(path)
    assert fr.write_part(plan, 2, path) == first
    assert stamps(path) == before
    before = stamps(out)
    assert fr.write_part(plan, 2, out) == first
    fr.finish(plan, out)
    assert stamps(out) == before


def test_a_lost_file_is_written_again_and_its_twin_is_not(plan: Plan, written: Path, out: Path) -> None:
    (out / "test/part-00002-of-00007.parquet").unlink()
    before = stamps(out)
    fr.write_part(plan, 2, out)
    assert digests(out) == digests(written)
    assert stamps(out, {*before}) == before


def test_finish_names_the_parts_that_are_missing(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "out"
    for number in (1, 5):
        fr.write_part(plan, number, path)
    before = stamps(path)
    with pytest.raises(OutputError, match=r"lacks train parts 0, 2-4, 6 of 7; test parts 0, 2-4, 6 of 7") as caught:
        fr.finish(plan, path)
    assert "write_part" in (caught.value.hint or "")
    assert stamps(path) == before


def test_finish_looks_at_every_byte(plan: Plan, out: Path) -> None:
    (out / "manifest.json").unlink()
    file = files_of(out, "train")[3]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(OutputError, match=r"part-00003-of-00007\.parquet is damaged"):
        fr.finish(plan, out)
    with pytest.raises(OutputError, match=r"part-00003-of-00007\.parquet is damaged"):
        fr.write_part(plan, 3, out)
    file.unlink()
    fr.write_part(plan, 3, out)
    fr.finish(plan, out)


@pytest.mark.parametrize("part", [-1, 7, 1.0, "1", None, True])
def test_parts_that_are_not_there_are_refused(plan: Plan, tmp_path: Path, part: Any) -> None:
    with pytest.raises(InputError, match=r"part is "):
        fr.write_part(plan, part, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_parts_of_another_plan_are_refused(out: Path) -> None:
    other, before = fr.plan(small_expansion(seed=8), parts=PARTS), stamps(out)
    for write in (lambda: fr.write_part(other, 0, out), lambda: fr.finish(other, out)):
        with pytest.raises(OutputError, match="seed is 7 there and 8 here"):
            write()
    assert stamps(out) == before


def test_a_plan_that_was_read_cannot_be_written(out: Path, tmp_path: Path) -> None:
    private = Private.read(out)
    assert private is not None
    with pytest.raises(InputError, match="read from a file"):
        fr.write_part(private.plan, 0, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_same_part_at_once_is_one_whole_file(plan: Plan, written: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    numbers = [number for number in range(PARTS) for _ in range(2)]
    with ThreadPoolExecutor(len(numbers)) as pool:
        list(pool.map(lambda number: fr.write_part(plan, number, path), numbers))
    fr.finish(plan, path)
    assert digests(path) == digests(written)


def test_of_two_plans_at_once_one_begins(tmp_path: Path) -> None:
    plans = [fr.plan(small_expansion(seed=seed), parts=2) for seed in (1, 2)]

    def begin(plan: Plan) -> str:
        try:
            fr.write_part(plan, 0, tmp_path / "out")
        except OutputError as error:
            return error.message
        return "written"

    with ThreadPoolExecutor(2) as pool:
        found = sorted(pool.map(begin, plans), key=len)
    assert found[0] == "written"
    assert "made otherwise: seed is" in found[1]
    assert len(digests(tmp_path / "out")) == 9


@dataclass(frozen=True)
class Overtaken(LocalStore):
    """A folder in which another process begins just before this one does."""

    other: Plan | None = None

    def claim(self, name: str, content: bytes) -> bool:
        assert self.other is not None
        fr.write_part(self.other, 0, self.path)
        return super().claim(name, content)


def test_who_is_overtaken_by_another_plan_is_refused(plan: Plan, written: Path, tmp_path: Path) -> None:
    other = fr.plan(small_expansion(seed=8), parts=PARTS)
    with pytest.raises(OutputError, match="made otherwise: seed is 8 there and 7 here"):
        fr.write_part(plan, 1, Overtaken(tmp_path / "out", other))
    assert not (tmp_path / "out" / plan.parts[1].file("train")).exists()
    fr.write_part(plan, 1, Overtaken(tmp_path / "same", plan))
    for number in range(PARTS):
        fr.write_part(plan, number, tmp_path / "same")
    fr.finish(plan, tmp_path / "same")
    assert digests(tmp_path / "same") == digests(written)


@dataclass(frozen=True)
class Late(LocalStore):
    """A folder in which something happens after it was surveyed, and before it is locked."""

    happen: Callable[[], object] = lambda: None

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        self.happen()
        with super().locked(shared=shared):
            yield


@pytest.mark.parametrize("write", [lambda plan, store: fr.write_part(plan, 1, store), fr.finish])
def test_who_is_overtaken_before_the_lock_changes_nothing(plan: Plan, out: Path, write: Any) -> None:
    (out / "manifest.json").unlink()
    other = small_expansion(seed=8)
    store = Late(out, lambda: fr.write(other, out, parts=PARTS, overwrite=True))
    with pytest.raises(OutputError, match="made otherwise: seed is 8 there and 7 here"):
        write(plan, store)
    assert fr.validate(out, other.base, digests=True, only="integrity").holds


@pytest.mark.parametrize("begin", [lambda plan, store: fr.write(plan.expansion, store, parts=PARTS), fr.finish])
def test_what_a_twin_finished_is_not_written_again(plan: Plan, out: Path, tmp_path: Path, begin: Any) -> None:
    path = tmp_path / "twin"
    if begin is fr.finish:
        shutil.copytree(out, path)
        (path / "manifest.json").unlink()
    before: dict[str, tuple[int, int]] = {}

    def twin() -> None:
        fr.write(plan.expansion, path, parts=PARTS)
        before.update(stamps(path))

    assert begin(plan, Late(path, twin)).totals == fr.open_dataset(out).totals
    assert stamps(path) == before


@pytest.mark.parametrize("parts", [PARTS, 3])
def test_without_locks_the_plan_that_was_overwritten_stops(
    plan: Plan, tmp_path: Path, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    other, begun = small_expansion(seed=8), []

    class Overwriting(fr.Progress):
        @contextmanager
        def task(self, *_: Any) -> Iterator[Any]:
            begun.append(fr.write(other, tmp_path, parts=parts, overwrite=True))
            yield lambda *_: None

    with pytest.raises(OutputError, match="made otherwise: seed is 8 there and 7 here"):
        fr.write(plan.expansion, tmp_path, parts=PARTS, threads=1, progress=Overwriting())
    assert len(begun) == 1
    assert fr.validate(tmp_path, other.base, digests=True, only="integrity").holds


def test_a_run_and_parts_do_not_share_a_folder(plan: Plan, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with store.locked(), pytest.raises(OutputError, match="another run is writing"):
        fr.write_part(plan, 0, tmp_path)
    with store.locked(shared=True):
        with pytest.raises(OutputError, match="another run is writing"):
            fr.write(plan.expansion, tmp_path, parts=PARTS)
        fr.write_part(plan, 0, tmp_path)


WORKER = """
import pickle, sys, fractalrs as fr
plan = pickle.load(open(sys.argv[1], "rb"))
print("ready", flush=True)
sys.stdin.readline()
for part in sys.argv[3:]:
    fr.write_part(plan, int(part), sys.argv[2])
"""


def test_eight_processes_write_every_part_twice_and_some_are_killed(tmp_path: Path) -> None:
    """The same bytes come out as in one run of one process."""
    path, parts, chosen = tmp_path / "out", 24, random.Random(5)
    base = fr.leave_last_out(fr.sample_interactions(300, 200, 6_000))
    expansion = Expansion(base, np.full((24, 32), 0.5), shuffle="aligned", seed=3)
    expansion.save(tmp_path / "saved")
    plan = fr.plan(expansion, parts=parts)
    (tmp_path / "plan.pickle").write_bytes(pickle.dumps(plan))
    twice = [*chosen.sample(range(parts), parts), *chosen.sample(range(parts), parts)]
    command = [sys.executable, "-c", WORKER, str(tmp_path / "plan.pickle"), str(path)]
    workers = [
        subprocess.Popen(
            [*command, *map(str, twice[k::8])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for k in range(8)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"\n")
        worker.stdin.flush()
    for worker in workers[:4]:
        time.sleep(chosen.uniform(0, 0.15))
        worker.send_signal(signal.SIGKILL)
    for number, worker in enumerate(workers):
        _, err = worker.communicate(timeout=300)
        assert worker.returncode == 0 or number < 4, err.decode()
    # Those that only the killed were to write.
    for part in plan.parts:
        if not (path / part.file("train")).exists() or not (path / part.file("test")).exists():
            fr.write_part(plan, part.index, path)
    fr.finish(plan, path)
    fr.write(expansion, tmp_path / "whole", parts=parts)
    assert digests(path) == digests(tmp_path / "whole")


# --- what else is in a folder ----------------------------------------------------------------------------------------


def litter(path: Path) -> dict[str, str]:
    for folder in (path, path / "train", path / "test", path / "private"):
        folder.mkdir(exist_ok=True, parents=True)
        for name in LITTER:
            (folder / name).write_text("theirs")
    return {name: digest for name, digest in digests(path).items() if Path(name).name in LITTER}


def test_litter_is_not_in_the_way_and_stays(plan: Plan, written: Path, out: Path, tmp_path: Path) -> None:
    theirs = litter(out)
    before = stamps(out)
    fr.write(plan.expansion, out, parts=PARTS)
    assert fr.open_dataset(out).train.count_rows() == fr.open_dataset(written).totals["train"]
    assert fr.validate(out, only="integrity").holds
    assert stamps(out) == before
    (out / "manifest.json").unlink()
    (out / "train/part-00003-of-00007.parquet").unlink()
    fr.write(plan.expansion, out, parts=PARTS)
    assert digests(out) == digests(written) | theirs
    unsplit = Expansion(fr.leave_last_out(fr.sample_interactions(50, 40, 500), split="none"), RATES, shuffle="none")
    fr.write(unsplit, out, overwrite=True)
    assert {name: digest for name, digest in digests(out).items() if Path(name).name in LITTER} == theirs
    store = LocalStore(out)
    Folder.ours(store).clear()
    assert digests(out) == theirs
    litter(tmp_path / "new")
    fr.write(plan.expansion, tmp_path / "new", parts=PARTS)
    assert digests(tmp_path / "new") == digests(written) | theirs


# --- refused before the first byte, in the user's words --------------------------------------------------------------


@pytest.mark.parametrize("split", ["by a colleague", "given", "", "a\nb"])
def test_a_split_word_of_ones_own_is_written_of_as_given(tmp_path: Path, split: str) -> None:
    """Of a base that nobody checked, too: what can be refused is refused before."""
    base = fr.Base.from_arrays([0, 2, 4], [0, 1, 1, 2], [False, True, False, True])
    base = replace(base, split=split)
    fr.write(Expansion(base, RATES, shuffle="aligned"), tmp_path / "out")
    assert "the test interactions were given" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def changed(path: Path, key: str, value: Any) -> None:
    content = json.loads(path.read_text())
    *outer, last = key.split(".")
    inner = content
    for name in outer:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("value", [None, 7.5, "x", [], {}])
@pytest.mark.parametrize(
    "key",
    [
        "base",
        "base.users",
        "splits",
        "options",
        "user_multiplier",
        "profile",
        "reduced",
        "recipe",
        "writing",
        "writing.parts",
        "writing.compression",
        "source_licence",
        "fingerprints",
        "fingerprints.plan",
        "generator",
    ],
)
def test_a_damaged_plan_is_refused_by_name(plan: Plan, out: Path, key: str, value: Any) -> None:
    changed(out / "private/plan.json", key, value)
    (out / "train/part-00003-of-00007.parquet").unlink()
    before = stamps(out)
    with pytest.raises(OutputError, match=r"plan\.json|made otherwise") as caught:
        fr.write(plan.expansion, out, parts=PARTS)
    assert caught.value.hint
    assert stamps(out) == before


@pytest.mark.parametrize("key", ["options.seed", "user_cell_size", "base.users", "writing.row_group_size"])
def test_a_plan_that_was_edited_is_noticed(plan: Plan, out: Path, key: str) -> None:
    changed(out / "private/plan.json", key, 9)
    with pytest.raises(InputError, match=r"private.* is damaged"):
        Private.read(out)
    (out / "train/part-00003-of-00007.parquet").unlink()
    before = stamps(out)
    with pytest.raises(OutputError, match=r"plan\.json is damaged.* of other values"):
        fr.write(plan.expansion, out, parts=PARTS)
    assert stamps(out) == before


def test_a_data_set_whose_private_files_are_another_users_is_opened(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: Any, **options: Any) -> os.stat_result:
        if "private" in Path(path).parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, **options)

    real = os.stat
    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "access", lambda path, _: "private" not in Path(path).parts)
    assert fr.open_dataset(out).totals["files"] == 2 * PARTS
    assert Private.read(out) is None


def test_plans_are_hashed_as_they_compare(plan: Plan, out: Path) -> None:
    read = Folder.read(out).plan
    assert {plan, read} == {plan}
    assert fr.plan(small_expansion(seed=8)) not in {plan}


@pytest.mark.parametrize("name", ["reduced_matrix.npy", "cells.npz", "base_statistics.npz"])
def test_damaged_private_files_are_named(out: Path, name: str) -> None:
    content = (out / "private" / name).read_bytes()
    for at in range(0, min(len(content), 400), 7):
        (out / "private" / name).write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        with pytest.raises(InputError, match=name):
            Private.read(out)
    for kept in (0, 10, len(content) // 2, len(content) - 1):
        (out / "private" / name).write_bytes(content[:kept])
        with pytest.raises(InputError, match=name):
            Private.read(out)


@pytest.mark.parametrize("value", [None, np.zeros(0), np.array(["x"]), np.zeros((3, 3))])
def test_statistics_are_what_they_promise(out: Path, value: Any) -> None:
    file = out / "private/base_statistics.npz"
    with np.load(file) as arrays:
        given = dict(arrays)
    for name in given:
        changed = {**given, name: value} if value is not None else {key: given[key] for key in given if key != name}
        # Sealed: who reads them goes by what they hold too.
        write_sealed(file, changed)
        with pytest.raises(InputError, match=r"base_statistics\.npz is damaged.*: (?!it is not what was written)"):
            Private.read(out)


@pytest.mark.parametrize("value", [None, 7.5, "x", [], {}, [{"users": 3}], [{"users": [0, 600], "train": 5}]])
@pytest.mark.parametrize("key", ["parts", "totals", "schema", "attributes", "fingerprints", "base_users", "order"])
def test_a_damaged_manifest_is_refused_by_name(plan: Plan, out: Path, key: str, value: Any) -> None:
    changed(out / "manifest.json", key, value) if key != "attributes" or value is not None else None
    if (key == "attributes" and value in (None, {})) or (key, value) == ("order", "x"):
        assert fr.open_dataset(out).totals
        return
    before = stamps(out)
    with pytest.raises(InputError, match=r"manifest\.json is"):
        fr.open_dataset(out)
    with pytest.raises(OutputError, match=r"manifest\.json is") as caught:
        fr.write(plan.expansion, out, parts=PARTS)
    assert caught.value.hint
    assert stamps(out) == before


@pytest.mark.parametrize("name", ["private/plan.json", "manifest.json"])
def test_files_that_cannot_be_read_are_named(plan: Plan, out: Path, name: str) -> None:
    (out / name).write_bytes(b"\xff\xfe{")
    with pytest.raises(OutputError, match=name):
        fr.write(plan.expansion, out, parts=PARTS)


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        fr.open_dataset(tmp_path / "none")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "none"))
    assert "does not exist" in str(caught.value.strerror)


# --- what is done once -----------------------------------------------------------------------------------------------


class Counting:
    """A generator that counts its runs."""

    def __init__(self, generator: Any) -> None:
        self.generator, self.runs = generator, 0

    def __getattr__(self, name: str) -> Any:
        self.runs += name == "run"
        return getattr(self.generator, name)


def test_a_forecast_says_what_one_machine_should_not_do_alone(plan: Plan, tmp_path: Path) -> None:
    found = forecast(plan, tmp_path / "out")
    assert 0 < found.core_hours < 0.1
    assert found.advice is None
    for large in (replace(found, core_hours=3.3), replace(found, bytes=2_200_000_000_000)):
        assert large.advice is not None
        assert "--part-range" in large.advice
        assert "7 parts" in large.advice


def test_a_forecast_encodes_its_sample_once_and_writes_nothing(tmp_path: Path) -> None:
    expansion = small_expansion(shuffle="aligned")
    given = {"item_attributes": pa.table({"item": expansion.base.item_ids})}
    made = fr.plan(expansion, parts=3, **given)
    counting = expansion.generator = Counting(expansion.generator)  # type: ignore[assignment]
    found = forecast(made, tmp_path / "out")
    assert counting.runs == 1
    assert list(tmp_path.iterdir()) == []
    dataset = fr.write(
        expansion, tmp_path / "out", parts=3, item_attributes=pa.table({"item": expansion.base.item_ids})
    )
    assert counting.runs == 3
    assert found.parts == 3
    assert found.bytes == pytest.approx(dataset.totals["bytes"], rel=0.5)
    assert found.attributes["items"]["bytes"] == pytest.approx(dataset.attributes["items"].bytes, rel=0.5)
    assert found.memory_bytes > 1 << 28
    assert found.free_disk_bytes > 0


def test_a_forecast_counts_the_tables_of_items_numbers(tmp_path: Path) -> None:
    """8 bytes of an item both ways, up to eight million; and runs, which fit beside them."""

    def memory(order: str, n: int) -> int:
        made = fr.Expansion(small_base(), np.full((1, n), 0.01), min_keep=0.0, shuffle="aligned", id_order=order)
        return forecast(fr.plan(made, parts=2), tmp_path / "out", threads=1).memory_bytes

    q = small_base().shape[1]
    few, many = 2**16 // q, 2**23 // q + 1
    for n, tables in ((few, 8 * q * few), (many, 0)):
        block, scrambled, popularity = (memory(order, n) for order in ("block", "scrambled", "popularity"))
        assert scrambled - block == tables
        assert scrambled < popularity <= scrambled + 28 * n * q + 16 * q


@dataclass(frozen=True)
class Opened(LocalStore):
    """Takes down what is opened."""

    names: tuple[list[str], ...] = ([],)

    def open(self, name: str) -> Any:
        self.names[0].append(name)
        return super().open(name)


def test_each_file_is_read_once_a_write(plan: Plan, out: Path, tmp_path: Path) -> None:
    store = Opened(out, ([],))
    fr.write(plan.expansion, store, parts=PARTS)
    assert sorted(store.names[0]) == ["manifest.json", "private/plan.json"]
    (out / "train/part-00003-of-00007.parquet").unlink()
    store = Opened(out, ([],))
    fr.write(plan.expansion, store, parts=PARTS)
    # Whether the plan is still there is looked at before what is made is put there.
    store.names[0][:] = [*dict.fromkeys(store.names[0])]
    rest = sorted(name for name in plan.files if name != "train/part-00003-of-00007.parquet")
    assert sorted(store.names[0]) == sorted(["manifest.json", "private/plan.json", *rest])
    store = Opened(tmp_path / "new", ([],))
    fr.write(plan.expansion, store, parts=PARTS)
    assert {*store.names[0]} == {"private/plan.json"}


def test_private_is_read_whole_or_not_at_all(out: Path, plan: Plan) -> None:
    private = Private.read(out)
    assert private is not None
    assert private.plan == plan
    np.testing.assert_array_equal(private.reduced.values, RATES)
    assert private.cells.shape == small_base().shape
    assert str(private.statistics["fingerprint"]) == small_base().fingerprint
    (out / "private/cells.npz").unlink()
    with pytest.raises(InputError, match=r"cells\.npz is missing"):
        Private.read(out)
    shutil.rmtree(out / "private")
    assert Private.read(out) is None
