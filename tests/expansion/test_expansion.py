"""The expansion as a value: what it gives, saves, loads, sends to other processes, and refuses."""

import dataclasses
import errno
import hashlib
import itertools
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.dataset import expected_bytes
from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.expansion import Cells, Expansion
from helpers.folders import RATES, small_base, small_expansion

SHUFFLES = ["none", "aligned", "cells", "mixed", "block"]


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    return small_expansion()


def digest(table: pa.Table) -> str:
    columns = [np.ascontiguousarray(column.to_numpy(), dtype="<i8").tobytes() for column in table.columns]
    return hashlib.sha256(b"".join(columns)).hexdigest()


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_rows_stitched_from_cuts_are_the_whole(shuffle: Any, split: Any) -> None:
    expansion = small_expansion(shuffle=shuffle)
    whole = expansion.table(0, 600, split)
    cuts = [0, 1, 199, 200, 201, 350, 350, 599, 600]
    pieces = [expansion.table(first, last, split) for first, last in itertools.pairwise(cuts)]
    assert len(whole) > 1_000
    assert pa.concat_tables(pieces).equals(whole)


def test_cells_are_those_of_the_base_by_default(expansion: Expansion) -> None:
    assert Expansion(small_base(), RATES, seed=7).fingerprint == expansion.fingerprint


def test_rows_come_by_user_and_stay_in_their_range(expansion: Expansion) -> None:
    users = expansion.table(130, 410, "train")["user_id"].to_numpy()
    assert users.min() >= 130
    assert users.max() < 410
    assert (np.diff(users) >= 0).all()


def test_schema_is_int32_and_without_nulls(expansion: Expansion) -> None:
    expected = pa.schema([pa.field("user_id", pa.int32(), nullable=False), pa.field("item_id", pa.int32(), False)])
    assert expansion.schema.equals(expected)
    assert expansion.table(5, 5).schema.equals(expected)
    assert expansion.stream("test").schema.equals(expected)


def test_schema_is_int64_where_the_id_space_needs_it() -> None:
    base = fr.Base.from_arrays([0, 1], [0], item_ids=np.arange(1 << 20))
    expansion = Expansion(base, np.full((1, 1 << 12), 1e-6), min_keep=0, shuffle="none", block_keep=1e-3)
    assert expansion.schema.types == [pa.int32(), pa.int64()]
    assert expansion.table(0, 1).schema.equals(expansion.schema)


@pytest.mark.parametrize("users", [(-1, 5), (0, 601), (5, 4), (700, 700)])
def test_ranges_outside_are_refused(expansion: Expansion, users: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="not within 0 to 600"):
        expansion.table(*users)
    with pytest.raises(InputError, match="not within 0 to 600"):
        expansion.stream("train", users=users)


def test_unknown_splits_are_refused(expansion: Expansion) -> None:
    with pytest.raises(InputError, match=r"(?s)split is 'dev'.*train, valid, test"):
        expansion.table(0, 1, "dev")  # type: ignore[arg-type]


def test_a_seed_may_be_a_numpy_integer(expansion: Expansion) -> None:
    assert small_expansion(seed=np.uint64(7)).fingerprint == expansion.fingerprint


def test_expected_is_near_what_comes_out(expansion: Expansion) -> None:
    expected = expansion.expected
    assert (expected.user_ids, expected.item_ids) == (600, 750)
    train, test = expansion.table(0, 600, "train"), expansion.table(0, 600, "test")
    for count, table in ((expected.train, train), (expected.test, test)):
        assert abs(len(table) - count.mean) < 5 * count.std
    seen = pa.concat_tables([train, test])
    assert len(seen["user_id"].unique()) == pytest.approx(expected.users, rel=0.02)
    assert len(seen["item_id"].unique()) == pytest.approx(expected.items, rel=0.02)


@pytest.mark.parametrize("encoding", ["default", "fast"])
@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_expected_bytes_are_near_what_is_written(tmp_path: Path, encoding: str, compression: str) -> None:
    format = fr.ParquetOptions(encoding, compression)
    base = fr.leave_last_out(fr.sample_interactions(500, 400, 20_000))
    expansion = Expansion(base, np.full((4, 4), 0.5), shuffle="aligned")
    written = fr.write(expansion, tmp_path / "out", parts=1, parquet=format).totals["bytes"]
    assert expected_bytes(expansion, format) == pytest.approx(written, rel=0.05)


def test_keep_rates_follow_their_formula() -> None:
    expansion = small_expansion(min_keep=0.1, max_keep=0.6, keep_scale=1.5)
    np.testing.assert_array_equal(expansion.keep_rates, np.minimum(0.6, 1.5 * np.clip(RATES, 0.1, 0.6)))
    with pytest.raises(ValueError, match="read-only"):
        expansion.keep_rates[0, 0] = 1


def test_keep_rates_may_be_zero_but_not_tiny() -> None:
    assert len(Expansion(small_base(), np.zeros((2, 2)), min_keep=0).table(0, 400)) == 0
    with pytest.raises(InputError, match=r"(?s)keep rate is 1e-07.*block_keep"):
        Expansion(small_base(), np.full((2, 2), 1e-7), min_keep=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle": "all"}, "shuffle is 'all'"),
        ({"profile": "fancy"}, "unknown profile 'fancy'"),
        ({"test_items": "two"}, "test_items is 'two'"),
        ({"order": "time"}, "the order is by time, but interactions get no times"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1 << 64}, "seed is 18446744073709551616"),
        ({"min_keep": -0.1}, "min_keep is -0.1"),
        ({"max_keep": 1.1}, "max_keep is 1.1"),
        ({"min_keep": float("nan")}, "min_keep is nan"),
        ({"min_keep": 0.6, "max_keep": 0.5}, "min_keep 0.6 is above max_keep 0.5"),
        ({"keep_scale": 0}, "keep_scale is 0"),
        ({"keep_scale": float("inf")}, "keep_scale is inf"),
        ({"keep_scale": float("nan")}, "keep_scale is nan"),
        ({"block_keep": 0}, "block_keep is 0"),
        ({"block_keep": 1.01}, "block_keep is 1.01"),
        ({"shuffle": "block", "cells": Cells.single(200, 150)}, "cells are given, but the shuffle 'block'"),
        ({"cells": Cells.single(200, 151)}, "cells are for 200 users and 151 items, the base has 200 and 150"),
    ],
)
def test_bad_options_are_refused_in_the_users_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_expansion(**options)


def test_a_matrix_out_of_range_is_refused() -> None:
    for value in (1.5, -0.1, float("nan")):
        with pytest.raises(InputError, match="reduced matrix holds"):
            Expansion(small_base(), [[0.5, value]])


def test_dropping_incomplete_users_needs_test_interactions() -> None:
    base = fr.leave_last_out(fr.sample_interactions(50, 40, 500), split="none")
    with pytest.raises(InputError, match="nothing: no interaction is held out"):
        Expansion(base, RATES, drop_incomplete=True)


@pytest.mark.parametrize(("profile", "shuffle"), [("realistic", "mixed"), ("paper", "block"), ("traceable", "aligned")])
def test_profiles_name_a_shuffle_and_an_explicit_one_wins(profile: str, shuffle: str) -> None:
    assert small_expansion(profile=profile).shuffle == shuffle
    assert small_expansion(profile=profile, shuffle="none").shuffle == "none"


def test_the_fingerprint_is_of_what_the_interactions_depend_on(expansion: Expansion) -> None:
    changes: list[dict[str, Any]] = [
        {"shuffle": "aligned"},
        {"seed": 8},
        {"min_keep": 0.02},
        {"max_keep": 0.9},
        {"keep_scale": 0.5},
        {"block_keep": 0.5},
        {"test_items": "one"},
        {"drop_incomplete": True},
        {"order": "item"},
        {"cells": fr.group_cells(expansion.base, 2, 4)},
    ]
    others = [small_expansion(**change).fingerprint for change in changes]
    others.append(Expansion(small_base(), RATES[:, ::-1], seed=7).fingerprint)
    others.append(Expansion(small_base(seed=1), RATES, seed=7).fingerprint)
    assert len({expansion.fingerprint, *others}) == len(others) + 1
    same: list[dict[str, Any]] = [{"profile": "paper", "shuffle": "mixed", "max_keep": 0.5}, {"max_keep": None}]
    assert {small_expansion(**change).fingerprint for change in same} == {expansion.fingerprint}


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_save_and_load_give_the_same_value(tmp_path: Path, shuffle: Any) -> None:
    base = small_base()
    options = {"min_keep": 0.1, "keep_scale": 0.7, "test_items": "one", "drop_incomplete": True, "order": "item"}
    saved = Expansion(base, fr.reduce(base, (3, 5)), profile="paper", shuffle=shuffle, seed=2**63, **options)  # type: ignore[arg-type]
    saved.save(tmp_path / "deep" / "expansion")
    loaded = Expansion.load(tmp_path / "deep" / "expansion")
    assert loaded.fingerprint == saved.fingerprint
    assert (loaded.profile, loaded.options) == (saved.profile, saved.options)
    assert loaded.reduced.description == saved.reduced.description
    for field in ("values", "signed", "singular_values"):
        np.testing.assert_array_equal(getattr(loaded.reduced, field), getattr(saved.reduced, field))
    assert loaded.base.path == tmp_path / "deep" / "expansion" / "base"
    assert loaded.table(0, 600).equals(saved.table(0, 600))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["expansion"]


def test_a_loaded_expansion_maps_its_base(tmp_path: Path) -> None:
    small_expansion().save(tmp_path / "expansion")
    entries: Any = Expansion.load(tmp_path / "expansion").base.entries
    while entries is not None and not isinstance(entries, np.memmap):
        entries = entries.base
    assert isinstance(entries, np.memmap)


def test_another_process_works_on_the_same_expansion(tmp_path: Path) -> None:
    expansion = small_expansion()
    with pytest.raises(InputError, match="not saved"):
        pickle.dumps(expansion)
    expansion.save(tmp_path / "expansion")
    program = (
        "import hashlib, pickle, sys, numpy as np\n"
        "expansion, base = pickle.load(sys.stdin.buffer)\n"
        "columns = expansion.table(100, 500, 'train').columns\n"
        "rows = b''.join(np.ascontiguousarray(c.to_numpy(), dtype='<i8').tobytes() for c in columns)\n"
        "print(hashlib.sha256(rows).hexdigest(), base.fingerprint)\n"
    )
    pickled = pickle.dumps((expansion, expansion.base))
    assert len(pickled) < 1_000
    done = subprocess.run([sys.executable, "-c", program], input=pickled, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().split() == [digest(expansion.table(100, 500)), expansion.base.fingerprint]


def test_a_pickle_is_of_a_value_not_of_a_place(tmp_path: Path) -> None:
    for seed in (1, 2):
        small_expansion(seed=seed).save(tmp_path / str(seed))
    pickled = pickle.dumps(Expansion.load(tmp_path / "1"))
    assert pickle.loads(pickled).seed == 1
    shutil.rmtree(tmp_path / "1")
    (tmp_path / "2").rename(tmp_path / "1")
    with pytest.raises(InputError, match="1 is not the one that was pickled"):
        pickle.loads(pickled)


def test_saving_never_replaces_anything(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        small_expansion().save(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot write"):
        small_expansion().save(tmp_path / "file" / "expansion")


def test_saving_flushes_everything_before_and_after_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, original = tmp_path / "expansion", os.fsync
    flushed: list[tuple[int, bool]] = []

    def note(descriptor: int) -> None:
        flushed.append((os.fstat(descriptor).st_ino, target.exists()))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    small_expansion().save(target)
    before = {inode for inode, named in flushed if not named}
    assert {path.stat().st_ino for path in (target, *target.rglob("*"))} <= before
    assert (tmp_path.stat().st_ino, True) in flushed


def test_loading_what_is_not_an_expansion_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a saved expansion"):
        Expansion.load(tmp_path)
    small_expansion().save(tmp_path / "expansion")
    (tmp_path / "expansion/reduced.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="not a saved expansion"):
        Expansion.load(tmp_path / "expansion")


def test_options_are_frozen(expansion: Expansion) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        expansion.options.seed = 1  # type: ignore[misc]


def test_an_expansion_that_carries_saves_and_loads(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 80, 1_500), payload=["rating", "timestamp"])
    made = fr.Expansion(
        base, fr.reduce(base, (2, 3)), profile="traceable", timestamps=True, ratings="kronecker", cold_items=0.1
    )
    made.save(tmp_path / "saved")
    loaded = fr.Expansion.load(tmp_path / "saved")
    assert loaded.fingerprint == made.fingerprint
    assert loaded.table(0, 120).equals(made.table(0, 120))


def test_test_times_tell_train_nothing_but_that_they_are_later(ml_latest_small: Path) -> None:
    base = fr.leave_last_out(fr.read_interactions(ml_latest_small), payload=["timestamp"])
    assert base.payload is not None
    times = base.payload["timestamp"].to_numpy() + 30 * 86_400 * base.test_mask
    later = fr.Base.from_arrays(
        base.indptr,
        base.indices,
        base.test_mask,
        split="last",
        payload={"timestamp": times},
    )
    made = [
        fr.Expansion(one, fr.reduce(one, (2, 4)), profile="traceable", timestamps=True).table(0, 2 * base.shape[0])
        for one in (base, later)
    ]
    moved = made[0]["timestamp"].to_numpy() != made[1]["timestamp"].to_numpy()
    # Only where a user's test interaction comes sooner after train than events usually follow each other.
    assert 0 < moved.mean() < 0.02


def test_a_full_disk_names_the_folder_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(
        WriteError,
        match=f"^cannot write {tmp_path / 'saved'}: No space left on device\nhint: nothing of it is left; free",
    ):
        small_expansion().save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("base", lambda _: Expansion(None, RATES)),  # type: ignore[arg-type]
        ("cells", lambda made: Expansion(made.base, RATES, cells=5)),  # type: ignore[arg-type]
        ("reduced matrix", lambda made: Expansion(made.base, [[0.5], [0.5, 0.2]])),
        ("timestamps", lambda made: Expansion(made.base, RATES, timestamps=np.zeros(2))),
        ("first", lambda made: made.table("a", "b")),
        ("last", lambda made: made.table(0, 1.0)),
        ("users", lambda made: made.stream(users=5)),
        ("users", lambda made: made.stream(users=(1, 2, 3))),
        ("batch_size", lambda made: made.stream(batch_size="many")),
        ("path", lambda made: made.save(5)),
        ("path", lambda _: Expansion.load(5)),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_another_kind_is_refused_by_its_name(expansion: Expansion, name: str, call: Any) -> None:
    with pytest.raises(InputError, match=name):
        call(expansion)
