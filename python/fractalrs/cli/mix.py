"""`fractalrs mix`: a source, and what the options of a recipe make of it, in one folder to train on."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import NoProgress, Quiet, Source, option, parameter, print_note
from fractalrs.expansion import OPTIONS, Group
from fractalrs.tools import new_place, notes_on_stderr, resolve_threads
from fractalrs.workflow import RECIPE, Recipe, mix_source

MIXED = "What is mixed"
_LEFT_OUT = ("parts", "partition", "encoding", "compression", "row_group_size", "source_licence")
"""Options of files that a mixture has not."""


def mix(
    *,
    source: Source,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder to write, which must not exist.")],
    ratio: Annotated[
        float, option(MIXED, "Share of synthetic interactions among all, above 0 and below 1.", value="SHARE")
    ],
    weight: Annotated[
        float, option(MIXED, "Of a synthetic interaction; a real one has 1.", "--weight", value="FLOAT")
    ] = 1.0,
    epoch: Annotated[int, option(MIXED, "Another one has other synthetic users, and another order.", value="INT")] = 0,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    **options: Any,
) -> None:
    """Run the command."""
    recipe, threads, shown = Recipe(**options), resolve_threads(threads), not (quiet or no_progress)
    new_place(output)
    with notes_on_stderr(not quiet):
        try:
            made = mix_source(source, recipe, ratio, weight=weight, epoch=epoch, threads=threads, progress=shown)
            rows = made.write(output, progress=shown)
        except KeyboardInterrupt:
            print_note("interrupted: nothing is written")
            raise typer.Exit(INTERRUPTED) from None
    if not quiet:
        print_note(f"{rows:,} train interactions, {made.synthetic_count:,} of them synthetic, written to {output}")


def _signature() -> inspect.Signature:
    *own, _ = inspect.signature(mix).parameters.values()
    # A private base has no real interactions to mix.
    taken = [
        parameter(declared)
        for name, declared in (RECIPE | {"seed": OPTIONS["seed"]}).items()
        if name not in _LEFT_OUT and declared.group != Group.PRIVACY
    ]
    return inspect.Signature([*own[:2], *taken, *own[2:]])


mix.__signature__ = _signature()  # type: ignore[attr-defined]
