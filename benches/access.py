"""Measure what caches of embedding tables hit, and print the tables of docs/access.md.

    python benches/access.py ratings.csv ... [--shape 4 4] [--seed 7]
    python benches/access.py ratings.csv --shape 245 245 --once
    python benches/access.py ratings.csv --shape 1 110500 --once --even 0.01 --id-order popularity

Each source is expanded by the default profile, whose ids are looked up in random order, and by traceable with
times, whose ids are looked up by the clock. With --once only the default is, without anything beside it: for
time and memory at scale; with --even every block keeps so much, so that there may be a billion ids.
"""

import argparse
import time

import numpy as np

import fractalrs as fr
from fractalrs.tools import peak_memory, readable

CACHES = (0.01, 0.05, 0.1)


def rows(source: str, profile: fr.AccessProfile, order: str) -> None:
    """Print hit rates of items, and how far they are from the real ones in percentage points."""
    there = [table for table in profile.tables if (table.column, table.order) == ("item_id", order)]
    real = next(table for table in there if table.data == "real")
    for table in there:
        cells = []
        for size in CACHES:
            off = 100 * (table.hit_rates[size] - real.hit_rates[size])
            cells.append(f"{table.hit_rates[size]:.3f}" + ("" if table is real else f" ({off:+.1f})"))
        print(f"| {source} | {order} | {table.data} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", help="ratings.csv, or USERSxITEMSxINTERACTIONS for a built-in sample")
    parser.add_argument("--shape", nargs=2, type=int, default=(4, 4))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--even", type=float)
    parser.add_argument("--id-order", default="block")
    given = parser.parse_args()
    shape, how = tuple(given.shape), {"threads": given.threads}
    for source in given.sources:
        sizes = source.split("x")
        interactions = (
            fr.sample_interactions(*map(int, sizes)) if all(map(str.isdigit, sizes)) else fr.read_interactions(source)
        )
        base = fr.leave_last_out(interactions, payload=["timestamp"])
        if given.once:
            reduced = np.full(shape, given.even) if given.even else fr.reduce(base, shape)
            expansion = fr.Expansion(base, reduced, seed=given.seed, id_order=given.id_order)
            started, processor = time.monotonic(), time.process_time()
            profile = fr.access_profile(expansion, order="random", beside=False, **how)
            seconds, processor = time.monotonic() - started, time.process_time() - processor
            print(
                f"{source} × {shape}, {given.id_order}\n{profile}\n"
                f"{seconds:.0f} s, {processor:.0f} s of processor time, peak memory {readable(peak_memory())}"
            )
            continue
        fitted = fr.fit(base, shape)
        name = source.rsplit("/", 1)[-1]
        rows(
            name,
            fr.access_profile(
                fr.Expansion(base, fitted.reduced, cells=fitted.cells, seed=given.seed), order="random", **how
            ),
            "random",
        )
        timed = fr.Expansion(base, fr.reduce(base, shape), profile="traceable", timestamps=True, seed=given.seed)
        rows(f"{name}, traceable", fr.access_profile(timed, order="time", **how), "time")


if __name__ == "__main__":
    main()
