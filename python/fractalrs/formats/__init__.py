"""Exports of a data set to the formats of other programs, one file a format."""

import importlib
import pkgutil

from fractalrs.formats.csr import load_csr
from fractalrs.formats.format import FORMATS, Format, SplitReader, register
from fractalrs.formats.writer import export

# Each room with a format registers it: a new format is a new file.
for _room in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_room.name}")

__all__ = ["FORMATS", "Format", "SplitReader", "export", "load_csr", "register"]
