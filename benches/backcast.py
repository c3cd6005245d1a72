"""Backcast real data, and print the tables of docs/backcast.md.

    python benches/backcast.py ratings.csv ... [--share 0.5] [--repeats 3] [--threads 2]

Each source is sub-sampled, expanded back to its size and compared with itself. ml-latest-small takes minutes.
"""

import argparse
import time

import fractalrs as fr
from fractalrs.tools import peak_memory, readable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", help="ratings.csv, or USERSxITEMSxINTERACTIONS for a built-in sample")
    parser.add_argument("--share", type=float, default=0.25, help="of users and of items in a sub-sample")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", default="realistic")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    for source in given.sources:
        started, sizes = time.monotonic(), source.split("x")
        interactions = (
            fr.sample_interactions(*map(int, sizes)) if all(map(str.isdigit, sizes)) else fr.read_interactions(source)
        )
        report = fr.backcast(
            interactions,
            given.share,
            given.share,
            repeats=given.repeats,
            profile=given.profile,
            threads=given.threads,
        )
        seconds = time.monotonic() - started
        print(f"{source}\n{report}\n{seconds:.0f} s, peak memory {readable(peak_memory())}\n", flush=True)


if __name__ == "__main__":
    main()
