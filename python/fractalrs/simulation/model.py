"""The model of a world: a few numbers, and the whole numbers that the core makes a world of."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fractalrs.errors import InputError
from fractalrs.simulation.curves import activity, logits, pauses, weights
from fractalrs.simulation.policies import Policy
from fractalrs.simulation.world import World

DIMENSIONS = 16
_UNIT = 384
"""A scale of 1 in the core's units."""
_LARGEST_SCALE = 8_192 / _UNIT
_MEASURED_USERS, _TRIES, _NEAR = 20_000, 12, 0.0005
"""The response rate is measured on so many users, until interactions are so near to what is wanted, or so often."""


def _falling_scales() -> tuple[float, ...]:
    # Square roots are correctly rounded everywhere.
    return tuple(0.9 / math.sqrt(k) for k in range(1, DIMENSIONS + 1))


@dataclass(frozen=True)
class Model:
    """What a world is made of, beside its policy.

    Attributes
    ----------
    users, items
        How many.
    activity, popularity
        Standard deviations of the logarithm of users' exposures, and of items' popularity: how fat the tails are.
    level, appeal
        The logit of the preference for an item of middle popularity at no agreement of tastes, and by how much it
        rises with the logarithm of popularity.
    tastes
        How much agreement along each of 16 dimensions of taste counts, in logits.
    branching, shares
        Each group of users, or of items, has so many groups; shares of variance of the levels and of one's own taste.
    start, arrivals, pauses
        Users arrive from `start` (seconds since 1970) on, for `arrivals` seconds; `pauses` are equally likely
        stretches of time between one response and the next.
    """

    users: int
    items: int
    activity: float = 1.0
    popularity: float = 1.2
    level: float = -1.0
    appeal: float = 0.4
    tastes: tuple[float, ...] = _falling_scales()
    branching: int = 4
    shares: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)
    start: int = 1_420_070_400
    arrivals: int = 5 * 365 * 86_400
    pauses: tuple[int, ...] = tuple(pauses(30, 5 * 86_400, 0.025))

    def with_taste(self, factor: float) -> "Model":
        """Return one in which tastes count so many times as much."""
        return replace(self, tastes=tuple(factor * scale for scale in self.tastes))

    def spec(self, seed: int, exponent: float, examination: tuple[int, ...], exposures: int) -> dict[str, Any]:
        """Return what the core makes a world of."""
        return {
            "seed": seed % 2**64,
            "users": self.users,
            "items": self.items,
            "branching": self.branching,
            "shares": [round(256 * math.sqrt(share)) for share in self.shares],
            "scales": [round(_UNIT * min(scale, _LARGEST_SCALE)) for scale in self.tastes],
            "appeal": logits(self.items, self.level, self.appeal * self.popularity),
            "weights": weights(self.items, exponent * self.popularity),
            "activity": activity(self.users, exposures, self.activity, self.items - 1),
            "examination": list(examination),
            "start": self.start,
            "arrivals": self.arrivals,
            "pauses": list(self.pauses),
        }


@dataclass(frozen=True)
class Logging:
    """How a world logs: seed, policy and slates."""

    seed: int
    name: str
    exponent: float | None
    policy: Policy | None
    examination: tuple[int, ...]

    def world(self, model: Model, exposures: int) -> World:
        """Return the world of a model with so many exposures."""
        spec = model.spec(self.seed, self.exponent or 0.0, self.examination, exposures)
        return World(spec, self.policy, self.name)

    def world_of(self, model: Model, interactions: int, exposures: int | None = None) -> World:
        """Return the world of a model that logs about so many responses; refuse more than can be."""
        most = model.users * (model.items - 1)
        tried = min(exposures or 4 * interactions, most)
        for _ in range(_TRIES):
            world = self.world(model, tried)
            rate = response_rate(world)
            wanted = min(most, max(1, round(interactions / rate))) if rate > 0 else most
            if abs(wanted - tried) <= _NEAR * tried:
                break
            tried = wanted
        if rate * most < interactions * (1 - 2 * _NEAR) or rate == 0:
            raise InputError(
                f"{interactions:,} interactions cannot be met: with everything shown to everybody there are about "
                f"{int(rate * most):,}",
                hint="simulate fewer interactions, or more users or items",
            )
        return world


def response_rate(world: World, threads: int | None = None) -> float:
    """Return the share of exposures that are responded to, by some users of a round."""
    users = (0, min(world.shape[0], _MEASURED_USERS))
    responses, exposures = 0, 0
    for batch in world.observations(users=users, columns=["response"], threads=threads):
        responses, exposures = responses + batch["response"].true_count, exposures + len(batch)
    return responses / max(1, exposures)


def changed(model: Model, values: Mapping[str, Any]) -> Model:
    """Return a model with some values that were given in place of its own."""
    return replace(model, **{name: value for name, value in values.items() if value is not None})
