"""Random walks over users and items."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fractalrs.models.matrices import Matrix, Recommender, Scores, nearest


@dataclass(frozen=True)
class RP3beta(Recommender):
    """Scores an item by the walks of three steps that lead to it, over its popularity to the power `beta`.

    Paudel, Christoffel, Newell and Bernstein (2017): Σ over items i of the user, and over users v of i, of
    1 / (dᵢ dᵥ), over dⱼ to the power β. Of each item i the `neighbours` items to which most walks lead are kept, and
    all to which as many lead as to the last of those.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 1]]))
    >>> RP3beta(beta=0.0).fit(train)(np.array([0])).round(3).tolist()
    [[0.417, 0.417, 0.333]]
    """

    beta: float = 0.6
    neighbours: int = 100

    def fit(self, train: Matrix) -> Scores:
        """Count the walks between all items."""
        users = 1 / np.maximum(np.diff(train.indptr), 1)
        items = np.maximum(np.bincount(train.indices, minlength=train.shape[1]), 1).astype(np.float64)
        steps = np.repeat(users, np.diff(train.indptr)) * items[train.indices] ** -self.beta
        to_items = sp.csr_array((steps, train.indices, train.indptr), shape=train.shape)
        columns = train.T.tocsr()
        columns.data = columns.data / np.repeat(items, np.diff(columns.indptr))
        walks = nearest(columns, to_items, self.neighbours)
        return lambda users: np.asarray((train[users] @ walks).toarray())
