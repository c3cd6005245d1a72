"""Measure what the order of ids does to row-wise shards, and what it costs; prints the tables of docs/access.md.

    python benches/id_order.py 943x1682x100000 ratings.csv ... [--shape 4 4] [--seed 7]

The busiest of so many shards of consecutive items, by their lookups over the mean; how much of what the hottest items
get goes to the first ids; and processor time of generating on one thread, the least of some tries in turn, over that by
block.
"""

import argparse
import time
from typing import Any, get_args

import numpy as np

import fractalrs as fr
from fractalrs.words import IdOrder

TRIES = 7


def shards(profile: fr.AccessProfile, data: str) -> str:
    """Return the busiest shards of items."""
    return ", ".join(f"{busiest:.2f}" for _, busiest in profile.table(data, "item_id").shards.values())


def first(expansion: fr.Expansion, share: float) -> float:
    """Return what the first ids get of what as many of the hottest do."""
    degrees = fr.StreamedMatrix(expansion).degrees().item_train
    count = int(len(degrees) * share)
    return float(degrees[:count].sum() / np.sort(degrees)[::-1][:count].sum())


def seconds(expansion: fr.Expansion) -> float:
    """Return the processor time of generating."""
    part = (0, 0, expansion.shape[0], None, None, None)
    how: dict[str, Any] = {"encoding": "fast", "compression": "none", "row_group_size": 1 << 20}
    started = time.process_time()
    expansion.core.run([part], **how, stage="generate", threads=1)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", help="ratings.csv, or USERSxITEMSxINTERACTIONS for a built-in sample")
    parser.add_argument("--shape", nargs=2, type=int, default=(4, 4))
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    for source in given.sources:
        sizes = source.split("x")
        made_up = all(map(str.isdigit, sizes))
        base = fr.leave_last_out(fr.sample_interactions(*map(int, sizes)) if made_up else fr.read_interactions(source))
        fit, name = fr.fit(base, tuple(given.shape)), source.rsplit("/", 1)[-1]
        orders = {order: fr.Expansion(base, fit, seed=given.seed, id_order=order) for order in get_args(IdOrder)}
        for order, expansion in orders.items():
            profile = fr.access_profile(expansion, order="random", beside=order == "block")
            if order == "block":
                print(f"{name} | real | {shards(profile, 'real')}", flush=True)
            told = f"first 1 % and 10 % of ids {first(expansion, 0.01):.2f}, {first(expansion, 0.1):.2f}"
            print(f"{name} | {order} | {shards(profile, 'synthetic')} | {told}", flush=True)
        least = dict.fromkeys(orders, float("inf"))
        for _ in range(TRIES):
            for order, expansion in orders.items():
                least[order] = min(least[order], seconds(expansion))
        ratios = ", ".join(f"{order} {taken / least['block']:.2f}" for order, taken in least.items())
        print(f"{name} | {orders['block'].expected_interactions:,.0f} interactions | {ratios}", flush=True)


if __name__ == "__main__":
    main()
