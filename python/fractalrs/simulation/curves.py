"""Curves over ranks, by which a world knows tails: whole numbers at knots, the same on every machine.

Logarithms and exponentials are those of decimal arithmetic, which no processor changes.
"""

import math
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from functools import cache
from itertools import pairwise
from typing import TypedDict

import numpy as np

_EXACT, _PER_OCTAVE = 256, 64
"""The first so many ranks are knots, and then so many of each doubling."""
_DIGITS = Context(prec=24)
_HALVINGS = 200
WEIGHTS = 1 << 39
"""Weights of a policy add up to about so much."""

# P. J. Acklam's rational approximations of the normal quantile: relative error below 1.15e-9.
_MIDDLE = (
    "-39.69683028665376 220.9460984245205 -275.9285104469687 138.3577518672690 -30.66479806614716 2.506628277459239",
    "-54.47609879822406 161.5858368580409 -155.6989798598866 66.80131188771972 -13.28068155288572 1",
)
_TAIL = (
    "-0.007784894002430293 -0.3223964580411365 -2.400758277161838 -2.549732539343734 4.374664141464968"
    " 2.938163982698783",
    "0.007784695709041462 0.3224671290700398 2.445134137142996 3.754408661907416 1",
)
_LOW = Decimal("0.02425")


class Curve(TypedDict):
    """Values at ranks that rise from 0 to the number of users, or of items; between them straight lines."""

    ranks: list[int]
    values: list[int]


def knots(count: int) -> list[int]:
    """Return ranks from 0 to a count, dense at the head.

    Examples
    --------
    >>> knots(3), len(knots(50_000_000))
    ([0, 1, 2, 3], 1051)
    """
    ranks = list(range(min(count, _EXACT) + 1))
    while ranks[-1] < count:
        ranks.append(min(count, max(ranks[-1] + 1, ranks[-1] + ranks[-1] // _PER_OCTAVE)))
    return ranks


def normal_quantile(share: Decimal) -> Decimal:
    """Return the number below which a standard normal one is with this probability.

    Examples
    --------
    >>> round(normal_quantile(Decimal("0.975")), 6)
    Decimal('1.959964')
    """
    with localcontext(_DIGITS):
        if share > 1 - _LOW:
            return -normal_quantile(1 - share)
        if share < _LOW:
            x = (-2 * share.ln()).sqrt()
            return _polynomial(_TAIL[0], x) / _polynomial(_TAIL[1], x)
        x = share - Decimal("0.5")
        return _polynomial(_MIDDLE[0], x * x) * x / _polynomial(_MIDDLE[1], x * x)


def _polynomial(coefficients: str, x: Decimal) -> Decimal:
    value = Decimal(0)
    for coefficient in coefficients.split():
        value = value * x + Decimal(coefficient)
    return value


@cache
def _normal_at(count: int, between: bool) -> tuple[Decimal, ...]:
    """Return normal quantiles, falling, at the knots, or in the middle between each and the next."""
    ranks = knots(count)
    doubled = [a + b for a, b in pairwise(ranks)] if between else [2 * r + 1 for r in ranks[:-1]]
    with localcontext(_DIGITS):
        return tuple(normal_quantile(1 - Decimal(double) / (2 * count)) for double in doubled)


def _exponentials(spread: float, normal: tuple[Decimal, ...]) -> list[float]:
    with localcontext(_DIGITS):
        return [float((Decimal(spread) * z).exp()) for z in normal]


def activity(users: int, exposures: int, spread: float, most: int) -> Curve:
    """Return the exposures of all users before a rank: log-normal, of this total, and at most so many of each.

    Examples
    --------
    >>> curve = activity(4, 20, 1.0, most=12)
    >>> curve["values"]
    [0, 11, 16, 19, 20]
    """
    ranks, values = knots(users), _exponentials(spread, _normal_at(users, True))
    widths = np.diff(ranks).tolist()

    def total(scale: float) -> float:
        return math.fsum(width * min(scale * value, most) for width, value in zip(widths, values, strict=True))

    scale = _solve(lambda scale: total(scale) - exposures, 0.0, most / values[-1])
    sums = np.cumsum([width * min(scale * value, most) for width, value in zip(widths, values, strict=True)])
    whole = np.minimum(np.floor(sums + 0.5).astype(np.int64), exposures)
    whole[-1] = exposures
    return {"ranks": ranks, "values": [0, *whole.tolist()]}


def weights(items: int, spread: float) -> Curve:
    """Return weights by rank of popularity: log-normal, all the same where nothing spreads.

    Examples
    --------
    >>> weights(3, 0.0)
    {'ranks': [0, 3], 'values': [1, 1]}
    """
    if spread == 0:
        return {"ranks": [0, items], "values": [1, 1]}
    ranks = knots(items)
    values = _exponentials(spread, _normal_at(items, False))
    values.append(values[-1])
    total = math.fsum(
        (end - start) * max(low, high)
        for start, end, low, high in zip(ranks, ranks[1:], values, values[1:], strict=False)
    )
    return {"ranks": ranks, "values": [max(1, int(WEIGHTS * (value / total))) for value in values]}


def logits(items: int, level: float, spread: float) -> Curve:
    """Return logits by rank of popularity in units of 2⁻¹⁶: normal, around a level.

    Examples
    --------
    >>> logits(2, -1.0, 0.0)
    {'ranks': [0, 1, 2], 'values': [-65536, -65536, -65536]}
    """
    with localcontext(_DIGITS):
        values = [int(65536 * (Decimal(level) + Decimal(spread) * z)) for z in _normal_at(items, False)]
    return {"ranks": knots(items), "values": [*values, values[-1]]}


def pauses(short: float, absence: float, absent: float, stretches: int = 400) -> list[int]:
    """Return equally likely stretches of time between responses: exponential, a share of them long absences.

    Examples
    --------
    >>> pauses(30, 432_000, 0.025)[::100]
    [1, 9, 22, 44, 1315433]
    """
    long = max(1, round(absent * stretches))
    with localcontext(_DIGITS):

        def quantile(mean: float, number: int, count: int) -> int:
            return int(-Decimal(mean) * (1 - Decimal(2 * number) / (2 * count + 1)).ln())

        soon = [1 + quantile(short, number, stretches - long) for number in range(stretches - long + 1)]
        return soon + [soon[-1] + quantile(absence, number, long) for number in range(1, long + 1)]


def _solve(excess: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function is 0."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            # No number lies between them.
            break
        if excess(middle) < 0:
            low = middle
        else:
            high = middle
    return high


def power(base: int, exponent: float) -> float:
    """Return a power, the same on every machine.

    Examples
    --------
    >>> power(4, -0.5), power(1, -1.0)
    (0.5, 1.0)
    """
    with localcontext(_DIGITS):
        return float((Decimal(exponent) * Decimal(base).ln()).exp())
