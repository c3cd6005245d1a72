"""What came of a validation: which checks hold, and what to call it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fractalrs.validation.findings import Check, Findings, Metric
from fractalrs.validation.wording import number, one_line, words


@dataclass(frozen=True)
class Outcomes:
    """What came of a validation: which checks hold, and what to call it.

    Attributes
    ----------
    findings
        All that is shown, in the order in which it is shown.
    """

    findings: Findings

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks, in order."""
        return self.findings.checks

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, in order."""
        return self.findings.metrics

    @property
    def holds(self) -> bool:
        """Whether no check, and no metric that has a threshold, fails; what could not be checked does not fail."""
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the checks and metrics that fail, in order."""
        return tuple(name for name, holds in self.outcomes.items() if holds is False)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Names of the checks and metrics that could not be checked, in order."""
        return tuple(name for name, holds in self.outcomes.items() if holds is None)

    @property
    def verdict(self) -> str:
        """How many checks hold or fail, in a few words; a metric with a threshold is a check."""
        failed = len(self.failures)
        checked = len(self.outcomes) - len(self.unchecked)
        if failed:
            return f"{failed} of {checked} checks fail{'s' if failed == 1 else ''}"
        if not checked:
            return "Nothing was checked"
        return f"All {checked} checks hold" if checked > 1 else "The one check holds"

    @property
    def subject(self) -> list[tuple[str, str]]:
        """What was looked at, name and value written for people."""
        return [(words(name), _readable(name, value)) for name, value in plain(self.findings.subject).items()]

    @property
    def outcomes(self) -> dict[str, bool | None]:
        """What came of every check and every metric with a threshold; those of one name are one."""
        outcomes: dict[str, bool | None] = {}
        named = [(check.name, None if check.holds is None else bool(check.holds)) for check in self.checks]
        named += [(metric.name, metric.holds) for metric in self.metrics if metric.threshold is not None]
        for name, holds in named:
            earlier = outcomes.get(name)
            outcomes[name] = holds if earlier is None or holds is False else earlier
        return outcomes


def plain(value: Any) -> Any:
    """Return values that JSON knows; None for what is not a finite number."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _readable(name: str, value: Any) -> str:
    """Write a JSON-safe value of the subject in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{words(inner)} {_readable(inner, content)}" for inner, content in value.items())
    if isinstance(value, list):
        return (" × " if "shape" in name else ", ").join(_readable(name, content) for content in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        # Seeds and the like are names, not amounts.
        return str(value) if "seed" in name else f"{value:,}"
    return number(value) if value is None or isinstance(value, float) else one_line(value)
