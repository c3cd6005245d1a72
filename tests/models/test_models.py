"""The recommenders: against hand-made examples, slow readable versions, and those of the library `implicit`."""

import sys
from typing import Any

import implicit.nearest_neighbours
import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares

import fractalrs as fr
from fractalrs.models import (
    BM25,
    BPR,
    EASE,
    FAMILIES,
    IALS,
    MODELS,
    OF_IMPLICIT,
    ItemKNN,
    Matrix,
    Popularity,
    Recommender,
    RP3beta,
    TruncatedSVD,
    UserKNN,
    as_recommender,
    installed_families,
)

Floats = npt.NDArray[np.float64]


def dense(users: int, items: int, seed: int = 0) -> Floats:
    return (np.random.default_rng(seed).random((users, items)) < 0.3).astype(np.float64)


def everybody(train: Matrix) -> npt.NDArray[np.int64]:
    return np.arange(train.shape[0])


def test_popularity_is_the_same_for_everybody() -> None:
    train = sp.csr_array(np.array([[1.0, 0, 0], [1, 1, 0]]))
    assert Popularity().fit(train)(everybody(train)).tolist() == [[2, 1, 0], [2, 1, 0]]


@pytest.mark.parametrize("neighbours", [1, 3, 100])
def test_neighbours_of_items_are_those_of_a_loop(neighbours: int) -> None:
    table = dense(40, 15)
    items = table.shape[1]
    expected = np.zeros((items, items))
    for one in range(items):
        cosines = np.zeros(items)
        for other in range(items):
            both = np.sum(table[:, one] * table[:, other])
            if one != other and both:
                cosines[other] = both / np.sqrt(table[:, one].sum() * table[:, other].sum())
        least = np.sort(cosines)[::-1][min(neighbours, items - 1) - 1]
        expected[one] = np.where(cosines >= least, cosines, 0)
    train = sp.csr_array(table)
    np.testing.assert_allclose(ItemKNN(neighbours).fit(train)(everybody(train)), table @ expected, rtol=1e-12)


@pytest.mark.parametrize("model", [ItemKNN, UserKNN])
@pytest.mark.parametrize("neighbours", [-1, 0, 1.5])
def test_no_neighbours_are_refused_by_name(model: Any, neighbours: Any) -> None:
    with pytest.raises(fr.InputError, match="neighbours must be a whole number, 1 or more"):
        model(neighbours).fit(sp.csr_array(np.eye(3)))


def test_items_as_near_as_the_last_neighbour_are_neighbours_too() -> None:
    table = np.array([[1.0, 1, 1], [1.0, 1, 1]])
    scores = ItemKNN(neighbours=1).fit(sp.csr_array(table))(np.arange(1))
    # Each item has both others.
    np.testing.assert_allclose(scores, [[2, 2, 2]])


def test_the_decomposition_is_the_best_of_its_rank() -> None:
    table = dense(30, 12)
    train = sp.csr_array(table)
    u, s, vt = np.linalg.svd(table, full_matrices=False)
    np.testing.assert_allclose(TruncatedSVD(3).fit(train)(everybody(train)), (u[:, :3] * s[:3]) @ vt[:3], atol=1e-8)
    np.testing.assert_allclose(TruncatedSVD(100).fit(train)(everybody(train)), table, atol=1e-8)


@pytest.mark.parametrize("shape", [(60, 12), (12, 60)])
def test_ease_is_its_closed_formula(shape: tuple[int, int]) -> None:
    table = dense(*shape)
    table[:, 3] = 0
    inverse = np.linalg.inv(table.T @ table + 7 * np.eye(shape[1]))
    weights = np.eye(shape[1]) - inverse / np.diag(inverse)
    assert np.allclose(np.diag(weights), 0)
    train = sp.csr_array(table)
    np.testing.assert_allclose(EASE(7.0).fit(train)(np.arange(5)), table[:5] @ weights, atol=1e-10)


def test_ease_refuses_what_it_cannot_invert() -> None:
    model, train = EASE(most=10), sp.csr_array(np.ones((11, 12)))
    assert not model.takes(train.shape)
    assert model.takes((10, 1_000_000))
    with pytest.raises(fr.InputError, match="at most 10 of the fewer, and there are 11 users and 12 items"):
        model.fit(train)


CLOSED = {name: family[1] for name, family in FAMILIES.items() if len(family) > 1 and name not in OF_IMPLICIT}


@pytest.mark.parametrize("name", [*MODELS, *CLOSED])
def test_names_and_order_of_items_decide_nothing(name: str) -> None:
    table = dense(40, 30, seed=3)
    order = np.random.default_rng(1).permutation(30)
    train, renamed = sp.csr_array(table), sp.csr_array(table[:, order])
    model = (MODELS | CLOSED)[name]
    assert model.takes(train.shape)
    found = model.fit(train)(everybody(train))[:, order]
    np.testing.assert_allclose(found, model.fit(renamed)(everybody(renamed)), atol=1e-8)


def nearest_of(similar: Floats, neighbours: int) -> Floats:
    """Keep of each row the largest, those that tie with the last too, and never its own."""
    similar = similar.copy()
    np.fill_diagonal(similar, 0)
    least = np.sort(similar, axis=1)[:, ::-1][:, min(neighbours, len(similar)) - 1, None]
    return np.where(similar >= least, similar, 0)


@pytest.mark.parametrize("neighbours", [1, 4, 100])
def test_neighbours_of_users_are_those_of_a_table(neighbours: int) -> None:
    table = dense(25, 14)
    table[3] = 0
    lengths = np.sqrt(np.maximum(table.sum(axis=1), 1))
    cosines = table @ table.T / np.outer(lengths, lengths)
    train = sp.csr_array(table)
    expected = nearest_of(cosines, neighbours) @ table
    np.testing.assert_allclose(UserKNN(neighbours).fit(train)(everybody(train)), expected, rtol=1e-12)


@pytest.mark.parametrize(("beta", "neighbours"), [(0.0, 100), (0.7, 3)])
def test_walks_are_those_of_a_table(beta: float, neighbours: int) -> None:
    table = dense(25, 14)
    table[:, 5] = 0
    users, items = np.maximum(table.sum(axis=1), 1), np.maximum(table.sum(axis=0), 1)
    steps = (table.T / items[:, None]) @ (table / users[:, None]) / items**beta
    train = sp.csr_array(table)
    expected = table @ nearest_of(steps, neighbours)
    np.testing.assert_allclose(RP3beta(beta, neighbours).fit(train)(everybody(train)), expected, rtol=1e-12)


def test_item_neighbours_are_those_of_the_library() -> None:
    table = dense(60, 20)
    library = implicit.nearest_neighbours.ItemItemRecommender(K=20)
    library.fit(implicit.nearest_neighbours.normalize(table.T).T.tocsr(), show_progress=False)
    others = library.similarity.toarray()
    np.fill_diagonal(others, 0)
    train = sp.csr_array(table)
    np.testing.assert_allclose(ItemKNN(20).fit(train)(everybody(train)), table @ others, rtol=1e-6)


def test_bm25_is_the_libraries_and_its_formula() -> None:
    table = dense(60, 20)
    length = table.sum(axis=0)
    weighted = table * 2.2 / (1.2 * (0.5 + 0.5 * length / length.mean()) + 1)
    weighted *= (np.log(20) - np.log1p(table.sum(axis=1)))[:, None]
    train = sp.csr_array(table)
    found = BM25(neighbours=20, b=0.5).fit(train)(everybody(train))
    np.testing.assert_allclose(found, table @ (weighted.T @ weighted), rtol=1e-5)


def test_alternating_least_squares_is_the_libraries() -> None:
    train = sp.csr_array(dense(60, 20))
    found = IALS(8, 5.0, seed=3).fit(train)(everybody(train))
    assert (found == IALS(8, 5.0, seed=3).fit(train)(everybody(train))).all()
    settings: dict[str, Any] = {"factors": 8, "alpha": 5.0, "regularization": 1.0, "iterations": 15, "random_state": 3}
    library = AlternatingLeastSquares(num_threads=1, **settings)
    library.fit(sp.csr_matrix(train), show_progress=False)
    np.testing.assert_allclose(found, library.user_factors @ library.item_factors.T, atol=1e-4)
    # Converged, it is a fixed point: each user's factors solve the ridge regression on items that is theirs.
    one = AlternatingLeastSquares(num_threads=1, **settings | {"iterations": 200, "factors": 3})
    one.fit(sp.csr_matrix(train), show_progress=False)
    items, weights = one.item_factors.astype(float), 1 + 4 * train.toarray()[0]
    solved = np.linalg.solve(items.T * weights @ items + np.eye(3), items.T @ (weights * train.toarray()[0]))
    np.testing.assert_allclose(one.user_factors[0], solved, atol=2e-2)


def test_a_seed_decides_bpr_and_it_learns_what_is_liked() -> None:
    # Two groups of users with items of their own.
    table = np.kron(np.eye(2), np.ones((30, 12))) * dense(60, 24, 5)
    train = sp.csr_array(table)
    found = BPR(8, iterations=40, seed=1).fit(train)(everybody(train))
    assert (found == BPR(8, iterations=40, seed=1).fit(train)(everybody(train))).all()
    assert (found != BPR(8, iterations=40, seed=2).fit(train)(everybody(train))).any()
    own, other = found[:30, :12].mean(), found[:30, 12:].mean()
    assert own > other + 1


@pytest.mark.parametrize("name", OF_IMPLICIT)
def test_what_to_install_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit", None)
    with pytest.raises(fr.InputError, match="iALS, BPR and BM25 need implicit, which is not installed") as refused:
        FAMILIES[name][0].fit(sp.csr_array(np.ones((3, 3))))
    assert refused.value.hint == 'pip install "fractalrs[models]"'
    assert set(installed_families()) == set(FAMILIES) - set(OF_IMPLICIT)


class Lists:
    """A model of somebody else: every user gets what it is given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def fit(self, train: Matrix) -> None:
        train.data[:] = 7

    def recommend(self, users: npt.NDArray[np.int64], k: int) -> Any:
        return self.answer(users, k) if callable(self.answer) else self.answer


def test_lists_of_another_model_are_scores() -> None:
    train = sp.csr_array(np.array([[1.0, 0, 0, 0], [0, 1, 1, 0]]))
    answers = np.array([[3, 1, 2], [0, 3, 3]])
    scores = as_recommender(Lists(lambda users, k: answers[users, :k]), 3).fit(train)
    assert scores(np.array([0])).tolist() == [[0, 2, 1, 3]]
    # Of the second user only two are left: the first one's list does not depend on that.
    assert scores(np.array([0, 1])).tolist() == [[0, 2, 1, 3], [2, 0, 0, 1]]
    assert scores(np.array([1])).tolist() == [[2, 0, 0, 1]]
    assert train.data.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.array([[1]]), r"Lists.recommend returned int64 of shape \(1, 1\), not whole numbers"),
        (np.array([[1, 2, 3]]), r"of shape \(1, 3\), not whole numbers of \(1, 2\)"),
        (np.array([[1.0, 2.0]]), "returned float64"),
        ([[1], [2, 3]], "not whole numbers"),
        (np.array([[1, 4]]), "returned items 1 to 4; there are 0 to 3"),
        (np.array([[-1, 2]]), "returned items -1 to 2; there are 0 to 3"),
        (np.array([[2, 2]]), "returned an item twice for one user"),
    ],
)
def test_lists_that_are_none_are_refused(answer: Any, message: str) -> None:
    scores = as_recommender(Lists(answer), 2).fit(sp.csr_array(np.array([[1.0, 0, 0, 0]])))
    with pytest.raises(fr.InputError, match=message):
        scores(np.array([0]))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(fr.InputError, match="'EASE' is no model"):
        as_recommender("EASE", 10)

    class Half:
        def fit(self, train: Matrix) -> None: ...

    with pytest.raises(fr.InputError, match="Half has fit, but no recommend"):
        as_recommender(Half(), 10)


def test_every_family_has_settings_that_differ_and_says_what_it_needs() -> None:
    assert len(FAMILIES) == 9
    for family in FAMILIES.values():
        assert len(set(family)) == len(family)
        assert all(isinstance(model, Recommender) for model in family)
    assert EASE().memory((100, 7)) == 2 * 8 * 49
    assert Popularity().memory((100, 7)) == 0
