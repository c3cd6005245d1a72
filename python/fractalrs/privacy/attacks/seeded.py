"""The attack with ``private/``: seed and cells undo every shuffle, so that what is left of the base is rebuilt."""

import numpy as np
import scipy.sparse as sp

from fractalrs.privacy.attacks.claims import Claims, claims_of
from fractalrs.privacy.attacks.matching import Matrix, match_known
from fractalrs.privacy.attacks.output import Output
from fractalrs.privacy.attacks.people import People

BLOCKS = 16
"""So many of the densest blocks are put together: they leave next to nothing out."""


def undone(output: Output, people: People, known: float) -> Claims:
    """Undo the shuffles of the densest blocks, and match their union, whose columns are the items."""
    rebuilt, keep = rebuild(output)
    items = people.histories.shape[1]
    wide = sp.csr_array(
        (rebuilt.data, rebuilt.indices, rebuilt.indptr), (rebuilt.shape[0], max(items, rebuilt.shape[1]))
    )
    told = sp.csr_array(
        (people.histories.data, people.histories.indices, people.histories.indptr), (len(people.codes), wide.shape[1])
    )
    share = output.share_of_row
    matches = match_known(wide, told, keep * share, known * share)
    users = np.arange(rebuilt.shape[0]) if output.is_source_known and share == 1 else None
    return claims_of(matches, users, people)


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
