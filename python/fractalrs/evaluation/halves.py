"""The two halves of a data set as sparse matrices in memory: what is trained on, and what is held out."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fractalrs.base import Base
from fractalrs.expansion import Expansion
from fractalrs.models import Integers, Matrix
from fractalrs.passes import StreamedMatrix
from fractalrs.tools import Shown


@dataclass(frozen=True, eq=False, repr=False)
class Halves(Shown):
    """Train and test interactions of the same users and items, which share no interaction.

    Attributes
    ----------
    train, test
        Matrices of ones, users × items, each row sorted by item.

    Examples
    --------
    >>> import fractalrs as fr
    >>> halves = Halves.of_base(fr.leave_last_out(fr.sample_interactions(60, 40, 600)))
    >>> halves.shape, halves.train.nnz, halves.density
    ((60, 40), 540, 0.225)
    """

    train: Matrix
    test: Matrix

    @property
    def shape(self) -> tuple[int, int]:
        """Users and items, with and without interactions."""
        return self.train.shape

    @property
    def density(self) -> float:
        """Share of all pairs that are train interactions."""
        return float(self.train.nnz / (self.shape[0] * self.shape[1]))

    @classmethod
    def of_base(cls, base: Base) -> Self:
        """Return the halves of a base."""
        return cls(base.train, base.test)

    @classmethod
    def of_expansion(cls, expansion: Expansion, threads: int | None = None) -> Self:
        """Generate the halves of an expansion."""
        stream, everybody = StreamedMatrix(expansion, threads=threads), np.arange(expansion.shape[0])
        train, test = stream.collect(everybody), stream.collect(everybody, "test")
        train.sort_indices()
        test.sort_indices()
        return cls(train, test)

    def thinned(self, keep: float, rng: np.random.Generator) -> Self:
        """Return them with each train interaction kept with probability `keep`, independently; test stays whole."""
        kept = rng.random(self.train.nnz) < keep
        return type(self)(matrix_of(owners(self.train)[kept], self.train.indices[kept], self.shape), self.test)

    def one_test_item(self, rng: np.random.Generator) -> Self:
        """Return them with one test item of each user that has any, each with the same probability."""
        counts = np.diff(self.test.indptr)
        users = np.flatnonzero(counts)
        chosen = self.test.indptr[users] + rng.integers(counts[users])
        return type(self)(self.train, matrix_of(users, self.test.indices[chosen], self.shape))


def owners(matrix: Matrix) -> Integers:
    """Return the row of each entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def matrix_of(users: npt.NDArray[Any], items: npt.NDArray[Any], shape: tuple[int, int]) -> Matrix:
    """Return the matrix of ones at distinct pairs, each row sorted by item."""
    # Products of matrices are a third quicker with small indices.
    kind: Any = np.int32 if max(*shape, len(users)) < 1 << 31 else np.int64
    matrix: Matrix = sp.csr_array((np.ones(len(users)), (users.astype(kind), items.astype(kind))), shape=shape)
    matrix.sort_indices()
    return matrix
