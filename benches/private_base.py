"""Draw private bases at several ε and compare them with the real one: the tables of docs/private-base.md.

    python benches/private_base.py 60000x3700x8000000 ratings.csv ... [--epsilons 1 2 4 inf] [--unit user]
    python benches/private_base.py 40000x2500x4000000 --epsilons inf --groups 16 64 256

A source is a file, or USERSxITEMSxINTERACTIONS for a built-in sample. Too small a source is drawn without directions.
With groups a block model without noise stands beside: users in that many groups by taste, each with the exact
popularity of all items in its group, and the exact degree of each user.
"""

import argparse
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.cluster.vq import kmeans2
from scipy.sparse.linalg import svds
from scipy.stats import kendalltau

import fractalrs as fr
from fractalrs.errors import InputError
from fractalrs.privacy import Rows
from fractalrs.statistics import gini
from fractalrs.tools import peak_memory, readable

RATIOS, TOP = 16, 1000


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def drawn(source: Any, epsilon: float, unit: Any, directions: Sequence[int]) -> tuple[fr.Base, int] | None:
    """Return the private base with the first number of directions that is not refused, and that; if any."""
    for number in directions:
        try:
            return fr.private_base(source, epsilon, unit=unit, split="none", directions=number), number
        except InputError as error:
            print(f"  epsilon {epsilon:g}, {number} directions: {error.message}")
    return None


def matrix_of(base: fr.Base, ids: Sequence[Any]) -> Any:
    """Return the base as zeros and ones over the items of another."""
    place = {item: code for code, item in enumerate(ids)}
    codes = np.array([place[item] for item in base.item_ids.to_pylist()])[base.indices]
    return sp.csr_array((np.ones(base.count), codes, base.indptr), shape=(base.shape[0], len(ids)))


def ratios(matrix: Any) -> Any:
    values = np.sort(svds(matrix, k=RATIOS + 1, return_singular_vectors=False, random_state=0))[::-1]
    return values[1:] / values[0]


def block_model(matrix: Any, groups: int) -> Any:
    """Return interactions drawn by users' groups alone."""
    rng, degrees = np.random.default_rng(0), np.diff(matrix.indptr)
    scaled = sp.diags_array(1 / np.sqrt(degrees)) @ matrix
    _, values, vectors = svds(scaled, k=RATIOS + 1, random_state=0)
    tastes = scaled @ vectors[np.argsort(-values)[1:]].T
    _, group = kmeans2(tastes, groups, minit="++", seed=1, iter=15)
    of_group = sp.csr_array((np.ones(len(group)), (group, np.arange(len(group)))), shape=(groups, len(group)))
    weights, rows = (of_group @ matrix).toarray() + 1e-3, []
    for user, degree in enumerate(degrees):
        waits = rng.standard_exponential(matrix.shape[1]) / weights[group[user]]
        rows.append(np.argpartition(waits, degree - 1)[:degree])
    return sp.csr_array((np.ones(matrix.nnz), np.concatenate(rows), matrix.indptr), shape=matrix.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0, 2.0, 4.0, float("inf")])
    parser.add_argument("--unit", default="user")
    parser.add_argument("--groups", nargs="*", type=int, default=[])
    given = parser.parse_args()
    print(f"{processor()}; unit {given.unit}, delta 1e-6\n")
    for source in given.sources:
        sizes = source.split("x")
        is_sample = all(map(str.isdigit, sizes))
        data = fr.sample_interactions(*map(int, sizes)) if is_sample else fr.read_interactions(source)
        real = fr.leave_last_out(data, split="none", min_timestamps=0)
        ids = real.item_ids.to_pylist()
        degrees, wanted = real.item_degrees(), ratios(matrix_of(real, ids))
        top = np.argsort(-degrees)[:TOP]
        print(f"{Path(source).name}: {real.shape[0]:,} users x {real.shape[1]:,} items, {real.count:,} interactions")
        print(f"  real: Gini of users {gini(real.user_degrees()):.3f}, of items {gini(degrees):.3f}", flush=True)
        for groups in given.groups:
            off = np.abs(ratios(block_model(matrix_of(real, ids), groups)) / wanted - 1)
            print(f"  block model of {groups} groups: ratios off by {np.median(off):.1%}, {off.max():.1%}", flush=True)
        for epsilon in given.epsilons:
            forecast = Rows.of(data, None).forecast(epsilon, 1e-6, given.unit)
            started, spent = time.monotonic(), time.process_time()
            made_of = drawn(data, epsilon, given.unit, [16, 0])
            if made_of is None:
                continue
            base, directions = made_of
            seconds, processor_time = time.monotonic() - started, time.process_time() - spent
            made = matrix_of(base, ids)
            counts = np.asarray(made.sum(axis=0))
            off = np.abs(ratios(made) / wanted - 1)
            note = base.notes[-1] if directions else "no directions"
            print(
                f"  epsilon {epsilon:g}: {base.shape[0]:,} users, {base.count:,} interactions; Gini of users "
                f"{gini(np.diff(base.indptr)):.3f}, of items {gini(counts):.3f}; tau of the top {len(top):,} "
                f"{kendalltau(degrees[top], counts[top]).statistic:.3f}; {RATIOS} singular ratios off by "
                f"{np.median(off):.1%} in the median, {off.max():.1%} at most; forecast {forecast.surviving}: {note} "
                f"{seconds:.0f} s, {processor_time:.0f} s of processor time, peak {readable(peak_memory())}",
                flush=True,
            )


if __name__ == "__main__":
    main()
