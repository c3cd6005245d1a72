"""Figures of interactions and matrices, as matplotlib Axes: ranked degrees, singular and network values, times, maps.

Every function draws into the Axes it is given as `ax`, or makes a Figure of its own, which pyplot knows nothing of;
what cannot be drawn is refused with an `InputError`. It needs ``fractalrs[report]``::

    axes = fractalrs.plot.ranked_degrees({"real": degrees, "synthetic": dataset_degrees})
    axes.figure.savefig("degrees.svg")

*Series* map a label to raw values or to a ready `Curve`. The labels ``"real"``, ``"reduced"``, ``"kronecker"``,
``"synthetic"``, ``"thinned"`` and ``"null"`` always look the same, here and in the report: in colours that colour-blind
people tell apart, line styles and markers that do in greyscale. Any other label takes the next of some spare looks.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.statistics import Curve, Floats
from fractalrs.tools import drawing

with drawing():
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

Series = Mapping[str, npt.ArrayLike | Curve]
_Convert = Callable[[str, Floats], Curve]


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
    "thinned": Look("real, thinned", "#00806a", dashes=(3, 1.5)),
    "null": Look("uniform random", "#6e7781", dashes=(1, 1.5)),
}
"""The labels of validation, in the order of legends."""

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


def ranked_degrees(series: Series, *, ax: Axes | None = None) -> Axes:
    """Draw degrees in descending order, as d/mean(d) over rank/n, on logarithmic axes.

    Parameters
    ----------
    series
        Labels → degrees of users or of items, shape (n,), or finished curves. Zeros count in the mean and in n, but
        cannot be shown.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> ranked_degrees({"real": [4, 2, 1], "synthetic": [9, 3, 3, 1]}).get_xlabel()
    'rank / count'
    """
    return _draw(series, ax, _ranked_degrees, "rank / count", "degree / mean")


def singular_values(series: Series, *, ax: Axes | None = None) -> Axes:
    """Draw the ratios of singular values to the first over their number from 1, on logarithmic axes.

    Parameters
    ----------
    series
        Labels → singular values in any order, shape (k,), or finished curves. Zeros cannot be shown.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> singular_values({"real": [8.0, 2.0, 1.0]}).get_xlabel()
    'number of the singular value'
    """
    return _draw(series, ax, _ratios, "number of the singular value", "ratio to the first")


def network_values(series: Series, *, ax: Axes | None = None) -> Axes:
    """Draw the components of a singular vector by magnitude, |c|·√n over rank/n, on logarithmic axes.

    Parameters
    ----------
    series
        Labels → vectors of length 1, shape (n,), or finished curves. Zeros cannot be shown.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> network_values({"real": [0.6, -0.8]}).get_xlabel()
    'rank / size'
    """
    return _draw(series, ax, _network_values, "rank / size", "|component| · √size")


def shares_by_rank(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw shares, of a norm or of test interactions, over the rank of a factorisation on a logarithmic axis.

    Parameters
    ----------
    series
        Labels → finished curves.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> shares_by_rank({"real": Curve(np.array([1.0, 2.0]), np.array([0.2, 0.3]))}).get_xlabel()
    'rank'
    """
    return _draw(series, ax, _finished, "rank", "share", "x", ylim=(0, None))


def inter_event_times(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw the share of inter-event times up to a multiple of the mean, over it on a logarithmic axis.

    Parameters
    ----------
    series
        Labels → finished curves.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> inter_event_times({"real": Curve(np.array([0.1, 1.0]), np.array([0.5, 1.0]))}).get_xlabel()
    'inter-event time / mean'
    """
    return _draw(series, ax, _finished, "inter-event time / mean", "share up to it", "x", ylim=(0, 1))


def hours(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw the share of interactions in each hour of the day, from 0 to 24.

    Parameters
    ----------
    series
        Labels → finished curves.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> hours({"real": Curve(np.arange(24) + 0.5, np.full(24, 1 / 24))}).get_xlabel()
    'hour of the day'
    """
    ticks: dict[str, Any] = {"xlim": (0, 24), "xticks": range(0, 25, 4)}
    return _draw(series, ax, _finished, "hour of the day", "share of interactions", "", ylim=(0, None), **ticks)


def weekdays(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw the share of interactions on each day of the week, 1 to 7 from Monday.

    Parameters
    ----------
    series
        Labels → finished curves.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> weekdays({"real": Curve(np.arange(1.0, 8.0), np.full(7, 1 / 7))}).get_xlabel()
    'day of the week'
    """
    ticks: dict[str, Any] = {"xticks": range(1, 8), "xticklabels": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]}
    return _draw(series, ax, _finished, "day of the week", "share of interactions", "", ylim=(0, None), **ticks)


def catalogue_growth(series: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw the share of all items that have been seen over the share of interactions that are over, in time.

    Parameters
    ----------
    series
        Labels → finished curves.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> catalogue_growth({"real": Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))}).get_xlabel()
    'share of interactions'
    """
    return _draw(series, ax, _finished, "share of interactions", "share of items seen", "", xlim=(0, 1), ylim=(0, 1))


def keep_rates(matrix: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw keep rates, or R̂, as a heat map.

    Parameters
    ----------
    matrix
        Shape (m, n): a row for each row block, a column for each column block.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> keep_rates([[0.1, 0.9], [0.2, 0.3]]).get_xlabel()
    'column block (items)'
    """
    rates = _matrix(matrix)
    ax, image = _map(rates, ax, cmap="viridis")
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

    Examples
    --------
    >>> block_deviation([[0.3, -6.0], [1.2, 0.1]]).get_xlabel()
    'column block (items)'
    """
    deviation = _matrix(matrix)
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


def density(matrix: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw the expanded matrix from afar: interactions in bins of contiguous users × items, colours logarithmic.

    Parameters
    ----------
    matrix
        Shape (bins of users, bins of items): numbers of interactions. Empty bins stay blank.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> density([[12, 0], [3, 7]]).get_xlabel()
    'items by id, left to right'
    """
    counts = _matrix(matrix)
    shown = np.ma.masked_where(~(np.isfinite(counts) & (counts > 0)), counts)
    low, high = (float(shown.min()), float(shown.max())) if shown.count() else (1.0, 1.0)
    # The colours of a scale without extent are undefined.
    ax, image = _map(shown, ax, cmap="viridis", norm=LogNorm(low, high if high > low else 2 * low))
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
    return _Figure(figsize=(5.4, 3.6), layout="constrained").add_subplot() if ax is None else ax


def _draw(
    series: Series, ax: Axes | None, convert: _Convert, x_label: str, y_label: str, logs: str = "xy", **settings: Any
) -> Axes:
    """Draw series as lines; `settings` are those of the Axes."""
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
        shown = np.isfinite(x) & np.isfinite(y) & ((x > 0) | ("x" not in logs))
        shown &= (y > 0) | ("y" not in logs)
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
    for name in logs:
        ax.set(**{f"{name}scale": "log"})
        _mark_powers(getattr(ax, f"{name}axis"), *getattr(ax, f"get_{name}lim")())
    ax.grid(True, which="major", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(xlabel=x_label, ylabel=y_label, **settings)
    if lines:
        legend = ax.legend(lines, [str(number) for number in range(len(lines))], loc="best")
        # matplotlib would leave out labels that begin with an underscore, and typeset dollars.
        for text, label in zip(legend.get_texts(), order, strict=True):
            text.set_parse_math(False)
            text.set_text(looks[label].name or label)
    return ax


def _numbers(what: str, values: npt.ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} does not consist of numbers: {error}") from None


def _vector(label: str, values: npt.ArrayLike) -> Floats:
    vector = _numbers(f"the series {label!r}", values)
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        raise InputError(f"the series {label!r} is not a row of finite numbers (shape {vector.shape})")
    return vector


def _matrix(values: npt.ArrayLike) -> Floats:
    matrix = _numbers("the matrix", values)
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(f"the matrix has shape {matrix.shape} instead of rows and columns")
    return matrix


def _ranked(label: str, values: Floats) -> tuple[Floats, Floats]:
    """Return ranks from 1, and values in descending order."""
    if values.min() < 0:
        raise InputError(f"the series {label!r} has negative values")
    return np.arange(1, values.size + 1, dtype=np.float64), np.sort(values)[::-1]


def _ranked_degrees(label: str, values: Floats) -> Curve:
    ranks, ranked = _ranked(label, values)
    return Curve(ranks / ranked.size, ranked / (ranked.mean() or 1))


def _ratios(label: str, values: Floats) -> Curve:
    ranks, ranked = _ranked(label, values)
    return Curve(ranks, ranked / (ranked[0] or 1))


def _network_values(label: str, values: Floats) -> Curve:
    ranks, ranked = _ranked(label, np.abs(values))
    return Curve(ranks / ranked.size, ranked * math.sqrt(ranked.size))


def _finished(label: str, _: Floats) -> Curve:
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


def _map(matrix: Floats, ax: Axes | None, **colours: Any) -> tuple[Axes, AxesImage]:
    ax, interpolation = _axes(ax), "none" if max(matrix.shape) <= _LARGEST_EXACT_MAP else "antialiased"
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
        _mark_powers(bar.ax.yaxis, cast(float, image.norm.vmin), cast(float, image.norm.vmax))
        bar.minorticks_off()
