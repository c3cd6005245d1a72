"""Shuffles: in which cells the users, and the items, of a block change places, and what that is good for."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from fractalrs.base import Base
from fractalrs.expansion.cells import Cells, group_cells
from fractalrs.expansion.declared import one_of


@dataclass(frozen=True)
class Shuffle:
    """A shuffle: a row permutation per row block, a column permutation per column block, and cells.

    Every block exchanges users, and items, inside their cells on its own. One more made of cells is one more entry of
    `SHUFFLES`.
    """

    name: str
    """What it is called in options, plans and manifests."""
    does: str
    """What it does, for the help."""
    group: Callable[[Base], Cells]
    """Makes its cells of a base."""
    good_for: str
    """What a data set made with it is good for, for the data card."""
    not_good_for: str
    """And what it is not good for."""
    permutes: bool = True
    """Whether anything moves at all."""
    one_source: bool = False
    """Whether every expanded user, and item, shows one source in all its blocks."""
    independent_blocks: bool = False
    """Whether every block has a shuffle of its own, as in the paper."""
    mixes: bool = False
    """Whether the interactions of a cell's users are dealt out among them, so that no row is one user's."""
    takes_cells: bool = False
    """Whether cells of other sizes may be given."""

    def most_members(self, cell_size: int) -> float:
        """Return the most members of a cell, where cells that are given have at most `cell_size`."""
        return 1 if self.one_source else cell_size if self.takes_cells else inf


_ALL = (
    Shuffle(
        "none",
        "nothing moves",
        lambda base: Cells.single(*base.shape),
        good_for="study of the plain stochastic Kronecker product: rows and columns stay where they are.",
        not_good_for="privacy in any sense, or factorisation benchmarks: a Kronecker SVD solves it.",
        permutes=False,
        one_source=True,
    ),
    Shuffle(
        "aligned",
        "users and items are renamed",
        lambda base: Cells.single(*base.shape),
        good_for="work that needs one source per expanded user and item (attributes, sequences): ids are renamed, "
        "the structure of every block is the same.",
        not_good_for="privacy in any sense, or models that could profit from repeated items: most of an item's "
        "nearest neighbours are copies of the same source item.",
        one_source=True,
    ),
    Shuffle(
        "cells",
        "besides, alike ones change places between blocks",
        group_cells,
        good_for="scale and systems tests, embedding tables, and model training on realistic tails and spectrum: "
        "blocks repeat neither users nor items, because alike ones change places.",
        not_good_for="following one real user or item through the data set, or its time line.",
        takes_cells=True,
    ),
    Shuffle(
        "mixed",
        "besides, interactions are dealt out among alike users, so that nobody's are together",
        group_cells,
        good_for="scale and systems tests, embedding tables, and model training on realistic tails and spectrum, where "
        "no row of a block may be one real user's.",
        not_good_for="following one real user or item through the data set, or its time line.",
        mixes=True,
        takes_cells=True,
    ),
    Shuffle(
        "block",
        "each block is shuffled on its own",
        lambda base: Cells.whole(*base.shape),
        good_for="comparison with the published method: every block has a shuffle of its own.",
        not_good_for="anything that depends on fat tails: sums over unrelated users and items flatten them.",
        independent_blocks=True,
    ),
)
SHUFFLES = {shuffle.name: shuffle for shuffle in _ALL}


def shuffle_named(name: str) -> Shuffle:
    """Return the shuffle of a name; refuse what is none.

    Examples
    --------
    >>> shuffle_named("aligned").one_source
    True
    """
    one_of("shuffle", name, SHUFFLES)
    return SHUFFLES[name]
