"""What attacks do with rows of ones: count an entry once, and say how alike two rows are."""

import numpy as np
import scipy.sparse as sp

from fractalrs._core import product_of_sparse
from fractalrs.privacy.attacks.annealing import Floats, Matrix
from fractalrs.tools import resolve_threads


def ones(matrix: Matrix) -> Matrix:
    """Return the matrix that has 1 wherever something is."""
    found = sp.csr_array(matrix)
    found.sum_duplicates()
    found.data = np.ones_like(found.data)
    return found


def cosines(rows: Matrix, others: Matrix) -> Floats:
    """Return the cosine of each row of ones with each other one; 0 with one that is empty."""
    one, two = (
        sp.csr_array(sp.diags_array(1 / np.sqrt(np.maximum(np.diff(matrix.indptr), 1))) @ matrix)
        for matrix in (rows, others)
    )
    return products(one, two)


def products(rows: Matrix, others: Matrix) -> Floats:
    """Return the product of each row with each other one: float32, rows × others."""
    one, two = (
        (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float64))
        for matrix in (rows, sp.csr_array(others.T))
    )
    return product_of_sparse(one, two, others.shape[0], threads=resolve_threads(None))
