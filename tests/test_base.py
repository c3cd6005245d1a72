"""The base: its views agree with a plain reading of its entries, and it survives the disk unchanged."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractalrs.base import TEST_BIT, Base
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


@st.composite
def bases(draw: st.DrawFn) -> Base:
    q = draw(st.integers(1, 12))
    rows = draw(st.lists(st.sets(st.integers(0, q - 1)), min_size=1, max_size=8))
    indices = [item for row in rows for item in sorted(row)]
    mask = np.array(draw(st.lists(st.booleans(), min_size=len(indices), max_size=len(indices))), dtype=bool)
    return Base.from_arrays(np.cumsum([0, *map(len, rows)]), indices, mask, item_ids=np.arange(q))


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


def test_arrays_of_the_caller_stay_writable() -> None:
    indptr = np.array([0, 1], dtype=np.int64)
    Base.from_arrays(indptr, [0])
    indptr[1] = 5


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
    assert small().fingerprint == "2b7e603525b0f198c22fe80b15d520cda52e239f1d62318e17b879adf3d7910b"


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


def test_saving_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot write to"):
        small().save(tmp_path / "file" / "base")


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


def test_repr_says_sizes_and_place(tmp_path: Path) -> None:
    base = small()
    assert repr(base) == "Base(4 users × 5 items, 4 train, 2 test, split='given')"
    base.save(tmp_path / "base")
    assert repr(base).endswith(f", path={str(tmp_path / 'base')!r})")
