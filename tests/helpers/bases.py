"""Random bases of many kinds: tails, activity, shape and taste as they are asked for."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fractalrs.base import Base

Pairs = npt.NDArray[np.int64]


def random_pairs(
    users: int,
    items: int,
    per_user: float,
    *,
    user_tail: float = 0.8,
    item_tail: float = 0.8,
    groups: int = 6,
    taste: float = 0.5,
    seed: int = 0,
) -> Pairs:
    """Draw distinct (user, item) pairs, about `per_user` to each of the users, two at least; none has all items.

    Weights of users and of items fall as 1 / rank ** tail: 0 makes users equal, and items equally popular. Users and
    items are of `groups`; a share `taste` of what a user has comes from the own group, as far as that has it.
    """
    rng = np.random.default_rng(seed)
    activity = np.arange(1.0, users + 1) ** -user_tail
    degrees = np.clip(np.round(activity / activity.mean() * per_user), 2, int(items * 0.7)).astype(int)
    popularity = rng.permutation(np.arange(1.0, items + 1) ** -item_tail)
    user_group, item_group = rng.integers(0, groups, users), rng.integers(0, groups, items)
    own = popularity * (item_group == np.arange(groups)[:, None])
    own /= np.maximum(own.sum(axis=1, keepdims=True), 1e-12)
    weights = taste * own + (1 - taste) * popularity / popularity.sum()
    # Of exponential races the first ones win: draws without replacement.
    pairs = []
    for user, degree in enumerate(degrees):
        finish = rng.exponential(size=items) / weights[user_group[user]]
        pairs.append(np.column_stack((np.full(degree, user), np.argpartition(finish, degree)[:degree])))
    return np.concatenate(pairs)


def base_of(pairs: Pairs) -> Base:
    """Take pairs as a base without test interactions; its items are those that occur."""
    items = np.unique(pairs[:, 1], return_inverse=True)[1]
    matrix = sp.csr_array((np.ones(len(pairs), bool), (pairs[:, 0], items)))
    matrix.sort_indices()
    return Base.from_arrays(matrix.indptr, matrix.indices, None, item_ids=np.arange(matrix.shape[1]))
