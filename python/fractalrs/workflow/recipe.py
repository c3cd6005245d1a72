"""The recipe: what a user asks `expand` for, checked before anything is read.

Its options are those of the command ``expand``, each declared once: those of the expansion in
`fractalrs.expansion.options`, all others here.
"""

import os
from copy import copy
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Literal, Self, get_args

from fractalrs._core import VERSION, digest_file
from fractalrs.base import SplitRule
from fractalrs.dataset import ParquetOptions, Plan, checked_licence
from fractalrs.errors import InputError
from fractalrs.expansion import (
    DEFAULT_PROFILE,
    ITEM_CELL_SIZE,
    OPTIONS,
    PROFILES,
    USER_CELL_SIZE,
    BlockFunction,
    Group,
    Options,
    Profile,
    ReducedMatrix,
    declared_by,
    document,
    operator_named,
    option,
    profile_named,
    refuse_unknown,
    shuffle_named,
    whole_bytes,
    whole_number,
)
from fractalrs.tools import Shown, as_path, untrusted
from fractalrs.words import SIDES, OrderBy, Partition, Rescale
from fractalrs.workflow.parsing import Parsing
from fractalrs.workflow.protection import PROTECTION, Protection
from fractalrs.workflow.splitting import SPLITTING, Splitting

SOMETIMES = (*SPLITTING, "hold_out_users", *PROTECTION)
"""Options that a plan names where they are given."""
_POSITIVE = {"within": lambda count: count >= 1, "words": "a whole number of at least 1"}
_MULTIPLIER = _POSITIVE | {"unset": "by target or matrix"}
_TARGET = {"value": "COUNT", "take": whole_number, "accepts": float | str, "command": str}
_CELL_SIZE = _POSITIVE | {"place": 1}
_BALANCE = {
    "value": "SHARE",
    "within": lambda share: 0 <= share <= 1,
    "words": "a number from 0 to 1",
    "unset": "by fit",
}


@dataclass(frozen=True, init=False, repr=False)
class Recipe(Splitting, Parsing, Protection, Shown):
    """What a user asks for. To make one is to check it, and reads no file.

    Both multipliers are given, or `reduced_matrix`, or `target_interactions`: then `keep_scale` and the multipliers
    that are not given are chosen; see `fractalrs.expansion.sizing`. With `reduced_matrix` the multipliers are the
    matrix's shape, and any shape will do: only a matrix made here (Algorithm 3) needs m ≤ p and n ≤ q.

    Parameters
    ----------
    {options}

    Raises
    ------
    InputError
        If an option is out of its range, or does not go with another.

    Examples
    --------
    >>> Recipe(user_multiplier=2, item_multiplier=3, profile="paper").options.shuffle
    'block'
    """

    options: Options = field(kw_only=True)
    """Those of the expansion."""
    operator: str | BlockFunction = field(kw_only=True)
    """What makes its blocks: a name, or the function itself."""
    draws_seed: bool = field(kw_only=True)
    """Whether a seed is drawn for each data set: who is to be hidden is not hidden by one that can be guessed."""

    user_multiplier: int | None = option(
        None, "Row blocks m: m times the source's users.", Group.SIZE, **_MULTIPLIER | {"value": "M"}
    )
    item_multiplier: int | None = option(
        None, "Column blocks n: n times the source's items.", Group.SIZE, **_MULTIPLIER | {"value": "N"}
    )
    target_interactions: int | None = option(
        None,
        "Instead of multipliers: choose those that are not given, and the keep scale, so that about so many "
        "interactions come out, train and test together: 1e9, 1B, 1_000_000.",
        Group.SIZE,
        unset="none",
        **_TARGET,
    )
    target_size: int | None = option(
        None,
        "Instead of target interactions: about so many bytes of files, such as 100GB.",
        Group.SIZE,
        unset="none",
        **_TARGET | {"value": "SIZE", "take": whole_bytes},
    )
    target_users: int | None = option(
        None,
        "With it: so many user ids, to the nearest multiple of the source's.",
        Group.SIZE,
        unset="grow alike",
        **_TARGET,
    )
    target_items: int | None = option(
        None, "With it: so many item ids, likewise.", Group.SIZE, unset="grow alike", **_TARGET
    )
    profile: str = option(
        DEFAULT_PROFILE,
        "realistic (shuffle mixed), paper (shuffle block, ties all), traceable (shuffle aligned), or reference: as "
        "the program published with the paper (docs/reference.md).",
        Group.SIZE,
        value="NAME",
        choices=PROFILES,
        take=lambda _, name: profile_named(name) and name,
    )
    user_cell_size: int | None = option(
        None,
        "Most users in a cell (shuffles mixed, cells).",
        Group.SIZE,
        unset=f"by fit, else {USER_CELL_SIZE}",
        **_CELL_SIZE,
    )
    item_cell_size: int | None = option(
        None,
        "Most items in a cell (shuffles mixed, cells).",
        Group.SIZE,
        unset=f"by fit, else {ITEM_CELL_SIZE}",
        **_CELL_SIZE,
    )
    rescale: Rescale = option(
        "absolute",
        "How its entries get into 0 to 1: absolute values over the largest (absolute), or from minimum to maximum "
        "(minmax).",
        Group.MATRIX,
        value="NAME",
    )
    order_by: OrderBy | None = option(
        None,
        "Average over users and items in order of their ids (id), of a digest of their interactions, which does not "
        "depend on ids (content), of cells (cells), or of activity (degree).",
        Group.MATRIX,
        value="NAME",
        choices=get_args(OrderBy),
        unset="content by profile realistic, else id",
    )
    fit: bool | None = option(
        None,
        "Fit keep rates and cells to the source, so that tails and spectrum are the real ones, or do not.",
        Group.MATRIX,
        spelling=("--fit/--no-fit",),
        unset="fit by profile realistic with shuffle mixed or cells and a matrix made here",
    )
    user_balance: float | None = option(
        None,
        "Of the fit: 0 keeps the spread that the reduced matrix gives the degrees of users, 1 takes it away.",
        Group.MATRIX,
        **_BALANCE,
    )
    item_balance: float | None = option(None, "Of the fit: likewise for items.", Group.MATRIX, **_BALANCE)
    strength: float | None = option(
        None,
        "Of the fit: how much of the reduced matrix beside its margins stays, 0 nothing, 1 all.",
        Group.MATRIX,
        value="FACTOR",
        within=lambda factor: 0 <= factor < inf,
        words="a number from 0 up",
        unset="by fit",
    )
    reduced_matrix: str | os.PathLike[str] | None = option(
        None,
        "Take this one, of any shape m × n: numbers from 0 to 1, saved by NumPy.",
        Group.MATRIX,
        value="FILE.npy",
        command=Path,
        take=as_path,
    )
    parts: int | None = option(
        None,
        "Parts, of one train and one test file each.",
        Group.FILES,
        **_POSITIVE | {"unset": "128 of 1 to 16 M interactions"},
    )
    partition: Partition | None = option(
        None,
        "Divide files by time, in folders such as train/week=2015-W03 (needs --timestamps).",
        Group.FILES,
        unset="not divided",
    )
    encoding: Literal["default", "fast"] = option(
        "default", "default: every reader. fast: quicker, but not for Spark before 4.3.", Group.FILES, value="NAME"
    )
    compression: str = option("lz4", "none, lz4, snappy, zstd, or zstd(1) to zstd(22).", Group.FILES, value="NAME")
    row_group_size: int = option(1 << 20, "Interactions in a row group.", Group.FILES)
    source_licence: str | None = option(
        None, "The source's licence, which the data card names: 'CC BY 4.0'.", Group.FILES, value="TEXT"
    )
    item_attributes: Any = option(
        None,
        "Attributes of the source's items, a file: CSV/TSV with a header, or Parquet. Written for every expanded item "
        "to items.parquet; needs the profile traceable, or item cells of size 1.",
        Group.FILES,
        more="In Python, a table in memory too.",
        value="FILE",
        command=Path,
    )
    user_attributes: Any = option(
        None,
        "Attributes of the source's users, likewise, to users.parquet; needs the profile traceable, or user cells of "
        "size 1.",
        Group.FILES,
        value="FILE",
        command=Path,
    )

    def __init__(self, **given: Any) -> None:
        refuse_unknown(given, RECIPE)
        given = {name: value for name, value in given.items() if name != "seed" or value is not None}
        vars(self).update({name: one.check(given.get(name, one.default)) for name, one in _OWN.items()})
        options = Options.resolve(self.profile, **{name: given[name] for name in OPTIONS if name in given})
        vars(self).update(options=options, operator=given.get("operator", Options.operator))
        hides = self.epsilon is not None or self.hold_out_users is not None
        vars(self).update(draws_seed=hides and "seed" not in given)
        self._check_targets()
        # Making them checks them.
        _ = self.parquet, SplitRule(**self.splitting)
        for name in ("user_cell_size", "item_cell_size"):
            if getattr(self, name) is not None and not shuffle_named(options.shuffle).takes_cells:
                message = f"{name} is given, but the shuffle {options.shuffle!r} has cells of its own"
                raise InputError(message, hint="leave it out, or take the shuffle 'mixed' or 'cells'")
        if self.source_licence is not None:
            vars(self).update(source_licence=checked_licence(self.source_licence))
        if self.reduced_matrix is not None and (self.order_by or self.rescale != "absolute"):
            message = "rescale and order_by are for a matrix made here, but reduced_matrix is given"
            raise InputError(message, hint="leave reduced_matrix out, or those two")
        self._check_fit()
        if self.partition is not None and not options.timestamps:
            raise InputError(
                f"the partition by {self.partition} needs timestamps", hint="say timestamps (--timestamps)"
            )
        written = [side for side in SIDES if getattr(self, f"{side.singular}_attributes") is not None]
        carried = {name: getattr(options, name) for name in ("timestamps", "ratings", "carry")}
        self.check_protection(carried | {f"{side.singular}_attributes": side in written for side in SIDES}, self.split)
        options.check_sources(*self.cell_sizes, written)

    def _check_fit(self) -> None:
        if self.fit and not shuffle_named(self.options.shuffle).takes_cells:
            raise InputError(
                f"fit needs the shuffle 'mixed' or 'cells', not {self.options.shuffle!r}", hint="leave one of them out"
            )
        for name in ("user_balance", "item_balance", "strength"):
            if getattr(self, name) is not None and not self.is_fitted:
                hint = "say fit (--fit), with the shuffle 'mixed' or 'cells'"
                raise InputError(f"{name} is given, but nothing is fitted", hint=hint)

    @property
    def target(self) -> str | None:
        """The option that decides what is not given: a number of interactions, or of bytes; None without one."""
        names = ("target_interactions", "target_size")
        return next((name for name in names if getattr(self, name) is not None), None)

    def _check_targets(self) -> None:
        if self.target_interactions is not None and self.target_size is not None:
            raise InputError("target_interactions and target_size are both given", hint="leave one out")
        if self.target is None:
            for name in ("target_users", "target_items"):
                if getattr(self, name) is not None:
                    raise InputError(f"{name} is given without target_interactions", hint="give both")
            for name in ("user_multiplier", "item_multiplier"):
                if getattr(self, name) is None and self.reduced_matrix is None:
                    raise InputError(
                        f"{name} is missing",
                        hint="give both multipliers, target_interactions, target_size or reduced_matrix",
                    )
        elif self.options.keep_scale != Options.keep_scale:
            raise InputError(f"keep_scale is given, but it is what {self.target} chooses", hint="leave one out")
        elif not operator_named(self.options.operator).has_keep_rates:
            message = f"{self.target} chooses keep_scale, which only the operator 'dropout' has"
            raise InputError(message, hint="give multipliers instead")
        for side in SIDES:
            target, multiplier = f"target_{side.plural}", f"{side.singular}_multiplier"
            if getattr(self, target) is None:
                continue
            if getattr(self, multiplier) is not None:
                raise InputError(f"{target} and {multiplier} are both given", hint="leave one out")
            if self.reduced_matrix is not None:
                message = f"{target} is given, but the shape of reduced_matrix tells how many there are"
                raise InputError(message, hint="leave one of the two out")

    @property
    def defaults(self) -> Profile:
        """What the profile says for what is not given."""
        return profile_named(self.profile)

    @property
    def cell_sizes(self) -> tuple[int, int]:
        """Most members of a cell of users, and of items, for shuffles that take cells."""
        return self.user_cell_size or USER_CELL_SIZE, self.item_cell_size or ITEM_CELL_SIZE

    @property
    def parquet(self) -> ParquetOptions:
        """How the files are encoded."""
        return ParquetOptions(self.encoding, self.compression, self.row_group_size)

    @property
    def splitting(self) -> dict[str, Any]:
        """How the source is split: arguments of `leave_last_out` that do not depend on the source."""
        given = {name: getattr(self, name) for name in ("split", *SPLITTING)}
        return {"ties": self.ties or self.defaults.ties, "seed": self.options.seed} | given

    @property
    def least_timestamps(self) -> int | None:
        """The least number of distinct timestamps, by itself or from the profile."""
        return self.defaults.min_timestamps if self.min_timestamps is None else self.min_timestamps

    @property
    def reducing(self) -> dict[str, Any]:
        """How the reduced matrix is made: arguments of `reduce`."""
        order_by = self.order_by or self.defaults.order_by
        return {"rescale": self.rescale, "order_by": order_by, "variant": self.defaults.variant}

    @property
    def is_fitted(self) -> bool:
        """Whether keep rates and cells are fitted."""
        takes_cells = shuffle_named(self.options.shuffle).takes_cells
        return self.defaults.fits and takes_cells and self.reduced_matrix is None if self.fit is None else self.fit

    @property
    def fitting(self) -> dict[str, Any]:
        """How they are fitted: arguments of `fit`."""
        names = ("user_balance", "item_balance", "strength", "user_cell_size", "item_cell_size")
        given = {name: getattr(self, name) for name in names}
        # Larger cells hide nobody whose row stays whole.
        if not self.options.mixes and self.user_cell_size is None:
            given["user_cell_size"] = USER_CELL_SIZE
        return given

    def with_seed(self, seed: int) -> Self:
        """Return it with the seed that was drawn."""
        seeded = copy(self)
        vars(seeded).update(options=replace(self.options, seed=seed), draws_seed=False)
        return seeded

    def describe(self, given: ReducedMatrix | None) -> dict[str, Any]:
        """Return what base, reduced matrix (maybe a given one) and cells are made with: for plans and validation."""
        options, (m, n) = self.options, (None, None) if given is None else given.shape
        takes_cells = shuffle_named(options.shuffle).takes_cells
        cell_sizes: tuple[int | None, int | None] = self.cell_sizes if takes_cells else (None, None)
        # Of a fit those that are given; the others follow from the base and the multipliers.
        cell_sizes = (self.user_cell_size, self.item_cell_size) if self.is_fitted else cell_sizes
        file = self.reduced_matrix
        digest = None if file is None else digest_file(file)
        return {
            "fractalrs": VERSION,
            "reading": self.reading,
            "split": self.split,
            "ties": self.ties or self.defaults.ties,
            "min_timestamps": self.least_timestamps,
            **{name: getattr(self, name) for name in SOMETIMES if getattr(self, name) != RECIPE[name].default},
            "timestamps": options.timestamps,
            "ratings": options.ratings,
            "carry": list(options.carry),
            "seed": options.seed,
            "shuffle": options.shuffle,
            "user_multiplier": self.user_multiplier or m,
            "item_multiplier": self.item_multiplier or n,
            "operator": options.operator,
            "target_interactions": self.target_interactions,
            "target_size": self.target_size,
            "target_users": self.target_users,
            "target_items": self.target_items,
            **self.reducing,
            "reduced_matrix_digest": digest,
            "user_cell_size": cell_sizes[0],
            "item_cell_size": cell_sizes[1],
            "fit": self.is_fitted,
            **{name: getattr(self, name) for name in ("user_balance", "item_balance", "strength")},
        }

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Return a recipe that reads and splits the source as the one did that a plan was made with."""
        with untrusted("the recipe in private/plan.json", "name the source and its options anew"):
            described = plan.recipe or {}
            # Whether there may be times depends on the shuffle.
            names = "split ties seed timestamps ratings carry shuffle user_cell_size item_cell_size"
            given = {name: described[name] for name in names.split()}
            given |= {name: described[name] for name in SOMETIMES if name in described}
            given |= {name: getattr(plan, name) for name in ("user_multiplier", "item_multiplier", "profile")}
            reading = dict(described["reading"])
            given |= {"input_format": reading.pop("format", "auto")}
            # What the profile says of timestamps may not hold for this source.
            if described["min_timestamps"] != profile_named(plan.profile).min_timestamps:
                given["min_timestamps"] = described["min_timestamps"]
            return cls(**given, **reading)


_OWN = declared_by(Recipe)
_SEED = replace(OPTIONS["seed"], unset="0; with --hold-out-users or --epsilon drawn at random")
RECIPE = {
    declared.name: declared
    for declared in sorted(
        (*_OWN.values(), *(OPTIONS | {"seed": _SEED}).values()),
        key=lambda declared: ([*Group].index(declared.group), declared.place),
    )
}
"""All options of a recipe, in the order of the command line's help."""

document(Recipe, RECIPE.values())
