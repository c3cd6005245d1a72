"""What all recommenders share: their matrices, what they promise, and neighbours kept of a similarity."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Matrix = sp.csr_array[np.float64, tuple[int, int]]

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


def keep_nearest(similar: Matrix, first: int, neighbours: int) -> Matrix:
    """Keep of each row the largest `neighbours` values, and all that equal the last of those; never its own.

    Row r is that of number `first` + r. So names and order decide nothing. Rows stay sparse; zeros are no neighbours.
    """
    counts = np.diff(similar.indptr)
    similar.data[
        similar.indices == np.repeat(np.arange(first, first + len(counts), dtype=similar.indices.dtype), counts)
    ] = 0
    least = np.full(len(counts), np.finfo(np.float64).tiny)
    for row in np.flatnonzero(counts > neighbours):
        values = similar.data[similar.indptr[row] : similar.indptr[row + 1]]
        place = len(values) - neighbours
        least[row] = max(least[row], np.partition(values, place)[place])
    kept = similar.data >= np.repeat(least, counts)
    starts = np.append(0, np.cumsum(kept))[similar.indptr]
    near: Matrix = sp.csr_array((similar.data[kept], similar.indices[kept], starts), shape=similar.shape)
    return near
