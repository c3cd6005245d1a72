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
from fractalrs.base.base import Base
from fractalrs.base.hold_out import leave_last_out
from fractalrs.dataset.dataset import Dataset, open_dataset
from fractalrs.dataset.plan import ParquetOptions
from fractalrs.dataset.write import write
from fractalrs.errors import FractalrsError, InputError, OutputError, WriteError
from fractalrs.expansion.cells import Cells, group_cells
from fractalrs.expansion.expansion import Expansion
from fractalrs.expansion.reduction import ReducedMatrix, reduce
from fractalrs.formats.csr import load_csr
from fractalrs.formats.export import export
from fractalrs.passes.matrix import StreamedMatrix
from fractalrs.reading.interactions import Interactions, read_interactions, write_interactions
from fractalrs.reading.sample import sample_interactions
from fractalrs.workflow import expand

if TYPE_CHECKING:
    from fractalrs import plot
    from fractalrs.validation.report import Report
    from fractalrs.validation.run import validate

__version__ = _core.VERSION

__all__ = [
    "Base",
    "Cells",
    "Dataset",
    "Expansion",
    "FractalrsError",
    "InputError",
    "Interactions",
    "OutputError",
    "ParquetOptions",
    "ReducedMatrix",
    "Report",
    "StreamedMatrix",
    "WriteError",
    "expand",
    "export",
    "group_cells",
    "leave_last_out",
    "load_csr",
    "open_dataset",
    "plot",
    "read_interactions",
    "reduce",
    "sample_interactions",
    "validate",
    "write",
    "write_interactions",
]


def __getattr__(name: str) -> Any:
    # What draws is loaded when it is first used: matplotlib takes half a second.
    if name == "plot":
        return importlib.import_module("fractalrs.plot")
    if name in ("Report", "validate"):
        return getattr(importlib.import_module("fractalrs.validation"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if _core.DEBUG_BUILD:
    warnings.warn(
        "fractalrs._core is a debug build, many times slower than a release build: install with `pip install .` "
        "or `maturin develop --release`",
        RuntimeWarning,
        stacklevel=2,
    )
