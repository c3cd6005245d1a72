"""`fractalrs backcast`: what it prints where, and what it refuses."""

import json
import re
from pathlib import Path

import pytest

import fractalrs as fr
from helpers.commands import Done, run

SHARES = ("--user-share", 0.5, "--item-share", 0.5, "--repeats", 1, "--threads", 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(120, 90, 2_400), path)
    return path


def refused(done: Done, message: str) -> None:
    assert done.code == 2
    assert done.out == ""
    assert re.search(message, " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.err).split())), done.err


def test_json_and_report(source: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = run("backcast", source, *SHARES, "--seed", 3, "--report", page, "--json", "--quiet")
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    assert content["subject"]["multipliers"] == ["2 × 2"]
    same = fr.backcast(source, 0.5, 0.5, repeats=1, seed=3, threads=1).to_dict()
    assert content["rows"] == same["rows"]
    assert "The expansion is nearest to the truth on" in page.read_text(encoding="utf-8")


def test_tables_and_notes(source: Path) -> None:
    done = run("backcast", source, *SHARES, "--profile", "traceable", "--user-column", "user_id", "--no-progress")
    assert done.code == 0
    assert done.out.startswith("The expansion is nearest to the truth on")
    assert "profile: traceable" in done.out
    assert "sub-sample 1 of 1: Base(" in done.err


def test_refusals(source: Path, tmp_path: Path) -> None:
    refused(run("backcast", source, "--user-share", 0), "--user-share is 0.0; it must be above 0")
    refused(run("backcast", source, "--profile", "magic"), "magic")
    refused(run("backcast", source, "--report", tmp_path), "is a folder")
    refused(run("backcast", source, "--report", tmp_path / "no" / "report.html"), "does not exist")
    refused(run("backcast", source, "--user-column", "nobody"), "nobody")
    refused(run("backcast", source, "--item-share", 0.001), "a share of 0.001 of 90 items is 0")
    refused(run("backcast", tmp_path / "nothing.csv"), "")
