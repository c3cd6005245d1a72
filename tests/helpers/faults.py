"""Commands in a process of their own, to which something happens at a change that they make."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fractalrs.cli import main

FORK = multiprocessing.get_context("fork")
CHANGES = ("os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod", "os.utime")


def ended(child: Callable[[], None]) -> int:
    """Run something in a process of its own to its end, however long a busy machine takes; return its exit code.

    The test as a whole is limited, and a child that is still there then ends with it.
    """

    def begin() -> None:
        # Whoever started the tests in the background of a shell has Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        child()

    process = FORK.Process(target=begin, daemon=True)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def faulted(arguments: Sequence[Any], place: Path, fault: int | OSError, steps: int, log: Path) -> tuple[int, str]:
    """Run a command that gets a signal, or an error, at the so many-th change of a place.

    Returns its exit code and its messages. All that it loads is to be loaded before, and not again in each child.
    """

    def child() -> None:
        left = [steps]

        def watch(event: str, found: tuple[Any, ...]) -> None:
            if event in CHANGES and str(place) in str(found[0]):
                left[0] -= 1
                if left[0] == 0 and isinstance(fault, OSError):
                    raise fault
                if left[0] == 0 and not isinstance(fault, OSError):
                    os.kill(os.getpid(), fault)

        with log.open("w") as file:
            os.dup2(file.fileno(), 2)
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.argv = ["fractalrs", *map(str, arguments)]
            sys.addaudithook(watch)
            main()

    return ended(child), log.read_text()
