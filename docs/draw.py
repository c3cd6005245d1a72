"""Draw the figures of the README: the idea, and the sample before and after its expansion.

python docs/draw.py    # half a minute; writes docs/figures/idea.png and docs/figures/before-after.png
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fractalrs as fr
from fractalrs import plot

FOLDER = Path(__file__).parent / "figures"
SHAPE = (3, 4)
TRAIN, TEST, GRID = "#1f5f99", "#d9731a", "#c8c8c8"


def spy(axes: Axes, matrix: fr.Base | fr.Expansion, size: float) -> None:
    """Draw every interaction: train in blue, test in orange."""
    for split, colour in (("train", TRAIN), ("test", TEST)):
        if isinstance(matrix, fr.Base):
            users, items = (matrix.train if split == "train" else matrix.test).nonzero()
        else:
            table = matrix.table(0, matrix.shape[0], split)
            users, items = table["user_id"].to_numpy(), table["item_id"].to_numpy()
        axes.plot(items, users, ".", color=colour, markersize=size, markeredgewidth=0)
    axes.set(xlim=(-0.5, matrix.shape[1] - 0.5), ylim=(matrix.shape[0] - 0.5, -0.5), xticks=[], yticks=[])
    axes.set_aspect("equal")


def draw_idea(path: Path) -> None:
    """Draw the reduced matrix, the base and what comes of them, block by block."""
    base = fr.leave_last_out(fr.sample_interactions(60, 80, 900, seed=3))
    # Cells and fit are left out, so that the keep rates are the reduced matrix that is shown.
    expansion = fr.Expansion(base, fr.reduce(base, SHAPE), profile="traceable", seed=1)
    rates, (users, items) = expansion.keep_rates, base.shape
    figure = Figure(figsize=(12, 4.7), layout="constrained", facecolor="white")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 2.8))
    spy(left, base, 3.5)
    left.set_title(f"the base R:\n{users} users × {items} items")
    middle.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    for (row, column), rate in np.ndenumerate(rates):
        colour = "white" if rate > 0.5 else "black"
        middle.text(column, row, f"{rate:.2f}", ha="center", va="center", color=colour, fontsize=9)
    middle.set(xticks=[], yticks=[])
    middle.set_title(f"shrunk to {SHAPE[0]} × {SHAPE[1]}:\nwhat blocks keep")
    spy(right, expansion, 2.2)
    for block in range(1, SHAPE[0]):
        right.axhline(block * users - 0.5, color=GRID, linewidth=1)
    for block in range(1, SHAPE[1]):
        right.axvline(block * items - 0.5, color=GRID, linewidth=1)
    right.set_title(
        f"expanded: {expansion.shape[0]} users × {expansion.shape[1]} items,\neach block is R, thinned and shuffled"
    )
    right.plot([], [], ".", color=TRAIN, label="train")
    right.plot([], [], ".", color=TEST, label="test")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, frameon=False, markerscale=2)
    figure.savefig(path, dpi=110)


def draw_before_and_after(path: Path) -> None:
    """Draw degrees and singular values of the sample, its expansion × (16, 32) and uniform random data."""
    base = fr.leave_last_out(fr.sample_interactions())
    curves = fr.validate(fr.Expansion(base, fr.fit(base, (16, 32)), seed=7), base, only="fidelity").findings.curves
    figure = Figure(figsize=(12, 4), layout="constrained", facecolor="white")
    users, items, values = figure.subplots(1, 3)
    shown = ("real", "synthetic", "null")
    for axes, name, title, drawn in (
        (users, "user_degrees", "interactions of a user", plot.ranked_degrees),
        (items, "item_degrees", "interactions of an item", plot.ranked_degrees),
        (values, "singular_values", "singular values", plot.singular_values),
    ):
        drawn({label: curves[name][label] for label in shown}, ax=axes).set_title(title)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw_idea(FOLDER / "idea.png")
    draw_before_and_after(FOLDER / "before-after.png")
