"""What people see of a run: its progress, by default nothing, and notes of what is chosen and done.

Modules log their notes, a sentence each; whoever wants sees them on stderr.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fractalrs.tools.arguments import check_kind
from fractalrs.tools.notebook import in_notebook, notebook_bar
from fractalrs.tools.shown import Shown

ProgressCallback = Callable[[int, int], None]
"""Takes the interactions, or rows, and the parts that are done so far."""


class Progress(Shown):
    """Shows nothing: the default everywhere. `Bars` shows bars; one of your own overrides `task`.

    Examples
    --------
    >>> from contextlib import contextmanager
    >>> import fractalrs as fr
    >>> class Printed(fr.Progress):
    ...     @contextmanager
    ...     def task(self, what, interactions, parts):
    ...         print(what)
    ...         yield lambda interactions, parts: None
    ...         print("done")
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> some = fr.StreamedMatrix(base, progress=Printed()).collect([3, 5])
    collecting rows
    done
    """

    @contextmanager
    def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:  # noqa: ARG002
        """Begin something that takes long; it is over when the context ends.

        Parameters
        ----------
        what
            What is being done: ``"expanding"``.
        interactions, parts
            How many interactions, or rows, are expected, and in how many pieces.

        Yields
        ------
        ProgressCallback
            To be called with what is done so far, from any thread.
        """
        yield lambda *_: None


SILENT = Progress()


class Bars(Progress):
    """Shows bars with the time left on stderr, when that is a terminal, and below the cell of a notebook."""

    @contextmanager
    def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:
        """Show a bar until the context ends."""
        if in_notebook():
            with notebook_bar(what, interactions, parts) as report:
                yield report
            return
        if not sys.stderr.isatty():
            with super().task(what, interactions, parts) as report:
                yield report
            return
        # Takes longer to load than most tasks take.
        from rich import progress as bars
        from rich.console import Console
        from rich.text import Text

        class Rate(bars.ProgressColumn):
            def render(self, task: bars.Task) -> Text:
                return Text(f"{(task.finished_speed or task.speed or 0) / 1e6:.1f} M/s", style="progress.data.speed")

        name, parts_done = bars.TextColumn("{task.description}"), bars.TextColumn("{task.fields[parts]} parts")
        columns = (name, bars.BarColumn(), bars.TaskProgressColumn(), Rate(), parts_done, bars.TimeRemainingColumn())
        with bars.Progress(*columns, console=Console(stderr=True)) as bar:
            total = max(1.0, interactions)
            task = bar.add_task(what, total=total, parts=f"0/{parts}")

            def report(made: int, finished: int) -> None:
                # The number of interactions is expected, that of parts is known.
                completed = total if finished == parts else min(made, total)
                bar.update(task, completed=completed, parts=f"{finished}/{parts}")

            yield report


def as_progress(progress: bool | Progress) -> Progress:
    """Return what shows progress: ``True`` stands for `Bars`, ``False`` for nothing."""
    check_kind("progress", progress, (bool, Progress), "True, False or a Progress")
    if isinstance(progress, Progress):
        return progress
    return Bars() if progress else SILENT


@contextmanager
def notes_on_stderr(shown: bool = True) -> Iterator[None]:
    """Print what the package logs on stderr, as plain lines, until the context ends; or leave it to other handlers."""
    logger = logging.getLogger("fractalrs")
    if not shown:
        yield
        return
    handler, level = logging.StreamHandler(sys.stderr), logger.level
    logger.addHandler(handler)
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
