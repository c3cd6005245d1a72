"""What a plan knows of the base."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from fractalrs.base import Base, Privacy
from fractalrs.dataset.manifest import plain, texts

_SOMETIMES = ("cuts", "valid", "privacy")
"""What a plan says of the base only where there is something to say."""


@dataclass(frozen=True)
class PlannedBase:
    """What a plan knows of the base: shape, counts, how it was split and where, fingerprint, what went, its promise."""

    users: int
    items: int
    train: int
    test: int
    split: str
    fingerprint: str
    warnings: tuple[str, ...] = ()
    cuts: tuple[int, ...] = ()
    valid: int = 0
    privacy: Privacy | None = None

    @classmethod
    def of(cls, base: Base) -> Self:
        """Return what is known of a base."""
        counts = base.train_count, base.test_count
        held_out = base.cuts, base.valid_count
        return cls(*base.shape, *counts, base.split, base.fingerprint, base.warnings, *held_out, base.privacy)

    def described(self) -> dict[str, Any]:
        """Return its fields, without what it does not have."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value or name not in _SOMETIMES}

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Return what `described` wrote; refuse anything else."""
        base = cls(**content)
        stated = None if base.privacy is None else Privacy.read(content["privacy"])
        base = dataclasses.replace(
            base, warnings=texts("warnings", base.warnings), cuts=_ticks(base.cuts), privacy=stated
        )
        for known in fields(base):
            if known.name not in ("warnings", "cuts", "privacy"):
                plain(vars(base), known.name, known.type, least=0)
        return base


def _ticks(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(type(one) is int for one in value):
        raise ValueError(f"cuts is {value!r}")
    return tuple(value)
