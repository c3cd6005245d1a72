"""Which interactions each rule of a split holds out."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractalrs.base import Base, leave_last_out
from fractalrs.errors import InputError
from fractalrs.reading import read_interactions
from fractalrs.words import SPLITS

YEAR = 1_420_070_400
"""The first second of 2015."""


def source(rows: Sequence[tuple[int, ...]], kind: pa.DataType | None = None) -> pa.Table:
    """A table of (user, item) or (user, item, time)."""
    names = ("user_id", "item_id", "timestamp")
    columns = {name: pa.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=False)}
    if kind is not None:
        columns["timestamp"] = columns["timestamp"].cast(kind)
    return pa.table(columns)


def held_out(base: Base) -> set[tuple[int, int]]:
    """The test interactions, by their ids."""
    users, items = base.owners[base.test_mask], base.indices[base.test_mask]
    return {(base.user_ids[int(u)].as_py(), base.item_ids[int(i)].as_py()) for u, i in zip(users, items, strict=True)}


rows_with_times = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 9)),
    min_size=4,
    max_size=60,
    unique_by=lambda r: r[:2],
).filter(lambda rows: len({r[0] for r in rows}) > 1 < len({r[1] for r in rows}))


@settings(deadline=None)
@given(rows_with_times, st.integers(1, 4), st.sampled_from(["last", "all"]))
def test_so_many_of_the_latest_are_test(rows: list[tuple[int, ...]], count: int, ties: Any) -> None:
    base = leave_last_out(source(rows), split="last", ties=ties, leave_out=count, min_timestamps=0)
    expected = set()
    for user in {row[0] for row in rows}:
        mine = [(time, place, item) for place, (u, item, time) in enumerate(rows) if u == user]
        times = sorted({time for time, _, _ in mine})[-count:]
        latest = [row for row in mine if row[0] in times] if ties == "all" else sorted(mine)[-count:]
        expected |= {(user, item) for _, _, item in latest}
    assert held_out(base) == expected


def test_every_user_keeps_a_train_interaction_by_default() -> None:
    rows = [(user, item, min(item, user)) for user in range(8) for item in range(7)]
    for count in (1, 2, 3):
        for ties in ("last", "all"):
            base = leave_last_out(source(rows), split="last", ties=ties, leave_out=count)
            assert base.user_degrees("train").min() >= 1
            assert base.user_degrees("test").min() >= count
            assert base.shape[0] == 8 - count


@settings(deadline=None)
@given(rows_with_times.filter(lambda rows: len({r[2] for r in rows}) > 1), st.floats(0.01, 0.99))
def test_a_share_by_the_clock(rows: list[tuple[int, ...]], share: float) -> None:
    base = leave_last_out(source(rows), split="time", test_share=share)
    (cut,) = base.cuts
    assert held_out(base) == {(user, item) for user, item, time in rows if time >= cut}
    times = sorted(time for _, _, time in rows)
    # No later cut holds out as many, unless this is the first that leaves something.
    wanted = min(max(round(share * len(rows)), 1), len(rows) - 1)
    assert sum(time > cut for time in times) < wanted
    assert base.test_count >= wanted or cut == min(time for time in times if time > times[0])
    assert 0 < base.test_count < base.count


@pytest.mark.parametrize(
    "after",
    [
        "2015-01-02",
        "20150102",
        "2015-01-02T00:00",
        "2015-01-02T01:00+01:00",
        date(2015, 1, 2),
        datetime(2015, 1, 2, tzinfo=UTC),
        "2015-01-01T23:59:59.5",
        YEAR + 86_400,
        str(YEAR + 86_400),
    ],
)
def test_a_date_is_a_moment_in_utc(after: Any) -> None:
    rows = [(1, 1, YEAR), (1, 2, YEAR + 86_399), (2, 1, YEAR + 86_400), (2, 2, YEAR + 86_401)]
    base = leave_last_out(source(rows), split="time", test_after=after, payload=["timestamp"])
    assert base.cuts == (YEAR + 86_400,)
    assert held_out(base) == {(2, 1), (2, 2)}
    assert "Test is what happened from 2015-01-02T00:00:00 on: 50 % of the interactions." in base.notes


@pytest.mark.parametrize(
    ("kind", "per_second"), [(pa.timestamp("ms"), 1e3), (pa.timestamp("us", "UTC"), 1e6), (pa.timestamp("ns"), 1e9)]
)
def test_dates_of_every_unit(kind: pa.DataType, per_second: float) -> None:
    rows = [(u, i, int((YEAR + 3600 * (i - 3)) * per_second)) for u in range(2) for i in range(6)]
    base = leave_last_out(source(rows, kind), split="time", test_after="2015-01-01")
    assert base.cuts == (int(YEAR * per_second),)
    assert held_out(base) == {(u, i) for u in range(2) for i in (3, 4, 5)}


def test_days_are_cut_between_days() -> None:
    table = source([(u, i, 16_000 + i) for u in range(2) for i in range(4)])
    table = table.set_column(2, "timestamp", table["timestamp"].cast(pa.int32()).cast(pa.date32()))
    base = leave_last_out(table, split="time", test_after="2013-10-23T08:00")
    assert base.cuts == (16_002,)
    assert held_out(base) == {(u, i) for u in range(2) for i in (2, 3)}


@settings(deadline=None)
@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 5))
def test_whole_users_are_held_out(users: int, share: float, seed: int) -> None:
    rows = [(user, item) for user in range(users) for item in range(user % 3 + 1)] + [(0, 5)]
    base = leave_last_out(source(rows), split="users", test_share=share, seed=seed)
    test, all_of_them = base.user_degrees("test"), base.user_degrees()
    assert np.all((test == 0) | (test == all_of_them))
    assert np.count_nonzero(test) == min(max(round(share * users), 1), users - 1)
    again = leave_last_out(source(rows[::-1]), split="users", test_share=share, seed=seed)
    assert again.fingerprint == base.fingerprint


def test_users_are_chosen_alike() -> None:
    rows = source([(user, item) for user in range(50) for item in range(2)])
    bases = [leave_last_out(rows, split="users", test_share=0.2, seed=seed) for seed in range(200)]
    counts = np.sum([base.user_degrees("test") > 0 for base in bases], axis=0)
    # Binomial(200, 0.2): ten standard deviations are 56.6.
    assert np.all(np.abs(counts - 40) < 30)
    assert counts.sum() == 200 * 10


def test_a_base_remembers_its_cut(tmp_path: Path) -> None:
    rows = [(u, i, 10 * i) for u in range(3) for i in range(5)]
    base = leave_last_out(source(rows), split="time", test_after=30, payload=["timestamp"])
    base.save(tmp_path / "base")
    loaded = Base.load(tmp_path / "base", verify=True)
    assert (loaded.split, loaded.cuts, loaded.fingerprint) == ("time", (30,), base.fingerprint)
    # Between the same interactions there may be another cut, to which expanded times go.
    other = leave_last_out(source(rows), split="time", test_after=25, payload=["timestamp"])
    assert np.array_equal(other.entries, base.entries)
    assert other.fingerprint != base.fingerprint


# --- validation -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(rows_with_times, st.integers(1, 3), st.sampled_from(["last", "all"]))
def test_as_many_before_test_are_for_validation(rows: list[tuple[int, ...]], count: int, ties: Any) -> None:
    options: dict[str, Any] = {"split": "last", "ties": ties, "min_timestamps": 0}
    base = leave_last_out(source(rows), leave_out=count, validation=True, **options)
    without, twice = (leave_last_out(source(rows), leave_out=k, **options) for k in (count, 2 * count))
    assert np.array_equal(base.test_mask, without.test_mask)
    assert np.array_equal(base.test_mask | base.mask("valid"), twice.test_mask)
    assert base.train_count + base.valid_count + base.test_count == base.count
    assert np.array_equal(
        base.user_degrees("valid"), np.bincount(base.owners[base.mask("valid")], minlength=base.shape[0])
    )
    assert np.array_equal(
        base.valid.toarray() + base.test.toarray() + base.train.toarray(), abs(base.to_scipy()).toarray()
    )


def test_validation_leaves_every_user_a_train_interaction() -> None:
    rows = [(user, item, min(item, user)) for user in range(9) for item in range(8)]
    base = leave_last_out(source(rows), split="last", leave_out=2, validation=True)
    assert base.shape[0] == 9 - 4
    assert min(base.user_degrees(split).min() for split in SPLITS) >= 1


@settings(deadline=None)
@given(rows_with_times.filter(lambda rows: len({r[2] for r in rows}) > 2), st.floats(0.01, 0.4))
def test_validation_by_the_clock(rows: list[tuple[int, ...]], share: float) -> None:
    plain = leave_last_out(source(rows), split="time", test_share=share)
    options: dict[str, Any] = {"split": "time", "test_share": share, "validation": True}
    if len({time for _, _, time in rows if time < plain.cuts[0]}) == 1:
        with pytest.raises(InputError, match="leave nothing before validation"):
            leave_last_out(source(rows), **options)
        return
    base = leave_last_out(source(rows), **options)
    first, last = base.cuts
    assert last == plain.cuts[0]
    times = {(user, item): time for user, item, time in rows}
    for split, mask in ((split, base.mask(split)) for split in SPLITS):
        users, items = base.owners[mask], base.indices[mask]
        found = [
            times[base.user_ids[int(u)].as_py(), base.item_ids[int(i)].as_py()]
            for u, i in zip(users, items, strict=True)
        ]
        assert found
        assert all({"train": t < first, "valid": first <= t < last, "test": t >= last}[split] for t in found)


def test_validation_from_a_time_on() -> None:
    rows = [(u, i, i) for u in range(2) for i in range(9)]
    base = leave_last_out(source(rows), split="time", test_after=7, valid_after=5)
    assert base.cuts == (5, 7)
    assert [base.train_count, base.valid_count, base.test_count] == [10, 4, 4]
    assert repr(base) == "Base(2 users × 9 items, 10 train, 4 valid, 4 test, split='time')"


@settings(deadline=None)
@given(st.integers(3, 40), st.floats(0.01, 0.99), st.integers(0, 5))
def test_other_users_are_for_validation(users: int, share: float, seed: int) -> None:
    rows = source([(user, item) for user in range(users) for item in range(user % 3 + 1)] + [(0, 5)])
    base = leave_last_out(rows, split="users", test_share=share, seed=seed, validation=True)
    in_split = np.array([base.user_degrees(split) > 0 for split in SPLITS])
    assert np.all(in_split.sum(axis=0) == 1)
    train, valid, test = in_split.sum(axis=1)
    assert valid == test == min(max(round(share * users), 1), (users - 1) // 2)
    assert train > 0


def test_another_random_interaction_is_for_validation() -> None:
    rows = source([(u, i) for u in range(300) for i in range(4)] + [(900, 1), (900, 2)])
    counts = np.zeros((4, 4))
    for seed in range(20):
        base = leave_last_out(rows, split="random", validation=True, seed=seed)
        assert base.shape[0] == 300
        assert np.all(base.user_degrees("valid") == 1)
        np.add.at(counts, (base.indices[base.mask("valid")], base.indices[base.test_mask]), 1)
    assert np.all(np.diag(counts) == 0)
    # Twelve cells of 500 each: Chi-square with 11 degrees of freedom is above 50 with probability 1e-6.
    assert ((counts[counts > 0] - 500) ** 2 / 500).sum() < 50


def test_a_base_with_validation_is_saved(tmp_path: Path) -> None:
    rows = [(u, i, 10 * i) for u in range(3) for i in range(5)]
    base = leave_last_out(source(rows), validation=True, payload=["timestamp"])
    base.save(tmp_path / "base")
    loaded = Base.load(tmp_path / "base", verify=True)
    assert np.array_equal(loaded.mask("valid"), base.mask("valid"))
    assert loaded.fingerprint == base.fingerprint
    masks = {"test_mask": base.test_mask, "valid_mask": base.mask("valid")}
    payload = {"timestamp": base.column("timestamp")}
    again = Base.from_arrays(base.indptr, base.indices, **masks, split="last", payload=payload)  # type: ignore[arg-type]
    assert again.fingerprint == base.fingerprint
    assert again.fingerprint != Base.from_arrays(base.indptr, base.indices, base.test_mask, payload=payload).fingerprint


GOOD = [(1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "time"}, "the split 'time' needs test_after or test_share, and none is given"),
        ({"split": "time", "test_after": 2, "test_share": 0.5}, "and both are given"),
        ({"split": "users"}, "the split 'users' needs test_share"),
        ({"split": "users", "test_after": 2}, "test_after is for the split 'time'"),
        ({"test_after": 2}, "test_after is for the split 'time'"),
        ({"split": "last", "test_share": 0.5}, "test_share is for the splits 'time' and 'users'"),
        ({"split": "time", "test_share": 0}, "test_share is 0; it must be a number above 0 and below 1"),
        ({"split": "time", "test_share": 1.0}, "test_share is 1.0; it must be"),
        ({"split": "users", "test_share": float("nan")}, "test_share is nan; it must be"),
        ({"split": "users", "test_share": "many"}, "test_share is 'many'; it must be"),
        (
            {"split": "time", "test_after": 1},
            "test_after is 1, and no interaction is before it: nothing is left to train",
        ),
        (
            {"split": "time", "test_after": 3},
            "no interaction is from it on\nhint: choose a time between: they are from 1 to 2",
        ),
        (
            {"split": "time", "test_after": "2015-13-01"},
            "test_after is '2015-13-01', which is no date\nhint: write 2024-01-31",
        ),
        ({"split": "time", "test_after": True}, "test_after is True, which is no date"),
        ({"split": "time", "test_after": 1.5}, "test_after is 1.5, which is no date"),
        ({"split": "time", "test_after": -1}, "test_after is -1; a number of ticks is from 0"),
        (
            {"split": "time", "test_after": "2015-01-01"},
            "numbers that do not tell what they count\nhint: give a number",
        ),
        ({"leave_out": 0}, "leave_out must be a whole number, 1 or more, not 0"),
        ({"split": "random", "leave_out": 2}, "only the split 'last' leaves so many out"),
        ({"leave_out": 3}, "the filter leaves 0 users"),
        ({"validation": 1}, "validation is 1; it must be True or False"),
        ({"split": "none", "validation": True}, "the split 'none' holds nothing out"),
        ({"split": "users", "test_share": 0.5, "validation": True}, "with validation needs three users"),
        ({"split": "time", "test_after": 2, "validation": True}, "would leave nothing before validation"),
        (
            {"split": "time", "test_after": 2, "valid_after": 2},
            "no interaction is from it on and before test",
        ),
        ({"valid_after": 2}, "valid_after is for the split 'time'"),
    ],
)
def test_bad_rules_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        leave_last_out(source(GOOD), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "time", "test_share": 0.5}, "the split 'time' needs timestamps, and the interactions have none"),
        ({"leave_out": 2}, "leave_out is 2, which needs timestamps, and the interactions have no timestamps"),
    ],
)
def test_what_needs_timestamps_says_so(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        leave_last_out(source([row[:2] for row in GOOD]), **options)


def test_one_time_cannot_be_cut() -> None:
    with pytest.raises(InputError, match="would leave nothing before test: all of it happened at 7"):
        leave_last_out(source([(*row[:2], 7) for row in GOOD]), split="time", test_share=0.5)


def test_a_cut_that_does_not_fit_is_refused() -> None:
    times = {"timestamp": [1, 2, 3]}
    for cuts, message in (([], "the split 'time' has one cut"), ([2], "a train interaction is after the cut 2")):
        with pytest.raises(InputError, match=message):
            Base.from_arrays([0, 3], [0, 1, 2], [False, False, True], split="time", payload=times, cuts=cuts)
    with pytest.raises(InputError, match=r"cuts are \(3,\), the split is 'last'"):
        Base.from_arrays([0, 3], [0, 1, 2], [False, False, True], split="last", payload=times, cuts=[3])


def test_any_source_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,timestamp\n" + "".join(f"{u},{i},{YEAR + 9 * i}\n" for u in range(3) for i in range(5)))
    base = leave_last_out(path, split="time", test_share=0.4)
    assert held_out(base) == {(u, i) for u in range(3) for i in (3, 4)}
    assert leave_last_out(read_interactions(path), split="time", test_share=0.4).fingerprint == base.fingerprint
