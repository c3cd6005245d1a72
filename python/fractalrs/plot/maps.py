"""Figures of matrices: keep rates, deviations of blocks, the expanded matrix from afar."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.plot.axes import axes_or_new, mark_powers, numbers_of
from fractalrs.plot.values import Validated, Value, density_of, keep_rates_of, map_of
from fractalrs.statistics import Floats
from fractalrs.tools import drawing

with drawing():
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.ticker import MaxNLocator

BEYOND = 5.0
"""`block_deviation` marks what lies further out, in standard deviations: by chance 1 block in 1.7 million."""

# Larger maps are averaged down to what the figure can show.
_LARGEST_EXACT_MAP = 1024


def keep_rates(matrix: npt.ArrayLike | Value | Validated, *, ax: Axes | None = None) -> Axes:
    """Draw keep rates, or R̂, as a heat map.

    Parameters
    ----------
    matrix
        Shape (m, n): a row for each row block, a column for each column block; or an expansion, a reduced matrix, a
        fit or a report.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> keep_rates([[0.1, 0.9], [0.2, 0.3]]).get_xlabel()
    'column block (items)'
    """
    rates = _matrix(keep_rates_of(matrix))
    ax, image = _map(rates, ax, cmap="viridis")
    _number_blocks(ax)
    _add_colour_bar(ax, image, "keep rate")
    return ax


def block_deviation(matrix: npt.ArrayLike | Validated, *, ax: Axes | None = None) -> Axes:
    """Draw how far the count of each block is from what its keep rate lets expect.

    Blocks beyond `BEYOND` bear a plus or a minus; the colours end between 4 and 8 standard deviations.

    Parameters
    ----------
    matrix
        Shape (m, n), in standard deviations; NaN where a block has no expectation. Or a report.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> block_deviation([[0.3, -6.0], [1.2, 0.1]]).get_xlabel()
    'column block (items)'
    """
    deviation = _matrix(map_of(matrix, "block_deviation"))
    largest = np.abs(deviation[~np.isnan(deviation)]).max(initial=0)
    limit = float(np.clip(largest, 4, 8))
    ax, image = _map(deviation, ax, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for marker, far in (("+", deviation > BEYOND), ("_", deviation < -BEYOND)):
        rows, columns = np.nonzero(far)
        if rows.size:
            ax.plot(columns, rows, linestyle="none", marker=marker, color="white", markersize=5, markeredgewidth=1.5)
    _number_blocks(ax)
    _add_colour_bar(ax, image, "standard deviations", extend="both" if largest > limit else "neither")
    return ax


def density(matrix: npt.ArrayLike | Value | Validated, *, ax: Axes | None = None) -> Axes:
    """Draw the expanded matrix from afar: interactions in bins of contiguous users × items, colours logarithmic.

    Parameters
    ----------
    matrix
        Shape (bins of users, bins of items): numbers of interactions; or a base, an expansion, a data set or a report.
        Empty bins stay blank.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> density([[12, 0], [3, 7]]).get_xlabel()
    'items by id, left to right'
    """
    counts = _matrix(density_of(matrix))
    shown = np.ma.masked_where(~(np.isfinite(counts) & (counts > 0)), counts)
    low, high = (float(shown.min()), float(shown.max())) if shown.count() else (1.0, 1.0)
    # The colours of a scale without extent are undefined.
    ax, image = _map(shown, ax, cmap="viridis", norm=LogNorm(low, high if high > low else 2 * low))
    ax.set(xlabel="items by id, left to right", ylabel="users by id, top to bottom", xticks=[], yticks=[])
    _add_colour_bar(ax, image, "interactions in a bin")
    return ax


def _matrix(values: npt.ArrayLike) -> Floats:
    matrix = numbers_of("the matrix", values)
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(
            f"the matrix has shape {matrix.shape} instead of rows and columns", hint="give at least one of each"
        )
    return matrix


def _map(matrix: Floats, ax: Axes | None, **colours: Any) -> tuple[Axes, AxesImage]:
    ax, interpolation = axes_or_new(ax), "none" if max(matrix.shape) <= _LARGEST_EXACT_MAP else "antialiased"
    return ax, ax.imshow(matrix, aspect="auto", interpolation=interpolation, **colours)


def _number_blocks(ax: Axes) -> None:
    ax.set(xlabel="column block (items)", ylabel="row block (users)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _add_colour_bar(ax: Axes, image: AxesImage, label: str, extend: str = "neither") -> None:
    ax.spines[:].set_visible(False)
    bar = cast(Figure, ax.figure).colorbar(image, ax=ax, label=label, extend=extend, pad=0.02)
    bar.outline.set_visible(False)
    if isinstance(image.norm, LogNorm):
        mark_powers(bar.ax.yaxis, cast(float, image.norm.vmin), cast(float, image.norm.vmax))
        bar.minorticks_off()
