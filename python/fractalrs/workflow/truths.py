"""What is true of a data set whose source is a world."""

import os
from pathlib import Path
from typing import Any

from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.simulation import Truth, World

WRITTEN, ALL = "written", "all"
TRUTHS = (WRITTEN, ALL)
"""What truth is written: of the interactions that are written, or of what dropout left out too."""
_WORLD = "world.json"


def world_of(source: Any) -> World | None:
    """Return the world that a source is: one in memory, a saved one, or the folder that it was logged to."""
    if isinstance(source, World):
        return source
    if not isinstance(source, str | os.PathLike):
        return None
    file = Path(source) / _WORLD if Path(source).is_dir() else Path(source)
    return World.open(file) if file.name == _WORLD and file.is_file() else None


def require_world(source: Any) -> World:
    """Return the world that a source is; refuse any other source."""
    if (world := world_of(source)) is None:
        raise InputError(
            f"truth is asked for, and {source} is no world: nobody knows what is true of it",
            hint="name a folder that fractalrs simulate wrote, or leave truth (--truth) out",
        )
    return world


def truth_of(world: World, expansion: Expansion) -> Truth:
    """Return what is true of an expansion; refuse one of which it could not be written."""
    made = Truth(world, expansion)
    made.require_writable()
    return made
