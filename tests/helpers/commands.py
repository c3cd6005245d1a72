"""The command line inside this process: quick, and with its output at hand."""

import contextlib
import io
import sys
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from fractalrs.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """What a terminal is shown."""

    def isatty(self) -> bool:
        return True


def run(*arguments: Any, terminal: bool = False) -> Done:
    """Run ``fractalrs`` with arguments; its stderr may be a terminal."""
    out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
    code: Any = 0
    with (
        patch.object(sys, "argv", ["fractalrs", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Done(int(code or 0), out.getvalue(), err.getvalue())
