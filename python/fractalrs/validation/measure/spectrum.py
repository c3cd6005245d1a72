"""Leading singular values of matrices that are never held in memory."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fractalrs.base import orthonormal
from fractalrs.errors import InputError
from fractalrs.passes import StreamedMatrix, Vectors
from fractalrs.statistics import Floats
from fractalrs.tools import readable

DEFAULT_COUNT = 64
VECTORS = 8
"""How many leading singular vectors are compared."""
FACTORS = 64
"""How many right ones are kept to factorise with, in single precision."""
BASIS_BYTES = 3 << 29
"""What the Krylov basis may take in memory: 1.5 GiB."""
DOUBLE_BYTES = 1 << 27
"""A larger one has single precision, whose errors of 1e-5 are far below what is compared."""
TOLERANCE = 5e-3
"""A spectrum is done when no value lacks more than this share of itself, as the last steps tell…"""
_EXACT = 1e-7
"""… or when the residuals bound every error by this share."""
_LITTLE = 1e-3
"""Of a vector of which less than this share is new, rounding is too much: it is made orthogonal once more."""
_ROWS = 1 << 16


@dataclass(frozen=True)
class Spectrum:
    """Leading singular values of a train part A, and its leading singular vectors: 8, or k where that is smaller.

    Of the right ones more are kept, in single precision: 64, or k.
    """

    values: Floats  # (k), descending.
    bounds: Floats  # (k): a singular value of A lies so near to each value: its square within ‖AᵀA v − σ² v‖ of σ².
    right: Floats  # (items, 8)
    left: Floats  # (users, 8)
    factors: npt.NDArray[np.float32]  # (items, 64)


def spectrum(
    matrix: StreamedMatrix,
    count: int = DEFAULT_COUNT,
    *,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    memory: int = BASIS_BYTES,
) -> Spectrum:
    """Compute leading singular values by a block Krylov space of AᵀA, kept orthonormal in full.

    One pass over the rows a step, nothing else of A is needed (Golub & Van Loan, Matrix Computations, 10.3; for why
    few steps suffice without gaps between the values: Musco & Musco 2015). A value that occurs oftener than a step has
    vectors (16) may be found too few times. A is the train part of `matrix`.

    From step to step values only grow, by less and less. It stops when each lacks at most the tolerance, a share of
    itself, if its steps go on to shrink as its last one did. `seed` is that of the random start, `memory` what the
    basis may take.

    Raises
    ------
    InputError
        If there are not so many singular values, or their basis does not fit into memory.
    """
    check_count(matrix.shape, count, memory)
    items = matrix.shape[1]
    basis = _empty_basis(items, count, memory)
    dtype, size = basis.dtype, basis.shape[1]
    rounding, smallest = (1e-14, 1e-8) if dtype == np.float64 else (1e-5, 3e-4)
    projected = np.zeros((size, size))
    rng = np.random.default_rng(seed)
    block: Vectors = orthonormal(rng.standard_normal((items, _width(items, count))))[0].astype(dtype)
    filled, checked = 0, 0
    last = before = np.full(count, np.inf)
    while True:
        width = block.shape[1]
        basis[:, filled : filled + width] = block
        known = basis[:, : filled + width]
        image = matrix.gram(block, f"spectrum, {filled + width} of at most {size}")
        coefficients = known.T @ image
        projected[: filled + width, filled : filled + width] = coefficients
        filled += width
        length = np.linalg.norm(image, axis=0)
        image -= known @ coefficients
        if (np.linalg.norm(image, axis=0) < _LITTLE * length).any():
            image -= known @ (known.T @ image)
        room = min(width, size - filled)
        block, coupling = orthonormal(image.astype(np.float64, copy=False))
        del image
        # Rounding leaves directions of no weight that are not orthogonal to the basis yet.
        block -= known @ (known.T @ block.astype(dtype))
        block = orthonormal(block)[0].astype(dtype)
        # A large eigenproblem takes longer than a pass.
        if filled >= count and (filled <= 1024 or filled - checked >= count // 8 or room == 0):
            checked = filled
            theta, vectors = _largest(projected[:filled, :filled], count)
            values = np.sqrt(np.maximum(theta, 0))
            floor = max(values[0] * smallest, np.finfo(np.float64).tiny)
            residual = np.linalg.norm(coupling @ vectors[-width:], axis=0) + rounding * theta[0]
            scale = np.maximum(values, floor)
            moved = np.abs(values - last) / scale
            exact = (residual / scale <= _EXACT * scale).all()
            settled = max(tolerance / 100, rounding)
            if exact or room == 0 or (missing(moved, before, settled) <= tolerance).all():
                break
            last, before = values, moved
        block = np.ascontiguousarray(block[:, :room])
    leading = min(VECTORS, count)
    right = np.asarray(basis[:, :filled] @ vectors[:, :leading].astype(dtype), dtype=np.float64)
    factors = _factors(basis[:, :filled], vectors[:, :FACTORS])
    del basis
    left = np.asarray(matrix.product(right), dtype=np.float64) / np.maximum(values[:leading], floor)
    return Spectrum(values, _bounds(values, residual), right, left, factors)


def missing(moved: Floats, before: Floats, settled: float) -> Floats:
    """Return by how much values will still move, if each step goes on to shrink as the last one did.

    Parameters
    ----------
    moved, before
        How far each value moved in the last step, and in the one before it; infinite where nobody knows.
    settled
        Who moved as little as that moves no more.

    Examples
    --------
    >>> missing(np.array([0.25, 0.25, 0.5, 1e-9]), np.array([0.5, np.inf, 0.25, 1e-9]), settled=1e-8).tolist()
    [0.25, inf, inf, 0.0]
    """
    shrinks = (moved < before) & np.isfinite(before)
    rest = np.full(len(moved), np.inf)
    rest[shrinks] = moved[shrinks] ** 2 / (before[shrinks] - moved[shrinks])
    return np.where(moved <= settled, 0.0, rest)


def _empty_basis(items: int, count: int, memory: int) -> Vectors:
    """Return room for a basis: in double precision where that costs little."""
    most = max(4 * count, 640)
    dtype = np.dtype(np.float64 if items * min(items, most) * 8 <= min(memory, DOUBLE_BYTES) else np.float32)
    # Column by column: what is not filled takes no memory.
    return np.empty((items, min(items, most, memory // (items * dtype.itemsize))), dtype=dtype, order="F")


def _factors(basis: Vectors, vectors: Floats) -> npt.NDArray[np.float32]:
    """Return vectors in terms of the items, without a copy in double precision."""
    factors = np.empty((len(basis), vectors.shape[1]), dtype=np.float32)
    for first in range(0, len(basis), _ROWS):
        factors[first : first + _ROWS] = basis[first : first + _ROWS] @ vectors.astype(basis.dtype)
    return factors


def _largest(upper: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the largest eigenvalues, and their vectors, of a symmetric matrix of which the upper half is given."""
    upper = np.triu(upper)
    values, vectors = np.linalg.eigh(upper + np.triu(upper, 1).T)
    return values[::-1][:count], vectors[:, ::-1][:, :count]


def _bounds(values: Floats, residual: Floats) -> Floats:
    """Bound errors: an eigenvalue σ² of AᵀA lies within the residual of the square of each value."""
    squares = np.square(values)
    lowest, highest = np.sqrt(np.maximum(squares - residual, 0)), np.sqrt(squares + residual)
    return np.maximum(values - lowest, highest - values)


def check_count(shape: tuple[int, int], count: int, memory: int = BASIS_BYTES) -> None:
    """Refuse what `spectrum` would refuse, before the first pass."""
    users, items = shape
    if not 1 <= count <= min(users, items):
        raise InputError(
            f"cannot find {count} singular values of a matrix of {users} users × {items} items",
            hint=f"ask for at most {min(users, items)}",
        )
    least = min(items, count + 2 * _width(items, count))
    if items * least * 4 > memory:
        raise InputError(
            f"{count} singular values need {readable(items * least * 4)} of memory, allowed are {readable(memory)}",
            hint="ask for fewer" if items * min(items, 33) * 4 <= memory else "use --only integrity",
        )


def _width(items: int, count: int) -> int:
    return min(items, 16 if count <= 128 else 128)
