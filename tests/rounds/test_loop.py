"""Feedback loops are what their page specifies, whatever the threads and the parts, and go on where they ended."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fractalrs as fr
from fractalrs.models import EASE, Popularity, TruncatedSVD
from helpers import feedback_oracle

SHAPE = (60, 40, 300)
OPTIONS: list[dict[str, Any]] = [
    {},
    {"epsilon": 0.3, "seed": 5},
    {"epsilon": 0.2, "missing": 0.3, "late": 0.5, "leave": 0.6, "once": True, "seed": 2**63},
    {"epsilon": 0.2, "once": True},
]


def rows_of(folder: Path, round: int) -> list[tuple[Any, ...]]:
    files = sorted((folder / f"round={round:04}").iterdir())
    table = pa.concat_tables(pq.read_table(file, partitioning=None) for file in files)
    names = ("user_id", "item_id", "position", "response", "heard")
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def files_of(folder: Path) -> dict[str, bytes]:
    return {f"{file.relative_to(folder)}": file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("options", OPTIONS)
def test_loops_are_the_oracles(options: dict[str, Any], tmp_path: Path) -> None:
    world = fr.simulate(*SHAPE, seed=3, slate=5, position_bias=0.5)
    fr.feedback(world, Popularity(), rounds=5, path=tmp_path / "loop", **options)

    def learn(responses: Any) -> Any:
        order = np.argsort(-responses.sum(axis=0), kind="stable").tolist()
        return lambda _, seen: [item for item in order if item not in seen][:5]

    expected = feedback_oracle.run(world.spec, learn, 5, 5, **options)
    for number, rows in enumerate(expected):
        assert rows_of(tmp_path / "loop", number) == rows


@pytest.mark.parametrize("policy", ["random", "Thompson", "SVD", "EASE", "item kNN", TruncatedSVD(rank=3)])
def test_threads_and_parts_change_nothing(policy: Any, tmp_path: Path) -> None:
    world = fr.simulate(300, 90, 4_000, seed=1)
    epsilon = 0.0 if policy in ("random", "Thompson") else 0.25
    how: dict[str, Any] = {"rounds": 4, "slate": 6, "epsilon": epsilon, "leave": 0.2, "late": 0.3, "once": True}
    whole = fr.feedback(world, policy, path=tmp_path / "whole", threads=1, **how)
    cut = fr.feedback(world, policy, path=tmp_path / "cut", threads=5, parts=7, **how)
    assert whole.rounds == cut.rounds == fr.feedback(world, policy, threads=2, **how).rounds
    for number in range(4):
        assert rows_of(tmp_path / "whole", number) == rows_of(tmp_path / "cut", number)


class StopError(Exception):
    pass


@pytest.mark.parametrize("at", [0, 1, 4, 5, 6, 8, 11])
def test_resumed_anywhere_it_is_the_uninterrupted_run(at: int, tmp_path: Path) -> None:
    from contextlib import contextmanager

    class Stopping(fr.Progress):
        @contextmanager
        def task(self, *_: Any) -> Any:
            calls = iter(range(10**6))

            def report(*_: int) -> None:
                if next(calls) == at:
                    raise StopError

            yield report

    world = fr.simulate(200, 60, 3_000, seed=4)
    how: dict[str, Any] = {
        "rounds": 3,
        "slate": 4,
        "epsilon": 0.1,
        "late": 0.3,
        "missing": 0.1,
        "leave": 0.3,
        "parts": 3,
    }
    whole = fr.feedback(world, "SVD", path=tmp_path / "whole", **how)
    with pytest.raises(StopError):
        fr.feedback(world, "SVD", path=tmp_path / "cut", progress=Stopping(), **how)
    assert files_of(tmp_path / "cut").items() <= files_of(tmp_path / "whole").items()
    assert fr.feedback(world, "SVD", path=tmp_path / "cut", **how) == whole
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
    # A third time nothing is written.
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "cut").rglob("*") if file.is_file()}
    assert fr.feedback(world, "SVD", path=tmp_path / "cut", **how) == whole == fr.Feedback.open(tmp_path / "cut")
    assert times == {file: file.stat().st_mtime_ns for file in (tmp_path / "cut").rglob("*") if file.is_file()}


def test_any_round_is_reproduced_from_the_logs_before_it(tmp_path: Path) -> None:
    world = fr.simulate(200, 60, 3_000, seed=4)
    how: dict[str, Any] = {"slate": 4, "epsilon": 0.1, "late": 0.3, "path": tmp_path / "loop", "parts": 2}
    fr.feedback(world, "SVD", 5, **how)
    whole = files_of(tmp_path / "loop")
    for number in (4, 2, 0):
        shutil.rmtree(tmp_path / f"loop/round={number:04}")
        (tmp_path / f"loop/metrics/round-{number:04}.json").unlink()
        fr.feedback(world, "SVD", 5, **how)
        assert files_of(tmp_path / "loop") == whole


def test_numbers_do_not_depend_on_parts() -> None:
    world = fr.simulate(400, 90, 4_000, seed=1, slate=15, position_bias=0.7)
    first, *others = (fr.feedback(world, "SVD", 3, 15, epsilon=0.3, parts=parts) for parts in (1, 7, 399))
    assert all(first.rounds == one.rounds for one in others)


def showing(first: int, in_round: int | None = None) -> Any:
    """Return a policy of one name that shows the items from a number on, in one round or in all."""

    def policy(past: fr.Past) -> Any:
        begin = first if in_round in (None, past.round) else 0
        return lambda users: np.tile(np.arange(begin, begin + 5), (len(users), 1))

    return policy


def test_a_part_made_again_is_what_its_round_says(tmp_path: Path) -> None:
    world, folder = fr.simulate(*SHAPE), tmp_path / "loop"
    fr.feedback(world, showing(0), 4, 5, path=folder, parts=2)
    whole = files_of(folder)
    gone = folder / "round=0001/part-00001-of-00002.parquet"
    gone.unlink()
    with pytest.raises(fr.InputError, match=r"round=0001/part-00001.* is gone, .*metrics/round-0001\.json"):
        fr.feedback(world, showing(7, in_round=1), 4, 5, path=folder, parts=2)
    assert not gone.exists()
    fr.feedback(world, showing(0), 4, 5, path=folder, parts=2)
    assert files_of(folder) == whole


def test_another_function_is_found_whatever_is_asked_for(tmp_path: Path) -> None:
    world, folder = fr.simulate(*SHAPE), tmp_path / "loop"
    fr.feedback(world, showing(0), 5, 5, path=folder, parts=2)
    with pytest.raises(fr.InputError, match=r"round=0002.* is not what this policy shows"):
        fr.feedback(world, showing(7), 3, 5, path=folder, parts=2)
    # The first part of the newest round is gone: the second proves it.
    (folder / "round=0004/part-00000-of-00002.parquet").unlink()
    with pytest.raises(fr.InputError, match=r"round=0004/part-00001.* is not what this policy shows"):
        fr.feedback(world, showing(7), 5, 5, path=folder, parts=2)


def test_another_function_is_found_when_everybody_has_left(tmp_path: Path) -> None:
    world = fr.simulate(10, 40, 10, seed=1, level=-3.0)
    how: dict[str, Any] = {"slate": 5, "leave": 1.0, "path": tmp_path / "loop"}
    made = fr.feedback(world, showing(0), 30, **how)
    assert made.last["users"] == 0
    with pytest.raises(fr.InputError, match="is not what this policy shows"):
        fr.feedback(world, showing(7), 30, **how)
    assert fr.feedback(world, showing(0), 31, **how).rounds[:30] == made.rounds


def test_opened_up_to_the_first_round_that_is_not_complete(tmp_path: Path) -> None:
    world, folder = fr.simulate(*SHAPE), tmp_path / "loop"
    made = fr.feedback(world, "random", 4, 5, path=folder)
    (folder / "metrics/round-0002.json").unlink()
    assert fr.Feedback.open(folder).rounds == made.rounds[:2]
    (folder / "metrics/round-0000.json").unlink()
    nothing = fr.Feedback.open(folder)
    assert "rounds=0" in repr(nothing)
    with pytest.raises(fr.InputError, match="no round that is complete"):
        _ = nothing.last


def test_disk_is_wanted_for_what_is_missing_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, free = fr.simulate(*SHAPE), 10**9
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    made = fr.feedback(world, "random", 3, 5, path=tmp_path / "loop")
    free = 60 * 5 * 3
    assert fr.feedback(world, "random", 3, 5, path=tmp_path / "loop") == made
    with pytest.raises(fr.OutputError, match="too little free disk"):
        fr.feedback(world, "random", 4, 5, path=tmp_path / "loop")


def test_a_world_that_was_changed_is_written_again(tmp_path: Path) -> None:
    world, folder = fr.simulate(*SHAPE), tmp_path / "loop"
    fr.feedback(world, "random", 2, 5, path=folder)
    whole = files_of(folder)
    fr.simulate(*SHAPE, seed=9).save(tmp_path / "other.json")
    shutil.copy(tmp_path / "other.json", folder / "world.json")
    fr.feedback(world, "random", 2, 5, path=folder)
    assert files_of(folder) == whole


def test_more_rounds_go_on(tmp_path: Path) -> None:
    world = fr.simulate(*SHAPE)
    fr.feedback(world, EASE(), 2, 5, path=tmp_path / "loop")
    longer = fr.feedback(world, EASE(), 4, 5, path=tmp_path / "loop")
    assert longer == fr.feedback(world, EASE(), 4, 5, path=tmp_path / "whole")
    assert files_of(tmp_path / "loop") == files_of(tmp_path / "whole")


class First:
    """A model of others, which is written with its place in memory."""

    def fit(self, train: Any) -> None:
        self.train = train

    def recommend(self, users: Any, k: int) -> Any:
        known = self.train[users].toarray() > 0
        return np.argsort(np.where(known, 99, np.arange(known.shape[1])), axis=1, kind="stable")[:, :k]


def test_models_of_others_show_what_users_lack(tmp_path: Path) -> None:
    world = fr.simulate(*SHAPE)
    fr.feedback(world, First(), 3, 5, path=tmp_path / "loop")
    fr.feedback(world, First(), 4, 5, path=tmp_path / "loop", epsilon=0)
    known: set[tuple[int, int]] = set()
    for number in range(4):
        rows = rows_of(tmp_path / "loop", number)
        assert not number or not known & {(user, item) for user, item, *_ in rows}
        known |= {(user, item) for user, item, _, response, _ in rows if response}


def test_a_folder_is_read_as_a_data_set(tmp_path: Path) -> None:
    import pyarrow.dataset as ds

    world = fr.simulate(*SHAPE)
    fr.feedback(world, "random", 3, 5, path=tmp_path / "loop")
    table = ds.dataset(tmp_path / "loop", partitioning="hive", exclude_invalid_files=True).to_table()
    assert table.num_rows == 3 * 60 * 5
    assert set(table["round"].to_pylist()) == {0, 1, 2}
    assert fr.World.open(tmp_path / "loop") == world
