"""Logging policies: which items users are shown, each as a weight of every item for every user."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.simulation.ids import spread
from fractalrs.tools import Shown, check_kind, checked_ids

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.uint64]

OfUsers = Callable[[Integers], npt.ArrayLike]
"""Takes ids of users, int64 (users,), and returns a number for each of them and every item: (users, items)."""

UNIT = float(1 << 39)
"""Weights of a user add up to about so much."""
_ROUNDING = 1e-6
_STEEPEST = 10


class Policy(Protocol):
    """What shows items to users: in proportion to weights, and none more than once in a round."""

    def weights(self, users: Integers, exposures: Integers, items: int) -> Weights:
        """Return a weight of each item for each user, who has so many exposures: uint64, shape (users, items)."""
        ...


@dataclass(frozen=True)
class OwnPolicy:
    """The policy that a function of users is: what it returns is how an item is weighed."""

    function: OfUsers

    def weights(self, users: Integers, exposures: Integers, items: int) -> Weights:
        """Return weights in proportion to what the function returns."""
        given = matrix_of("the policy", self.function, users, items)
        with np.errstate(over="ignore"):
            sums = given.sum(axis=1)
        if not np.isfinite(sums).all():
            raise InputError("the policy gives weights that add up to more than a number can be", "return smaller ones")
        if np.any(given < 0) or np.any(sums <= 0):
            user = users[np.flatnonzero((given < 0).any(axis=1) | (sums <= 0))[0]]
            message = f"the policy gives user {user} a negative weight, or no item any"
            raise InputError(message, hint="return weights from 0 up, and one above for each user")
        return _counted(given / sums[:, None], given > 0, users, exposures)


@dataclass(frozen=True, repr=False)
class EpsilonGreedy(Shown):
    """Show each user the items that a model scores highest, and with probability ε another one in an item's place.

    Of a user's n exposures in a round, the n items of the highest scores are shown with probability 1 − ε each, and
    every other one of q items with ε n / (q − n); all alike with n / q, where that is more than 1 − ε.

    Parameters
    ----------
    scores
        Takes ids of users, int64 (users,), and returns a score of every item for each: (users, items). Equal scores
        stand in the order of items.
    epsilon
        Above 0, so that every item has a chance, of no less than about n 2⁻³⁹; at most 1.

    Raises
    ------
    InputError
        If `scores` is no function or `epsilon` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import fractalrs as fr
    >>> by_number = fr.EpsilonGreedy(lambda users: np.tile(-np.arange(40.0), (len(users), 1)), epsilon=0.2)
    >>> world = fr.simulate(600, 40, 600, policy=by_number)
    >>> int(world.exposures(1)), world.propensity(1, [0, 1, 39]).round(3).tolist()
    (1, [0.8, 0.005, 0.005])
    """

    scores: OfUsers
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        if not callable(self.scores):
            raise InputError(f"scores is {self.scores!r}; it must be a function of ids of users")
        check_share("epsilon", self.epsilon)

    def weights(self, users: Integers, exposures: Integers, items: int) -> Weights:
        """Return the probabilities, as whole numbers."""
        order = np.argsort(-matrix_of("scores", self.scores, users, items), axis=1, kind="stable")
        places = np.empty_like(order)
        np.put_along_axis(places, order, np.arange(items)[None], axis=1)
        n = exposures[:, None]
        shown = np.maximum(1 - self.epsilon, n / items)
        most = shown / np.maximum(n, 1)
        least = (1 - shown) / np.maximum(items - n, 1)
        return _counted(np.where(places < n, most, least), np.ones_like(places, dtype=bool), users, exposures)


def policy_of(value: Any) -> tuple[str, float | None, Policy | None]:
    """Return the name of a policy, the exponent of popularity if it is one, and what weighs items for users if not.

    Examples
    --------
    >>> policy_of("popularity^0.5")
    ('popularity^0.5', 0.5, None)
    """
    if isinstance(value, str):
        name, raised, power = value.partition("^")
        if value == "uniform":
            return value, 0.0, None
        try:
            exponent = float(power) if raised else 1.0
        except ValueError:
            exponent = np.nan
        if name == "popularity" and 0 <= exponent <= _STEEPEST:
            return value, exponent, None
    elif isinstance(value, EpsilonGreedy):
        return f"{value.epsilon:g}-greedy", None, value
    elif callable(value):
        return "own", None, OwnPolicy(value)
    raise InputError(
        f"policy is {value!r}",
        hint="give 'uniform', 'popularity', 'popularity^0.5' (a power from 0 to 10), an EpsilonGreedy, or a function "
        "of ids of users that returns a weight of every item for each",
    )


def checked_chances(function: OfUsers, users: Integers, items: int) -> Floats:
    """Return the probabilities with which a policy shows each item to users; refuse those that are none."""
    chances = matrix_of("the policy", function, users, items)
    if np.any(chances < 0) or np.any(chances > 1 + _ROUNDING):
        row, item = np.argwhere((chances < 0) | (chances > 1 + _ROUNDING))[0]
        value = chances[row, item]
        message = f"the policy shows user {users[row]} item {item} with probability {value:g}, which is none"
        raise InputError(message, hint="return numbers from 0 to 1")
    sums = chances.sum(axis=1)
    size = float(np.rint(sums[0]))
    if size < 1 or np.any(np.abs(sums - size) > _ROUNDING * size):
        row = int(np.argmax(np.abs(sums - max(size, 1.0))))
        raise InputError(
            f"the probabilities of user {users[row]} add up to {sums[row]:g}",
            hint="those of each user add up to the number of items in a slate, the same for all: 1 for a single item",
        )
    return chances


def value_of(
    policy: OfUsers,
    users: npt.ArrayLike | None,
    shape: tuple[int, int],
    at_once: int,
    liked: Callable[[Integers, Floats], float],
) -> float:
    """Return how many of the items that a policy shows a user are liked, in the mean over users, or a sample of them.

    `liked` is their number, expected, of some users and the probabilities with which they are shown each item.
    """
    count, items = shape
    ids = spread(count) if users is None else checked_ids("users", users, count).ravel()
    if not len(ids):
        raise InputError("users are none", hint="give at least one, or leave them out for some of all")
    total = 0.0
    for start in range(0, len(ids), at_once):
        rows = ids[start : start + at_once].astype(np.int64)
        total += liked(rows, checked_chances(policy, rows, items))
    return total / len(ids)


def matrix_of(what: str, function: OfUsers, users: Integers, items: int) -> Floats:
    """Return what a function gives for users and every item; refuse what has another shape or is no number."""
    check_kind(what, function, Callable, "a function of ids of users")  # type: ignore[arg-type]
    given = np.asarray(function(users))
    if given.shape != (len(users), items):
        raise InputError(
            f"{what} returned the shape {given.shape} for {len(users)} users and {items} items",
            hint=f"return a number for each user and item: shape ({len(users)}, {items})",
        )
    if given.dtype.kind not in "fiub" or not np.isfinite(given).all():
        bad = "no numbers" if given.dtype.kind not in "fiub" else "numbers that are not finite"
        raise InputError(f"{what} returned {bad}", hint="return a finite number for each user and item")
    return given.astype(np.float64)


def check_share(name: str, value: Any, least: float = 0.0) -> None:
    """Refuse what is no probability above a least one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least < value <= 1:
        raise InputError(f"{name} is {value!r}; it must be above {least:g} and at most 1")


def _counted(shares: Floats, some: npt.NDArray[np.bool_], users: Integers, exposures: Integers) -> Weights:
    """Return shares as whole numbers, 1 at least where there are some; refuse fewer items than exposures."""
    whole: Weights = np.where(some, np.maximum(np.floor(shares * UNIT), 1), 0).astype(np.uint64)
    few = np.flatnonzero(np.count_nonzero(whole, axis=1) < exposures)
    if len(few):
        row = few[0]
        items = int(np.count_nonzero(whole[row]))
        raise InputError(
            f"user {users[row]} has {exposures[row]} exposures, and the policy gives {items} items a chance",
            hint="give more items some weight, or simulate fewer interactions",
        )
    return whole
