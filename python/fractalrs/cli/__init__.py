"""The command line: one module a command; `fractalrs --help` lists them.

Nothing heavy is loaded before it is known which command is asked for.
"""

import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fractalrs.cli.codes import FAILED, INTERRUPTED, REFUSED, TERMINATED, UNTRUE
from fractalrs.errors import FractalrsError, WriteError

__all__ = ["FAILED", "INTERRUPTED", "REFUSED", "UNTRUE", "main"]

_LEAST_ROOM = 768 << 20
"""Bytes of addresses: libraries take 470 MB of them, threads of linear algebra and pools the rest."""
_LEAN = {(): 0, ("--help",): 0, ("--version",): 0, ("info",): 512 << 20, ("verify",): 512 << 20}
"""What loads no linear algebra beside NumPy's takes fewer, by the first word."""


def main() -> None:
    """Run the command line.

    Exits with 0 done, 2 refused (bad arguments or input), 1 failed while running, 3 validated and something does not
    hold, 130 interrupted, 143 terminated, which is answered like an interruption.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows ASCII alone, or a name that is no text, ends nothing.
            stream.reconfigure(errors="backslashreplace")
    with _termination() as came:
        try:
            _run()
        except SystemExit as end:
            if came and end.code == INTERRUPTED:
                sys.exit(TERMINATED)
            raise


def _run() -> None:
    _require_room()
    try:
        from fractalrs.cli.commands import app

        app(prog_name="fractalrs")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except (FractalrsError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "start new thread" not in str(error):
            # A defect, of which the traceback tells more.
            raise
        from fractalrs.tools import printable

        message = str(error) or type(error).__name__
        if isinstance(error, MemoryError):
            message = f"there is too little memory{f': {error}' if str(error) else ''}"
        if isinstance(error, OSError) and error.strerror:
            message = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
        print(f"error: {printable(message)}", file=sys.stderr)
        refused = isinstance(error, FractalrsError | FileNotFoundError | PermissionError)
        sys.exit(REFUSED if refused and not isinstance(error, WriteError) else FAILED)


def _require_room() -> None:
    """Refuse an address space in which the libraries cannot be loaded: some would stand still, and not say why."""
    try:
        import resource
    except ImportError:
        return
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    least = _LEAST_ROOM if "--repair" in sys.argv else _LEAN.get(tuple(sys.argv[1:2]), _LEAST_ROOM)
    if allowed != resource.RLIM_INFINITY and allowed < least:
        message = f"this process may take {allowed >> 20} MB of memory, and needs {least >> 20} MB to begin"
        print(f"error: {message}\nhint: allow more (ulimit -v)", file=sys.stderr)
        sys.exit(REFUSED)


@contextmanager
def _termination() -> Iterator[list[int]]:
    """Answer SIGTERM as Ctrl-C is answered; the list tells whether it came."""
    came: list[int] = []

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
