"""The train part of a base with users and items in an order of their interactions alone: names of ids do not matter."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from fractalrs.base.base import Base
from fractalrs.base.svd import SVD, truncated_svd
from fractalrs.tools import blas_threads

if TYPE_CHECKING:
    import scipy.sparse as sp

SINGULAR_VALUES = 64
"""How many leading singular triples of the train part everybody shares."""

_ROUNDS = 3
"""Each tells users by items, and items by users, one step further apart; more tell hardly anybody apart."""

_Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Canonical:
    """The train part R of a base, its users and items sorted by what they interacted with.

    Two bases of the same interactions under other ids have the same matrix here, to the bit, and so has everything
    that is computed of it. Users that nothing tells apart may stand in any order, and items follow their users: it is
    the same matrix. (Chains of users and items that are all tied, in data of two or three interactions a user, are put
    in the order of codes.)

    Attributes
    ----------
    users, items : int64, shapes (p,) and (q,)
        The code of the user, and of the item, at each place.
    matrix : csr_array of float64, shape (p, q)
        R in this order.
    """

    users: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    matrix: "sp.csr_array[np.float64, tuple[int, int]]"

    @cached_property
    def user_degrees(self) -> npt.NDArray[np.int64]:
        """Train interactions of each user."""
        return np.diff(self.matrix.indptr).astype(np.int64)

    @cached_property
    def item_degrees(self) -> npt.NDArray[np.int64]:
        """Train interactions of each item."""
        return np.bincount(self.matrix.indices, minlength=self.matrix.shape[1])

    @cached_property
    def _leading(self) -> SVD:
        return self._decomposed(SINGULAR_VALUES)

    def svd(self, k: int = SINGULAR_VALUES) -> SVD:
        """Return the k leading singular triples, or all there are; 64 are computed once, for all who ask."""
        if k > SINGULAR_VALUES:
            return self._decomposed(k)
        leading = self._leading
        return SVD(leading.u[:, :k], leading.s[:k], leading.vt[:k])

    def _decomposed(self, k: int) -> SVD:
        # On several threads the last bits would depend on how many.
        with blas_threads(1):
            return truncated_svd(self.matrix, min(k, *self.matrix.shape), seed=0)


_known: WeakKeyDictionary[Base, Canonical] = WeakKeyDictionary()


def canonical(base: Base) -> Canonical:
    """Return the train part of a base in canonical order; it is made once for each base.

    Users are sorted by a digest of their items' digests, which begin as degrees, and items likewise (colour refinement,
    Weisfeiler and Leman 1968, three rounds of 64-bit hashes).

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> canonical(base).matrix.shape
    (60, 40)
    """
    if base not in _known:
        train = base.train
        users, items = _refined(train)
        by_user = np.argsort(users, kind="stable")
        # Items that nothing tells apart follow their users, whichever of these comes first.
        ranks = np.empty(len(by_user), np.uint64)
        ranks[by_user] = np.arange(len(by_user))
        by_item = np.lexsort((_ones(train).T @ _mixed(ranks).view(np.int64), items))
        matrix = train[by_user]
        places = np.empty(len(by_item), matrix.indices.dtype)
        places[by_item] = np.arange(len(by_item))
        matrix.indices = places[matrix.indices]
        matrix.has_sorted_indices = False
        matrix.sort_indices()
        _known[base] = Canonical(by_user, by_item, matrix)
    return _known[base]


def _refined(train: Any) -> tuple[_Hashes, _Hashes]:
    """Return a digest of each user and of each item, equal for those that look alike three steps away."""
    ones = _ones(train)
    users = _mixed(np.diff(train.indptr).astype(np.uint64))
    items = _mixed(np.bincount(train.indices, minlength=train.shape[1]).astype(np.uint64))
    for _ in range(_ROUNDS):
        of_users, of_items = ones @ _mixed(items).view(np.int64), ones.T @ _mixed(users).view(np.int64)
        users, items = (
            _mixed(own * _ODD + others.view(np.uint64)) for own, others in ((users, of_users), (items, of_items))
        )
    return users, items


def _ones(train: Any) -> Any:
    """Return the train part in whole numbers: sums of 64 bits wrap, and do not depend on the order of what is added."""
    import scipy.sparse as sp

    return sp.csr_array((np.ones(train.nnz, np.int64), train.indices, train.indptr), shape=train.shape)


_ODD = np.uint64(0x9E3779B97F4A7C15)


def _mixed(values: _Hashes) -> _Hashes:
    z = values + _ODD
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
