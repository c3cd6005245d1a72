"""Factorisation in closed form."""

from dataclasses import dataclass

import numpy as np

from fractalrs.base import truncated_svd
from fractalrs.models.matrices import Matrix, Recommender, Scores


@dataclass(frozen=True)
class TruncatedSVD(Recommender):
    """Scores by the best approximation of low rank: x V Vᵀ, V the leading right singular vectors.

    PureSVD of Cremonesi, Koren and Turrin (2010). The rank is lowered where the matrix has no such rank.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]))
    >>> TruncatedSVD(rank=1).fit(train)(np.array([0])).round(6).tolist()
    [[1.0, 1.0, 0.0]]
    """

    rank: int = 32
    seed: int = 0

    def fit(self, train: Matrix) -> Scores:
        """Decompose."""
        right = truncated_svd(train, min(self.rank, *train.shape), self.seed).vt
        return lambda users: np.asarray((train[users] @ right.T) @ right)
