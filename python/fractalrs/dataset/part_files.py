"""Reading the files of parts from Python, in bounded memory."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs.errors import InputError

_HINT = "delete the file and run the command that made the data set again"


@contextmanager
def opened(path: Path, interactions: int | None = None) -> Iterator[pq.ParquetFile]:
    """Open a file, which must have so many interactions; name it where it cannot be read, now or later.

    Raises
    ------
    InputError
        If it is not there, damaged, or has another number of interactions.
    """
    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            if interactions not in (None, rows):
                raise InputError(f"{path} has {rows:,} interactions, the manifest says {interactions:,}", _HINT)
            yield file
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot read {path}: {error}", _HINT) from None


def whole_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut batches anew, so that none ends within a user."""
    begun: list[pa.RecordBatch] = []
    for batch in filter(len, batches):
        users = batch["user_id"].to_numpy()
        if begun and begun[-1]["user_id"][-1].as_py() != users[0]:
            yield pa.Table.from_batches(begun)
            begun = []
        # Whoever is last may go on in the next batch.
        last = int(np.argmax(users == users[-1]))
        if last:
            yield pa.Table.from_batches([*begun, batch.slice(0, last)])
            begun = []
        begun.append(batch.slice(last))
    if begun:
        yield pa.Table.from_batches(begun)
