"""The real data as a private base asks it: the items of each user, over a catalogue that anybody may know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.base import leave_last_out
from fractalrs.errors import InputError
from fractalrs.privacy.forecasting import Forecast, forecast
from fractalrs.reading import MADE_UP, Interactions, read_interactions
from fractalrs.tools import check_word
from fractalrs.words import PrivacyUnit

Counts = npt.NDArray[np.int64]
Catalogue = Sequence[Any] | Literal["secret"] | None
"""Ids of all items; ``"secret"``: to be selected privately; None: those of the source are public."""


@dataclass(frozen=True)
class Rows:
    """The real data: the items of each user.

    Attributes
    ----------
    starts, items
        As in a sparse matrix of rows: int64, shape (users + 1,) and (interactions,).
    item_ids
        The catalogue; where it is secret, of what there is to select from.
    activity
        Interactions of each user before they were clipped or selected: int64, shape (users,).
    kept_notes
        What is said of the source that tells nothing of its people: that it is made up.
    is_secret
        Whether the catalogue is.
    """

    starts: Counts
    items: Counts
    item_ids: pa.Array
    activity: Counts
    kept_notes: tuple[str, ...]
    is_secret: bool = False

    @classmethod
    def of(cls, interactions: Any, catalogue: Catalogue) -> "Rows":
        """Read and collapse interactions, and leave out what is not in the catalogue."""
        if isinstance(catalogue, str):
            check_word("catalogue", catalogue, ("secret",))
        if not isinstance(interactions, Interactions):
            interactions = read_interactions(interactions, uses=[])
        base = leave_last_out(interactions, split="none", min_timestamps=0)
        kept = tuple(note for note in interactions.notes if note == MADE_UP)
        starts, items = base.indptr, base.indices.astype(np.int64)
        if catalogue is None or isinstance(catalogue, str):
            return cls(starts, items, base.item_ids, np.diff(starts), kept, catalogue is not None)
        ids = _catalogue(catalogue, base.item_ids.type)
        code = pc.index_in(base.item_ids, ids).fill_null(-1).to_numpy().astype(np.int64)
        return cls(starts, items, base.item_ids, np.diff(starts), kept).recoded(code, ids)

    @property
    def degrees(self) -> Counts:
        """Interactions of each user."""
        return np.diff(self.starts)

    @property
    def owners(self) -> Counts:
        """User of each interaction."""
        return np.repeat(np.arange(len(self.starts) - 1), self.degrees)

    def forecast(self, epsilon: float, delta: float, unit: PrivacyUnit, directions: int = 16) -> Forecast:
        """Return what a private base of this data will have."""
        sizes = len(self.starts) - 1, len(self.item_ids), len(self.items)
        return forecast(*sizes, epsilon, delta, unit, directions, secret_catalogue=self.is_secret)

    def clipped(self, clip: int) -> "Rows":
        """Return at most so many interactions of each user, chosen at random."""
        degrees = self.degrees
        if degrees.max(initial=0) <= clip:
            return self
        # Any choice will do that does not depend on other users.
        chance = np.random.default_rng().random(len(self.items))
        order = np.lexsort((chance, self.owners))
        place = np.arange(len(self.items)) - np.repeat(self.starts[:-1], degrees)
        kept = np.sort(order[place < clip])
        starts = np.concatenate(([0], np.cumsum(np.minimum(degrees, clip))))
        return replace(self, starts=starts, items=self.items[kept])

    def only(self, chosen: Counts) -> "Rows":
        """Return interactions with some items, which are the catalogue then; users stay as active as they were."""
        code = np.full(len(self.item_ids), -1)
        code[chosen] = np.arange(len(chosen))
        left = np.unique(self.owners[code[self.items] >= 0])
        return replace(self.recoded(code, self.item_ids.take(pa.array(chosen))), activity=self.activity[left])

    def recoded(self, code: Counts, ids: pa.Array) -> "Rows":
        """Return interactions with items under new codes, those with −1 left out, and users without any."""
        items = code[self.items]
        degrees = np.bincount(self.owners[items >= 0], minlength=len(self.starts) - 1)
        degrees = degrees[degrees > 0]
        starts = np.concatenate(([0], np.cumsum(degrees)))
        return replace(self, starts=starts, items=items[items >= 0], item_ids=ids, activity=degrees, is_secret=False)


def _catalogue(ids: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        made = pa.array(ids).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError) as error:
        raise InputError(
            f"the catalogue does not hold ids like the source's, {kind}: {error}", hint="give the ids of all items"
        ) from None
    if made.null_count or len(pc.unique(made)) != len(made) or len(made) < 2:
        raise InputError("the catalogue must hold at least 2 ids, each once")
    return made
