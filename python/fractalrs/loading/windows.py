"""Windows: the interactions of a split cut into stretches that can be read alone."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs.dataset import Dataset, opened
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.tools import check_kind, check_word, digest_of_json
from fractalrs.words import SPLITS, Split

Source = Expansion | Dataset
"""What batches are loaded from."""


class Windows(Protocol):
    """Windows of a split, as many for each of some readers; together they are the split, in its order."""

    fingerprint: str
    """Of what interactions there are, and in what order."""
    schema: pa.Schema
    per_reader: int

    def read(self, window: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read a window in its order."""
        ...


def windows_of(source: Source, split: Split, readers: int, interactions: int, threads: int) -> Windows:
    """Cut a split into windows of about so many interactions, for so many readers."""
    check_kind("source", source, (Expansion, Dataset), "an Expansion or a Dataset")
    check_word("split", split, SPLITS)
    kind = _OfExpansion if isinstance(source, Expansion) else _OfDataset
    return kind(source, split, readers, interactions, threads)  # type: ignore[arg-type]


class _OfExpansion:
    """Windows of users who are expected to have as many interactions as those of any other window."""

    def __init__(self, expansion: Expansion, split: Split, readers: int, interactions: int, threads: int) -> None:
        users = expansion.shape[0]
        if readers > users:
            raise InputError(f"{readers} readers share {users} users", hint="let at most one a user read")
        expected = getattr(expansion.expected, split).mean
        self.per_reader = max(1, min(-int(-expected // (readers * interactions)), users // readers))
        self._cuts = expansion.cuts(readers * self.per_reader)
        self._expansion, self._split, self._threads = expansion, split, threads
        self.fingerprint, self.schema = f"expansion {expansion.fingerprint}", expansion.schema

    def read(self, window: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        users = self._cuts[window], self._cuts[window + 1]
        return iter(self._expansion.stream(self._split, users=users, columns=columns, threads=self._threads))


class _OfDataset:
    """Windows of as many rows of the files, one after another."""

    def __init__(self, dataset: Dataset, split: Split, readers: int, interactions: int, threads: int) -> None:
        files = dataset.files(split)
        self._paths = [dataset.place / file.path for file in files]
        self._starts = [0, *accumulate(file.rows for file in files)]
        self._rows, self._threads = self._starts[-1], threads
        self.per_reader = max(1, -(-self._rows // (readers * interactions)))
        self._windows = readers * self.per_reader
        # The same interactions may be in other files, in another order.
        described = [dataset.manifest.fingerprints["expansion"], *([file.path, file.rows] for file in files)]
        self.fingerprint, self.schema = f"files {digest_of_json(described)}", dataset.schema

    def read(self, window: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        first, last = (self._rows * number // self._windows for number in (window, window + 1))
        for path, start, end in zip(self._paths, self._starts, self._starts[1:], strict=False):
            if start < last and first < end:
                with opened(path, end - start) as file:
                    yield from self._rows_of(file, max(0, first - start), min(end, last) - start, columns)

    def _rows_of(self, file: pq.ParquetFile, first: int, last: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        metadata, start = file.metadata, 0
        for group in range(metadata.num_row_groups):
            end = start + metadata.row_group(group).num_rows
            if start < last and first < end:
                table = file.read_row_group(group, columns=[*columns], use_threads=self._threads > 1)
                some = table.slice(max(0, first - start), min(end, last) - max(start, first))
                yield from some.select([*columns]).to_batches()
            start = end
