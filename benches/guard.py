"""The guard against slow-downs: ratios of processor time inside one run, never a clock. Ten seconds; used by `.ci/run`.

    python benches/guard.py             # fails where a ratio is 25 % over its baseline
    python benches/guard.py --renew     # puts this run's ratios into benches/guard.json: commit them with the reason

Generating, encoding with the digest, and all up to the files are each held against two yardsticks that never change: a
loop over memory, and pyarrow writing the same table. All are timed in turn on one thread, and a ratio is that of the
shortest times: the quietest moments of a shared machine, which a neighbour can make longer but never shorter. While a
stage does not hold, the run goes on, for up to `PATIENCE` repeats: a neighbour goes away, slower code does not. A stage
is slower where it is so by both yardsticks: another NumPy or pyarrow moves one of them alone.

Ratios differ less between processors than times, since both sides do the same kind of work: the loop draws random
words, gathers and adds up, a number at a time, as generating does; pyarrow packs the same deltas. (Of a base of 4
million generating ÷ pyarrow is 0.67 on an AMD EPYC, Zen 4, 0.73 on an Intel Xeon, Skylake.) What does differ, caches
and vector units, is why there is a baseline for each processor; an unknown one is held against the largest that is
known.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure import DATA, Stage, as_ours, emptied, machine, run, say, table_of, write_tables

import fractalrs as fr

BASELINE = Path(__file__).with_name("guard.json")
ALLOWED = 0.25
REPEATS = 7
PATIENCE = 60

YARDSTICKS = ("loop", "pyarrow")

Times = dict[str, float]
Ratios = dict[str, Times]


def plans() -> tuple[fr.Plan, fr.Plan]:
    """Return the plan of an expansion shuffled by default, and of one that is not shuffled.

    No decomposition has a part in them, so that they are the same whatever becomes faster before them.
    """
    base = fr.leave_last_out(fr.sample_interactions())
    orders = (np.arange(count, dtype=np.uint32) for count in base.shape)
    starts = (np.append(np.arange(0, count, 5), count).astype(np.uint32) for count in base.shape)
    cells = fr.Cells(*(array for pair in zip(orders, starts, strict=True) for array in pair))
    rates = np.random.default_rng(0).uniform(0.02, 0.25, (16, 32))
    return fr.plan(fr.Expansion(base, rates, cells=cells, seed=7)), fr.plan(fr.Expansion(base, rates, shuffle="none"))


def loop() -> Callable[[], Any]:
    """Return work over memory that never changes: random words, gathered from a table that fits a core's cache."""
    rng = np.random.default_rng(0)
    table, places = rng.permutation(1 << 16), np.empty(1 << 20, dtype=np.int64)
    found, sums = np.empty_like(places), np.empty_like(places)

    def work() -> None:
        for _ in range(6):
            places[:] = rng.integers(1 << 16, size=len(places))
            np.take(table, places, out=found, mode="clip")
            np.cumsum(found, out=sums)

    return work


class Contest:
    """Yardsticks and stages in turn, and the shortest time of each so far."""

    def __init__(self, repeats: int) -> None:
        plan, unshuffled = plans()
        self.folder = emptied(DATA / "guard")
        dataset = fr.write(plan.expansion, self.folder / "out")
        tables, options = table_of(dataset), as_ours(dataset.path / dataset.files("train")[0].path)
        self.work: dict[str, Callable[[], Any]] = {
            "loop": loop(),
            "pyarrow": partial(write_tables, tables, self.folder, options),
        }
        # Encoding is what comes beside generating: where that is quickest the difference is clearest.
        runs: dict[str, tuple[fr.Plan, Stage]] = {
            "generate": (plan, "generate"),
            "write": (plan, "write"),
            "generate unshuffled": (unshuffled, "generate"),
            "encode unshuffled": (unshuffled, "encode"),
        }
        self.work |= {name: partial(run, of, stage, self.folder, 1) for name, (of, stage) in runs.items()}
        self.least: Times = dict.fromkeys(self.work, float("inf"))
        for _ in range(repeats):
            self.repeat()

    def repeat(self) -> None:
        for name, work in self.work.items():
            started = time.process_time()
            work()
            self.least[name] = min(self.least[name], time.process_time() - started)

    @property
    def ratios(self) -> Ratios:
        """Return by stage how long it takes, over each yardstick."""
        least = self.least
        seconds = {
            "generate": least["generate"],
            "encode and digest": least["encode unshuffled"] - least["generate unshuffled"],
            "all, files written": least["write"],
        }
        return {stage: {by: taken / least[by] for by in YARDSTICKS} for stage, taken in seconds.items()}


def typical(contests: list[Contest]) -> Ratios:
    """Return the medians of the ratios of some."""
    all_of = [contest.ratios for contest in contests]
    return {stage: {by: round(median(one[stage][by] for one in all_of), 3) for by in YARDSTICKS} for stage in all_of[0]}


def excess(ratios: Ratios, baseline: Ratios) -> Times:
    """Return by stage by how much it is over its baseline, by the yardstick that says less."""
    return {stage: min(of[by] / baseline[stage][by] for by in of) - 1 for stage, of in ratios.items()}


def baseline_of(processor: str, known: dict[str, Ratios]) -> Ratios:
    """Return a processor's baseline: its own, or of each ratio the largest that is known."""
    if processor in known:
        return known[processor]
    stages = next(iter(known.values()))
    return {stage: {by: max(one[stage][by] for one in known.values()) for by in YARDSTICKS} for stage in stages}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--renew", action="store_true", help="make this run's ratios the baseline of this processor")
    renew = parser.parse_args().renew
    known: dict[str, Ratios] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    processor = machine()["processor"]
    if renew:
        BASELINE.write_text(
            json.dumps(known | {processor: typical([Contest(REPEATS) for _ in range(5)])}, indent=1) + "\n"
        )
        say(f"{BASELINE.name} has the ratios of {processor}: commit them with the reason")
        return 0
    contest = Contest(REPEATS)
    baseline, repeats = baseline_of(processor, known), REPEATS
    while max(excess(contest.ratios, baseline).values()) > ALLOWED and repeats < PATIENCE:
        contest.repeat()
        repeats += 1
    of = "its own" if processor in known else "the largest known: renew it for this processor"
    say(f"{processor}, {repeats} repeats; baseline: {of}")
    slower = False
    for stage, over in excess(contest.ratios, baseline).items():
        ratios = ", ".join(
            f"{ratio:.3f} of {by} ({baseline[stage][by]:.3f})" for by, ratio in contest.ratios[stage].items()
        )
        say(f"{stage}: {ratios}: {over:+.0%}{' SLOWER' if over > ALLOWED else ''}")
        slower |= over > ALLOWED
    if slower:
        say("make it fast again, or renew the baseline and say why: python benches/guard.py --renew")
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
