"""What a format is, and which there are: each file of this package that has one registers it, and no other names it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fractalrs.errors import InputError
from fractalrs.formats.reader import SplitReader


@dataclass(frozen=True)
class Format:
    """A format of other programs that a data set can be exported to.

    Attributes
    ----------
    name
        What the user calls it.
    about
        Its files, in words of help.
    write
        Writes a split into a folder that has its final name.
    size
        Returns about how many bytes that will be; refuses columns that the format cannot hold.
    needs_row_blocks
        Whether it has a file for each row block, which not every operator has.

    Examples
    --------
    >>> from fractalrs.formats import FORMATS
    >>> FORMATS["csv"].about
    'train.csv and test.csv, all columns'
    """

    name: str
    about: str
    write: Callable[[SplitReader, Path], None]
    size: Callable[[SplitReader], float]
    needs_row_blocks: bool = False


FORMATS: dict[str, Format] = {}
"""The formats by their names."""


def register(format: Format) -> None:
    """Add a format to `FORMATS`."""
    FORMATS[format.name] = format


def format_named(name: str) -> Format:
    """Return a format.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in FORMATS:
        raise InputError(f"format is {name!r}; it must be one of {', '.join(FORMATS)}")
    return FORMATS[name]
