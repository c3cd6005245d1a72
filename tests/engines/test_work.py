"""What workers get and do, without any engine."""

import dataclasses
import pickle
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.dataset import finish
from fractalrs.engines.work import Parts, Ranges, loaded, saved_path
from fractalrs.expansion import Expansion
from helpers.folders import digests, small_expansion


@pytest.mark.parametrize("users", [None, (0, 600), (130, 470), (5, 6), (7, 7)])
@pytest.mark.parametrize("parts", [1, 7, None])
def test_ranges_are_sent_and_have_all_rows_once(
    expansion: Expansion, saved: Path, users: tuple[int, int] | None, parts: int | None
) -> None:
    made = Ranges.of(expansion, str(saved), "train", users, ["item_id"], parts)
    sent = pickle.loads(pickle.dumps(made))
    assert len(pickle.dumps(made)) < 2_000
    first, last = users or (0, 600)
    assert (sent.users[0][0], sent.users[-1][1]) == (first, last)
    assert all(one[1] == other[0] for one, other in zip(sent.users, sent.users[1:], strict=False))
    schema = expansion.stream(columns=["item_id"]).schema
    table = pa.Table.from_batches([batch for one in sent.users for batch in sent.batches(*one)], schema)
    assert table.equals(pa.table(expansion.stream(users=users, columns=["item_id"])))


def test_a_saved_expansion_is_loaded_once_a_worker(expansion: Expansion, saved: Path) -> None:
    assert loaded(str(saved), expansion.fingerprint) is loaded(str(saved), expansion.fingerprint)
    made = Parts.begin(fr.plan(expansion, parts=2), str(saved.parent / "twice"))
    loaded_before = loaded.cache_info().misses
    assert [made.write(part) for part in (0, 1)] == [made.write(part) for part in (0, 1)]
    assert loaded.cache_info().misses == loaded_before


def test_an_expansion_that_was_replaced_is_refused(tmp_path: Path) -> None:
    expansion = small_expansion()
    expansion.save(tmp_path / "saved")
    made = Ranges.of(expansion, saved_path(expansion))
    shutil.rmtree(tmp_path / "saved")
    small_expansion(seed=8).save(tmp_path / "saved")
    with pytest.raises(fr.InputError, match="is not the same everywhere"):
        next(made.batches(0, 10))


def test_a_worker_of_another_version_is_refused(expansion: Expansion, saved: Path, tmp_path: Path) -> None:
    ranges = dataclasses.replace(Ranges.of(expansion, str(saved)), version="99.1")
    with pytest.raises(fr.InputError, match=r"planned by 99.1\nhint: install fractalrs==99.1"):
        next(ranges.batches(0, 10))
    parts = dataclasses.replace(Parts.begin(fr.plan(expansion, parts=3), str(tmp_path / "out")), version="99.1")
    with pytest.raises(fr.InputError, match=r"planned by 99\.1"):
        parts.write(0)


def test_the_plan_is_there_before_any_part_and_the_manifest_last(
    expansion: Expansion, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert saved.is_dir()
    monkeypatch.chdir(tmp_path)
    made = fr.plan(expansion, parts=5)
    parts = Parts.begin(made, "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".gitignore", "private"}
    with pytest.raises(fr.OutputError, match="parts is 5 there and 4 here"):
        Parts.begin(fr.plan(expansion, parts=4), "out")
    order = [0, 1, 2, 3, 4, 2, 0]
    random.Random(3).shuffle(order)
    # Workers are elsewhere.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    rows = {part: parts.write(part) for part in order}
    assert not (tmp_path / "out/manifest.json").exists()
    assert finish(made, parts.place).totals["interactions"] == sum(rows.values())
    fr.write(expansion, tmp_path / "alone", parts=5)
    assert digests(tmp_path / "out") == digests(tmp_path / "alone")


def test_attributes_are_not_sent_to_workers(tmp_path: Path) -> None:
    expansion = small_expansion(shuffle="aligned")
    expansion.save(tmp_path / "saved")
    items = pa.table({"item": expansion.base.item_ids, "text": [f"{number:0500}" for number in range(150)]})
    made = fr.plan(expansion, parts=2, item_attributes=items)
    parts = Parts.begin(made, str(tmp_path / "out"))
    assert len(parts.sent) < 20_000
    for part in (1, 0):
        parts.write(part)
    finish(made, parts.place)
    fr.write(expansion, tmp_path / "alone", parts=2, item_attributes=items)
    assert digests(tmp_path / "out") == digests(tmp_path / "alone")
