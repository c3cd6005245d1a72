"""The command line: one module a command; `fractalrs --help` lists them.

Nothing heavy is loaded before it is known which command is asked for.
"""

import sys

from fractalrs.errors import FractalrsError, WriteError

__all__ = ["FAILED", "INTERRUPTED", "REFUSED", "UNTRUE", "main"]

FAILED, REFUSED, UNTRUE, INTERRUPTED = 1, 2, 3, 130


def main() -> None:
    """Run the command line.

    Exits with 0 done, 2 refused (bad arguments or input), 1 failed while running, 3 validated and something does not
    hold, 130 interrupted.
    """
    try:
        from fractalrs.cli.commands import app

        app(prog_name="fractalrs")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except (FractalrsError, OSError, MemoryError) as error:
        message = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            message = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
        print(f"error: {message}", file=sys.stderr)
        refused = isinstance(error, FractalrsError | FileNotFoundError | PermissionError)
        sys.exit(REFUSED if refused and not isinstance(error, WriteError) else FAILED)
