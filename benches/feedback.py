"""Run feedback loops, and print the tables of docs/feedback.md and docs/worlds.md.

    python benches/feedback.py loops [--seeds 10] [--report loops.html]
    python benches/feedback.py speed [--users 1e6] [--rounds 10] [--threads 2]
    python benches/feedback.py worlds [--worlds 10000] [--users 2560]

`loops` runs policies in worlds of different seeds; `speed` writes a large loop and says how long that took;
`worlds` makes and counts sequences of many worlds.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import fractalrs as fr
from fractalrs.tools import peak_memory, readable

POLICIES: dict[str, dict[str, object]] = {
    "random": {"policy": "random"},
    "SVD, ε 0.3": {"policy": "SVD", "epsilon": 0.3},
    "SVD, ε 0.1": {"policy": "SVD", "epsilon": 0.1},
    "SVD": {"policy": "SVD"},
    "popularity": {"policy": "popularity"},
    "Thompson": {"policy": "Thompson"},
}


def loops(seeds: int, report: Path | None, rounds: int = 15) -> None:
    worlds = [fr.simulate(943, 1_682, 100_000, seed=seed) for seed in range(seeds)]
    runs = {
        name: [fr.feedback(world, rounds=rounds, slate=10, **how) for world in worlds]  # type: ignore[arg-type]
        for name, how in POLICIES.items()
    }
    found = fr.FeedbackReport(runs)
    print(found, flush=True)
    for metric, sign in (("coverage", -1), ("gini", 1), ("utility", 1)):
        last = np.array([found.values(name, metric)[:, -1] for name in list(POLICIES)[:4]])
        holds = (sign * np.diff(last, axis=0) > 0).all(axis=0)
        print(f"{metric}: the order {'; '.join(list(POLICIES)[:4])} holds in {holds.sum()} of {seeds} worlds")
    for name in ("random", "SVD"):
        shown = fr.feedback(worlds[0], name, rounds, 10, once=True).last
        print(f"with once, world 0: {name} {shown['utility']:.3f}", flush=True)
    if report is not None:
        found.to_html(report)
        report.with_suffix(".json").write_text(json.dumps(found.to_dict()), encoding="utf-8")


def speed(users: int, rounds: int, threads: int, items: int = 2_000, slate: int = 10) -> None:
    world = fr.simulate(users, items, 10 * users, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        wall, used = time.monotonic(), time.process_time()
        loop = fr.feedback(world, "SVD", rounds, slate, epsilon=0.1, path=f"{folder}/loop", threads=threads)
        wall, used = time.monotonic() - wall, time.process_time() - used
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
    rows = users * rounds * slate
    print(f"{world}: {rounds} rounds of {slate} items by {loop.name}")
    print(f"{rows:,} exposures in {wall:.0f} s, {used:.0f} s of processor time, {readable(size)}", flush=True)
    print(f"peak memory {readable(peak_memory())}; last round {loop.last}", flush=True)


def worlds(count: int, users: int, threads: int) -> None:
    many = fr.worlds(count, over={"users": users}, seed=1)
    wall, used, made, responses, checked = time.monotonic(), time.process_time(), 0, 0, 0
    for number, sequences in enumerate(many.sequences(threads=threads), 1):
        made, responses = made + len(sequences), responses + len(sequences.items)
        checked = (checked * 31 + int(sequences.items.sum(dtype="int64"))) % (1 << 61)
        if number % 500 == 0 or number == count:
            seconds, spent = time.monotonic() - wall, time.process_time() - used
            rates = f"{made / seconds:,.0f} sequences a second, {made / spent:,.0f} a second of processor time"
            print(f"{number:,} worlds: {made:,} sequences, {responses:,} responses, {rates}", flush=True)
    print(f"peak memory {readable(peak_memory())}, check sum {checked:x}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["loops", "speed", "worlds"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--users", type=float)
    parser.add_argument("--worlds", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.what == "loops":
        loops(given.seeds, given.report)
    elif given.what == "speed":
        speed(int(given.users or 1e6), given.rounds, given.threads)
    else:
        worlds(given.worlds, int(given.users or 2_560), given.threads)


if __name__ == "__main__":
    main()
