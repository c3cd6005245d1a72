"""The base: its views agree with a plain reading of its entries, and it survives the disk unchanged."""

import json
import os
import pickle
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fractalrs.base import TEST_BIT, Base
from fractalrs.columns import is_time, timestamp_field
from fractalrs.errors import InputError, OutputError, WriteError


def small() -> Base:
    """Four users (the third without interactions) and five items (the last unseen)."""
    return Base.from_arrays(
        [0, 3, 4, 4, 6],
        [0, 2, 3, 2, 0, 1],
        [False, True, False, False, False, True],
        user_ids=["a", "b", "c", "d"],
        item_ids=[10, 20, 30, 40, 50],
        notes=("made by hand",),
    )


KINDS = [
    pa.bool_(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.date32(),
    pa.timestamp("ms"),
    pa.timestamp("ns", "Europe/Paris"),
]


def loaded(payload: Any) -> Base:
    """Two users with two and one interactions, and what goes along."""
    return Base.from_arrays([0, 2, 3], [0, 1, 1], payload=payload)


def timed(payload: dict[str, Any], kind: pa.DataType, hour: int | None = None) -> pa.Table:
    """A payload whose timestamps are of a type, so many of them an hour."""
    table = pa.table(payload)
    at = table.column_names.index("timestamp")
    return table.set_column(at, timestamp_field(kind, hour), table["timestamp"].cast(kind))


HOUR = b"fractalrs.ticks_per_hour"
RATED: dict[str, Any] = {"rating": [4.5, 1.0, 3.0], "timestamp": [1_400_000_000, 5, 6], "device": ["tv", None, ""]}


def seconds(payload: dict[str, Any]) -> Base:
    return loaded(timed(payload, pa.int64(), 3600))


def rated() -> Base:
    return seconds(RATED)


@st.composite
def payloads(draw: st.DrawFn) -> pa.Table:
    """Up to five columns of three rows; timestamps may be of several types."""
    names = draw(st.lists(st.sampled_from(["rating", "timestamp", "device", "Größe", "a b"]), min_size=1, unique=True))
    columns: dict[str, pa.Array] = {}
    for name in names:
        kinds = [kind for kind in KINDS if name != "timestamp" or kind == pa.int64() or is_time(kind)]
        kind = draw(st.sampled_from(kinds))
        cells: st.SearchStrategy[Any] = st.integers(0, 2**31 - 1)
        if pa.types.is_floating(kind):
            cells = st.floats(width=32, allow_nan=False)
        elif pa.types.is_string(kind):
            cells = st.text("aé ", max_size=3)
        elif pa.types.is_boolean(kind):
            cells = st.booleans()
        rows = st.lists(cells if name == "timestamp" else st.none() | cells, min_size=5, max_size=5)
        # A slice: what lies before and after it in memory must not matter.
        columns[name] = pa.array(draw(rows), kind).slice(1, 3)
    fields = [
        timestamp_field(column.type, draw(st.none() | st.just(3600)))
        if name == "timestamp"
        else pa.field(name, column.type)
        for name, column in columns.items()
    ]
    return pa.table(list(columns.values()), schema=pa.schema(fields))


@st.composite
def bases(draw: st.DrawFn) -> Base:
    q = draw(st.integers(1, 12))
    rows = draw(st.lists(st.sets(st.integers(0, q - 1)), min_size=1, max_size=8))
    indices = [item for row in rows for item in sorted(row)]
    mask = np.array(draw(st.lists(st.booleans(), min_size=len(indices), max_size=len(indices))), dtype=bool)
    return Base.from_arrays(np.cumsum([0, *map(len, rows)]), indices, mask, item_ids=np.arange(q))


@settings(deadline=None)
@given(bases())
def test_views_agree_with_entries(base: Base) -> None:
    dense = np.zeros(base.shape, dtype=np.int8)
    for user in range(base.shape[0]):
        for entry in base.entries[base.indptr[user] : base.indptr[user + 1]].tolist():
            dense[user, entry % 2**31] = -1 if entry >= 2**31 else 1
    np.testing.assert_array_equal(base.to_scipy().toarray(), dense)
    np.testing.assert_array_equal(base.train.toarray(), dense == 1)
    np.testing.assert_array_equal(base.test.toarray(), dense == -1)
    for split, part in (("all", dense != 0), ("train", dense == 1), ("test", dense == -1)):
        np.testing.assert_array_equal(base.user_degrees(split), part.sum(axis=1))  # type: ignore[arg-type]
        np.testing.assert_array_equal(base.item_degrees(split), part.sum(axis=0))  # type: ignore[arg-type]
    assert (base.train_count, base.test_count) == ((dense == 1).sum(), (dense == -1).sum())
    rebuilt = Base.from_arrays(base.indptr, base.indices, base.signs < 0, base.user_ids, base.item_ids)
    assert rebuilt.fingerprint == base.fingerprint


def test_types_are_what_the_core_takes() -> None:
    loose: Any = np.arange(4)[::2]
    base = Base(loose.astype(np.int32), loose, pa.array(["u"]), pa.array([1, 2, 3]))
    assert base.indptr.dtype == np.int64
    assert base.entries.dtype == np.uint32
    assert base.entries.flags.c_contiguous
    assert not base.entries.flags.writeable
    assert base.indices.dtype == np.int32
    assert base.signs.dtype == np.int8
    assert base.train.dtype == np.float64
    assert base.to_scipy().dtype == np.int8


def test_arrays_of_the_caller_stay_writable_and_are_copied() -> None:
    def arrays() -> dict[str, Any]:
        payload = {"rating": np.array([1.5, 2.5]), "timestamp": np.array([10**9, 10**9])}
        return {"indptr": np.array([0, 2]), "user_ids": np.array([7]), "item_ids": np.array([4, 5])} | payload

    def made(of: dict[str, Any]) -> Base:
        payload = pa.table({name: of[name] for name in ("rating", "timestamp")})
        return Base.from_arrays(of["indptr"], [0, 1], None, of["user_ids"], of["item_ids"], payload=payload)

    given = arrays()
    base, expected = made(given), made(arrays())
    for array in given.values():
        array[:] = 1
    assert base.fingerprint == expected.fingerprint
    assert (base.user_ids, base.item_ids) == (expected.user_ids, expected.item_ids)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"notes": 5}, "notes is 5\nhint: give a list of texts"),
        ({"notes": ("a", 5)}, "notes is .*\nhint: give a list of texts"),
        ({"notes": "made"}, "notes is the text 'made'"),
        ({"notes": np.array(5)}, "notes is array"),
        ({"indices": [2**40]}, "at most 2,147,483,648 users and 1,073,741,824 items, not 1 and 1,099,511,627,777"),
        ({"test_mask": [[True], [True, False]]}, "test_mask must be booleans"),
        ({"user_ids": "a"}, "user_ids is the text 'a'"),
        ({"user_ids": [2**70]}, "user_ids must be integers or strings"),
        ({"item_ids": np.array([2**63], dtype=np.uint64)}, "item_ids must be integers below 2.63 or strings"),
    ],
)
def test_arguments_of_another_kind_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Base.from_arrays(**({"indptr": [0, 1], "indices": [0]} | arguments))


def test_unknown_words_of_methods_are_refused(tmp_path: Path) -> None:
    for degrees in (small().user_degrees, small().item_degrees):
        with pytest.raises(InputError, match="unknown split 'tran'"):
            degrees("tran")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="verify is 'yes'; it must be True or False"):
        Base.load(tmp_path, verify="yes")  # type: ignore[arg-type]


def test_test_bit_marks_test_entries() -> None:
    np.testing.assert_array_equal(small().entries, np.array([0, 2 + 2**31, 3, 2, 0, 1 + 2**31], dtype=np.uint32))
    assert int(TEST_BIT) == 2**31


def test_split_is_named() -> None:
    assert small().split == "given"
    assert Base.from_arrays([0, 1], [0]).split == "none"
    assert Base.from_arrays([0, 1], [0], [True], split="last").split == "last"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([0, 2], [1, 0]), "user code 0 is out of order at item code 0"),
        (([0, 1, 3], [0, 1, 1]), "user code 1 repeats item code 1"),
        (([0, 1], [-1]), "item code -1 is negative"),
        (([0, 2], [0]), "indptr must rise from 0 to the number of indices, 1"),
        (([1, 1], [0]), "indptr must rise"),
        (([0, 2, 1, 2], [0, 1]), "indptr must rise"),
        (([0], []), "indptr must rise"),
        (([0, 1], [0.5]), "indices must be a one-dimensional array of integers"),
        (([0, 1], [[0]]), "indices must be a one-dimensional array of integers"),
        (([0, 1], [0], [1]), "test_mask must be 1 booleans"),
        (([0, 1], [0], [True, False]), "test_mask must be 1 booleans"),
        (([0, 1], [0], None, ["a", "b"]), "2 user_ids for 1 users"),
        (([0, 1], [3], None, None, ["a", "b"]), "item code 3 has no id: there are 2 item_ids"),
        (([0, 2], [0, 1], None, None, ["a", "a"]), "item_ids holds the same id more than once"),
        (([0, 2], [0, 1], None, None, ["a", None]), "item_ids holds 1 nulls"),
        (([0, 2], [0, 1], None, None, [0.5, 1.5]), "item_ids must be integers or strings"),
    ],
)
def test_arrays_that_are_no_base_are_refused(arrays: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Base.from_arrays(*arrays)


def test_first_wrong_row_is_named_past_empty_rows() -> None:
    with pytest.raises(InputError, match="user code 3 repeats item code 7"):
        Base.from_arrays([0, 0, 2, 2, 4], [1, 9, 7, 7])


def test_fingerprint_is_pinned() -> None:
    # It is stored with what is made from a base: it must not drift.
    base = small()
    assert base.fingerprint == "d96552327c1f6f0acd869b76a99531e774931a9f222db10901b118298a41e159"
    shape = np.array(base.shape, "<i8").tobytes()
    content = b"fractalrs base 2" + shape + base.indptr.astype("<i8").tobytes() + base.entries.astype("<u4").tobytes()
    assert base.fingerprint == blake3(content).hexdigest()


def test_fingerprint_with_payload_is_pinned() -> None:
    assert rated().fingerprint == "cf4738af773aaae0fc810079cac2a84fdb07ca9bb5296a72ade19eb316489c29"


@settings(deadline=None)
@given(payloads())
def test_fingerprint_does_not_see_how_a_payload_lies_in_memory(payload: pa.Table) -> None:
    parts = pa.concat_tables([payload.slice(0, 1), payload.slice(1)])
    # Values under a null may be anything.
    filled = {}
    for name in payload.column_names:
        column = payload[name].combine_chunks()
        mask = pc.is_null(column)
        column = pc.fill_null(column, column.drop_null()[0]) if column.null_count < 3 else column
        filled[name] = pc.if_else(mask, pa.scalar(None, column.type), column)
    expected = loaded(payload)
    for other in (parts, pa.table(filled, schema=payload.schema), payload.take(pa.array([0, 1, 2]))):
        assert loaded(other).fingerprint == expected.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        Base.from_arrays([0, 2, 3], [0, 1, 1]),
        loaded(timed(RATED, pa.timestamp("ms"))),
        loaded(timed(RATED, pa.timestamp("ms", "UTC"))),
        loaded(timed(RATED, pa.int64(), 7)),
        loaded(timed(RATED, pa.int64())),
        seconds({name: RATED[name] for name in ("timestamp", "rating", "device")}),
        seconds({name: RATED[name] for name in ("rating", "timestamp")}),
        seconds({"Rating" if name == "rating" else name: RATED[name] for name in RATED}),
        seconds(RATED | {"rating": [4.5, 1.0, 3.5]}),
        seconds(RATED | {"rating": pa.array([4.5, 1.0, 3.0], pa.float32())}),
        seconds(RATED | {"rating": [4.5, None, 3.0]}),
        seconds(RATED | {"timestamp": [1_400_000_000, 5, 7]}),
        seconds(RATED | {"device": ["tv", "", ""]}),
        seconds(RATED | {"device": ["tv", "", None]}),
        seconds(RATED | {"device": ["t", None, "v"]}),
    ],
)
def test_fingerprint_sees_every_change_of_the_payload(other: Base) -> None:
    assert other.fingerprint != rated().fingerprint
    assert seconds(RATED).fingerprint == rated().fingerprint


@pytest.mark.parametrize(
    "other",
    [
        Base.from_arrays([0, 2, 4], [0, 1, 0, 1]),
        Base.from_arrays([0, 2, 4], [0, 1, 0, 1], [True, False, False, False]),
        Base.from_arrays([0, 2, 4], [0, 2, 0, 1]),
        Base.from_arrays([0, 1, 4], [0, 0, 1, 2]),
        Base.from_arrays([0, 2, 4], [0, 1, 0, 1], item_ids=[0, 1, 2]),
        Base.from_arrays([0, 2, 4, 4], [0, 1, 0, 1]),
    ],
)
def test_fingerprint_sees_every_change(other: Base) -> None:
    base = Base.from_arrays([0, 2, 4], [0, 1, 0, 1], user_ids=["x", "y"])
    same = np.array_equal(other.to_scipy().toarray(), base.to_scipy().toarray())
    assert (other.fingerprint == base.fingerprint) == same


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    base = small()
    base.save(tmp_path / "new" / "base")
    loaded = Base.load(tmp_path / "new" / "base", verify=True)
    assert loaded.fingerprint == base.fingerprint
    assert loaded.user_ids.equals(base.user_ids)
    assert loaded.item_ids.equals(base.item_ids)
    assert (loaded.split, loaded.notes, loaded.shape) == (base.split, base.notes, (4, 5))
    assert sorted(entry.name for entry in (tmp_path / "new").iterdir()) == ["base"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(payloads())
def test_payload_survives_the_disk(tmp_path: Path, payload: pa.Table) -> None:
    base = loaded(payload)
    folder = tmp_path / base.fingerprint
    base.save(folder)
    found = Base.load(folder, verify=True)
    assert base.payload is not None
    assert found.payload is not None
    assert found.payload.equals(payload)
    assert found.payload.schema.equals(base.payload.schema, check_metadata=True)
    assert all(column.num_chunks == 1 for column in found.payload.columns)
    assert (found.timestamp_type, found.ticks_per_hour) == (base.timestamp_type, base.ticks_per_hour)
    assert pickle.loads(pickle.dumps(found)).payload.equals(payload)
    base.save(folder)


def test_payload_is_mapped_not_read(tmp_path: Path) -> None:
    count = 100_000
    Base.from_arrays([0, count], np.arange(count), payload={"rating": np.arange(count) / 2}).save(tmp_path / "base")
    before = pa.total_allocated_bytes()
    found = Base.load(tmp_path / "base").payload
    assert found is not None
    assert pa.total_allocated_bytes() - before < count
    assert found["rating"].chunk(0)[count - 1].as_py() == (count - 1) / 2


def test_chunks_of_a_payload_become_one() -> None:
    base = rated()
    assert base.payload is not None
    parts = pa.concat_tables([base.payload.slice(0, 1), base.payload.slice(1)])
    other = replace(base, payload=parts)
    assert other.payload is not None
    assert all(column.num_chunks == 1 for column in other.payload.columns)
    assert other.fingerprint == base.fingerprint


def test_base_without_payload_is_saved_as_ever(tmp_path: Path) -> None:
    small().save(tmp_path / "base")
    assert sorted(file.name for file in (tmp_path / "base").iterdir()) == [
        "base.json",
        "entries.npy",
        "indptr.npy",
        "item_ids.arrow",
        "user_ids.arrow",
    ]
    assert "payload" not in json.loads((tmp_path / "base" / "base.json").read_text())
    assert Base.load(tmp_path / "base").payload is None


@pytest.mark.parametrize("empty", [pa.array([], pa.float64()), pa.chunked_array([], pa.float64())])
def test_payload_without_interactions_survives(tmp_path: Path, empty: Any) -> None:
    base = Base.from_arrays([0, 0], [], item_ids=["only"], payload={"rating": empty})
    base.save(tmp_path / "base")
    found = Base.load(tmp_path / "base", verify=True).payload
    assert found is not None
    assert found.schema == pa.schema({"rating": pa.float64()})


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"rating": [1, 2]}, "the payload has 2 rows for 3 interactions"),
        ({"rating": [1, 2], "x": [1]}, "the payload is no table"),
        (3, "the payload is no table"),
        ({"x": [[1], [2], [3]]}, "the column 'x' has the type list"),
        ({"user_id": [1, 2, 3]}, "two columns of the output would be called 'user_id'"),
        ({"tv": [1, 2, 3], "TV": [1, 2, 3]}, "would be called 'TV'"),
        ({"timestamp": [1.5, 2, 3]}, "timestamp of a payload holds integers.*saw double"),
        ({"timestamp": ["1", "2", "3"]}, "timestamp of a payload holds integers.*saw string"),
        ({"timestamp": [1, None, 3]}, "the payload: row 2: the timestamp is missing"),
        ({"timestamp": [1, -1, 3]}, "the payload: row 2: the timestamp is negative"),
        ({"timestamp": pa.array([1, 2, -3], pa.timestamp("ms"))}, "the payload: row 3: the timestamp is negative"),
        ({"timestamp": [1, 10**9, 10**12]}, "row 3: the timestamp 1000000000000 looks like milliseconds"),
        (
            pa.table([[1, 2, 3]], schema=pa.schema([pa.field("timestamp", pa.int64(), metadata={HOUR: b"0"})])),
            "fractalrs.ticks_per_hour of the field 'timestamp' is '0'",
        ),
    ],
)
def test_payload_that_does_not_fit_is_refused(payload: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        loaded(payload)


@pytest.mark.parametrize(
    ("times", "kind", "hour"),
    [
        ([10**9, 5, 6], pa.int64(), None),
        ([10**9, 10**9, 0], pa.int64(), 3600),
        (np.array([10**12] * 3, np.uint64), pa.int64(), 3_600_000),
        (np.array(["2020-01-01"] * 3, "datetime64[s]"), pa.timestamp("ms"), 3_600_000),
        (pa.array([1, 2, 3], pa.timestamp("us", "Europe/Paris")), pa.timestamp("us", "Europe/Paris"), 3_600_000_000),
        (pa.array([1, 2, 3], pa.date32()), pa.date32(), None),
        (pa.array([0, 86_400_000, 0], pa.date64()), pa.date32(), None),
    ],
)
def test_times_of_any_type_go_along(times: Any, kind: pa.DataType, hour: int | None) -> None:
    base = loaded({"timestamp": times})
    assert (base.timestamp_type, base.ticks_per_hour) == (kind, hour)
    assert base.column("timestamp").type == kind


@pytest.mark.parametrize("hour", [0, -1, True])
def test_an_hour_is_a_whole_number_of_ticks(hour: int) -> None:
    with pytest.raises(InputError, match=f"ticks_per_hour must be a whole number, 1 or more, not {hour}"):
        timestamp_field(pa.int64(), hour)


@pytest.mark.parametrize("split", ["mine", "auto", "", 3, ["last"]])
def test_a_split_of_ones_own_is_refused(split: Any) -> None:
    with pytest.raises(InputError, match=r"unknown split .*\nhint: use one of last, random, time, users, none, given"):
        Base.from_arrays([0, 1], [0], split=split)


def test_loaded_arrays_are_mapped_not_read(tmp_path: Path) -> None:
    small().save(tmp_path / "base")
    owner: Any = Base.load(tmp_path / "base").entries
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    assert isinstance(owner, np.memmap)


def test_base_without_interactions_survives(tmp_path: Path) -> None:
    Base.from_arrays([0, 0], [], item_ids=["only"]).save(tmp_path / "base")
    assert Base.load(tmp_path / "base", verify=True).shape == (1, 1)


def test_saving_twice_changes_nothing(tmp_path: Path) -> None:
    small().save(tmp_path / "base")
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "base").iterdir()}
    small().save(tmp_path / "base")
    assert before == {file.name: file.stat().st_mtime_ns for file in (tmp_path / "base").iterdir()}


@pytest.mark.parametrize("other", [{"rating": [1, 2, 4]}, {"rating": [1.0, 2, 3]}, {"stars": [1, 2, 3]}, None])
def test_saving_over_another_payload_is_refused(tmp_path: Path, other: Any) -> None:
    loaded({"rating": [1, 2, 3]}).save(tmp_path / "base")
    with pytest.raises(OutputError, match="exists and is not this base"):
        loaded(other).save(tmp_path / "base")


@pytest.mark.parametrize("what", ["file", "empty folder", "other base", "other ids"])
def test_saving_over_something_else_is_refused(tmp_path: Path, what: str) -> None:
    target = tmp_path / "base"
    match what:
        case "file":
            target.write_text("mine")
        case "empty folder":
            target.mkdir()
        case "other base":
            Base.from_arrays([0, 1], [0]).save(target)
        case "other ids":
            base = small()
            Base(base.indptr, base.entries, pa.array([1, 2, 3, 4]), base.item_ids, base.split, base.notes).save(target)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="exists and is not this base"):
        small().save(target)
    assert sorted(tmp_path.rglob("*")) == before


def test_saving_below_a_file_or_to_a_name_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        OutputError, match=r"cannot write .*/file/base: Not a directory\nhint: choose a name in a folder"
    ):
        small().save(tmp_path / "file" / "base")
    with pytest.raises((OutputError, InputError)):
        small().save(tmp_path / ("long" * 100))


def test_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left on device"):
        small().save(tmp_path / "base")
    assert list(tmp_path.iterdir()) == []


def test_pickles_as_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Base.from_arrays([0, 1000], np.arange(1000))
    with pytest.raises(InputError, match=r"call base\.save"):
        pickle.dumps(base)
    monkeypatch.chdir(tmp_path)
    base.save("base")
    monkeypatch.chdir("/")
    frozen = pickle.dumps(base)
    assert len(frozen) < 300
    assert pickle.loads(frozen).fingerprint == base.fingerprint
    assert pickle.loads(pickle.dumps(Base.load(tmp_path / "base"))).path == tmp_path / "base"


def test_a_pickle_is_of_its_base_and_of_no_other_at_its_path(tmp_path: Path) -> None:
    base, other = Base.from_arrays([0, 1], [0]), Base.from_arrays([0, 2], [0, 1])
    base.save(tmp_path / "base")
    frozen = pickle.dumps(base)
    (tmp_path / "base").rename(tmp_path / "away")
    other.save(tmp_path / "base")
    with pytest.raises(InputError, match=f"holds the base {other.fingerprint} now, and .* is {base.fingerprint}"):
        pickle.loads(frozen)
    (tmp_path / "base").rename(tmp_path / "other")
    with pytest.raises(InputError, match="there is no saved base at"):
        pickle.loads(frozen)
    (tmp_path / "away").rename(tmp_path / "base")
    assert pickle.loads(frozen).fingerprint == base.fingerprint


def test_a_path_is_text_or_a_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="path is 3"):
        Base.load(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="path is None"):
        small().save(None)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_missing_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no saved base at"):
        Base.load(tmp_path / "base")


@pytest.mark.parametrize("name", ["base.json", "indptr.npy", "entries.npy", "user_ids.arrow", "item_ids.arrow"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_damaged_base_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    small().save(tmp_path / "base")
    file = tmp_path / "base" / name
    match damage:
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(file.read_bytes()[:-20])
        case "other":
            Base.from_arrays([0, 1, 1, 1, 1, 1], [0], item_ids=list("abcdefg")).save(tmp_path / "other")
            (tmp_path / "other" / name).rename(file)
    with pytest.raises(InputError, match=r"damaged|missing|holds|where base\.json says"):
        Base.load(tmp_path / "base")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other type", "other length", "other name"])
def test_damaged_payload_is_refused(tmp_path: Path, damage: str) -> None:
    rated().save(tmp_path / "base")
    file = tmp_path / "base" / "payload.arrow"
    content = file.read_bytes()
    file.unlink()
    match damage:
        case "empty" | "cut":
            file.write_bytes(content[:-20] if damage == "cut" else b"")
        case "other type" | "other length" | "other name":
            other: dict[str, Any] = {
                "other type": RATED | {"rating": pa.array([1, 2, 3], pa.float32())},
                "other length": {name: values[:2] for name, values in RATED.items()},
                "other name": RATED | {"Rating": [1, 2, 3]},
            }[damage]
            table = timed(other, pa.int64(), 3600)
            with pa.ipc.new_file(str(file), table.schema) as writer:
                writer.write_table(table)
    with pytest.raises(InputError, match=r"payload\.arrow is (damaged|missing)"):
        Base.load(tmp_path / "base")


@pytest.mark.parametrize("part", ["columns", "ticks_per_hour"])
def test_damaged_description_of_a_payload_is_refused(tmp_path: Path, part: str) -> None:
    rated().save(tmp_path / "base")
    file = tmp_path / "base" / "base.json"
    description = json.loads(file.read_text())
    del description["payload"][part]
    file.write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"base\.json is damaged"):
        Base.load(tmp_path / "base")


def test_other_format_is_refused(tmp_path: Path) -> None:
    small().save(tmp_path / "base")
    file = tmp_path / "base" / "base.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": "fractalrs base 99"}))
    with pytest.raises(InputError, match="holds 'fractalrs base 99'"):
        Base.load(tmp_path / "base")


def test_indptr_that_leaves_the_entries_is_refused(tmp_path: Path) -> None:
    small().save(tmp_path / "base")
    np.save(tmp_path / "base" / "indptr.npy", np.array([0, 3, 4, 99, 6]))
    with pytest.raises(InputError, match=r"indptr\.npy is damaged"):
        Base.load(tmp_path / "base")


def test_changed_content_is_found_on_request(tmp_path: Path) -> None:
    small().save(tmp_path / "base")
    np.save(tmp_path / "base" / "entries.npy", small().entries ^ np.uint32(1))
    Base.load(tmp_path / "base")
    with pytest.raises(InputError, match="does not match its fingerprint"):
        Base.load(tmp_path / "base", verify=True)


@pytest.mark.parametrize("column", ["rating", "timestamp", "device"])
def test_changed_payload_is_found_on_request(tmp_path: Path, column: str) -> None:
    rated().save(tmp_path / "base")
    table = rated().payload
    assert table is not None
    place = table.column_names.index(column)
    table = table.set_column(place, table.schema.field(place), table[column].take([2, 1, 0]))
    with pa.ipc.new_file(str(tmp_path / "base" / "payload.arrow"), table.schema) as writer:
        writer.write_table(table)
    Base.load(tmp_path / "base")
    with pytest.raises(InputError, match="does not match its fingerprint"):
        Base.load(tmp_path / "base", verify=True)


def test_every_byte_counts_on_request(tmp_path: Path) -> None:
    rated().save(tmp_path / "base")
    Base.load(tmp_path / "base", verify=True)
    for seed in range(60):
        draw = random.Random(seed)
        file = draw.choice(sorted((tmp_path / "base").iterdir()))
        whole = file.read_bytes()
        content, at = bytearray(whole), draw.randrange(len(whole))
        content[at] ^= 1 << draw.randrange(8)
        if file.name == "base.json" and content.split() == whole.split():
            continue
        file.write_bytes(content)
        with pytest.raises(InputError):
            pytest.fail(f"seed {seed}: byte {at} of {file.name}") if Base.load(tmp_path / "base", verify=True) else None
        file.write_bytes(whole)


def test_repr_says_sizes_and_place(tmp_path: Path) -> None:
    base = small()
    assert repr(base) == "Base(4 users × 5 items, 4 train, 2 test, split='given')"
    base.save(tmp_path / "base")
    assert repr(base).endswith(f", path={str(tmp_path / 'base')!r})")
