"""Measure what the fit reaches: the tables of docs/theory.md and docs/cells.md.

    OMP_NUM_THREADS=1 python benches/fit.py sample ratings.csv ... [--shapes 4x4,16x32] [--bases 20]

For each source and each shape: what was expected, what came out, and what the validator says, with and without the fit.
With `--bases N`, N random bases of many kinds instead, × (8, 8). A line takes seconds to minutes.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fractalrs.base import Base, leave_last_out
from fractalrs.expansion import Expansion, Fit, fit, group_cells, reduce
from fractalrs.reading import read_interactions, sample_interactions
from fractalrs.validation import Report, validate

SHAPES = "2x2,4x4,8x16,16x32"
HEADER = (
    "| base | shape | | Gini users real, expected, found | items | ratios 16 median, largest | 64 | theory 16, 64 "
    "| assortativity real, found | copies | largest keep | fails |"
)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("--bases", type=int, default=0)
    parser.add_argument("--without", action="store_true", help="what came out before there was a fit, too")
    given = parser.parse_args()
    print(HEADER)
    print("|" + "---|" * (HEADER.count("|") - 1))
    if given.bases:
        for name, base in random_bases(given.bases):
            line(name, base, (8, 8), given.without)
    for source in given.sources:
        interactions = sample_interactions() if source == "sample" else read_interactions(source)
        base, name = leave_last_out(interactions), "sample" if source == "sample" else Path(source).parent.name
        for shape in given.shapes.split(","):
            m, n = map(int, shape.split("x"))
            line(name, base, (m, n), given.without)
    return 0


def line(name: str, base: Base, shape: tuple[int, int], without: bool) -> None:
    """Print what a base comes to at a shape."""
    started = time.process_time()
    fitted = fit(base, shape)
    seconds = time.process_time() - started
    print_line(name, shape, f"fit, {seconds:.0f} s", validated(Expansion(base, fitted, seed=1)), fitted)
    if without:
        before = Expansion(base, reduce(base, shape), cells=group_cells(base), max_keep=0.95, seed=1)
        print_line(name, shape, "before", validated(before), None)


def validated(expansion: Expansion) -> Report:
    """Measure an expansion."""
    return validate(expansion, only="fidelity")


def print_line(name: str, shape: tuple[int, int], what: str, report: Report, fitted: Fit | None) -> None:
    """Print a line of the table."""
    known = {metric.name: metric for metric in report.metrics}

    def value(metric: str, which: str = "distance") -> str:
        found = getattr(known[metric], which) if metric in known else None
        return "–" if found is None else f"{found:.3f}"

    expected = ["–", "–"] if fitted is None else [f"{made:.3f}" for _, made in fitted.gini.values()]
    ginis = [
        f"{value(metric, 'real')}, {made}, {value(metric, 'synthetic')}"
        for metric, made in zip(("gini of users", "gini of items"), expected, strict=True)
    ]
    theory = "–"
    if fitted is not None:
        found = report.findings.curves["singular_values"]["synthetic"].y
        ratios = fitted.expected / fitted.expected[0]
        errors = np.abs(ratios[: len(found)] / found[: len(ratios)] - 1)
        theory = f"{np.median(errors[1:16]):.1%}, {np.median(errors[1:]):.1%}"
    cells = (
        name,
        "{} × {}".format(*shape),
        what,
        *ginis,
        f"{value('singular ratios 2 to 16, median error')}, {value('singular ratios 2 to 16, largest error')}",
        value("singular ratios 2 to 64, median error"),
        theory,
        f"{value('degree assortativity', 'real')}, {value('degree assortativity', 'synthetic')}",
        value("copies among the ten nearest items", "synthetic"),
        "–" if fitted is None else f"{fitted.reduced.values.max():.2f}",
        "; ".join(report.failures) or "none",
    )
    print("| " + " | ".join(cells) + " |", flush=True)


def random_bases(count: int) -> Iterator[tuple[str, Base]]:
    """Yield bases of many kinds: tails from none to Zipf 1.5, 5 to 200 interactions a user, tall and wide."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        users, items = (int(10 ** rng.uniform(2.3, 3.5)) for _ in range(2))
        activity, popularity = rng.uniform(0, 1.5, 2) * (rng.random(2) > 0.2)
        each = float(np.exp(rng.uniform(np.log(5), np.log(min(200, items / 4)))))
        groups, taste = int(rng.integers(2, 20)), rng.uniform(0, 4)
        degrees = np.arange(1, users + 1) ** -activity
        degrees = np.maximum(2, np.minimum(items / 2, degrees * each * users / degrees.sum())).astype(np.int64)
        weight = np.arange(1, items + 1) ** -popularity
        of_items, of_users = rng.integers(groups, size=items), rng.integers(groups, size=users)
        columns = []
        for user, degree in enumerate(degrees):
            liked = np.log(weight) + taste * (of_items == of_users[user]) + rng.gumbel(size=items)
            columns.append(np.sort(np.argpartition(-liked, degree - 1)[:degree]))
        starts, items_of = np.concatenate(([0], np.cumsum(degrees))), np.concatenate(columns)
        label = f"{users} × {items}, {each:.0f} a user, tails {activity:.1f}, {popularity:.1f}, {groups} groups"
        yield label, Base.from_arrays(starts, items_of, np.zeros(len(items_of), dtype=bool))


if __name__ == "__main__":
    sys.exit(main())
