"""Access: what caches of an embedding table hit."""

from functools import partial

from fractalrs.statistics import Curve, hit_rate
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.spec import Family, FigureSpec, MetricSpec, Values, curves, difference
from fractalrs.validation.wording import at

_WHAT = (
    "share of lookups of items that an LRU cache of {} % of the rows hits, train interactions in random order (stack "
    "distances, Mattson et al. 1970; of many, of sampled ids, Waldspurger et al. 2015)"
)
_NOTE = "in random order; rows that are looked up the first time are no hits, thinned has as many lookups a row"


def _hits(size: float, measured: Measured) -> Values:
    return difference(measured.item_hits, partial(hit_rate, size=size))


def _draw(measured: Measured) -> dict[str, Curve]:
    return curves(lambda curve: curve, vars(measured.item_hits))


FAMILY = Family(
    section="access",
    title="Access",
    explanation="What a cache of an embedding table of items hits.",
    metrics=tuple(
        MetricSpec(
            f"LRU hit rate, {100 * size:g} % of the items",
            partial(_hits, size),
            _WHAT.format(f"{100 * size:g}"),
            note=_NOTE,
        )
        for size in (0.01, 0.05, 0.1)
    ),
    figures=(
        FigureSpec(
            name="hit_rates",
            title="Hit rates of caches",
            caption="The share of lookups of items that an LRU cache hits, by its size, train interactions in random "
            "order. Tails decide: a block that is shuffled on its own understates what a cache hits.",
            data=_draw,
            draw="hit_rates",
            describe=at("with a tenth of the rows", 0.1),
        ),
    ),
)
