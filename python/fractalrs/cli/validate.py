"""`fractalrs validate`."""

import logging
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import typer

from fractalrs._core import VERSION
from fractalrs.cli import INTERRUPTED
from fractalrs.cli.output import (
    Complete,
    Json,
    NoProgress,
    StorageOption,
    check_report,
    flag,
    option,
    place_of,
    print_judgement,
    print_note,
)
from fractalrs.dataset import Dataset, Folder
from fractalrs.expansion import Group
from fractalrs.tools import Place, notes_on_stderr, resolve_threads
from fractalrs.validation import read_thresholds
from fractalrs.validation import validate as run
from fractalrs.workflow import command_text, read_planned_base

CHECKS = "What is checked"

logger = logging.getLogger(__name__)


def validate(
    output: Complete,
    report: Annotated[
        Path | None, option(Group.FILES, "Write the report here: one HTML file.", value="FILE.html", default="none")
    ] = None,
    source: Annotated[
        str | None,
        option(
            CHECKS,
            "What it was expanded from, for checks that need the real interactions; it is read and split again with "
            "the options that expand was given.",
            value="SOURCE",
        ),
    ] = None,
    only: Annotated[
        Literal["integrity", "fidelity"] | None,
        option(
            CHECKS,
            "integrity: is it exactly what was planned? fidelity: does it keep the real statistics?",
            value="integrity|fidelity",
            default="both",
        ),
    ] = None,
    digests: Annotated[bool, flag(CHECKS, "--digests", "Take the BLAKE3 digest of every file too.")] = False,
    singular_values: Annotated[int, option(CHECKS, "How many singular values are compared.", value="INT")] = 64,
    thresholds: Annotated[
        Path | None,
        option(
            CHECKS, "Thresholds of your own, in lines such as 'gini of users' = 0.02 (inf: none).", value="FILE.toml"
        ),
    ] = None,
    threads: Annotated[
        int | None, option(Group.RUNNING, "Threads.", value="INT", default="all this process may use")
    ] = None,
    storage_option: StorageOption = None,
    as_json: Json = False,
    quiet: Annotated[bool, flag(Group.RUNNING, "--quiet", "Say nothing but errors: the exit code tells.")] = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the command."""
    check_report(report)
    own = None if thresholds is None else read_thresholds(thresholds)
    threads, place = resolve_threads(threads), place_of(output, storage_option)
    with notes_on_stderr(not quiet):
        try:
            dataset = Dataset(place)
            base = None if source is None else read_planned_base(source, place)
            found = run(
                dataset,
                base,
                only=only,
                singular_values=singular_values,
                digests=digests,
                thresholds=own,
                threads=threads,
                progress=not (quiet or no_progress),
            )
            found = replace(
                found, findings=replace(found.findings, subject=found.findings.subject | _origin(place, source))
            )
            if report is not None:
                logger.info("drawing the report")
                found.to_html(report)
                logger.info(f"report written to {report}")
        except KeyboardInterrupt:
            print_note("interrupted")
            raise typer.Exit(INTERRUPTED) from None
    print_judgement(found, as_json, quiet)


def _origin(output: Place, source: str | None) -> dict[str, str]:
    """Say what the data set was made of, and how, and when it was validated; its seed is for whoever owns it."""
    plan = Folder.read(output).plan
    origin = {} if source is None else {"source": Path(source).name}
    if plan is not None:
        counts = (
            f"{plan.base.users:,} users, {plan.base.items:,} items, {plan.base.train + plan.base.test:,} interactions"
        )
        origin["source"] = f"{origin['source']}: {counts}" if origin else counts
        origin |= {"command": command_text(plan)} if plan.recipe is not None else {}
    return origin | {"validated": f"{date.today().isoformat()} by fractalrs {VERSION}"}
