"""Users and items as a bipartite graph: density, degree assortativity and clustering."""

import math

import numpy as np
import numpy.typing as npt

from fractalrs.statistics.arrays import Numbers, checked


def density(count: int, rows: int, columns: int) -> float | None:
    """Compute the share of all pairs that interact, `count` / (`rows` · `columns`); None if there is no pair.

    Examples
    --------
    >>> density(6, 3, 4)
    0.5
    """
    # Python's integers do not overflow.
    pairs = int(rows) * int(columns)
    return int(count) / pairs if pairs else None


def degree_product(item_degrees: Numbers, item_user_degree: Numbers) -> int:
    """Compute the exact sum of the user's degree times the item's over all interactions.

    Σᵢ dᵢ · sᵢ, without a look at any interaction: dᵢ the degree of an item, sᵢ the sum of its users' degrees; whole
    numbers, exact as float64 below 2⁵³ ≈ 9e15 (1e6 users of 1e6 interactions are 1e12).

    Examples
    --------
    >>> degree_product(np.array([2, 1]), np.array([3, 2]))
    8
    """
    # The sum may exceed 64 bits; Python's integers do not overflow.
    return int(np.dot(whole(item_degrees).astype(object), whole(item_user_degree).astype(object)))


def assortativity(user_degrees: Numbers, item_degrees: Numbers, product: int) -> float | None:
    """Compute the degree assortativity: do active users choose popular items?

    Pearson correlation over the M interactions between the degree of their user and of their item (Newman 2002, for
    two kinds of nodes): with Σ over interactions, r = (M Σ dᵤdᵢ − Σdᵤ Σdᵢ) / √((M Σdᵤ² − (Σdᵤ)²)(M Σdᵢ² − (Σdᵢ)²)),
    where Σdᵤ over interactions is Σdᵤ² over users, and so on; `product` is Σ dᵤdᵢ, from `degree_product`. Accurate to
    1e-15, since everything before the root is computed in integers of any size. None where all users, or all items,
    with interactions have the same degree.

    Raises
    ------
    ValueError
        If users and items do not have the same number of interactions.

    Examples
    --------
    >>> assortativity(np.array([2, 1]), np.array([2, 1]), degree_product(np.array([2, 1]), np.array([3, 2])))
    -0.4999999999999999
    """
    count, user_first, user_second = edge_moments(user_degrees)
    item_count, item_first, item_second = edge_moments(item_degrees)
    if count != item_count:
        raise ValueError(f"users have {count} interactions, but items have {item_count}")
    user_spread = count * user_second - user_first**2
    item_spread = count * item_second - item_first**2
    if user_spread == 0 or item_spread == 0:
        return None
    return float(count * int(product) - user_first * item_first) / (math.sqrt(user_spread) * math.sqrt(item_spread))


def closed_paths(shared: Numbers, item: int) -> tuple[float, float]:
    """Count paths of three interactions through an item in their middle, the closed ones first.

    `shared` are the users that an item has in common with every item, and at its own place its own. A path of three
    interactions goes from another item j to a user, from this to the item, and on to another user; it is closed where
    that user has j as well. There are (dᵢ − 1) Σⱼ cᵢⱼ, and Σⱼ cᵢⱼ (cᵢⱼ − 1) of them are closed. The closed over all,
    both summed over items, is the clustering coefficient of two kinds of nodes (Robins and Alexander 2004), four times
    the butterflies over the paths. A path that is kept needs one interaction more to be closed: thinned at rate K, the
    share is K times as large, as the density is.

    Examples
    --------
    >>> closed_paths(np.array([3, 2, 1]), 0)
    (2.0, 6.0)
    """
    others = np.asarray(shared, dtype=np.float64).copy()
    own, others[item] = float(others[item]), 0.0
    return float((others * (others - 1)).sum()), float((own - 1) * others.sum())


def whole(numbers: Numbers) -> npt.NDArray[np.int64]:
    """Return numbers of interactions as integers; refuse others with a ValueError."""
    integers = numbers.astype(np.int64)
    if not np.array_equal(integers, numbers):
        raise ValueError("numbers of interactions must be whole")
    return integers


def edge_moments(degrees: Numbers) -> tuple[int, int, int]:
    """Return Σ dᵏ over nodes for k = 1, 2, 3: number, sum and sum of squares of the degree over interactions; exact."""
    # A million interactions cubed times a million users exceeds 64 bits; different values are few.
    values, counts = np.unique(whole(checked(degrees)), return_counts=True)
    degrees, numbers = values.astype(object), counts.astype(object)
    first, second, third = (int(np.dot(numbers, degrees**power)) for power in (1, 2, 3))
    return first, second, third
