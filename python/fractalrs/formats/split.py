"""One split of a data set as it is exported: its files, read in batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import pyarrow as pa

from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.part_files import opened

BATCH = 1 << 20
"""Interactions at a time."""
_SAMPLE = 1 << 16


class PartFile(NamedTuple):
    """A Parquet file and the interactions it must have."""

    path: Path
    interactions: int


@dataclass(frozen=True)
class Split:
    """The train or the test interactions of a data set, in order of users.

    Attributes
    ----------
    dataset
        The data set.
    name
        ``train`` or ``test``.
    passed
        Is told of interactions, and of files, that have been gone through.
    """

    dataset: Dataset
    name: str
    passed: Callable[[int, int], None]

    @cached_property
    def files(self) -> list[PartFile]:
        """The files, in order of users."""
        files = [part[self.name] for part in self.dataset.manifest["parts"]]
        return [PartFile(self.dataset.path / file["path"], file["rows"]) for file in files]

    @property
    def interactions(self) -> int:
        """How many interactions there are."""
        return self.dataset.totals[self.name]

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns: ``user_id``, ``item_id`` and those that follow."""
        with opened(*self.files[0]) as parquet:
            return parquet.schema_arrow

    def batches(
        self, columns: list[str] | None = None, files: list[PartFile] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read all columns, or some, of all files, or some, in batches."""
        for file in self.files if files is None else files:
            for batch in _read(file, BATCH, columns):
                yield batch
                self.passed(len(batch), 0)
            self.passed(0, 1)

    def users(self) -> Iterator[npt.NDArray[Any]]:
        """Read nothing but users, in batches: a quick first pass."""
        for file in self.files:
            for batch in _read(file, BATCH, ["user_id"]):
                yield batch["user_id"].to_numpy()

    def scaled(self, size: Callable[[pa.RecordBatch], int]) -> float:
        """Estimate how many bytes all interactions will have from a sample, one with the largest user ids."""
        for file in reversed(self.files):
            for batch in _read(file, _SAMPLE):
                return size(batch) * self.interactions / len(batch)
        return 0.0


def _read(file: PartFile, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with opened(*file) as parquet:
        yield from parquet.iter_batches(size, columns=columns)
