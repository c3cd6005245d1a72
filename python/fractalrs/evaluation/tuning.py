"""Tuning: of each family the setting that ranks best what is held out of train, once more, for validation."""

from collections.abc import Mapping

import numpy as np

from fractalrs.evaluation.halves import Halves, matrix_of, owners
from fractalrs.evaluation.rankings import rank
from fractalrs.models import Family, Matrix, Recommender

MOST_VALIDATED = 1_000
"""How many users' validation items are ranked at the most."""


def validation_of(train: Matrix, seed: int) -> Halves:
    """Hold one train interaction out of each user that has two or more, drawn uniformly.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> validation_of(base.train, 0).test.nnz
    58
    """
    rng, degrees = np.random.default_rng([seed, 30]), np.diff(train.indptr)
    users = np.flatnonzero(degrees > 1)
    chosen = train.indptr[users] + rng.integers(degrees[users])
    kept = np.ones(train.nnz, dtype=bool)
    kept[chosen] = False
    return Halves(
        matrix_of(owners(train)[kept], train.indices[kept], train.shape),
        matrix_of(users, train.indices[chosen], train.shape),
    )


def tune(train: Matrix, families: Mapping[str, Family], k: int, seed: int) -> dict[str, Recommender]:
    """Return of each family the setting with the best NDCG@k on validation, the first of those that tie.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.models import ItemKNN, TruncatedSVD
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> found = tune(base.train, {"SVD": [TruncatedSVD(2), TruncatedSVD(40)], "kNN": [ItemKNN()]}, 10, 0)
    >>> found["SVD"].rank, found["kNN"].neighbours
    (2, 50)
    """
    halves, chosen = validation_of(train, seed), {}
    for name, family in families.items():
        settings = list(family)
        if len(settings) > 1:
            found = [_quality(name, model, halves, k, seed) for model in settings]
            chosen[name] = settings[found.index(max(found))]
        else:
            chosen[name] = settings[0]
    return chosen


def _quality(name: str, model: Recommender, halves: Halves, k: int, seed: int) -> float:
    found = rank(model.fit(halves.train), halves, (k,), most_users=MOST_VALIDATED, seed=seed, name=name)
    return 0.0 if found is None else found.ndcg[k]
