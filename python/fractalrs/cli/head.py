"""`fractalrs head`."""

from typing import Annotated, Any

import typer

from fractalrs.cli.output import Complete, StorageOption, option, place_of
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.tools import printable
from fractalrs.validation import aligned
from fractalrs.words import SPLITS, Split


def head(
    output: Complete,
    split: Annotated[
        Split, option("Options", "Of the train, the validation or the test interactions.", value="|".join(SPLITS))
    ] = "train",
    rows: Annotated[int, option("Options", "How many.", value="INT")] = 10,
    storage_option: StorageOption = None,
) -> None:
    """Run the command."""
    if rows < 1:
        raise InputError(f"rows is {rows}; it must be at least 1")
    dataset = Dataset(place_of(output, storage_option))
    if not dataset.totals.get(split):
        raise InputError(f"{dataset.place} has no {split} interactions", hint="nothing was held out, or kept")
    table = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}[split].head(rows)
    cells = [list(map(_shown, column.to_pylist())) for column in table.columns]
    lines = [tuple(table.column_names), *zip(*cells, strict=True)]
    typer.echo(printable("\n".join(aligned(lines, ">" * table.num_columns))))


def _shown(value: Any) -> str:
    return "" if value is None else printable(str(value), also="")
