"""What must stay at home: ``private/``, with the seed and what validation needs instead of the source."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from fractalrs.base import base_statistics
from fractalrs.dataset.layout import PLAN
from fractalrs.dataset.plans import Plan
from fractalrs.errors import InputError
from fractalrs.expansion import Cells, Expansion, ReducedMatrix, operator_named
from fractalrs.tools import Store, blas_threads

REDUCED = "private/reduced_matrix.npy"
SIGNED = "private/signed_matrix.npy"
CELLS = "private/cells.npz"
STATISTICS = "private/base_statistics.npz"
PRIVATE_FILES = (PLAN, REDUCED, SIGNED, CELLS, STATISTICS)


def files_beside(plan: Plan) -> tuple[str, ...]:
    """Return the names of the private files of a plan, without the plan's own."""
    return (REDUCED, *((SIGNED,) if operator_named(plan.options.operator).multiplies else ()), CELLS, STATISTICS)


def expansion_statistics(expansion: Expansion) -> dict[str, npt.NDArray[Any]]:
    """Compute `base_statistics` of what an expansion carries."""
    options = expansion.options
    return base_statistics(expansion.base, timestamps=options.timestamps, rated=options.ratings is not None)


@dataclass(frozen=True)
class Private:
    """The content of ``private/``.

    Attributes
    ----------
    plan
        What is generated.
    reduced
        The reduced matrix, with its signed entries where the operator needs those.
    cells
        In which users and items change places.
    statistics
        Of the base; see `fractalrs.base.summary.base_statistics`.
    """

    plan: Plan
    reduced: ReducedMatrix
    cells: Cells
    statistics: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Compute the private files of a plan."""
        expansion = plan.expansion
        # On several threads the last bits depend on how many; and it is slower.
        with blas_threads(1):
            return cls(plan, expansion.reduced, expansion.cells, expansion_statistics(expansion))

    def write(self, store: Store, begun: bool) -> None:
        """Write the files that are not there; the plan is first, and of two plans at once one wins.

        Parameters
        ----------
        store
            Where.
        begun
            Whether the plan is known to be there.

        Raises
        ------
        FileExistsError
            If there is a plan, and that was not known.
        """
        with store.staging() as staging:
            np.save(staging.path(REDUCED), self.reduced.values)
            np.save(staging.path(SIGNED), self.reduced.signed)
            self.cells.save(staging.path(CELLS))
            np.savez(staging.path(STATISTICS), allow_pickle=False, **self.statistics)
            if not begun and not store.claim(PLAN, self.plan.to_json().encode()):
                raise FileExistsError(PLAN)
            there = store.list()
            for name in files_beside(self.plan):
                if name not in there:
                    staging.publish(name)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self | None:
        """Read it beside a data set; None where it has been taken away.

        Raises
        ------
        InputError
            If a file is missing or damaged.
        """
        folder = Path(path)
        if not (folder / PLAN).exists():
            return None
        plan = Plan.from_json((folder / PLAN).read_bytes(), folder / PLAN)
        for name in files_beside(plan):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name} is missing", hint="give the command that made the data set again")
        reduced = ReducedMatrix.load(folder / REDUCED)
        if SIGNED in files_beside(plan):
            reduced = replace(reduced, signed=_load_signed(folder / SIGNED))
        return cls(plan, reduced, Cells.load(folder / CELLS), _load_arrays(folder / STATISTICS))


def _load_signed(file: Path) -> npt.NDArray[np.float64]:
    try:
        signed: npt.NDArray[np.float64] = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    return signed


def _load_arrays(file: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
