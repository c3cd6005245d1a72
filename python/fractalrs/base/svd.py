"""Leading singular triples of a sparse matrix, sorted, paired, signed and checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from fractalrs.base.base import Base
from fractalrs.errors import InputError
from fractalrs.tools import check_count

if TYPE_CHECKING:
    import scipy.sparse as sp

TOLERANCE = 1e-6
"""Largest accepted residual of a singular triple, relative to the largest singular value."""
_DENSE_ENTRIES = 100_000
"""Matrices of at most this many entries, zeros included, are decomposed whole: quicker, and never iterative."""
_LEADING_WIDTH = 16

_Floats = npt.NDArray[np.float64]
_Matrix: TypeAlias = "sp.csr_array[np.float64, tuple[int, int]]"
Triples = tuple[Any, Any, Any]
"""Left vectors (p, k), values (k,) and right vectors (k, q)."""
Solver = Callable[[_Matrix, int, int], Triples]


@dataclass(frozen=True, eq=False)
class SVD:
    """The k leading singular triples of a p × q matrix R: R vᵢ = σᵢ uᵢ and Rᵀ uᵢ = σᵢ vᵢ.

    Attributes
    ----------
    u : float64, shape (p, k)
        Left singular vectors, one a column.
    s : float64, shape (k,)
        Singular values, in descending order.
    vt : float64, shape (k, q)
        Right singular vectors, one a row; the component of largest magnitude of each is positive.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> leading_svd(base, 2).residual(base.train) < TOLERANCE
    True
    """

    u: _Floats
    s: _Floats
    vt: _Floats

    def residual(self, matrix: _Matrix) -> float:
        """Return how far these are from `matrix`: the largest ‖R vᵢ − σᵢ uᵢ‖ or ‖Rᵀ uᵢ − σᵢ vᵢ‖, divided by σ₁."""
        left = np.linalg.norm(matrix @ self.vt.T - self.u * self.s, axis=0)
        right = np.linalg.norm(matrix.T @ self.u - self.vt.T * self.s, axis=0)
        return float(max(left.max(), right.max()) / self.s[0])


def truncated_svd(matrix: _Matrix, k: int, seed: int, *, solver: Solver | None = None) -> SVD:
    """Compute the k leading singular triples of a sparse matrix.

    Parameters
    ----------
    matrix, k
        float64, shape (p, q), and the number of triples, at least 1 and at most min(p, q).
    seed
        Of the start vector of the iteration. Triples whose singular values differ do not depend on it beyond
        rounding.
    solver
        What iterates where the matrix is large; ARPACK by default. Nothing it returns is trusted.

    Returns
    -------
    SVD
        Every triple has a residual of at most 1e-6 σ₁.

    Raises
    ------
    InputError
        If the matrix is all zeros, k does not fit it, or the triples could not be found to that accuracy.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> truncated_svd(base.train, 3, seed=0).vt.shape
    (3, 40)
    """
    rank_limit = min(matrix.shape)
    check_count("k", k)
    check_count("seed", seed)
    if not 1 <= k <= rank_limit:
        raise InputError(f"{k} singular values were asked of a matrix that has {rank_limit}")
    if not matrix.data.any():
        raise InputError("the train part of the base has no interaction, so nothing can be learnt from it")
    # The iteration needs k < min(p, q).
    if k == rank_limit or matrix.shape[0] * matrix.shape[1] <= _DENSE_ENTRIES:
        import scipy.linalg

        u, s, vt = scipy.linalg.svd(matrix.toarray(), full_matrices=False)
    else:
        u, s, vt = (solver or arpack)(matrix, k, seed)
    # SciPy promises no order.
    order = np.argsort(-s, kind="stable")[:k]
    u, s, vt = u[:, order], s[order], vt[order]
    signs = np.sign(np.take_along_axis(vt, np.abs(vt).argmax(axis=1)[:, None], axis=1))
    svd = SVD(np.ascontiguousarray(u * signs.T), s, np.ascontiguousarray(vt * signs))
    residual = svd.residual(matrix)
    if not residual <= TOLERANCE:
        raise InputError(
            f"the {k} leading singular triples of the train part are inaccurate: residual {residual:.1e} σ₁",
            hint="try another seed or fewer singular values (smaller multipliers)",
        )
    return svd


_leading: WeakKeyDictionary[Base, dict[tuple[int, int], SVD]] = WeakKeyDictionary()


def leading_svd(base: Base, k: int, seed: int = 0) -> SVD:
    """Return the k leading singular triples of the train part of a base: computed, or those of an earlier call.

    In the order of codes: what need not depend on names of ids asks `Canonical.svd`. Reductions to several shapes,
    which a target may take, want nearly the same triples. So at least 16 are computed at a time, and kept as long as
    the base: what a caller gets does not depend on who asked before.

    `k` and `seed` are those of `truncated_svd`.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> leading_svd(base, 2).s.shape
    (2,)
    """
    width = min(max(k, _LEADING_WIDTH), *base.shape) if k <= min(base.shape) else k
    if width > _LEADING_WIDTH:
        # Nobody else asks for so many, and they take much memory.
        return truncated_svd(base.train, width, seed)
    known = _leading.setdefault(base, {})
    if (width, seed) not in known:
        known[width, seed] = truncated_svd(base.train, width, seed)
    svd = known[width, seed]
    return SVD(svd.u[:, :k], svd.s[:k], svd.vt[:k])


def arpack(matrix: _Matrix, k: int, seed: int) -> Triples:
    """Return what ARPACK finds, in any order and with any signs."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, svds

    columns = matrix.T
    # Given a bare matrix, `svds` would copy it to form its adjoint.
    operator = LinearOperator(
        matrix.shape, matrix.dot, rmatvec=columns.dot, matmat=matrix.dot, rmatmat=columns.dot, dtype=matrix.dtype
    )
    start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
    try:
        return svds(operator, k=k, v0=start, return_singular_vectors=True)
    except ArpackError as error:
        raise InputError(
            f"the {k} leading singular values of the train part could not be found: {error}",
            hint="try another seed or fewer singular values (smaller multipliers)",
        ) from error
