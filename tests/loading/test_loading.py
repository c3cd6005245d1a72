"""Batches: an epoch divided exactly, the same everywhere, resumable anywhere."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fractalrs as fr
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.loading import Batch, Batches
from helpers import oracle
from helpers.folders import small_expansion

WINDOW = 1_500


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    return small_expansion()


@pytest.fixture(scope="module")
def dataset(expansion: Expansion, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("loading") / "out"
    return fr.write(expansion, folder, parts=3, parquet=fr.ParquetOptions(row_group_size=4_000))


@pytest.fixture(params=["expansion", "dataset"])
def source(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def together(batches: list[Batch]) -> pa.Table:
    return pa.concat_tables([pa.table(batch) for batch in batches])


def sorted_pairs(table: pa.Table) -> list[tuple[int, int]]:
    return sorted(zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))


@pytest.mark.parametrize("split", ["train", "test"])
def test_batches_in_order_are_the_table(expansion: Expansion, source: Any, split: Any) -> None:
    batches = list(Batches(source, 500, split, window=WINDOW))
    assert {len(batch["item_id"]) for batch in batches[:-1]} == {500}
    table = expansion.table(0, 600, split)
    assert together(batches).cast(table.schema).equals(table)


def test_shuffled_batches_are_the_same_interactions_in_another_order(expansion: Expansion, source: Any) -> None:
    batches, table = Batches(source, 500, shuffle="window", window=WINDOW, seed=3), expansion.table(0, 600)
    first = together(list(batches))
    assert sorted_pairs(first) == sorted_pairs(table)
    assert together(list(batches)).equals(first)
    batches.set_epoch(1)
    second = together(list(batches))
    assert sorted_pairs(second) == sorted_pairs(table)
    assert not second.equals(first)
    # A window is of a few users, and of all of them at once.
    users = first["user_id"].to_numpy()
    assert len(np.unique(users[:500])) > 15
    assert len(np.unique(users[:500])) < 80


def test_the_order_is_that_of_the_key() -> None:
    # More interactions than a bucket holds.
    made = small_expansion(keep_scale=1.0, min_keep=0.6, max_keep=0.95)
    table = made.table(0, 600)
    assert table.num_rows > 33_000
    for epoch in (0, 2):
        batches = list(Batches(made, 1_000, shuffle="window", window=1 << 30, seed=5, epoch=epoch))
        order = oracle.shuffling(oracle.under(oracle.root(5), oracle.LOADING, epoch, 0, 1, 0), table.num_rows)
        assert together(batches).cast(table.schema).equals(table.take(order))


def test_texts_are_shuffled_with_the_rest() -> None:
    interactions = fr.sample_interactions(60, 40, 600).to_arrow()
    texts = pa.array([f"row {number}" for number in range(len(interactions))])
    read = fr.read_interactions(interactions.append_column("text", texts), carry=["text"])
    base = fr.leave_last_out(read, payload=["text"])
    made = Expansion(base, [[0.9, 0.4]], max_keep=0.9, carry=("text",))
    batches = together(list(Batches(made, 100, shuffle="window")))
    rows, wanted = (sorted(table.to_pylist(), key=str) for table in (batches, made.table(0, 60)))
    assert rows == wanted


@pytest.mark.parametrize("shuffle", [False, "window"])
@pytest.mark.parametrize(("world_size", "workers"), [(1, 1), (2, 1), (1, 3), (3, 2), (5, 4)])
def test_any_ranks_and_workers_divide_an_epoch(
    expansion: Expansion, source: Any, shuffle: Any, world_size: int, workers: int
) -> None:
    parts = []
    for rank in range(world_size):
        for worker in range(workers):
            named: dict[str, Any] = {"rank": rank, "world_size": world_size}
            named |= {"worker": worker, "workers": workers}
            parts += list(Batches(source, 300, shuffle=shuffle, window=WINDOW, **named))
    table = expansion.table(0, 600)
    assert sorted_pairs(together(parts)) == sorted_pairs(table)


@pytest.mark.parametrize("shuffle", [False, "window"])
def test_batches_do_not_depend_on_threads(source: Any, shuffle: Any) -> None:
    one, other = (list(Batches(source, 777, shuffle=shuffle, window=WINDOW, threads=threads)) for threads in (1, 3))
    assert together(one).equals(together(other))


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_an_interrupted_epoch_goes_on_where_it_stopped(data: st.DataObject) -> None:
    made = small_expansion()
    named: dict[str, Any] = {
        "shuffle": data.draw(st.sampled_from([False, "window"])),
        "window": data.draw(st.integers(500, 40_000)),
        "world_size": 2,
        "rank": data.draw(st.integers(0, 1)),
        "steps_per_epoch": data.draw(st.none() | st.integers(1, 120)),
        "epoch": data.draw(st.integers(0, 3)),
    }
    size = data.draw(st.integers(100, 3_000))
    whole = list(Batches(made, size, **named))
    interrupted = Batches(made, size, **named)
    stop = data.draw(st.integers(0, len(whole)))
    begun = iter(interrupted)
    head = [next(begun) for _ in range(stop)]
    state = json.loads(json.dumps(interrupted.state_dict()))
    assert len(json.dumps(state)) < 1_000
    resumed = Batches(made, size, **{**named, "epoch": 0})
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert len(head) + len(rest) == len(whole)
    assert all(together([one]).equals(together([other])) for one, other in zip(head + rest, whole, strict=True))


@pytest.mark.parametrize("resumes", range(20))
def test_a_data_set_resumes_too(dataset: Dataset, resumes: int) -> None:
    named: dict[str, Any] = {"shuffle": "window" if resumes % 2 else False, "window": WINDOW}
    whole = list(Batches(dataset, 400, **named))
    stop = len(whole) * resumes // 19
    interrupted, resumed = Batches(dataset, 400, **named), Batches(dataset, 400, **named)
    begun = iter(interrupted)
    head = [next(begun) for _ in range(stop)]
    resumed.load_state_dict(interrupted.state_dict())
    assert together([*head, *resumed]).equals(together(whole))


def test_ranks_of_unequal_length_have_as_many_steps(expansion: Expansion) -> None:
    lengths = [len(list(Batches(expansion, 100, rank=rank, world_size=3, workers=2))) for rank in range(3)]
    assert len({*lengths}) > 1
    for steps in (min(lengths) - 5, max(lengths) + 7, 10 * max(lengths)):
        for rank in range(3):
            of_workers = [
                list(Batches(expansion, 100, rank=rank, world_size=3, worker=k, workers=2, steps_per_epoch=steps))
                for k in range(2)
            ]
            assert sum(map(len, of_workers)) == steps
            assert abs(len(of_workers[0]) - len(of_workers[1])) <= 1
            assert {len(batch["item_id"]) for batches in of_workers for batch in batches} == {100}


def test_a_second_lap_has_another_order(expansion: Expansion) -> None:
    rows = expansion.table(0, 600).num_rows
    batches = Batches(expansion, rows, shuffle="window", window=1 << 30, steps_per_epoch=2)
    one, other = (together([batch]) for batch in batches)
    assert sorted_pairs(one) == sorted_pairs(other)
    assert not one.equals(other)


def test_only_columns_that_are_asked_for_are_loaded(source: Any) -> None:
    for shuffle in (False, "window"):
        batches = Batches(source, 500, columns=["item_id"], shuffle=shuffle)
        assert {*next(iter(batches))} == {"item_id"}
    with pytest.raises(InputError, match="'rating' does not exist"):
        Batches(source, 500, columns=["rating"])


def test_what_is_carried_is_loaded() -> None:
    base = fr.leave_last_out(fr.sample_interactions(150, 80, 4_000), payload=["rating", "timestamp"])
    made = Expansion(base, [[0.9, 0.4]], profile="traceable", timestamps=True, ratings="carry")
    batch = next(iter(Batches(made, 100)))
    table = made.table(0, 150).slice(0, 100)
    assert batch["rating"].tolist() == table["rating"].to_pylist()
    assert np.array_equal(batch["timestamp"], table["timestamp"].to_numpy())


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number, 1 or more"),
        ({"shuffle": True}, "shuffle is True"),
        ({"rank": 2, "world_size": 2}, "rank is 2, and world_size is 2"),
        ({"worker": 1}, "worker is 1, and workers is 1"),
        ({"world_size": 601}, "601 readers share 600 users"),
        ({"split": "validation"}, "unknown split 'validation'"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be"),
        ({"epoch": -1}, "epoch must be"),
        ({"source": "out"}, "source is 'out'; it must be an Expansion or a Dataset"),
    ],
)
def test_what_cannot_be_is_refused_at_once(expansion: Expansion, named: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Batches(**{"source": expansion, "batch_size": 10, **named})


def test_a_state_of_other_batches_is_refused(expansion: Expansion) -> None:
    state = Batches(expansion, 100, world_size=2).state_dict()
    with pytest.raises(InputError, match="whose world_size is 2, not 1"):
        Batches(expansion, 100).load_state_dict(state)
    with pytest.raises(InputError, match="whose source is"):
        Batches(small_expansion(seed=8), 100, world_size=2).load_state_dict(state)
    for place, message in [
        ({"row": 1}, "does not say"),
        (3, "does not say"),
        (state["place"] | {"row": -4}, "row must"),
    ]:
        with pytest.raises(InputError, match=message):
            Batches(expansion, 100, world_size=2).load_state_dict(state | {"place": place})


def test_a_state_of_the_same_interactions_in_other_files_is_refused(
    expansion: Expansion, dataset: Dataset, tmp_path: Path
) -> None:
    others = [dataset, fr.write(expansion, tmp_path / "out", parts=5)]
    for source in others:
        with pytest.raises(InputError, match="whose source is"):
            Batches(source, 100).load_state_dict(Batches(expansion, 100).state_dict())
    with pytest.raises(InputError, match="whose source is"):
        Batches(others[0], 100).load_state_dict(Batches(others[1], 100).state_dict())


def test_whole_numbers_of_which_some_are_missing_are_refused() -> None:
    interactions = fr.sample_interactions(60, 40, 600).to_arrow()
    numbers = pa.array([None if row % 7 == 0 else 2**60 + row for row in range(len(interactions))])
    read = fr.read_interactions(interactions.append_column("number", numbers), carry=["number"])
    made = Expansion(fr.leave_last_out(read, payload=["number"]), [[0.9]], max_keep=0.9, carry=("number",))
    with pytest.raises(InputError, match="'number' of type int64 has missing values") as refused:
        Batches(made, 100)
    assert refused.value.hint == "leave it out: columns=['user_id', 'item_id']"
    assert {*next(iter(Batches(made, 100, columns=["user_id", "item_id"])))} == {"user_id", "item_id"}


def test_a_state_is_json_whatever_numbers_are_given(expansion: Expansion) -> None:
    given: dict[str, Any] = {"seed": np.uint64(3), "rank": np.int32(1), "world_size": np.int64(2), "epoch": np.int8(4)}
    batches = Batches(expansion, 100, **given)
    state = json.loads(json.dumps(batches.state_dict()))
    again = Batches(expansion, 100, seed=3, rank=1, world_size=2)
    again.load_state_dict(state)
    assert again.epoch == 4


def test_batches_show_what_they_are(expansion: Expansion, tmp_path: Path) -> None:
    assert "batch_size=100" in repr(Batches(expansion, 100))
    assert not list(tmp_path.iterdir())
