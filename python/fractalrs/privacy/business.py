"""What an output tells of the business: how many users there are, how active, and what they agree on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fractalrs.base import Base
from fractalrs.columns import ticks
from fractalrs.expansion import Expansion
from fractalrs.passes import StreamedMatrix
from fractalrs.statistics import gini, top_share
from fractalrs.tools import Shown

_SEEN = 5_000
"""Times are looked at for so many expanded users."""


@dataclass(frozen=True, repr=False)
class Fact(Shown):
    """A figure of the business, in the real data and in the output; and what the output tells of the real one.

    Examples
    --------
    >>> Fact("users", 60.0, 120.0, "exactly: the manifest has it").name
    'users'
    """

    name: str
    real: float | None
    output: float | None
    told: str


def facts_of(expansion: Expansion, base: Base, threads: int | None) -> list[Fact]:
    """Return what an output tells of the real data that it was made of."""
    shape, exactly = expansion.shape, "exactly: the manifest and the layout of ids have it"
    if expansion.base.privacy is not None:
        exactly = "nearly: the private base is made to have it"
    degrees = StreamedMatrix(expansion, threads=threads).degrees()
    made = int(degrees.user_train.sum(dtype=np.int64))
    densest = int(degrees.block_train.max())
    nearly = "nearly: the output is made to have it"
    facts = [
        Fact("users", base.shape[0], shape[0], exactly),
        Fact("items", base.shape[1], shape[1], exactly),
        Fact("train interactions", base.train_count, made, f"at least: the densest block has {densest:,}"),
        Fact("mean activity of users", base.train_count / base.shape[0], made / shape[0], "no: the keep rates hide it"),
    ]
    for side, real, output in (
        ("users", base.user_degrees("train"), degrees.user_train),
        ("items", base.item_degrees("train"), degrees.item_train),
    ):
        facts.append(Fact(f"Gini of {side}", gini(real), gini(output), nearly))
        facts.append(Fact(f"share of the top 1 % of {side}", top_share(real, 0.01), top_share(output, 0.01), nearly))
    return [*facts, *_of_time(expansion, base)]


def _of_time(expansion: Expansion, base: Base) -> Iterator[Fact]:
    """Tell of the clock: how long, how fast the catalogue grows, how soon users come back."""
    if base.timestamp_type is None:
        return
    names = ("days covered", "share of items that are new in the second half", "median days until a user's next")
    train = base.mask("train")
    hour = base.ticks_per_hour
    times = ticks(base.column("timestamp"))[train]
    real = _clock(base.owners[train], base.indices[train], times, hour)
    if not expansion.options.timestamps:
        yield from (
            Fact(name, value, None, "no: no times are written") for name, value in zip(names, real, strict=True)
        )
        return
    table = expansion.table(0, min(_SEEN, expansion.shape[0]))
    users, items = (table[name].to_numpy() for name in ("user_id", "item_id"))
    output = _clock(users, items, ticks(pa.concat_arrays(table["timestamp"].chunks)), hour)
    for name, value, other in zip(names, real, output, strict=True):
        yield Fact(name, value, other, "nearly: times are those of the source")


def _clock(users: np.ndarray, items: np.ndarray, times: np.ndarray, hour: int | None) -> tuple[float | None, ...]:
    day = 24 * hour if hour else None
    first, last = times.min(), times.max()
    firsts = np.full(items.max() + 1, last + 1)
    np.minimum.at(firsts, items, times)
    seen = firsts[firsts <= last]
    order = np.lexsort((times, users))
    same = users[order][1:] == users[order][:-1]
    gaps = np.diff(times[order])[same]
    new = float(np.mean(seen > (int(first) + int(last)) // 2))
    if day is None:
        return None, new, None
    return float(last - first) / day, new, float(np.median(gaps)) / day if len(gaps) else None
