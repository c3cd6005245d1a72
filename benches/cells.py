"""Measure how well cells of several sizes and features keep the statistics of real data: the tables of docs/cells.md.

    OMP_NUM_THREADS=1 python benches/cells.py sample ratings.csv ...

For each source and each kind of cells, an expansion × (16, 32) of the train part is made in memory with NumPy and
compared with the real train part. It draws other random numbers than the Rust core, from the same distribution.
One line of a table takes about 15 seconds and 0.7 GB for 100,000 interactions.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fractalrs.base import Base, leave_last_out, truncated_svd
from fractalrs.expansion import ITEM_CELL_SIZE, Cells, group_cells, reduce
from fractalrs.expansion.cells import COORDINATES, LEAF, features, partition
from fractalrs.reading import read_interactions, sample_interactions
from fractalrs.statistics import gini

SHAPE = (16, 32)
MIN_KEEP, MAX_KEEP = 0.01, 0.95
RATIOS = 16
NEIGHBOURS = 10
SAMPLE = 150
MIN_DEGREE = 5
SIZES = [(2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (8, 8), (16, 16), (1, 5), (5, 1)]
FEATURES = [8, 32]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]
Matrix = sp.csr_array[np.float64, tuple[int, int]]


@dataclass(frozen=True)
class Expanded:
    """An expanded train part, (m·p) × (n·q), and the source item of each of its items in each row block, (m, n·q)."""

    matrix: Matrix
    sources: Codes


def expand(train: Matrix, keep: Floats, found: Cells, rng: np.random.Generator) -> Expanded:
    """Keep each entry of block (i, j) with probability ``keep[i, j]``, and exchange members inside cells."""
    (p, q), (m, n) = train.shape, keep.shape
    users = np.repeat(np.arange(p), np.diff(train.indptr))
    rows, columns = [], []
    sources = np.empty((m, n * q), dtype=np.int32)
    for i, j in np.ndindex(m, n):
        kept = np.flatnonzero(rng.random(train.nnz) < keep[i, j])
        item_place = exchange(found.item_order, found.item_starts, rng)
        rows.append((i * p + exchange(found.user_order, found.user_starts, rng)[users[kept]]).astype(np.int32))
        columns.append((j * q + item_place[train.indices[kept]]).astype(np.int32))
        sources[i, j * q + item_place] = np.arange(q)
    row, column = np.concatenate(rows), np.concatenate(columns)
    return Expanded(sp.csr_array((np.ones(len(row)), (row, column)), shape=(m * p, n * q)), sources)


def exchange(order: Codes, starts: Codes, rng: np.random.Generator) -> Codes:
    """Permute members uniformly inside each cell; gives the place that each code takes."""
    cell = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = order[np.lexsort((rng.random(len(order)), cell))]
    return place


def degrees(matrix: Matrix) -> tuple[Codes, Codes]:
    """Row and column sums of a matrix of ones."""
    return np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=matrix.shape[1])


def ratios(matrix: Matrix) -> Floats:
    """Second to sixteenth singular value over the first."""
    s = truncated_svd(matrix, RATIOS, seed=0).s
    return np.asarray(s[1:] / s[0])


def copies(expanded: Expanded, rng: np.random.Generator) -> tuple[float, float]:
    """Share of copies among the ten nearest items (cosine) of an item: any item, and one drawn by its popularity.

    A neighbour copies an interaction of an item if both have the same source item in that interaction's row block; it
    is a copy if it copies half of them or more. Items of fewer than five interactions are left out: their cosines are
    noise.
    """
    row_blocks = len(expanded.sources)
    p = expanded.matrix.shape[0] // row_blocks
    degree = degrees(expanded.matrix)[1]
    known = np.flatnonzero(degree >= MIN_DEGREE)
    degree = degree[known]
    by_item = expanded.matrix.T.tocsr()[known]
    by_user = by_item.T.tocsr()
    chance = degree / degree.sum()
    picked = np.concatenate([rng.choice(len(known), SAMPLE, replace=False, p=weight) for weight in (None, chance)])
    share = np.empty(2 * SAMPLE)
    for at, item in enumerate(picked):
        cosine = (by_item[[item]] @ by_user).toarray()[0] / np.sqrt(degree)
        cosine[item] = -1
        near = np.argpartition(-cosine, NEIGHBOURS)[:NEIGHBOURS]
        owners = by_item.indices[by_item.indptr[item] : by_item.indptr[item + 1]]
        weight = np.bincount(owners // p, minlength=row_blocks) / len(owners)
        same = expanded.sources[:, known[near]] == expanded.sources[:, known[item], None]
        share[at] = np.mean(weight @ same >= 0.5)
    return float(share[:SAMPLE].mean()), float(share[SAMPLE:].mean())


def mutual(expanded: Expanded) -> float:
    """Share of the first row block's users whose nearest user (cosine) in the last has them as nearest in turn."""
    p = expanded.matrix.shape[0] // len(expanded.sources)
    first, last = (x[np.diff(x.indptr) >= MIN_DEGREE] for x in (expanded.matrix[:p], expanded.matrix[-p:]))
    there, back = nearest(first, last), nearest(last, first)
    return float(np.mean(back[there] == np.arange(len(there))))


def nearest(these: Matrix, others: Matrix) -> Codes:
    """Find, for each row of one matrix, the row of another with the largest cosine."""
    length = np.sqrt(np.diff(others.indptr))
    chunks = np.array_split(np.arange(these.shape[0]), these.shape[0] // 500 + 1)
    return np.concatenate([((these[chunk] @ others.T).toarray() / length).argmax(axis=1) for chunk in chunks])


def variants(base: Base) -> Iterator[tuple[str, Cells]]:
    """Yield the lines of the table."""
    yield "none, aligned", Cells.single(*base.shape)
    for user_size, item_size in SIZES:
        yield f"cells {user_size} × {item_size}", group_cells(base, user_size, item_size)
    yield "block", Cells.whole(*base.shape)

    svd = truncated_svd(base.train, max(FEATURES), seed=0)
    user_degree, item_degree = degrees(base.train)
    for k in FEATURES:
        root = np.sqrt(svd.s[:k])
        users, items = svd.u[:, :k] * root, svd.vt[:k].T * root
        yield line(f"{k} coordinates", features(users, user_degree), features(items, item_degree))
    sigma = svd.s[:COORDINATES]
    users, items = svd.u[:, :COORDINATES] * np.sqrt(sigma), svd.vt[:COORDINATES].T * np.sqrt(sigma)
    yield line("bisected to the end", features(users, user_degree), features(items, item_degree), leaf=1)
    yield line("without degree", users, items)
    users, items = users * np.sqrt(sigma), items * np.sqrt(sigma)
    yield line("without degree, σ for √σ", users, items)
    yield line("the same, bisected to the end", users, items, leaf=1)
    users, items = direction(users), direction(items)
    yield line("direction and degree", features(users, user_degree), features(items, item_degree))
    yield line("degree alone", np.log1p(user_degree)[:, None], np.log1p(item_degree)[:, None])


def line(name: str, users: Floats, items: Floats, leaf: int = LEAF) -> tuple[str, Cells]:
    """Make cells of one size from features."""
    size = ITEM_CELL_SIZE
    return f"{size} × {size}: {name}", Cells(*partition(users, size, leaf), *partition(items, size, leaf))


def direction(points: Floats) -> Floats:
    """Scale points to length 1."""
    return np.asarray(points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12))


def describe(base: Base) -> Iterator[str]:
    """Yield the lines of one data set's table."""
    train = base.train
    real = ratios(train)
    keep = np.clip(reduce(base, SHAPE).values, MIN_KEEP, MAX_KEEP)
    users, items = map(gini, degrees(train))
    yield (
        f"{base.shape[0]:,} users × {base.shape[1]:,} items, {base.train_count:,} train interactions, "
        f"× {SHAPE}, mean keep rate {keep.mean():.3f}\n"
    )
    yield "| | Gini users | items | 16 ratios: median error | largest | copies: any item | popular | mutual users |"
    yield "|---|---|---|---|---|---|---|---|"
    yield f"| real | {users:.3f} | {items:.3f} | | | | | |"
    for name, found in variants(base):
        expanded = expand(train, keep, found, np.random.default_rng(0))
        users, items = map(gini, degrees(expanded.matrix))
        error = ratios(expanded.matrix) / real - 1
        size = np.abs(error)
        any_item, popular = copies(expanded, np.random.default_rng(1))
        yield (
            f"| {name} | {users:.3f} | {items:.3f} "
            f"| {np.median(size):.1%} ({np.median(error):+.1%}) | {size.max():.1%} "
            f"| {any_item:.1%} | {popular:.1%} | {mutual(expanded):.2f} |"
        )


def main() -> None:
    """Print one table for each source."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a file of interactions, or: sample")
    for source in parser.parse_args().sources:
        interactions = sample_interactions() if source == "sample" else read_interactions(source)
        sys.stdout.write(f"\n### {Path(source).name}\n\n")
        for text in describe(leave_last_out(interactions)):
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
