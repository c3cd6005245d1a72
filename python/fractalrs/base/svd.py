"""Leading singular triples of a sparse matrix, sorted, paired, signed and checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fractalrs.base.sparse import Sparse
from fractalrs.base.tall import product, squares, sum_by_rows
from fractalrs.errors import InputError
from fractalrs.tools import blas_threads, check_count

if TYPE_CHECKING:
    import scipy.sparse as sp

TOLERANCE = 1e-6
"""Largest accepted residual of a singular triple, relative to the largest singular value."""

CONVERGED = 1e-10
"""Iterations end when ‖RᵀR v − σ² v‖ is at most this times σ₁² for every triple: values have next to all digits, and
vectors are off by this over the gap between squares of neighbouring values, relative to σ₁²."""

BLOCK = 8
"""Vectors that are multiplied at a time: with more of them iterations take fewer steps, but more products. And …"""

ROOM = 6
"""… how many there are at most until a restart, for each triple wanted."""

_SMALL, _NOTHING = 1e-6, 1e-14
"""Of what G does to a block, so little beyond what is known has lost digits, or has none."""

_LEAST_ROOM, _LEAST_STEPS = 16, 12
"""Blocks: with less room iterations restart too often; after fewer steps equal values that no block holds at once may
not have been met."""
_RESTARTS = 100
_PROBES = 8
_DENSE_ENTRIES = 100_000
"""Matrices of at most this many entries, zeros included, are decomposed whole: quicker, and never iterative."""

_Floats = npt.NDArray[np.float64]
_Matrix: TypeAlias = "sp.csr_array[np.float64, tuple[int, int]]"
Triples = tuple[Any, Any, Any]
"""Left vectors (p, k), values (k,) and right vectors (k, q)."""
Solver = Callable[[Sparse, int, int], Triples]


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
    >>> truncated_svd(base.train, 2, seed=0).residual(base.train) < TOLERANCE
    True
    """

    u: _Floats
    s: _Floats
    vt: _Floats

    def residual(self, matrix: "Sparse | _Matrix") -> float:
        """Return how far these are from `matrix`: the largest ‖R vᵢ − σᵢ uᵢ‖ or ‖Rᵀ uᵢ − σᵢ vᵢ‖, divided by σ₁."""
        left = np.linalg.norm(matrix @ self.vt.T - self.u * self.s, axis=0)
        right = np.linalg.norm(matrix.T @ self.u - self.vt.T * self.s, axis=0)
        return float(max(left.max(), right.max()) / self.s[0])

    def sampled_residual(self, matrix: Sparse) -> float:
        """Return about the root of the sum of squares of all residuals, by random sums of the triples: quicker.

        It is less than a quarter of the largest residual with a chance of at most 1.4e-4.
        """
        probes = np.random.default_rng(0).standard_normal((len(self.s), _PROBES)) / np.sqrt(_PROBES)
        left = matrix @ (self.vt.T @ probes) - self.u @ (self.s[:, None] * probes)
        right = matrix.T @ (self.u @ probes) - self.vt.T @ (self.s[:, None] * probes)
        return float(max(np.linalg.norm(left), np.linalg.norm(right)) / self.s[0])


def truncated_svd(matrix: "Sparse | _Matrix", k: int, seed: int, *, solver: Solver | None = None) -> SVD:
    """Compute the k leading singular triples of a sparse matrix; the same, to the bit, on any number of threads.

    Parameters
    ----------
    matrix, k
        float64, shape (p, q), and the number of triples, at least 1 and at most min(p, q).
    seed
        Of the start vectors of the iteration. Triples whose singular values differ do not depend on it beyond
        rounding.
    solver
        What iterates where the matrix is large; `block_lanczos` by default. Nothing it returns is trusted.

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
    sparse = matrix if isinstance(matrix, Sparse) else Sparse.of(matrix)
    rank_limit = min(sparse.shape)
    check_count("k", k)
    check_count("seed", seed)
    if not 1 <= k <= rank_limit:
        raise InputError(f"{k} singular values were asked of a matrix that has {rank_limit}", hint="ask for fewer")
    if not sparse.has_entries:
        message = "the train part of the base has no interaction, so nothing can be learnt from it"
        raise InputError(message, hint="hold less out, or give more interactions")
    # On several threads the last bits would depend on how many.
    with blas_threads(1):
        # The iteration needs k < min(p, q).
        if k == rank_limit or sparse.shape[0] * sparse.shape[1] <= _DENSE_ENTRIES:
            import scipy.linalg

            u, s, vt = scipy.linalg.svd(sparse.to_scipy().toarray(), full_matrices=False)
        else:
            u, s, vt = (solver or block_lanczos)(sparse, k, seed)
        # A solver of one's own promises no order.
        order = np.argsort(-s, kind="stable")[:k]
        u, s, vt = u[:, order], s[order], vt[order]
        signs = np.sign(np.take_along_axis(vt, np.abs(vt).argmax(axis=1)[:, None], axis=1))
        svd = SVD(np.ascontiguousarray(u * signs.T), s, np.ascontiguousarray(vt * signs))
        residual = svd.sampled_residual(sparse)
    if not 4 * residual <= TOLERANCE:
        raise InputError(
            f"the {k} leading singular triples of the train part are inaccurate: residual {residual:.1e} σ₁",
            hint="try another seed or fewer singular values (smaller multipliers)",
        )
    return svd


def block_lanczos(matrix: Sparse, k: int, seed: int) -> Triples:
    """Return what the block Lanczos iteration for RᵀR, or RRᵀ if that is smaller, finds; see `CONVERGED`.

    All vectors are made orthogonal twice; where there is no room for more the leading ones are kept (thick restart, Wu
    and Simon 2000). Of a singular value that occurs oftener than a block is wide, as in a matrix of many equal
    components, some may be left out. The triples are those of R within the space that was found, so that small values
    lose no digits.
    """
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    count = tall.shape[1]
    room = max(ROOM * k, _LEAST_ROOM * BLOCK)
    if count <= room + BLOCK:
        # All of the space, then: a block at a time, for each takes as much memory as A has rows.
        units = np.eye(count)
        blocks = (np.ascontiguousarray(units[:, start : start + BLOCK]) for start in range(0, count, BLOCK))
        right = np.linalg.eigh(np.hstack([tall.T @ (tall @ unit) for unit in blocks]))[1][:, : -k - 1 : -1]
    else:
        right = _Lanczos(tall, room, np.random.default_rng(seed)).leading(k)
    basis, factor = orthonormal(tall @ np.ascontiguousarray(right))
    left, s, turn = np.linalg.svd(factor)
    u, vt = product(basis, left), turn @ right.T
    return (u, s, vt) if tall is matrix else (vt.T, s, u.T)


class _Lanczos:
    """The iteration for G = AᵀA: vectors V, one a column, the matrix VᵀGV, and the next block, orthogonal to V."""

    def __init__(self, matrix: Sparse, room: int, random: np.random.Generator) -> None:
        self.matrix, self.room, self.random = matrix, room, random
        self.vectors = np.zeros((matrix.shape[1], room + BLOCK))
        self.projected = np.zeros((room + BLOCK, room + BLOCK))
        self.filled = 0
        self.next = orthonormal(random.standard_normal((matrix.shape[1], BLOCK)))[0]
        self.coupling = np.zeros((BLOCK, 0))

    def leading(self, k: int) -> _Floats:
        """Return the leading eigenvectors of G."""
        keep = min(k + 2 * BLOCK, self.room - 2 * BLOCK)
        for _ in range(_RESTARTS):
            while self.filled + BLOCK <= self.room:
                self._extend()
                # In three times as many directions as are wanted hardly any is found sooner.
                if self.filled < min(max(3 * k, _LEAST_STEPS * BLOCK), self.room - BLOCK):
                    continue
                values, axes = np.linalg.eigh(self.projected[: self.filled, : self.filled])
                axes = axes[:, ::-1]
                missing = np.linalg.norm(self.coupling @ axes[-BLOCK:, :k], axis=0)
                if missing.max() <= CONVERGED * values[-1]:
                    return product(self.vectors[:, : self.filled], axes[:, :k])
            self._restart(values[::-1][:keep], axes[:, :keep])
        raise InputError(
            f"the {k} leading singular values of the train part could not be found",
            hint="try another seed or fewer singular values (smaller multipliers)",
        )

    def _extend(self) -> None:
        """Take the next block in, and make the one after it of what G does to it."""
        start, end = self.filled, self.filled + BLOCK
        self.vectors[:, start:end] = self.next
        known = self.vectors[:, :end]
        image = self.matrix.T @ (self.matrix @ self.next)
        along = sum_by_rows(len(image), lambda rows: known[rows].T @ image[rows])

        def removed(rows: slice) -> _Floats:
            image[rows] -= known[rows] @ along
            return np.asarray(known[rows].T @ image[rows])

        again = sum_by_rows(len(image), removed)
        image -= product(known, again)
        along += again
        self.projected[:end, start:end], self.projected[start:end, :end] = along, along.T
        self.filled = end
        self.next, self.coupling = orthonormal(image)
        size, scale = np.linalg.norm(self.coupling, axis=1), np.abs(along).max()
        if size.min() < _SMALL * scale:
            self._renew(known, size < _NOTHING * scale)

    def _renew(self, known: _Floats, lost: npt.NDArray[np.bool_]) -> None:
        """Make the next block orthogonal to all others again where little is left of it; nothing, of some directions.

        G leads nowhere new from there, what is left is rounding: any other direction will do.
        """
        self.coupling[lost] = 0
        self.next[:, lost] = self.random.standard_normal((len(known), int(lost.sum())))
        for _ in range(2):
            self.next -= known @ (known.T @ self.next)
            self.next, factor = np.linalg.qr(self.next)
            self.coupling = factor @ self.coupling

    def _restart(self, values: _Floats, axes: _Floats) -> None:
        """Keep the leading Ritz vectors alone; the next block stays."""
        keep = len(values)
        coupling = self.coupling @ axes[-BLOCK:]
        self.vectors[:, :keep] = product(self.vectors[:, : self.filled], axes)
        self.projected[:] = 0
        np.fill_diagonal(self.projected[:keep, :keep], values)
        self.filled, self.coupling = keep, coupling


def orthonormal(vectors: _Floats) -> tuple[_Floats, _Floats]:
    """Return an orthonormal basis of vectors, one a column, and the factor that gives them back: QR.

    By Cholesky's factor of their products, twice, where they are independent enough: several times as fast.

    Examples
    --------
    >>> basis, factor = orthonormal(np.array([[3.0, 1.0], [4.0, 0.0]]))
    >>> np.allclose(basis @ factor, [[3, 1], [4, 0]]), np.allclose(basis.T @ basis, np.eye(2))
    (True, True)
    """
    basis, factor = vectors, np.eye(vectors.shape[1])
    for _ in range(2):
        try:
            lower = np.linalg.cholesky(squares(basis))
        except np.linalg.LinAlgError:
            return np.linalg.qr(vectors)
        if not lower.diagonal().min() > _INDEPENDENT * lower.diagonal().max():
            return np.linalg.qr(vectors)
        basis, factor = product(basis, np.linalg.inv(lower).T), lower.T @ factor
    return basis, factor


_INDEPENDENT = 1e-5
"""Cholesky's factor of products loses twice as many digits as this has."""
