"""What is measured of every candidate of a backcast, and how far it is from the truth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fractalrs.base import truncated_svd
from fractalrs.evaluation.halves import Halves
from fractalrs.evaluation.rankings import rank
from fractalrs.models import Floats, Integers, Matrix, Recommender
from fractalrs.statistics import assortativity, captured_norm, degree_product, gini, ratio_error, wasserstein

SINGULAR_VALUES = 256
"""How many are computed, where there are so many."""
DENSE_SIDE = 2048
"""Up to so many users or items, all singular values come from the dense Gram matrix: quicker than an iteration."""
_CHUNK = 1 << 22
TOP = 10
"""The cut-off of held-out rankings."""


@dataclass(frozen=True, eq=False)
class Traits:
    """What is known of train and test halves.

    Attributes
    ----------
    user_degrees, item_degrees
        Train interactions of all ids, zeros too.
    singular_values
        The leading ones of train, in descending order.
    assortativity, clustering
        Of users and items as a graph; None where they have no meaning.
    hits
        HR of each model; None for one that the size does not allow.
    """

    user_degrees: Integers
    item_degrees: Integers
    singular_values: Floats
    assortativity: float | None
    clustering: float | None
    hits: dict[str, float | None]

    def captured(self, k: int) -> float | None:
        """Return the share of the squared norm that the best approximation of rank k captures.

        None where k is more than half of the smaller side: nearly all is captured there, of any matrix.
        """
        if 2 * k > min(len(self.user_degrees), len(self.item_degrees)):
            return None
        return captured_norm(self.singular_values, int(self.user_degrees.sum()), k)


def traits_of(halves: Halves, models: Mapping[str, Recommender], *, most_users: int, seed: int) -> Traits:
    """Measure everything of train and test halves.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.evaluation import Halves
    >>> from fractalrs.models import MODELS
    >>> halves = Halves.of_base(fr.leave_last_out(fr.sample_interactions(60, 40, 600)))
    >>> traits_of(halves, MODELS, most_users=100, seed=0).singular_values.shape
    (40,)
    """
    train = halves.train
    users = np.diff(train.indptr).astype(np.int64)
    items = np.bincount(train.indices, minlength=train.shape[1])
    product = degree_product(items, np.asarray(train.T @ users.astype(np.float64)))
    hits: dict[str, float | None] = {}
    for name, model in models.items():
        found = None
        if model.takes(train.shape):
            found = rank(model.fit(train), halves, (TOP,), most_users=most_users, seed=seed, name=name)
        hits[name] = None if found is None else found.hr[TOP]
    values = singular_values(train, SINGULAR_VALUES, seed)
    return Traits(users, items, values, assortativity(users, items, product), clustering(train), hits)


def singular_values(matrix: Matrix, count: int, seed: int = 0, *, dense_side: int = DENSE_SIDE) -> Floats:
    """Compute the leading singular values, as many as there are, in descending order.

    Up to `dense_side` users or items they come from the dense Gram matrix.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> singular_values(sp.csr_array(np.diag([1.0, 3.0, 2.0])), 2).round(6).tolist()
    [3.0, 2.0]
    """
    count = min(count, *matrix.shape)
    if min(matrix.shape) > dense_side:
        return truncated_svd(matrix, count, seed).s
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    squares = np.linalg.eigvalsh(gram.toarray())[::-1][:count]
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def clustering(matrix: Matrix) -> float | None:
    """Compute the bipartite clustering coefficient: which share of paths of length three is closed to a square.

    4 C₄ / L₃ of Robins and Alexander (2004): C₄ = Σ over pairs of items of (s choose 2), s the users of both, and
    L₃ = Σ over interactions of (dᵤ − 1)(dᵢ − 1). From 0 to 1; None where there is no such path.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> clustering(sp.csr_array(np.array([[1.0, 1, 0], [1, 1, 1]])))
    0.6666666666666666
    """
    users = np.diff(matrix.indptr).astype(np.int64)
    items = np.bincount(matrix.indices, minlength=matrix.shape[1])
    paths = int(np.dot(np.repeat(users - 1, users), items[matrix.indices] - 1))
    # The cheaper of both sides: those whose partners have fewer pairs among them.
    rows = matrix.T.tocsr() if np.square(users).sum() <= np.square(items).sum() else matrix
    columns, squares = rows.T.tocsr(), 0
    step = max(1, _CHUNK // rows.shape[0])
    for first in range(0, rows.shape[0], step):
        shared = (rows[first : first + step] @ columns).data
        squares += int(np.dot(shared, shared - 1))
    # Each pair was counted twice, and each one with itself.
    own = np.diff(rows.indptr).astype(np.int64)
    squares -= int(np.dot(own, own - 1))
    return squares / paths if paths else None


@dataclass(frozen=True)
class Measure:
    """A statistic of a backcast.

    Attributes
    ----------
    name
        Short and stable.
    section
        Its heading in the report.
    how
        What its distance is, in a few words.
    value
        Its value; None for one that is a distance only.
    distance
        Of a candidate, the second, from the truth.
    summary
        Whether it sums up others, so that it counts for nothing of its own.
    """

    name: str
    section: str
    how: str
    value: Callable[[Traits], float | None] | None
    distance: Callable[[Traits, Traits], float | None]
    summary: bool = False


def _by(name: str, section: str, value: Callable[[Traits], float | None], *, relative: bool) -> Measure:
    def distance(truth: Traits, candidate: Traits) -> float | None:
        real, found = value(truth), value(candidate)
        if real is None or found is None or (relative and real == 0):
            return None
        return abs(found / real - 1) if relative else abs(found - real)

    return Measure(name, section, "relative" if relative else "difference", value, distance)


def _ratios(count: int) -> Measure:
    def distance(truth: Traits, candidate: Traits) -> float | None:
        found = ratio_error(truth.singular_values, candidate.singular_values, count)
        return None if found is None else found[0]

    return Measure(f"singular ratios 2 to {count}", "Singular values", "median, relative", None, distance)


def _captured(k: int) -> Measure:
    return _by(f"norm captured at rank {k}", "Singular values", lambda traits: traits.captured(k), relative=True)


def _hits(name: str) -> Measure:
    return _by(f"HR@{TOP} of {name}", "Held-out rankings", lambda traits: traits.hits[name], relative=True)


def _all_hits(models: list[str]) -> Measure:
    """Return the mean of what models that tell users apart differ by."""
    names = [name for name in models if name != "popularity"]
    each = [_hits(name) for name in names]

    def mean(found: list[float | None]) -> float | None:
        known = [one for one in found if one is not None]
        return float(np.mean(known)) if known else None

    return Measure(
        f"HR@{TOP} of {', '.join(names)}: mean",
        "Held-out rankings",
        "relative",
        lambda traits: mean([traits.hits[name] for name in names]),
        lambda truth, candidate: mean([one.distance(truth, candidate) for one in each]),
        summary=True,
    )


def measures_of(models: Mapping[str, Recommender]) -> list[Measure]:
    """Return what is measured where these models are fitted, in the order of the report."""
    degrees = [
        _by("gini of users, all ids", "Degrees", lambda traits: gini(traits.user_degrees), relative=False),
        _by("gini of items, all ids", "Degrees", lambda traits: gini(traits.item_degrees), relative=False),
        Measure(
            "Wasserstein distance of users",
            "Degrees",
            "of degrees over their mean",
            None,
            lambda truth, candidate: wasserstein(truth.user_degrees, candidate.user_degrees),
        ),
        Measure(
            "Wasserstein distance of items",
            "Degrees",
            "of degrees over their mean",
            None,
            lambda truth, candidate: wasserstein(truth.item_degrees, candidate.item_degrees),
        ),
    ]
    graph = [
        _by("degree assortativity", "Graph", lambda traits: traits.assortativity, relative=False),
        _by("bipartite clustering", "Graph", lambda traits: traits.clustering, relative=True),
    ]
    spectrum = [_ratios(16), _ratios(64), *map(_captured, (8, 64, 256))]
    together = [_all_hits(list(models))] if set(models) - {"popularity"} else []
    return [*degrees, *spectrum, *graph, *map(_hits, models), *together]
