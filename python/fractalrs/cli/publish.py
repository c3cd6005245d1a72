"""`fractalrs publish`."""

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
    print_note,
    print_summary,
)
from fractalrs.tools import notes_on_stderr
from fractalrs.words import SPLITS
from fractalrs.workflow import publish as give

CARD = "What the card says"
GIVEN = "What is given away"


def publish(
    output: Complete,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to make; it must not exist yet.")],
    source_name: Annotated[
        str | None, option(CARD, "The source: 'MovieLens 20M'.", value="TEXT", default="none")
    ] = None,
    source_licence: Annotated[
        str | None, option(CARD, "Its licence: 'CC BY 4.0'.", value="TEXT", default="the one given to expand")
    ] = None,
    licence_link: Annotated[str | None, option(CARD, "Where that licence is.", value="URL", default="none")] = None,
    report: Annotated[
        Path | None,
        option(CARD, "Show the numbers that validate --json printed here.", value="FILE.json", default="none"),
    ] = None,
    audit: Annotated[
        Path | None,
        option(CARD, "Say what the audit found that audit --json printed here.", value="FILE.json", default="none"),
    ] = None,
    with_seed: Annotated[
        bool, flag(CARD, "--with-seed", "Tell the seed: anybody who has the source can then undo the shuffles.")
    ] = False,
    with_attributes: Annotated[
        bool, flag(GIVEN, "--with-attributes", "Files of attributes too, which name the source's own ids.")
    ] = False,
    storage_option: StorageOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    with notes_on_stderr(not quiet):
        try:
            given = give(
                place_of(output, storage_option),
                destination,
                source_name=source_name,
                source_licence=source_licence,
                licence_link=licence_link,
                report=report,
                audit=audit,
                with_seed=with_seed,
                with_attributes=with_attributes,
                progress=not (quiet or no_progress),
            )
        except KeyboardInterrupt:
            print_note(f"interrupted: nothing is left of {destination}")
            raise typer.Exit(INTERRUPTED) from None
    totals = given.totals
    summary = {
        "destination": str(destination),
        **{name: totals[name] for name in (*SPLITS, "bytes", "files") if name in totals},
    }
    print_summary(summary, as_json, quiet)
