"""What a validation finds: checks, metrics, curves and maps, and what comes of them; the report is made of it."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.statistics import Curve, Floats
from fractalrs.tools import Shown, html_table
from fractalrs.validation.wording import for_people, number

Group = Literal["integrity", "fidelity"]
Label = Literal["real", "reduced", "kronecker", "synthetic", "thinned", "null"]
"""Whose a value is: the real train part R, the reduced matrix R̂, the analytic Kronecker product of the paper,
the synthetic R̃, the real data repeated and thinned to its size and density, or uniform random data of these."""


_COLUMNS: tuple[tuple[tuple[str, ...], pa.DataType], ...] = (
    (("name", "kind", "section"), pa.string()),
    (("real", "reduced", "synthetic", "thinned", "null", "distance", "floor", "threshold"), pa.float64()),
    (("holds",), pa.bool_()),
)
"""Those of a report as a table."""


@dataclass(frozen=True, repr=False)
class Check(Shown):
    """A statement about the data set that holds or not.

    Attributes
    ----------
    name
        Short and stable: ``"train and test are disjoint"``.
    group
        ``"integrity"``: exact; ``"fidelity"``: whether there is anything to measure.
    holds
        None where it could not be checked; `detail` then says what it needs.
    detail
        What was found, with numbers, and where (file, row, user, block).

    Examples
    --------
    >>> Check("ids are in range", "integrity", True, "everywhere").holds
    True
    """

    name: str
    group: Group
    holds: bool | None
    detail: str


@dataclass(frozen=True, repr=False)
class Metric(Shown):
    """One statistic of the real, the reduced, the synthetic, the thinned and uniform random data.

    Attributes
    ----------
    name
        Short and stable: ``"gini of users"``.
    section
        Where it stands in the report: ``"degrees"``, ``"spectrum"``, ``"vectors"``, ``"graph"``, ``"neighbours"``,
        ``"repetition"``, ``"times"`` or ``"ratings"``.
    real, reduced, synthetic, null
        Its values; None where it has no meaning or could not be had.
    distance
        Of synthetic from real, in the metric's own terms (`note` says which).
    threshold
        The largest distance allowed; None for a metric that is only shown.
    note
        What the value means, or what it needs (``"needs --source"``).
    thinned
        Its value of the real data, repeated m × n times and thinned to the synthetic density at one flat rate: what
        any expansion of this size loses.
    floor
        The distance of thinned from real.
    from_floor
        Whether the threshold counts from the floor, which nothing can be blamed for, and not from 0.

    Examples
    --------
    >>> Metric("gini of users", "degrees", real=0.5, synthetic=0.52, distance=0.02, threshold=0.05).holds
    True
    >>> Metric("coverage of items", "degrees", distance=0.24, threshold=0.05, floor=0.2, from_floor=True).holds
    True
    """

    name: str
    section: str
    real: float | None = None
    reduced: float | None = None
    synthetic: float | None = None
    null: float | None = None
    distance: float | None = None
    threshold: float | None = None
    note: str = ""
    thinned: float | None = None
    floor: float | None = None
    from_floor: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the distance is within the threshold, beyond the floor or at all; None where there is none."""
        if self.distance is None or self.threshold is None:
            return None
        floor = self.floor if self.from_floor and self.floor is not None else 0.0
        return bool(self.distance - floor <= self.threshold)

    def _facts(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in ("real", "synthetic", "distance", "threshold")}
        return {"name": self.name, **values, "holds": self.holds}

    @property
    def allowed(self) -> str:
        """The threshold in words."""
        return (
            f"floor + {number(self.threshold)}"
            if self.from_floor and self.threshold is not None
            else number(self.threshold)
        )


@dataclass(frozen=True, repr=False)
class Findings(Shown):
    """All that a validation found.

    Attributes
    ----------
    subject
        What was looked at, for people: path, profile, shuffle, shape, counts, versions.
    checks, metrics
        In the order in which they are shown.
    curves
        Figure → label → curve, by the names of `fractalrs.validation.metrics`; of galleries one for each number from 1,
        such as ``"left_vector_1"``. A figure may lack any label.
    maps
        Figure → matrix.
    seconds
        Time each stage took.

    Examples
    --------
    >>> Findings({"users": 3}).checks
    ()
    """

    subject: dict[str, Any]
    checks: tuple[Check, ...] = ()
    metrics: tuple[Metric, ...] = ()
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)
    maps: dict[str, Floats] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Outcomes(Shown):
    """What came of a validation: which checks hold, and what to call it.

    All that is shown is in `findings`, in the order in which it is shown. As a truth value it is `holds`; it is indexed
    by the name of a check or a metric, and iterates over these names.
    """

    findings: Findings

    def __bool__(self) -> bool:
        return self.holds

    def __getitem__(self, name: str) -> Check | Metric:
        found = self._named.get(name)
        if found is not None:
            return found
        near = difflib.get_close_matches(str(name), list(self), 1, 0)
        hint = f"the nearest one is {near[0]!r}; list(report) has all" if near else None
        raise InputError(f"the report has no check or metric {name!r}", hint)

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    @property
    def _named(self) -> dict[str, Check | Metric]:
        named: dict[str, Check | Metric] = {}
        for check in self.checks:
            named.setdefault(check.name, check)
        for metric in self.metrics:
            named.setdefault(metric.name, metric)
        return named

    def to_arrow(self) -> pa.Table:
        """Return a table with a row for each check and each metric, in the order of the report.

        Its columns are ``name``, ``kind`` (``"check"`` or ``"metric"``), ``section``, ``holds`` (null where nothing is
        judged), the values and distances of a `Metric`, and ``detail``.

        Examples
        --------
        >>> found = Findings({}, (Check("ids are in range", "integrity", True, "everywhere"),))
        >>> Outcomes(found).to_arrow().select(["name", "holds"]).to_pylist()
        [{'name': 'ids are in range', 'holds': True}]
        """
        rows = [{"kind": "check", "section": check.group, **vars(check)} for check in self.checks]
        rows += [
            {"kind": "metric", **vars(one), "holds": one.holds, "detail": one.note or None} for one in self.metrics
        ]
        text, number, truth = (dict.fromkeys(names, kind) for names, kind in _COLUMNS)
        return pa.Table.from_pylist(rows, pa.schema({**text, **truth, **number, "detail": pa.string()}))

    def _facts(self) -> dict[str, Any]:
        counts = {"checks": len(self.checks), "metrics": len(self.metrics)}
        return {"verdict": self.verdict, **({"failures": self.failures} if self.failures else {}), **counts}

    def _repr_html_(self) -> str:
        columns = ("real", "synthetic", "thinned", "distance")
        outcomes = {True: "ok", False: "FAILS", None: "–"}
        rows: list[list[str]] = [[one.name, "", "", "", "", outcomes[one.holds]] for one in self.checks]
        rows += [
            [one.name, *(number(getattr(one, name)) for name in columns), outcomes[one.holds]] for one in self.metrics
        ]
        return html_table(self.verdict, ["", *columns, "holds"], rows)

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
        return for_people(self.findings.subject)

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
