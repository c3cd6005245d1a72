"""What values show of themselves: one short line each, and a table in a notebook."""

import html.parser
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.privacy import Kept
from fractalrs.tools import Shown
from fractalrs.validation import Check, Findings

LONGEST = 200
ERRORS = {"FractalrsError", "InputError", "OutputError", "WriteError"}


def expansion_of(interactions: fr.Interactions) -> fr.Expansion:
    return fr.Expansion(fr.leave_last_out(interactions), [[0.5]])


THREE = {"popularity": fr.models.Popularity(), "item kNN": fr.models.ItemKNN(), "SVD": fr.models.TruncatedSVD(4)}
"""Models that are quickly ranked."""


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Make one of each class that the package names."""
    folder = tmp_path_factory.mktemp("a folder whose name is as long as those that people have on their disks " * 2)
    interactions = fr.sample_interactions(60, 40, 600)
    base = fr.leave_last_out(interactions)
    base.save(folder / "base")
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)))
    dataset = fr.write(expansion, folder / "out", source_licence="CC BY 4.0 " * 20)
    world = fr.simulate(60, 40, 250)
    truth = fr.Truth(world, fr.Expansion(fr.leave_last_out(world), [[0.5]]))
    many, loop = fr.worlds(3, over={"users": 60, "items": 40}), fr.feedback(world, rounds=2, slate=5)
    members, controls = fr.hold_users_out(fr.sample_interactions(80, 60, 1_200))
    made = [
        interactions,
        base,
        expansion.reduced,
        fr.fit(base, (2, 3)),
        expansion.cells,
        expansion,
        expansion.stream("test", threads=2),
        fr.mix(base, fr.Expansion(base, [[0.5]]), 0.25),
        dataset,
        fr.plan(expansion),
        fr.validate(dataset, base),
        fr.verify(dataset.path),
        fr.StreamedMatrix(base),
        fr.access_profile(interactions),
        fr.Progress(),
        fr.ParquetOptions(),
        fr.ObjectStore("s3://bucket/" + "a-folder-whose-name-is-long/" * 9),
        fr.backcast(fr.sample_interactions(80, 60, 1_200), 1 / 2, 1 / 2, repeats=1),
        fr.rank_agreement(base, expansion, models=THREE, repeats=1),
        fr.audit(expansion_of(members), members, controls, attackers=["output"], known=[1.0]),
        world,
        world.observations(),
        truth,
        truth.stream(),
        fr.EpsilonGreedy(lambda users: users),
        fr.PrivacyCurve((Kept("ε = 1", {}, None, "too few users"),)),
        many,
        many[0],
        many[0].sequences(),
        loop,
        fr.FeedbackReport({"SVD": [loop]}),
        fr.Past(0, sp.csr_array((60, 40)), np.zeros(40, np.int64), np.zeros(40, np.int64)),
    ]
    return {type(value).__name__: value for value in made}


def held_by(value: Any, depth: int = 4) -> Iterator[Any]:
    """Yield a value of ours, and those that its public attributes are or hold first."""
    if isinstance(value, dict | tuple | list):
        inside = list(value.values()) if isinstance(value, dict) else value
        yield from (one for first in inside[:1] for one in held_by(first, depth))
    elif type(value).__module__.startswith("fractalrs") and depth:
        yield value
        for name in dir(value):
            if not name.startswith("_") and not callable(getattr(type(value), name, None)):
                yield from held_by(getattr(value, name), depth - 1)


def test_there_is_one_of_each_public_class(values: dict[str, Any]) -> None:
    assert values.keys() == {name for name in dir(fr) if isinstance(getattr(fr, name), type)} - ERRORS


def test_every_value_is_shown_in_one_short_line(values: dict[str, Any]) -> None:
    shown = {type(one).__qualname__: repr(one) for value in values.values() for one in held_by(value)}
    assert shown.keys() >= {"Manifest", "Findings", "Metric", "Curve", "Row", "Options", "Expected"}
    assert {name: line for name, line in shown.items() if len(line) > LONGEST or len(line.splitlines()) != 1} == {}


class Tables(html.parser.HTMLParser):
    """Fails on what is not closed in its turn; `cells` are the texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_a_notebook_shows_a_table_of_every_value(values: dict[str, Any]) -> None:
    for name, value in values.items():
        assert isinstance(value, Shown), name
        page = value._repr_html_()
        parsed = Tables()
        parsed.feed(page)
        assert not parsed.open, name
        assert len(page) < 20_000, name
    first = values["Interactions"]._repr_html_()
    assert first.count("<tr>") == 6
    assert values["Report"].verdict in values["Report"]._repr_html_()


def test_a_table_escapes_what_it_shows() -> None:
    table = fr.Interactions(pa.table({"user_id": ["<script>"], "item_id": ["a & b"]}))
    assert "<script>" not in table._repr_html_()
    assert "&lt;script&gt;" in table._repr_html_()


def test_a_report_is_true_when_it_holds_and_indexed_by_names(values: dict[str, Any]) -> None:
    report = values["Report"]
    assert bool(report) is report.holds
    whole = fr.validate(values["Expansion"], only="integrity")
    assert whole
    assert not fr.Report(Findings({}, (*whole.checks, Check("this one", "integrity", False, "it does not"))))
    assert report["gini of users"].real == pytest.approx(0.3946, abs=1e-3)
    assert report["ids are in range"].holds is True
    assert "gini of users" in report
    with pytest.raises(fr.InputError, match="no check or metric 'gini of user'") as refused:
        report["gini of user"]
    assert "'gini of users'" in str(refused.value)


def test_a_report_is_a_table(values: dict[str, Any]) -> None:
    report = values["Report"]
    table = report.to_arrow()
    assert table.column("name").to_pylist() == [one.name for one in (*report.checks, *report.metrics)]
    row = next(row for row in table.to_pylist() if row["name"] == "gini of users")
    metric = report["gini of users"]
    assert (row["kind"], row["section"], row["real"], row["holds"]) == ("metric", "degrees", metric.real, metric.holds)
    assert table.schema.field("holds").type == pa.bool_()
    assert len(fr.validate(values["Expansion"], only="integrity").to_arrow()) == 6


def test_interactions_become_frames() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    source = pa.table({"user_id": ["b", "a"], "item_id": [2**60, 1], "rating": [1.5, 2.0], "timestamp": [5, 6]})
    interactions = fr.Interactions(source)
    assert interactions.to_arrow().equals(source)
    assert isinstance(interactions.to_pandas(), pandas.DataFrame)
    assert isinstance(interactions.to_polars(), polars.DataFrame)
    assert interactions.to_pandas()["item_id"].tolist() == interactions.to_polars()["item_id"].to_list() == [2**60, 1]


def test_a_matrix_is_brief() -> None:
    matrix = fr.ReducedMatrix.from_array(np.full((16, 32), 0.25))
    assert repr(matrix) == "ReducedMatrix(shape=(16, 32), least=0.25, mean=0.25, largest=0.25)"


def test_a_missing_frame_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(fr.InputError, match="polars is not installed") as refused:
        fr.sample_interactions(60, 40, 600).to_polars()
    assert refused.value.hint == "pip install polars"


@pytest.mark.parametrize(
    ("verb", "wrong", "right"),
    [
        ("read_interactions", "user_col", "user_column"),
        ("sample_interactions", "interaction", "interactions"),
        ("leave_last_out", "min_timestamp", "min_timestamps"),
        ("reduce", "orderby", "order_by"),
        ("fit", "user_ballance", "user_balance"),
        ("group_cells", "user_cells_size", "user_cell_size"),
        ("plan", "part", "parts"),
        ("write", "source_license", "source_licence"),
        ("finish", "thread", "threads"),
        ("validate", "treshold", "thresholds"),
        ("export", "fromat", "format"),
        ("backcast", "repeat", "repeats"),
        ("rank_agreement", "repeat", "repeats"),
        ("mix", "weigth", "weight"),
    ],
)
def test_a_keyword_that_is_mistyped_gets_the_one_that_was_meant(verb: str, wrong: str, right: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{wrong}'. Did you mean '{right}'"):
        getattr(fr, verb)("nothing", **{wrong: 1})


def test_an_option_that_is_mistyped_gets_the_one_that_was_meant() -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    for wrong, right in (("sed", "seed"), ("celss", "cells"), ("shufle", "shuffle")):
        with pytest.raises(fr.InputError, match=f"no option '{wrong}'\nhint: the nearest one is '{right}'"):
            fr.Expansion(base, [[0.5]], **{wrong: 1})  # type: ignore[arg-type]
    for wrong, right in (("user_multiplyer", "user_multiplier"), ("thread", "threads"), ("overwite", "overwrite")):
        with pytest.raises(fr.InputError, match=f"no option '{wrong}'\nhint: the nearest one is '{right}'"):
            fr.expand("sample", "out", **{wrong: 1})  # type: ignore[arg-type]


def test_a_name_that_is_mistyped_gets_the_one_that_was_meant() -> None:
    code = "import fractalrs as fr; fr.Expansoin"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Did you mean: 'Expansion'?" in done.stderr
