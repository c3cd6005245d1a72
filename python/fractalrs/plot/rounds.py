"""Numbers round by round, of several runs each: a line of their means within a band from the least to the most."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.plot.axes import SPARE_LOOKS, axes_or_new, numbers_of
from fractalrs.tools import drawing

with drawing():
    from matplotlib.axes import Axes


def by_round(series: Mapping[str, npt.ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Draw means over runs by round, and bands from the least to the most.

    Parameters
    ----------
    series
        Labels → numbers, shape (runs, rounds); NaN where a round has none.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> by_round({"random": [[0.9, 1.0], [0.8, 1.0]]}).get_xlabel()
    'round'
    """
    ax = axes_or_new(ax)
    for look, (label, values) in zip(cycle(SPARE_LOOKS), series.items(), strict=False):
        runs = numbers_of(label, values)
        if runs.ndim != 2 or not runs.size:
            raise InputError(f"{label} has the shape {runs.shape}; it must be (runs, rounds)")
        there = ~np.isnan(runs).all(axis=0)
        rounds, known = np.flatnonzero(there), runs[:, there]
        style = (0, look.dashes) if look.dashes else "-"
        ax.plot(rounds, np.nanmean(known, axis=0), color=look.colour, linestyle=style, label=label)
        ax.fill_between(
            rounds, np.nanmin(known, axis=0), np.nanmax(known, axis=0), color=look.colour, alpha=0.2, linewidth=0
        )
    ax.grid(True, which="major", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel("round")
    ax.legend(loc="best")
    return ax
