"""Tables in memory: whatever has an Arrow stream, and NumPy arrays."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.source import SAMPLE_ROWS, Asked, Source, SourceFormat, collect, labels, register

_MIXED = "give each column a single type"


@dataclass(frozen=True, kw_only=True)
class StreamSource(Source):
    """A table that comes batch by batch, once."""

    batches: Iterator[pa.RecordBatch]

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read the columns asked for to the end of the stream."""
        try:
            return collect(self.batches, positions)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise InputError(f"{self.name} cannot be read: {error}", hint=_MIXED) from None


def open_table(value: Any, asked: Asked) -> Source:
    """Return a value in memory, opened; its first batch is looked at."""
    name = asked.called(value)
    try:
        if isinstance(value, np.ndarray):
            reader = _array_to_table(value).to_reader()
        else:
            reader = pa.RecordBatchReader.from_stream(value)
        batches = iter(reader)
        first = next((batch for batch in batches if batch.num_rows), None)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{name} cannot be read: {error}", hint=_MIXED) from None
    if first is None:
        raise InputError(f"{name} holds no rows", hint="give at least one")
    sample = labels(reader.schema.names, first.slice(0, SAMPLE_ROWS))
    return StreamSource(name=name, notes=(f"Read {name}.",), **sample, batches=chain([first], batches))


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
