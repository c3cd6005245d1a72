"""`fractalrs verify`."""

from pathlib import Path
from typing import Annotated

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import (
    Complete,
    Json,
    NoProgress,
    Quiet,
    StorageOption,
    flag,
    option,
    place_of,
    print_judgement,
    print_note,
)
from fractalrs.expansion import Group
from fractalrs.tools import notes_on_stderr
from fractalrs.workflow import verify as run

REPAIR = "Repair"


def verify(
    output: Complete,
    repair: Annotated[
        bool,
        flag(
            REPAIR,
            "--repair",
            "Make what is damaged or missing again, byte for byte; the rest stays. "
            "For truth/ give the command again that wrote it.",
        ),
    ] = False,
    source: Annotated[
        str | None,
        option(REPAIR, "What it was expanded from, or a folder of a saved expansion.", value="SOURCE", default="none"),
    ] = None,
    item_attributes: Annotated[
        Path | None, option(REPAIR, "Attributes of items, as they were given then.", value="FILE", default="none")
    ] = None,
    user_attributes: Annotated[
        Path | None, option(REPAIR, "Attributes of users, likewise.", value="FILE", default="none")
    ] = None,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    storage_option: StorageOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    with notes_on_stderr(not quiet):
        try:
            found = run(
                place_of(output, storage_option),
                repair=repair,
                source=source,
                item_attributes=item_attributes,
                user_attributes=user_attributes,
                threads=threads,
                progress=not (quiet or no_progress),
            )
        except KeyboardInterrupt:
            print_note("interrupted")
            raise typer.Exit(INTERRUPTED) from None
    print_judgement(found, as_json, quiet)
