"""Learning curves: quality by size of the real data beside quality by size of an expansion; a table of docs/ranking.md.

    OMP_NUM_THREADS=1 python benches/learning.py ratings.csv 6040x3700x1000000 ... [--repeats 3] [--shares 0.25,0.5,1]

Real sub-samples have a share of the users and of the items. Their first share is expanded to the sizes of the others.
The exponent is the slope of ln(hit rate) over ln(size), at k = 10, and at the k that is the same share of the
catalogue, 10 of the first. `real` is the sub-sample as it is; `thinned` has the density of the expansion of its size.
"""

import argparse
import time

import numpy as np
import numpy.typing as npt

import fractalrs as fr
from fractalrs.evaluation import Draws, Halves, by_user, places, sub_sample
from fractalrs.evaluation.agreement import DRAWS
from fractalrs.evaluation.rankings import rankable
from fractalrs.models import IALS, MODELS, RP3beta, UserKNN

FITTED = MODELS | {"user kNN": UserKNN(), "RP3beta": RP3beta(), "iALS": IALS(32)}
METRICS = ("HR@10", "HR of the catalogue")
DATA = ("real", "thinned", "expansion")

Curve = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def quality(halves: Halves, k: int, most_users: int, seed: int) -> tuple[Draws, Draws]:
    """Return HR of all models at 10 and at k."""
    users, rng = rankable(halves), np.random.default_rng([seed, 70])
    if len(users) > most_users:
        users = np.sort(rng.choice(users, most_users, replace=False))
    found = [places(model.fit(halves.train), halves, users) for model in FITTED.values()]
    first, second = (np.array([by_user(one, cut)["HR"] for one in found]) for cut in (10, k))
    return Draws.of(first, seed), Draws.of(second, seed)


def exponents(shares: list[float], trials: list[list[Draws]], picks: Counts) -> tuple[Curve, Curve, Curve]:
    """Return means by size and model, the exponent of each model, and those of trials and users drawn anew."""
    x = np.log(shares) - np.log(shares).mean()
    means = np.array([[one.means for one in trial] for trial in trials]).mean(axis=0)
    drawn = np.array([[one.drawn for one in trial] for trial in trials])
    chosen = drawn[picks, :, :, np.arange(len(picks))[:, None]].mean(axis=1)

    def slope(levels: Curve) -> Curve:
        # Where nobody is hit there is no logarithm: half a hit of a thousand stands for none.
        return np.asarray(np.tensordot(np.log(np.maximum(levels, 0.0005)), x, axes=(-2, 0)) / (x @ x))

    return means, slope(means), slope(chosen).T


def trial(
    interactions: fr.Interactions, shares: list[float], repeat: int, most: int
) -> dict[str, list[tuple[Draws, Draws]]]:
    """Measure one series of sub-samples and expansions."""
    found: dict[str, list[tuple[Draws, Draws]]] = {name: [] for name in DATA}
    first = sub_sample(interactions, (shares[0], shares[0]), repeat, 0)
    rng = np.random.default_rng([repeat, 71])
    for share in shares:
        base = first if share == shares[0] else sub_sample(interactions, (share, share), repeat, 0)
        m, n = (max(1, round(size / own)) for size, own in zip(base.shape, first.shape, strict=True))
        expanded = Halves.of_expansion(fr.Expansion(first, fr.fit(first, (m, n)), seed=repeat))
        real, k = Halves.of_base(base).one_test_item(rng), round(10 * share / shares[0])
        thinned = real.thinned(min(1.0, expanded.density / real.density), rng)
        for name, halves in zip(DATA, (real, thinned, expanded.one_test_item(rng)), strict=True):
            found[name].append(quality(halves, k, most, repeat))
        print(f"  {repeat} {share:g}: {base} ({m}, {n}), density {expanded.density / real.density:.2f}", flush=True)
    return found


def short(value: float, drawn: Curve) -> str:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--shares", default="0.25,0.5,1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most-users", type=int, default=2_500)
    given = parser.parse_args()
    shares = [float(share) for share in given.shares.split(",")]
    picks = np.random.default_rng(0).integers(given.repeats, size=(DRAWS, given.repeats))
    for source in given.sources:
        started, sizes = time.process_time(), source.split("x")
        made = all(map(str.isdigit, sizes))
        interactions = fr.sample_interactions(*map(int, sizes)) if made else fr.read_interactions(source)
        print(source, flush=True)
        trials = [trial(interactions, shares, repeat, given.most_users) for repeat in range(given.repeats)]
        for which, metric in enumerate(METRICS):
            of = {
                name: exponents(shares, [[pair[which] for pair in one[name]] for one in trials], picks) for name in DATA
            }
            for number, model in enumerate(FITTED):
                cells = []
                for levels, exponent, drawn in of.values():
                    words = ", ".join(f"{level:.3f}" for level in levels[:, number])
                    cells.append(f"{words}: {short(exponent[number], drawn[number])}")
                _, own, own_drawn = of["expansion"]
                for name in ("real", "thinned"):
                    _, other, drawn = of[name]
                    cells.append(short(own[number] - other[number], own_drawn[number] - drawn[number]))
                print(f"| {metric} | {model} | {' | '.join(cells)} |", flush=True)
        print(f"{time.process_time() - started:.0f} s of processor\n", flush=True)


if __name__ == "__main__":
    main()
