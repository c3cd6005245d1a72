"""Agreement of two rankings of models: Kendall's τ_b, decisive pairs kept, and intervals by the bootstrap.

A **pair** is two models. It is *decisive* where the data order it for certain: the 95 % interval of the difference of
both, paired over users, is without 0. Where a whole ranking agrees or not, noise decides of models that are alike; of
decisive pairs it does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fractalrs.models import Floats, Integers
from fractalrs.tools import Shown

DRAWS = 999
"""How often users are drawn anew."""
_CHUNK = 1 << 22
"""How many users are drawn at once."""
LEVEL = 0.95
ENOUGH = 0.95
"""Share of decisive pairs that must be kept."""
FEWEST_PAIRS = 3
"""Of fewer pairs nothing is said."""


@dataclass(frozen=True, repr=False)
class Figure(Shown):
    """A number with its 95 % interval.

    Examples
    --------
    >>> Figure(0.5, (0.4, 0.6)).value
    0.5
    """

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Draws:
    """Means of models over users, and the same means of users drawn anew.

    Attributes
    ----------
    means : float64, shape (models,)
    drawn : float64, shape (models, DRAWS)
    """

    means: Floats
    drawn: Floats

    @classmethod
    def of(cls, values: Floats, seed: int) -> "Draws":
        """Draw users with replacement, the same for all models: `values` are models × users.

        Examples
        --------
        >>> values = np.array([[1.0, 0, 1, 0], [1, 0, 1, 0]])
        >>> draws = Draws.of(values, 0)
        >>> draws.means.tolist(), bool((draws.drawn[0] == draws.drawn[1]).all())
        ([0.5, 0.5], True)
        """
        rng, (models, users) = np.random.default_rng([seed, 40]), values.shape
        drawn, step = np.empty((models, DRAWS)), max(1, _CHUNK // users)
        for first in range(0, DRAWS, step):
            draws = min(step, DRAWS - first)
            places = rng.integers(users, size=(draws, users)) + users * np.arange(draws)[:, None]
            times = np.bincount(places.ravel(), minlength=draws * users).reshape(draws, users)
            drawn[:, first : first + draws] = values @ times.T
        # Models that are equal for every user are so in every draw, whatever the order of a product's sums.
        return cls(values.mean(axis=-1), np.round(drawn / users, 12))

    @property
    def decisive(self) -> Any:
        """Whether each pair is, bool, shape (pairs,): of models 0 and 1, 0 and 2, …"""
        first, second = pairs_of(len(self.means))
        low, high = np.percentile(self.drawn[first] - self.drawn[second], _PERCENTS, axis=1)
        return (low > 0) | (high < 0)


_PERCENTS = (50 * (1 - LEVEL), 50 * (1 + LEVEL))


def pairs_of(models: int) -> tuple[Integers, Integers]:
    """Return the first and the second of all pairs.

    Examples
    --------
    >>> [each.tolist() for each in pairs_of(3)]
    [[0, 0, 1], [1, 2, 2]]
    """
    first, second = np.triu_indices(models, 1)
    return first, second


def signs(means: Floats) -> Floats:
    """Return the order of each pair, +1 where the first is better, for means of models × anything."""
    first, second = pairs_of(len(means))
    return np.sign(means[first] - means[second])


def tau_b(one: Floats, other: Floats) -> Floats:
    """Compute Kendall's τ_b of models × anything; NaN where one side orders nothing.

    Examples
    --------
    >>> tau_b(np.array([1.0, 2, 3]), np.array([1.0, 3, 2])).round(3).tolist()
    0.333
    """
    a, b = signs(one), signs(other)
    untied = np.sqrt(np.abs(a).sum(axis=0) * np.abs(b).sum(axis=0))
    return np.asarray(np.divide((a * b).sum(axis=0), untied, out=np.full(untied.shape, np.nan), where=untied > 0))


@dataclass(frozen=True, repr=False)
class Agreement(Shown):
    """How well one ranking of models agrees with the real one.

    Attributes
    ----------
    tau
        Kendall's τ_b, mean over repetitions.
    kept
        Share of the decisive pairs that are in the same order; no value where the real data decide none. Its interval
        takes these pairs and their real order as they are.
    apart
        The smallest relative distance of two models from which on `ENOUGH` of the decisive pairs are kept, 0 where that
        is so of all; None where it never is.
    decisive
        How many pairs are decisive, mean over repetitions.
    reversed
        Share of the decisive pairs that are decisive here too, in the other order, mean over repetitions: what
        misleads. What is neither kept nor reversed for certain is not told.

    Examples
    --------
    >>> Agreement(Figure(0.7, (0.6, 0.8)), Figure(1.0, (0.9, 1.0)), 0.0, 12.0).kept.value
    1.0
    """

    tau: Figure
    kept: Figure
    apart: float | None
    decisive: float
    reversed: float | None = None


def agreement(compared: Sequence[tuple[Draws, Draws]], seed: int) -> Agreement:
    """Compare rankings with the real one: pairs of what is real and what is compared, one for each repetition.

    Intervals are over repetitions, drawn anew, and over users: that of τ over users of both, drawn anew, that of `kept`
    over users of what is compared alone. Which pairs are decisive, and their real order, is as the real data have it.

    Examples
    --------
    >>> values = np.random.default_rng(0).random((4, 200)) + np.array([[0.0], [1], [2], [3]])
    >>> one, other = Draws.of(values, 0), Draws.of(values[:, ::-1], 1)
    >>> agreement([(one, other)], 0).kept
    Figure(value=1, interval=(1.0, 1.0))
    """
    rng = np.random.default_rng([seed, 50])
    picks = rng.integers(len(compared), size=(DRAWS, len(compared)))
    decisive = [real.decisive for real, _ in compared]
    same = [signs(real.means) == signs(other.means) for real, other in compared]
    kept = [_share(agree[which]) for agree, which in zip(same, decisive, strict=True)]
    misled = [~agree & other.decisive for agree, (_, other) in zip(same, compared, strict=True)]
    turned = [float(_share(wrong[which])) for wrong, which in zip(misled, decisive, strict=True)]
    kept_drawn = [
        _share((signs(real.means)[:, None] == signs(other.drawn))[which])
        for (real, other), which in zip(compared, decisive, strict=True)
    ]
    return Agreement(
        figure(
            [tau_b(real.means, other.means) for real, other in compared],
            [tau_b(real.drawn, other.drawn) for real, other in compared],
            picks,
        ),
        figure(kept, kept_drawn, picks),
        _apart([real for real, _ in compared], decisive, same),
        float(np.mean([which.sum() for which in decisive])),
        None if np.isnan(turned).all() else float(np.nanmean(turned)),
    )


def values_of(repetitions: Sequence[Draws], seed: int) -> list[Figure]:
    """Return the value of each model, mean over repetitions."""
    rng = np.random.default_rng([seed, 60])
    picks = rng.integers(len(repetitions), size=(DRAWS, len(repetitions)))
    return [
        figure([one.means[model] for one in repetitions], [one.drawn[model] for one in repetitions], picks)
        for model in range(len(repetitions[0].means))
    ]


def figure(values: Sequence[Any], drawn: Sequence[Any], picks: Integers) -> Figure:
    """Return the mean over repetitions, and its interval: each draw takes its own repetitions and its own users."""
    known = np.asarray(values, dtype=np.float64)
    if np.isnan(known).all():
        return Figure(None, None)
    table = np.broadcast_to(np.asarray(drawn, dtype=np.float64), (len(known), DRAWS))
    chosen = table[picks, np.arange(DRAWS)[:, None]]
    there = ~np.isnan(chosen)
    sums, counts = np.where(there, chosen, 0).sum(axis=1), there.sum(axis=1)
    low, high = np.percentile(sums[counts > 0] / counts[counts > 0], _PERCENTS)
    return Figure(float(np.nanmean(known)), (float(low), float(high)))


def _share(agree: Any) -> Any:
    """Return the share of pairs that agree, for pairs × anything; NaN of none."""
    return agree.mean(axis=0) if len(agree) else np.full(agree.shape[1:], np.nan)


def _apart(real: Sequence[Draws], decisive: Sequence[Any], same: Sequence[Any]) -> float | None:
    distances, agree = [], []
    for one, which, those in zip(real, decisive, same, strict=True):
        first, second = (one.means[each] for each in pairs_of(len(one.means)))
        distances.append((np.abs(first - second) / np.maximum(first, second).clip(min=1e-300))[which])
        agree.append(those[which])
    distance, kept = np.concatenate(distances), np.concatenate(agree)
    if len(kept) and kept.mean() >= ENOUGH:
        return 0.0
    for least in np.unique(distance):
        beyond = kept[distance >= least]
        if len(beyond) < FEWEST_PAIRS * len(real):
            return None
        if beyond.mean() >= ENOUGH:
            return float(least)
    return None


AS_WELL, APART, NOT = (
    "predicts as well as real data predict themselves",
    "for pairs further apart than {} only",
    "not for ranking",
)


def verdict(found: Agreement, ceiling: Agreement, null: Agreement) -> str:
    """Say what a ranking is good for, beside what real data say of themselves, and what degrees alone say.

    Examples
    --------
    >>> sure = Agreement(Figure(0.9, (0.8, 1.0)), Figure(1.0, (0.9, 1.0)), 0.0, 12.0)
    >>> chance = Agreement(Figure(0.0, (-0.5, 0.5)), Figure(0.5, (0.3, 0.7)), None, 12.0)
    >>> verdict(sure, sure, chance)
    'predicts as well as real data predict themselves'
    """
    kept, most, least = (one.kept.value for one in (found, ceiling, null))
    if kept is None or found.decisive < FEWEST_PAIRS:
        return f"{NOT}: the real data decide too few pairs to tell"
    if least is not None and kept <= least:
        return f"{NOT}: equal degrees alone keep as many pairs"
    if kept >= min(ENOUGH, 1.0 if most is None else most):
        return AS_WELL
    return NOT if found.apart is None else APART.format(f"{found.apart:.0%}")
