"""What several test modules ask of an output folder, and do to it, and small values to fill one."""

import itertools
import os
import shutil
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from fractalrs.base import Base, leave_last_out
from fractalrs.dataset import Folder
from fractalrs.expansion import Cells, Expansion, group_cells
from fractalrs.reading import sample_interactions

RATES = np.linspace(0.05, 1.0, 15).reshape(3, 5)

LITTER = (
    ".DS_Store",
    "._part",
    "Thumbs.db",
    "desktop.ini",
    "_SUCCESS",
    ".part.parquet.crc",
    "part.parquet.crc",
    ".nfs0001",
)
"""What file managers, engines and network file systems leave in any folder."""


def small_base(seed: int = 0) -> Base:
    """Make a base of 200 users × 150 items with 4,000 interactions, one of each user's held out."""
    return leave_last_out(sample_interactions(200, 150, 4_000, seed))


@cache
def small_cells() -> Cells:
    """Group `small_base`; the cells of every expansion here that takes the default ones."""
    return group_cells(small_base())


def small_expansion(**options: Any) -> Expansion:
    """Expand `small_base` × (3, 5): about 30,000 interactions."""
    expands_in_cells = options.get("shuffle", "mixed") in ("cells", "mixed") and "profile" not in options
    return Expansion(small_base(), RATES, **{"cells": small_cells() if expands_in_cells else None, "seed": 7} | options)


def digests(folder: Path) -> dict[str, str]:
    """Digest every file in a folder, hidden ones too."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): blake3(file.read_bytes()).hexdigest() for file in files}


def stamps(folder: Path, names: set[str] | None = None) -> dict[str, tuple[int, int]]:
    """Tell for each file what changes when it is written again: inode and time."""
    found = {str(file.relative_to(folder)): file.stat() for file in folder.rglob("*") if file.is_file()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items() if names is None or name in names}


def files_of(folder: Path, split: str) -> list[Path]:
    """List the files of a split in the order of their parts."""
    return sorted((folder / split).glob("part-*.parquet"))


def read(folder: Path, split: str) -> pa.Table:
    """Read a split's files, one after another."""
    return pa.concat_tables([pq.read_table(file) for file in files_of(folder, split)])


class _Killed(BaseException):
    """Ends a run as a signal would: nothing on the way handles it."""


def _kill_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Let a folder be changed so many times, and raise `_Killed` at the next."""
    left = itertools.count(steps, -1)

    def counted(original: Any) -> Any:
        def step(*arguments: Any, **options: Any) -> Any:
            if next(left) == 0:
                raise _Killed
            return original(*arguments, **options)

        return step

    for name in ("replace", "rename", "unlink", "rmdir"):
        patch.setattr(os, name, counted(getattr(os, name)))


def cleared_but_killed(written: Path, at: Path, without: Collection[str]) -> Iterator[Path]:
    """Clear a copy of a data set, killed at its first change, then another, killed at its second, and so on.

    Yields what is left each time; of the last one, which nothing kills, too.
    """
    killed = True
    for steps in itertools.count():
        path = at / str(steps)
        shutil.copytree(written, path, ignore=shutil.ignore_patterns(*without))
        with pytest.MonkeyPatch.context() as patch:
            _kill_after(patch, steps)
            try:
                Folder.ours(path).clear()
                killed = False
            except _Killed:
                pass
        yield path
        shutil.rmtree(path)
        if not killed:
            return


def sql(query: str) -> Any:
    """Ask DuckDB."""
    return duckdb.sql(query)
