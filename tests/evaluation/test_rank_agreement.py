"""Models ranked on real data and on an expansion: what comes out, what decides it, and what is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import pytrec_eval
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.evaluation import Halves, Judge, Sample, by_user, places, reseeded, rewired, tune, validation_of
from fractalrs.models import CHUNK, ItemKNN, Matrix, Popularity, Recommender, Scores, TruncatedSVD

FEW = {"popularity": Popularity(), "item kNN": ItemKNN(), "SVD": [TruncatedSVD(4), TruncatedSVD(16)]}


@pytest.fixture(scope="module")
def base() -> fr.Base:
    return fr.leave_last_out(fr.sample_interactions(200, 80, 4_000, seed=2))


def expanded(base: fr.Base, **options: Any) -> fr.Expansion:
    return fr.Expansion(base, fr.reduce(base, (2, 3)), **options)


@pytest.fixture(scope="module")
def report(base: fr.Base) -> fr.RankReport:
    return fr.rank_agreement(base, expanded(base), models=FEW, repeats=2, threads=1)


def test_metrics_are_those_of_the_library() -> None:
    rng = np.random.default_rng(3)
    place, scores = rng.random((40, 30)), rng.random((40, 30))
    halves = Halves(sp.csr_array((place < 0.2).astype(float)), sp.csr_array((place > 0.9).astype(float)))
    users = np.flatnonzero((halves.train.sum(axis=1) > 0) & (halves.test.sum(axis=1) > 0))
    found = places(lambda some: scores[some], halves, users)
    free = {str(user): np.flatnonzero(place[user] >= 0.2) for user in users}
    run = {user: {str(item): float(scores[int(user), item]) for item in items} for user, items in free.items()}
    held_out = {str(user): {str(item): 1 for item in np.flatnonzero(place[user] > 0.9)} for user in users}
    library = pytrec_eval.RelevanceEvaluator(held_out, {"success.5", "ndcg_cut.5", "recip_rank"}).evaluate(run)
    mine = by_user(found, 5)
    for number, user in enumerate(map(str, users)):
        assert mine["HR"][number] == pytest.approx(library[user]["success_5"])
        assert mine["NDCG"][number] == pytest.approx(library[user]["ndcg_cut_5"])
    # Of one held-out item each, whatever its rank.
    one = halves.one_test_item(rng)
    held_out = {str(user): {str(one.test.indices[one.test.indptr[user]]): 1} for user in users}
    library = pytrec_eval.RelevanceEvaluator(held_out, {"recip_rank"}).evaluate(run)
    inverse = by_user(places(lambda some: scores[some], one, users), 30)["MRR"]
    np.testing.assert_allclose(inverse, [library[str(user)]["recip_rank"] for user in users])


def test_hidden_items_are_no_rivals() -> None:
    halves = Halves(sp.csr_array(np.array([[1.0, 0, 0, 0]])), sp.csr_array(np.array([[0, 0, 0, 1.0]])))
    hidden = sp.csr_array(np.array([[0, 1.0, 0, 0]]))
    scores = np.array([[4.0, 3, 2, 1]])
    assert places(lambda some: scores[some], halves, np.arange(1)).better.tolist() == [2]
    assert places(lambda some: scores[some], halves, np.arange(1), hidden=hidden).better.tolist() == [1]


@pytest.mark.parametrize("shuffle", ["mixed", "cells", "aligned", "block"])
def test_a_sample_is_a_part_of_the_whole(base: fr.Base, shuffle: str) -> None:
    expansion = expanded(base, shuffle=shuffle, seed=3)
    whole = Halves.of_expansion(expansion, threads=1)
    sample = Sample.of(expansion, most_users=70, most_items=170, seed=1)
    assert sample.shape(expansion) == (70, 160)
    found = sample.halves(expansion, threads=1)
    columns = np.concatenate([np.arange(80) + 80 * block for block in sample.blocks])
    for part, of in ((found.train, whole.train), (found.test, whole.test)):
        np.testing.assert_array_equal(part.toarray(), of[sample.users].toarray()[:, columns])
    everything = Sample.of(expansion, most_users=10_000, most_items=10_000, seed=1)
    np.testing.assert_array_equal(everything.halves(expansion, threads=1).train.toarray(), whole.train.toarray())
    # What was dropped, and what was not, is all that the blocks could have.
    dropped = everything.dropped(expansion, whole, threads=1)
    there = whole.train + whole.test + dropped
    assert there.nnz == there.sum() == 6 * base.count
    assert sample.dropped(expansion, found, threads=1).nnz == dropped[sample.users].toarray()[:, columns].sum()


def test_many_column_blocks_are_generated_for_few_users_at_once(base: fr.Base) -> None:
    wide = fr.Expansion(base, np.full((2, 3_000), 0.9), max_keep=1.0)
    sample = Sample.of(wide, most_users=400, most_items=80, seed=1)
    row = wide.expected_interactions / 400
    assert row * sample.users_at_once(wide) <= CHUNK < row * (sample.users_at_once(wide) + 1)
    some = Sample(np.arange(100), np.array([7]))
    assert sample.users_at_once(wide) < 100
    rows = [Sample(np.array([user]), some.blocks).halves(wide, threads=1).train.toarray() for user in (0, 76, 77, 99)]
    found = some.halves(wide, threads=1).train[[0, 76, 77, 99]].toarray()
    np.testing.assert_array_equal(found, np.concatenate(rows))
    # Whatever is sampled, its rows are generated over all blocks; what is dropped is so with everything kept.
    few = expanded(base)
    assert sample.memory(wide) > 20 * Sample.of(few, most_users=400, most_items=80, seed=1).memory(few)
    whole = Sample.of(few, most_users=10_000, most_items=10_000, seed=1)
    assert whole.memory(few, mask_dropped=True) - whole.memory(few) >= 96 * 6 * base.count


def test_what_is_dropped_counts_as_memory(base: fr.Base, caplog: pytest.LogCaptureFixture) -> None:
    class Stopped(Popularity):
        def fit(self, train: Matrix) -> Scores:
            raise RuntimeError(train.shape)

    said = []
    for mask_dropped in (False, True):
        caplog.clear()
        with caplog.at_level("INFO", "fractalrs"), pytest.raises(RuntimeError):
            fr.rank_agreement(base, expanded(base), models=FEW | {"stopped": Stopped()}, mask_dropped=mask_dropped)
        said += re.findall("takes up to about (.*) of memory", caplog.text)
    assert len(set(said)) == 2


def test_a_table_without_structure_has_the_same_degrees(base: fr.Base) -> None:
    halves = Halves.of_base(base)
    null = rewired(halves, 0)
    for axis in (0, 1):
        np.testing.assert_array_equal(null.train.sum(axis=axis), halves.train.sum(axis=axis))
    assert null.train.nnz == null.train.sum()
    # As many pairs are the same as chance alone would have it, for each degree of a user and of an item.
    chance = halves.train.sum(axis=1)[:, None] * halves.train.sum(axis=0) / halves.train.nnz
    assert null.train.multiply(halves.train).sum() == pytest.approx((halves.train.toarray() * chance).sum(), rel=0.15)
    assert null.train.multiply(null.test).nnz == 0


def test_the_best_setting_is_taken(base: fr.Base) -> None:
    halves = validation_of(base.train, 0)
    assert halves.test.nnz == (np.diff(base.train.indptr) > 1).sum()
    assert (halves.train + halves.test - base.train).nnz == 0

    class Liar(Popularity):
        def fit(self, train: Matrix) -> Scores:
            scores = super().fit(train)
            return lambda users: -scores(users)

    family: list[Recommender] = [Liar(), Popularity(), Liar()]
    chosen = tune(base.train, {"liars": family}, 10, 0)["liars"]
    assert type(chosen) is Popularity


def test_all_columns_have_all_metrics_with_intervals(report: fr.RankReport) -> None:
    metrics = [f"{name}@10{words}" for words in ("", " of the catalogue") for name in ("HR", "NDCG", "MRR")]
    for name, column in report.columns.items():
        assert [*column.values] == metrics
        assert [*column.agreement] == ([] if name == "real" else metrics)
        for values in column.values.values():
            assert [*values] == [*FEW]
            for figure in values.values():
                assert figure.value is not None
                assert figure.interval is not None
                assert 0 <= figure.interval[0] <= figure.interval[1] <= 1
        for found in column.agreement.values():
            assert found.tau.value is not None
            assert -1 <= found.tau.value <= 1
    # With the same share of three times as many items more is hit.
    synthetic = report.columns["synthetic"].values
    for model in FEW:
        assert (synthetic["HR@10"][model].value or 1) < (synthetic["HR@10 of the catalogue"][model].value or 0)
        assert report.columns["real"].values["HR@10"] == report.columns["real"].values["HR@10 of the catalogue"]
    # Personal models know more than degrees, where there is more.
    real, null = report.columns["real"].values["NDCG@10"], report.columns["null"].values["NDCG@10"]
    assert (real["SVD"].value or 0) > (real["popularity"].value or 1)
    assert (null["SVD"].value or 1) < (real["SVD"].value or 0) / 2


def test_a_ranking_agrees_with_itself() -> None:
    base = fr.leave_last_out(fr.sample_interactions(400, 80, 12_000, seed=2))
    # Everything is kept, and nothing is added.
    expansion = fr.Expansion(base, [[1.0]], shuffle="none", max_keep=1.0)
    models = {"popularity": Popularity(), "SVD": TruncatedSVD(8), "noise": Noise()}
    found = fr.rank_agreement(base, expansion, models=models, repeats=1, threads=1)
    for metric in found.judged:
        agreed = found.columns["synthetic"].agreement[metric]
        assert (agreed.tau.value, agreed.kept.value) == (1.0, 1.0)
        assert ("SVD", "noise") in found.decisive[metric]


class Noise(Recommender):
    """Knows nothing; another one knows nothing else."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, train: Matrix) -> Scores:
        rng = np.random.default_rng([self.seed, train.nnz])
        table = rng.random(train.shape)
        return lambda users: table[users]


def test_models_that_know_nothing_are_not_ranked(base: fr.Base) -> None:
    models = {f"noise {seed}": Noise(seed) for seed in range(6)}
    found = fr.rank_agreement(base, expanded(base), models=models, repeats=2, threads=1)
    for column in ("ceiling", "thinned", "synthetic", "null"):
        low, high = found.columns[column].agreement["NDCG@10"].tau.interval or (1, 1)
        assert low <= 0 <= high
    assert found.verdict.startswith("not for ranking")
    assert "hint: profile paper" in str(found)
    assert "hint" not in str(replace(found, subject=found.subject | {"profile": "paper"}))


def test_one_judge_of_several_expansions(base: fr.Base, report: fr.RankReport) -> None:
    judge = Judge(base, models=FEW, repeats=2)
    first = judge.judge(expanded(base), threads=1)
    assert {**first.to_dict(), "seconds": 0} == {**report.to_dict(), "seconds": 0}
    other = judge.judge(expanded(base, shuffle="block"), threads=1)
    assert other.columns["real"].values == first.columns["real"].values
    assert other.columns["synthetic"].values != first.columns["synthetic"].values


def test_what_was_dropped_can_be_no_negative(base: fr.Base, report: fr.RankReport) -> None:
    masked = fr.rank_agreement(base, expanded(base), models=FEW, repeats=2, threads=1, mask_dropped=True)
    for model in FEW:
        before, after = (one.columns["synthetic"].values["HR@10"][model].value for one in (report, masked))
        assert (after or 0) > (before or 1)
    assert masked.columns["thinned"].values == report.columns["thinned"].values


def test_samples_are_ranked_where_there_are_many(base: fr.Base) -> None:
    found = fr.rank_agreement(base, expanded(base), models=FEW, repeats=1, threads=1, most_users=90, most_items=100)
    assert found.subject["ranked"] == "90 users, 80 items"


def test_as_values_and_text(report: fr.RankReport, tmp_path: Path) -> None:
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert set(content) >= {"verdict", "verdicts", "real", "ceiling", "thinned", "synthetic", "null"}
    figure = content["synthetic"]["HR@10"]["models"]["SVD"]
    assert set(figure) == {"value", "interval"}
    assert set(content["ceiling"]["NDCG@10"]) == {"tau", "kept", "apart", "decisive", "reversed", "models"}
    assert set(content["settings"]) == {"real", "thinned", "synthetic"}
    report.save_json(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == content
    with pytest.raises(fr.OutputError, match="cannot write"):
        report.save_json(tmp_path / "no" / "report.json")
    text = str(report)
    assert report.verdict in text
    for words in (*FEW, *report.columns, "decisive pairs kept", "Kendall's τ"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 150


class Lists:
    """A model of somebody else: fewer items than asked for, or others, if told so."""

    def __init__(self, fewer: int = 0, beyond: int = 0) -> None:
        self.fewer, self.beyond = fewer, beyond

    def fit(self, train: Matrix) -> None:
        self.train = train.toarray()

    def recommend(self, users: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
        popular = self.train.sum(axis=0) - 1e9 * self.train[users]
        return np.asarray(np.argsort(-popular, axis=1)[:, : k - self.fewer] + self.beyond)


def test_a_model_that_lists_ranks_as_one_that_scores(base: fr.Base) -> None:
    models: dict[str, Any] = {"scores": Popularity(), "lists": Lists(), "SVD": TruncatedSVD(4)}
    found = fr.rank_agreement(base, expanded(base), models=models, repeats=1, threads=1)
    for column in found.columns.values():
        # Ties of popularity are broken by one of them.
        for metric in ("HR@10", "NDCG@10 of the catalogue"):
            scores, lists = (column.values[metric][name].value or 0 for name in ("scores", "lists"))
            assert lists == pytest.approx(scores, abs=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 80}, "k is 80, and there are 80 items"),
        ({"k": 0}, "k must be a whole number, 1 or more"),
        ({"repeats": 0}, "repeats must be a whole number"),
        ({"most_users": 59}, "most_users must be a whole number, 60 or more"),
        ({"most_items": 0}, "most_items must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"threads": 0}, "threads is 0"),
        ({"models": {"one": Popularity()}}, "there are 1 models; a ranking needs at least three"),
        ({"models": FEW | {"none": "EASE"}}, "'EASE' is no model"),
        ({"models": FEW | {"short": Lists(fewer=1)}}, "Lists.recommend returned int64 of shape"),
        ({"models": FEW | {"beyond": Lists(beyond=9)}}, "Lists.recommend returned items"),
    ],
)
def test_refusals(base: fr.Base, settings: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"models": FEW, "repeats": 1} | settings
    with pytest.raises(fr.InputError, match=re.escape(message)):
        fr.rank_agreement(base, expanded(base), **given)


def test_a_model_without_scores_is_named(base: fr.Base) -> None:
    class Nothing(Recommender):
        def fit(self, train: Matrix) -> Scores:
            return lambda users: np.full((len(users), train.shape[1]), np.nan)

    for given in (Nothing(), [Nothing(), Nothing()]):
        with pytest.raises(fr.InputError, match="scores of mine are NaN"):
            fr.rank_agreement(base, expanded(base), models=FEW | {"mine": given}, repeats=1, threads=1)


def test_too_few_users_and_no_test_and_another_source(base: fr.Base) -> None:
    few = fr.leave_last_out(fr.sample_interactions(50, 40, 600))
    with pytest.raises(fr.InputError, match="50 users have train and test interactions, too few for halves"):
        fr.rank_agreement(few, expanded(few), models=FEW)
    whole = fr.leave_last_out(fr.sample_interactions(200, 80, 4_000), split="none")
    with pytest.raises(fr.InputError, match="nothing is held out for test"):
        fr.rank_agreement(whole, expanded(whole), models=FEW)
    other = fr.leave_last_out(fr.sample_interactions(200, 80, 4_000, seed=3))
    with pytest.raises(fr.InputError, match="the expansion is of other data") as refused:
        fr.rank_agreement(other, expanded(base), models=FEW)
    assert refused.value.hint == "give the base that it was made of: rank_agreement(expansion.base, expansion)"
    with pytest.raises(fr.InputError, match="it must be an Expansion"):
        fr.rank_agreement(base, base, models=FEW)  # type: ignore[arg-type]
    # One item each: nobody can be ranked on what is left.
    pairs = fr.Interactions(pa.table({"user_id": np.arange(400) // 2, "item_id": np.arange(400) % 90}))
    sparse = fr.leave_last_out(pairs)
    thin = fr.Expansion(sparse, [[0.01]], min_keep=0.0)
    with pytest.raises(fr.InputError, match="users can be ranked, too few for an interval"):
        fr.rank_agreement(sparse, thin, models=FEW, repeats=1)


def test_too_little_memory_is_said_before_anything_is_fitted(base: fr.Base) -> None:
    class Large(Popularity):
        def memory(self, shape: tuple[int, int]) -> int:  # noqa: ARG002
            return 1 << 60

        def fit(self, train: Matrix) -> Scores:
            raise AssertionError(train)

    with pytest.raises(fr.InputError, match="ranking 400 users and 240 items takes about") as refused:
        fr.rank_agreement(base, expanded(base), models={"one": Popularity(), "two": ItemKNN(), "large": Large()})
    assert refused.value.hint == "lower most_users or most_items"


def test_what_does_not_take_the_size_is_left_out(base: fr.Base) -> None:
    class Small(Popularity):
        def takes(self, shape: tuple[int, int]) -> bool:
            return shape[0] < 300

    found = fr.rank_agreement(base, expanded(base), models=FEW | {"small": Small()}, repeats=1, threads=1)
    assert found.subject["models"] == [*FEW]
    with pytest.raises(fr.InputError, match="fewer than three of them take 400 users and 240 items"):
        fr.rank_agreement(base, expanded(base), models={"a": Small(), "b": Popularity(), "c": Popularity()})


def test_another_seed_is_the_same_but_for_chance(base: fr.Base) -> None:
    expansion = expanded(base, shuffle="cells", max_keep=0.8, seed=1)
    again = reseeded(reseeded(expansion, 9), 1)
    assert again.fingerprint == expansion.fingerprint
    assert reseeded(expansion, 9).fingerprint != expansion.fingerprint
