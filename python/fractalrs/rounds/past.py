"""What is known at the beginning of a round: the responses heard of so far, and the items that were shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from fractalrs.models import Integers, Matrix
from fractalrs.tools import Shown

Slates = npt.NDArray[np.int32]
"""Items that are shown to users together: (users, slate)."""


@dataclass(frozen=True, repr=False)
class Past(Shown):
    """What a policy may learn from at the beginning of a round.

    Attributes
    ----------
    round
        The number of the round, from 0 on.
    responses : scipy.sparse.csr_array, float64, shape (users, items)
        1 where a user is known to have responded to an item.
    shown, responded : int64, shape (items,)
        How often each item was shown in the rounds before, and responded to as far as is known.

    Examples
    --------
    >>> import fractalrs as fr
    >>> def most_shown(past):
    ...     first = np.argsort(-past.shown, kind="stable")[:5]
    ...     return lambda users: np.tile(first, (len(users), 1))
    >>> fr.feedback(fr.simulate(60, 40, 600), most_shown, rounds=2, slate=5).last["coverage"]
    0.125
    """

    round: int
    responses: Matrix
    shown: Integers
    responded: Integers

    def _facts(self) -> dict[str, Any]:
        known = self.responses.nnz
        return {"round": self.round, "shape": self.responses.shape, "known": known, "shown": int(self.shown.sum())}


class History:
    """What happened so far, as far as later rounds depend on it: kept up to date table by table."""

    def __init__(self, shape: tuple[int, int], slate: int) -> None:
        self.shape, self.slate = shape, slate
        users, items = shape
        self.present = np.ones(users, np.bool_)
        """Users who have not left."""
        self.last = np.full((users, slate), -1, np.int32)
        """The slates of the round before."""
        self._known = np.empty(0, np.int64)
        self._heard_in: dict[int, list[Integers]] = {}
        self._shown, self._responded = np.zeros(items, np.int64), np.zeros(items, np.int64)
        self._satisfied = np.zeros(users, np.bool_)
        self._next = self.last.copy()

    def past(self, round: int) -> Past:
        """Return what is known at the beginning of a round, the next one."""
        users, items = self.shape
        heard = np.concatenate([np.empty(0, np.int64), *self._heard_in.pop(round, [])])
        self._responded += np.bincount(heard % items, minlength=items)
        # Two runs of rising numbers, which a stable sort merges.
        known = np.sort(np.concatenate([self._known, np.sort(heard)]), kind="stable")
        self._known = known[np.append(True, known[1:] != known[:-1])] if len(known) else known
        starts = np.searchsorted(self._known, np.arange(users + 1) * items)
        entries = np.ones(len(self._known)), (self._known % items).astype(np.int32), starts
        responses: Matrix = sp.csr_array(entries, shape=self.shape)
        return Past(round, responses, self._shown.copy(), self._responded.copy())

    def take(self, table: pa.Table) -> tuple[Integers, Slates]:
        """Take in the log of some users in a round, whole slates; return the users and their slates."""
        user, item, response, heard = (table[name].to_numpy() for name in ("user_id", "item_id", "response", "heard"))
        users, slates = user[:: self.slate].astype(np.int64), item.reshape(-1, self.slate)
        self._shown += np.bincount(item, minlength=self.shape[1])
        # Nulls become NaN.
        for number in np.unique(heard[~np.isnan(heard)]).tolist():
            rows = heard == number
            self._heard_in.setdefault(int(number), []).append(user[rows].astype(np.int64) * self.shape[1] + item[rows])
        self._satisfied[users] = response.reshape(-1, self.slate).any(axis=1)
        self._next[users] = slates
        return users, slates

    def end(self, leaves: npt.NDArray[np.bool_]) -> None:
        """End the round: of those who responded to nothing some leave."""
        self.present &= self._satisfied | ~leaves
        self.last, self._next = self._next, np.full_like(self._next, -1)
        self._satisfied = np.zeros_like(self._satisfied)


def seen_by(past: Past, users: Integers, forget: bool) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """Return the items that users are known to have responded to, as the core takes them; none where that is forgotten.

    Examples
    --------
    >>> ones = sp.csr_array(np.array([[1.0, 0, 1], [0, 0, 0]]))
    >>> starts, items = seen_by(Past(1, ones, np.zeros(3), np.zeros(3)), np.array([1, 0]), forget=False)
    >>> starts.tolist(), items.tolist()
    ([0, 0, 2], [0, 2])
    """
    if forget:
        return np.zeros(len(users) + 1, np.uint64), np.empty(0, np.uint32)
    rows = past.responses[users]
    return rows.indptr.astype(np.uint64), rows.indices.astype(np.uint32)


def pieces_of(first: int, last: int, at_once: int) -> Iterator[int]:
    """Return where pieces of a grid over all users begin of which some are among these.

    Examples
    --------
    >>> list(pieces_of(5, 21, 10))
    [0, 10, 20]
    """
    return iter(range(first // at_once * at_once, last, at_once))
