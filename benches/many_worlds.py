"""Train a small model over many worlds, and on the best single guess; test both on real data, and print it.

    python benches/many_worlds.py [--worlds 64] ratings.csv ...

The model scores items by five numbers that are known of any data set: popularity, and how alike an item is to what the
user has had, with and without regard to what came last, and by 16 singular vectors. How much each counts is learnt:
from the last responses of the users of worlds that are drawn from the realistic ranges, or of as many worlds that are
in the middle of all of them. Neither sees the real data that it is tested on; `itself` does: its other users.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import svds
from scipy.special import logsumexp

import fractalrs as fr

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_FEATURES = ("popularity", "like history", "like recent", "like last", "singular vectors")
_DECAY, _RANK, _NEGATIVES, _CHUNK, _SHOWN = 0.8, 16, 100, 512, 10
_SIZES = {"users": 512, "items": (256, 2_048)}


@dataclass(frozen=True)
class Histories:
    """What users had, in order and each once, and what they had last."""

    rows: list[Ints]
    last: Ints
    items: int

    @classmethod
    def of(cls, user: Ints, item: Ints, items: int) -> "Histories":
        """Take interactions by user and in order; users with fewer than three different items are left out."""
        _, first = np.unique(user * items + item, return_index=True)
        kept = np.sort(first)
        user, item = user[kept], item[kept]
        rows = np.split(item, np.flatnonzero(np.diff(user)) + 1)
        rows = [row for row in rows if len(row) >= 3]
        return cls([row[:-1] for row in rows], np.array([row[-1] for row in rows]), items)

    def features(self) -> Iterator[tuple[Ints, Floats]]:
        """Yield some users and what is known of every item for each: (users, items, features), standardized."""
        count = len(self.rows)
        lengths = [len(row) for row in self.rows]
        user, item = np.repeat(np.arange(count), lengths), np.concatenate(self.rows)
        had = scipy.sparse.csr_array((np.ones(len(item)), (user, item)), shape=(count, self.items))
        back = np.concatenate([np.arange(length)[::-1] for length in lengths])
        recent = scipy.sparse.csr_array((_DECAY**back, (user, item)), shape=had.shape)
        latest = scipy.sparse.csr_array((1.0 * (back == 0), (user, item)), shape=had.shape)
        degree: Floats = np.asarray(had.sum(axis=0)).ravel()
        columns = had @ scipy.sparse.diags_array(1 / np.sqrt(np.maximum(degree, 1)))
        alike = (columns.T @ columns).toarray()
        np.fill_diagonal(alike, 0)
        left, values, right = map(np.asarray, svds(had, k=min(_RANK, *had.shape) - 1, random_state=0))
        for first in range(0, count, _CHUNK):
            some = np.arange(first, min(count, first + _CHUNK))
            raw = [np.tile(np.log1p(degree), (len(some), 1))]
            raw += [np.asarray(matrix[some] @ alike) for matrix in (had, recent, latest)]
            raw += [(left[some] * values) @ right]
            made = np.stack(raw, axis=-1)
            made -= made.mean(axis=1, keepdims=True)
            made /= np.maximum(made.std(axis=1, keepdims=True), 1e-9)
            # What a user has had is not asked for.
            made[np.asarray(had[some].toarray()) > 0] = -np.inf
            yield some, made


def examples(histories: Histories, random: np.random.Generator) -> Floats:
    """What is known of each user's last item, and of as many others: (users, 1 + others, features)."""
    made = []
    for some, known in histories.features():
        others = random.integers(histories.items, size=(len(some), _NEGATIVES))
        chosen = np.concatenate([histories.last[some][:, None], others], axis=1)
        made.append(np.take_along_axis(known, chosen[..., None], axis=1))
    return np.concatenate(made)


def learnt(many: list[Floats]) -> Floats:
    """How much each number counts: the most likely, if the last item is chosen among the others by a softmax."""
    known = np.concatenate(many)
    there: npt.NDArray[np.bool_] = np.isfinite(known[..., 0])
    known = np.where(there[..., None], known, 0.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = np.where(there, known @ weights, -np.inf)
        total = logsumexp(scores, axis=1, keepdims=True)
        chance = np.exp(scores - total)
        gradient = (known * chance[..., None]).sum(axis=1) - known[:, 0]
        return float((total[:, 0] - scores[:, 0]).mean()), gradient.mean(axis=0)

    return np.asarray(minimize(loss, np.zeros(len(_FEATURES)), jac=True, method="L-BFGS-B").x)


def gains(histories: Histories, weights: dict[str, Floats]) -> dict[str, Floats]:
    """NDCG@10 of every user's last item among all items, by weights of every user's own, (users, features)."""
    found = {name: np.zeros(len(histories.last)) for name in weights}
    for some, known in histories.features():
        shut = ~np.isfinite(known[..., 0])
        known[shut] = 0
        for name, of in weights.items():
            scores = np.einsum("uif,uf->ui", known, of[some])
            scores[shut] = -np.inf
            own = np.take_along_axis(scores, histories.last[some][:, None], axis=1)
            rank = (scores > own).sum(axis=1) + (scores == own).sum(axis=1) // 2
            found[name][some] = np.where(rank < _SHOWN, 1 / np.log2(2 + rank), 0)
    return found


def of_world(draw: fr.Draw) -> Histories:
    made = draw.sequences()
    user = np.repeat(np.arange(len(made)), np.diff(made.starts))
    return Histories.of(user, made.items.astype(np.int64), int(draw.values["items"]))


def of_source(source: str) -> Histories:
    real = fr.read_interactions(source)
    (user, _), (item, ids) = (real.codes(name) for name in ("user_id", "item_id"))
    assert real.timestamps is not None
    order = np.lexsort((real.timestamps, user))
    return Histories.of(user[order].astype(np.int64), item[order].astype(np.int64), len(ids))


def middle() -> dict[str, float | int]:
    """The middle of each realistic range, on the scale it is drawn on."""
    drawn = [draw.values for draw in fr.worlds(2_001, over=_SIZES, seed=0)]
    whole = {name for name in drawn[0] if isinstance(drawn[0][name], int)}
    return {
        name: (round if name in whole else float)(np.median([values[name] for values in drawn])) for name in drawn[0]
    }


def interval(values: Floats, random: np.random.Generator) -> tuple[float, float]:
    """95 % of the means of users drawn anew."""
    picked = random.integers(len(values), size=(2_000, len(values)))
    low, high = np.quantile(np.array([values[row].mean() for row in picked]), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=64)
    parser.add_argument("sources", nargs="+")
    given = parser.parse_args()
    random, weights = np.random.default_rng(0), dict[str, Floats]()
    guess = middle()
    print(f"the best single guess: {guess}", flush=True)
    for name, over in (("many worlds", _SIZES), ("one guess", guess)):
        histories = [of_world(draw) for draw in fr.worlds(given.worlds, over=over, seed=1)]
        many = [examples(one, random) for one in histories if len(one.rows) > _RANK]
        weights[name] = learnt(many)
        told = ", ".join(f"{what} {weight:.2f}" for what, weight in zip(_FEATURES, weights[name], strict=True))
        print(f"{name}: {sum(map(len, many)):,} users of {len(many)} worlds; {told}", flush=True)
    for source in given.sources:
        real = of_source(source)
        count = len(real.rows)
        # Of the real data itself: each half of the users by the other.
        half, own = random.integers(2, size=count), examples(real, random)
        halves = np.stack([learnt([own[half != side]]) for side in (0, 1)])
        known = {**weights, "popularity": np.eye(len(_FEATURES))[0]}
        of_users = {name: np.tile(one, (count, 1)) for name, one in known.items()} | {"itself": halves[half]}
        found = gains(real, of_users)
        print(f"{source}: {count:,} users, {real.items:,} items", flush=True)
        for name, values in found.items():
            low, high = interval(values, random)
            against = values - found["one guess"]
            less, more = interval(against, random)
            print(
                f"  {name}: NDCG@10 {values.mean():.4f} ({low:.4f} to {high:.4f}), against one guess "
                f"{against.mean():+.4f} ({less:+.4f} to {more:+.4f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
