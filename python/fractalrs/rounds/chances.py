"""How likely items are shown where other items are tried in some places of a slate: exactly."""

from fractions import Fraction
from math import comb

import numpy as np

from fractalrs.models import Floats

UNIT = 1 << 32


def chances_of(epsilon: int, slate: int, items: int, most_seen: int) -> tuple[Floats, Floats]:
    """Return how likely an item of the slate, and any other one, is shown, by the number of items not shown again.

    Each of n places tries another item with probability ε, so e of them do with the binomial probability B(e). What is
    tried are any e of the c − n + e items that are neither kept nor not shown again: an item outside the slate is shown
    with t = Σ B(e) e / (c − n + e), and one in it with 1 − (c − n) t / n, as n are shown in all.

    Parameters
    ----------
    epsilon
        In units of 2⁻³².

    Returns
    -------
    (float64, shape (most_seen + 1,)), twice
        Correctly rounded.

    Examples
    --------
    >>> chances_of(UNIT, slate=2, items=8, most_seen=1)[1].round(3).tolist()
    [0.25, 0.286]
    >>> [float(values[0]) for values in chances_of(UNIT // 2, slate=1, items=2, most_seen=0)]
    [0.75, 0.25]
    """
    share = Fraction(epsilon, UNIT)
    several = [comb(slate, e) * share**e * (1 - share) ** (slate - e) for e in range(slate + 1)]
    kept, tried = np.empty(most_seen + 1), np.empty(most_seen + 1)
    for seen in range(most_seen + 1):
        others = items - seen - slate
        other = sum((chance * Fraction(e, others + e) for e, chance in enumerate(several) if e), Fraction(0))
        tried[seen], kept[seen] = float(other), float(1 - others * other / slate)
    return kept, tried
