"""What may not be read is no absence and no damage: a good data set stays one, and nothing is to be deleted."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fractalrs as fr
from helpers.folders import small_expansion

BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Runs root as a user who is bound by permissions like any other."""

pytestmark = pytest.mark.skipif(
    os.name == "nt" or (os.geteuid() == 0 and shutil.which(BOUND[0]) is None), reason="root may read everything"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fr.write(small_expansion(), tmp_path_factory.mktemp("kept") / "out", parts=2).path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Iterator[Path]:
    out = Path(shutil.copytree(written, tmp_path / "out"))
    yield out
    for path in (out, out / "private", *out.rglob("*")):
        path.chmod(0o700)


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run the command line as somebody whom permissions bind."""
    bound = [*BOUND] if os.geteuid() == 0 else []
    command = [*bound, sys.executable, "-m", "fractalrs", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("shut", ["private", "private/plan.json"])
def test_a_data_set_whose_private_files_may_not_be_read_is_a_good_one(out: Path, shut: str) -> None:
    (out / shut).chmod(0)
    info = run("info", out)
    assert (info.returncode, info.stderr) == (0, "")
    assert "there, and may not be read" in info.stdout
    done = run("validate", out, "--only", "integrity", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert run("head", out).returncode == 0


@pytest.mark.parametrize("shut", ["private", "private/plan.json"])
def test_nobody_writes_where_the_plan_may_not_be_read(out: Path, shut: str) -> None:
    (out / shut).chmod(0)
    done = run("expand", "sample", out, "--user-multiplier", "2", "--item-multiplier", "2", "--overwrite", "--quiet")
    assert done.returncode == 2
    assert f"error: {out / shut}" in done.stderr
    assert "may not be read" in done.stderr
    assert "hint: change its permissions" in done.stderr


def test_a_part_that_may_not_be_read_is_not_called_damaged(out: Path) -> None:
    part = out / "train/part-00001-of-00002.parquet"
    part.chmod(0)
    for command in (("validate", out, "--only", "integrity"), ("export", out, out.parent / "csv", "--format", "csv")):
        done = run(*command, "--quiet")
        assert done.returncode == 2, done
        assert str(part) in done.stderr
        assert "ermission denied" in done.stderr
        assert "delete" not in done.stderr
