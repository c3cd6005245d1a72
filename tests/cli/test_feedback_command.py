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
    label = "EASE, ε 0.2, late 0.2, leave 0.3, missing 0.1, once"
    assert found[label]["coverage"] == [expected.values("coverage").tolist()]
    assert set(found) == {label, "EASE"}
    assert "<svg" in (tmp_path / "loops.html").read_text(encoding="utf-8")


def test_it_goes_on_and_further(log: Path, tmp_path: Path) -> None:
    assert run("feedback", log, tmp_path / "loop", "--slate", 5, "--rounds", 2).code == 0
    assert run("feedback", tmp_path / "loop", tmp_path / "loop", "--slate", 5, "--rounds", 4).code == 0
    assert len(fr.Feedback.open(tmp_path / "loop").rounds) == 4
    done = run("feedback", log, tmp_path / "loop", "--slate", 5, "--rounds", 4, "--policy", "random")
    assert done.code == 2
    assert "has policy SVD, not random" in " ".join(done.err.split())


def test_only_what_differs_in_seeds_is_a_band(log: Path, tmp_path: Path) -> None:
    beside: list[object] = []
    for number, options in enumerate(
        [("--slate", 4), ("--slate", 4, "--once"), ("--slate", 8), ("--slate", 4, "--seed", 1)]
    ):
        beside += ["--beside", tmp_path / f"loop{number}"] if number else []
        done = run("feedback", log, tmp_path / f"loop{number}", "--rounds", 3, *options, "--json", "--quiet")
        assert done.code == 0
    done = run("feedback", log, tmp_path / "loop0", "--rounds", 3, "--slate", 4, *beside, "--json", "--quiet")
    counts = {label: len(values["utility"]) for label, values in json.loads(done.out).items()}
    assert counts == {"SVD, slate 4": 2, "SVD, once, slate 4": 1, "SVD, slate 8": 1}


def test_others_are_looked_at_before_the_loop(log: Path, tmp_path: Path) -> None:
    assert run("feedback", log, tmp_path / "other", "--slate", 5, "--rounds", 2).code == 0
    new = tmp_path / "new"
    for arguments, message in [
        ((new, "--beside", tmp_path / "other", "--rounds", 3), "has 2 rounds that are complete, and rounds is 3"),
        ((new, "--rounds", 2, *("--beside", tmp_path / "other") * 2), "is given twice"),
        ((tmp_path / "other", "--rounds", 2, "--beside", tmp_path / "other/../other"), "is given twice"),
    ]:
        done = run("feedback", log, *arguments, "--slate", 5)
        assert done.code == 2
        assert message in " ".join(done.err.split())
        assert not new.exists()


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
