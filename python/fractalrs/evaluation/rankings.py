"""How well scores rank what was held out: HR, NDCG, recall and MRR.

A held-out item is ranked among all items that its user does not have in train. *Ties are broken neutrally*: of t items
with the same score after g better ones, the held-out one may be at any of the ranks g + 1 … g + t with the same
probability, and every measure is its expectation over that. So neither names nor order of items decide anything, and a
model that says nothing (all scores equal) has just what chance has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fractalrs.errors import InputError
from fractalrs.evaluation.halves import Halves, owners
from fractalrs.models import Floats, Integers, Matrix, Scores, chunk_rows
from fractalrs.tools import Shown


@dataclass(frozen=True, repr=False)
class Rankings(Shown):
    """Means over users, by cut-off k.

    Attributes
    ----------
    hr
        Hit rate: share of users with a held-out item among the first k.
    recall
        Share of a user's held-out items among the first k.
    ndcg
        Σ 1 / log₂(1 + rank) over the user's held-out items among the first k, over the largest possible.
    mrr
        1 / rank of a held-out item; of several of a user, their mean.
    users
        How many were ranked: those with train and held-out items, or a sample of them.

    Examples
    --------
    >>> Rankings({10: 0.5}, {10: 0.5}, {10: 0.3}, 0.2, 100).hr[10]
    0.5
    """

    hr: dict[int, float]
    recall: dict[int, float]
    ndcg: dict[int, float]
    mrr: float
    users: int


@dataclass(frozen=True, eq=False)
class Places:
    """Where held-out items stand: one entry for each, users rising.

    Attributes
    ----------
    users
        Whose it is, numbered from 0.
    better
        g: items with a higher score.
    tied
        t: items with the same score, itself too; its rank is one of g + 1 … g + t.
    """

    users: Integers
    better: Integers
    tied: Integers


def rankable(halves: Halves) -> Integers:
    """Return the users with train and held-out items."""
    return np.flatnonzero((np.diff(halves.train.indptr) > 0) & (np.diff(halves.test.indptr) > 0))


def rank(
    scores: Scores,
    halves: Halves,
    ks: Sequence[int] = (10,),
    *,
    most_users: int = 5_000,
    seed: int = 0,
    rows_at_once: int | None = None,
    name: str = "the model",
) -> Rankings | None:
    """Rank the held-out items of users; None if nobody has both train and held-out items.

    Parameters
    ----------
    scores, halves
        What a model fitted to `halves.train` returned, and the interactions.
    ks
        Cut-offs.
    most_users, seed
        Of more users a sample is ranked, drawn uniformly with this seed.
    rows_at_once
        Users whose scores are held in memory at once.
    name
        What errors call the model.

    Raises
    ------
    InputError
        If the scores are no table of numbers, users × items.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.evaluation import Halves
    >>> from fractalrs.models import Popularity
    >>> halves = Halves.of_base(fr.leave_last_out(fr.sample_interactions(60, 40, 600)))
    >>> found = rank(Popularity().fit(halves.train), halves, ks=(10, 40))
    >>> found.users, found.hr[40]
    (60, 1.0)
    """
    users = rankable(halves)
    if not users.size:
        return None
    if users.size > most_users:
        users = np.sort(np.random.default_rng(seed).choice(users, most_users, replace=False))
    found = places(scores, halves, users, rows_at_once, name=name)
    at = {k: _at(found, k) for k in ks}
    hr, recall, ndcg = ({k: float(each[which].mean()) for k, each in at.items()} for which in range(3))
    inverse = _sums(lambda rank: 1 / rank, int((found.better + found.tied).max()))
    expected = (inverse[found.better + found.tied] - inverse[found.better]) / found.tied
    return Rankings(hr, recall, ndcg, float(_means(found.users, expected).mean()), len(users))


def places(
    scores: Scores,
    halves: Halves,
    users: Integers,
    rows_at_once: int | None = None,
    hidden: Matrix | None = None,
    name: str = "the model",
) -> Places:
    """Compare the scores of held-out items with those of all items that are not in train, nor hidden.

    Raises
    ------
    InputError
        If the scores of `name`, the model, are no table of numbers, users × items.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.models import Popularity
    >>> halves = Halves.of_base(fr.leave_last_out(fr.sample_interactions(60, 40, 600)))
    >>> len(places(Popularity().fit(halves.train), halves, np.arange(60)).better)
    60
    """
    rows_at_once, better, tied = rows_at_once or chunk_rows(halves.shape[1]), [], []
    for first in range(0, len(users), rows_at_once):
        some = users[first : first + rows_at_once]
        train, test = halves.train[some], halves.test[some]
        table = _checked(scores(some), (len(some), halves.shape[1]), name)
        for known in (train,) if hidden is None else (train, hidden[some]):
            table[owners(known), known.indices] = -np.inf
        whose = owners(test)
        for begin in range(0, len(whose), rows_at_once):
            rows, items = whose[begin : begin + rows_at_once], test.indices[begin : begin + rows_at_once]
            own = table[rows, items][:, None]
            # Of everybody's one item the table is as it stands.
            rivals = table if np.array_equal(rows, np.arange(len(table))) else table[rows]
            better.append(np.count_nonzero(rivals > own, axis=1))
            tied.append(np.count_nonzero(rivals == own, axis=1))
    return Places(owners(halves.test[users]), np.concatenate(better), np.concatenate(tied))


def _checked(given: Any, wanted: tuple[int, int], name: str) -> Floats:
    """Return a copy of scores; of none that are missing, which nothing would be better than."""
    try:
        table = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        message = f"the scores of {name} are no numbers, or of rows of different length"
        raise InputError(message, hint="return a number for each item of each user") from None
    if table.shape != wanted:
        raise InputError(
            f"the scores of {name} are of shape {table.shape}, not {wanted}",
            hint="a row for each user that is asked for, a column for each item of the matrix that it was fitted to",
        )
    if np.isnan(table).any():
        raise InputError(
            f"{np.isnan(table).sum():,} of {table.size:,} scores of {name} are NaN",
            hint="give what it cannot score a number less than all others",
        )
    return table


def by_user(found: Places, k: int) -> dict[str, Floats]:
    """Return HR, NDCG and MRR of every user at a cut-off: what is ranked below it counts nothing.

    Examples
    --------
    >>> first = Places(np.array([0, 1]), np.array([0, 12]), np.array([1, 1]))
    >>> by_user(first, 10)["HR"].tolist()
    [1.0, 0.0]
    """
    hr, _, ndcg = _at(found, k)
    inside, inverse = (
        np.clip(k - found.better, 0, found.tied),
        _sums(lambda rank: 1 / rank, max(k, int(found.better.max()))),
    )
    gained = (inverse[found.better + inside] - inverse[found.better]) / found.tied
    return {"HR": hr, "NDCG": ndcg, "MRR": _means(found.users, gained)}


def _at(found: Places, k: int) -> tuple[Floats, Floats, Floats]:
    """Return HR, recall and NDCG of every user at a cut-off."""
    users, better, tied = found.users, found.better, found.tied
    # How many of the tied ranks are among the first k.
    inside = np.clip(k - better, 0, tied)
    recall = _means(users, inside / tied)
    missed = np.ones(len(recall))
    missed[users[inside == tied]] = 0
    # Of one user at most one group of ties lies across k; its held-out members share the ranks without replacement.
    across = (inside > 0) & (inside < tied)
    whose, first, count = np.unique(users[across], return_index=True, return_counts=True)
    group, slots = tied[across][first], inside[across][first]
    for drawn in range(count.max(initial=0)):
        free = np.where(drawn < count, (group - slots - drawn) / np.maximum(group - drawn, 1), 1)
        missed[whose] *= np.maximum(free, 0)
    gains = _sums(lambda rank: 1 / np.log2(1 + rank), max(k, int(better.max())))
    gained = (gains[better + inside] - gains[better]) / tied
    ideal = gains[np.minimum(np.bincount(users), k)]
    return 1 - missed, recall, np.bincount(users, gained) / ideal


def _means(users: Integers, values: Floats) -> Floats:
    return np.asarray(np.bincount(users, values) / np.bincount(users))


def _sums(gain: Callable[[Floats], Floats], most: int) -> Floats:
    """Return the sums of a gain over the ranks 1 … r, for r from 0 to `most`."""
    return np.concatenate([[0.0], np.cumsum(gain(np.arange(1.0, most + 1)))])
