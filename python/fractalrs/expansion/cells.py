"""Cells: small groups of users, and of items, alike in taste and activity, inside which blocks exchange members."""

import math
import os
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fractalrs._core import group_spreads, peel_groups, sort_groups
from fractalrs.base import Base, Canonical, canonical
from fractalrs.errors import InputError
from fractalrs.expansion.declared import whole
from fractalrs.statistics import wasserstein
from fractalrs.tools import (
    Shown,
    as_path,
    check_count,
    check_kind,
    load_arrays,
    suggests,
    untrusted,
    unwritten,
    whole_file,
)

COORDINATES = 16
"""Leading singular coordinates by which users, and items, are grouped; docs/cells.md has the measurement."""

USER_CELL_SIZE = 7
"""Default of users: among so many the shuffle `mixed` deals interactions out. Of fewer, people are found in the output
(docs/privacy.md); more cost taste."""
ITEM_CELL_SIZE = 5
"""Default of items: so many change places."""

LEAF = 64
"""Groups are bisected until none holds more than this many cells."""

_MIN_SINGULAR_RATIO = 1e-10

_Codes = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False, repr=False)
class Cells(Shown):
    """A partition of all users into cells, and one of all items.

    The members of user cell g are ``user_order[user_starts[g]:user_starts[g + 1]]``, likewise for items.
    A value: its arrays are checked when it is made, and read-only.

    Attributes
    ----------
    user_order, item_order : uint32, shapes (p,) and (q,)
        Every user code, and every item code, once.
    user_starts, item_starts : uint32, shapes (c + 1,) and (d + 1,)
        Where each of the c user cells begins in `user_order`: rises from 0 to p. Likewise for d item cells, to q.

    Raises
    ------
    InputError
        If the arrays are not two partitions.

    Examples
    --------
    >>> Cells.whole(3, 2).user_cell_size
    3
    """

    user_order: _Codes
    user_starts: _Codes
    item_order: _Codes
    item_starts: _Codes

    def __post_init__(self) -> None:
        """Check the arrays: the generator relies on them to stay inside its own."""
        for kind in ("user", "item"):
            order = _as_codes(getattr(self, f"{kind}_order"), f"{kind}_order")
            starts = _as_codes(getattr(self, f"{kind}_starts"), f"{kind}_starts")
            count = len(order)
            if count == 0 or order.max() >= count or np.bincount(order, minlength=count).min() != 1:
                message = f"{kind}_order does not hold each of {count} {kind} codes once"
                raise InputError(message, hint=f"give a permutation of 0 to {count - 1}")
            if len(starts) < 2 or starts[0] != 0 or starts[-1] != count or np.any(starts[1:] <= starts[:-1]):
                message = f"{kind}_starts does not rise from 0 to the number of {kind}s, {count}"
                raise InputError(message, hint="give where each cell starts, and where the last one ends")
            object.__setattr__(self, f"{kind}_order", order)
            object.__setattr__(self, f"{kind}_starts", starts)

    @classmethod
    def single(cls, p: int, q: int) -> Self:
        """Put each of p users and q items in a cell of its own: nothing is exchanged (shuffle ``aligned``)."""
        return cls(*_trivial(p, 1), *_trivial(q, 1))

    @classmethod
    def whole(cls, p: int, q: int) -> Self:
        """Put all p users in one cell and all q items in one: anything is exchanged (shuffle ``block``)."""
        return cls(*_trivial(p, p), *_trivial(q, q))

    @classmethod
    def of_places(cls, places: Self, base: Canonical) -> Self:
        """Return the cells of codes that are cells of places in the canonical order of a base."""
        users, items = base.users.astype(np.uint32), base.items.astype(np.uint32)
        return cls(users[places.user_order], places.user_starts, items[places.item_order], places.item_starts)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users p and of items q."""
        return len(self.user_order), len(self.item_order)

    @property
    def user_cell_size(self) -> int:
        """Members of the largest user cell."""
        return int(np.diff(self.user_starts).max())

    @property
    def users_alone(self) -> int:
        """How many users have a cell of their own."""
        return int((np.diff(self.user_starts) == 1).sum())

    @property
    def item_cell_size(self) -> int:
        """Members of the largest item cell."""
        return int(np.diff(self.item_starts).max())

    def _facts(self) -> dict[str, Any]:
        (p, q), counts = self.shape, (len(self.user_starts) - 1, len(self.item_starts) - 1)
        users, items = {"users": p, "user_cells": counts[0]}, {"items": q, "item_cells": counts[1]}
        sizes = {"user_cell_size": self.user_cell_size, "item_cell_size": self.item_cell_size}
        return {**users, **items, **sizes}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the four arrays to an ``.npz`` file; equal cells give equal bytes.

        Raises
        ------
        OutputError
            If the file cannot be written; one that was there stays as it was.
        """
        target = as_path("path", path)
        try:
            with whole_file(target) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **vars(self))
        except OSError as error:
            raise unwritten(target, error) from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is not that, or what it holds are not two partitions.
        FileNotFoundError, PermissionError
            If it cannot be read.
        """
        file_path, hint = as_path("path", path), "make the cells again from the base, and save them"
        with untrusted(file_path, hint, "does not hold saved cells"):
            arrays = load_arrays(file_path)
            given = [arrays[field.name] for field in fields(cls)]
        try:
            return cls(*given)
        except InputError as error:
            raise InputError(f"{file_path}: {error.message}", hint=hint) from None


@suggests
def group_cells(
    base: Base,
    user_cell_size: int = USER_CELL_SIZE,
    item_cell_size: int = ITEM_CELL_SIZE,
    coordinates: int = COORDINATES,
) -> Cells:
    """Group users and items that are alike in the train part of a base.

    Users are points: their 16 leading singular coordinates, uᵢ√σᵢ, and the logarithm of their number of interactions,
    which weighs as much as all the others together. Groups are split in two across their principal axis, in
    proportion to the cells each side is to become, until none holds more than 64 cells. In each of them the outermost
    user and those nearest to it make a cell, then the outermost of the rest, and so on. Cells differ by at most one
    member, and there are as few as the cell size allows. Items likewise, by vᵢ√σᵢ. Ids do not matter: ties are broken
    by what users and items interacted with.

    Parameters
    ----------
    base
        p users × q items. Test interactions have no influence.
    user_cell_size, item_cell_size
        Most members of a cell, at least 1. With 1 nobody changes place; with p (q) or more there is one cell of
        everyone.
    coordinates
        How many leading singular coordinates.

    Raises
    ------
    InputError
        If `base` is none, a size is not a whole number of at least 1, or the train part is empty.

    Examples
    --------
    >>> from fractalrs import leave_last_out, sample_interactions
    >>> group_cells(leave_last_out(sample_interactions(60, 40, 600)), 4, 2).user_cell_size
    4
    """
    check_kind("base", base, Base, "a Base: leave_last_out makes one")
    known = canonical(base)
    cells = group_canonical(known, user_cell_size, item_cell_size, coordinates)
    return Cells.of_places(cells, known)


def group_canonical(
    base: Canonical,
    user_cell_size: int = USER_CELL_SIZE,
    item_cell_size: int = ITEM_CELL_SIZE,
    coordinates: int = COORDINATES,
    lost: float = math.inf,
    blocks: tuple[int, int] = (1, 1),
) -> Cells:
    """Group users and items of a base in canonical order, see `group_cells`: the cells hold places in that order.

    Where cells would lose more of the ranking by degree than `lost`, those at its top who have no equals among the next
    are apart, see `tops`. The loss is the Wasserstein distance of degrees, over their mean, from what expanded ids have
    instead: in each of n (of m) blocks that of a random member of their cell.
    """
    p, q = base.shape
    user_size, item_size = _check_size(user_cell_size, "user"), _check_size(item_cell_size, "item")
    users = None if 1 < user_size < p else _trivial(p, user_size)
    items = None if 1 < item_size < q else _trivial(q, item_size)
    if users is None or items is None:
        s = base.svd(coordinates).s
        # A direction of length zero holds rounding errors only.
        real = s > _MIN_SINGULAR_RATIO * s[0]
        tastes = (image[:, real] / np.sqrt(s[real]) for image in base.images(coordinates))
        degrees = base.user_degrees, base.item_degrees
        of_users, of_items = map(features, tastes, degrees)
        users = users or _with_tops(of_users, degrees[0], user_size, lost, blocks[1])
        items = items or _with_tops(of_items, degrees[1], item_size, lost, blocks[0])
    return Cells(*users, *items)


def tops(degrees: npt.NDArray[np.integer[Any]], size: int, moved: float) -> list[_Codes]:
    """Return cells for the top of a ranking, by degree alone, so that none moves much of all interactions.

    What a cell moves is Σ |degree − mean of the cell|, as a share of all interactions: an expanded id has its cell's
    mean in the long run. Below the last `size` neighbours of the ranking that would move more than `moved` any cell
    may do; down to there each has as many of the next as move no more.

    Examples
    --------
    >>> [cell.tolist() for cell in tops(np.array([2, 90, 2, 3, 30, 29, 2]), 3, 0.01)]
    [[1], [4, 5]]
    """
    order = np.argsort(-degrees, kind="stable").astype(np.uint32)
    ranking, most = degrees[order].astype(np.float64), moved * float(degrees.sum())
    if len(ranking) < size:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(ranking, size)
    too_far = np.flatnonzero(np.abs(windows - windows.mean(axis=1, keepdims=True)).sum(axis=1) > most)
    last, cells, place = too_far.max(initial=-1), [], 0
    while place <= last:
        count = size
        while np.abs(ranking[place : place + count] - ranking[place : place + count].mean()).sum() > most:
            count -= 1
        cells.append(np.sort(order[place : place + count]))
        place += count
    return cells


def _with_tops(
    points: npt.NDArray[np.float64], degrees: npt.NDArray[np.integer[Any]], size: int, lost: float, blocks: int
) -> tuple[_Codes, _Codes]:
    """Put those alike into cells; where that loses too much, those at the top into cells of their own."""
    order, starts = partition(points, size)
    if lost == math.inf:
        return order, starts
    sizes: npt.NDArray[np.int64] = np.asarray(np.diff(starts.astype(np.int64)), np.int64)
    of_cell, first, members = degrees[order], np.repeat(starts[:-1].astype(np.int64), sizes), np.repeat(sizes, sizes)
    rng, expanded = np.random.default_rng(0), np.zeros(len(order), np.int64)
    for _ in range(blocks):
        expanded += of_cell[first + (rng.random(len(order)) * members).astype(np.int64)]
    apart = tops(degrees, size, lost / 10) if (wasserstein(degrees, expanded) or 0.0) > lost else []
    if not apart:
        return order, starts
    others = np.setdiff1d(np.arange(len(points), dtype=np.uint32), np.concatenate(apart))
    order, starts = partition(points[others], size) if len(others) else (others, np.zeros(1, np.uint32))
    ends = np.cumsum([0, *map(len, apart)])
    return np.concatenate((*apart, others[order])), np.concatenate((ends[:-1], starts + ends[-1])).astype(np.uint32)


def features(tastes: npt.NDArray[np.float64], degrees: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
    """Add log(1 + degree) to the coordinates of taste, with the variance of all of them together."""
    activity = np.log1p(degrees)
    spread = activity.std()
    if spread > 0:
        activity *= np.sqrt(tastes.var(axis=0).sum()) / spread
    return np.column_stack((tastes, activity))


def _check_size(size: int, kind: str) -> int:
    name = f"{kind} cell size"
    if (value := whole(name, size)) < 1:
        raise InputError(f"{name} {value} is less than 1", hint="1 exchanges nobody; leave it out for the default")
    return value


def _trivial(count: int, size: int) -> tuple[_Codes, _Codes]:
    """Return order and starts of cells of size 1, or of one cell of all."""
    check_count("the number of users, and of items,", count, 1)
    codes = np.arange(count + 1, dtype=np.uint32)
    return codes[:-1], codes if size == 1 else codes[[0, -1]]


def partition(points: npt.NDArray[np.float64], size: int, leaf: int = LEAF) -> tuple[_Codes, _Codes]:
    """Put points, shape (count, dimensions), that are near each other into cells of at most `size`; see `Cells`.

    Groups are bisected until none holds more than `leaf` cells; with 1, to the end. Sizes of cells differ by at most
    one; members of a cell are in order of their codes.
    """
    count, points = len(points), np.ascontiguousarray(points)
    cell_count = -(-count // size)
    starts = (np.arange(cell_count + 1) * count // cell_count).astype(np.uint32)
    order = np.arange(count, dtype=np.uint32)
    # Group g spans the cells groups[g] to groups[g + 1]; all groups of a level are split at once.
    groups = np.array([0, cell_count], dtype=np.uint32)
    while np.diff(groups).max() > leaf:
        edges = starts[groups]
        axes = np.linalg.eigh(group_spreads(points, order, edges)).eigenvectors[..., -1]
        order = sort_groups(points, order, edges, np.ascontiguousarray(axes))
        groups = np.unique(np.concatenate((groups, (groups[:-1] + groups[1:]) // 2)))
    return peel_groups(points, order, groups, starts), starts


def _as_codes(array: npt.NDArray[np.generic], name: str) -> _Codes:
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "ui":
        raise InputError(f"{name} must be a one-dimensional array of integers")
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.uint32).max):
        raise InputError(f"{name} holds numbers that are no codes", hint="codes are from 0 to 2^32 - 1")
    codes = np.array(array, dtype=np.uint32)
    codes.flags.writeable = False
    return codes
