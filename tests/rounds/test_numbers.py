"""The numbers of a round are what their definitions say, of reports too."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

import fractalrs as fr
from fractalrs.models import TruncatedSVD
from fractalrs.plot import by_round
from fractalrs.rounds.past import History
from fractalrs.rounds.tally import Tally
from fractalrs.statistics import gini

WORLD = fr.simulate(80, 50, 600, seed=2, slate=6, position_bias=0.4)


@pytest.mark.parametrize("once", [False, True])
def test_numbers_are_their_definitions(once: bool, tmp_path: Path) -> None:
    users, items, slate = *WORLD.shape, 4
    loop = fr.feedback(WORLD, TruncatedSVD(rank=4), 4, slate, epsilon=0.2, once=once, leave=0.3, path=tmp_path / "loop")
    likes, looks = WORLD.preferences(np.arange(users)), WORLD.examination[:slate]
    known, before = np.zeros((users, items)), np.full((users, slate), -1)
    for number, found in enumerate(loop.rounds):
        table = pq.read_table(next((tmp_path / f"loop/round={number:04}").iterdir()), partitioning=None)
        user, item, response = (table[name].to_numpy() for name in ("user_id", "item_id", "response"))
        here, slates = user[::slate], item.reshape(-1, slate)
        shown = likes[here[:, None], slates]
        able = np.where(known[here] > 0, -1, likes[here]) if once else likes[here]
        best = np.sort(able, axis=1)[:, ::-1][:, :slate] @ looks
        expected = {
            "utility": (shown * looks).mean(),
            "regret": (best - shown @ looks).mean() / slate,
            "coverage": len(set(item.tolist())) / items,
            "gini": gini(np.bincount(item, minlength=items)),
            "popularity": known.sum(axis=0)[item].mean() / users,
            "repetition": np.mean([one in before[u] for u, row in zip(here, slates, strict=True) for one in row]),
            "users": len(here) / users,
        }
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=1e-12), name
        if number:
            scores = TruncatedSVD(rank=4).fit(sp.csr_array(known))(here)
            # Users of whom nothing is known have equal scores, which correlate with nothing.
            drift = np.mean(
                [
                    1 - spearmanr(row, likes[u]).statistic if np.ptp(row) else 1
                    for u, row in zip(here, scores, strict=True)
                ]
            )
            assert found["drift"] == pytest.approx(drift, abs=1e-12)
        else:
            assert found["drift"] is None
        known[user[response], item[response]] = 1
        before = np.full((users, slate), -1)
        before[here] = slates
    assert loop.last["users"] < 1


def test_what_users_are_shown_counts_alike_whoever_is_counted_with_them() -> None:
    world, users = fr.simulate(97, 60, 300, seed=1, slate=15, position_bias=0.7), np.arange(97)
    slates = np.argsort(np.random.default_rng(0).random((97, 60)), axis=1)[:, :15].astype(np.int32)
    found = []
    for size in (97, 50, 7, 1):
        tally = Tally(world, History(world.shape, 15).past(0), world.examination, forget=True, threads=1)
        for some in np.array_split(users, range(size, 97, size)):
            tally.add(some, slates[some], slates[some])
        found.append(tally.of_sample)
    assert found[0] == found[1] == found[2] == found[3]


def test_nobody_left() -> None:
    world = fr.simulate(10, 40, 10, seed=1, level=-3.0)
    loop = fr.feedback(world, "random", 4, 5, leave=1.0)
    assert loop.values("users")[0] == 1
    assert loop.last["users"] < 0.5
    assert fr.feedback(world, "random", 30, 1, leave=1.0).last["users"] == 0


def test_missing_and_late_responses_are_learnt_late() -> None:
    how: dict[str, Any] = {"rounds": 6, "slate": 5}
    past: dict[str, list[int]] = {}

    def policy(name: str) -> Any:
        def learn(known: fr.Past) -> Any:
            past.setdefault(name, []).append(int(known.responded.sum()))
            assert known.responses.nnz <= known.responded.sum() <= known.shown.sum()
            return lambda users: np.tile(np.arange(5) + 5 * known.round, (len(users), 1))

        return learn

    fr.feedback(WORLD, policy("at once"), **how)
    fr.feedback(WORLD, policy("late"), late=0.5, **how)
    fr.feedback(WORLD, policy("missing"), missing=0.5, **how)
    assert past["at once"][0] == past["late"][0] == past["missing"][0] == 0
    assert all(0 < late < now for late, now in zip(past["late"][1:], past["at once"][1:], strict=True))
    assert 0.4 < past["missing"][-1] / past["at once"][-1] < 0.6


def test_a_report_has_bands_and_tables(tmp_path: Path) -> None:
    runs = {name: [fr.feedback(WORLD, name, 3, 5, seed=seed) for seed in range(3)] for name in ("random", "SVD")}
    report = fr.FeedbackReport(runs)
    text = str(report)
    assert "random" in text
    assert f"{report.values('SVD', 'coverage')[:, -1].mean():.3f}" in text
    report.to_html(tmp_path / "loops.html")
    page = (tmp_path / "loops.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 8
    assert "<script" not in page
    assert "https://" not in page
    values = json.loads(json.dumps(report.to_dict()))
    assert values["random"]["coverage"] == report.values("random", "coverage").tolist()
    with pytest.raises(fr.InputError, match="no feedback loops"):
        fr.FeedbackReport({})
    with pytest.raises(fr.InputError, match=r"\[2, 3\] rounds"):
        fr.FeedbackReport({"a": [*runs["SVD"], fr.feedback(WORLD, "SVD", 2, 5)]})
    with pytest.raises(fr.OutputError, match="cannot write"):
        report.to_html(tmp_path / "nowhere/loops.html")


def test_bands_go_from_the_least_to_the_most() -> None:
    axes = by_round({"a": [[0.0, 1.0, np.nan], [1.0, 3.0, np.nan]]})
    (line,), (band,) = axes.get_lines(), axes.collections
    np.testing.assert_array_equal(line.get_xdata(), [0, 1])
    np.testing.assert_array_equal(line.get_ydata(), [0.5, 2.0])
    assert band.get_datalim(axes.transData).intervaly.tolist() == [0.0, 3.0]
    with pytest.raises(fr.InputError, match="shape"):
        by_round({"a": [1.0, 2.0]})
