"""What attacks do with rows of ones: count an entry once, and say how alike two rows are."""

import numpy as np
import scipy.sparse as sp

from fractalrs._core import product_of_sparse
from fractalrs.base import csr_arrays
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
    """Return the product of each row with each other one of as many columns: float32, rows × others."""
    check_columns(rows, others)
    one, two = csr_arrays(rows), csr_arrays(sp.csr_array(others.T))
    return product_of_sparse(one, two, others.shape[0], threads=resolve_threads(None))


def check_columns(rows: Matrix, others: Matrix) -> None:
    """Refuse matrices whose columns are not the same."""
    if rows.shape[1] != others.shape[1]:
        raise ValueError(f"rows of {rows.shape[1]:,} columns and of {others.shape[1]:,} cannot be compared")
