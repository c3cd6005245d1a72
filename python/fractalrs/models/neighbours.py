"""Neighbours: of the items of a user, or of the user."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fractalrs.models.matrices import Floats, Matrix, Recommender, Scores, nearest


@dataclass(frozen=True)
class ItemKNN(Recommender):
    """Scores an item by its similarity with the items of the user, where it is among the nearest of those.

    The similarity is the cosine of the items' columns, |A ∩ B| / √(|A| |B|). The neighbours of an item are its
    `neighbours` nearest others, and all that are as near as the last of those: so names and order of items decide
    nothing.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 1]]))
    >>> ItemKNN(neighbours=1).fit(train)(np.array([0])).round(3).tolist()
    [[1.0, 1.0, 0.0]]
    """

    neighbours: int = 50

    def fit(self, train: Matrix) -> Scores:
        """Find the neighbours of all items."""
        near = _near_rows(train.T.tocsr(), self.neighbours)
        return lambda users: np.asarray((train[users] @ near).toarray())


@dataclass(frozen=True)
class UserKNN(Recommender):
    """Scores an item by the similarities of the user's nearest users that have it.

    The similarity is the cosine of rows; users as near as the last neighbour are neighbours too.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train = sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 1], [0, 0, 1]]))
    >>> UserKNN(neighbours=1).fit(train)(np.array([0])).round(3).tolist()
    [[0.816, 0.816, 0.816]]
    """

    neighbours: int = 100

    def fit(self, train: Matrix) -> Scores:
        """Find the neighbours of all users."""
        near = _near_rows(train, self.neighbours)
        return lambda users: np.asarray((near[users] @ train).toarray())


def _near_rows(rows: Matrix, neighbours: int) -> Matrix:
    """Return the nearest others of each row by cosine: a square matrix, a row for each."""
    degrees = np.maximum(np.diff(rows.indptr), 1)
    normed = _scaled(rows, degrees)
    return nearest(normed, normed.T.tocsr(), neighbours)


def _scaled(rows: Matrix, degrees: Floats) -> Matrix:
    """Return rows of length one."""
    scaled: Matrix = sp.csr_array(
        (rows.data / np.sqrt(np.repeat(degrees, np.diff(rows.indptr))), rows.indices, rows.indptr), shape=rows.shape
    )
    return scaled
