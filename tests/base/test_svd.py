import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from fractalrs.base import SVD, TOLERANCE, Base, Sparse, canonical, leading_svd, orthonormal, tall, truncated_svd
from fractalrs.base.svd import Triples, block_lanczos
from fractalrs.errors import InputError
from fractalrs.tools import allowed_threads

Matrix = sp.csr_array[np.float64, tuple[int, int]]


def random_matrix(p: int, q: int, density: float, seed: int = 0) -> Matrix:
    rng = np.random.default_rng(seed)
    return sp.csr_array((rng.random((p, q)) < density).astype(np.float64))


@pytest.fixture(scope="module", params=[(700, 300), (300, 700), (30, 20)], ids=["tall", "wide", "small"])
def matrix(request: pytest.FixtureRequest) -> Matrix:
    p, q = request.param
    return random_matrix(p, q, density=0.1)


def reversed_pairing(svd: SVD) -> SVD:
    """Singular values in descending order beside vectors in ascending order."""
    return SVD(svd.u[:, ::-1], svd.s, svd.vt[::-1])


def test_equals_the_dense_decomposition(matrix: Matrix) -> None:
    svd = truncated_svd(matrix, 8, seed=0)
    expected = np.linalg.svd(matrix.toarray(), compute_uv=False)[:8]
    np.testing.assert_allclose(svd.s, expected, rtol=1e-12)
    assert svd.u.shape == (matrix.shape[0], 8)
    assert svd.vt.shape == (8, matrix.shape[1])
    np.testing.assert_allclose(svd.u.T @ svd.u, np.eye(8), atol=1e-12)
    np.testing.assert_allclose(svd.vt @ svd.vt.T, np.eye(8), atol=1e-12)


def test_triples_are_paired_and_sorted(matrix: Matrix) -> None:
    svd = truncated_svd(matrix, 8, seed=0)
    assert np.all(np.diff(svd.s) <= 0)
    for i in range(8):
        assert np.linalg.norm(matrix @ svd.vt[i] - svd.s[i] * svd.u[:, i]) <= TOLERANCE * svd.s[0]
        assert np.linalg.norm(matrix.T @ svd.u[:, i] - svd.s[i] * svd.vt[i]) <= TOLERANCE * svd.s[0]


def test_the_residual_tells_a_reversed_pairing(matrix: Matrix) -> None:
    svd = truncated_svd(matrix, 8, seed=0)
    assert svd.residual(matrix) <= TOLERANCE
    assert reversed_pairing(svd).residual(matrix) > 0.1


@pytest.mark.parametrize("part", ["u", "s", "vt"])
def test_the_residual_tells_a_wrong_part(matrix: Matrix, part: str) -> None:
    svd = truncated_svd(matrix, 8, seed=0)
    damaged = getattr(svd, part).copy()
    damaged.flat[0] += 0.01
    assert dataclasses.replace(svd, **{part: damaged}).residual(matrix) > TOLERANCE


def test_the_residual_looks_at_both_sides(matrix: Matrix) -> None:
    # Any vector and its image satisfy one of the two equations.
    right = np.full((1, matrix.shape[1]), matrix.shape[1] ** -0.5)
    left = matrix @ right.T
    length = np.linalg.norm(left, axis=0)
    assert SVD(left / length, length, right).residual(matrix) > 0.01
    left = np.full((matrix.shape[0], 1), matrix.shape[0] ** -0.5)
    right = (matrix.T @ left).T
    length = np.linalg.norm(right, axis=1)
    assert SVD(left, length, right / length[:, None]).residual(matrix) > 0.01


def test_triples_that_are_not_paired_are_refused() -> None:
    matrix = random_matrix(700, 300, density=0.1)

    def mispaired(*problem: Any) -> Triples:
        u, s, vt = block_lanczos(*problem)
        return u[:, ::-1], s, vt[::-1]

    with pytest.raises(InputError, match="inaccurate"):
        truncated_svd(matrix, 8, seed=0, solver=mispaired)


def test_an_unsorted_solver_does_no_harm() -> None:
    matrix = random_matrix(700, 300, density=0.1)
    expected = truncated_svd(matrix, 8, seed=0)

    def shuffled(*problem: Any) -> Triples:
        u, s, vt = block_lanczos(*problem)
        order = np.random.default_rng(0).permutation(len(s))
        return u[:, order], s[order], vt[order]

    svd = truncated_svd(matrix, 8, seed=0, solver=shuffled)
    np.testing.assert_array_equal(svd.s, expected.s)
    np.testing.assert_array_equal(svd.u, expected.u)


def test_signs_are_settled(matrix: Matrix) -> None:
    svd = truncated_svd(matrix, 8, seed=0)
    other = truncated_svd(matrix, 8, seed=1)
    assert np.all(svd.vt[np.arange(8), np.abs(svd.vt).argmax(axis=1)] > 0)
    np.testing.assert_allclose(svd.vt, other.vt, atol=1e-8)
    np.testing.assert_allclose(svd.u, other.u, atol=1e-8)


def test_the_seed_settles_every_bit(matrix: Matrix) -> None:
    one, two = truncated_svd(matrix, 8, seed=5), truncated_svd(matrix, 8, seed=5)
    np.testing.assert_array_equal(one.u, two.u)
    np.testing.assert_array_equal(one.vt, two.vt)


@pytest.mark.parametrize(("p", "q"), [(1, 1), (1, 5), (5, 1), (4, 3), (2000, 3)])
def test_all_triples_of_tiny_and_thin_matrices(p: int, q: int) -> None:
    matrix = random_matrix(p, q, density=0.9)
    k = min(p, q)
    svd = truncated_svd(matrix, k, seed=0)
    np.testing.assert_allclose(svd.s, np.linalg.svd(matrix.toarray(), compute_uv=False)[:k], atol=1e-12)


def test_all_but_one_triple_of_a_matrix_too_large_to_be_dense() -> None:
    matrix = random_matrix(30_000, 6, density=0.5)
    svd = truncated_svd(matrix, 5, seed=0)
    np.testing.assert_allclose(svd.s, np.linalg.svd(matrix.toarray(), compute_uv=False)[:5], rtol=1e-10)


def test_a_matrix_of_low_rank() -> None:
    matrix = sp.csr_array(np.ones((700, 300)))
    svd = truncated_svd(matrix, 4, seed=0)
    np.testing.assert_allclose(svd.s, [np.sqrt(210_000), 0, 0, 0], atol=1e-6)


@pytest.mark.parametrize("k", [0, 21])
def test_too_few_or_too_many_triples(k: int) -> None:
    with pytest.raises(InputError, match=f"{k} singular values"):
        truncated_svd(random_matrix(30, 20, density=0.5), k, seed=0)


def test_a_matrix_without_entries() -> None:
    with pytest.raises(InputError, match="no interaction"):
        truncated_svd(sp.csr_array((700, 300), dtype=np.float64), 3, seed=0)


def test_leading_triples_do_not_depend_on_who_asked_before() -> None:
    rng = np.random.default_rng(3)
    interacts = rng.random((400, 500)) < 0.1
    users, items = np.nonzero(interacts)
    indptr = np.concatenate([[0], np.cumsum(interacts.sum(axis=1))])
    first, second = (Base.from_arrays(indptr, items, np.zeros(len(users), bool)) for _ in range(2))
    few = leading_svd(first, 3)
    leading_svd(second, 40)
    leading_svd(second, 16)
    again = leading_svd(second, 3)
    assert np.array_equal(few.s, again.s)
    assert np.array_equal(few.u, again.u)
    assert few.vt.shape == (3, 500)
    assert np.allclose(few.s, truncated_svd(first.train, 3, seed=0).s, rtol=1e-9)


# --- the iteration ---------------------------------------------------------------------------------------------------

K = 6


@pytest.mark.parametrize("k", [10, 17, 20, 31])
def test_more_equal_values_than_a_block_holds_are_all_found(k: int) -> None:
    sizes = [80] * 12 + list(range(60, 12, -1))
    matrix = sp.csr_array(sp.block_diag([np.ones((size, size)) for size in sizes], format="csr"))
    np.testing.assert_allclose(truncated_svd(matrix, k, seed=0).s, sizes[:k], rtol=1e-9)


def spectra() -> dict[str, Matrix]:
    """Matrices that are not decomposed whole, of all kinds of shapes and spectra."""
    rng = np.random.default_rng(7)
    values = sp.csr_array(np.where(rng.random((500, 400)) < 0.05, rng.standard_normal((500, 400)), 0))
    low = sp.csr_array((rng.random((600, 4)) < 0.3).astype(np.float64) @ (rng.random((4, 400)) < 0.3))
    # Six blocks of ones alike: six singular values that are equal, and no others.
    repeated = sp.csr_array(np.kron(np.eye(6), np.ones((100, 70))))
    return {
        "tall": random_matrix(1_500, 400, 0.05),
        "wide": random_matrix(400, 1_500, 0.05),
        "square": random_matrix(500, 500, 0.05),
        "thin": random_matrix(3_000, 40, 0.3),
        "many rows": random_matrix(20_000, 200, 0.01),
        "skewed": sp.csr_array(
            (rng.random((800, 600)) < np.outer(rng.random(800), rng.random(600) ** 4)).astype(float)
        ),
        "values": values,
        "low rank": low,
        "repeated": repeated,
        "one entry": sp.csr_array(([2.0], ([3], [250])), shape=(600, 400)),
        "empty rows": sp.csr_array(np.vstack((np.zeros((100, 500)), random_matrix(600, 500, 0.05).toarray()))),
    }


SPECTRA = spectra()


@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("k", [1, K, 30])
def test_any_spectrum(kind: str, k: int) -> None:
    matrix = SPECTRA[kind]
    dense = matrix.toarray()
    expected = np.linalg.svd(dense, compute_uv=False)[:k]
    svd = truncated_svd(matrix, k, seed=1)
    np.testing.assert_allclose(svd.s, expected, rtol=1e-10, atol=1e-12 * expected[0])
    np.testing.assert_allclose(svd.u.T @ svd.u, np.eye(k), atol=1e-11)
    np.testing.assert_allclose(svd.vt @ svd.vt.T, np.eye(k), atol=1e-11)
    assert svd.residual(matrix) <= 1e-8
    np.testing.assert_allclose(svd.sampled_residual(Sparse.of(matrix)), svd.residual(matrix), atol=1e-8)


@pytest.mark.parametrize("kind", SPECTRA)
def test_threads_do_not_matter(kind: str) -> None:
    results = []
    for threads in (1, 2, 3):
        with allowed_threads(threads):
            results.append(truncated_svd(SPECTRA[kind], K, seed=2))
    for other in results[1:]:
        for part in ("u", "s", "vt"):
            np.testing.assert_array_equal(getattr(other, part), getattr(results[0], part))


@pytest.mark.parametrize("kind", ["tall", "wide", "square", "skewed", "low rank"])
def test_many_pieces_of_rows_are_one_matrix(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = truncated_svd(SPECTRA[kind], K, seed=2)
    monkeypatch.setattr(tall, "ROWS", 32)
    found = []
    for threads in (1, 2, 3):
        with allowed_threads(threads):
            found.append(truncated_svd(SPECTRA[kind], K, seed=2))
    for other in found:
        np.testing.assert_allclose(other.s, whole.s, rtol=1e-12, atol=1e-12 * whole.s[0])
        for part in ("u", "s", "vt"):
            np.testing.assert_array_equal(getattr(other, part), getattr(found[0], part))


def test_restarts_find_the_same() -> None:
    # The values of noise are dense: with little room they take several restarts.
    matrix = random_matrix(1_400, 1_000, 0.02, seed=5)
    svd = truncated_svd(matrix, 5, seed=0)
    np.testing.assert_allclose(svd.s, np.linalg.svd(matrix.toarray(), compute_uv=False)[:5], rtol=1e-11)


def test_products_are_those_of_scipy() -> None:
    for matrix in SPECTRA.values():
        sparse, rng = Sparse.of(matrix), np.random.default_rng(0)
        assert sparse.shape == matrix.shape
        np.testing.assert_array_equal(sparse.to_scipy().toarray(), matrix.toarray())
        np.testing.assert_array_equal(sparse.T.to_scipy().toarray(), matrix.toarray().T)
        for width in (1, 5, 33):
            left, right = (rng.standard_normal((count, width)) for count in matrix.shape)
            np.testing.assert_allclose(sparse @ right, matrix.toarray() @ right, atol=1e-12)
            np.testing.assert_allclose(sparse.T @ left, matrix.toarray().T @ left, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_dependent_vectors_have_a_basis_too(scale: float) -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 4))
    vectors[:, 3] = vectors[:, 0] + scale * vectors[:, 3]
    for some in (vectors, vectors * 1e-150, np.zeros((50, 3))):
        basis, factor = orthonormal(some)
        np.testing.assert_allclose(basis.T @ basis, np.eye(some.shape[1]), atol=1e-12)
        np.testing.assert_allclose(basis @ factor, some, atol=1e-12 * (np.abs(some).max() or 1))


def test_one_decomposition_serves_both_orders() -> None:
    rng = np.random.default_rng(3)
    matrix = sp.csr_array(rng.random((400, 500)) < 0.1)
    base = Base.from_arrays(matrix.indptr, matrix.indices, item_ids=np.arange(500))
    known, svd = canonical(base), leading_svd(base, 7)
    assert known.svd(7).s is not None
    assert np.shares_memory(known.svd(7).s, svd.s)
    np.testing.assert_array_equal(svd.u[known.users], known.svd(7).u)
    np.testing.assert_array_equal(svd.vt[:, known.items], known.svd(7).vt)
    assert svd.residual(base.train) < 1e-8
    np.testing.assert_allclose(leading_svd(base, 7, seed=4).s, svd.s, rtol=1e-12)
