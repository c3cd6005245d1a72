"""Where the users of an expansion are cut into parts of equally many expected interactions."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from fractalrs._core import existing_blocks

_BITS = 32
"""Keep rates count in units of 2**-32: a power of two, by which a float is multiplied exactly."""


def row_block_weights(keep_rates: npt.NDArray[np.float64], seed: int, block_keep: float) -> list[int]:
    """Return what each row block is expected to keep, as integers: its keep rates, where blocks exist.

    Examples
    --------
    >>> weights = row_block_weights(np.array([[0.5, 0.25], [0.125, 0.25]]), 0, 1.0)
    >>> [weight / weights[0] for weight in weights]
    [1.0, 0.5]
    """
    units = (keep_rates * 2.0**_BITS).astype(np.int64)
    if block_keep < 1:
        units *= existing_blocks(seed, block_keep, keep_rates.shape)
    weights: list[int] = units.sum(axis=1).tolist()
    return weights


def divide(weights: Sequence[int], each: int, parts: int) -> list[int]:
    """Cut users into parts of equal weight, in integers: on every machine alike.

    Parameters
    ----------
    weights
        Of stretches of users, one after the other; equal ones where all are 0.
    each
        Users of a stretch, which weigh the same.
    parts
        How many parts, P.

    Returns
    -------
    list of int
        P + 1 users, from 0 to all. The k-th is where the weight of those before reaches k/P of all, rounded down: it
        depends on the fraction k/P only.

    Examples
    --------
    >>> divide([3, 1], 6, 2)
    [0, 4, 12]
    """
    weights = weights if any(weights) else [1] * len(weights)
    before = [0, *accumulate(weights)]
    cuts = [0]
    for k in range(1, parts):
        goal = k * before[-1]
        stretch = bisect_right(before, goal // parts) - 1
        inside = (goal - parts * before[stretch]) * each // (parts * weights[stretch])
        cuts.append(stretch * each + inside)
    return [*cuts, len(weights) * each]
