"""The attack with ``private/``: seed and cells undo every shuffle, so that what is left of the base is rebuilt."""

import numpy as np
import scipy.sparse as sp

from fractalrs.privacy.attacks.annealing import Matrix
from fractalrs.privacy.attacks.claims import Claims, claims_of
from fractalrs.privacy.attacks.matching import match_known
from fractalrs.privacy.attacks.output import Output
from fractalrs.privacy.attacks.people import People
from fractalrs.privacy.attacks.rows import ones

BLOCKS = 16
"""So many of the densest blocks are put together: they leave next to nothing out."""


def undone(output: Output, people: People, known: float) -> Claims:
    """Undo the shuffles of the densest blocks, and match their union, whose columns are the items.

    Where interactions were dealt out in cells, that cannot be undone: all rows of a cell are matched as one.
    """
    rebuilt, keep = rebuild(output)
    share = output.share_of_row
    rows = rebuilt if share == 1 else ones(_choosing_users(output) @ rebuilt)
    codes = output.codes_of(people.item_ids)
    # Items that the output has not have columns of their own.
    places = np.where(codes < 0, rows.shape[1] + np.arange(len(codes)), codes)
    width = rows.shape[1] + len(codes)
    told = people.histories
    wide = sp.csr_array((told.data, places[told.indices], told.indptr), (told.shape[0], width))
    matches = match_known(
        sp.csr_array((rows.data, rows.indices, rows.indptr), (rows.shape[0], width)), wide, keep, known * share
    )
    users = np.arange(rows.shape[0]) if output.is_source_known else None
    return claims_of(matches, output, people, users)


def rebuild(output: Output) -> tuple[Matrix, float]:
    """Return the union of blocks by user and item code, and the share of the base that it is expected to have."""
    union: Matrix = sp.csr_array(output.expansion.base.shape)
    lost = 1.0
    for place in output.densest(BLOCKS):
        block = output.block(place).tocoo()
        users, items = output.expansion.core.block_users(*place), output.items(place)
        union = sp.csr_array(
            union.maximum(sp.csr_array((block.data, (users[block.row], items[block.col])), union.shape))
        )
        lost *= 1 - output.keep(place)
    return union, 1 - lost


def _choosing_users(output: Output) -> Matrix:
    """Return which users are in which cell: cells × users."""
    cells = output.expansion.cells
    starts = cells.user_starts.astype(np.int64)
    return sp.csr_array((np.ones(starts[-1]), cells.user_order.astype(np.int64), starts))
