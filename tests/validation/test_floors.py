"""Floors: what thinning alone loses stands beside every metric, and what is judged from there is judged from there."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fractalrs as fr
from fractalrs import statistics
from fractalrs.base import Base
from fractalrs.passes import StreamedMatrix
from fractalrs.validation import Metric, Report
from fractalrs.validation.measure.measured import RANKS, Measured
from fractalrs.validation.measure.neighbours import neighbours
from fractalrs.validation.measure.thinned import thin
from fractalrs.validation.planned import Planned
from fractalrs.words import USERS
from helpers import names

SHAPE, RATE = (4, 6), 0.25
FROM_FLOOR = {
    names.RATIOS,
    names.LARGEST_RATIO,
    names.RATIOS_64,
    *names.GINIS,
    *names.WASSERSTEINS,
    *names.COVERAGES,
    names.ASSORTATIVITY,
    names.CLUSTERING,
}


@cache
def base() -> Base:
    return fr.leave_last_out(fr.sample_interactions(400, 300, 12_000, seed=3))


@cache
def flat() -> fr.Expansion:
    """The real data, repeated and thinned with one keep rate: the floor itself."""
    return fr.Expansion(base(), np.full(SHAPE, RATE), shuffle="none")


@cache
def report() -> Report:
    return fr.validate(flat(), only="fidelity")


def metrics(found: Report) -> dict[str, Metric]:
    return {metric.name: metric for metric in found.metrics}


CLOSE = {
    **dict.fromkeys((*names.GINIS, *names.COVERAGES, "gini of active users", "gini of active items"), 0.004),
    **{f"share of the top {percent} % of {side}": 0.004 for percent in (1, 10) for side in ("users", "items")},
    # Sampling noise adds to a distance, never takes from it.
    **dict.fromkeys(names.WASSERSTEINS, 0.01),
    **{names.ASSORTATIVITY: 0.01, "density": 1e-9, names.CAPTURED: 0.01},
    "first singular value over the root of interactions": 0.001,
    # Measured on one block of a twenty-fourth of the interactions.
    names.CLUSTERING: 0.4,
}


def test_of_the_floor_itself_synthetic_is_thinned() -> None:
    """What was written is where theory puts it."""
    found = metrics(report())
    for name, tolerance in CLOSE.items():
        assert found[name].synthetic == pytest.approx(found[name].thinned, abs=tolerance), name
    assert all(found[name].holds for name in FROM_FLOOR)


def test_what_is_judged_from_the_floor() -> None:
    found = metrics(report())
    assert {name for name, metric in found.items() if metric.from_floor} == FROM_FLOOR
    for name in FROM_FLOOR:
        assert found[name].floor is not None, name
        assert found[name].allowed == f"floor + {found[name].threshold:g}"
    for name in (*names.GINIS, *names.COVERAGES, names.ASSORTATIVITY):
        metric = found[name]
        assert metric.real is not None
        assert metric.thinned is not None
        assert metric.floor == pytest.approx(abs(metric.thinned - metric.real), abs=1e-12)
    for name in names.WASSERSTEINS:
        assert found[name].floor == found[name].thinned


def test_a_distance_is_judged_beyond_the_floor() -> None:
    def judged(distance: float, floor: float | None, from_floor: bool) -> bool | None:
        return Metric("m", "s", distance=distance, threshold=0.05, floor=floor, from_floor=from_floor).holds

    assert judged(0.24, 0.2, from_floor=True) is True
    assert judged(0.26, 0.2, from_floor=True) is False
    assert judged(0.24, 0.2, from_floor=False) is False
    assert judged(0.04, None, from_floor=True) is True
    assert judged(0.24, None, from_floor=True) is False
    # Nearer to real than thinning alone could be is no failure.
    assert judged(0.0, 0.2, from_floor=True) is True


def test_thinned_degrees_are_those_of_the_density() -> None:
    measured = Measured(flat(), Planned.of(flat()), flat().base, flat(), 16)
    assert measured.flat_rate == pytest.approx(RATE, abs=0.005)
    users = measured.degrees_by_side[USERS]
    expected = statistics.thinned_degrees(base().user_degrees("train"), *SHAPE, measured.flat_rate)
    assert np.array_equal(users.thinned, expected)
    assert users.thinned.sum() == pytest.approx(measured.interactions, rel=1e-3)


def test_thinning_keeps_train_interactions_at_one_rate() -> None:
    thinned = thin(base(), 0.3)
    assert thinned.shape == base().shape
    assert thinned.test_count == 0
    kept = thinned.train.toarray()
    assert ((base().train.toarray() - kept) >= 0).all()
    count = base().train_count
    assert abs(thinned.train_count - 0.3 * count) < 4 * np.sqrt(0.21 * count)
    assert np.array_equal(thin(base(), 0.3).train.toarray(), kept)
    assert thin(base(), 1.0).train_count == count


def test_clustering_is_that_of_every_item() -> None:
    """All items are sampled, so that closed paths and paths are counted one by one."""
    matrix = base().train.toarray()
    known = np.flatnonzero(matrix.sum(axis=0) >= 5)
    shared = (matrix.T @ matrix)[known]
    closed, paths = np.sum(
        [statistics.closed_paths(row, item) for row, item in zip(shared, known.tolist(), strict=True)], axis=0
    )
    found = metrics(report())[names.CLUSTERING]
    assert found.real == pytest.approx(closed / paths / matrix.mean(), rel=1e-9)
    assert found.null == 1.0
    assert found.thinned == pytest.approx(found.real, rel=0.1)
    assert found.distance == pytest.approx(abs((found.synthetic or 0) / (found.real or 1) - 1), abs=1e-12)
    # Uniform random data would fail.
    assert found.floor is not None
    assert abs(1 / (found.real or 1) - 1) - found.floor > (found.threshold or 1)


def test_sampled_items_stand_for_their_tenth() -> None:
    """Of a sample, paths of an item weigh as much as there are items of its tenth for each that was drawn."""
    degrees = base().item_degrees("train")
    known = np.flatnonzero(degrees >= 5)
    order = known[np.argsort(-degrees[known], kind="stable")]
    chosen = np.union1d(order[:60:2], order[60::7])
    found = neighbours(StreamedMatrix(base()), degrees, chosen)
    matrix, total = base().train.toarray(), np.zeros(2)
    for tenth in np.array_split(order, 10):
        drawn = np.intersect1d(tenth, chosen).tolist()
        for item in drawn:
            paths = statistics.closed_paths(matrix[:, item] @ matrix, item)
            total += np.array(paths) * len(tenth) / len(drawn)
    assert found is not None
    assert found.closed == pytest.approx(total[0] / total[1], rel=1e-12)


def test_hardness_is_that_of_the_matrices() -> None:
    found = metrics(report())
    table = flat().table(0, flat().shape[0])
    matrix = np.zeros(flat().shape)
    matrix[table["user_id"].to_numpy(), table["item_id"].to_numpy()] = 1
    real = base().train.toarray()
    for rank in (8, 64):
        metric = found[f"norm captured at rank {rank}"]
        for value, dense in ((metric.real, real), (metric.synthetic, matrix)):
            u, s, vt = np.linalg.svd(dense, full_matrices=False)
            approximation = (u[:, :rank] * s[:rank]) @ vt[:rank]
            assert value == pytest.approx(np.square(approximation).sum() / dense.sum(), rel=1e-3)
    assert "norm captured at rank 128" not in found
    captured = found[names.CAPTURED]
    assert captured.synthetic is not None
    assert captured.thinned is not None
    assert captured.distance == pytest.approx(max(0, captured.synthetic / captured.thinned - 1), abs=1e-12)
    assert (captured.threshold, captured.holds) == (0.1, True)


def test_harder_than_the_floor_is_no_distance() -> None:
    """Blocks shuffled each on its own have lost all structure: nothing is easier to factorise."""
    block = fr.Expansion(base(), np.full(SHAPE, RATE), shuffle="block")
    captured = metrics(fr.validate(block, only="fidelity", singular_values=16))[names.CAPTURED]
    assert (captured.synthetic or 1) < (captured.thinned or 0)
    assert (captured.distance, captured.holds) == (0, True)


def test_more_singular_values_compare_more_with_the_source() -> None:
    found = metrics(fr.validate(flat(), only="fidelity", singular_values=140))
    more = found["norm captured at rank 128"]
    assert None not in (more.real, more.synthetic, more.thinned, more.null)


def test_recall_is_that_of_dense_scores() -> None:
    found = report()
    real, test = base().train.toarray(), np.zeros(base().shape)
    test[base().owners[base().test_mask], base().indices[base().test_mask]] = 1
    vt = np.linalg.svd(real)[2]
    for place, rank in enumerate(RANKS):
        scores = real @ vt[:rank].T @ vt[:rank]
        scores[real > 0] = -np.inf
        first = np.argsort(-scores, axis=1)[:, :3]
        recall = np.take_along_axis(test, first, axis=1).sum() / test.sum()
        assert found.findings.curves["recall_by_rank"]["real"].y[place] == pytest.approx(recall, abs=0.011)
    metric = metrics(found)["recall of a factorisation of rank 8"]
    assert metric.synthetic is not None
    assert metric.synthetic > 3 * 0.01
    assert set(found.findings.curves["captured_norm"]) == {"real", "synthetic", "thinned", "null"}


def test_without_the_source_and_without_test_interactions(tmp_path: Path) -> None:
    expansion = fr.Expansion(fr.leave_last_out(fr.sample_interactions(60, 40, 900), split="none"), np.full((2, 3), 0.5))
    fr.write(expansion, tmp_path / "out", parts=1)
    found = metrics(fr.validate(tmp_path / "out", only="fidelity"))
    for name in (names.CLUSTERING, "network values of users", "cosine with the nearest item, rank 1"):
        assert (found[name].thinned, found[name].floor, found[name].note) == (None, None, "needs --source"), name
    assert found[names.CLUSTERING].holds is None
    for name in (
        *names.GINIS,
        *names.COVERAGES,
        *names.WASSERSTEINS,
        names.ASSORTATIVITY,
        names.RATIOS,
        names.CAPTURED,
    ):
        assert found[name].thinned is not None, name
    assert "recall of a factorisation of rank 8" not in found


def test_the_report_says_what_the_floor_is(tmp_path: Path) -> None:
    report().to_html(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "what any expansion of this size loses" in html
    assert "lost by thinning" in html
    assert ">floor + 0.02</td>" in html
    for column in ("thinned", "floor"):
        assert f'data-label="{column}"' in html
    assert "Captured norm by rank" in html
    assert "Recall of a factorisation by rank" in html
    by_name = {metric["name"]: metric for metric in report().to_dict()["metrics"]}
    assert by_name[names.GINIS[0]]["from_floor"] is True
    assert by_name[names.GINIS[0]]["thinned"] is not None
    assert by_name[names.COPIES]["from_floor"] is False
