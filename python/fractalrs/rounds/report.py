"""Feedback loops beside each other: numbers by round, means of several runs within bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from fractalrs.errors import InputError
from fractalrs.models import Floats
from fractalrs.rounds.result import Feedback
from fractalrs.rounds.tally import METRICS
from fractalrs.tools import Shown, drawing
from fractalrs.validation import aligned, inline_figure, write_page_like

_OF_A_BAND = ("seed", "world", "parts")
"""In what loops of one band may differ."""


@dataclass(frozen=True, repr=False)
class FeedbackReport(Shown):
    """Feedback loops beside each other, those of several seeds together.

    Parameters
    ----------
    runs
        Labels → loops that differ in their seeds, or in those of their worlds, of equally many rounds.

    Raises
    ------
    InputError
        If there are none, or rounds differ in number.

    Examples
    --------
    >>> import fractalrs as fr
    >>> world = fr.simulate(60, 40, 600)
    >>> loops = [fr.feedback(world, "random", rounds=2, slate=5, seed=seed) for seed in range(3)]
    >>> fr.FeedbackReport({"random": loops}).values("random", "coverage").shape
    (3, 2)
    """

    runs: Mapping[str, Sequence[Feedback]]

    def __post_init__(self) -> None:
        if not self.runs or not all(self.runs.values()):
            raise InputError("there are no feedback loops to report", hint="give at least one for each label")
        counts = {len(run.rounds) for runs in self.runs.values() for run in runs}
        if len(counts) > 1 or 0 in counts:
            raise InputError(f"the loops have {sorted(counts)} rounds", hint="compare loops of equally many")

    def values(self, label: str, metric: str) -> Floats:
        """Return a number of the runs of a label by round: float64, shape (runs, rounds)."""
        return np.array([run.values(metric) for run in self.runs[label]])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON knows: by label, metric and run the numbers by round."""
        return {
            label: {metric: [[one[metric] for one in run.rounds] for run in runs] for metric in METRICS}
            for label, runs in self.runs.items()
        }

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML file that needs no network and no script.

        Raises
        ------
        OutputError
            If the file cannot be written.
        InputError
            If the path is none, or what draws is not installed.
        """
        with drawing():
            from fractalrs.plot import SPARE_LOOKS, by_round

        def figure(metric: str) -> Any:
            series = {label: self.values(label, metric) for label in self.runs}
            means = {label: np.round(_over(values)[0][-1], 3) for label, values in series.items()}
            told = ", ".join(f"{label} ends at {mean:g}" for label, mean in means.items())
            return inline_figure(lambda: by_round(series), metric, metric, told)

        write_page_like(
            path,
            "fractalrs.rounds",
            "feedback.html.jinja",
            {},
            metrics=METRICS,
            figures={metric: figure(metric) for metric in METRICS},
            colours={label: look.colour for label, look in zip(self.runs, cycle(SPARE_LOOKS), strict=False)},
            shown=self._last,
            report=self,
        )

    def _last(self, label: str, metric: str) -> tuple[str, str]:
        """Return the mean of the last round, and between what it lies, written for people."""
        mean, least, most = (float(values[-1]) for values in _over(self.values(label, metric)))
        if np.isnan(mean):
            return "–", ""
        return f"{mean:.3f}", "" if len(self.runs[label]) == 1 else f"{least:.3f} to {most:.3f}"

    def _facts(self) -> dict[str, Any]:
        return {label: len(runs) for label, runs in self.runs.items()}

    def __str__(self) -> str:
        rows = [("last round", *METRICS)]
        for label in self.runs:
            last = (self._last(label, metric) for metric in METRICS)
            rows.append((label, *(f"{mean} ({between})" if between else mean for mean, between in last)))
        return "\n".join(aligned(rows, "<" + ">" * len(METRICS)))


def side_by_side(loops: Sequence[Feedback]) -> dict[str, list[Feedback]]:
    """Return loops by labels: those together that differ in seed, world and parts alone, else with what differs.

    Examples
    --------
    >>> import fractalrs as fr
    >>> world = fr.simulate(60, 40, 600)
    >>> how = ({"slate": 5, "seed": 0}, {"slate": 5, "seed": 1}, {"slate": 4, "once": True})
    >>> {label: len(runs) for label, runs in side_by_side([fr.feedback(world, rounds=2, **one) for one in how]).items()}
    {'SVD, slate 5': 2, 'SVD, once, slate 4': 1}
    """
    plans = [{name: value for name, value in loop.plan.items() if name not in _OF_A_BAND} for loop in loops]
    differs = {name for plan in plans for name in plan if any(plan.get(name) != one.get(name) for one in plans)}
    # Settings tell more than the name does only where a name has several.
    named = {(plan["policy"], plan["settings"]) for plan in plans}
    several = {policy for policy, _ in named if sum(one == policy for one, _ in named) > 1}
    found: dict[str, list[Feedback]] = {}
    for loop, plan in zip(loops, plans, strict=True):
        more = [f" ({plan['settings']})"] if plan["policy"] in several else []
        other = {name: plan[name] for name in sorted(differs - {"policy", "settings", "epsilon"}) if plan[name]}
        more += [f", {name}" if value is True else f", {name} {value}" for name, value in other.items()]
        found.setdefault("".join([loop.name, *more]), []).append(loop)
    return found


def _over(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean, least and most over runs by round; NaN where no run has any."""
    there = ~np.isnan(values).all(axis=0)
    found = np.full((3, values.shape[1]), np.nan)
    known = values[:, there]
    found[:, there] = np.nanmean(known, axis=0), np.nanmin(known, axis=0), np.nanmax(known, axis=0)
    return found[0], found[1], found[2]
