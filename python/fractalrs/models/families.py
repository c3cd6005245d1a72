"""Families: models by name, each with the few settings among which it is tuned."""

from collections.abc import Sequence

from fractalrs.models.factorisation import TruncatedSVD
from fractalrs.models.implicit import BM25, BPR, IALS, has_implicit
from fractalrs.models.linear import EASE
from fractalrs.models.matrices import Recommender
from fractalrs.models.neighbours import ItemKNN, UserKNN
from fractalrs.models.popularity import Popularity
from fractalrs.models.walks import RP3beta

Family = Sequence[Recommender]
"""Settings of one model, of which the best on a validation part is taken."""

FAMILIES: dict[str, Family] = {
    "popularity": (Popularity(),),
    "item kNN": tuple(ItemKNN(size) for size in (30, 100)),
    "user kNN": tuple(UserKNN(size) for size in (50, 200)),
    "SVD": tuple(TruncatedSVD(rank) for rank in (12, 48)),
    "EASE": tuple(EASE(penalty) for penalty in (100.0, 500.0)),
    "RP3beta": tuple(RP3beta(beta) for beta in (0.3, 0.7)),
    "iALS": (IALS(16), IALS(64)),
    "BPR": (BPR(32),),
    "BM25": tuple(BM25(b=b) for b in (0.3, 0.8)),
}
"""All there are; the last three are of the library `implicit`."""

OF_IMPLICIT = ("iALS", "BPR", "BM25")

MODELS: dict[str, Recommender] = {
    "popularity": Popularity(),
    "item kNN": ItemKNN(),
    "SVD": TruncatedSVD(),
    "EASE": EASE(),
}
"""Those that a backcast fits, by name, each with one setting."""


def installed_families() -> dict[str, Family]:
    """Return those whose libraries are installed.

    Examples
    --------
    >>> list(installed_families())[:3]
    ['popularity', 'item kNN', 'user kNN']
    """
    return {name: family for name, family in FAMILIES.items() if has_implicit() or name not in OF_IMPLICIT}
