"""A data set whose files are divided by periods, gathered for a moment into files in order of users."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs.dataset import Dataset, FileEntry, PartEntry, opened
from fractalrs.words import Split

_ROW_GROUP = 1 << 20


@contextmanager
def in_order_of_users(dataset: Dataset, place: Path) -> Iterator[Dataset]:
    """Give the same data set with one file of each part and split, which is gone when the context ends.

    The files are in a folder of their own in `place`; a part at a time is in memory. A data set whose files are not
    divided is given as it is.
    """
    if dataset.partition is None:
        yield dataset
        return
    with tempfile.TemporaryDirectory(prefix=".fractalrs-", dir=place) as folder:
        parts = tuple(_gathered(dataset, index, Path(folder)) for index in range(len(dataset.parts)))
        yield Dataset(folder, replace(dataset.manifest, partition=None, parts=parts))


def _gathered(dataset: Dataset, index: int, folder: Path) -> PartEntry:
    part, files = dataset.parts[index], {}
    for split, some in part.files.items():
        files[split] = (_written(dataset, split, some, folder / split, index),)
    return PartEntry(part.first, part.last, files)


def _written(dataset: Dataset, split: Split, files: tuple[FileEntry, ...], folder: Path, index: int) -> FileEntry:
    tables = []
    for file in files:
        with opened(dataset.path / file.path, file.rows) as parquet:
            tables.append(parquet.read())
    table = pa.concat_tables(tables)
    # A user's rows of a period come after those of the one before.
    table = table.take(np.argsort(table["user_id"].to_numpy(), kind="stable"))
    folder.mkdir(exist_ok=True)
    name = f"part-{index:05d}-of-{len(dataset.parts):05d}.parquet"
    pq.write_table(table, folder / name, row_group_size=_ROW_GROUP, compression="lz4")
    return FileEntry(f"{split}/{name}", table.num_rows, (folder / name).stat().st_size, "")
