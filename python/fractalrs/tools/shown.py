"""How values show themselves: in one line, and in a notebook as a small table."""

import dataclasses
import html
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

LONGEST = 200
"""A line has at most so many characters."""
_LONGEST_VALUE = 60


class Shown:
    """A value that shows what it holds, not all of it: in a line as its ``repr``, and in notebooks as a table.

    By default that is each field of a dataclass, large ones by their size; one of another kind overrides `_facts`.

    Examples
    --------
    >>> @dataclasses.dataclass(repr=False)
    ... class Pair(Shown):
    ...     left: int
    ...     right: list[int]
    >>> Pair(7, [0] * 1_000)
    Pair(left=7, right=1,000 entries)
    """

    __slots__ = ()

    def _facts(self) -> Mapping[str, Any]:
        """Return what is to be known at a glance, by name."""
        fields: tuple[dataclasses.Field[Any], ...] = getattr(self, "__dataclass_fields__", {}).values()  # type: ignore[assignment]
        return {one.name: getattr(self, one.name) for one in fields if one.repr and not one.name.startswith("_")}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={brief(value)}" for name, value in self._facts().items())
        return one_line(f"{type(self).__name__}({shown})")

    def _repr_html_(self) -> str:
        named = ((name.replace("_", " "), brief(value, people=True)) for name, value in self._facts().items())
        return html_table(type(self).__name__, [], list(named))


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a text as one line of so many characters at most, its middle left out.

    Examples
    --------
    >>> one_line("abcdefghij", 7)
    'abc…hij'
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    tail = (longest - 1) // 2
    return f"{line[: longest - 1 - tail]}…{line[-tail:]}"


def brief(value: Any, people: bool = False) -> str:
    """Return a value in a few characters: as Python writes it, or for people.

    Examples
    --------
    >>> import numpy as np
    >>> brief(np.zeros((16, 32))), brief({"a": 1}), brief(1 / 3), brief(1_000, people=True)
    ('float64 16 × 32', "{'a': 1}", '0.333333', '1,000')
    """
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}" if people else str(value)
    if isinstance(value, str | PurePath):
        text = one_line(str(value), LONGEST if people else _LONGEST_VALUE)
        return text if people else repr(text)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {' × '.join(f'{size:,}' for size in value.shape) or 'number'}"
    if hasattr(value, "num_rows") and hasattr(value, "num_columns"):
        return f"table of {value.num_rows:,} × {value.num_columns}"
    if isinstance(value, Collection):
        written = repr(value) if len(value) < _LONGEST_VALUE and all(map(_is_plain, _leaves(value))) else ""
        short = 0 < len(written) <= _LONGEST_VALUE
        return written if short else f"{len(value):,} {'entry' if len(value) == 1 else 'entries'}"
    if isinstance(value, Shown):
        return f"{type(value).__name__}(…)"
    return one_line(repr(value), _LONGEST_VALUE)


def printable(text: str, also: str = "\n") -> str:
    """Return a text as a terminal may be shown it: what would move its cursor, or is no character, is written out.

    Examples
    --------
    >>> printable(chr(27) + "[2Jb")
    '\\\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    kept = (one if one.isprintable() or one in also else one.encode("unicode_escape").decode() for one in text)
    return "".join(kept)


def html_table(title: str, head: Collection[str], rows: Collection[Collection[str]]) -> str:
    """Return a small table for a notebook; every cell is text.

    Examples
    --------
    >>> html_table("A & B", ["x"], [["1"]])
    '<table><caption>A &amp; B</caption><tr><th>x</th></tr><tr><td>1</td></tr></table>'
    """

    def row(cells: Collection[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    lines = [*([row(head, "th")] if head else []), *(row(cells, "td") for cells in rows)]
    return f"<table><caption>{html.escape(title)}</caption>{''.join(lines)}</table>"


def _leaves(value: Collection[Any]) -> list[Any]:
    return [*value.keys(), *value.values()] if isinstance(value, Mapping) else list(value)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
