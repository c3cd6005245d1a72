"""Recommenders of the library `implicit`, as they come: iALS, BPR and BM25."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.sparse as sp

from fractalrs.errors import InputError
from fractalrs.models.matrices import Matrix, Recommender, Scores
from fractalrs.tools import blas_threads


def has_implicit() -> bool:
    """Return whether the library is installed.

    Examples
    --------
    >>> has_implicit() in (True, False)
    True
    """
    return find_spec("implicit") is not None


@dataclass(frozen=True)
class IALS(Recommender):
    """Scores by factors of users and items found by alternating least squares (Hu, Koren and Volinsky 2008).

    What each user has counts `alpha` times as much as what it has not. Needs ``fractalrs[models]``.

    Examples
    --------
    >>> IALS(factors=8).alpha
    10.0
    """

    factors: int = 64
    alpha: float = 10.0
    regularization: float = 1.0
    iterations: int = 15
    seed: int = 0

    def fit(self, train: Matrix) -> Scores:
        """Alternate."""
        settings = {**_settings(self, "factors alpha regularization iterations"), "random_state": self.seed}
        return _factored(lambda library: library.als.AlternatingLeastSquares(**settings), train)


@dataclass(frozen=True)
class BPR(Recommender):
    """Scores by factors that rank what a user has above what it has not (Rendle and others 2009).

    One thread, so that a seed decides. Needs ``fractalrs[models]``.

    Examples
    --------
    >>> BPR(factors=8).learning_rate
    0.05
    """

    factors: int = 64
    learning_rate: float = 0.05
    regularization: float = 0.01
    iterations: int = 40
    seed: int = 0

    def fit(self, train: Matrix) -> Scores:
        """Descend."""
        names = "factors learning_rate regularization iterations"
        settings = {**_settings(self, names), "random_state": self.seed, "num_threads": 1}
        return _factored(lambda library: library.bpr.BayesianPersonalizedRanking(**settings), train)


@dataclass(frozen=True)
class BM25(Recommender):
    """Scores an item by its similarity with the items of the user, weighted as Okapi BM25 weights terms of documents.

    Of items as near as the last neighbour the library keeps one. Needs ``fractalrs[models]``.

    Examples
    --------
    >>> BM25().neighbours
    100
    """

    neighbours: int = 100
    k1: float = 1.2
    b: float = 0.75

    def fit(self, train: Matrix) -> Scores:
        """Find the neighbours of all items."""
        library = _implicit().nearest_neighbours
        weighted = library.bm25_weight(_as_it_takes(train).T, self.k1, self.b).T.tocsr()
        model = library.ItemItemRecommender(K=self.neighbours)
        model.fit(weighted, show_progress=False)
        near = sp.csr_array(model.similarity)
        return lambda users: np.asarray((train[users] @ near).toarray())


def _settings(model: Any, names: str) -> dict[str, Any]:
    return {name: getattr(model, name) for name in names.split()}


def _factored(make: Callable[[Any], Any], train: Matrix) -> Scores:
    """Fit what finds factors, and score by their products."""
    # The library has threads of its own, and warns where linear algebra does too.
    library = _implicit()
    with blas_threads(1):
        model = make(library)
        model.fit(_as_it_takes(train), show_progress=False)
    own, of_items = (np.asarray(factors, dtype=np.float64) for factors in (model.user_factors, model.item_factors))
    return lambda users: np.asarray(own[users] @ of_items.T)


def _as_it_takes(train: Matrix) -> sp.csr_matrix:
    return sp.csr_matrix((train.data.astype(np.float32), train.indices, train.indptr), shape=train.shape)


def _implicit() -> Any:
    """Return the library; say in one sentence how it is installed where it is not."""
    if not has_implicit():
        raise InputError(
            "iALS, BPR and BM25 need implicit, which is not installed", hint='pip install "fractalrs[models]"'
        )
    library = import_module("implicit")
    for name in ("als", "bpr", "nearest_neighbours"):
        import_module(f"implicit.{name}")
    return library
