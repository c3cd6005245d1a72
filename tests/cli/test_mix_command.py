"""`fractalrs mix`: what it writes, and what it refuses before it writes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from helpers.commands import Done, run

SIZE = ("--user-multiplier", 4, "--item-multiplier", 3)
INTERRUPTED = """
import os, runpy, signal, sys
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".parquet") and "w" in str(arguments[1]):
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(watch)
runpy.run_module("fractalrs", run_name="__main__", alter_sys=True)
"""
"""The command line that gets Ctrl-C when it opens its first part."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(120, 90, 2_400), path)
    return path


def refused(done: Done, message: str, where: Path) -> None:
    assert done.code == 2
    assert done.out == ""
    assert re.search(message, " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.err).split())), done.err
    assert list(where.iterdir()) == []


def test_a_folder_is_what_python_makes(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "both"
    done = run(
        "mix", source, out, "--ratio", 0.3, *SIZE, "--seed", 5, "--weight", 0.5, "--epoch", 3, "--ratings", "carry"
    )
    assert (done.code, done.out) == (0, ""), done.err
    base = fr.leave_last_out(fr.read_interactions(source), payload=["rating"])
    expansion = fr.Expansion(base, fr.fit(base, (4, 3)), seed=5, ratings="carry")
    mixture = fr.mix(base, expansion, 0.3, weight=0.5, epoch=3)
    assert pq.read_table(out / "train").equals(pa.table(mixture))
    assert json.loads((out / "manifest.json").read_text())["expansion"] == expansion.fingerprint
    with pytest.raises(fr.InputError, match="mixture") as opened:
        fr.open_dataset(out)
    assert opened.value.hint == "read its train/*.parquet"
    done_info = run("info", out)
    assert done_info.code == 2
    assert "train/*.parquet" in done_info.err
    said = f"{mixture.real_count + mixture.synthetic_count:,} train interactions, {mixture.synthetic_count:,} of them"
    assert said in done.err


def test_nothing_is_said_if_so_wished(source: Path, tmp_path: Path) -> None:
    done = run("mix", source, tmp_path / "both", "--ratio", 0.3, *SIZE, "--quiet", "--threads", 1)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_refusals(source: Path, tmp_path: Path) -> None:
    out, nothing = tmp_path / "both", tmp_path / "nothing.csv"
    # Before the source is read, where that is possible.
    refused(run("mix", nothing, out, "--ratio", 1, *SIZE), "--ratio is 1.0; it must be a number above 0", tmp_path)
    refused(run("mix", nothing, out, "--ratio", 0.3, *SIZE, "--weight", 0), "--weight is 0.0", tmp_path)
    refused(run("mix", nothing, out, "--ratio", 0.3, *SIZE, "--epoch", -1), "--epoch must be a whole", tmp_path)
    refused(run("mix", nothing, out, "--ratio", 0.3, *SIZE), "nothing.csv", tmp_path)
    refused(run("mix", source, out, *SIZE), "Missing option '--ratio'", tmp_path)
    refused(run("mix", source, out, "--ratio", 0.3), "--user-multiplier is missing", tmp_path)
    refused(run("mix", source, out, "--ratio", 0.3, *SIZE, "--split", "none"), "nothing is held out", tmp_path)
    refused(run("mix", source, out, "--ratio", 0.95, *SIZE), "on the real catalogue.*lower the ratio", tmp_path)
    refused(run("mix", source, out, "--ratio", 0.3, *SIZE, "--operator", "sketch"), "no source", tmp_path)
    refused(run("mix", source, out, "--ratio", 0.3, *SIZE, "--epsilon", 1), "epsilon", tmp_path)
    refused(run("mix", nothing, "s3://bucket/both", "--ratio", 0.3, *SIZE), "s3:// is no local folder", tmp_path)
    refused(run("mix", nothing, source / "both", "--ratio", 0.3, *SIZE), "is not a folder", tmp_path)
    for weight in ("1e39", "1e-50"):
        refused(run("mix", nothing, out, "--ratio", 0.3, *SIZE, "--weight", weight), "float32 can hold", tmp_path)
    out.symlink_to(tmp_path / "nowhere")
    assert "exists already" in run("mix", nothing, out, "--ratio", 0.3, *SIZE).err
    out.unlink()
    out.mkdir()
    assert "exists already" in run("mix", nothing, out, "--ratio", 0.3, *SIZE).err


def test_ctrl_c_leaves_nothing(source: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        INTERRUPTED,
        "mix",
        str(source),
        str(tmp_path / "both"),
        "--ratio",
        "0.3",
        *map(str, SIZE),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "interrupted: nothing is written" in done.stderr
    assert list(tmp_path.iterdir()) == []
