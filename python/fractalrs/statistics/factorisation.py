"""How hard interactions are to factorise: what the leading singular values capture, and what their vectors recall."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fractalrs._core import standings
from fractalrs.statistics.arrays import Numbers, descending

if TYPE_CHECKING:
    import scipy.sparse as sp

_Matrix: TypeAlias = "sp.csr_array[Any, tuple[int, int]]"


def captured_norm(singular_values: Numbers, interactions: int, rank: int) -> float | None:
    """Compute which share of a 0/1 matrix's squared Frobenius norm the best approximation of a rank captures.

    Σ_{k ≤ rank} σₖ² / interactions (Eckart and Young 1936), the singular values in any order: the less, the harder the
    matrix is to factorise. None where fewer are known, or there is no interaction.

    Examples
    --------
    >>> captured_norm(np.array([3.0, 2.0, 1.0]), 26, 2)
    0.5
    """
    if singular_values.size < rank or not interactions:
        return None
    return float(np.square(descending(singular_values)[:rank]).sum() / interactions)


def recall_by_rank(
    factors: npt.NDArray[Any],
    train: _Matrix,
    test: _Matrix,
    ranks: Sequence[int],
    share: float = 0.01,
    *,
    threads: int = 1,
) -> list[float | None]:
    """Compute how many test interactions a factorisation finds in the first share of the catalogue, by its rank.

    A user x of train interactions is scored x V_k V_kᵀ with the k leading right singular vectors (PureSVD: Cremonesi,
    Koren and Turrin 2010). Items of its train interactions are left out of its ranking; among equal scores a test item
    stands in the middle. `factors` are the vectors in columns, `train` and `test` the rows of the same users, `ranks`
    rise. Scores have single precision, and are the same on any number of threads. The result is the share of test
    interactions among the first ⌈share · items⌉ of their user's ranking, one number a rank; None without test
    interactions, or with fewer vectors than the rank.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> train, test = csr_array([[1.0, 0.0, 0.0]]), csr_array([[0.0, 1.0, 0.0]])
    >>> recall_by_rank(np.array([[0.8], [0.6], [0.0]]), train, test, [1, 2], share=1 / 3)
    [1.0, None]
    """
    items = train.shape[1]
    known = [rank for rank in ranks if rank <= factors.shape[1]]
    within = max(1, int(np.ceil(share * items - 1e-9)))
    if not (known and test.nnz):
        return [None] * len(ranks)
    narrow = np.asarray(factors, dtype=np.float32)
    tastes, by_factor = np.asarray(train @ narrow, dtype=np.float32), np.ascontiguousarray(narrow.T)
    found = standings(tastes, by_factor, _rows(train), _rows(test), known, enough=within, threads=threads)
    better, tied = np.moveaxis(found.reshape(len(known), test.nnz, 2), 2, 0).astype(np.int64)
    # Itself is among those that are tied.
    shares = (better + (tied - 1) / 2 < within).mean(axis=1)
    return [*shares.tolist(), *[None] * (len(ranks) - len(known))]


def _rows(matrix: _Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return where the rows of a matrix begin, and their columns."""
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
