"""The folder of a saved expansion: its base, what it was reduced to, its cells and its settings."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fractalrs.base import BASE_FILES, Base
from fractalrs.errors import InputError
from fractalrs.expansion.cells import Cells
from fractalrs.expansion.reduction import ReducedMatrix
from fractalrs.expansion.shuffles import shuffle_named
from fractalrs.tools import RemotePath, Store, load_arrays, read_object, untrusted

SAVED = "expansion.json"
"""The file that is written last."""
FILES = {"reduced.npz", "cells.npz", *map("base/{}".format, BASE_FILES)}
"""The others."""


def write_saved(folder: Path, base: Base, reduced: ReducedMatrix, cells: Cells, settings: Mapping[str, Any]) -> None:
    """Fill a folder."""
    arrays = dict(vars(reduced))
    content = {"settings": settings, "reduced": arrays.pop("description")}
    # A value of its own: the folder it is saved in now is about to be renamed.
    dataclasses.replace(base).save(folder / "base")
    np.savez(folder / "reduced.npz", allow_pickle=False, **arrays)
    cells.save(folder / "cells.npz")
    (folder / SAVED).write_text(json.dumps(content, indent=2) + "\n")


def read_saved(folder: Path, where: Path | RemotePath) -> tuple[ReducedMatrix, Cells | None, dict[str, Any]]:
    """Read all but the base; refuse what is no saved expansion by where it was found."""
    try:
        with untrusted("a file of it"):
            content = read_object((folder / SAVED).read_bytes(), folder / SAVED)
            settings, arrays = content["settings"], load_arrays(folder / "reduced.npz")
            made = ReducedMatrix.from_array(arrays["values"])
            for name in ("signed", "singular_values"):
                if arrays[name].dtype != np.float64 or arrays[name].shape != getattr(made, name).shape:
                    raise ValueError(f"{name} is {arrays[name].dtype} of shape {arrays[name].shape}")
            if not isinstance(content["reduced"], dict) or not isinstance(settings, dict):
                raise TypeError(f"{SAVED} has no objects")
            reduced = ReducedMatrix(**arrays, description=content["reduced"])
            cells = Cells.load(folder / "cells.npz") if shuffle_named(settings["shuffle"]).takes_cells else None
    except (OSError, InputError) as error:
        why = error.message if isinstance(error, InputError) else error
        raise InputError(f"{where} is not a saved expansion: {why}", "give what Expansion.save wrote") from None
    return reduced, cells, settings


@contextmanager
def put_whole(store: Store) -> Iterator[Path]:
    """Yield a folder to fill; at the end it is put into a store, and last what makes it an expansion."""
    with store.staging() as staging:
        yield staging.path(SAVED).parent
        last = staging.path(SAVED).read_bytes()
        for name in staging.finished():
            if name != SAVED:
                staging.publish(name)
    if not store.claim(SAVED, last):
        raise FileExistsError(17, "somebody else has saved one meanwhile")
