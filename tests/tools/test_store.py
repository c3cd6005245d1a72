"""A local store: whole files, one claim, locks that end with their holder, and what dead writers leave."""

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fractalrs.errors import OutputError
from fractalrs.tools import LocalStore, is_litter
from helpers.folders import LITTER, digests


def hidden(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.name.startswith(".fractalrs"))


def test_what_is_put_is_whole_and_listed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "deep/store")
    assert store.list() == {}
    store.put("a/b/file", b"first")
    store.put("a/b/file", b"second one")
    store.put("top", b"")
    assert store.list() == store.sizes(["top", "a/b/file", "a/c", "top/d"]) == {"a/b/file": 10, "top": 0}
    with store.open("a/b/file") as file:
        assert file.read() == b"second one"
    assert hidden(store.path) == []


@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_claims_wins(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:

        def refuse(*_: Any) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    store = LocalStore(tmp_path)
    with ThreadPoolExecutor(8 if links else 1) as pool:
        won = list(pool.map(lambda number: store.claim("a/plan", b"%d" % number), range(20)))
    assert sum(won) == 1
    assert (tmp_path / "a/plan").read_bytes() == b"%d" % won.index(True)
    assert hidden(tmp_path) == []


def test_litter_is_not_listed_and_never_deleted(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("train/part", b"1")
    for name in LITTER:
        assert is_litter(name)
        for folder in (tmp_path, tmp_path / "train"):
            (folder / name).write_text("theirs")
    (tmp_path / "empty").mkdir()
    assert store.list() == {"train/part": 1}
    store.delete(["train/part", "nothing", "none/nothing"])
    assert store.list() == {}
    assert len(digests(tmp_path)) == 2 * len(LITTER)


def test_deleting_takes_empty_folders_along(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for name in ("a/b/c", "a/b/d", "e/f"):
        store.put(name, b"")
    store.delete(["a/b/c", "e/f"])
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["a", "b", "d"]
    store.delete(["a/b/d"])
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_folder_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("x")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/train").symlink_to(tmp_path / "elsewhere")
    assert list(LocalStore(tmp_path / "store").list()) == ["train"]


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    def work() -> None:
        with store.staging() as staging:
            staging.path("a/done").write_text("whole")
            staging.publish("a/done")
            staging.path("a/half").write_text("ha")
            assert staging.finished() == ["a/half"]
            assert store.list() == {"a/done": 5}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert store.list() == {"a/done": 5}
    assert hidden(tmp_path) == []


def test_unfinished_files_of_the_dead_are_cleared_and_of_the_living_kept(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    dead = tmp_path / ".fractalrs-0123456789abcdef"
    (dead / "train").mkdir(parents=True)
    (dead / "train/part").write_bytes(b"x" * 1_000)
    (dead / "alive").touch()
    with store.staging() as staging:
        staging.path("train/part").write_text("x")
        free = store.free()
        store.clear()
        assert not dead.exists()
        assert staging.finished() == ["train/part"]
        assert free > 0


def refused(*_: Any, **__: Any) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", "/theirs")


def test_what_another_user_keeps_from_us_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The superuser may read anything, so that the system's answer is put in its mouth."""
    store = LocalStore(tmp_path)
    dead = tmp_path / ".fractalrs-0123456789abcdef"
    dead.mkdir()
    monkeypatch.setattr(os, "open", refused)
    store.clear()
    assert dead.exists()
    assert store.free() > 0
    for call in (store.is_locked, lambda: store.locked().__enter__()):
        with pytest.raises(OutputError, match="/theirs cannot be used: Permission denied"):
            call()
    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(OutputError, match="/theirs cannot be used: Permission denied"):
        store.list()
    monkeypatch.setattr(Path, "exists", refused)
    with pytest.raises(OutputError, match="/theirs cannot be used: Permission denied"):
        store.check()


HOLDER = """
import sys, time
from pathlib import Path
from fractalrs.tools import LocalStore
store = LocalStore(Path(sys.argv[1]))
with store.locked(shared=sys.argv[2] == "shared"), store.staging() as staging:
    staging.path("part").write_text("half")
    print("ready", flush=True)
    time.sleep(120)
"""


@pytest.mark.parametrize("how", ["shared", "alone"])
def test_locks_end_with_a_process_that_is_killed(tmp_path: Path, how: str) -> None:
    store = LocalStore(tmp_path)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path), how], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    assert store.is_locked()
    with pytest.raises(OutputError, match="another run is writing"), store.locked():
        pass
    if how == "shared":
        with store.locked(shared=True), store.locked(shared=True):
            store.clear()
    else:
        with pytest.raises(OutputError, match="another run is writing"), store.locked(shared=True):
            pass
    (left,) = (name for name in hidden(tmp_path) if "-" in name)
    assert (tmp_path / left / "part").read_text() == "half"
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=60)
    assert not store.is_locked()
    with store.locked():
        store.clear()
    assert list(tmp_path.iterdir()) == []


def test_the_last_one_who_shares_deletes_the_lock(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with store.locked(shared=True):
        with store.locked(shared=True):
            pass
        assert store.is_locked()
        assert hidden(tmp_path) == [".fractalrs.lock"]
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF])
def test_without_locks_it_goes_on_and_says_so(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    caplog.set_level(logging.INFO)
    store = LocalStore(tmp_path)
    left = tmp_path / ".fractalrs-0123456789abcdef"
    left.mkdir()
    (left / "alive").touch()
    with store.locked():
        store.put("file", b"1")
        # It may be alive: nothing tells.
        store.clear()
        assert left.exists()
        os.utime(left / "alive", (1, 1))
        store.clear()
        assert not left.exists()
    assert store.list() == {"file": 1}
    assert hidden(tmp_path) == []
    assert any("going on without locks" in message for message in caplog.messages)
