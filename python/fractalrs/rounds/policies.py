"""Policies that learn: what shows slates in a round, made of what the rounds before have logged."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fractalrs.errors import InputError
from fractalrs.models import FAMILIES, Floats, Integers, Recommender, Scores, as_recommender, installed_families
from fractalrs.rounds.past import Past
from fractalrs.simulation import World

RANDOM, THOMPSON = "random", "Thompson"
NAMES = (RANDOM, THOMPSON, *FAMILIES)
"""Policies that have names."""
_DRAWS = 64
"""Thompson's users each get one of so many draws from what is believed of items."""

Rows = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]
Shown = tuple[npt.NDArray[np.uint32], Floats | None]
"""Slates, and the probability of each item in them where the policy draws it."""
OfPast = Callable[[Past], Callable[[Integers], npt.ArrayLike]]
"""Takes what is known, and returns what takes ids of users, int64 (users,), and returns slates: (users, slate)."""


class Recommends(Protocol):
    """A model of others: it learns from a matrix, and lists items for its rows."""

    def fit(self, train: Any, /) -> Any:
        """Learn."""
        ...

    def recommend(self, users: Any, k: int, /) -> Any:
        """Return k items for each user."""
        ...


@dataclass(frozen=True)
class Place:
    """Where slates are shown: a world, a round of a seed, and so many items together."""

    world: World
    seed: int
    round: int
    slate: int


class Showing(Protocol):
    """A policy that has learnt: what it shows in a round."""

    def slates(self, place: Place, together: Integers, users: Integers, seen: Rows) -> Shown:
        """Return slates of users, who are some of those that are always looked at together."""
        ...

    def scores(self, users: Integers) -> Floats | None:
        """Return how it scores all items for users; None where it does not score."""
        ...


@dataclass(frozen=True)
class Scoring:
    """Shows the items of the highest scores."""

    of_users: Scores

    def slates(self, place: Place, together: Integers, users: Integers, seen: Rows) -> Shown:
        """Return the items of the highest scores."""
        # Products of matrices round by the shape: who is looked at together is always the same.
        scores = self._checked(place.world.shape[1], together)[users - together[0]]
        return place.world.core.top(scores.ravel(), place.slate, seen), None

    def scores(self, users: Integers) -> Floats | None:
        """Return the scores."""
        return np.asarray(self.of_users(users), np.float64)

    def _checked(self, items: int, users: Integers) -> Floats:
        scores = np.asarray(self.of_users(users))
        if scores.shape != (len(users), items) or scores.dtype.kind not in "fiu":
            raise InputError(
                f"the policy scored {len(users)} users and {items} items by {scores.dtype} of shape {scores.shape}",
                hint=f"return a number for each user and item: shape ({len(users)}, {items})",
            )
        if scores.dtype.kind == "f" and not (finite := np.isfinite(scores)).all():
            row, item = np.argwhere(~finite)[0]
            raise InputError(
                f"the policy scored item {item} for user {users[row]} by {scores[row, item]}, which is not finite",
                hint="for what is not to be shown give a low finite number, or once=True",
            )
        return np.ascontiguousarray(scores, np.float64)


@dataclass(frozen=True)
class Ordering:
    """Shows the first items of one of some orders, any of them to each user."""

    orders: npt.NDArray[np.uint32]
    beliefs: Floats | None = None

    def slates(self, place: Place, together: Integers, users: Integers, seen: Rows) -> Shown:  # noqa: ARG002
        """Return the first items of an order."""
        return place.world.core.first_of_orders(
            users.astype(np.uint32),
            self.orders.ravel(),
            self.orders.shape[1],
            slate=place.slate,
            seed=place.seed,
            round=place.round,
            seen=seen,
        )

    def scores(self, users: Integers) -> Floats | None:
        """Return what is believed of items, the same for all users."""
        return None if self.beliefs is None else np.tile(self.beliefs, (len(users), 1))


@dataclass(frozen=True)
class Listing:
    """Shows what a function returns."""

    of_users: Callable[[Integers], npt.ArrayLike]

    def slates(self, place: Place, together: Integers, users: Integers, seen: Rows) -> Shown:  # noqa: ARG002
        """Return what the function returns; refuse what are no slates."""
        returned = self.of_users(together)
        try:
            found = np.asarray(returned)
        except ValueError:
            # Of lists of different length.
            found = np.empty(0, object)
        return _checked_slates(found, together, place)[users - together[0]].ravel().astype(np.uint32), None

    def scores(self, users: Integers) -> Floats | None:  # noqa: ARG002
        """Return nothing: it lists items."""
        return None


def _checked_slates(found: npt.NDArray[Any], users: Integers, place: Place) -> npt.NDArray[Any]:
    """Return slates that a policy has returned; refuse unknown items, other shapes, NaN and items twice in a slate."""
    wanted, items = (len(users), place.slate), place.world.shape[1]
    if found.shape != wanted:
        raise InputError(
            f"the policy returned the shape {found.shape} for {len(users)} users and slates of {place.slate} items",
            hint=f"return {place.slate} items for each user: shape {wanted}",
        )
    if found.dtype.kind == "f" and np.isnan(found).any():
        user = users[np.isnan(found).any(axis=1)][0]
        raise InputError(f"the policy returned NaN in the slate of user {user}", hint="return an item in each place")
    if found.dtype.kind not in "iu":
        raise InputError(f"the policy returned {found.dtype}; items must be whole numbers from 0 to {items - 1}")
    unknown = (found < 0) | (found >= items)
    if unknown.any():
        row, place_of = np.argwhere(unknown)[0]
        raise InputError(
            f"the policy shows user {users[row]} item {found[row, place_of]}; there are 0 to {items - 1}",
            hint="items are columns of past.responses",
        )
    twice = (np.diff(np.sort(found, axis=1), axis=1) == 0).any(axis=1)
    if twice.any():
        message = f"the policy shows user {users[twice][0]} an item twice in one slate"
        raise InputError(message, hint="return different items for each user")
    return found


@dataclass(frozen=True)
class Policy:
    """A policy by its name, and what makes what it shows of what is known."""

    name: str
    settings: str
    learn: Callable[[Past, Place], Showing]
    lists: bool = False
    """Whether it is a function, which decides for itself whether items are shown again."""
    foreign: bool = False
    """Whether code of others is called, perhaps not by several threads at once."""


def policy_of(value: Any, world: World, slate: int) -> Policy:
    """Return a policy by its name, a model, or a function of the past; refuse what is none.

    Examples
    --------
    >>> import fractalrs as fr
    >>> policy_of("SVD", fr.simulate(60, 40, 600), 5).settings
    'TruncatedSVD(rank=12, seed=0)'
    """
    if isinstance(value, type) and callable(getattr(value, "fit", None)):
        raise InputError(f"{value.__name__} is a class", hint=f"give {value.__name__}(), not {value.__name__}")
    if isinstance(value, str) and value == RANDOM:
        return Policy(RANDOM, RANDOM, lambda _, place: any_items(place))
    if isinstance(value, str) and value == THOMPSON:
        return Policy(THOMPSON, f"{THOMPSON}, {_DRAWS} draws", thompson)
    if isinstance(value, str) and value in FAMILIES:
        if value not in installed_families():
            raise InputError(f"{value} needs implicit, which is not installed", hint='pip install "fractalrs[models]"')
        return _of_model(value, FAMILIES[value][0], world, repr(FAMILIES[value][0]))
    if isinstance(value, Recommender) or callable(getattr(value, "fit", None)):
        # Lists have nothing that a user is known to have responded to, so a slate of them is enough.
        return _of_model(type(value).__name__, as_recommender(value, slate), world, _written(value))
    if callable(value):
        name = getattr(value, "__qualname__", type(value).__name__)
        return Policy(
            name, f"function {name}", lambda past, _: Listing(_of_users(value(past))), lists=True, foreign=True
        )
    raise InputError(
        f"policy is {value!r}",
        hint=f"give one of {', '.join(NAMES)}, a model, or a function of the past that returns a function of users",
    )


def any_items(place: Place) -> Showing:
    """Return what shows any order, which is good where something else is tried in all places.

    Examples
    --------
    >>> import fractalrs as fr
    >>> any_items(Place(fr.simulate(60, 40, 600), 0, 0, 5)).scores(np.arange(3))
    """
    return Ordering(np.arange(place.world.shape[1], dtype=np.uint32)[None])


def thompson(past: Past, place: Place) -> Showing:
    """Draw orders from what is believed of items: Beta(1 + responses, 1 + exposures without one) for each.

    Examples
    --------
    >>> import fractalrs as fr, scipy.sparse as sp
    >>> past = Past(0, sp.csr_array((60, 40)), np.zeros(40, int), np.zeros(40, int))
    >>> thompson(past, Place(fr.simulate(60, 40, 600), 0, 0, 5)).orders.shape
    (64, 5)
    """
    # A text: lists of numbers that differ may begin the same draws.
    random = np.random.default_rng(Random(f"{place.seed} {place.world.seed} {place.round} Thompson").getrandbits(128))
    good, bad = 1 + past.responded, 1 + past.shown - past.responded
    most = int(np.diff(past.responses.indptr).max(initial=0))
    length = min(place.world.shape[1], place.slate + most)
    orders = [np.argsort(-random.beta(good, bad), kind="stable")[:length] for _ in range(_DRAWS)]
    return Ordering(np.array(orders, np.uint32), good / (good + bad))


def _written(model: Any) -> str:
    """Return what a model is, without the place in memory that objects are written with."""
    text = repr(model)
    return type(model).__qualname__ if " object at 0x" in text else text


def _of_model(name: str, model: Recommender, world: World, settings: str) -> Policy:
    if not model.takes(world.shape):
        users, items = world.shape
        raise InputError(f"{name} does not take {users:,} users and {items:,} items", hint="choose another policy")
    own = any(type(model) is type(one) for family in FAMILIES.values() for one in family)

    def learn(past: Past, _: Place) -> Scoring:
        found = model.fit(past.responses)
        if not callable(found):
            raise InputError(
                f"{name}.fit returned {type(found).__name__}, which scores nothing",
                hint="return a function of ids of users that returns scores of all items: shape (users, items)",
            )
        return Scoring(found)

    return Policy(name, settings, learn, foreign=not own)


def _of_users(found: Any) -> Callable[[Integers], npt.ArrayLike]:
    if not callable(found):
        raise InputError(
            f"the policy returned {type(found).__name__} for the past; it must return a function of ids of users",
            hint="def policy(past): return lambda users: slates",
        )
    return found  # type: ignore[no-any-return]
