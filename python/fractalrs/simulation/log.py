"""The log of a world: exposures as Arrow record batches, made while they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt
import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading import MADE_UP_LABEL
from fractalrs.tools import Shown, checked_texts

Columns = tuple[npt.NDArray[Any], ...]
"""Those of `SCHEMA`, as the core makes them; a rating of 0 is none."""
SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.int32(), nullable=False),
        pa.field("item_id", pa.int32(), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("propensity", pa.float64(), nullable=False),
        pa.field("response", pa.bool_(), nullable=False),
        pa.field("rating", pa.int8()),
    ]
)
"""What is logged of an exposure; there is a rating where there is a response."""


INTERACTIONS = ("user_id", "item_id", "rating", "timestamp")
"""What interactions have of the log."""


class Logged(Protocol):
    """What makes a log."""

    def pieces(self, first: int, last: int, round: int, only_responses: bool, threads: int) -> Iterator[Columns]:
        """Make the log of some users, some users at a time."""
        ...


def chosen_schema(columns: Sequence[str] | None) -> pa.Schema:
    """Return the schema of some columns of the log, all by default; refuse those that do not exist."""
    names = SCHEMA.names if columns is None else list(checked_texts("columns", columns))
    for name in names:
        if name not in SCHEMA.names or names.count(name) > 1:
            why = "is asked for twice" if name in SCHEMA.names else "does not exist"
            raise InputError(f"the column {name!r} {why}", hint=f"choose from {', '.join(SCHEMA.names)}")
    return pa.schema([SCHEMA.field(name) for name in names])


@dataclass(frozen=True, repr=False)
class Observations(Shown):
    """The log of a round of a world as Arrow record batches: made while they are read, as often as wanted.

    A batch has whole users. Every reader of Arrow streams takes it: ``pyarrow.table(observations)``,
    ``polars.DataFrame(observations)``, DuckDB's ``FROM observations``.

    Examples
    --------
    >>> import fractalrs as fr
    >>> observations = fr.simulate(60, 40, 600).observations(columns=["item_id", "propensity"])
    >>> sum(len(batch) for batch in observations) == sum(len(batch) for batch in observations)
    True
    """

    schema: pa.Schema
    users: tuple[int, int]
    only_responses: bool
    round: int
    threads: int
    _world: Logged

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        places = [SCHEMA.names.index(name) for name in self.schema.names]
        for made in self._world.pieces(*self.users, self.round, self.only_responses, self.threads):
            arrays = [pa.array(made[place], mask=made[place] == 0 if place == 6 else None) for place in places]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand it over as an Arrow stream."""
        # Whoever reads interactions knows by it that no real person is in them.
        schema = self.schema.with_metadata({MADE_UP_LABEL: b"1"})
        return pa.RecordBatchReader.from_batches(schema, iter(self)).__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Hand the schema over, for readers that ask for it before they read."""
        return self.schema.__arrow_c_schema__()
