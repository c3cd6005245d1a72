"""The verdict in three parts, exact, realistic and what differs unjudged; and what to do about a failure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fractalrs.validation.findings import Check, Metric, Outcomes
from fractalrs.validation.wording import first_few, number

DOCS = "https://fractalrs.github.io/fractalrs"
"""Where the documentation is."""

_DIFFERS = 0.1
"""A metric that is not judged is named where it is so far from real beyond what thinning does: as a share of the real
value, or in its own terms where it is a distance."""


@dataclass(frozen=True)
class Part:
    """A part of the verdict: what it is called, whether it holds (None: not judged), and the numbers in words.

    Examples
    --------
    >>> Part("exact", True, "all 9 checks hold").text
    'all 9 checks hold'
    """

    name: str
    holds: bool | None
    text: str


@dataclass(frozen=True)
class Failure:
    """A check or a metric that fails: what was found, what is allowed, why, what to do, and the page that tells more.

    Examples
    --------
    >>> Failure("gini of users", "0.6", "0.52", "keep rates differ", "use --fit", "fidelity").link
    'https://fractalrs.github.io/fractalrs/fidelity.html'
    """

    name: str
    value: str
    limit: str
    cause: str
    remedy: str
    page: str

    @property
    def link(self) -> str:
        """Address of the page."""
        return f"{DOCS}/{self.page}.html"


def parts(report: Outcomes) -> tuple[Part, ...]:
    """Return the verdict in three parts.

    Examples
    --------
    >>> from fractalrs.validation.findings import Findings
    >>> found = Findings({}, (Check("ids are in range", "integrity", True, ""),))
    >>> [part.text for part in parts(Outcomes(found))][:2]
    ['the one check holds', 'nothing was measured']
    """
    judged = [metric for metric in report.metrics if metric.holds is not None]
    differing = [metric for metric in report.metrics if _differs(metric)]
    shown = first_few([_numbers(metric) for metric in differing], 3) if differing else "nothing by more than a tenth"
    fidelity = [check for check in report.checks if check.group == "fidelity" and check.holds is not None]
    exact = [check for check in report.checks if check.group == "integrity" and check.holds is not None]
    measured: list[Check | Metric] = [*fidelity, *judged]
    return (
        _part("exact", exact, "check", "was checked"),
        _part("realistic", measured, "metric", "was measured"),
        *([Part("differs, not judged", None, shown)] if report.metrics else []),
    )


def _part(name: str, found: Sequence[Check | Metric], kind: str, nothing: str) -> Part:
    failed = sum(not one.holds for one in found)
    if not found:
        return Part(name, None, f"nothing {nothing}")
    if failed:
        return Part(name, False, f"{failed} of {len(found)} {kind}s fail{'s' if failed == 1 else ''}")
    return Part(name, True, f"all {len(found)} {kind}s hold" if len(found) > 1 else f"the one {kind} holds")


def _differs(metric: Metric) -> bool:
    if metric.threshold is not None or metric.distance is None:
        return False
    beyond, apart = metric.distance - (metric.floor or 0.0), None
    if metric.real is not None and metric.synthetic is not None:
        apart = abs(metric.synthetic - metric.real)
    is_difference = apart is not None and abs(apart - metric.distance) <= 1e-9 * max(1.0, apart)
    return beyond > _DIFFERS * (abs(metric.real or 0.0) if is_difference else 1.0)


def _numbers(metric: Metric) -> str:
    if metric.real is None or metric.synthetic is None:
        return f"{metric.name} {number(metric.distance)} from real"
    return f"{metric.name} {number(metric.synthetic)} (real {number(metric.real)})"


def failures(report: Outcomes) -> tuple[Failure, ...]:
    """Return what fails, in the order of the report, with what can be done about it.

    Examples
    --------
    >>> from fractalrs.validation.findings import Findings
    >>> failing = Metric("gini of users", "degrees", 0.5, synthetic=0.6, distance=0.1, threshold=0.02)
    >>> failures(Outcomes(Findings({"shuffle": "block"}, (), (failing,))))[0].value
    '0.6 (real 0.5), distance 0.1'
    """
    shuffle = str(report.findings.subject.get("shuffle", ""))
    found = [_of_check(check) for check in report.checks if check.holds is not None and not check.holds]
    timed = any(metric.section == "times" for metric in report.metrics)
    return (*found, *(_of_metric(metric, shuffle, timed) for metric in report.metrics if metric.holds is False))


def by_remedy(report: Outcomes) -> list[list[Failure]]:
    """Return what fails, together what has one cause and one remedy.

    Examples
    --------
    >>> from fractalrs.validation.findings import Findings
    >>> both = (Metric(f"gini of {side}", "degrees", distance=0.1, threshold=0.02) for side in ("users", "items"))
    >>> [len(alike) for alike in by_remedy(Outcomes(Findings({}, (), tuple(both))))]
    [2]
    """
    alike: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures(report):
        alike.setdefault((failure.cause, failure.remedy), []).append(failure)
    return list(alike.values())


def _of_check(check: Check) -> Failure:
    if check.group == "fidelity":
        return Failure(check.name, check.detail, "", "nothing was kept", "raise the keep scale or the target", "guide")
    if re.search("files|counts", check.name):
        cause = "a file was changed, cut off or lost after it was written"
        remedy = "delete what is damaged and give the command that made it again: it writes what is missing"
    else:
        cause = "the files are not what their plan generates: changed since, or written by another program"
        remedy = "make it again with --overwrite; if it fails at once, report it with this page"
    return Failure(check.name, check.detail, "none", cause, remedy, "generator")


def _of_metric(metric: Metric, shuffle: str, timed: bool) -> Failure:
    cause, remedy, page = next(known for pattern, *known in _KNOWN if re.search(pattern, metric.name))
    if shuffle and shuffle not in ("cells", "mixed") and page in ("fidelity", "theory", "cells"):
        one = " --user-cell-size 1" if timed else ""
        remedy = f"--profile realistic{one} fits this to the source; this data set has the shuffle {shuffle}"
    values = (
        f"{number(metric.synthetic)} (real {number(metric.real)}), "
        if None not in (metric.synthetic, metric.real)
        else ""
    )
    limit = metric.allowed
    if metric.from_floor and metric.floor is not None and metric.threshold is not None:
        limit = f"{number(metric.floor + metric.threshold)} ({limit})"
    return Failure(metric.name, f"{values}distance {number(metric.distance)}", limit, cause, remedy, page)


_KNOWN = (
    (
        "gini|Wasserstein|KS distance of|share of the top|tail|slope of (users|items)|decay",
        "keep rates of the blocks spread activity and popularity more, or less, than the source has them",
        "raise the multipliers: more blocks even out",
        "fidelity",
    ),
    (
        "coverage",
        "ids of few interactions are empty where keep rates are low",
        "raise --keep-scale or --min-keep, or lower the multipliers",
        "fidelity",
    ),
    (
        "singular|norm captured|effective rank|prediction|recall",
        "the reduced matrix adds tastes of its own to those of the source, or few blocks hide some",
        "raise the multipliers, or set --strength",
        "theory",
    ),
    (
        "assortativity|clustering",
        "who goes with what is lost where blocks exchange users or items that are not alike",
        "make cells smaller: --user-cell-size, --item-cell-size",
        "cells",
    ),
    (
        "copies of one source event",
        "column blocks put copies of one event next to each other in a user's time line",
        "use fewer column blocks: a lower --item-multiplier",
        "guides/times",
    ),
    (
        "copies|repetition|nearest|lift",
        "an item has the same source item in many row blocks, and its copies look alike",
        "make cells larger, or keep less: --item-cell-size, a lower --max-keep",
        "cells",
    ),
    (
        "times|hour|day|growth|dependence",
        "each column block has a pace of its own, and few blocks or low keep rates show it",
        "use fewer column blocks, or a source that covers more time",
        "guides/times",
    ),
    ("rating", "ratings were multiplied, or changed since", "carry them: --ratings carry", "operators"),
    (
        "",
        "the expansion changes this more than thinning does",
        "raise the multipliers, or allow it: --thresholds",
        "fidelity",
    ),
)
"""Metrics by pattern: the cause of a failure, the remedy, and the page of the documentation."""
