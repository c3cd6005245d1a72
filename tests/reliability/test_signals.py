"""Ctrl-C and SIGTERM at any change of the folder: what is said is true, and the same command goes on."""

import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import fractalrs as fr
from fractalrs.cli import main
from helpers.commands import run
from helpers.faults import ended, faulted
from helpers.folders import digests

SIZE = ("--user-multiplier", "2", "--item-multiplier", "2", "--parts", "2", "--threads", "1", "--quiet")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(200, 150, 4_000), path)
    return path


@pytest.fixture(scope="module")
def written(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signals") / "out"
    # All that the commands load is loaded then, and not again in each child.
    assert run("expand", source, path, *SIZE).code == 0
    assert run("export", path, path.parent / "csr", "--format", "csr", "--quiet").code == 0
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_change_of_a_new_folder(source: Path, written: Path, tmp_path: Path, number: int) -> None:
    draw, wanted, ends = random.Random(number), digests(written), {130: 0, 143: 0, 0: 0}
    for steps in sorted(draw.sample(range(1, 40), 4)):
        out = tmp_path / f"out{steps}"
        code, said = faulted(["expand", source, out, *SIZE], out, number, steps, tmp_path / "log")
        assert "Traceback" not in said, f"step {steps}: {said}"
        ends[code] += 1
        if code:
            assert code == (130 if number == signal.SIGINT else 143)
            assert "interrupted: " in said
            assert ("nothing was written" in said) == (not digests(out)), f"step {steps}: {said}"
            assert not [name for name in digests(out) if name.startswith(".fractalrs")], f"step {steps}"
        assert run("expand", source, out, *SIZE).code == 0
        assert digests(out) == wanted, f"step {steps}"
        shutil.rmtree(out)
    assert ends[130] + ends[143] > 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_of_an_export(written: Path, tmp_path: Path, number: int) -> None:
    for steps in (1, 2, 3, 4):
        code, said = faulted(
            ["export", written, tmp_path / "dest", "--format", "csr", "--quiet"],
            tmp_path,
            number,
            steps,
            tmp_path / "log",
        )
        (tmp_path / "log").unlink()
        if code == 0:
            shutil.rmtree(tmp_path / "dest")
        else:
            assert (code, said) == (
                130 if number == signal.SIGINT else 143,
                f"interrupted: nothing is left of {tmp_path / 'dest'}\n",
            )
        assert [path.name for path in tmp_path.iterdir()] == []


def test_a_command_that_is_loaded_answers_ctrl_c_without_a_traceback(written: Path, tmp_path: Path) -> None:
    def child() -> None:
        file = (tmp_path / "log").open("w")
        os.dup2(file.fileno(), 2)
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115

        def watch(event: str, found: tuple[Any, ...]) -> None:
            if event == "open" and str(found[0]).endswith("manifest.json"):
                os.kill(os.getpid(), signal.SIGINT)

        sys.argv = ["fractalrs", "info", str(written)]
        sys.addaudithook(watch)
        main()

    assert (ended(child), (tmp_path / "log").read_text()) == (130, "interrupted\n")
