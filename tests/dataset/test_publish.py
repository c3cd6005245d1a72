"""Giving a data set away: what is in the folder, what is not, and what its card says."""

import json
import logging
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from helpers.commands import run
from helpers.folders import RATES, digests, small_base, small_expansion, sql

SECRET = 2**62 + 12_345


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of a real source, as far as anybody knows, with attributes and a seed that cannot be guessed."""
    folder = tmp_path_factory.mktemp("publish")
    titles = pa.table(
        {"item_id": small_base().item_ids, "title": [f"t{id}" for id in small_base().item_ids.to_pylist()]}
    )
    base = fr.Base.from_arrays(
        small_base().indptr, small_base().indices, small_base().test_mask, item_ids=small_base().item_ids
    )
    expansion = fr.Expansion(base, RATES, profile="traceable", seed=SECRET)
    fr.write(expansion, folder / "out", parts=2, item_attributes=titles, source_licence="CC BY 4.0")
    return folder / "out"


def card_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def header_of(folder: Path) -> dict[str, Any]:
    return dict(pytest.importorskip("huggingface_hub").metadata_load(folder / "README.md"))


def test_nothing_that_must_stay_at_home_is_given_away(written: Path, tmp_path: Path) -> None:
    given = fr.publish(written, tmp_path / "public", source_name="Shop 2026")
    names = {*digests(tmp_path / "public")}
    parts = {f"{split}/part-0000{k}-of-00002.parquet" for split in ("train", "test") for k in (0, 1)}
    assert names == parts | {"README.md", "manifest.json"}
    assert str(SECRET) not in "".join(
        (tmp_path / "public" / name).read_text() for name in ("README.md", "manifest.json")
    )
    assert given.totals == fr.open_dataset(written).totals
    assert given.attributes == {}
    before, after = digests(written), digests(tmp_path / "public")
    assert {name: before[name] for name in parts} == {name: after[name] for name in parts}
    assert fr.validate(tmp_path / "public", only="integrity", digests=True)


def test_what_is_asked_for_is_given_away_too(written: Path, tmp_path: Path) -> None:
    given = fr.publish(written, tmp_path / "public", with_attributes=True, with_seed=True)
    assert given.items is not None
    assert "source_item_id" in pq.read_schema(tmp_path / "public/items.parquet").names
    card = card_of(tmp_path / "public")
    assert f"seed = {SECRET}" in card
    assert "`items.parquet`" in card


def page_of(folder: Path) -> str:
    found = re.search(r"`````toml\n(.*?)\n`````\n", card_of(folder), flags=re.DOTALL)
    assert found is not None
    return found[1] + "\n"


def test_the_recipe_is_the_page_that_info_prints_without_the_seed(tmp_path: Path) -> None:
    source = tmp_path / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(200, 150, 4_000, 1), source)
    size = ("--user-multiplier", 3, "--item-multiplier", 5)
    assert run("expand", source, tmp_path / "out", *size, "--seed", SECRET, "--quiet").code == 0
    fr.publish(tmp_path / "out", tmp_path / "told", with_seed=True)
    assert page_of(tmp_path / "told") == run("info", tmp_path / "out", "--recipe").out
    fr.publish(tmp_path / "out", tmp_path / "public")
    page = tmp_path / "recipe.toml"
    page.write_text(page_of(tmp_path / "public"), encoding="utf-8")
    assert str(SECRET) not in page.read_text()
    assert "real" not in page.read_text().replace("realistic", "")
    command = ("expand", "--recipe", page, source, tmp_path / "again", "--quiet")
    done = run(*command)
    assert (done.code, "has no seed" in done.err, "--seed" in done.err) == (2, True, True)
    done = run(*command, "--seed", 5)
    assert (done.code, "is --seed the one of that data set?" in done.err) == (2, True)
    assert run(*command, "--seed", SECRET, "--dry-run").code == 0
    assert run(*command, "--seed", SECRET).code == 0
    there, here = (digests(tmp_path / name) for name in ("out", "again"))
    assert {name for name in there if there[name] != here[name]} <= {"private/plan.json"}


def test_what_was_written_from_python_has_a_recipe_too(written: Path, tmp_path: Path) -> None:
    fr.publish(written, tmp_path / "public", with_seed=True)
    page = page_of(tmp_path / "public")
    assert "# The data set was written from Python: how its source was read is not said here." in page
    assert page == run("info", written, "--recipe").out


def test_files_are_links_where_that_can_be_and_copies_elsewhere(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "train/part-00000-of-00002.parquet"
    fr.publish(written, tmp_path / "links")
    assert (tmp_path / "links" / name).stat().st_ino == (written / name).stat().st_ino

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    fr.publish(written, tmp_path / "copies")
    assert (tmp_path / "copies" / name).stat().st_ino != (written / name).stat().st_ino
    assert digests(tmp_path / "copies") == digests(tmp_path / "links")


def test_the_card_has_what_others_need(written: Path, tmp_path: Path) -> None:
    dataset = fr.open_dataset(written)
    report = fr.validate(dataset)
    link = "https://example.org/licence"
    fr.publish(written, tmp_path / "public", source_name='Shop "2026": a', licence_link=link, report=report)
    header, card = header_of(tmp_path / "public"), card_of(tmp_path / "public")
    assert header["pretty_name"] == 'Shop "2026": a × (3, 5)'
    assert (header["license"], header["license_link"]) == ("cc-by-4.0", link)
    assert header["task_categories"] == ["other"]
    assert header["source_datasets"] == ["extended|other-shop-2026-a"]
    assert "user_multiplier = 3" in card
    assert 'shuffle = "aligned"' in card
    assert not re.search(r"^seed", card, flags=re.MULTILINE)
    assert "@article{" in card
    assert "made up" not in card
    assert "private/" not in card
    for metric in report.metrics:
        assert (f"| {metric.name} |" in card) == (metric.holds is not None)
    assert ("These do not hold" in card) == bool(report.failures)


def test_the_lines_that_load_it_load_it(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = fr.publish(written, tmp_path / "public")
    monkeypatch.chdir(tmp_path / "public")
    code = re.search(r"## How to load it\n\n```python\n(.*?)```", card_of(tmp_path / "public"), flags=re.DOTALL)
    assert code is not None
    lines = code[1]
    assert "load_dataset(" in lines
    assert 'spark.read.parquet("train")' in lines
    assert pl.scan_parquet(re.search(r'scan_parquet\("(.*?)"\)', lines)[1]).collect().height == given.totals["train"]  # type: ignore[index]
    query = re.search(r'duckdb.sql\("(.*?)"\)', lines)
    assert query is not None
    assert sql(query[1]).fetchall() == [(given.totals["train"],)]


def test_the_card_of_the_sample_says_that_it_is_made_up(tmp_path: Path) -> None:
    assert run("expand", "sample", tmp_path / "out", "--user-multiplier", 2, "--item-multiplier", 2).code == 0
    done = run("publish", tmp_path / "out", tmp_path / "public")
    assert done.code == 0, done.err
    assert "the seed is 0: whoever has the source can guess it" in done.err
    for folder in ("out", "public"):
        assert "made up" in card_of(tmp_path / folder)
        assert "real data set" not in card_of(tmp_path / folder)
        header = header_of(tmp_path / folder)
        assert (header["source_datasets"], header["license_name"]) == (["original"], "made-up")
    fr.write(small_expansion(), tmp_path / "python")
    assert "made up" in card_of(tmp_path / "python")


def test_the_card_of_a_world_says_that_it_is_made_up(tmp_path: Path) -> None:
    world = fr.simulate(60, 40, 600)
    world.write(tmp_path / "log")
    assert run("expand", tmp_path / "log", tmp_path / "out", "--user-multiplier", 2, "--item-multiplier", 2).code == 0
    fr.write(fr.Expansion(fr.leave_last_out(world), [[0.5, 0.5]], seed=7), tmp_path / "python")
    for folder in ("out", "python"):
        fr.publish(tmp_path / folder, tmp_path / f"public-{folder}")
        for card in (card_of(tmp_path / folder), card_of(tmp_path / f"public-{folder}")):
            assert "made up by fractalrs" in card
            assert "real data set" not in card
        assert header_of(tmp_path / folder)["source_datasets"] == ["original"]


def test_a_report_is_read_from_what_validate_prints(written: Path, tmp_path: Path) -> None:
    done = run("validate", written, "--json", "--quiet")
    (tmp_path / "report.json").write_text(done.out)
    done = run("publish", written, tmp_path / "public", "--report", tmp_path / "report.json", "--json", "--quiet")
    assert json.loads(done.out)["train"] == fr.open_dataset(written).totals["train"]
    assert "| gini of users |" in card_of(tmp_path / "public")


def test_what_cannot_be_given_away_is_refused(written: Path, tmp_path: Path) -> None:
    other = fr.write(small_expansion(), tmp_path / "other")
    with pytest.raises(fr.InputError, match="the report is of another data set"):
        fr.publish(written, tmp_path / "public", report=fr.validate(other, only="integrity"))
    (tmp_path / "page.html").write_text("<html>")
    reports: list[Any] = [tmp_path / "page.html", {}]
    for wrong in reports:
        with pytest.raises(fr.InputError, match="report"):
            fr.publish(written, tmp_path / "public", report=wrong)
    with pytest.raises(FileNotFoundError):
        fr.publish(written, tmp_path / "public", report=tmp_path / "nothing.json")
    for there in (tmp_path / "other", written / "public"):
        with pytest.raises(fr.OutputError):
            fr.publish(written, there)
    with pytest.raises(fr.InputError, match="source_name is ' '"):
        fr.publish(written, tmp_path / "public", source_name=" ")
    copy = tmp_path / "copy"
    shutil.copytree(written, copy)
    part = copy / "train/part-00000-of-00002.parquet"
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    with pytest.raises(fr.InputError, match="is not what the manifest says"):
        fr.publish(copy, tmp_path / "public")
    shutil.rmtree(copy / "private")
    with pytest.raises(fr.InputError, match=r"has no private/plan\.json"):
        fr.publish(copy, tmp_path / "public")
    assert {file.name for file in tmp_path.iterdir()} == {"other", "copy", "page.html"}


def test_a_seed_that_cannot_be_guessed_is_not_warned_of(
    written: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="fractalrs"):
        fr.publish(written, tmp_path / "public")
    assert not caplog.records


def test_private_files_are_the_owners_alone_and_stay_out_of_repositories(written: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE((written / "private").stat().st_mode) == 0o700
    # The hub looks at the one in the folder that is uploaded, and at none below.
    assert (written / ".gitignore").read_text() == "private/\ntruth/\n"
    copy = tmp_path / "repository"
    shutil.copytree(written, copy)
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    subprocess.run([git, "init", "-q", copy], check=True)
    listed = subprocess.run(
        [git, "-C", copy, "status", "--porcelain", "-uall"], check=True, capture_output=True, text=True
    )
    assert "private/" not in listed.stdout
    assert "manifest.json" in listed.stdout
