"""Expand real user/item interactions into a realistic data set of industrial size.

The data flows one way, each step a value that can be used alone, saved and loaded::

    read_interactions → leave_last_out → reduce → Expansion → write → open_dataset → validate

`expand` does all of it in one call. The method is that of *Scalable Realistic Recommendation Datasets through Fractal
Expansions*.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from fractalrs import _core
from fractalrs.base import Base
from fractalrs.cells import Cells, cells
from fractalrs.dataset import Dataset, open_dataset
from fractalrs.errors import FractalrsError, InputError, OutputError, WriteError
from fractalrs.expansion import Expansion
from fractalrs.export.csr import load_csr
from fractalrs.interactions import Interactions, read_interactions
from fractalrs.pipeline import expand
from fractalrs.plan import Format
from fractalrs.reduction import ReducedMatrix, reduce
from fractalrs.rows import Rows
from fractalrs.sample import sample_interactions
from fractalrs.split import leave_last_out

if TYPE_CHECKING:
    from fractalrs import plot
    from fractalrs.validation.report import Report
    from fractalrs.validation.validate import validate

__version__ = _core.VERSION

__all__ = [
    "Base",
    "Cells",
    "Dataset",
    "Expansion",
    "Format",
    "FractalrsError",
    "InputError",
    "Interactions",
    "OutputError",
    "ReducedMatrix",
    "Report",
    "Rows",
    "WriteError",
    "cells",
    "expand",
    "leave_last_out",
    "load_csr",
    "open_dataset",
    "plot",
    "read_interactions",
    "reduce",
    "sample_interactions",
    "validate",
]


def __getattr__(name: str) -> Any:
    # What draws is loaded when it is first used: matplotlib takes half a second.
    if name == "plot":
        return importlib.import_module("fractalrs.plot")
    if name == "Report":
        return importlib.import_module("fractalrs.validation.report").Report
    if name == "validate":
        return importlib.import_module("fractalrs.validation.validate").validate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if _core.DEBUG_BUILD:
    warnings.warn(
        "fractalrs._core is a debug build, many times slower than a release build: install with `pip install .` "
        "or `maturin develop --release`",
        RuntimeWarning,
        stacklevel=2,
    )
