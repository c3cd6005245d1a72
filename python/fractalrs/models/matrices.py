"""What all recommenders share: their matrices, what they promise, and neighbours kept of a similarity."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fractalrs._core import nearest_rows
from fractalrs.base import csr_arrays
from fractalrs.tools import check_count, resolve_threads

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
if TYPE_CHECKING:
    Matrix = sp.csr_array[np.float64, tuple[int, int]]
else:
    Matrix = sp.csr_array  # SciPy before 1.16 takes no types.

Scores = Callable[[Integers], Floats]
"""Takes users, rows of the train matrix, and returns the scores of all items for each: the higher the better."""

CHUNK = 1 << 22
"""About how many numbers of a dense intermediate result are held at once."""


class Recommender(ABC):
    """What learns from train interactions; one of your own needs `fit` alone, and inherits the rest."""

    def takes(self, shape: tuple[int, int]) -> bool:  # noqa: ARG002
        """Return whether it can be fitted to so many users and items: by default, to any."""
        return True

    def memory(self, shape: tuple[int, int]) -> int:  # noqa: ARG002
        """Return how many bytes it needs beside the matrix, pieces of `CHUNK` numbers and what is sparse."""
        return 0

    @abstractmethod
    def fit(self, train: Matrix) -> Scores:
        """Learn from a matrix of ones, users × items, and return what scores its users."""


def chunk_rows(width: int) -> int:
    """Return how many dense rows of so many numbers are held at once.

    Examples
    --------
    >>> chunk_rows(1 << 20)
    4
    """
    return max(1, math.ceil(CHUNK / width))


def pieces(count: int, width: int) -> Iterator[slice]:
    """Cut `count` rows into pieces of which each, were it dense with `width` columns, is held at once."""
    step = chunk_rows(width)
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


def nearest(one: Matrix, other: Matrix, neighbours: int) -> Matrix:
    """Keep of each row of the square product of two matrices the largest values, and all that equal the last of those.

    So names and order decide nothing. A row's own value is not kept, and zeros are no neighbours; none may be negative.

    Raises
    ------
    InputError
        If `neighbours` is no whole number of at least 1.

    Examples
    --------
    >>> rows = sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 0], [0, 1, 1]]))
    >>> nearest(rows, rows.T.tocsr(), 1).toarray().tolist()
    [[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    check_count("neighbours", neighbours, 1)
    starts, columns, values = nearest_rows(
        csr_arrays(one), csr_arrays(other), neighbours, threads=resolve_threads(None)
    )
    kind = np.int32 if len(columns) < 1 << 31 else np.int64
    near: Matrix = sp.csr_array((values, columns, starts.astype(kind)), shape=(one.shape[0], other.shape[1]))
    return near
