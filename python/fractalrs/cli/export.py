"""`fractalrs export`."""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import (
    Complete,
    Json,
    NoProgress,
    Quiet,
    StorageOption,
    option,
    place_of,
    print_note,
    print_summary,
)
from fractalrs.dataset import Dataset
from fractalrs.expansion import Group
from fractalrs.formats import FORMATS
from fractalrs.formats import export as write
from fractalrs.tools import peak_memory
from fractalrs.words import SPLITS


def export(
    output: Complete,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to make; it must not exist yet.")],
    format: Annotated[
        Literal[tuple(FORMATS)],  # type: ignore[valid-type]
        option(Group.FILES, " ".join(f"{each.name}: {each.about}." for each in FORMATS.values()), value="NAME"),
    ],
    storage_option: StorageOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    started = time.monotonic()
    dataset = Dataset(place_of(output, storage_option))
    try:
        write(dataset, destination, format=format, progress=not (quiet or no_progress))
    except KeyboardInterrupt:
        print_note(f"interrupted: nothing is left of {destination}")
        raise typer.Exit(INTERRUPTED) from None
    files = [file for file in destination.rglob("*") if file.is_file()]
    summary: dict[str, Any] = {
        "destination": str(destination),
        "format": format,
        "seconds": round(time.monotonic() - started, 2),
        **{split: dataset.totals[split] for split in SPLITS if split in dataset.totals},
        "bytes": sum(file.stat().st_size for file in files),
        "files": len(files),
        "peak_memory_bytes": peak_memory(),
    }
    print_summary(summary, as_json, quiet)
