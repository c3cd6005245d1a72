"""Leading singular values of matrices that are never held in memory, and what theory says they should be."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.passes import StreamedMatrix, Vectors
from fractalrs.tools import readable

Floats = npt.NDArray[np.float64]

DEFAULT_COUNT = 64
VECTORS = 8
"""How many leading singular vectors are compared."""
BASIS_BYTES = 3 << 29
"""What the Krylov basis may take in memory: 1.5 GiB."""
TOLERANCE = 2e-3
"""A spectrum is done when a further step moves no value by more than this share of itself…"""
_EXACT = 1e-7
"""… or when the residuals bound every error by this share."""


@dataclass(frozen=True)
class Spectrum:
    """Leading singular values of a train part A.

    Attributes
    ----------
    values
        float64, (k), descending.
    bounds
        float64, (k): a singular value of A lies within this of each value: its square is within ‖AᵀA v − σ² v‖ of σ².
    right, left
        float64, (items, 8) and (users, 8): the leading singular vectors; fewer where k is smaller.
    """

    values: Floats
    bounds: Floats
    right: Floats
    left: Floats


def spectrum(
    rows: StreamedMatrix, count: int = DEFAULT_COUNT, *, tolerance: float = TOLERANCE, seed: int = 0
) -> Spectrum:
    """Find leading singular values by a block Krylov space of AᵀA, kept orthonormal in full.

    One pass over the rows a step, nothing else of A is needed (Golub & Van Loan, Matrix Computations, 10.3; for why
    few steps suffice without gaps between the values: Musco & Musco 2015). A value that occurs oftener than a step has
    vectors (16) may be found too few times.

    Parameters
    ----------
    rows
        The matrix A: its train part.
    count
        How many singular values, k.
    tolerance
        Stop when a step moves no value by more than this share of itself.
    seed
        Of the random start.

    Raises
    ------
    InputError
        If there are not so many singular values, or their basis does not fit into 1.5 GiB.
    """
    check(rows.shape, count)
    items = rows.shape[1]
    width = _width(items, count)
    most = max(4 * count, 640)
    double = items * min(items, most) * 8 <= BASIS_BYTES
    dtype = np.float64 if double else np.float32
    rounding, smallest = (1e-14, 1e-8) if double else (1e-5, 3e-4)
    size = min(items, most, BASIS_BYTES // (items * (8 if double else 4)))
    # Column by column: what is not filled takes no memory.
    basis = np.empty((items, size), dtype=dtype, order="F")
    projected = np.zeros((size, size))
    rng = np.random.default_rng(seed)
    block: Vectors = np.linalg.qr(rng.standard_normal((items, width)).astype(dtype))[0]
    filled, last, checked = 0, np.full(count, np.inf), 0
    while True:
        width = block.shape[1]
        basis[:, filled : filled + width] = block
        known = basis[:, : filled + width]
        image = rows.gram(block, f"spectrum, {filled + width} of at most {size}")
        coefficients = known.T @ image
        projected[: filled + width, filled : filled + width] = coefficients
        filled += width
        image -= known @ coefficients
        image -= known @ (known.T @ image)
        room = min(width, size - filled)
        block, coupling = np.linalg.qr(image)
        # Rounding leaves directions of no weight that are not orthogonal to the basis yet.
        block -= known @ (known.T @ block)
        block = np.linalg.qr(block)[0]
        # A large eigenproblem takes longer than a pass.
        if filled >= count and (filled <= 1024 or filled - checked >= count // 8 or room == 0):
            checked = filled
            upper = np.triu(projected[:filled, :filled])
            theta, vectors = np.linalg.eigh(upper + np.triu(upper, 1).T)
            theta, vectors = theta[::-1][:count], vectors[:, ::-1][:, :count]
            values = np.sqrt(np.maximum(theta, 0))
            floor = max(values[0] * smallest, np.finfo(np.float64).tiny)
            residual = np.linalg.norm(coupling @ vectors[-width:], axis=0) + rounding * theta[0]
            scale = np.maximum(values, floor)
            moved = np.abs(values - last) / scale
            exact = (residual / scale <= _EXACT * scale).all()
            if exact or room == 0 or (moved <= tolerance).all():
                break
            last = values
        block = np.ascontiguousarray(block[:, :room])
    # An eigenvalue σ² of AᵀA lies within the residual of each θ.
    squares = np.square(values)
    lowest, highest = np.sqrt(np.maximum(squares - residual, 0)), np.sqrt(squares + residual)
    bounds = np.maximum(values - lowest, highest - values)
    leading = min(VECTORS, count)
    right = np.asarray(basis[:, :filled] @ vectors[:, :leading].astype(dtype), dtype=np.float64)
    del basis
    left = np.asarray(rows.product(right), dtype=np.float64) / np.maximum(values[:leading], floor)
    return Spectrum(values, bounds, right, left)


def check(shape: tuple[int, int], count: int) -> None:
    """Refuse what `spectrum` would refuse, before the first pass."""
    users, items = shape
    if not 1 <= count <= min(users, items):
        raise InputError(f"cannot find {count} singular values of a matrix of {users} users × {items} items")
    least = min(items, count + 2 * _width(items, count))
    if items * least * 4 > BASIS_BYTES:
        raise InputError(
            f"{count} singular values need {readable(items * least * 4)} of memory, allowed are "
            f"{readable(BASIS_BYTES)}",
            hint="ask for fewer" if items * min(items, 33) * 4 <= BASIS_BYTES else "use --only integrity",
        )


def _width(items: int, count: int) -> int:
    return min(items, 16 if count <= 128 else 128)


def kronecker(keep_rates: Floats, real: Floats, count: int) -> Floats:
    """Leading singular values of the analytic product K ⊗ R (Theorem 1): all products of theirs, in order."""
    products = np.outer(np.linalg.svd(keep_rates, compute_uv=False), real)
    return np.asarray(np.sort(products.ravel())[::-1][:count])


def predicted(keep_rates: Floats, real: Floats, user_noise: Floats, item_noise: Floats, count: int) -> Floats:
    """Predict singular values of a written matrix whose blocks are aligned, or not shuffled at all.

    σ² = θ² + (u_Kᵀ diag(W·1) u_K)(u_Rᵀ diag(r) u_R) + (v_Kᵀ diag(Wᵀ·1) v_K)(v_Rᵀ diag(c) v_R), with θ = σ_a(K) σ_b(R)
    for every pair (a, b), W = K∘(1 − K) the variance of a kept entry, r and c the row and column sums of R: the
    product's own value and what dropout adds along its singular vectors, as far as it is first order.

    Parameters
    ----------
    keep_rates
        K, (m, n).
    real, user_noise, item_noise
        σ_b, u_Rᵀ diag(r) u_R and v_Rᵀ diag(c) v_R of the leading singular triples of R.
    count
        How many are wanted; fewer come back where there are fewer pairs.
    """
    u, s, vt = np.linalg.svd(keep_rates, full_matrices=False)
    spread = keep_rates * (1 - keep_rates)
    of_users = np.square(u).T @ spread.sum(axis=1)
    of_items = np.square(vt) @ spread.sum(axis=0)
    squares = np.outer(s, real) ** 2 + np.outer(of_users, user_noise) + np.outer(of_items, item_noise)
    return np.asarray(np.sqrt(np.sort(squares.ravel())[::-1][:count]))
