"""How many directions of taste survive the noise: known from sizes alone, before any budget is spent."""

import math
from dataclasses import dataclass

from fractalrs.errors import InputError
from fractalrs.privacy.mechanisms import SELECTING, affordable
from fractalrs.words import PrivacyUnit

SHARES = {"activity": 0.05, "popularity": 0.35, "pairs": 0.50, "tastes": 0.10}
"""How the budget is divided: pairs of items are by far the most numbers and say the most; popularity has the largest
sensitivity, a whole clipped history; activity and tastes are few numbers of many users each. Without directions
activity and popularity have all of it."""
PAIRED_ITEMS = 2_000
"""So many items, the most popular, have their pairs counted: noise grows with the root of their number, and drawing it
takes about 12 µs a pair."""
LEAST_DIRECTIONS = 4
"""With fewer that survive, a base is refused: tastes would be noise."""
LEAST_USERS = 1_000
"""With fewer, even activity is noise."""
EDGE = 1.1
"""A direction survives if it stands out from the largest that noise alone makes by so much."""


@dataclass(frozen=True)
class Forecast:
    """What a private base will have, before it is made.

    Attributes
    ----------
    users, items, interactions, epsilon, delta, unit, directions, secret_catalogue
        What was asked for.
    rho
        The budget in zero-concentrated differential privacy.
    noise
        Standard deviation of the noise on the count of a pair of items, where a user's whole history counts 1.
    surviving
        About how many of the directions will stand out from the noise.
    """

    users: int
    items: int
    interactions: int
    epsilon: float
    delta: float
    unit: PrivacyUnit
    directions: int
    rho: float
    noise: float
    surviving: int
    secret_catalogue: bool = False

    @property
    def words(self) -> str:
        """It in one sentence."""
        selecting = f", {SELECTING:.0%} of delta to select items" if self.secret_catalogue else ""
        return (
            f"epsilon {self.epsilon:g}, delta {self.delta:g} for each {self.unit}{selecting}: about "
            f"{self.surviving} of {self.directions} directions of taste will survive the noise"
        )


def forecast(
    users: int,
    items: int,
    interactions: int,
    epsilon: float,
    delta: float = 1e-6,
    unit: PrivacyUnit = "user",
    directions: int = 16,
    *,
    secret_catalogue: bool = False,
) -> Forecast:
    """Return how many directions of taste will survive in data of this size.

    The noise follows from ε, δ and the number of items; to select those of a secret catalogue costs half of δ. What it
    has to be compared with is assumed, not looked up: of the squared length of a user's row of d interactions,
    direction k has 0.05 · d / (d + 25) · k^−0.8, about as in samples of `sample_interactions` from 20 to 166
    interactions a user. Real data may have more or less.

    Examples
    --------
    >>> [forecast(users, 3_700, 133 * users, 4.0).surviving for users in (60_000, 6_000, 600)]
    [16, 2, 0]
    """
    left = delta * (1 - SELECTING) if secret_catalogue else delta
    rho = affordable(epsilon, left) if math.isfinite(epsilon) else math.inf
    noise = 1 / math.sqrt(2 * rho * SHARES["pairs"]) if math.isfinite(rho) else 0.0
    each = interactions / max(users, 1)
    # A user's pairs count √2 over the number of their interactions, or 1 over the root of it.
    counted = users * (math.sqrt(2) if unit == "user" else math.sqrt(each))
    edge = EDGE * 2 * noise * math.sqrt(min(items, PAIRED_ITEMS))
    shares = [0.05 * each / (each + 25) * k**-0.8 for k in range(1, directions + 1)]
    surviving = sum(counted * share > edge for share in shares)
    return Forecast(
        users, items, interactions, epsilon, delta, unit, directions, rho, noise, surviving, secret_catalogue
    )


def check_forecast(found: Forecast) -> None:
    """Refuse data that is too small for the budget, before any of it is spent."""
    if math.isinf(found.epsilon):
        return
    if found.delta * found.users >= 1:
        most = 10.0 ** -math.ceil(math.log10(10 * found.users))
        raise InputError(
            f"delta is {found.delta:g} for {found.users:,} users: one of them might be given away whole",
            hint=f"delta must be below one over the number of users: {most:g}, say",
        )
    if found.users < LEAST_USERS:
        message = f"{found.users:,} users are too few for a private base; it takes {LEAST_USERS:,} at least"
        raise InputError(message, hint="give more users, or leave epsilon out and keep the data at home")
    if found.directions and found.surviving < min(LEAST_DIRECTIONS, found.directions):
        raise InputError(
            f"{found.words}; with fewer than {LEAST_DIRECTIONS} the base would be noise. Nothing was spent",
            hint=_advice(found),
        )


def _advice(found: Forecast) -> str:
    """Say with what it would be enough, having tried."""

    def enough(users: int, epsilon: float) -> bool:
        each = found.interactions / found.users
        sizes, asked = (users, found.items, int(users * each)), (found.delta, found.unit, found.directions)
        tried = forecast(*sizes, epsilon, *asked, secret_catalogue=found.secret_catalogue)
        return tried.surviving >= min(LEAST_DIRECTIONS, found.directions)

    users = next((found.users * k for k in range(2, 101) if enough(found.users * k, found.epsilon)), None)
    epsilon = next((e for e in (2.0, 4.0, 8.0, 16.0) if e > found.epsilon and enough(found.users, e)), None)
    ways = [f"about {users:,} users like these would be enough"] if users else []
    ways += [f"so would epsilon {epsilon:g}"] if epsilon else []
    return ", ".join([*ways, "in Python directions=0 keeps popularity and activity alone"])
