"""Popularity: the same for everybody."""

from dataclasses import dataclass

import numpy as np

from fractalrs.models.matrices import Matrix, Recommender, Scores


@dataclass(frozen=True)
class Popularity(Recommender):
    """Scores every item by its train interactions, the same for all users.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 0, 0]]))
    >>> Popularity().fit(train)(np.arange(2)).tolist()
    [[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]
    """

    def fit(self, train: Matrix) -> Scores:
        """Count the interactions of items."""
        popularity = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)
        return lambda users: np.tile(popularity, (len(users), 1))
