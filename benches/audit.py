"""What audits find, by shuffle, largest keep rate and multipliers: `python benches/audit.py ratings.csv …`.

Half of the users are members, the others controls. A line for each: the strongest attack with the output alone, on
everybody; with whole histories known, and with half of each; and the strongest with the columns known.
"""

import argparse
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

import fractalrs as fr
from fractalrs.privacy import AuditReport, Finding

CURVE = [
    ("cells", 0.95),
    ("cells", 0.5),
    ("cells", 0.3),
    ("cells", 0.2),
    ("cells", 0.1),
    ("mixed", 0.95),
    ("mixed", 0.5),
]
"""Shuffle and largest keep rate."""
SAMPLE = (6_040, 3_700, 1_000_000)
"""Users, items and interactions of a sample of ML-1M's size."""
EVERYTHING = {"attackers": ["output", "columns"]}
JUDGED = {"attackers": ["output"], "known": [1.0]}
"""The attackers that the verdict is about, at their strongest."""


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((one.partition(":")[2].strip() for one in lines if one.startswith("model name")), platform.processor())
    return f"{name}, {os.cpu_count()} processors"


def strongest(report: AuditReport, attacker: str, known: float) -> Finding | None:
    found = [one for one in report.findings if (one.attacker, one.known, one.group) == (attacker, known, "everybody")]
    return max(found, key=lambda one: one.advantage.low, default=None)


def written(one: Finding | None) -> str:
    if one is None:
        return "–"
    members, controls = one.advantage.members, one.advantage.controls
    area = "" if one.area is None else f", AUC {one.area[0]:.3f}"
    return (
        f"{one.attack}: {members.count}/{members.of}, {controls.count}/{controls.of} "
        f"[{one.advantage.low:+.3f}, {one.advantage.high:+.3f}]{area}"
    )


def line(
    interactions: Any,
    shape: tuple[int, int],
    shuffle: str,
    max_keep: float,
    seed: int,
    users: int | None = None,
    how: dict[str, Any] = EVERYTHING,
) -> None:
    members, controls = fr.hold_users_out(interactions, seed=seed)
    base = fr.leave_last_out(members)
    fitted = fr.fit(base, shape, max_keep=max_keep, user_cell_size=users)
    expansion = fr.Expansion(base, fitted, max_keep=max_keep, shuffle=shuffle, seed=1_000 + seed)
    started, cpu = time.monotonic(), time.process_time()
    report = fr.audit(expansion, members, controls, **how)
    seconds, spent = time.monotonic() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"× {shape}, {shuffle}, {max_keep:g} (largest {expansion.keep_rates.max():.2f}), user cells of "
        f"{expansion.cells.user_cell_size}, split {seed}: {report.verdict}"
    )
    print(
        f"  {base.shape[0]:,} members, {base.train_count / base.shape[0]:.0f} interactions each, "
        f"{base.train_count / base.shape[1]:.0f} an item; {fitted.words}"
    )
    print(f"  output alone, all known: {written(strongest(report, 'output', 1.0))}")
    print(f"  output alone, half known: {written(strongest(report, 'output', 0.5))}")
    print(f"  columns, all known: {written(strongest(report, 'columns', 1.0))}")
    print(f"  {seconds:.0f} s, {spent:.0f} s of processor time, peak {peak:.1f} GB so far", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--splits", type=int, default=1, help="how many divisions into members and controls")
    parser.add_argument("--default-only", action="store_true", help="the default profile's shuffle and keep rate alone")
    parser.add_argument("--cells", type=int, nargs="*", default=[], help="user cell sizes to try the default with")
    parser.add_argument("--sample", action="store_true", help="a sample of ML-1M's size too")
    parser.add_argument("--sizes", nargs="*", default=[], metavar="USERSxITEMSxINTERACTIONS:SEED", help="other samples")
    parser.add_argument("--output-only", action="store_true", help="attack with the output and whole histories alone")
    asked = parser.parse_args()
    how = JUDGED if asked.output_only else EVERYTHING
    print(processor())
    named: dict[str, Any] = {source.name: source for source in asked.sources}
    sources = {name: fr.read_interactions(source) for name, source in named.items()}
    sources |= {"sample of ML-1M's size": fr.sample_interactions(*SAMPLE)} if asked.sample else {}
    for size in asked.sizes:
        counts, _, seed = size.partition(":")
        p, q, count = map(int, counts.split("x"))
        sources[f"sample {size}"] = fr.sample_interactions(p, q, count, seed=int(seed or 0))
    for name, interactions in sources.items():
        print(f"# {name}: {interactions}")
        for seed in range(1, asked.splits + 1):
            for shuffle, max_keep in CURVE[-1:] if asked.default_only else CURVE:
                line(interactions, (16, 32), shuffle, max_keep, seed, how=how)
            for users in asked.cells:
                line(interactions, (16, 32), *CURVE[-1], seed, users, how)
            for shape in () if asked.default_only else ((4, 4), (8, 16)):
                line(interactions, shape, "mixed", 0.5, seed, how=how)


if __name__ == "__main__":
    main()
