"""Options of a recipe that put a private base in the place of the real one."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from fractalrs.errors import InputError
from fractalrs.expansion import Group, option
from fractalrs.privacy import DELTA, check_budget
from fractalrs.words import PrivacyUnit

PROTECTION = ("epsilon", "delta", "privacy_unit", "secret_catalogue")
"""They, which a plan names where they are given."""


@dataclass(frozen=True, init=False, repr=False)
class Protection:
    """Whether the base is a private one."""

    epsilon: float | None = option(
        None,
        "Expand a private base instead: drawn from noisy counts of the source, and (epsilon, delta)-differentially "
        "private. 1 to 8 are usual; it needs some thousands of users (--dry-run tells). docs/private-base.md.",
        Group.PRIVACY,
        value="NUMBER",
        within=lambda epsilon: epsilon > 0,
        words="a number above 0",
        unset="none: the real base",
    )
    delta: float = option(
        DELTA,
        "With it; below one over the number of users.",
        Group.PRIVACY,
        value="NUMBER",
        within=lambda delta: 0 < delta < 1,
        words="a number above 0, far below 1",
    )
    privacy_unit: PrivacyUnit = option(
        "user", "What is hidden: a user with everything they did, or one interaction.", Group.PRIVACY
    )
    secret_catalogue: bool = option(
        False,
        "The list of items is secret too: only those that enough users have are released, and half of delta is spent "
        "on choosing them.",
        Group.PRIVACY,
    )

    def check_protection(self, carried: dict[str, Any], split: str) -> None:
        """Refuse what would carry real data past a private base: options by their names, with what they are set to."""
        if self.epsilon is None:
            if (self.delta, self.privacy_unit, self.secret_catalogue) != (DELTA, "user", False):
                raise InputError(
                    "epsilon is missing: a delta, a privacy unit or a secret catalogue says nothing without",
                    hint="give it too",
                )
            return
        check_budget(self.epsilon, self.delta, self.privacy_unit)
        if not isfinite(self.epsilon):
            raise InputError(f"epsilon is {self.epsilon}: no promise", hint="leave it out, or give a number")
        found = [name for name, value in carried.items() if value]
        if found:
            raise InputError(
                f"epsilon is given, and {', '.join(found)} would carry real data past the private base",
                hint="leave one of them out",
            )
        if split in ("last", "time"):
            raise InputError(
                f"split is {split!r}, but a private base has no timestamps", hint="choose random, users or none"
            )
