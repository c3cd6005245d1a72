"""Rates: how often an attack claims members, how often people who are not there, and what follows from both."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, rankdata

from fractalrs.tools import Shown

LEVEL = 0.95
"""Of all intervals, two-sided."""


@dataclass(frozen=True, repr=False)
class Rate(Shown):
    """A share that was counted, with its interval of Clopper and Pearson (1934).

    Attributes
    ----------
    count, of
        How many, of how many.
    low, high
        Both ends of the interval at `level`.

    Examples
    --------
    >>> rate = Rate.counted(9, 10)
    >>> rate.value, round(rate.low, 3), round(rate.high, 3)
    (0.9, 0.555, 0.997)
    """

    count: int
    of: int
    low: float
    high: float

    @classmethod
    def counted(cls, count: int, of: int, level: float = LEVEL) -> Self:
        """Return the rate of so many."""
        if of == 0:
            return cls(0, 0, 0.0, 1.0)
        interval = binomtest(int(count), int(of)).proportion_ci(level, "exact")
        return cls(int(count), int(of), float(interval.low), float(interval.high))

    @property
    def value(self) -> float:
        """The share; NaN of none."""
        return self.count / self.of if self.of else math.nan


@dataclass(frozen=True, repr=False)
class Advantage(Shown):
    """By how much more often members are claimed than controls, and what that says of ε.

    Attributes
    ----------
    members, controls
        How often each are claimed: of people in the data, and of others of whom the output was made without.
    low, high
        The interval of the difference, from those of both rates (Newcombe 1998, method 10).
    epsilon
        A mechanism that is ε-differentially private for whole users claims members at most e^ε times as often as
        controls, and the same holds for those it does not claim: no smaller ε fits the intervals. 0 where any does.

    Examples
    --------
    >>> found = Advantage.of(Rate.counted(90, 100), Rate.counted(5, 100))
    >>> round(found.value, 2), found.low > 0.7, 1.5 < found.epsilon < 3
    (0.85, True, True)
    """

    members: Rate
    controls: Rate
    low: float
    high: float
    epsilon: float

    @classmethod
    def of(cls, members: Rate, controls: Rate) -> Self:
        """Return the advantage of two rates."""
        if not members.of or not controls.of:
            return cls(members, controls, -1.0, 1.0, 0.0)
        value = members.value - controls.value
        low = value - math.hypot(members.value - members.low, controls.high - controls.value)
        high = value + math.hypot(members.high - members.value, controls.value - controls.low)
        ratios = ((members.low, controls.high), (1 - controls.high, 1 - members.low))
        epsilon = max([0.0, *(math.log(over / under) for over, under in ratios if over > 0 and under > 0)])
        return cls(members, controls, max(-1.0, low), min(1.0, high), epsilon)

    @classmethod
    def counted(cls, claimed: npt.NDArray[np.bool_], is_member: npt.NDArray[np.bool_], level: float = LEVEL) -> Self:
        """Return the advantage of claims on candidates, of whom some are members."""
        members, controls = (
            Rate.counted(int((claimed & who).sum()), int(who.sum()), level) for who in (is_member, ~is_member)
        )
        return cls.of(members, controls)

    def at(self, level: float) -> Self:
        """Return it with intervals of another level."""
        members, controls = (Rate.counted(rate.count, rate.of, level) for rate in (self.members, self.controls))
        return self.of(members, controls)

    @property
    def value(self) -> float:
        """The difference of the rates."""
        return self.members.value - self.controls.value


def area(scores: npt.NDArray[Any], is_member: npt.NDArray[np.bool_]) -> tuple[float, float, float] | None:
    """Return the probability that a member scores higher than a control, with its interval (Hanley and McNeil 1982).

    Equal scores count half. None without both.

    Examples
    --------
    >>> area(np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, True, False, False]))[0]
    1.0
    """
    members, controls = int(is_member.sum()), int((~is_member).sum())
    if not members or not controls:
        return None
    ranks = rankdata(scores)
    value = (ranks[is_member].sum() - members * (members + 1) / 2) / (members * controls)
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    spread = (members - 1) * (q1 - value**2) + (controls - 1) * (q2 - value**2) + value * (1 - value)
    half = 1.96 * math.sqrt(max(0.0, spread) / (members * controls))
    return float(value), max(0.0, float(value - half)), min(1.0, float(value + half))
