"""Do blocks repeat each other? The share of the data that one pattern, placed in all blocks, can explain.

Written as mn vectors of p·q entries, the blocks of an unshuffled expansion are nearly multiples of one vector: the best
Kronecker product K ⊗ R explains λ_max / trace of their Gram matrix (Van Loan & Pitsianis 1993). Blocks placed
independently share no more entries than chance puts on one position: the floor. It is measured as stored; after sorting
every row block's users and every column block's items by degree; and after relinking: users of every row block matched
to those of a reference block by the cosine of their rows, items likewise.

Sorting and relinking put active users and popular items of all blocks on the same places, and so raise what independent
blocks share. So there the floor is that of blocks which are independent given the degrees of users and items.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigsh

from fractalrs.passes import Degrees, Matrix, StreamedMatrix
from fractalrs.statistics import Floats, null_pairs
from fractalrs.validation.measure.neighbours import COUNT_BYTES, EACH_COUNT_BYTES, MIN_DEGREE, near_items

ROWS = 2_000
"""Users of a row block that are looked at, in every row block; all where there are fewer."""
RELINKED = 1_000
"""Users and items that are relinked."""
SAMPLED_INTERACTIONS = 4_000_000
"""Fewer users are looked at where their rows would hold more."""

_LANCZOS, _TOLERANCE = 6, 1e-10
"""Vectors of the search for λ_max, and how exact it is."""
_BELOW_ONE = float(np.nextafter(1.0, 0.0))
_TINY = 1e-300
"""Keeps quotients of zeros defined."""

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """λ_max / trace of the block Gram matrix, and what independent blocks of the same counts would give.

    The floor is of entries placed uniformly: E G = n nᵀ / P away from the diagonal, for the counts n of blocks on P
    positions; the other one of entries placed by the degrees of users and items: E G(ij, i′j′) = n_ij n_i′j′
    (u_i · u_i′) (v_j · v_j′), with u_i and v_j the shares that users of a row block, and items of a column block, have
    in its entries.
    """

    share: float
    floor: float
    degree_floor: float


@dataclass(frozen=True)
class Repetition:
    """Shares as stored, sorted by degree, and relinked (None with one block, or too many); and mutual neighbours."""

    stored: Share
    by_degree: Share
    relinked: Share | None
    mutual: float | None
    """Share of a row block's users whose nearest in another has them as nearest in turn; None with one row block."""


def repetition(matrix: StreamedMatrix, degrees: Degrees, seed: int = 0) -> Repetition | None:
    """Compute how much blocks repeat each other; None where there is but one block, or no train interaction.

    Nor is there anything where items' numbers do not tell their blocks: as stored, nothing is repeated then.
    """
    p, q = matrix.block_shape
    m, n = matrix.shape[0] // p, matrix.shape[1] // q
    if matrix.id_order != "block" or m * n == 1 or degrees.block_train.sum() == 0:
        return None
    rng = np.random.default_rng(seed)
    mean = degrees.block_train.sum() / p
    count = int(max(1, min(p, ROWS, SAMPLED_INTERACTIONS / mean)))
    starts = np.arange(m)[:, None] * p
    places = np.sort(rng.choice(p, count, replace=False))
    stored = _share(_positions(matrix, starts + places, np.tile(np.arange(q), n), q), (m, n), (count, q))

    user_order = np.argsort(-degrees.user_train.reshape(m, p).astype(np.int64), axis=1, kind="stable")
    item_order = np.argsort(-degrees.item_train.reshape(n, q).astype(np.int64), axis=1, kind="stable")
    ranks = np.empty((n, q), dtype=np.int64)
    np.put_along_axis(ranks, item_order, np.tile(np.arange(q), (n, 1)), axis=1)
    by_degree = _share(_positions(matrix, starts + user_order[:, places], ranks.ravel(), q), (m, n), (count, q))
    relinked, mutual = _relinked(matrix, degrees, rng)
    return Repetition(stored, by_degree, relinked, mutual)


def _positions(matrix: StreamedMatrix, users: Codes, place_of_item: Codes, width: int) -> Matrix:
    """Blocks × positions: where the rows of `users`, (m, count), −1 for none, have entries at items with a place."""
    m, count = users.shape
    n = matrix.shape[1] // matrix.block_shape[1]
    flat = users.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[flat[order] >= 0]
    distinct, number = np.unique(flat[order], return_inverse=True)
    found = matrix.collect(distinct)[number]
    # Where each row of `found` stands in `users`.
    lengths = np.diff(found.indptr)
    at = np.repeat(order, lengths)
    items = found.indices.astype(np.int64)
    place = place_of_item[items]
    known = place >= 0
    at, items, place = at[known], items[known], place[known]
    block = (at // count) * n + items // matrix.block_shape[1]
    return sp.csr_array((np.ones(len(at)), (block, (at % count) * width + place)), shape=(m * n, count * width))


def _share(blocks: Matrix, shape: tuple[int, int], places: tuple[int, int]) -> Share:
    """Measure blocks × positions, of m × n blocks with so many users × items each."""
    (m, n), (users, items) = shape, places
    counts = np.diff(blocks.indptr).astype(np.float64)
    total = float(counts.sum())
    if total == 0:
        return Share(0.0, 0.0, 0.0)
    block = np.repeat(np.arange(m * n), np.diff(blocks.indptr))
    position = blocks.indices.astype(np.int64)
    of_users = _shares(block // n, position // items, (m, users))
    of_items = _shares(block % n, position % items, (n, items))
    # A block shares all entries with itself.
    itself = (of_users**2).sum(axis=1)[:, None] * (of_items**2).sum(axis=1)

    def gram(x: Floats) -> Floats:
        return np.asarray(blocks @ (blocks.T @ x))

    def uniform(x: Floats) -> Floats:
        x = x.ravel()
        return np.asarray(counts * (counts @ x) / (users * items) + counts * (1 - counts / (users * items)) * x)

    def by_degree(x: Floats) -> Floats:
        x = x.ravel()
        together = of_users @ (of_users.T @ (counts * x).reshape(m, n) @ of_items) @ of_items.T
        return np.asarray(counts * together.ravel() + counts * (1 - counts * itself.ravel()) * x)

    return Share(*(_largest(product, len(counts), counts) / total for product in (gram, uniform, by_degree)))


def _shares(row: Codes, column: Codes, shape: tuple[int, int]) -> Floats:
    """Counts of pairs, each row divided by its sum."""
    counts = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))


def _largest(product: Callable[[Floats], Floats], size: int, start: Floats) -> float:
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    if size < 3:
        return float(np.linalg.eigvalsh(operator @ np.eye(size)).max())
    # One pattern stands out: a few products find it as well as the twenty that are the least by default.
    few: dict[str, Any] = {"ncv": min(size, _LANCZOS), "tol": _TOLERANCE, "return_eigenvectors": False}
    return float(eigsh(operator, k=1, v0=start + start.max() * 1e-3, **few)[0])


def _relinked(matrix: StreamedMatrix, degrees: Degrees, rng: np.random.Generator) -> tuple[Share | None, float | None]:
    p, q = matrix.block_shape
    m, n = degrees.block_train.shape
    count = int(max(1, min(RELINKED, SAMPLED_INTERACTIONS * p / degrees.block_train.sum())))
    reference_row, reference_column = (int(degrees.block_train.sum(axis=axis).argmax()) for axis in (1, 0))
    users = _reference(degrees.user_train, reference_row, p, count, rng)
    items = _reference(degrees.item_train, reference_column, q, RELINKED, rng)
    if len(users) == 0 or len(items) == 0:
        return None, None
    own = matrix.collect(users)
    nearest, _ = matrix.nearest(users, own, p)
    nearest[:, reference_row] = users
    mutual = _mutual(matrix, users, nearest, reference_row) if m > 1 else None

    if EACH_COUNT_BYTES * matrix.shape[1] > COUNT_BYTES:
        return None, mutual
    matched = _nearest_items(matrix, degrees, items)
    matched[:, reference_column] = items
    place = np.full(matrix.shape[1], -1, dtype=np.int64)
    # An item that is nearest to several stands for the first of them.
    place[matched[::-1].ravel()] = np.repeat(np.arange(len(items))[::-1], n)
    return _share(_positions(matrix, nearest.T, place, len(items)), (m, n), (len(users), len(items))), mutual


def _reference(
    all_degrees: npt.NDArray[np.uint32], block: int, size: int, count: int, rng: np.random.Generator
) -> Codes:
    known = block * size + np.flatnonzero(all_degrees[block * size : (block + 1) * size] >= MIN_DEGREE)
    return np.sort(rng.choice(known, min(len(known), count), replace=False)).astype(np.int64)


def _nearest_items(matrix: StreamedMatrix, degrees: Degrees, items: Codes) -> Codes:
    """Return the nearest item of each in every column block: (items, n)."""
    found = near_items(matrix, items, degrees.item_train, least=0, count=1, group=matrix.block_shape[1])
    return found.ids[:, :, 0]


def _mutual(matrix: StreamedMatrix, users: Codes, nearest: Codes, reference: int) -> float:
    p = matrix.block_shape[0]
    other = (reference + 1) % nearest.shape[1]
    there = nearest[:, other]
    distinct = np.unique(there[there >= 0])
    back, _ = matrix.nearest(distinct, matrix.collect(distinct), p)
    found = there >= 0
    returned = back[np.searchsorted(distinct, there[found]), reference]
    return float((returned == users[found]).sum() / len(users))


def null_mutual(group: int, items: int, density: float) -> float | None:
    """Compute the share of mutual nearest users to expect if pairs interact with probability `density`, independently.

    Let u and v of two groups of p users have a and b items, s of them both. Of several at the same cosine the first in
    the group is the nearest. Another user of v's group is nearer to u with probability f, as near or nearer with e
    (summed over `null_pairs`, given a), so that v at a random place in its group is the nearest with probability
    w = ((1 − f)ᵖ − (1 − e)ᵖ) / (p (e − f)). Given u and v, other users of both groups are independent, so that u is
    nearest to v independently, and u has a mutual neighbour with probability p E[w(s | a) w(s | b)] over v and s > 0:
    p / (2p − 1) where cosines hardly tie and all users have as many items; less where some are near to many. Users of
    fewer than five items are not asked; None where nobody has so many.
    """
    if density == 0:
        return None
    pairs = null_pairs(items, density)
    known = np.where(pairs.degrees >= MIN_DEGREE, pairs.weights, 0.0)
    if known.sum() == 0:
        return None
    values, place = np.unique(-(pairs.shared.astype(np.float64) ** 2) / pairs.degrees[:, None], return_inverse=True)
    wins = np.empty(pairs.chances.shape)
    for one, chances in enumerate(pairs.chances):
        each = np.bincount(place.ravel(), (pairs.weights[:, None] * chances).ravel(), minlength=len(values))
        # Sums of probabilities may be above 1 by rounding.
        nearer = np.minimum(np.cumsum(each), _BELOW_ONE)
        logarithms = group * np.log1p(-np.append(0.0, nearer))
        won = np.exp(logarithms[:-1]) * -np.expm1(np.diff(logarithms)) / (group * np.maximum(each, _TINY))
        wins[one] = won[place].reshape(wins[one].shape)
    both = (wins * wins.transpose(1, 0, 2) * pairs.chances)[:, :, pairs.shared > 0].sum(axis=2)
    return float(group * (known @ both @ pairs.weights) / known.sum())
