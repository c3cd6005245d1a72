"""Measure speed and memory at MovieLens 20M's shape, 1.2 billion interactions; print a table and the raw figures.

The base (the built-in sample at that shape), its reduced matrices and cells are made once and saved in ``bench-data/``.
Every trial then is a process of its own that loads them, so that its peak memory is its own. The raw output goes to
``docs/performance-raw.txt``, the table to stdout; ``docs/performance.md`` quotes both.

Run it on a quiet machine: ``make bench``.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import fractalrs as fr
from fractalrs.tools import peak_memory

DATA = Path("bench-data")
RAW = Path("docs/performance-raw.txt")
SHAPE = {"users": 138_493, "items": 26_744, "interactions": 20_000_000}
INTERACTIONS = 1.2e9
CELLS = "cells"
CARRYING = "base-carrying"
"""The base with ratings and timestamps."""

TRIALS: list[dict[str, Any]] = [
    {"stage": "generate"},
    {"stage": "encode"},
    {"stage": "write"},
    {"stage": "flush"},
    {"stage": "encode", "encoding": "fast"},
    {"stage": "write", "encoding": "fast"},
    {"stage": "flush", "encoding": "fast"},
    {"stage": "generate", "shuffle": "none"},
    {"stage": "generate", "shuffle": "aligned"},
    {"stage": "generate", "shuffle": "block"},
    {"stage": "generate", "shuffle": "aligned", "carrying": True},
    {"stage": "flush", "shuffle": "aligned", "carrying": True},
    {"stage": "flush", "items": 128},
    {"stage": "generate", "items": 16_384, "block_keep": 32 / 16_384},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trial", help="run one trial, given as JSON, and print its figures")
    arguments = parser.parse_args()
    if arguments.trial:
        print(json.dumps(run_trial(json.loads(arguments.trial))))
        return
    prepare()
    lines = [f"# {platform.processor() or platform.machine()}, {available()} cores, Python {platform.python_version()}"]
    print(HEADER)
    for trial in TRIALS:
        command = [sys.executable, __file__, "--trial", json.dumps(trial)]
        lines.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        print(row(json.loads(lines[-1])), flush=True)
    lines.append(json.dumps(oracle_rate()))
    print(lines[-1])
    RAW.write_text("\n".join(lines) + "\n")


def available() -> int:
    return len(os.sched_getaffinity(0))


def prepare() -> None:
    """Make what all trials load."""
    DATA.mkdir(exist_ok=True)
    if not ((DATA / "base").exists() and (DATA / CARRYING).exists()):
        interactions = fr.sample_interactions(**SHAPE)
        for name, payload in (("base", ()), (CARRYING, ("rating", "timestamp"))):
            if not (DATA / name).exists():
                fr.leave_last_out(interactions, payload=payload).save(DATA / name)
    base = fr.Base.load(DATA / "base")
    if not (DATA / "cells.npz").exists():
        fr.group_cells(base).save(DATA / "cells.npz")
    for items in (32, 128, 16_384):
        if not (DATA / f"reduced-{items}.npy").exists():
            np.save(DATA / f"reduced-{items}.npy", fr.reduce(base, (16, items)).values)


def load(trial: dict[str, Any]) -> fr.Expansion:
    """Load the parts of an expansion, thinned to the expected number of interactions."""
    carrying = trial.get("carrying", False)
    base = fr.Base.load(DATA / (CARRYING if carrying else "base"))
    reduced = np.load(DATA / f"reduced-{trial.get('items', 32)}.npy")
    shuffle = trial.get("shuffle", CELLS)
    block_keep = trial.get("block_keep", 1.0)
    scale = keep_scale(reduced, INTERACTIONS / base.count / block_keep)
    cells = fr.Cells.load(DATA / "cells.npz") if shuffle == CELLS else None
    return fr.Expansion(
        base,
        reduced,
        shuffle=shuffle,
        cells=cells,
        seed=7,
        keep_scale=scale,
        block_keep=block_keep,
        timestamps=carrying,
        ratings="carry" if carrying else None,
    )


def keep_scale(reduced: "np.ndarray[Any, np.dtype[np.float64]]", kept_bases: float) -> float:
    """Find the scale at which the keep rates sum to `kept_bases`, by bisection."""
    clipped = np.clip(reduced, 0.01, 0.95)
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(0.95, middle * clipped).sum() < kept_bases else (low, middle)
    return high


def run_trial(trial: dict[str, Any]) -> dict[str, Any]:
    """Run one stage over all parts and take its figures."""
    expansion = load(trial)
    threads = available()
    format = fr.ParquetOptions(encoding=trial.get("encoding", "default"))
    plan = fr.plan(expansion, parquet=format)
    folder = DATA / "out"
    shutil.rmtree(folder, ignore_errors=True)
    for split in plan.splits:
        (folder / split).mkdir(parents=True)
    labels: list[tuple[str, str]] = []
    parts = [
        (part.index, part.first, part.last, (folder / part.file("train"), labels), (folder / part.file("test"), labels))
        for part in plan.parts
    ]
    made = 0

    def progress(interactions: int, _: int) -> None:
        nonlocal made
        made = interactions

    started, processor = time.perf_counter(), time.process_time()
    report = expansion.generator.run(
        parts,
        encoding=format.encoding,
        compression=format.compression,
        row_group_size=format.row_group_size,
        stage=trial["stage"],
        threads=threads,
        progress=progress,
    )
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    shutil.rmtree(folder)
    size = sum(file["bytes"] for part in report["parts"] for file in (part["train"], part["test"]) if file)
    base = expansion.base
    arrays = base.indptr.nbytes + base.entries.nbytes + (0 if base.payload is None else base.payload.nbytes)
    return {
        **trial,
        "interactions": made,
        "seconds": seconds,
        "million_per_second": made / seconds / 1e6,
        "core_ns": seconds * threads / made * 1e9,
        "processor_ns": processor / made * 1e9,
        "generating_ns": report["generating_seconds"] / made * 1e9,
        "encoding_ns": report["encoding_seconds"] / made * 1e9,
        "bytes_per_interaction": size / made,
        "peak_mb": peak_memory() / 2**20,
        "base_mb": arrays / 2**20,
    }


HEADER = (
    "| stage | × | shuffle | carrying | encoding | s | M/s | ns of one core: all | processor | generating | encoding "
    "| B each | peak MB (base) |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def row(figures: dict[str, Any]) -> str:
    """ParquetOptions one row of the table."""
    return (
        f"| {figures['stage']} | (16, {figures.get('items', 32)}) | {figures.get('shuffle', CELLS)} "
        f"| {'rating, timestamp' if figures.get('carrying') else ''} "
        f"| {figures.get('encoding', 'default')} | {figures['seconds']:.1f} | {figures['million_per_second']:.0f} "
        f"| {figures['core_ns']:.1f} | {figures['processor_ns']:.1f} | {figures['generating_ns']:.1f} "
        f"| {figures['encoding_ns']:.1f} | {figures['bytes_per_interaction']:.2f} "
        f"| {figures['peak_mb']:.0f} ({figures['base_mb']:.0f}) |"
    )


def oracle_rate() -> dict[str, float]:
    """Time the NumPy oracle on a small base: an oracle is written to be read, not to be quick."""
    sys.path.insert(0, "tests")
    from helpers import oracle

    base = fr.leave_last_out(fr.sample_interactions(100, 200, 4_000))
    expansion = fr.Expansion(base, fr.reduce(base, (4, 8)), shuffle="aligned")
    started = time.perf_counter()
    train, test = oracle.expand(
        base,
        expansion.keep_rates,
        expansion.cells,
        shuffle="aligned",
        seed=0,
        block_keep=1.0,
        test_items="all",
        drop_incomplete=False,
        order="block",
    )
    made = len(train) + len(test)
    return {"oracle_interactions": made, "oracle_per_second": made / (time.perf_counter() - started)}


if __name__ == "__main__":
    main()
