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
    for seed in range(400):
        changed = changed_value(whole, random.Random(seed))
        file.write_text(sealed_json(changed) if isinstance(changed, dict) else json.dumps(changed))
        try:
            look(out)
        except Exception as error:
            found.append(f"seed {seed}: {type(error).__name__}: {error}")
    assert found == []


@pytest.mark.parametrize("name", ["private/plan.json", "manifest.json"])
def test_damage_of_any_kind_is_refused_by_name(out: Path, name: str) -> None:
    assert unexpected(out, [name], range(200), lambda: look(out)) == []


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
