"""What people see of a run: its progress, by default nothing, and notes of what is chosen and done.

Modules log their notes, a sentence each; whoever wants sees them on stderr.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from fractalrs.tools.arguments import check_kind
from fractalrs.tools.notebook import in_notebook, notebook_bar
from fractalrs.tools.shown import Shown, printable

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
            How many interactions, or rows, are expected, and in how many pieces; 0 of both where nobody knows.

        Yields
        ------
        ProgressCallback
            To be called with what is done so far, from any thread.
        """
        yield lambda *_: None


SILENT = Progress()


class Bars(Progress):
    """Shows bars with the rate and the time left on stderr, when that is a terminal, and below the cell of a notebook.

    What has no known length shows that it goes on, and for how long, and leaves nothing behind.
    """

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
        columns: tuple[bars.ProgressColumn, ...] = (bars.SpinnerColumn(), name, bars.TimeElapsedColumn())
        if parts:
            left = bars.TimeRemainingColumn()
            columns = (name, bars.BarColumn(), bars.TaskProgressColumn(), Rate(), parts_done, left)
        with bars.Progress(*columns, console=Console(stderr=True), transient=not parts) as bar:
            total = max(1.0, interactions) if parts else None
            task = bar.add_task(what, total=total, parts=f"0/{parts}")

            def report(made: int, finished: int) -> None:
                # The number of interactions is expected, that of parts is known.
                completed = total if finished == parts else min(made, total or 0)
                bar.update(task, completed=completed, parts=f"{finished}/{parts}")

            yield report


class Stages(Progress):
    """One bar for many tasks in stages, in place of a bar for each; it goes when all is done.

    Examples
    --------
    >>> with Stages(SILENT).together("validating", {"adding up": (1.0, 2)}) as stages, stages.stage("adding up"):
    ...     with stages.task("adding up users", 100, 1) as report:
    ...         report(100, 1)
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._work: dict[str, tuple[float, int]] = {}
        self._done, self._finished, self._current = 0.0, 0, ""
        self._show: Callable[[float, str], None] | None = None

    @contextmanager
    def together(self, what: str, work: Mapping[str, tuple[float, int]]) -> Iterator[Self]:
        """Show one bar until the context ends; `work` is the weight of each stage, and how many tasks it has or so.

        Only `Bars` become one; a progress of somebody's own is told of every task.
        """
        if not isinstance(self._shown, Bars) or not sys.stderr.isatty():
            yield self
            return
        from rich import progress as bars
        from rich.console import Console

        self._work = dict(work)
        text, stage = bars.TextColumn("{task.description}"), bars.TextColumn("{task.fields[stage]}", style="dim")
        columns = (text, bars.BarColumn(), bars.TaskProgressColumn(), bars.TimeRemainingColumn(), stage)
        with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=sum(weight for weight, _ in work.values()), stage="")

            def show(done: float, stage: str) -> None:
                begun = stage not in ("", bar.tasks[0].fields["stage"])
                bar.update(task, completed=max(done, bar.tasks[0].completed), stage=stage, refresh=begun)

            self._show = show
            try:
                yield self
            finally:
                self._show = None

    @property
    def is_shown(self) -> bool:
        """Whether there is a bar, which names each stage."""
        return self._show is not None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Begin a stage; with its end all its work is done, however many tasks it was."""
        outer, self._current, self._finished = (self._current, self._finished), name, 0
        self._move(0.0)
        yield
        weight, _ = self._work.pop(name, (0.0, 0))
        self._done += weight
        self._current, self._finished = outer
        self._move(0.0)

    def _move(self, share: float) -> None:
        if self._show is not None:
            weight, tasks = self._work.get(self._current, (0.0, 1))
            done = self._finished + share
            # With more tasks than were expected the stage comes ever nearer to its end.
            self._show(self._done + weight * done / max(tasks, done + 1), self._current)

    @contextmanager
    def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:
        """Take a task as a piece of the stage that it is in."""
        if self._show is None:
            with self._shown.task(what, interactions, parts) as report:
                yield report
            return
        yield lambda made, _: self._move(min(1.0, made / max(1.0, interactions)))
        self._finished += 1


def as_progress(progress: bool | Progress) -> Progress:
    """Return what shows progress: ``True`` stands for `Bars`, ``False`` for nothing."""
    check_kind("progress", progress, (bool, Progress), "True, False or a Progress")
    if isinstance(progress, Progress):
        return progress
    return Bars() if progress else SILENT


class _Notes(logging.Handler):
    """Prints notes on what stderr is at the moment: above a bar, while there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a note."""
        print(printable(self.format(record)), file=sys.stderr)


@contextmanager
def notes_on_stderr(shown: bool = True) -> Iterator[None]:
    """Print what the package logs on stderr, as plain lines, until the context ends; or leave it to other handlers."""
    logger = logging.getLogger("fractalrs")
    if not shown:
        yield
        return
    handler, level = _Notes(), logger.level
    logger.addHandler(handler)
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
