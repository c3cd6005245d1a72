"""Worlds as `docs/simulation.md` specifies them, in NumPy and whole numbers: slow, and written from that page alone."""

from typing import Any

import numpy as np
import numpy.typing as npt

from helpers.oracle import bounded, child, permutation, root, under

Integers = npt.NDArray[np.int64]
WORLD = 16
ACTIVITY, POPULARITY, ROUNDS, USERS, ITEMS = 0, 1, 2, 3, 6
DRAW, PLACE, RESPONSE, RATING, PAUSE, ARRIVAL = range(6)
D = 16


def curve(given: dict[str, list[int]], ranks: Any) -> list[int]:
    """Integers between knots, rounded down."""
    values = []
    for rank in np.atleast_1d(ranks).tolist():
        k = int(np.searchsorted(given["ranks"], rank, side="right")) - 1
        if k == len(given["ranks"]) - 1:
            values.append(given["values"][-1])
            continue
        (r0, r1), (v0, v1) = given["ranks"][k : k + 2], given["values"][k : k + 2]
        values.append(v0 + (v1 - v0) * (rank - r0) // (r1 - r0))
    return values


def nearly_normal(words: npt.NDArray[Any]) -> Integers:
    words = np.ascontiguousarray(words, np.uint64)
    return np.asarray(words.view(np.uint8).reshape(*words.shape, 8).sum(axis=-1).astype(np.int64) - 1020)


def tastes(key: Any, purpose: int, count: int, branching: int, shares: list[int]) -> Integers:
    """Of all members of a side: (count, 16)."""
    places, dimensions = permutation(under(key, purpose), count), np.arange(D)
    total = np.zeros((count, D), np.int64)
    leaves = branching ** (len(shares) - 1)
    leaf = places * leaves // count
    for level, share in enumerate(shares[:-1]):
        group = leaf // branching ** (len(shares) - 2 - level)
        total += share * nearly_normal(child(under(key, purpose + 1, level, group)[:, None], dimensions))
    own = under(key, purpose + 2, np.arange(count))
    return np.asarray((total + shares[-1] * nearly_normal(child(own[:, None], dimensions))) >> 8)


def logistic(x: Integers) -> Integers:
    """In units of 2⁻³²."""
    power, table = 1 << 64, []
    for _ in range(2049):
        table.append((power << 32) // ((1 << 64) + power))
        power = power * 0xFE01FEAB551127CB >> 64
    falling = np.array(table)
    far = np.minimum(np.abs(x), 2048 * 512 - 1)
    step, rest = far >> 9, far & 511
    value = falling[step] - ((falling[step] - falling[step + 1]) * rest >> 9)
    return np.asarray(np.where(x > 0, (1 << 32) - value, value))


class Oracle:
    """A world, all pairs of it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec, p, q = spec, spec["users"], spec["items"]
        self.key = under(root(spec["seed"]), WORLD)
        self.rank = permutation(under(self.key, POPULARITY), q)
        self.order = np.argsort(self.rank)
        of_users = tastes(self.key, USERS, p, spec["branching"], spec["shares"])
        of_items = tastes(self.key, ITEMS, q, spec["branching"], spec["shares"])
        stretched = np.clip(of_items * np.array(spec["scales"]) >> 8, -32768, 32767)
        appeal = np.array(curve(spec["appeal"], self.rank))
        self.likes = logistic(appeal + of_users @ stretched.T)
        ranks = permutation(under(self.key, ACTIVITY), p)
        before, after = curve(spec["activity"], ranks), curve(spec["activity"], ranks + 1)
        self.exposures = [b - a for a, b in zip(before, after, strict=True)]
        self.weights = curve(spec["weights"], np.arange(q))

    def preference(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.likes / 2.0**32)

    def axis(self, weights: npt.NDArray[np.uint64] | None) -> tuple[Integers, list[int]]:
        """Items by rank, and their weights."""
        if weights is None:
            return self.order, self.weights
        order = np.lexsort((np.arange(len(weights)), -weights.astype(np.int64)))
        return order, weights[order].tolist()

    def log(self, users: Any, round: int = 0, weights: Any = None) -> list[tuple[Any, ...]]:
        rows = []
        for number, user in enumerate(users):
            order, falling = self.axis(None if weights is None else weights[number])
            rows += self._of_user(user, round, order, falling)
        return rows

    def _of_user(self, user: int, round: int, order: Integers, weights: list[int]) -> list[tuple[Any, ...]]:
        n, spec = self.exposures[user], self.spec
        if n == 0:
            return []
        key = under(self.key, ROUNDS, round, user)
        certain, strata, rest = cut(weights, n)
        ranks = draw(under(key, DRAW), weights, certain, strata, rest)
        shown = np.empty(n, np.int64)
        shown[permutation(under(key, PLACE), n)] = ranks
        time = spec["start"] + scaled(under(key, ARRIVAL), spec["arrivals"] + 1)
        rows, slate = [], len(spec["examination"])
        for first in range(0, n, slate):
            pause = 0
            for position, rank in enumerate(sorted(shown[first : first + slate].tolist())):
                number, item = first + position, int(order[rank])
                likes, word = int(self.likes[user, item]), int(under(key, RESPONSE, number))
                response = word >> 32 < likes and word & 0xFFFFFFFF < spec["examination"][position]
                rating = 0
                if response:
                    pause += between(spec["pauses"], int(under(key, PAUSE, number)))
                    stars = int(under(key, RATING, number))
                    rating = 1 + sum((stars >> 16 * quarter & 0xFFFF) < likes >> 16 for quarter in range(4))
                propensity = 1.0 if rank < certain else strata * weights[rank] / rest
                rows.append((user, item, time, position, propensity, response, rating))
            time += pause
        return rows


def cut(weights: list[int], n: int) -> tuple[int, int, int]:
    """How many of the heaviest are certain, and the strata and the weight of the rest."""
    certain, rest = 0, sum(weights)
    while certain < n and (n - certain) * weights[certain] > rest:
        rest -= weights[certain]
        certain += 1
    return certain, n - certain, rest


def scaled(word: Any, count: int) -> int:
    return int(word) * count >> 64


def between(pauses: list[int], word: int) -> int:
    product = word * (len(pauses) - 1)
    low, high = pauses[product >> 64], pauses[(product >> 64) + 1]
    return low + ((product & (1 << 64) - 1) * (max(high - low, 0) + 1) >> 64)


def turned(weights: list[int], certain: int, start: int) -> list[tuple[int, int, int]]:
    """The items that are not certain, on the axis that begins with one of them: rank, begin and end."""
    ranks = [*range(start, len(weights)), *range(certain, start)]
    ends = np.cumsum([weights[rank] for rank in ranks]).tolist()
    return [(rank, end - weights[rank], end) for rank, end in zip(ranks, ends, strict=True)]


def draw(key: Any, weights: list[int], certain: int, strata: int, rest: int) -> list[int]:
    """The ranks that are shown, stratum by stratum."""
    start = certain + scaled(under(key, 2), len(weights) - certain)
    axis = turned(weights, certain, start)

    def at(point: int) -> tuple[int, int, int]:
        # Ends are compared in units of 1 / strata.
        return next(item for item in axis if point < item[2] * strata)

    chosen, last = [*range(certain)], -1
    for stratum in range(strata):
        border = stratum * rest
        rank, begin, end = at(border)
        left = border - begin * strata
        right = end * strata - border if left else 0
        if right and rank != last and scaled(under(key, 1, stratum), rest - left) < right:
            last = rank
        else:
            last = at(border + right + scaled(under(key, 0, stratum), rest - right))[0]
        chosen.append(last)
    return chosen


__all__ = ["Oracle", "bounded", "cut", "draw", "turned"]
