"""What a base promises of the people it was made from: a differential privacy guarantee, and the account of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import fsum
from typing import Any, Self, get_args

from fractalrs.words import PrivacyUnit


@dataclass(frozen=True)
class Query:
    """One question that was put to the real data, and answered with noise.

    Attributes
    ----------
    name, numbers
        What was asked, and how many numbers the answer has.
    sensitivity
        How far the answer moves at most, in the Euclidean norm, where one user (or one interaction) is taken away.
    noise
        Standard deviation of the discrete Gaussian noise on every number, in the same units.
    rho
        What it cost, in zero-concentrated differential privacy: (sensitivity / noise)² / 2.
    delta
        The chance that it cost more: of a selection, that what one user alone has is chosen. 0 of all else.
    """

    name: str
    numbers: int
    sensitivity: float
    noise: float
    rho: float
    delta: float = 0.0


@dataclass(frozen=True)
class Privacy:
    """That a base is (ε, δ)-differentially private, at which level, and every query that it was made from.

    Attributes
    ----------
    epsilon, delta
        The guarantee: all queries together cost no more.
    unit
        Whom it is about: one ``"user"`` with everything they did, or one ``"interaction"``.
    ledger
        The queries, in their order.

    Examples
    --------
    >>> stated = Privacy(4.0, 1e-6, "user", (Query("items", 40, 5.0, 10.0, 0.125),))
    >>> stated.rho, Privacy.read(stated.described()) == stated
    (0.125, True)
    """

    epsilon: float
    delta: float
    unit: PrivacyUnit
    ledger: tuple[Query, ...]

    @property
    def rho(self) -> float:
        """What all queries cost together."""
        return fsum(query.rho for query in self.ledger)

    def described(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Return what `described` returned; refuse anything else by `TypeError` or `KeyError`."""
        ledger = tuple(Query(**_typed(Query, query)) for query in content["ledger"])
        stated = cls(**_typed(cls, {**content, "ledger": ledger}))
        if stated.unit not in get_args(PrivacyUnit):
            raise TypeError(f"unit is {stated.unit!r}")
        return stated


def _typed(kind: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a value's fields, where each has its type."""
    for field in fields(kind):
        wanted = field.type if field.type in (int, float) else object
        if not isinstance(content[field.name], wanted):
            raise TypeError(f"{field.name} is {content[field.name]!r}")
    return {**content}
