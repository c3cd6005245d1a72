r"""Quotes that hide rows: one that is left open, or written ``\"`` within quotes, makes one cell of many lines."""

import csv
import io
import mmap
from collections.abc import Iterable
from typing import Any

from fractalrs.columns import is_number
from fractalrs.errors import InputError
from fractalrs.reading.faults import records
from fractalrs.reading.layout import Layout

_LONGEST = 1 << 20


class EscapedError(Exception):
    r"""A quote within quotes is written ``\"``."""


def may_hold_quotes(layout: Layout) -> bool:
    """Return whether there may be quotes behind the header: what is packed or changed is not looked into."""
    if not layout.quoted or not layout.is_tidy or layout.comment:
        return layout.quoted
    with layout.stored.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = 0
        for _ in range(layout.first_line):
            start = content.find(b"\n", start) + 1
        return content.find(b'"', start) >= 0


class Watched(io.RawIOBase):
    r"""A binary stream of a text with quotes, whose lines are counted, and looked at where one holds ``\"``."""

    def __init__(self, stream: Any, layout: Layout) -> None:
        self.lines = 0
        self._stream = stream
        self._layout = layout
        self._rest = b""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; raise `EscapedError` at a line that only so is a row."""
        block = bytes(self._stream.read(size))
        self.lines += block.count(b"\n")
        if not self._layout.escaped:
            self._look(block)
        return block

    def _look(self, block: bytes) -> None:
        end = block.rfind(b"\n") + 1
        if b"\\" in block or b"\\" in self._rest:
            lines, at = self._rest + (block[:end] if block else b""), -1
            while (at := lines.find(b'\\"', at + 1)) >= 0:
                start, stop = lines.rfind(b"\n", 0, at) + 1, lines.find(b"\n", at)
                line = lines[start : stop if stop >= 0 else len(lines)].decode(errors="replace")
                if not self._is_row(line, None) and self._is_row(line, "\\"):
                    raise EscapedError
        self._rest = block[end:] if end else (self._rest + block)[-_LONGEST:]

    def _is_row(self, line: str, escape: str | None) -> bool:
        reader = csv.reader([line], delimiter=self._layout.delimiter, escapechar=escape, strict=True)
        try:
            return len(next(reader)) == self._layout.width
        except csv.Error:
            return False


def refuse_hidden_rows(layouts: Iterable[Layout]) -> None:
    """Refuse a text in which a quote that is left open hides rows, as far as columns of numbers show it.

    Slow, so only where a text has more lines than rows, and its first rows have no cells of several lines.

    Raises
    ------
    InputError
        If a line is a row by itself, but a quote in it goes on in the next line. The message has its number.
    """
    for layout in layouts:
        if any("\n" in cell for row in layout.sample for cell in row):
            continue
        cells = [[row[place] for row in layout.sample if place < len(row)] for place in range(layout.width)]
        numeric = [place for place, column in enumerate(cells) if all(map(is_number, column))]
        for number, row in records(layout, layout.first_line):
            if numeric and any("\n" in cell for cell in row):
                start = layout.delimiter.join(row).split("\n")[0].split(layout.delimiter)
                if len(start) == layout.width and all(is_number(start[place]) for place in numeric):
                    raise InputError(
                        f"{layout.stored.name}, line {number}: a double quote is left open, and hides the lines below",
                        hint="remove it, or write it twice if it is a character of a cell in quotes",
                    )
