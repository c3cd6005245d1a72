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
from fractalrs.expansion import Cells, ReducedMatrix, operator_named
from fractalrs.tools import Store, blas_threads

REDUCED = "private/reduced_matrix.npy"
SIGNED = "private/signed_matrix.npy"
CELLS = "private/cells.npz"
STATISTICS = "private/base_statistics.npz"
PRIVATE_FILES = (PLAN, REDUCED, SIGNED, CELLS, STATISTICS)


def files_beside(plan: Plan) -> tuple[str, ...]:
    """Return the names of the private files of a plan, without the plan's own."""
    return (REDUCED, *((SIGNED,) if operator_named(plan.options.operator).multiplies else ()), CELLS, STATISTICS)


@dataclass(frozen=True)
class Private:
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

    def write(self, store: Store, begun: bool) -> None:
        """Write the files that are not there; the plan is first, and of two plans at once one wins.

        It raises `FileExistsError` if there is a plan already, and `begun` does not say so.
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
        """Read it beside a data set, None where it has been taken away; refuse files that are missing or damaged."""
        folder = Path(path)
        if not (folder / PLAN).exists():
            return None
        plan = Plan.from_json((folder / PLAN).read_bytes(), folder / PLAN)
        for name in files_beside(plan):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name} is missing", hint="give the command that made the data set again")
        reduced = ReducedMatrix.load(folder / REDUCED)
        if SIGNED in files_beside(plan):
            reduced = replace(reduced, signed=_load(folder / SIGNED))
        return cls(plan, reduced, Cells.load(folder / CELLS), _load(folder / STATISTICS))


def _load(file: Path) -> Any:
    """Load an array, or the named arrays of an archive."""
    try:
        with file.open("rb") as opened:
            found = np.load(opened, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else dict(found)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
