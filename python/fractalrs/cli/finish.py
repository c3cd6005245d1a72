"""`fractalrs finish`."""

from pathlib import Path
from typing import Annotated

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import Json, NoProgress, Quiet, StorageOption, option, place_of, print_note, print_summary
from fractalrs.dataset import begun_plan
from fractalrs.dataset import finish as finish_plan
from fractalrs.expansion import Group
from fractalrs.tools import notes_on_stderr


def finish(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder or URL in which all parts are written.")],
    threads: Annotated[
        int | None, option(Group.RUNNING, "Reading threads.", value="INT", default="all this process may use")
    ] = None,
    storage_option: StorageOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    place, shown = place_of(output, storage_option), not (quiet or no_progress)
    with notes_on_stderr(not quiet):
        try:
            dataset = finish_plan(begun_plan(place), place, threads=threads, progress=shown)
        except KeyboardInterrupt:
            print_note("interrupted: the parts stay, the same command goes on from there")
            raise typer.Exit(INTERRUPTED) from None
    print_summary({"output": str(dataset.place), **dataset.totals}, as_json, quiet)
