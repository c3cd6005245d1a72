"""`fractalrs compare`: data sets, or their reports, side by side."""

from pathlib import Path
from typing import Annotated

import typer

from fractalrs.cli.output import NoProgress, option
from fractalrs.dataset import Dataset
from fractalrs.expansion import Group
from fractalrs.passes import StreamedMatrix
from fractalrs.statistics import coverage, gini, top_share
from fractalrs.tools import printable, read_object, readable, resolve_threads, untrusted
from fractalrs.validation import aligned, for_people, number
from fractalrs.words import SIDES, SPLITS


def compare(
    outputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUTPUT",
            help="Folders of complete data sets, of which all interactions are read; or files that "
            "`fractalrs validate --json` printed: then their metrics are compared.",
        ),
    ],
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    threads = resolve_threads(threads)
    columns = [_of_report(one) if one.is_file() else _of_data_set(one, threads, not no_progress) for one in outputs]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [("", *(one.name for one in outputs))]
    rows += [(name, *(column.get(name, "–") for column in columns)) for name in names]
    typer.echo(printable("\n".join(aligned(rows, "<" + ">" * len(columns)))))


def _of_data_set(path: Path, threads: int, progress: bool) -> dict[str, str]:
    dataset = Dataset(path)
    totals, degrees = dataset.totals, StreamedMatrix(dataset, threads=threads, progress=progress).degrees()
    found = {name: str(getattr(dataset, name)) for name in ("profile", "shuffle", "operator")}
    found |= {"multipliers": "{} × {}".format(*dataset.multipliers)}
    found |= {split: f"{totals[split]:,}" for split in SPLITS if split in totals}
    found |= {"bytes": readable(totals["bytes"]), "generator": str(dataset.manifest.generator)}
    for side, each in zip(SIDES, (degrees.user_train, degrees.item_train), strict=True):
        found[side.plural] = f"{len(each):,}"
        measured = {"interactions of one, mean": each.mean(), "most": each.max(), "gini": gini(each)}
        measured |= {"share of the top 1 %": top_share(each, 0.01), "coverage": coverage(each)}
        found |= {f"{side}: {name}": number(value) for name, value in measured.items()}
    return found


def _of_report(path: Path) -> dict[str, str]:
    hint = "write one: fractalrs validate OUT --json"
    with untrusted(path, hint, "is neither a folder nor a report"):
        report = read_object(path.read_bytes(), path, hint, "is neither a folder nor a report")
        found = {"all checks hold": "yes" if report["holds"] else "no"}
        found |= {name: value for name, value in for_people(report["subject"]) if name != "data set"}
        for metric in report["metrics"]:
            if metric["synthetic"] is not None:
                failed = " FAILS" if metric["holds"] is False else ""
                found[metric["name"]] = f"{number(metric['synthetic'])}{failed}"
    return found
