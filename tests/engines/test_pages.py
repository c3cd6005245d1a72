"""What the guides say of engines, tables of lakes and clusters runs as it stands."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

import fractalrs as fr
from helpers.folders import digests

GUIDES = Path(__file__).resolve().parents[2] / "docs/guides"
RATINGS = fr.sample_interactions(400, 300, 8_000)
OPTIONS = ("--user-multiplier", "4", "--item-multiplier", "8", "--parts", "64", "--seed", "7")


def blocks(page: str, language: str, word: str) -> list[str]:
    """Return the blocks of a page in a language that have a word."""
    text = (GUIDES / page).read_text(encoding="utf-8")
    found = [block for block in re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL) if word in block]
    assert found, f"{page} has nothing of {word}"
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the source, and `fractalrs` as a command."""
    monkeypatch.chdir(tmp_path)
    fr.write_interactions(RATINGS, "ratings.csv")
    command = tmp_path / "bin/fractalrs"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m fractalrs "$@" --quiet --threads 1\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def finished_like_one_machines(place: Path) -> None:
    subprocess.run(["fractalrs", "finish", "out"], check=True)
    subprocess.run(["fractalrs", "expand", "ratings.csv", "alone", *OPTIONS], check=True)
    assert digests(place / "out") == digests(place / "alone")


def test_an_array_of_slurm_writes_all_parts(place: Path) -> None:
    (script,) = blocks("clusters.md", "bash", "SLURM_ARRAY_TASK_ID")
    (array,) = re.findall(r"--array=0-(\d+)", (GUIDES / "clusters.md").read_text(encoding="utf-8"))
    for task in reversed(range(int(array) + 1)):
        subprocess.run(["bash", "-euc", script], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}, check=True)
    finished_like_one_machines(place)


def test_an_indexed_job_of_kubernetes_writes_all_parts(place: Path) -> None:
    (page,) = blocks("clusters.md", "yaml", "completionMode")
    spec = yaml.safe_load(page)["spec"]
    (pod,) = spec["template"]["spec"]["containers"]
    for index in range(spec["completions"]):
        environment = {**os.environ, "JOB_COMPLETION_INDEX": str(index)}
        subprocess.run([*pod["command"], *pod["args"]], env=environment, check=True)
    finished_like_one_machines(place)


def ran(page: str, word: str, place: Path, scope: dict[str, Any]) -> dict[str, Any]:
    """Run the Python of a page that has a word, with its shared folder in the place of a test."""
    for block in blocks(page, "py", word):
        exec(compile(block.replace("/shared", str(place)), page, "exec"), scope)
    return scope


@pytest.mark.adapters
@pytest.mark.filterwarnings("default")
def test_what_is_said_of_spark(spark: Any, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ran("clusters.md", "engines.spark", place, {"spark": spark})
    assert made["dataset"].totals["files"] == 2 * 512
    shutil.rmtree(place / "expansion")
    ran("engines.md", "spark.read", place, {"spark": spark, "expansion": made["expansion"]})
    # Twice the same table: of the files, and of no files.
    counts = re.findall(r"\| *\d+\| *(\d+)\|", capsys.readouterr().out)
    assert len(counts) == 6
    assert counts[:3] == counts[3:]


@pytest.mark.adapters
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("word", "package"), [("pyiceberg", "pyiceberg"), ("deltalake", "deltalake")])
def test_tables_of_lakes_adopt_the_files(word: str, package: str, place: Path) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    fr.expand(RATINGS, "out", user_multiplier=4, item_multiplier=8, parts=3, seed=7)
    (place / "warehouse").mkdir()
    before = {file: file.read_bytes() for file in place.glob("out/train/*")}
    scope = ran("engines.md", word, place, {"fr": fr})
    dataset = fr.open_dataset("out")
    if word == "pyiceberg":
        found = scope["table"].scan().to_arrow()
    else:
        from deltalake import DeltaTable

        found = DeltaTable(str(place / "out/train")).to_pyarrow_table()
    assert found.num_rows == dataset.totals["train"]
    assert sum(found["item_id"].to_pylist()) == sum(dataset.train.to_table()["item_id"].to_pylist())
    assert {file: file.read_bytes() for file in before} == before
    assert not list((place / "warehouse").rglob("*.parquet"))
