"""How hard interactions are to factorise: what the leading singular values capture, and what their vectors recall."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fractalrs.statistics.arrays import Numbers, descending

if TYPE_CHECKING:
    import scipy.sparse as sp

_Matrix: TypeAlias = "sp.csr_array[Any, tuple[int, int]]"
_SCORES = 1 << 24
"""Scores that are held at a time."""
_PART = 8
"""A part of the catalogue is a so manieth of it."""


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


def _within(scores: npt.NDArray[Any], owners: npt.NDArray[Any], targets: npt.NDArray[Any], within: int) -> int:
    """Count targets that are among the first of their row, in the middle of equal ones."""
    found, bounds = 0, np.searchsorted(owners, np.arange(len(scores) + 1))
    for row, first, last in zip(scores, bounds, bounds[1:], strict=False):
        wanted = row[targets[first:last]]
        # Most have too many above them in a small part of the catalogue already.
        part = row[: -(-len(row) // _PART)]
        for target in wanted[(part > wanted[:, None]).sum(axis=1) < within]:
            if (above := np.count_nonzero(row > target)) < within:
                found += bool((above + np.count_nonzero(row >= target) - 1) / 2 < within)
    return found


def recall_by_rank(
    factors: npt.NDArray[Any], train: _Matrix, test: _Matrix, ranks: Sequence[int], share: float = 0.01
) -> list[float | None]:
    """Compute how many test interactions a factorisation finds in the first share of the catalogue, by its rank.

    A user x of train interactions is scored x V_k V_kᵀ with the k leading right singular vectors (PureSVD: Cremonesi,
    Koren and Turrin 2010). Items of its train interactions are left out of its ranking; among equal scores a test item
    stands in the middle. `factors` are the vectors in columns, `train` and `test` the rows of the same users, `ranks`
    rise. The result is the share of test interactions among the first ⌈share · items⌉ of their user's ranking, one
    number a rank; None without test interactions, or with fewer vectors than the rank.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> train, test = csr_array([[1.0, 0.0, 0.0]]), csr_array([[0.0, 1.0, 0.0]])
    >>> recall_by_rank(np.array([[0.8], [0.6], [0.0]]), train, test, [1, 2], share=1 / 3)
    [1.0, None]
    """
    users, items = train.shape
    known = [rank for rank in ranks if rank <= factors.shape[1]]
    within = max(1, int(np.ceil(share * items - 1e-9)))
    found = np.zeros(len(known))
    step = max(1, _SCORES // items)
    scores, items_last = np.empty((step, items), dtype=factors.dtype), np.ascontiguousarray(factors.T)
    for first in range(0, users if test.nnz else 0, step):
        own, asked = train[first : first + step], test[first : first + step]
        # In another precision than the factors' these would be converted for every rank.
        tastes, here = (own @ factors).astype(factors.dtype), scores[: own.shape[0]]
        rows, owners = (np.repeat(np.arange(len(here)), np.diff(each.indptr)) for each in (own, asked))
        for place, rank in enumerate(known):
            # NumPy leaves products of one column and one row to a slow loop.
            times = np.matmul if rank > 1 else np.multiply
            times(tastes[:, :rank], items_last[:rank], out=here)
            here[rows, own.indices] = -np.inf
            found[place] += _within(here, owners, asked.indices, within)
    shares = [float(count / test.nnz) if test.nnz else None for count in found]
    return shares + [None] * (len(ranks) - len(known))
