"""Hardness: is the synthetic data at least as hard to factorise as real data of its density?"""

from functools import partial
from typing import Any

import numpy as np

from fractalrs.statistics import Curve, Floats, captured_norm
from fractalrs.validation.measure.measured import RANKS, Compared, Measured
from fractalrs.validation.metrics.spec import Family, FigureSpec, MetricSpec, Values, curves
from fractalrs.validation.wording import at

CAPTURED_RANKS = (8, 16, 32, 64, 128, 256)
JUDGED_RANK = 8
SHOWN_RANKS = (8, 32)
_REASON = (
    "one-sided: of the real data at this size and density no more is captured, so that what is above comes of R̂ and is "
    "easier. At later ranks more of the thinned values is noise, which theory knows less exactly: nothing is judged"
)
_NOTE = "falls with the density: compare synthetic with thinned; distance: what is captured beyond it, as a share of it"


def _captured(rank: int, measured: Measured) -> Values | None:
    """Return the share captured at a rank, where so many singular values were asked for."""
    if len(measured.values.synthetic) < rank:
        return None
    norms = _norms(measured)
    shares: dict[str, Any] = {
        label: None if values is None else captured_norm(values, norms[label], rank)
        for label, values in vars(measured.values).items()
        if label != "reduced"
    }
    thinned, synthetic = shares["thinned"], shares["synthetic"]
    beyond = max(0.0, synthetic / thinned - 1) if thinned and synthetic is not None else None
    return Values(**shares, distance=beyond)


def _norms(measured: Measured) -> dict[str, int]:
    """Return the interactions of each: the thinned and the uniform data have as many as the synthetic."""
    synthetic = dict.fromkeys(("synthetic", "thinned", "null"), measured.interactions)
    return synthetic | {"real": measured.real.interactions}


def _recall(rank: int, measured: Measured) -> Values | None:
    place, found = RANKS.index(rank), measured.recall
    if not _is_known(found.synthetic, place):
        return None
    real = found.real[place] if _is_known(found.real, place) else None
    return Values(real, None, found.synthetic[place], 0.01)


def _is_known(recalls: list[float | None] | None, place: int) -> bool:
    return recalls is not None and recalls[place] is not None


def _draw_captured(measured: Measured) -> dict[str, Curve]:
    norms = _norms(measured)
    shares = {
        label: np.cumsum(np.square(values)) / norms[label]
        for label, values in vars(measured.values).items()
        if label != "reduced" and values is not None
    }
    return curves(_by_rank, shares)


def _by_rank(shares: Floats) -> Curve:
    return Curve(np.arange(1.0, len(shares) + 1), shares)


def _draw_recall(measured: Measured) -> dict[str, Curve] | None:
    def curve(recalls: list[float | None]) -> Curve:
        known: Any = [(rank, recall) for rank, recall in zip(RANKS, recalls, strict=True) if recall is not None]
        return Curve(*(np.array(each, dtype=np.float64) for each in zip(*known, strict=True)))

    found: Compared = measured.recall
    there = {label: recalls for label, recalls in vars(found).items() if _is_known(recalls, 0)}
    return curves(curve, there) if "synthetic" in there else None


FAMILY = Family(
    section="hardness",
    title="Hardness",
    explanation="Whether a factorisation finds it as hard as real data: the method paper’s first demand.",
    metrics=(
        *(
            MetricSpec(
                f"norm captured at rank {rank}",
                partial(_captured, rank),
                f"Σ_{{k ≤ {rank}}} σₖ² / interactions (Eckart and Young 1936); distance from thinned where it is above",
                note=_NOTE,
                threshold=0.10 if rank == JUDGED_RANK else None,
                reason=_REASON if rank == JUDGED_RANK else "",
            )
            for rank in CAPTURED_RANKS
        ),
        *(
            MetricSpec(
                f"recall of a factorisation of rank {rank}",
                partial(_recall, rank),
                f"share of test interactions in the first 1 % of the catalogue ranked by x V Vᵀ, V the {rank} leading "
                "right singular vectors (PureSVD: Cremonesi, Koren and Turrin 2010)",
                note="in the first 1 % of the catalogue, train items left out; of up to 2,000 test users",
                has_distance=False,
            )
            for rank in SHOWN_RANKS
        ),
    ),
    figures=(
        FigureSpec(
            name="captured_norm",
            title="Captured norm by rank",
            caption="The share of the squared norm that the best factorisation of a rank captures. It falls with the "
            "density, whatever the data: so the line to stay at or below is that of the thinned real data, not that "
            "of the real ones.",
            data=_draw_captured,
            draw="shares_by_rank",
            describe=at("at rank 8", 8),
        ),
        FigureSpec(
            name="recall_by_rank",
            title="Recall of a factorisation by rank",
            caption="The share of test interactions that stand in the first 1 % of the catalogue, ranked for each of "
            "up to 2,000 users by the leading singular vectors, as many as the rank. Expanded users have several times "
            "the interactions of real ones to be known by.",
            data=_draw_recall,
            draw="shares_by_rank",
            describe=at("at rank 8", 8),
        ),
    ),
)
