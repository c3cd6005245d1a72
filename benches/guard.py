"""The guard against slow-downs: ratios of processor time inside one run, never a clock. Ten seconds; used by `.ci/run`.

    python benches/guard.py             # fails where a ratio is 25 % over its baseline
    python benches/guard.py --renew     # puts this run's ratios into benches/guard.json: commit them with the reason

Generating is held against a fixed loop over memory, encoding and writing against pyarrow writing the same table. All
five are timed in turn on one thread, and the ratio is that of the shortest times: the quietest moments of a shared
machine, which a neighbour can make longer but never shorter. Where a ratio does not hold, the run goes on for
up to `PATIENCE` repeats: a neighbour goes away, slower code does not.

Both sides of a ratio do the same kind of work, so that it differs little between processors: the loop draws random
words, gathers and adds up, a number at a time, as generating does; pyarrow packs the same deltas. What differs, caches
and vector units, is why a baseline is that of a processor; an unknown one is held against the largest that is known.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import DATA, Stage, as_ours, emptied, machine, run, say, table_of, write_tables

import fractalrs as fr

BASELINE = Path(__file__).with_name("guard.json")
ALLOWED = 1.25
REPEATS = 7
PATIENCE = 60

Times = dict[str, float]


def expansion() -> fr.Expansion:
    """Return one that no decomposition has a part in, so that it is the same whatever becomes faster before it."""
    base = fr.leave_last_out(fr.sample_interactions())
    orders = (np.arange(count, dtype=np.uint32) for count in base.shape)
    starts = (np.append(np.arange(0, count, 5), count).astype(np.uint32) for count in base.shape)
    cells = fr.Cells(*(array for pair in zip(orders, starts, strict=True) for array in pair))
    rates = np.random.default_rng(0).uniform(0.02, 0.25, (16, 32))
    return fr.Expansion(base, rates, cells=cells, seed=7)


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
    """The five in turn, and the shortest time of each so far."""

    def __init__(self) -> None:
        plan = fr.plan(expansion())
        self.folder = emptied(DATA / "guard")
        dataset = fr.write(plan.expansion, self.folder / "out")
        tables, options = table_of(dataset), as_ours(dataset.path / dataset.files("train")[0].path)
        self.work: dict[str, Callable[[], Any]] = {
            "loop": loop(),
            "pyarrow": partial(write_tables, tables, self.folder, options),
        }
        stages: tuple[Stage, ...] = ("generate", "encode", "write")
        self.work |= {stage: partial(run, plan, stage, self.folder, 1) for stage in stages}
        self.least: Times = dict.fromkeys(self.work, float("inf"))

    def repeat(self) -> None:
        for name, work in self.work.items():
            started = time.process_time()
            work()
            self.least[name] = min(self.least[name], time.process_time() - started)

    @property
    def ratios(self) -> Times:
        least = self.least
        return {
            "generate ÷ loop": least["generate"] / least["loop"],
            "encode and digest ÷ pyarrow": (least["encode"] - least["generate"]) / least["pyarrow"],
            "generate, encode, digest, write ÷ pyarrow": least["write"] / least["pyarrow"],
        }


def slower(ratios: Times, baseline: Times) -> list[str]:
    """Name the ratios that are over their baseline by more than is allowed."""
    return [name for name, ratio in ratios.items() if ratio > ALLOWED * baseline[name]]


def baseline_of(processor: str, known: dict[str, Times]) -> Times:
    """Return a processor's baseline: its own, or of each ratio the largest that is known."""
    return known.get(processor) or {
        name: max(one[name] for one in known.values()) for name in next(iter(known.values()))
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--renew", action="store_true", help="make this run's ratios the baseline of this processor")
    renew = parser.parse_args().renew
    known: dict[str, Times] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    processor, contest = machine()["processor"], Contest()
    for _ in range(3 * REPEATS if renew else REPEATS):
        contest.repeat()
    if renew:
        known[processor] = {name: round(ratio, 3) for name, ratio in contest.ratios.items()}
        BASELINE.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    baseline, repeats = baseline_of(processor, known), REPEATS
    while slower(contest.ratios, baseline) and repeats < PATIENCE:
        contest.repeat()
        repeats += 1
    of = "its own" if processor in known else "the largest known: renew it for this processor"
    say(f"{processor}, {repeats} repeats; baseline: {of}")
    for name, ratio in contest.ratios.items():
        say(f"{name}: {ratio:.3f}, baseline {baseline[name]:.3f}, {ratio / baseline[name] - 1:+.0%}")
    if too_slow := slower(contest.ratios, baseline):
        say(f"slower than the baseline by more than {ALLOWED - 1:.0%}: {'; '.join(too_slow)}")
        say("make it fast again, or say why it must be slower and renew the baseline: python benches/guard.py --renew")
    return 1 if too_slow else 0


if __name__ == "__main__":
    sys.exit(main())
