"""The report of a validation: as text, JSON-safe values or one HTML file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fractalrs.tools import drawing, write_text
from fractalrs.validation.findings import Outcomes
from fractalrs.validation.verdict import by_remedy, parts
from fractalrs.validation.wording import aligned, number, one_line, plain

_OUTCOMES = {True: "ok", False: "FAILS", None: "not checked"}


@dataclass(frozen=True, repr=False)
class Report(Outcomes):
    """What a validation found, and whether to trust the data set.

    As a truth value it is `holds`; ``report["gini of users"]`` is a check or a metric, and ``list(report)`` has their
    names.

    Attributes
    ----------
    findings
        All that is shown, in the order in which it is shown.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> report = fr.validate(fr.Expansion(base, fr.reduce(base, (2, 3))), only="integrity")
    >>> report
    Report(verdict='All 6 checks hold', checks=6, metrics=0)
    >>> bool(report), report["ids are in range"].holds
    (True, True)
    """

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON knows; what is not a finite number is None.

        Returns
        -------
        dict
            ``holds``, ``failures``, ``subject``, ``checks``, ``metrics`` (each with ``holds``), ``curves``
            (figure → label → ``x`` and ``y``), ``maps`` (figure → rows) and ``seconds``.
        """
        found, drawn = self.findings, self.findings.curves.items()
        return {
            "holds": self.holds,
            "failures": list(self.failures),
            "subject": plain(found.subject),
            "checks": [plain(vars(check)) for check in self.checks],
            "metrics": [plain(vars(metric) | {"holds": metric.holds}) for metric in self.metrics],
            "curves": plain({name: {label: vars(each) for label, each in curves.items()} for name, curves in drawn}),
            "maps": plain(found.maps),
            "seconds": plain(found.seconds),
        }

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML file that needs no network and no script.

        The same findings give the same bytes. The file appears whole or not at all.

        Parameters
        ----------
        path
            The file, replaced if it exists; its folder must exist.

        Raises
        ------
        OutputError
            If the file cannot be written.
        InputError
            If the path is none, or what draws is not installed.
        """
        with drawing():
            from fractalrs.validation.report.html import page
        write_text(path, page(self))

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {', '.join(self.failures)}" if self.failures else self.verdict]
        width = max(len(part.name) for part in parts(self))
        lines += [f"{part.name:<{width}}  {part.text}" for part in parts(self)]
        if self.unchecked:
            lines.append(f"not checked: {', '.join(self.unchecked)}")
        lines += [f"{name}: {value}" for name, value in self.subject]
        if self.checks:
            ordered = sorted(self.checks, key=lambda check: check.holds is None or bool(check.holds))
            lines.append("")
            lines += aligned([(_OUTCOMES[check.holds], check.name, one_line(check.detail)) for check in ordered], "<<<")
        if self.metrics:
            columns = ("real", "synthetic", "thinned", "null", "distance", "floor")
            rows: list[tuple[str, ...]] = [("metric", *columns, "threshold", "holds")]
            for metric in self.metrics:
                outcome = "–" if metric.threshold is None else _OUTCOMES[metric.holds]
                values = (number(getattr(metric, column)) for column in columns)
                rows.append((metric.name, *values, metric.allowed, outcome))
            lines += ["", *aligned(rows, "<>>>>>>><")]
        for alike in by_remedy(self):
            allowed = ((f"; allowed {one.limit}" if one.limit else "") for one in alike)
            lines += [
                "",
                *(f"{one.name}: {one_line(one.value)}{limit}" for one, limit in zip(alike, allowed, strict=True)),
            ]
            lines += [f"  cause   {alike[0].cause}", f"  remedy  {alike[0].remedy}", f"  more    {alike[0].link}"]
        return "\n".join(lines)
