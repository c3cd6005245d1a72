"""The true stream: interactions of an expansion with what is true of each, as Arrow record batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy.typing as npt
import pyarrow as pa

from fractalrs.expansion import Stream
from fractalrs.simulation.policies import Floats
from fractalrs.tools import Shown


@dataclass(frozen=True, repr=False)
class TrueStream(Shown):
    """Interactions of an expansion with their true preferences and propensities, as Arrow record batches.

    Made while they are read, as often as wanted, from `Truth.stream`.

    Parameters
    ----------
    interactions
        Those of an expansion that carry, as their last columns, preference and propensity of their sources.
    keep_rates
        Returns how likely pairs of expanded ids were kept.

    Examples
    --------
    >>> import fractalrs as fr
    >>> world = fr.simulate(60, 40, 600, seed=7)
    >>> base = fr.leave_last_out(world)
    >>> stream = fr.Truth(world, fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)).stream(users=(0, 9))
    >>> all(batch["propensity"].to_numpy().max() <= 1 for batch in stream)
    True
    """

    interactions: Stream
    keep_rates: Callable[[npt.ArrayLike, npt.ArrayLike], Floats]

    @property
    def schema(self) -> pa.Schema:
        """The columns of the interactions, and what is true of them."""
        return self.interactions.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self.interactions:
            *columns, logged = batch.columns
            keep = self.keep_rates(batch["user_id"], batch["item_id"])
            yield pa.RecordBatch.from_arrays([*columns, pa.array(keep * logged.to_numpy())], schema=self.schema)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand it over as an Arrow stream."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self)).__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Hand the schema over, for readers that ask for it before they read."""
        return self.schema.__arrow_c_schema__()
