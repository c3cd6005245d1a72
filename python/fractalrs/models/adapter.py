"""Models of others: anything that learns with `fit` and answers with `recommend`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fractalrs.errors import InputError
from fractalrs.models.matrices import Floats, Integers, Matrix, Recommender, Scores


@dataclass(frozen=True)
class Listed(Recommender):
    """A model that gives lists instead of scores: `fit(csr)`, then `recommend(users, k)`.

    `users` are rows of the matrix that it was fitted to; it returns k different items for each, the best first, none of
    the user's own. An item scores by its place; all that it does not list tie behind. Lists of `depth` items are asked
    for, or of all that a user lacks where these are fewer, users who lack as many at once: as many as the largest
    cut-off are enough.

    Raises
    ------
    InputError
        From what `fit` returns, where the lists are not what was asked for.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> class First:
    ...     def fit(self, train):
    ...         self.train = train
    ...     def recommend(self, users, k):
    ...         return np.array([[2, 1], [1, 0]])[users, :k]
    >>> train = sp.csr_array(np.array([[1.0, 0, 0], [0, 0, 1]]))
    >>> Listed(First(), depth=2).fit(train)(np.arange(2)).tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 0.0]]
    """

    model: Any
    depth: int

    def fit(self, train: Matrix) -> Scores:
        """Fit it to a copy, so that it may do with the matrix what it likes."""
        self.model.fit(train.copy())
        degrees, items = np.diff(train.indptr), train.shape[1]

        def scores(users: Integers) -> Floats:
            table, most = np.zeros((len(users), items)), np.minimum(self.depth, items - degrees[users])
            # Users who lack few items are asked for by themselves: no list depends on whom else it is asked with.
            for k in np.unique(most[most > 0]).tolist():
                rows = np.flatnonzero(most == k)
                listed = self._checked(self.model.recommend(users[rows], k), (len(rows), k), items)
                table[rows[:, None], listed] = np.arange(k, 0, -1.0)
            return table

        return scores

    def _checked(self, found: Any, wanted: tuple[int, int], items: int) -> Integers:
        name = type(self.model).__name__
        try:
            listed = np.asarray(found)
        except ValueError:  # Of lists of different length.
            listed = np.empty(0)
        if listed.shape != wanted or listed.dtype.kind not in "iu":
            raise InputError(
                f"{name}.recommend returned {listed.dtype} of shape {listed.shape}, not whole numbers of {wanted}",
                hint="a row for each user, k items in each; own items of the user may not fill it up",
            )
        if listed.size and not 0 <= listed.min() <= listed.max() < items:
            raise InputError(
                f"{name}.recommend returned items {listed.min()} to {listed.max()}; there are 0 to {items - 1}",
                hint="items are columns of the matrix that it was fitted to",
            )
        if listed.size and (np.diff(np.sort(listed, axis=1), axis=1) == 0).any():
            raise InputError(f"{name}.recommend returned an item twice for one user", hint="return each once")
        return listed.astype(np.int64)


def as_recommender(model: Any, depth: int) -> Recommender:
    """Return what scores items as it is, and what lists them within `Listed`; refuse what does neither.

    Examples
    --------
    >>> from fractalrs.models import Popularity
    >>> as_recommender(Popularity(), 10)
    Popularity()
    """
    if not callable(getattr(model, "fit", None)):
        raise InputError(
            f"{model!r} is no model", hint="a model has fit(train), and recommend(users, k) or takes(shape)"
        )
    if callable(getattr(model, "recommend", None)):
        return Listed(model, depth)
    if not isinstance(model, Recommender):
        raise InputError(
            f"{type(model).__name__} has fit, but no recommend",
            hint="add recommend(users, k), or extend fractalrs.models.Recommender",
        )
    return model
