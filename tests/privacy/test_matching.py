"""Matching: it finds a copy whatever its order, claims nobody who is not there, and does not deceive itself."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.privacy.attacks.annealing import Integers, Matrix
from fractalrs.privacy.attacks.likelihoods import Likelihoods
from fractalrs.privacy.attacks.matching import CERTAIN, Matches, match, match_known
from fractalrs.privacy.attacks.rows import products

KEEP = 0.9


def histories(users: int, seed: int = 4) -> Matrix:
    return fr.leave_last_out(fr.sample_interactions(users, 250, 60 * users, seed=seed)).train


def thinned(matrix: Matrix, keep: float, seed: int) -> Matrix:
    coo = matrix.tocoo()
    kept = np.random.default_rng(seed).random(coo.nnz) < keep
    return sp.csr_array((coo.data[kept], (coo.row[kept], coo.col[kept])), shape=coo.shape)


def shuffled(matrix: Matrix, seed: int) -> tuple[Matrix, Integers, Integers]:
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(matrix.shape[0]), rng.permutation(matrix.shape[1])
    return sp.csr_array(matrix[rows][:, columns]), rows, columns


@pytest.fixture(scope="module")
def people() -> Matrix:
    return histories(240)


@pytest.fixture(scope="module")
def copy(people: Matrix) -> tuple[Matrix, Integers, Integers]:
    """Of the first half of the people."""
    return shuffled(thinned(people[:120], KEEP, 1), 2)


def claimed(matches: Matches) -> Integers:
    return np.flatnonzero(matches.margins > CERTAIN)


def test_a_shuffled_copy_is_found_and_nobody_else(people: Matrix, copy: tuple[Matrix, Integers, Integers]) -> None:
    block, rows, _ = copy
    matches = match(block, people, KEEP)
    found = claimed(matches)
    assert (found < 120).sum() >= 114
    assert (found >= 120).sum() <= 1
    right = rows[matches.rows[found]] == found
    assert right.mean() >= 0.99


def test_half_of_each_history_is_enough_for_many(people: Matrix, copy: tuple[Matrix, Integers, Integers]) -> None:
    block, rows, _ = copy
    matches = match(block, thinned(people, 0.5, 3), KEEP, 0.5)
    found = claimed(matches)
    assert (found < 120).sum() >= 60
    assert (found >= 120).sum() <= 2
    assert (rows[matches.rows[found[found < 120]]] == found[found < 120]).mean() >= 0.95


@pytest.mark.parametrize("seed", range(6))
def test_of_other_people_next_to_nobody_is_claimed(seed: int) -> None:
    """The search explains rows by whatever columns it likes: those that it did not use must not be explained too."""
    block, _, _ = shuffled(thinned(histories(120, seed=10 + seed), KEEP, seed), seed)
    assert len(claimed(match(block, histories(120, seed=50 + seed), KEEP))) <= 2


def test_noise_claims_nobody(people: Matrix) -> None:
    rng = np.random.default_rng(0)
    noise = sp.csr_array((rng.random(people.shape) < people.nnz / np.prod(people.shape)).astype(float))
    assert len(claimed(match(noise, people, KEEP))) <= 2


def test_neither_order_of_rows_nor_of_candidates_matters_much(
    people: Matrix, copy: tuple[Matrix, Integers, Integers]
) -> None:
    block, _, _ = copy
    first = claimed(match(block, people, KEEP))
    again, _, _ = shuffled(block, 9)
    backwards = claimed(match(again, people[::-1], KEEP))
    common = np.intersect1d(first, len(people.indptr) - 2 - backwards)
    assert len(common) >= 0.97 * len(first)


def test_known_columns_tell_at_a_third_too(people: Matrix) -> None:
    block = thinned(people[:120], 0.3, 5)
    matches = match_known(block, people, 0.3)
    found = claimed(matches)
    assert (found < 120).sum() >= 80
    assert (matches.rows[found] == found).mean() >= 0.99


def likelihood_ratios(block: Matrix, told: Matrix, keep: float, known: float) -> np.ndarray:
    """Entry by entry: what is told of is kept or lost, what is not is as popular as it is."""
    noise, popular = 0.02, np.bincount(block.indices, minlength=block.shape[1]) + 0.5
    popular /= popular.sum()
    ratios = np.empty((block.shape[0], told.shape[0]))
    for row, seen in enumerate(block.toarray() > 0):
        for person, have in enumerate(told.toarray() > 0):
            other = keep * have.sum() * (1 - known) / known + noise * (keep * have.sum() + 1)
            expected = np.log(np.where(have, keep, other * popular))[seen].sum()
            expected += np.log(1 - keep) * (have & ~seen).sum() - other * popular[~have].sum()
            usual = max(seen.sum(), 1)
            ratios[row, person] = expected - (np.log(usual * popular)[seen].sum() - seen.sum())
    return ratios


def test_likelihood_ratios_are_those_of_the_model(people: Matrix) -> None:
    block, keep, known = thinned(people[:40], 0.4, 6), 0.4, 0.8
    told = thinned(people[:70], known, 7)
    expected = likelihood_ratios(block, told, keep, known)
    likelihoods = Likelihoods(block, told, keep, known)
    found = likelihoods.best()
    assert (found.rows == expected.argmax(axis=0)).all()
    np.testing.assert_allclose(found.of_candidates, np.sort(expected, axis=0)[:-3:-1], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.of_rows, np.sort(expected, axis=1).T[:-3:-1], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(likelihoods.sums(), np.exp(expected.clip(-50, 50)).sum(axis=0), rtol=1e-3)


def test_a_match_is_as_certain_as_its_rivals_leave_it(people: Matrix) -> None:
    block = thinned(people[:60], 0.5, 3)
    ratios, matches = likelihood_ratios(block, people, 0.5, 1.0), match_known(block, people, 0.5)
    best = ratios.argmax(axis=0)
    for person in range(people.shape[0]):
        row = best[person]
        others = np.delete(ratios[:, person], row).max(), np.delete(ratios[row], person).max()
        assert matches.rows[person] == row
        assert matches.margins[person] == pytest.approx(ratios[row, person] - max(*others, 0), rel=1e-3, abs=1e-2)


def test_nobody_and_somebody_alone_are_matched_too(people: Matrix) -> None:
    """Without candidates nothing is found; one alone has no rival but nobody."""
    block = thinned(people[:60], 0.5, 3)
    assert match_known(block, people[:0], 0.5).rows.size == 0
    alone = match_known(block, people[[7]], 0.5)
    ratios = likelihood_ratios(block, people[[7]], 0.5, 1.0)[:, 0]
    assert alone.rows.tolist() == [7]
    assert alone.margins[0] == pytest.approx(ratios[7] - max(np.delete(ratios, 7).max(), 0), rel=1e-3)


def test_products_are_those_of_dense_matrices() -> None:
    rng = np.random.default_rng(4)
    rows, others = (np.where(rng.random((n, 30)) < 0.2, rng.normal(size=(n, 30)), 0) for n in (50, 70))
    for one, other in ((rows, others), (rows[:0], others), (rows, others[:0])):
        found = products(sp.csr_array(one), sp.csr_array(other))
        assert found.shape == (len(one), len(other))
        np.testing.assert_allclose(found, one @ other.T, atol=1e-6)


def test_rows_of_other_columns_are_refused(people: Matrix) -> None:
    for compare in (products, partial(match_known, keep=0.5)):
        with pytest.raises(ValueError, match="rows of 250 columns and of 100 cannot be compared"):
            compare(people, people[:, :100])


def test_equals_are_not_told_apart() -> None:
    twins = sp.csr_array(np.ones((2, 8)))
    matches = match_known(twins, twins, 0.9)
    assert (matches.margins <= 0).all()


def test_a_block_without_interactions_tells_nothing(people: Matrix) -> None:
    empty: Matrix = sp.csr_array((50, 250))
    assert len(claimed(match(empty, people, KEEP))) == 0
    assert len(claimed(match_known(empty, people, KEEP))) == 0
