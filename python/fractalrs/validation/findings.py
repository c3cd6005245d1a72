"""What a validation finds: checks, metrics, curves and maps; the report is made of nothing else."""

from dataclasses import dataclass, field
from typing import Any, Literal

from fractalrs.statistics import Curve, Floats

Group = Literal["integrity", "fidelity"]
Label = Literal["real", "reduced", "kronecker", "synthetic", "null"]
"""Whose a value is: the real train part R, the reduced matrix R̂, the analytic Kronecker product of the paper,
the synthetic R̃, or uniform random data of the same size and density."""


@dataclass(frozen=True)
class Check:
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


@dataclass(frozen=True)
class Metric:
    """One statistic of the real, the reduced, the synthetic and uniform random data.

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

    Examples
    --------
    >>> Metric("gini of users", "degrees", real=0.5, synthetic=0.52, distance=0.02, threshold=0.05).holds
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

    @property
    def holds(self) -> bool | None:
        """Whether the distance is within the threshold; None where there is none of either."""
        if self.distance is None or self.threshold is None:
            return None
        return bool(self.distance <= self.threshold)


@dataclass(frozen=True)
class Findings:
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
