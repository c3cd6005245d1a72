"""Tables in memory: whatever has an Arrow stream, and NumPy arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.sample import MADE_UP, MADE_UP_LABEL
from fractalrs.reading.source import SAMPLE_ROWS, Asked, BatchSource, Source, SourceFormat, labels, register


def open_table(value: Any, asked: Asked) -> Source:
    """Return a value in memory, opened; its first batch is looked at."""
    name = asked.called(value)
    with _understood(name):
        table = _array_to_table(value) if isinstance(value, np.ndarray) else value
        reader = pa.RecordBatchReader.from_stream(table)
        batches = iter(reader)
        first = next((batch for batch in batches if batch.num_rows), None)
    if first is None:
        raise InputError(f"{name} holds no rows", hint="give at least one")

    # What was begun is read on; it is begun again only if it is asked for twice.
    begun = [chain([first], batches)]

    def chosen(numbers: list[int]) -> Iterator[pa.RecordBatch]:
        with _understood(name):
            stream = begun.pop() if begun else pa.RecordBatchReader.from_stream(table)
            yield from (batch.select(numbers) for batch in stream)

    sample = labels(reader.schema.names, first.slice(0, SAMPLE_ROWS))
    notes = (f"Read {name}.", *([MADE_UP] if MADE_UP_LABEL in (reader.schema.metadata or {}) else []))
    return BatchSource(name=name, notes=notes, **sample, batches=chosen)


@contextmanager
def _understood(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{name} cannot be read: {error}", hint="give each column a single type") from None


def _array_to_table(array: npt.NDArray[Any]) -> pa.Table:
    """Return a view of a NumPy array as a table; without names its columns are called 0, 1, ..."""
    if array.dtype.names is not None:
        return pa.table({name: np.ascontiguousarray(array[name].ravel()) for name in array.dtype.names})
    if array.ndim != 2 or not 2 <= array.shape[1] <= 4:
        raise InputError(
            f"the ndarray has the shape {array.shape}",
            hint="give [n, 2..4] with the columns user, item, rating, timestamp; a matrix of users by items as "
            "scipy.sparse.csr_array(matrix)",
        )
    return pa.table({str(column): np.ascontiguousarray(array[:, column]) for column in range(array.shape[1])})


def _is_table(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "__arrow_c_stream__")


register(SourceFormat((), "a table in memory", _is_table, open_table))
