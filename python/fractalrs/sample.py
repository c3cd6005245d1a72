"""The built-in sample: interactions made from known latent preferences, for when no data is at hand."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.interactions import Interactions, read_interactions

_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]

# The model's constants, settled by comparison with real data; `sample_interactions` explains them.
_DIMENSIONS = 24
_GROUPS = 64
_TASTE_SCALE = 0.9
_TASTE_DECAY = 0.45
_ACTIVITY_SIGMA = 1.15
_ACTIVITY_FLOOR = 0.19
_ACTIVITY_CEILING = 0.45
_POPULARITY_OFFSET = 40.0
_POPULARITY_EXPONENT = 0.6
_POPULARITY_DECAY = 3.0

_EPOCH = 1_420_070_400  # 2015-01-01, in seconds
_ARRIVALS = 5 * 365 * 86_400
_PAUSE = 30.0
_ABSENCE = 5 * 86_400.0
_SESSION = 40

# Cells (user, item) that a thread works on at a time: a few arrays of it stay small.
_CHUNK_CELLS = 1 << 21


def sample_interactions(
    users: int = 943, items: int = 1682, interactions: int = 100_000, seed: int = 0
) -> Interactions:
    """DOC."""
    _check(users, items, interactions, seed)
    rng = np.random.default_rng(seed)
    tastes = _Tastes.draw(rng, users, items)
    degrees = rng.permutation(_activity(users, items, interactions))
    keys = _choose(rng, tastes, degrees)
    keys = _cover(rng, keys, items)
    user, item = _in_random_order(rng, keys, users, items)
    table = {
        "user_id": user + 1,
        "item_id": item + 1,
        "rating": _ratings(rng, tastes, user, item),
        "timestamp": _timestamps(rng, degrees),
    }
    return read_interactions(pa.table(table))


@dataclass(frozen=True)
class _Tastes:
    """Who likes what: every user mixes two taste groups, every group has its own choice of items."""

    first: npt.NDArray[np.int16]
    second: npt.NDArray[np.int16]
    share: _Floats
    group_vectors: _Floats
    item_vectors: _Floats
    choice: _Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, users: int, items: int) -> "_Tastes":
        scale = _TASTE_SCALE * np.arange(1, _DIMENSIONS + 1) ** -_TASTE_DECAY
        group_vectors = rng.standard_normal((_GROUPS, _DIMENSIONS)) * scale
        item_vectors = rng.standard_normal((items, _DIMENSIONS))
        choice = np.exp(group_vectors @ item_vectors.T) * rng.permutation(_popularity(items))
        choice /= choice.sum(axis=1, keepdims=True)
        first, second = rng.integers(_GROUPS, size=(2, users), dtype=np.int16)
        return cls(first, second, rng.random(users), group_vectors, item_vectors, choice)

    def of(self, users: _Integers) -> _Floats:
        """Give the probabilities with which `users` choose: float64, shape (len(users), q)."""
        share = self.share[users, None]
        return share * self.choice[self.first[users]] + (1 - share) * self.choice[self.second[users]]


def _popularity(items: int) -> _Floats:
    rank = np.arange(items)
    weights: _Floats = (rank + _POPULARITY_OFFSET) ** -_POPULARITY_EXPONENT * np.exp(-_POPULARITY_DECAY * rank / items)
    return weights


def _activity(users: int, items: int, interactions: int) -> _Integers:
    """Number of interactions of each user, from the least active on: int64, shape (p,), of the sum asked for."""
    mean = interactions / users
    low = max(2, int(_ACTIVITY_FLOOR * mean))
    high = max(int(_ACTIVITY_CEILING * items), min(items, int(2 * mean) + 1))
    normal = NormalDist()
    quantiles = np.array([normal.inv_cdf((u + 0.5) / users) for u in range(users)])
    excess = np.exp(_ACTIVITY_SIGMA * quantiles)
    small, large = 0.0, interactions / excess.mean()
    for _ in range(100):
        scale = (small + large) / 2
        if np.minimum(low + scale * excess, high).sum() < interactions:
            small = scale
        else:
            large = scale
    # Rounding the running sum keeps the total, and moves no user by more than one.
    running = np.rint(np.cumsum(np.minimum(low + small * excess, high))).astype(np.int64)
    running[-1] = interactions
    return np.diff(running, prepend=0)


def _choose(rng: np.random.Generator, tastes: _Tastes, degrees: _Integers) -> _Integers:
    """Draw as many different items for each user as `degrees` says; sorted keys user · q + item, int64, shape (nnz,).

    Drawing again and again, and ignoring what a user already has, is successive sampling without replacement; so is
    the race in `_race`, which finishes what takes too many draws.
    """
    q = tastes.choice.shape[1]
    cumulative = np.cumsum(tastes.choice, axis=1)
    keys = np.empty(0, dtype=np.int64)
    missing = degrees
    while np.count_nonzero(missing) * q > _RACE * degrees.sum():
        keys = np.concatenate((keys, _draw(rng, tastes, cumulative, missing)))
        keys.sort()
        keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
        missing = degrees - np.bincount(keys // q, minlength=len(degrees))
        print("round", len(keys), np.count_nonzero(missing), missing.sum())
    return keys
