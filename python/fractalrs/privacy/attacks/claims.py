"""Claims: what an attack says of each person, before anybody tells who is in the data."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fractalrs.privacy.attacks.annealing import Integers
from fractalrs.privacy.attacks.matching import CERTAIN, Matches
from fractalrs.privacy.attacks.output import Output
from fractalrs.privacy.attacks.people import People

SURE = 0.01
"""Whoever has scores alone claims those above all but so many of other people, of whom some must be known."""
ALIKE = 50
"""So many of these, of about as many interactions, tell what scores a person would have by chance."""


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
    sizes : int, shape (candidates,), or None
        How many interactions are known of each, where scores grow with it, and spread.
    """

    claimed: npt.NDArray[np.bool_] | None
    right: npt.NDArray[np.bool_] | None
    scores: npt.NDArray[np.floating] | None
    sizes: Integers | None = None

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
        scores = self.scores if self.sizes is None else _standardised(self.scores, self.sizes, others)
        return scores > np.quantile(scores[others], 1 - SURE, method="higher"), counts


def _standardised(scores: npt.NDArray[np.floating], sizes: Integers, others: Integers) -> npt.NDArray[np.float64]:
    """Return how many standard deviations scores are above those of others who have about as many interactions."""
    others = others[np.argsort(sizes[others], kind="stable")]
    count, known = min(ALIKE, len(others)), scores[others].astype(np.float64)
    sums, squares = (np.concatenate(([0.0], np.cumsum(known**power))) for power in (1, 2))
    first = np.clip(np.searchsorted(sizes[others], sizes) - count // 2, 0, len(others) - count)
    mean, square = ((total[first + count] - total[first]) / count for total in (sums, squares))
    return np.asarray((scores - mean) / np.sqrt(np.maximum(square - mean**2, 1e-12)))


def claims_of(
    matches: Matches, output: Output, people: People, users: Integers | None, least: float = CERTAIN
) -> Claims:
    """Claim whose match is certain. `users` are those of the rows; where one is of several there are scores alone."""
    if output.share_of_row < 1:
        return Claims(None, None, np.maximum(matches.margins, -1e9))
    right = None if users is None else users[matches.rows] == people.codes
    return Claims(matches.margins > least, right, matches.margins)
