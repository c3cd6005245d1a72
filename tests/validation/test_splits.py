"""Splits of every kind, from the source to the verdict: what they promise holds, and is found out where it does not."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.columns import ticks
from fractalrs.dataset import Folder
from fractalrs.errors import InputError
from fractalrs.validation.checks import blocks
from fractalrs.validation.checks import times as time_checks
from fractalrs.workflow import read_planned_base, recipe_text

TIMED: dict[str, Any] = {"profile": "traceable", "timestamps": True}
RULES: list[dict[str, Any]] = [
    {"split": "time", "test_share": 0.1},
    {"split": "time", "test_after": "2015-06-01"},
    {"split": "users", "test_share": 0.2},
    {"split": "last", "leave_out": 3},
    {"split": "last", "validation": True},
    {"split": "time", "test_share": 0.1, "validation": True},
    {"split": "users", "test_share": 0.2, "validation": True},
    {"split": "random", "validation": True},
]
OF_RULES = [" ".join(map(str, rule.values())) for rule in RULES]


def interactions() -> fr.Interactions:
    """The sample, its times weeks apart: without a limit some would move across a cut."""
    table = fr.sample_interactions(200, 150, 5_000, 1).table
    times = np.random.default_rng(1).integers(1_400_000_000, 1_440_000_000, len(table))
    return fr.Interactions(table.set_column(table.column_names.index("timestamp"), "timestamp", pa.array(times)))


def times_of(folder: Path, split: str) -> np.ndarray[Any, Any]:
    files = sorted((folder / split).rglob("*.parquet"))
    return np.concatenate([ticks(pq.read_table(file)["timestamp"].combine_chunks()) for file in files])


def rewrite(folder: Path, split: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change every file of a split, the manifest with it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for part in manifest["parts"]:
        path = folder / part[split]["path"]
        pq.write_table(change(pq.read_table(path)), path)
        content = path.read_bytes()
        part[split] |= {"bytes": len(content), "blake3": blake3(content).hexdigest()}
    files = [one for part in manifest["parts"] for one in part.values() if isinstance(one, dict)]
    manifest["totals"]["bytes"] = sum(file["bytes"] for file in files)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def moved(table: pa.Table, ticks: int) -> pa.Table:
    """The same, every time so much later."""
    kind = table.schema.field("timestamp")
    times = (np.asarray(table["timestamp"].cast(pa.int64())) + ticks).astype(np.int64)
    return table.set_column(table.column_names.index("timestamp"), kind, pa.array(times).cast(kind.type))


@pytest.mark.parametrize("rule", RULES, ids=OF_RULES)
def test_what_a_split_promises_holds(rule: dict[str, Any], tmp_path: Path) -> None:
    source = interactions()
    if "test_after" in rule:
        rule = rule | {"test_after": int(np.sort(np.asarray(source.timestamps))[4_000])}
    dataset = fr.expand(
        source, tmp_path / "out", user_multiplier=3, item_multiplier=4, ratings="carry", parts=3, **rule, **TIMED
    )
    base = read_planned_base(source, tmp_path / "out")
    plan = Folder.read(tmp_path / "out").plan
    assert plan is not None
    assert (plan.base.split, plan.base.cuts, plan.base.fingerprint) == (base.split, base.cuts, base.fingerprint)
    report = fr.validate(dataset, base, only="integrity")
    assert report.holds, report.failures
    assert [check.name for check in report.checks].count(time_checks.CUT) == bool(base.cuts)
    assert [check.name for check in report.checks].count(blocks.VALID_BLOCKS) == bool(base.valid_count)
    assert dataset.splits == (("train", "valid", "test") if "validation" in rule else ("train", "test"))
    for cut, before in zip(base.cuts, dataset.splits, strict=False):
        after = dataset.splits[dataset.splits.index(before) + 1]
        assert times_of(dataset.path, before).max() < cut <= times_of(dataset.path, after).min()
    if base.split == "users":
        users = [
            set(np.concatenate([np.asarray(t["user_id"]) for t in d.to_batches()]))
            for d in (dataset.train, dataset.test)
        ]
        assert not users[0] & users[1]
    assert all(dataset.totals[split] > 0 for split in dataset.splits)
    assert sum(dataset.totals[split] for split in dataset.splits) == dataset.totals["interactions"]
    # The same again from its own recipe.
    (tmp_path / "recipe.toml").write_text(recipe_text(dataset.path))
    for name, value in rule.items():
        assert f"{name} = {json.dumps(value)}" in (tmp_path / "recipe.toml").read_text().splitlines()


def test_every_reader_knows_three_splits(tmp_path: Path) -> None:
    base = fr.leave_last_out(interactions(), validation=True, leave_out=2)
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), shuffle="aligned")
    dataset = fr.write(expansion, tmp_path / "out", parts=2)
    assert [dataset.valid.count_rows(), dataset.test.count_rows()] == [dataset.totals[one] for one in ("valid", "test")]
    assert {entry.name for entry in fr.export(dataset, tmp_path / "csv", format="csv").iterdir()} == {
        f"{split}.csv" for split in dataset.splits
    }
    assert fr.load_csr(fr.export(dataset, tmp_path / "csr", format="csr"), "valid").nnz == dataset.totals["valid"]
    assert len(fr.read_interactions(dataset.path)) == dataset.totals["interactions"]
    fr.publish(dataset.path, tmp_path / "public")
    public = fr.open_dataset(tmp_path / "public")
    assert (public.splits, public.totals) == (dataset.splits, dataset.totals)
    assert "      - split: validation\n        path: valid/*.parquet\n" in (public.path / "README.md").read_text()
    files, generated, users = fr.StreamedMatrix(dataset), fr.StreamedMatrix(expansion), np.arange(expansion.shape[0])
    for split in dataset.splits:
        one, other = files.collect(users, split), generated.collect(users, split)
        assert one.nnz == dataset.totals[split]
        assert np.array_equal(one.indices, other.indices)
    degrees = files.degrees()
    assert degrees.user_valid.sum() == degrees.item_valid.sum() == degrees.block_valid.sum() == dataset.totals["valid"]
    # The same again goes on, another one takes its place.
    (dataset.path / "manifest.json").unlink()
    next((dataset.path / "valid").iterdir()).unlink()
    assert fr.write(expansion, dataset.path, parts=2).totals == dataset.totals
    fr.write(expansion, dataset.path, parts=3, overwrite=True)
    assert len([*(dataset.path / "valid").iterdir()]) == 3


def test_an_interaction_in_two_splits_is_found(tmp_path: Path) -> None:
    base = fr.leave_last_out(interactions(), validation=True)
    dataset = fr.write(fr.Expansion(base, fr.reduce(base, (2, 3)), shuffle="aligned"), tmp_path / "out", parts=1)
    valid, test = (pq.read_table(next((dataset.path / split).iterdir())) for split in ("valid", "test"))
    user = int(np.intersect1d(valid["user_id"], test["user_id"])[0])
    items = np.asarray(test["item_id"]).copy()
    at = int(np.flatnonzero(np.asarray(test["user_id"]) == user)[0])
    items[at] = np.asarray(valid["item_id"])[np.asarray(valid["user_id"]) == user][0]
    rewrite(dataset.path, "test", lambda table: table.set_column(1, table.schema.field(1), pa.array(items)))
    report = fr.validate(dataset.path, only="integrity")
    assert "train and test are disjoint" in report.failures


@pytest.mark.parametrize("what", ["drop_incomplete", "test_items"])
def test_validation_does_not_go_with_what_chooses_among_users(what: str) -> None:
    base = fr.leave_last_out(interactions(), validation=True)
    options: dict[str, Any] = {what: {"drop_incomplete": True, "test_items": "one"}[what]}
    with pytest.raises(InputError, match=f"{what}.* does not go with a validation split"):
        fr.Expansion(base, fr.reduce(base, (2, 3)), **options)
    with pytest.raises(InputError, match="a function makes train and test interactions"):
        fr.Expansion(base, fr.reduce(base, (2, 3)), operator=lambda matrix, *_: matrix)


def test_what_is_expected_of_three_splits_comes_out() -> None:
    base = fr.leave_last_out(interactions(), validation=True)
    for options in ({}, {"cold_users": 0.1, "cold_items": 0.2}):
        expansion = fr.Expansion(base, np.full((4, 6), 0.5), shuffle="aligned", **options)  # type: ignore[arg-type]
        expected = expansion.expected
        for split in expansion.splits:
            count = getattr(expected, split)
            assert abs(len(expansion.table(0, expansion.shape[0], split)) - count.mean) < 5 * count.std
        assert expected.interactions == pytest.approx(24 * 0.5 * base.count)


@pytest.mark.parametrize("rule", RULES[:1] + RULES[2:], ids=OF_RULES[:1] + OF_RULES[2:])
def test_test_interactions_do_not_reach_the_reduced_matrix(rule: dict[str, Any]) -> None:
    base = fr.leave_last_out(interactions(), **rule)
    train = base.mask("train")
    indptr = np.concatenate(([0], np.cumsum(base.user_degrees("train"))))
    alone = Base.from_arrays(indptr, base.indices[train], user_ids=base.user_ids, item_ids=base.item_ids)
    assert np.array_equal(fr.reduce(base, (4, 5)).values, fr.reduce(alone, (4, 5)).values)


def test_train_tells_nothing_of_when_test_happens() -> None:
    base = fr.leave_last_out(interactions(), split="time", test_share=0.2, payload=["timestamp"])
    times = ticks(base.column("timestamp")).copy()
    assert base.test_mask.any()
    times[base.test_mask] += np.arange(base.test_count)[::-1] * 7_919
    masks = {"test_mask": base.test_mask, "cuts": base.cuts, "split": "time"}
    moved_base = Base.from_arrays(base.indptr, base.indices, payload={"timestamp": times}, **masks)  # type: ignore[arg-type]
    one, other = (fr.Expansion(each, fr.reduce(base, (3, 4)), seed=5, **TIMED) for each in (base, moved_base))
    assert one.table(0, 600).equals(other.table(0, 600))
    assert not one.table(0, 600, "test").equals(other.table(0, 600, "test"))


@pytest.mark.parametrize("split", ["time", "users"])
def test_users_without_train_interactions_are_no_trouble(split: Any) -> None:
    base = fr.leave_last_out(interactions(), split=split, test_share=0.6)
    assert base.user_degrees("train").min() == 0
    report = fr.validate(fr.Expansion(base, fr.fit(base, (2, 3))), base)
    assert not [check.name for check in report.checks if check.holds is False]
    assert report.metrics
    assert all(np.isfinite(metric.synthetic or 0.0) for metric in report.metrics if metric.holds is not None)


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    fr.expand(
        interactions(), tmp_path / "out", user_multiplier=2, item_multiplier=3, split="time", test_share=0.2, **TIMED
    )
    return tmp_path / "out"


@pytest.mark.parametrize(("split", "sign"), [("train", 1), ("test", -1)])
def test_one_interaction_across_the_cut_is_found(cut: Path, split: str, sign: int) -> None:
    plan = Folder.read(cut).plan
    assert plan is not None
    times = times_of(cut, split)
    apart = plan.base.cuts[0] - (times.max() if sign > 0 else times.min())
    # The nearest one to the cut, right up to it, is right; one tick more is wrong.
    for ticks_more, holds in ((apart - (sign > 0), True), (apart - (sign < 0), False)):
        rewrite(cut, split, partial(moved, ticks=int(ticks_more)))
        assert (time_checks.CUT not in fr.validate(cut, only="integrity").failures) == holds
        rewrite(cut, split, partial(moved, ticks=-int(ticks_more)))


def test_cold_ones_are_of_any_time(tmp_path: Path) -> None:
    rule: dict[str, Any] = {"split": "time", "test_share": 0.2, "cold_items": 0.2, "cold_users": 0.1}
    dataset = fr.expand(interactions(), tmp_path / "out", user_multiplier=2, item_multiplier=3, **rule, **TIMED)
    assert fr.validate(dataset, only="integrity").holds
    plan = Folder.read(dataset.path).plan
    assert plan is not None
    assert times_of(dataset.path, "test").min() < plan.base.cuts[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "time"}, "the split 'time' needs test_after or test_share"),
        ({"split": "time", "test_share": 1.5}, "test_share is 1.5; it must be a number above 0 and below 1"),
        ({"split": "users", "test_share": 0}, "test_share is 0; it must be"),
        ({"leave_out": 0}, "leave_out is 0; it must be a whole number of at least 1"),
        ({"split": "time", "test_after": "soon"}, "test_after is 'soon', which is no date"),
        ({"split": "none", "test_share": 0.5}, "test_share is for the splits 'time' and 'users'"),
    ],
)
def test_a_recipe_refuses_them_before_anything_is_read(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        fr.expand(tmp_path / "nothing", tmp_path / "out", user_multiplier=1, item_multiplier=1, **options)
    assert not (tmp_path / "out").exists()
