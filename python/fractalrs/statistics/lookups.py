"""Lookups: what a cache of an embedding table hits, and how many different rows a batch needs.

A *lookup* is one access to the row of an id. Where only some ids are sampled (SHARDS, Waldspurger et al. 2015), `rate`
is their share: distances and counts are divided by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs._core import stack_distances
from fractalrs.statistics.arrays import Curve, Floats, Integers
from fractalrs.tools import Shown

MOST_LOOKUPS = 1 << 23
"""So many lookups are looked at; of more, those of a sample of ids."""
CACHES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.5)
"""Sizes of caches that are told, in shares of a table's rows; curves have more."""
REUSE_EDGES = (1, *(1 << power for power in range(1, 16)))
"""Bins of how often a batch looks an id up, (0, 1], (1, 2], (2, 4] … (16384, 32768] and more: those in which the
published traces of embedding lookups (dlrm_datasets, 2022) are told."""
_FEWEST = 64
"""Of fewer lookups of sampled ids nothing is told of a batch."""
Lookups = npt.NDArray[np.integer[Any]]
"""Whose rows are looked up, in their order: what tells them apart."""
_CURVE = np.unique([*np.geomspace(1e-4, 1, 81), *CACHES])


@dataclass(frozen=True, repr=False)
class LookupCounts(Shown):
    """How often each id of a table is looked up, of all ids or of a sample.

    Attributes
    ----------
    ids, counts
        int64, rising: ids that are looked up at all; and how often each is.
    rows, lookups
        Of the whole table: its rows, and all lookups.
    rate
        The share of ids that are sampled.

    Examples
    --------
    >>> LookupCounts.of_degrees(np.array([3, 0, 1])).ids.tolist()
    [0, 2]
    """

    ids: Integers
    counts: Integers
    rows: int
    lookups: int
    rate: float = 1.0

    @classmethod
    def of_degrees(cls, degrees: npt.NDArray[np.integer]) -> "LookupCounts":
        """Take how often each row of a table is looked up."""
        ids = np.flatnonzero(degrees)
        return cls(ids, degrees[ids].astype(np.int64), len(degrees), int(degrees.sum()))

    @classmethod
    def uniform(cls, rows: int, lookups: int, seed: int = 0) -> "LookupCounts":
        """Draw those of a table whose rows are looked up equally often: Poisson, so many in all; of a sample of ids."""
        share = min(1.0, MOST_LOOKUPS / max(1, lookups), MOST_LOOKUPS / rows)
        some = max(1, round(rows * share))
        counts = np.random.default_rng(seed).poisson(lookups / rows, some)
        ids = np.flatnonzero(counts)
        return cls(ids * (rows // some), counts[ids], rows, lookups, some / rows)

    def sampled(self, most: int = MOST_LOOKUPS, seed: int = 0) -> "LookupCounts":
        """Return those of a keyed sample of ids, with at most about so many lookups: as many hot ones as all have.

        Every so many of the ids in the order of their counts are taken: the tail decides what caches hit.
        """
        share = most / max(1, int(self.counts.sum()))
        if share >= 1:
            return self
        number = max(1, int(len(self.ids) * share))
        first = np.random.default_rng(seed).random()
        places = ((np.arange(number) + first) * (len(self.ids) / number)).astype(np.int64)
        taken = np.sort(np.argsort(self.counts, kind="stable")[places])
        rate = self.rate * number / len(self.ids)
        return LookupCounts(self.ids[taken], self.counts[taken], self.rows, self.lookups, rate)

    def has(self, ids: Integers) -> npt.NDArray[np.bool_]:
        """Return which ids are among those that are looked up here."""
        place = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        return np.asarray(self.ids[place] == ids)

    def shuffled(self, share: float = 1.0, seed: int = 0) -> npt.NDArray[np.uint32]:
        """Return lookups, each with this probability, in random order: the places in `ids` of those they are of."""
        rng = np.random.default_rng(seed)
        counts = self.counts if share >= 1 else rng.binomial(self.counts, share)
        # Half of what ids would take.
        lookups = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        rng.shuffle(lookups)
        return lookups

    def top_share(self, share: float) -> float:
        """Return which share of all lookups goes to the share of rows that are looked up most often."""
        ranked = np.cumsum(np.sort(self.counts)[::-1])
        if not len(ranked):
            return 0.0
        return float(ranked[min(len(ranked), max(1, round(self.rows * self.rate * share))) - 1] / ranked[-1])

    def shards(self, count: int) -> tuple[int, float]:
        """Return the rows of each of so many shards, and how often the busiest one is looked up, over the mean."""
        rows = -(-self.rows // count)
        lookups = np.bincount(self.ids // rows, self.counts, minlength=count)
        return rows, float(lookups.max() / max(lookups.sum() / count, 1e-300))


def word_below(rate: float) -> int | None:
    """Return the bound on words that a share of all ids is below; None for all ids."""
    return None if rate >= 1 else int(rate * 2.0**64)


def hit_curve(lookups: Lookups, rows: int, rate: float = 1.0, total: int | None = None) -> Curve:
    """Compute what an LRU cache of every size hits of lookups in their order.

    Stack distances (Mattson et al. 1970): a cache of c rows hits what was looked up at most c different ids ago, itself
    included. Exact where all ids are there; of a sample, how many lookups it has too many or too few count as those of
    the hottest ids (Waldspurger et al. 2015, SHARDS-adj).

    Parameters
    ----------
    lookups
        (k,): the ids, or other integers that tell them apart.
    rows, rate
        Of the table; and the share of its ids that are sampled.
    total
        Lookups of all ids.

    Returns
    -------
    Curve
        Sizes in shares of the table's rows, and hit rates.

    Examples
    --------
    >>> hits = hit_curve(np.array([4, 7, 4, 7, 7, 2]), rows=10)
    >>> round(hit_rate(hits, 0.1), 3), hit_rate(hits, 0.2)
    (0.167, 0.5)
    """
    distinct, codes = np.unique(lookups, return_inverse=True)
    distances = stack_distances(codes.astype(np.uint32), len(distinct))
    hits = np.cumsum(np.append(0, distances[1:].astype(np.int64)))
    sizes = _CURVE * rows * rate
    found = np.interp(sizes if rate < 1 else np.floor(sizes + 1e-9), np.arange(len(hits)), hits)
    expected = len(lookups) if total is None or rate >= 1 else total * rate
    found = np.clip(found + expected - len(lookups), 0, expected) / max(expected, 1)
    return Curve(_CURVE, np.where(sizes < 1, 0.0, found) if rate >= 1 else found)


def hit_rate(curve: Curve, size: float) -> float:
    """Return the hit rate of a cache of a share of the rows, one of `CACHES` exactly.

    Examples
    --------
    >>> hit_rate(Curve(np.array([0.1, 0.3]), np.array([0.2, 0.5])), 0.1)
    0.2
    """
    return float(np.interp(size, curve.x, curve.y))


def random_hit_curve(counts: LookupCounts, seed: int = 0, *, most: int = MOST_LOOKUPS) -> Curve:
    """Compute what an LRU cache of every size hits of lookups in random order: counts alone decide.

    Examples
    --------
    >>> curve = random_hit_curve(LookupCounts.of_degrees(np.array([500, 300, 100, 100])))
    >>> round(float(curve.y[-1]), 3)
    0.996
    """
    some = counts.sampled(most, seed)
    return hit_curve(some.shuffled(seed=seed), some.rows, some.rate, some.lookups)


def distinct_per_batch(lookups: Lookups, sizes: Sequence[int], rate: float = 1.0) -> dict[int, float]:
    """Return the different ids of a batch, mean over whole batches, by its size; sizes without a batch are left out.

    Where ids are sampled, so are sizes that fewer than 64 lookups of sampled ids stand for.

    Examples
    --------
    >>> distinct_per_batch(np.array([1, 1, 2, 2, 2, 2]), [2, 4, 8])
    {2: 1.0, 4: 2.0}
    """
    found = {}
    for size in sizes:
        each = round(size * rate)
        keys, count = _by_batch(lookups, each)
        if count and (rate >= 1 or each >= _FEWEST):
            found[size] = len(np.unique(keys)) / count * (size / each)
    return found


def reuse_shares(lookups: Lookups, size: int, rate: float = 1.0) -> tuple[Floats, Floats]:
    """Return how often batches look up each of their ids: shares of ids, and of lookups, in the bins of `REUSE_EDGES`.

    Where there is no whole batch, all lookups are one.

    Examples
    --------
    >>> ids, lookups = reuse_shares(np.array([1, 1, 1, 2]), 4)
    >>> ids[:3].tolist(), lookups[:3].tolist()
    ([0.5, 0.0, 0.5], [0.25, 0.0, 0.75])
    """
    keys, count = _by_batch(lookups, round(size * rate))
    times = np.unique(keys if count else lookups, return_counts=True)[1]
    bins, length = np.searchsorted(REUSE_EDGES, times), len(REUSE_EDGES) + 1
    of_ids, of_lookups = np.bincount(bins, minlength=length), np.bincount(bins, times, minlength=length)
    return of_ids / max(1, of_ids.sum()), of_lookups / max(1, of_lookups.sum())


def _by_batch(lookups: Lookups, each: int) -> tuple[Integers, int]:
    """Return numbers that tell ids and batches of so many lookups apart, and how many whole batches there are."""
    count = len(lookups) // each if each else 0
    codes = np.unique(lookups[: count * each], return_inverse=True)[1]
    return codes + (np.arange(len(codes)) // max(1, each)) * (codes.max(initial=0) + 1), count
