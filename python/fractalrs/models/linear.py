"""A linear autoencoder in closed form."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from fractalrs.errors import InputError
from fractalrs.models.matrices import Floats, Matrix, Recommender, Scores, pieces


@dataclass(frozen=True)
class EASE(Recommender):
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
    >>> EASE(penalty=1.0).fit(train)(np.array([0])).round(3).tolist()
    [[0.667, 0.667, 0.0]]
    """

    penalty: float = 100.0
    most: int = 10_000

    def takes(self, shape: tuple[int, int]) -> bool:
        """Return whether the smaller side has at most `most`."""
        return min(shape) <= self.most

    def memory(self, shape: tuple[int, int]) -> int:
        """Return the bytes of the Gram matrix, in whose place its inverse is made, and of a copy of it."""
        return 2 * 8 * min(shape) ** 2

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

    def _inverse(self, rows: Matrix) -> Floats:
        """Return (rows · rowsᵀ + λI)⁻¹."""
        columns, count = rows.T.tocsr(), rows.shape[0]
        gram = np.empty((count, count))
        for some in pieces(count, count):
            gram[some] = (rows[some] @ columns).toarray()
        gram[np.diag_indices_from(gram)] += self.penalty
        # Transposed it is the same, and in LAPACK's order: nothing is copied.
        factor, failed = scipy.linalg.lapack.dpotrf(gram.T, lower=True, overwrite_a=True)
        inverse, failed_too = scipy.linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
        assert not failed and not failed_too  # noqa: PT018
        for some in pieces(count, count):
            block = inverse[some, some]
            inverse[some, some] = np.tril(block) + np.tril(block, -1).T
            inverse[some, some.stop :] = inverse[some.stop :, some].T
        return np.asarray(inverse)

    def _by_items(self, train: Matrix) -> Scores:
        weights = self._inverse(train.T.tocsr())
        weights /= -weights.diagonal()
        np.fill_diagonal(weights, 0)
        return lambda users: np.asarray(train[users] @ weights)

    def _by_users(self, train: Matrix) -> Scores:
        inverse, columns = self._inverse(train), train.T.tocsr()
        parts = []
        for some in pieces(train.shape[1], train.shape[0]):
            chosen = columns[some]
            parts.append(np.einsum("iu,iu->i", chosen.toarray(), np.asarray(chosen @ inverse)))
        # With G = XXᵀ, x of X and G (G + λI)⁻¹ = I − λ (G + λI)⁻¹, x B is x − λ (row of the inverse) X / diagonal.
        diagonal = (1 - np.concatenate(parts)) / self.penalty
        return lambda users: np.asarray(train[users].toarray()) - np.asarray(inverse[users] @ train) / diagonal
