"""Options of an expansion: what each may be, what stands for one that is not given, and which go together.

`Options.resolve` fills in what is not given; to make `Options` is to check them. What needs the sizes of cells,
`Options.check_sources`, can be asked before anything is read; `Options.fit` asks it of a base and its cells.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from math import inf
from operator import index
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from fractalrs.base.base import Base
from fractalrs.dataset.attributes import Kind
from fractalrs.errors import InputError
from fractalrs.expansion.cells import CELL_SIZE, Cells, group_cells
from fractalrs.expansion.operators import BlockFunction, Operator, name_of
from fractalrs.expansion.profiles import SHUFFLES, Shuffle
from fractalrs.expansion.profiles import profile as find_profile

TestItems = Literal["all", "one"]
Order = Literal["block", "item", "time"]
Ratings = Literal["carry", "kronecker"]

CHOICES: dict[str, tuple[str | None, ...]] = {
    "shuffle": SHUFFLES,
    "test_items": get_args(TestItems),
    "order": get_args(Order),
    "ratings": (None, *get_args(Ratings)),
}

NUMBERS: dict[str, tuple[Callable[[Any], float], Callable[[float], bool], str]] = {
    "seed": (index, lambda seed: 0 <= seed < 1 << 64, "a whole number from 0 to 2**64 - 1"),
    "min_keep": (float, lambda rate: 0 <= rate <= 1, "from 0 to 1"),
    "max_keep": (float, lambda rate: 0 <= rate <= 1, "from 0 to 1"),
    "keep_scale": (float, lambda factor: 0 < factor < inf, "above 0"),
    "block_keep": (float, lambda rate: 0 < rate <= 1, "above 0 and at most 1"),
    "cold_users": (float, lambda share: 0 <= share < 1, "from 0 to below 1"),
    "cold_items": (float, lambda share: 0 <= share < 1, "from 0 to below 1"),
}
"""Type, range, and the range in words."""

OPERATORS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("dropout",): ("min_keep", "max_keep", "keep_scale", "block_keep", "shuffle", "test_items", "drop_incomplete"),
    ("dropout", "kronecker"): ("timestamps", "ratings", "carry", "cold_users", "cold_items"),
}
"""The operators that know some options, which for all others are what `Options` says; what is not here, all know."""

RESOLVED = ("shuffle", "test_items", "drop_incomplete", "order")
"""What may be None: then it is what goes with the other options, or the profile's."""

RESERVED = ("user_id", "item_id", "rating", "timestamp")
"""Columns that are never carried under these names."""

SMALLEST_KEEP_RATE = 1e-6
"""Below this, and above 0, `docs/generator.md` says nothing of how exactly a keep rate is met."""


@dataclass(frozen=True)
class Options:
    """Options of an expansion, checked; see `Expansion` for their meaning."""

    shuffle: Shuffle = "none"
    seed: int = 0
    min_keep: float = 0.01
    max_keep: float = 0.95
    keep_scale: float = 1.0
    block_keep: float = 1.0
    test_items: TestItems = "all"
    drop_incomplete: bool = False
    order: Order = "block"
    timestamps: bool = False
    ratings: Ratings | None = None
    carry: tuple[str, ...] = ()
    cold_users: float = 0.0
    cold_items: float = 0.0
    operator: str = "dropout"

    @classmethod
    def resolve(cls, profile: str, operator: Operator | BlockFunction, **given: Any) -> Self:
        """Take what is given; else what goes with times, or with the operator; else what the profile says."""
        if not callable(operator):
            one_of("operator", operator, get_args(Operator))
        name, plain, defaults = name_of(operator), asdict(cls()), find_profile(profile)
        values = {option: getattr(defaults, option, value) for option, value in plain.items()}
        values |= {option: plain[option] for option in _unknown_to(name)}
        if given.get("timestamps"):
            values["order"] = "time"
        values |= {option: value for option, value in given.items() if value is not None or option not in RESOLVED}
        return cls(**values | {"operator": name})

    def __post_init__(self) -> None:
        """Check all that can be checked without the base."""
        for name, (kind, within, words) in NUMBERS.items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, kind(value))
                good = within(getattr(self, name))
            except (TypeError, ValueError, OverflowError):
                good = False
            if not good:
                raise InputError(f"{name} is {value}; it must be {words}")
        for name in ("drop_incomplete", "timestamps"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        if not isinstance(self.carry, Iterable):
            raise InputError(f"carry is {self.carry!r}; it must be names of columns")
        object.__setattr__(self, "carry", (self.carry,) if isinstance(self.carry, str) else tuple(self.carry))
        for name, allowed in CHOICES.items():
            one_of(name, getattr(self, name), allowed)
        for name in self.carry:
            if name in RESERVED or self.carry.count(name) > 1:
                why = "has an option of its own" if name in RESERVED else "is named twice"
                raise InputError(f"carry: the column {name!r} {why}")
        if self.order == "time" and not self.timestamps:
            raise InputError("the order is by time, but interactions get no times", hint="ask for timestamps too")
        if self.min_keep > self.max_keep:
            raise InputError(f"min_keep {self.min_keep} is above max_keep {self.max_keep}", hint="exchange the two")
        if (self.cold_users or self.cold_items) and (self.test_items == "one" or self.drop_incomplete):
            raise InputError(
                "cold users and items have test interactions only: they do not go with test_items 'one' or "
                "drop_incomplete"
            )
        if self.operator == "kronecker" and self.ratings == "carry":
            raise InputError("ratings: the operator 'kronecker' multiplies ratings", hint="say ratings='kronecker'")
        for name in _unknown_to(self.operator):
            if getattr(self, name) != getattr(Options, name):
                raise InputError(f"{name} does not go with the operator {self.operator!r}", hint=f"leave {name} out")

    @property
    def multiplies(self) -> bool:
        """Whether interactions have the product of a rating and an entry of the reduced matrix."""
        return self.operator == "kronecker" or self.ratings == "kronecker"

    @property
    def payload(self) -> tuple[str, ...]:
        """The columns of the base's payload that interactions get something of."""
        return (*(("rating",) if self.ratings else ()), *(("timestamp",) if self.timestamps else ()), *self.carry)

    def keep_rates(self, reduced: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Keep rates K = min(max_keep, keep_scale · clip(R̂, min_keep, max_keep)), read-only; without dropout 1.

        Raises
        ------
        InputError
            If one is too small to be met.
        """
        if self.operator != "dropout":
            return np.ones(reduced.shape)
        # In this order, in float64: the generator's decisions depend on the last bit.
        clipped = np.clip(reduced, self.min_keep, self.max_keep)
        rates = np.ascontiguousarray(np.minimum(self.max_keep, self.keep_scale * clipped))
        too_small = (rates > 0) & (rates < SMALLEST_KEEP_RATE)
        if too_small.any():
            raise InputError(
                f"a keep rate is {rates[too_small].min():.3g}; each must be 0, or from {SMALLEST_KEEP_RATE:g} to 1",
                hint="raise min_keep or keep_scale; to thin out strongly use block_keep",
            )
        rates.flags.writeable = False
        return rates

    def check_sources(self, user_cell_size: int, item_cell_size: int, attributes: Collection[Kind] = ()) -> None:
        """Refuse times, and attributes that are to be written, where an expanded id has several sources.

        The sizes, most members of a cell, count for the shuffle ``"cells"``; others have cells of their own.
        """
        given = {"users": user_cell_size, "items": item_cell_size}
        sizes = {kind: {"cells": size, "block": inf}.get(self.shuffle, 1) for kind, size in given.items()}
        if self.timestamps and sizes["users"] > 1:
            raise InputError(
                "timestamps need user cells of size 1: with larger ones an expanded user would mix the time lines of "
                "several source users",
                hint="use the profile traceable, or a user cell size of 1",
            )
        for kind in attributes:
            if self.operator == "sketch":
                raise InputError(
                    f"attributes of {kind}: the operator 'sketch' numbers ids another way and mixes sources",
                    hint="choose another operator",
                )
            if sizes[kind] > 1:
                one, whom = kind[:-1], f"all {kind}" if self.shuffle == "block" else f"a cell of {sizes[kind]} {kind}"
                raise InputError(
                    f"attributes of {kind} need one source for each expanded {one}, but the shuffle {self.shuffle!r} "
                    f"gives it another one in every block, out of {whom}",
                    hint=f"choose the profile traceable, the shuffle aligned, or cells with {one}_cell_size 1 "
                    f"(--profile traceable, --shuffle aligned, --{one}-cell-size 1)",
                )

    def fit(self, base: Base, cells: Cells | None = None) -> Cells:
        """Check the options against a base, and give the cells in which its users and items change places.

        For the shuffle ``"cells"`` they are those given, by default ``fractalrs.group_cells(base)``.
        """
        if self.drop_incomplete and not base.test_count:
            raise InputError("drop_incomplete would leave nothing: no interaction is held out for test")
        if cells is not None and self.shuffle != "cells":
            raise InputError(f"cells are given, but the shuffle {self.shuffle!r} has its own")
        if cells is not None and cells.shape != base.shape:
            raise InputError(
                f"the cells are for {cells.shape[0]} users and {cells.shape[1]} items, the base has "
                f"{base.shape[0]} and {base.shape[1]}",
                hint="make them from this base: fractalrs.group_cells(base)",
            )
        self.check_sources(*((CELL_SIZE, CELL_SIZE) if cells is None else (cells.user_cell_size, cells.item_cell_size)))
        if self.shuffle == "cells":
            return group_cells(base) if cells is None else cells
        return Cells.whole(*base.shape) if self.shuffle == "block" else Cells.single(*base.shape)


def one_of(name: str, value: object, allowed: tuple[str | None, ...]) -> None:
    """Refuse a value that an option cannot have."""
    if value not in allowed:
        raise InputError(f"{name} is {value!r}", hint=f"choose one of {', '.join(filter(None, allowed))}")


def _unknown_to(operator: str) -> list[str]:
    return [option for operators, options in OPERATORS.items() if operator not in operators for option in options]
