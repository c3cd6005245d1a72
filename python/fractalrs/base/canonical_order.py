"""The train part of a base with users and items in an order of their interactions alone: names of ids do not matter."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from fractalrs._core import neighbour_sums, ordered
from fractalrs.base.base import Base
from fractalrs.base.sparse import Rows, Sparse
from fractalrs.base.svd import SVD, truncated_svd
from fractalrs.tools import resolve_threads

if TYPE_CHECKING:
    import scipy.sparse as sp

SINGULAR_VALUES = 64
"""How many leading singular triples of the train part everybody shares."""

_ROUNDS = 3
"""Each tells users by items, and items by users, one step further apart; more tell hardly anybody apart."""

_IMAGES = 16

_Floats = npt.NDArray[np.float64]
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
    products : Sparse
        R in this order.
    """

    users: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    products: Sparse
    _decomposed: dict[int, SVD] = field(default_factory=dict, init=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users p and of items q."""
        return self.products.shape

    @property
    def matrix(self) -> "sp.csr_array[np.float64, tuple[int, int]]":
        """R in this order, as a matrix of SciPy's; made anew at each access."""
        return self.products.to_scipy()

    @cached_property
    def user_degrees(self) -> npt.NDArray[np.int64]:
        """Train interactions of each user."""
        return np.diff(self.products.rows.starts)

    @cached_property
    def item_degrees(self) -> npt.NDArray[np.int64]:
        """Train interactions of each item."""
        return np.diff(self.products.turned.starts)

    def svd(self, k: int = SINGULAR_VALUES, seed: int = 0) -> SVD:
        """Return the k leading singular triples, or all there are; 64 are computed once, for all who ask.

        `seed` is that of `truncated_svd`.
        """
        if k > SINGULAR_VALUES:
            # Nobody else asks for so many, and they take much memory.
            return self._leading(k, seed)
        if seed not in self._decomposed:
            self._decomposed[seed] = self._leading(SINGULAR_VALUES, seed)
        known = self._decomposed[seed]
        return SVD(known.u[:, :k], known.s[:k], known.vt[:k])

    def images(self, k: int) -> tuple[_Floats, _Floats]:
        """Return R v for the k leading right vectors, (p, k), and Rᵀ u for the left ones, (q, k); 16 are kept.

        They are u σ and v σ, but equal for equal users, and items, to the last bit.
        """
        return self._images(k) if k > _IMAGES else tuple(image[:, :k] for image in self._kept_images)  # type: ignore[return-value]

    @cached_property
    def _kept_images(self) -> tuple[_Floats, _Floats]:
        return self._images(_IMAGES)

    def _images(self, k: int) -> tuple[_Floats, _Floats]:
        svd = self.svd(k)
        return self.products @ svd.vt.T, self.products.T @ svd.u

    def _leading(self, k: int, seed: int) -> SVD:
        return truncated_svd(self.products, min(k, *self.shape), seed)


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
        users, items = _refined(base)
        by_user = np.argsort(users, kind="stable")
        # Items that nothing tells apart follow their users, whichever of these comes first.
        ranks = np.empty(len(by_user), np.uint64)
        ranks[by_user] = np.arange(len(by_user))
        # Sums wrap, and compare as signed numbers.
        by_item = np.lexsort((_sums(base, ranks, items)[1].view(np.int64), items))
        places = np.empty(len(by_item), np.int64)
        places[by_item] = np.arange(len(by_item))
        rows, turned = ordered(base.indptr, base.entries, by_user, places, threads=resolve_threads(None))
        _known[base] = Canonical(by_user, by_item, Sparse(Rows(*rows), Rows(*turned)))
    return _known[base]


def leading_svd(base: Base, k: int, seed: int = 0) -> SVD:
    """Return the k leading singular triples of the train part of a base, in the order of codes.

    They are those of `Canonical.svd`, its users and items put back. `k` and `seed` are those of `truncated_svd`.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> leading_svd(base, 2).s.shape
    (2,)
    """
    known = canonical(base)
    found = known.svd(k, seed)
    u, vt = np.empty_like(found.u), np.empty_like(found.vt)
    u[known.users], vt[:, known.items] = found.u, found.vt
    return SVD(u, found.s, vt)


def _refined(base: Base) -> tuple[_Hashes, _Hashes]:
    """Return a digest of each user and of each item, equal for those that look alike three steps away."""
    users, items = (
        _mixed(base.user_degrees("train").astype(np.uint64)),
        _mixed(base.item_degrees("train").astype(np.uint64)),
    )
    for _ in range(_ROUNDS):
        users, items = (
            _mixed(own * _ODD + others) for own, others in zip((users, items), _sums(base, users, items), strict=True)
        )
    return users, items


def _sums(base: Base, users: _Hashes, items: _Hashes) -> tuple[_Hashes, _Hashes]:
    """Return for each user the sum of its items' digests, mixed, and for each item that of its users'.

    Sums of 64 bits wrap, and do not depend on the order of what is added.
    """
    return neighbour_sums(base.indptr, base.entries, _mixed(users), _mixed(items), threads=resolve_threads(None))


_ODD = np.uint64(0x9E3779B97F4A7C15)


def _mixed(values: _Hashes) -> _Hashes:
    z = values + _ODD
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
