"""Simple recommenders, each a small value: fitted to train interactions, it scores all items for rows of users.

They are what papers compare with, and what data have to be hard for: popularity, the neighbours of items, a truncated
decomposition, and a linear autoencoder in closed form. Nothing is random: the same matrix gives the same scores.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from fractalrs.base import truncated_svd
from fractalrs.errors import InputError
from fractalrs.evaluation.halves import Floats, Matrix

Scores = Callable[[Matrix], Floats]
"""Takes train rows, users × items, and returns the scores of all items for each: float64, the higher the better."""

_CHUNK = 1 << 22
"""About how many numbers of a dense intermediate result are held at once."""


class Recommender(Protocol):
    """What learns from train interactions; one of your own needs no more than this."""

    def takes(self, shape: tuple[int, int]) -> bool:
        """Return whether it can be fitted to so many users and items."""
        ...

    def fit(self, train: Matrix) -> Scores:
        """Learn from a matrix of ones, users × items, and return what scores rows of users."""
        ...


@dataclass(frozen=True)
class Popularity:
    """Scores every item by its train interactions, the same for all users.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 0, 0]]))
    >>> Popularity().fit(train)(train).tolist()
    [[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]
    """

    def takes(self, shape: tuple[int, int]) -> bool:  # noqa: ARG002
        """Return True: any size will do."""
        return True

    def fit(self, train: Matrix) -> Scores:
        """Count the interactions of items."""
        popularity = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)
        return lambda rows: np.tile(popularity, (rows.shape[0], 1))


@dataclass(frozen=True)
class ItemKNN:
    """Scores an item by its similarity with the items of the user, where it is among the nearest of those.

    The similarity is the cosine of the items' columns, |A ∩ B| / √(|A| |B|). The neighbours of an item are its
    `neighbours` nearest others, and all that are as near as the last of those: so names and order of items decide
    nothing.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 1]]))
    >>> ItemKNN(neighbours=1).fit(train)(train[[0]]).round(3).tolist()
    [[1.0, 1.0, 0.0]]
    """

    neighbours: int = 50

    def takes(self, shape: tuple[int, int]) -> bool:  # noqa: ARG002
        """Return True: what is dense is made in pieces."""
        return True

    def fit(self, train: Matrix) -> Scores:
        """Find the neighbours of all items."""
        items = train.shape[1]
        columns, degrees = train.T.tocsr(), np.bincount(train.indices, minlength=train.shape[1])
        degrees = np.maximum(degrees, 1)
        step, place, pieces = max(1, _CHUNK // items), min(self.neighbours, items - 1), []
        for first in range(0, items, step):
            last = min(first + step, items)
            cosines = (columns[first:last] @ train).toarray()
            cosines /= np.sqrt(degrees[first:last, None] * degrees)
            cosines[np.arange(last - first), np.arange(first, last)] = 0
            least = np.partition(cosines, items - place, axis=1)[:, items - place, None] if place else np.inf
            pieces.append(sp.csr_array(np.where(cosines >= least, cosines, 0)))
        near = sp.vstack(pieces, format="csr")
        return lambda rows: np.asarray((rows @ near).toarray())


@dataclass(frozen=True)
class TruncatedSVD:
    """Scores by the best approximation of low rank: x V Vᵀ, V the leading right singular vectors.

    PureSVD of Cremonesi, Koren and Turrin (2010). The rank is lowered where the matrix has no such rank.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]))
    >>> TruncatedSVD(rank=1).fit(train)(train[[0]]).round(6).tolist()
    [[1.0, 1.0, 0.0]]
    """

    rank: int = 32
    seed: int = 0

    def takes(self, shape: tuple[int, int]) -> bool:  # noqa: ARG002
        """Return True: the matrix stays sparse."""
        return True

    def fit(self, train: Matrix) -> Scores:
        """Decompose."""
        right = truncated_svd(train, min(self.rank, *train.shape), self.seed).vt
        return lambda rows: np.asarray((rows @ right.T) @ right)


@dataclass(frozen=True)
class EASE:
    """Scores by the linear autoencoder without self-similarity that fits the train interactions best (Steck 2019).

    B minimises ‖X − X B‖² + λ ‖B‖² with diag(B) = 0: B = I − P diag(1 / diag(P)), P = (XᵀX + λI)⁻¹; scores are x B.
    P is never formed where users are fewer than items: (I − Xᵀ (XXᵀ + λI)⁻¹ X) / λ is the same.

    A dense matrix over the smaller side is inverted: time and memory grow with its third and second power.

    Raises
    ------
    InputError
        From `fit`, where users and items are both more than `most`.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]))
    >>> EASE(penalty=1.0).fit(train)(train[[0]]).round(3).tolist()
    [[0.667, 0.667, 0.0]]
    """

    penalty: float = 100.0
    most: int = 10_000

    def takes(self, shape: tuple[int, int]) -> bool:
        """Return whether the smaller side has at most `most`."""
        return min(shape) <= self.most

    def fit(self, train: Matrix) -> Scores:
        """Invert."""
        if not self.takes(train.shape):
            users, items = train.shape
            raise InputError(
                f"EASE inverts a dense matrix over users or items, at most {self.most:,} of the fewer, and there are "
                f"{users:,} users and {items:,} items",
                hint="leave EASE out, or take a smaller sample",
            )
        return self._by_items(train) if train.shape[1] <= train.shape[0] else self._by_users(train)

    def _inverse(self, gram: Floats) -> Floats:
        """Return (gram + λI)⁻¹, symmetric."""
        gram[np.diag_indices_from(gram)] += self.penalty
        factor, failed = scipy.linalg.lapack.dpotrf(gram, lower=True, overwrite_a=True)
        inverse, failed_too = scipy.linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
        assert not failed and not failed_too  # noqa: PT018
        lower = np.tril(inverse)
        return np.asarray(lower + np.tril(lower, -1).T)

    def _by_items(self, train: Matrix) -> Scores:
        weights = self._inverse((train.T @ train).toarray())
        weights /= -weights.diagonal()
        np.fill_diagonal(weights, 0)
        return lambda rows: np.asarray(rows @ weights)

    def _by_users(self, train: Matrix) -> Scores:
        inverse, columns = self._inverse((train @ train.T).toarray()), train.T.tocsr()
        step, parts = max(1, _CHUNK // train.shape[0]), []
        for first in range(0, train.shape[1], step):
            some = columns[first : first + step]
            parts.append(np.einsum("iu,iu->i", some.toarray(), np.asarray(some @ inverse)))
        diagonal = 1 - np.concatenate(parts)

        def scores(rows: Matrix) -> Floats:
            known = rows.toarray()
            return np.asarray(known - (known - ((rows @ columns).toarray() @ inverse) @ train) / diagonal)

        return scores


MODELS: dict[str, Recommender] = {
    "popularity": Popularity(),
    "item kNN": ItemKNN(),
    "SVD": TruncatedSVD(),
    "EASE": EASE(),
}
"""Those that a backcast fits, by name."""


def chunk_rows(items: int) -> int:
    """Return how many rows of dense scores are held at once."""
    return max(1, math.ceil(_CHUNK / items))
