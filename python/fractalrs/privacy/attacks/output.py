"""The output as an attacker has it: blocks of users and items without names, of which some are denser than others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, shuffle_named
from fractalrs.privacy.attacks.annealing import Integers, Matrix
from fractalrs.privacy.attacks.people import numbers_of
from fractalrs.words import Split

Place = tuple[int, int]
"""Of a block: i and j."""


@dataclass(frozen=True, eq=False)
class Output:
    """What an expansion gives away, and for whoever judges an attack, where it came from.

    The layout of ids is public, so blocks are known; how dense each is can be counted. Where items are not numbered by
    block, an attacker with the output alone would first have to find the column blocks out, and is granted them here:
    what an audit finds is then as much as by block, and more than such an attacker can do. (Numbered by popularity
    they tell more: `attacks_on`.)
    """

    expansion: Expansion
    is_source_known: bool
    """Whether codes of its base are those of the members, so that it can be told whose a row is."""
    others: tuple[Expansion, ...] = ()
    """Other releases of the same people that the attacker has too."""
    splits: tuple[Split, ...] = ("train",)
    """Whose files are looked at."""

    def __post_init__(self) -> None:
        """Refuse what has no blocks of users."""
        if not self.expansion.operator.keeps_entries:
            raise InputError(
                f"an audit needs blocks of users, and the operator {self.expansion.operator.name!r} makes none",
                hint="audit an expansion by the operator 'dropout'",
            )

    @property
    def with_held_out(self) -> "Output":
        """It with the files of test, and of validation, interactions looked at too."""
        return replace(self, splits=self.expansion.splits)

    @property
    def releases(self) -> "tuple[Output, ...]":
        """Each release alone."""
        return tuple(replace(self, expansion=one, others=()) for one in (self.expansion, *self.others))

    def densest(self, count: int) -> list[Place]:
        """Return the densest blocks, the densest first."""
        rates = self.expansion.keep_rates
        order = np.argsort(-rates, axis=None, kind="stable")[:count]
        return [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, rates.shape), strict=True) if rates[i, j] > 0]

    def densest_beside(self, count: int) -> tuple[int, list[int]]:
        """Return the densest blocks that are side by side, in one row block: i, and j of each, the densest first."""
        rates = self.expansion.keep_rates
        order = np.argsort(-rates, axis=1, kind="stable")[:, :count]
        i = int(np.take_along_axis(rates, order, axis=1).sum(axis=1).argmax())
        return i, [int(j) for j in order[i] if rates[i, j] > 0]

    def keep(self, place: Place) -> float:
        """Return the keep rate of a block, which its density tells of."""
        return float(self.expansion.keep_rates[place])

    def block(self, place: Place) -> Matrix:
        """Return the interactions of a block: p rows × q columns of ones, as stored."""
        return self.blocks(place[0], [place[1]])[0]

    def blocks(self, i: int, columns: Sequence[int]) -> list[Matrix]:
        """Return some blocks of a row block."""
        p, q = self.expansion.base.shape
        wanted: dict[str, Any] = {"users": (i * p, (i + 1) * p), "columns": ["user_id", "item_id"]}
        found: list[list[tuple[Integers, Integers]]] = [[] for _ in columns]
        for batch in chain.from_iterable(self.expansion.stream(split, **wanted) for split in self.splits):
            users, items = (np.asarray(batch.column(name)).astype(np.int64) for name in ("user_id", "item_id"))
            items = self.expansion.places(items)
            for pieces, j in zip(found, columns, strict=True):
                here = items // q == j
                pieces.append((users[here] - i * p, items[here] - j * q))
        return [_matrix(pieces, (p, q)) for pieces in found]

    def rated(self, place: Place) -> Matrix:
        """Return a block with ratings in the place of ones, and without what has none."""
        (i, j), (p, q) = place, self.expansion.base.shape
        pieces = []
        for batch in self.expansion.stream(users=(i * p, (i + 1) * p), columns=["user_id", "item_id", "rating"]):
            users, items = (np.asarray(batch.column(name)).astype(np.int64) for name in ("user_id", "item_id"))
            items, ratings = self.expansion.places(items), numbers_of(batch.column("rating"))
            here = (items // q == j) & np.isfinite(ratings)
            pieces.append((users[here] - i * p, items[here] - j * q, ratings[here]))
        rows, columns, ratings = (np.concatenate([piece[side] for piece in pieces]) for side in range(3))
        return sp.csr_array((ratings, (rows, columns)), shape=(p, q))

    def row_block(self, i: int) -> Matrix:
        """Return the interactions of a row block: p rows × n·q columns of ones."""
        p, _ = self.expansion.base.shape
        tables = [self.expansion.table(i * p, (i + 1) * p, split) for split in self.splits]
        users, items = (
            np.concatenate([table[name].to_numpy() for table in tables]).astype(np.int64)
            for name in ("user_id", "item_id")
        )
        return _matrix([(users - i * p, self.expansion.places(items))], (p, self.expansion.shape[1]))

    def densest_of(self, i: int, interactions: int) -> list[int]:
        """Return the densest column blocks of a row block, at least one and up to about so many interactions."""
        rates = self.expansion.keep_rates[i]
        order = np.argsort(-rates, kind="stable")
        expected = np.cumsum(rates[order]) * self.expansion.base.train_count
        return [int(j) for j in order[: max(1, int(np.searchsorted(expected, interactions)))]]

    def codes_of(self, item_ids: pa.Array) -> Integers:
        """Return the item code of each id, −1 for one that the output's base has not."""
        own = self.expansion.base.item_ids
        if own.type != item_ids.type:
            own, item_ids = own.cast(pa.string()), item_ids.cast(pa.string())
        places = pc.fill_null(pc.index_in(item_ids, own), -1)
        return np.asarray(places.to_numpy(zero_copy_only=False), np.int64)

    @property
    def share_of_row(self) -> float:
        """The share of a row of a block that is one user's: less than 1 where interactions are dealt out in cells."""
        mixes = shuffle_named(self.expansion.shuffle).mixes
        return 1 / self.expansion.cells.user_cell_size if mixes else 1.0

    def users(self, place: Place) -> Integers | None:
        """Return the user code that each row of a block is of; None where nobody knows, or it is of several."""
        known = self.is_source_known and self.share_of_row == 1
        return self.expansion.core.block_users(*place).astype(np.int64) if known else None

    @cached_property
    def item_cells(self) -> Integers:
        """The number of the cell that each item code is in."""
        cells = self.expansion.cells
        numbers = np.empty(len(cells.item_order), np.int64)
        numbers[cells.item_order] = np.repeat(np.arange(len(cells.item_starts) - 1), np.diff(cells.item_starts))
        return numbers

    def items(self, place: Place) -> Integers:
        """Return the item code that each column of a block is of."""
        columns = self.expansion.core.columns(*place)
        items = np.empty(len(columns), np.int64)
        items[columns] = np.arange(len(columns))
        return items


def _matrix(pieces: list[tuple[Integers, Integers]], shape: tuple[int, int]) -> Matrix:
    rows, columns = (np.concatenate([piece[side] for piece in pieces] or [np.empty(0, np.int64)]) for side in (0, 1))
    matrix: Matrix = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    matrix.sort_indices()
    return matrix
