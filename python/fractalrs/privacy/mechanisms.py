"""Noise and the account of it, both by opendp: the discrete Gaussian on whole numbers, composed in zCDP.

All that leaves the real data leaves through `Account.noisy` and `Account.selected`. Answers are whole numbers and so is
what is added to them: no floating-point number of the real data is released, and no sampler here is ours.
"""

import importlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.base import Privacy, Query
from fractalrs.errors import InputError
from fractalrs.words import PrivacyUnit

Counts = npt.NDArray[np.int64]
_AT_ONCE = 100_000
"""So many numbers are given to opendp at a time."""
_MARGIN = 1 + 1e-9
"""Noise is larger by so much than it must be, so that rounding in the account never exceeds the budget."""
SELECTING = 0.5
"""Share of δ that a selection gets; it lowers the threshold by next to nothing to give it more."""


class Account:
    """A budget (ε, δ), the noise it pays for, and the ledger of what was spent.

    With ε = ∞ nothing is noisy and nothing is promised: that tells what the model alone costs. If something is to be
    selected, a share of δ is set aside for it.

    Examples
    --------
    >>> account = Account(4.0, 1e-6)
    >>> noisy = account.noisy("users", np.array([1000]), sensitivity=1, share=0.5)
    >>> account.ledger[0].name, round(account.rho, 3)
    ('users', 0.311)
    """

    def __init__(self, epsilon: float, delta: float, *, selects: bool = False) -> None:
        self.epsilon, self.delta = epsilon, delta
        self._selecting = SELECTING * delta if selects else 0.0
        self.rho = math.inf if math.isinf(epsilon) else affordable(epsilon, delta - self._selecting)
        self.ledger: tuple[Query, ...] = ()

    def noise(self, sensitivity: float, share: float) -> float:
        """Return the standard deviation that a share of the budget pays for; known before anything is asked."""
        return 0.0 if math.isinf(self.rho) else sensitivity / math.sqrt(2 * share * self.rho) * _MARGIN

    def noisy(self, name: str, counts: Counts, sensitivity: float, share: float) -> Counts:
        """Return counts with noise for a share of the budget, and enter that into the ledger.

        Parameters
        ----------
        name
            What is asked, for the ledger.
        counts
            The answer: int64.
        sensitivity
            How far it moves at most, in the Euclidean norm, between neighbouring data.
        share
            Of the budget; all shares together are at most 1.
        """
        noise = self.noise(sensitivity, share)
        if not noise:
            return counts
        self._check_cost(share)
        measure, flat = _gaussian(noise), counts.ravel()
        # Noise is independent from number to number: pieces are as good as the whole.
        pieces = [measure(flat[at : at + _AT_ONCE].tolist()) for at in range(0, len(flat), _AT_ONCE)]
        self.ledger += (Query(name, len(flat), float(sensitivity), noise, measure.map(float(sensitivity))),)
        return np.concatenate([np.asarray(piece, np.int64) for piece in pieces]).reshape(counts.shape)

    def selected(self, name: str, counts: Counts, most: int, share: float) -> tuple[Counts, Counts]:
        """Return places whose noisy counts are above a threshold, and these; those of others tell of nobody.

        What nobody has is never chosen, and what one user alone has with a chance within the δ set aside (Rogers
        2023): whoever sees the choice does not learn that there was more to choose from.

        Parameters
        ----------
        name, share
            As of `noisy`.
        counts
            How many have each: int64. One user is counted at most once in each, and in at most `most` of them.
        """
        moved = math.nextafter(math.sqrt(most), math.inf) if most > 1 else 1.0
        noise, there = self.noise(moved, share), np.flatnonzero(counts)
        if not noise:
            return there, counts[there]
        self._check_cost(share)
        if self._selecting <= sum(query.delta for query in self.ledger):
            raise AssertionError("nothing of delta is set aside for this selection")
        measure, (rho, delta) = _threshold(noise, most, moved, self._selecting)
        chosen: dict[int, int] = {}
        for at in range(0, len(there), _AT_ONCE):
            piece = there[at : at + _AT_ONCE]
            chosen |= measure(dict(zip(piece.tolist(), counts[piece].tolist(), strict=True)))
        self.ledger += (Query(name, len(chosen), moved, noise, rho, delta),)
        places = np.array(sorted(chosen), np.int64)
        return places, np.array([chosen[place] for place in places.tolist()], np.int64)

    def _check_cost(self, share: float) -> None:
        if math.fsum([*(query.rho for query in self.ledger), share * self.rho]) > self.rho * _MARGIN:
            raise AssertionError("more than the whole budget")

    def statement(self, unit: PrivacyUnit) -> Privacy | None:
        """Return what is promised: the whole budget, as how much was asked may depend on the answers."""
        return Privacy(float(self.epsilon), self.delta, unit, self.ledger) if self.ledger else None


def affordable(epsilon: float, delta: float) -> float:
    """Return the largest ρ of zCDP that is (ε, δ)-differentially private by opendp's conversion.

    Examples
    --------
    >>> round(affordable(4.0, 1e-6), 3)
    0.311
    """
    low, high = 0.0, max(1.0, epsilon)
    while epsilon_of(high, delta) < epsilon:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low


def epsilon_of(rho: float, delta: float) -> float:
    """Return the ε at δ of ρ-zCDP, by opendp.

    Examples
    --------
    >>> round(epsilon_of(0.5, 1e-6), 3)
    5.222
    """
    return _epsilon([_gaussian(1 / math.sqrt(2 * rho))], delta)


def spent(ledger: tuple[Query, ...], delta: float) -> float:
    """Return the ε at δ of all queries of a ledger together, by opendp; what selections may fail by is taken off δ.

    Examples
    --------
    >>> query = Query("items", 40, 1.0, 1.0, 0.5)
    >>> spent((query,), 1e-6) == epsilon_of(0.5, 1e-6)
    True
    """
    left = delta - math.fsum(query.delta for query in ledger)
    return _epsilon([_gaussian(query.noise / query.sensitivity) for query in ledger], left)


def _epsilon(measures: list[Any], delta: float) -> float:
    combinators = opendp().c
    curve = combinators.make_zCDP_to_approxDP(combinators.make_composition(measures)).map(1.0)
    return float(curve.epsilon(delta))


def _gaussian(noise: float) -> Any:
    """Return the discrete Gaussian mechanism on vectors of whole numbers, for distances in the Euclidean norm."""
    dp = opendp()
    return dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), noise)


def _threshold(noise: float, most: int, moved: float, delta: float) -> tuple[Any, tuple[float, float]]:
    """Return the selection with the lowest threshold that fails with a chance of at most δ, and what it costs.

    opendp 0.16 takes the chance from the continuous Gaussian, but noise is whole numbers, which are at least k oftener
    than that. They are no oftener than it is at least k − 1 (Canonne, Kamath and Steinke 2020), which is the chance
    that opendp gives for a threshold that is lower by one.
    """
    dp = opendp()
    counts = dp.map_domain(dp.atom_domain(T="i64"), dp.atom_domain(T="i64"))
    distance = dp.l02inf_distance(dp.absolute_distance(T="f64"))

    def at(threshold: int) -> Any:
        return dp.m.make_gaussian_threshold(counts, distance, noise, threshold)

    def cost(threshold: int) -> tuple[float, float]:
        rho, chance = at(threshold - 1).map((most, moved, 1.0))
        return float(rho), float(chance)

    low, high = 2, max(4, math.ceil(noise))
    while cost(high)[1] > delta:
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle)[1] > delta else (low, middle)
    return at(high), cost(high)


def opendp() -> Any:
    """Return opendp; say in one sentence how it is installed where it is not."""
    try:
        prelude = importlib.import_module("opendp.prelude")
    except ImportError:
        raise InputError(
            "a private base needs opendp, which is not installed", hint='pip install "fractalrs[privacy]"'
        ) from None
    prelude.enable_features("contrib")
    return prelude
