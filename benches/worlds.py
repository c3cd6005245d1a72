"""Simulate worlds, and print the tables of docs/simulation.md.

    python benches/worlds.py speed [--threads 2]
    python benches/worlds.py estimates [--rows 1e7]
    python benches/worlds.py coverage
    python benches/worlds.py propensities [--draws 1e7]
    python benches/worlds.py fit ratings.csv ...
    python benches/worlds.py truth [--threads 2]
    python benches/worlds.py billion [--rows 1e9] [--threads 2]
    python benches/worlds.py written FOLDER [--rows 1e8] [--threads 2]
    python benches/worlds.py round [--users 5e7] [--threads 2]
    python benches/worlds.py rows
    python benches/worlds.py guide [--rows 1e9] [--threads 2]

`speed` makes exposures without writing them; `estimates` compares three policies' estimates with their exact values,
`coverage` their intervals; `propensities` counts what is shown; `truth` looks up and streams pairs;
`billion` counts interactions of an expansion, with truth and without, and `written` writes both; `round` shows five
items to each of 50 million users, as Sim4Rec's largest run does; `rows` says how many rows estimates take by catalogue;
`guide` is docs/guides/off-policy.md at any size.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import chi2

import fractalrs as fr
from fractalrs.base import base_statistics
from fractalrs.statistics import gini, ratios
from fractalrs.tools import peak_memory, readable

Floats = npt.NDArray[np.float64]
_PAIRS = 4_000_000
_RARE = 5.0


@contextmanager
def timed(what: str, count: int) -> Iterator[None]:
    wall, used = time.monotonic(), time.process_time()
    yield
    report(what, count, wall, used)


def report(what: str, count: int, wall: float, used: float) -> None:
    wall, used = time.monotonic() - wall, time.process_time() - used
    took = f"{wall:.1f} s, {used:.1f} s of processor time"
    rates = f"{count / wall / 1e6:.1f} M/s, {count / used / 1e6:.1f} M/s a core"
    print(f"{what}: {count:,} in {took}, {rates}, peak memory {readable(peak_memory())}", flush=True)


def speed(threads: int) -> None:
    for users, items, interactions in [
        (50_000, 10_000, 3_000_000),
        (20_000, 855_000, 3_000_000),
        (3_000_000, 2_000, 10**7),
    ]:
        world = fr.simulate(users, items, interactions, seed=1)
        with timed(f"{world}", world.exposure_count):
            for _ in world.observations(threads=threads):
                pass


def truth(threads: int) -> None:
    world = fr.simulate(6_000, 3_700, 900_000, seed=1)
    base = fr.leave_last_out(world)
    for shuffle in ("mixed", "aligned", "block"):
        found = fr.Truth(world, fr.Expansion(base, fr.reduce(base, (16, 32)), shuffle=shuffle))
        random, (users, items) = np.random.default_rng(0), found.expansion.shape
        user, item = random.integers(users, size=_PAIRS), random.integers(items, size=_PAIRS)
        # What is made once, for all pairs.
        found.source(user[:1], item[:1])
        for name in ("preference", "propensity", "observed"):
            with timed(f"{shuffle}, {name} of random pairs", _PAIRS):
                getattr(found, name)(user, item, threads=threads)
        some = np.repeat(random.integers(users, size=_PAIRS // items), items)
        with timed(f"{shuffle}, preference of all items of users", len(some)):
            found.preference(some, np.tile(np.arange(items), len(some) // items), threads=threads)
        few = (0, users // 4)
        counted(f"{shuffle}, stream", found.stream(users=few, threads=threads))


def counted(what: str, stream: Iterable[pa.RecordBatch]) -> int:
    """Read a stream, look at the last column of all of it, and print how long that took."""
    count, total, started = 0, 0.0, (time.monotonic(), time.process_time())
    for batch in stream:
        count += len(batch)
        total += float(batch.column(batch.num_columns - 1).to_numpy(zero_copy_only=False).sum())
    report(f"{what} (sum {total:.6g})", count, *started)
    return count


def expansion_of(rows: float) -> tuple[fr.World, fr.Expansion]:
    """A world, and an expansion of what it logs to at least so many interactions."""
    world = fr.simulate(6_000, 3_700, 900_000, seed=1)
    base = fr.leave_last_out(world)
    small = fr.Expansion(base, fr.reduce(base, (16, 16))).expected_interactions
    m = round(16 * (rows / small) ** 0.5)
    while (made := fr.Expansion(base, fr.reduce(base, (m, m)))).expected_interactions < rows:
        m += 1
    return world, made


def billion(rows: float, threads: int) -> None:
    world, expansion = expansion_of(rows)
    print(f"{world}\n{expansion}, {expansion.expected_interactions:,.0f} expected", flush=True)
    counted("ids alone", expansion.stream(threads=threads))
    counted("with truth", fr.Truth(world, expansion).stream(threads=threads))


def written(folder: str, rows: float, threads: int) -> None:
    world, expansion = expansion_of(rows)
    print(f"{world}\n{expansion}, {expansion.expected_interactions:,.0f} expected", flush=True)
    with timed("data set written", round(expansion.expected_interactions)):
        dataset = fr.write(expansion, folder, threads=threads)
    found = fr.Truth(world, expansion)
    with timed("truth written", dataset.totals["interactions"]):
        found.write(folder, threads=threads)
    size = sum(file.stat().st_size for file in Path(folder).rglob("truth/**/*.parquet"))
    print(f"{readable(dataset.totals['bytes'])} and {readable(size)} of truth", flush=True)
    with timed("verified", dataset.totals["interactions"]):
        assert fr.verify(folder, threads=threads)


def one_round(users: int, threads: int) -> None:
    """Show every user a slate of five."""
    rate = response_rate(fr.simulate(100_000, 1_000, 100_000, seed=1, activity=0.0, slate=5))
    with timed(f"a world of {users:,} users", users):
        world = fr.simulate(users, 1_000, round(5 * users * rate), seed=1, activity=0.0, slate=5)
    print(world, flush=True)
    names = ["user_id", "item_id", "position", "propensity", "response"]
    counted("a round", world.observations(columns=names, threads=threads))


def response_rate(world: fr.World) -> float:
    responses = sum(batch.column(0).true_count for batch in world.observations(columns=["response"]))
    return float(responses / world.exposure_count)


def rows_needed() -> None:
    """How many rows of a log inverse propensities take to estimate the values of policies within 1 %, by catalogue.

    Of an exposure that shows item i with the probability q, weighted by the target's mu, the variance is the sum of
    mu² p / q less the square of the user's value; as if exposures were drawn one by one, and not without return.
    """
    targets: dict[str, Callable[[Floats], Floats]] = {
        "by taste": lambda likes: likes**2 / (likes**2).sum(axis=1, keepdims=True),
        "the best item": lambda likes: (np.arange(likes.shape[1]) == likes.argmax(axis=1, keepdims=True)).astype(float),
    }
    for items in (200, 1_682, 10_000, 100_000, 855_000):
        world = fr.simulate(20_000, items, 100_000, seed=1)
        users = np.arange(0, 20_000, max(100, items // 200))
        line = []
        for name, target in targets.items():
            variances, values = [], []
            for user in users:
                likes = world.preferences([user])
                chance = world.propensity(user, np.arange(items)) / world.exposures(user)
                mu = target(likes)[0]
                values.append(float(mu @ likes[0]))
                variances.append(float((mu**2 * likes[0] / chance).sum()) - values[-1] ** 2)
            of_row, value = float(np.mean(variances)), float(np.mean(values))
            need = of_row / (0.01 * value) ** 2
            line.append(
                f"{name} {need:.2g} rows for 1 %, error at 1e7 {(need / 1e7) ** 0.5:.2g} %, at 1e9 "
                f"{(need / 1e9) ** 0.5:.2g} %"
            )
        print(f"{items:,} items: {'; '.join(line)}", flush=True)
    for items in (200, 1_682):
        _measure_rows(items, targets)


def _measure_rows(items: int, targets: Mapping[str, Callable[[Floats], Floats]], rounds: int = 400) -> None:
    """Compare the stated error with that of estimates from the rounds of a world."""
    users = 500
    world = fr.simulate(users, items, 2_500, seed=2, activity=0.0)
    everyone = np.arange(users)
    likes, shown = world.preferences(everyone), world.exposures(everyone)[:, None]
    propensity = world.propensity(everyone[:, None], np.arange(items))
    logs = [pa.table(world.observations(round=k, columns=["user_id", "item_id", "response"])) for k in range(rounds)]
    for name, target in targets.items():
        mu = target(likes)
        value = (mu * likes).sum(axis=1)
        stated = (((mu**2 * likes * shown / propensity).sum(axis=1) - value**2) / shown[:, 0]).sum() ** 0.5 / users
        weight = mu / propensity
        found = [
            float((weight[log["user_id"], log["item_id"]] * log["response"].to_numpy()).sum() / users) for log in logs
        ]
        print(
            f"{items:,} items, {name}, {rounds} logs of {len(logs[0]):,} rows: "
            f"error {np.std(found) / value.mean():.2%}, stated {stated / value.mean():.2%}; "
            f"mean {np.mean(found) / value.mean() - 1:+.2%}",
            flush=True,
        )


def policies(world: fr.World) -> dict[str, Callable[[npt.NDArray[np.int64]], Floats]]:
    """Three policies that show one item."""
    items = world.shape[1]
    popular = world.propensity(np.zeros(items, np.int64), np.arange(items))

    def by_taste(users: npt.NDArray[np.int64]) -> Floats:
        likes = world.preferences(users) ** 2
        return np.asarray(likes / likes.sum(axis=1, keepdims=True))

    rare = 1 / (0.05 + popular)
    return {
        "uniform": lambda users: np.full((len(users), items), 1 / items),
        "by taste": by_taste,
        "rare items": lambda users: np.tile(rare / rare.sum(), (len(users), 1)),
    }


def estimates(rows: int) -> None:
    users, items = max(1_000, rows // 300), 1_682
    world = fr.simulate(users, items, rows // 2, seed=1, appeal=1.0)
    everyone = np.arange(users)
    table = pa.table(world.observations(columns=["user_id", "item_id", "response", "propensity"]))
    user, item, response, propensity = (column.to_numpy() for column in table.columns)
    shown = np.bincount(item, minlength=items)
    model = np.bincount(item, response, minlength=items) / np.maximum(shown, 1)
    print(f"{world}: {len(user):,} rows")
    for name, policy in policies(world).items():
        exact = world.policy_value(policy, everyone)
        chance, direct = np.empty(len(user)), 0.0
        for start in range(0, users, 1_000):
            some = everyone[start : start + 1_000]
            here = slice(*np.searchsorted(user, [start, start + 1_000]))
            chances = policy(some)
            chance[here] = chances[user[here] - start, item[here]]
            direct += float((chances @ model).sum())
        weight = chance / propensity
        wrong = chance / np.random.default_rng(0).permutation(propensity)
        found = {
            "IPS": (weight * response).sum() / users,
            "SNIPS": (weight * response).sum() / weight.sum(),
            "DR": (direct + (weight * (response - model[item])).sum()) / users,
            "replay": (chance * response).sum() / chance.sum(),
            "IPS, permuted": (wrong * response).sum() / users,
        }
        line = ", ".join(f"{how} {value / exact - 1:+.2%}" for how, value in found.items())
        print(f"  {name}: exact {exact:.4f}; {line}", flush=True)


def guide(rows: float, threads: int, items: int = 200, at_once: int = 10_000) -> None:
    """Log a world, estimate what a policy by taste is worth, and say what it is worth, some users at a time."""
    users = round(rows / 100)
    rate = response_rate(fr.simulate(10_000, items, 100_000, seed=1, appeal=1.0))
    world = fr.simulate(users, items, round(rows * rate), seed=1, appeal=1.0)
    print(world, flush=True)
    wall, used, counts, sums, squares, exact = time.monotonic(), time.process_time(), 0, np.zeros(4), 0.0, 0.0
    columns = ["user_id", "item_id", "response", "propensity"]
    for first in range(0, users, at_once):
        some = np.arange(first, min(users, first + at_once))
        likes = world.preferences(some, threads=threads)
        chances = likes**2
        chances /= chances.sum(axis=1, keepdims=True)
        exact += float((chances * likes).sum())
        log = pa.table(world.observations(users=(first, int(some[-1]) + 1), columns=columns, threads=threads))
        user, item, response, propensity = (column.to_numpy() for column in log.columns)
        chance = chances[user - first, item]
        weight = chance / propensity
        of_user = np.bincount(user - first, weight * response, minlength=len(some))
        sums += [of_user.sum(), weight.sum(), (chance * response).sum(), chance.sum()]
        squares, counts = squares + float((of_user**2).sum()), counts + len(log)
        if (first // at_once) % 100 == 99 or some[-1] == users - 1:
            done = int(some[-1]) + 1
            value, ips = exact / done, sums[0] / done
            error = (squares / done - ips**2) ** 0.5 / done**0.5
            report(
                f"{done:,} users: exact {value:.6f}; IPS {ips / value - 1:+.3%}, standard error {error / value:.3%}; "
                f"SNIPS {sums[0] / sums[1] / value - 1:+.3%}; replay {sums[2] / sums[3] / value - 1:+.1%}",
                counts,
                wall,
                used,
            )


def coverage(logs: int = 200, users: int = 500, items: int = 200) -> None:
    """How many of the intervals of logs of users of their own have the value of all users."""
    world = fr.simulate(logs * users, items, 20 * logs * users, seed=1)
    everyone = np.arange(logs * users)
    log = pa.table(world.observations(columns=["user_id", "item_id", "response", "propensity"]))
    user, item, response, propensity = (column.to_numpy() for column in log.columns)
    for name, policy in policies(world).items():
        chances = policy(everyone)
        exact = float((chances * world.preferences(everyone)).sum() / len(everyone))
        weight = chances[user, item] / propensity
        for how, model in (("IPS", np.zeros(items)), ("DR", np.bincount(item, response) / np.bincount(item))):
            values = chances @ model + np.bincount(user, weight * (response - model[item]), minlength=len(everyone))
            of_log = values.reshape(logs, users)
            error = of_log.std(axis=1) / np.sqrt(users)
            covered = np.mean(np.abs(of_log.mean(axis=1) - exact) < 1.96 * error)
            print(f"  {name}, {how}: {covered:.1%} of {logs} intervals have the exact value", flush=True)


def least_probability(counts: npt.NDArray[np.int64], expected: Floats, trials: int) -> float:
    """The smallest tail probability of χ² of any row, times the rows; what is expected to be rare counts together."""
    variance = expected * (1 - expected / trials)
    rare = variance < _RARE
    squares = np.where(rare, 0.0, (counts - expected) ** 2 / np.maximum(variance, _RARE)).sum(axis=1)
    off, spread = (np.where(rare, values, 0.0).sum(axis=1) for values in (counts - expected, variance))
    squares += np.where(spread >= _RARE, off**2 / np.maximum(spread, _RARE), 0.0)
    return float(chi2.sf(squares, np.maximum((~rare).sum(axis=1) + (spread >= _RARE), 1)).min() * len(counts))


def propensities(draws: int) -> None:
    for policy in ("uniform", "popularity", "popularity^2"):
        world = fr.simulate(400, 200, 6_000, seed=1, policy=policy)
        rounds = -(-draws // world.exposure_count)
        counts = np.zeros(world.shape, np.int64)
        for number in range(rounds):
            log = pa.table(world.observations(round=number, columns=["user_id", "item_id"]))
            np.add.at(counts, (log["user_id"].to_numpy(), log["item_id"].to_numpy()), 1)
        stated = world.propensity(np.arange(400)[:, None], np.arange(200))
        assert np.all(counts[stated == 1] == rounds)
        worst = least_probability(counts, rounds * stated, rounds)
        print(
            f"{policy}: {counts.sum():,} draws, χ² of {len(counts)} users: family-wise p {min(1, worst):.2g}",
            flush=True,
        )


def fit(sources: list[str]) -> None:
    for source in sources:
        real = fr.read_interactions(source)
        started = time.monotonic()
        world = fr.simulate(fit=real)
        seconds = time.monotonic() - started
        made, known = (base_statistics(fr.leave_last_out(each)) for each in (world, real))
        print(f"{source}: {world}, {seconds:.0f} s")
        for side in ("user", "item"):
            both = [gini(found[f"train_{side}_degrees"]) or 0.0 for found in (known, made)]
            print(f"  Gini of {side}s {both[0]:.4f}, logged {both[1]:.4f}")
        sizes = [float(found["counts"].sum() / found["shape"].prod()) for found in (known, made)]
        print(f"  density {sizes[0]:.6f}, logged {sizes[1]:.6f} ({sizes[1] / sizes[0] - 1:+.2%})")
        off = np.abs(ratios(made["singular_values"]).y[1:16] / ratios(known["singular_values"]).y[1:16] - 1)
        print(
            f"  singular ratios 2 to 16: off by {np.median(off):.1%} in the median, {off.max():.1%} at most", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [
        "speed",
        "truth",
        "billion",
        "written",
        "round",
        "rows",
        "guide",
        "estimates",
        "coverage",
        "propensities",
        "fit",
    ]
    parser.add_argument("what", choices=every)
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=float)
    parser.add_argument("--users", type=float, default=5e7)
    parser.add_argument("--draws", type=float, default=1e7)
    given = parser.parse_args()
    run: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(given.threads),
        "truth": lambda: truth(given.threads),
        "billion": lambda: billion(given.rows or 1e9, given.threads),
        "written": lambda: written(given.sources[0], given.rows or 1e8, given.threads),
        "round": lambda: one_round(int(given.users), given.threads),
        "rows": rows_needed,
        "guide": lambda: guide(given.rows or 1e9, given.threads),
        "estimates": lambda: estimates(int(given.rows or 1e7)),
        "coverage": coverage,
        "propensities": lambda: propensities(int(given.draws)),
        "fit": lambda: fit(given.sources),
    }
    run[given.what]()


if __name__ == "__main__":
    main()
