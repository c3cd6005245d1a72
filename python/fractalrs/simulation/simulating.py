"""Simulating: from a few numbers, or from real interactions, to a world."""

from typing import Any

import numpy as np

from fractalrs.errors import InputError
from fractalrs.simulation.curves import power
from fractalrs.simulation.fitting import fitted, moments_of
from fractalrs.simulation.model import Logging, Model, changed
from fractalrs.simulation.policies import EpsilonGreedy, OfUsers, policy_of
from fractalrs.simulation.world import World
from fractalrs.tools import check_count, suggests

USERS, ITEMS, INTERACTIONS = 943, 1_682, 100_000
_STEEPEST = 10.0
_LOOKED_AT = 1 << 32


@suggests
def simulate(
    users: int | None = None,
    items: int | None = None,
    interactions: int | None = None,
    seed: int = 0,
    *,
    policy: str | EpsilonGreedy | OfUsers = "popularity",
    slate: int = 1,
    position_bias: float = 0.0,
    fit: Any = None,
    activity: float | None = None,
    popularity: float | None = None,
    level: float | None = None,
    appeal: float | None = None,
    taste: float = 1.0,
) -> World:
    """Return a world: users whose true preferences are known, and a logging policy with exact propensities.

    Parameters
    ----------
    users, items, interactions
        Sizes: of the world, and about how many responses a round logs. By default 943, 1,682 and 100,000, or those of
        `fit`. With `fit`, `users` and `items` are those who respond and are responded to: the world has more, who
        are shown items and respond to none, or are shown to nobody who likes them.
    seed
        Same seed and numbers: same world, and same log, bit for bit.
    policy
        What is shown. ``"uniform"``: every item alike. ``"popularity"``, ``"popularity^0.5"``: in proportion to a power
        of popularity. An `EpsilonGreedy`: by the scores of a model of the past. Or a function of ids of users, int64
        (users,), that returns a weight of every item for each: (users, items). No user is shown an item twice in a
        round, so an item is shown in proportion to its weight until that makes it certain.
    slate, position_bias
        How many items are shown together, and how attention falls with the position s = 0, 1, … in the slate: users
        look at it with probability (s + 1)^−bias. A slate has its items by falling weight.
    fit
        Real interactions, anything that `leave_last_out` takes; a base; or what `base_statistics` returns. The
        numbers below are solved so that what is logged has the real size, Gini of both sides, first 16 singular
        ratios and times between interactions.
    activity, popularity
        How fat tails are: standard deviations of the logarithm of users' exposures and of items' popularity; 1.0 and
        1.2 by default.
    level, appeal
        The logit of a preference at middle popularity and no agreement of tastes, −1.0 by default, and by how much it
        rises with the logarithm of popularity: 0.4.
    taste
        How much tastes count, as a factor.

    Returns
    -------
    World
        ``docs/simulation.md`` has the model in formulas.

    Raises
    ------
    InputError
        If a value is out of its range, or what is wanted cannot be met: the nearest is named then.

    Examples
    --------
    >>> world = simulate(60, 40, 600, policy="popularity^0.5", seed=7)
    >>> world
    World(users=60, items=40, exposures=1608, policy='popularity^0.5', seed=7)
    """
    check_count("seed", seed)
    check_count("slate", slate, least=1)
    given = {"activity": activity, "popularity": popularity, "level": level, "appeal": appeal}
    for name, value in {**given, "position_bias": position_bias, "taste": taste}.items():
        _check_number(name, value, least=-_STEEPEST if name == "level" else 0.0)
    seed, slate = int(seed), int(slate)
    sizes = {"users": _size("users", users), "items": _size("items", items)}
    sizes["interactions"] = _size("interactions", interactions)
    name, exponent, own = policy_of(policy)
    logging = Logging(seed, name, exponent, own, _examination(slate, position_bias))
    if fit is not None:
        return _fitted(fit, logging, given, sizes, taste)
    model = changed(Model(sizes["users"] or USERS, sizes["items"] or ITEMS), given)
    _check_slate(slate, model.items)
    return logging.world_of(model.with_taste(taste), sizes["interactions"] or INTERACTIONS)


def _fitted(
    real: Any, logging: Logging, given: dict[str, float | None], sizes: dict[str, int | None], taste: float
) -> World:
    """Return the world that logs what has the real moments, or one of another size with the same numbers."""
    for name in ("activity", "popularity", "level"):
        if given[name] is not None:
            raise InputError(f"{name} is solved by fit, and given too", hint="leave one of the two out")
    moments = moments_of(real)
    _check_slate(len(logging.examination), sizes["items"] or moments.items)
    model, exposures = fitted(moments, logging, changed(Model(moments.users, moments.items), given))
    if not any(sizes.values()) and taste == 1:
        return logging.world(model, exposures)
    # As many more are never seen as of the real size.
    users, items = sizes["users"] or moments.users, sizes["items"] or moments.items
    larger = {"users": round(model.users * users / moments.users), "items": round(model.items * items / moments.items)}
    count = sizes["interactions"] or moments.interactions
    return logging.world_of(changed(model, larger).with_taste(taste), count, exposures)


def _examination(slate: int, bias: float) -> tuple[int, ...]:
    return tuple(int(_LOOKED_AT * power(position + 1, -bias)) for position in range(slate))


def _size(name: str, size: int | None) -> int | None:
    """Return a size as Python's own, if there is one: numpy's count as well, and no file holds them."""
    if size is None:
        return None
    check_count(name, size, least=2)
    return int(size)


def _check_slate(slate: int, items: int) -> None:
    if slate > items:
        message = f"a slate of {slate} items is larger than the catalogue of {items}"
        raise InputError(message, hint=f"show at most {items} at a time, or simulate more items")


def _check_number(name: str, value: Any, least: float) -> None:
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or not least <= value <= _STEEPEST:
        raise InputError(f"{name} is {value!r}; it must be a number from {least:g} to {_STEEPEST:g}")
