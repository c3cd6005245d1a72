"""The canonical order: it follows from the interactions alone."""

import numpy as np
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.base import Base, canonical, truncated_svd
from helpers.bases import base_of, random_pairs


def renamed(base: Base, seed: int) -> Base:
    """Give users and items other codes."""
    rng = np.random.default_rng(seed)
    p, q = base.shape
    matrix = base.train[rng.permutation(p)][:, rng.permutation(q)]
    matrix.sort_indices()
    return Base.from_arrays(matrix.indptr, matrix.indices, item_ids=np.arange(q))


BASES = {
    "sample": lambda: fr.leave_last_out(fr.sample_interactions(120, 90, 1_500)),
    "sparse": lambda: base_of(random_pairs(300, 400, 8, item_tail=0.3, seed=1)),
    "fat": lambda: base_of(random_pairs(200, 100, 15, user_tail=1.5, item_tail=1.5, seed=2)),
    "equal users": lambda: base_of(random_pairs(150, 80, 6, user_tail=0, seed=3)),
}


@pytest.fixture(params=BASES)
def base(request: pytest.FixtureRequest) -> Base:
    made: Base = BASES[request.param]()
    return made


def test_it_is_the_train_part_in_another_order(base: Base) -> None:
    known = canonical(base)
    expected = base.train[known.users][:, known.items]
    np.testing.assert_array_equal(known.matrix.toarray(), expected.toarray())
    assert known.matrix.has_sorted_indices
    for order, count in zip((known.users, known.items), base.shape, strict=True):
        np.testing.assert_array_equal(np.sort(order), np.arange(count))
    np.testing.assert_array_equal(known.user_degrees, expected.sum(axis=1))
    np.testing.assert_array_equal(known.item_degrees, expected.sum(axis=0))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", BASES)
def test_names_of_ids_do_not_matter(kind: str, seed: int) -> None:
    base = BASES[kind]()
    one, other = canonical(base), canonical(renamed(base, seed))
    for field in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(one.matrix, field), getattr(other.matrix, field))
    np.testing.assert_array_equal(one.svd(5).s, other.svd(5).s)
    np.testing.assert_array_equal(one.svd(5).u, other.svd(5).u)


def test_other_interactions_are_another_matrix() -> None:
    base = base_of(random_pairs(60, 50, 8, seed=4))
    dense = base.train.toarray() != 0
    known, others = canonical(base).matrix, 0
    for user in range(5):
        # The same degrees of users; one interaction is with another item.
        changed = dense.copy()
        changed[user, np.flatnonzero(dense[user])[0]] = False
        changed[user, np.flatnonzero(~dense[user])[0]] = True
        matrix = sp.csr_array(changed)
        other = canonical(Base.from_arrays(matrix.indptr, matrix.indices, item_ids=np.arange(50))).matrix
        others += known.nnz == other.nnz and not np.array_equal(known.toarray(), other.toarray())
    assert others == 5


def test_users_and_items_that_are_equal_stand_side_by_side() -> None:
    few = base_of(random_pairs(20, 40, 10, seed=5)).train.toarray() != 0
    rng = np.random.default_rng(0)
    dense = np.repeat(np.repeat(few, 3, axis=0), 2, axis=1)
    matrix = sp.csr_array(dense[rng.permutation(len(dense))][:, rng.permutation(dense.shape[1])])
    made = canonical(Base.from_arrays(matrix.indptr, matrix.indices, item_ids=np.arange(dense.shape[1]))).matrix
    for rows, copies in ((made.toarray(), 3), (made.toarray().T, 2)):
        for k in range(copies):
            np.testing.assert_array_equal(rows[k::copies], rows[::copies])


def test_test_interactions_have_no_influence() -> None:
    base = fr.leave_last_out(fr.sample_interactions(80, 60, 900))
    alone = Base.from_arrays(base.train.indptr, base.train.indices, item_ids=np.arange(60))
    assert base.test_count > 0
    np.testing.assert_array_equal(canonical(base).matrix.toarray(), canonical(alone).matrix.toarray())
    np.testing.assert_array_equal(canonical(base).users, canonical(alone).users)


def test_it_is_made_once_and_shares_its_leading_triples() -> None:
    base = base_of(random_pairs(200, 150, 12, seed=6))
    known = canonical(base)
    assert canonical(base) is known
    for k in (1, 64, 100):
        found = known.svd(k)
        assert found.u.shape == (200, k)
        assert found.vt.shape[0] == k
        np.testing.assert_allclose(found.s, truncated_svd(known.matrix, k, seed=0).s, rtol=1e-6)
