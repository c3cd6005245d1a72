"""Plans and manifests that claim anything: refused by name, and at no cost that grows with what they claim."""

import contextlib
import dataclasses
import json
import random
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import fractalrs as fr
from fractalrs.dataset import Folder, Private, begun_plan
from fractalrs.errors import FractalrsError, InputError
from fractalrs.tools import sealed_json
from fractalrs.workflow import recipe_text
from helpers.commands import run
from helpers.folders import small_expansion
from helpers.mutations import changed_value, unexpected


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("claims") / "out"
    fr.write(small_expansion(), path, parts=3)
    return path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "out"))


def rewritten(file: Path, change: Any) -> None:
    """Change what a sealed file says, and seal it again: only what it says can give it away."""
    content = json.loads(file.read_text())
    content.pop("seal")
    file.write_text(sealed_json(change(content)))


def look(out: Path) -> None:
    """Read a folder in every way that reads no interactions."""
    for use in (
        Folder.read,
        fr.open_dataset,
        Private.read,
        recipe_text,
        begun_plan,
        lambda path: Folder.ours(path).names,
    ):
        with contextlib.suppress(FractalrsError, FileNotFoundError):
            use(out)


@pytest.mark.parametrize("name", ["private/plan.json", "manifest.json", "private/division.json"])
def test_values_of_any_kind_are_refused_by_name(out: Path, name: str) -> None:
    file, found = out / name, []
    whole = json.loads(file.read_text())
    whole.pop("seal", None)
    for seed in range(120):
        changed = changed_value(whole, random.Random(seed))
        file.write_text(sealed_json(changed) if isinstance(changed, dict) else json.dumps(changed))
        try:
            look(out)
        except Exception as error:
            found.append(f"seed {seed}: {type(error).__name__}: {error}")
    assert found == []


@pytest.mark.parametrize("name", ["private/plan.json", "manifest.json"])
def test_damage_of_any_kind_is_refused_by_name(out: Path, name: str) -> None:
    assert unexpected(out, [name], range(60), lambda: look(out)) == []


def test_a_plan_of_a_thousand_million_parts_costs_nothing(out: Path) -> None:
    def claim(content: dict[str, Any]) -> dict[str, Any]:
        # With a fingerprint that fits, as no accident would make it.
        content["writing"]["parts"] = 10**9
        content["base"]["users"] = 10**9
        return content

    plan = Folder.read(out).plan
    assert plan is not None
    (out / "manifest.json").unlink()
    rewritten(out / "private/plan.json", claim)
    with pytest.raises(InputError, match="its fingerprint is of other values") as caught:
        fr.open_dataset(out)
    assert caught.value.hint
    claimed = dataclasses.replace(plan, part_count=10**9)
    claimed = dataclasses.replace(claimed, fingerprint=claimed.recomputed())
    (out / "private/plan.json").write_text(claimed.to_json())
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    done = run("info", out)
    assert (done.code, "it lacks train parts 0-999999999 of 1000000000; test" in done.err) == (2, True), done.err
    assert time.process_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


# --- claims are compared ---------------------------------------------------------------------------------------------


def manifest_says(out: Path, change: Any) -> None:
    rewritten(out / "manifest.json", change)


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (["generator"], 99),
        (["fractalrs"], "9.9.9"),
        (["profile"], "paper"),
        (["id_layout"], "as you like it"),
        (["totals", "bytes"], 10**30),
        (["totals", "files"], 7),
        (["warnings"], ["all is well"]),
        (["schema", 0, "type"], "int64"),
        (["parts", 0, "users", 1], 201),
        (["card"], "0" * 64),
        (["more"], 1),
        (["privacy"], {"epsilon": 1.0, "delta": 1e-6, "unit": "user", "ledger": []}),
    ],
    ids=str,
)
def test_a_false_claim_is_a_failed_check(out: Path, names: list[Any], value: Any) -> None:
    def claim(content: dict[str, Any]) -> dict[str, Any]:
        inner: Any = content
        for name in names[:-1]:
            inner = inner[name]
        inner[names[-1]] = value
        if names == ["parts", 0, "users", 1]:
            content["parts"][1]["users"][0] = value
        return content

    manifest_says(out, claim)
    if names != ["card"]:
        done = run("validate", out, "--only", "integrity")
        assert done.code == 3, done
        assert "the files are those of the manifest" in done.out
        assert f"{names[0]}" in done.out
    verified = fr.verify(out)
    assert [fault.file for fault in verified.faults]
    assert not verified.holds


@pytest.mark.parametrize(
    "path",
    [
        "../outside/x.parquet",
        "/etc/passwd",
        "train/../../x",
        "train/part-00001-of-00003.parquet",
        "train/part-00000-of-00004.parquet",
        "",
        "x\ny",
    ],
)
def test_no_path_leads_out_of_the_folder(out: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    shutil.copy(out / "train/part-00000-of-00003.parquet", tmp_path / "outside/x.parquet")

    def claim(content: dict[str, Any]) -> dict[str, Any]:
        content["parts"][0]["train"]["path"] = path
        return content

    manifest_says(out, claim)
    for command in (("info", out), ("export", out, tmp_path / "csv", "--format", "csv"), ("head", out)):
        done = run(*command)
        assert done.code == 2
        assert "manifest.json is damaged: the path " in done.err
    assert not (tmp_path / "csv").exists()


@pytest.mark.parametrize("kind", ["blob", "object", 7, "timestamp[us, tz=", "list<item: int32>"])
def test_a_type_that_no_column_has_is_refused(out: Path, kind: Any) -> None:
    def claim(content: dict[str, Any]) -> dict[str, Any]:
        content["schema"][1]["type"] = kind
        return content

    manifest_says(out, claim)
    assert run("validate", out, "--only", "integrity").code == 2


@pytest.mark.parametrize("bytes_", [1e30, -1, "x", 10**30])
def test_sizes_of_files_are_numbers_and_true(out: Path, bytes_: Any) -> None:
    def claim(content: dict[str, Any]) -> dict[str, Any]:
        content["parts"][0]["train"]["bytes"] = bytes_
        return content

    manifest_says(out, claim)
    assert run("validate", out, "--only", "integrity").code in (2, 3)
    assert not fr.verify(out).holds
