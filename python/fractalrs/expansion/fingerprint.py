"""The fingerprint: one digest of everything that interactions depend on."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.expansion.cells import Cells
from fractalrs.expansion.operators import operator_named
from fractalrs.expansion.options import Options
from fractalrs.expansion.reduction import ReducedMatrix
from fractalrs.tools import Digest, digest_of_json


def fingerprint_of(
    generator: int, base: str, options: Options, late: bool, reduced: ReducedMatrix, cells: Cells
) -> str:
    """Return `Expansion.fingerprint` of what it depends on: of the base its fingerprint is enough."""
    content: dict[str, Any] = {
        "generator": generator,
        "base": base,
        "options": dataclasses.asdict(options),
        "reduced": _digest(factors_of(reduced, options)),
        "late": late,
        "cells": [*map(_digest, vars(cells).values())],
    }
    return digest_of_json(content)


def factors_of(reduced: ReducedMatrix, options: Options) -> npt.NDArray[np.float64]:
    """What the output depends on of the reduced matrix."""
    return reduced.signed if operator_named(options.operator).multiplies else reduced.values


def _digest(array: npt.NDArray[Any]) -> str:
    return Digest([str(array.shape).encode(), array.astype(array.dtype.newbyteorder("<")).tobytes()]).hex()
