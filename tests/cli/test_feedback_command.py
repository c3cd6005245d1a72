"""`fractalrs feedback`: what it writes, what it goes on with, and what it refuses."""

import json
from pathlib import Path

import pytest

import fractalrs as fr
from helpers.commands import run


@pytest.fixture
def log(tmp_path: Path) -> Path:
    assert run("simulate", tmp_path / "log", "--users", 60, "--items", 40, "--interactions", 250).code == 0
    return tmp_path / "log"


def test_a_loop_and_its_report(log: Path, tmp_path: Path) -> None:
    how = ("--slate", 5, "--rounds", 3, "--no-progress")
    done = run("feedback", log, tmp_path / "greedy", *how, "--policy", "EASE")
    assert (done.code, done.err) == (0, "")
    assert "utility" in done.out
    assert "EASE" in done.out
    world = fr.World.open(log)
    assert fr.Feedback.open(tmp_path / "greedy") == fr.feedback(world, "EASE", 3, 5)
    more = ("--epsilon", 0.2, "--missing", 0.1, "--late", 0.2, "--leave", 0.3, "--once", "--seed", 7, "--parts", 2)
    done = run(
        *("feedback", log, tmp_path / "curious", *how, "--policy", "EASE", *more),
        *("--beside", tmp_path / "greedy", "--report", tmp_path / "loops.html", "--json"),
    )
    assert done.code == 0
    found = json.loads(done.out)
    expected = fr.feedback(world, "EASE", 3, 5, epsilon=0.2, missing=0.1, late=0.2, leave=0.3, once=True, seed=7)
    assert found["EASE, ε 0.2"]["coverage"] == [expected.values("coverage").tolist()]
    assert set(found) == {"EASE, ε 0.2", "EASE"}
    assert "<svg" in (tmp_path / "loops.html").read_text(encoding="utf-8")


def test_it_goes_on_and_further(log: Path, tmp_path: Path) -> None:
    assert run("feedback", log, tmp_path / "loop", "--slate", 5, "--rounds", 2).code == 0
    assert run("feedback", tmp_path / "loop", tmp_path / "loop", "--slate", 5, "--rounds", 4).code == 0
    assert len(fr.Feedback.open(tmp_path / "loop").rounds) == 4
    done = run("feedback", log, tmp_path / "loop", "--slate", 5, "--rounds", 4, "--policy", "random")
    assert done.code == 2
    assert "has policy SVD, not random" in " ".join(done.err.split())


def test_what_is_refused_writes_nothing(log: Path, tmp_path: Path) -> None:
    for arguments, message in [
        ((log, tmp_path / "loop", "--policy", "best"), "policy is 'best'"),
        ((log, tmp_path / "loop", "--slate", 41), "larger than the catalogue"),
        ((tmp_path / "nowhere", tmp_path / "loop"), "there is no world"),
        ((log, tmp_path / "loop", "--beside", tmp_path / "other"), "it is no feedback loop"),
        ((log, tmp_path / "loop", "--report", tmp_path / "no/loops.html"), "does not exist"),
    ]:
        done = run("feedback", *arguments)
        assert (done.code, done.out) == (2, "")
        assert message in " ".join(done.err.split())
    assert not (tmp_path / "loop").exists()
