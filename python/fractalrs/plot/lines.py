"""Figures of lines: ranked degrees, singular and network values, shares, times."""

import math
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.passes import AccessProfile
from fractalrs.plot.axes import LOOKS, SPARE_LOOKS, axes_or_new, mark_powers, numbers_of
from fractalrs.plot.values import Curves, Series, curves_of, degrees_of, singular_values_of
from fractalrs.statistics import Curve, Floats
from fractalrs.tools import check_word, drawing
from fractalrs.words import SIDES, USERS, Side

with drawing():
    from matplotlib.axes import Axes

_Convert = Callable[[str, Floats], Curve]
_POINTS = 400

SideName = Literal["users", "items"]


def ranked_degrees(series: Series, *, side: SideName = "users", ax: Axes | None = None) -> Axes:
    """Draw degrees in descending order, as d/mean(d) over rank/n, on logarithmic axes.

    Parameters
    ----------
    series
        Labels → degrees of users or of items, shape (n,), finished curves, or values of ours whose train interactions
        are counted; one such value alone; or a report. Zeros count in the mean and in n, but cannot be shown.
    side
        Whose degrees are taken of our values.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> ranked_degrees({"real": base, "synthetic": [9, 3, 3, 1]}, side="items").get_xlabel()
    'rank / count'
    """
    return _draw(degrees_of(series, _side(side)), ax, _ranked_degrees, "rank / count", "degree / mean")


def singular_values(series: Series, *, ax: Axes | None = None) -> Axes:
    """Draw the ratios of singular values to the first over their number from 1, on logarithmic axes.

    Parameters
    ----------
    series
        Labels → singular values in any order, shape (k,), finished curves, or a base (the leading ones of its train
        part) or a reduced matrix; one such value alone; or a report. Zeros cannot be shown.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> singular_values({"real": [8.0, 2.0, 1.0]}).get_xlabel()
    'number of the singular value'
    """
    return _draw(singular_values_of(series), ax, _ratios, "number of the singular value", "ratio to the first")


def network_values(
    series: Curves,
    *,
    side: SideName = "users",
    vector: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """Draw the components of a singular vector by magnitude, |c|·√n over rank/n, on logarithmic axes.

    Parameters
    ----------
    series
        Labels → vectors of length 1, shape (n,), or finished curves; or a report. Zeros cannot be shown.
    side, vector
        Which singular vector of a report: of users or of items, the first, second, …
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> network_values({"real": [0.6, -0.8]}).get_xlabel()
    'rank / size'
    """
    which = "left" if _side(side) == USERS else "right"
    curves = curves_of(series, f"{which}_vector_{vector}")
    return _draw(curves, ax, _network_values, "rank / size", "|component| · √size")


def shares_by_rank(
    series: Curves,
    *,
    of: Literal["captured_norm", "recall_by_rank"] = "captured_norm",
    ax: Axes | None = None,
) -> Axes:
    """Draw shares, of a norm or of test interactions, over the rank of a factorisation on a logarithmic axis.

    Parameters
    ----------
    series
        Labels → finished curves; or a report.
    of
        Which share of a report.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> shares_by_rank({"real": Curve(np.array([1.0, 2.0]), np.array([0.2, 0.3]))}).get_xlabel()
    'rank'
    """
    return _draw(curves_of(series, of), ax, _finished, "rank", "share", "x", ylim=(0, None))


def inter_event_times(series: Curves, *, ax: Axes | None = None) -> Axes:
    """Draw the share of inter-event times up to a multiple of the mean, over it on a logarithmic axis.

    Parameters
    ----------
    series
        Labels → finished curves; or a report.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> inter_event_times({"real": Curve(np.array([0.1, 1.0]), np.array([0.5, 1.0]))}).get_xlabel()
    'inter-event time / mean'
    """
    return _draw(
        curves_of(series, "inter_event_times"),
        ax,
        _finished,
        "inter-event time / mean",
        "share up to it",
        "x",
        ylim=(0, 1),
    )


def hit_rates(
    series: Curves | AccessProfile,
    *,
    column: Literal["user_id", "item_id"] = "item_id",
    order: Literal["random", "time"] = "random",
    ax: Axes | None = None,
) -> Axes:
    """Draw the hit rate of an LRU cache over its size in shares of a table's rows, on a logarithmic axis.

    Parameters
    ----------
    series
        An access profile; labels → finished curves; or a report.
    column, order
        Which table of a profile, and in which order ids are looked up.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> import fractalrs as fr
    >>> profile = fr.access_profile(fr.sample_interactions(60, 40, 600))
    >>> hit_rates(profile).get_xlabel()
    'rows of the cache / rows of the table'
    """
    curves = series.curves(column, order) if isinstance(series, AccessProfile) else curves_of(series, "hit_rates")
    where = "rows of the cache / rows of the table"
    return _draw(curves, ax, _finished, where, "hit rate", "x", ylim=(0, 1))


def hours(series: Curves, *, ax: Axes | None = None) -> Axes:
    """Draw the share of interactions in each hour of the day, from 0 to 24.

    Parameters
    ----------
    series
        Labels → finished curves; or a report.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> hours({"real": Curve(np.arange(24) + 0.5, np.full(24, 1 / 24))}).get_xlabel()
    'hour of the day'
    """
    ticks: dict[str, Any] = {"xlim": (0, 24), "xticks": range(0, 25, 4)}
    return _shares(series, "hours", ax, "hour of the day", ticks)


def weekdays(series: Curves, *, ax: Axes | None = None) -> Axes:
    """Draw the share of interactions on each day of the week, 1 to 7 from Monday.

    Parameters
    ----------
    series
        Labels → finished curves; or a report.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> weekdays({"real": Curve(np.arange(1.0, 8.0), np.full(7, 1 / 7))}).get_xlabel()
    'day of the week'
    """
    ticks: dict[str, Any] = {"xticks": range(1, 8), "xticklabels": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]}
    return _shares(series, "weekdays", ax, "day of the week", ticks)


def _shares(series: Curves, name: str, ax: Axes | None, axis: str, ticks: dict[str, Any]) -> Axes:
    """Draw shares of interactions over what they happened in."""
    return _draw(curves_of(series, name), ax, _finished, axis, "share of interactions", "", ylim=(0, None), **ticks)


def catalogue_growth(series: Curves, *, ax: Axes | None = None) -> Axes:
    """Draw the share of all items that have been seen over the share of interactions that are over, in time.

    Parameters
    ----------
    series
        Labels → finished curves; or a report.
    ax
        Where to draw; by default a new figure.

    Examples
    --------
    >>> catalogue_growth({"real": Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))}).get_xlabel()
    'share of interactions'
    """
    return _draw(
        curves_of(series, "catalogue_growth"),
        ax,
        _finished,
        "share of interactions",
        "share of items seen",
        "",
        xlim=(0, 1),
        ylim=(0, 1),
    )


def _side(name: str) -> Side:
    check_word("side", name, [side.plural for side in SIDES])
    return next(side for side in SIDES if side.plural == name)


def _draw(
    series: Mapping[str, npt.ArrayLike | Curve],
    ax: Axes | None,
    convert: _Convert,
    x_label: str,
    y_label: str,
    logs: str = "xy",
    **settings: Any,
) -> Axes:
    """Draw series as lines; `settings` are those of the Axes."""
    curves = {
        label: values if isinstance(values, Curve) else _thinned(convert(label, _vector(label, values)))
        for label, values in series.items()
    }
    spare = cycle(SPARE_LOOKS)
    looks = {label: LOOKS.get(label) or next(spare) for label in curves}
    order = [*(label for label in LOOKS if label in curves), *(label for label in curves if label not in LOOKS)]
    ax = axes_or_new(ax)
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
        mark_powers(getattr(ax, f"{name}axis"), *getattr(ax, f"get_{name}lim")())
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


def _vector(label: str, values: npt.ArrayLike) -> Floats:
    vector = numbers_of(f"the series {label!r}", values)
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        message = f"the series {label!r} is not a row of finite numbers (shape {vector.shape})"
        raise InputError(message, hint="give at least one number, and none that is missing")
    return vector


def _ranked(label: str, values: Floats) -> tuple[Floats, Floats]:
    """Return ranks from 1, and values in descending order."""
    if values.min() < 0:
        raise InputError(f"the series {label!r} has negative values", hint="give numbers from 0 up")
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
    raise InputError(f"the series {label!r} is not a Curve", hint="give a fractalrs.statistics.Curve")


def _thinned(curve: Curve) -> Curve:
    """Keep at most `_POINTS` points above zero, as dense at every scale of x; y falls."""
    count = int(np.count_nonzero(curve.y))
    kept = np.unique(np.geomspace(1, max(count, 1), _POINTS).round().astype(np.intp))[:count] - 1
    return Curve(curve.x[kept], curve.y[kept])
