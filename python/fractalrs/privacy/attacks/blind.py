"""Attacks on the output alone: rows and columns have no names, and are matched with people and items in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fractalrs.privacy.attacks.annealing import Integers, Matrix
from fractalrs.privacy.attacks.claims import Claims, claims_of
from fractalrs.privacy.attacks.matching import CERTAIN, match
from fractalrs.privacy.attacks.mixtures import likelihoods
from fractalrs.privacy.attacks.output import Output, Place
from fractalrs.privacy.attacks.people import People
from fractalrs.privacy.attacks.rows import cosines

BLOCKS = 3
"""So many of the densest blocks are attacked one by one, …"""
SIDE_BY_SIDE = 4
"""… or so many of one row block together, where no row is one person's: all have rows of the same people."""
MOST_RELINKED = 10_000
"""Blocks of more rows are not relinked: it takes time and memory with their square."""


def densest_block(output: Output, people: People, known: float) -> Claims:
    """Match the densest block."""
    place = output.densest(1)[0]
    return _matched(output, output.block(place), output.keep(place), place, people, known)


def several_blocks(output: Output, people: People, known: float) -> Claims:
    """Match several of the densest blocks; where rows are of several people, score those side by side."""
    return dealt_out(output, people, known) if output.share_of_row < 1 else _surest(_each(output, people, known))


def _each(output: Output, people: People, known: float) -> list[Claims]:
    """Match each of the densest blocks."""
    places = output.densest(BLOCKS)
    return [_matched(output, output.block(place), output.keep(place), place, people, known) for place in places]


def with_test_files(output: Output, people: People, known: float) -> Claims:
    """Do the same with the files of test, and of validation, interactions too.

    Who knows whole histories knows what was held out as well. Who knows a share of train interactions knows that less
    of what these rows have.
    """
    if known == 1:
        return several_blocks(output.with_held_out, people.with_held_out, known)
    train = people.histories.nnz / known
    whole = train + people.held_out.nnz + people.validation.nnz
    return several_blocks(output.with_held_out, people, known * train / whole)


def several_releases(output: Output, people: People, known: float) -> Claims:
    """Do the same to each release; whoever is matched in any is claimed, and scores of rows of several add up."""
    if output.share_of_row == 1:
        # Of all tries together, blocks of each release: each is an occasion for chance.
        return _surest([claims for one in output.releases for claims in _each(one, people, known)])
    found = [dealt_out(one, people, known) for one in output.releases]
    scores = [claims.scores for claims in found if claims.scores is not None]
    return Claims(None, None, np.sum(scores, axis=0), found[0].sizes)


def _surest(found: Sequence[Claims]) -> Claims:
    """Claim whoever is matched in any, by more, as there are more of them."""
    margins = np.array([claims.scores for claims in found])
    best = margins.argmax(axis=0)
    rights = [claims.right for claims in found if claims.right is not None]
    right = np.take_along_axis(np.array(rights), best[None], axis=0)[0] if rights else None
    return Claims(margins.max(axis=0) > CERTAIN + np.log(len(found)), right, margins.max(axis=0))


def dealt_out(output: Output, people: People, known: float) -> Claims:
    """Score how likely a person is among those of any row, of the densest blocks side by side."""
    i, columns = output.densest_beside(SIDE_BY_SIDE)
    keeps = [output.keep((i, j)) for j in columns]
    return _scored(output, output.blocks(i, columns), keeps, people, known)


def relinked_blocks(output: Output, people: People, known: float) -> Claims:
    """Relink the rows of all blocks of a column block by their nearest neighbours, and match their union."""
    linked = relink(output)
    if output.share_of_row < 1:
        return _scored(output, [linked.union], [linked.keep], people, known)
    return _matched(output, linked.union, linked.keep, linked.place, people, known)


def degree(output: Output, people: People, known: float) -> Claims:
    """Claim that the only row with about as many interactions as one would expect of a person is of that person."""
    place = output.densest(1)[0]
    keep, block = output.keep(place), output.block(place)
    degrees, told = np.diff(block.indptr), np.diff(people.histories.indptr) * keep / known
    # How far apart a degree and its expectation are, in standard deviations of thinning.
    apart = np.abs(degrees[:, None] - told) / np.sqrt(np.maximum(told * (1 - keep * known), 1.0))
    near = apart < 3
    rows = apart.argmin(axis=0)
    only = (near.sum(axis=0) == 1) & (near.sum(axis=1)[rows] == 1)
    users = output.users(place)
    return Claims(only, None if users is None else users[rows] == people.codes, None)


@dataclass(frozen=True, eq=False)
class Relinked:
    """Blocks of a column block put together.

    Attributes
    ----------
    union
        Rows × columns of ones: the rows of one block, with those of others that are the nearest.
    place
        The block whose rows they are.
    links : of int64, shape (rows,)
        For each other block its rows that are nearest, −1 where none is.
    keep
        The share of a user's interactions that the union has if every row is relinked rightly.
    """

    union: Matrix
    place: Place
    links: dict[Place, Integers]
    keep: float


def relink(output: Output) -> Relinked:
    """Link rows of the densest row block with the mutually nearest ones of others, and unite a column block.

    Row blocks are compared with all their columns, which mean the same in each where nothing is exchanged.
    """
    place = output.densest(1)[0]
    q = output.expansion.base.shape[1]
    columns = slice(place[1] * q, (place[1] + 1) * q)
    own = output.row_block(place[0])
    union, lost, links = own[:, columns], 1 - output.keep(place), dict[Place, Integers]()
    for i in range(output.expansion.reduced.shape[0]):
        other = (i, place[1])
        if i == place[0] or output.keep(other) == 0:
            continue
        rows = output.row_block(i)
        links[other] = nearest = _mutually_nearest(own, rows)
        linked = np.flatnonzero(nearest >= 0)
        chosen = sp.csr_array((np.ones(len(linked)), (linked, nearest[linked])), (len(nearest), len(nearest)))
        union = sp.csr_array(union.maximum(chosen @ rows[:, columns]))
        lost *= 1 - output.keep(other)
    return Relinked(union, place, links, 1 - lost)


def _matched(output: Output, block: Matrix, keep: float, place: Place, people: People, known: float) -> Claims:
    """Match the rows of a block with people."""
    return claims_of(
        match(block, people.histories, keep, known, output.share_of_row), output, people, output.users(place)
    )


def _scored(output: Output, blocks: Sequence[Matrix], keeps: Sequence[float], people: People, known: float) -> Claims:
    """Score people by rows that are of several."""
    scores = likelihoods(blocks, people.histories, keeps, known, output.share_of_row)
    return Claims(None, None, scores, np.diff(people.histories.indptr))


def _mutually_nearest(rows: Matrix, others: Matrix) -> Integers:
    """Return the other row that is the nearest to each by the cosine, −1 where that has a nearer one."""
    near = cosines(rows, others)
    nearest, back = near.argmax(axis=1), near.argmax(axis=0)
    is_mutual = (back[nearest] == np.arange(len(nearest))) & (near.max(axis=1) > 0)
    return np.where(is_mutual, nearest, -1)
