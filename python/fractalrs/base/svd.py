"""Leading singular triples of a sparse matrix, sorted, paired, signed and checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
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
Triples = tuple[Any, Any, Any]
"""Left vectors (p, k), values (k,) and right vectors (k, q)."""
Solver = Callable[["sp.csr_array[np.float64, tuple[int, int]]", int, int], Triples]


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

    def residual(self, matrix: "sp.csr_array[np.float64, tuple[int, int]]") -> float:
        """Return how far these are from being singular triples of `matrix`.

        Returns
        -------
        float
            The largest of ‖R vᵢ − σᵢ uᵢ‖ and ‖Rᵀ uᵢ − σᵢ vᵢ‖ over all i, divided by σ₁.
        """
        left = np.linalg.norm(matrix @ self.vt.T - self.u * self.s, axis=0)
        right = np.linalg.norm(matrix.T @ self.u - self.vt.T * self.s, axis=0)
        return float(max(left.max(), right.max()) / self.s[0])


def truncated_svd(
    matrix: "sp.csr_array[np.float64, tuple[int, int]]", k: int, seed: int, *, solver: Solver | None = None
) -> SVD:
    """Compute the k leading singular triples of a sparse matrix.

    Parameters
    ----------
    matrix
        Shape (p, q), float64.
    k
        Number of triples, at least 1 and at most min(p, q).
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

    Reduction, cells and statistics want nearly the same triples. So at least 16 are computed at a time, and kept as
    long as the base: what a caller gets does not depend on who asked before.

    Parameters
    ----------
    base
        p users × q items.
    k, seed
        As in `truncated_svd`.

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


def arpack(matrix: "sp.csr_array[np.float64, tuple[int, int]]", k: int, seed: int) -> Triples:
    """Return what ARPACK finds, in any order and with any signs."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, svds

    transpose = matrix.T
    # Given a bare matrix, `svds` would copy it to form its adjoint.
    operator = LinearOperator(
        matrix.shape,
        matvec=lambda x: matrix @ x,
        rmatvec=lambda y: transpose @ y,
        matmat=lambda x: matrix @ x,
        rmatmat=lambda y: transpose @ y,
        dtype=matrix.dtype,
    )
    try:
        return svds(
            operator,
            k=k,
            ncv=None,
            tol=0,
            which="LM",
            v0=np.random.default_rng(seed).standard_normal(min(matrix.shape)),
            maxiter=None,
            return_singular_vectors=True,
            solver="arpack",
            options=None,
        )
    except ArpackError as error:
        raise InputError(
            f"the {k} leading singular values of the train part could not be found: {error}",
            hint="try another seed or fewer singular values (smaller multipliers)",
        ) from error
