"""Figures of interactions and matrices, as matplotlib Axes: ranked degrees, singular and network values, times, maps.

Every function draws into the Axes it is given as `ax`, or makes a Figure of its own, which pyplot knows nothing of;
what cannot be drawn is refused with an `InputError`. It needs ``fractalrs[report]``::

    axes = fractalrs.plot.ranked_degrees({"real": base, "synthetic": dataset}, side="items")
    axes.figure.savefig("degrees.svg")

*Series* map a label to raw values, to a ready `Curve`, or to one of our own values: a Base, an Expansion, a Dataset, a
ReducedMatrix or a Fit, which may also be given alone; a Report has the curves of all. The labels ``"real"``,
``"reduced"``, ``"kronecker"``, ``"synthetic"``, ``"thinned"`` and ``"null"`` always look the same, here and in the
report: in colours that colour-blind people tell apart, line styles and markers that do in greyscale. Any other label
takes the next of some spare looks.
"""

from fractalrs.plot.axes import LOOKS, SPARE_LOOKS, Look
from fractalrs.plot.lines import (
    catalogue_growth,
    hit_rates,
    hours,
    inter_event_times,
    network_values,
    ranked_degrees,
    shares_by_rank,
    singular_values,
    weekdays,
)
from fractalrs.plot.maps import BEYOND, block_deviation, density, keep_rates
from fractalrs.plot.rounds import by_round
from fractalrs.plot.trade import trade_off

__all__ = ["BEYOND", "LOOKS", "SPARE_LOOKS", "Look", "block_deviation", "by_round", "catalogue_growth", "density"]
__all__ += ["hit_rates", "hours"]
__all__ += [
    "inter_event_times",
    "keep_rates",
    "network_values",
    "ranked_degrees",
    "shares_by_rank",
    "singular_values",
    "trade_off",
]
__all__ += ["weekdays"]
