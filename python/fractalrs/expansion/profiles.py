"""Profiles: named defaults."""

from dataclasses import dataclass

from fractalrs.errors import InputError
from fractalrs.words import Order, TestItems, Ties, Variant


@dataclass(frozen=True)
class Profile:
    """Named defaults; an explicit option wins, except for the variant of Algorithm 3, which has none."""

    shuffle: str
    ties: Ties
    min_timestamps: int | None = None
    test_items: TestItems = "all"
    drop_incomplete: bool = False
    order: Order = "block"
    variant: Variant = "paper"


PROFILES = {
    "realistic": Profile("cells", "last"),
    "paper": Profile("block", "all"),
    "traceable": Profile("aligned", "last"),
    # The choices of the program that was published with the paper: docs/reference.md.
    "reference": Profile("block", "all", 3, "one", True, "item", "reference"),
}
DEFAULT_PROFILE = "realistic"


def profile_named(name: str) -> Profile:
    """Return the profile of a name.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> profile_named("paper").shuffle
    'block'
    """
    if not isinstance(name, str) or name not in PROFILES:
        raise InputError(f"unknown profile {name!r}", hint=f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
