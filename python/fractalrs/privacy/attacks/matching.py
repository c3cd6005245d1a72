"""Matching: which row of an unlabelled matrix is which person, whose history is known, and which column is which item.

Rows and columns are matched in turn. Both matches are probabilities, and they are annealed: at first everybody is a
little like anybody, at last each row has its person, where there is one. It begins with how popular the items of a row
are, which needs no names. At last each half of the rows is judged by columns that pairs of the other half found, so
that a wrong match explains itself less.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Matrix = sp.csr_array[np.float64, tuple[int, int]]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

MOST_ROWS = 1_200
"""So many rows, those of the most interactions, find the columns: they tell most, and time grows with their square."""
MOST_COLUMNS = 600
"""So many columns are matched while annealing."""
CHECKED_COLUMNS = 3_000
"""So many of the most popular ones afterwards."""
STARTS = (6.0, 20.0)
"""The temperatures that annealing begins with, one start each. Rows of real data freeze between 4 and 2."""
CERTAIN = 5.0
"""What is likelier than all else by this log likelihood ratio, 148 times, is taken for true."""
_STEPS = 16
_COOLING = 12
_NOISE = 0.02
_BLUR = 0.1
_POPULARITY = (10, 30, 60, 120, 250, 500, 1_000, 2_000, 4_000)
_CHUNK = 1 << 24


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
    degrees, told = np.diff(block.indptr), np.diff(candidates.indptr) * keep / known
    rows = _largest(degrees, MOST_ROWS)
    people = _largest(told, min(2 * MOST_ROWS, max(2, int((told >= 0.7 * degrees[rows].min(initial=0)).sum()))))
    heavy, heavy_people = block[rows], candidates[people]
    columns = _largest(_popularity(block), MOST_COLUMNS)
    items = _largest(_popularity(candidates), round(1.25 * MOST_COLUMNS))
    seen, theirs = _dense(heavy[:, columns]), _dense(heavy_people[:, items])
    nearness = _nearness(heavy, heavy_people, keep, known)
    best: Matches | None = None
    for start in STARTS:
        shares = _anneal(seen, theirs, nearness, keep, known, start)
        sure = shares.max(axis=1) > 0.5 * share
        # A row of several people is like their mean, and then has of each its share.
        pairs = rows[sure], people[shares.argmax(axis=1)[sure]]
        found = _checked(block, candidates, *pairs, keep, known, share)
        best = found if best is None or found.evidence > best.evidence else best
    assert best is not None
    return best


def match_known(block: Matrix, candidates: Matrix, keep: float, known: float = 1.0) -> Matches:
    """Match candidates with rows where the columns of both are the same: it is known which column is which item."""
    return _best(log_likelihoods(block, candidates, keep, known), block.shape[0], candidates.shape[0])


def _anneal(seen: Floats, theirs: Floats, nearness: Floats, keep: float, known: float, start: float) -> Floats:
    """Return the probability that a row is a person's: float32, rows × people."""
    shares = _shares(nearness, 2.0)
    for step in range(_STEPS):
        temperature = max(1.0, start ** (1 - step / _COOLING))
        expected = keep * (shares @ theirs)
        columns = _shares(_soft(seen.T, expected.T, known), temperature)
        expected = keep * (columns @ theirs.T)
        shares = _shares(_soft(seen, expected.T, known), temperature)
    return shares


def _soft(seen: Floats, expected: Floats, known: float) -> Floats:
    """Return Poisson log likelihoods of rows that are seen under rows that are expected: all of one times the other.

    A little of what is popular is mixed into what is expected: matches so far may be wrong, and not all is known.
    """
    popular = seen.mean(axis=0) + 1e-3
    popular /= popular.sum()
    told = expected.sum(axis=1)
    blurred = (1 - _BLUR) * expected + (told / known - (1 - _BLUR) * told)[:, None] * popular + 1e-4
    # What a row of nobody would have, which is the same for all: it keeps numbers small.
    usual = seen @ np.log(np.maximum(seen.sum() / len(seen) * popular, 1e-6))
    return np.asarray(seen @ np.log(blurred).T - blurred.sum(axis=1) - usual[:, None], np.float32)


def _shares(scores: Floats, temperature: float) -> Floats:
    """Return probabilities: each row is one candidate, and a candidate at most one row."""
    shares = scores / np.float32(temperature)
    shares -= shares.max(axis=1, keepdims=True)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=1, keepdims=True)
    for _ in range(3):
        shares /= np.maximum(shares.sum(axis=0), 1)
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-30)
    return shares


def _nearness(rows: Matrix, people: Matrix, keep: float, known: float) -> Floats:
    """Return how alike the popularity of a row's columns is to that of a person's items: minus a squared distance."""
    seen, told = (
        2 * np.sqrt(_profile(matrix) * scale + 3 / 8) for matrix, scale in ((rows, 1.0), (people, keep / known))
    )
    squares = (seen**2).sum(axis=1)[:, None] + (told**2).sum(axis=1) - 2 * seen @ told.T
    return np.asarray(-squares / (2 * (1 - keep * known) + 0.1), np.float32)


def _profile(matrix: Matrix) -> npt.NDArray[np.float64]:
    """Return how many columns of each row are among the 10, 30, 60, … most popular ones."""
    ranks = np.empty(matrix.shape[1], np.int64)
    ranks[np.argsort(-_popularity(matrix), kind="stable")] = np.arange(matrix.shape[1])
    classes = np.searchsorted(_POPULARITY, ranks, side="right")
    shape = (matrix.shape[1], len(_POPULARITY) + 1)
    return np.asarray((matrix @ sp.csr_array((np.ones(len(ranks)), (np.arange(len(ranks)), classes)), shape)).toarray())


def _checked(
    block: Matrix, candidates: Matrix, rows: Integers, people: Integers, keep: float, known: float, share: float
) -> Matches:
    """Match all, each half of the rows by columns that the other half found; then once more by what is certain."""
    columns = _largest(_popularity(block), CHECKED_COLUMNS)
    items = _largest(_popularity(candidates), round(1.25 * CHECKED_COLUMNS))
    seen, told = block[:, columns], candidates[:, items]
    half = np.arange(block.shape[0]) % 2 == 0

    def matched(rows: Integers, people: Integers) -> Matches:
        chunks = []
        for own in (half, ~half):
            others = ~own[rows]
            pairs = _columns(seen[rows[others]], told[people[others]], keep * share, known * share)
            scores = log_likelihoods(seen[own][:, pairs[0]], told[:, pairs[1]], keep * share, known * share)
            chunks.append((np.flatnonzero(own), scores))
        numbered = ((own[numbers], part) for own, scores in chunks for numbers, part in scores)
        return _best(numbered, block.shape[0], candidates.shape[0])

    found = matched(rows, people)
    if share < 1:
        # Of several people none is certain.
        return found
    certain = np.flatnonzero(found.margins > CERTAIN)
    return matched(found.rows[certain], certain)


def _columns(seen: Matrix, told: Matrix, keep: float, known: float) -> tuple[Integers, Integers]:
    """Match columns with items by rows that are matched: return those that are each other's best."""
    chunks = log_likelihoods(sp.csr_array(seen.T), sp.csr_array(told.T), keep, known)
    found = _best(chunks, seen.shape[1], told.shape[1])
    items = np.flatnonzero(found.margins > 0)
    return found.rows[items], items


def log_likelihoods(block: Matrix, candidates: Matrix, keep: float, known: float) -> Iterator[tuple[Integers, Floats]]:
    """Yield some rows after the other, and their log likelihood ratios: float32, rows × candidates.

    Of being the candidate's, against being anybody's of as many interactions. Of what is known of a candidate its row
    has the share `keep`; the rest of it is what is popular.
    """
    degrees, told = np.diff(block.indptr), np.diff(candidates.indptr)
    popular = _popularity(block) + 0.5
    popular /= popular.sum()
    kept, lost = min(keep, 1 - _NOISE), max(1 - keep, _NOISE)
    # How many interactions are expected that are not known.
    other = keep * told * (1 - known) / known + _NOISE * (keep * told + 1)
    weights = candidates.copy()
    owners = np.repeat(np.arange(len(told)), told)
    weights.data = np.log(kept / lost) - np.log(other)[owners] - np.log(popular)[candidates.indices]
    covered = np.bincount(owners, popular[candidates.indices], len(told))
    people = told * np.log(lost) - other * (1 - covered)
    transposed = sp.csc_array(weights.T)
    step = max(1, _CHUNK // max(1, len(told)))
    for first in range(0, block.shape[0], step):
        some, degree = block[first : first + step], degrees[first : first + step, None]
        scores = np.asarray((some @ transposed).toarray(), np.float32)
        scores += degree * np.log(other)[None, :] + people
        scores -= degree * (np.log(np.maximum(degree, 1)) - 1)
        yield np.arange(first, first + len(scores)), np.asarray(scores, np.float32)


def _best(chunks: Iterable[tuple[Integers, Floats]], rows: int, candidates: int) -> Matches:
    """Return the best row of each candidate, and its margins."""
    best, second = np.full(candidates, -np.inf, np.float32), np.full(candidates, -np.inf, np.float32)
    found = np.zeros(candidates, np.int64)
    row_best, row_second = np.full(rows, -np.inf, np.float32), np.full(rows, -np.inf, np.float32)
    for numbers, scores in chunks:
        if scores.size == 0:
            continue
        if candidates > 1:
            top = np.partition(scores, candidates - 2, axis=1)
            row_best[numbers], row_second[numbers] = top[:, -1], top[:, -2]
        else:
            row_best[numbers] = scores[:, 0]
        place = scores.argmax(axis=0)
        highest = scores[place, np.arange(candidates)]
        scores[place, np.arange(candidates)] = -np.inf
        next_best = np.maximum(np.minimum(best, highest), np.maximum(second, scores.max(axis=0)))
        better = highest > best
        found[better] = numbers[place[better]]
        best, second = np.maximum(best, highest), next_best
    if rows == 0:
        return Matches(found, best)
    # Of equals none is the best; where there is no other, a row of nobody is.
    own = np.where(row_best[found] > best, row_best[found], row_second[found])
    rivals = np.maximum(np.maximum(own, second), 0)
    return Matches(found, np.nan_to_num(best - rivals, nan=-np.inf))


def _largest(values: npt.NDArray[np.generic], count: int) -> Integers:
    """Return the places of the largest values, the largest first."""
    return np.argsort(-np.asarray(values, np.float64), kind="stable")[:count]


def _popularity(matrix: Matrix) -> npt.NDArray[np.float64]:
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)


def _dense(matrix: Matrix) -> Floats:
    return np.asarray(matrix.toarray(), np.float32)
