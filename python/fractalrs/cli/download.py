"""`fractalrs download`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import NoProgress, Quiet, option, print_note
from fractalrs.expansion import Group
from fractalrs.reading import PUBLISHED, terms_of
from fractalrs.reading import download as fetch
from fractalrs.tools import notes_on_stderr


def download(
    name: Annotated[Literal[tuple(PUBLISHED)], typer.Argument(metavar="NAME", help=", ".join(PUBLISHED) + ".")],  # type: ignore[valid-type]
    cache_dir: Annotated[
        Path | None,
        option(
            Group.FILES,
            "Folder to keep it in. FRACTALRS_CACHE names it for all commands, XDG_CACHE_HOME that of all programs.",
            value="FOLDER",
            default="the user's cache",
        ),
    ] = None,
    mirror: Annotated[
        str | None,
        option(
            Group.FILES,
            "Take the archive from here; it must be the publisher's all the same.",
            value="URL",
            default="the publisher",
        ),
    ] = None,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    with notes_on_stderr(not quiet):
        try:
            folder = fetch(name, cache_dir=cache_dir, mirror=mirror, progress=not (quiet or no_progress))
        except KeyboardInterrupt:
            print_note("interrupted: what came stays, the same command goes on from there")
            raise typer.Exit(INTERRUPTED) from None
    if not quiet:
        print_note(terms_of(folder))
    print(folder)
