"""From a few numbers, or from real interactions, to a world; and what is refused."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import fractalrs as fr
from fractalrs.base import base_statistics
from fractalrs.errors import OutputError
from fractalrs.statistics import gini, ratios
from fractalrs.tools import digest_of_json


def off(world: fr.World, real: Any) -> dict[str, float]:
    """How far the moments of a log are from the real ones."""
    a, b = (
        base_statistics(fr.leave_last_out(source, payload=["timestamp"]), timestamps=True) for source in (world, real)
    )
    size = {name: float(np.sum(found["counts"]) / np.prod(found["shape"])) for name, found in (("a", a), ("b", b))}
    of_ratios = ratios(a["singular_values"]).y[1:16] / ratios(b["singular_values"]).y[1:16]

    def times(found: Any) -> np.ndarray[Any, Any]:
        codes, counts = found["time_inter_event_codes"], found["time_inter_event_counts"]
        return np.repeat(codes, counts)

    # Kolmogorov and Smirnov: many real times are the same.
    over = [np.searchsorted(np.sort(times(found)), times(b), side="right") / len(times(found)) for found in (a, b)]
    between = np.abs(over[0] - over[1])
    return {
        "users": abs((gini(a["train_user_degrees"]) or 0) - (gini(b["train_user_degrees"]) or 0)),
        "items": abs((gini(a["train_item_degrees"]) or 0) - (gini(b["train_item_degrees"]) or 0)),
        "density": abs(size["a"] / size["b"] - 1),
        "ratios": float(np.median(np.abs(of_ratios - 1))),
        "times": float(between.max()),
    }


def close(misses: dict[str, float]) -> bool:
    within = {"users": 0.02, "items": 0.02, "density": 0.01, "ratios": 0.1, "times": 0.1}
    return all(misses[name] <= most for name, most in within.items())


def test_fit_to_interactions() -> None:
    real = fr.sample_interactions(200, 300, 6_000, seed=1)
    world = fr.simulate(fit=real)
    assert close(off(world, real)), off(world, real)
    # Another seed makes another log of about the same moments.
    larger = fr.simulate(400, fit=real, interactions=12_000)
    count = larger.interactions().table.num_rows
    assert abs(count / 12_000 - 1) < 0.01
    base = fr.leave_last_out(real)
    assert fr.simulate(fit=base).spec["activity"] == fr.simulate(fit=base_statistics(base)).spec["activity"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ml_latest_small", "movietweetings"])
def test_fit_to_real_data(name: str, request: pytest.FixtureRequest) -> None:
    real = fr.read_interactions(request.getfixturevalue(name))
    assert close(off(fr.simulate(fit=real), real))


def test_moments_that_cannot_be_met_name_the_nearest() -> None:
    users, items = np.divmod(np.arange(40 * 40), 40)
    rising = items < np.where(users < 2, 40, 3)
    table = pa.table({"user_id": users[rising], "item_id": items[rising], "timestamp": np.arange(rising.sum())})
    with pytest.raises(fr.InputError, match=r"the nearest has .* off by"):
        fr.simulate(fit=table, policy="uniform")


def test_sizes_are_met() -> None:
    for users, items, interactions in [(500, 200, 8_000), (3_000, 1_000, 40_000)]:
        world = fr.simulate(users, items, interactions, seed=1)
        assert world.shape == (users, items)
        assert abs(len(world.interactions()) / interactions - 1) < 0.02


def test_a_world_is_a_source(tmp_path: Path) -> None:
    world = fr.simulate(100, 60, 900, seed=1)
    base = fr.leave_last_out(world, split="none")
    assert base.count == len(world.interactions())
    dataset = fr.expand(world, tmp_path / "out", user_multiplier=2, item_multiplier=2)
    assert fr.validate(dataset, fr.leave_last_out(world), only="integrity").failures == ()


def test_the_rating_is_a_binomial_of_the_preference() -> None:
    world = fr.simulate(2_000, 100, 30_000, seed=1)
    log = pa.table(world.observations())
    rated = log.filter(log["response"])
    assert rated["rating"].null_count == 0
    assert log["rating"].null_count == len(log) - len(rated)
    expected = 1 + 4 * world.preference(rated["user_id"], rated["item_id"])
    assert abs((rated["rating"].to_numpy() - expected).mean()) < 5 * np.sqrt(4 * 0.25 / len(rated))


def test_opening_a_written_world_again(tmp_path: Path) -> None:
    world = fr.simulate(300, 80, 3_000, seed=6, slate=2, position_bias=1.0)
    world.write(tmp_path / "out", rounds=2)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        *("README.md", "manifest.json", "round=0000", "round=0001", "world.json")
    ]
    again = fr.World.open(tmp_path / "out")
    assert pa.table(again.observations(round=1)).equals(pa.table(world.observations(round=1)))
    read = ds.dataset(tmp_path / "out", partitioning="hive", exclude_invalid_files=True).to_table()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(read) == manifest["rows"] == 2 * world.exposure_count
    first = read.filter(pa.compute.equal(read["round"], 0)).drop_columns("round")
    assert first.equals(pa.table(world.observations()).cast(first.schema))
    world.save(tmp_path / "alone.json")
    assert fr.World.open(tmp_path / "alone.json").spec == world.spec
    with pytest.raises(OutputError, match="exists already"):
        world.write(tmp_path / "out")
    whole = (tmp_path / "alone.json").read_text()
    (tmp_path / "alone.json").write_text(whole.replace('"seed": 6', '"seed": 7'))
    with pytest.raises(fr.InputError, match="damaged"):
        fr.World.open(tmp_path / "alone.json")


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    world = fr.simulate(300, 80, 3_000, seed=6)

    class Stops(fr.Progress):
        def task(self, *_: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.write(tmp_path / "out", progress=Stops())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"users": 1}, "users must be a whole number, 2 or more"),
        ({"interactions": 10**9}, "cannot be met: with everything shown to everybody there are about"),
        ({"policy": "best"}, "policy is 'best'"),
        ({"policy": "popularity^x"}, "policy is 'popularity.x'"),
        ({"policy": "popularity^"}, "policy is 'popularity.'"),
        ({"policy": "popularity^-1"}, "policy is 'popularity.-1'"),
        ({"policy": "popularity^11"}, "policy is 'popularity.11'"),
        ({"slate": 0}, "slate must be a whole number, 1 or more"),
        ({"slate": 41}, "a slate of 41 items is larger than the catalogue of 40"),
        ({"position_bias": -1.0}, "position_bias is -1.0; it must be a number from 0 to 10"),
        ({"taste": float("nan")}, "taste is nan"),
        ({"level": "high"}, "level is 'high'"),
        ({"seed": -1}, "seed must be"),
        ({"policy": lambda users: np.ones((len(users), 39))}, r"the policy returned the shape \(60, 39\) for 60 users"),
        (
            {"policy": lambda users: np.full((len(users), 40), np.nan)},
            "policy returned numbers that are not finite",
        ),
        ({"policy": lambda users: np.full((len(users), 40), -1.0)}, "the policy gives user 0 a negative weight"),
        ({"policy": lambda users: np.eye(40)[users % 40]}, "exposures, and the policy gives 1 items a chance"),
        ({"policy": lambda users: [["a"] * 40] * len(users)}, "the policy returned no numbers"),
        ({"fit": {"shape": (3, 3)}}, "fit has no 'counts'"),
        ({"fit": "ratings.csv", "level": 0.0}, "level is solved by fit, and given too"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(fr.InputError, match=message):
        fr.simulate(**{"users": 60, "items": 40, "interactions": 250, **options})


def alike(row: np.ndarray[Any, Any]) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    return lambda users: np.tile(row, (len(users), 1))


def test_policies_whose_value_is_asked_are_checked() -> None:
    world = fr.simulate(60, 40, 250)
    for returned, message in [
        (np.full(40, 1 / 39), "add up to 1.02564"),
        (np.full(40, 0.001), "add up to 0.04"),
        (np.append(np.full(39, 1 / 40), np.nan), "not finite"),
        (np.append(np.full(38, 0.0), [1.5, -0.5]), "with probability 1.5, which is none"),
        (np.full(41, 1 / 41), r"returned the shape \(60, 41\)"),
    ]:
        with pytest.raises(fr.InputError, match=message):
            world.policy_value(alike(returned))
    with pytest.raises(fr.InputError, match="epsilon is 0"):
        fr.EpsilonGreedy(lambda users: users, epsilon=0)
    with pytest.raises(fr.InputError, match="not within 0 to 39"):
        world.preference(0, 40)
    with pytest.raises(fr.InputError, match="is a function, which no file can hold"):
        fr.simulate(60, 40, 250, policy=lambda users: np.ones((len(users), 40))).save("world.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": {"ranks": [0, 40], "values": [1, 1_000]}}, "the weight of items rises"),
        ({"start": 2**64 - 1, "arrivals": 2**64 - 1}, "times are too late"),
        ({"activity": {"ranks": [0, 59, 60], "values": [0, 59, 59 + 41]}}, "a user has up to 41 exposures of 40 items"),
    ],
)
def test_a_spec_that_is_no_world_is_refused(changes: dict[str, Any], message: str) -> None:
    spec = fr.simulate(60, 40, 250).spec
    with pytest.raises(fr.InputError, match=message):
        fr.World({**spec, **changes})


def test_times_end_where_64_bits_do() -> None:
    spec = fr.simulate(2, 5_000, 100).spec
    liked, shown = ({"ranks": [0, end], "values": values} for end, values in ((5_000, [1 << 24] * 2), (2, [0, 10_000])))
    world = fr.World({**spec, "pauses": [2**52] * 2, "appeal": liked, "activity": shown})
    times = pa.table(world.observations(users=(0, 1)))["timestamp"].to_numpy()
    assert (times[0], times[-1]) == (times.min(), 2**63 - 1)
    assert times[0] >= spec["start"]


def test_integers_of_numpy_count_as_well(tmp_path: Path) -> None:
    def of_numpy(*values: int) -> Any:
        return tuple(np.array(values, np.int64))

    users, items, interactions, seed, two = of_numpy(60, 40, 600, 7, 2)
    world = fr.simulate(users, items, interactions, seed, slate=two)
    assert world == fr.simulate(60, 40, 600, 7, slate=2)
    assert world.write(tmp_path / "out", rounds=two) == 2 * world.exposure_count
    assert fr.World.open(tmp_path / "out") == world
    log = world.observations(users=of_numpy(3, 9), round=two)
    assert pa.table(log).equals(pa.table(world.observations(users=(3, 9), round=2)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"users": 7}, "users is 7; it must be two whole numbers"),
        ({"users": (0, 1, 2)}, "must be two whole numbers"),
        ({"users": (0, 1.5)}, "the last of users must be a whole number"),
        ({"users": (-1, 5)}, "the first of users must be a whole number"),
        ({"users": (0, 61)}, "users 0 to 61 are not within 0 to 60"),
        ({"round": 2**64}, "it must be below 2.64"),
        ({"round": 0.5}, "round must be a whole number"),
    ],
)
def test_what_no_log_is_of_is_refused(options: dict[str, Any], message: str) -> None:
    world = fr.simulate(60, 40, 250)
    with pytest.raises(fr.InputError, match=message):
        world.observations(**options)
    assert pa.table(world.observations(round=2**64 - 1)).num_rows == world.exposure_count


def uniform(users: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ones((len(users), 40))


def test_worlds_are_values() -> None:
    for policy in ("popularity", fr.EpsilonGreedy(uniform, 0.2)):
        world = fr.simulate(60, 40, 250, policy=policy)
        for again in (copy.deepcopy(world), pickle.loads(pickle.dumps(world)), fr.simulate(60, 40, 250, policy=policy)):
            assert again == world
            assert hash(again) == hash(world)
            assert again.observations() == world.observations()
        log = pickle.loads(pickle.dumps(world.observations(users=(3, 9))))
        assert pa.table(log).equals(pa.table(world.observations(users=(3, 9))))
    assert fr.simulate(60, 40, 250) != fr.simulate(60, 40, 250, seed=1) != "a world"


@pytest.mark.parametrize("spec", [[1], "text", {"seed": 1}, None])
def test_a_file_that_is_no_world_is_refused(spec: Any, tmp_path: Path) -> None:
    saved = {"simulation": 1, "policy": "uniform", "spec": spec, "blake3": digest_of_json(spec)}
    (tmp_path / "world.json").write_text(json.dumps(saved))
    with pytest.raises(fr.InputError, match="is no saved world"):
        fr.World.open(tmp_path)


def test_no_room_is_said_before_the_first_byte(tmp_path: Path) -> None:
    world = fr.simulate(60, 40, 250)
    with pytest.raises(OutputError, match="too little free disk"):
        world.write(tmp_path / "out", rounds=10**15)
    with pytest.raises(OutputError, match="cannot write"):
        world.save(tmp_path / ("w" * 250))  # The name it has until it is whole is longer.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("epsilon", [1e-300, 1e-17, 1e-12])
def test_every_item_keeps_a_chance(epsilon: float) -> None:
    world = fr.simulate(
        60, 40, 250, policy=fr.EpsilonGreedy(lambda users: -np.arange(40.0) + 0 * users[:, None], epsilon)
    )
    chances = world.propensity(np.arange(60)[:, None], np.arange(40))
    assert chances.min() > 0
    assert np.allclose(chances.sum(axis=1), world.exposures(range(60)))
    tiny = fr.simulate(60, 40, 250, policy=lambda users: np.tile(np.append(np.ones(39), 1e-300), (len(users), 1)))
    assert tiny.propensity(range(60), 39).min() > 0
    with pytest.raises(fr.InputError, match="more than a number can be"):
        fr.simulate(60, 40, 250, policy=lambda users: np.full((len(users), 40), 1e308))


def test_fit_takes_times_of_any_unit() -> None:
    real = pa.table(fr.sample_interactions(100, 80, 2_000, seed=1))
    seconds = real["timestamp"].to_numpy()
    worlds = [
        fr.simulate(fit=real.set_column(real.column_names.index("timestamp"), "timestamp", [times]))
        for times in (pa.array(seconds), pa.array(seconds * 10**9), pa.array(seconds * 10**9).cast(pa.timestamp("ns")))
    ]
    for world in worlds[1:]:
        # Lengths are counted by classes.
        assert abs(world.spec["start"] - worlds[0].spec["start"]) < 3_600
        assert np.allclose(world.spec["pauses"], worlds[0].spec["pauses"], rtol=0.05, atol=1)


def test_fit_compares_logs_split_likewise() -> None:
    real = fr.sample_interactions(100, 80, 2_000, seed=1)
    for split in ("random", "none"):
        assert fr.simulate(fit=fr.leave_last_out(real, split=split)).shape[0] >= 100
    for options in ({"split": "users", "test_share": 0.2}, {"validation": True}):
        with pytest.raises(fr.InputError, match="fit is a base with validation, or whose split"):
            fr.simulate(fit=fr.leave_last_out(real, **options))
    with pytest.raises(fr.InputError, match="a slate of 5000 items is larger"):
        fr.simulate(fit=real, slate=5_000)


def test_too_few_interactions_to_fit_are_refused_as_such() -> None:
    users = np.repeat(np.arange(3), 3)
    real = pa.table({"user_id": users, "item_id": (users + np.arange(9)) % 3, "timestamp": np.arange(9)})
    with pytest.raises(fr.InputError, match="fit has 9 interactions, and no log of about so many"):
        fr.simulate(fit=real)
