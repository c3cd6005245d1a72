"""A run that is killed or interrupted, as a real process: it never looks finished, and the same command finishes it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.folders import digests, files_of, read, stamps

PARTS = 96
"""So many that between two looks at signals, a tenth of a second apart, few of them are made."""
OPTIONS = ["--user-multiplier", "64", "--item-multiplier", "64", "--parts", str(PARTS)]
SIGNALLED = """
import os, runpy, sys
number, left = int(sys.argv.pop(1)), int(sys.argv.pop(1))
def watch(event, arguments):
    global left
    if event == "os.rename" and "/train/" in str(arguments[1]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)
sys.addaudithook(watch)
runpy.run_module("fractalrs", run_name="__main__", alter_sys=True)
"""
"""The command line that gets a signal just before so many train files have their final names, however fast it is."""


def start(output: Path, threads: int = 1, signalled: tuple[int, int] | None = None) -> "subprocess.Popen[str]":
    """Begin to expand the built-in sample to about 60 million interactions."""
    program = ["-m", "fractalrs"] if signalled is None else ["-c", SIGNALLED, *map(str, signalled)]
    command = [sys.executable, *program, "expand", "sample", str(output), *OPTIONS, "--threads", str(threads)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def unfinished(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name != ".gitignore"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of all files of an uninterrupted run."""
    path = tmp_path_factory.mktemp("uninterrupted") / "out"
    code, out, err = finish(start(path, threads=2))
    assert (code, out) == (0, ""), err
    assert len(read(path, "train")) > 15_000_000
    found = digests(path)
    assert len(found) == 2 * PARTS + 9
    return found


def assert_begun_but_whole(path: Path, reference: dict[str, str]) -> set[str]:
    """Check that the data set does not look finished, and that what has its final name is as it must be."""
    assert not (path / "manifest.json").exists()
    finals = {name: digest for name, digest in digests(path).items() if not name.startswith(".")}
    assert finals.items() <= reference.items()
    assert {name for name in finals if name.startswith("private/")} == {
        name for name in reference if name.startswith("private/")
    }
    assert 1 <= len(files_of(path, "train")) < PARTS
    return set(finals)


def assert_same_command_finishes(path: Path, finished: set[str], reference: dict[str, str]) -> None:
    before = stamps(path, finished)
    code, out, err = finish(start(path, threads=2))
    assert (code, out) == (0, ""), err
    count = sum(name.endswith(".parquet") for name in finished)
    assert f"{count} of {2 * PARTS} files are finished already" in err
    assert digests(path) == reference
    assert stamps(path, finished) == before


def test_after_kill_9_the_same_command_finishes_the_same_files(tmp_path: Path, reference: dict[str, str]) -> None:
    path = tmp_path / "out"
    code, _, _ = finish(start(path, signalled=(signal.SIGKILL, 2)))
    assert code == -signal.SIGKILL
    finished = assert_begun_but_whole(path, reference)
    info = subprocess.run([sys.executable, "-m", "fractalrs", "info", str(path)], capture_output=True, text=True)
    assert info.returncode == 2
    assert "not complete" in info.stderr
    assert_same_command_finishes(path, finished, reference)


def test_ctrl_c_is_answered_at_once_and_leaves_nothing_half_done(tmp_path: Path, reference: dict[str, str]) -> None:
    path = tmp_path / "out"
    code, out, err = finish(start(path, threads=2, signalled=(signal.SIGINT, 3)))
    # At once: what was finished by then has got its name, and most was not begun.
    assert len(files_of(path, "train")) <= PARTS // 2
    assert (code, out) == (130, "")
    assert "interrupted" in err
    assert "Traceback" not in err
    assert unfinished(path) == []
    finished = assert_begun_but_whole(path, reference)
    assert_same_command_finishes(path, finished, reference)


def test_ctrl_c_before_writing_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out"
    process = start(path)
    assert process.stderr is not None
    assert process.stderr.readline() == "reading\n"
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    assert not path.exists()


def test_killed_before_private_is_there(tmp_path: Path) -> None:
    """What is left under a temporary name alone does not stand in the way."""
    path = tmp_path / "out"
    (path / ".fractalrs-0123456789abcdef/private").mkdir(parents=True)
    (path / ".fractalrs-0123456789abcdef/private/plan.json").write_text("{")
    assert finish(start(path, signalled=(signal.SIGINT, 1)))[0] == 130
    assert (path / "private").exists()
    assert unfinished(path) == []
