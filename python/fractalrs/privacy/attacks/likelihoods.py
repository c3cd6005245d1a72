"""Likelihoods: how much likelier a row is a candidate's than anybody's, for all pairs of rows and candidates."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fractalrs._core import best_likelihoods, sums_of_likelihoods
from fractalrs.base import csr_arrays
from fractalrs.privacy.attacks.annealing import Floats, Integers, Matrix, popularity
from fractalrs.privacy.attacks.rows import check_columns
from fractalrs.tools import resolve_threads

_NOISE = 0.02


class Best(NamedTuple):
    """The largest log likelihood ratios: −∞ where there is none.

    Attributes
    ----------
    rows : int64, shape (candidates,)
        The best row of each candidate, of equals the first; 0 where there are no rows.
    of_candidates : pair of float32, shape (candidates,)
        The ratio of that row, and of the second best.
    of_rows : pair of float32, shape (rows,)
        That of the best candidate of each row, and of the second best.
    """

    rows: Integers
    of_candidates: tuple[Floats, Floats]
    of_rows: tuple[Floats, Floats]


class Likelihoods:
    """Log likelihood ratios of rows and candidates: of being theirs, against being anybody's of as many interactions.

    Of what is known of a candidate its row has the share `keep`; the rest of it is what is popular.
    """

    def __init__(self, block: Matrix, candidates: Matrix, keep: float, known: float) -> None:
        """Take rows, and what is known of candidates.

        Parameters
        ----------
        block, candidates
            Rows × columns of ones, and candidates × the same columns.
        keep, known
            The shares of a person's interactions that a row keeps, and that are known, each in (0, 1].
        """
        check_columns(block, candidates)
        self.shape = block.shape[0], candidates.shape[0]
        degrees, told = np.diff(block.indptr), np.diff(candidates.indptr)
        popular = popularity(block) + 0.5
        popular /= popular.sum()
        kept, lost = min(keep, 1 - _NOISE), max(1 - keep, _NOISE)
        # How many interactions are expected that are not known.
        other = keep * told * (1 - known) / known + _NOISE * (keep * told + 1)
        weights = candidates.copy()
        owners = np.repeat(np.arange(len(told)), told)
        weights.data = np.log(kept / lost) - np.log(other)[owners] - np.log(popular)[candidates.indices]
        covered = np.bincount(owners, popular[candidates.indices], len(told))
        rows, turned = csr_arrays(block)[:2], csr_arrays(sp.csr_array(weights.T))
        offsets, usual = told * np.log(lost) - other * (1 - covered), degrees * (np.log(np.maximum(degrees, 1)) - 1)
        self._scored = rows, turned, np.log(other), offsets, usual

    def best(self) -> Best:
        """Find the best row of each candidate, and the best candidate of each row."""
        return Best(*best_likelihoods(self._scored, threads=resolve_threads(None)))

    def sums(self) -> npt.NDArray[np.float64]:
        """Add up the likelihood ratios of each candidate over all rows, none of them beyond e^±50: one sum each."""
        return sums_of_likelihoods(self._scored, threads=resolve_threads(None))
