"""Matching: which row of an unlabelled matrix is which person, whose history is known, and which column is which item.

Both matches are annealed; at last each half of the rows is judged by columns that pairs of the other half found, so
that a wrong match explains itself less.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fractalrs.privacy.attacks.annealing import Annealing, Floats, Integers, Matrix, largest, popularity
from fractalrs.privacy.attacks.likelihoods import Best, Likelihoods

CHECKED_COLUMNS = 3_000
"""So many of the most popular ones afterwards."""
STARTS = (6.0, 20.0)
"""The temperatures that annealing begins with, one start each. Rows of real data freeze between 4 and 2."""
CERTAIN = 5.0
"""What is likelier than all else by this log likelihood ratio, 148 times, is taken for true."""


@dataclass(frozen=True)
class Matches:
    """The best row of each candidate, and how much better it is than what else there is.

    Attributes
    ----------
    rows : int64, shape (candidates,)
        The best row of each candidate.
    margins : float32, shape (candidates,)
        By how much the pair is likelier than the second best of the row, and of the candidate: the smaller of the two,
        as a log likelihood ratio. Negative where the row has a better candidate.
    """

    rows: Integers
    margins: Floats

    @property
    def evidence(self) -> float:
        """How much the matches tell all together: by this starts are compared, without knowing who is who."""
        return float(np.maximum(self.margins, 0).sum())


def match(block: Matrix, candidates: Matrix, keep: float, known: float = 1.0, share: float = 1.0) -> Matches:
    """Match candidates with the rows of an unlabelled matrix, by the best of several starts.

    Parameters
    ----------
    block
        Rows × columns of ones, in any order: of each person's interactions about the share `keep`.
    candidates
        Candidates × items of ones: what is known of each.
    keep, known
        The share of a person's interactions that a row keeps, and that is known, each in (0, 1].
    share
        The share of a row that is one person's: less than 1 where a row has interactions of several who are alike.
    """
    annealing, found = Annealing([block], candidates, [keep], known), list[Matches]()
    for start in STARTS:
        shares = annealing.run(start)
        sure = shares.max(axis=1) > 0.5 * share
        pairs = annealing.rows[sure], annealing.people[shares.argmax(axis=1)[sure]]
        found.append(_checked(block, candidates, *pairs, keep * share, known * share, share))
    return max(found, key=lambda one: one.evidence)


def match_known(block: Matrix, candidates: Matrix, keep: float, known: float = 1.0) -> Matches:
    """Match candidates with rows where the columns of both are the same: it is known which column is which item."""
    return _of_all(Likelihoods(block, candidates, keep, known))


def _checked(
    block: Matrix, candidates: Matrix, rows: Integers, people: Integers, keep: float, known: float, share: float
) -> Matches:
    """Match all, each half of the rows by columns that the other half found; then once more by what is certain."""
    columns = largest(popularity(block), CHECKED_COLUMNS)
    items = largest(popularity(candidates), round(1.25 * CHECKED_COLUMNS))
    seen, told = block[:, columns], candidates[:, items]
    half = np.arange(block.shape[0]) % 2 == 0

    def matched(rows: Integers, people: Integers) -> Matches:
        halves = []
        for own in (half, ~half):
            others = ~own[rows]
            pairs = _columns(seen[rows[others]], told[people[others]], keep, known)
            likelihoods = Likelihoods(seen[own][:, pairs[0]], told[:, pairs[1]], keep, known)
            halves.append((np.flatnonzero(own), likelihoods.best()))
        return _margins(halves, block.shape[0], candidates.shape[0])

    found = matched(rows, people)
    if share < 1:
        # Of several people none is certain.
        return found
    certain = np.flatnonzero(found.margins > CERTAIN)
    return matched(found.rows[certain], certain)


def _columns(seen: Matrix, told: Matrix, keep: float, known: float) -> tuple[Integers, Integers]:
    """Match columns with items by rows that are matched: return those that are each other's best."""
    found = _of_all(Likelihoods(sp.csr_array(seen.T), sp.csr_array(told.T), keep, known))
    items = np.flatnonzero(found.margins > 0)
    return found.rows[items], items


def _of_all(likelihoods: Likelihoods) -> Matches:
    """Match all rows and candidates."""
    rows, candidates = likelihoods.shape
    return _margins([(np.arange(rows), likelihoods.best())], rows, candidates)


def _margins(parts: list[tuple[Integers, Best]], rows: int, candidates: int) -> Matches:
    """Return the best row of each candidate, and its margins, from what is best in each part of the rows."""
    best, second = np.full(candidates, -np.inf, np.float32), np.full(candidates, -np.inf, np.float32)
    found = np.zeros(candidates, np.int64)
    row_best, row_second = np.full(rows, -np.inf, np.float32), np.full(rows, -np.inf, np.float32)
    for numbers, part in parts:
        if len(numbers) == 0:
            continue
        row_best[numbers], row_second[numbers] = part.of_rows
        highest, next_highest = part.of_candidates
        next_best = np.maximum(np.minimum(best, highest), np.maximum(second, next_highest))
        better = highest > best
        found[better] = numbers[part.rows[better]]
        best, second = np.maximum(best, highest), next_best
    if rows == 0:
        return Matches(found, best)
    # Of equals none is the best; where there is no other, a row of nobody is.
    own = np.where(row_best[found] > best, row_best[found], row_second[found])
    rivals = np.maximum(np.maximum(own, second), 0)
    return Matches(found, np.nan_to_num(best - rivals, nan=-np.inf))
