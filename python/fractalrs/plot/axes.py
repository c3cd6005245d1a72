"""What figures have in common: how labels look, and a new figure, its numbers and its logarithmic axes."""

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.statistics import Floats
from fractalrs.tools import drawing

with drawing():
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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

SPARE_LOOKS = (
    Look("", "#009e73", dashes=(8, 2), marker="^"),
    Look("", "#b58900", dashes=(3, 1, 1, 1), marker="D"),
    Look("", "#56b4e9", marker="v"),
    Look("", "#5e3c99", dashes=(2, 2), marker="x"),
    Look("", "#cc79a7", dashes=(1, 1.5), marker="+"),
    Look("", "#d55e00", dashes=(6, 1, 1, 1, 1, 1), marker="<"),
)
"""Those of all other labels, in turn."""


class NotebookFigure(Figure):
    """A figure that a notebook shows although pyplot knows nothing of it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def axes_or_new(ax: Axes | None) -> Axes:
    """Return the Axes that were given, or those of a figure of their own."""
    return NotebookFigure(figsize=(5.4, 3.6), layout="constrained").add_subplot() if ax is None else ax


def numbers_of(what: str, values: npt.ArrayLike) -> Floats:
    """Return values as floats; refuse what are no numbers."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} does not consist of numbers: {error}", hint="give numbers") from None


def mark_powers(axis: Axis, low: float, high: float) -> None:
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
