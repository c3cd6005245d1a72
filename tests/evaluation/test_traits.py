"""What is measured of the candidates of a backcast, against slow versions."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp

from fractalrs.evaluation import Halves
from fractalrs.evaluation.traits import clustering, measures_of, singular_values, traits_of
from fractalrs.models import MODELS, Popularity, Recommender


@pytest.mark.parametrize("shape", [(25, 12), (12, 25)])
def test_clustering_counts_squares(shape: tuple[int, int]) -> None:
    table = (np.random.default_rng(1).random(shape) < 0.3).astype(float)
    squares = sum(
        table[u, i] * table[u, j] * table[v, i] * table[v, j]
        for u, v in combinations(range(shape[0]), 2)
        for i, j in combinations(range(shape[1]), 2)
    )
    paths = sum((table[u].sum() - 1) * (table[:, i].sum() - 1) for u, i in np.argwhere(table))
    assert clustering(sp.csr_array(table)) == pytest.approx(4 * squares / paths)
    assert clustering(sp.csr_array(np.ones(shape))) == 1
    assert clustering(sp.csr_array(np.eye(4))) is None


def test_singular_values_of_both_ways() -> None:
    table = (np.random.default_rng(1).random((30, 12)) < 0.3).astype(float)
    expected = np.linalg.svd(table, compute_uv=False)
    for matrix in (table, table.T):
        np.testing.assert_allclose(singular_values(sp.csr_array(matrix), 5), expected[:5])
        np.testing.assert_allclose(singular_values(sp.csr_array(matrix), 5, dense_side=10), expected[:5])
        np.testing.assert_allclose(singular_values(sp.csr_array(matrix), 99), expected, atol=1e-7)


def test_a_model_too_large_and_a_rank_too_high_have_no_value() -> None:
    rng = np.random.default_rng(2)
    place = rng.random((40, 30))
    halves = Halves(sp.csr_array((place < 0.2).astype(float)), sp.csr_array((place > 0.95).astype(float)))

    class Small(Popularity):
        def takes(self, shape: tuple[int, int]) -> bool:
            return shape[0] < 40

    models: dict[str, Recommender] = {"popularity": MODELS["popularity"], "small": Small()}
    traits = traits_of(halves, models, most_users=99, seed=0)
    assert traits.hits["small"] is None
    assert traits.captured(15) == pytest.approx(np.square(traits.singular_values[:15]).sum() / halves.train.nnz)
    assert traits.captured(16) is None
    none = {measure.name for measure in measures_of(models) if measure.distance(traits, traits) is None}
    assert none == {"HR@10 of small", "HR@10 of small: mean", "norm captured at rank 64", "norm captured at rank 256"}
    # Of the truth itself nothing is far.
    found = [measure.distance(traits, traits) for measure in measures_of(models)]
    assert {one for one in found if one is not None} == {0}
