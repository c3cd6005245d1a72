"""Annealing: probabilities of which row of unlabelled blocks is which person, and which column is which item.

Rows and columns are matched in turn. At first everybody is a little like anybody, at last each row has its person,
where there is one. It begins with how popular the items of a row are, which needs no names. Blocks side by side have
the same rows and each its own columns: what they tell of a row adds up.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

if TYPE_CHECKING:
    Matrix = sp.csr_array[np.float64, tuple[int, int]]
else:
    Matrix = sp.csr_array  # SciPy before 1.16 takes no types.
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

MOST_ROWS = 1_200
"""So many rows, those of the most interactions, find the columns: they tell most, and time grows with their square."""
MOST_COLUMNS = 600
"""So many columns of a block are matched."""
_STEPS = 16
_COOLING = 12
_POPULARITY = (10, 30, 60, 120, 250, 500, 1_000, 2_000, 4_000)
_BLUR = 0.1


class Annealing:
    """The heaviest rows and people, and the most popular columns and items, to be matched.

    Attributes
    ----------
    rows, people, items : of int64
        Which rows, candidates and items they are, the heaviest first.
    columns
        Of each block.
    seen
        Of each block: float32, rows × columns.
    theirs : of float32
        People × items.
    """

    def __init__(self, blocks: Sequence[Matrix], candidates: Matrix, keeps: Sequence[float], known: float) -> None:
        """Choose them.

        Parameters
        ----------
        blocks
            Rows × columns of ones, side by side: their rows are the same, whose columns are not known.
        candidates
            Candidates × items of ones: what is known of each.
        keeps, known
            The share of a person's interactions that a row of each block keeps, and that is known, in (0, 1].
        """
        self.keeps, self.known = keeps, known
        degrees = np.sum([np.diff(block.indptr) for block in blocks], axis=0)
        told = np.diff(candidates.indptr) * sum(keeps) / known
        self.rows = largest(degrees, MOST_ROWS)
        enough = int((told >= 0.7 * degrees[self.rows].min(initial=0)).sum())
        self.people = largest(told, min(2 * MOST_ROWS, max(2, enough)))
        self.items = largest(popularity(candidates), round(1.25 * MOST_COLUMNS))
        self.columns = [largest(popularity(block), MOST_COLUMNS) for block in blocks]
        heavy, people = [block[self.rows] for block in blocks], candidates[self.people]
        self.seen = [dense(block[:, columns]) for block, columns in zip(heavy, self.columns, strict=True)]
        self.theirs = dense(people[:, self.items])
        near = [_nearness(block, people, keep, known) for block, keep in zip(heavy, keeps, strict=True)]
        self._nearness = np.asarray(np.sum(near, axis=0), np.float32)

    def run(self, start: float, end: float = 1.0) -> Floats:
        """Return the probability that a row is a person's: float32, rows × people.

        `start` and `end` are the temperatures of one block; rows are judged by all of them.
        """
        shares = probabilities(self._nearness, 2.0)
        for step in range(_STEPS):
            temperature = max(end, start * (end / start) ** (step / _COOLING))
            scores = np.zeros_like(shares)
            for seen, keep in zip(self.seen, self.keeps, strict=True):
                expected = keep * (self._columns(seen, shares, self.theirs, keep, temperature) @ self.theirs.T)
                scores += poisson(seen, expected.T, self.known)
            shares = probabilities(scores, temperature * len(self.seen))
        return shares

    def columns_of(self, block: int, seen: Floats, theirs: Floats, shares: Floats) -> Floats:
        """Return the probability that a column of a block is an item, by some rows: float32, columns × items.

        `seen` are the columns of those rows, `theirs` the items of all `people`, `shares` whose those rows are.
        """
        return self._columns(seen, shares, theirs, self.keeps[block], 1.0)

    def _columns(self, seen: Floats, shares: Floats, theirs: Floats, keep: float, temperature: float) -> Floats:
        return probabilities(poisson(seen.T, (keep * (shares @ theirs)).T, self.known), temperature)


def poisson(seen: Floats, expected: Floats, known: float) -> Floats:
    """Return Poisson log likelihoods of rows that are seen under rows that are expected: all of one times the other.

    Against a row of nobody that has as many interactions as rows have on average. Matches so far may be wrong: so a
    little of what is expected is what is popular.
    """
    popular = shares_of(seen.mean(axis=0))
    blurred = blur(expected, popular, known, 1 - _BLUR)
    # What a row of nobody would have, which is the same for all: it keeps numbers small.
    usual = seen @ np.log(np.maximum(seen.sum() / len(seen) * popular, 1e-6))
    return np.asarray(seen @ np.log(blurred).T - blurred.sum(axis=1) - usual[:, None], np.float32)


def shares_of(popularity: npt.NDArray[np.floating]) -> Floats:
    """Return the share of interactions that each column has, none of them zero."""
    some = np.asarray(popularity, np.float32) + np.float32(1e-3)
    return np.asarray(some / some.sum())


def blur(expected: Floats, popular: Floats, known: float, certain: float) -> Floats:
    """Return what is expected where the share `certain` of it counts; the rest, and what is not known, is popular."""
    told = expected.sum(axis=1)
    return np.asarray(certain * expected + (told / known - certain * told)[:, None] * popular + np.float32(1e-4))


def probabilities(scores: Floats, temperature: float) -> Floats:
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
    ranks[np.argsort(-popularity(matrix), kind="stable")] = np.arange(matrix.shape[1])
    classes = np.searchsorted(_POPULARITY, ranks, side="right")
    shape = (matrix.shape[1], len(_POPULARITY) + 1)
    return np.asarray((matrix @ sp.csr_array((np.ones(len(ranks)), (np.arange(len(ranks)), classes)), shape)).toarray())


def largest(values: npt.NDArray[np.generic], count: int) -> Integers:
    """Return the places of the largest values, the largest first."""
    return np.argsort(-np.asarray(values, np.float64), kind="stable")[:count]


def popularity(matrix: Matrix) -> npt.NDArray[np.float64]:
    """Return how many interactions each column has."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)


def dense(matrix: Matrix) -> Floats:
    """Return it as a dense matrix of float32."""
    return np.asarray(matrix.toarray(), np.float32)
