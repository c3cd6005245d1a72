"""Attacks with the column map: it is known which column is which item, as far as the cells of items let one know.

Whoever has the order of items and the shuffle of columns, or ``items.parquet``, is such an attacker.
"""

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

from fractalrs.privacy.attacks.annealing import Floats, Integers, Matrix
from fractalrs.privacy.attacks.claims import Claims, claims_of
from fractalrs.privacy.attacks.likelihoods import Likelihoods
from fractalrs.privacy.attacks.matching import Matches, match_known
from fractalrs.privacy.attacks.output import Output, Place
from fractalrs.privacy.attacks.people import People
from fractalrs.privacy.attacks.rows import cosines, ones, products

BLOCKS = 16
"""So many of the densest blocks a likelihood ratio is taken over, …"""
MOST_INTERACTIONS = 20_000_000
"""… in which about so many interactions are looked at, as in the densest blocks of a row block."""
TOP = 10
"""So many nearest rows tell of a person, and so many items are named."""


def columns_known(output: Output, people: People, known: float) -> Claims:
    """Match the rows of the densest block."""
    place = output.densest(1)[0]
    share = output.share_of_row
    matches = match_known(
        _named(output, place, output.block(place)), _told(output, people), output.keep(place) * share, known * share
    )
    return claims_of(matches, output, people, output.users(place))


def likelihood_ratio(output: Output, people: People, known: float) -> Claims:
    """Score how likely it is that a row of each of the densest blocks is the person's.

    Σ log mean exp LLR, over blocks and the rows of each: the best there is if `Likelihoods` models the generator.
    """
    share, told = output.share_of_row, _told(output, people)
    total = np.zeros(len(people.is_member))
    places = output.densest(BLOCKS)
    expected = np.cumsum([output.keep(place) for place in places]) * output.expansion.base.train_count
    for place in places[: max(1, int(np.searchsorted(expected, MOST_INTERACTIONS)))]:
        block = _named(output, place, output.block(place))
        likelihoods = Likelihoods(block, told, output.keep(place) * share, known * share)
        total += np.log(likelihoods.sums()) - np.log(block.shape[0])
    return Claims(None, None, total)


def nearest_row(output: Output, people: People, known: float) -> Claims:  # noqa: ARG001
    """Score how near a row of the densest block is, over how near anybody else is: a ratio of densities."""
    place, told = output.densest(1)[0], _told(output, people)
    scores = _nearest(told, _named(output, place, output.block(place))) - _nearest(told, told)
    return Claims(None, None, scores)


def known_items(count: int) -> Callable[[Output, People, float], Claims]:
    """Make an attack that knows `count` items of each person, and claims whom one row alone has most of."""

    def run(output: Output, people: People, known: float) -> Claims:  # noqa: ARG001
        i, _ = place = output.densest(1)[0]
        wanted = _some(_told(output, people), count)
        found = np.zeros((output.expansion.base.shape[0], len(people.is_member)), np.float32)
        columns = output.densest_of(i, MOST_INTERACTIONS)
        for j, block in zip(columns, output.blocks(i, columns), strict=True):
            found += products(_named(output, (i, j), block), wanted)
        top = np.partition(found, -2, axis=0)[-2:]
        # Of how many the best row has more than the next; of equals, the more the better.
        margins = top[1] - top[0] + np.where(np.diff(wanted.indptr) == count, top[1] / (count + 1), -1) - 0.999
        matches = Matches(found.argmax(axis=0).astype(np.int64), margins.astype(np.float32))
        return claims_of(matches, output, people, output.users(place), 0.0)

    return run


def held_out_item(output: Output, people: People, known: float) -> Claims:  # noqa: ARG001
    """Name the item that was held out of each history: the one that the ten nearest rows have most beyond popularity.

    Claimed is who has it among the ten first. Anybody's taste can be told from others'; members' only better than that
    if the output tells of them.
    """
    place = output.densest(1)[0]
    block, told = _named(output, place, output.block(place)), _told(output, people)
    held = ones(people.held_out @ _cells(output, people))
    popular = np.bincount(block.indices, minlength=block.shape[1]) / block.shape[0]
    claimed, count = np.zeros(len(people.is_member), bool), min(TOP, block.shape[1])
    for rows in _pieces(told.shape[0], max(block.shape)):
        weights = _near(told[rows], block)
        scores = np.asarray(sp.csr_array(sp.csr_array(weights) @ block).toarray())
        scores = scores / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9) + popular
        scores[told[rows].toarray() > 0] = -np.inf
        tops = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        claimed[rows] = np.take_along_axis(held[rows].toarray() > 0, tops, axis=1).any(axis=1)
    return Claims(claimed, None, None)


def held_out_rating(output: Output, people: People, known: float) -> Claims:  # noqa: ARG001
    """Name the rating of the item that was held out, which is known, by the rows that are nearest.

    It is what the item has in all rows, and by how much more the nearest rows give: to that item where they have it,
    else to what they have. Claimed is who gave it the nearest rating there is. What most people think of an item
    anybody can tell; of members only that should come out oftener which the output tells of them.
    """
    place, claimed = output.densest(1)[0], np.zeros(len(people.is_member), bool)
    told, rated, of_code = _told(output, people), output.rated(place), output.item_cells
    has, held = people.first_held_out(_cells(output, people))
    given, scale = people.held_ratings, np.unique(rated.data)
    if given is None or not len(scale):
        return Claims(claimed, None, None)
    choosing = _choosing(of_code[output.items(place)], int(of_code.max()) + 2)
    more, counts = sp.csr_array(rated @ choosing), sp.csr_array(ones(rated) @ choosing)
    for matrix in (more, counts):
        matrix.sort_indices()
    popular: Floats = np.asarray(counts.sum(axis=0), np.float32)
    usual = np.where(popular > 0, np.asarray(more.sum(axis=0)) / np.maximum(popular, 1), rated.data.mean())
    # By how much more than usual each row gives, and beyond that to each of its items.
    more.data = more.data / counts.data - usual[more.indices]
    owned = np.diff(more.indptr)
    generous = np.asarray(more.sum(axis=1)) / np.maximum(owned, 1)
    more.data -= np.repeat(generous, owned)
    for rows in _pieces(told.shape[0], max(told.shape[1], rated.shape[0])):
        # Own rows are nearer than others by far, where there are any.
        near = _near(told[rows], ones(counts)) ** 4
        near /= np.maximum(near.sum(axis=1, keepdims=True), 1e-12)
        beyond = sp.csr_array(sp.csr_array(near) @ more).toarray()[np.arange(len(near)), held[rows]]
        guess = usual[held[rows]] + near @ generous + beyond
        claimed[rows] = scale[np.abs(guess[:, None] - scale).argmin(axis=1)] == given[rows]
    return Claims(claimed & has, None, None)


def _cells(output: Output, people: People) -> Matrix:
    """Return which cell each item is of: items × cells, and one more for items that the output has not."""
    of_code, codes = output.item_cells, output.codes_of(people.item_ids)
    numbers = np.where(codes < 0, of_code.max() + 1, of_code[codes])
    return _choosing(numbers, int(of_code.max()) + 2)


def _told(output: Output, people: People) -> Matrix:
    """Return the cells of items that each person has: ones."""
    return ones(people.histories @ _cells(output, people))


def _named(output: Output, place: Place, block: Matrix) -> Matrix:
    """Return a block whose columns are the cells of the items that they are: ones."""
    of_code = output.item_cells
    return ones(block @ _choosing(of_code[output.items(place)], int(of_code.max()) + 2))


def _choosing(numbers: Integers, count: int) -> Matrix:
    """Return the matrix that puts each column where its number says."""
    return sp.csr_array((np.ones(len(numbers)), (np.arange(len(numbers)), numbers)), (len(numbers), count))


def _some(matrix: Matrix, count: int) -> Matrix:
    """Return `count` entries of each row, any of them; of a row with fewer all."""
    rng = np.random.default_rng(count)
    owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((rng.random(matrix.nnz), owners))
    place = np.arange(matrix.nnz) - matrix.indptr[owners]
    chosen = order[place < count]
    return sp.csr_array((np.ones(len(chosen)), (owners[chosen], matrix.indices[chosen])), matrix.shape)


def _near(rows: Matrix, others: Matrix) -> Floats:
    """Return the cosines of each row with the ten others that are nearest, 0 with all else."""
    nearest, count = cosines(rows, others), min(TOP, others.shape[0])
    least = np.partition(nearest, -count, axis=1)[:, -count, None]
    return np.where(nearest >= np.maximum(least, 1e-9), nearest, np.float32(0))


def _nearest(rows: Matrix, others: Matrix) -> Floats:
    """Return the highest cosine of each row with another one."""
    highest = np.empty(rows.shape[0], np.float32)
    for piece in _pieces(rows.shape[0], others.shape[0]):
        near = cosines(rows[piece], others)
        if rows is others:
            near[np.arange(len(near)), np.arange(piece.start, piece.start + len(near))] = -1
        highest[piece] = near.max(axis=1)
    return highest


def _pieces(rows: int, width: int) -> Iterator[slice]:
    """Cut rows so that a dense matrix of so many columns stays small."""
    step = max(1, (1 << 24) // max(1, width))
    for first in range(0, rows, step):
        yield slice(first, first + step)
