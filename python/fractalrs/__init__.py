"""Expand real user/item interactions into a realistic data set of industrial size.

The data flows one way, each step a value that can be used alone, saved and loaded::

    read_interactions → leave_last_out → reduce → Expansion → write → open_dataset

`expand` does all of it in one call. The method is that of *Scalable Realistic Recommendation Datasets through Fractal
Expansions*.
"""

import warnings

from fractalrs import _core
from fractalrs.base import Base
from fractalrs.cells import Cells, cells
from fractalrs.dataset import Dataset, open_dataset
from fractalrs.errors import FractalrsError, InputError, OutputError, WriteError
from fractalrs.expansion import Expansion
from fractalrs.interactions import Interactions, read_interactions
from fractalrs.pipeline import expand
from fractalrs.plan import Format
from fractalrs.reduction import ReducedMatrix, reduce
from fractalrs.sample import sample_interactions
from fractalrs.split import leave_last_out

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
    "WriteError",
    "cells",
    "expand",
    "leave_last_out",
    "open_dataset",
    "read_interactions",
    "reduce",
    "sample_interactions",
]

if _core.DEBUG_BUILD:
    warnings.warn(
        "fractalrs._core is a debug build, many times slower than a release build: install with `pip install .` "
        "or `maturin develop --release`",
        RuntimeWarning,
        stacklevel=2,
    )
