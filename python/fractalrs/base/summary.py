"""What is kept of the base beside a data set, so that it can be validated without the source."""

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.base.base import Base
from fractalrs.base.canonical_order import SINGULAR_VALUES, canonical
from fractalrs.columns import numbers, ticks
from fractalrs.statistics import (
    Activity,
    ActivityTally,
    Clock,
    Ratings,
    RatingsTally,
    assortativity,
    degree_product,
    distinct_or_quantiles,
)

_known: WeakKeyDictionary[Base, dict[tuple[bool, bool], dict[str, npt.NDArray[Any]]]] = WeakKeyDictionary()


def base_statistics(base: Base, *, timestamps: bool = False, rated: bool = False) -> dict[str, npt.NDArray[Any]]:
    """Compute what ``base_statistics.npz`` holds: sorted degrees and the leading spectrum of the base, no ids.

    Arrays, with k = min(64, p, q):

    - ``train_user_degrees``, ``test_user_degrees`` (int64, p) and ``train_item_degrees``, ``test_item_degrees``
      (int64, q), each in descending order;
    - ``singular_values`` (float64, k) of the train part, in descending order;
    - ``user_noise``, ``item_noise`` (float64, k): uᵢᵀ diag(r) uᵢ and vᵢᵀ diag(c) vᵢ, with r and c the degrees of
      users and items in the train part: the base's share in the dropout noise of the expanded singular values;
    - ``assortativity`` (float64): degree assortativity of the train part, NaN where it has no meaning;
    - ``shape``, ``counts`` (int64, 2): users and items, train and test interactions; ``fingerprint``;
    - where there is validation, ``valid_user_degrees`` and ``valid_item_degrees`` likewise;
    - with `timestamps`, ``time_…``: counts of train interactions in time (`fractalrs.statistics.Activity`);
    - with `rated`, ``rating_…``: the distribution of train ratings (`fractalrs.statistics.Ratings`).

    They are computed once for each base, and read-only.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> base_statistics(base)["counts"].tolist()
    [540, 60]
    """
    known, asked = _known.setdefault(base, {}), (timestamps, rated)
    if asked not in known:
        known[asked] = _statistics(base, timestamps, rated)
        for array in known[asked].values():
            array.flags.writeable = False
    return dict(known[asked])


def _statistics(base: Base, timestamps: bool, rated: bool) -> dict[str, npt.NDArray[Any]]:
    distribution = real_ratings(base) if rated else None
    user_degrees, item_degrees = base.user_degrees("train"), base.item_degrees("train")
    return {
        "train_user_degrees": -np.sort(-user_degrees),
        "train_item_degrees": -np.sort(-item_degrees),
        "test_user_degrees": -np.sort(-base.user_degrees("test")),
        "test_item_degrees": -np.sort(-base.item_degrees("test")),
        **(_valid_degrees(base) if base.valid_count else {}),
        **spectrum_statistics(base),
        "assortativity": np.array(_assortativity(base, user_degrees, item_degrees)),
        "shape": np.array(base.shape),
        "counts": np.array([base.train_count, base.test_count]),
        "fingerprint": np.array(base.fingerprint),
        **(real_activity(base).arrays() if timestamps else {}),
        **({} if distribution is None else distribution.arrays()),
    }


def _valid_degrees(base: Base) -> dict[str, npt.NDArray[Any]]:
    return {
        "valid_user_degrees": -np.sort(-base.user_degrees("valid")),
        "valid_item_degrees": -np.sort(-base.item_degrees("valid")),
    }


def spectrum_statistics(base: Base, count: int = SINGULAR_VALUES) -> dict[str, npt.NDArray[np.float64]]:
    """Compute the leading singular values of the train part, and the base's share in their dropout noise.

    ``singular_values``, ``user_noise`` and ``item_noise`` of `base_statistics`: `count` of each, or all there are.
    """
    known = canonical(base)
    svd = known.svd(count)
    return {
        "singular_values": svd.s,
        # A vector at a time: squares of all would take as much memory again.
        "user_noise": np.array([np.square(vector) @ known.user_degrees for vector in svd.u.T]),
        "item_noise": np.array([np.square(vector) @ known.item_degrees for vector in svd.vt]),
    }


def _assortativity(base: Base, user_degrees: npt.NDArray[np.int64], item_degrees: npt.NDArray[np.int64]) -> float:
    # Sums of integers, exact in any order: that of what is in memory already.
    known, item_user_degree = canonical(base), np.empty(len(item_degrees), np.uint64)
    item_user_degree[known.items] = (known.products.T @ user_degrees[known.users, None])[:, 0]
    value = assortativity(user_degrees, item_degrees, degree_product(item_degrees, item_user_degree))
    return float("nan") if value is None else value


def real_activity(base: Base) -> Activity:
    """Count the base's train interactions in time; its payload must have ``timestamp``."""
    times, is_train = ticks(base.column("timestamp")), base.mask("train")
    tally = ActivityTally(Clock.of(times, base.ticks_per_hour), base.shape[1])
    tally.add(base.owners[is_train], base.indices[is_train].astype(np.int64), times[is_train])
    return tally.total()


def real_ratings(base: Base) -> Ratings | None:
    """Count the base's train ratings; its payload must have ``rating``. None where these are no numbers."""
    column = base.column("rating")
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    is_train = base.mask("train")
    ratings = numbers(pa.chunked_array([column]))[is_train]
    if not np.isfinite(ratings).any():
        return None
    tally = RatingsTally(*distinct_or_quantiles(ratings))
    tally.add(base.owners[is_train], ratings)
    return tally.total()
