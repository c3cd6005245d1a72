"""Figures: what is drawn, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fractalrs as fr
from fractalrs import plot
from fractalrs.errors import InputError
from fractalrs.statistics import Curve
from fractalrs.validation.findings import Label


def drawn(axes: Axes) -> dict[str, npt.NDArray[np.float64]]:
    """Give what each line of a legend shows, shape (points, 2)."""
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    return dict(zip(names, (np.asarray(line.get_xydata()) for line in axes.get_lines()), strict=True))


def test_degrees_are_ranked_over_their_mean() -> None:
    axes = plot.ranked_degrees({"synthetic": [1, 0, 6, 1], "real": np.array([4, 2])})
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = drawn(axes)
    assert list(lines) == ["real R", "synthetic R̃"]
    np.testing.assert_array_equal(lines["real R"], [(0.5, 4 / 3), (1, 2 / 3)])
    np.testing.assert_array_equal(lines["synthetic R̃"], [(0.25, 3), (0.5, 0.5), (0.75, 0.5)])


def test_singular_values_are_ratios_to_the_first() -> None:
    lines = drawn(plot.singular_values({"null": [1.0, 8.0, 2.0, 0.0]}))
    np.testing.assert_array_equal(lines["uniform random"], [(1, 1), (2, 0.25), (3, 0.125)])


def test_network_values_are_ranked_magnitudes() -> None:
    lines = drawn(plot.network_values({"reduced": [0.1, -0.7, 0.0, 0.5]}))
    np.testing.assert_allclose(lines["reduced R̂"], [(0.25, 1.4), (0.5, 1.0), (0.75, 0.2)])


def test_a_curve_is_drawn_as_it_is_but_for_zeros() -> None:
    curve = Curve(np.array([0.1, 0.2, 1.0]), np.array([3.0, np.nan, 0.0]))
    np.testing.assert_array_equal(drawn(plot.ranked_degrees({"real": curve}))["real R"], [(0.1, 3)])


def test_few_points_are_drawn_and_both_ends_are_there() -> None:
    values = np.random.default_rng(0).pareto(1.5, 200_000) + 1
    line = drawn(plot.ranked_degrees({"real": values}))["real R"]
    assert 200 < len(line) <= 400
    np.testing.assert_allclose(
        line[[0, -1]], [(1 / 200_000, values.max() / values.mean()), (1, 1 / values.mean())], 1e-3
    )


def test_any_label_is_shown_as_it_is() -> None:
    labels = ["_hidden", "$x^2$", "a", "b", "c"]
    axes = plot.ranked_degrees({label: [3, 2, 1] for label in labels})
    assert list(drawn(axes)) == labels
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.savefig(os.devnull, format="svg")


def test_the_labels_can_be_told_apart_without_colour() -> None:
    assert set(plot.LOOKS) == set(Label.__args__)  # type: ignore[attr-defined]
    assert len({(look.dashes, look.marker, look.width) for look in plot.LOOKS.values()}) == len(plot.LOOKS)


@pytest.mark.parametrize("draw", [plot.ranked_degrees, plot.singular_values, plot.network_values])
@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], ["a"], [1.0, np.nan], [np.inf]])
def test_series_that_cannot_be_drawn_are_refused(draw: Callable[..., Axes], values: Any) -> None:
    with pytest.raises(InputError, match="the series 'mine'"):
        draw({"mine": values})


def test_negative_degrees_are_refused() -> None:
    with pytest.raises(InputError, match="negative"):
        plot.ranked_degrees({"mine": [1, -1]})


@pytest.mark.parametrize("draw", [plot.keep_rates, plot.block_deviation, plot.density])
@pytest.mark.parametrize("matrix", [[], [1.0, 2.0], [["a"]], np.zeros((0, 3))])
def test_matrices_that_cannot_be_drawn_are_refused(draw: Callable[..., Axes], matrix: Any) -> None:
    with pytest.raises(InputError, match="the matrix"):
        draw(matrix)


@pytest.mark.parametrize("draw", [plot.keep_rates, plot.block_deviation, plot.density])
@pytest.mark.parametrize(
    "matrix",
    [[[0.0]], [[7.0]], [[np.nan, np.inf, -np.inf, 3.0]], np.full((2, 3), np.nan), np.eye(3, 3000) * 9],
    ids=["zero", "one number", "not finite", "nothing", "wide"],
)
def test_odd_matrices_are_drawn(draw: Callable[..., Axes], matrix: Any) -> None:
    figure = draw(matrix).figure
    assert isinstance(figure, Figure)
    figure.savefig(os.devnull, format="svg")


def test_far_blocks_are_marked() -> None:
    deviation = np.zeros((3, 4))
    deviation[1, 2], deviation[2, 0] = 6, -7
    marks = {
        line.get_marker(): np.asarray(line.get_xydata()).tolist() for line in plot.block_deviation(deviation).lines
    }
    assert marks == {"+": [[2, 1]], "_": [[0, 2]]}


def test_figures_do_not_touch_pyplot() -> None:
    import matplotlib.pyplot as plt

    plot.ranked_degrees({"real": [2, 1]})
    plot.density(np.ones((2, 2)))
    assert plt.get_fignums() == []


def test_the_caller_may_give_the_axes() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot.singular_values({"real": [2, 1]}, ax=left) is left
    assert plot.keep_rates(np.ones((2, 2)), ax=right) is right


def test_a_notebook_shows_the_figure() -> None:
    figure: Any = plot.network_values({"real": [0.6, 0.8]}).figure
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_our_own_values_are_drawn(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions(80, 60, 1_200))
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)))
    dataset = fr.write(expansion, tmp_path / "out")
    for side, degrees in (("users", base.user_degrees("train")), ("items", base.item_degrees("train"))):
        of_values = drawn(plot.ranked_degrees({"real": base, "synthetic": dataset}, side=side))  # type: ignore[arg-type]
        of_arrays = drawn(plot.ranked_degrees({"real": degrees}))
        np.testing.assert_array_equal(of_values["real R"], of_arrays["real R"])
        generated = drawn(plot.ranked_degrees(expansion, side=side))  # type: ignore[arg-type]
        np.testing.assert_array_equal(of_values["synthetic R̃"], generated["synthetic R̃"])
    exact = np.linalg.svd(base.train.toarray(), compute_uv=False)
    ratios = drawn(plot.singular_values(base))["real R"]
    np.testing.assert_allclose(ratios[:10, 1], exact[:10] / exact[0])
    assert list(drawn(plot.singular_values(expansion.reduced))) == ["reduced R̂"]
    for value in (expansion, expansion.reduced, fr.fit(base, (2, 3))):
        image = plot.keep_rates(value).images[0].get_array()
        assert image is not None
        assert image.shape == (2, 3)
    for source in (base, expansion, dataset):
        image = plot.density(source).images[0].get_array()
        assert image is not None
        assert image.sum() == (base.train_count if source is base else dataset.totals["train"])


def test_a_report_has_all_figures() -> None:
    interactions = fr.sample_interactions(200, 150, 6_000)
    base = fr.leave_last_out(interactions, payload=("rating", "timestamp"))
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), shuffle="aligned", timestamps=True)
    report = fr.validate(expansion, singular_values=20)
    for draw in (plot.ranked_degrees, plot.network_values):
        users, items = drawn(draw(report)), drawn(draw(report, side="items"))
        assert users.keys() == items.keys() >= {"real R", "synthetic R̃"}
        assert users["real R"].tolist() != items["real R"].tolist()
    assert drawn(plot.network_values(report, vector=2)).keys() == drawn(plot.network_values(report)).keys()
    assert drawn(plot.shares_by_rank(report, of="recall_by_rank"))
    for each in (plot.singular_values, plot.shares_by_rank):
        assert drawn(each(report))
    for matrix in (plot.keep_rates, plot.block_deviation, plot.density):
        assert matrix(report).images


def test_what_a_value_lacks_is_named() -> None:
    base = fr.leave_last_out(fr.sample_interactions(80, 60, 1_200))
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)))
    report = fr.validate(expansion, only="integrity")
    with pytest.raises(InputError, match="a Base has no keep rates\nhint: draw an Expansion"):
        plot.keep_rates(base)
    with pytest.raises(InputError, match="an Expansion has no singular values at once\nhint: draw the report"):
        plot.singular_values(expansion)
    with pytest.raises(InputError, match="the report has no figure 'hours'\nhint: "):
        plot.hours(report)
    with pytest.raises(InputError, match="a ReducedMatrix has no interactions"):
        plot.density(expansion.reduced)
    with pytest.raises(InputError, match="a list cannot be drawn here"):
        plot.ranked_degrees([1, 2, 3])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="side 'user'"):
        plot.ranked_degrees(base, side="user")  # type: ignore[arg-type]
