"""Measure how cells of several features and sizes keep the statistics of real data: the table of docs/cells.md.

    python benches/cells.py sample ratings.csv ...

A stochastic Kronecker expansion × (16, 32) of the train part is made in memory with NumPy for every kind of cells, and
compared with the real train part. Random streams differ from those of the Rust core, the distribution is the same.
Takes about 20 seconds and 1 GB for each line of a table of MovieLens-100K's size.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fractalrs.base import Base
from fractalrs.cells import Cells, bisect
from fractalrs.interactions import read_interactions
from fractalrs.reduction import reduce
from fractalrs.sample import sample_interactions
from fractalrs.split import leave_last_out
from fractalrs.svd import SVD, truncated_svd

SHAPE = (16, 32)
RANKS = 16
NEIGHBOURS = 10
SAMPLE = 500
MIN_DEGREE = 5

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]
Matrix = sp.csr_array[np.float64, tuple[int, int]]


@dataclass(frozen=True)
class Expanded:
    """A train part × (m, n), and which source item each item has in each row block: (m, n·q)."""

    matrix: Matrix
    sources: Codes


@dataclass(frozen=True)
class Variant:
    """One line of the table."""

    name: str
    cells: Callable[[], Cells]


def exchange(order: Codes, starts: Codes, rng: np.random.Generator) -> Codes:
    """Permute members uniformly inside each cell: new place of each code."""
    cell = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = order[np.lexsort((rng.random(len(order)), cell))]
    return place


def expand(train: Matrix, keep: Floats, cells: Cells, rng: np.random.Generator) -> Expanded:
    """Keep entries of block (i, j) with probability ``keep[i, j]`` and exchange users and items inside their cells."""
    (p, q), (m, n) = train.shape, keep.shape
    users = np.repeat(np.arange(p), np.diff(train.indptr))
    rows, columns = [], []
    sources = np.empty((m, n * q), dtype=np.int32)
    for i, j in np.ndindex(m, n):
        kept = np.flatnonzero(rng.random(train.nnz) < keep[i, j])
        user_place = exchange(cells.user_order, cells.user_starts, rng)
        item_place = exchange(cells.item_order, cells.item_starts, rng)
        rows.append(i * p + user_place[users[kept]])
        columns.append(j * q + item_place[train.indices[kept]])
        sources[i, j * q + item_place] = np.arange(q)
    row, column = np.concatenate(rows).astype(np.int32), np.concatenate(columns).astype(np.int32)
    return Expanded(sp.csr_array((np.ones(len(row)), (row, column)), shape=(m * p, n * q)), sources)


def gini(sums: Floats) -> float:
    """Gini coefficient of the sums that are not zero: Σ(2r − N − 1)x₍ᵣ₎ / (N Σx)."""
    x = np.sort(sums[sums > 0])
    return float(((2 * np.arange(1, len(x) + 1) - len(x) - 1) * x).sum() / (len(x) * x.sum()))


def ratios(matrix: Matrix) -> Floats:
    """Leading singular values over the first."""
    s = truncated_svd(matrix, RANKS, seed=0).s
    return s[1:] / s[0]


def copies(expanded: Expanded, rng: np.random.Generator) -> tuple[float, float]:
    """Share of copies among the nearest ten items by cosine, and the mean share of interactions they copy.

    A neighbour copies an interaction of an item when in that interaction's row block both have the same source item;
    it is a copy when that holds for half of the item's interactions or more. Items of fewer than five interactions
    are left out: their cosines are noise.
    """
    matrix = expanded.matrix
    degree = np.bincount(matrix.indices, minlength=matrix.shape[1])
    known = np.flatnonzero(degree >= MIN_DEGREE)
    by_item = matrix.T.tocsr()[known]
    half = min(SAMPLE, len(known)) // 2; wts=degree[known]/degree[known].sum(); picked = np.concatenate((rng.choice(len(known), size=half, replace=False), rng.choice(len(known), size=half, replace=False, p=wts)))
    row_blocks = expanded.sources.shape[0]
    p = matrix.shape[0] // row_blocks
    hard, soft = [], []
    for chunk in np.array_split(picked, max(1, len(picked) // 50)):
        overlap = (by_item[chunk] @ by_item.T).toarray()
        cosine = overlap / np.sqrt(degree[known][chunk][:, None] * degree[known][None, :])
        cosine[np.arange(len(chunk)), chunk] = -1
        nearest = np.argpartition(-cosine, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        for item, others in zip(chunk, nearest, strict=True):
            members = by_item.indices[by_item.indptr[item] : by_item.indptr[item + 1]]
            weight = np.bincount(members // p, minlength=row_blocks) / len(members)
            same = expanded.sources[:, known[others]] == expanded.sources[:, known[item]][:, None]
            copied = weight @ same
            hard.append(np.mean(copied >= 0.5))
            soft.append(copied.mean())
    hard=np.array(hard); soft=np.array(soft); h=len(hard)//2; return (float(np.mean(hard[:h])),float(np.mean(hard[h:]))), (float(np.mean(soft[:h])), float(np.mean(soft[h:])))


def mutual(expanded: Expanded) -> float:
    """Share of the first row block's users whose nearest user (cosine) in the last has them as nearest in turn."""
    m = expanded.sources.shape[0]
    p = expanded.matrix.shape[0] // m
    first, last = expanded.matrix[:p], expanded.matrix[-p:]
    first, last = (x[np.diff(x.indptr) >= MIN_DEGREE] for x in (first, last))
    there, back = nearest(first, last), nearest(last, first)
    return float(np.mean(back[there] == np.arange(len(there))))


def nearest(a: Matrix, b: Matrix) -> Codes:
    """Row of b with the largest cosine, for every row of a."""
    length = np.sqrt(np.diff(b.indptr))
    chunks = np.array_split(np.arange(a.shape[0]), max(1, a.shape[0] // 500))
    return np.concatenate([((a[chunk] @ b.T).toarray() / length).argmax(axis=1) for chunk in chunks])
