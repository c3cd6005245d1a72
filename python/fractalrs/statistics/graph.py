"""Users and items as a bipartite graph: density and degree assortativity."""

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
    return int(np.dot(_whole(item_degrees).astype(object), _whole(item_user_degree).astype(object)))


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
    count, user_first, user_second = _moments(user_degrees)
    item_count, item_first, item_second = _moments(item_degrees)
    if count != item_count:
        raise ValueError(f"users have {count} interactions, but items have {item_count}")
    user_spread = count * user_second - user_first**2
    item_spread = count * item_second - item_first**2
    if user_spread == 0 or item_spread == 0:
        return None
    return float(count * int(product) - user_first * item_first) / (math.sqrt(user_spread) * math.sqrt(item_spread))


def _whole(numbers: Numbers) -> npt.NDArray[np.int64]:
    whole = numbers.astype(np.int64)
    if not np.array_equal(whole, numbers):
        raise ValueError("numbers of interactions must be whole")
    return whole


def _moments(degrees: Numbers) -> tuple[int, int, int]:
    """Return Σ dᵏ over nodes for k = 1, 2, 3: number, sum and sum of squares of the degree over interactions; exact."""
    # A million interactions cubed times a million users exceeds 64 bits; different values are few.
    values, counts = np.unique(_whole(checked(degrees)), return_counts=True)
    degrees, numbers = values.astype(object), counts.astype(object)
    first, second, third = (int(np.dot(numbers, degrees**power)) for power in (1, 2, 3))
    return first, second, third
