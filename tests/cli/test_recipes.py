"""A recipe makes the same data set again; targets as people write them; looking into data sets."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fractalrs as fr
from helpers.commands import run
from helpers.folders import digests, stamps

SIZE = ("--user-multiplier", 3, "--item-multiplier", 5)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(200, 150, 4_000, 1), path)
    return path


@pytest.fixture(scope="module")
def recipe(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of the default profile, with the data set beside it."""
    folder = tmp_path_factory.mktemp("recipe")
    assert run("expand", source, folder / "out", *SIZE, "--seed", 7, "--parts", 3, "--quiet").code == 0
    done = run("info", folder / "out", "--recipe")
    assert (done.code, done.err) == (0, "")
    (folder / "recipe.toml").write_text(done.out, encoding="utf-8")
    return folder / "recipe.toml"


@pytest.mark.parametrize(
    "options",
    [
        ("--profile", "realistic", "--parts", 3),
        ("--profile", "realistic", "--no-fit", "--min-timestamps", 1),
        ("--profile", "realistic", "--user-cell-size", 1, "--timestamps"),
        ("--profile", "paper", "--compression", "zstd(3)", "--source-licence", "CC BY 4.0"),
        ("--profile", "traceable", "--timestamps", "--ratings", "carry", "--user-column", "user_id"),
        ("--profile", "reference", "--keep-scale", 0.3),
        ("--operator", "kronecker"),
        ("--block-keep", 0.7, "--split", "random", "--cold-items", 0.1),
    ],
)
def test_a_recipe_makes_the_same_files_again(source: Path, tmp_path: Path, options: tuple[object, ...]) -> None:
    done = run("expand", source, tmp_path / "out", *SIZE, "--seed", 7, *options)
    assert done.code == 0, done.err
    page = tmp_path / "recipe.toml"
    page.write_text(run("info", tmp_path / "out", "--recipe").out, encoding="utf-8")
    done = run("expand", "--recipe", page, source, tmp_path / "again")
    assert done.code == 0, done.err
    assert "warning" not in done.err
    there, here = (digests(tmp_path / name) for name in ("out", "again"))
    # The plans say which options were given; all else is the same, byte for byte.
    assert {name for name in there if there[name] != here[name]} <= {"private/plan.json"}
    assert there.keys() == here.keys()
    done = run("validate", tmp_path / "again", "--source", source, "--only", "integrity")
    assert done.code == 0, done.out
    # The recipe of what a recipe made is the same page.
    assert run("info", tmp_path / "again", "--recipe").out == page.read_text(encoding="utf-8")


@pytest.mark.parametrize("profile", [("realistic",), ("traceable", "--timestamps", "--ratings", "carry")])
def test_a_recipe_makes_the_same_data_on_another_machine(
    source: Path, tmp_path: Path, profile: tuple[str, ...]
) -> None:
    """Another folder, name of the source, locale, time zone, number of threads, and an older processor's roundings."""
    command = [sys.executable, "-m", "fractalrs"]
    here = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    options = ("--profile", *profile, *SIZE, "--seed", "7", "--parts", "3", "--threads", "1", "--quiet")
    made = [*command, "expand", source, "out", *options]
    subprocess.run([*map(str, made)], cwd=tmp_path, env=os.environ | here, check=True)
    shown = subprocess.run([*command, "info", "out", "--recipe"], cwd=tmp_path, check=True, capture_output=True)
    there = {
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
        "LC_ALL": "tr_TR.UTF-8",
        "TZ": "Asia/Kathmandu",
        "PYTHONHASHSEED": "5",
    }
    place = tmp_path / "another place"
    place.mkdir()
    (place / "page ä.toml").write_bytes(shown.stdout)
    shutil.copy(source, place / "Bewertungen ä.txt")
    again = [*command, "expand", "--recipe", "page ä.toml", "Bewertungen ä.txt", "again", "--threads", "2", "--quiet"]
    subprocess.run(again, cwd=place, env=os.environ | there, check=True)
    first, second = digests(tmp_path / "out"), digests(place / "again")
    assert first.keys() == second.keys()
    # Validation's statistics may differ in their last bits, and the plan says which options were given.
    assert {name for name in first if first[name] != second[name]} <= {
        "private/plan.json",
        "private/base_statistics.npz",
    }


def test_a_recipe_by_target_has_what_was_chosen(source: Path, tmp_path: Path) -> None:
    assert run("expand", source, tmp_path / "out", "--target-interactions", "50k").code == 0
    page = tmp_path / "recipe.toml"
    page.write_text(run("info", tmp_path / "out", "--recipe").out, encoding="utf-8")
    assert "target" not in page.read_text(encoding="utf-8")
    assert run("expand", "--recipe", page, source, tmp_path / "again").code == 0
    train = [fr.open_dataset(tmp_path / name).train.to_table() for name in ("out", "again")]
    assert train[0].equals(train[1])


def test_another_source_is_refused(recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    fr.write_interactions(fr.sample_interactions(200, 150, 4_000, 2), other)
    done = run("expand", "--recipe", recipe, other, tmp_path / "out")
    assert done.code == 2
    assert "this is not the source of the recipe" in done.err
    assert not (tmp_path / "out").exists()


def test_other_cells_are_refused_and_can_be_brought_along(source: Path, recipe: Path, tmp_path: Path) -> None:
    """As where another machine rounds a decomposition otherwise."""
    page = tmp_path / "recipe.toml"
    text, count = re.subn(r"(?m)^coordinates = \d+$", "coordinates = 3", recipe.read_text(encoding="utf-8"))
    assert count == 1
    page.write_text(text, encoding="utf-8")
    done = run("expand", "--recipe", page, source, tmp_path / "out")
    assert done.code == 2
    assert "other cells" in done.err
    assert "hint: put private/cells.npz of the first data set beside the recipe" in done.err
    assert not (tmp_path / "out").exists()
    shutil.copy(recipe.parent / "out/private/cells.npz", tmp_path)
    assert run("expand", "--recipe", page, source, tmp_path / "out").code == 0
    there, here = (digests(folder / "out") for folder in (recipe.parent, tmp_path))
    assert {name for name in there if there[name] != here[name]} <= {"private/plan.json"}


def test_a_recipe_takes_no_options_that_change_it(source: Path, recipe: Path, tmp_path: Path) -> None:
    done = run("expand", "--recipe", recipe, source, tmp_path / "out", "--seed", 0)
    assert done.code == 2
    assert "--seed is given, but the recipe" in done.err
    damaged = tmp_path / "recipe.toml"
    damaged.write_text(recipe.read_text(encoding="utf-8").replace("values = ", "value = "), encoding="utf-8")
    done = run("expand", "--recipe", damaged, source, tmp_path / "out")
    assert (done.code, "is damaged" in done.err) == (2, True)
    old = re.sub(r"(?m)^generator = \d+$", "generator = 1", recipe.read_text(encoding="utf-8"))
    damaged.write_text(old, encoding="utf-8")
    assert "is for generator 1" in run("expand", "--recipe", damaged, source, tmp_path / "out").err
    assert not (tmp_path / "out").exists()


def test_an_interrupted_recipe_goes_on(source: Path, recipe: Path, tmp_path: Path) -> None:
    command = ("expand", "--recipe", recipe, source, tmp_path / "out")
    assert run(*command).code == 0
    whole = digests(tmp_path / "out")
    for name in ("manifest.json", "train/part-00001-of-00003.parquet"):
        (tmp_path / "out" / name).unlink()
    assert run(*command).code == 0
    assert digests(tmp_path / "out") == whole


def test_a_configuration_gives_defaults(source: Path, tmp_path: Path) -> None:
    page = tmp_path / "config.toml"
    page.write_text('user-multiplier = 3\nitem_multiplier = 4\nprofile = "paper"\nseed = 9\n')
    assert run("expand", "--config", page, source, tmp_path / "out", "--seed", 0).code == 0
    plan = json.loads((tmp_path / "out/private/plan.json").read_text())
    assert (plan["user_multiplier"], plan["item_multiplier"], plan["profile"]) == (3, 4, "paper")
    # What is typed wins, a default too.
    assert plan["options"]["seed"] == 0
    page.write_text("user_multiplyer = 3\n")
    assert "the nearest one is '--user-multiplier'" in run("expand", "--config", page, source, tmp_path / "b").err
    page.write_text("user_multiplier 3\n")
    assert run("expand", "--config", page, source, tmp_path / "b").code == 2
    assert run("expand", "--config", tmp_path / "none.toml", source, tmp_path / "b").code == 2


def test_without_private_there_is_no_recipe(recipe: Path, tmp_path: Path) -> None:
    shutil.copytree(recipe.parent / "out", tmp_path / "out")
    shutil.rmtree(tmp_path / "out/private")
    done = run("info", tmp_path / "out", "--recipe")
    assert (done.code, done.out) == (2, "")
    assert "no private/plan.json" in done.err


# --- targets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["60k", "60_000", "6e4", "0.06M"])
def test_targets_are_written_as_people_do(source: Path, tmp_path: Path, text: str) -> None:
    done = run("expand", source, tmp_path / "out", "--target-interactions", text, "--dry-run", "--json", "--quiet")
    assert done.code == 0, done.err
    expected = json.loads(done.out)
    assert expected["train"]["expected"] + expected["test"]["expected"] == pytest.approx(60_000, rel=2e-3)


@pytest.mark.parametrize("profile", ["realistic", "paper"])
def test_a_target_size_is_met(source: Path, tmp_path: Path, profile: str) -> None:
    done = run("expand", source, tmp_path / "out", "--target-size", "500kB", "--profile", profile, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bytes"] == pytest.approx(500_000, rel=0.05)
    again = run("expand", source, tmp_path / "out", "--target-size", "500kB", "--profile", profile)
    assert again.code == 0
    assert again.err.splitlines()[-1].endswith("is complete already: nothing to do")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target-size", "much"], "--target-size is much; it must be a size"),
        (["--target-size", "1e999999999"], "--target-size is 1e999999999; it must be a size"),
        (["--target-size", "0B"], "--target-size is 0B"),
        (["--target-size", "1MB", "--target-interactions", "1M"], "--target-size are both given"),
        (["--target-interactions", "1X"], "--target-interactions is 1X; it must be a whole number"),
        (["--target-interactions", "1.5"], "--target-interactions is 1.5"),
        (["--target-size", "1MB", "--keep-scale", "2"], "it is what --target-size chooses"),
    ],
)
def test_bad_targets_are_refused(source: Path, tmp_path: Path, options: list[str], message: str) -> None:
    done = run("expand", source, tmp_path / "out", *options)
    assert done.code == 2
    assert message in done.err


def test_a_target_below_the_source_warns(source: Path, tmp_path: Path) -> None:
    done = run("expand", source, tmp_path / "out", "--target-interactions", "1k", "--dry-run")
    assert "warning: the target of 1,000 interactions is below the source's 4,000" in done.err
    assert (
        "below the source" not in run("expand", source, tmp_path / "o", "--target-interactions", "9k", "--dry-run").err
    )


def test_a_dry_run_warns_where_fidelity_is_at_risk(source: Path, tmp_path: Path) -> None:
    flat = run("expand", source, tmp_path / "out", *SIZE, "--profile", "paper", "--dry-run").err
    assert "warning: the shuffle block flattens activity and popularity" in flat
    assert "copies of it" in run("expand", source, tmp_path / "out", *SIZE, "--profile", "traceable", "--dry-run").err
    assert "flattens" not in run("expand", source, tmp_path / "out", *SIZE, "--dry-run").err
    mixed = [*SIZE, "--shuffle", "mixed", "--dry-run"]
    alone = run("expand", source, tmp_path / "out", *mixed, "--user-cell-size", "1", "--no-fit").err
    assert "warning: users alone in their cells, who are not mixed with anybody: " in alone
    assert "not mixed" not in run("expand", source, tmp_path / "out", *mixed, "--no-fit").err


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        ([], False),
        (["--max-keep", "0.5"], False),
        (["--max-keep", "0.6"], True),
        (["--max-keep", "0.6", "--shuffle", "cells"], True),
        (["--profile", "traceable"], False),
    ],
)
def test_more_of_each_person_than_by_default_warns(
    source: Path, tmp_path: Path, options: list[str], warns: bool
) -> None:
    told = run("expand", source, tmp_path / "out", *SIZE, *options).err
    assert told.count("warning: blocks keep up to ") == warns


def test_a_finished_set_says_so_and_no_more(source: Path, recipe: Path) -> None:
    out = recipe.parent / "out"
    before = stamps(out)
    done = run("expand", source, out, *SIZE, "--seed", 7, "--parts", 3)
    assert done.code == 0
    assert done.err.splitlines()[-1] == f"{out} is complete already: nothing to do"
    assert json.loads(run("expand", source, out, *SIZE, "--seed", 7, "--parts", 3, "--json").out)["files"] == 6
    assert stamps(out) == before


# --- looking ---------------------------------------------------------------------------------------------------------


def test_head_shows_the_first_rows(recipe: Path) -> None:
    out = recipe.parent / "out"
    for split in ("train", "test"):
        lines = run("head", out, "--split", split, "--rows", 4).out.splitlines()
        assert lines[0].split() == ["user_id", "item_id"]
        table = getattr(fr.open_dataset(out), split).to_table().slice(0, 4).to_pydict()
        shown = [[int(cell) for cell in line.split()] for line in lines[1:]]
        assert shown == [list(row) for row in zip(table["user_id"], table["item_id"], strict=True)]
    assert run("head", out, "--rows", 0).code == 2
    assert run("head", out.parent).code == 2


def test_compare_puts_data_sets_and_reports_side_by_side(source: Path, recipe: Path, tmp_path: Path) -> None:
    out = recipe.parent / "out"
    assert run("expand", source, tmp_path / "flat", *SIZE, "--profile", "paper").code == 0
    done = run("compare", out, tmp_path / "flat", "--no-progress")
    assert (done.code, done.err) == (0, "")
    rows = {name: values for name, *values in (re.split(r"\s{2,}", line) for line in done.out.splitlines())}
    assert rows["profile"] == ["realistic", "paper"]
    assert rows["users"] == ["600", "600"]
    near, flat = (float(value) for value in rows["users: gini"])
    assert near > flat
    files = []
    for name, path in (("a", out), ("b", tmp_path / "flat")):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(run("validate", path, "--json", "--quiet", "--singular-values", 16).out)
    table = run("compare", *files).out
    assert "all checks hold" in table
    gini = next(line for line in table.splitlines() if line.startswith("gini of users"))
    assert "FAILS" in gini
    (tmp_path / "other.json").write_text("[]")
    assert "is neither a folder nor a report" in run("compare", tmp_path / "other.json").err


def test_a_validation_says_where_the_data_come_from(source: Path, recipe: Path) -> None:
    done = run("validate", recipe.parent / "out", "--source", source, "--only", "integrity", "--json")
    subject = json.loads(done.out)["subject"]
    assert subject["source"].startswith("ratings.csv: 200 users, 150 items")
    assert subject["command"] == "fractalrs expand SOURCE OUTPUT --user-multiplier 3 --item-multiplier 5"
    assert re.match(r"\d{4}-\d\d-\d\d by fractalrs ", subject["validated"])


def test_completion_knows_commands_options_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FRACTALRS_COMPLETE", "complete_bash")
    for typed, found in (
        ("exp", "expand"),
        ("expand --target-s", "--target-size"),
        ("expand --profile tr", "traceable"),
    ):
        words = f"fractalrs {typed}"
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        assert found in run().out.split()


def test_signs_of_life_and_one_bar_on_a_terminal(
    source: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    done = run("expand", source, tmp_path / "out", *SIZE, terminal=True)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.err)
    for stage in ("reading", "reducing", "fitting keep rates and cells"):
        assert re.search(rf"{stage} \d:\d\d:\d\d", shown), stage
    done = run("validate", recipe.parent / "out", "--singular-values", 16, terminal=True)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.err)
    assert {line.split()[0] for line in re.split(r"[\r\n]", shown) if "━" in line} == {"validating"}
    assert "singular values" in shown
