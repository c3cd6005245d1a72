"""Measure what each operator does to degrees, spectrum and repetition: the table and the figure of docs/operators.md.

    python benches/operators.py sample docs/figures/operators.png

Nothing is written but the figure: the validator's measures go over the expansions. A minute or two.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import fractalrs as fr
from fractalrs import plot
from fractalrs.base import leading_svd
from fractalrs.statistics import gini
from fractalrs.validation.measure.repetition import repetition
from fractalrs.validation.measure.spectrum import spectrum

MULTIPLIERS = (8, 16)
RATIOS = 16
OPERATORS: dict[str, dict[str, Any]] = {
    "dropout, none": {"shuffle": "none"},
    "dropout, cells": {"shuffle": "cells"},
    "dropout, block": {"shuffle": "block"},
    "all of R (kronecker)": {"operator": "kronecker"},
    "sketch": {"operator": "sketch"},
}


def main() -> None:
    """Print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", help="a file of interactions, or: sample")
    parser.add_argument("figure", type=Path)
    arguments = parser.parse_args()
    sample = arguments.source == "sample"
    base = fr.leave_last_out(fr.sample_interactions() if sample else fr.read_interactions(arguments.source))
    reduced = fr.reduce(base, MULTIPLIERS)
    real = leading_svd(base, RATIOS, 0).s
    degrees: dict[str, dict[str, Any]] = {
        "users": {"real": base.user_degrees("train")},
        "items": {"real": base.item_degrees("train")},
    }
    values = {"real": real}
    lines = [
        f"{base.shape[0]:,} users × {base.shape[1]:,} items, {base.train_count:,} train, × {MULTIPLIERS}\n",
        "| operator | train | Gini users | items | 16 ratios: median error | repetition: share | its floor |",
        "|---|---|---|---|---|---|---|",
        f"| real | {base.train_count:,} | {gini(base.user_degrees('train')):.3f} "
        f"| {gini(base.item_degrees('train')):.3f} | | | |",
    ]
    for name, options in OPERATORS.items():
        rows = fr.StreamedMatrix(fr.Expansion(base, reduced, seed=7, **options))
        found = rows.degrees()
        degrees["users"][name], degrees["items"][name] = found.user_train, found.item_train
        values[name] = spectrum(rows, RATIOS).values
        error = np.median(np.abs(values[name] / values[name][0] / (real / real[0]) - 1)[1:])
        repeated = repetition(rows, found)
        stored = ("", "") if repeated is None else (f"{repeated.stored.share:.3f}", f"{repeated.stored.floor:.3f}")
        lines.append(
            f"| {name} | {int(found.user_train.sum()):,} | {gini(found.user_train):.3f} | {gini(found.item_train):.3f} "
            f"| {error:.1%} | {stored[0]} | {stored[1]} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, kind in zip(axes, ("users", "items"), strict=False):
        plot.ranked_degrees(degrees[kind], ax=ax).set_title(kind)
    plot.singular_values(values, ax=axes[2]).set_title("singular values")
    figure.savefig(arguments.figure, dpi=100)


if __name__ == "__main__":
    main()
