"""The recommenders: against hand-made examples and slow, readable versions."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.evaluation import EASE, MODELS, ItemKNN, Popularity, TruncatedSVD

Floats = npt.NDArray[np.float64]


def dense(users: int, items: int, seed: int = 0) -> Floats:
    return (np.random.default_rng(seed).random((users, items)) < 0.3).astype(np.float64)


def test_popularity_is_the_same_for_everybody() -> None:
    train = sp.csr_array(np.array([[1.0, 0, 0], [1, 1, 0]]))
    assert Popularity().fit(train)(train).tolist() == [[2, 1, 0], [2, 1, 0]]


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
    np.testing.assert_allclose(ItemKNN(neighbours).fit(train)(train), table @ expected, rtol=1e-12)


def test_items_as_near_as_the_last_neighbour_are_neighbours_too() -> None:
    table = np.array([[1.0, 1, 1], [1.0, 1, 1]])
    scores = ItemKNN(neighbours=1).fit(sp.csr_array(table))(sp.csr_array(np.array([[1.0, 0, 0]])))
    np.testing.assert_allclose(scores, [[0, 1, 1]])


def test_the_decomposition_is_the_best_of_its_rank() -> None:
    table = dense(30, 12)
    train = sp.csr_array(table)
    u, s, vt = np.linalg.svd(table, full_matrices=False)
    np.testing.assert_allclose(TruncatedSVD(3).fit(train)(train), (u[:, :3] * s[:3]) @ vt[:3], atol=1e-8)
    np.testing.assert_allclose(TruncatedSVD(100).fit(train)(train), table, atol=1e-8)


@pytest.mark.parametrize("shape", [(60, 12), (12, 60)])
def test_ease_is_its_closed_formula(shape: tuple[int, int]) -> None:
    table = dense(*shape)
    table[:, 3] = 0
    inverse = np.linalg.inv(table.T @ table + 7 * np.eye(shape[1]))
    weights = np.eye(shape[1]) - inverse / np.diag(inverse)
    assert np.allclose(np.diag(weights), 0)
    train = sp.csr_array(table)
    np.testing.assert_allclose(EASE(7.0).fit(train)(train[:5]), table[:5] @ weights, atol=1e-10)


def test_ease_refuses_what_it_cannot_invert() -> None:
    model, train = EASE(most=10), sp.csr_array(np.ones((11, 12)))
    assert not model.takes(train.shape)
    assert model.takes((10, 1_000_000))
    with pytest.raises(fr.InputError, match="at most 10 of the fewer, and there are 11 users and 12 items"):
        model.fit(train)


@pytest.mark.parametrize("name", MODELS)
def test_names_and_order_of_items_decide_nothing(name: str) -> None:
    table = dense(40, 30, seed=3)
    order = np.random.default_rng(1).permutation(30)
    train, renamed = sp.csr_array(table), sp.csr_array(table[:, order])
    assert MODELS[name].takes(train.shape)
    np.testing.assert_allclose(MODELS[name].fit(train)(train)[:, order], MODELS[name].fit(renamed)(renamed), atol=1e-8)
