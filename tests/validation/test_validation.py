"""Validation: what is right passes, what is wrong is named, and what cannot be validated is refused."""

import dataclasses
import errno
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from scipy import stats

import fractalrs as fr
from fractalrs.base import Base, base_statistics
from fractalrs.errors import InputError
from fractalrs.expansion import BlockFunction, Cells, Matrix
from fractalrs.passes import Degrees, StreamedMatrix
from fractalrs.reading import Interactions, write_interactions
from fractalrs.validation import thresholds
from fractalrs.validation.checks import blocks, files, regeneration, rows
from fractalrs.validation.measure.spectrum import check_count
from fractalrs.validation.planned import Planned
from helpers import names
from helpers.commands import Done, run
from helpers.folders import digests, read

# At keep rates of at most 0.5 thinning alone takes the ratios of so small a source beyond their threshold.
SIZE = ("--user-multiplier", 4, "--item-multiplier", 8, "--parts", 5, "--max-keep", 0.95)
# More are not needed to tell good from bad, and take longer.
FEW = ("--singular-values", 16)
INTEGRITY = (
    files.FILES,
    files.DIGESTS,
    files.COUNTS,
    rows.IN_RANGE,
    rows.ORDER,
    rows.DUPLICATES,
    rows.DISJOINT,
    blocks.BLOCKS,
    blocks.TEST_BLOCKS,
    regeneration.REGENERATION,
)

Items = npt.NDArray[np.int64]
Change = Callable[[dict[str, Items]], dict[str, Items]]
"""Takes and returns the columns of one file: user_id, item_id, and what they carry."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small source, written by the command line itself."""
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    assert run("sample", path, "--users", 300, "--items", 240, "--interactions", 9_000, "--seed", 1).code == 0
    return path


def with_ties(interactions: Interactions) -> Interactions:
    """Let a user's interactions come three at a time: one to three of them are the latest."""
    table = interactions.table
    users, times = (np.unique(table[name], return_inverse=True)[1] for name in ("user_id", "timestamp"))
    order = np.lexsort((times, users))
    starts = np.searchsorted(users[order], users[order])
    times[order] = (np.arange(len(users)) - starts) // 3
    return Interactions(table.set_column(table.column_names.index("timestamp"), "timestamp", [times]))


@pytest.fixture(scope="module")
def tied(source: Path) -> Path:
    """The same source with ties in time."""
    path = source.with_name("tied.csv")
    write_interactions(with_ties(fr.read_interactions(source)), path)
    return path


@pytest.fixture(scope="module")
def written(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A correct data set of five parts, in several row groups."""
    path = tmp_path_factory.mktemp("written") / "out"
    assert run("expand", source, path, *SIZE, "--row-group-size", 5_000).code == 0
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """Thresholds that such an expansion holds, which is not fitted: options of the command line."""
    path = tmp_path_factory.mktemp("thresholds") / "own.toml"
    path.write_text("".join(f"'{name}' = {value}\n" for name, value in names.UNFITTED.items()))
    return ("--thresholds", path)


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "copied"))


def rewrite(folder: Path, split: str, change: Change) -> None:
    """Change every file of a split and let the manifest agree, so that only the interactions can give it away."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for part in manifest["parts"]:
        path = folder / part[split]["path"]
        table = pq.read_table(path)
        found = {name: np.asarray(table[name]) for name in table.column_names}
        # Ids are wide enough to be counted with.
        columns = {name: column.astype(np.result_type(column, np.int64)) for name, column in found.items()}
        changed = pa.table({name: pa.array(column) for name, column in change(columns).items()}, schema=table.schema)
        pq.write_table(changed, path)
        content = path.read_bytes()
        digest = blake3(content).hexdigest()
        part[split] |= {"rows": changed.num_rows, "bytes": len(content), "blake3": digest}
    totals, files = manifest["totals"], [part[split] for part in manifest["parts"] for split in ("train", "test")]
    for name in ("train", "test"):
        totals[name] = sum(part[name]["rows"] for part in manifest["parts"])
    totals["interactions"] = totals["train"] + totals["test"]
    totals["bytes"] = sum(file["bytes"] for file in files)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def outcomes(report: fr.Report) -> dict[str, bool | None]:
    return {check.name: check.holds for check in report.checks}


def detail(report: fr.Report, name: str) -> str:
    return next(check.detail for check in report.checks if check.name == name)


def assert_fails(folder: Path, *names: str, options: tuple[Any, ...] = ("--only", "integrity")) -> fr.Report:
    """Check that exactly these checks fail, in Python and on the command line, which exits with 3."""
    done = run("validate", folder, "--json", *options)
    assert done.code == 3, done
    found = json.loads(done.out)
    assert not found["holds"]
    assert set(found["failures"]) == set(names)
    report = fr.validate(folder, only="integrity")
    assert set(report.failures) == set(names) & set(INTEGRITY)
    return report


# --- What is right ---------------------------------------------------------------------------------------------------


def test_a_correct_data_set_holds_without_the_source(written: Path) -> None:
    found = outcomes(fr.validate(written, only="integrity"))
    unchecked = {files.DIGESTS, regeneration.REGENERATION}
    assert found == {name: None if name in unchecked else True for name in INTEGRITY}


def test_a_correct_data_set_holds_with_the_source(written: Path, source: Path) -> None:
    base = fr.leave_last_out(fr.read_interactions(source))
    found = outcomes(fr.validate(fr.open_dataset(written), base, only="integrity", digests=True))
    assert found == dict.fromkeys(INTEGRITY, True)
    done = run("validate", written, "--source", source, "--only", "integrity", "--digests", "--json")
    assert done.code == 0, done.err
    assert {check["name"]: check["holds"] for check in json.loads(done.out)["checks"]} == found


def test_the_command_line_says_that_all_holds(written: Path, tmp_path: Path) -> None:
    before = digests(written)
    done = run("validate", written, "--report", tmp_path / "report.html", *FEW)
    assert done.code == 0, done
    assert done.out.startswith("All ")
    assert f"ok           {blocks.BLOCKS}" in done.out
    unchecked = (files.DIGESTS, regeneration.REGENERATION, names.CLUSTERING, names.COPIES)
    assert f"not checked: {', '.join(unchecked)}" in done.out
    assert "adding up" in done.err
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert blocks.BLOCKS in page
    assert digests(written) == before


def test_json_is_one_object(written: Path) -> None:
    done = run("validate", written, "--json", *FEW)
    assert (done.code, done.out.count("\n")) == (0, 1)
    found = json.loads(done.out)
    assert (found["holds"], found["failures"]) == (True, [])
    assert found["subject"]["train"] == fr.open_dataset(written).totals["train"]
    assert {metric["section"] for metric in found["metrics"]} >= {"degrees", "spectrum", "graph", "repetition"}
    assert [len(row) for row in found["maps"]["keep_rates"]] == [8] * 4


def test_quiet_is_silent(written: Path, copied: Path) -> None:
    done = run("validate", written, "--only", "integrity", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    (copied / "test/part-00000-of-00005.parquet").unlink()
    done = run("validate", copied, "--only", "integrity", "--quiet")
    assert (done.code, done.out, done.err) == (3, "", "")


def test_only_one_group_is_looked_at(written: Path) -> None:
    assert fr.validate(written, only="integrity").metrics == ()
    report = fr.validate(written, only="fidelity", singular_values=16)
    assert report.checks == ()
    assert report.holds
    with pytest.raises(InputError, match="only is 'all'; it must be 'integrity' or 'fidelity'"):
        fr.validate(written, only="all")  # type: ignore[arg-type]


def test_an_expansion_gives_what_its_files_give(written: Path, source: Path) -> None:
    base = fr.leave_last_out(fr.read_interactions(source))
    private = written / "private"
    reduced = fr.ReducedMatrix.load(private / "reduced_matrix.npy")
    expansion = fr.Expansion(base, reduced, cells=Cells.load(private / "cells.npz"), max_keep=0.95)
    of_files, generated = (fr.validate(what, base, singular_values=16) for what in (written, expansion))
    assert len(of_files.metrics) == len(generated.metrics) > 30
    for one, other in zip(of_files.metrics, generated.metrics, strict=True):
        assert (one.name, one.note) == (other.name, other.note)
        for field in ("real", "reduced", "synthetic", "thinned", "null", "distance", "floor", "threshold"):
            values = [getattr(metric, field) for metric in (one, other)]
            assert (None in values) == (values == [None, None]), one.name
            assert None in values or values[0] == pytest.approx(values[1], rel=1e-9, abs=1e-9), one.name
    assert generated.failures == of_files.failures
    shared = {name: holds for name, holds in outcomes(of_files).items() if name in outcomes(generated)}
    exact = (rows.IN_RANGE, rows.ORDER, rows.DUPLICATES, rows.DISJOINT)
    assert shared == outcomes(generated) == dict.fromkeys((*exact, blocks.BLOCKS, blocks.TEST_BLOCKS), True)


# --- What is wrong is named ------------------------------------------------------------------------------------------


def test_uniform_random_data_fails_on_blocks_and_tails(copied: Path) -> None:
    rng = np.random.default_rng(0)
    (users, items), totals = fr.open_dataset(copied).shape, fr.open_dataset(copied).totals
    pairs = rng.choice(users * items, totals["interactions"], replace=False)
    of_split = {"train": np.sort(pairs[: totals["train"]]), "test": np.sort(pairs[totals["train"] :])}
    for split, drawn in of_split.items():

        def uniform(columns: dict[str, Items], drawn: Items = drawn) -> dict[str, Items]:
            # A part has the 240 users from a multiple of 240.
            own = drawn[drawn // items // 240 == columns["user_id"][0] // 240]
            return {"user_id": own // items, "item_id": own % items}

        rewrite(copied, split, uniform)
    failures = json.loads(run("validate", copied, "--json", *FEW).out)["failures"]
    assert {blocks.BLOCKS, blocks.TEST_BLOCKS, *names.GINIS, names.RATIOS} <= set(failures)
    assert not set(failures) & set(INTEGRITY) - {blocks.BLOCKS, blocks.TEST_BLOCKS}
    assert_fails(copied, blocks.BLOCKS, blocks.TEST_BLOCKS)


@pytest.mark.parametrize("apart", [False, True])
def test_a_thousandth_of_the_rows_twice(copied: Path, apart: bool) -> None:
    rng = np.random.default_rng(0)
    added: list[int] = []

    def duplicate(columns: dict[str, Items]) -> dict[str, Items]:
        users, items = columns["user_id"], columns["item_id"]
        chosen = rng.choice(len(users), len(users) // 1000, replace=False)
        added.extend(chosen.tolist())
        users, items = np.concatenate([users, users[chosen]]), np.concatenate([items, items[chosen]])
        # Beside each other, or wherever the order allows: the last ones of their block.
        order = np.lexsort((np.arange(len(users)), items // 240 if apart else items, users))
        return {"user_id": users[order], "item_id": items[order]}

    rewrite(copied, "train", duplicate)
    report = assert_fails(copied, rows.DUPLICATES)
    assert detail(report, rows.DUPLICATES).startswith(f"{len(added)} interactions are there more than once")


def test_one_test_interaction_in_train(copied: Path) -> None:
    test = read(copied, "test")
    user, item = test["user_id"][7].as_py(), test["item_id"][7].as_py()

    def leak(columns: dict[str, Items]) -> dict[str, Items]:
        users, items = columns["user_id"], columns["item_id"]
        if not users[0] <= user <= users[-1]:
            return columns
        at = np.flatnonzero((users == user) & (items // 240 <= item // 240))[-1] + 1
        return {"user_id": np.insert(users, at, user), "item_id": np.insert(items, at, item)}

    rewrite(copied, "train", leak)
    report = assert_fails(copied, rows.DISJOINT)
    there = f"1 interactions are in two splits, the first at user {user}, item {item}"
    assert detail(report, rows.DISJOINT) == there


def test_a_missing_part_is_named(copied: Path) -> None:
    (copied / "train/part-00002-of-00005.parquet").unlink()
    report = assert_fails(copied, files.FILES)
    assert detail(report, files.FILES) == "train/part-00002-of-00005.parquet is missing"
    rest = {name: holds for name, holds in outcomes(report).items() if name != files.FILES}
    assert set(rest.values()) == {None}
    assert run("validate", copied).code == 3
    report = fr.validate(copied, only="fidelity")
    assert report.failures == (files.FILES,)


@pytest.mark.parametrize("cut", [1, 5, 100_000])
def test_a_part_that_lost_its_end_is_named(copied: Path, cut: int) -> None:
    path = copied / "train/part-00002-of-00005.parquet"
    path.write_bytes(path.read_bytes()[:-cut])
    report = assert_fails(copied, files.FILES)
    assert "train/part-00002-of-00005.parquet cannot be read" in detail(report, files.FILES)
    for only in (None, "fidelity"):
        assert fr.validate(copied, only=only).failures == (files.FILES,)


def test_attributes_of_another_size(source: Path, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,name\n" + "".join(f"{item},name {item}\n" for item in range(240)))
    options = ("--profile", "traceable", "--item-attributes", tmp_path / "items.csv", "--quiet")
    assert run("expand", source, tmp_path / "out", *SIZE, *options).code == 0
    path = tmp_path / "out/items.parquet"
    pq.write_table(pq.read_table(path).drop_columns("name"), path)
    report = fr.validate(tmp_path / "out", only="integrity")
    assert report.failures == ("items.parquet has the expanded items",)
    assert " bytes instead of " in detail(report, report.failures[0])


def test_nothing_at_all_is_not_realistic(source: Path, tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.read_interactions(source))
    fr.write(fr.Expansion(base, np.zeros((2, 3)), min_keep=0, shuffle="aligned"), tmp_path / "out")
    report = fr.validate(tmp_path / "out")
    assert report.failures == ("there are train interactions",)


def test_a_part_of_other_rows_and_another_size(copied: Path) -> None:
    path = copied / "test/part-00001-of-00005.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(3), path)
    report = assert_fails(copied, files.FILES, files.COUNTS)
    assert detail(report, files.FILES).startswith("test/part-00001-of-00005.parquet has ")
    counted = f"has {table.num_rows - 3:,} test interactions instead of {table.num_rows:,}"
    assert counted in detail(report, files.COUNTS)


def test_the_digest_tells_a_change_that_nothing_else_tells(copied: Path) -> None:
    path = copied / "train/part-00003-of-00005.parquet"
    content = path.read_bytes()
    # What made the file is a comment to everybody.
    assert content.count(b"fractalrs.plan") == 1
    path.write_bytes(content.replace(b"fractalrs.plan", b"fractalrs.plam"))
    assert fr.validate(copied, only="integrity").holds
    report = fr.validate(copied, only="integrity", digests=True)
    assert report.failures == (files.DIGESTS,)
    assert detail(report, files.DIGESTS) == "changed: train/part-00003-of-00005.parquet"


@pytest.mark.parametrize("options", [("--only", "integrity"), ("--only", "fidelity"), ("--source", "SOURCE")])
@pytest.mark.parametrize(("column", "by"), [("item_id", 1), ("item_id", -1), ("user_id", 1), ("user_id", -1)])
def test_ids_off_by_one(copied: Path, source: Path, column: str, by: int, options: tuple[Any, ...]) -> None:
    for split in ("train", "test"):
        rewrite(copied, split, lambda columns: columns | {column: columns[column] + by})
    done = run("validate", copied, "--json", *(source if option == "SOURCE" else option for option in options))
    assert done.code == 3, done
    assert rows.IN_RANGE in json.loads(done.out)["failures"]


def test_ids_that_stay_in_range_are_told_by_the_source(copied: Path, source: Path) -> None:
    """Two users exchanged: everything adds up."""

    def exchange(columns: dict[str, Items]) -> dict[str, Items]:
        users = columns["user_id"].copy()
        swapped = {3: 4, 4: 3}
        users[(users == 3) | (users == 4)] = [swapped[user] for user in users[(users == 3) | (users == 4)]]
        order = np.argsort(users, kind="stable")
        return {"user_id": users[order], "item_id": columns["item_id"][order]}

    for split in ("train", "test"):
        rewrite(copied, split, exchange)
    assert fr.validate(copied, only="integrity").holds
    options = ("--only", "integrity", "--source", source)
    done = run("validate", copied, "--json", *options)
    assert done.code == 3, done.err
    found = json.loads(done.out)
    assert found["failures"] == [regeneration.REGENERATION]
    assert "user 3 has other train interactions than the plan generates" in done.out


# Of users who are mixed and dropped blocks are not counted: which are incomplete depends on who they are.
@pytest.mark.parametrize("options", [(), ("--cold-items", 0.2), ("--drop-incomplete", "--shuffle", "cells")])
def test_a_block_lost_as_a_whole(source: Path, tmp_path: Path, options: tuple[Any, ...]) -> None:
    """Which blocks exist is known from the plan: one that is empty, or there though it should not be, is told."""
    path = tmp_path / "out"
    assert run("expand", source, path, *SIZE, "--block-keep", 0.5, *options, "--quiet").code == 0
    report = fr.validate(path, only="integrity")
    assert report.holds, str(report)
    users, items = (np.asarray(read(path, "train")[name]) for name in ("user_id", "item_id"))
    counts = np.zeros((4, 8), dtype=np.int64)
    np.add.at(counts, (users // 300, items // 240), 1)
    existing = Planned(np.ones((4, 8)), {"seed": 0, "block_keep": 0.5}, {}).rates > 0
    assert np.array_equal(counts > 0, existing)
    lost = np.unravel_index(counts.argmax(), counts.shape)
    column = int(np.flatnonzero(~existing[lost[0]])[0])

    def lose(columns: dict[str, Items]) -> dict[str, Items]:
        kept = (columns["user_id"] // 300 != lost[0]) | (columns["item_id"] // 240 != lost[1])
        return {name: values[kept] for name, values in columns.items()}

    def move(columns: dict[str, Items]) -> dict[str, Items]:
        users, items = columns["user_id"], columns["item_id"]
        first = users[users // 300 == lost[0]].min(initial=1 << 40)
        items = np.where((users == first) & (items // 240 == lost[1]), column * 240 + items % 240, items)
        order = np.lexsort((items // 240, users))
        return {"user_id": users[order], "item_id": items[order]}

    whole = tmp_path / "whole"
    shutil.copytree(path, whole)
    for split in ("train", "test"):
        rewrite(path, split, lose)
    report = fr.validate(path, only="integrity")
    assert blocks.BLOCKS in report.failures
    assert set(report.failures) <= {blocks.BLOCKS, blocks.TEST_BLOCKS, blocks.USERS}
    assert f"block ({lost[0]}, {lost[1]}) with 0 train" in detail(report, blocks.BLOCKS)
    rewrite(whole, "train", move)
    report = fr.validate(whole, only="integrity")
    assert report.failures == (blocks.BLOCKS,)
    assert re.search(rf"block \({lost[0]}, {column}\) with .*, planned to be empty", detail(report, blocks.BLOCKS))


def test_rows_out_of_order(copied: Path) -> None:
    rewrite(copied, "train", lambda columns: {name: column[::-1] for name, column in columns.items()})
    assert_fails(copied, rows.ORDER)


@pytest.mark.parametrize(
    ("shuffle", "failures"),
    [
        ("none", {names.STORED, names.GINIS[1]}),
        ("block", {*names.GINIS, *names.WASSERSTEINS, names.RATIOS, names.LARGEST_RATIO, names.ASSORTATIVITY}),
    ],
)
def test_shuffles_that_are_not_realistic(
    source: Path, own: tuple[Any, ...], tmp_path: Path, shuffle: str, failures: set[str]
) -> None:
    options = ("--shuffle", shuffle, "--order-by", "id", "--quiet")
    assert run("expand", source, tmp_path / "out", *SIZE, *options).code == 0
    assert run("validate", tmp_path / "out", "--only", "integrity", "--quiet").code == 0
    done = run("validate", tmp_path / "out", "--json", *FEW, *own)
    assert done.code == 3
    assert set(json.loads(done.out)["failures"]) == failures


# --- One test item, chosen fairly or not -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shuffle", "ties", "options"),
    [
        ("cells", "last", ()),
        ("cells", "last", ("--drop-incomplete",)),
        ("cells", "all", ()),
        ("cells", "all", ("--drop-incomplete",)),
        ("aligned", "all", ("--drop-incomplete",)),
        ("block", "all", ()),
        ("block", "all", ("--drop-incomplete",)),
    ],
)
def test_the_lowest_test_item_is_no_fair_choice(
    source: Path, tied: Path, tmp_path: Path, shuffle: str, ties: str, options: tuple[str, ...]
) -> None:
    """Of the same interactions, a fair choice passes and the lowest id does not, without the source."""
    path = tmp_path / "out"
    command = ["expand", tied if ties == "all" else source, path, *SIZE, "--shuffle", shuffle, "--ties", ties, *options]
    command.append("--quiet")
    assert run(*command).code == 0
    every = read(path, "test")
    assert run(*command, "--test-items", "one", "--overwrite").code == 0
    chosen = read(path, "test")
    assert chosen["user_id"].unique().equals(every["user_id"].unique())
    assert len(chosen) == len(every["user_id"].unique()) < len(every) / 1.5
    report = fr.validate(path, only="integrity")
    assert report.holds, detail(report, blocks.TEST_BLOCKS)
    users, items = (np.asarray(every[name]) for name in ("user_id", "item_id"))
    order = np.lexsort((items, users))
    users, items = users[order], items[order]
    lowest = dict(zip(users[::-1].tolist(), items[::-1].tolist(), strict=True))
    rewrite(path, "test", lambda columns: columns | {"item_id": np.array([lowest[u] for u in columns["user_id"]])})
    assert_fails(path, blocks.TEST_BLOCKS)


def test_a_small_bias_shows_in_many_users() -> None:
    """One choice in twenty is that of the lowest block: no block is far off, the column blocks are."""
    rng = np.random.default_rng(0)
    rates, p = np.full((16, 8), 0.2), 20_000
    of_users = np.ones(p, dtype=np.int64)
    (chances,) = blocks.chosen_chances(planned(rates, "block"), of_users)
    first = np.cumprod(np.append(1, np.full(7, 0.8))) * 0.2
    none = 1 - chances[0].sum()
    fair, biased = (
        rng.multinomial(p, [*shares, none], size=16)[:, :8].astype(np.uint64)
        for shares in (chances[0], 0.95 * chances[0] + 0.05 * first)
    )
    assert found_in_blocks(rates, of_users, fair)
    assert not found_in_blocks(rates, of_users, biased)


def planned(
    rates: npt.NDArray[np.float64], shuffle: str, statistics: dict[str, npt.NDArray[Any]] | None = None
) -> Planned:
    """Plan blocks whose one test item is chosen."""
    options: dict[str, Any] = {"seed": 0, "block_keep": 1.0, "cold_users": 0.0, "cold_items": 0.0, "shuffle": shuffle}
    return Planned(rates, options | {"drop_incomplete": False, "test_items": "one"}, statistics or {})


def found_in_blocks(
    rates: npt.NDArray[np.float64], test_degrees: Items, block_test: npt.NDArray[np.uint64]
) -> bool | None:
    """Check test interactions by block, one a user, with nothing else known."""
    nothing = np.zeros(0, dtype=np.uint32)
    users = np.ones(rates.shape[0] * len(test_degrees), dtype=np.uint32)
    train = np.round(rates * len(test_degrees)).astype(np.uint64)
    none, many = np.zeros_like(train), nothing.astype(np.uint64)
    of_blocks = train, none, block_test
    degrees = Degrees(users, 0 * users, users, nothing, nothing, nothing, many, *of_blocks, train, {})
    statistics = {"train_user_degrees": np.ones_like(test_degrees), "test_user_degrees": test_degrees}
    return blocks.check_blocks(degrees, planned(rates, "block", statistics))[-1].holds


@pytest.mark.parametrize("shuffle", ["aligned", "block"])
def test_chances_of_the_chosen_item_are_exact(shuffle: str) -> None:
    """E[X_j / Σ X] by adding up all outcomes."""
    row, degrees = np.array([0.95, 0.3, 0.01, 1.0, 0.0]), np.array([3, 1, 1, 0, 2])
    (found,) = blocks.chosen_chances(planned(row[None], shuffle), degrees)

    def outcomes_of(users: Items, rate: float) -> npt.NDArray[np.float64]:
        return np.asarray(np.mean([stats.binom.pmf(np.arange(4), user, rate) for user in users], axis=0))

    expected = np.zeros(5)
    for users in [degrees[k : k + 1] for k in range(5)] if shuffle == "aligned" else [degrees]:
        kinds = [outcomes_of(users, rate) for rate in row]
        for numbers in np.ndindex(*[4] * 5):
            if any(numbers):
                chance = np.prod([kind[number] for kind, number in zip(kinds, numbers, strict=True)])
                expected += chance * np.array(numbers) / sum(numbers) / (5 if shuffle == "aligned" else 1)
    assert found[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("count", [3, 2_000])
@pytest.mark.parametrize("most", [1, 600])
def test_chances_of_the_chosen_item_add_up(count: int, most: int) -> None:
    """To that of having a test item, however many blocks there are and however many items users have."""
    rates, degrees = np.linspace(0.01, 1, 2 * count).reshape(2, count), np.array([most, 1, most, most])
    void = (1 - rates[:, :, None]) ** degrees
    for shuffle, none in {"aligned": void.prod(axis=1).mean(axis=1), "block": void.mean(axis=2).prod(axis=1)}.items():
        (chances,) = blocks.chosen_chances(planned(rates, shuffle), degrees)
        assert (chances > 0).all()
        assert chances.sum(axis=1) == pytest.approx(1 - none, abs=1e-9 if count * most < 10_000 else 1e-3)


# --- False alarms ----------------------------------------------------------------------------------------------------


def small_bases() -> list[Base]:
    """Bases of several sizes, splits and ties, down to a handful of users."""
    bases = []
    for seed, (users, items, count) in enumerate([(6, 12, 30), (12, 30, 60), (60, 40, 500), (150, 90, 2_000)]):
        made = fr.sample_interactions(users, items, count, seed)
        bases += [fr.leave_last_out(made, split=split) for split in ("last", "random", "none")]
        bases.append(fr.leave_last_out(with_ties(made), split="last", ties="all", min_timestamps=0))
    return bases


def draw_expansion(bases: list[Base], rng: np.random.Generator) -> fr.Expansion:
    """Draw a base, a small shape and all options."""
    base = bases[rng.integers(len(bases))]
    reduced = rng.random((rng.integers(1, 6), rng.integers(1, 8))) ** 2
    return fr.Expansion(
        base,
        reduced,
        shuffle=rng.choice(["cells", "cells", "block", "aligned", "none"]),
        seed=int(rng.integers(1 << 62)),
        max_keep=rng.choice([0.5, 0.95, 1.0]),
        keep_scale=rng.choice([0.2, 1.0, 3.0]),
        block_keep=rng.choice([0.5, 1.0]),
        test_items=rng.choice(["all", "one"]),
        drop_incomplete=bool(rng.random() < 0.5) and base.test_count > 0,
        order=rng.choice(["block", "item"]),
    )


def test_two_hundred_correct_data_sets_pass(tmp_path: Path) -> None:
    """No false alarm; and so few at 2 % that the p-values are seen to be ones."""
    rng, bases = np.random.default_rng(2), small_bases()
    alarms = checks = 0
    for number in range(200):
        expansion = draw_expansion(bases, rng)
        dataset: fr.Expansion | fr.Dataset = expansion
        if number % 10 == 0:
            parts = min(int(rng.integers(1, 8)), expansion.shape[0])
            dataset = fr.write(expansion, tmp_path / str(number), parts=parts, threads=1)
        report = fr.validate(dataset, expansion.base, only="integrity", digests=True, false_alarms=0.02, threads=1)
        assert report.unchecked == (() if expansion.base.test_count else (blocks.TEST_BLOCKS,))
        checks += sum(check.name in (blocks.BLOCKS, blocks.TEST_BLOCKS) for check in report.checks)
        if not report.holds:
            alarms += len(report.failures)
            report = fr.validate(dataset, expansion.base, only="integrity", digests=True, threads=1)
        assert report.failures == (), (expansion, report)
    assert checks > 300
    assert alarms <= stats.binom.ppf(0.999, checks, 0.02)


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("drops", [False, True])
def test_what_depends_on_who_mixed_users_are_is_left_out(one: bool, drops: bool) -> None:
    base = fr.leave_last_out(fr.sample_interactions(300, 120, 8_000, 1), split="random")
    options: dict[str, Any] = {"test_items": "one" if one else "all", "drop_incomplete": drops}
    expansion = fr.Expansion(base, [[0.3, 0.1], [0.02, 0.5]], shuffle="mixed", seed=4, **options)
    report = fr.validate(expansion, only="integrity")
    left_out = [blocks.TEST_BLOCKS] * (one or drops)
    assert report.holds
    assert sorted(report.unchecked) == sorted([*left_out, *([blocks.BLOCKS] * drops)])
    statistics = {f"{split}_user_degrees": base.user_degrees(split) for split in ("train", "test")}
    wrong = expansion.keep_rates.copy()
    wrong[0, 0] *= 2
    planned = Planned(wrong, dataclasses.asdict(expansion.options), statistics)
    found = {check.name: check.holds for check in blocks.check_blocks(StreamedMatrix(expansion).degrees(), planned)}
    assert found[blocks.BLOCKS] is (None if drops else False)


def test_a_chance_that_rounding_puts_above_one() -> None:
    """Where every block keeps all, and the one test item is sure to be in the only one."""
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 500, 0))
    for count in (1, 3):
        expansion = fr.Expansion(base, np.ones((count, 1)), shuffle="block", max_keep=1.0, test_items="one")
        report = fr.validate(expansion, only="integrity")
        assert report.holds
        assert "nan" not in str(report)


def lognormal_base(users: int, opposite: bool) -> Base:
    """Activity of a wide spread; the more train interactions a user has the more, or the fewer, are test."""
    rng, items = np.random.default_rng(1), 1_999
    activity = rng.lognormal(0, 1, users)
    train = np.clip(20 * activity, 1, 1_500).astype(np.int64)
    test = np.clip(4 / activity if opposite else 2 * activity, 1, 60).astype(np.int64)
    degrees = train + test
    indptr = np.append(0, np.cumsum(degrees))
    owner = np.repeat(np.arange(users), degrees)
    place = np.arange(indptr[-1]) - indptr[owner]
    # A stride through a prime number of items never meets one twice.
    codes = np.sort(owner * items + (rng.integers(items, size=users)[owner] + 7 * place) % items) % items
    return Base.from_arrays(indptr, codes, place % (degrees // test)[owner] == 0, item_ids=np.arange(items))


@pytest.mark.parametrize("opposite", [False, True])
def test_dropping_users_whose_sums_go_together_is_no_alarm(opposite: bool) -> None:
    """Blocks that lose different users keep shares that are not those of their keep rates."""
    base = lognormal_base(20_000, opposite)
    by_activity = np.argsort(base.user_degrees("train"), kind="stable")
    fours, ones = np.arange(0, 20_001, 4), np.arange(2_000)
    cells = Cells(*(codes.astype(np.uint32) for codes in (by_activity, fours, ones[:-1], ones)))
    statistics = {f"{split}_user_degrees": -np.sort(-base.user_degrees(split)) for split in ("train", "test")}
    for rates, shuffle, test_items in product(
        ([[0.02, 0.2]], [[0.1, 0.1, 0.1, 0.3]]), ("aligned", "cells", "block"), ("all", "one")
    ):
        expansion = fr.Expansion(
            base,
            np.array(rates),
            shuffle=shuffle,
            cells=cells if shuffle == "cells" else None,
            test_items=test_items,
            drop_incomplete=True,
        )
        degrees = StreamedMatrix(expansion).degrees()
        right = Planned(expansion.keep_rates, dataclasses.asdict(expansion.options), statistics)
        for check in blocks.check_blocks(degrees, right):
            assert check.holds, (rates, shuffle, check)
        # What was planned otherwise is told all the same.
        wrong = expansion.keep_rates.copy()
        wrong[0, 0] *= 3
        found = blocks.check_blocks(degrees, dataclasses.replace(right, keep_rates=wrong))
        assert found[0].holds is False, (rates, shuffle, found)


# --- Other operators -------------------------------------------------------------------------------------------------


def thin(block: Matrix, _: float, rng: np.random.Generator) -> Matrix:
    block.data *= rng.random(block.nnz) < 0.3
    return block


@pytest.fixture
def by_operator(source: Path, tmp_path: Path) -> Callable[[str | BlockFunction], tuple[fr.Base, Path]]:
    """Writes a data set that an operator made, and gives its base."""

    def write(operator: str | BlockFunction) -> tuple[fr.Base, Path]:
        base = fr.leave_last_out(fr.read_interactions(source))
        fr.write(fr.Expansion(base, fr.reduce(base, (4, 8)), operator=operator), tmp_path / "out", parts=5)
        return base, tmp_path / "out"

    return write


@pytest.mark.parametrize(
    ("operator", "unchecked"),
    [
        ("kronecker", set()),
        ("sketch", {blocks.BLOCKS, blocks.TEST_BLOCKS}),
        (thin, {blocks.BLOCKS, blocks.TEST_BLOCKS, regeneration.REGENERATION}),
    ],
)
def test_what_every_operator_made_is_checked(by_operator: Any, operator: Any, unchecked: set[str]) -> None:
    base, path = by_operator(operator)
    report = fr.validate(path, base, only="integrity", digests=True)
    found = {name: holds for name, holds in outcomes(report).items() if name in INTEGRITY}
    assert found == {name: None if name in unchecked else True for name in INTEGRITY}
    assert all(holds for name, holds in outcomes(report).items() if name not in INTEGRITY)


def test_one_interaction_less_than_all_of_them_is_told(by_operator: Any) -> None:
    base, path = by_operator("kronecker")
    part = path / "train/part-00002-of-00005.parquet"
    pq.write_table(pq.read_table(part).slice(1), part)
    report = fr.validate(path, base, only="integrity")
    assert {blocks.BLOCKS, regeneration.REGENERATION} <= set(report.failures)
    assert detail(report, blocks.BLOCKS).endswith("p = 0.0e+00")


@pytest.mark.parametrize("operator", ["kronecker", "sketch"])
def test_two_rows_exchanged_are_told_without_the_source(by_operator: Any, operator: str) -> None:
    _, path = by_operator(operator)

    def exchange(columns: dict[str, Items]) -> dict[str, Items]:
        users = columns["user_id"]
        first = int(np.flatnonzero(users[1:] == users[:-1])[0])
        order = np.arange(len(users))
        order[[first, first + 1]] = order[[first + 1, first]]
        return {name: column[order] for name, column in columns.items()}

    rewrite(path, "train", exchange)
    assert fr.validate(path, only="integrity").failures == (rows.ORDER,)


def test_singular_values_beyond_the_rank_are_no_failure(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions(100, 40, 1_500))
    fr.write(fr.Expansion(base, fr.reduce(base, (3, 4)), operator="kronecker"), tmp_path / "out")
    metrics = {metric.name: metric for metric in fr.validate(tmp_path / "out", only="fidelity").metrics}
    assert metrics[names.PREDICTION_ALL].holds
    cold = fr.Expansion(base, fr.reduce(base, (3, 4)), operator="kronecker", cold_users=0.1, cold_items=0.1)
    there = {metric.name for metric in fr.validate(cold, only="fidelity", singular_values=16).metrics}
    assert not {names.PREDICTION, names.PREDICTION_ALL} & there


def test_another_sample_than_the_sketch_draws_is_told(by_operator: Any) -> None:
    base, path = by_operator("sketch")

    def exchange(columns: dict[str, Items]) -> dict[str, Items]:
        users, items = columns["user_id"], columns["item_id"] ^ 1
        order = np.lexsort((items, users))
        return {"user_id": users[order], "item_id": items[order]}

    rewrite(path, "train", exchange)
    assert fr.validate(path, base, only="integrity").failures == (regeneration.REGENERATION,)


def test_the_fidelity_of_other_operators(by_operator: Any, tmp_path: Path) -> None:
    base, path = by_operator("kronecker")
    report = fr.validate(path, base, singular_values=16)
    metrics = {metric.name: metric for metric in report.metrics}
    # Zeros and ones: degrees are R's, singular values those of Theorem 1, and every block is a copy.
    assert metrics["gini of users"].distance == pytest.approx(0, abs=1e-12)
    assert metrics[names.PREDICTION].distance == pytest.approx(0, abs=1e-3)
    assert metrics[names.STORED].synthetic == pytest.approx(1)
    assert report.findings.maps["block_deviation"].tolist() == [[0] * 8] * 4
    for operator in ("sketch", thin):
        shutil.rmtree(path)
        by_operator(operator)
        report = fr.validate(path, base, singular_values=16)
        metrics = {metric.name: metric for metric in report.metrics}
        assert None not in (metrics["gini of items"].distance, metrics[names.RATIOS].distance)
        assert {metric.reduced for metric in report.metrics} == {None}
        assert names.PREDICTION not in metrics
        assert metrics[names.COPIES].holds is None
        assert set(report.findings.maps) == {"density"}
        assert set(report.findings.curves["user_degrees"]) == {"real", "synthetic", "thinned", "null"}
        assert report.findings.curves["left_vector_1"].keys() == {"real", "synthetic", "thinned"}
        report.to_html(tmp_path / "report.html")


# --- What cannot be validated is refused -----------------------------------------------------------------------------


def refused(done: Done, message: str) -> None:
    """Check that a command was refused with a message and said nothing on stdout."""
    assert done.code == 2, done
    assert done.out == ""
    assert re.search(message, done.err), done.err
    assert "Traceback" not in done.err


def test_what_is_no_data_set(source: Path, tmp_path: Path) -> None:
    refused(run("validate", tmp_path / "none"), "does not exist or is not a folder: .*none")
    refused(run("validate", source), "does not exist or is not a folder: .*ratings.csv")
    (tmp_path / "notes.txt").write_text("mine")
    refused(run("validate", tmp_path), "is not a data set of fractalrs: it has no manifest.json")
    with pytest.raises(FileNotFoundError, match=r"does not exist.*none"):
        fr.validate(tmp_path / "none")
    with pytest.raises(InputError, match="is not a data set of fractalrs"):
        fr.validate(tmp_path)


def test_an_incomplete_data_set(copied: Path) -> None:
    (copied / "manifest.json").unlink()
    (copied / "train/part-00004-of-00005.parquet").unlink()
    message = "is not complete: it lacks train part 4 of 5\nhint: run the command that began it again"
    for command in (("validate",), ("info",), ("export", "--format", "csv", copied.parent / "csv")):
        refused(run(command[0], copied, *command[1:]), message)
    for function in (fr.validate, fr.open_dataset):
        with pytest.raises(InputError, match=message):
            function(copied)


def test_what_an_incomplete_data_set_lacks(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    expansion = fr.Expansion(base, np.full((2, 3), 0.4), shuffle="aligned")
    fr.write(expansion, tmp_path / "out", parts=30, item_attributes=pa.table({"item": base.item_ids}))
    (tmp_path / "out/manifest.json").unlink()

    def refuses(lacking: str) -> None:
        message = f"the data set in {tmp_path / 'out'} is not complete: it lacks {lacking}\nhint: "
        with pytest.raises(InputError, match=re.escape(message)):
            fr.open_dataset(tmp_path / "out")

    refuses("manifest.json")
    for part in (0, 3, 4, 5, 9, 11, 12, 20, 29):
        (tmp_path / f"out/train/part-{part:05d}-of-00030.parquet").unlink()
    refuses("train parts 0, 3-5, 9, 11-12 and 2 more of 30")
    for part in (7, 8):
        (tmp_path / f"out/test/part-{part:05d}-of-00030.parquet").unlink()
    refuses("train parts 0, 3-5, 9, 11-12 and 2 more of 30; test parts 7-8 of 30")
    (tmp_path / "out/items.parquet").unlink()
    for path in (tmp_path / "out/train").iterdir():
        path.unlink()
    refuses("train parts 0-29 of 30; test parts 7-8 of 30; items.parquet")
    # What it asks for finishes it.
    fr.write(expansion, tmp_path / "out", parts=30, item_attributes=pa.table({"item": base.item_ids}))
    assert fr.validate(tmp_path / "out", only="integrity").holds


def test_a_damaged_row_group_is_named(copied: Path) -> None:
    path = copied / "train/part-00001-of-00005.parquet"
    content = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(2).column(1)
    # The header of a page.
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + 40] = bytes(255 - byte for byte in content[start : start + 40])
    path.write_bytes(content)
    message = rf"cannot read {re.escape(str(path))}, row group 2: "
    refused(run("validate", copied, "--only", "integrity"), message)
    refused(run("validate", copied, "--only", "fidelity"), message)
    with pytest.raises(InputError, match=message):
        fr.validate(copied)


def test_damage_at_which_the_parquet_library_panics(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It prints nothing, and what it would have printed is part of the message."""
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    dataset = fr.write(fr.Expansion(base, np.full((2, 3), 0.4), shuffle="aligned"), tmp_path / "out", parts=1)
    (path,) = (tmp_path / "out/train").iterdir()
    whole = path.read_bytes()
    panics = {}
    # The footer, byte by byte.
    for place in range(len(whole) - 8 - int.from_bytes(whole[-8:-4], "little"), len(whole) - 8):
        damaged = whole[:place] + b"\xff" + whole[place + 1 :]
        path.write_bytes(damaged)
        try:
            StreamedMatrix(dataset, threads=1).degrees()
        except InputError as error:
            if "it is damaged" in str(error):
                panics[str(error)] = damaged
    assert panics
    assert capfd.readouterr() == ("", "")
    message, damaged = panics.popitem()
    assert re.search("row group 0: .*it is damaged: .*negative", message), message
    path.write_bytes(damaged)
    command = [sys.executable, "-m", "fractalrs", "validate", str(tmp_path / "out"), "--only", "integrity", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_the_base_of_another_data_set(written: Path, source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    lines = source.read_text().splitlines(keepends=True)
    other.write_text("".join(lines[:-1]))
    message = "these interactions are not those that .* was expanded from"
    refused(run("validate", written, "--source", other), message)
    with pytest.raises(InputError, match=message):
        fr.validate(written, fr.leave_last_out(other))
    refused(run("validate", written, "--source", tmp_path / "none.csv"), "none.csv")


def test_private_files_of_another_data_set(copied: Path, source: Path, tmp_path: Path) -> None:
    assert run("expand", source, tmp_path / "other", *SIZE, "--seed", 5, "--quiet").code == 0
    shutil.rmtree(copied / "private")
    shutil.copytree(tmp_path / "other/private", copied / "private")
    refused(run("validate", copied), "private/ and manifest.json of .* are of different data sets")


@pytest.mark.parametrize("name", ["plan.json", "reduced_matrix.npy", "cells.npz", "base_statistics.npz"])
@pytest.mark.parametrize("kept", [0, 100])
def test_damaged_private_files(copied: Path, source: Path, name: str, kept: int) -> None:
    path = copied / "private" / name
    path.write_bytes(path.read_bytes()[:kept])
    refused(run("validate", copied, "--only", "integrity", "--source", source), re.escape(str(path)))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("user_multiplier", 5, "its parts have 1,200 users instead of 1,500"),
        ("item_multiplier", 0, "item_multiplier is 0"),
        ("base_users", "a", "base_users is 'a'"),
        (
            "parts",
            [{"users": [0, 1200], "train": {"path": "a", "rows": "x", "bytes": 1, "blake3": ""}}],
            "not described as they should be",
        ),
        ("parts", [{"users": [0, 1200], "train": {"rows": 1}}], "a file has no path"),
        ("base_items", 241, "private/ and manifest.json of .* are of different data sets"),
        ("item_multiplier", 7, "private/ and manifest.json of .* are of different data sets"),
        ("schema", "x", "not described as they should be"),
        ("schema", [], "its schema has no user_id or item_id"),
        ("order", None, "it has no order"),
        ("generator", None, "it has no generator"),
        ("parts", [{"users": [3, 1200]}], "the users from 3 after one that ends with 0"),
        ("totals", {"train": 1, "test": 1}, "train interactions, its totals 1"),
        ("order", "item", "private/ and manifest.json of .* are of different data sets"),
        ("operator", "sketch", "private/ and manifest.json of .* are of different data sets"),
    ],
)
def test_a_manifest_that_is_damaged(copied: Path, name: str, value: Any, words: str) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    changed = {key: content for key, content in (manifest | {name: value}).items() if content is not None}
    (copied / "manifest.json").write_text(json.dumps(changed))
    refused(run("validate", copied, "--only", "integrity"), words)


def test_another_base_than_the_expansions(source: Path) -> None:
    base, other = (fr.leave_last_out(fr.sample_interactions(30, 40, 300, seed=seed)) for seed in (1, 2))
    expansion = fr.Expansion(base, fr.reduce(base, (2, 2)))
    with pytest.raises(InputError, match="this base is not the expansion's"):
        fr.validate(expansion, other)
    with pytest.raises(InputError, match="base is PosixPath, not a Base"):
        fr.validate(expansion, source)  # type: ignore[arg-type]


def test_a_damaged_signed_matrix(source: Path, tmp_path: Path) -> None:
    assert run("expand", source, tmp_path / "out", *SIZE, "--operator", "kronecker", "--quiet").code == 0
    path = tmp_path / "out/private/signed_matrix.npy"
    path.write_bytes(path.read_bytes()[:100])
    refused(run("validate", tmp_path / "out", "--source", source), re.escape(str(path)))


def test_without_private_files(copied: Path, source: Path) -> None:
    shutil.rmtree(copied / "private")
    done = run("validate", copied, "--only", "integrity", "--json")
    assert done.code == 0
    checks = {check["name"]: check for check in json.loads(done.out)["checks"]}
    for name in (blocks.BLOCKS, blocks.TEST_BLOCKS, regeneration.REGENERATION):
        assert (checks[name]["holds"], checks[name]["detail"]) == (None, "needs private/ beside the data")
    assert [checks[name]["holds"] for name in INTEGRITY[2:7]] == [True] * 5
    refused(
        run("validate", copied, "--only", "fidelity"), "fidelity needs private/ beside the.*\nhint: use --only integ"
    )
    done = run("validate", copied)
    assert done.code == 0
    assert "fidelity" in done.out
    refused(run("validate", copied, "--source", source), "has no private/plan.json: how its source was read")
    with pytest.raises(InputError, match=r"has no private/plan.json: there is nothing to compare"):
        fr.validate(copied, fr.leave_last_out(source))


def test_the_source_of_a_data_set_from_python(source: Path, tmp_path: Path) -> None:
    base = fr.leave_last_out(source)
    dataset = fr.write(fr.Expansion(base, np.full((2, 3), 0.2), shuffle="aligned"), tmp_path / "out")
    message = "was written from Python.*\nhint: validate it in Python"
    refused(run("validate", tmp_path / "out", "--source", source), message)
    assert fr.validate(dataset, base, only="integrity").holds


@pytest.mark.parametrize("count", [0, 1_201])
def test_singular_values_that_do_not_exist(written: Path, count: int) -> None:
    message = f"cannot find {count} singular values of a matrix of 1200 users × 1920 items"
    refused(run("validate", written, "--singular-values", count), message)


def test_too_little_memory_for_singular_values() -> None:
    message = "64 singular values need 737 kB of memory, allowed are {}\nhint: {}"
    for allowed, shown, hint in ((100_000, "100 kB", "use --only integrity"), (300_000, "300 kB", "ask for fewer")):
        with pytest.raises(InputError, match=message.format(shown, hint)):
            check_count((1_200, 1_920), 64, memory=allowed)


def test_thresholds_of_ones_own(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        f"'{names.STORED}' = 0.1\n'{names.GINIS[1]}' = inf\n'{names.ASSORTATIVITY}' = 1\n'{names.CAPTURED}' = 1\n"
    )
    done = run("validate", written, "--only", "fidelity", "--json", "--thresholds", path, *FEW)
    assert done.code == 3
    assert json.loads(done.out)["failures"] == [names.STORED]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gini of users = 0.1", "own.toml: .*line 1"),
        ("'gini of users' = -0.1", "own.toml: gini of users is -0.1; it must be a number from 0, or inf"),
        ("'gini of users' = nan", "gini of users is nan; it must be a number from 0"),
        ("'gini of users' = true", "gini of users is True; it must be a number from 0"),
        ("'gini of users' = '1'", "gini of users is '1'; it must be a number from 0"),
        ("['gini of users']\nx = 1", "gini of users is {'x': 1}; it must be a number from 0"),
        ("'gini of usres' = 1", "no metric is named 'gini of usres'\nhint: there are: .*gini of users"),
    ],
)
def test_thresholds_that_are_none(written: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "own.toml").write_text(content)
    refused(run("validate", written, "--quiet", "--thresholds", tmp_path / "own.toml", *FEW), message)


def test_files_that_are_not_there(written: Path, tmp_path: Path) -> None:
    refused(
        run("validate", written, "--thresholds", tmp_path / "own.toml"),
        "thresholds do not exist or are not a file: .*own.toml",
    )
    refused(run("validate", written, "--report", tmp_path / "no/report.html"), "the folder of the report .* does not")
    assert not (tmp_path / "no").exists()
    done = run("validate", written, "--report", tmp_path, "--only", "integrity", "--quiet")
    refused(done, "the report .* is a folder\nhint: name a file")
    assert run("validate", written, "--only", "both").code == 2
    refused(run("validate", written, "--threads", 0), "threads is 0; it must be at least 1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset", 5),
        ("dataset", None),
        ("singular_values", "x"),
        ("singular_values", 3.0),
        ("singular_values", True),
        ("thresholds", "x.toml"),
        ("thresholds", [1]),
        ("false_alarms", 2),
        ("false_alarms", 0),
        ("false_alarms", 1),
        ("false_alarms", float("nan")),
        ("false_alarms", "x"),
    ],
)
def test_arguments_of_a_wrong_kind(written: Path, name: str, value: Any) -> None:
    right: dict[str, Any] = {"dataset": written, "only": "integrity"}
    with pytest.raises(InputError, match=f"{name} is .*; it must be"):
        fr.validate(**(right | {name: value}))


def test_a_base_is_no_data_set(source: Path) -> None:
    with pytest.raises(InputError, match=r"dataset is .*; it must be a Dataset, its folder, or an Expansion"):
        fr.validate(fr.leave_last_out(source))  # type: ignore[arg-type]


def test_thresholds_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        thresholds.read(tmp_path / "own.toml")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "own.toml"))


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some five million interactions."""
    path = tmp_path_factory.mktemp("larger") / "out"
    fr.expand("sample", path, user_multiplier=16, item_multiplier=24, parts=3, shuffle="aligned")
    return path


@pytest.mark.parametrize("stage", ["adding up", "singular values"])
def test_ctrl_c_ends_a_pass_at_once(larger: Path, stage: str) -> None:
    """In a real process."""
    command = [sys.executable, "-m", "fractalrs", "validate", str(larger), "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while (line := process.stderr.readline()) != f"{stage}\n":
        assert line, process.communicate()
    # Inside the pass, not before it.
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # No stage begins any more.
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def test_every_metric_can_be_given_a_threshold(written: Path) -> None:
    report = fr.validate(written, only="fidelity", singular_values=16)
    assert {metric.name for metric in report.metrics if metric.distance is not None} <= thresholds.METRICS


def test_footers_are_read_once(copied: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten files, and ten footers."""
    opened: list[str] = []
    read_metadata = pq.read_metadata

    def noted(path: Any) -> pq.FileMetaData:
        opened.append(str(path))
        return read_metadata(path)

    monkeypatch.setattr(pq, "read_metadata", noted)
    fr.validate(copied, fr.leave_last_out(source), singular_values=16)
    assert len(opened) == len(set(opened)) == 10
    footers = files.Footers(fr.open_dataset(copied))
    assert not footers.lack_some
    shutil.rmtree(copied / "train")
    assert not footers.lack_some
    assert footers.columns.holds


def test_a_file_that_the_manifest_does_not_name(copied: Path) -> None:
    part = next((copied / "train").iterdir())
    (copied / "train/more").mkdir()
    for name in ("part-extra.parquet", "more/part.parquet", "_part.parquet", ".part.parquet"):
        shutil.copy(part, copied / "train" / name)
    report = fr.validate(copied, only="integrity")
    assert report.failures == (files.FILES,)
    foreign = "train/more/part.parquet is none of them; train/part-extra.parquet is none of them"
    assert report.checks[0].detail == foreign


@pytest.mark.parametrize("option", ["test_items", "drop_incomplete"])
def test_users_that_are_not_as_asked_for(option: str) -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    asked: dict[str, Any] = {"test_items": "one"} if option == "test_items" else {"drop_incomplete": True}
    expansion = fr.Expansion(base, np.full((2, 3), 0.4), shuffle="block", **asked)
    planned = Planned(expansion.keep_rates, dataclasses.asdict(expansion.options), base_statistics(base))
    found = {check.name: check.holds for check in blocks.check_blocks(StreamedMatrix(expansion).degrees(), planned)}
    assert found[blocks.USERS] is True
    # What another option would give.
    degrees = StreamedMatrix(fr.Expansion(base, np.full((2, 3), 0.4), shuffle="block")).degrees()
    found = {check.name: check.holds for check in blocks.check_blocks(degrees, planned)}
    assert found[blocks.USERS] is False
