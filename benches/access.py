"""Measure what caches of embedding tables hit, and print the tables of docs/access.md.

    python benches/access.py ratings.csv ... [--shape 4 4] [--seed 7]
    python benches/access.py ratings.csv --shape 245 245 --once

Each source is expanded by the default profile, whose ids are looked up in random order, and by traceable with
times, whose ids are looked up by the clock. With --once only the default is, without anything beside it: for
time and memory at scale.
"""

import argparse
import time

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
    given = parser.parse_args()
    shape, how = tuple(given.shape), {"threads": given.threads}
    for source in given.sources:
        sizes = source.split("x")
        interactions = (
            fr.sample_interactions(*map(int, sizes)) if all(map(str.isdigit, sizes)) else fr.read_interactions(source)
        )
        base = fr.leave_last_out(interactions, payload=["timestamp"])
        if given.once:
            expansion = fr.Expansion(base, fr.reduce(base, shape), seed=given.seed)
            started, processor = time.monotonic(), time.process_time()
            profile = fr.access_profile(expansion, order="random", beside=False, **how)
            seconds, processor = time.monotonic() - started, time.process_time() - processor
            print(
                f"{source} × {shape}\n{profile}\n{seconds:.0f} s, {processor:.0f} s of processor time, "
                f"peak memory {readable(peak_memory())}"
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
