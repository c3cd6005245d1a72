"""The private base: a base under differential privacy, drawn from noisy counts of the real data.

`private_base` reads top to bottom: what is asked of the real data, each question once and with noise; then what is made
of the answers. After the last question the real data is not looked at again.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.base import Base, leave_last_out
from fractalrs.errors import InputError
from fractalrs.privacy.forecasting import PAIRED_ITEMS, SHARES, check_forecast
from fractalrs.privacy.mechanisms import Account
from fractalrs.privacy.rows import Catalogue, Counts, Rows
from fractalrs.privacy.taste_model import (
    Bands,
    Directions,
    TasteModel,
    degrees_of,
    directions_of,
    popularity_of,
)
from fractalrs.reading import Interactions
from fractalrs.tools import check_count, check_word, suggests
from fractalrs.words import PrivacyUnit

DELTA = 1e-6
"""A constant: one that followed from the number of users would tell of it."""
_FIXED = 1 << 20
"""Whole numbers that stand for 1 in what is counted in parts."""
_BINS = 4
"""Bins of activity in an octave."""
_CLIPPED = 0.005
"""About so many of the users lose what is beyond the clip."""
_PAIRED = 0.95
"""Items that have their pairs counted have so many of the interactions, as far as `PAIRED_ITEMS` allows it."""
_BAND_USERS = 300
"""Bands of fewer are joined."""
_LONGEST = 1 << 20
"""Most interactions of a user that are told apart where the catalogue, and so how long histories can be, is secret."""
_TASTE = 0.25
"""Most that a user's tastes count along all directions together; a row within one direction alone would have 1."""


@suggests
def private_base(
    interactions: Any,
    epsilon: float,
    delta: float = DELTA,
    unit: PrivacyUnit = "user",
    *,
    directions: int = 16,
    clip: int | None = None,
    catalogue: Catalogue = None,
    split: str = "random",
    test_share: float | None = None,
    validation: bool = False,
    seed: int = 0,
) -> Base:
    """Return a base that is (ε, δ)-differentially private, and like the real one in activity, popularity and tastes.

    It expands like any other, as often as one likes. Each call is a release of its own and costs its own ε: save the
    base and use it again.

    Parameters
    ----------
    interactions
        `Interactions`, or anything that `read_interactions` takes. Ratings and timestamps are not used.
    epsilon, delta
        The guarantee. δ must be below one over the number of users. With ε = ∞ nothing is noisy and nothing promised:
        that tells what the model alone costs.
    unit
        What is hidden: a ``"user"`` with everything they did, or one ``"interaction"``.
    directions
        Of taste, at most; 0: popularity and activity alone.
    clip
        Count at most so many interactions of each user, chosen at random; by default about 0.5 % of the users have
        more, as noisy activity tells. For the unit ``"interaction"`` nothing is clipped.
    catalogue
        The ids of all items, as anybody may know them; others are left out. By default those of the interactions: then
        that an item is there is assumed to be public. Where it is not, ``"secret"``: items are selected by noisy
        counts above a threshold, and others are left out; this costs half of δ.
    split, test_share, validation
        As for `leave_last_out`: ``"random"``, ``"users"`` or ``"none"``; the base has no timestamps.
    seed
        Of what is drawn from the noisy answers. The noise comes from the operating system, through opendp.

    Returns
    -------
    Base
        `Base.privacy` says what is promised and what was asked. User ids are new; item ids are the catalogue's.

    Raises
    ------
    InputError
        If the budget is none, there are too few users for it (`fractalrs.privacy.forecast` tells), or opendp is not
        installed.

    Notes
    -----
    ``docs/private-base.md`` has the guarantee as a theorem, with its assumptions.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.private_base(fr.sample_interactions(2000, 300, 60_000), epsilon=4.0, directions=0)
    >>> base.privacy.epsilon, base.privacy.unit, len(base.privacy.ledger)
    (4.0, 'user', 2)
    """
    check_budget(epsilon, delta, unit)
    check_count("directions", directions)
    if clip is not None:
        check_count("clip", clip, 1)
    if split not in ("random", "users", "none"):
        raise InputError(f"split is {split!r}; a private base has no timestamps", hint="choose random, users or none")
    rows = Rows.of(interactions, catalogue)
    account = Account(epsilon, delta, selects=rows.is_secret)
    check_forecast(rows.forecast(epsilon, delta, unit, directions))
    released = release(rows, account, unit, directions, clip)
    users, items = _drawn(released, np.random.default_rng(seed))
    table = pa.table({"user_id": users, "item_id": released.item_ids.take(pa.array(items))})
    options: dict[str, Any] = {"split": split, "test_share": test_share, "validation": validation, "seed": seed}
    base = leave_last_out(Interactions(table, rows.kept_notes), **options)
    return replace(base, privacy=account.statement(unit), notes=(*base.notes, *released.notes))


def check_budget(epsilon: float, delta: float, unit: str) -> None:
    """Refuse what is no budget, before anything is read."""
    check_word("unit", unit, get_args(PrivacyUnit))
    if not isinstance(epsilon, int | float) or not epsilon > 0:
        raise InputError(f"epsilon is {epsilon}; it must be a number above 0", hint="from 1 to 8 is usual")
    if not isinstance(delta, float) or not 0 < delta < 1:
        raise InputError(f"delta is {delta}; it must be a number above 0 and far below one over the number of users")


@dataclass(frozen=True)
class Released:
    """All that is known of the real data from here on; `selected` is the share of interactions with known items."""

    item_ids: pa.Array
    selected: float
    edges: Counts
    activity: Counts
    activity_noise: float
    popularity: npt.NDArray[np.float64]
    directions: Directions
    bands: Bands
    notes: tuple[str, ...]


def release(rows: Rows, account: Account, unit: PrivacyUnit, directions: int, clip: int | None) -> Released:
    """Put all questions to the real data; `account` answers them with noise."""
    by_user, is_secret = unit == "user", rows.is_secret
    shares = SHARES if directions else {name: SHARES[name] / 0.4 for name in ("activity", "popularity")}

    # 1. Users by activity. A user is in one bin; one interaction moves a user from one to the next.
    longest = _LONGEST if is_secret else len(rows.item_ids)
    edges = activity_edges(longest)
    found = np.histogram(np.minimum(rows.activity, longest), edges)[0].astype(np.int64)
    moved = 1.0 if by_user else math.sqrt(2)
    activity_noise = account.noise(moved, shares["activity"])
    activity = account.noisy("users by activity", found, moved, shares["activity"])

    # The clip follows from noisy activity.
    most = longest
    if by_user:
        most = min(longest, clip or _clip_of(activity, edges, activity_noise))
        rows = rows.clipped(most)

    # 2. Popularity. A user counts once for each of at most `most` items. Of a secret catalogue only items that many
    # have are answered: it is known from then on.
    found = np.bincount(rows.items, minlength=len(rows.item_ids)).astype(np.int64)
    moved = math.nextafter(math.sqrt(most), math.inf) if by_user else 1.0
    if is_secret:
        chosen, noisy = account.selected(
            "interactions by selected item", found, most if by_user else 1, shares["popularity"]
        )
        rows = _selected(rows, chosen)
    else:
        noisy = account.noisy("interactions by item", found, moved, shares["popularity"])
    popularity = popularity_of(noisy, account.noise(moved, shares["popularity"]))
    # Of each bin: its users, where they stand out, and how many interactions of one were asked for, selected or not.
    standing = np.where(activity > 3 * activity_noise, activity, 0)
    counted = np.minimum(np.sqrt(edges[:-1] * (edges[1:] - 1.0)), most)
    selected = min(1.0, float(popularity.sum() / max(1.0, standing @ counted))) if is_secret else 1.0
    asked = _bands(activity, edges)
    # Who is drawn has as many interactions as were selected.
    bands = Bands(np.ceil(asked * selected).astype(np.int64), np.zeros((1, 0)), math.ceil(most * selected))
    nothing = Directions(np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros(0), np.zeros(0))
    known = rows.item_ids, selected, edges, activity, activity_noise, popularity
    plain = Released(*known, nothing, bands, ())
    if not directions:
        return plain

    # 3. Pairs of popular items that users have both of, weighted so that a whole history moves them by 1 at most.
    order = np.argsort(-popularity, kind="stable")
    enough = int(np.searchsorted(np.cumsum(popularity[order]), _PAIRED * popularity.sum())) + 1
    paired = np.sort(order[: min(enough, PAIRED_ITEMS)])
    most = min(most, len(rows.item_ids))
    weights, moved = pair_weights(most, unit)
    upper = np.triu_indices(len(paired), 1)
    found = pair_counts(rows, paired, weights)[upper]
    noisy = account.noisy("users by pair of items", found, moved, shares["pairs"])
    degrees = np.arange(most + 1)
    total = float(standing @ np.interp(counted * selected, degrees, weights * degrees * (degrees - 1.0)))
    matrix = np.zeros((len(paired), len(paired)))
    matrix[upper] = noisy / total
    share = popularity[paired] / popularity.sum()
    noise = account.noise(moved, shares["pairs"]) / total
    seen = directions_of(matrix + matrix.T, share, paired, noise, directions)
    note = f"{len(seen.energy)} of {directions} directions of taste stand out from the noise."
    if not len(seen.energy):
        return replace(plain, notes=(note,))

    # 4. How much of the tastes of users of like activity lies along each direction.
    found = taste_counts(rows, seen, asked)
    moved = _TASTE * _FIXED * (1.0 if by_user else math.sqrt(2))
    noisy = account.noisy("tastes by activity", found, moved, shares["tastes"])
    users = np.add.reduceat(activity, np.searchsorted(edges, asked[:-1]))
    tastes = np.maximum(noisy, 0) / _FIXED / np.maximum(users, 1)[:, None]
    return replace(plain, directions=seen, bands=replace(bands, tastes=tastes), notes=(note,))


def _selected(rows: Rows, chosen: Counts) -> Rows:
    """Return interactions with selected items; refuse a catalogue that nothing can be drawn from."""
    if len(chosen) < 2:
        raise InputError(
            "of the secret catalogue no two items stand out from the noise: too few users have the same. "
            "What it cost to find out is spent",
            hint="more users are needed, or a catalogue that is public: give its ids",
        )
    return rows.only(chosen)


def _drawn(released: Released, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """Draw users and items of interactions: from here on the real data is not looked at."""
    degrees = degrees_of(released.activity, released.edges, released.activity_noise, rng)
    if released.selected < 1:
        # Of interactions with items that were not selected there are none.
        degrees = rng.binomial(degrees, released.selected)
        degrees = degrees[degrees > 0]
    degrees = np.minimum(degrees, len(released.popularity))
    model = TasteModel(released.popularity, released.directions, released.bands, degrees, rng)
    return model.draw(rng.permutation(degrees), rng)


def activity_edges(items: int) -> Counts:
    """Return the first degree of each bin of activity, and one past the last.

    Examples
    --------
    >>> activity_edges(12)
    array([ 1,  2,  3,  4,  5,  6,  7,  8, 10, 11, 13])
    """
    count = math.ceil(math.log2(items + 1) * _BINS) + 1
    edges = np.unique(np.rint(2 ** (np.arange(count) / _BINS)).astype(np.int64))
    return np.append(edges[edges <= items], items + 1)


def _clip_of(activity: Counts, edges: Counts, noise: float) -> int:
    """Return a degree beyond which few users are, by noisy activity."""
    counts = np.where(activity > 3 * noise, activity, 0)
    beyond = counts[::-1].cumsum()[::-1] - counts
    return int(edges[np.flatnonzero(beyond <= _CLIPPED * counts.sum())[0] + 1] - 1)


def _bands(activity: Counts, edges: Counts) -> Counts:
    """Return the first degree of each octave of activity, joined so that each has some users."""
    found, users = [int(edges[0])], 0
    for start, count in zip(edges[1:], activity, strict=True):
        users += int(count)
        if users >= _BAND_USERS and (start & (start - 1)) == 0:
            found, users = [*found, int(start)], 0
    # What is left over belongs to the last.
    return np.array([*(found[:-1] if users < _BAND_USERS and len(found) > 1 else found), int(edges[-1])])


def pair_weights(most: int, unit: PrivacyUnit) -> tuple[Counts, float]:
    """Return what a pair of items counts for a user of d interactions, d from 0 to `most`, and how far they all move.

    A user of d interactions has d(d − 1)/2 pairs: at √2 / √(d(d − 1)) each, all of them have the Euclidean norm 1. One
    interaction more adds d pairs and makes the others count less: at 1 / √d it moves them by about 1 too. Whole
    numbers, rounded down, so that this holds exactly.

    Examples
    --------
    >>> weights, moved = pair_weights(3, "user")
    >>> (weights / (1 << 20)).round(3).tolist(), moved / (1 << 20)
    ([0.0, 0.0, 1.0, 0.577], 1.0)
    """
    weights = np.zeros(most + 1, np.int64)
    if unit == "user":
        weights[2:] = [math.isqrt(2 * _FIXED**2 // (d * (d - 1))) for d in range(2, most + 1)]
        return weights, float(_FIXED)
    weights[2:] = [math.isqrt(_FIXED**2 // d) for d in range(2, most + 1)]
    values = weights.tolist()
    squares = (d * (d - 1) // 2 * (values[d] - values[d + 1]) ** 2 + d * values[d + 1] ** 2 for d in range(1, most))
    return weights, float(math.isqrt(max(squares, default=0)) + 1)


def _chunks(rows: Rows, cells: int) -> list[slice]:
    step = max(1, 8_000_000 // cells)
    return [slice(at, min(at + step, len(rows.starts) - 1)) for at in range(0, len(rows.starts) - 1, step)]


def _matrix(rows: Rows, paired: Counts) -> Any:
    """Return the users' interactions with some items: a sparse matrix of ones."""
    import scipy.sparse as sp

    shape = len(rows.starts) - 1, len(rows.item_ids)
    return sp.csr_array((np.ones(len(rows.items)), rows.items, rows.starts), shape=shape)[:, paired]


def pair_counts(rows: Rows, paired: Counts, weights: Counts) -> Counts:
    """Return the weighted number of users that have each pair of items: whole numbers, exactly, in any order."""
    matrix, weight = _matrix(rows, paired), weights[rows.degrees].astype(np.float64)
    total = np.zeros((len(paired), len(paired)))
    for part in _chunks(rows, len(paired)):
        there = matrix[part].toarray()
        total += there.T @ (there * weight[part, None])
    # Sums of whole numbers below 2^53 are exact in floating point.
    assert len(rows.starts) < 1 << 33
    return total.astype(np.int64)


def taste_counts(rows: Rows, directions: Directions, bands: Counts) -> Counts:
    """Return how much of each band's users lies along each direction, in whole numbers: shape (bands, k)."""
    # Directions in whole numbers too: then a user's product does not depend on who else is there.
    vectors = np.rint(directions.vectors * _FIXED)
    along = np.square(np.asarray(_matrix(rows, directions.items) @ vectors) / _FIXED) / rows.degrees[:, None]
    norm = np.sqrt(sum(np.square(column) for column in along.T))
    # A little less, so that rounding never makes it more.
    along *= (np.minimum(1.0, _TASTE / np.maximum(norm, 1e-12)) * (1 - 1e-9))[:, None]
    band = np.searchsorted(bands, rows.activity, side="right") - 1
    counted, whole = np.zeros((len(bands) - 1, along.shape[1]), np.int64), np.floor(along * _FIXED).astype(np.int64)
    np.add.at(counted, band, whole)
    return counted
