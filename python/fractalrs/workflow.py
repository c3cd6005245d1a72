"""All of it in one call: read, split, reduce, group into cells, expand, write."""

import dataclasses
import hashlib
import operator
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from fractalrs import _core
from fractalrs.base.base import Base
from fractalrs.base.hold_out import SplitOption, TiesOption, leave_last_out
from fractalrs.dataset.attributes import Kind, match
from fractalrs.dataset.card import checked_licence
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.folder import Folder
from fractalrs.dataset.plan import OTHER_SOURCE, ParquetOptions, Plan, differences
from fractalrs.dataset.write import other_plan, read_reduced, write_planned
from fractalrs.errors import InputError
from fractalrs.expansion.cells import CELL_SIZE, Cells, group_cells
from fractalrs.expansion.expansion import Expansion
from fractalrs.expansion.functions import BlockFunction
from fractalrs.expansion.options import Options
from fractalrs.expansion.profiles import DEFAULT_PROFILE, Profile
from fractalrs.expansion.profiles import profile_named as find_profile
from fractalrs.words import Order, Ratings, Rescale, TestItems
from fractalrs.expansion.reduction import ReducedMatrix, reduce
from fractalrs.expansion.sizing import reduce_to_target, solve_keep_scale, whole_number
from fractalrs.reading.attributes import AttributeTable, read_attributes
from fractalrs.reading.interactions import read_interactions
from fractalrs.reading.sample import sample_interactions

SAMPLE = "sample"
"""The source that stands for the built-in sample."""


@dataclass(frozen=True)
class Request:
    """What a user asks for: the options of the command ``expand``, with the same names and defaults.

    See `read_interactions`, `leave_last_out`, `reduce`, `cells`, `Expansion` and `ParquetOptions` for what they mean. ``None``
    stands for the profile's default, or for what the data suggest. With `reduced_matrix` the multipliers are the
    matrix's shape, and any shape will do: only a matrix made here (Algorithm 3) needs m ≤ p and n ≤ q. `source_licence`
    is what the data card says of the source's licence. `items` and `users` are attributes: paths, or tables in memory.

    Both multipliers are given, or `reduced_matrix`, or `target_interactions`: train and test interactions together, for
    which `keep_scale` and the multipliers that are not given are chosen. `target_users` and `target_items` are numbers
    of ids, met to the nearest multiple of the source's; see `fractalrs.expansion.sizing`.
    """

    user_multiplier: int | None = None
    item_multiplier: int | None = None
    target_interactions: int | None = None
    target_users: int | None = None
    target_items: int | None = None
    profile: str = DEFAULT_PROFILE
    shuffle: str | None = None
    seed: int = 0
    split: SplitOption = "auto"
    ties: TiesOption | None = None
    min_timestamps: int | None = None
    rescale: Rescale = "absolute"
    order_by_degree: bool = False
    reduced_matrix: str | os.PathLike[str] | None = None
    user_cell_size: int | None = None
    item_cell_size: int | None = None
    min_keep: float = Options.min_keep
    max_keep: float = Options.max_keep
    keep_scale: float = Options.keep_scale
    block_keep: float = Options.block_keep
    operator: str | BlockFunction = "dropout"
    test_items: TestItems | None = None
    drop_incomplete: bool | None = None
    cold_users: float = 0.0
    cold_items: float = 0.0
    timestamps: bool = False
    ratings: Ratings | None = None
    carry: tuple[str, ...] = ()
    order: Order | None = None
    encoding: str = "default"
    compression: str = "lz4"
    row_group_size: int = 1 << 20
    parts: int | None = None
    source_licence: str | None = None
    items: Any = None
    users: Any = None
    reading: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what can be refused before the source is read."""
        for name in ("user_multiplier", "item_multiplier", "user_cell_size", "item_cell_size", "parts"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, operator.index(getattr(self, name)))
                if getattr(self, name) < 1:
                    raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        self._check_targets()
        # Making them checks them.
        _ = self.format, self.options
        for name in ("user_cell_size", "item_cell_size"):
            if getattr(self, name) is not None and self.options.shuffle != "cells":
                raise InputError(f"{name} is given, but the shuffle {self.options.shuffle!r} has cells of its own")
        if self.source_licence is not None:
            object.__setattr__(self, "source_licence", checked_licence(self.source_licence))
        if self.reduced_matrix is not None and (self.order_by_degree or self.rescale != "absolute"):
            raise InputError("rescale and order_by_degree are for a matrix made here, but reduced_matrix is given")
        if self.reduced_matrix is not None and not Path(self.reduced_matrix).is_file():
            raise FileNotFoundError(f"reduced matrix {self.reduced_matrix} does not exist or is not a file")
        kinds: tuple[Kind, ...] = get_args(Kind)
        self.options.check_sources(*self.cell_sizes, [kind for kind in kinds if getattr(self, kind) is not None])
        _ = self.attributes

    def _check_targets(self) -> None:
        for name in ("target_interactions", "target_users", "target_items"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if self.target_interactions is None:
            for name in ("target_users", "target_items"):
                if getattr(self, name) is not None:
                    raise InputError(f"{name} is given without target_interactions", hint="give both")
            for name in ("user_multiplier", "item_multiplier"):
                if getattr(self, name) is None and self.reduced_matrix is None:
                    raise InputError(
                        f"{name} is missing", hint="give both multipliers, target_interactions or reduced_matrix"
                    )
        elif self.options.keep_scale != Options.keep_scale:
            raise InputError("keep_scale is given, but it is what target_interactions chooses", hint="leave one out")
        elif self.operator != "dropout":
            raise InputError("target_interactions chooses keep_scale, which only the operator 'dropout' has")
        for kind in ("user", "item"):
            if getattr(self, f"target_{kind}s") is None:
                continue
            if getattr(self, f"{kind}_multiplier") is not None:
                raise InputError(f"target_{kind}s and {kind}_multiplier are both given", hint="leave one out")
            if self.reduced_matrix is not None:
                raise InputError(f"target_{kind}s is given, but the shape of reduced_matrix tells how many there are")

    @cached_property
    def given_matrix(self) -> ReducedMatrix | None:
        """The reduced matrix that is given, read once."""
        return None if self.reduced_matrix is None else ReducedMatrix.load(self.reduced_matrix)

    @property
    def multipliers(self) -> tuple[int | None, int | None]:
        """User and item multiplier, by themselves or from the shape of the reduced matrix."""
        m, n = (None, None) if self.given_matrix is None else self.given_matrix.shape
        return self.user_multiplier or m, self.item_multiplier or n

    @property
    def cell_sizes(self) -> tuple[int, int]:
        """Most members of a cell of users, and of items, for the shuffle ``"cells"``."""
        return self.user_cell_size or CELL_SIZE, self.item_cell_size or CELL_SIZE

    @property
    def defaults(self) -> Profile:
        """What the profile says for what is not given."""
        return find_profile(self.profile)

    @property
    def format(self) -> ParquetOptions:
        """How the files are encoded."""
        return ParquetOptions(self.encoding, self.compression, self.row_group_size)

    @cached_property
    def options(self) -> Options:
        """Options of the expansion."""
        return Options.resolve(self.profile, **{option.name: getattr(self, option.name) for option in fields(Options)})

    @property
    def resolved_min_timestamps(self) -> int | None:
        """The least number of distinct timestamps, by itself or from the profile."""
        return self.defaults.min_timestamps if self.min_timestamps is None else self.min_timestamps

    @property
    def reducing(self) -> dict[str, Any]:
        """How the reduced matrix is made."""
        variant = self.defaults.variant
        return {"rescale": self.rescale, "order_by_degree": self.order_by_degree, "variant": variant}

    @cached_property
    def attributes(self) -> tuple[AttributeTable, ...]:
        """Attributes of items and users, read once."""
        return read_attributes(self.items, self.users)

    @property
    def recipe(self) -> dict[str, Any]:
        """What base, reduced matrix and cells are made with: for the plan, and for a validation against the source."""
        given = None
        if self.reduced_matrix is not None:
            given = hashlib.sha256(Path(self.reduced_matrix).read_bytes()).hexdigest()
        options = self.options
        sizes = self.cell_sizes if options.shuffle == "cells" else (None, None)
        return {
            "fractalrs": _core.VERSION,
            "reading": self.reading,
            "split": self.split,
            "ties": self.ties or self.defaults.ties,
            "min_timestamps": self.resolved_min_timestamps,
            "timestamps": options.timestamps,
            "ratings": options.ratings,
            "carry": list(options.carry),
            "seed": options.seed,
            "shuffle": options.shuffle,
            "user_multiplier": self.multipliers[0],
            "item_multiplier": self.multipliers[1],
            "operator": options.operator,
            "target_interactions": self.target_interactions,
            "target_users": self.target_users,
            "target_items": self.target_items,
            **self.reducing,
            "reduced_matrix_sha256": given,
            "user_cell_size": sizes[0],
            "item_cell_size": sizes[1],
        }


def expand(
    source: Any,
    output: str | os.PathLike[str],
    *,
    threads: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
    **options: Any,
) -> Dataset:
    """Expand real interactions into a data set of industrial size.

    Parameters
    ----------
    source
        Whatever `read_interactions` takes, or ``"sample"``.
    output
        Folder of the data set.
    threads, overwrite, progress
        As for `write`; with `progress`, what was chosen is said on stderr too.
    **options
        Fields of `Request`: ``user_multiplier`` and ``item_multiplier``, ``target_interactions`` or
        ``reduced_matrix`` are needed.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError, OutputError, FileNotFoundError
        Before anything is written.
    WriteError
        When writing fails; the same call resumes.
    """
    try:
        request = Request(**options)
    except TypeError as error:
        raise InputError(f"expand: {str(error).removeprefix('Request.__init__() ')}") from None
    say = (lambda note: print(note, file=sys.stderr)) if progress else (lambda _: None)
    expansion = make_expansion(source, request, output, overwrite, say)
    return write_expansion(expansion, output, request, threads, overwrite, progress, say)


def write_expansion(
    expansion: Expansion,
    output: str | os.PathLike[str],
    request: Request,
    threads: int | None,
    overwrite: bool,
    progress: bool,
    say: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Write what `make_expansion` made for the same request."""
    return write_planned(
        expansion,
        output,
        parts=request.parts,
        threads=threads,
        format=request.format,
        overwrite=overwrite,
        progress=progress,
        recipe=request.recipe,
        source_licence=request.source_licence,
        attributes=[match(table, expansion.base) for table in request.attributes],
        say=say,
    )


def make_expansion(
    source: Any,
    request: Request,
    output: str | os.PathLike[str],
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Expansion:
    """Take a request through all steps before writing.

    A data set that was begun in `output` keeps its reduced matrix, its cells and the keep scale chosen for its target:
    they come from floating-point decompositions, which another machine may round otherwise.

    Parameters
    ----------
    source, output, overwrite
        As for `expand`.
    request
        Options.
    say
        Is told what was chosen and done, a sentence each.
    """
    folder = Folder(Path(output))
    folder.check_ours()
    for given in (source, request.reduced_matrix):
        if isinstance(given, str | os.PathLike) and given != SAMPLE:
            _check_apart(Path(given), Path(output))
    begun = _begun(folder, request, overwrite)
    base = read_base(source, request, say)
    for table in request.attributes:
        say(table.note)
        say(match(table, base).note)
    if begun is not None and begun.content["base"]["fingerprint"] != base.fingerprint:
        raise other_plan(folder, OTHER_SOURCE)
    in_cells = request.options.shuffle == "cells"
    cells = None
    if begun is not None:
        say("the reduced matrix and the cells are those of the data set that was begun")
        reduced = read_reduced(folder.path / "private")
        cells = Cells.load(folder.path / "private/cells.npz") if in_cells else None
    else:
        say("reducing")
        reduced = _reduced(base, request)
        if in_cells:
            say("grouping users and items into cells")
            cells = group_cells(base, *request.cell_sizes)
    options, target = request.options, request.target_interactions
    if target is not None and begun is not None:
        options = dataclasses.replace(options, keep_scale=begun.content["options"]["keep_scale"])
    elif target is not None:
        options = dataclasses.replace(options, keep_scale=solve_keep_scale(base, reduced, target, options, cells))
    settings = dataclasses.asdict(options) | {"operator": request.operator}
    expansion = Expansion(base, reduced, profile=request.profile, cells=cells, **settings)
    if target is not None:
        m, n = reduced.shape
        say(
            f"target of {target:,} interactions: × ({m}, {n}), keep_scale {options.keep_scale}; "
            f"{expansion.expected_interactions:,.0f} expected"
        )
    return expansion


def read_base(source: Any, request: Request, say: Callable[[str], None]) -> Base:
    """Read and split the source as the request says."""
    say("reading")
    if isinstance(source, str) and source == SAMPLE:
        if request.reading:
            raise InputError(f"{', '.join(request.reading)}: the built-in sample is not read from a file")
        interactions = sample_interactions()
    else:
        interactions = read_interactions(source, carry=request.options.carry, **request.reading)
    for note in interactions.notes:
        say(note)
    base = leave_last_out(
        interactions,
        split=request.split,
        ties=request.ties or request.defaults.ties,
        # A profile's minimum is for sources that have timestamps.
        min_timestamps=request.min_timestamps if interactions.timestamps is None else request.resolved_min_timestamps,
        seed=request.options.seed,
        payload=request.options.payload,
    )
    for note in base.notes:
        say(note)
    return base


def read_planned_base(source: Any, output: str | os.PathLike[str], say: Callable[[str], None]) -> Base:
    """Read and split the source of a data set again, with the options that its plan remembers."""
    plan = Folder(Path(output)).plan()
    if plan is None:
        raise InputError(f"{output} has no private/plan.json: how its source was read and split is not known")
    recipe = plan.content["recipe"]
    if recipe is None:
        raise InputError(
            f"{output} was written from Python: how its source was read and split is not known",
            hint="validate it in Python: fractalrs.validate(dataset, base)",
        )
    names = ["reading", "split", "ties", "seed", "timestamps", "ratings", "carry"]
    # Whether there may be times depends on the shuffle.
    names += ["shuffle", "user_cell_size", "item_cell_size"]
    shape = {name: plan.content[name] for name in ("user_multiplier", "item_multiplier")}
    given = {name: recipe[name] for name in names}
    # What the profile says of timestamps may not hold for this source.
    profile = plan.content["profile"]
    if recipe["min_timestamps"] != find_profile(profile).min_timestamps:
        given["min_timestamps"] = recipe["min_timestamps"]
    return read_base(source, Request(**shape, profile=profile, **given), say)


def _check_apart(given: Path, output: Path) -> None:
    """Refuse to write into what is read, or over it."""
    if given.resolve() in (output.resolve(), *output.resolve().parents):
        raise InputError(f"the output {output} is inside the source {given}", hint="choose a folder outside it")
    if output.resolve() in given.resolve().parents:
        raise InputError(f"{given} lies in the output {output}", hint="choose another folder")


def _reduced(base: Base, request: Request) -> ReducedMatrix:
    m, n = request.multipliers
    reduced = request.given_matrix
    if reduced is None:
        if request.target_interactions is not None or m is None or n is None:
            return reduce_to_target(base, request)
        return reduce(base, (m, n), **request.reducing)
    if reduced.shape != (m, n):
        raise InputError(
            f"{request.reduced_matrix} has shape {reduced.shape[0]} × {reduced.shape[1]}, but the user and item "
            f"multipliers are {m} and {n}",
            hint="give multipliers that fit the matrix",
        )
    return reduced


def _begun(folder: Folder, request: Request, overwrite: bool) -> Plan | None:
    """Give the plan of a data set that the same request began; refuse another's unless it may be overwritten."""
    plan = folder.plan()
    if plan is None or plan.content["recipe"] is None:
        return None
    found = differences(plan.content["recipe"], request.recipe)
    if found and not overwrite:
        raise other_plan(folder, "; ".join(found))
    # Overwriting makes everything anew: the matrix and the cells may be another version's.
    return None if found or overwrite else plan
