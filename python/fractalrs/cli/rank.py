"""`fractalrs rank`: models ranked on a source and on what the options of a recipe make of it."""

import inspect
import json
from typing import Annotated, Any

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import Json, NoProgress, Source, flag, option, parameter, print_note
from fractalrs.errors import InputError
from fractalrs.expansion import OPTIONS, Group
from fractalrs.tools import notes_on_stderr, resolve_threads
from fractalrs.workflow import RECIPE, Recipe, rank_source

RANKED = "What is ranked"
_LEFT_OUT = ("parts", "partition", "encoding", "compression", "row_group_size", "source_licence")
"""Options of files, of which none is written."""


def rank(
    *,
    source: Source,
    models: Annotated[
        str | None,
        option(RANKED, "Names of families of models.", value="NAMES", default="all whose libraries are installed"),
    ] = None,
    k: Annotated[int, option(RANKED, "The cut-off of HR, NDCG and MRR.", value="INT")] = 10,
    repeats: Annotated[
        int, option(RANKED, "How many halves of users, thinnings and seeds of the expansion.", value="INT")
    ] = 3,
    most_users: Annotated[int, option(RANKED, "Of more users a sample is trained on and ranked.", value="INT")] = 5_000,
    mask_dropped: Annotated[
        bool, flag(RANKED, "--mask-dropped", "Do not count as negatives what the expansion dropped.")
    ] = False,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    as_json: Json = False,
    quiet: Annotated[bool, flag(Group.RUNNING, "--quiet", "Print the tables, or JSON, and nothing else.")] = False,
    no_progress: NoProgress = False,
    **options: Any,
) -> None:
    """Run the command."""
    how = {"k": k, "repeats": repeats, "most_users": most_users, "mask_dropped": mask_dropped}
    recipe, threads = Recipe(**options), resolve_threads(threads)
    with notes_on_stderr(not quiet):
        try:
            found = rank_source(
                source, recipe, models=_chosen(models), threads=threads, progress=not (quiet or no_progress), **how
            )
        except KeyboardInterrupt:
            print_note("interrupted")
            raise typer.Exit(INTERRUPTED) from None
    print(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else found)


def _chosen(names: str | None) -> dict[str, Any] | None:
    """Return families by their names; refuse what is none."""
    if names is None:
        return None
    from fractalrs.models import FAMILIES

    known, chosen = {name.casefold(): name for name in FAMILIES}, {}
    for name in names.split(","):
        if name.strip().casefold() not in known:
            raise InputError(f"--models: there is no {name.strip()!r}", hint=f"choose of {', '.join(FAMILIES)}")
        found = known[name.strip().casefold()]
        chosen[found] = FAMILIES[found]
    return chosen


def _signature() -> inspect.Signature:
    *own, _ = inspect.signature(rank).parameters.values()
    # A private base is not compared with the real data, which would tell of them beyond epsilon.
    taken = [
        parameter(declared)
        for name, declared in (RECIPE | {"seed": OPTIONS["seed"]}).items()
        if name not in _LEFT_OUT and declared.group != Group.PRIVACY
    ]
    return inspect.Signature([*own[:1], *taken, *own[1:]])


rank.__signature__ = _signature()  # type: ignore[attr-defined]
