"""Many worlds: reproducible, each alone, with what was drawn recorded."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fractalrs as fr
from fractalrs.simulation import Sequences
from fractalrs.simulation.ranges import QUANTITIES

SMALL = {"users": (20, 60), "items": (20, 60), "exposures": (5, 15)}

GOLDEN = {
    "users": 609,
    "items": 5793,
    "exposures": 256,
    "activity": 1.12109190116,
    "popularity": 1.906014976657,
    "level": -1.90937109819,
    "appeal": 0.193296801677,
    "taste": 1.344453681188,
    "dimensions": 12,
    "groups": 0.847600531224,
    "branching": 6,
    "exposure": 1.056197582482,
    "drift": 0.018406505169,
    "noise": 0.053860199321,
}


def same(first: Sequences, second: Sequences) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("items", "timestamps", "starts")
    )


def test_each_is_made_alone_and_again() -> None:
    many = fr.worlds(20, over=SMALL, seed=3)
    together = list(many.sequences(threads=3))
    for number in (0, 7, 19):
        alone = fr.worlds(number + 1, over=SMALL, seed=3)[number]
        assert alone == many[number]
        assert same(alone.sequences(threads=2), together[number])
        assert alone.world() == many[number].world()
    assert len({str(draw.values) for draw in many}) == 20
    assert not same(together[0], fr.worlds(1, over=SMALL, seed=4)[0].sequences())


def test_golden_draws() -> None:
    draw = fr.worlds(18, seed=7)[17]
    assert {name: round(value, 12) for name, value in draw.values.items()} == GOLDEN


@pytest.mark.parametrize("over", ["realistic", "unrealistic"])
def test_named_ranges_are_kept_and_filled(over: str) -> None:
    many = fr.worlds(400, over=over, seed=1)
    for name, quantity in QUANTITIES.items():
        low, high = getattr(quantity, over)
        found = np.array([draw.values[name] for draw in many])
        assert low <= found.min() <= found.max() <= high
        middle = np.sqrt(low * high) if quantity.scale == "logarithmic" else (low + high) / 2
        assert 0.3 < np.mean(found > middle) < 0.7
        assert (found == found.astype(int)).all() == (quantity.scale != "straight")


@settings(deadline=None)
@given(number=st.integers(0, 10**6), seed=st.integers(0, 2**63))
def test_one_range_changes_no_other(number: int, seed: int) -> None:
    many = fr.worlds(10**6 + 1, seed=seed)
    other = fr.worlds(10**6 + 1, over={"noise": (0.5, 0.6), "users": [7, 9]}, seed=seed)
    first, second = many[number].values, other[number].values
    assert {name for name in first if first[name] != second[name]} <= {"noise", "users"}
    assert second["users"] in (7, 9)


def test_unrealistic_worlds_are_worlds() -> None:
    over = {name: quantity.unrealistic for name, quantity in QUANTITIES.items()} | SMALL
    for draw in fr.worlds(60, over=over, seed=5):
        made, (users, items) = draw.sequences(), draw.world().shape
        assert len(made) == users == draw.values["users"]
        assert made.starts[-1] == len(made.items) == len(made.timestamps)
        if len(made.items):
            assert 0 <= made.items.min() <= made.items.max() < items
        steps = np.diff(made.timestamps)
        steps[made.starts[1:-1][(made.starts[1:-1] > 0) & (made.starts[1:-1] < len(made.items))] - 1] = 0
        assert (steps >= 0).all()


def test_without_drift_and_noise_sequences_are_the_log() -> None:
    draw = fr.worlds(1, over={**SMALL, "drift": 0.0, "noise": 0.0})[0]
    log = pa.table(draw.world().observations(only_responses=True))
    assert draw.sequences().items.tolist() == log["item_id"].to_pylist()


def test_drift_and_noise_are_as_much_as_said() -> None:
    size = {"users": 2_000, "items": 500, "exposures": 60}
    still = fr.worlds(1, over={**size, "drift": 0.0, "noise": 0.0})[0].sequences()
    noisy = fr.worlds(1, over={**size, "drift": 0.0, "noise": 0.25})[0].sequences()
    assert abs(np.mean(still.items != noisy.items) - 0.25 * (1 - 1 / 500)) < 0.02
    moved = fr.worlds(1, over={**size, "drift": 1.0, "noise": 0.0})[0].sequences()
    changed = still.items != moved.items
    place = np.arange(len(still.items)) - np.repeat(still.starts[:-1], np.diff(still.starts))
    share = place / np.maximum(np.repeat(np.diff(still.starts), np.diff(still.starts)) - 1, 1)
    assert not changed[place == 0].any()
    assert np.mean(changed[share < 0.3]) < np.mean(changed[share > 0.5])


@pytest.mark.parametrize("drift", [0.3, 1.0])
def test_drift_moves_as_many_as_said(drift: float) -> None:
    # All items are alike popular, and tastes are none: other responses are hardly ever to the same item.
    alike = {"popularity": 0.0, "exposure": 0.0, "taste": 0.0, "appeal": 0.0, "noise": 0.0, "level": 0.0}
    over = {**alike, "users": 2_000, "items": 2_000, "exposures": 60, "activity": 1.0}
    still, moved = (fr.worlds(1, over={**over, "drift": value})[0].sequences() for value in (0.0, drift))
    own = np.repeat(np.diff(still.starts), np.diff(still.starts))
    place = np.arange(len(own)) - np.repeat(still.starts[:-1], np.diff(still.starts))
    share, changed = place / np.maximum(own - 1, 1), still.items != moved.items
    for low, high in ((0.0, 0.2), (0.4, 0.6), (0.8, 1.01)):
        some = (share >= low) & (share < high)
        assert abs(changed[some].mean() - drift * share[some].mean()) < 0.02


def test_all_drift_towards_the_same_other_user() -> None:
    draw = fr.worlds(1, over={**SMALL, "users": 50, "exposures": 15, "drift": 1.0, "noise": 0.0}, seed=2)[0]
    made, round = draw.sequences(), pa.table(draw.world().observations(only_responses=True, round=1))
    theirs = [round["item_id"].to_numpy()[round["user_id"].to_numpy() == user].tolist() for user in range(50)]
    own = [made.items[a:b].tolist() for a, b in pairwise(made.starts)]

    def fits(shift: int) -> bool:
        others = theirs[shift:] + theirs[:shift]
        pairs = [(mine, other) for mine, other in zip(own, others, strict=True) if len(mine) > 1 and other]
        return len(pairs) > 5 and all(
            mine[-1] == other[(len(mine) - 1) * len(other) // len(mine)] for mine, other in pairs
        )

    (shift,) = filter(fits, range(50))
    assert shift > 0


def test_padded_sequences() -> None:
    made = Sequences(np.array([5, 6, 7, 8], np.int32), np.arange(4), np.array([0, 3, 3, 4]))
    assert made.padded(2).tolist() == [[6, 7], [-1, -1], [-1, 8]]
    assert made.to_table().column_names == ["user_id", "item_id", "timestamp"]


def test_a_curriculum_is_an_order() -> None:
    many = fr.worlds(30, over=SMALL, seed=1)
    ordered = many.sorted(lambda values: -values["taste"])
    tastes = [draw.values["taste"] for draw in ordered]
    assert tastes == sorted(tastes, reverse=True)
    assert {draw.number for draw in ordered} == set(range(30))
    assert [draw.number for draw in ordered[5:8]] == list(ordered.numbers[5:8])
    assert same(next(ordered.sequences()), many[ordered.numbers[0]].sequences())


def test_interactions_have_each_pair_once() -> None:
    draw = fr.worlds(1, over={"users": 300, "items": 80, "exposures": 40, "noise": 0.5})[0]
    table = draw.interactions().table
    pairs = set(zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))
    assert len(pairs) == len(table) < len(draw.sequences().items)


def test_seeds_do_not_collide() -> None:
    def wrong(number: int, seed: int) -> list[bool]:
        over = {"users": 300, "items": 2_000, "exposures": 60, "level": 0.0, "drift": 0.0}
        still, noisy = (fr.worlds(2, {**over, "noise": noise}, seed)[number].sequences() for noise in (0.0, 0.5))
        return (still.items != noisy.items)[:200].tolist()  # type: ignore[no-any-return]

    # As lists of words both seeds and numbers would begin the same draws.
    assert wrong(1, seed=0) != wrong(0, seed=2**32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be"),
        ({"over": "odd"}, "over is 'odd'"),
        ({"over": 7}, "over is 7"),
        ({"over": {"tast": 1.0}}, "over has 'tast'"),
        ({"over": {"taste": (2.0, 1.0)}}, "taste is drawn over"),
        ({"over": {"taste": (1.0, 2.0, 3.0)}}, "taste is drawn over"),
        ({"over": {"taste": []}}, "over nothing"),
        ({"over": {"taste": float("nan")}}, "must be numbers from 0 to 10"),
        ({"over": {"users": 3.5}}, "whole numbers"),
        ({"over": {"noise": True}}, "must be numbers"),
        ({"over": {"noise": "none"}}, "must be numbers"),
        ({"over": {"dimensions": 17}}, "from 1 to 16"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(fr.InputError, match=message):
        fr.worlds(**{"n": 3, **options})
