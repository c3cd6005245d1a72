"""The report of a validation: verdict, checks, metrics and figures as text, JSON-safe values or one HTML file."""

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, SupportsFloat, cast
from xml.etree import ElementTree

import matplotlib
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fractalrs import plot
from fractalrs.errors import OutputError
from fractalrs.validation.findings import Check, Curve, Findings, Floats, Metric

SECTIONS = {
    "sums": ("Degrees", "How active users are, and how popular items."),
    "spectrum": ("Singular values", "How much of the data a few tastes explain."),
    "vectors": ("Singular vectors", "How widely each of those tastes is shared: the paper’s network values."),
    "graph": ("Graph", "Users and items as a bipartite graph."),
    "neighbours": ("Neighbours", "How items go together; copies of one source item would show here."),
    "repetition": ("Repetition", "Whether blocks repeat each other."),
    "times": ("Times", "When users are active, and when items appear."),
    "ratings": ("Ratings", "How users rate."),
}
"""Title and explanation of `Metric.section`; an unknown one is shown under its own name."""

_OUTCOMES = {True: "ok", False: "FAILS", None: "not checked"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_VALUES = ("real", "reduced", "synthetic", "null", "distance", "threshold")

# Stand for colours of the page in the figures, until `_inline` replaces them: black would be left out as the default.
_INK, _FAINT = "#010203", "#040506"
_FIGURE_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "grid.color": _FAINT,
    # Measures the texts; the page then sets them in its own, narrower font.
    "font.family": ["DejaVu Sans"],
    "svg.fonttype": "none",
    "svg.hashsalt": "fractalrs",
}
_SMALL_FIGURE = (2.6, 2.0)


@dataclass(frozen=True)
class Report:
    """What a validation found, and whether to trust the data set.

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
        return tuple(name for name, holds in self._outcomes().items() if holds is False)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Names of the checks and metrics that could not be checked, in order."""
        return tuple(name for name, holds in self._outcomes().items() if holds is None)

    @property
    def verdict(self) -> str:
        """How many checks hold or fail, in a few words; a metric with a threshold is a check."""
        failed = len(self.failures)
        checked = len(self._outcomes()) - len(self.unchecked)
        if failed:
            return f"{failed} of {checked} checks fail{'s' if failed == 1 else ''}"
        if not checked:
            return "Nothing was checked"
        return f"All {checked} checks hold" if checked > 1 else "The one check holds"

    def to_dict(self) -> dict[str, Any]:
        """Give everything as values that JSON knows; what is not a finite number is None.

        Returns
        -------
        dict
            ``holds``, ``failures``, ``subject``, ``checks``, ``metrics`` (each with ``holds``), ``curves``
            (figure → label → ``x`` and ``y``), ``maps`` (figure → rows) and ``seconds``.
        """
        found = self.findings
        return {
            "holds": self.holds,
            "failures": list(self.failures),
            "subject": _plain(found.subject),
            "checks": [_plain(vars(check)) for check in self.checks],
            "metrics": [_plain(vars(metric) | {"holds": metric.holds}) for metric in self.metrics],
            "curves": _plain(
                {
                    figure: {label: vars(curve) for label, curve in curves.items()}
                    for figure, curves in found.curves.items()
                }
            ),
            "maps": _plain(found.maps),
            "seconds": _plain(found.seconds),
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
        """
        path = Path(path)
        page = self._html().encode()
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            temporary.write_bytes(page)
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise OutputError(
                f"the report cannot be written to {path}: {(error.strerror or str(error)).lower()}",
                hint="name a file in a folder that exists and may be written to",
            ) from error

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {', '.join(self.failures)}" if self.failures else self.verdict]
        if self.unchecked:
            lines.append(f"not checked: {', '.join(self.unchecked)}")
        lines += [f"{name}: {value}" for name, value in _subject(self.findings)]
        if self.checks:
            ordered = sorted(self.checks, key=lambda check: check.holds is None or bool(check.holds))
            lines.append("")
            lines += _aligned(
                [(_OUTCOMES[check.holds], check.name, _one_line(check.detail)) for check in ordered], "<<<"
            )
        if self.metrics:
            columns = ("real", "synthetic", "null", "distance", "threshold")
            rows = [
                (
                    metric.name,
                    *(number(getattr(metric, column)) for column in columns),
                    "–" if metric.threshold is None else _OUTCOMES[metric.holds],
                )
                for metric in self.metrics
            ]
            lines += ["", *_aligned([("metric", *columns, "holds"), *rows], "<>>>>><")]
        return "\n".join(lines)

    def _outcomes(self) -> dict[str, bool | None]:
        """Tell what came of every check and every metric with a threshold; those of one name are one."""
        outcomes: dict[str, bool | None] = {}
        named = [(check.name, None if check.holds is None else bool(check.holds)) for check in self.checks]
        named += [(metric.name, metric.holds) for metric in self.metrics if metric.threshold is not None]
        for name, holds in named:
            earlier = outcomes.get(name)
            outcomes[name] = holds if earlier is None or holds is False else earlier
        return outcomes

    def _html(self) -> str:
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters["number"] = number
        template = environment.from_string(
            files("fractalrs.validation").joinpath("report.html.jinja").read_text(encoding="utf-8")
        )
        sections = list(dict.fromkeys(metric.section for metric in self.metrics))
        return template.render(
            report=self,
            subject=_subject(self.findings),
            seconds=[(_words(name), number(value)) for name, value in self.findings.seconds.items()],
            tone="bad" if self.failures else "good" if True in self._outcomes().values() else "neutral",
            sections=[
                (
                    *SECTIONS.get(section, (_words(section).capitalize(), "")),
                    [m for m in self.metrics if m.section == section],
                )
                for section in sections
            ],
            values=_VALUES,
            looks=plot.LOOKS,
            figures=_figures(self.findings),
            galleries=_galleries(self.findings),
        )


def number(value: SupportsFloat | None) -> str:
    """Write a number for people: four significant digits, thousands separated, – for None."""
    if value is None:
        return "–"
    value = float(value)
    if not math.isfinite(value):
        text = "NaN" if math.isnan(value) else f"{'-' * (value < 0)}∞"
    elif value == 0:
        text = "0"
    elif not 1e-4 <= abs(value) < 1e15:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    elif float(f"{value:.4g}") == value:
        # A threshold of 0.1 is exact, and not 0.1000.
        text = f"{value:,.15g}"
    else:
        text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return text.replace("-", "−")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _subject(findings: Findings) -> list[tuple[str, str]]:
    return [(_words(name), _readable(name, value)) for name, value in _plain(findings.subject).items()]


def _readable(name: str, value: Any) -> str:
    """Write a JSON-safe value of the subject in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{_words(inner)} {_readable(inner, content)}" for inner, content in value.items())
    if isinstance(value, list):
        return (" × " if "shape" in name else ", ").join(_readable(name, content) for content in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        # Seeds and the like are names, not amounts.
        return str(value) if "seed" in name else f"{value:,}"
    return number(value) if value is None or isinstance(value, float) else _one_line(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _aligned(rows: Sequence[tuple[str, ...]], alignments: str) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, alignments, widths, strict=True)).rstrip()
        for row in rows
    ]


@dataclass(frozen=True)
class _Drawing:
    """A figure of the page: its title, inline SVG, how to read it, and the labels of its legend."""

    title: str
    svg: Markup
    caption: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Gallery:
    """Small figures that share a caption and a legend, whose labels these are."""

    title: str
    caption: str
    labels: tuple[str, ...]
    drawings: list[_Drawing]


_RANKED = (
    "both axes logarithmic. The nearer the synthetic line is to the real one, the better: where it is flatter, the "
)
_CAPTIONS = {
    "user_sums": (
        "Ranked sums of users",
        f"Interactions of each user over the mean, the most active first; {_RANKED}data have lost their fat tail. "
        "Uniform random data are nearly level.",
    ),
    "item_sums": (
        "Ranked sums of items",
        f"Interactions of each item over the mean, the most popular first; {_RANKED}data have lost their hits. "
        "Uniform random data are nearly level.",
    ),
    "singular_values": (
        "Singular values",
        "Each over the first; both axes logarithmic. The analytic Kronecker product is what the paper shows; the "
        "synthetic line is measured on what was written. In uniform random data all but the first are small and alike.",
    ),
    "gaps": (
        "Gaps between a user’s interactions",
        "The share of gaps up to a multiple of their mean, logarithmic. Both are put on the clock that is the coarser "
        "one against its gaps; where lines begin is the share of ties on it. Times drawn at random would have few "
        "short gaps.",
    ),
    "hours": (
        "Hours of the day",
        "The share of interactions in each hour of the clock that timestamps follow: UTC, where they count from 1970.",
    ),
    "weekdays": ("Days of the week", "The share of interactions on each day."),
    "growth": (
        "Growth of the catalogue",
        "The share of all items that have been seen, while interactions go by in the order of time. A line that jumps "
        "up at once would leave no new items for later.",
    ),
    "keep_rates": (
        "Keep rates",
        "One cell a block: the share of the real interactions that the block keeps. The more the rows differ, the more "
        "does the activity of users; the more the columns, the popularity of items.",
    ),
    "block_deviation": (
        "Deviation of each block",
        "How far the number of interactions in each block is from what its keep rate lets expect. White noise is good; "
        "a pattern of rows, columns or patches is not. Plus and minus mark blocks beyond 5 standard deviations: by "
        "chance 1 in 1.7 million.",
    ),
    "density": (
        "Density of the expanded matrix",
        "Interactions of contiguous users and items, colours logarithmic, empty bins blank. Blocks show as a grid; the "
        "fractal structure shows as copies of the whole picture inside its cells, and a shuffle takes it away.",
    ),
}
_COMPONENTS = (
    "by magnitude: |component| · √size over rank / size, both axes logarithmic. A level line is a taste that all "
    "share, a steep one belongs to few."
)
_VECTORS = {
    "left": ("Network values of users", f"The components of each leading left singular vector {_COMPONENTS}"),
    "right": ("Network values of items", f"The components of each leading right singular vector {_COMPONENTS}"),
}


def _figures(findings: Findings) -> list[_Drawing]:
    """Draw the large figures that have data."""
    lines: dict[str, tuple[Callable[[Mapping[str, Curve]], Axes], Callable[[Mapping[str, Curve]], str]]] = {
        "user_sums": (plot.ranked_sums, _describe_tops),
        "item_sums": (plot.ranked_sums, _describe_tops),
        "singular_values": (plot.singular_values, _describe_spectrum),
        "gaps": (plot.gaps, partial(_describe_middle, "at a tenth of the mean", 0.1)),
        "hours": (plot.hours, partial(_describe_middle, "at noon", 12.5)),
        "weekdays": (plot.weekdays, partial(_describe_middle, "on Sunday", 7)),
        "growth": (plot.growth, partial(_describe_middle, "after half of the interactions", 0.5)),
    }
    maps = {
        "keep_rates": (plot.keep_rates, _describe_rates),
        "block_deviation": (plot.block_deviation, _describe_deviation),
        "density": (plot.density, _describe_density),
    }
    drawings = []
    for name, (title, caption) in _CAPTIONS.items():
        with _figure_style():
            if curves := _drawable(findings, name):
                draw_lines, describe_lines = lines[name]
                svg = _inline(draw_lines(curves), name, title, describe_lines(curves))
            elif name in findings.maps and np.isfinite(findings.maps[name]).any():
                draw_map, describe_map = maps[name]
                svg = _inline(draw_map(findings.maps[name]), name, title, describe_map(findings.maps[name]))
            else:
                continue
        drawings.append(_Drawing(title, svg, caption, tuple(curves)))
    return drawings


def _galleries(findings: Findings) -> list[_Gallery]:
    """Draw the singular vectors, users' and items', one small figure each."""
    galleries = []
    for side, (title, caption) in _VECTORS.items():
        drawings: list[_Drawing] = []
        labels: set[str] = set()
        matches = (re.fullmatch(rf"{side}_vector_(\d+)", name) for name in findings.curves)
        for which in sorted(int(match[1]) for match in matches if match):
            name = f"{side}_vector_{which}"
            curves = _drawable(findings, name)
            if not curves:
                continue
            labels |= curves.keys()
            with _figure_style():
                axes = plot.network_values(curves)
                axes.set(xlabel="", ylabel="")
                cast(Figure, axes.figure).set_size_inches(_SMALL_FIGURE)
                svg = _inline(axes, name, f"{title}: vector {which}", _describe_tops(curves))
            drawings.append(_Drawing(f"Vector {which}", svg))
        if drawings:
            galleries.append(
                _Gallery(title, caption, tuple(label for label in plot.LOOKS if label in labels), drawings)
            )
    return galleries


@contextmanager
def _figure_style() -> Iterator[None]:
    """Make figures the same whatever the caller's matplotlib settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_FIGURE_STYLE)
        yield


def _drawable(findings: Findings, name: str) -> dict[str, Curve]:
    """Those curves of a figure that have a point on logarithmic axes, in the order of legends."""
    curves = findings.curves.get(name, {})
    return {
        label: curves[label]
        for label in plot.LOOKS
        if label in curves and ((curves[label].y > 0) & (curves[label].x > 0)).any()
    }


def _describe_tops(curves: Mapping[str, Curve]) -> str:
    tops = {label: np.nanmax(curve.y) for label, curve in curves.items()}
    return f"Lines that fall from left to right; at the top {_list(curves, tops)}."


def _describe_middle(where: str, x: float, curves: Mapping[str, Curve]) -> str:
    at = {label: curve.y[np.abs(curve.x - x).argmin()] for label, curve in curves.items()}
    return f"Lines from left to right; {where} {_list(curves, at)}."


def _describe_spectrum(curves: Mapping[str, Curve]) -> str:
    last = min(float(curve.x.max()) for curve in curves.values())
    at = {label: curve.y[np.abs(curve.x - last).argmin()] for label, curve in curves.items()}
    return f"Lines that fall from 1 at the first value; at value {number(last)} {_list(curves, at)}."


def _list(curves: Mapping[str, Curve], values: Mapping[str, float]) -> str:
    return ", ".join(f"{plot.LOOKS[label].name} {number(values[label])}" for label in curves)


def _describe_rates(rates: Floats) -> str:
    low, mean, high = np.nanmin(rates), np.nanmean(rates), np.nanmax(rates)
    return f"{_size(rates)} blocks with keep rates from {number(low)} to {number(high)}, {number(mean)} on average."


def _describe_deviation(deviation: Floats) -> str:
    far = int(np.count_nonzero(np.abs(deviation) > plot.BEYOND))
    return (
        f"{_size(deviation)} blocks from {number(np.nanmin(deviation))} to {number(np.nanmax(deviation))} standard "
        f"deviations; {number(far) if far else 'none'} beyond {number(plot.BEYOND)}."
    )


def _describe_density(counts: Floats) -> str:
    empty = int(np.count_nonzero(~(counts > 0)))
    return (
        f"{_size(counts)} bins of at most {number(np.nanmax(counts))} interactions, {number(np.nanmean(counts))} on "
        f"average; {number(empty) if empty else 'none'} empty."
    )


def _size(matrix: Floats) -> str:
    return f"{matrix.shape[0]:,} × {matrix.shape[1]:,}"


def _inline(axes: Axes, name: str, title: str, description: str) -> Markup:
    """Turn a figure into an SVG element that can stand in a page beside others.

    Colours become those of the page, ids begin with the figure's name, and there is nothing but what is seen.
    """
    if legend := axes.get_legend():
        # The page has one, which wraps and never lies on a line.
        legend.remove()
    file = io.StringIO()
    cast(Figure, axes.figure).savefig(
        file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
    )
    root = ElementTree.fromstring(file.getvalue())
    colours = {_INK: "currentColor", _FAINT: "var(--faint)"}
    colours |= {look.colour: f"var(--{label})" for label, look in plot.LOOKS.items()}
    referenced = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", file.getvalue()))
    prefix = f"{name.replace('_', '-')}-"
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith("}style"):
                parent.remove(child)
    for element in root.iter():
        # An SVG inside HTML needs no namespaces.
        element.tag = element.tag.rpartition("}")[2]
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if attributes.get("id") not in referenced:
            attributes.pop("id", None)
        for key, value in attributes.items():
            if key == "id":
                attributes[key] = prefix + value
            elif key == "href":
                attributes[key] = re.sub(r"^#", f"#{prefix}", value)
            elif key == "d":
                attributes[key] = re.sub(r"\d+\.\d+", lambda match: f"{float(match[0]):.2f}", " ".join(value.split()))
            else:
                value = value.replace("url(#", f"url(#{prefix}")
                attributes[key] = re.sub(r"#[0-9a-f]{6}", lambda match: colours.get(match[0], match[0]), value)
        element.attrib = attributes
    for attribute in ("width", "height", "version"):
        del root.attrib[attribute]
    root.attrib |= {"role": "img", "aria-labelledby": f"{prefix}title {prefix}description"}
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        child = ElementTree.Element(tag, id=f"{prefix}{'title' if tag == 'title' else 'description'}")
        child.text = text
        root.insert(position, child)
    return Markup(ElementTree.tostring(root, encoding="unicode"))
