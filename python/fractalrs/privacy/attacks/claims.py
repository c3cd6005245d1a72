"""Claims: what an attack says of each person, before anybody tells who is in the data."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fractalrs.privacy.attacks.matching import CERTAIN, Integers, Matches
from fractalrs.privacy.attacks.output import Output
from fractalrs.privacy.attacks.people import People

SURE = 0.01
"""Whoever has scores alone claims those above all but so many of other people, of whom some must be known."""


@dataclass(frozen=True, eq=False)
class Claims:
    """What an attack says of each candidate.

    Attributes
    ----------
    claimed : bool, shape (candidates,), or None
        Whether it says that the candidate is in the data; None where it has scores alone.
    right : bool, shape (candidates,), or None
        Whether what it says beside is true: that a row is of this user, or an item the one held out. None where
        nobody can say.
    scores : float, shape (candidates,), or None
        The higher, the likelier a member.
    """

    claimed: npt.NDArray[np.bool_] | None
    right: npt.NDArray[np.bool_] | None
    scores: npt.NDArray[np.floating] | None

    def judged(self, is_member: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return who is claimed, and of whom that counts.

        Where there are scores alone, every other control serves as somebody whom the attacker knows not to be in the
        data, and does not count.
        """
        if self.claimed is not None:
            return self.claimed, np.ones(len(is_member), bool)
        assert self.scores is not None
        others = np.flatnonzero(~is_member)[::2]
        counts = np.ones(len(is_member), bool)
        counts[others] = False
        return self.scores > np.quantile(self.scores[others], 1 - SURE, method="higher"), counts


def claims_of(
    matches: Matches, output: Output, people: People, users: Integers | None, least: float = CERTAIN
) -> Claims:
    """Claim whose match is certain. `users` are those of the rows; where one is of several there are scores alone."""
    if output.share_of_row < 1:
        return Claims(None, None, np.maximum(matches.margins, -1e9))
    right = None if users is None else users[matches.rows] == people.codes
    return Claims(matches.margins > least, right, matches.margins)
