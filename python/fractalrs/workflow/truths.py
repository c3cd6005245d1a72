"""What is true of a data set whose source is a world."""

import os
from pathlib import Path
from typing import Any

from fractalrs.dataset import Plan, require_truth_room
from fractalrs.errors import InputError
from fractalrs.simulation import Truth, World, is_saved_world, rounds_logged
from fractalrs.tools import Place, as_path, url_scheme
from fractalrs.words import WARNING
from fractalrs.workflow.recipe import Recipe

WRITTEN, ALL = "written", "all"
TRUTHS = (WRITTEN, ALL)
"""What truth is written: of the interactions that are written, or of what dropout left out too."""
_LOOP = ("plan.json", "world.json", "round=0000")
"""What a log of `fractalrs feedback` has, which policies that learn have shown."""


def world_of(source: Any) -> World | None:
    """Return the world that a source is: one in memory, a saved one, or that of a log that `fractalrs simulate` wrote.

    Any other folder is read for the interactions in it, whatever else it has.
    """
    if isinstance(source, World):
        return source
    if (place := _local(source)) is None:
        return None
    return World.open(place) if rounds_logged(place) or is_saved_world(place) else None


def notes_of_world(source: Any) -> list[str]:
    """Say which interactions of a world are read, and warn of logged ones that are not."""
    place = _local(source)
    rounds = 0 if place is None else rounds_logged(place)
    notes = ["a world: its interactions are what users respond to in round 0"]
    if rounds > 1:
        notes.append(f"{WARNING}{place} has {rounds} rounds, and round 0 alone is read")
    return notes


def require_world(source: Any, recipe: Recipe) -> World:
    """Return the world that a source is; refuse any other source, and a recipe of which no truth can be written."""
    for name in ("partition", "epsilon"):
        if getattr(recipe, name) is not None:
            why = "its files are those of parts" if name == "partition" else "a private base is not of the world"
            raise InputError(f"truth is asked for, and {name}: {why}", hint="leave one of the two out")
    if (world := world_of(source)) is not None:
        return world
    place = _local(source)
    if place is not None and all((place / name).exists() for name in _LOOP):
        raise InputError(
            f"truth is asked for, and {source} is a log of fractalrs feedback, whose policies learn",
            hint=f"name {place / 'world.json'}, of which round 0 of its own policy is expanded, or leave truth out",
        )
    raise InputError(
        f"truth is asked for, and {source} is no world: nobody knows what is true of it",
        hint="name a folder that fractalrs simulate wrote, or a saved world, or leave truth (--truth) out",
    )


def _local(source: Any) -> Path | None:
    """Return the path that a source is."""
    if not isinstance(source, str | os.PathLike) or url_scheme(os.fsdecode(source)) is not None:
        return None
    return as_path("source", source)


def truth_of(world: World, plan: Plan, output: Place, truth: str) -> Truth:
    """Return what is true of the expansion of a plan; refuse what could not be written, for want of room too."""
    made = Truth(world, plan.expansion)
    made.require_writable()
    require_truth_room(output, plan, unobserved=truth == ALL)
    return made
