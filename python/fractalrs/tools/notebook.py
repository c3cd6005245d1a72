"""A progress bar in a notebook: HTML that the front end draws, without widgets to install."""

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_PAUSE = 0.2
"""Seconds between two looks of a bar: notebooks keep what they are sent."""
_LONG = 1.0
"""Seconds after which the time is worth a line."""


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    # Who runs a notebook has loaded IPython already.
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


@contextmanager
def notebook_bar(what: str, interactions: float, parts: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar below the cell until the context ends; then only how long it took stays, if that was long."""
    from IPython.display import HTML, display

    started = shown = time.monotonic()
    total = max(1.0, interactions)
    handle: Any = display(HTML(bar_html(what, 0, 0, parts, 0)), display_id=True)

    def report(made: int, finished: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= _PAUSE:
            shown = now
            handle.update(HTML(bar_html(what, min(1.0, made / total), finished, parts, now - started)))

    try:
        yield report
    finally:
        took = time.monotonic() - started
        # What is short leaves nothing: a validation has dozens of them.
        handle.update(HTML(f"<small>{html.escape(what)}: {took:.0f} s</small>" if took >= _LONG else ""))


def bar_html(what: str, share: float, finished: int, parts: int, seconds: float) -> str:
    """Return a bar with the time left.

    Examples
    --------
    >>> bar_html("expanding", 0.25, 1, 4, 3.0)
    '<small>expanding <progress value="0.250" max="1"></progress> 25 %, 1/4 parts, 9 s left</small>'
    """
    left = f", {seconds * (1 - share) / share:.0f} s left" if share else ""
    bar = f'<progress value="{share:.3f}" max="1"></progress>'
    return f"<small>{html.escape(what)} {bar} {share:.0%}, {finished}/{parts} parts{left}</small>".replace("%,", " %,")
