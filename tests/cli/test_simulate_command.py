"""`fractalrs simulate`: what it writes, and what it refuses."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import fractalrs as fr
from helpers.commands import Done, run

SIZE = ("--users", 60, "--items", 40, "--interactions", 250)


def refused(done: Done, message: str, where: Path) -> None:
    assert done.code == 2
    assert done.out == ""
    assert re.search(message, " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.err).split())), done.err
    assert list(where.iterdir()) == []


def test_a_log_and_its_world(tmp_path: Path) -> None:
    out = tmp_path / "log"
    done = run("simulate", out, *SIZE, "--seed", 5, "--slate", 2, "--position-bias", 0.5, "--rounds", 2)
    assert (done.code, done.out) == (0, "")
    assert f"written to {out}" in done.err
    world = fr.simulate(60, 40, 250, seed=5, slate=2, position_bias=0.5)
    assert fr.World.open(out).spec == world.spec
    for number in range(2):
        made = pq.read_table(out / f"round=000{number}" / "part-00000-of-00001.parquet", partitioning=None)
        assert made.replace_schema_metadata().equals(pa.table(world.observations(round=number)))
    assert json.loads((out / "manifest.json").read_text())["rows"] == 2 * world.exposure_count


def test_responses_alone_and_nothing_said(tmp_path: Path) -> None:
    done = run("simulate", tmp_path / "log", *SIZE, "--only-responses", "--quiet", "--policy", "uniform")
    assert (done.code, done.out, done.err) == (0, "", "")
    made = pq.read_table(tmp_path / "log" / "round=0000")
    assert made["response"].unique().to_pylist() == [True]
    said = run("simulate", tmp_path / "other", *SIZE, "--only-responses", "--policy", "uniform").err
    assert f"{len(made)} responses written to" in said


def test_refusals(tmp_path: Path) -> None:
    out = tmp_path / "log"
    refused(run("simulate", out, "--policy", "magic"), "policy is 'magic'", tmp_path)
    refused(run("simulate", out, "--rounds", 0), "rounds must be a whole number, 1 or more", tmp_path)
    refused(run("simulate", out, "--interactions", 10**9), "cannot be met", tmp_path)
    refused(run("simulate", out, "--fit", tmp_path / "nothing.csv"), "", tmp_path)
    out.mkdir()
    assert "exists already" in run("simulate", out).err
