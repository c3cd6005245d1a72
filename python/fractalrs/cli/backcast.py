"""`fractalrs backcast`: its options of reading are those of a recipe, from where they are declared."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import (
    Json,
    NoProgress,
    Source,
    check_report,
    flag,
    json_text,
    option,
    parameter,
    print_note,
)
from fractalrs.evaluation import backcast as run
from fractalrs.expansion import Group
from fractalrs.tools import notes_on_stderr, printable, resolve_threads
from fractalrs.workflow import RECIPE, Recipe, read_source

COMPARED = "What is compared"


def backcast(
    *,
    source: Source,
    user_share: Annotated[
        float, option(COMPARED, "Share of users in a sub-sample, which is expanded to all.", value="SHARE")
    ] = 0.25,
    item_share: Annotated[float, option(COMPARED, "Share of items in a sub-sample, likewise.", value="SHARE")] = 0.25,
    repeats: Annotated[int, option(COMPARED, "How many sub-samples.", value="INT")] = 3,
    seed: Annotated[int, option(COMPARED, "The same seed gives the same report.", value="INT")] = 0,
    report: Annotated[
        Path | None, option(Group.FILES, "Write the report here: one HTML file.", value="FILE.html", default="none")
    ] = None,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    as_json: Json = False,
    quiet: Annotated[bool, flag(Group.RUNNING, "--quiet", "Print the tables, or JSON, and nothing else.")] = False,
    no_progress: NoProgress = False,
    **options: Any,
) -> None:
    """Run the command."""
    check_report(report)
    # Any multipliers will do for reading.
    recipe, threads = Recipe(user_multiplier=1, item_multiplier=1, **options), resolve_threads(threads)
    with notes_on_stderr(not quiet):
        try:
            found = run(
                read_source(source, recipe),
                user_share,
                item_share,
                repeats=repeats,
                seed=seed,
                profile=recipe.profile,
                threads=threads,
                progress=not (quiet or no_progress),
            )
            if report is not None:
                found.to_html(report)
        except KeyboardInterrupt:
            print_note("interrupted")
            raise typer.Exit(INTERRUPTED) from None
    print(json_text(found.to_dict()) if as_json else printable(str(found)))


def _signature() -> inspect.Signature:
    *own, _ = inspect.signature(backcast).parameters.values()
    taken = [parameter(declared) for declared in RECIPE.values() if declared.group == Group.READING]
    profile = parameter(RECIPE["profile"])
    return inspect.Signature([*own[:5], profile, *taken, *own[5:]])


backcast.__signature__ = _signature()  # type: ignore[attr-defined]
