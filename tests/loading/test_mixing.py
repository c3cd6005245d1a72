"""Mixtures of real and synthetic interactions: the ratio, where each comes from, and that no test interaction does."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fractalrs as fr
from fractalrs.errors import WriteError
from fractalrs.loading import check_mixing
from fractalrs.loading.mixed_folder import require_room, write_mixture
from fractalrs.tools import ProgressCallback
from helpers.bases import base_of, random_pairs


@cache
def carrying(split: str = "last", validation: bool = False, texts: bool = False) -> fr.Base:
    """Make a base whose entries carry a number each, by which synthetic interactions tell where they come from."""
    table = fr.sample_interactions(200, 150, 4_000, seed=1).table
    table = table.append_column("number", pa.array(np.arange(len(table))))
    if texts:
        for place, name in enumerate(("user_id", "item_id")):
            table = table.set_column(place, name, pc.binary_join_element_wise("x", table[name].cast(pa.string()), ""))
    interactions = fr.read_interactions(table, carry=["number"])
    return fr.leave_last_out(interactions, split=split, validation=validation, payload=["number"])  # type: ignore[arg-type]


@cache
def expanded(base: fr.Base, shuffle: str = "mixed", shape: tuple[int, int] = (4, 4), seed: int = 3) -> fr.Expansion:
    return fr.Expansion(base, fr.reduce(base, shape), shuffle=shuffle, seed=seed, carry=["number"])


def rows(table: Any) -> list[tuple[Any, ...]]:
    read = pa.table(table)
    return list(zip(*(read[name].to_pylist() for name in read.column_names), strict=True))


def entries(base: fr.Base) -> dict[int, tuple[Any, Any, bool]]:
    """Return user, item and whether it is train, of each entry by its number."""
    users, items = base.user_ids.to_pylist(), base.item_ids.to_pylist()
    known = zip(base.column("number").to_pylist(), base.owners, base.indices, base.mask("train"), strict=True)
    return {number: (users[user], items[item], bool(train)) for number, user, item, train in known}


@pytest.mark.parametrize("shuffle", ["mixed", "cells", "block", "aligned", "none"])
@pytest.mark.parametrize("split", [("last", False), ("random", True)])
def test_every_interaction_comes_from_a_real_train_interaction(shuffle: str, split: tuple[str, bool]) -> None:
    base = carrying(*split)
    expansion, known = expanded(base, shuffle), entries(base)
    mixture = fr.mix(base, expansion, 0.4)
    made = rows(mixture)
    real = sorted(row for row in made if not row[2])
    assert real == sorted((user, item, False, 1.0, number) for number, (user, item, train) in known.items() if train)
    synthetic = [row for row in made if row[2]]
    assert all(known[number][1:] == (item, True) for _, item, _, _, number in synthetic)
    # An item once, and what the expanded user has: of all but the last one, all of it.
    pairs = {(user, item) for user, item, *_ in synthetic}
    assert len(pairs) == len(synthetic) == mixture.synthetic_count
    table = expansion.table(0, expansion.shape[0])
    whole = {
        (user + mixture.first_id, known[number][1])
        for user, number in zip(table["user_id"].to_pylist(), table["number"].to_pylist(), strict=True)
    }
    assert pairs <= whole
    users = {user for user, _ in pairs}
    assert len({user for user, _ in {pair for pair in whole if pair[0] in users} - pairs}) <= 1
    assert users.isdisjoint(base.user_ids.to_pylist())


@pytest.mark.parametrize("ratio", [0.002, 0.1, 1 / 3, 0.5, 0.7])
def test_the_ratio_is_met(ratio: float) -> None:
    mixture = fr.mix(carrying(), expanded(carrying(), shape=(8, 4)), ratio)
    table = pa.table(mixture)
    assert abs(pc.mean(table["synthetic"]).as_py() - ratio) <= 1e-3
    assert pc.sum(table["synthetic"]).as_py() == mixture.synthetic_count
    assert len(table) == mixture.synthetic_count + mixture.real_count == mixture.synthetic_count + 3_800


@settings(deadline=None, max_examples=25)
@given(
    users=st.integers(30, 80),
    items=st.integers(20, 60),
    per_user=st.floats(3, 9),
    times=st.floats(0.01, 2),
    seed=st.integers(0, 99),
)
def test_of_any_base(users: int, items: int, per_user: float, times: float, seed: int) -> None:
    base = base_of(random_pairs(users, items, per_user, seed=seed))
    test = np.zeros(base.count, bool)
    test[base.indptr[1:] - 1] = True
    base = fr.Base.from_arrays(base.indptr, base.indices, test, item_ids=base.item_ids)
    expansion = fr.Expansion(base, np.full((6, 4), 0.5), seed=seed)
    # Small numbers meet few ratios.
    wanted = max(1, round(times * base.train_count))
    mixture = fr.mix(base, expansion, wanted / (wanted + base.train_count))
    table = pa.table(mixture)
    assert pc.sum(table["synthetic"]).as_py() == mixture.synthetic_count == wanted
    held_out = set(zip(base.owners[test].tolist(), base.indices[test].tolist(), strict=True))
    pairs = [(user, item) for user, item, synthetic, _ in rows(table) if not synthetic]
    assert held_out.isdisjoint(pairs)
    assert len(set(pairs)) == base.train_count
    train = set(base.item_ids.take(pa.array(base.indices[~test])).to_pylist())
    assert set(table["item_id"].to_pylist()) <= train


def test_threads_and_batches_change_nothing() -> None:
    base, expansion = carrying(), expanded(carrying(), shape=(8, 4))
    mixture = fr.mix(base, expansion, 0.5, threads=1)
    table = pa.table(mixture)
    for batch_size, threads in ((1, 1), (97, 3), (10**6, 2)):
        other = fr.mix(base, expansion, 0.5, batch_size=batch_size, threads=threads)
        assert max(map(len, other)) <= batch_size
        assert pa.table(other).equals(table)
    assert pa.table(mixture).equals(table)


def test_epochs_are_keyed() -> None:
    base, expansion = carrying(), expanded(carrying(), shape=(8, 4))
    first, second = fr.mix(base, expansion, 0.2), fr.mix(base, expansion, 0.2, epoch=1)
    tables = pa.table(first), pa.table(second)
    assert pa.table(first.of_epoch(1)).equals(tables[1])
    assert not tables[0].equals(tables[1])
    real, synthetic = ([{row for row in rows(table) if row[2] == kind} for table in tables] for kind in (False, True))
    assert real[0] == real[1]
    # A fifth of 3,800 is an eighth of what there is: most users of another epoch are others.
    assert len(synthetic[0] & synthetic[1]) < len(synthetic[0]) / 2
    assert not pa.table(fr.mix(base, expanded(base, shape=(8, 4), seed=4), 0.2)).equals(tables[0])


def test_pieces_have_both_and_users_of_all_row_blocks() -> None:
    base = fr.leave_last_out(fr.sample_interactions(3_000, 400, 300_000))
    expansion = fr.Expansion(base, np.full((4, 3), 0.5), shuffle="none")
    mixture = fr.mix(base, expansion, 0.5)
    table = pa.table(mixture)
    synthetic = table["synthetic"].to_numpy()
    thirds = [part.mean() for part in np.array_split(synthetic, 30)]
    assert max(abs(share - 0.5) for share in thirds) < 0.03
    blocks = (table.filter(table["synthetic"])["user_id"].to_numpy() - int(mixture.first_id)) // base.shape[0]
    assert np.abs(np.bincount(blocks) / len(blocks) - 0.25).max() < 0.03


def test_ids_of_texts_and_weights() -> None:
    base = carrying(texts=True)
    made = rows(fr.mix(base, expanded(base), 0.3, weight=0.25))
    assert {row[3] for row in made if row[2]} == {0.25}
    assert {row[3] for row in made if not row[2]} == {1.0}
    assert all(row[0].startswith("synthetic-") == row[2] for row in made)
    assert {row[1] for row in made} <= set(base.item_ids.to_pylist())


def of_ids(ids: Any) -> fr.Base:
    return fr.Base.from_arrays([0, 9, 18, 27], [*range(9)] * 3, ([True] + [False] * 8) * 3, user_ids=ids)


def test_ids_collide_with_no_real_one() -> None:
    for ids, first in (
        ([-5, -3, -1], 0),
        ([7, 2**40, 3], 2**40 + 1),
        (["a", "synthetic-", "synthetic--7"], "synthetic---0"),
    ):
        base = of_ids(ids)
        mixture = fr.mix(base, fr.Expansion(base, np.full((4, 4), 0.5)), 0.5)
        assert mixture.first_id == first
        made = {row[0] for row in rows(mixture) if row[2]}
        assert made.isdisjoint(ids)
        assert len(made) > 1
    base = of_ids([0, 1, 2**63 - 9])
    with pytest.raises(fr.InputError, match="so large that none are left"):
        fr.mix(base, fr.Expansion(base, np.full((4, 4), 0.5)), 0.5)
    # As the hint says.
    texts = of_ids(["x0", "x1", f"x{2**63 - 9}"])
    assert fr.mix(texts, fr.Expansion(texts, np.full((4, 4), 0.5)), 0.5).first_id == "synthetic-0"


def test_what_interactions_carry_comes_along() -> None:
    base = fr.leave_last_out(fr.sample_interactions(200, 150, 4_000), payload=["rating", "timestamp"])
    reduced = fr.reduce(base, (4, 4))
    expansion = fr.Expansion(base, reduced, profile="traceable", timestamps=True, ratings="carry")
    mixture = fr.mix(base, expansion, 0.4)
    table = pa.table(mixture)
    assert table.schema == mixture.schema
    assert table.column_names == ["user_id", "item_id", "synthetic", "weight", "rating", "timestamp"]
    real = table.filter(pc.invert(table["synthetic"]))
    train = pa.array(np.flatnonzero(base.mask("train")))
    for name in ("rating", "timestamp"):
        assert sorted(real[name].to_pylist()) == sorted(base.column(name).take(train).to_pylist())
    assert set(table["rating"].to_pylist()) == set(real["rating"].to_pylist())


def test_readers_of_arrow_streams_take_it() -> None:
    mixture = fr.mix(carrying(), expanded(carrying()), 0.4)
    table = pa.table(mixture)
    assert pl.DataFrame(mixture).equals(pl.DataFrame(table))
    found = duckdb.sql("SELECT count(*) FROM mixture WHERE synthetic")
    assert found is not None
    assert found.fetchall() == [(mixture.synthetic_count,)]
    assert pa.schema(mixture) == table.schema
    # What a trainer makes tensors of: arrays of numbers, which need no copy but for the flags.
    for batch in fr.mix(carrying(), expanded(carrying()), 0.4, batch_size=512):
        arrays = {name: np.from_dlpack(batch[name]) for name in ("user_id", "item_id", "weight")}
        assert {array.dtype.kind for array in arrays.values()} == {"i", "f"}


def test_a_folder(tmp_path: Path) -> None:
    mixture = fr.mix(carrying(), expanded(carrying()), 0.4, epoch=2)
    told: list[tuple[int, int]] = []
    assert mixture.write(tmp_path / "new" / "out", progress=Telling(told)) == told[-1][0]
    assert told[-1][1] == 1
    out = tmp_path / "new" / "out"
    assert pq.read_table(out / "train").equals(pa.table(mixture))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["rows"] == manifest["real"] + manifest["synthetic"] == told[-1][0]
    assert (manifest["ratio"], manifest["epoch"]) == (0.4, 2)
    assert manifest["expansion"] == mixture.expansion.fingerprint
    card = (out / "README.md").read_text()
    assert "Do not give it away" in card
    fr.mix(carrying(), expanded(carrying()), 0.4, epoch=2, threads=3).write(tmp_path / "again")
    for file in ("train/part-00000-of-00001.parquet", "manifest.json", "README.md"):
        assert (tmp_path / "again" / file).read_bytes() == (out / file).read_bytes()
    with pytest.raises(fr.OutputError, match="exists already"):
        mixture.write(out)
    with pytest.raises(fr.OutputError, match="too little free disk"):
        require_room(tmp_path / "large", 10**15)


@pytest.mark.filterwarnings("ignore")
def test_the_hubs_library_loads_the_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    mixture = fr.mix(carrying(), expanded(carrying()), 0.4)
    mixture.write(tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert loaded["train"].data.table.num_rows == mixture.real_count + mixture.synthetic_count
    assert loaded["train"].with_format("numpy")[:9]["synthetic"].dtype == bool


def test_parts_take_whole_pieces(tmp_path: Path) -> None:
    piece = pa.table({"user_id": np.arange(1 << 20)})
    facts = {"rows": 40 << 20, "real": 0, "synthetic": 0, "ratio": 0.5, "first_synthetic_user": 1, "weight": 1.0}
    write_mixture(tmp_path / "out", [piece] * 40, piece.schema, facts, lambda *_: None)
    files = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    assert [report["rows"] for report in files.values()] == [20 << 20] * 2
    assert all(pq.read_metadata(tmp_path / "out" / file).num_row_groups == 20 for file in files)


class Telling(fr.Progress):
    """Keeps what it is told, or ends with an error."""

    def __init__(self, told: list[tuple[int, int]], error: BaseException | None = None) -> None:
        self.told, self.error = told, error

    @contextmanager
    def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:  # noqa: ARG002
        def report(made: int, finished: int) -> None:
            self.told.append((made, finished))
            if self.error is not None:
                raise self.error

        yield report


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_is_left_of_a_run_that_ends_early(error: BaseException, tmp_path: Path) -> None:
    mixture = fr.mix(carrying(), expanded(carrying()), 0.4)
    with pytest.raises(WriteError if isinstance(error, OSError) else KeyboardInterrupt):
        mixture.write(tmp_path / "out", progress=Telling([], error))
    assert list(tmp_path.iterdir()) == []
    mixture.write(tmp_path / "out")


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5, float("nan"), True, "half", None])
def test_a_ratio_that_is_none_is_refused(ratio: Any) -> None:
    with pytest.raises(fr.InputError, match=r"ratio is .*; it must be a number above 0 and below 1"):
        fr.mix(carrying(), expanded(carrying()), ratio)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": 0}, "weight is 0; it must be a number above 0"),
        ({"weight": float("inf")}, "weight is inf"),
        ({"epoch": -1}, "epoch must be a whole number"),
        ({"epoch": 2**64}, "must be below 2.64"),
        ({"batch_size": 0}, "batch_size must be a whole number, 1 or more"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(fr.InputError, match=message):
        fr.mix(carrying(), expanded(carrying()), 0.4, **options)
    mixture = fr.mix(carrying(), expanded(carrying()), np.float64(0.4), epoch=np.int64(2))  # type: ignore[arg-type]
    assert mixture == fr.mix(carrying(), expanded(carrying()), 0.4, epoch=2)


def test_what_does_not_go_together_is_refused() -> None:
    base, other = carrying(), carrying("random")
    with pytest.raises(fr.InputError, match="of other data than real, or of the same split otherwise"):
        fr.mix(other, expanded(base), 0.4)
    renamed = dataclasses.replace(base, user_ids=pa.array(np.arange(base.shape[0]) + 10**6))
    with pytest.raises(fr.InputError, match="of other data than real"):
        fr.mix(renamed, expanded(base), 0.4)
    whole = carrying("none")
    with pytest.raises(fr.InputError, match="nothing is held out for test"):
        fr.mix(whole, expanded(whole), 0.4)
    with pytest.raises(fr.InputError, match=r"real is .*; it must be a Base"):
        fr.mix(fr.sample_interactions(60, 40, 600), expanded(base), 0.4)  # type: ignore[arg-type]
    with pytest.raises(fr.InputError, match=r"expansion is .*; it must be an Expansion"):
        fr.mix(base, base, 0.4)  # type: ignore[arg-type]
    with pytest.raises(fr.InputError, match="the operator 'sketch' gives interactions no source"):
        fr.mix(base, fr.Expansion(base, fr.reduce(base, (2, 3)), operator="sketch", shuffle="none"), 0.4)


def test_a_column_of_a_name_that_mixtures_have_is_refused() -> None:
    table = fr.sample_interactions(60, 40, 600).table
    interactions = fr.read_interactions(table.append_column("weight", table["rating"]), carry=["weight"])
    base = fr.leave_last_out(interactions, payload=["weight"])
    with pytest.raises(fr.InputError, match="carries 'weight', which is a column of mixtures"):
        fr.mix(base, fr.Expansion(base, [[0.5]], carry=["weight"]), 0.1)


def test_too_small_an_expansion_is_refused_with_what_it_has() -> None:
    base = carrying()
    expansion = expanded(base, "aligned", (2, 2))
    with pytest.raises(fr.InputError, match=r"has [\d,]+ interactions on the real catalogue") as refused:
        fr.mix(base, expansion, 0.9)
    known = entries(base)
    table = expansion.table(0, expansion.shape[0])
    pairs = zip(table["user_id"].to_pylist(), table["number"].to_pylist(), strict=True)
    there = len({(user, known[number][1]) for user, number in pairs})
    assert f"has {there:,} interactions" in str(refused.value)
    assert "raise the user multiplier" in str(refused.value)
    # All of it is enough for what it is enough for.
    enough = there / (there + base.train_count)
    assert fr.mix(base, expansion, enough).synthetic_count == there
    with pytest.raises(fr.InputError, match="on the real catalogue"):
        fr.mix(base, expansion, (there + 1) / (there + 1 + base.train_count))


def test_a_ratio_that_few_interactions_cannot_meet_is_refused() -> None:
    base = fr.Base.from_arrays([0, 3, 6], [0, 1, 2] * 2, [True, False, False] * 2)
    expansion = fr.Expansion(base, np.full((4, 4), 0.9))
    with pytest.raises(fr.InputError, match="no whole number of synthetic interactions beside 4 real ones"):
        fr.mix(base, expansion, 0.3)
    assert len(pa.table(fr.mix(base, expansion, 0.5))) == 8


def test_arguments_are_checked_without_data() -> None:
    check_mixing(0.5, 2, 7)
    with pytest.raises(fr.InputError, match="ratio is 2"):
        check_mixing(2, 1, 0)
