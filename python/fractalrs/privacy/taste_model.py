"""A base drawn from noisy numbers alone: activity and popularity as counted, tastes along a few directions.

User u of activity band b has a taste z ~ Normal(0, diag(s_b²)) and chooses item i with a weight
w_ui = θ_i · exp(ln p_i + Σ_k z_k a_ik), without replacement until the degree is reached (Plackett and Luce): degrees
of users are met exactly, θ corrects for those of items, and s for how much of the energy of each band lies along each
direction. A block model, hard groups of users, loses how tastes differ inside a group: singular ratios are off by 27 %
with 64 groups and no noise, by 5 % with continuous tastes (docs/private-base.md). Nothing here sees the real data.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.privacy.forecasting import EDGE

Array = npt.NDArray[np.float64]
Narrow = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]

_NEAR, _LEAST = 8.0, 0.5
"""Counts below so many standard deviations are taken from their distribution; none is less than this."""
_GRID, _STEPS, _SEEN = 60, 300, 20_000
"""Counts that the distribution is made of, steps towards it, and items at most that it is found from."""
_RELIABLE = 3.0
"""The last bin of activity that stands out by so many is the last one that is used."""
_COMPLETIONS = 10
"""Times that the diagonal, which was not counted, is completed (Zhang, Cai and Wu 2022: heteroskedastic PCA)."""
_LARGEST = 3.0
"""Largest norm of an item's loadings: unpopular items have noise in place of them."""
_ROUNDS, _TRIED, _TRIED_CELLS = 14, 1_200, 32_000_000
"""Rounds in which the model is fitted to the released numbers; users of each band that are tried in each, and so many
cells of users × items at most."""
_PACES = 6
"""Steps towards the pace at which a user's degree is met."""
_CELLS = 4_000_000
"""So many cells of users × items are drawn at a time."""


def degrees_of(noisy: Codes, edges: Codes, noise: float, rng: np.random.Generator) -> Codes:
    """Return a degree for each user, from a noisy histogram: bin b holds degrees from ``edges[b]`` to the next.

    Beyond the last bin that stands out from the noise, users are as many as all noisy bins there together say, and
    fall geometrically from bin to bin: degrees by a power law.

    Examples
    --------
    >>> degrees_of(np.array([3, -1]), np.array([1, 2, 4]), 0.0, np.random.default_rng(0))
    array([1, 1, 1])
    """
    standing = np.flatnonzero(noisy > _RELIABLE * noise)
    last = standing[-1] + 1 if len(standing) else 0
    counts = np.zeros(len(noisy))
    counts[:last] = _on_simplex(noisy[:last].astype(np.float64), max(0.0, float(noisy[:last].sum())))
    beyond = float(noisy[last:].sum())
    if last and beyond > 0:
        falling = (beyond / (beyond + counts[last - 1])) ** np.arange(1, len(noisy) - last + 1)
        counts[last:] = beyond * falling / falling.sum()
    # Whole users: the rounding of the running sum keeps the total.
    users: Codes = np.diff(np.rint(np.cumsum(counts)), prepend=0.0).astype(np.int64)
    low, high = np.repeat(edges[:-1], users), np.repeat(edges[1:], users)
    found: Codes = np.floor(low * (high / low) ** rng.random(len(low))).astype(np.int64)
    return np.minimum(found, high - 1)


def popularity_of(noisy: Codes, noise: float) -> Array:
    """Return the count of each item, above 0, from noisy ones: those near the noise get the counts that explain them.

    Of the items with less than eight times the noise, the distribution of counts is the one of largest likelihood
    (Kiefer and Wolfowitz 1956), by expectation and maximisation; its quantiles go to them in the order of noisy ones.

    Examples
    --------
    >>> popularity_of(np.array([900, 300, -40, 60]), 10.0).astype(int)
    array([900, 300,   0,  57])
    """
    counts = np.maximum(noisy.astype(np.float64), _LEAST)
    near = np.flatnonzero(noisy < _NEAR * noise)
    if len(near) and noise > 0:
        near = near[np.argsort(noisy[near], kind="stable")]
        seen = noisy[near[np.linspace(0, len(near) - 1, min(len(near), _SEEN)).astype(np.int64)]]
        grid = np.geomspace(_LEAST, (_NEAR + 1) * noise, _GRID)
        likely = np.exp(-0.5 * np.square((seen[:, None] - grid) / noise)) + 1e-300
        share = np.full(_GRID, 1 / _GRID)
        for _ in range(_STEPS):
            explained = likely * share
            share = (explained / explained.sum(axis=1, keepdims=True)).mean(axis=0)
        place = (np.arange(len(near)) + 0.5) / len(near)
        counts[near] = np.interp(place, np.cumsum(share) - share / 2, grid)
    return counts


def _on_simplex(values: Array, total: float) -> Array:
    """Return the nearest numbers that are not negative and have this sum."""
    falling = -np.sort(-values)
    excess = (np.cumsum(falling) - total) / np.arange(1, len(values) + 1)
    kept = np.flatnonzero(falling > excess)
    return np.maximum(values - excess[kept[-1]], 0.0) if len(kept) else np.zeros(len(values))


@dataclass(frozen=True)
class Directions:
    """The directions of taste that stand out from noise.

    Attributes
    ----------
    items
        Codes of the items that have them: int64, shape (m,).
    vectors
        Orthonormal, shape (m, k).
    energy
        Variance of what users choose along each, as a share of their interactions squared: shape (k,).
    overlap
        Squared cosine between each and the direction without noise, by theory: shape (k,).
    """

    items: Codes
    vectors: Array
    energy: Array
    overlap: Array


def directions_of(pairs: Array, popularity: Array, items: Codes, noise: float, count: int) -> Directions:
    """Return the leading directions of noisy counts of pairs, beside popularity.

    Parameters
    ----------
    pairs
        Shape (m, m), symmetric, over the sum of weights; what is on the diagonal does not matter.
    popularity, items
        Shares of these items in all interactions, shape (m,), and their codes.
    noise
        Standard deviation of the noise on each pair.
    count
        How many, at most.

    Notes
    -----
    Noise of standard deviation σ on m × m pairs has eigenvalues up to 2σ√m, and lifts an eigenvalue λ above σ√m to
    λ + mσ²/λ, with the squared cosine 1 − mσ²/λ² (Benaych-Georges and Nadakuditi 2011): both are taken back.
    """
    from scipy.sparse.linalg import eigsh

    matrix, m = pairs - np.outer(popularity, popularity), len(items)
    np.fill_diagonal(matrix, 0.0)
    asked, start = min(count + 8, m - 1), np.ones(m)
    values, vectors = np.zeros(0), np.zeros((m, 0))
    for _ in range(_COMPLETIONS if asked > 0 else 0):
        values, vectors = eigsh(matrix, k=asked, which="LA", v0=start)
        values = np.maximum(values, 0.0)
        np.fill_diagonal(matrix, np.square(vectors) @ values)
    spread = m * noise**2
    order = np.argsort(-values)[:count]
    order = order[values[order] > EDGE * 2 * np.sqrt(spread)]
    lifted = values[order]
    energy = (lifted + np.sqrt(lifted**2 - 4 * spread)) / 2
    return Directions(items, vectors[:, order], energy, 1 - spread / energy**2)


@dataclass(frozen=True)
class Bands:
    """Users of like activity, by which tastes are more or less pronounced.

    Attributes
    ----------
    edges
        Band b has degrees from ``edges[b]`` up to the next: int64.
    tastes
        Mean over the band's users of (xᵀv)² / d along each direction v, with their interactions x, d of them: shape
        (bands, k).
    clip
        Most interactions of a user that were counted.
    """

    edges: Codes
    tastes: Array
    clip: int

    def of(self, degrees: Codes) -> Codes:
        """Return the band of each degree."""
        found: Codes = np.searchsorted(self.edges, degrees, side="right") - 1
        return np.clip(found, 0, len(self.edges) - 2)


class TasteModel:
    """What users choose, by popularity and taste; fitted to released numbers when it is made."""

    def __init__(
        self, popularity: Array, directions: Directions, bands: Bands, degrees: Codes, rng: np.random.Generator
    ) -> None:
        self._count, self._items = len(directions.energy), directions.items
        self._vectors = directions.vectors.astype(np.float32)
        share = popularity / popularity.sum()
        self._log_share = np.log(share).astype(np.float32)
        self._loadings = _loadings(directions, share).T.astype(np.float32)
        self._theta = np.ones(len(popularity), np.float32)
        self._bands = bands
        self._spread = np.ones((len(bands.edges) - 1, self._count), np.float32)
        self._fit(popularity, directions.overlap, degrees, rng)

    def _weights(self, tastes: Narrow) -> Narrow:
        """Return how likely each item is for each taste, up to a factor for each: shape (users, items)."""
        weights = np.repeat(self._log_share[None], len(tastes), axis=0)
        if self._count:
            weights[:, self._items] += tastes @ self._loadings
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        weights *= self._theta
        return weights

    def _tastes(self, degrees: Codes, standard: Narrow) -> Narrow:
        return standard * self._spread[self._bands.of(degrees)]

    def _fit(self, popularity: Array, overlap: Array, degrees: Codes, rng: np.random.Generator) -> None:
        """Move θ and s until what is expected of some users has the counts and the energies that were released."""
        bands = self._bands.of(degrees)
        everyone = np.bincount(bands, minlength=len(self._bands.edges) - 1)
        most = max(1, min(_TRIED, _TRIED_CELLS // (len(everyone) * len(popularity))))
        tried = np.concatenate([rng.permutation(np.flatnonzero(bands == b))[:most] for b in range(len(everyone))])
        band, degree = bands[tried], degrees[tried].astype(np.float32)
        of_band = np.bincount(band, minlength=len(everyone))
        stands_for = (everyone / np.maximum(of_band, 1))[band].astype(np.float32)
        counted = np.minimum(degree, self._bands.clip)
        wanted_items = popularity / popularity.sum() * float(stands_for @ degree)
        wanted = self._bands.tastes / overlap
        standard = rng.standard_normal((len(tried), self._count), dtype=np.float32)
        pace: Narrow | None = None
        for _ in range(_ROUNDS):
            chosen, pace = _expected(self._weights(self._tastes(degrees[tried], standard)), degree, pace)
            items = stands_for @ chosen
            # Where items lie below 1/2 counts are rounding.
            self._theta *= np.clip((wanted_items + 0.1) / (items + 0.1), 0.3, 3.0).astype(np.float32)
            if self._count:
                chosen = chosen[:, self._items] * (counted / degree)[:, None]
                along = np.square(chosen @ self._vectors) + (chosen * (1 - chosen)) @ np.square(self._vectors)
                made = _mean_by(band, along / counted[:, None], of_band)
                ratio = np.sqrt(wanted / np.maximum(made, 1e-9))
                self._spread = np.clip(self._spread * np.clip(ratio**1.5, 0.6, 1.7), 1e-3, 6.0).astype(np.float32)

    def draw(self, degrees: Codes, rng: np.random.Generator) -> tuple[Codes, Codes]:
        """Return users and items of the interactions, by user and item: as many of each user as its degree."""
        items, order = len(self._log_share), np.argsort(degrees, kind="stable")
        step, keys = max(1, _CELLS // items), []
        for at in range(0, len(order), step):
            users = order[at : at + step]
            standard = rng.standard_normal((len(users), self._count), dtype=np.float32)
            weights = self._weights(self._tastes(degrees[users], standard))
            # The smallest of exponential waits are a choice without replacement.
            waits = rng.standard_exponential(weights.shape, dtype=np.float32) / np.maximum(weights, 1e-30)
            most = int(degrees[users].max())
            first = np.argpartition(waits, most - 1, axis=1)[:, :most]
            first = np.take_along_axis(first, np.argsort(np.take_along_axis(waits, first, axis=1), axis=1), axis=1)
            taken = np.arange(most) < degrees[users][:, None]
            keys.append((users[:, None] * items + first)[taken])
        return np.divmod(np.sort(np.concatenate(keys)), items)


def _loadings(directions: Directions, share: Array) -> Array:
    """Return how an item's logarithm moves with tastes: its share of a direction over its popularity, less noise."""
    popularity = share[directions.items]
    hidden = float(directions.energy @ (1 - directions.overlap)) / max(1, len(directions.items))
    loadings = directions.vectors * np.sqrt(directions.energy)
    loadings *= (popularity / (popularity**2 + hidden))[:, None]
    norms = np.linalg.norm(loadings, axis=1, keepdims=True)
    loadings *= np.minimum(1.0, _LARGEST / np.maximum(norms, 1e-12))
    return loadings


def _expected(weights: Narrow, degrees: Narrow, pace: Narrow | None) -> tuple[Narrow, Narrow]:
    """Return the probability of each choice, 1 − exp(−τ w), and the τ of each user with which the degree is met."""
    if pace is None:
        pace = degrees / weights.sum(axis=1)
    chosen = weights
    for _ in range(_PACES):
        chosen = -np.expm1(-pace[:, None] * weights)
        pace = pace * np.clip(degrees / np.maximum(chosen.sum(axis=1), 1e-6), 0.5, 3.0)
    return chosen, pace


def _mean_by(groups: Codes, values: Any, sizes: Codes) -> Array:
    """Return the mean of the rows of each group."""
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, groups, values)
    return sums / np.maximum(sizes, 1)[:, None]
