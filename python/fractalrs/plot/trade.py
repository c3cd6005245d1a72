"""What privacy costs: distances from the real data, and what an audit finds, beside each other."""

from collections.abc import Mapping, Sequence

import numpy as np

from fractalrs.plot.axes import LOOKS, SPARE_LOOKS, NotebookFigure
from fractalrs.tools import drawing

with drawing():
    from matplotlib.axes import Axes


def trade_off(
    names: Sequence[str],
    distances: Mapping[str, Sequence[float | None]],
    found: Sequence[tuple[float, float, float] | None],
) -> tuple[Axes, Axes]:
    """Draw how far candidates are from the real data, above how many more members than others an audit finds in each.

    Parameters
    ----------
    names
        Of the candidates, from left to right.
    distances
        By metric, one for each candidate; None for one that could not be had.
    found
        The advantage of the strongest attack on each, with both ends of its interval.

    Returns
    -------
    Axes
        The upper and the lower ones.

    Examples
    --------
    >>> upper, lower = trade_off(["1", "∞"], {"gini of users": [0.1, 0.02]}, [(0.0, -0.01, 0.01), None])
    >>> lower.get_ylabel()
    'members found, beyond others'
    """
    figure = NotebookFigure(figsize=(7.2, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    places = np.arange(len(names))
    for look, (name, values) in zip(SPARE_LOOKS, distances.items(), strict=False):
        known = np.array([np.nan if value is None else value for value in values], np.float64)
        upper.plot(
            places,
            known,
            color=look.colour,
            linestyle=(0, look.dashes) if look.dashes else "-",
            marker=look.marker,
            label=name,
        )
    upper.set_ylabel("distance from the real data")
    upper.set_ylim(bottom=0)
    upper.legend(loc="best", fontsize="small")
    there = [place for place, one in zip(places, found, strict=True) if one is not None]
    rates, low, high = np.array([one for one in found if one is not None], np.float64).reshape(-1, 3).T
    spread = np.maximum([rates - low, high - rates], 0)
    lower.errorbar(there, rates, spread, fmt="o", color=LOOKS["synthetic"].colour, capsize=3)
    lower.axhline(0, color=LOOKS["null"].colour, linewidth=0.8)
    lower.set_ylabel("members found, beyond others")
    lower.set_xticks(places, names)
    for axes in (upper, lower):
        axes.grid(True, which="major", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return upper, lower
