"""`fractalrs rank`: what it prints where, and what it refuses."""

import json
import re
from pathlib import Path

import pytest

import fractalrs as fr
from fractalrs.models import FAMILIES
from helpers.commands import Done, run

FEW = (
    "--models",
    "popularity,item knn,SVD",
    "--repeats",
    1,
    "--threads",
    1,
    "--user-multiplier",
    2,
    "--item-multiplier",
    2,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(120, 90, 2_400), path)
    return path


def refused(done: Done, message: str) -> None:
    assert done.code == 2
    assert done.out == ""
    assert re.search(message, " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.err).split())), done.err


def test_json_is_what_python_returns(source: Path) -> None:
    done = run("rank", source, *FEW, "--seed", 3, "--json", "--quiet", "--shuffle", "cells", "--max-keep", 0.9)
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    base = fr.leave_last_out(fr.read_interactions(source), seed=3)
    expansion = fr.Expansion(base, fr.fit(base, (2, 2), max_keep=0.9), shuffle="cells", max_keep=0.9, seed=3)
    models = {name: FAMILIES[name] for name in ("popularity", "item kNN", "SVD")}
    same = fr.rank_agreement(base, expansion, models=models, repeats=1, seed=3, threads=1).to_dict()
    for column in ("real", "ceiling", "thinned", "synthetic", "null"):
        assert content[column] == same[column]
    assert content["verdict"] == same["verdict"]


def test_tables_and_notes(source: Path) -> None:
    done = run("rank", source, *FEW, "--profile", "traceable", "--k", 5, "--mask-dropped", "--no-progress")
    assert done.code == 0
    assert "decisive pairs kept" in done.out
    assert "NDCG@5 of the catalogue" in done.out
    assert "profile: traceable" in done.out
    assert "of memory" in done.err


def test_refusals(source: Path, tmp_path: Path) -> None:
    refused(run("rank", source), "user_multiplier is missing|--user-multiplier is missing")
    refused(run("rank", source, *FEW, "--models", "popularity,magic"), "there is no 'magic'")
    refused(run("rank", source, *FEW, "--split", "none"), "nothing is held out for test")
    # Before the source is read.
    nothing = tmp_path / "nothing.csv"
    few = run("rank", nothing, *FEW, "--models", "popularity,svd")
    refused(few, "there are 2 models; a ranking needs at least three .*add models, such as item kNN, user kNN")
    refused(run("rank", nothing, *FEW, "--repeats", 0), "--repeats must be a whole number, 1 or more, not 0 .*3 tell")
    refused(run("rank", nothing, *FEW, "--k", 0), "--k must be a whole number, 1 or more, not 0 .*such as 10")
    refused(run("rank", nothing, *FEW, "--most-users", 5), "--most-users must be a whole number, 60 or more")
    refused(run("rank", source, *FEW, "--k", 90), "--k is 90, and there are 90 items")
    refused(run("rank", source, *FEW, "--epsilon", 1), "epsilon")
    refused(run("rank", nothing, *FEW), "nothing.csv")
