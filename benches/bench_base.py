"""What comes before the first interaction: start, read, split, reduce, fit, cells, statistics, plan."""

import subprocess
import sys
from typing import Any

import pytest
from measure import Size, children
from suite import Timed

import fractalrs as fr
from fractalrs.dataset import Private

COMMAND = [sys.executable, "-m", "fractalrs"]


@pytest.mark.benchmark(timer=children)
def test_start(benchmark: Any) -> None:
    """The command alone: interpreter, libraries, declared options."""
    benchmark.pedantic(
        subprocess.run, ([*COMMAND, "expand", "--help"],), {"check": True, "capture_output": True}, rounds=5
    )


def test_read(timed: Timed, size: Size) -> None:
    source = size.source
    assert len(timed(fr.read_interactions, lambda: (source,), interactions=size.interactions)) == size.interactions


def test_split(timed: Timed, size: Size) -> None:
    source = size.source
    timed(fr.leave_last_out, lambda: (fr.read_interactions(source),), interactions=size.interactions)


# A base remembers its decomposition: each round takes a new one, so that each stage pays for its own.


def test_reduce(timed: Timed, size: Size) -> None:
    timed(fr.reduce, lambda: (size.base(), size.multipliers), interactions=size.interactions)


def test_cells(timed: Timed, size: Size) -> None:
    timed(fr.group_cells, lambda: (size.base(),), interactions=size.interactions)


def test_fit(timed: Timed, size: Size) -> None:
    timed(fr.fit, lambda: (size.base(), size.multipliers), interactions=size.interactions, rounds=1)


def test_plan(timed: Timed, size: Size) -> None:
    def expected_bytes(expansion: fr.Expansion) -> int:
        return fr.plan(expansion).expected_bytes

    timed(expected_bytes, lambda: (size.expansion(),), interactions=size.interactions)


def test_real_statistics(timed: Timed, size: Size) -> None:
    def plan() -> tuple[Any, ...]:
        return (fr.plan(size.expansion()),)

    timed(Private.of, plan, interactions=size.interactions, rounds=1)
