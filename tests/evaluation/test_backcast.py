"""The backcast: what comes out, what decides it, and what is refused."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.evaluation import Row, Score
from fractalrs.models import MODELS

FEW = {"popularity": MODELS["popularity"], "item kNN": MODELS["item kNN"]}


def sample() -> fr.Interactions:
    return fr.sample_interactions(400, 300, 16_000, seed=2)


@pytest.fixture(scope="module")
def report() -> fr.BackcastReport:
    return fr.backcast(sample(), seed=5, repeats=2, threads=1)


def distance(report: fr.BackcastReport, metric: str, candidate: str) -> float:
    found = report.row(metric).scores[candidate].distance
    assert found is not None
    return found


def test_all_metrics_have_all_candidates(report: fr.BackcastReport) -> None:
    assert report.candidates == ("another thinning", "expansion", "duplication", "block", "configuration", "uniform")
    for row in report.rows:
        assert tuple(row.scores) == report.candidates
        for score in row.scores.values():
            if row.metric == "norm captured at rank 256":
                assert score == Score(None, None, None, None)
                continue
            assert score.least is not None
            assert score.most is not None
            assert score.distance is not None
            assert 0 <= score.least <= score.distance <= score.most


def test_uniform_loses_and_the_ceiling_is_near(report: fr.BackcastReport) -> None:
    judged = [row.metric for row in report.rows if not row.summary and row.metric != "norm captured at rank 256"]
    worst = [
        max(report.candidates, key=lambda name, metric=metric: distance(report, metric, name))  # type: ignore[misc]
        for metric in judged
    ]
    assert worst.count("uniform") >= len(judged) - 2
    assert report.nearest["uniform"] == 0
    assert report.nearer["uniform"] == 0
    for metric in judged:
        assert distance(report, metric, "another thinning") < distance(report, metric, "uniform") / 2


def test_all_candidates_are_of_one_size_and_density(report: fr.BackcastReport) -> None:
    real, expanded = report.subject["real"], report.subject["expanded"]
    assert real == {"shape": [400, 300], "train": 15_600, "test": 400}
    assert report.subject["multipliers"] == ["4 × 4"] * len(expanded)
    for base, shape in zip(report.subject["sub_samples"], expanded, strict=True):
        users, items = map(int, base.split(" × "))
        assert shape == f"{4 * users:,} × {4 * items:,}"
        assert users <= 100
        assert items <= 75


def test_the_seed_decides(report: fr.BackcastReport) -> None:
    def rows(**settings: Any) -> tuple[Row, ...]:
        return fr.backcast(sample(), 1 / 2, 1 / 2, repeats=1, models=FEW, threads=1, **settings).rows

    assert rows(seed=1) == rows(seed=1)
    assert rows(seed=1) != rows(seed=2)
    assert rows(seed=1) != rows(seed=1, profile="traceable")
    # One sub-sample is the first of several.
    again = fr.backcast(sample(), seed=5, repeats=1, models={}, threads=1)
    assert again.subject["sub_samples"] == report.subject["sub_samples"][:1]


def test_a_sparse_truth_is_compared_at_its_own_density() -> None:
    # Everything is kept: the expansion of so small a share is denser than the truth.
    found = fr.backcast(sample(), 1.0, 1 / 2, repeats=1, models={}, threads=1)
    (each,) = found.subject["train_interactions_of_each"]
    assert each <= 15_600
    assert found.subject["multipliers"] == ["1 × 2"]


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    class Printed(fr.Progress):
        @contextmanager
        def task(self, what: str, interactions: float, parts: int) -> Iterator[Any]:
            print(what, interactions > 0, parts)
            yield lambda _, done: print(done, end=" ")

    fr.backcast(sample(), 1 / 2, 1 / 2, repeats=1, models={}, threads=1, progress=Printed())
    assert capsys.readouterr().out == "comparing True 7\n1 2 3 4 5 6 7 "


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"user_share": 0}, "user_share is 0; it must be above 0 and at most 1"),
        ({"item_share": 1.5}, "item_share is 1.5; it must be above 0 and at most 1"),
        ({"item_share": "half"}, "item_share is 'half'"),
        ({"user_share": True}, "user_share is True"),
        ({"user_share": float("nan")}, "user_share is nan"),
        ({"repeats": 0}, "repeats must be a whole number, 1 or more"),
        ({"seed": -1}, "seed must be a whole number, 0 or more"),
        ({"profile": "magic"}, "unknown profile 'magic'"),
        ({"threads": 0}, "threads is 0"),
        ({"user_share": 0.002}, "a share of 0.002 of 400 users is 1; a sub-sample needs at least 2"),
        ({"user_share": 0.01, "item_share": 0.01}, "sub-sample 1 "),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(fr.InputError, match=re.escape(message)):
        fr.backcast(sample(), **settings)


def test_a_sub_sample_without_interactions_is_refused() -> None:
    # Everybody has two items of their own: few users and few items hardly meet.
    pairs = np.arange(400)
    interactions = fr.Interactions(pa.table({"user_id": pairs // 2, "item_id": pairs}))
    with pytest.raises(fr.InputError, match="sub-sample 1") as refused:
        fr.backcast(interactions, 0.02, 0.02)
    assert refused.value.hint == "raise user_share or item_share, or give more data"


def test_as_values_and_text(report: fr.BackcastReport) -> None:
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert set(content) == {"subject", "candidates", "rows", "nearest", "nearer", "seconds"}
    assert len(content["rows"]) == len(report.rows)
    assert content["rows"][0]["scores"]["uniform"]["distance"] == distance(report, "gini of users, all ids", "uniform")
    text = str(report)
    assert text.startswith("The expansion is nearest to the truth on ")
    for row in report.rows:
        assert row.metric in text
    assert max(map(len, text.splitlines())) <= 150


def test_as_a_page(report: fr.BackcastReport, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report.to_html(path)
    page = path.read_text(encoding="utf-8")
    assert report.verdict in page
    assert "<script" not in page
    assert "http://" not in page
    for name in (*report.candidates, *(row.metric for row in report.rows)):
        assert name in page
    report.to_html(path)
    assert path.read_text(encoding="utf-8") == page
    with pytest.raises(fr.OutputError, match="cannot write"):
        report.to_html(tmp_path / "no" / "report.html")
