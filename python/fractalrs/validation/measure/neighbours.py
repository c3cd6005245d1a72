"""How items go together: nearest items by cosine, and whether they are copies of one source item."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fractalrs.expansion import Expansion
from fractalrs.passes import NearItems, StreamedMatrix
from fractalrs.statistics import Floats, null_pairs

SAMPLED = 2_000
"""Items whose neighbours are looked for: as many of each tenth of the ranking by popularity."""
NEAREST = 20
RANKS = (1, 5, 20)
COPIES = 10
"""Among so many nearest items copies are counted."""
MIN_DEGREE = 5
"""Items of fewer train interactions are left out: their cosines are noise."""
COUNT_BYTES = 3 << 29
"""What counts of one pass may take in memory: 1.5 GiB, as the basis of a spectrum …"""
_KEPT_COUNT_BYTES = 1 << 26
"""… or less where rows are in memory, so that passes are cheap: 64 MiB."""
EACH_COUNT_BYTES = 2
"""What one count takes, as long as it is below 65,536: the core notes apart what is more."""
_STRATA = 10
_NULL_ITEMS = 32
_DRAWN = 200
"""Random other items of each that are looked at for what copies there are by chance."""
_SOURCES = 1 << 28
"""Most source items that are looked up to tell copies."""

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of sampled items, by cosine of their train columns."""

    items: Codes  # (s): the sampled items.
    nearest: Codes  # (s, 20): their nearest items, the nearest first.
    cosines: Floats  # (s, 20): |A ∩ B| / √(|A| |B|) for the users A and B of two items.
    lifts: Floats  # (s, 20): how much oftener than by chance a user has both, U |A ∩ B| / (|A| |B|) of U users.
    closed: float | None = None  # Share of closed ones among the paths of three interactions, `closed_paths`.

    def cosine(self, rank: int) -> float:
        """Return the mean cosine with the neighbour of a rank from 1."""
        return float(self.cosines[:, rank - 1].mean())

    def lift(self) -> float:
        """Return the median lift of the nearest ten."""
        return float(np.median(self.lifts[:, :COPIES]))


def sample(item_degrees: npt.NDArray[np.integer], count: int = SAMPLED, seed: int = 0) -> Codes:
    """Return as many items from each tenth of the ranking by popularity; none of fewer than five interactions."""
    strata = _tenths(item_degrees)
    rng = np.random.default_rng(seed)
    quotas = [len(part) for part in np.array_split(np.arange(count), _STRATA)]
    both = zip(strata, quotas, strict=True)
    chosen = [rng.choice(stratum, min(len(stratum), quota), replace=False) for stratum, quota in both]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _tenths(item_degrees: npt.NDArray[np.integer]) -> list[Codes]:
    """Return the items of five interactions or more, in tenths of their ranking by popularity."""
    known = np.flatnonzero(item_degrees >= MIN_DEGREE)
    order = known[np.argsort(-item_degrees[known].astype(np.int64), kind="stable")]
    return np.array_split(order, _STRATA)


def _weights(item_degrees: npt.NDArray[np.integer], chosen: Codes) -> Floats:
    """Return how many items of its tenth each chosen one stands for."""
    weights = np.ones(len(chosen))
    for stratum in _tenths(item_degrees):
        among = np.isin(chosen, stratum)
        weights[among] = len(stratum) / max(1, int(among.sum()))
    return weights


def neighbours(
    matrix: StreamedMatrix, item_degrees: npt.NDArray[np.integer], chosen: Codes | None = None
) -> Neighbours | None:
    """Compute the nearest items of the chosen ones, or a sample, that have five interactions; None if too few have."""
    degrees = item_degrees.astype(np.float64)
    known = np.flatnonzero(item_degrees >= MIN_DEGREE)
    chosen = sample(item_degrees) if chosen is None else np.intersect1d(chosen, known)
    if len(known) <= NEAREST or len(chosen) == 0:
        return None
    found = near_items(matrix, chosen, item_degrees, least=MIN_DEGREE, count=NEAREST)
    shared, product = found.shared.astype(np.float64), degrees[found.ids] * degrees[chosen, None]
    closed, every = np.dot(_weights(item_degrees, chosen), found.paths)
    return Neighbours(
        chosen,
        found.ids,
        shared / np.sqrt(product),
        matrix.shape[0] * shared / product,
        float(closed / every) if every else None,
    )


def near_items(matrix: StreamedMatrix, chosen: Codes, degrees: npt.NDArray[np.integer], **asked: int) -> NearItems:
    """Find the nearest items of each chosen one in as many passes as memory asks for."""
    width = max(1, (_KEPT_COUNT_BYTES if matrix.keeps_rows else COUNT_BYTES) // (EACH_COUNT_BYTES * matrix.shape[1]))
    pieces = np.array_split(chosen, -(-len(chosen) // width))
    found = [matrix.nearest_items(piece, degrees, **asked) for piece in pieces]
    return NearItems(*(np.concatenate([getattr(each, name) for each in found]) for name in ("ids", "shared", "paths")))


def null_neighbours(users: int, items: int, density: float) -> Neighbours | None:
    """Compute the nearest items to expect if each pair interacts with probability `density`, independently.

    The other N − 1 items are then independent of an item and of each other (`null_pairs`), each with its cosine and
    lift; those of fewer than five interactions are left out. The r-th nearest is the one whose cosine is exceeded with
    probability (r − ½) / (N − 1): its cosine is within 5 % of the mean over data, and so is the median lift (tested on
    four shapes from 9 to 210 interactions an item). They are those of 32 items whose degrees are quantiles of all at
    mid-ranks; who the nearest are has no meaning, and is −1. None where there are not enough items to compare.
    """
    if density == 0:
        return None
    pairs = null_pairs(users, density)
    weights = np.where(pairs.degrees >= MIN_DEGREE, pairs.weights, 0.0)
    expected = weights.sum() * (items - 1)
    if expected < NEAREST:
        return None
    levels = (np.arange(_NULL_ITEMS) + 0.5) / _NULL_ITEMS
    cosines, lifts = [], []
    for one in np.searchsorted(np.cumsum(weights), levels * weights.sum()):
        numbers = (weights[:, None] * pairs.chances[one]).ravel() * (items - 1)
        product = (pairs.degrees[one] * pairs.degrees.astype(np.float64))[:, None]
        cosine, lift = ((factor * pairs.shared).ravel() for factor in (product**-0.5, users / product))
        order = np.argsort(-cosine, kind="stable")
        near = order[np.searchsorted(np.cumsum(numbers[order]), np.arange(NEAREST) + 0.5)]
        cosines.append(cosine[near])
        lifts.append(lift[near])
    nobody = np.full((_NULL_ITEMS, NEAREST), -1)
    return Neighbours(nobody[:, 0], nobody, np.array(cosines), np.array(lifts))


def copies(found: Neighbours, expansion: Expansion, seed: int = 0) -> tuple[float, float] | None:
    """Compute the share of the ten nearest items that copy a source item, and of items drawn at random.

    In each row block an expanded item shows the interactions of one source item. A neighbour copies an interaction if
    both items have the same source in that interaction's row block; it is a copy if it copies half of them or more, the
    row blocks weighted by the interactions that they are expected to hold.

    In uniform random data items can be exchanged for each other: any other item is among the nearest as likely as the
    next, so that the share of copies among them is that among all. It is counted on 200 others of each item, drawn at
    random; for `aligned` and `none` it is (n − 1) / (nq − 1). None where there are too many blocks to look up.
    """
    (m, _), q = expansion.reduced.shape, expansion.base.shape[1]
    count = expansion.shape[1]
    steps = np.random.default_rng(seed).integers(1, count, size=(len(found.items), _DRAWN))
    near = expansion.places(np.hstack([found.nearest[:, :COPIES], (found.items[:, None] + steps) % count]))
    chosen = expansion.places(found.items)
    blocks = np.unique(np.concatenate([chosen // q, (near // q).ravel()]))
    if m * len(blocks) * q > _SOURCES:
        return None
    degrees = expansion.base.item_degrees("train")
    same, weights = np.zeros(near.shape), np.zeros(len(found.items))
    for i in range(m):
        sources = np.empty((len(blocks), q), dtype=np.int64)
        for number, j in enumerate(blocks):
            sources[number, expansion.generator.columns(i, int(j))] = np.arange(q)

        def source(places: Codes, sources: Codes = sources) -> Codes:
            return np.asarray(sources[np.searchsorted(blocks, places // q), places % q])

        own = source(chosen)
        weight = expansion.keep_rates[i, chosen // q] * degrees[own]
        same += weight[:, None] * (source(near) == own[:, None])
        weights += weight
    copied = same >= 0.5 * weights[:, None]
    return float(np.mean(copied[:, :COPIES])), float(np.mean(copied[:, COPIES:]))
