"""Samples of an expansion: some of its users and of its column blocks, as matrices in memory."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fractalrs.evaluation.halves import Halves, matrix_of, owners
from fractalrs.expansion import Cells, Expansion, shuffle_named
from fractalrs.models import CHUNK, Integers, Matrix
from fractalrs.passes import StreamedMatrix

_ENTRY = 96
"""How many bytes an interaction takes while matrices are made of it: ids, places, sorted copies."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Users and column blocks of an expansion, all of them where they are few enough.

    Attributes
    ----------
    users
        Expanded ids, rising.
    blocks
        Numbers of column blocks, rising: items j·q to (j + 1)·q of each.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> expansion = fr.Expansion(base, fr.reduce(base, (2, 3)))
    >>> Sample.of(expansion, most_users=50, most_items=100, seed=0).shape(expansion)
    (50, 80)
    """

    users: Integers
    blocks: Integers

    @classmethod
    def of(cls, expansion: Expansion, most_users: int, most_items: int, seed: int) -> "Sample":
        """Draw users uniformly, and whole column blocks, at least one."""
        rng, (everybody, _) = np.random.default_rng([seed, 20]), expansion.shape
        n = expansion.reduced.shape[1]
        blocks = min(n, max(1, most_items // expansion.base.shape[1]))
        chosen = np.arange(everybody) if everybody <= most_users else rng.choice(everybody, most_users, replace=False)
        return cls(np.sort(chosen), np.sort(rng.choice(n, blocks, replace=False)))

    def shape(self, expansion: Expansion) -> tuple[int, int]:
        """Return how many users and items it has."""
        return len(self.users), len(self.blocks) * expansion.base.shape[1]

    def users_at_once(self, expansion: Expansion) -> int:
        """Return of how many users rows are generated at once, for about `CHUNK` interactions of all column blocks."""
        return max(1, int(CHUNK * expansion.shape[0] / max(expansion.expected_interactions, 1)))

    def memory(self, expansion: Expansion, mask_dropped: bool = False) -> int:
        """Return about how many bytes generating it takes beside its matrices: rows at once, and what is dropped."""
        everybody, everything = expansion.shape
        users, items = self.shape(expansion)
        kept, whole = expansion.expected_interactions, expansion.base.count * math.prod(expansion.reduced.shape)
        row = (whole if mask_dropped else kept) / everybody
        dropped = whole * (users / everybody) * (items / everything) if mask_dropped else 0
        return int(_ENTRY * (min(max(CHUNK, row), users * row) + dropped))

    def halves(self, expansion: Expansion, threads: int | None = None) -> Halves:
        """Generate its train and test interactions."""
        return Halves(*(self._part(expansion, split, threads) for split in ("train", "test")))

    def dropped(self, expansion: Expansion, halves: Halves, threads: int | None = None) -> Matrix:
        """Return the pairs that the expansion would have were everything kept, and has not.

        A user may like what was dropped: as a negative it is none.
        """
        settings = dataclasses.asdict(expansion.options)
        settings |= {"min_keep": 1.0, "max_keep": 1.0, "keep_scale": 1.0, "block_keep": 1.0}
        settings |= {"drop_incomplete": False, "test_items": "all"}
        whole = Expansion(
            expansion.base, expansion.reduced, profile=expansion.profile, cells=_cells(expansion), **settings
        )
        everything = self.halves(whole, threads)
        width = halves.shape[1]

        def keys(*parts: Matrix) -> Integers:
            return np.concatenate([owners(part) * width + part.indices for part in parts])

        pairs = np.setdiff1d(keys(everything.train, everything.test), keys(halves.train, halves.test))
        return matrix_of(*np.divmod(pairs, width), halves.shape)

    def _part(self, expansion: Expansion, split: str, threads: int | None) -> Matrix:
        q, parts = expansion.base.shape[1], []
        place = np.full(expansion.reduced.shape[1], -1)
        place[self.blocks] = np.arange(len(self.blocks))
        for first in range(0, len(self.users), at_once := self.users_at_once(expansion)):
            some = self.users[first : first + at_once]
            rows = StreamedMatrix(expansion, threads=threads, users=some).collect(some, split)  # type: ignore[arg-type]
            blocks, items = np.divmod(expansion.places(rows.indices), q)
            kept = place[blocks] >= 0
            columns = place[blocks[kept]] * q + items[kept]
            parts.append(matrix_of(owners(rows)[kept], columns, (len(some), len(self.blocks) * q)))
        joined: Matrix = sp.vstack(parts, format="csr")
        return joined


def reseeded(expansion: Expansion, seed: int) -> Expansion:
    """Return the expansion with another seed: the same base, reduced matrix, cells and options.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> reseeded(fr.Expansion(base, fr.reduce(base, (2, 3))), 7).seed
    7
    """
    settings = dataclasses.asdict(expansion.options) | {"seed": seed}
    return Expansion(expansion.base, expansion.reduced, profile=expansion.profile, cells=_cells(expansion), **settings)


def _cells(expansion: Expansion) -> Cells | None:
    return expansion.cells if shuffle_named(expansion.shuffle).takes_cells else None
