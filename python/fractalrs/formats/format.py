"""What a format is, what it reads, and which there are: each is registered by its own file, which no other names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.dataset import Dataset, FileEntry, opened
from fractalrs.tools import in_order
from fractalrs.words import Split

BATCH = 1 << 20
_SAMPLE = 1 << 16

Made = TypeVar("Made")


@dataclass(frozen=True)
class SplitReader:
    """Reads the train or the test interactions of a data set, in order of users.

    Attributes
    ----------
    dataset, split
        The data set, and ``"train"`` or ``"test"``.
    passed
        Called with the interactions, and the files, that a format has gone through.
    batch_size, threads
        Interactions at a time, and threads that read them.

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
    threads: int = 1

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

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read all columns, or some, in batches."""
        return self.mapped(lambda batch: batch, columns)

    def mapped(
        self, make: Callable[[pa.RecordBatch], Made], columns: list[str] | None = None, counted: bool = True
    ) -> Iterator[Made]:
        """Make something of every batch, on all threads; what is made comes in order."""

        def made(task: _Task) -> tuple[list[tuple[int, Made]], bool]:
            with self._opened(task.file) as parquet:
                batches = parquet.iter_batches(self.batch_size, task.groups, columns, use_threads=False)
                return [(len(batch), make(batch)) for batch in batches], task.is_last

        for each, is_last in in_order(made, self._tasks(), self.threads):
            for size, one in each:
                yield one
                if counted:
                    self.passed(size, 0)
            if counted:
                self.passed(0, int(is_last))

    def users(self) -> Iterator[npt.NDArray[Any]]:
        """Read nothing but users, in batches: a quick first pass."""
        return self.mapped(lambda batch: batch["user_id"].to_numpy(), ["user_id"], counted=False)

    def of_file(self, file: FileEntry) -> Iterator[pa.RecordBatch]:
        """Read all columns of a file in batches, on this thread."""
        for batch in self._read(file, self.batch_size):
            yield batch
            self.passed(len(batch), 0)
        self.passed(0, 1)

    def rows(self, first: int, last: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Read some columns of interactions `first` to `last` (not included) of all in batches, on this thread."""
        ends = np.cumsum([file.rows for file in self.files])
        for file, end in zip(self.files, ends.tolist(), strict=True):
            start = end - file.rows
            if not file.rows or start >= last or end <= first:
                continue
            with self._opened(file) as parquet:
                sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
                stops = start + np.cumsum(sizes)
                groups = np.flatnonzero((stops > first) & (stops - sizes < last)).tolist()
                place = int(stops[groups[0]] - sizes[groups[0]])
                for batch in parquet.iter_batches(self.batch_size, groups, columns, use_threads=False):
                    before, within = max(0, first - place), min(len(batch), last - place)
                    place += len(batch)
                    if before < within:
                        yield batch.slice(before, within - before)
                        self.passed(within - before, 0)

    def _tasks(self) -> Iterator["_Task"]:
        """Cut files into runs of row groups of about a batch."""
        for file in self.files:
            with self._opened(file) as parquet:
                sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
            # A run begins where the rows before it have reached another multiple of a batch.
            before = np.concatenate(([0], np.cumsum(sizes)))[:-1] // self.batch_size
            edges = [*np.flatnonzero(np.diff(before, prepend=-1)).tolist(), len(sizes)]
            runs = [list(range(*edge)) for edge in pairwise(edges)]
            for run in runs[:-1]:
                yield _Task(file, run, False)
            yield _Task(file, runs[-1] if runs else [], True)

    def scaled(self, size: Callable[[pa.RecordBatch], int]) -> float:
        """Return about how many bytes all interactions will have, by a sample, one with the largest user ids."""
        for file in reversed(self.files):
            for batch in self._read(file, _SAMPLE):
                return size(batch) * self.interactions / len(batch)
        return 0.0

    def _opened(self, file: FileEntry) -> Any:
        return opened(self.dataset.place / file.path, file.rows)

    def _read(self, file: FileEntry, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with self._opened(file) as parquet:
            yield from parquet.iter_batches(size, columns=columns)


@dataclass(frozen=True)
class _Task:
    """Row groups of a file, and whether they are its last ones."""

    file: FileEntry
    groups: list[int]
    is_last: bool


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
