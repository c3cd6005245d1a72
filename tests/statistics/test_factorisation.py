"""How hard data are to factorise: captured norm and recall against the approximations themselves."""

import numpy as np
import pytest
import scipy.sparse as sp

from fractalrs import statistics
from fractalrs._core import standings  # noqa: PLC2701


def split(seed: int = 0) -> tuple[sp.csr_array, sp.csr_array]:
    """Draw train and test interactions of 60 users and 200 items, none in both; some users have no test item."""
    rng = np.random.default_rng(seed)
    tastes, kinds = rng.random((60, 4)) ** 3, rng.random((4, 200)) ** 3
    all_of_them = rng.random((60, 200)) < tastes @ kinds
    test = all_of_them & (rng.random((60, 200)) < 0.1)
    return sp.csr_array((all_of_them & ~test).astype(np.float64)), sp.csr_array(test.astype(np.float64))


def test_captured_norm_is_that_of_the_approximation() -> None:
    matrix = split()[0].toarray()
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    for rank in (1, 8, 60):
        approximation = (u[:, :rank] * s[:rank]) @ vt[:rank]
        found = statistics.captured_norm(s[::-1], int(matrix.sum()), rank)
        assert found == pytest.approx(np.square(approximation).sum() / np.square(matrix).sum(), rel=1e-12)
    assert statistics.captured_norm(s, int(matrix.sum()), 61) is None
    assert statistics.captured_norm(s, 0, 1) is None


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_recall_is_that_of_every_ranking(share: float) -> None:
    train, test = split()
    factors = np.linalg.svd(train.toarray())[2][:16].T
    ranks = [1, 3, 16, 40]
    found = statistics.recall_by_rank(factors, train, test, ranks, share)
    for rank, value in zip(ranks[:3], found, strict=False):
        scores = train.toarray() @ factors[:, :rank] @ factors[:, :rank].T
        scores[train.toarray() > 0] = -np.inf
        first = np.argsort(-scores, axis=1)[:, : int(share * 200)]
        hits = np.take_along_axis(test.toarray(), first, axis=1).sum()
        assert value == pytest.approx(hits / test.nnz, abs=1e-12)
    assert found[2] is not None
    assert found[2] > 2 * share
    assert found[3] is None


@pytest.mark.parametrize("threads", [1, 3])
def test_items_stand_where_sums_in_single_precision_put_them(threads: int) -> None:
    """Bit for bit: each sum is taken in the order of the factors."""
    train, test = split(1)
    rng = np.random.default_rng(2)
    # Of so few values many scores tie.
    factors, tastes = ((rng.integers(-3, 4, shape) / 7).astype(np.float32) for shape in ((6, 200), (60, 6)))
    known, asked = ((each.indptr.astype(np.int64), each.indices.astype(np.int32)) for each in (train, test))
    found = standings(tastes, factors, known, asked, [2, 5], enough=200, threads=threads).reshape(2, test.nnz, 2)
    for rank, standing in zip((2, 5), found, strict=True):
        scores = np.zeros((60, 200), dtype=np.float32)
        for k in range(rank):
            scores += tastes[:, k : k + 1] * factors[k]
        own = scores[test.nonzero()][:, None]
        scores[train.nonzero()] = -np.inf
        others = scores[test.nonzero()[0]]
        assert np.array_equal(standing[:, 0], (others > own).sum(axis=1))
        assert np.array_equal(standing[:, 1], (others == own).sum(axis=1))
        assert (standing[:, 1] > 1).any()


def test_recall_of_equal_scores_is_chance() -> None:
    """Nobody is known: all scores are 0, and a test item stands in the middle of its ranking."""
    nothing = sp.csr_array((3, 100))
    test = sp.csr_array((np.ones(3), ([0, 1, 2], [5, 50, 99])), shape=(3, 100))
    factors = np.full((100, 1), 0.1)
    assert statistics.recall_by_rank(factors, nothing, test, [1], share=0.4) == [0.0]
    assert statistics.recall_by_rank(factors, nothing, test, [1], share=0.6) == [1.0]
    assert statistics.recall_by_rank(factors, nothing, nothing, [1]) == [None]
