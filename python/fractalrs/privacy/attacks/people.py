"""People: those whose histories an attacker knows, of whom some are in the data and others are not."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from fractalrs.base import Base, leave_last_out
from fractalrs.errors import InputError
from fractalrs.privacy.attacks.annealing import Integers, Matrix
from fractalrs.tools import Shown

FEWEST = 30
"""Of members, and of controls: with fewer an interval says next to nothing, whatever was found."""
MOST = 10_000
"""Of both together: of more a sample is audited."""


@dataclass(frozen=True, eq=False, repr=False)
class People(Shown):
    """Members and controls as one matrix over all their items.

    Attributes
    ----------
    histories, held_out, validation
        Candidates × items, ones: their train interactions, and those held out for test and for validation. The first
        items are those of the members' base, by code.
    is_member : bool, shape (candidates,)
        Whether the data were made of each.
    codes : int64, shape (candidates,)
        The user code of each member in the members' base, −1 for controls.
    item_ids
        Of all items.
    degrees : int64, shape (items,)
        Train interactions of each item, of all members and controls, those left out of a sample too.
    held_ratings : float64, shape (candidates,), or None
        The rating of the first interaction that was held out of each, NaN of none; None where nobody knows ratings.
    """

    histories: Matrix
    held_out: Matrix
    validation: Matrix
    is_member: npt.NDArray[np.bool_]
    codes: Integers
    item_ids: pa.Array
    degrees: Integers
    held_ratings: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(cls, members: Base, controls: Base, most: int, seed: int) -> Self:
        """Take members and controls, or a sample of both, half of each where there are enough."""
        rng = np.random.default_rng(seed)
        sizes = _sizes(members.shape[0], controls.shape[0], most)
        chosen = [
            np.sort(rng.choice(base.shape[0], size, replace=False))
            for base, size in zip((members, controls), sizes, strict=True)
        ]
        item_ids, codes = _catalogue(members.item_ids, controls.item_ids)
        histories, held_out, validation = (
            sp.vstack(
                [
                    _wide(members_part[chosen[0]], np.arange(members.shape[1]), len(item_ids)),
                    _wide(controls_part[chosen[1]], codes, len(item_ids)),
                ],
                format="csr",
            )
            for members_part, controls_part in (
                (members.train, controls.train),
                (members.test, controls.test),
                (members.valid, controls.valid),
            )
        )
        is_member = np.arange(sum(sizes)) < sizes[0]
        user_codes = np.concatenate([chosen[0], np.full(sizes[1], -1)])
        degrees = np.zeros(len(item_ids), np.int64)
        degrees[: members.shape[1]] = members.item_degrees("train")
        degrees[codes] += controls.item_degrees("train")
        rated = [_held_ratings(base) for base in (members, controls)]
        ratings = [one[places] for one, places in zip(rated, chosen, strict=True) if one is not None]
        together = np.concatenate(ratings) if len(ratings) == len(rated) else None
        return cls(histories, held_out, validation, is_member, user_codes, item_ids, degrees, together)

    def known(self, share: float, seed: int) -> Self:
        """Return them with each interaction known with probability `share`."""
        if share == 1:
            return self
        matrix = self.histories
        kept = np.random.default_rng([seed, 1]).random(matrix.nnz) < share
        starts = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
        return replace(self, histories=sp.csr_array((matrix.data[kept], matrix.indices[kept], starts), matrix.shape))

    @property
    def with_held_out(self) -> Self:
        """Return them with what was held out, for test and for validation, known too."""
        return replace(self, histories=sp.csr_array(self.histories.maximum(self.held_out).maximum(self.validation)))

    def first_held_out(self, cells: Matrix) -> tuple[npt.NDArray[np.bool_], Integers]:
        """Return who has an interaction that was held out, and the cell of the first one's item; 0 of none."""
        has, numbers = np.diff(self.held_out.indptr) > 0, np.asarray(cells.indices, np.int64)
        first = np.zeros(len(has), np.int64)
        first[has] = numbers[self.held_out.indices[self.held_out.indptr[:-1][has]]]
        return has, first

    def sample(self, most: int, seed: int) -> Self:
        """Return so many of them, half members and half controls where there are enough."""
        rng, chosen = np.random.default_rng([seed, 2]), np.zeros(len(self.is_member), bool)
        places = np.flatnonzero(self.is_member), np.flatnonzero(~self.is_member)
        for some, size in zip(places, _sizes(len(places[0]), len(places[1]), most), strict=True):
            chosen[rng.choice(some, size, replace=False)] = True
        return self.only(chosen)

    def only(self, chosen: npt.NDArray[np.bool_]) -> Self:
        """Return some of them."""
        matrices = {name: getattr(self, name)[chosen] for name in ("histories", "held_out", "validation")}
        ratings = None if self.held_ratings is None else self.held_ratings[chosen]
        is_member, codes = self.is_member[chosen], self.codes[chosen]
        return replace(self, **matrices, is_member=is_member, codes=codes, held_ratings=ratings)

    @cached_property
    def at_risk(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Who is at more risk than others: the least typical tenth, and those with an item that nobody else has.

        Typical is who has what many have: by the mean logarithm of the items' degrees.
        """
        degrees = self.degrees
        owned = np.diff(self.histories.indptr)
        owners = np.repeat(np.arange(len(owned)), owned)
        typical = np.bincount(owners, np.log(degrees[self.histories.indices]), len(owned)) / np.maximum(owned, 1)
        unique = np.bincount(owners, degrees[self.histories.indices] == 1, len(owned)) > 0
        return {"the least typical tenth": typical <= np.quantile(typical, 0.1), "with an item of their own": unique}


def as_base(name: str, given: Any, split: str = "auto", **how: Any) -> Base:
    """Return people as a base, split as another one where that can be said in a word."""
    if isinstance(given, Base):
        return given
    if split not in ("auto", "last", "random", "none"):
        raise InputError(
            f"{name} are not split, and the others are by {split!r}, which is not said again in a word",
            hint="give both as a Base, split alike",
        )
    word: Any = split
    try:
        return leave_last_out(given, split=word, **how)
    except InputError as error:
        raise InputError(f"{name}: {error.message}", hint=error.hint) from error


def check_enough(members: Base, controls: Base) -> None:
    """Refuse too few for an interval, and people who are both."""
    for name, base in (("members", members), ("controls", controls)):
        if base.shape[0] < FEWEST:
            raise InputError(
                f"there are {base.shape[0]} {name}, too few for an interval: at least {FEWEST} are needed",
                hint="hold more users out, or give more users",
            )
    known, others = members.user_ids, controls.user_ids
    if known.type != others.type:
        known, others = known.cast(pa.string()), others.cast(pa.string())
    if (count := pc.sum(pc.is_in(others, known)).as_py()) > 0:
        raise InputError(
            f"{count:,} users are among the members and among the controls",
            hint="hold_users_out divides users; the controls must not be in the data",
        )


def numbers_of(values: pa.Array) -> npt.NDArray[np.float64]:
    """Return numbers of a column, NaN for what is none."""
    return np.asarray(pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _held_ratings(base: Base) -> npt.NDArray[np.float64] | None:
    """Return the rating of the first test interaction of each user, NaN of none; None without ratings."""
    if base.payload is None or "rating" not in base.payload.column_names:
        return None
    held = np.flatnonzero(base.mask("test"))
    users, first = np.unique(base.owners[held], return_index=True)
    found = np.full(base.shape[0], np.nan)
    found[users] = numbers_of(base.column("rating"))[held[first]]
    return found


def _sizes(members: int, controls: int, most: int) -> tuple[int, int]:
    taken = min(controls, max(most // 2, most - members))
    return min(members, most - taken), taken


def _catalogue(ids: pa.Array, others: pa.Array) -> tuple[pa.Array, Integers]:
    """Return the ids of both, the first ones first, and the place of each of the others."""
    if ids.type != others.type:
        ids, others = ids.cast(pa.string()), others.cast(pa.string())
    places = pc.index_in(others, ids)
    fresh = others.filter(places.is_null())
    everything = pa.concat_arrays([ids, fresh])
    return everything, np.asarray(pc.index_in(others, everything).to_numpy(zero_copy_only=False), np.int64)


def _wide(matrix: Matrix, codes: Integers, items: int) -> Matrix:
    """Return a matrix whose columns are at other places."""
    return sp.csr_array((matrix.data, codes[matrix.indices], matrix.indptr), (matrix.shape[0], items))
