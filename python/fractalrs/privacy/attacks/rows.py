"""What attacks do with rows of ones: count an entry once, and say how alike two rows are."""

import numpy as np
import scipy.sparse as sp

from fractalrs.privacy.attacks.annealing import Floats, Matrix


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
    return np.asarray((one @ sp.csc_array(two.T)).toarray(), np.float32)
