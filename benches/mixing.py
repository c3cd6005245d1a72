"""Measure fidelity and cost of the shuffle `mixed` beside `cells`: the tables of docs/mixing-inside-blocks.md.

    OMP_NUM_THREADS=1 python benches/mixing.py sample ratings.csv ... [--shapes 4x4,8x16] [--bases 6] [--forms]
    OMP_NUM_THREADS=1 python benches/mixing.py sample ratings.csv ... --backcast 5
    OMP_NUM_THREADS=1 python benches/mixing.py sample ratings.csv ... --linkage
    python benches/mixing.py --cost

The same fit, cells and seed with both shuffles, the real data thinned (the validator's floor) beside them. `--forms`
has other ways to mix, made in memory with NumPy of the same kept entries. A line takes seconds to a minute.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
from cells import exchange
from fit import random_bases

import fractalrs as fr
from fractalrs.base import Base, leave_last_out, truncated_svd
from fractalrs.evaluation import Halves
from fractalrs.evaluation.halves import matrix_of
from fractalrs.evaluation.report import CEILING, EXPANSION
from fractalrs.evaluation.traits import clustering
from fractalrs.expansion import Expansion, fit, group_cells
from fractalrs.expansion.options import PROFILES
from fractalrs.models import Matrix
from fractalrs.reading import Interactions, read_interactions, sample_interactions
from fractalrs.statistics import assortativity, captured_norm, degree_product, gini
from fractalrs.validation import validate

Integers = npt.NDArray[Any]
SHUFFLES = ("cells", "mixed")
METRICS = (
    "gini of users",
    "gini of items",
    "singular ratios 2 to 16, median error",
    "singular ratios 2 to 16, largest error",
    "singular ratios 2 to 64, median error",
    "norm captured at rank 8",
    "degree assortativity",
    "clustering over density",
    "network values of users",
    "network values of items",
    "cosine with the nearest item, rank 1",
    "copies among the ten nearest items",
    "repetition relinked",
    "recall of a factorisation of rank 8",
)
FORMS = (
    "cells",
    "each item, each block",
    "2 classes",
    "3 classes",
    "5 classes",
    "3 classes of item cells",
    "once (mixed)",
)
ML_20M = (138_493, 26_744, 20_000_000)


def nearest_user(matrix: Matrix, count: int = 1_000) -> float:
    """Return the mean cosine of sampled users of five interactions or more with their nearest."""
    degree = np.diff(matrix.indptr)
    known = np.flatnonzero(degree >= 5)
    some = np.random.default_rng(3).choice(known, min(count, len(known)), replace=False)
    transposed, cosines = matrix.T.tocsr(), []
    for chunk in np.array_split(some, len(some) // 100 + 1):
        near = (matrix[chunk] @ transposed).toarray() / np.sqrt(np.maximum(degree, 1) * degree[chunk, None])
        near[np.arange(len(chunk)), chunk] = -1
        cosines.append(near.max(axis=1))
    return float(np.concatenate(cosines).mean())


def describe(name: str, base: Base, shape: tuple[int, int], seed: int) -> Iterator[str]:
    """Yield the table of a base at a shape."""
    fitted = fit(base, shape)
    reports, near = {}, {}
    for shuffle in SHUFFLES:
        expansion = Expansion(base, fitted, shuffle=shuffle, seed=seed)
        reports[shuffle] = validate(expansion, only="fidelity")
        near[shuffle] = nearest_user(Halves.of_expansion(expansion).train)
    thinned = Halves.of_base(base).thinned(float(expansion.keep_rates.mean()), np.random.default_rng(7))
    sizes = np.bincount(np.diff(expansion.cells.user_starts))
    alone = f", {sizes[1]} alone" if sizes[1] else ""
    yield (
        f"\n### {name}, {base.shape[0]:,} × {base.shape[1]:,}, {base.train_count:,} train, × {shape}\n\n"
        f"Keep rates {expansion.keep_rates.min():.3f} to {expansion.keep_rates.max():.3f}, user cells of up to "
        f"{len(sizes) - 1}{alone}. "
        + " ".join(
            f"`{shuffle}`: {reports[shuffle].verdict} {list(reports[shuffle].failures)}." for shuffle in SHUFFLES
        )
        + "\n"
    )
    yield "| | real | thinned | `cells` | `mixed` | distance: `cells` | `mixed` | allowed |"
    yield "|---|---|---|---|---|---|---|---|"
    for metric in METRICS:
        one, two = (next(each for each in reports[shuffle].metrics if each.name == metric) for shuffle in SHUFFLES)
        values = [one.real, one.thinned, one.synthetic, two.synthetic, one.distance, two.distance]
        allowed = "–" if one.threshold is None else one.allowed
        yield (
            "| " + " | ".join([metric, *("–" if value is None else f"{value:.4f}" for value in values), allowed]) + " |"
        )
    values = [nearest_user(base.train), nearest_user(thinned.train), *near.values()]
    yield "| cosine with the nearest user | " + " | ".join(f"{value:.4f}" for value in values) + " | – | – | – |"


def classes_of(form: str, expansion: Expansion, rng: np.random.Generator) -> Integers | None:
    """Return the class of each item, where the form has such."""
    q = expansion.base.shape[1]
    if "classes" not in form:
        return None
    number = int(form.split()[0])
    if not form.endswith("cells"):
        return rng.integers(0, number, q)
    cells, found = expansion.cells, np.zeros(q, np.int64)
    sizes = np.diff(cells.item_starts).astype(np.int64)
    found[cells.item_order] = np.repeat(rng.integers(0, number, len(sizes)), sizes)
    return found


def expanded(expansion: Expansion, form: str) -> Matrix:
    """Expand the train part by one of the forms, of the same kept entries as by the others."""
    train, keep, cells = expansion.base.train, expansion.keep_rates, expansion.cells
    (p, q), (m, n) = train.shape, keep.shape
    rng, own = np.random.default_rng(0), np.random.default_rng(1)
    order, sizes = cells.user_order.astype(np.int64), np.diff(cells.user_starts).astype(np.int64)
    slot_of = np.empty(p, np.int64)
    slot_of[order] = np.arange(p)
    start, size = np.repeat(cells.user_starts[:-1].astype(np.int64), sizes), np.repeat(sizes, sizes)
    of_item = classes_of(form, expansion, own)
    user, item = np.repeat(np.arange(p), np.diff(train.indptr)), train.indices
    pairs, pair_of = np.unique(start[slot_of[user]] * q + item, return_inverse=True)

    def passed(slot: Integers, step: Integers) -> Integers:
        return start[slot] + (slot - start[slot] + step) % size[slot]

    def steps() -> Integers:
        """Return a number for each cell and item."""
        return own.integers(0, 1 << 40, len(pairs))[pair_of]

    if form.startswith("once"):
        user = order[passed(slot_of[user], steps())]
    rows, columns = [], []
    for i, j in np.ndindex(m, n):
        kept = np.flatnonzero(rng.random(train.nnz) < keep[i, j])
        columns.append(j * q + exchange(cells.item_order, cells.item_starts, rng)[item[kept]])
        slot = slot_of[exchange(order, cells.user_starts, rng)[user[kept]]]
        if form.startswith("each"):
            slot = passed(slot, steps()[kept])
        elif of_item is not None:
            slot = passed(slot, of_item[item[kept]])
        rows.append(i * p + order[slot])
    return matrix_of(np.concatenate(rows), np.concatenate(columns), (m * p, n * q))


def compare_forms(name: str, base: Base, shape: tuple[int, int]) -> Iterator[str]:
    """Yield the table of all forms."""
    expansion = Expansion(base, fit(base, shape), seed=1)
    yield f"\n### Forms: {name} × {shape}\n"
    yield "| | Gini users | items | 16 ratios: median, largest | 64 | rank 8 | assortativity | clustering | near user |"
    yield "|---|---|---|---|---|---|---|---|---|"
    real = truncated_svd(base.train, 64, 0).s
    for form in ("real", *FORMS):
        matrix = base.train if form == "real" else expanded(expansion, form)
        users, items = np.diff(matrix.indptr).astype(np.int64), np.bincount(matrix.indices, minlength=matrix.shape[1])
        found = real if form == "real" else truncated_svd(matrix, 64, 0).s
        error = np.abs(found / found[0] / (real / real[0]) - 1)
        product = degree_product(items, np.asarray(matrix.T @ users.astype(np.float64)))
        density = matrix.nnz / matrix.shape[0] / matrix.shape[1]
        values = [
            f"{gini(users):.4f}",
            f"{gini(items):.4f}",
            f"{np.median(error[1:16]):.1%}, {error[1:16].max():.1%}",
            f"{np.median(error[1:]):.1%}",
            f"{captured_norm(found, matrix.nnz, 8):.4f}",
            f"{assortativity(users, items, product):.4f}",
            f"{(clustering(matrix) or 0) / density:.2f}",
            f"{nearest_user(matrix):.4f}",
        ]
        yield "| " + " | ".join([form, *values]) + " |"


def backcasts(name: str, interactions: Any, repeats: int) -> Iterator[str]:
    """Yield how far expansions of sub-samples are from the data, with both shuffles."""
    PROFILES["mixed"] = replace(PROFILES["realistic"], shuffle="mixed")
    reports = {
        shuffle: fr.backcast(interactions, repeats=repeats, profile=profile)
        for shuffle, profile in (("cells", "realistic"), ("mixed", "mixed"))
    }
    yield f"\n### Backcast: {name}, {repeats} sub-samples of a quarter of the users and of the items\n"
    yield "| | truth | ceiling | `cells` | `mixed` | distances: ceiling | `cells` [range] | `mixed` [range] |"
    yield "|---|---|---|---|---|---|---|---|"
    for one, two in zip(*(report.rows for report in reports.values()), strict=True):
        ceiling = one.scores[CEILING]
        scores = [row.scores[EXPANSION] for row in (one, two)]
        values = [one.real, ceiling.value, *(score.value for score in scores), ceiling.distance]
        spread = [
            "–" if score.distance is None else f"{score.distance:.3f} [{score.least:.3f}, {score.most:.3f}]"
            for score in scores
        ]
        yield (
            "| "
            + " | ".join([one.metric, *("–" if value is None else f"{value:.3f}" for value in values), *spread])
            + " |"
        )


def linkage(name: str, interactions: Interactions) -> Iterator[str]:
    """Yield whom an attacker with the map of columns finds in the densest block, members and controls.

    Half of the users are members; a score is the cosine, items weighted by rarity, of a whole real history with a row
    of the block; a claim is a mutual best match with a margin of 5 %.
    """
    yield f"\n### Linkage with the map of columns: {name} × (16, 32)\n"
    yield "| split | largest keep | shuffle | members claimed | right cell | largest part | controls claimed | AUC |"
    yield "|---|---|---|---|---|---|---|---|"
    (users, user_ids), (items, item_ids) = (interactions.codes(column) for column in ("user_id", "item_id"))
    for split in range(2):
        member = np.zeros(len(user_ids), bool)
        member[np.random.default_rng(split).choice(len(user_ids), len(user_ids) // 2, replace=False)] = True
        base = leave_last_out(Interactions(interactions.table.filter(pa.array(member[users]))))
        # Places of the candidates, and of the items that members have, among the base's.
        row_of, column_of = (
            pa.compute.index_in(pa.array(ids), pa.array(known)).fill_null(-1).to_numpy()
            for ids, known in ((user_ids, base.user_ids), (item_ids, base.item_ids))
        )
        known = column_of[items] >= 0
        shape = (len(user_ids), base.shape[1])
        pairs = np.unique([users[known], column_of[items][known]], axis=1)
        histories = matrix_of(pairs[0], pairs[1], shape)
        payload = {"source": np.arange(base.count)}
        carrying = Base.from_arrays(
            base.indptr, base.indices, base.test_mask, item_ids=np.arange(shape[1]), payload=payload
        )
        for keep in (0.95, 0.7, 0.5):
            fitted = fit(base, (16, 32), max_keep=keep)
            rates = np.maximum(fitted.reduced.values / fitted.reduced.values.max() * keep, 0.01)
            for shuffle in SHUFFLES:
                expansion = Expansion(
                    carrying, rates, shuffle=shuffle, cells=fitted.cells, max_keep=keep, seed=99, carry=("source",)
                )
                found = _found(expansion, histories, row_of, member)
                yield f"| {split} | {keep} | `{shuffle}` | " + " | ".join(f"{value:.3f}" for value in found) + " |"


def _found(expansion: Expansion, histories: Matrix, row_of: Integers, member: Integers) -> list[float]:
    """Return shares: members claimed, claims of the right cell and of the largest part, controls claimed; the AUC."""
    (p, q), base = expansion.base.shape, expansion.base
    i, j = map(int, np.unravel_index(expansion.keep_rates.argmax(), expansion.keep_rates.shape))
    tables = [expansion.table(i * p, (i + 1) * p, split) for split in ("train", "test")]
    user, item, source = (
        np.concatenate([table[name].to_numpy() for table in tables]) for name in ("user_id", "item_id", "source")
    )
    here = item // q == j
    rows, columns = user[here] - i * p, np.argsort(expansion.core.columns(i, j))[item[here] - j * q]
    parts = np.zeros((p, p))
    np.add.at(parts, (rows, np.repeat(np.arange(p), np.diff(base.indptr))[source[here]]), 1)
    rarity = np.sqrt(np.log(len(member) / np.maximum(np.bincount(histories.indices, minlength=q), 1)))
    one, two = (normalize(matrix.multiply(rarity).tocsr()) for matrix in (histories, matrix_of(rows, columns, (p, q))))
    scores = (one @ two.T).toarray()
    best, (second, first) = scores.argmax(axis=1), np.partition(scores, -2, axis=1)[:, -2:].T
    claims = (scores.argmax(axis=0)[best] == np.arange(len(member))) & (first > 1.05 * second)
    cell = np.empty(p, np.int64)
    sizes = np.diff(expansion.cells.user_starts).astype(np.int64)
    cell[expansion.cells.user_order] = np.repeat(np.arange(len(sizes)), sizes)
    claimed = np.flatnonzero(claims & member)
    rows_claimed, people = best[claimed], row_of[claimed]
    right_cell = cell[parts[rows_claimed].argmax(axis=1)] == cell[people]
    largest = parts[rows_claimed].argmax(axis=1) == people
    below = (scores.max(axis=1)[member][:, None] > scores.max(axis=1)[~member]).mean()
    return [claims[member].mean(), right_cell.mean(), largest.mean(), claims[~member].mean(), float(below)]


def normalize(matrix: Matrix) -> Matrix:
    """Scale rows to length 1."""
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    matrix.data /= np.repeat(np.maximum(length, 1e-12), np.diff(matrix.indptr))
    return matrix


def cost() -> Iterator[str]:
    """Yield processor time of both shuffles on ML-20M's shape."""
    base = leave_last_out(sample_interactions(*ML_20M))
    cells, rates = group_cells(base), np.random.default_rng(0).uniform(0.01, 0.25, (16, 32))
    made: dict[str, list[float]] = {shuffle: [] for shuffle in SHUFFLES}
    built: dict[str, list[float]] = {shuffle: [] for shuffle in SHUFFLES}
    for turn in range(5):
        for shuffle in SHUFFLES:
            started = time.process_time()
            expansion = Expansion(base, rates, shuffle=shuffle, cells=cells, seed=turn)
            built[shuffle].append(time.process_time() - started)
            started, first = time.process_time(), turn * 3 * base.shape[0]
            count = sum(batch.num_rows for batch in expansion.stream(users=(first, first + base.shape[0]), threads=1))
            made[shuffle].append((time.process_time() - started) / count * 1e9)
    yield "\n### Cost, ML-20M's shape × (16, 32), one thread, processor time, 5 turns by turns: median [least, most]\n"
    yield "| | making the expansion, s | ns an interaction |\n|---|---|---|"
    for shuffle in SHUFFLES:
        values = [f"{np.median(of):.2f} [{min(of):.2f}, {max(of):.2f}]" for of in (built[shuffle], made[shuffle])]
        yield f"| `{shuffle}` | {values[0]} | {values[1]} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="a file of interactions, or: sample[:users:items:count]"
    )
    parser.add_argument("--shapes", default="4x4,8x16,16x32")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bases", type=int, default=0)
    parser.add_argument("--forms", action="store_true")
    parser.add_argument("--backcast", type=int, default=0, metavar="REPEATS")
    parser.add_argument("--linkage", action="store_true")
    parser.add_argument("--cost", action="store_true")
    given = parser.parse_args()
    for text in tables(given):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def tables(given: argparse.Namespace) -> Iterator[str]:
    """Yield what is asked for."""
    if given.cost:
        yield from cost()
    for name, base in random_bases(given.bases):
        yield from describe(name, base, (8, 8), given.seed)
    for source in given.sources:
        sample = source.startswith("sample")
        name = source if sample else Path(source).parent.name
        interactions = sample_interactions(*map(int, source.split(":")[1:])) if sample else read_interactions(source)
        if given.backcast:
            yield from backcasts(name, interactions, given.backcast)
            continue
        if given.linkage:
            yield from linkage(name, interactions)
            continue
        base = leave_last_out(interactions)
        for shape in given.shapes.split(","):
            m, n = map(int, shape.split("x"))
            yield from compare_forms(name, base, (m, n)) if given.forms else describe(name, base, (m, n), given.seed)


if __name__ == "__main__":
    main()
