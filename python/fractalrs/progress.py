"""Progress of a run on stderr, when that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as ProgressTask
from rich.text import Text

Report = Callable[[int, int], None]
"""Takes the interactions, or rows, and the parts done so far."""


class _Rate(ProgressColumn):
    def render(self, task: ProgressTask) -> Text:
        return Text(f"{(task.finished_speed or task.speed or 0) / 1e6:.1f} M/s", style="progress.data.speed")


@contextmanager
def progress_bar(shown: bool, interactions: float, parts: int, what: str = "expanding") -> Iterator[Report | None]:
    """Show a bar with the rate and the time left while interactions, or rows, are made, or gone through.

    Parameters
    ----------
    shown
        Whether to show anything; nothing is shown where stderr is not a terminal.
    interactions
        How many are expected.
    parts
        In how many pieces.
    what
        What is being done.
    """
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        _Rate(),
        TextColumn("{task.fields[parts]} parts"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        total = max(1.0, interactions)
        task = bar.add_task(what, total=total, parts=f"0/{parts}")

        def report(made: int, finished: int) -> None:
            # The number of interactions is expected, that of parts is known.
            completed = total if finished == parts else min(made, total)
            bar.update(task, completed=completed, parts=f"{finished}/{parts}")

        yield report
