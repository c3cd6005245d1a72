"""Declarations: the report, thresholds, plots and the docs' tables follow from the metrics and figures themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

import fractalrs as fr
from fractalrs import plot
from fractalrs.tools import Progress
from fractalrs.validation import metrics, thresholds
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.spec import Family, MetricSpec, Values
from fractalrs.validation.planned import Planned

DOCS = Path(__file__).parents[2] / "docs/fidelity.md"
BEGIN, END = "<!-- {}: written by tests/validation/test_declarations.py -->", "<!-- end of {} -->"


def cell(text: str) -> str:
    """Write a cell of a table; within a row a bar ends it."""
    return text.replace("|", "\\|")


def shown(name: str) -> str:
    return name.format(side="users, of items")


def threshold_table() -> str:
    """Write what decides."""
    rows = ["| metric | holds within | why |", "|---|---|---|"]
    for spec in metrics.METRICS:
        if spec.threshold is not None:
            within = f"{spec.threshold:g}" + (" beyond the floor" if spec.from_floor else "")
            rows.append(f"| {shown(spec.name)} | {within} | {cell(spec.reason)} |")
    return "\n".join(rows)


def metric_table() -> str:
    """Write what every metric is."""
    rows = ["| section | metric | formula |", "|---|---|---|"]
    for family in metrics.FAMILIES:
        rows += [f"| {family.title} | {shown(spec.name)} | {cell(spec.formula)} |" for spec in family.metrics]
    return "\n".join(rows)


def written(text: str) -> str:
    """Write the tables into the text of the docs."""
    for name, table in {"thresholds": threshold_table(), "metrics": metric_table()}.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return text


def test_the_docs_have_the_metrics_and_thresholds_of_the_code() -> None:
    text = DOCS.read_text()
    assert text == written(text), f"renew it: {Path(sys.executable).name} {Path(__file__).name}"


def test_names_are_unique_and_every_figure_can_be_drawn() -> None:
    names = [name for spec in metrics.METRICS for name in spec.names]
    assert len(names) == len(set(names))
    assert {spec.draw for spec in metrics.FIGURES if spec.draw} <= set(vars(plot))
    for spec in metrics.FIGURES:
        assert (spec.caption != "") == (spec.draw != ""), spec.name
    for metric in metrics.METRICS:
        assert (metric.reason != "") == (metric.threshold is not None), metric.name
        assert metric.formula, metric.name


def test_a_metric_is_one_declaration() -> None:
    """Nothing else has to know of it."""
    spec = MetricSpec(
        name="interactions of {side} a head",
        measure=lambda measured, side: Values(synthetic=measured.interactions / measured.matrix.shape[side.axis]),
        formula="interactions / ids",
        threshold=2.0,
        reason="a test",
    )
    family = Family(section="mine", title="Mine", explanation="", metrics=(spec,))
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)))
    measured = Measured(expansion, Planned.of(expansion))
    users, items = metrics.measure(measured, dict.fromkeys(spec.names, 2.0), [family])
    assert (users.name, items.name) == ("interactions of users a head", "interactions of items a head")
    assert (users.section, users.threshold, users.holds) == ("mine", 2.0, None)
    assert users.synthetic == measured.interactions / 120


def test_thresholds_are_those_declared() -> None:
    every = thresholds.defaults()
    assert every["gini of users"] == every["gini of items"] == 0.02
    assert set(every) <= thresholds.METRICS
    several = thresholds.defaults(one_source=False)
    assert every.keys() - several.keys() == {"share of the variance of ratings that is between users"}


def test_progress_of_ones_own_and_threads(tmp_path: Path) -> None:
    class Noted(Progress):
        def __init__(self) -> None:
            self.tasks: list[str] = []

        def task(self, what: str, interactions: float, parts: int):  # type: ignore[no-untyped-def]
            self.tasks.append(what)
            return super().task(what, interactions, parts)

    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600), payload=("timestamp",))
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), profile="traceable", timestamps=True)
    noted = Noted()
    fr.validate(fr.write(expansion, tmp_path / "out"), base, singular_values=4, threads=2, progress=noted)
    assert {"following times", "comparing with the source", "counting times"} <= set(noted.tasks)


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_only_what_draws_needs_what_draws(missing: str, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
import fractalrs as fr
base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
report = fr.validate(fr.Expansion(base, fr.reduce(base, (2, 3))), singular_values=4)
assert "gini of users" in str(report) and report.to_dict()["metrics"]
try:
    report.to_html({str(tmp_path / "report.html")!r})
except fr.InputError as error:
    print(error)
if {missing!r} == "matplotlib":
    try:
        fr.plot.keep_rates([[0.5]])
    except fr.InputError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    sentences = ["drawing needs matplotlib and jinja2", "hint: pip install 'fractalrs[report]'"]
    assert done.stdout.splitlines() == sentences * (2 if missing == "matplotlib" else 1)
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    DOCS.write_text(written(DOCS.read_text()))
