"""The report of ranked models: as text or JSON-safe values."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fractalrs.evaluation.agreement import AS_WELL, NOT, Agreement, Figure, verdict
from fractalrs.expansion import DEFAULT_PROFILE
from fractalrs.tools import Shown, write_text
from fractalrs.validation import aligned, for_people, plain

COLUMNS = ("real", "ceiling", "thinned", "synthetic", "null")
"""What is always shown together."""


@dataclass(frozen=True, repr=False)
class Column(Shown):
    """One kind of data, by metric.

    Attributes
    ----------
    values
        The figure of each model, by metric and model.
    agreement
        With the real data, by metric; empty for the real data themselves.

    Examples
    --------
    >>> Column({"HR@10": {"EASE": Figure(0.5, (0.4, 0.6))}}, {}).values["HR@10"]["EASE"].value
    0.5
    """

    values: dict[str, dict[str, Figure]]
    agreement: dict[str, Agreement]


@dataclass(frozen=True, repr=False)
class RankReport(Shown):
    """Whether models rank on synthetic data as they do on the real data.

    Attributes
    ----------
    subject
        What was compared, for people.
    columns
        ``real``, ``ceiling`` (halves of the real users against each other), ``thinned`` (the real data at the density
        of the expansion), ``synthetic`` and ``null`` (equal degrees, nothing else).
    judged
        The metrics that the verdict is about.
    decisive
        Of the real data, by metric: the pairs of models whose order is certain, the better one first.
    settings
        What each family was tuned to, by column.
    seconds
        Time that each stage took.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.models import FAMILIES
    >>> base = fr.leave_last_out(fr.sample_interactions(120, 60, 1_800))
    >>> few = {name: FAMILIES[name] for name in ("popularity", "item kNN", "SVD")}
    >>> report = fr.rank_agreement(base, fr.Expansion(base, fr.fit(base, (2, 2))), models=few, repeats=1)
    >>> tuple(report.columns)
    ('real', 'ceiling', 'thinned', 'synthetic', 'null')
    """

    subject: dict[str, Any]
    columns: dict[str, Column]
    judged: tuple[str, ...]
    decisive: dict[str, list[tuple[str, str]]]
    settings: dict[str, dict[str, str]]
    seconds: dict[str, float] = field(default_factory=dict)

    def _facts(self) -> dict[str, Any]:
        return {"verdict": self.verdict, **self.verdicts("synthetic")}

    @property
    def verdict(self) -> str:
        """What the synthetic data are good for, by the worse of the judged metrics."""
        return self.verdict_of("synthetic")

    def verdict_of(self, column: str) -> str:
        """Return the verdict of a column, by the worse of the judged metrics."""
        found, agreed = self.verdicts(column), self.columns[column].agreement

        def worse(metric: str) -> tuple[bool, bool, float]:
            return found[metric].startswith(NOT), found[metric] != AS_WELL, agreed[metric].apart or 0.0

        return found[max(self.judged, key=worse)]

    def verdicts(self, column: str) -> dict[str, str]:
        """Return the verdict of a column for each judged metric."""
        compared = [self.columns[name].agreement for name in (column, "ceiling", "null")]
        return {metric: verdict(*(agreed[metric] for agreed in compared)) for metric in self.judged}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON knows; what is not a finite number is None.

        Returns
        -------
        dict
            ``verdict``, ``verdicts``, ``subject``, ``settings``, ``seconds``, and each column under its name: by metric
            ``tau``, ``kept``, ``apart``, ``decisive`` and ``reversed``, and ``models`` with a figure each. A figure has
            ``value`` and ``interval``.
        """
        found: dict[str, Any] = {"verdict": self.verdict, "verdicts": self.verdicts("synthetic")}
        found |= {"subject": self.subject, "judged": self.judged, "settings": self.settings, "seconds": self.seconds}
        for name, column in self.columns.items():
            found[name] = {
                metric: _agreed(column.agreement.get(metric), self.decisive[metric])
                | {"models": {model: vars(one) for model, one in values.items()}}
                for metric, values in column.values.items()
            }
        return dict(plain(found))

    def save_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file, which is replaced if it exists; its folder must exist.

        Raises
        ------
        OutputError
            If the file cannot be written.
        InputError
            If the path is none.
        """
        write_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=1))

    def __str__(self) -> str:
        lines = [f"The expansion {'is ' if self.verdict != AS_WELL else ''}{self.verdict}"]
        lines += [f"{metric}: {words}" for metric, words in self.verdicts("synthetic").items()]
        if self.verdict != AS_WELL and self.subject["profile"] == DEFAULT_PROFILE:
            lines.append("hint: profile paper, × (2, 2), keeps more of the pairs on most data (docs/ranking.md)")
        lines += [f"{name}: {value}" for name, value in for_people(self.subject)]
        compared = COLUMNS[1:]
        kept: list[tuple[str, ...]] = [("decisive pairs kept", "pairs", *compared)]
        turned: list[tuple[str, ...]] = [("reversed for certain", *compared)]
        taus: list[tuple[str, ...]] = [("Kendall's τ", *compared)]
        for metric, pairs in self.decisive.items():
            agreed = [self.columns[name].agreement[metric] for name in compared]
            kept.append((metric, str(len(pairs)), *(_short(one.kept) for one in agreed)))
            turned.append((metric, *("–" if one.reversed is None else f"{one.reversed:.3f}" for one in agreed)))
            taus.append((metric, *(_short(one.tau) for one in agreed)))
        lines += [
            "",
            *aligned(kept, "<" + ">" * 5),
            "",
            *aligned(turned, "<" + ">" * 4),
            "",
            *aligned(taus, "<" + ">" * 4),
        ]
        for metric in self.judged:
            of = {name: column.values[metric] for name, column in self.columns.items()}
            values = [(model, *(_short(of[name][model]) for name in COLUMNS)) for model in of["real"]]
            lines += ["", *aligned([(metric, *COLUMNS), *values], "<" + ">" * 5)]
        return "\n".join(lines)


def _agreed(found: Agreement | None, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    if found is None:
        return {"decisive": pairs}
    figures = {"tau": vars(found.tau), "kept": vars(found.kept)}
    return figures | {"apart": found.apart, "decisive": found.decisive, "reversed": found.reversed}


def _short(figure: Figure) -> str:
    """Write a figure with the digits that a table of many columns has room for."""
    if figure.value is None or figure.interval is None:
        return "–"
    low, high = figure.interval
    return f"{figure.value:.3f} ({low:.3f}–{high:.3f})".replace("-", "−")
