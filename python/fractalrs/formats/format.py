"""What a format is, what it reads, and which there are: each is registered by its own file, which no other names."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from fractalrs.dataset import Dataset, FileEntry, opened
from fractalrs.words import Split

BATCH = 1 << 20
_SAMPLE = 1 << 16

Lines = Callable[[Iterable[pa.RecordBatch], pa.Schema, Any], None]
"""Writes batches of a schema to a file, or to anything else that pyarrow writes to."""


@dataclass(frozen=True)
class SplitReader:
    """Reads the train or the test interactions of a data set, in order of users.

    Attributes
    ----------
    dataset, split
        The data set, and ``"train"`` or ``"test"``.
    passed
        Called with the interactions, and the files, that a format has gone through.
    batch_size
        Interactions at a time.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> from fractalrs.formats import SplitReader
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dataset = fr.write(fr.Expansion(base, fr.reduce(base, shape=(4, 8))), f"{folder}/out")
    ...     reader = SplitReader(dataset, "train")
    ...     sum(len(batch) for batch in reader.batches(["item_id"])) == reader.interactions
    True
    """

    dataset: Dataset
    split: Split
    passed: Callable[[int, int], None] = lambda *_: None
    batch_size: int = BATCH

    @cached_property
    def files(self) -> list[FileEntry]:
        """Files, in order of users."""
        return self.dataset.files(self.split)

    @property
    def interactions(self) -> int:
        """How many interactions there are."""
        return self.dataset.totals[self.split]

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the files: ``user_id``, ``item_id`` and those that follow."""
        with self._opened(self.files[0]) as parquet:
            return parquet.schema_arrow

    def batches(
        self, columns: list[str] | None = None, files: Sequence[FileEntry] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read all columns, or some, of all files, or some, in batches."""
        for file in self.files if files is None else files:
            for batch in self._read(file, self.batch_size, columns):
                yield batch
                self.passed(len(batch), 0)
            self.passed(0, 1)

    def users(self) -> Iterator[npt.NDArray[Any]]:
        """Read nothing but users, in batches: a quick first pass."""
        for file in self.files:
            for batch in self._read(file, self.batch_size, ["user_id"]):
                yield batch["user_id"].to_numpy()

    def scaled(self, size: Callable[[pa.RecordBatch], int]) -> float:
        """Return about how many bytes all interactions will have, by a sample, one with the largest user ids."""
        for file in reversed(self.files):
            for batch in self._read(file, _SAMPLE):
                return size(batch) * self.interactions / len(batch)
        return 0.0

    def length(self, write: Lines) -> float:
        """Return about how many bytes all interactions will have when they are written so."""

        def size(sample: pa.RecordBatch) -> int:
            sink = pa.BufferOutputStream()
            write([sample], sample.schema, sink)
            return int(sink.getvalue().size)

        return self.scaled(size)

    def _opened(self, file: FileEntry) -> Any:
        return opened(self.dataset.path / file.path, file.rows)

    def _read(self, file: FileEntry, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with self._opened(file) as parquet:
            yield from parquet.iter_batches(size, columns=columns)


@dataclass(frozen=True)
class Format:
    """A format of other programs that a data set can be exported to.

    Attributes
    ----------
    name, about
        What the user calls it, and its files, in words of help.
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
