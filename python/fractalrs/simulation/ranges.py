"""What worlds are drawn over: by name a range, some choices or a fixed value."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import numpy as np

from fractalrs.errors import InputError
from fractalrs.simulation.model import DIMENSIONS

Over = tuple[float, float] | list[float] | float
"""A range, some choices, or one value."""
Scale = Literal["straight", "logarithmic", "whole"]


@dataclass(frozen=True)
class Quantity:
    """A number of a world: how it is drawn from a range, and what it can be."""

    realistic: Over
    unrealistic: Over
    least: float
    most: float
    scale: Scale = "straight"

    def draw(self, over: Over, random: Random) -> float:
        """Draw a value: from a range evenly on its scale, from choices each alike."""
        share = random.random()
        if isinstance(over, list):
            return over[int(share * len(over))]
        if not isinstance(over, tuple):
            return over
        low, high = over
        if self.scale == "logarithmic":
            # Curves are made once for each size, so sizes are few: four in an octave.
            octaves = math.log2(low) + share * math.log2(high / low)
            return min(max(round(2 ** (round(4 * octaves) / 4)), math.ceil(low)), math.floor(high))
        return (
            int(low) + int(share * (int(high) - int(low) + 1)) if self.scale == "whole" else low + share * (high - low)
        )


QUANTITIES = {
    "users": Quantity((256, 4_096), (32, 8_192), 2, 1 << 30, "logarithmic"),
    "items": Quantity((256, 8_192), (32, 32_768), 3, 1 << 30, "logarithmic"),
    "exposures": Quantity((16, 512), (8, 1_024), 1, 1 << 20, "logarithmic"),
    "activity": Quantity((0.6, 1.5), (0.0, 3.0), 0.0, 5.0),
    "popularity": Quantity((0.8, 2.5), (0.0, 4.0), 0.0, 5.0),
    "level": Quantity((-4.5, -0.5), (-8.0, 2.0), -10.0, 10.0),
    "appeal": Quantity((0.1, 0.8), (0.0, 3.0), 0.0, 10.0),
    "taste": Quantity((0.5, 5.0), (0.0, 10.0), 0.0, 10.0),
    "dimensions": Quantity((4, DIMENSIONS), (1, DIMENSIONS), 1, DIMENSIONS, "whole"),
    "groups": Quantity((0.3, 0.9), (0.0, 1.0), 0.0, 1.0),
    "branching": Quantity((2, 6), (1, 12), 1, 100, "whole"),
    "exposure": Quantity((0.3, 1.2), (0.0, 3.0), 0.0, 10.0),
    "drift": Quantity((0.0, 0.3), (0.0, 1.0), 0.0, 1.0),
    "noise": Quantity((0.0, 0.1), (0.0, 0.9), 0.0, 1.0),
}
"""All that worlds differ in."""
SETS = ("realistic", "unrealistic")


def resolved(over: str | Mapping[str, Any]) -> dict[str, Over]:
    """Return what each quantity is drawn over: a named set of ranges, or the realistic ones but for some.

    Examples
    --------
    >>> resolved({"noise": 0.0, "taste": (1.0, 1.5)})["taste"], resolved("unrealistic")["noise"]
    ((1.0, 1.5), (0.0, 0.9))
    """
    if isinstance(over, str):
        if over not in SETS:
            raise InputError(f"over is {over!r}", hint=f"give one of {', '.join(SETS)}, or ranges by name")
        return {name: getattr(quantity, over) for name, quantity in QUANTITIES.items()}
    if not isinstance(over, Mapping):
        raise InputError(f"over is {over!r}; it must be a name, or ranges by name")
    for name in over:
        if name not in QUANTITIES:
            near = difflib.get_close_matches(str(name), QUANTITIES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(QUANTITIES)}"
            raise InputError(f"over has {name!r}, in which worlds do not differ", hint=hint)
    return {**resolved("realistic"), **{name: _checked(name, value) for name, value in over.items()}}


def _checked(name: str, given: Any) -> Over:
    quantity = QUANTITIES[name]
    values = list(given) if isinstance(given, list | tuple | range) else [given]
    whole = quantity.scale != "straight"
    for value in values:
        kinds = int | np.integer if whole else int | float | np.integer | np.floating
        if isinstance(value, bool) or not isinstance(value, kinds) or not quantity.least <= value <= quantity.most:
            what = "whole numbers" if whole else "numbers"
            raise InputError(
                f"{name} is drawn over {given!r}; it must be {what} from {quantity.least:g} to {quantity.most:g}",
                hint="give a range (low, high), a list of choices, or one value",
            )
    if isinstance(given, tuple) and (len(values) != 2 or values[0] > values[1]):
        raise InputError(f"{name} is drawn over {given!r}", hint="a range is (low, high); choices are a list")
    if not values:
        raise InputError(f"{name} is drawn over nothing", hint="give at least one choice")
    numbers = [int(value) if whole else float(value) for value in values]
    if isinstance(given, tuple):
        return numbers[0], numbers[1]
    return numbers if isinstance(given, list | range) else numbers[0]
