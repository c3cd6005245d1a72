"""`fractalrs sample`."""

from pathlib import Path
from typing import Annotated

import typer

from fractalrs.cli.output import print_note
from fractalrs.reading import sample_interactions, write_interactions


def sample(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write: .csv or .parquet.")],
    users: Annotated[int, typer.Option(metavar="INT", help="Number of users.")] = 943,
    items: Annotated[int, typer.Option(metavar="INT", help="Number of items.")] = 1682,
    interactions: Annotated[int, typer.Option(metavar="INT", help="Number of interactions.")] = 100_000,
    seed: Annotated[int, typer.Option(metavar="INT", help="The same seed gives the same sample.")] = 0,
) -> None:
    """Run the command."""
    made = sample_interactions(users, items, interactions, seed)
    write_interactions(made, output)
    print_note(f"{len(made):,} interactions written to {output}")
