"""`fractalrs audit`: of a source, by the options of a recipe, or of a data set that was written."""

import inspect
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import (
    Json,
    NoProgress,
    StorageOption,
    check_report,
    flag,
    is_typed,
    option,
    parameter,
    place_of,
    print_judgement,
    print_note,
)
from fractalrs.errors import InputError
from fractalrs.expansion import OPTIONS, Group
from fractalrs.privacy import MOST_ADVANTAGE, AuditReport
from fractalrs.tools import notes_on_stderr, resolve_threads
from fractalrs.workflow import RECIPE, SAMPLE, Recipe, audit_output, audit_source

ATTACKED = "What is attacked"
_LEFT_OUT = ("parts", "partition", "encoding", "compression", "row_group_size", "source_licence")
"""Options of files, of which none is written."""

logger = logging.getLogger(__name__)


def audit(
    *,
    context: typer.Context,
    attacked: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE|OUTPUT",
            help=f"Interactions as `fractalrs expand` takes them, or {SAMPLE!r}: half of the users are expanded, in "
            "memory. With --source: folder of a data set that was made with --hold-out-users.",
        ),
    ],
    source: Annotated[
        str | None,
        option(ATTACKED, "What the data set was made of; it is read again as it was then.", value="SOURCE"),
    ] = None,
    attackers: Annotated[
        str,
        option(
            ATTACKED,
            "Who attacks: with the output alone, with the map of columns too, with the seed and all of private/. The "
            "verdict is about the first.",
            value="NAMES",
        ),
    ] = "output,columns,seed",
    known: Annotated[str, option(ATTACKED, "Shares of each history that they know.", value="SHARES")] = "1,0.5",
    most_advantage: Annotated[
        float,
        option(
            ATTACKED,
            "Exit with 3 where members are claimed more often than people who are not there, by more than this.",
            value="SHARE",
        ),
    ] = MOST_ADVANTAGE,
    releases: Annotated[
        int,
        option(
            ATTACKED,
            "How many data sets of the same people, with the seeds that follow, those with the output alone have.",
            value="INT",
        ),
    ] = 1,
    report: Annotated[
        Path | None, option(Group.FILES, "Write the report here: one HTML file.", value="FILE.html", default="none")
    ] = None,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    storage_option: StorageOption = None,
    as_json: Json = False,
    quiet: Annotated[bool, flag(Group.RUNNING, "--quiet", "Say nothing but errors: the exit code tells.")] = False,
    no_progress: NoProgress = False,
    **options: Any,
) -> None:
    """Run the command."""
    check_report(report)
    how: dict[str, Any] = {
        "attackers": [name.strip() for name in attackers.split(",")],
        "known": _shares(known),
        "most_advantage": most_advantage,
        "releases": releases,
        "threads": resolve_threads(threads),
        "progress": not (quiet or no_progress),
    }
    with notes_on_stderr(not quiet):
        try:
            found = _found(context, (attacked, storage_option), source, how, options)
            if report is not None:
                found.to_html(report)
                logger.info(f"report written to {report}")
        except KeyboardInterrupt:
            print_note("interrupted")
            raise typer.Exit(INTERRUPTED) from None
    print_judgement(found, as_json, quiet)


def _found(
    context: typer.Context,
    what: tuple[str, list[str] | None],
    source: str | None,
    how: dict[str, Any],
    options: dict[str, Any],
) -> AuditReport:
    attacked, storage_option = what
    if source is None:
        if storage_option:
            raise InputError(
                "storage_option is given without a source", "leave it out, or give what OUTPUT was made of"
            )
        return audit_source(attacked, Recipe(**options), **how)
    given = [name for name in options if is_typed(context, name)]
    if given:
        raise InputError(
            f"{', '.join(given)}: {attacked} is as it was made", hint="leave them out, or leave --source out"
        )
    return audit_output(place_of(Path(attacked), storage_option), source, **how)


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--known is {text!r}", hint="give shares such as 1,0.5") from None


def _signature() -> inspect.Signature:
    *own, _ = inspect.signature(audit).parameters.values()
    taken = [
        parameter(declared) for name, declared in (RECIPE | {"seed": OPTIONS["seed"]}).items() if name not in _LEFT_OUT
    ]
    return inspect.Signature([*own[:2], *taken, *own[2:]])


audit.__signature__ = _signature()  # type: ignore[attr-defined]
