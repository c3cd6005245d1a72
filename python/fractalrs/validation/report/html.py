"""The report as one HTML file that needs no network and no script: the page, and its figures as inline SVG."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from xml.etree import ElementTree

import matplotlib
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fractalrs import plot
from fractalrs.statistics import Curve
from fractalrs.validation import verdict
from fractalrs.validation.findings import Findings, Metric, Outcomes
from fractalrs.validation.metrics import FAMILIES, FIGURES, FigureSpec
from fractalrs.validation.wording import number, words

_VALUES = ("real", "reduced", "synthetic", "thinned", "null", "distance", "floor")

# Stand for colours of the page in the figures, until `inline` replaces them: black would be left out as the default.
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
_SMALL_FIGURE = (2.9, 2.4)
_SMALL_RANGE = 1e-6
_FIRST = ("user_degrees", "item_degrees", "singular_values")
"""The figures that are shown first; all others are folded."""
NAMES = {
    "real": "real",
    "synthetic": "synthetic",
    "reduced": "reduced matrix",
    "kronecker": "product of both (analytic)",
    "thinned": "real, thinned",
    "null": "uniform random",
}
"""What the lines of figures are called, without notation."""


TEMPLATE = "report.html.jinja"


def environment() -> Environment:
    """Return what fills in the template of the report, and templates that extend it."""
    loader = PackageLoader("fractalrs.validation", "report")
    filled = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filled.filters["number"] = number
    return filled


def page(report: Outcomes) -> str:
    """Return the page."""
    known = {family.section: (family.title, family.explanation) for family in FAMILIES}
    sections: dict[str, list[Metric]] = {}
    for metric in report.metrics:
        sections.setdefault(metric.section, []).append(metric)
    with figure_style():
        figures = [drawing for spec in FIGURES if not spec.is_gallery for drawing in _figures(spec, report.findings)]
        galleries = [gallery for spec in FIGURES if spec.is_gallery for gallery in _galleries(spec, report.findings)]
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            report=report,
            seconds=[(words(name), number(value)) for name, value in report.findings.seconds.items()],
            tone="bad" if report.failures else "good" if True in report.outcomes.values() else "neutral",
            parts=verdict.parts(report),
            failures=verdict.by_remedy(report),
            judged=[metric for metric in report.metrics if metric.threshold is not None],
            sections=[
                (*known.get(name, (words(name).capitalize(), "")), metrics) for name, metrics in sections.items()
            ],
            values=_VALUES,
            looks=plot.LOOKS,
            names=NAMES,
            first=[each for name in _FIRST for each in figures if each.name == name],
            figures=[each for each in figures if each.name not in _FIRST],
            galleries=galleries,
        )
    )


@dataclass(frozen=True)
class _Drawing:
    """A figure of the page, inline SVG, or a gallery of small ones; how to read it, and the labels of its legend."""

    name: str
    title: str
    shown: Markup | list["_Drawing"]
    caption: str = ""
    labels: tuple[str, ...] = ()


def _figures(spec: FigureSpec, findings: Findings) -> Iterator[_Drawing]:
    """Draw a large figure, if it has data."""
    curves, matrix = _drawable(findings, spec.name), findings.maps.get(spec.name)
    if spec.draw and (curves or (matrix is not None and np.isfinite(matrix).any())):
        axes = _labelled(getattr(plot, spec.draw)(curves or matrix), spec)
        svg = inline(axes, spec.name, spec.title, spec.describe(_named(curves) or matrix))
        yield _Drawing(spec.name, spec.title, svg, spec.caption, tuple(curves))


def _galleries(spec: FigureSpec, findings: Findings) -> Iterator[_Drawing]:
    """Draw a row of small figures, those that have data."""
    drawings: list[_Drawing] = []
    labels: set[str] = set()
    matches = (re.fullmatch(rf"{spec.name}_(\d+)", name) for name in findings.curves)
    for which in sorted(int(match[1]) for match in matches if match):
        if curves := _drawable(findings, name := f"{spec.name}_{which}"):
            labels |= curves.keys()
            axes = _labelled(getattr(plot, spec.draw)(curves), spec)
            cast(Figure, axes.figure).set_size_inches(_SMALL_FIGURE)
            # Below are roundings of the decomposition, which would leave no room for the lines.
            bottom, top = axes.get_ylim()
            axes.set_ylim(max(bottom, top * _SMALL_RANGE), top)
            svg = inline(axes, name, f"{spec.title}: vector {which}", spec.describe(_named(curves)))
            drawings.append(_Drawing(name, f"Vector {which}", svg))
    if drawings:
        yield _Drawing(
            spec.name, spec.title, drawings, spec.caption, tuple(label for label in plot.LOOKS if label in labels)
        )


def _labelled(axes: Axes, spec: FigureSpec) -> Axes:
    """Say in words what the axes of a figure are."""
    if spec.labels:
        axes.set(xlabel=spec.labels[0], ylabel=spec.labels[1])
    return axes


def _named(curves: dict[str, Curve]) -> dict[str, Curve]:
    """Return curves by the names of their lines."""
    return {NAMES[label]: curve for label, curve in curves.items()}


@contextmanager
def figure_style() -> Iterator[None]:
    """Make figures the same whatever the caller's matplotlib settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_FIGURE_STYLE)
        yield


def _drawable(findings: Findings, name: str) -> dict[str, Curve]:
    """Those curves of a figure that have a point on logarithmic axes, in the order of legends."""
    curves = findings.curves.get(name, {})
    known = ((label, curves[label]) for label in plot.LOOKS if label in curves)
    return {label: curve for label, curve in known if ((curve.y > 0) & (curve.x > 0)).any()}


def inline(axes: Axes, name: str, title: str, description: str) -> Markup:
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
    for position, (tag, name, text) in enumerate((("title", "title", title), ("desc", "description", description))):
        child = ElementTree.Element(tag, id=f"{prefix}{name}")
        child.text = text
        root.insert(position, child)
    return Markup(ElementTree.tostring(root, encoding="unicode"))
