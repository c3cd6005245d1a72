"""Train on real and synthetic interactions mixed, and rank what is held out of the real ones: docs/mixing.md's tables.

    OMP_NUM_THREADS=1 python benches/real_and_synthetic.py ratings.csv ... [--shares 0.15,0.3,1] [--seeds 10]

A seed draws a share of the users, holds the last interaction of each out for test and the one before it for
validation, and fits every setting of every family to three tables: the real train interactions alone; with synthetic
ones at several ratios; with users drawn anew from the real ones, with replacement, at the same ratios. Ratio and
setting are those with the best NDCG@10 on validation. Ctrl-C prints what there is by then.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.evaluation import Halves
from fractalrs.evaluation.rankings import by_user, places, rankable
from fractalrs.models import FAMILIES, Matrix
from fractalrs.tools import peak_memory, readable

RATIOS = (0.2, 0.4, 0.6)
SHAPE = (4, 4)
DRAWS = 2_000
METRICS = ("HR", "NDCG")
ARMS = ("real", "mixed", "bootstrap", "bootstrap, own ratio")
BEST = "best on validation"
Floats = npt.NDArray[np.float64]


def drawn(interactions: fr.Interactions, share: float, seed: int) -> Base:
    """Split a share of the users."""
    table = interactions.table
    users = pc.unique(table["user_id"])
    chosen = np.sort(np.random.default_rng([seed, 1]).permutation(len(users))[: round(share * len(users))])
    some = table.filter(pc.is_in(table["user_id"], users.take(pa.array(chosen))))
    return fr.leave_last_out(fr.Interactions(some), validation=True)


def mixed(base: Base, expansion: fr.Expansion, ratio: float, seed: int) -> Matrix:
    """Return the synthetic interactions of a mixture, a row for each synthetic user."""
    table = pa.table(fr.mix(base, expansion, ratio, epoch=seed, threads=1))
    synthetic = table.filter(table["synthetic"])
    users = np.unique(synthetic["user_id"].to_numpy(), return_inverse=True)[1]
    items = pc.index_in(synthetic["item_id"], base.item_ids).to_numpy()
    return sp.csr_array((np.ones(len(users)), (users, items)), shape=(users.max() + 1, base.shape[1]))


def redrawn(train: Matrix, ratio: float, seed: int) -> Matrix:
    """Return users drawn with replacement, as many as have the interactions of a mixture; the last one in part."""
    wanted = round(train.nnz * ratio / (1 - ratio))
    rng, rows, count = np.random.default_rng([seed, 2]), [], 0
    while count < wanted:
        rows.append(int(rng.integers(train.shape[0])))
        count += int(train.indptr[rows[-1] + 1] - train.indptr[rows[-1]])
    found = train[rows]
    return sp.csr_array((found.data[:wanted], found.indices[:wanted], np.minimum(found.indptr, wanted)), found.shape)


def ranked(scores: Any, train: Matrix, held: Matrix, users: Any, hidden: Matrix | None = None) -> dict[str, Floats]:
    """Return HR and NDCG of real users, who are the first rows of what was trained on."""
    found = by_user(places(scores, Halves(train, held), users, hidden=hidden), 10)
    return {metric: found[metric] for metric in METRICS}


def measured(base: Base, names: Sequence[str], most_users: int, seed: int) -> dict[str, Any]:
    """Return users who are ranked, and for each family what was chosen and what it is worth, for each table."""
    expansion = fr.Expansion(base, fr.fit(base, SHAPE), seed=seed)
    train, valid, test = base.train, base.valid, base.test
    users = rankable(Halves(train, test))
    if len(users) > most_users:
        users = np.sort(np.random.default_rng([seed, 3]).choice(users, most_users, replace=False))
    tables: dict[tuple[str, float], Matrix] = {("real", 0.0): train}
    for ratio in RATIOS:
        tables["mixed", ratio] = sp.vstack((train, mixed(base, expansion, ratio, seed)), format="csr")
        tables["bootstrap", ratio] = sp.vstack((train, redrawn(train, ratio, seed)), format="csr")
    # (table, ratio) → family → NDCG on validation, setting and test values of the best setting.
    found: dict[tuple[str, float], dict[str, Any]] = {where: {} for where in tables}
    for where, table in tables.items():
        for name in names:
            for model in FAMILIES[name]:
                fitted = model.fit(table)

                def scores(rows: Any, fitted: Any = fitted) -> Floats:
                    return np.asarray(fitted(rows), dtype=np.float64)

                quality = float(ranked(scores, train, valid, users)["NDCG"].mean())
                if name not in found[where] or quality > found[where][name][0]:
                    found[where][name] = quality, model, ranked(scores, train, test, users, valid)
    return {"users": base.user_ids.take(pa.array(users)).to_pylist(), **chosen(found, names)}


def chosen(found: dict[tuple[str, float], dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Choose the ratio, and of all families the best, on validation."""

    def best(arm: str, of: Sequence[str], ratio: float | None = None) -> tuple[float, str, tuple[Any, ...]]:
        there = [where for where in found if where[0] == arm and ratio in (None, where[1])]
        where, name = max(((w, n) for w in there for n in of), key=lambda pair: found[pair[0]][pair[1]][0])
        return where[1], name, found[where][name]

    made = {}
    for name in (*names, BEST):
        of = names if name == BEST else [name]
        arms = {"real": best("real", of), "mixed": best("mixed", of)}
        arms["bootstrap"] = best("bootstrap", of, arms["mixed"][0])
        arms["bootstrap, own ratio"] = best("bootstrap", of)
        made[name] = arms
    return {"families": made}


def difference(cells: Sequence[dict[str, Any]], name: str, metric: str, arm: str) -> tuple[float, float, float]:
    """Return the mean difference of mixed and an arm in parts of the arm, and its interval.

    Users, who are the same in several seeds, and seeds are both drawn anew.
    """
    ids = {user: number for number, user in enumerate(sorted({user for cell in cells for user in cell["users"]}))}
    tables = np.full((3, len(cells), len(ids)), 0.0)
    for row, cell in enumerate(cells):
        columns = [ids[user] for user in cell["users"]]
        for layer, which in enumerate(("mixed", arm)):
            tables[layer, row, columns] = cell["families"][name][which][2][2][metric]
        tables[2, row, columns] = 1
    rng, values = np.random.default_rng(0), []
    for _ in range(DRAWS):
        of_seeds = rng.multinomial(len(cells), np.full(len(cells), 1 / len(cells)))
        of_users = rng.multinomial(len(ids), np.full(len(ids), 1 / len(ids)))
        one, other, count = of_seeds @ tables @ of_users
        values.append((one - other) / count)
    one, other, count = tables.sum(axis=(1, 2))
    level = other / count
    low, high = np.percentile(values, (2.5, 97.5))
    return (one - other) / count / level, low / level, high / level


def show(cells: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Print the table of a share."""
    heads = ("model", "metric", *ARMS[:3], "ratios", "mixed over real", "over bootstrap", "over its own ratio")
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name in (BEST, *names):
        for metric in METRICS:
            values = [
                np.mean(np.concatenate([cell["families"][name][arm][2][2][metric] for cell in cells]))
                for arm in ARMS[:3]
            ]
            ratios = [cell["families"][name]["mixed"][0] for cell in cells]
            counts = " ".join(f"{ratio:g}:{ratios.count(ratio)}" for ratio in RATIOS)
            shown = [
                "{:+.1%} ({:+.1%} to {:+.1%})".format(*difference(cells, name, metric, arm))
                for arm in ("real", *ARMS[2:])
            ]
            means = " | ".join(f"{value:.4f}" for value in values)
            print(f"| {name} | {metric}@10 | {means} | {counts} | {' | '.join(shown)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--shares", default="0.15,0.3,1")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--models", default="popularity,item kNN,user kNN,SVD,EASE,RP3beta,iALS")
    parser.add_argument("--most-users", type=int, default=2_000, help="of more a sample is ranked")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    names = given.models.split(",")
    for source in given.sources:
        interactions = fr.read_interactions(source)
        for share in map(float, given.shares.split(",")):
            cells: list[dict[str, Any]] = []
            print(f"\n### {Path(source).parent.name}, {share:.0%} of the users\n", flush=True)
            try:
                for seed in range(given.seeds):
                    clock, processor = time.monotonic(), time.process_time()
                    base = drawn(interactions, share, seed)
                    cells.append(measured(base, names, given.most_users, seed))
                    best = cells[-1]["families"][BEST]
                    values = ", ".join(
                        f"{arm} {best[arm][2][2]['NDCG'].mean():.4f} ({best[arm][1]}, {best[arm][0]:g})" for arm in ARMS
                    )
                    print(
                        f"seed {seed}: {base.shape[0]:,} × {base.shape[1]:,}, {base.train_count:,} train; best NDCG: "
                        f"{values}; {time.monotonic() - clock:.0f} s, {time.process_time() - processor:.0f} s of "
                        f"processor, peak memory {readable(peak_memory())}",
                        flush=True,
                    )
            finally:
                if cells:
                    show(cells, names)


if __name__ == "__main__":
    main()
