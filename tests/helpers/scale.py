"""How evenly parts of an expansion keep many workers busy: from expected counts, without making anything."""

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Outcome:
    """Of all workers' time from the first start to the last end.

    Attributes
    ----------
    efficiency
        The share in which parts were made.
    straggling
        The share that others waited for the last one.
    """

    efficiency: float
    straggling: float


def part_counts(
    degrees: npt.NDArray[np.int64], row_weights: npt.NDArray[np.float64], parts: int, interactions: float, seed: int
) -> npt.NDArray[np.float64]:
    """Draw how many interactions each part has: parts are equal in expectation over the shuffle, not for each shuffle.

    Parameters
    ----------
    degrees
        Of the base's users, shape (p,).
    row_weights
        What each of m row blocks keeps, up to a factor: shape (m,).
    parts, interactions
        How many of both there are.
    """
    rng, m = np.random.default_rng(seed), len(row_weights)
    # Of each part the row blocks' shares, by where it is cut.
    before = np.concatenate([[0.0], np.cumsum(row_weights / row_weights.sum())])
    cuts = np.arange(parts + 1) / parts
    share, p = np.zeros(parts), len(degrees)
    spread = degrees.std() / degrees.mean()
    for block in range(m):
        first, last = np.searchsorted(cuts, before[block], "right") - 1, np.searchsorted(cuts, before[block + 1])
        inside = np.clip(cuts[first : last + 1], before[block], before[block + 1])
        users = np.diff(inside) / (before[block + 1] - before[block]) * p
        # A random sample of the block's users: the more of them, the nearer to their share.
        error = rng.normal(size=len(users)) * spread * np.sqrt(users * (1 - users / p))
        share[first:last] += (users + error) / p * (before[block + 1] - before[block])
    expected = np.maximum(share, 0) * interactions
    return rng.poisson(expected).astype(np.float64)


def of_queue(seconds: npt.NDArray[np.float64], speeds: npt.NDArray[np.float64], start: float) -> Outcome:
    """Let each worker take the next part when it is free, as Spark and Ray do."""
    free = [(start, worker) for worker in range(len(speeds))]
    heapq.heapify(free)
    busy, ends = 0.0, np.full(len(speeds), start)
    for part in seconds:
        when, worker = heapq.heappop(free)
        took = part / speeds[worker]
        busy += took
        ends[worker] = when + took
        heapq.heappush(free, (when + took, worker))
    return _outcome(busy, ends)


def of_ranges(seconds: npt.NDArray[np.float64], speeds: npt.NDArray[np.float64], start: float) -> Outcome:
    """Give each worker one range of parts, as arrays of Slurm and Kubernetes do."""
    took = np.array([part.sum() for part in np.array_split(seconds, len(speeds))]) / speeds
    return _outcome(float(took.sum()), start + took)


def _outcome(busy: float, ends: npt.NDArray[np.float64]) -> Outcome:
    whole = len(ends) * ends.max()
    return Outcome(busy / whole, float((ends.max() - ends).sum() / whole))
