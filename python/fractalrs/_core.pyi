from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict, final

import numpy as np
import numpy.typing as npt

from fractalrs.writing import FileReport

__all__ = ["DEBUG_BUILD", "GENERATOR", "VERSION", "Generator", "check_format"]

DEBUG_BUILD: bool
GENERATOR: int
VERSION: str

_Ids = npt.NDArray[np.int32] | npt.NDArray[np.int64]
_Target = tuple[str | PathLike[str], Sequence[tuple[str, str]]]
_Part = tuple[int, int, int, _Target | None, _Target | None]

class _PartReport(TypedDict):
    index: int
    train: FileReport | None
    test: FileReport | None

class _RunReport(TypedDict):
    parts: list[_PartReport]
    generating_seconds: float
    encoding_seconds: float

def check_format(encoding: str, compression: str) -> None: ...

@final
class Generator:
    def __new__(
        cls,
        indptr: npt.NDArray[np.int64],
        entries: npt.NDArray[np.uint32],
        items: int,
        keep_rates: npt.NDArray[np.float64],
        user_order: npt.NDArray[np.uint32],
        user_starts: npt.NDArray[np.uint32],
        item_order: npt.NDArray[np.uint32],
        item_starts: npt.NDArray[np.uint32],
        *,
        seed: int,
        shuffled: bool,
        block_keep: float,
        one_test_item: bool,
        drop_incomplete: bool,
        order_by_item: bool,
    ) -> Generator: ...
    def rows(self, first: int, last: int, test: bool) -> tuple[_Ids, _Ids]: ...
    def run(
        self,
        parts: Sequence[_Part],
        *,
        encoding: str,
        compression: str,
        row_group_size: int,
        stage: Literal["generate", "encode", "write", "flush"],
        threads: int,
        progress: Callable[[int, int], Any] | None = None,
    ) -> _RunReport: ...
