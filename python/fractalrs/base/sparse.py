"""A sparse matrix beside its transpose: products with dense vectors, on threads, the same to the bit on any number."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from fractalrs._core import sparse_product, sparse_transpose
from fractalrs.tools import resolve_threads

if TYPE_CHECKING:
    import scipy.sparse as sp

_Floats = npt.NDArray[np.float64]
_Csr: TypeAlias = "sp.csr_array[np.float64, tuple[int, int]]"


@dataclass(frozen=True, eq=False)
class Rows:
    """A matrix in CSR form: row i has ``columns[starts[i]:starts[i + 1]]``; all values are 1 where there are none.

    Attributes
    ----------
    starts : int64, shape (p + 1,)
    columns : int32, shape (nnz,)
    values : float64, shape (nnz,), or None
    """

    starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    values: _Floats | None = None


def csr_arrays(matrix: _Csr) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], _Floats]:
    """Return starts, columns and values of a matrix of SciPy's as the core takes them.

    Examples
    --------
    >>> import scipy.sparse
    >>> [part.tolist() for part in csr_arrays(scipy.sparse.csr_array([[1.0, 0.0, 2.0]]))]
    [[0, 2], [0, 2], [1.0, 2.0]]
    """
    values = np.ascontiguousarray(matrix.data, np.float64)
    return np.asarray(matrix.indptr, np.int64), np.asarray(matrix.indices, np.int32), values


@dataclass(frozen=True, eq=False)
class Sparse:
    """A p × q matrix by its rows, and by the rows of its transpose: both products read rows alone.

    Examples
    --------
    >>> import scipy.sparse
    >>> matrix = Sparse.of(scipy.sparse.csr_array([[1.0, 0.0, 2.0]]))
    >>> (matrix @ np.ones((3, 1))).tolist(), (matrix.T @ np.ones((1, 1))).tolist()
    ([[3.0]], [[1.0], [0.0], [2.0]])

    Attributes
    ----------
    rows, turned : Rows
        Those of the matrix, and of its transpose.
    """

    rows: Rows
    turned: Rows

    @classmethod
    def of(cls, matrix: _Csr) -> Self:
        """Take a matrix of SciPy's."""
        starts, columns, all_values = csr_arrays(matrix)
        values = None if np.all(all_values == 1) else all_values
        turned = sparse_transpose(starts, columns, values, matrix.shape[1], threads=resolve_threads(None))
        return cls(Rows(starts, columns, values), Rows(*turned))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows.starts) - 1, len(self.turned.starts) - 1

    @property
    def count(self) -> int:
        """Number of entries."""
        return len(self.rows.columns)

    @property
    def has_entries(self) -> bool:
        """Whether any entry is not zero."""
        return self.count > 0 if self.rows.values is None else bool(self.rows.values.any())

    @property
    def T(self) -> "Sparse":  # noqa: N802 - as NumPy and SciPy call it
        """The transpose; nothing is copied."""
        return Sparse(self.turned, self.rows)

    def __matmul__(self, vectors: npt.NDArray[Any]) -> _Floats:
        """Multiply with vectors, one a column; each sum is taken in the order of a row's entries."""
        rows, dense = self.rows, np.ascontiguousarray(vectors, np.float64)
        return sparse_product(rows.starts, rows.columns, rows.values, dense, threads=resolve_threads(None))

    def to_scipy(self) -> _Csr:
        """Return it as a matrix of SciPy's."""
        import scipy.sparse as sp

        values = np.ones(self.count) if self.rows.values is None else self.rows.values
        return sp.csr_array((values, self.rows.columns, self.rows.starts), shape=self.shape)
