"""Times, ratings, cold users and items and carried columns as docs/generator.md specifies them, bit for bit.

Every base here carries its own places as the column `source`: it tells which entry an interaction comes from.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.columns import PARQUET_TYPES, ticks, timestamp_field, timestamps_from_ticks
from fractalrs.errors import InputError
from fractalrs.expansion import Cells, Expansion
from fractalrs.words import SPLITS, Split
from helpers import oracle
from helpers.core import GOLDEN_RATES, HALVES, golden_base, group_cells
from helpers.folders import read

END = 2**62
"""Times are below."""
HOURS_OF_A_YEAR = 24 * 365

UNITS: list[tuple[pa.DataType, int | None]] = [
    (pa.int64(), 3600),
    (pa.timestamp("ms"), 3_600_000),
    (pa.timestamp("us", "UTC"), 3_600_000_000),
    (pa.timestamp("ns"), 3_600_000_000_000),
    (pa.date32(), None),
    (pa.int64(), None),
    (pa.int64(), 1),
    (pa.int64(), 7),
]
"""What timestamps count ticks of, and how many an hour has."""


def make_times(rng: np.random.Generator, items: oracle.Integers, hour: int, end: int) -> oracle.Integers:
    """Times of one user's interactions: of many kinds, up to `end`."""
    count, since = len(items), int(rng.integers(0, 40 * HOURS_OF_A_YEAR)) * hour
    kinds = [
        rng.integers(0, 4, count),
        since + np.full(count, int(rng.integers(0, 5))),
        since + rng.integers(0, hour + 1, count),
        since + rng.integers(0, 3 * HOURS_OF_A_YEAR * hour, count),
        # Sessions far apart, of less than an hour each.
        since + rng.choice(rng.integers(0, 9 * HOURS_OF_A_YEAR, 3), count) * hour + rng.integers(0, hour, count),
        # Always at the same two hours of the week.
        since + (rng.integers(0, 99, count) * 168 + rng.choice([5, 44], count)) * hour + rng.integers(0, hour, count),
        rng.choice([0, 1, end - 2, end - 1], count),
        rng.integers(0, end, count),
        # Nothing before the item is there.
        since + np.maximum(items * 97, rng.integers(0, 4000, count)) * hour,
    ]
    chosen: oracle.Integers = np.minimum(kinds[rng.integers(len(kinds))], end - 1)
    return chosen


def make_mask(rng: np.random.Generator, split: str, times: oracle.Integers) -> npt.NDArray[np.bool_]:
    """Which of one user's interactions are held out; with `last` none of them comes before another one."""
    if split == "given":
        return rng.random(len(times)) < 0.3
    mask = np.zeros(len(times), bool)
    if split == "last" and len(times):
        last = rng.integers(4)
        latest = times == times.max()
        # Of a tie any, so that late ones have smaller item codes as well.
        falling = np.lexsort((rng.random(len(times)), times))[::-1]
        mask = latest if last == 3 else np.isin(np.arange(len(times)), falling[:last])
    return mask


def make_base(rng: np.random.Generator, p: int, q: int, split: str, unit: int = 0, kind: str = "int64") -> Base:
    """A base of users with few or many interactions, whose payload is `timestamp`, `rating` and `source`."""
    timestamp_type, hour = UNITS[unit]
    degrees = rng.choice([0, 1, min(q, 2), q // 2, q], p)
    degrees[rng.integers(p)] = max(1, q // 3)
    rows = [np.sort(rng.choice(q, degree, replace=False)) for degree in degrees]
    end = 2**30 if pa.types.is_date32(timestamp_type) else END
    times = [make_times(rng, row, 24 if hour is None else hour, end) for row in rows]
    mask, cuts = np.concatenate([make_mask(rng, split, row) for row in times]), []
    valid = np.zeros(len(mask), dtype=bool)
    if split == "time":
        # Now and then nothing is before it, or nothing after.
        every = np.sort(np.concatenate(times))
        cuts = [int(rng.choice(np.append(every, [0, end])) if p < 50 else every[len(every) // 2])]
        mask = np.concatenate(times) >= cuts[0]
        if p % 2 and mask.any():
            cuts = [int(rng.choice(np.concatenate(times)[mask])), cuts[0]][::-1]
            valid = mask & (np.concatenate(times) < cuts[1])
            cuts = cuts if valid.any() else cuts[1:]
            mask &= ~valid
    elif split != "last" and p % 2:
        valid = mask & (rng.random(len(mask)) < 0.5)
        mask &= ~valid
    elif p % 2:
        # The earlier ones of each user's latest.
        for start, row in zip(np.append(0, np.cumsum(degrees)), times, strict=False):
            late = start + np.flatnonzero(mask[start : start + len(row)])
            first = late[np.argsort(row[late - start], kind="stable")][: rng.integers(len(late) + 1)]
            valid[first], mask[first] = True, False
    count = int(degrees.sum())
    ratings = rng.integers(-9, 10, count).astype(kind) if kind == "int64" else rng.normal(3, 2, count)
    return Base.from_arrays(
        np.append(0, np.cumsum(degrees)),
        np.concatenate(rows),
        mask,
        item_ids=np.arange(q),
        split=split,
        cuts=cuts,
        valid_mask=valid,
        payload=timed(np.concatenate(times), timestamp_type, hour, rating=ratings, source=np.arange(count)),
    )


def timed(times: oracle.Integers, kind: pa.DataType, hour: int | None, **columns: Any) -> pa.Table:
    """Columns after timestamps of a type, of which so many make an hour."""
    fields = [timestamp_field(kind, hour), *(pa.field(name, pa.array(column).type) for name, column in columns.items())]
    arrays = [timestamps_from_ticks(pa.array(times), kind), *map(pa.array, columns.values())]
    return pa.table(arrays, schema=pa.schema(fields))


def payload(base: Base) -> pa.Table:
    assert base.payload is not None
    return base.payload


def integers(column: pa.ChunkedArray) -> oracle.Integers:
    """The 64 bits of numbers, the ticks of timestamps and dates."""
    array = column.combine_chunks()
    narrow = array.type.bit_width == 32
    values: oracle.Integers = array.view(pa.int32() if narrow else pa.int64()).to_numpy().astype(np.int64)
    return values


def slow(expansion: Expansion) -> dict[str, oracle.Interactions]:
    """What the oracle gives for an expansion of a base of `make_base`."""
    base, options = expansion.base, expansion.options
    times, ratings = ticks(payload(base)["timestamp"]), payload(base)["rating"].to_numpy()
    parts = oracle.expand(
        base,
        expansion.keep_rates,
        expansion.cells,
        shuffle=options.shuffle,
        seed=options.seed,
        block_keep=options.block_keep,
        test_items=options.test_items,
        drop_incomplete=options.drop_incomplete,
        cold_users=options.cold_users,
        cold_items=options.cold_items,
        order=options.order,
        id_order=options.id_order,
        times=times if options.timestamps else None,
        late=base.test_is_late,
        hour=base.ticks_per_hour,
        cuts=base.cuts,
        factors=expansion.reduced.values,
        ratings=ratings.astype(float),
    )
    return dict(zip(SPLITS, parts, strict=True))


def assert_same(expansion: Expansion) -> dict[str, oracle.Interactions]:
    """The columns of the core are those of the oracle."""
    theirs = slow(expansion)
    for split, right in theirs.items():
        ours = expansion.table(0, expansion.shape[0], split=split)  # type: ignore[arg-type]
        wanted = {"user_id": right["user"], "item_id": right["item"]}
        if expansion.options.ratings == "kronecker":
            wanted["rating"] = right["rating"].view(np.int64)
        elif expansion.options.ratings == "carry":
            wanted["rating"] = integers(payload(expansion.base)["rating"])[right["source"]]
        if expansion.options.timestamps:
            wanted["timestamp"] = right["time"]
        wanted["source"] = right["source"]
        assert ours.column_names == list(wanted)
        for name, values in wanted.items():
            np.testing.assert_array_equal(integers(ours[name]), values, f"{split} {name} {expansion.options}")
    return theirs


@dataclass(frozen=True)
class Case:
    base: Base
    rates: npt.NDArray[np.float64]
    options: dict[str, Any]


@st.composite
def cases(draw: st.DrawFn, /, **given_options: Any) -> Case:
    """Any small base with times and ratings, R̂ and options."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    m, n = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3, 5, 70]))
    p, q = draw(st.integers(1, 8 if n > 5 else 40)), draw(st.integers(1, 12 if n > 5 else 80))
    split = draw(st.sampled_from(["last", "last", "time", "time", "given", "none"]))
    unit, kind = draw(st.integers(0, len(UNITS) - 1)), draw(st.sampled_from(["int64", "float64"]))
    base = make_base(rng, p, q, split, unit, kind)
    rates = rng.choice([0.0, 1e-4, 0.02, 0.3, 0.5, rng.random(), 1.0], (m, n))
    options: dict[str, Any] = {
        "seed": draw(st.integers(0, 2**64 - 1)),
        "shuffle": draw(st.sampled_from(["none", "aligned", "cells", "mixed"])),
        "min_keep": draw(st.sampled_from([0.0, 0.01])),
        "max_keep": draw(st.sampled_from([0.95, 1.0])),
        "block_keep": draw(st.sampled_from([1.0, 0.6])),
        "timestamps": True,
        "order": draw(st.sampled_from(["time", "block", "item"])),
        "id_order": draw(st.sampled_from(["block", "scrambled", "popularity"])),
        "ratings": draw(st.sampled_from([None, "carry", "kronecker"])),
        "carry": ["source"],
    }
    if draw(st.booleans()):
        options |= {"cold_users": draw(st.sampled_from([0.0, 0.3])), "cold_items": draw(st.sampled_from([0.0, 0.2]))}
    else:
        # Not together with cold users and items.
        options["test_items"] = draw(st.sampled_from(["all"] if base.valid_count else ["all", "one"]))
        options["drop_incomplete"] = not base.valid_count and bool(base.test_count) and draw(st.booleans())
    if options["shuffle"] in ("cells", "mixed"):
        options["cells"] = group_cells(p, q, 1, draw(st.sampled_from([1, 3, 100])), seed=p)
    return Case(base, rates, options | given_options)


thorough = settings(
    max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
brief = settings(thorough, max_examples=40)


@thorough
@given(cases())
def test_any_base_and_options(case: Case) -> None:
    assert_same(Expansion(case.base, case.rates, **case.options))


@brief
@given(cases(timestamps=False, order="block"), st.integers(2, 9))
def test_without_times_users_may_share_cells(case: Case, size: int) -> None:
    options = dict(case.options)
    if options["shuffle"] in ("cells", "mixed"):
        options["cells"] = group_cells(*case.base.shape, size, size)
    assert_same(Expansion(case.base, case.rates, **options))


@brief
@given(cases())
def test_users_can_be_made_alone(case: Case) -> None:
    """Also those whose neighbours have a part of the same block."""
    expansion = Expansion(case.base, case.rates, **case.options)
    users = expansion.shape[0]
    for split in SPLITS:
        whole = expansion.table(0, users, split=split)
        alone = [expansion.table(user, user + 1, split=split) for user in range(users)]
        assert pa.concat_tables(alone).equals(whole)


def test_one_test_item_of_every_user_has_its_time() -> None:
    """The smallest expansion of which two users each lose a test interaction."""
    columns = {"timestamp": [5, 6], "rating": [1, 2], "source": [0, 1]}
    base = Base.from_arrays([0, 1, 2], [0, 1], [True, True], payload=columns)
    options: dict[str, Any] = {"test_items": "one", "timestamps": True, "carry": ["source"]}
    theirs = assert_same(Expansion(base, [[1.0, 1.0]], shuffle="none", max_keep=1, **options))
    assert theirs["test"]["time"].tolist() == [5, 6]


def large(split: str, unit: int) -> Base:
    return make_base(np.random.default_rng(5), 60, 150, split, unit)


@pytest.mark.parametrize("split", ["last", "time", "given", "none"])
@pytest.mark.parametrize("unit", range(len(UNITS)))
def test_every_unit_and_split(unit: int, split: str) -> None:
    """Larger than the random cases, and enough of everything is compared."""
    base = large(split, unit)
    rates = [[0.3, 0.0, 1.0, 0.117], [0.01, 0.95, 0.5, 1e-4], [0.2, 1e-6, 0.05, 0.7]]
    options: dict[str, Any] = {"timestamps": True, "ratings": "kronecker", "carry": ["source"], "cold_users": 0.1}
    expansion = Expansion(base, rates, shuffle="aligned", min_keep=0, max_keep=1, seed=unit, **options)
    theirs = assert_same(expansion)
    assert min(len(theirs["train"]), len(theirs["test"])) > 200
    moved = np.concatenate(
        [part["time"] != ticks(payload(base)["timestamp"])[part["source"]] for part in theirs.values()]
    )
    assert 0.3 < moved.mean() < 0.99


def test_many_column_blocks() -> None:
    """More than 64: the blocks of a user come in an order that a Feistel network gives."""
    base = make_base(np.random.default_rng(1), 12, 20, "last")
    rates = np.random.default_rng(2).choice([0.05, 0.3, 0.9], (2, 130))
    assert_same(Expansion(base, rates, shuffle="aligned", timestamps=True, carry=["source"], block_keep=0.8))


# --- what the page promises ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Events:
    """All interactions of an expansion, train and test."""

    user: oracle.Integers
    block: oracle.Integers
    source: oracle.Integers
    time: oracle.Integers

    @classmethod
    def of(cls, expansion: Expansion) -> "Events":
        tables = [expansion.table(0, expansion.shape[0], split=split) for split in SPLITS]
        user, item, source, time = (
            np.concatenate([integers(table[name]) for table in tables])
            for name in ("user_id", "item_id", "source", "timestamp")
        )
        return cls(user, expansion.places(item) // expansion.base.shape[1], source, time)


@brief
@given(cases())
def test_promises(case: Case) -> None:
    expansion = Expansion(case.base, case.rates, **case.options)
    base, events = case.base, Events.of(expansion)
    times = ticks(payload(base)["timestamp"])
    split = base.mask("valid") + 2 * base.test_mask.astype(int)
    late = (split > 0) & base.test_is_late
    assert np.all(events.time >= 0)

    # Inside a column block a user's times follow the source's order.
    rank = oracle.inverse(np.lexsort((base.indices, times, split * late)))[events.source]
    sequence = np.lexsort((rank, events.block, events.user))
    together = (np.diff(events.user[sequence]) == 0) & (np.diff(events.block[sequence]) == 0)
    assert np.all(np.diff(events.time[sequence])[together] >= 0)

    # No late event before another event of its user, and none for test before one for validation.
    of_events = (split * late)[events.source]
    for before in (0, 1):
        latest = np.full(expansion.shape[0], -1)
        np.maximum.at(latest, events.user[of_events <= before], events.time[of_events <= before])
        after = of_events > before
        assert np.all(events.time[after] >= latest[events.user[after]])

    # Everything on the side of the cut where its source is.
    for cut, before in zip(base.cuts, (0, 1) if len(base.cuts) > 1 else (1,), strict=False):
        assert np.array_equal(events.time >= cut, split[events.source] > before)

    # No expanded item before its source item's first time; and no user begins before its source user.
    for of_entry in (base.indices, np.repeat(np.arange(base.shape[0]), np.diff(base.indptr))):
        first = np.full(of_entry.max() + 1, END)
        np.minimum.at(first, of_entry, times)
        assert np.all(events.time >= first[of_entry[events.source]])


@brief
@given(cases(order="time"))
def test_times_never_fall_in_order_of_time(case: Case) -> None:
    expansion = Expansion(case.base, case.rates, **case.options)
    for split in SPLITS:
        table = expansion.table(0, expansion.shape[0], split=split)
        user, time = integers(table["user_id"]), integers(table["timestamp"])
        assert np.all(np.diff(time)[np.diff(user) == 0] >= 0)
        assert np.all(np.diff(user) >= 0)


def test_the_order_leaves_times_alone() -> None:
    base = large("last", 0)
    common: dict[str, Any] = {"shuffle": "aligned", "seed": 3, "ratings": "kronecker", "carry": ["source"]}
    whole = Expansion(base, GOLDEN_RATES, timestamps=True, order="block", **common)
    for split in SPLITS:
        table = whole.table(0, whole.shape[0], split=split)
        for order in ("item", "time"):
            other = Expansion(base, GOLDEN_RATES, timestamps=True, order=order, **common)
            keys = [("user_id", "ascending"), ("item_id", "ascending")]
            assert other.table(0, other.shape[0], split=split).sort_by(keys).equals(table.sort_by(keys))


def test_times_leave_alone_which_places_of_a_row_a_block_keeps() -> None:
    """They are those of the row by item code without times, and by (late, time, item code) with them."""
    base = large("last", 0)
    common: dict[str, Any] = {"shuffle": "aligned", "seed": 3, "ratings": "kronecker", "carry": ["source"]}
    row_of = np.repeat(np.arange(base.shape[0]), np.diff(base.indptr))
    late = base.test_mask & base.test_is_late
    rows = np.lexsort((base.indices, ticks(payload(base)["timestamp"]), late, row_of))
    places = []
    for expansion, at in (
        (Expansion(base, GOLDEN_RATES, timestamps=True, order="block", **common), oracle.inverse(rows)),
        (Expansion(base, GOLDEN_RATES, **common), np.arange(base.count)),
    ):
        tables = [expansion.table(0, expansion.shape[0], split=split) for split in SPLITS]
        user, item, source = (
            np.concatenate([integers(table[name]) for table in tables]) for name in ("user_id", "item_id", "source")
        )
        kept = np.column_stack([user, item // base.shape[1], at[source]])
        places.append(kept[np.lexsort(kept.T[::-1])])
    np.testing.assert_array_equal(places[0], places[1])


def test_many_items_have_times_too() -> None:
    """So many that their codes have 32 bits."""
    q = 40_000
    rng = np.random.default_rng(8)
    rows = [np.append(np.sort(rng.choice(q - 1, 30, replace=False)), q - 1) for _ in range(5)]
    test = np.tile(np.arange(31) == 30, 5)
    columns = {"timestamp": rng.integers(0, 10**9, 155), "rating": rng.integers(1, 6, 155), "source": np.arange(155)}
    base = Base.from_arrays(np.arange(0, 156, 31), np.concatenate(rows), test, item_ids=np.arange(q), payload=columns)
    for order in ("time", "item", "block"):
        options: dict[str, Any] = {"order": order, "timestamps": True, "ratings": "carry", "carry": ["source"]}
        theirs = assert_same(Expansion(base, [[0.4, 0.9, 0.7]], shuffle="aligned", seed=4, **options))
        assert len(theirs["train"]) > 200
        assert len(theirs["test"]) > 5


def test_times_leave_rows_alone_that_are_in_their_order() -> None:
    """Then users, items and ratings are those without times."""
    base = large("last", 0)
    latest = np.zeros(base.count, bool)
    latest[base.indptr[1:][np.diff(base.indptr) > 0] - 1] = True
    columns = {"timestamp": np.arange(base.count), "rating": payload(base)["rating"], "source": np.arange(base.count)}
    ordered = Base.from_arrays(base.indptr, base.indices, latest, item_ids=base.item_ids, split="last", payload=columns)
    common: dict[str, Any] = {"shuffle": "aligned", "seed": 3, "ratings": "kronecker", "carry": ["source"]}
    without = Expansion(ordered, GOLDEN_RATES, **common)
    with_times = Expansion(ordered, GOLDEN_RATES, timestamps=True, order="block", **common)
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        table = without.table(0, without.shape[0], split=split)
        assert len(table) > 20
        assert with_times.table(0, without.shape[0], split=split).drop_columns(["timestamp"]).equals(table)


@pytest.mark.parametrize(("times", "split"), [([0, END], None), ([7, 6], "last")])
def test_times_that_are_refused(times: list[int], split: str | None) -> None:
    base = Base.from_arrays([0, 2], [0, 1], [False, True], split=split, payload={"timestamp": times})
    with pytest.raises(InputError, match="timestamps do not fit the base"):
        Expansion(base, [[0.5]], shuffle="none", timestamps=True)


# --- columns of every type, and files --------------------------------------------------------------------------------


def columns_of_every_type(rng: np.random.Generator, count: int) -> Iterator[tuple[str, pa.Array]]:
    """Each without and with nulls, one of nulls alone."""
    numbers = rng.integers(0, 2**31, count)
    texts = np.array(["", "é", "a longer text 🎬", "x", "\0"])[numbers % 5]
    small = pa.array(numbers >> 24)
    values = {
        "bool": pa.array(numbers % 2 == 0),
        "int32": pa.array((numbers - 2**30).astype(np.int32)),
        "int64": pa.array((numbers - 2**30) * 2**32 + 1),
        "float32": pa.array(rng.normal(size=count).astype(np.float32)),
        "float64": pa.array(rng.choice([np.inf, -0.0, 5e-324, *rng.random(9)], count)),
        "string": pa.array(texts.tolist()),
        "date32": pa.array((numbers // 2**16).astype(np.int32)).view(pa.date32()),
        **{f"timestamp_{unit}": pa.array(numbers).view(pa.timestamp(unit)) for unit in ("ms", "us", "ns")},
        "timestamp_utc": pa.array(numbers).view(pa.timestamp("us", "UTC")),
        **{f"small {kind}": small.cast(stored).cast(kind) for kind, (stored, _) in PARQUET_TYPES.items()},
    }
    there = pa.array(rng.random(count) < 0.7)
    for name, array in values.items():
        yield name, array
        yield f"{name}_or_null", pa.compute.if_else(there, array, None)
    yield "null", pa.nulls(count, pa.string())


def base_of_every_type(split: str, unit: int) -> Base:
    base = large(split, unit)
    columns = payload(base)
    for name, column in columns_of_every_type(np.random.default_rng(0), base.count):
        columns = columns.append_column(name, column)
    return Base.from_arrays(
        base.indptr,
        base.indices,
        base.test_mask,
        item_ids=base.item_ids,
        split=split,
        payload=columns,
    )


@pytest.mark.parametrize("ratings", ["carry", "kronecker"])
@pytest.mark.parametrize(("unit", "split"), [(0, "last"), (1, "given"), (2, "none"), (3, "last"), (4, "last")])
def test_files_hold_the_columns_of_every_type(tmp_path: Path, unit: int, split: str, ratings: Any) -> None:
    """Files are as `rows` gives them, whatever the parts and threads, and these as the source has them."""
    base = base_of_every_type(split, unit)
    carried = [name for name in payload(base).column_names if name not in ("timestamp", "rating")]
    options: dict[str, Any] = {"shuffle": "aligned", "seed": 9, "cold_items": 0.1, "timestamps": True}
    expansion = Expansion(base, GOLDEN_RATES, ratings=ratings, carry=carried, **options)
    whole = {split: expansion.table(0, expansion.shape[0], split=split) for split in HALVES}
    theirs = slow(expansion)
    for split, table in whole.items():
        right = theirs[split]
        np.testing.assert_array_equal(integers(table["source"]), right["source"])
        np.testing.assert_array_equal(integers(table["timestamp"]), right["time"])
        assert table["timestamp"].type == base.timestamp_type
        for name in carried:
            assert table[name].combine_chunks().equals(payload(base)[name].combine_chunks().take(right["source"]))
        if ratings == "kronecker":
            np.testing.assert_array_equal(integers(table["rating"]), right["rating"].view(np.int64))
        else:
            assert (
                table["rating"].combine_chunks().equals(payload(base)["rating"].combine_chunks().take(right["source"]))
            )
    for parts, threads in ((1, 1), (5, 2)):
        path = tmp_path / f"{parts}"
        fr.write(expansion, path, parts=parts, threads=threads)
        for split, table in whole.items():
            assert len(table) > 200
            written = read(path, split)
            assert written.schema.equals(table.schema)
            assert written.equals(table)


# --- golden ----------------------------------------------------------------------------------------------------------

GOLDEN_DIGESTS = {  # shuffle: train, test
    "none": (
        "89705bc960cd256a2c1a448c4995f96ac35d618a9cae982c0aeb90b3c37455f6",
        "a122633ffe6f4fcf45e7ddf9f3f5f739e410d129c908cee3e329f2a5125c2084",
    ),
    "aligned": (
        "3b6df48597defad6ff7fe110210944f58855242574c64bc190a7936fa1b98d67",
        "075303d51fd5384d93440c1ffe4a339c35673e409bba87bf83a8da41e54c4654",
    ),
    "cells": (
        "08e6239aec9681750ed3a48de9c029be06b3317149d6be79b2b46a2e0d67e3e9",
        "1db5bb3e7865dbf6d3f17d5faed01e167d5756ed5759cf27bf76c5fe63f22e1a",
    ),
}


def golden_expansion(shuffle: Any) -> Expansion:
    """The golden base with times over years, in seconds: some are ties, items come one after another, tests last."""
    bare = golden_base()
    users, items = np.repeat(np.arange(90), np.diff(bare.indptr)), bare.indices.astype(np.int64)
    triples = items // 3
    times = 1_000_000_000 + (users * 7_919 + triples * 104_729) % 509 * 86_413 + triples * 3_000_000
    times += bare.test_mask * 100_000_000
    base = Base.from_arrays(
        bare.indptr,
        bare.indices,
        bare.test_mask,
        item_ids=np.arange(40),
        split="last",
        payload={"timestamp": times, "rating": 1 + (users + 3 * items) % 5, "source": np.arange(bare.count)},
    )
    cells = None
    if shuffle == "cells":
        orders = [np.arange(90) * 37 % 90, np.arange(91), np.arange(40) * 13 % 40, [*range(0, 40, 3), 40]]
        cells = Cells(*(np.array(array, np.uint32) for array in orders))
    options: dict[str, Any] = {"seed": 20_240_607, "min_keep": 0.0, "max_keep": 1.0, "block_keep": 0.9}
    options |= {"cold_users": 0.1, "cold_items": 0.05, "timestamps": True, "ratings": "kronecker", "carry": ["source"]}
    return Expansion(base, GOLDEN_RATES, shuffle=shuffle, cells=cells, **options)


@pytest.mark.parametrize("shuffle", GOLDEN_DIGESTS)
def test_golden_digests(shuffle: str) -> None:
    """They change with the generator, and then its number changes as well."""
    expansion = golden_expansion(shuffle)
    theirs = assert_same(expansion)
    digests = []
    assert len(theirs.pop("valid")) == 0
    for part in theirs.values():
        bits = [part[name].view(np.int64) for name in ("user", "item", "source", "time", "rating")]
        digests.append(hashlib.sha256(np.column_stack(bits).astype("<i8").tobytes()).hexdigest())
    assert tuple(digests) == GOLDEN_DIGESTS[shuffle]
