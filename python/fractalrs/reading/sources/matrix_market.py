"""Matrix Market files (``.mtx``): a sparse matrix of users by items as text."""

from pathlib import Path
from typing import Any

from fractalrs.errors import InputError
from fractalrs.reading.source import Asked, Source, SourceFormat, register
from fractalrs.reading.sources.matrix import opened
from fractalrs.reading.stored import Stored


def _is_matrix_market(path: Path) -> bool:
    return path.is_file() and Stored.find(path).raw_head(14).lower() == b"%%matrixmarket"


def _open(path: Path, asked: Asked) -> Source:
    import scipy.io

    stored = Stored.find(path, asked.name)
    try:
        with stored.stream() as stream:
            matrix: Any = scipy.io.mmread(stream)
    except (ValueError, OverflowError, TypeError, EOFError, OSError) as error:
        raise InputError(f"{stored.name} cannot be read as a Matrix Market file: {error}") from None
    if not hasattr(matrix, "tocoo"):
        raise InputError(f"{stored.name} holds a dense matrix", hint="write a sparse one (coordinate)")
    return opened(matrix, stored.name, first=1)


register(SourceFormat(("mtx",), "a Matrix Market file", _is_matrix_market, _open))
