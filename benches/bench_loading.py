"""What trainers load, out of an expansion that is on no disk."""

from collections import deque
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from measure import Size
from suite import Timed

import fractalrs as fr
from fractalrs.loading import Batches, Histories

SHARE = 1 / 8
"""The share of the users that is read."""
USERS = 1_024


@pytest.fixture(scope="module")
def expansion(size: Size) -> fr.Expansion:
    return size.expansion()


def interactions_of(expansion: fr.Expansion) -> int:
    return int(expansion.expected.train.mean * SHARE)


def exhaust(iterable: Any) -> None:
    deque(iterable, maxlen=0)


def test_core(timed: Timed, expansion: fr.Expansion) -> None:
    """Generate alone, of which a stream's target is a share."""
    job: dict[str, Any] = {"encoding": "default", "compression": "none", "row_group_size": 1 << 20, "threads": 1}
    part = (0, 0, int(expansion.shape[0] * SHARE), None, None, None)
    timed(lambda: expansion.generator.run([part], stage="generate", **job), interactions=interactions_of(expansion))


def test_read(timed: Timed, expansion: fr.Expansion, size: Size) -> None:
    """Read the same columns from Parquet by pyarrow, beside which a stream is to stand too."""
    dataset = fr.write(expansion, size.folder / "read")
    files = dataset.files("train")

    def read() -> None:
        for file in files:
            exhaust(pq.ParquetFile(dataset.path / file.path).iter_batches(131_072, use_threads=False))

    timed(read, interactions=sum(file.rows for file in files))


@pytest.mark.parametrize("columns", [None, ["item_id"]], ids=["all", "items"])
@pytest.mark.parametrize("threads", [1, 2])
def test_stream(timed: Timed, expansion: fr.Expansion, columns: Any, threads: int) -> None:
    users = (0, int(expansion.shape[0] * SHARE))
    stream = expansion.stream(users=users, columns=columns, threads=threads)
    timed(lambda: exhaust(stream), interactions=interactions_of(expansion))


@pytest.mark.parametrize("shuffle", [False, "window"])
def test_batches(timed: Timed, expansion: fr.Expansion, shuffle: Any) -> None:
    batches = Batches(expansion, 65_536, shuffle=shuffle, world_size=int(1 / SHARE), threads=1)
    timed(lambda: exhaust(batches), interactions=interactions_of(expansion))


@pytest.mark.parametrize("at_once", [1, USERS])
def test_histories(timed: Timed, expansion: fr.Expansion, at_once: int) -> None:
    histories = Histories(expansion, threads=1)
    users = np.random.default_rng(0).integers(0, len(histories), USERS)
    timed(
        lambda: exhaust(histories.__getitems__(some) for some in np.split(users, USERS // at_once)), interactions=USERS
    )


def test_contains(timed: Timed, expansion: fr.Expansion) -> None:
    rng = np.random.default_rng(0)
    users, items = (rng.integers(0, count, 1 << 16) for count in expansion.shape)
    timed(lambda: expansion.contains(users, items, threads=1), interactions=len(users))


def test_negatives(timed: Timed, expansion: fr.Expansion) -> None:
    users = np.random.default_rng(0).integers(0, expansion.shape[0], 1 << 14)
    timed(lambda: expansion.negatives(users, 4, threads=1), interactions=4 * len(users))
