"""The words of the package, each literal once: sides, splits, and the values that options take."""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "valid", "test"]
"""What an interaction of a base, an expansion or a data set is for; few have any for validation."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

Order = Literal["block", "item", "time"]
"""How a user's interactions follow each other: by column block, by item id, or by time."""
IdOrder = Literal["block", "scrambled", "popularity"]
"""What numbers expanded items: their column block and column, a key, or how popular they are expected to be."""
Partition = Literal["week", "month", "day"]
"""By what periods of time files are divided."""
Ratings = Literal["carry", "kronecker"]
"""How an interaction gets its rating: its source's, or that times the entry of the reduced matrix."""
TestItems = Literal["all", "one"]
"""Test interactions of an expanded user: all, or one of them at random."""
HoldOut = Literal["auto", "last", "random", "time", "users", "none"]
"""Which interactions become test: of each user, from a time on, or of whole users; ``"auto"``: as the source allows."""
LATEST = ("last", "time")
"""Of these splits no train interaction comes after a test interaction of its user."""
PrivacyUnit = Literal["user", "interaction"]
"""What a guarantee of differential privacy is about: a user with all they did, or one interaction."""
Ties = Literal["last", "all"]
"""Of several interactions at a user's last timestamp, the last in file order is test, or all are."""
OrderBy = Literal["content", "cells", "degree", "id"]
"""In what order users, and items, are averaged when the base is reduced."""
Rescale = Literal["absolute", "minmax"]
"""How the entries of the reduced matrix get into 0 to 1."""
MissingIds = Literal["refuse", "drop", "keep"]
"""Rows without an id, or with what is written for none (NA): more than a few are refused, all are left out, or what is
written is an id."""
Variant = Literal["paper", "reference"]
"""Algorithm 3 as the paper has it, or as the published program did it."""

WARNING = "Warning: "
"""So begin notes that warn."""


@dataclass(frozen=True)
class Side:
    """One side of the matrix: its users, or its items.

    Attributes
    ----------
    singular, plural
        ``"user"`` and ``"users"``, or ``"item"`` and ``"items"``.
    axis
        Of shapes and matrices: 0 for users, 1 for items.

    Examples
    --------
    >>> from fractalrs.words import SIDES
    >>> [side.id_column for side in SIDES]
    ['user_id', 'item_id']
    """

    singular: str
    plural: str
    axis: int

    @property
    def id_column(self) -> str:
        """The column of expanded ids: ``"user_id"`` or ``"item_id"``."""
        return f"{self.singular}_id"

    def __str__(self) -> str:
        return self.plural


USERS = Side("user", "users", 0)
ITEMS = Side("item", "items", 1)
SIDES = (USERS, ITEMS)


def percent(share: float) -> str:
    """Return a share in words.

    Examples
    --------
    >>> percent(0.583), percent(0.0123), percent(0.00123)
    ('58 %', '1.2 %', '0.12 %')
    """
    return f"{100 * share:.{0 if share >= 0.1 else 1 if share >= 0.01 else 2}f} %"
