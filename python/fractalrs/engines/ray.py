"""Ray: an expansion that is on no disk as a data set of Ray's, and a data set whose parts are written by tasks."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from fractalrs.dataset import Dataset, finish, plan
from fractalrs.engines.work import Parts, Ranges, saved_path
from fractalrs.expansion import Expansion
from fractalrs.words import Split


def read(
    expansion: Expansion,
    split: Split = "train",
    *,
    users: tuple[int, int] | None = None,
    columns: Sequence[str] | None = None,
    parts: int | None = None,
) -> Any:
    """Return a ``ray.data.Dataset`` of an expansion: each part of it is made where it is needed.

    Parameters
    ----------
    expansion
        It has to be saved (`Expansion.save`) where all machines read it. Each worker loads it once.
    split, users, columns
        As `Expansion.stream` takes them.
    parts
        Into how many the whole expansion is cut: each is read by one task; by default as `fractalrs.plan` cuts it.

    Examples
    --------
    ::

        expansion.save("/shared/expansion")
        ray.read(expansion, columns=["item_id"]).groupby("item_id").count().show(3)
    """
    import ray.data

    ranges = Ranges.of(expansion, saved_path(expansion), split, users, columns, parts)
    schema = expansion.stream(split, columns=columns).schema

    def make(batch: dict[str, np.ndarray]) -> Iterator[pa.Table]:
        (number,) = batch["id"].tolist()
        # A part without rows has columns too.
        yield schema.empty_table()
        for made in ranges.batches(*ranges.users[number]):
            yield pa.Table.from_batches([made])

    count = len(ranges.users)
    return ray.data.range(count, override_num_blocks=count).map_batches(make, batch_size=1)


def write(expansion: Expansion, url: str, **options: Any) -> Dataset:
    """Write a data set whose parts are made by Ray's tasks; all else is as `fractalrs.engines.spark.write` does it.

    Parameters
    ----------
    expansion, url, **options
        As there.

    Examples
    --------
    ::

        expansion.save("/shared/expansion")
        ray.write(expansion, "/shared/out", parts=512)
    """
    made = plan(expansion, **options)
    parts = Parts.begin(made, url)
    sent, write_part = ray.put(parts), ray.remote(Parts.write)
    ray.get([write_part.remote(sent, part) for part in range(parts.count)])
    return finish(made, parts.place)
