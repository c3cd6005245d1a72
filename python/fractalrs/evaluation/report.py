"""The report of a backcast: as text, JSON-safe values or one HTML file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fractalrs.tools import Shown
from fractalrs.validation import aligned, for_people, number, plain, write_page_like

CEILING = "another thinning"
"""The truth once more, thinned anew: what no prediction can be expected to beat."""
EXPANSION = "expansion"
"""The candidate that is judged."""


@dataclass(frozen=True)
class Score:
    """How near a candidate comes to the truth by one metric.

    Attributes
    ----------
    value
        Its value, mean over the sub-samples; None for a metric that is a distance only, or could not be had.
    distance
        From the truth, mean over the sub-samples.
    least, most
        The smallest and the largest distance of a sub-sample.

    Examples
    --------
    >>> Score(0.5, 0.02, 0.01, 0.03).distance
    0.02
    """

    value: float | None
    distance: float | None
    least: float | None
    most: float | None


@dataclass(frozen=True, repr=False)
class Row(Shown):
    """A metric of a backcast.

    Attributes
    ----------
    metric, section
        Its name, short and stable, and the heading under which it stands.
    how
        What its distances are: ``"difference"``, ``"relative"`` or more words.
    real
        Its value for the truth at the density of the expansion, mean over the sub-samples; None for one that is a
        distance only.
    scores
        By candidate.
    summary
        Whether it sums up other rows, and so is not counted in `BackcastReport.nearest` and `nearer`.

    Examples
    --------
    >>> Row("gini of users", "Degrees", "difference", 0.5, {"expansion": Score(0.52, 0.02, 0.01, 0.03)}).real
    0.5
    """

    metric: str
    section: str
    how: str
    real: float | None
    scores: dict[str, Score]
    summary: bool = False


@dataclass(frozen=True, repr=False)
class BackcastReport(Shown):
    """How near an expansion of sub-samples comes to the data they are of, and how near its rivals do.

    Attributes
    ----------
    subject
        What was compared, for people: shapes, densities, seed, profile.
    rows
        The metrics, in the order in which they are shown.
    seconds
        Time that each stage took.

    Examples
    --------
    >>> import fractalrs as fr
    >>> report = fr.backcast(fr.sample_interactions(80, 60, 1_200), 1 / 2, 1 / 2, repeats=1)
    >>> report.candidates
    ('another thinning', 'expansion', 'duplication', 'block', 'configuration', 'uniform')
    >>> report.row("gini of users, all ids").scores["expansion"].distance < 0.2
    True
    """

    subject: dict[str, Any]
    rows: tuple[Row, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    def _facts(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "metrics": len(self.rows), "nearest": self.nearest}

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of what was compared with the truth: the ceiling, the expansion, then its rivals."""
        return tuple(self.rows[0].scores)

    def row(self, metric: str) -> Row:
        """Return the row of a metric, by its name."""
        return next(row for row in self.rows if row.metric == metric)

    @property
    def nearest(self) -> dict[str, int]:
        """On how many metrics each candidate but the ceiling is nearest to the truth of all, ties for the first."""
        counts = dict.fromkeys(self.candidates[1:], 0)
        for distances in self._judged():
            counts[min(distances, key=lambda name: distances[name])] += 1
        return counts

    @property
    def nearer(self) -> dict[str, int]:
        """On how many metrics each rival is nearer to the truth than the expansion."""
        judged = [distances for distances in self._judged() if EXPANSION in distances]
        return {
            name: sum(name in distances and distances[name] < distances[EXPANSION] for distances in judged)
            for name in self.candidates[2:]
        }

    def _judged(self) -> list[dict[str, float]]:
        """Return the distances of the expansion and its rivals, for each metric that has any."""
        known = (
            {name: row.scores[name].distance for name in self.candidates[1:]} for row in self.rows if not row.summary
        )
        judged = ({name: one for name, one in distances.items() if one is not None} for distances in known)
        return [distances for distances in judged if distances]

    @property
    def verdict(self) -> str:
        """On how many metrics the expansion is nearest to the truth, in a few words."""
        return f"The expansion is nearest to the truth on {self.nearest[EXPANSION]} of {len(self._judged())} metrics"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON knows; what is not a finite number is None.

        Returns
        -------
        dict
            ``subject``, ``candidates``, ``rows`` (each with ``scores`` by candidate), ``nearest``, ``nearer`` and
            ``seconds``.
        """
        rows = [vars(row) | {"scores": {name: vars(one) for name, one in row.scores.items()}} for row in self.rows]
        found = {"subject": self.subject, "candidates": self.candidates, "rows": rows}
        found |= {"nearest": self.nearest, "nearer": self.nearer, "seconds": self.seconds}
        return dict(plain(found))

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML file that needs no network and no script.

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
        sections: dict[str, list[Row]] = {}
        for row in self.rows:
            sections.setdefault(row.section, []).append(row)
        write_page_like(
            path,
            "fractalrs.evaluation",
            "backcast.html.jinja",
            self.seconds,
            report=self,
            sections=sections,
            shown=self._shown,
            short=_short,
            expansion=EXPANSION,
        )

    @property
    def _shown(self) -> list[tuple[str, str]]:
        """What was compared, name and value written for people."""
        return for_people(self.subject)

    def __str__(self) -> str:
        names = self.candidates
        distances = [("distance from the truth", "from", "to", *names)]
        values = [("value", "truth", *names)]
        for row in self.rows:
            own = row.scores[EXPANSION]
            between = _short(own.least), _short(own.most)
            distances.append((row.metric, *between, *(_short(row.scores[name].distance) for name in names)))
            if row.real is not None:
                values.append((row.metric, *(_short(one) for one in (row.real, *self._values(row)))))
        nearer = ", ".join(f"{name} {count}" for name, count in self.nearer.items())
        lines = [self.verdict, f"nearer than the expansion, on so many: {nearer}"]
        lines += [f"{name}: {value}" for name, value in self._shown]
        lines += ["", *aligned(distances, "<" + ">" * (len(names) + 2))]
        lines += ["(from, to: smallest and largest distance of the expansion)"]
        return "\n".join([*lines, "", *aligned(values, "<" + ">" * (len(names) + 1))])

    def _values(self, row: Row) -> list[float | None]:
        return [row.scores[name].value for name in self.candidates]


def _short(value: float | None) -> str:
    """Write a value with the three digits that a table of many columns has room for."""
    return number(None if value is None else float(f"{value:.3g}"))
