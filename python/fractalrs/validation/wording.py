"""How findings are written for people: numbers, words, tables, and what a figure shows."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np

from fractalrs.statistics import Curve, Floats

Curves = Mapping[str, Curve]
"""What a figure shows, by the name of each line."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: SupportsFloat | None) -> str:
    """Write a number for people: four significant digits, thousands separated, – for None."""
    if value is None:
        return "–"
    value = float(value)
    if not math.isfinite(value):
        text = "NaN" if math.isnan(value) else f"{'-' * (value < 0)}∞"
    elif value == 0:
        text = "0"
    elif not 1e-4 <= abs(value) < 1e15:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    elif float(f"{value:.4g}") == value:
        # A threshold of 0.1 is exact, and not 0.1000.
        text = f"{value:,.15g}"
    else:
        text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return text.replace("-", "−")


def words(name: str) -> str:
    """Write a name as words."""
    return name.replace("_", " ")


def for_people(subject: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Write what was looked at, name and value."""
    return [(words(name), readable(name, value)) for name, value in plain(subject).items()]


def one_line(text: str) -> str:
    """Write a text in one line."""
    return " ".join(text.split())


def aligned(rows: Sequence[tuple[str, ...]], alignments: str) -> list[str]:
    """Write a table, its columns aligned as Python's format says: ``"<>"``."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, alignments, widths, strict=True)).rstrip()
        for row in rows
    ]


def plain(value: Any) -> Any:
    """Return values that JSON knows; None for what is not a finite number."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def readable(name: str, value: Any) -> str:
    """Write a JSON-safe value of the subject in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{words(inner)} {readable(inner, content)}" for inner, content in value.items())
    if isinstance(value, list):
        return (" × " if "shape" in name else ", ").join(readable(name, content) for content in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        # Seeds and the like are names, not amounts.
        return str(value) if "seed" in name else f"{value:,}"
    return number(value) if value is None or isinstance(value, float) else one_line(value)


def first_few(points: Sequence[str], count: int = 4) -> str:
    """Write the first few of some findings, and how many more there are."""
    return "; ".join(points[:count]) + (f"; and {len(points) - count} more" if len(points) > count else "")


def tops(curves: Curves) -> str:
    """Write where lines begin that fall."""
    values = {name: np.nanmax(curve.y) for name, curve in curves.items()}
    return f"Lines that fall from left to right; at the top {_listed(values)}."


def at(where: str, x: float) -> Callable[[Curves], str]:
    """Return what writes the values of lines at a place."""

    def describe(curves: Curves) -> str:
        values = {name: curve.y[np.abs(curve.x - x).argmin()] for name, curve in curves.items()}
        return f"Lines from left to right; {where} {_listed(values)}."

    return describe


def last_ratios(curves: Curves) -> str:
    """Write where spectra end that all lines have."""
    last = min(float(curve.x.max()) for curve in curves.values())
    values = {name: curve.y[np.abs(curve.x - last).argmin()] for name, curve in curves.items()}
    return f"Lines that fall from 1 at the first value; at value {number(last)} {_listed(values)}."


def size(matrix: Floats) -> str:
    """Write the shape of a matrix."""
    return f"{matrix.shape[0]:,} × {matrix.shape[1]:,}"


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in values.items())
