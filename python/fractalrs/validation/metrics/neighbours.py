"""Neighbours: how alike items and their nearest are, and whether those are copies of one source item."""

from dataclasses import replace
from functools import partial

from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.measure.neighbours import RANKS, Neighbours
from fractalrs.validation.metrics.spec import NEEDS_SOURCE, Family, MetricSpec, Values, difference


def _missing(measured: Measured) -> str:
    return NEEDS_SOURCE if measured.source is None else ""


def _cosine(rank: int, measured: Measured) -> Values:
    return difference(measured.nearest, lambda found: found.cosine(rank), _missing(measured))


def _lift(measured: Measured) -> Values:
    return replace(difference(measured.nearest, Neighbours.lift, _missing(measured)), distance=None, floor=None)


def _copies(measured: Measured) -> Values:
    if measured.item_copies is None:
        return Values(note=_missing(measured) or "too few items, too many blocks, or items of no one source")
    synthetic, null = measured.item_copies
    return Values(None, None, synthetic, null, synthetic)


FAMILY = Family(
    section="neighbours",
    title="Neighbours",
    explanation="How items go together; copies of one source item would show here.",
    metrics=(
        *(
            MetricSpec(
                f"cosine with the nearest item, rank {rank}",
                partial(_cosine, rank),
                f"mean over sampled items of |A ∩ B| / √(|A| |B|), B the users of the {rank}. nearest item",
                note="thinned: real data as one block",
            )
            for rank in RANKS
        ),
        MetricSpec(
            "lift of the nearest ten items",
            _lift,
            "median of U |A ∩ B| / (|A| |B|) of U users",
            note="median; thinned: real data as one block",
            has_distance=False,
        ),
        MetricSpec(
            "copies among the ten nearest items",
            _copies,
            "share of the ten nearest items that show the same source item in half of the row blocks or more",
            threshold=0.03,
            reason="a neighbourhood model that finds copies of one source item learns the construction, not taste; "
            "`none` and `aligned` have 87 % on the sample",
            note="share that shows the same source items; null: of any other items",
        ),
    ),
)
