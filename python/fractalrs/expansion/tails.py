"""The tails that an expansion with cells will have, before anything is generated: `docs/theory.md`.

An expanded user of row block i whose cell g has members of d interactions in the mean, with the variance v, has in
column block j a member drawn at random, of whose interactions K[i, j] are kept. So its degree has

    mean  d Σ_j K        variance  d Σ_j K (1 − K) + v Σ_j K²

and the distribution of these two moments that counts have: binomial, Poisson or negative binomial. Items are the same
with the matrix transposed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # Its parts are loaded where they are used.

GROUPS = 400
"""Users of alike expected degree are taken together, in so many groups of equal size."""

_BLOCKS = 1024
"""Of more blocks neighbours in what they keep are taken together."""
_EXACT = 256
_POINTS = 256

_Floats = npt.NDArray[np.float64]


def expected_gini(
    keep_rates: _Floats, degrees: npt.NDArray[Any], order: npt.NDArray[Any], starts: npt.NDArray[Any]
) -> float:
    """Return the expected Gini coefficient of the degrees of all expanded users, those without interactions too.

    K of shape (m, n), `degrees` of shape (p,), and the cells of users, see `Cells`; of items give the transposed K.
    """
    sizes = np.diff(starts.astype(np.int64))
    sorted_degrees = degrees[order.astype(np.int64)].astype(np.float64)
    means = np.add.reduceat(sorted_degrees, starts[:-1].astype(np.int64)) / sizes
    spread = np.add.reduceat(np.square(sorted_degrees), starts[:-1].astype(np.int64)) / sizes - np.square(means)
    each = (keep_rates, keep_rates * (1 - keep_rates), np.square(keep_rates))
    (kept, lost, square), beside, blocks = _bunched(np.stack([rates.sum(axis=1) for rates in each]))
    mean = np.outer(kept, means).ravel()
    variance = np.outer(lost, means) + np.outer(square, np.maximum(spread, 0)) + np.outer(beside, np.square(means))
    weight = np.outer(blocks, sizes / sizes.sum() / blocks.sum()).ravel()
    return _gini(*_grouped(mean, variance.ravel(), weight))


def _bunched(sums: _Floats) -> tuple[_Floats, _Floats, _Floats]:
    """Take many blocks that keep nearly as much together: their mean sums, the variance of the first, how many.

    Of 16,384 blocks and 5,000 cells every number would be 0.7 GB of them.
    """
    blocks = sums.shape[1]
    if blocks <= _BLOCKS:
        return sums, np.zeros(blocks), np.ones(blocks)
    ranked = sums[:, np.argsort(sums[0], kind="stable")]
    edges = np.linspace(0, blocks, _BLOCKS + 1).astype(np.int64)
    counts = np.diff(edges)
    means, squares = (np.add.reduceat(each, edges[:-1], axis=1) / counts for each in (ranked, np.square(ranked)))
    return means, np.maximum(squares[0] - np.square(means[0]), 0), counts


def _grouped(mean: _Floats, variance: _Floats, weight: _Floats) -> tuple[_Floats, _Floats, _Floats]:
    """Take neighbours in mean together; the variance of a group is that of its members, and between them."""
    order = np.argsort(mean, kind="stable")
    mean, variance, weight = mean[order], variance[order], weight[order]
    group = np.minimum((np.cumsum(weight) * GROUPS).astype(np.int64), GROUPS - 1)
    total: _Floats = np.bincount(group, weight, minlength=GROUPS).astype(np.float64)
    some = total > 0
    centre, square, inside = (
        np.bincount(group, weight * values, minlength=GROUPS)[some] / total[some]
        for values in (mean, mean**2, variance)
    )
    return centre, inside + np.maximum(square - centre**2, 0), total[some]


def _gini(mean: _Floats, variance: _Floats, weight: _Floats) -> float:
    """Return Σ F (1 − F) over all counts, over the mean: the Gini coefficient of a mixture of counts."""
    overall = float(mean @ weight)
    if overall == 0:
        return 0.0
    top = float((mean + 12 * np.sqrt(variance) + 12).max())
    points = np.unique(
        np.concatenate((np.arange(min(top, _EXACT)), np.geomspace(_EXACT, max(top, _EXACT + 1), _POINTS))).astype(
            np.int64
        )
    )
    distribution = weight @ _at_most(points.astype(np.float64), mean, variance)
    heights = distribution * (1 - distribution)
    steps = np.diff(points)
    # Each count is a step of its own; between counts that are not looked at the heights are level enough.
    return float((heights[:-1] * (steps + 1) / 2 + heights[1:] * (steps - 1) / 2).sum() / overall)


def _at_most(counts: _Floats, mean: _Floats, variance: _Floats) -> _Floats:
    """Return P(X ≤ count) of counts X of these moments, shape (groups, counts)."""
    mean, variance = np.maximum(mean, 1e-12), np.maximum(variance, 1e-12)
    # Nearly of variance 0, or of that of Poisson counts, the parameters grow beyond all bounds.
    ratio = np.clip(variance / mean, 1e-6, None)
    ratio = np.where(np.abs(ratio - 1) < 1e-4, 1 - 1e-4, ratio)
    chances, binomial = np.empty((len(mean), len(counts))), ratio < 1
    own = ratio[binomial, None]
    trials = mean[binomial, None] / (1 - own)
    below = scipy.special.betainc(np.maximum(trials - counts, 1e-9), counts + 1, own)
    chances[binomial] = np.where(counts >= trials, 1.0, below)
    own = ratio[~binomial, None]
    shape = mean[~binomial, None] / (own - 1)
    chances[~binomial] = scipy.special.betainc(np.maximum(shape, 1e-9), counts + 1, 1 / own)
    return chances
