"""What a validation finds: checks, metrics, curves and maps; the report is made of nothing else."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Group = Literal["integrity", "fidelity"]
Label = Literal["real", "reduced", "kronecker", "synthetic", "null"]
"""Whose a value is: the real train part R, the reduced matrix R̂, the analytic Kronecker product of the paper,
what was written R̃, or uniform random data of the same size and density."""


@dataclass(frozen=True)
class Check:
    """A statement about the data set that holds or not.

    Attributes
    ----------
    name
        Short and stable: ``"train and test are disjoint"``.
    group
        ``"integrity"``: exact; ``"fidelity"``: a metric within its threshold.
    holds
        None where it could not be checked; `detail` then says what it needs.
    detail
        What was found, with numbers, and where (file, row, user, block).
    """

    name: str
    group: Group
    holds: bool | None
    detail: str


@dataclass(frozen=True)
class Metric:
    """One statistic of the real, the reduced, the written and uniform random data.

    Attributes
    ----------
    name
        Short and stable: ``"gini of users"``.
    section
        Where it stands in the report: ``"sums"``, ``"spectrum"``, ``"vectors"``, ``"graph"``, ``"neighbours"``,
        ``"repetition"``, ``"times"`` or ``"ratings"``.
    real, reduced, synthetic, null
        Its values; None where it has no meaning or could not be had.
    distance
        Of synthetic from real, in the metric's own terms (`note` says which).
    threshold
        The largest distance allowed; None for a metric that is only shown.
    note
        What the value means, or what it needs (``"needs --source"``).
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
class Curve:
    """Points of a line in a figure, few enough to draw: x and y (float64, same length)."""

    x: Floats
    y: Floats


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
        Figure → label → curve. Figures: ``"user_sums"``, ``"item_sums"`` (x: rank / count, y: sum / mean),
        ``"singular_values"`` (x: number from 1, y: ratio to the first), ``"left_vector_1"`` … and
        ``"right_vector_1"`` … (x: rank / size, y: \\|component\\| · √size), ``"gaps"`` (x: length / mean, y: share
        up to it), ``"hours"``, ``"weekdays"`` (y: share), ``"growth"`` (x: share of interactions over, y: share of
        items seen). A figure may lack any label.
    maps
        Figure → matrix. ``"keep_rates"`` (m, n), ``"block_deviation"`` (m, n; standard deviations from the expected
        count), ``"density"`` (a few hundred bins a side; interactions of contiguous expanded users × items).
    seconds
        Time each stage took.
    """

    subject: dict[str, Any]
    checks: tuple[Check, ...] = ()
    metrics: tuple[Metric, ...] = ()
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)
    maps: dict[str, Floats] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
