"""Measure what each shuffle keeps of real data: the tables and the figure of docs/fidelity.md.

    python benches/fidelity.py --figure docs/figures/fidelity.png sample ratings.csv …
    python benches/fidelity.py --shape 4 8 bench-data/base
    python benches/fidelity.py --lost --shape 8 16 sample ratings.csv …
    python benches/fidelity.py --times ratings.csv …

For each source (a file, a saved base, or: sample) and each shuffle, `fractalrs.validate` measures the expansion without
writing it. One line of a table takes one to five minutes for 100,000 interactions × (16, 32) on two cores.
With --lost only the default is measured, beside the real data thinned alike and uniform random pairs. With --times only
times and ratings are, of an aligned expansion that is written first, in half a minute.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import fractalrs as fr
from fractalrs import plot
from fractalrs.expansion import Expansion
from fractalrs.statistics import Curve
from fractalrs.tools import resolve_threads
from fractalrs.validation import metrics, thresholds
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.planned import Planned

SHUFFLES = ("mixed", "aligned", "block", "none")
LOST = (
    "degree assortativity",
    "cosine with the nearest item, rank 1",
    "lift of the nearest ten items",
    "network values of users",
    "network values of items",
    "norm captured at rank 64",
    "coverage of items",
)
COLUMNS = {
    "Gini users: real": ("gini of users", "real"),
    "synthetic": ("gini of users", "synthetic"),
    "items: real": ("gini of items", "real"),
    "synthetic ": ("gini of items", "synthetic"),
    "KS users": ("KS distance of users", "synthetic"),
    "KS items": ("KS distance of items", "synthetic"),
    "16 ratios: median error": ("singular ratios 2 to 16, median error", "distance"),
    "cosine of nearest item: real": ("cosine with the nearest item, rank 1", "real"),
    "synthetic  ": ("cosine with the nearest item, rank 1", "synthetic"),
    "copies": ("copies among the ten nearest items", "synthetic"),
    "repetition stored": ("repetition as stored", "distance"),
    "relinked": ("repetition relinked", "distance"),
    "mutual users": ("mutual nearest users across row blocks", "synthetic"),
    "16 values: off prediction": ("first 16 singular values against the prediction", "distance"),
    "all 64": ("singular values against the prediction", "distance"),
}


def read(source: str, payload: tuple[str, ...] = ()) -> fr.Base:
    """Load a saved base, or read and split interactions."""
    if (Path(source) / "base.json").exists():
        return fr.Base.load(source)
    interactions = fr.sample_interactions() if source == "sample" else fr.read_interactions(source)
    return fr.leave_last_out(interactions, payload=payload)


def expand(base: fr.Base, shape: tuple[int, int], shuffle: str) -> Expansion:
    if shuffle == "mixed":
        return fr.Expansion(base, fr.fit(base, shape), seed=7)
    return fr.Expansion(base, fr.reduce(base, shape), profile="traceable", shuffle=shuffle, seed=7)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def describe(name: str, base: fr.Base, shape: tuple[int, int]) -> dict[str, dict[str, Curve]]:
    """Print the table of one source; return its curves: figure → shuffle → curve."""
    say(f"\n### {name}: {base.shape[0]:,} users × {base.shape[1]:,} items, {base.train_count:,} train, × {shape}\n")
    say("| shuffle | " + " | ".join(column.strip() for column in COLUMNS) + " | fails | minutes |")
    say("|---" * (len(COLUMNS) + 3) + "|")
    curves: dict[str, dict[str, Curve]] = {figure: {} for figure in ("user_degrees", "item_degrees", "singular_values")}
    for shuffle in SHUFFLES:
        started = time.monotonic()
        report = fr.validate(expand(base, shape, shuffle))
        values: dict[tuple[str, str], Any] = {
            (metric.name, field): getattr(metric, field)
            for metric in report.metrics
            for field in ("real", "synthetic", "distance")
        }
        cells = [values.get(column) for column in COLUMNS.values()]
        shown = " | ".join("" if value is None else f"{value:.3g}" for value in cells)
        failures = ", ".join(report.failures) or "–"
        say(f"| {shuffle} | {shown} | {failures} | {(time.monotonic() - started) / 60:.1f} |")
        for figure, drawn in curves.items():
            found = report.findings.curves[figure]
            drawn["real"], drawn[shuffle] = found["real"], found["synthetic"]
    return curves


def describe_lost(name: str, base: fr.Base, shape: tuple[int, int]) -> None:
    """Print what the default loses of a source, and what thinning alone does."""
    say(f"\n### {name} × {shape}: real · thinned alike · synthetic · uniform\n\n| metric | |\n|---|---|")
    found = {metric.name: metric for metric in fr.validate(expand(base, shape, "mixed")).metrics}
    for metric in (found[lost] for lost in LOST):
        values = (metric.real, metric.thinned, metric.synthetic, metric.null)
        say(f"| {metric.name} | {' · '.join('' if value is None else f'{value:.3g}' for value in values)} |")


def describe_times(name: str, base: fr.Base, shape: tuple[int, int]) -> None:
    """Write an expansion with times and ratings, check it and print what was measured of them."""
    expansion = fr.Expansion(
        base, fr.reduce(base, shape), profile="traceable", timestamps=True, ratings="carry", seed=7
    )
    with tempfile.TemporaryDirectory() as folder:
        dataset = fr.write(expansion, Path(folder) / "out")
        exact = fr.validate(dataset, base, only="integrity")
        train = dataset.totals["train"]
        measured = Measured(dataset, Planned.of(expansion), base, expansion, threads=resolve_threads(None))
        families = [family for family in metrics.FAMILIES if family.of_columns]
        limits = thresholds.defaults()
        found = list(metrics.measure(measured, limits, families))
    say(f"\n### {name} × {shape}: {train:,} train interactions; integrity: {exact.verdict.lower()}\n")
    say("| metric | real | synthetic | null | distance | threshold | |\n|---|---|---|---|---|---|---|")
    for metric in found:
        values = (metric.real, metric.synthetic, metric.null, metric.distance, metric.threshold)
        shown = " | ".join("" if value is None else f"{value:.4g}" for value in values)
        say(f"| {metric.name} | {shown} | {metric.note} |")


def draw(found: dict[str, dict[str, dict[str, Curve]]], path: Path) -> None:
    """Draw ranked degrees and singular values, a row for each source."""
    figure = Figure(figsize=(13, 4 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), 3, squeeze=False)
    for row, (name, curves) in zip(axes, found.items(), strict=True):
        plot.ranked_degrees(curves["user_degrees"], ax=row[0]).set_title(f"{name}: users")
        plot.ranked_degrees(curves["item_degrees"], ax=row[1]).set_title(f"{name}: items")
        plot.singular_values(curves["singular_values"], ax=row[2]).set_title(f"{name}: singular values")
    figure.savefig(path, dpi=100)


def main() -> None:
    """Print one table for each source."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", type=int, nargs=2, default=(16, 32), metavar=("M", "N"))
    parser.add_argument("--figure", type=Path, help="draw the curves of all sources here")
    parser.add_argument("--lost", action="store_true", help="measure the default alone, beside what thinning loses")
    parser.add_argument("--times", action="store_true", help="measure times and ratings alone")
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a file of interactions, a saved base, or: sample")
    arguments = parser.parse_args()
    found = {}
    for source in arguments.sources:
        name = source if source == "sample" else Path(source).resolve().parent.name
        if arguments.times:
            describe_times(name, read(source, ("rating", "timestamp")), tuple(arguments.shape))
            continue
        if arguments.lost:
            describe_lost(name, read(source), tuple(arguments.shape))
            continue
        found[name] = describe(name, read(source), tuple(arguments.shape))
    if arguments.figure and found:
        draw(found, arguments.figure)


if __name__ == "__main__":
    main()
