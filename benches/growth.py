"""How time and memory grow: the figure and the fits of docs/performance.md.

    python benches/growth.py            # bases up to 10 million interactions: some minutes
    python benches/growth.py --full     # up to 100 million: 20 GB of memory, half an hour
    python benches/growth.py --quick    # a minute, to see that it works; nothing in docs/ changes

Every point is a process of its own, its time the processor's. Where the design promises a straight line, a + b·x is
fitted with a, b ≥ 0 and least relative errors, and no point may be further from it than is allowed, in per cent of the
line. Where it promises a bound of memory, that is drawn. Written: ``docs/figures/growth.png`` and
``docs/raw/growth.json``; the fits are printed as a table.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measure import DATA, ML_20M, SMALL, Size, alone, cores, emptied, keep, output_of, run, say
from scipy.optimize import nnls

import fractalrs as fr

LEAST_SECONDS = 0.5
"""What is shorter is repeated until it has taken so long."""
MEAN_KEEP = 0.1
MB = 1 << 20
BOUND = 600
"""MB that are promised to be enough beside the base's arrays, …"""
EFFICIENCY = 0.95
"""… and of threads, by simulation."""
BY_BASE = {"write": "write × (4, 8)", "split": "split", "read": "read"}
BLUE, ORANGE, GREY = "#2a6fbb", "#d9730d", "#9a9a9a"


def rates(m: int, n: int) -> npt.NDArray[np.float64]:
    """Return keep rates like those of a reduced matrix, the same over again every 16 column blocks."""
    tile = np.random.default_rng(0).lognormal(sigma=1, size=(m, min(n, 16)))
    return np.tile(tile / tile.mean() * MEAN_KEEP, n // tile.shape[1]).clip(0.01, 0.9)


def expansion(size: Size, m: int, n: int) -> fr.Expansion:
    """Expand a base with cells that come without a decomposition: how they are found is timed elsewhere."""
    base = size.base()
    orders = [np.arange(count, dtype=np.uint32) for count in base.shape]
    starts = [np.append(np.arange(0, count, 5), count).astype(np.uint32) for count in base.shape]
    return fr.Expansion(base, rates(m, n), cells=fr.Cells(orders[0], starts[0], orders[1], starts[1]), seed=7)


def sized(interactions: int) -> Size:
    """Return a base of so many interactions: each user has as many as in MovieLens 20M, items grow as their root."""
    items = round(ML_20M.items * (interactions / ML_20M.interactions) ** 0.5)
    return Size(f"growth-{interactions}", interactions // 144, items, interactions, 0)


# What a process of its own measures.


def of_blocks(n: int) -> dict[str, Any]:
    return written(expansion(SMALL, 2, n))


def of_base(interactions: int) -> dict[str, Any]:
    return written(expansion(sized(interactions), 4, 8))


def of_parts(parts: int) -> dict[str, Any]:
    return written(expansion(SMALL, 16, 32), parts=parts)


def of_threads(threads: int) -> dict[str, Any]:
    return written(expansion(SMALL, 16, 64), parts=16, threads=threads)


def before(interactions: int) -> dict[str, float]:
    """Read and split. What decomposes the base takes as long as its spectrum is hard: no line is promised there."""
    marks, source = [time.process_time()], sized(interactions).source
    read = fr.read_interactions(source)
    marks.append(time.process_time())
    fr.leave_last_out(read)
    marks.append(time.process_time())
    return {"read": marks[1] - marks[0], "split": marks[2] - marks[1]}


def written(expansion: fr.Expansion, parts: int | None = None, threads: int | None = None) -> dict[str, Any]:
    """Run the core, files included, as often as it takes to time it."""
    plan, folder = fr.plan(expansion, parts=parts), emptied(DATA / "out")
    processor, wall, runs = 0.0, [], 0
    while processor < LEAST_SECONDS:
        started = time.perf_counter()
        made = run(plan, "write", folder, threads)
        wall.append(time.perf_counter() - started)
        processor, runs = processor + made.processor, runs + 1
    arrays = expansion.base.indptr.nbytes + expansion.base.entries.nbytes
    return {
        "interactions": made.interactions,
        "processor_seconds": processor / runs,
        "wall_seconds": min(wall),
        "base_bytes": arrays,
    }


def simulated() -> dict[str, float]:
    """Return the efficiency of threads at 2.6 billion interactions, by a test of the core.

    It runs the very code that shares work, against assumed costs.
    """
    test = "no_thread_is_idle_for_long_with_the_default_plan"
    command = ["cargo", "test", "--release", "--locked", "--package", "fractalrs-core", test, "--", "--nocapture"]
    found = re.findall(r"(\d+) threads: ([\d.]+)", output_of(*command))
    return {threads: float(efficiency) for threads, efficiency in found}


def verdict(holds: bool) -> str:
    return "holds" if holds else "**does not hold**"


@dataclass
class Line:
    """A straight line that is promised: its points, the fit, and how far a point may be off."""

    what: str
    unit: str
    x: list[float]
    y: list[float]
    allowed: float
    a: float = field(init=False)
    b: float = field(init=False)

    def __post_init__(self) -> None:
        """Fit it."""
        x, y = np.array(self.x, dtype=float), np.array(self.y)
        # Relative errors: the small ones count as much as the large ones.
        (self.a, b), _ = nnls(np.column_stack((1 / y, x / x.max() / y)), np.ones(len(x)))
        self.b = b / x.max()

    def at(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return self.a + self.b * x

    @property
    def worst(self) -> float:
        """The largest distance from the line, over the line."""
        return float(np.abs(np.array(self.y) / self.at(np.array(self.x, dtype=float)) - 1).max())

    @property
    def row(self) -> str:
        line = f"{self.a:.3g} + {self.b:.3g} {self.unit}"
        return (
            f"| {self.what} | {line} | {self.worst:.0%} | {self.allowed:.0%} | {verdict(self.worst <= self.allowed)} |"
        )


def series(name: str, function: Callable[..., Any], values: list[int], raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure the points of a series, each alone."""
    points = []
    for value in values:
        one = alone(function, value)
        points.append({"x": value, "peak_mb": one["peak_bytes"] / MB, **one["result"]})
    raw[name] = points
    return points


def column(points: list[dict[str, Any]], name: str) -> list[float]:
    return [point[name] for point in points]


def measured(quick: bool, full: bool) -> dict[str, Any]:
    """Measure all series."""
    raw: dict[str, Any] = {}
    bases = [100_000, 300_000, *([] if quick else [1_000_000, 3_000_000, 10_000_000])]
    bases += [30_000_000, 100_000_000] if full else []
    for size in map(sized, bases):
        # A process of its own shall not make it.
        size.base()
    SMALL.base()
    series("blocks", of_blocks, [16, 64, 256, 1024, *([] if quick else [4096, 16384])], raw)
    series("base", of_base, bases, raw)
    series("before", before, bases, raw)
    series("parts", of_parts, [1, 4, 16, 64, 256, *([] if quick else [1024])], raw)
    series("threads", of_threads, sorted({1, 2, min(4, cores()), cores()} & set(range(cores() + 1))), raw)
    raw["simulated"] = simulated()
    return raw


def lines_of(raw: dict[str, Any]) -> dict[str, Line]:
    """Return the straight lines that are promised; the reasons for what is allowed are in docs/performance.md."""

    def line(what: str, unit: str, name: str, of: str, allowed: float) -> Line:
        return Line(what, unit, column(raw[name], "x"), column(raw[name], of), allowed)

    return {
        "blocks": line("time, column blocks", "s a block", "blocks", "processor_seconds", 0.2),
        "parts": line("time, parts", "s a part", "parts", "processor_seconds", 0.2),
        "write": line("time, base", "s an interaction", "base", "processor_seconds", 0.35),
        "read": line("time to read, base", "s an interaction", "before", "read", 0.35),
        "split": line("time to split, base", "s an interaction", "before", "split", 0.35),
        "memory": line("memory, base", "MB an interaction", "base", "peak_mb", 0.2),
    }


def largest_memory(raw: dict[str, Any]) -> float:
    """Return the largest peak memory beside the base's arrays, in MB: what does not grow with anything."""
    points = [point for name in ("blocks", "parts", "base") for point in raw[name]]
    return max(float(point["peak_mb"] - point["base_bytes"] / MB) for point in points)


def draw(raw: dict[str, Any], lines: dict[str, Line], path: Path) -> None:
    """Draw the figure: points are measured, lines are fits, dotted lines are bounds."""
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    (blocks, base, threads), (memory, base_memory, parts) = figure.subplots(2, 3)
    begin(blocks, "Time, s, by column blocks", "column blocks", xscale="log", yscale="log")
    draw_line(blocks, lines["blocks"], BLUE, "write × (2, n)")
    begin(base, "Time, s, by base", "interactions of the base", xscale="log", yscale="log")
    for (name, label), colour in zip(BY_BASE.items(), (BLUE, ORANGE, GREY), strict=True):
        draw_line(base, lines[name], colour, label)
    begin(parts, "Time, s, by parts", "parts", xscale="log", ylim=(0, max(lines["parts"].y) * 1.2))
    draw_line(parts, lines["parts"], BLUE, "write × (16, 32)")
    for axes, name, what in ((memory, "blocks", "column blocks"), (base_memory, "base", "interactions of the base")):
        x, arrays = column(raw[name], "x"), np.array(column(raw[name], "base_bytes")) / MB
        begin(
            axes, f"Peak memory, MB, by {what.split()[-1]}", what, xscale="log", ylim=(0, 1.15 * (BOUND + arrays.max()))
        )
        axes.plot(x, column(raw[name], "peak_mb"), "o", color=BLUE, markersize=4, label="write")
        axes.plot(x, arrays, color=GREY, label="the base's arrays")
        axes.plot(x, arrays + BOUND, ":", color=ORANGE, label="bound")
    draw_threads(threads, raw)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        if axes is not memory:
            axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


def begin(axes: Axes, title: str, x: str, **scales: Any) -> None:
    axes.set(title=title, xlabel=x, **scales)


def draw_line(axes: Axes, line: Line, colour: str, label: str) -> None:
    """Draw points and their fit."""
    grid = np.geomspace(line.x[0], line.x[-1], 100)
    axes.plot(grid, line.at(grid), color=colour, linewidth=1)
    axes.plot(line.x, line.y, "o", color=colour, markersize=4, label=label)


def draw_threads(axes: Axes, raw: dict[str, Any]) -> None:
    """Draw the efficiency of threads: measured by the wall's clock, and simulated."""
    points, simulation = raw["threads"], {int(threads): value for threads, value in raw["simulated"].items()}
    begin(axes, "Efficiency of threads", "threads", xscale="log", ylim=(0, 1.05))
    axes.plot(list(simulation), list(simulation.values()), "-", color=GREY, label="simulated")
    measured = [points[0]["wall_seconds"] / point["wall_seconds"] / point["x"] for point in points]
    axes.plot(column(points, "x"), measured, "o", color=BLUE, markersize=4, label="measured")
    axes.axhline(EFFICIENCY, color=ORANGE, linestyle=":", label="bound")
    axes.set_xticks(ticks := [2**k for k in range(8)], [str(threads) for threads in ticks])
    axes.minorticks_off()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few and small points, into bench-data/")
    parser.add_argument("--redraw", action="store_true", help="draw docs/raw/growth.json again, measure nothing")
    parser.add_argument("--full", action="store_true", help="bases of 30 and 100 million interactions too")
    arguments = parser.parse_args()
    kept, figure = (
        (DATA / "growth.json", DATA / "growth.png")
        if arguments.quick
        else (Path("docs/raw/growth.json"), Path("docs/figures/growth.png"))
    )
    raw = json.loads(kept.read_text()) if arguments.redraw else measured(arguments.quick, arguments.full)
    lines = lines_of(raw)
    say("| line | fit | worst point off by | allowed | |\n|---|---|---|---|---|")
    for line in lines.values():
        say(line.row)
    largest = largest_memory(raw)
    say(
        f"| memory beside the base's arrays | at most {largest:.0f} MB | | ≤ {BOUND} MB | {verdict(largest <= BOUND)} |"
    )
    least = min(raw["simulated"].values())
    good = verdict(least >= EFFICIENCY)
    say(f"| efficiency by simulation, to 128 threads | at least {least:.0%} | | ≥ {EFFICIENCY:.0%} | {good} |")
    if not arguments.redraw:
        keep(kept, raw)
    draw(raw, lines, figure)


if __name__ == "__main__":
    main()
