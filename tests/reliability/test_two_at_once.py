"""Two processes that make the same thing at the same moment: one does, the other is refused and names it."""

import collections
import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fractalrs as fr
from fractalrs.dataset import write_plan
from fractalrs.errors import OutputError
from fractalrs.tools import whole_folder
from helpers.folders import digests, small_expansion

FORK = multiprocessing.get_context("fork")
ROUNDS = 6

Make = Callable[[Path], Any]


def at_once(make: Make, path: Path) -> list[str]:
    """Make something in two processes that start together; return how each ended."""
    barrier, ended = FORK.Barrier(2), FORK.Queue()

    def one() -> None:
        barrier.wait()
        try:
            make(path)
            ended.put("made")
        except BaseException as error:
            ended.put(f"{type(error).__name__}: {error}")

    processes = [FORK.Process(target=one) for _ in range(2)]
    for process in processes:
        process.start()
    found = [ended.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    return sorted(found)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> fr.Dataset:
    return fr.write(small_expansion(), tmp_path_factory.mktemp("two") / "out", parts=2)


@pytest.mark.parametrize("what", ["export", "publish", "save", "base"])
def test_the_second_maker_of_a_folder_is_refused(dataset: fr.Dataset, tmp_path: Path, what: str) -> None:
    expansion = small_expansion()
    make: Make = {
        "export": lambda path: fr.export(dataset, path, format="csr"),
        "publish": lambda path: fr.publish(dataset, path),
        "save": expansion.save,
        "base": expansion.base.save,
    }[what]
    ends = collections.Counter[str]()
    for number in range(ROUNDS):
        path = tmp_path / str(number)
        first, second = at_once(make, path)
        # A base that lies there already is the same one.
        assert second == "made" or what == "base", second
        assert first == "made" or (
            first.startswith("OutputError: ")
            and any(words in first for words in (f"another run is making {path}", f"{path} exists already"))
        ), first
        ends[first] += 1
        assert sorted(one.name for one in tmp_path.iterdir()) == sorted(map(str, range(number + 1)))
    assert what == "base" or "made" not in ends


@pytest.mark.parametrize("seed", [7, 9])
def test_the_second_start_of_a_data_set_is_refused_or_finds_it_done(tmp_path: Path, seed: int) -> None:
    plans = [fr.plan(small_expansion(seed=one), parts=3) for one in (7, seed)]
    wanted = digests(write_plan(plans[0], tmp_path / "wanted", threads=1).path)
    for number in range(ROUNDS):
        path, ends = tmp_path / f"out{number}", FORK.Queue()

        def make(path: Path, ends: Any = ends) -> None:
            mine = plans[ends.get(timeout=60)]
            write_plan(mine, path, threads=1)

        for which in (0, 1):
            ends.put(which)
        first, second = at_once(make, path)
        assert second == "made", (first, second)
        assert first == "made" or (first.startswith("OutputError: ") and str(path) in first), first
        if seed == 7:
            assert digests(path) == wanted


def test_what_a_killed_maker_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    ready = FORK.Event()

    def die() -> None:
        with whole_folder(tmp_path / "made") as folder:
            (folder / "half").write_bytes(b"x" * 1_000)
            ready.set()
            time.sleep(60)

    process = FORK.Process(target=die)
    process.start()
    assert ready.wait(30)
    (left,) = tmp_path.iterdir()
    with pytest.raises(OutputError, match="another run is making"), whole_folder(tmp_path / "made"):
        pytest.fail("made by two")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert left.exists()
    with whole_folder(tmp_path / "made") as folder:
        assert not list(folder.iterdir())
        (folder / "whole").touch()
    assert [one.name for one in tmp_path.iterdir()] == ["made"]
    shutil.rmtree(tmp_path / "made")


def hidden_name(tmp_path: Path) -> str:
    """Return the name of the hidden folder in which ``made`` is made."""
    with whole_folder(tmp_path / "made"):
        (hidden,) = tmp_path.iterdir()
    shutil.rmtree(tmp_path / "made")
    return hidden.name


def test_a_link_in_the_place_of_the_hidden_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    link, victim = tmp_path / "here" / hidden_name(tmp_path / "here"), tmp_path / "victim"
    (victim / "folder").mkdir(parents=True)
    (victim / "folder/file").write_bytes(b"kept")
    link.symlink_to(victim)
    with pytest.raises(OutputError, match="in the way") as caught, whole_folder(tmp_path / "here/made"):
        pytest.fail("made through a link")
    assert caught.value.hint == "delete it"
    assert [one.name for one in victim.rglob("*")] == ["folder", "file"]


def test_what_somebody_else_put_into_the_hidden_folder_stays(tmp_path: Path) -> None:
    hidden = tmp_path / hidden_name(tmp_path)
    (hidden / "theirs").mkdir(parents=True)
    with whole_folder(tmp_path / "made") as folder:
        (folder / "whole").touch()
    assert [one.name for one in hidden.iterdir()] == ["theirs"]


def test_the_lock_is_on_a_file_that_is_open_for_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def as_on_a_network(descriptor: int, how: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
            raise OSError(errno.EBADF, "not open for writing")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", as_on_a_network)
    made, refused = tmp_path / "made", pytest.raises(OutputError, match="another run is making")
    with whole_folder(made), refused, whole_folder(made):
        pytest.fail("made by two")
    assert [one.name for one in tmp_path.iterdir()] == ["made"]


def test_without_locks_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    with whole_folder(tmp_path / "made") as folder:
        (folder / "whole").touch()
    with pytest.raises(OSError, match="full"), whole_folder(tmp_path / "other"):
        raise OSError(errno.ENOSPC, "full")
    assert [one.name for one in tmp_path.iterdir()] == ["made"]
