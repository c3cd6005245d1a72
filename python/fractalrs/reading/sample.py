"""The built-in sample: interactions made from known latent preferences, for when no data is at hand."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.interactions import Interactions
from fractalrs.tools import check_count, suggests

_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]

# The model's constants, settled by comparison with real data; `sample_interactions` explains them.
_DIMENSIONS = 24
_GROUPS = 64
_TASTE_SCALE = 1.9
_TASTE_DECAY = 0.7
_ACTIVITY_SIGMA = 1.2
_ACTIVITY_FLOOR = 0.19
_ACTIVITY_CEILING = 0.45
_POPULARITY_OFFSET = 30.0
_POPULARITY_EXPONENT = 0.6
_POPULARITY_DECAY = 6.0

_EPOCH = 1_420_070_400  # 2015-01-01, in seconds
_ARRIVALS = 5 * 365 * 86_400
_PAUSE = 30.0
_ABSENCE = 5 * 86_400.0
_SESSION = 40

# Users who take more than this share of all items would mostly draw what they have: they race from the start.
_RACE_SHARE = 1 / 64
# The others race once that costs at most so many cells (user, item) for each interaction of the sample.
_RACE_CELLS = 16
# Worked on at a time, so that intermediate arrays stay small.
_CHUNK_CELLS = 1 << 20
_CHUNK_RATINGS = 1 << 18

MADE_UP = "The interactions are made up by fractalrs, without any real user or item."
"""A note of the sample and of worlds, by which they are known."""
MADE_UP_LABEL = b"fractalrs.made_up"
"""In the metadata of an Arrow schema it says the same."""


@suggests
def sample_interactions(
    users: int = 943, items: int = 1682, interactions: int = 100_000, seed: int = 0
) -> Interactions:
    """Return interactions of the size asked for, made from known latent preferences.

    Activity and popularity have fat tails, tastes are clustered and of low rank, and the leading singular values fall
    about as those of real ratings do. By default it has the size of MovieLens-100K. Time and memory grow with the
    number of interactions.

    Parameters
    ----------
    users, items
        How many of each, p and q; every one of them has interactions. At least 2.
    interactions
        How many different (user, item) pairs, N: at least 2p and q, at most pq/2.
    seed
        Same seed and sizes, same machine and libraries: same interactions.

    Returns
    -------
    Interactions
        Columns ``user_id`` (1 to p), ``item_id`` (1 to q), ``rating`` (0.5 to 5 in halves) and ``timestamp`` (seconds
        since 1970, rising inside each user), by user and then time.

    Raises
    ------
    InputError
        If the sizes do not fit together.

    Examples
    --------
    >>> sample_interactions(60, 40, 600)
    Interactions(600 interactions of 60 users and 40 items; user_id, item_id, rating, timestamp)

    Notes
    -----
    *Tastes.* There are G = 64 taste groups in d = 24 dimensions. Group g has a vector c_g with coordinates
    c_gk ~ Normal(0, (1.9 k^−0.7)²), and item i a vector y_i with y_ik ~ Normal(0, 1). Item i also has a popularity
    b_i = (r + 30)^−0.6 · exp(−6 r / q), with a random rank r from 0 to q − 1: a power law that falls faster towards its
    tail. Group g chooses item i with probability Q_gi = b_i exp(c_g · y_i) / Σ_j b_j exp(c_g · y_j).

    *Users.* User u belongs to two random groups g and h with a share λ_u ~ Uniform(0, 1), and chooses item i with
    probability P_ui = λ_u Q_gi + (1 − λ_u) Q_hi: the known latent preference. The number of interactions is
    n_u = min(a + s · exp(1.2 z_u), b), rounded, with z_u the p quantiles of the normal distribution in random order,
    a = max(2, 0.19 N/p), b = max(0.45 q, min(2 N/p, q)), and s such that the sum is N.

    *Interactions.* User u draws from P_u until there are n_u different items. Each item that nobody has drawn is then
    exchanged for one interaction of a random user with an item that others have too.

    *Ratings.* 3.5 + 0.4 α_u + 0.4 β_i + 0.4 m_ui + 0.7 ε_ui, rounded to halves and clipped, with standard normal α, β
    and ε, and m_ui = x_u · y_i / ‖x_u‖ for the user's taste x_u = λ_u c_g + (1 − λ_u) c_h.

    *Time.* Users arrive uniformly over the five years from 2015. The items of a user come in random order, one second
    plus an exponential pause of 30 s on average after another; one pause in forty is longer by an absence that is
    exponential with a mean of five days.
    """
    _check(users, items, interactions, seed)
    rng = np.random.default_rng(seed)
    tastes = Tastes.draw(rng, users, items)
    degrees = rng.permutation(activity(users, items, interactions))
    keys = _choose(rng, tastes, degrees)
    keys = cover(rng, keys, items)
    user, item = _in_random_order(rng, keys, users, items)
    table = {
        "user_id": user + 1,
        "item_id": item + 1,
        "rating": _ratings(rng, tastes, user, item),
        "timestamp": _timestamps(rng, degrees),
    }
    note = f"Built-in sample: {users:,} users, {items:,} items, {interactions:,} interactions, seed {seed}."
    return Interactions(pa.table(table), [note, MADE_UP])


@dataclass(frozen=True)
class Tastes:
    """Who likes what: every user mixes two taste groups, every group has its own choice of items."""

    first: npt.NDArray[np.int16]
    second: npt.NDArray[np.int16]
    share: _Floats
    group_vectors: _Floats
    item_vectors: _Floats
    choice: npt.NDArray[np.float32]

    @classmethod
    def draw(cls, rng: np.random.Generator, users: int, items: int) -> "Tastes":
        """Draw tastes of so many users and items."""
        scale = _TASTE_SCALE * np.arange(1.0, _DIMENSIONS + 1) ** -_TASTE_DECAY
        group_vectors = rng.standard_normal((_GROUPS, _DIMENSIONS)) * scale
        item_vectors = rng.standard_normal((items, _DIMENSIONS))
        rank = np.arange(items, dtype=np.float64)
        popularity = (rank + _POPULARITY_OFFSET) ** -_POPULARITY_EXPONENT * np.exp(-_POPULARITY_DECAY * rank / items)
        choice = np.exp(group_vectors @ item_vectors.T) * rng.permutation(popularity)
        choice /= choice.sum(axis=1, keepdims=True)
        first, second = rng.integers(_GROUPS, size=(2, users), dtype=np.int16)
        return cls(first, second, rng.random(users), group_vectors, item_vectors, choice.astype(np.float32))

    def of(self, users: _Integers) -> npt.NDArray[np.float32]:
        """Return the probabilities with which `users` choose: float32, shape (len(users), q)."""
        share = self.share[users, None].astype(np.float32)
        mixture: npt.NDArray[np.float32] = share * self.choice[self.first[users]]
        mixture += (1 - share) * self.choice[self.second[users]]
        return mixture


def activity(users: int, items: int, interactions: int) -> _Integers:
    """Return the number of interactions of each user, from the least active on: int64, shape (p,), of the sum given."""
    from scipy.special import ndtri

    mean = interactions / users
    low = max(2, int(_ACTIVITY_FLOOR * mean))
    high = max(int(_ACTIVITY_CEILING * items), min(items, int(2 * mean) + 1))
    excess = np.exp(_ACTIVITY_SIGMA * ndtri((np.arange(users) + 0.5) / users))
    small, large = 0.0, high / excess[0]
    for _ in range(100):
        scale = (small + large) / 2
        if np.minimum(low + scale * excess, high).sum() < interactions:
            small = scale
        else:
            large = scale
    # Rounding the running sum, always up from a half, keeps the total and the bounds.
    running = np.floor(np.cumsum(np.minimum(low + large * excess, high)) + 0.5).astype(np.int64)
    running[-1] = interactions
    degrees: _Integers = np.diff(running, prepend=0)
    return degrees


def _choose(rng: np.random.Generator, tastes: Tastes, degrees: _Integers) -> _Integers:
    """Return as many different items for each user as `degrees` says; sorted keys user · q + item: int64, shape (nnz,).

    Drawing over and over, and ignoring what a user already has, is successive sampling without replacement. So is
    the race in `race`, which costs q steps for any user and serves those who would take many draws.
    """
    q = tastes.choice.shape[1]
    keys = np.empty(0, dtype=np.int64)
    drawing = degrees < _RACE_SHARE * q
    missing = degrees.copy()
    while np.count_nonzero(missing[drawing]) * q > _RACE_CELLS * degrees.sum():
        drawn = np.sort(draw(rng, tastes, np.where(drawing, missing, 0)))
        new = np.append(keys, -1)[np.searchsorted(keys, drawn)] != drawn
        new[1:] &= drawn[1:] != drawn[:-1]
        missing -= np.bincount(drawn[new] // q, minlength=len(missing))
        keys = np.concatenate((keys, drawn[new]))
        keys.sort()
    keys = np.concatenate((keys, *race(rng, tastes, keys, missing)))
    keys.sort()
    return keys


def draw(rng: np.random.Generator, tastes: Tastes, counts: _Integers) -> _Integers:
    """Draw `counts` items for each user, with repeats: keys user · q + item in no order."""
    q = tastes.choice.shape[1]
    users = np.repeat(np.arange(len(counts)), counts)
    in_first = rng.random(len(users)) < tastes.share[users]
    groups = np.where(in_first, tastes.first[users], tastes.second[users])
    keys: _Integers = users[np.argsort(groups, kind="stable")] * q
    ends = np.cumsum(np.bincount(groups, minlength=_GROUPS)).tolist()
    for choice, start, end in zip(tastes.choice, [0, *ends], ends, strict=False):
        cumulative = np.cumsum(choice, dtype=np.float64)
        keys[start:end] += np.searchsorted(cumulative / cumulative[-1], rng.random(end - start), side="right")
    return keys


def race(rng: np.random.Generator, tastes: Tastes, keys: _Integers, counts: _Integers) -> Iterator[_Integers]:
    """Draw `counts` more items for each user who has those of `keys`, all different; yields keys in no order.

    Item i arrives at a time exponential with the rate that the user chooses it with; the first to arrive win.
    """
    q = tastes.choice.shape[1]
    # Alike in count, so that one partition serves all rows of a chunk.
    users = np.flatnonzero(counts)
    users = users[np.argsort(counts[users], kind="stable")]
    rows = max(1, _CHUNK_CELLS // q)
    for chunk in (users[start : start + rows] for start in range(0, len(users), rows)):
        arrivals = rng.standard_exponential((len(chunk), q), dtype=np.float32)
        arrivals /= tastes.of(chunk)
        starts, ends = np.searchsorted(keys, (chunk * q, (chunk + 1) * q))
        owned = keys[_ranges(starts, ends - starts)] % q
        arrivals[np.repeat(np.arange(len(chunk)), ends - starts), owned] = np.inf
        most = int(counts[chunk[-1]])
        winners = np.argpartition(arrivals, most - 1, axis=1)[:, :most]
        ranking = np.argsort(np.take_along_axis(arrivals, winners, axis=1), axis=1)
        winners = np.take_along_axis(winners, ranking, axis=1)
        row, place = np.nonzero(np.arange(most) < counts[chunk][:, None])
        yield chunk[row] * q + winners[row, place]


def _ranges(starts: _Integers, lengths: _Integers) -> _Integers:
    """Concatenate the ranges [start, start + length)."""
    offsets = np.cumsum(lengths) - lengths
    return np.repeat(starts - offsets, lengths) + np.arange(lengths.sum())


def cover(rng: np.random.Generator, keys: _Integers, q: int) -> _Integers:
    """Hand each item that nobody has to a random user, in exchange for an item that others have too."""
    items = keys % q
    keeper = np.full(q, -1)
    keeper[items] = np.arange(len(items))
    lonely = np.flatnonzero(keeper < 0)
    if len(lonely) == 0:
        return keys
    spare = np.ones(len(keys), dtype=bool)
    spare[keeper[keeper >= 0]] = False
    given_up = rng.choice(np.flatnonzero(spare), len(lonely), replace=False)
    keys[given_up] += lonely - items[given_up]
    keys.sort()
    return keys


def _in_random_order(rng: np.random.Generator, keys: _Integers, users: int, items: int) -> tuple[_Integers, _Integers]:
    """Split keys into users and items, the items of each user in random order."""
    item_bits = (items - 1).bit_length()
    free_bits = 62 - (users - 1).bit_length() - item_bits
    # User, random number and item in one integer: one fast sort, and no index.
    owners = keys // items
    packed = ((owners << free_bits | rng.integers(1 << free_bits, size=len(keys))) << item_bits) | keys % items
    packed.sort()
    return owners, packed & ((1 << item_bits) - 1)


def _ratings(rng: np.random.Generator, tastes: Tastes, users: _Integers, items: _Integers) -> _Floats:
    share = tastes.share[:, None]
    user_vectors = share * tastes.group_vectors[tastes.first] + (1 - share) * tastes.group_vectors[tastes.second]
    user_vectors /= np.linalg.norm(user_vectors, axis=1, keepdims=True)
    generosity = 0.4 * rng.standard_normal(len(user_vectors))
    quality = 0.4 * rng.standard_normal(len(tastes.item_vectors))
    ratings = 3.5 + 0.7 * rng.standard_normal(len(users))
    for start in range(0, len(users), _CHUNK_RATINGS):
        part = slice(start, start + _CHUNK_RATINGS)
        user, item = users[part], items[part]
        match = np.einsum("nd,nd->n", user_vectors[user], tastes.item_vectors[item])
        ratings[part] += generosity[user] + quality[item] + 0.4 * match
    return np.clip(np.rint(2 * ratings) / 2, 0.5, 5.0)


def _timestamps(rng: np.random.Generator, degrees: _Integers) -> _Integers:
    """Return seconds since 1970, rising inside each user; shape (nnz,), by user."""
    n, starts = int(degrees.sum()), np.cumsum(degrees) - degrees
    waits = 1 + rng.exponential(_PAUSE, n).astype(np.int64)
    absences = np.flatnonzero(rng.random(n) < 1 / _SESSION)
    waits[absences] += rng.exponential(_ABSENCE, len(absences)).astype(np.int64)
    waits[starts] = rng.integers(_EPOCH, _EPOCH + _ARRIVALS, size=len(degrees))
    times: _Integers = np.cumsum(waits)
    times -= np.repeat(times[starts] - waits[starts], degrees)
    return times


def _check(users: int, items: int, interactions: int, seed: int) -> None:
    for name, value in (("users", users), ("items", items), ("interactions", interactions), ("seed", seed)):
        check_count(name, value)
    if users < 2 or items < 2:
        raise InputError(f"a sample needs at least 2 users and 2 items, not {users} and {items}", "ask for more")
    if max(users, items) >= 1 << 31:
        message = f"a sample has fewer than {1 << 31:,} users and items, not {users:,} and {items:,}"
        raise InputError(message, hint="ask for fewer, and expand them")
    least, most = max(2 * users, items), users * items // 2
    if not least <= interactions <= most:
        raise InputError(
            f"a sample of {users:,} users and {items:,} items cannot have {interactions:,} interactions",
            hint=f"ask for {least:,} (two per user, one per item) to {most:,} (half of all pairs)"
            if least <= most
            else "ask for more users or items",
        )
