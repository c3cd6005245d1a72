"""Run feedback loops, and print the tables of docs/feedback.md and docs/worlds.md.

    python benches/feedback.py loops [--seeds 10] [--report loops.html]
    python benches/feedback.py speed [--users 1e6] [--rounds 10] [--threads 2]

`loops` runs four policies in worlds of different seeds; `speed` writes a large loop and says how long that took.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["loops", "speed"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--users", type=float, default=1e6)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.what == "loops":
        loops(given.seeds, given.report)
    else:
        speed(int(given.users), given.rounds, given.threads)


if __name__ == "__main__":
    main()
