"""Figures of interactions and matrices, as matplotlib Axes: ranked sums, singular and network values, times, maps.

Every function draws into the Axes it is given, or makes a Figure of its own, which pyplot knows nothing of::

    axes = fractalrs.plot.ranked_sums({"real": sums, "synthetic": dataset_sums})
    axes.figure.savefig("sums.svg")

*Series* map a label to raw values or to a ready `Curve`. The labels ``"real"``, ``"reduced"``, ``"kronecker"``,
``"synthetic"`` and ``"null"`` always look the same, here and in the report: colours that colour-blind people tell
apart, and line styles and markers that do in greyscale. Any other label takes the next of some spare looks.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from fractalrs.errors import InputError
from fractalrs.validation.findings import Curve

_Floats = npt.NDArray[np.float64]
Series = Mapping[str, npt.ArrayLike | Curve]


@dataclass(frozen=True)
class Look:
    """How a label is named and drawn; `dashes` are lengths of ink and gap in line widths, none for a solid line."""

    name: str
    colour: str
    dashes: tuple[float, ...] = ()
    marker: str = ""
    width: float = 1.4


LOOKS = {
    "real": Look("real R", "#1f2328", width=2.6),
    "synthetic": Look("synthetic R̃", "#0072b2", marker="o"),
    "reduced": Look("reduced R̂", "#c4500a", dashes=(5, 2), marker="s"),
    "kronecker": Look("Kronecker product (analytic)", "#a03c8c", dashes=(6, 2, 1, 2)),
    "null": Look("uniform random", "#6e7781", dashes=(1, 1.5)),
}
"""The labels of `findings.Label`, in the order of legends."""

_SPARE_LOOKS = (
    Look("", "#009e73", dashes=(8, 2), marker="^"),
    Look("", "#b58900", dashes=(3, 1, 1, 1), marker="D"),
    Look("", "#56b4e9", marker="v"),
    Look("", "#5e3c99", dashes=(2, 2), marker="x"),
    Look("", "#cc79a7", dashes=(1, 1.5), marker="+"),
)

BEYOND = 5.0
"""`block_deviation` marks what lies further out, in standard deviations: by chance 1 block in 1.7 million."""

_POINTS = 400
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Larger maps are averaged down to what the figure can show.
_LARGEST_EXACT_MAP = 1024


def ranked_sums(series: Series, *, ax: Axes | None = None) -> Axes:
    """Draw sums in descending order, as d/mean(d) over rank/n, on logarithmic axes.

    Parameters
    ----------
    series
        Label → sums of users or of items, shape (n,), or the finished `Curve`. Zeros count in the mean and in n, but
        cannot be shown.
    ax
        Where to draw; by default a new figure.

    Raises
    ------
    InputError
        If raw values are not a non-empty row of finite numbers of at least 0.
    """
    return _draw(series, ax, _ranked_sums, "rank / count", "sum / mean")


def singular_values(series: Series, *, ax: Axes | None = None) -> Axes:
    """Draw the ratios of singular values to the first over their number from 1, on logarithmic axes.

    Parameters
    ----------
    series
        Label → singular values in any order, shape (k,), or the finished `Curve`. Zeros cannot be shown.
    ax
        Where to draw; by default a new figure.

    Raises
    ------
    InputError
        If raw values are not a non-empty row of finite numbers of at least 0.
    """
    return _draw(series, ax, _ratios, "number of the singular value", "ratio to the first")


def network_values(series: Series, *, ax: Axes | None = None) -> Axes:
    """Draw the components of a singular vector by magnitude, |c|·√n over rank/n, on logarithmic axes.

    Parameters
    ----------
    series
        Label → a vector of length 1, shape (n,), or the finished `Curve`. Zeros cannot be shown.
    ax
        Where to draw; by default a new figure.

    Raises
    ------
    InputError
        If raw values are not a non-empty row of finite numbers.
    """
    return _draw(series, ax, _network_values, "rank / size", "|component| · √size")


def gaps(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw the share of gaps up to a length, over the length as a multiple of the mean on a logarithmic axis.

    Parameters
    ----------
    series
        Label → the finished `Curve`.
    ax
        Where to draw; by default a new figure.
    """
    ax = _draw(series, ax, _finished, "gap / mean gap", "share of gaps up to it", logarithmic=("x",))
    ax.set_ylim(0, 1)
    return ax


def hours(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw the share of interactions in each hour of the day, from 0 to 24.

    Parameters
    ----------
    series
        Label → the finished `Curve`.
    ax
        Where to draw; by default a new figure.
    """
    ax = _draw(series, ax, _finished, "hour of the day", "share of interactions", logarithmic=())
    ax.set_xlim(0, 24)
    ax.set_xticks(range(0, 25, 4))
    ax.set_ylim(0)
    return ax


def weekdays(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw the share of interactions on each day of the week, 1 to 7 from Monday.

    Parameters
    ----------
    series
        Label → the finished `Curve`.
    ax
        Where to draw; by default a new figure.
    """
    ax = _draw(series, ax, _finished, "day of the week", "share of interactions", logarithmic=())
    ax.set_xticks(range(1, 8), ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    ax.set_ylim(0)
    return ax


def growth(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw the share of all items that have been seen over the share of interactions that are over, in time.

    Parameters
    ----------
    series
        Label → the finished `Curve`.
    ax
        Where to draw; by default a new figure.
    """
    ax = _draw(series, ax, _finished, "share of interactions", "share of items seen", logarithmic=())
    ax.set(xlim=(0, 1), ylim=(0, 1))
    return ax


def keep_rates(matrix: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw keep rates, or R̂, as a heat map.

    Parameters
    ----------
    matrix
        Shape (m, n): one row for each row block, one column for each column block.
    ax
        Where to draw; by default a new figure.

    Raises
    ------
    InputError
        If the matrix is not a non-empty table of numbers.
    """
    rates = _matrix(matrix)
    ax = _axes(ax)
    image = ax.imshow(rates, cmap="viridis", aspect="auto", interpolation=_interpolation(rates))
    _number_blocks(ax)
    _add_colour_bar(ax, image, "keep rate")
    return ax


def block_deviation(matrix: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw how far the count of each block is from what its keep rate lets expect.

    Blocks beyond `BEYOND` bear a plus or a minus; the colours end between 4 and 8 standard deviations.

    Parameters
    ----------
    matrix
        Shape (m, n), in standard deviations; NaN where a block has no expectation.
    ax
        Where to draw; by default a new figure.

    Raises
    ------
    InputError
        If the matrix is not a non-empty table of numbers.
    """
    deviation = _matrix(matrix)
    largest = np.abs(deviation[~np.isnan(deviation)]).max(initial=0)
    limit = float(np.clip(largest, 4, 8))
    ax = _axes(ax)
    image = ax.imshow(
        deviation, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation=_interpolation(deviation)
    )
    for marker, far in (("+", deviation > BEYOND), ("_", deviation < -BEYOND)):
        rows, columns = np.nonzero(far)
        if rows.size:
            ax.plot(columns, rows, linestyle="none", marker=marker, color="white", markersize=5, markeredgewidth=1.5)
    _number_blocks(ax)
    _add_colour_bar(ax, image, "standard deviations", extend="both" if largest > limit else "neither")
    return ax


def density(matrix: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw the expanded matrix from afar: interactions in bins of contiguous users × items, colours logarithmic.

    Parameters
    ----------
    matrix
        Shape (bins of users, bins of items): numbers of interactions. Empty bins stay blank.
    ax
        Where to draw; by default a new figure.

    Raises
    ------
    InputError
        If the matrix is not a non-empty table of numbers.
    """
    counts = _matrix(matrix)
    shown = np.ma.masked_where(~(np.isfinite(counts) & (counts > 0)), counts)
    low, high = (float(shown.min()), float(shown.max())) if shown.count() else (1.0, 1.0)
    ax = _axes(ax)
    image = ax.imshow(
        shown,
        cmap="viridis",
        # The colours of a scale without extent are undefined.
        norm=LogNorm(low, high if high > low else 2 * low),
        aspect="auto",
        interpolation=_interpolation(counts),
    )
    ax.set(xlabel="items by id, left to right", ylabel="users by id, top to bottom", xticks=[], yticks=[])
    _add_colour_bar(ax, image, "interactions in a bin")
    return ax


class _Figure(Figure):
    """A figure that a notebook shows although pyplot knows nothing of it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    return _Figure(figsize=(5.4, 3.6), layout="constrained").add_subplot()


def _draw(
    series: Series,
    ax: Axes | None,
    convert: Callable[[str, _Floats], Curve],
    x_label: str,
    y_label: str,
    logarithmic: tuple[str, ...] = ("x", "y"),
) -> Axes:
    curves = {
        label: values if isinstance(values, Curve) else _thinned(convert(label, _vector(label, values)))
        for label, values in series.items()
    }
    spare = cycle(_SPARE_LOOKS)
    looks = {label: LOOKS.get(label) or next(spare) for label in curves}
    order = [*(label for label in LOOKS if label in curves), *(label for label in curves if label not in LOOKS)]
    ax = _axes(ax)
    lines = []
    for number, label in enumerate(order):
        x, y = np.asarray(curves[label].x), np.asarray(curves[label].y)
        shown = np.isfinite(x) & np.isfinite(y)
        shown &= (x > 0) | ("x" not in logarithmic)
        shown &= (y > 0) | ("y" not in logarithmic)
        look = looks[label]
        (line,) = ax.plot(
            x[shown],
            y[shown],
            color=look.colour,
            linewidth=look.width,
            linestyle=(0, look.dashes) if look.dashes else "-",
            marker=look.marker,
            markersize=4.5,
            markerfacecolor="none",
            # Where curves lie on each other, their markers do not.
            markevery=(0.03 * number, 0.13),
        )
        lines.append(line)
    if "x" in logarithmic:
        ax.set_xscale("log")
        _mark_powers(ax.xaxis, *ax.get_xlim())
    if "y" in logarithmic:
        ax.set_yscale("log")
        _mark_powers(ax.yaxis, *ax.get_ylim())
    ax.grid(True, which="major", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    if lines:
        legend = ax.legend(lines, [str(number) for number in range(len(lines))], loc="best")
        # matplotlib would leave out labels that begin with an underscore, and typeset dollars.
        for text, label in zip(legend.get_texts(), order, strict=True):
            text.set_parse_math(False)
            text.set_text(looks[label].name or label)
    return ax


def _vector(label: str, values: npt.ArrayLike) -> _Floats:
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the series {label!r} does not consist of numbers: {error}") from None
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        raise InputError(f"the series {label!r} is not a row of finite numbers (shape {vector.shape})")
    return vector


def _matrix(values: npt.ArrayLike) -> _Floats:
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the matrix does not consist of numbers: {error}") from None
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(f"the matrix has shape {matrix.shape} instead of rows and columns")
    return matrix


def _ranked(label: str, values: _Floats) -> _Floats:
    if values.min() < 0:
        raise InputError(f"the series {label!r} has negative values")
    return np.sort(values)[::-1]


def _ranked_sums(label: str, values: _Floats) -> Curve:
    ranked = _ranked(label, values)
    return Curve(np.arange(1, ranked.size + 1) / ranked.size, ranked / (ranked.mean() or 1))


def _ratios(label: str, values: _Floats) -> Curve:
    ranked = _ranked(label, values)
    return Curve(np.arange(1, ranked.size + 1, dtype=np.float64), ranked / (ranked[0] or 1))


def _network_values(label: str, values: _Floats) -> Curve:
    ranked = _ranked(label, np.abs(values))
    return Curve(np.arange(1, ranked.size + 1) / ranked.size, ranked * math.sqrt(ranked.size))


def _finished(label: str, _: _Floats) -> Curve:
    raise InputError(f"the series {label!r} is not a Curve")


def _thinned(curve: Curve) -> Curve:
    """Keep at most `_POINTS` points above zero, as dense at every scale of x; y falls."""
    count = int(np.count_nonzero(curve.y))
    kept = np.unique(np.geomspace(1, max(count, 1), _POINTS).round().astype(np.intp))[:count] - 1
    return Curve(curve.x[kept], curve.y[kept])


def _mark_powers(axis: Axis, low: float, high: float) -> None:
    """Label the powers of ten of a logarithmic axis, and numbers between them where the axis is short."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(_power))
    axis.set_minor_formatter(NullFormatter())


def _power(value: float, _: object = None) -> str:
    """Write a tick as plain text, which unlike matplotlib's formulas takes the font of the page around it."""
    exponent = math.floor(math.log10(value) + 1e-9)
    if -3 < exponent < 6:
        return f"{value:,.10g}"
    mantissa = f"{value / 10.0**exponent:.3g}"
    power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    return power if mantissa == "1" else f"{mantissa}·{power}"


def _interpolation(matrix: _Floats) -> str:
    return "none" if max(matrix.shape) <= _LARGEST_EXACT_MAP else "antialiased"


def _number_blocks(ax: Axes) -> None:
    ax.set_xlabel("column block (items)")
    ax.set_ylabel("row block (users)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _add_colour_bar(ax: Axes, image: AxesImage, label: str, extend: str = "neither") -> None:
    ax.spines[:].set_visible(False)
    bar = cast(Figure, ax.figure).colorbar(image, ax=ax, label=label, extend=extend, pad=0.02)
    bar.outline.set_visible(False)
    if isinstance(image.norm, LogNorm):
        _mark_powers(bar.ax.yaxis, cast(float, image.norm.vmin), cast(float, image.norm.vmax))
        bar.minorticks_off()
