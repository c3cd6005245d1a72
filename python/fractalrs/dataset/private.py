"""What must stay at home: ``private/``, with the seed and what validation needs instead of the source."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fractalrs.base import BASE_FILES, SINGULAR_VALUES, Base, base_statistics, changed_files
from fractalrs.dataset.division import DIVISION, check_division, division_text
from fractalrs.dataset.layout import PLAN
from fractalrs.dataset.plans import Plan
from fractalrs.errors import InputError
from fractalrs.expansion import Cells, ReducedMatrix, fingerprint_of, operator_named
from fractalrs.statistics import Activity, Ratings
from fractalrs.tools import Shown, Store, blas_threads, is_sealed, load_array, load_arrays, untrusted, write_sealed
from fractalrs.words import LATEST

REDUCED = "private/reduced_matrix.npy"
SIGNED = "private/signed_matrix.npy"
CELLS = "private/cells.npz"
STATISTICS = "private/base_statistics.npz"
_AGAIN = "give the command that made the data set again: it makes the file again; or take private/ away"
GUARDS = {".gitignore": b"private/\ntruth/\n", "private/.gitignore": b"*\n"}
"""What keeps it, and what is true, out of repositories; and out of the hub, which looks into the first one alone."""
BASE = "private/base"
"""A private base, which could not be drawn again without spending its budget again."""
_OF_BASE = tuple(f"{BASE}/{name}" for name in BASE_FILES if name != "payload.arrow")
PRIVATE_FILES = (PLAN, *GUARDS, REDUCED, SIGNED, CELLS, STATISTICS, DIVISION, *_OF_BASE)

_Read = Callable[[Path, Plan], object]
_Changed = Callable[[Path, Sequence[str]], list[str]]


def files_beside(plan: Plan) -> tuple[str, ...]:
    """Return the names of the private files of a plan, without the plan's own."""
    return (
        REDUCED,
        *((SIGNED,) if operator_named(plan.options.operator).multiplies else ()),
        CELLS,
        STATISTICS,
        DIVISION,
        *(() if plan.base.privacy is None else _OF_BASE),
    )


def guard(store: Store) -> None:
    """Let the ``.gitignore`` of a data set, which may be older than truth, name all that stays at home."""
    name = ".gitignore"
    content = b""
    if store.sizes([name]):
        with store.open(name) as file:
            content = file.read()
    if lacking := [line for line in GUARDS[name].splitlines() if line not in content.splitlines()]:
        store.put(name, b"".join(line + b"\n" for line in [*content.splitlines(), *lacking]))


def saved_base(store: Store) -> Base:
    """Return the private base that a data set was begun with."""
    with store.local(_OF_BASE) as folder:
        try:
            return Base.load(folder / BASE, verify=True)
        except InputError as error:
            hint = "take it from a copy; drawn again (--overwrite) it is another one, and spends its budget again"
            raise InputError(error.message, hint) from None


@dataclass(frozen=True, repr=False)
class Private(Shown):
    """The content of ``private/``.

    Attributes
    ----------
    plan, reduced, cells
        What is generated; the reduced matrix has its signed entries where the operator needs those.
    statistics
        Of the base; see `fractalrs.base.base_statistics`.
    """

    plan: Plan
    reduced: ReducedMatrix
    cells: Cells
    statistics: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Compute the private files of a plan."""
        expansion, options = plan.expansion, plan.options
        # On several threads the last bits depend on how many; and it is slower.
        with blas_threads(1):
            found = base_statistics(expansion.base, timestamps=options.timestamps, rated=options.ratings is not None)
            return cls(plan, expansion.reduced, expansion.cells, found)

    def write(self, store: Store, begun: bool, lost: Collection[str] = ()) -> None:
        """Write the files that are not there, or `lost`; the plan is first, and of two plans at once one wins.

        It raises `FileExistsError` if there is a plan already, and `begun` does not say so.
        """
        store.restrict("private")
        with store.staging() as staging:
            write_sealed(staging.path(REDUCED), self.reduced.values)
            write_sealed(staging.path(SIGNED), self.reduced.signed)
            write_sealed(staging.path(CELLS), vars(self.cells))
            write_sealed(staging.path(STATISTICS), self.statistics)
            staging.path(DIVISION).write_bytes(division_text(self.plan).encode())
            if self.plan.base.privacy is not None:
                # Saving another value leaves the base as it is, wherever it lies.
                replace(self.plan.expansion.base).save(staging.path(BASE))
            if not begun and not store.claim(PLAN, self.plan.to_json().encode()):
                raise FileExistsError(PLAN)
            for name, content in GUARDS.items():
                store.claim(name, content)
            there = store.list()
            for name in files_beside(self.plan):
                if name not in there or name in lost:
                    staging.publish(name)

    @classmethod
    def of_store(cls, store: Store) -> Self | None:
        """Read it where a data set is; see `read`."""
        with store.local(PRIVATE_FILES) as folder:
            return cls.read(folder)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self | None:
        """Read it beside a data set; refuse files that are missing or damaged.

        It is None where it has been taken away, or may not be read.
        """
        folder = Path(path)
        if not os.access(folder / PLAN, os.R_OK):
            return None
        plan = Plan.from_json((folder / PLAN).read_bytes(), folder / PLAN)
        for name in files_beside(plan):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name} is missing", hint=_AGAIN)
        reduced, cells = _matrices(folder, plan)
        return cls(plan, reduced, cells, _statistics(folder, plan))


def matrices_of(store: Store, plan: Plan) -> tuple[ReducedMatrix, Cells]:
    """Return the reduced matrix and the cells of a plan; refuse those that are missing, or not what was written."""
    needed = {REDUCED, SIGNED, CELLS}.intersection(files_beside(plan))
    if lacking := sorted(needed - store.sizes(needed).keys()):
        raise InputError(f"{store.path / lacking[0]} is missing", hint=_AGAIN)
    with store.local(files_beside(plan)) as folder:
        return _matrices(folder, plan)


def lost_files(store: Store, plan: Plan) -> list[str]:
    """Return the private files beside a plan that are missing, or any byte of which is not what was written."""
    names, lost = files_beside(plan), set[str]()
    groups: list[tuple[_Read, _Changed, tuple[str, ...]]] = [
        (_matrices, _unsealed, (REDUCED, SIGNED, CELLS)),
        (_statistics, _unsealed, (STATISTICS,)),
        (_division, lambda *_: [], (DIVISION,)),
        (_base, _changed_base, _OF_BASE),
    ]
    with store.local(names) as folder:
        for read, changed, wanted in groups:
            some = [name for name in wanted if name in names]
            missing = {name for name in some if not (folder / name).is_file()}
            try:
                _ = not missing and some and read(folder, plan)
            except InputError:
                # Of several those that are damaged are known by their seals; else they are of different plans.
                missing = {*changed(folder, some)} or {*some}
            lost |= missing
    there = store.sizes(GUARDS)
    return [name for name in (*GUARDS, *names) if name in lost or (name in GUARDS and name not in there)]


def _matrices(folder: Path, plan: Plan) -> tuple[ReducedMatrix, Cells]:
    with _sealed(folder / REDUCED):
        # The file has the numbers alone; how they were made the plan says.
        reduced = replace(ReducedMatrix.load(folder / REDUCED), description=dict(plan.reduced))
    if SIGNED in files_beside(plan):
        with _sealed(folder / SIGNED):
            reduced = replace(reduced, signed=load_array(folder / SIGNED))
    with _sealed(folder / CELLS):
        cells = Cells.load(folder / CELLS)
    if not _are_planned(plan, reduced, cells):
        raise InputError(
            f"private/ of {folder} is damaged: its plan, matrix and cells are of different data sets", hint=_AGAIN
        )
    return reduced, cells


def _statistics(folder: Path, plan: Plan) -> dict[str, npt.NDArray[Any]]:
    file = folder / STATISTICS
    with _sealed(file):
        return _checked(plan, load_arrays(file))


def _division(folder: Path, plan: Plan) -> object:
    return check_division(plan, (folder / DIVISION).read_bytes(), folder / DIVISION)


def _unsealed(folder: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if not is_sealed(folder / name)]


def _changed_base(folder: Path, _: Sequence[str]) -> list[str]:
    return [f"{BASE}/{name}" for name in changed_files(folder / BASE)]


def _base(folder: Path, plan: Plan) -> None:
    if Base.load(folder / BASE, verify=True).fingerprint != plan.base.fingerprint:
        raise InputError(f"{folder / BASE} is the base of another data set", hint=_AGAIN)


@contextmanager
def _sealed(file: Path) -> Iterator[None]:
    """Refuse a file that is not what was written, by its name."""
    with untrusted(file, _AGAIN, "is damaged, or of an older version"):
        if not is_sealed(file):
            raise ValueError("it is not what was written")
        yield


def _are_planned(plan: Plan, reduced: ReducedMatrix, cells: Cells) -> bool:
    """Return whether they make what the plan's fingerprint names."""
    there = (*reduced.shape, *reduced.signed.shape, *cells.shape, cells.user_cell_size, cells.item_cell_size)
    multipliers, base = (plan.user_multiplier, plan.item_multiplier), plan.base
    if there != (*multipliers, *multipliers, base.users, base.items, plan.user_cell_size, plan.item_cell_size):
        return False
    late = plan.options.timestamps and plan.base.split in LATEST
    made = fingerprint_of(plan.generator, plan.base.fingerprint, plan.options, late, reduced, cells)
    return made == plan.expansion_fingerprint


def _checked(plan: Plan, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Refuse statistics that are not those of the plan's base, by a `ValueError` or `KeyError`."""
    base = plan.base
    for kind, count in (("user", base.users), ("item", base.items)):
        valid = [("valid", base.valid)] if base.valid else []
        for split, total in (("train", base.train), *valid, ("test", base.test)):
            degrees = arrays[f"{split}_{kind}_degrees"]
            if degrees.dtype.kind != "i" or degrees.shape != (count,) or degrees.sum() != total:
                raise ValueError(f"{split}_{kind}_degrees are not those of {count:,} {kind}s")
    leading = (min(SINGULAR_VALUES, base.users, base.items),)
    for name, shape in (
        *((name, leading) for name in ("singular_values", "user_noise", "item_noise")),
        ("assortativity", ()),
    ):
        if arrays[name].dtype != np.float64 or arrays[name].shape != shape:
            raise ValueError(f"{name} is no array of {shape} numbers")
    for name, value in (("shape", [base.users, base.items]), ("counts", [base.train, base.test])):
        if arrays[name].tolist() != value:
            raise ValueError(f"{name} is not {value}")
    if str(arrays["fingerprint"]) != base.fingerprint:
        raise ValueError("it is of another base")
    if plan.options.timestamps:
        _ = arrays["time_clock"]
    Activity.from_arrays(arrays)
    Ratings.from_arrays(arrays)
    return arrays
