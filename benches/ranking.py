"""Rank models on real data and on expansions of them: the tables of docs/ranking.md.

    OMP_NUM_THREADS=1 python benches/ranking.py ratings.csv 6040x3700x1000000 ... [--lines 1x1/mixed,4x4/block]
        [--repeats 3] [--most-users 5000] [--details]

A source is a file, or USERSxITEMSxINTERACTIONS for a built-in sample. Real data and their ceiling are ranked once
for each. `--details` prints the whole report of each expansion below its line. A line takes minutes.
"""

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.evaluation import Figure, Judge, RankReport
from fractalrs.expansion import Expansion, Options, fit, group_cells, reduce, solve_keep_scale
from fractalrs.models import FAMILIES
from fractalrs.tools import peak_memory, readable

Shape = tuple[int, int]
HEADER = (
    "| × | way | density over real | metric | decisive | kept: ceiling | thinned | synthetic | null | τ: ceiling "
    "| synthetic | verdict |"
)
METRICS = ("HR@10", "NDCG@10", "HR@10 of the catalogue", "NDCG@10 of the catalogue")


def _floored(base: Base, shape: Shape, shuffle: str, least: float) -> Expansion:
    """Return one of which every block keeps at least so much."""
    reduced, cells = reduce(base, shape, order_by="content"), group_cells(base)
    return Expansion(base, reduced, shuffle=shuffle, cells=cells, min_keep=least, max_keep=1.0, seed=1)


def _dense(base: Base, shape: Shape, shuffle: str, share: float) -> Expansion:
    """Return one that keeps so large a share of all interactions, whole blocks where R̂ is large."""
    reduced, options = reduce(base, shape, order_by="content"), Options(shuffle=shuffle, max_keep=1.0)
    cells = group_cells(base)
    scale = solve_keep_scale(base, reduced, round(share * shape[0] * shape[1] * base.count), options, cells)
    return Expansion(base, reduced, shuffle=shuffle, cells=cells, max_keep=1.0, keep_scale=scale, seed=1)


WAYS: dict[str, Callable[[Base, Shape], Expansion]] = {
    "mixed": lambda base, shape: Expansion(base, fit(base, shape), seed=1),
    "cells": lambda base, shape: Expansion(base, fit(base, shape), shuffle="cells", seed=1),
    "aligned": lambda base, shape: Expansion(base, reduce(base, shape), profile="traceable", seed=1),
    "block": lambda base, shape: Expansion(base, reduce(base, shape), profile="paper", seed=1),
    "cells, half kept": lambda base, shape: _dense(base, shape, "cells", 0.5),
    "mixed, min_keep 0.5": lambda base, shape: _floored(base, shape, "mixed", 0.5),
    "cells, min_keep 0.5": lambda base, shape: _floored(base, shape, "cells", 0.5),
}
"""The default first; then the shuffles of other profiles; then what may help."""
LINES = "4x4/mixed,1x1/mixed,2x2/mixed,8x8/mixed,4x4/cells,4x4/aligned,4x4/block"


def short(figure: Figure) -> str:
    if figure.value is None or figure.interval is None:
        return "–"
    return f"{figure.value:.2f} ({figure.interval[0]:.2f}–{figure.interval[1]:.2f})"


def lines(report: RankReport, shape: str, way: str) -> None:
    for metric in METRICS:
        found = [report.columns[name].agreement[metric] for name in ("ceiling", "thinned", "synthetic", "null")]
        words = report.verdicts("synthetic").get(metric, "")
        cells = [*(short(one.kept) for one in found), short(found[0].tau), short(found[2].tau), words]
        density = report.subject["density, synthetic"] / report.subject["density, real"]
        print(
            f"| {shape} | {way} | {density:.2f} | {metric} | {len(report.decisive[metric])} | "
            + " | ".join(cells)
            + " |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--lines", default=LINES, help=f"multipliers and a way, of {'; '.join(WAYS)}")
    parser.add_argument("--models", default=",".join(FAMILIES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most-users", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--mask-dropped", action="store_true")
    parser.add_argument("--details", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    models = {name: FAMILIES[name] for name in given.models.split(",")}
    for source in given.sources:
        sizes = source.split("x")
        made = all(map(str.isdigit, sizes))
        interactions = (
            fr.sample_interactions(int(sizes[0]), int(sizes[1]), int(sizes[2]), seed=given.seed)
            if made
            else fr.read_interactions(source)
        )
        base = fr.leave_last_out(interactions)
        judge = Judge(base, models=models, repeats=given.repeats, most_users=given.most_users, seed=given.seed)
        name = source if made else Path(source).parent.name
        print(f"\n### {name}, {base.shape[0]:,} × {base.shape[1]:,}, {base.train_count:,} train\n")
        print(HEADER)
        print("|" + "---|" * (HEADER.count("|") - 1), flush=True)
        for line in given.lines.split(","):
            shape, way = line.split("/")
            m, n = map(int, shape.split("x"))
            clock, processor = time.monotonic(), time.process_time()
            expansion = WAYS[way](base, (m, n))
            report = judge.judge(expansion, mask_dropped=given.mask_dropped, threads=given.threads)
            lines(report, f"({m}, {n})", way)
            if given.details:
                print(f"\n{report}\n")
            logging.info(
                f"{time.monotonic() - clock:.0f} s, {time.process_time() - processor:.0f} s of processor, peak memory "
                f"{readable(peak_memory())}"
            )


if __name__ == "__main__":
    main()
