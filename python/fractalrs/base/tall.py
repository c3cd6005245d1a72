"""Products of tall dense matrices, some rows at a time on threads: the same to the bit on any number of them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fractalrs.tools import resolve_threads

ROWS = 4096
"""Rows at a time, whatever the number of threads: what a sum is made of decides its last bits."""

LEAST_PIECES = 2
"""A thread is worth its start for so many."""

_Floats = npt.NDArray[np.float64]
_Result = TypeVar("_Result")


def by_rows(count: int, work: Callable[[slice], _Result]) -> Iterator[_Result]:
    """Yield what `work` makes of all rows from 0 to `count`, piece by piece in their order.

    Linear algebra inside of it is to be on one thread (`fractalrs.tools.blas_threads`, which limits the OpenBLAS of
    NumPy's wheels for all threads; one that is built on OpenMP may go on using several).

    Examples
    --------
    >>> list(by_rows(5000, lambda rows: rows.start))
    [0, 4096]
    """
    pieces = [slice(start, min(start + ROWS, count)) for start in range(0, count, ROWS)]
    threads = min(resolve_threads(None), len(pieces) // LEAST_PIECES)
    if threads <= 1:
        yield from map(work, pieces)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, pieces)


def sum_by_rows(count: int, work: Callable[[slice], npt.NDArray[Any]]) -> _Floats:
    """Return the sum of what `work` makes of all rows, added up in their order."""
    return np.asarray(sum(by_rows(count, work)))


def product(tall: _Floats, small: _Floats) -> _Floats:
    """Return A B.

    Examples
    --------
    >>> product(np.ones((2, 3)), np.eye(3)[:, :1]).tolist()
    [[1.0], [1.0]]
    """
    out = np.empty((len(tall), small.shape[1]), np.result_type(tall, small))

    def fill(rows: slice) -> None:
        np.matmul(tall[rows], small, out=out[rows])

    list(by_rows(len(tall), fill))
    return out


def squares(tall: _Floats) -> _Floats:
    """Return AᵀA.

    Examples
    --------
    >>> squares(np.ones((3, 2))).tolist()
    [[3.0, 3.0], [3.0, 3.0]]
    """
    return sum_by_rows(len(tall), lambda rows: tall[rows].T @ tall[rows])
