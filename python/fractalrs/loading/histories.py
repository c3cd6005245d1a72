"""Histories: the items of any users, whichever are asked for, made at that moment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.expansion import Expansion
from fractalrs.tools import Shown, check_count, check_kind, check_word, checked_ids, resolve_threads
from fractalrs.words import SPLITS, Split

Integers = npt.NDArray[np.integer[Any]]


class Histories(Shown):
    """The items of each expanded user, in the order of its interactions: a map from users to arrays.

    Nothing is read and nothing is kept: a history is made when it is asked for, in about 0.1 ms.

    Parameters
    ----------
    source
        An expansion whose blocks are not made by a function.
    split
        ``"train"`` or ``"test"``.
    max_length
        So many items of a user at the most, the last ones; all by default.
    threads
        Threads that make histories of several users; by default as many as this process may use.

    Raises
    ------
    InputError
        If an argument is out of its range.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.loading import Histories
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> histories = Histories(fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7), max_length=5)
    >>> len(histories), len(histories[3]) <= 5
    (120, True)
    >>> values, lengths, offsets = histories.__getitems__([3, 70])
    >>> bool(len(values) == offsets[-1] == lengths.sum())
    True
    """

    def __init__(
        self, source: Expansion, split: Split = "train", *, max_length: int | None = None, threads: int | None = None
    ) -> None:
        check_kind("source", source, Expansion, "an Expansion; of a data set, export it as csr and use load_csr")
        check_word("split", split, SPLITS)
        if max_length is not None:
            check_count("max_length", max_length, 1)
        self._core = source.core
        self._users, self._split, self._max_length = source.shape[0], split, max_length
        self._threads = resolve_threads(threads)

    def __len__(self) -> int:
        return self._users

    def __getitem__(self, user: int) -> Integers:
        number = user + self._users if user < 0 else user
        if not 0 <= number < self._users:
            # Where a sequence ends loops must see this one.
            raise IndexError(f"user {user} is not within 0 to {self._users - 1}")
        items = self._core.interactions(number, number + 1, self._split)[1]
        return items if self._max_length is None else items[-self._max_length :]

    def __getitems__(self, users: Sequence[int] | Integers) -> tuple[Integers, Integers, Integers]:
        """Return the items of several users, one after another, as nested sequences are stored.

        Parameters
        ----------
        users
            Ids, each as often as wanted.

        Returns
        -------
        values, lengths, offsets
            The items; int64, how many each user has; int64, one more than users: where each begins, and the last ends.
        """
        wanted = checked_ids("users", np.asarray(users), self._users).ravel()
        made = self._core.histories(wanted, self._split, carrying=False, threads=self._threads)
        lengths, values = np.asarray(made[0], np.int64), made[1]
        if self._max_length is not None:
            ends, lengths = np.cumsum(lengths), np.minimum(lengths, self._max_length)
            offsets = _offsets(lengths)
            values = values[np.arange(offsets[-1]) + np.repeat(ends - offsets[1:], lengths)]
        return values, lengths, _offsets(lengths)

    def _facts(self) -> dict[str, Any]:
        return {"users": self._users, "split": self._split, "max_length": self._max_length}


def _offsets(lengths: Integers) -> Integers:
    return np.concatenate(([0], np.cumsum(lengths)))
