"""`--part-range` and `finish`: what machines write together is what one writes alone, or it is said what is wrong."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from fractalrs.dataset import begun_plan
from fractalrs.errors import InputError
from helpers.commands import Done, run
from helpers.folders import RATES, digests, small_base, small_expansion, stamps

PARTS = 9
OPTIONS = ("--user-multiplier", 3, "--item-multiplier", 5, "--parts", PARTS, "--seed", 7)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(200, 150, 4_000), path)
    return path


@pytest.fixture(scope="module")
def alone(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one machine writes; not to be changed."""
    path = tmp_path_factory.mktemp("alone") / "out"
    assert run("expand", source, path, *OPTIONS).code == 0
    return path


@pytest.fixture
def begun(source: Path, tmp_path: Path) -> Path:
    """A data set of which the plan is there, and the first two parts."""
    assert expand(source, tmp_path / "out", "0:2").code == 0
    return tmp_path / "out"


def expand(source: Path, output: Path, part_range: str, *options: Any) -> Done:
    return run("expand", source, output, *OPTIONS, "--part-range", part_range, *options)


def refused(done: Done, *words: str) -> None:
    assert (done.code, done.out) == (2, "")
    for word in words:
        assert word in done.err


def test_processes_write_parts_at_once_in_any_order_and_twice(source: Path, alone: Path, tmp_path: Path) -> None:
    out, ranges = tmp_path / "out", ["6:9", "0:3", "3:6", "2:4", "0:3"]
    random.Random(5).shuffle(ranges)
    command = [sys.executable, "-m", "fractalrs", "expand", str(source), str(out), *map(str, OPTIONS), "--quiet"]
    machines = [subprocess.Popen([*command, "--threads", "1", "--part-range", one]) for one in ranges]
    assert [machine.wait(120) for machine in machines] == [0] * len(ranges)
    assert not (out / "manifest.json").exists()
    subprocess.run([sys.executable, "-m", "fractalrs", "finish", str(out)], check=True, timeout=120)
    assert digests(out) == digests(alone)


def test_the_empty_range_begins_a_data_set(source: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = expand(source, out, "0:0", "--json")
    assert json.loads(done.out)["parts"] == {"first": 0, "last": 0, "of": PARTS}
    assert {file.name for file in out.iterdir()} == {".gitignore", "private"}
    done = expand(source, out, "0:9", "--json")
    assert json.loads(done.out)["files"] == 2 * PARTS
    assert "those of the data set that was begun" in done.err
    done = run("finish", out, "--json")
    assert json.loads(done.out)["interactions"] == fr.open_dataset(alone).totals["interactions"]
    assert digests(out) == digests(alone)


def test_what_is_complete_stays_as_it_is(source: Path, alone: Path) -> None:
    before = stamps(alone)
    assert expand(source, alone, "2:5").code == 0
    assert run("finish", alone).code == 0
    assert stamps(alone) == before


@pytest.mark.parametrize(
    ("part_range", "words"),
    [
        ("0:10", "the plan has 9 parts"),
        ("9:10", "give a range within 0:9"),
        *((wrong, "--part-range is") for wrong in ("5", "4:2", "-1:3", "a:b", "0:1:2", "")),
    ],
)
def test_ranges_that_are_none_are_refused(source: Path, tmp_path: Path, part_range: str, words: str) -> None:
    refused(expand(source, tmp_path / "out", part_range), words)
    assert list(tmp_path.iterdir()) == []


def test_a_range_outside_a_plan_whose_parts_were_not_given_is_refused(source: Path, tmp_path: Path) -> None:
    size = ("--user-multiplier", 3, "--item-multiplier", 5)
    refused(run("expand", source, tmp_path / "out", *size, "--part-range", "0:64"), "the plan has 1 parts")
    assert list(tmp_path.iterdir()) == []


def test_overwriting_what_other_machines_write_is_refused(source: Path, begun: Path) -> None:
    before = digests(begun)
    refused(expand(source, begun, "0:2", "--overwrite"), "other machines", "choose another")
    assert digests(begun) == before


def test_finishing_names_parts_that_are_missing(source: Path, begun: Path) -> None:
    assert expand(source, begun, "5:6").code == 0
    refused(run("finish", begun), "lacks train parts 2-4, 6-8 of 9; test parts", "--part-range")
    assert not (begun / "manifest.json").exists()


def test_finishing_names_damage_and_parts_of_another_plan(source: Path, begun: Path, tmp_path: Path) -> None:
    assert expand(source, begun, "2:9").code == 0
    file = begun / "train/part-00003-of-00009.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-200] + b"\0" + whole[-199:])
    refused(run("finish", begun), "part-00003-of-00009.parquet is damaged")
    fr.expand(source, tmp_path / "other", user_multiplier=3, item_multiplier=5, parts=PARTS, seed=8)
    shutil.copy(tmp_path / "other/train/part-00003-of-00009.parquet", file)
    refused(run("finish", begun), "part-00003-of-00009.parquet is a part of a data set that was made otherwise")
    assert not (begun / "manifest.json").exists()


def test_finishing_names_what_the_beginning_lacks(begun: Path) -> None:
    for name in ("private/cells.npz", "private/division.json"):
        whole = (begun / name).read_bytes()
        (begun / name).unlink()
        refused(run("finish", begun), f"lacks {name}", "--part-range 0:0")
        (begun / name).write_bytes(whole)


def test_finishing_nothing_is_refused(tmp_path: Path) -> None:
    refused(run("finish", tmp_path), "no data set that was begun", "--part-range 0:0")
    refused(run("finish", tmp_path / "nothing"), "nothing")


def test_a_worker_with_another_base_or_other_options_is_refused(source: Path, begun: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    fr.write_interactions(fr.sample_interactions(200, 150, 4_000, seed=3), other)
    before = digests(begun)
    refused(expand(other, begun, "2:4"), "the source's interactions are not the same")
    refused(expand(source, begun, "2:4", "--seed", "8"), "seed is 7 there and 8 here")
    assert digests(begun) == before


def test_a_worker_with_another_version_is_refused(source: Path, begun: Path) -> None:
    plan = fr.plan(small_expansion(), parts=3)
    assert plan.fractalrs == fr.__version__
    code = (
        "import sys, fractalrs._core as core; core.VERSION = '99.1'; from fractalrs.cli import main; "
        "sys.argv = ['fractalrs', *sys.argv[1:]]; main()"
    )

    def newer(*arguments: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)

    before = digests(begun)
    done = newer("expand", source, begun, *OPTIONS, "--part-range", "2:4")
    assert done.returncode == 2
    assert f"fractalrs is {fr.__version__} there and 99.1 here" in done.stderr
    assert f"go on with fractalrs {fr.__version__}" in done.stderr
    done = newer("finish", begun)
    assert done.returncode == 2
    assert f"finish it with fractalrs {fr.__version__}" in done.stderr
    assert digests(begun) == before


@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda text: text.replace("[0, ", "[1, "), lambda _: "[]"])
def test_a_damaged_division_is_refused(source: Path, begun: Path, damage: Any) -> None:
    assert expand(source, begun, "2:9").code == 0
    file = begun / "private/division.json"
    file.write_text(damage(file.read_text()))
    refused(run("finish", begun), "division.json is damaged", "without --part-range")
    # The advice holds.
    assert run("expand", source, begun, *OPTIONS).code == 0


def test_attributes_are_finished_with_their_source(source: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item": pa.array(range(150)), "year": pa.array(range(150))}), items)
    options = ("--shuffle", "aligned", "--item-attributes", items)
    assert expand(source, tmp_path / "out", "0:9", *options).code == 0
    refused(run("finish", tmp_path / "out"), "gets attributes of items", "without --part-range")
    assert run("expand", source, tmp_path / "out", *OPTIONS, *options).code == 0
    assert run("expand", source, tmp_path / "alone", *OPTIONS, *options).code == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "alone")


@pytest.mark.parametrize(
    "options",
    [{"shuffle": "none"}, {"operator": "sketch"}, {"block_keep": 0.5}, {"operator": lambda block, *_: block}],
    ids=["none", "sketch", "block_keep", "function"],
)
def test_whatever_is_expanded_is_finished_from_its_folder(tmp_path: Path, options: dict[str, Any]) -> None:
    expansion = (
        small_expansion(**options)
        if "operator" not in options
        else fr.Expansion(small_base(), RATES, shuffle="none", seed=7, **options)
    )
    plan = fr.plan(expansion, parts=4)
    for part in (2, 0, 3, 1):
        fr.write_part(plan, part, tmp_path / "parts")
    fr.finish(begun_plan(tmp_path / "parts"), tmp_path / "parts")
    assert "The source is made up" in (tmp_path / "parts/README.md").read_text()
    fr.write(expansion, tmp_path / "whole", parts=4)
    assert digests(tmp_path / "parts") == digests(tmp_path / "whole")


def test_a_plan_without_its_expansion_writes_no_part(begun: Path) -> None:
    with pytest.raises(InputError, match="read from a file"):
        fr.write_part(begun_plan(begun), 3, begun)


def test_machines_write_parts_by_one_recipe(source: Path, alone: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(run("info", alone, "--recipe").out, encoding="utf-8")
    command = [sys.executable, "-m", "fractalrs", "expand", "--recipe", str(recipe), str(source), str(tmp_path / "out")]
    machines = [subprocess.Popen([*command, "--quiet", "--part-range", one]) for one in ("5:9", "0:5")]
    assert [machine.wait(120) for machine in machines] == [0, 0]
    assert not (tmp_path / "out/manifest.json").exists()
    assert run("finish", tmp_path / "out").code == 0
    assert run("expand", "--recipe", recipe, source, tmp_path / "whole").code == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    there, here = digests(alone), digests(tmp_path / "out")
    # The plans say which options were given; all else is the same, byte for byte.
    assert there.keys() == here.keys()
    assert {name for name in there if there[name] != here[name]} <= {"private/plan.json"}
    # One of another recipe is refused.
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("seed = 7", "seed = 8"), encoding="utf-8")
    before = digests(tmp_path / "out")
    refused(
        run("expand", "--recipe", recipe, source, tmp_path / "out", "--part-range", "0:2"), "seed is 7 there and 8 here"
    )
    assert digests(tmp_path / "out") == before
