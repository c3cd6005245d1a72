"""The rivals of an expansion: cheaper ways from a small data set to a large one of the same shape and density.

Each makes, of a base of p users × q items and multipliers (m, n), train and test halves of m·p users × n·q items with
about `count` train interactions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fractalrs.base import Base
from fractalrs.evaluation.halves import Halves, matrix_of, owners
from fractalrs.expansion import Expansion, Options, reduce, solve_keep_scale
from fractalrs.models import Integers, Matrix

Baseline = Callable[[Base, tuple[int, int], int, int], Halves]
"""Takes a base, multipliers, the number of train interactions and a seed."""

ROUNDS = 200
"""How often double edges are looked for, and those that are left at the end dropped; all draws of test items too."""

SWAPS = 30
"""How often all interactions are tried to be exchanged in a null model."""


def duplication(base: Base, multipliers: tuple[int, int], count: int, seed: int) -> Halves:
    """Repeat the base in every block and thin it: each train interaction is kept with one probability everywhere.

    Test interactions are repeated whole.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> duplication(base, (2, 3), 6 * base.train_count, 0).train[[3, 63], :40].sum(axis=1).tolist()
    [20.0, 20.0]
    """
    rng, (p, q), (m, n) = np.random.default_rng([seed, 1]), base.shape, multipliers
    keep = min(1.0, count / (m * n * base.train_count))

    def repeated(part: Matrix, keep: float) -> Matrix:
        users, items, places = owners(part), part.indices.astype(np.int64), []
        for i, j in np.ndindex(m, n):
            kept = rng.random(part.nnz) < keep
            places.append((i * p + users[kept], j * q + items[kept]))
        expanded_users, expanded_items = map(np.concatenate, zip(*places, strict=True))
        return matrix_of(expanded_users, expanded_items, (m * p, n * q))

    return Halves(repeated(base.train, keep), repeated(base.test, 1.0))


def block(base: Base, multipliers: tuple[int, int], count: int, seed: int) -> Halves:
    """Expand as the paper does: profile ``paper``, every block shuffled on its own, its keep rates scaled to `count`.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> block(base, (2, 3), 1_000, 0).shape
    (120, 120)
    """
    reduced = reduce(base, multipliers)
    options = Options.resolve("paper")
    # What came out of an expansion may be a little more than any is expected to hold.
    most = int(options.max_keep * base.count * multipliers[0] * multipliers[1])
    wanted = max(1, min(most, round(count * base.count / base.train_count)))
    scale = solve_keep_scale(base, reduced, wanted, options)
    return Halves.of_expansion(Expansion(base, reduced, profile="paper", keep_scale=scale, seed=seed))


def configuration(base: Base, multipliers: tuple[int, int], count: int, seed: int) -> Halves:
    """Connect users and items at random with the degrees of the base, scaled: tails are kept, taste is not.

    A bipartite configuration model without double edges. Every expanded user has Binomial(n · degree, keep) ends, keep
    being that which gives `count`, and every item likewise; ends of users and of items are matched at random, and
    double edges resolved by exchanging ends. The few that remain after many rounds are dropped. Of every user an item
    is held out that an interaction drawn at random has, and train has not.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> configuration(base, (2, 3), 1_000, 0).shape
    (120, 120)
    """
    rng, (p, q), (m, n) = np.random.default_rng([seed, 2]), base.shape, multipliers
    keep, shape = min(1.0, count / (m * n * base.train_count)), (m * p, n * q)
    activity = rng.binomial(n * np.tile(base.user_degrees("train"), m), keep)
    popularity = rng.binomial(m * np.tile(base.item_degrees("train"), n), keep)
    users, items = (np.repeat(np.arange(len(degrees)), degrees) for degrees in (activity, popularity))
    count = min(len(users), len(items))
    # Both sides have the same number of ends; those that are too many go at random.
    users, items = (rng.permutation(ends)[:count] for ends in (users, items))
    users, items = _without_doubles(users, items, shape[1], rng)
    train = matrix_of(users, items, shape)
    return Halves(train, _held_out(train, lambda size: train.indices[rng.integers(train.nnz, size=size)]))


def rewired(halves: Halves, seed: int) -> Halves:
    """Keep the train degrees of users and items exactly, and nothing else: the null model of a table.

    Interactions in random pairs exchange their items, again and again, where that makes no double: the chain whose
    limit is uniform over all tables of these degrees. Of every user with held-out items one is held out that an
    interaction drawn at random has.

    Examples
    --------
    >>> import fractalrs as fr
    >>> halves = Halves.of_base(fr.leave_last_out(fr.sample_interactions(60, 40, 600)))
    >>> bool((rewired(halves, 0).train.sum(axis=0) == halves.train.sum(axis=0)).all())
    True
    """
    rng, width = np.random.default_rng([seed, 5]), halves.shape[1]
    users, items = owners(halves.train), halves.train.indices.astype(np.int64)
    for _ in range(SWAPS):
        one, other = np.array_split(rng.permutation(len(users)), 2)
        one, other = one[: len(other)], other[: len(one)]
        fresh = np.stack([users[one] * width + items[other], users[other] * width + items[one]])
        _, which, counts = np.unique(fresh, return_inverse=True, return_counts=True)
        possible = ((counts[which].reshape(fresh.shape) == 1) & ~np.isin(fresh, users * width + items)).all(axis=0)
        one, other = one[possible], other[possible]
        items[one], items[other] = items[other], items[one]
    train = matrix_of(users, items, halves.shape)
    held_out = _held_out(train, lambda size: train.indices[rng.integers(train.nnz, size=size)])
    asked = np.repeat(np.diff(halves.test.indptr) > 0, np.diff(held_out.indptr))
    return Halves(train, matrix_of(owners(held_out)[asked], held_out.indices[asked], halves.shape))


def uniform(base: Base, multipliers: tuple[int, int], count: int, seed: int) -> Halves:
    """Draw pairs of users and items uniformly: what bad looks like.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> uniform(base, (2, 3), 1_000, 0).train.nnz
    1000
    """
    rng, shape = np.random.default_rng([seed, 3]), (base.shape[0] * multipliers[0], base.shape[1] * multipliers[1])
    pairs: Integers = np.empty(0, dtype=np.int64)
    while len(pairs) < count:
        pairs = np.union1d(pairs, rng.integers(shape[0] * shape[1], size=count + count // 8))
    users, items = np.divmod(rng.choice(pairs, count, replace=False), shape[1])
    train = matrix_of(users, items, shape)
    return Halves(train, _held_out(train, lambda size: rng.integers(shape[1], size=size)))


BASELINES: dict[str, Baseline] = {
    "duplication": duplication,
    "block": block,
    "configuration": configuration,
    "uniform": uniform,
}
"""Those that a backcast compares with, by name."""


def _without_doubles(
    users: Integers, items: Integers, width: int, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Exchange the items of double edges with those of others until none is left, or for many rounds."""
    for _ in range(ROUNDS):
        double = _doubles(users, items, width)
        if not double.size:
            break
        some = np.union1d(double, rng.integers(len(items), size=len(double)))
        items[some] = rng.permutation(items[some])
    single = np.ones(len(users), dtype=bool)
    single[_doubles(users, items, width)] = False
    return users[single], items[single]


def _doubles(users: Integers, items: Integers, width: int) -> Integers:
    """Return where edges stand that are there before."""
    single = np.unique(users * width + items, return_index=True)[1]
    return np.setdiff1d(np.arange(len(users)), single, assume_unique=True)


def _held_out(train: Matrix, draw: Callable[[int], Any]) -> Matrix:
    """Draw an item for every user until it is none of its train items; a user that has nearly all may get none."""
    width, taken = train.shape[1], owners(train) * train.shape[1] + train.indices
    users, items = np.arange(train.shape[0]), np.empty(train.shape[0], dtype=np.int64)
    waiting = users
    for _ in range(ROUNDS):
        if not waiting.size:
            break
        items[waiting] = draw(len(waiting))
        waiting = waiting[np.isin(waiting * width + items[waiting], taken, assume_unique=True)]
    chosen = np.delete(users, waiting)
    return matrix_of(chosen, items[chosen], train.shape)
