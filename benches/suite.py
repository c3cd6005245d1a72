"""What the suites share: sizes as a fixture, and one way to time a stage by processor time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from measure import DATA, ML_20M, SMALL, Size, emptied

Timed = Callable[..., Any]
Prepare = Callable[[], tuple[Any, ...]]
RATES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", params=[SMALL, pytest.param(ML_20M, marks=pytest.mark.full)], ids=str)
def size(request: pytest.FixtureRequest) -> Size:
    chosen: Size = request.param
    return chosen


@pytest.fixture
def out() -> Path:
    return emptied(DATA / "out")


@pytest.fixture
def timed(benchmark: Any, size: Size, pytestconfig: pytest.Config) -> Timed:
    """Time a function of arguments that are made anew, untimed, for each round; note the time for an interaction.

    The clock is `time.process_time`, which counts all threads of this process.
    """

    def measure(function: Callable[..., Any], prepare: Prepare = tuple, *, interactions: float, rounds: int = 5) -> Any:
        rounds = 1 if size is ML_20M else rounds
        result = benchmark.pedantic(function, setup=lambda: (prepare(), {}), rounds=rounds)
        # There are no figures where --benchmark-disable only calls each function once.
        if benchmark.stats is not None:
            each = benchmark.stats.stats.median / interactions * 1e9
            benchmark.extra_info |= {"interactions": round(interactions), "ns_each": each}
            pytestconfig.stash.setdefault(RATES, []).append(f"{each:10.1f}  {benchmark.name}")
        return result

    return measure


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what the plugin's table has no column for."""
    terminalreporter.section("ns of one core for an interaction (of the base, or made of it), median")
    for line in config.stash.get(RATES, []):
        terminalreporter.write_line(line)
