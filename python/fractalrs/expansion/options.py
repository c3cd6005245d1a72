"""Options of an expansion: what each may be, what stands for one that is not given, and which go together.

Each is declared once, below: the command line, the recipe, the checks, the plan's content and the signatures of
`Expansion` and `expand` follow from that. `Options.resolve` fills in what is not given; to make `Options` is to check
them. What needs the sizes of cells, `Options.check_sources`, can be asked before anything is read; `Options.fit` asks
it of a base and its cells.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import inf
from types import NoneType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.expansion.cells import ITEM_CELL_SIZE, USER_CELL_SIZE, Cells
from fractalrs.expansion.declared import Option, declared_by, document, option, refuse_unknown
from fractalrs.expansion.functions import BlockFunction, name_of
from fractalrs.expansion.operators import NUMBERED, OPERATORS, operator_named
from fractalrs.expansion.shuffles import SHUFFLES, shuffle_named
from fractalrs.tools import Shown, check_kind
from fractalrs.words import SIDES, IdOrder, Order, OrderBy, Ratings, Side, TestItems, Ties, Variant


class Group(StrEnum):
    """Headings of options, in the order of the command line's help."""

    SIZE = "Size and shuffle"
    SPLIT = "Train and test"
    MATRIX = "Reduced matrix"
    KEEP = "What is kept"
    CARRIED = "What interactions carry"
    FILES = "Output files"
    READING = "Reading the source"
    PRIVACY = "Privacy"
    RUNNING = "Running"


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
    # At more a block is nearly a copy of the real matrix: who has a user's real history finds it there.
    max_keep: float = 0.95
    fits: bool = False
    order_by: OrderBy = "id"


PROFILES = {
    "realistic": Profile("mixed", "last", max_keep=0.5, fits=True, order_by="content"),
    "paper": Profile("block", "all"),
    "traceable": Profile("aligned", "last"),
    # The choices of the program that was published with the paper: docs/reference.md.
    "reference": Profile("block", "all", 3, "one", True, "item", "reference"),
}
DEFAULT_PROFILE = "realistic"


def profile_named(name: str) -> Profile:
    """Return the profile of a name; refuse what is none.

    Examples
    --------
    >>> profile_named("paper").shuffle
    'block'
    """
    if not isinstance(name, str) or name not in PROFILES:
        raise InputError(f"unknown profile {name!r}", hint=f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


RESERVED = ("user_id", "item_id", "rating", "timestamp")
"""Columns that are never carried under these names."""

SMALLEST_KEEP_RATE = 1e-6
"""Below this, and above 0, `docs/generator.md` says nothing of how exactly a keep rate is met."""

_RATE = {"value": "RATE", "within": lambda rate: 0 <= rate <= 1, "words": "from 0 to 1", "needs": "has_keep_rates"}
_COLD = {"value": "SHARE", "within": lambda part: 0 <= part < 1, "words": "from 0 to below 1", "needs": "keeps_entries"}


@dataclass(frozen=True, repr=False)
class Options(Shown):
    """Options of an expansion, checked.

    Parameters
    ----------
    {options}

    Raises
    ------
    InputError
        If an option is out of its range, or does not go with another.

    Examples
    --------
    >>> Options.resolve("paper", seed=7).shuffle
    'block'
    """

    shuffle: str = option(
        "none",
        " ".join(f"{shuffle.name}: {shuffle.does}." for shuffle in SHUFFLES.values()),
        Group.SIZE,
        value="NAME",
        choices=SHUFFLES,
        unset="by profile; none for other operators than dropout",
        needs="has_keep_rates",
    )
    seed: int = option(
        0,
        "The same seed gives the same data set, bit for bit.",
        Group.SIZE,
        within=lambda seed: 0 <= seed < 1 << 64,
        words="a whole number from 0 to 2**64 - 1",
    )
    min_keep: float = option(
        0.01,
        "Least keep rate of a block.",
        Group.KEEP,
        more="The keep rate K = min(max_keep, keep_scale · clip(R̂, min_keep, max_keep)) is the probability that a "
        "block keeps an interaction (Algorithm 2, with bounds).",
        **_RATE,
    )
    max_keep: float = option(
        0.95, "Largest keep rate of a block.", Group.KEEP, unset="0.5 by profile realistic, else 0.95", **_RATE
    )
    keep_scale: float = option(
        1.0,
        "Factor on all keep rates: more or fewer interactions.",
        Group.KEEP,
        **_RATE | {"value": "FACTOR", "within": lambda factor: 0 < factor < inf, "words": "above 0"},
    )
    block_keep: float = option(
        1.0,
        "Probability that a block exists at all.",
        Group.KEEP,
        **_RATE | {"within": lambda rate: 0 < rate <= 1, "words": "above 0 and at most 1"},
    )
    test_items: TestItems = option(
        "all",
        "Test interactions of an expanded user: all, or one of them at random.",
        Group.SPLIT,
        unset="all; one by profile reference",
        needs="has_keep_rates",
    )
    drop_incomplete: bool = option(
        False,
        "Leave out expanded users without train or test interactions, or keep them.",
        Group.SPLIT,
        more="The ids of those left out stay unused.",
        spelling=("--drop-incomplete/--keep-incomplete",),
        unset="keep; drop by profile reference",
        needs="has_keep_rates",
    )
    order: Order = option(
        "block",
        "A user's interactions by column block (quick), by item id, or by time.",
        Group.FILES,
        more="Inside a block they are in the base's order, with times in theirs.",
        unset="time with --timestamps, item by profile reference, else block",
        place=-1,
    )
    id_order: IdOrder = option(
        "block",
        "Numbers of expanded items: by column block (an id tells its block), scrambled by the seed, or by the "
        "popularity that is expected, item 0 the most popular.",
        Group.FILES,
        more="The same interactions under other ids. Users keep their numbers: parts are ranges of them. By "
        "popularity ids tell which item of each block is how popular in the source, and so nearly which it is.",
        needs="keeps_entries",
        place=-1,
    )
    timestamps: bool = option(
        False,
        "Every interaction has a time on its source user's time line (user cells of size 1: profile traceable).",
        Group.CARRIED,
        more="Each column block has a pace of its own (docs/generator.md). The base's payload must have timestamp. "
        "With times, a seed keeps other interactions than without.",
        needs="keeps_entries",
    )
    ratings: Ratings | None = option(
        None,
        "carry: every interaction has its source's rating. kronecker: that times the entry of the reduced matrix.",
        Group.CARRIED,
        more="The base's payload must have rating.",
        unset="none",
        needs="keeps_entries",
    )
    carry: tuple[str, ...] = option(
        (),
        "A further column of SOURCE to carry; can be given again.",
        Group.CARRIED,
        more="In Python, the names of all such columns of the base's payload.",
        value="COLUMN",
        unset="none",
        needs="keeps_entries",
    )
    cold_users: float = option(
        0.0, "Share of expanded users whose interactions are all test (cold start).", Group.SPLIT, **_COLD
    )
    cold_items: float = option(
        0.0, "Share of expanded items whose interactions are all test (cold start).", Group.SPLIT, **_COLD
    )
    operator: str = option(
        "dropout",
        " ".join(f"{operator.name}: {operator.does}." for operator in OPERATORS.values()),
        Group.KEEP,
        more="dropout is Algorithm 2; kronecker is equation 1 and Algorithm 1: the column rating is R̂ᵢⱼ·r, R̂ signed "
        "and r the rating if ratings is kronecker, else 1; sketch is equation 3. Or a function (equation 2, "
        "BlockFunction), for experiments: Python's speed, and a row block in memory. All but dropout keep the order of "
        "users and items (shuffle none) and have no keep rates.",
        value="NAME",
        choices=OPERATORS,
        accepts=BlockFunction,
        take=lambda _, operator: operator_named(operator) and operator,
    )

    @classmethod
    def resolve(cls, profile: str, **given: Any) -> Self:
        """Take what is given; else what goes with times, or with the operator; else what the profile says."""
        refuse_unknown(given, OPTIONS)
        operator = given.get("operator", cls.operator)
        given["operator"] = operator = name_of(operator) if callable(operator) else operator
        given = {name: value for name, value in given.items() if value is not None or not OPTIONS[name].unset}
        given = {name: OPTIONS[name].check(value) for name, value in given.items()}
        plain, defaults = asdict(cls()), profile_named(profile)
        values = {option: getattr(defaults, option, value) for option, value in plain.items()}
        values |= {declared.name: declared.default for declared in _unknown_to(operator)}
        if given.get("timestamps"):
            values["order"] = "time"
        return cls(**values | given)

    def __post_init__(self) -> None:
        """Check all that can be checked without the base."""
        for name, declared in OPTIONS.items():
            object.__setattr__(self, name, declared.check(getattr(self, name)))
        for name in self.carry:
            if name in RESERVED or self.carry.count(name) > 1:
                why = "has an option of its own" if name in RESERVED else "is named twice"
                raise InputError(f"carry: the column {name!r} {why}", hint="leave it out of carry, or name it once")
        if self.order == "time" and not self.timestamps:
            raise InputError("the order is by time, but interactions get no times", hint="ask for timestamps too")
        if self.min_keep > self.max_keep:
            raise InputError(
                f"min_keep {self.min_keep} is above max_keep {self.max_keep}",
                hint="exchange the two, or give max_keep too: by profile realistic it is 0.5",
            )
        if (self.cold_users or self.cold_items) and (self.test_items == "one" or self.drop_incomplete):
            raise InputError(
                "cold users and items have test interactions only: they do not go with test_items 'one' or "
                "drop_incomplete",
                hint="leave one of them out",
            )
        if operator_named(self.operator).multiplies and self.ratings == "carry":
            raise InputError(
                f"ratings: the operator {self.operator!r} multiplies ratings", hint="say ratings='kronecker'"
            )
        for declared in _unknown_to(self.operator):
            name = declared.name
            if getattr(self, name) != declared.default:
                raise InputError(f"{name} does not go with the operator {self.operator!r}", hint=f"leave {name} out")

    @property
    def multiplies(self) -> bool:
        """Whether interactions have the product of a rating and an entry of the reduced matrix."""
        return operator_named(self.operator).multiplies or self.ratings == "kronecker"

    @property
    def mixes(self) -> bool:
        """Whether the interactions of a cell's users are dealt out among them."""
        return shuffle_named(self.shuffle).mixes

    @property
    def id_layout(self) -> str:
        """What ids mean."""
        return NUMBERED.get(self.id_order, operator_named(self.operator).id_layout)

    @property
    def payload(self) -> tuple[str, ...]:
        """The columns of the base's payload that interactions get something of."""
        return (*(("rating",) if self.ratings else ()), *(("timestamp",) if self.timestamps else ()), *self.carry)

    @property
    def rates(self) -> dict[str, Any]:
        """What makes keep rates of a reduced matrix, by name."""
        return {name: getattr(self, name) for name in ("min_keep", "max_keep", "keep_scale")}

    def keep_rates(self, reduced: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return keep rates K = min(max_keep, keep_scale · clip(R̂, min_keep, max_keep)), read-only.

        An operator without keep rates keeps everything. A rate that is too small to be met is refused.
        """
        if not operator_named(self.operator).has_keep_rates:
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

    def check_sources(self, user_cell_size: int, item_cell_size: int, attributes: Collection[str | Side] = ()) -> None:
        """Refuse times, and attributes that are to be written, where an expanded id has several sources.

        The sizes, most members of a cell, count for shuffles that take cells; others have cells of their own.
        """
        shuffle, wanted = shuffle_named(self.shuffle), set(map(str, attributes))
        members = [shuffle.most_members(size) for size in (user_cell_size, item_cell_size)]
        if self.timestamps and members[0] > 1:
            raise InputError(
                "timestamps need user cells of size 1: with larger ones an expanded user would mix the time lines of "
                "several source users",
                hint="use the profile traceable, or a user cell size of 1",
            )
        for side, size in zip(SIDES, members, strict=True):
            if side.plural not in wanted:
                continue
            if not operator_named(self.operator).has_row_blocks:
                raise InputError(
                    f"attributes of {side}: the operator {self.operator!r} numbers ids another way and mixes sources",
                    hint="choose another operator",
                )
            if size > 1:
                one, whom = side.singular, f"all {side}" if size == inf else f"a cell of {size} {side}"
                raise InputError(
                    f"attributes of {side} need one source for each expanded {one}, but the shuffle {self.shuffle!r} "
                    f"gives it another one in every block, out of {whom}",
                    hint=f"choose the profile traceable, the shuffle aligned, or cells with {one}_cell_size 1 "
                    f"(--profile traceable, --shuffle aligned, --{one}-cell-size 1)",
                )

    def fit(self, base: Base, cells: Cells | None = None) -> Cells:
        """Check the options against a base, and return the cells in which its users and items change places.

        They are those given, where the shuffle takes cells; by default it makes them of the base.
        """
        check_kind("base", base, Base, "a Base: leave_last_out makes one")
        check_kind("cells", cells, (Cells, NoneType), "Cells: group_cells makes them")
        shuffle = shuffle_named(self.shuffle)
        if base.valid_count and (self.test_items == "one" or self.drop_incomplete):
            name = "drop_incomplete" if self.drop_incomplete else "test_items 'one'"
            raise InputError(
                f"{name} does not go with a validation split", hint="leave one of them out; profile reference says both"
            )
        if self.drop_incomplete and not base.test_count:
            message = "drop_incomplete would leave nothing: no interaction is held out for test"
            raise InputError(message, hint="leave it out, or hold some out")
        if cells is not None and not shuffle.takes_cells:
            message = f"cells are given, but the shuffle {self.shuffle!r} has its own"
            raise InputError(message, hint="leave them out, or take the shuffle 'mixed' or 'cells'")
        if cells is not None and cells.shape != base.shape:
            raise InputError(
                f"the cells are for {cells.shape[0]} users and {cells.shape[1]} items, the base has "
                f"{base.shape[0]} and {base.shape[1]}",
                hint="make them from this base: fractalrs.group_cells(base)",
            )
        self.check_sources(
            *((USER_CELL_SIZE, ITEM_CELL_SIZE) if cells is None else (cells.user_cell_size, cells.item_cell_size))
        )
        return shuffle.group(base) if cells is None else cells


OPTIONS = declared_by(Options)


def _unknown_to(operator: str) -> list[Option]:
    made_by = operator_named(operator)
    return [declared for declared in OPTIONS.values() if declared.needs and not getattr(made_by, declared.needs)]


document(Options, OPTIONS.values())
