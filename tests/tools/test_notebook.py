"""Progress in notebooks: where there is one, and what it is sent."""

import sys
import types
from typing import Any

import pytest

from fractalrs.tools import as_progress


class Shell:
    """The shell of a kernel."""

    kernel = object()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand for IPython in a notebook; collect what it is asked to show."""
    shown: list[str] = []

    class Handle:
        def update(self, page: str) -> None:
            shown.append(page)

    def display(page: str, display_id: bool) -> Handle:
        assert display_id
        shown.append(page)
        return Handle()

    front: Any = types.ModuleType("IPython")
    front.get_ipython = Shell
    front.display = types.ModuleType("IPython.display")
    front.display.HTML, front.display.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", front)
    monkeypatch.setitem(sys.modules, "IPython.display", front.display)
    return shown


def test_a_notebook_is_shown_a_bar_that_does_not_stay(sent: list[str]) -> None:
    with as_progress(True).task("expanding <all>", 100, 4) as report:
        report(50, 2)
    assert sent[0].startswith("<small>expanding &lt;all&gt; <progress")
    assert sent[-1] == ""


def test_a_bar_that_fails_does_not_stay(sent: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), as_progress(True).task("expanding", 100, 4):
        raise KeyboardInterrupt
    assert "<progress" not in sent[-1]


def test_a_terminal_with_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch, sent: list[str]) -> None:
    monkeypatch.delattr(Shell, "kernel")
    with as_progress(True).task("expanding", 100, 4):
        pass
    assert sent == []
