"""Mixtures: whether somebody is among the people whose interactions a row has, where several are dealt out together.

No row is one person's, so none can be matched for certain. How likely a person is among those of the best row can be
told all the same, and compared with people who are not in the data.
"""

from collections.abc import Sequence

import numpy as np

from fractalrs.privacy.attacks.annealing import Annealing, Floats, Matrix, blur, dense, largest, popularity, shares_of

_START, _END = 20.0, 2.0
"""Temperatures: at lower ones rows freeze to single people, of whom each has several."""
_COLUMNS = 2_500
"""So many of the most popular columns of a block are looked at, or fewer …"""
_WORK = 3e12
"""… where rows, times candidates, times columns, of all blocks would be more: about a minute of two processors."""
_CHUNK = 1 << 24


def likelihoods(
    blocks: Sequence[Matrix], candidates: Matrix, keeps: Sequence[float], known: float, share: float
) -> Floats:
    """Return of each candidate by how much it is likelier in the best row than anybody: a log likelihood ratio.

    Columns are matched by the heaviest rows alone, each half of the rows judged by columns that the other half found.
    What they are stays a probability: nothing is taken for true.

    Parameters
    ----------
    blocks, candidates, keeps, known
        As of `Annealing`.
    share
        The share of a row that is one person's.
    """
    annealing = Annealing(blocks, candidates, keeps, known)
    shares, heavy = annealing.run(_START, _END), annealing.rows
    count = min(_COLUMNS, round(_WORK / (len(blocks) * blocks[0].shape[0] * candidates.shape[0])))
    seen = [block[:, largest(popularity(block), count)] for block in blocks]
    told = dense(candidates[:, largest(popularity(candidates), round(1.25 * count))])
    popularities = [shares_of(popularity(block) / block.shape[0]) for block in seen]
    best = np.full(candidates.shape[0], -np.inf, np.float32)
    half = np.arange(blocks[0].shape[0]) % 2 == 0
    for own in (half, ~half):
        others = ~own[heavy]
        expected = []
        for number, (block, keep) in enumerate(zip(seen, keeps, strict=True)):
            found = annealing.columns_of(number, dense(block[heavy[others]]), told[annealing.people], shares[others])
            expected.append(keep * (told @ found.T))
        for rows in np.array_split(np.flatnonzero(own), 1 + own.sum() * len(told) // _CHUNK):
            scores = np.zeros((len(rows), len(told)), np.float32)
            for block, theirs, popular in zip(seen, expected, popularities, strict=True):
                scores += _ratios(dense(block[rows]), theirs, popular, known, share)
            best = np.maximum(best, scores.max(axis=0, initial=-np.inf))
    return best


def _ratios(seen: Floats, expected: Floats, popular: Floats, known: float, share: float) -> Floats:
    """Return log likelihood ratios against anybody who has as many interactions as the row: rows × candidates."""
    degrees, blurred = seen.sum(axis=1), blur(expected, popular, known, share)
    usual = seen @ np.log(popular) + degrees * (np.log(np.maximum(degrees, 1)) - 1)
    return np.asarray(seen @ np.log(blurred).T - blurred.sum(axis=1) - usual[:, None], np.float32)
