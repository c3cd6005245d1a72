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
    return fr.sample_interactions(200, 150, 5_000, 1)


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


@pytest.mark.parametrize("rule", RULES[:1] + RULES[2:], ids=OF_RULES[:1] + OF_RULES[2:])
def test_test_interactions_do_not_reach_the_reduced_matrix(rule: dict[str, Any]) -> None:
    base = fr.leave_last_out(interactions(), **rule)
    train = base.mask("train")
    indptr = np.concatenate(([0], np.cumsum(base.user_degrees("train"))))
    alone = Base.from_arrays(indptr, base.indices[train], user_ids=base.user_ids, item_ids=base.item_ids)
    assert np.array_equal(fr.reduce(base, (4, 5)).values, fr.reduce(alone, (4, 5)).values)


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
