"""The numbers of a round: what was shown, how good it was in truth, and how far the policy's model is from that."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fractalrs.models import Floats, Integers
from fractalrs.rounds.past import Past, Slates
from fractalrs.rounds.policies import Showing
from fractalrs.simulation import World, spread
from fractalrs.statistics import gini

METRICS = {
    "utility": "probability of a response, mean over what is shown",
    "regret": "by how much the best slates would be better",
    "coverage": "share of the catalogue that is shown",
    "gini": "Gini of exposures over the whole catalogue",
    "popularity": "share of users known to have responded to an item before, mean over what is shown",
    "repetition": "share of what is shown that the user was shown in the round before",
    "drift": "1 − Spearman's correlation of the policy's scores with true preferences, mean over users",
    "users": "share of users who are still there",
}
"""Numbers of a round by name, and what they are."""
_CELLS = 1 << 22
"""All items are looked at for so many users that these are about so many pairs, and for at most 1,000 users."""
_WHOLE = 2.0**32
"""Preferences are whole numbers of its inverse, whose sums are exact."""

Values = dict[str, float | None]


def sample_of(world: World) -> Integers:
    """Return the users whose best slates are looked for.

    Examples
    --------
    >>> import fractalrs as fr
    >>> sample_of(fr.simulate(60, 40, 600)).shape
    (60,)
    """
    users, items = world.shape
    sample = spread(users).astype(np.int64)
    return sample[:: max(1, -(-len(sample) * items // _CELLS))]


@dataclass
class Tally:
    """Adds a round up, table by table."""

    world: World
    past: Past
    examination: Floats
    forget: bool
    threads: int
    counts: Integers = field(init=False)
    liked: Integers = field(init=False)
    users: int = 0
    again: int = 0
    popular: int = 0
    of_sample: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.world.shape[1], np.int64)
        self.liked = np.zeros(len(self.examination), np.int64)
        self._sample = sample_of(self.world)
        self._popularity = np.bincount(self.past.responses.indices, minlength=self.world.shape[1])

    def add(self, users: Integers, slates: Slates, before: Slates) -> None:
        """Add slates of users, with those of the round before."""
        likes = self.world.preference(users[:, None], slates, threads=self.threads)
        self.users += len(users)
        self.counts += np.bincount(slates.ravel(), minlength=len(self.counts))
        self.liked += (likes * _WHOLE).astype(np.int64).sum(axis=0)
        self.popular += int(self._popularity[slates].sum())
        repeated = np.zeros(slates.shape, np.bool_)
        for other in before.T:
            repeated |= slates == other[:, None]
        self.again += int(np.count_nonzero(repeated))
        here = np.flatnonzero(np.isin(users, self._sample))
        # A product of matrices would round by the shape, which the parts decide.
        expected = (np.ascontiguousarray(likes[here]) * self.examination).sum(axis=1)
        self.of_sample |= dict(zip(users[here].tolist(), expected.tolist(), strict=True))

    def values(self, showing: Showing) -> Values:
        """Return the numbers of the round."""
        exposures = self.users * len(self.examination)
        if not exposures:
            return {**dict.fromkeys(METRICS), "users": 0.0}
        users = np.array(sorted(self.of_sample), np.int64)
        regret, drift = None, None
        if len(users):
            truth = self.world.preferences(users, threads=self.threads)
            regret = self._best(users, truth) - float(np.mean([self.of_sample[user] for user in users.tolist()]))
            scores = showing.scores(users)
            drift = None if scores is None else float(np.mean(1 - spearman(scores, truth)))
        return {
            "utility": float(self.liked @ self.examination / _WHOLE / exposures),
            "regret": None if regret is None else regret / len(self.examination),
            "coverage": int(np.count_nonzero(self.counts)) / len(self.counts),
            "gini": gini(self.counts),
            "popularity": self.popular / exposures / self.world.shape[0],
            "repetition": self.again / exposures,
            "drift": drift,
            "users": self.users / self.world.shape[0],
        }

    def _best(self, users: Integers, truth: Floats) -> float:
        """Return the expected responses to the best slate of those that can be shown, mean over users."""
        able = truth.copy()
        if not self.forget:
            rows = self.past.responses[users]
            able[np.repeat(np.arange(len(users)), np.diff(rows.indptr)), rows.indices] = -1
        best = -np.sort(-able, axis=1)[:, : len(self.examination)]
        return float(np.mean(best @ -np.sort(-self.examination)))


def spearman(scores: Floats, truth: Floats) -> npt.NDArray[np.float64]:
    """Return Spearman's correlation of each row with the same one of the other; 0 where all is equal.

    Examples
    --------
    >>> spearman(np.array([[1.0, 2, 3], [1, 1, 1]]), np.array([[0.1, 0.2, 0.9], [3, 2, 1]])).tolist()
    [1.0, 0.0]
    """
    first, second = (rankdata(values, axis=1) for values in (scores, truth))
    first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (first, second))
    sizes = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.asarray((first * second).sum(axis=1) / np.where(sizes > 0, sizes, 1))
