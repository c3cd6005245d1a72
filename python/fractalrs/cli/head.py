"""`fractalrs head`."""

from pathlib import Path
from typing import Annotated

import typer

from fractalrs.cli.output import Complete, option
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.validation import aligned
from fractalrs.words import SPLITS, Split


def head(
    output: Complete,
    split: Annotated[
        Split, option("Options", "Of the train, the validation or the test interactions.", value="|".join(SPLITS))
    ] = "train",
    rows: Annotated[int, option("Options", "How many.", value="INT")] = 10,
) -> None:
    """Run the command."""
    if rows < 1:
        raise InputError(f"rows is {rows}; it must be at least 1")
    dataset = Dataset(Path(output))
    if not dataset.totals.get(split):
        raise InputError(f"{output} has no {split} interactions", hint="nothing was held out, or kept")
    table = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}[split].head(rows)
    cells = [["" if value is None else str(value) for value in column.to_pylist()] for column in table.columns]
    lines = [tuple(table.column_names), *zip(*cells, strict=True)]
    typer.echo("\n".join(aligned(lines, ">" * table.num_columns)))
