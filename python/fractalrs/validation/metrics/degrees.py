"""Degrees: how active users are, and how popular items (the method paper's figures 1, 3 and 4).

They are compared as shares of their mean over the relative rank, so that data of different size can be compared.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fractalrs.statistics import (
    Curve,
    active_gini,
    coverage,
    end_decay,
    gini,
    hill,
    kolmogorov_smirnov,
    rank_slope,
    ranked,
    top_share,
    wasserstein,
)
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.spec import Family, FigureSpec, MetricSpec, Values, curves, difference, distance
from fractalrs.validation.wording import tops
from fractalrs.words import ITEMS, USERS, Side

_DIFFERENCE = "distance: difference"


def _differ(statistic: Callable[[Any], float | None]) -> Callable[[Measured, Side], Values]:
    return lambda measured, side: difference(measured.degrees_by_side[side], statistic)


def _away(between: Callable[[Any, Any], float | None]) -> Callable[[Measured, Side], Values]:
    return lambda measured, side: distance(measured.degrees_by_side[side], between)


def _exponent(degrees: Any) -> float | None:
    tail = hill(degrees)
    return None if tail is None else tail.exponent


def _tails(measured: Measured, side: Side) -> Values:
    compared = measured.degrees_by_side[side]
    tails = {"real": hill(compared.real), "synthetic": hill(compared.synthetic)}
    intervals = ", ".join(f"{label} {tail.low:.2f} to {tail.high:.2f}" for label, tail in tails.items() if tail)
    note = "too few distinct values in the top 5 %"
    if intervals:
        note = f"Hill’s estimate from the top 5 %, with 95 % confidence {intervals}"
    return difference(compared, _exponent, note)


def _ranked(side: Side, measured: Measured) -> dict[str, Curve]:
    values = vars(measured.degrees_by_side[side]).copy()
    if values["reduced"] is not None:
        values["kronecker"] = np.outer(values["reduced"], values["real"]).ravel()
    return curves(ranked, values)


_A = {USERS: "a user", ITEMS: "an item"}


def _figure(side: Side, first: str, lost: str) -> FigureSpec:
    return FigureSpec(
        name=f"{side.singular}_degrees",
        title=f"Ranked degrees of {side}",
        caption=f"Interactions of each {side.singular} over the mean, the most {first} first; both axes logarithmic. "
        "The nearer the synthetic line is to the real one, the better: where it is flatter, the data have lost their "
        f"{lost}. Uniform random data are nearly level.",
        data=partial(_ranked, side),
        draw="ranked_degrees",
        labels=(f"share of {side}, the most {first} first", f"interactions of {_A[side]} / mean"),
        describe=tops,
    )


FAMILY = Family(
    section="degrees",
    title="Degrees",
    explanation="How active users are, and how popular items.",
    metrics=(
        MetricSpec(
            "gini of {side}",
            _differ(gini),
            "Σᵣ (2r − N − 1) x₍ᵣ₎ / (N Σ x), x₍₁₎ ≤ … ≤ x₍N₎ the degrees of all ids (Gini 1912)",
            threshold=0.02,
            from_floor=True,
            reason="what thinning does to degrees is exactly known, and two thinnings differ by 0.002: the rest is R̂'s "
            "doing, whose margins can be balanced; shuffling every block on its own moves it by 0.2 to 0.4",
            note="of all ids, those without interactions too; distance: difference",
        ),
        MetricSpec(
            "gini of active {side}",
            _differ(active_gini),
            "the same of the degrees above zero",
            note="of ids with an interaction; distance: difference",
        ),
        *(
            MetricSpec(
                f"share of the top {percent} % of {{side}}",
                _differ(partial(top_share, share=percent / 100)),
                f"share of all interactions that the most active {percent} % have (Lorenz 1905)",
                note=_DIFFERENCE,
            )
            for percent in (1, 10)
        ),
        MetricSpec(
            "KS distance of {side}",
            _away(kolmogorov_smirnov),
            "sup |F_real − F_synthetic| of degrees over their mean (Kolmogorov 1933, Smirnov 1939)",
            note="of degrees above zero over their mean, from real",
        ),
        MetricSpec(
            "Wasserstein distance of {side}",
            _away(wasserstein),
            "∫ |F_real − F_synthetic| dx of the degrees of all ids over their mean (Vaserstein 1969)",
            threshold=0.10,
            from_floor=True,
            reason="a tenth of the mean degree, moved on average: Gini coefficients agree where two errors cancel out. "
            "KS distances do not judge, since in sparse data two thinnings of one data set differ by 0.3",
            note="of the degrees of all ids over their mean, from real",
        ),
        MetricSpec(
            "tail exponent of {side}",
            _tails,
            "k / Σᵢ₌₁ᵏ log(x₍ᵢ₎ / x₍ₖ₊₁₎) of the largest 5 %, at least 10 (Hill 1975)",
        ),
        MetricSpec(
            "log-log rank slope of {side}",
            _differ(rank_slope),
            "least-squares slope of log degree over log rank (method paper, section IV.1)",
            note="over 1 % to 50 % of the ranks",
        ),
        MetricSpec(
            "decay at the end of {side}",
            _differ(end_decay),
            "slope of the ranking at its end over that of its middle (method paper, section IV.1)",
            note="slope at the end over that of the middle",
        ),
        MetricSpec(
            "coverage of {side}",
            _differ(coverage),
            "share of ids with an interaction",
            threshold=0.05,
            from_floor=True,
            reason="one id in twenty: ids of few interactions are emptied by thinning alone, which is exactly known; "
            "row or column blocks of next to no keep rate empty more",
            note="share of ids with an interaction",
        ),
    ),
    figures=(_figure(USERS, "active", "fat tail"), _figure(ITEMS, "popular", "hits")),
)
