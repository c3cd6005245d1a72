"""The split: equal to a slow plain reading of its rules, and blind to the order of the file save for ties."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractalrs.base import Base, leave_last_out
from fractalrs.base.hold_out import with_payload
from fractalrs.errors import InputError
from fractalrs.reading import Interactions, read_interactions

Row = tuple[Any, ...]


def interactions(rows: list[Row]) -> Interactions:
    """StreamedMatrix of (user, item) or (user, item, timestamp)."""
    names = ["user_id", "item_id", "timestamp"]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return read_interactions(pa.table(dict(zip(names, columns, strict=False))))


def signed(base: Base) -> dict[tuple[Any, Any], int]:
    """Map (user id, item id) to +1 or −1."""
    matrix = base.to_scipy().tocoo()
    users, items = base.user_ids.to_pylist(), base.item_ids.to_pylist()
    return {(users[u], items[i]): int(v) for u, i, v in zip(matrix.row, matrix.col, matrix.data, strict=True)}


def oracle(rows: list[Row], ties: str, least: int) -> dict[tuple[Any, Any], int]:
    """Follow the rules one by one, in the order in which the docstring of `leave_last_out` states them."""
    latest: dict[Any, dict[Any, tuple[int, int]]] = {}
    for position, (user, item, time) in enumerate(rows):
        mine = latest.setdefault(user, {})
        mine[item] = max(mine.get(item, (-1, -1)), (time, position))
    result = {}
    for user, mine in latest.items():
        if len({time for time, _ in mine.values()}) < least:
            continue
        last = max(mine.values())
        for item, when in mine.items():
            is_test = when[0] == last[0] if ties == "all" else when == last
            result[user, item] = -1 if is_test else 1
    return result


rows_of_integers = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([2, 9, 10, 33, 100]), st.integers(0, 5)), min_size=1, max_size=60
)


@settings(deadline=None)
@given(rows_of_integers, st.sampled_from(["last", "all"]), st.integers(0, 4), st.sampled_from([1, 10**15, 2**60]))
def test_agrees_with_plain_reading(rows: list[Row], ties: Any, least: int, step: int) -> None:
    # Large steps leave no room to pack user and timestamp into one integer.
    rows = [(user, item, time * step) for user, item, time in rows]
    expected = oracle(rows, ties, least)
    if len({user for user, _ in expected}) < 2 or len({item for _, item in expected}) < 2:
        with pytest.raises(InputError):
            leave_last_out(interactions(rows), split="last", ties=ties, min_timestamps=least)
        return
    base = leave_last_out(interactions(rows), split="last", ties=ties, min_timestamps=least)
    assert signed(base) == expected
    assert base.user_ids.to_pylist() == sorted({user for user, _ in expected})
    assert base.item_ids.to_pylist() == sorted({item for _, item in expected})
    # The arrays are what a checked construction would give.
    checked = Base.from_arrays(base.indptr, base.indices, base.test_mask, base.user_ids, base.item_ids)
    assert checked.fingerprint == base.fingerprint


@settings(deadline=None)
@given(st.data())
def test_order_of_file_does_not_matter(data: st.DataObject) -> None:
    rows: list[Row] = [(0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 1, 4)]
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40))
    rows += [(*pair, 5 + time) for time, pair in enumerate(pairs)]
    shuffled = data.draw(st.permutations(rows))
    for split in ("last", "random", "none"):
        one, other = (leave_last_out(interactions(r), split=split, seed=3) for r in (rows, shuffled))
        assert one.fingerprint == other.fingerprint
        assert one.user_ids.equals(other.user_ids)
        assert one.item_ids.equals(other.item_ids)


def test_repeated_pairs_collapse_before_timestamps_are_counted() -> None:
    # User 7 has two timestamps in the file, but one after its two interactions with item 1 became one.
    rows = [(7, 1, 10), (7, 1, 20), (8, 1, 1), (8, 2, 2), (9, 1, 1), (9, 3, 2)]
    base = leave_last_out(interactions(rows))
    assert base.user_ids.to_pylist() == [8, 9]
    assert "Collapsed 1 repeated (user, item) pair to the latest." in base.notes
    assert "Dropped 1 user with fewer than 2 distinct timestamps." in base.notes


def test_items_of_dropped_users_are_dropped() -> None:
    rows = [(7, 5, 10), (8, 1, 1), (8, 2, 2), (9, 1, 1), (9, 3, 2)]
    base = leave_last_out(interactions(rows))
    assert base.item_ids.to_pylist() == [1, 2, 3]
    assert "Dropped 1 item left without interactions." in base.notes


def test_ties_of_last_timestamp() -> None:
    rows = [(1, 5, 1), (1, 4, 2), (1, 6, 2), (1, 3, 2), (2, 5, 1), (2, 3, 2)]
    assert [p for p, s in signed(leave_last_out(interactions(rows))).items() if s < 0] == [(1, 3), (2, 3)]
    held_out = [p for p, s in signed(leave_last_out(interactions(rows), ties="all")).items() if s < 0]
    assert sorted(held_out) == [(1, 3), (1, 4), (1, 6), (2, 3)]


def test_default_leaves_every_user_a_train_interaction() -> None:
    rows = [(u, i, min(i, u)) for u in range(5) for i in range(4)]
    for ties in ("last", "all"):
        base = leave_last_out(interactions(rows), ties=ties)
        assert base.user_degrees("train").min() >= 1
        assert base.user_degrees("test").min() >= 1


def test_minimum_of_one_keeps_everybody() -> None:
    rows = [(1, 5, 1), (2, 5, 1), (2, 3, 2)]
    base = leave_last_out(interactions(rows), split="last", min_timestamps=1)
    assert signed(base) == {(1, 5): -1, (2, 5): 1, (2, 3): -1}


def test_random_holds_out_one_of_each_user_uniformly() -> None:
    users, items = 300, 5
    made = interactions([(u, i) for u in range(users) for i in range(items)])
    counts = np.zeros(items)
    for seed in range(20):
        base = leave_last_out(made, split="random", seed=seed)
        assert (base.user_degrees("test") == 1).all()
        counts += base.item_degrees("test")
    expected = users * 20 / items
    # Chi-square with 4 degrees of freedom: 33.4 is passed with probability 1e-6.
    assert ((counts - expected) ** 2 / expected).sum() < 33.4


def test_random_depends_on_seed_alone() -> None:
    made = interactions([(u, i) for u in range(30) for i in range(9)])
    fingerprints = [leave_last_out(made, split="random", seed=seed).fingerprint for seed in (0, 0, 1)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_random_drops_users_with_one_interaction() -> None:
    base = leave_last_out(interactions([(1, 1), (1, 1), (2, 1), (2, 2), (3, 1), (3, 2)]))
    assert base.split == "random"
    assert base.user_ids.to_pylist() == [2, 3]
    assert "Split: random, because the interactions have no timestamps." in base.notes
    assert "Dropped 1 user with fewer than 2 interactions." in base.notes


def test_none_holds_nothing_out_and_drops_nobody() -> None:
    rows = [(1, 1, 5), (2, 1, 6), (2, 2, 6)]
    base = leave_last_out(interactions(rows), split="none")
    assert signed(base) == {(1, 1): 1, (2, 1): 1, (2, 2): 1}
    assert base.split == "none"


def test_minimum_holds_for_every_split_when_given() -> None:
    rows = [(1, 1, 5), (1, 2, 5), (2, 1, 6), (2, 2, 7), (3, 1, 6), (3, 2, 7)]
    for split in ("last", "random", "none"):
        base = leave_last_out(interactions(rows), split=split, min_timestamps=2)
        assert base.user_ids.to_pylist() == [2, 3]


@pytest.mark.parametrize(
    ("times", "picked", "reason"),
    [
        ((1, 2), "last", "the interactions have timestamps"),
        ((3, 3), "random", "all timestamps are equal"),
    ],
)
def test_auto_says_what_it_picked(times: tuple[int, int], picked: str, reason: str) -> None:
    base = leave_last_out(interactions([(u, i, times[i]) for u in range(3) for i in range(2)]))
    assert base.split == picked
    assert base.notes[0] == f"Split: {picked}, because {reason}."


def test_codes_follow_canonical_order() -> None:
    users = ["10", "9", "é", "Z", "a"]
    base = leave_last_out(interactions([(u, i, i) for u in users for i in (100, 20, 3)]))
    assert base.user_ids.to_pylist() == ["10", "9", "Z", "a", "é"]
    assert base.item_ids.to_pylist() == [3, 20, 100]
    assert base.notes[-1] == "Codes follow user ids sorted bytewise and item ids sorted numerically."


def rich(rows: list[Row]) -> pa.Table:
    """StreamedMatrix of (user, item, timestamp), with columns that tell the number of the row."""
    users, items, times = (list(column) for column in zip(*rows, strict=True))
    numbers = list(range(len(rows)))
    return pa.table(
        {
            "user_id": users,
            "item_id": items,
            "rating": [number / 2 for number in numbers],
            "timestamp": times,
            "row": pa.array(numbers, pa.int16()),
            "name": pa.array([None if number % 3 == 0 else f"row {number}" for number in numbers], pa.string()),
            "odd": [number % 2 == 1 for number in numbers],
        }
    )


def latest_rows(rows: list[Row]) -> dict[tuple[Any, Any], int]:
    """Map each pair to the number of its latest row, of equally late ones the last."""
    found: dict[tuple[Any, Any], int] = {}
    for number, (user, item, time) in enumerate(rows):
        before = found.get((user, item))
        if before is None or time >= rows[before][2]:
            found[user, item] = number
    return found


@settings(deadline=None)
@given(
    rows_of_integers,
    st.sampled_from(["last", "random", "none"]),
    st.integers(0, 3),
    st.permutations(["rating", "timestamp", "row", "name", "odd"]),
    st.integers(0, 5),
)
def test_payload_stays_with_its_pair(rows: list[Row], split: Any, least: int, names: list[str], count: int) -> None:
    options: dict[str, Any] = {"split": split, "min_timestamps": least}
    table, names = rich(rows), names[:count]
    source = read_interactions(table, carry=["row", "name", "odd"])
    try:
        plain = leave_last_out(source, **options)
    except InputError:
        return
    base = leave_last_out(source, **options, payload=names)
    assert base.indptr.tolist() == plain.indptr.tolist()
    assert base.entries.tolist() == plain.entries.tolist()
    if not names:
        assert base.payload is None
        assert base.fingerprint == plain.fingerprint
        return
    assert base.payload is not None
    assert base.payload.column_names == names
    assert all(column.num_chunks == 1 for column in base.payload.columns)
    where = latest_rows(rows)
    taken = [where[pair] for pair in signed(base)]
    expected = source.table.select(names).take(taken)
    assert base.payload.schema == expected.schema
    assert base.payload.to_pydict() == expected.to_pydict()
    # A saved base is what it was: the same through the types that a checked construction takes.
    checked = Base.from_arrays(
        *(base.indptr, base.indices, base.test_mask, base.user_ids, base.item_ids),
        payload=base.payload,
    )
    assert checked.fingerprint == base.fingerprint != plain.fingerprint


@settings(deadline=None)
@given(rows_of_integers.filter(lambda rows: len({r[0] for r in rows}) > 1 < len({r[1] for r in rows})), st.randoms())
def test_payload_does_not_depend_on_the_order_of_the_file(rows: list[Row], random: Any) -> None:
    # No two rows of a pair at one time, since the last of them in the file would stay.
    rows = list({(user, item, time): (user, item, time) for user, item, time in rows})
    table = pa.table(
        dict(zip(("user_id", "item_id", "timestamp"), (list(c) for c in zip(*rows, strict=True)), strict=True))
    )
    table = table.append_column("note", pa.array([f"{row}" for row in rows]))
    order = list(range(len(rows)))
    random.shuffle(order)
    one, other = (
        leave_last_out(read_interactions(t, carry=["note"]), split="none", payload=["note", "timestamp"])
        for t in (table, table.take(order))
    )
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize(
    ("times", "kind", "per_hour"),
    [
        (pa.array([5, 6, 7, 8]), pa.int64(), None),
        (pa.array([1_400_000_000 + n for n in range(4)]), pa.int64(), 3600),
        (pa.array([5, 6, 7, 8], pa.timestamp("us", "UTC")), pa.timestamp("us", "UTC"), 3_600_000_000),
        (pa.array([5, 6, 7, 8], pa.timestamp("s")), pa.timestamp("ms"), 3_600_000),
        (pa.array([5, 6, 7, 8], pa.date32()), pa.date32(), None),
    ],
)
def test_payload_timestamps_come_with_their_meaning(times: pa.Array, kind: pa.DataType, per_hour: int | None) -> None:
    source = read_interactions(pa.table({"user_id": [2, 1, 2, 1], "item_id": [1, 1, 2, 2], "timestamp": times}))
    base = leave_last_out(source, payload=["timestamp"])
    assert base.payload is not None
    assert (base.timestamp_type, base.ticks_per_hour) == (kind, per_hour)
    assert base.payload["timestamp"].chunk(0).equals(times.take(pa.array([1, 3, 0, 2])).cast(kind))
    without = leave_last_out(source)
    assert (without.payload, without.timestamp_type, without.ticks_per_hour) == (None, None, None)


def test_payload_of_a_path_is_carried_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,rating,device\n1,1,5,tv\n1,2,4,\n2,1,3,pc\n2,2,1,tv\n")
    base = leave_last_out(path, payload=["device", "rating"])
    assert base.payload is not None
    assert base.payload.to_pydict() == {"device": ["tv", None, "pc", "tv"], "rating": [5, 4, 3, 1]}


def test_payload_of_too_many_rows_is_refused() -> None:
    source = interactions(GOOD)
    base, positions = leave_last_out(source), np.arange(4)
    with pytest.raises(InputError, match="4 interactions cannot have a payload, 3 can"):
        with_payload(base, source, ["timestamp"], positions, max_rows=3)
    assert with_payload(base, source, ["timestamp"], positions, max_rows=4).payload is not None


def test_the_hour_is_the_sources_though_the_base_holds_fewer_rows() -> None:
    # 7 counts something else than seconds, so the others need not be seconds either.
    rows = [*((user, item, 1_400_000_000 + item) for user in (1, 2) for item in (1, 2)), (3, 1, 7)]
    base = leave_last_out(interactions(rows), payload=["timestamp"])
    assert base.shape == (2, 2)
    assert (base.timestamp_type, base.ticks_per_hour) == (pa.int64(), None)
    again = Base.from_arrays(base.indptr, base.indices, base.test_mask, payload=base.payload)
    assert again.ticks_per_hour is None
    assert again.fingerprint == base.fingerprint
    alone = leave_last_out(interactions(rows[:4]), payload=["timestamp"])
    assert alone.ticks_per_hour == 3600
    assert alone.fingerprint != base.fingerprint


def test_anything_readable_is_accepted() -> None:
    table = pa.table({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 2], "timestamp": [1, 2, 2, 1]})
    assert signed(leave_last_out(table)) == {(1, 1): 1, (1, 2): -1, (2, 1): -1, (2, 2): 1}


GOOD = [(1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 2)]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (GOOD, {"split": "latest"}, r"unknown split 'latest'\nhint: use one of auto, last, random, time, users, none"),
        (GOOD, {"ties": "first"}, r"unknown ties 'first'\nhint: use one of last, all"),
        (GOOD, {"min_timestamps": -1}, "min_timestamps must be a whole number, 0 or more, not -1"),
        (GOOD, {"payload": ["rating"]}, r"the interactions have no ratings to keep\nhint: .*--rating-column"),
        ([row[:2] for row in GOOD], {"payload": ["timestamp"]}, r"no timestamps to keep\nhint: .*--timestamp-column"),
        (GOOD, {"payload": ["device"]}, r"no column 'device' to keep; saw timestamp\nhint: .*carry="),
        (GOOD, {"payload": ["user_id"]}, "no column 'user_id' to keep"),
        (GOOD, {"payload": ["timestamp", "timestamp"]}, "names a column twice: timestamp, timestamp"),
        (GOOD, {"payload": "timestamp"}, r"payload is the text 'timestamp'\nhint: give a list"),
        (GOOD, {"seed": 0.5}, "seed must be a whole number, 0 or more, not 0.5"),
        (GOOD, {"seed": None}, "seed must be a whole number, 0 or more, not None"),
        (GOOD, {"min_timestamps": "x"}, "min_timestamps must be a whole number, 0 or more, not 'x'"),
        (GOOD, {"split": 3}, "unknown split 3"),
        (GOOD, {"ties": ["last"]}, "unknown ties"),
        (GOOD, {"payload": 3}, "payload is 3\nhint: give a list of columns"),
        (GOOD, {"payload": [3]}, "no column 3 to keep"),
        ([row[:2] for row in GOOD], {"split": "last"}, "the split 'last' needs timestamps"),
        ([row[:2] for row in GOOD], {"min_timestamps": 2}, "a minimum of 2 distinct timestamps needs timestamps"),
        (GOOD[:2], {}, "the interactions have 1 user and 2 items; at least 2 of each"),
        ([GOOD[0], GOOD[2]], {}, "the interactions have 2 users and 1 item; at least 2 of each"),
        (
            GOOD,
            {"min_timestamps": 3},
            "the filter leaves 0 users and 0 items; at least 2 of each are needed. "
            "Dropped 2 users with fewer than 3 distinct timestamps.",
        ),
        (
            [(1, 1), (2, 2), (2, 1)],
            {},
            "the filter leaves 1 user and 2 items; at least 2 of each are needed. "
            "Dropped 1 user with fewer than 2 interactions.",
        ),
    ],
)
def test_bad_input_is_refused(rows: list[Row], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        leave_last_out(interactions(rows), **options)


def test_movietweetings(movietweetings: Path) -> None:
    base = leave_last_out(read_interactions(movietweetings), payload=["rating", "timestamp"])
    rows = [line.split("::") for line in movietweetings.read_text().splitlines()]
    plain = [(int(user), item, int(time)) for user, item, _, time in rows]
    assert signed(base) == oracle(plain, "last", 2)
    check_ratings_and_times(base, plain, [float(row[2]) for row in rows])


def test_ml_latest_small(ml_latest_small: Path) -> None:
    base = leave_last_out(read_interactions(ml_latest_small), ties="all", payload=["rating", "timestamp"])
    rows = [line.split(",") for line in ml_latest_small.read_text().splitlines()[1:]]
    plain = [(int(user), int(item), int(time)) for user, item, _, time in rows]
    assert signed(base) == oracle(plain, "all", 2)
    check_ratings_and_times(base, plain, [float(row[2]) for row in rows])


def check_ratings_and_times(base: Base, rows: list[Row], ratings: list[float]) -> None:
    where = latest_rows(rows)
    taken = [where[pair] for pair in signed(base)]
    assert base.payload is not None
    assert base.payload.to_pydict() == {
        "rating": [ratings[row] for row in taken],
        "timestamp": [rows[row][2] for row in taken],
    }
    assert (base.timestamp_type, base.ticks_per_hour) == (pa.int64(), 3600)
