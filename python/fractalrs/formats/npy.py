"""Arrays in NumPy's format, written piece by piece."""

from typing import IO

import numpy as np
import numpy.typing as npt


def write_header(file: IO[bytes], dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
    """Begin an array in C order; its bytes follow."""
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": shape})
