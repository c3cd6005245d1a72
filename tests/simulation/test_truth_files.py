"""What is true of a data set, written beside it: row by row that of its files, resumable, verified, kept at home."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from fractalrs.dataset import Known
from helpers.commands import run
from helpers.folders import digests

SHUFFLES = ("mixed", "cells", "block", "aligned", "none")
RATES = [[0.3, 0.9, 0.5], [0.7, 0.2, 0.6]]


@pytest.fixture(scope="module")
def world() -> fr.World:
    return fr.simulate(40, 30, 180, seed=7)


def truth_of(world: fr.World, shuffle: str = "mixed", payload: tuple[str, ...] = (), **options: Any) -> fr.Truth:
    base = fr.leave_last_out(world, payload=payload)
    cells = fr.group_cells(base, user_cell_size=4, item_cell_size=3) if shuffle in ("mixed", "cells") else None
    return fr.Truth(world, fr.Expansion(base, RATES, shuffle=shuffle, cells=cells, **{"seed": 3} | options))


def table(folder: Path, kind: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in sorted((folder / kind).iterdir()))


OPTIONS: list[dict[str, Any]] = [
    *({"shuffle": shuffle} for shuffle in SHUFFLES),
    {"order": "item", "id_order": "scrambled"},
    {"block_keep": 0.6, "cold_users": 0.2, "cold_items": 0.3},
    {"shuffle": "aligned", "payload": ("timestamp", "rating"), "timestamps": True, "ratings": "carry"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_files_say_what_is_true_of_each_row_and_of_what_was_left_out(
    world: fr.World, tmp_path: Path, options: dict[str, Any]
) -> None:
    truth = truth_of(world, **options)
    dataset = fr.write(truth.expansion, tmp_path / "out", parts=3)
    before = digests(tmp_path / "out")
    rows = truth.write(tmp_path / "out", unobserved=True, threads=2)
    ids, pairs = ["user_id", "item_id"], []
    for split in ("train", "test"):
        for part in dataset.parts:
            written, known = (
                pq.read_table(tmp_path / "out" / where / part.files[split][0].path) for where in ("", "truth")
            )
            assert known.select(ids).equals(written.select(ids))
        of_split = table(tmp_path / "out/truth", split)
        user, item = (of_split[name].to_numpy() for name in ids)
        np.testing.assert_array_equal(of_split["preference"], truth.preference(user, item))
        np.testing.assert_array_equal(of_split["propensity"], truth.propensity(user, item))
        assert rows[split] == len(of_split) == dataset.totals[split]
        pairs.append(of_split)
    left = table(tmp_path / "out/truth", "unobserved")
    user, item = (left[name].to_numpy() for name in ids)
    assert np.all(truth.observed(user, item) & ~truth.expansion.contains(user, item))
    np.testing.assert_array_equal(left["preference"], truth.preference(user, item))
    np.testing.assert_array_equal(left["propensity"], truth.propensity(user, item))
    # Each once, and with what is written all that users responded to.
    everything = pa.concat_tables([*pairs, left])
    assert len(everything.group_by(ids).aggregate([])) == len(everything) == 6 * truth.expansion.base.count
    # The data set itself is as it was, and whole.
    assert {name: digest for name, digest in digests(tmp_path / "out").items() if "truth/" not in name} == before
    assert fr.verify(tmp_path / "out").holds


class Interrupted(fr.Truth):
    """Fails in the second part."""

    def rows(self, kind: Known, users: tuple[int, int], threads: int) -> Iterator[pa.RecordBatch]:
        yield from super().rows(kind, users, threads)
        if users[0] > 0:
            raise OSError(28, "No space left on device")


def test_the_same_call_goes_on_after_an_interruption(world: fr.World, tmp_path: Path) -> None:
    truth = truth_of(world)
    for name in ("out", "whole"):
        fr.write(truth.expansion, tmp_path / name, parts=3)
    truth.write(tmp_path / "whole")
    with pytest.raises(fr.WriteError, match="No space left"):
        Interrupted(world, truth.expansion).write(tmp_path / "out")
    files = sorted(file for file in digests(tmp_path / "out") if file.startswith("truth"))
    assert files == [f"truth/{split}/part-00000-of-00003.parquet" for split in ("test", "train")]
    found = fr.verify(tmp_path / "out")
    assert [fault.file for fault in found.faults] == ["truth/manifest.json"]
    assert "--truth" in found.faults[0].advice
    first = tmp_path / "out" / files[0]
    made = first.stat().st_mtime_ns
    truth.write(tmp_path / "out")
    assert first.stat().st_mtime_ns == made
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    # What dropout left out can come later; and what is there stays where less is asked for.
    truth.write(tmp_path / "out", unobserved=True)
    assert truth.write(tmp_path / "out").keys() == {"train", "test", "unobserved"}


def test_what_was_begun_of_what_was_left_out_is_completed(world: fr.World, tmp_path: Path) -> None:
    truth = truth_of(world)
    fr.write(truth.expansion, tmp_path / "out", parts=3)
    truth.write(tmp_path / "out", unobserved=True)
    whole = digests(tmp_path / "out")
    for name in ("manifest.json", "unobserved/part-00002-of-00003.parquet"):
        (tmp_path / "out/truth" / name).unlink()
    truth.write(tmp_path / "out")
    assert digests(tmp_path / "out") == whole
    assert fr.verify(tmp_path / "out").holds


def test_what_is_damaged_missing_or_foreign_is_found_and_made_again(world: fr.World, tmp_path: Path) -> None:
    truth, out = truth_of(world), tmp_path / "out"
    fr.write(truth.expansion, out, parts=3)
    truth.write(out, unobserved=True)
    whole = digests(out)
    damaged, missing = (out / f"truth/train/part-0000{number}-of-00003.parquet" for number in (0, 1))
    content = bytearray(damaged.read_bytes())
    content[60] ^= 1
    damaged.write_bytes(content)
    missing.unlink()
    (out / "truth/README.md").write_text("Mine.")
    (out / "truth/notes.txt").write_text("Mine.")
    found = {fault.file: fault for fault in fr.verify(out).faults}
    names = ["README.md", "notes.txt", "train/part-00000-of-00003.parquet", "train/part-00001-of-00003.parquet"]
    assert sorted(found) == [f"truth/{name}" for name in names]
    assert found["truth/notes.txt"].advice == "move it away"
    (out / "truth/notes.txt").unlink()
    truth.write(out)
    assert digests(out) == whole
    manifest = out / "truth/manifest.json"
    for text in (manifest.read_text().replace('"world": "', '"world": "0'), "{", "[]"):
        manifest.write_text(text)
        assert [fault.file for fault in fr.verify(out).faults] == ["truth/manifest.json"]
    truth.write(out)
    assert digests(out) == whole


def test_it_stays_at_home_and_goes_with_its_data_set(world: fr.World, tmp_path: Path) -> None:
    truth, out = truth_of(world), tmp_path / "out"
    fr.write(truth.expansion, out)
    truth.write(out, unobserved=True)
    given = fr.publish(out, tmp_path / "public")
    assert not (given.path / "truth").exists()
    assert "truth/" in (out / ".gitignore").read_text().split()
    with pytest.raises(fr.InputError, match="has no private/"):
        truth.write(given.path)
    # A data set that is older than truth has a guard that does not name it.
    (out / ".gitignore").write_text("private/\nmine/")
    truth.write(out)
    assert (out / ".gitignore").read_text() == "private/\nmine/\ntruth/\n"
    assert fr.verify(out).holds
    other = truth_of(world, seed=4)
    with pytest.raises(fr.OutputError, match="made otherwise"):
        fr.write(other.expansion, out)
    fr.write(other.expansion, out, overwrite=True)
    assert not (out / "truth").exists()


def test_what_does_not_belong_together_is_refused_before_anything_is_written(world: fr.World, tmp_path: Path) -> None:
    truth, out = truth_of(world), tmp_path / "out"
    with pytest.raises(FileNotFoundError):
        truth.write(out)
    fr.write(truth.expansion, out)
    before = digests(out)
    with pytest.raises(fr.InputError, match="is not of this expansion"):
        truth_of(world, seed=4).write(out)
    with pytest.raises(fr.InputError, match="propensities are not known"):
        truth_of(world, drop_incomplete=True).write(out)
    own = fr.simulate(40, 30, 180, seed=7, policy=lambda users: np.ones((len(users), 30)))
    with pytest.raises(fr.InputError, match="no file can hold"):
        truth_of(own).write(out)
    assert digests(out) == before
    weekly = truth_of(world, "aligned", ("timestamp",), timestamps=True)
    fr.write(weekly.expansion, tmp_path / "weekly", partition="month")
    with pytest.raises(fr.InputError, match="divided by month"):
        weekly.write(tmp_path / "weekly")
    truth.write(out)
    part = out / "truth/train/part-00000-of-00001.parquet"
    whole = part.read_bytes()
    again = truth_of(world, seed=5)
    fr.write(again.expansion, tmp_path / "other")
    again.write(tmp_path / "other")
    part.write_bytes((tmp_path / "other/truth/train/part-00000-of-00001.parquet").read_bytes())
    with pytest.raises(fr.OutputError, match="true of another world"):
        truth.write(out)
    # Nor does one file stand for another.
    part.write_bytes((out / "truth/test" / part.name).read_bytes())
    with pytest.raises(fr.OutputError, match="data set or part"):
        truth.write(out)
    part.write_bytes(whole)
    assert fr.verify(out).holds


def test_the_command_writes_it_of_a_world_that_was_simulated(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    assert run("simulate", log, "--users", 60, "--items", 40, "--interactions", 600, "--seed", 7).code == 0
    size = ("--user-multiplier", 2, "--item-multiplier", 3, "--seed", 5, "--parts", 2)
    refused = run("expand", "sample", tmp_path / "no", *size, "--truth", "all")
    assert refused.code == 2
    assert "is no world" in refused.err
    refused = run("expand", log, tmp_path / "no", *size, "--truth", "all", "--drop-incomplete")
    assert "propensities are not known" in refused.err
    refused = run("expand", log, tmp_path / "no", *size, "--truth", "all", "--part-range", "0:1")
    assert "--part-range" in refused.err
    for option in (("--profile", "traceable", "--timestamps", "--partition", "month"), ("--epsilon", 4)):
        for more in ((), ("--dry-run",)):
            refused = run("expand", log, tmp_path / "no", *size, "--truth", "all", *option, *more)
            assert refused.code == 2
            assert "reading" not in refused.err
            assert "leave one of the two out" in refused.err
    assert not (tmp_path / "no").exists()
    forecast = json.loads(run("expand", log, out, *size, "--truth", "all", "--dry-run", "--json").out)
    written = json.loads(run("expand", log, out, *size, "--truth", "written", "--dry-run", "--json").out)
    assert "truth" not in json.loads(run("expand", log, out, *size, "--dry-run", "--json").out)
    assert forecast["truth"]["rows"] == 6 * fr.leave_last_out(fr.World.open(log)).count
    assert abs(written["truth"]["rows"] - sum(forecast[split]["expected"] for split in ("train", "test"))) <= 1
    assert run("expand", log, out, *size).code == 0
    done = run("expand", log, out, *size, "--truth", "all", "--json")
    found = json.loads(done.out)
    world = fr.World.open(log)
    base = fr.leave_last_out(world)
    assert found["truth"]["train"] == found["train"]["written"]
    assert sum(found["truth"].values()) == 6 * base.count
    assert json.loads(run("info", out, "--json").out)["truth"] == found["truth"]
    assert run("verify", out).code == 0
    # A saved world is the same source, and so is one in memory.
    assert run("expand", log / "world.json", tmp_path / "saved", *size, "--truth", "all").code == 0
    fr.expand(world, tmp_path / "memory", user_multiplier=2, item_multiplier=3, seed=5, parts=2, truth="all")
    parts = [
        {name: one for name, one in digests(tmp_path / where).items() if "part-" in name}
        for where in ("out", "saved", "memory")
    ]
    assert parts[0] == parts[1] == parts[2]
    with pytest.raises(fr.InputError, match="unknown truth 'some'"):
        fr.expand(world, tmp_path / "memory", user_multiplier=2, item_multiplier=3, truth="some")


def test_room_for_it_is_asked_for_before_the_data_set_is_written(
    world: fr.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=150_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    options: dict[str, Any] = {"user_multiplier": 8, "item_multiplier": 16, "seed": 5}
    with pytest.raises(fr.OutputError, match="free"):
        fr.expand(world, tmp_path / "out", truth="all", **options)
    assert not (tmp_path / "out").exists()
    fr.expand(world, tmp_path / "out", **options)


def test_a_folder_is_the_world_only_where_simulate_wrote_it(tmp_path: Path) -> None:
    log, loop, mine, out = (tmp_path / name for name in ("log", "loop", "mine", "out"))
    assert run("simulate", log, "--users", 60, "--items", 40, "--interactions", 600, "--rounds", 2).code == 0
    assert run("feedback", log, loop, "--rounds", 2, "--slate", 5, "--policy", "popularity").code == 0
    size = ("--user-multiplier", 2, "--item-multiplier", 3, "--dry-run")
    of_log = run("expand", log, out, *size)
    assert "a world" in of_log.err
    assert f"Warning: {log} has 2 rounds, and round 0 alone is read" in of_log.err
    # What a loop has shown is in its files.
    of_loop = run("expand", loop, out, *size)
    assert "a world" not in of_loop.err
    assert "Read loop as 2 Parquet files" in of_loop.err
    refused = run("expand", loop, out, *size, "--truth", "all")
    assert refused.code == 2
    assert "is a log of fractalrs feedback" in refused.err
    assert run("expand", loop / "world.json", out, *size, "--truth", "all").code == 0
    # A saved world is known by what is in it, and somebody's own file is none.
    world = fr.World.open(log)
    world.save(tmp_path / "w.json")
    assert run("expand", tmp_path / "w.json", out, *size, "--truth", "all").code == 0
    assert "is that of a log of fractalrs simulate" in run("info", log).err
    (tmp_path / "options.toml").write_text('truth = "all"')
    refused = run("expand", log, out, *size, "--config", tmp_path / "options.toml")
    assert "give it with the command: --truth" in refused.err
    mine.mkdir()
    fr.write_interactions(fr.sample_interactions(60, 40, 600), mine / "ratings.csv")
    (mine / "world.json").write_text('{"continents": 7}')
    refused = run("expand", mine, out, *size, "--truth", "all")
    assert "is no world" in refused.err
    taken = run("expand", mine, out, *size)
    assert "a world" not in taken.err
    assert "Picked ratings.csv" in taken.err


def test_a_name_too_long_for_a_file_is_refused(tmp_path: Path) -> None:
    refused = run("expand", "x" * 5000, tmp_path / "out", "--user-multiplier", 2, "--item-multiplier", 3)
    assert refused.code == 2
    assert len(refused.err) < 200
    assert "File name too long" in refused.err
