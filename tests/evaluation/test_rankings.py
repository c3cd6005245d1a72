"""Rankings of what is held out: by hand, with ties, and against many random orders of those that tie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.evaluation import Halves, Rankings, rank
from fractalrs.models import Popularity

Floats = npt.NDArray[np.float64]


def halves(train: npt.ArrayLike, test: npt.ArrayLike) -> Halves:
    return Halves(sp.csr_array(np.array(train, dtype=float)), sp.csr_array(np.array(test, dtype=float)))


def ranked(scores: npt.ArrayLike, data: Halves, ks: Sequence[int] = (1, 2)) -> Rankings:
    found = rank(lambda users: np.array(scores, dtype=float)[: len(users)], data, ks)
    assert found is not None
    return found


def test_train_items_do_not_count() -> None:
    data = halves([[1, 0, 0, 0]], [[0, 0, 1, 0]])
    found = ranked([[9, 3, 2, 1]], data)
    assert found == Rankings({1: 0, 2: 1}, {1: 0, 2: 1}, {1: 0, 2: float(1 / np.log2(3))}, 0.5, 1)


def test_several_held_out_items() -> None:
    data = halves([[1, 0, 0, 0, 0]], [[0, 1, 0, 1, 0]])
    found = ranked([[0, 9, 8, 7, 6]], data, (1, 2, 3))
    assert found.hr == {1: 1, 2: 1, 3: 1}
    assert found.recall == {1: 0.5, 2: 0.5, 3: 1}
    ideal = 1 + 1 / np.log2(3)
    assert found.ndcg == pytest.approx({1: 1, 2: 1 / ideal, 3: (1 + 0.5) / ideal})
    assert found.mrr == pytest.approx((1 + 1 / 3) / 2)


def test_a_tie_counts_for_its_share() -> None:
    # Three tie after one that is better: ranks 2, 3 and 4 are alike.
    data = halves([[1, 0, 0, 0, 0]], [[0, 0, 1, 0, 0]])
    found = ranked([[0, 9, 5, 5, 5]], data, (1, 2, 3, 4))
    assert found.hr == pytest.approx({1: 0, 2: 1 / 3, 3: 2 / 3, 4: 1})
    assert found.mrr == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert found.ndcg[3] == pytest.approx((1 / np.log2(3) + 1 / np.log2(4)) / 3)


def test_scores_that_say_nothing_have_what_chance_has() -> None:
    rng = np.random.default_rng(0)
    place = rng.random((50, 20))
    data = halves(place < 0.2, place > 0.95)
    found = rank(lambda users: np.zeros((len(users), 20)), data, (5,))
    assert found is not None
    kept = (data.train.sum(axis=1) > 0) & (data.test.sum(axis=1) > 0)
    free: Floats = 20 - data.train.sum(axis=1)[kept]
    assert found.recall[5] == pytest.approx(float(np.mean(5 / free)))
    assert found.users == kept.sum()


def test_ties_are_the_mean_of_all_their_orders() -> None:
    rng = np.random.default_rng(2)
    place = rng.random((30, 12))
    data = halves(place < 0.2, place > 0.7)
    scores = rng.integers(3, size=(30, 12)).astype(float)
    users = np.flatnonzero((data.train.sum(axis=1) > 0) & (data.test.sum(axis=1) > 0))
    found = ranked(scores[users], data, (1, 4))

    def broken() -> Floats:
        one = ranked(scores[users] + rng.random((len(users), 12)) / 2, data, (1, 4))
        return np.array([one.hr[1], one.hr[4], one.recall[4], one.ndcg[4], one.mrr])

    many = np.mean([broken() for _ in range(600)], axis=0)
    exact = [found.hr[1], found.hr[4], found.recall[4], found.ndcg[4], found.mrr]
    np.testing.assert_allclose(many, exact, atol=0.006)


def test_pieces_and_samples() -> None:
    rng = np.random.default_rng(5)
    place = rng.random((80, 20))
    data = halves(place < 0.2, place > 0.9)
    scores = Popularity().fit(data.train)
    whole = rank(scores, data)
    assert whole == rank(scores, data, rows_at_once=3)
    some = rank(scores, data, most_users=10, seed=1)
    assert whole is not None
    assert some is not None
    assert some.users == 10
    assert some == rank(scores, data, most_users=10, seed=1)
    assert some != rank(scores, data, most_users=10, seed=2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.full((1, 4), np.nan), "4 of 4 scores of it are NaN"),
        ([[1, np.nan, 2, 3]], "1 of 4 scores of it are NaN"),
        (np.ones((1, 5)), r"the scores of it are of shape \(1, 5\), not \(1, 4\)"),
        (np.ones((2, 4)), r"of shape \(2, 4\), not \(1, 4\)"),
        (np.ones(4), r"of shape \(4,\), not"),
        ([[1, 2, 3, "much"]], "the scores of it are no numbers"),
        ([[1], [2, 3]], "are no numbers, or of rows of different length"),
    ],
)
def test_scores_that_are_none_are_refused(given: Any, message: str) -> None:
    data = halves([[1, 0, 0, 0]], [[0, 0, 1, 0]])
    with pytest.raises(fr.InputError, match=message):
        rank(lambda _: given, data, name="it")


def test_nobody_to_rank() -> None:
    data = halves([[1, 0], [0, 0]], [[0, 0], [0, 1]])
    assert rank(Popularity().fit(data.train), data) is None
