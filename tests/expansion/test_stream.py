"""Interactions while they are read: in the order and with the values of tables, whatever the threads."""

import gc
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import fractalrs as fr
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from helpers import oracle
from helpers.folders import RATES, small_base, small_expansion


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    return small_expansion()


OPTIONS: list[dict[str, Any]] = [
    {"profile": "traceable", "timestamps": True, "ratings": "carry"},
    {"profile": "traceable", "timestamps": True, "order": "block", "carry": ("weight",)},
    {"shuffle": "none", "ratings": "kronecker"},
    {"order": "item", "cold_users": 0.1, "cold_items": 0.1},
    {"profile": "reference"},
    {"operator": "sketch", "shuffle": "none"},
    {"shuffle": "mixed", "ratings": "carry", "carry": ("weight",)},
    {"shuffle": "mixed", "test_items": "one"},
]


def expanded(options: dict[str, Any]) -> Expansion:
    """Expand a base whose interactions carry a rating, a time and a weight."""
    interactions = fr.sample_interactions(150, 80, 4_000).to_arrow()
    interactions = interactions.append_column("weight", pa.array(np.arange(len(interactions), dtype=np.float32)))
    read = fr.read_interactions(interactions, carry=["weight"])
    base = fr.leave_last_out(read, payload=["rating", "timestamp", "weight"])
    rates: dict[str, Any] = {} if "operator" in options else {"max_keep": 0.9}
    return Expansion(base, [[0.9, 0.4, 0.1], [0.2, 0.6, 0.3]], **options, **rates)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 1_000, 10**6])
def test_a_stream_gives_the_rows_of_the_table(expansion: Expansion, split: Any, threads: int, batch_size: int) -> None:
    users = (150, 210) if batch_size == 1 else (0, 600)
    stream = expansion.stream(split, users=users, batch_size=batch_size, threads=threads)
    batches = list(stream)
    assert pa.Table.from_batches(batches, stream.schema).equals(expansion.table(*users, split))
    assert 0 < min(map(len, batches)) <= max(map(len, batches)) <= batch_size


def test_batches_are_as_many_as_needed_and_alike(expansion: Expansion) -> None:
    sizes = [len(batch) for batch in expansion.stream(batch_size=1_000)]
    assert min(sizes) > 800


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("split", ["train", "test"])
def test_columns_are_those_of_the_table_in_any_choice(options: dict[str, Any], split: Any) -> None:
    made = expanded(options)
    table = made.table(0, made.shape[0], split)
    assert pa.table(made.stream(split)).equals(table)
    for names in [["item_id"], ["user_id"], ["item_id", "user_id"], table.column_names[::-1], table.column_names[-1:]]:
        assert pa.table(made.stream(split, columns=names, threads=2)).equals(table.select(names))


@settings(deadline=None)
@given(st.data())
def test_any_range_in_any_batches_is_the_table(data: st.DataObject) -> None:
    made = small_expansion()
    first, last = sorted(data.draw(st.tuples(st.integers(0, 600), st.integers(0, 600))))
    size, threads = data.draw(st.integers(1, 5_000)), data.draw(st.integers(1, 4))
    stream = made.stream(users=(first, last), batch_size=size, threads=threads)
    assert pa.table(stream).equals(made.table(first, last))


def test_a_stream_may_be_of_a_time(expansion: Expansion) -> None:
    made = expanded(OPTIONS[0])
    table = made.table(0, made.shape[0])
    times = table["timestamp"].to_numpy()
    start, end = (int(time) for time in np.quantile(times, [0.3, 0.6], method="nearest"))
    wanted = table.filter(pa.array((times >= start) & (times < end)))
    assert 0 < len(wanted) < len(table)
    assert pa.table(made.stream(time=(start, end), batch_size=500, threads=2)).equals(wanted)
    assert pa.table(made.stream(time=(start, end), columns=["item_id"])).equals(wanted.select(["item_id"]))
    for stream, message in [(expansion.stream, "get no times"), (made.stream, "which is no date")]:
        with pytest.raises(InputError, match=message):
            stream(time=("soon", "later"))
    with pytest.raises(InputError, match="time"):
        made.stream(time=5)  # type: ignore[arg-type]


def test_a_stream_may_be_read_again_and_twice_at_a_time(expansion: Expansion) -> None:
    stream = expansion.stream(batch_size=1_000)
    one, other = iter(stream), iter(stream)
    assert all(next(one).equals(next(other)) for _ in range(3))
    assert pa.table(stream).equals(pa.table(stream))


def test_readers_of_arrow_streams_take_streams_and_expansions(expansion: Expansion) -> None:
    polars = pytest.importorskip("polars")
    table = expansion.table(0, 600)
    for source in (expansion, expansion.stream(threads=2)):
        assert pa.table(source).equals(table)
        assert pa.schema(source).equals(table.schema)
        assert polars.DataFrame(source).to_arrow().cast(table.schema).equals(table)
    assert pa.RecordBatchReader.from_stream(expansion.stream("test")).read_all().equals(expansion.table(0, 600, "test"))


def test_a_stream_shows_what_it_is(expansion: Expansion) -> None:
    shown = repr(expansion.stream("test", threads=2))
    assert shown.startswith("Stream(")
    assert "split='test'" in shown
    assert "0x" not in shown


def own_threads() -> int:
    return sum(
        "fractalrs" in (task / "comm").read_text() for task in Path("/proc/self/task").iterdir() if task.exists()
    )


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads where Linux lists them")
def test_threads_start_with_the_first_batch_and_end_with_the_iteration() -> None:
    # More pieces than may be ahead: threads that have nothing to do wait for room.
    made = Expansion(fr.leave_last_out(fr.sample_interactions(2_000, 500, 100_000)), np.full((4, 16), 0.5))
    batches, before = iter(made.stream(batch_size=65_536, threads=2)), own_threads()
    assert made.expected.train.mean > 2_000_000
    next(batches)
    assert own_threads() > before
    del batches
    gc.collect()
    assert own_threads() == before


def _in_child(batches: Iterator[pa.RecordBatch], expected: pa.Table, queue: Any) -> None:
    queue.put(pa.Table.from_batches(list(batches)).equals(expected))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_goes_on_with_threads_of_its_own() -> None:
    # Pieces are larger than this expansion: several of them come from several row blocks.
    made, context = small_expansion(), multiprocessing.get_context("fork")
    stream = made.stream(batch_size=1_000, threads=2)
    begun, queue = iter(stream), context.Queue()
    first = [next(begun) for _ in range(2)]
    rest = made.table(0, 600).slice(sum(map(len, first)))
    child = context.Process(target=_in_child, args=(begun, rest, queue))
    child.start()
    assert queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    assert pa.Table.from_batches(list(begun)).equals(rest)


def test_ctrl_c_ends_a_stream_that_is_waited_for() -> None:
    program = """
import signal, threading, time, os
import fractalrs as fr
base = fr.leave_last_out(fr.sample_interactions(2_000, 500, 100_000))
expansion = fr.Expansion(base, [[0.5] * 2_000] * 4)
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    for batch in expansion.stream():
        pass
except KeyboardInterrupt:
    print("stopped")
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("stopped\n", "")
    assert time.monotonic() - started < 30


def test_what_a_function_makes_streams_too() -> None:
    def half(matrix: Any, rate: float, rng: np.random.Generator) -> Any:
        kept = scipy.sparse.coo_array(matrix)
        chosen = rng.random(kept.nnz) < rate
        return scipy.sparse.coo_array((kept.data[chosen], tuple(axis[chosen] for axis in kept.coords)), matrix.shape)

    made = Expansion(small_base(), RATES, operator=half, shuffle="none")
    assert pa.table(made.stream(batch_size=100)).equals(made.table(0, 600))
    assert pa.table(made.stream("test", columns=["item_id"])).equals(made.table(0, 600, "test").select(["item_id"]))
    with pytest.raises(InputError, match="not made by a function"):
        made.contains([0], [0])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"columns": ["rating"]}, "the column 'rating' does not exist"),
        ({"columns": ["item_id", "item_id"]}, "is asked for twice"),
        ({"columns": "item_id"}, "columns is the text"),
        ({"columns": []}, "columns is empty"),
        ({"batch_size": 0}, "batch_size must be a whole number, 1 or more"),
        ({"threads": 0}, "threads is 0"),
        ({"split": "validation"}, "split is 'validation'"),
        ({"users": (5, 601)}, "not within 0 to 600"),
    ],
)
def test_what_cannot_be_streamed_is_refused_at_once(expansion: Expansion, named: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expansion.stream(**named)


def pairs_of(table: pa.Table, items: int) -> set[int]:
    return {*(table["user_id"].to_numpy().astype(np.int64) * items + table["item_id"].to_numpy()).tolist()}


@pytest.mark.parametrize("options", [{}, {"shuffle": "block"}, {"shuffle": "none"}, *OPTIONS[3:]], ids=str)
def test_contains_is_what_the_tables_say(options: dict[str, Any]) -> None:
    made, rng = expanded(options), np.random.default_rng(3)
    users, items = made.shape
    train, test = made.table(0, users), made.table(0, users, "test")
    drawn = rng.integers(0, users, 20_000), rng.integers(0, items, 20_000)
    pairs = (drawn[0] * items + drawn[1]).tolist()
    of_train, of_test = pairs_of(train, items), pairs_of(test, items)
    wanted_of: dict[Any, set[int]] = {None: of_train | of_test, "train": of_train, "test": of_test}
    for split, wanted in wanted_of.items():
        found = made.contains(*drawn, split, threads=2)
        assert found.tolist() == [pair in wanted for pair in pairs]
    assert made.contains(train["user_id"], train["item_id"], "train").all()
    assert made.contains(test["user_id"], test["item_id"], "test").all()


def test_contains_broadcasts_and_refuses_what_is_out_of_range(expansion: Expansion) -> None:
    table = expansion.table(7, 8)
    found = expansion.contains(np.arange(5, 9)[:, None], table["item_id"].to_numpy())
    assert found.shape == (4, table.num_rows)
    assert found[2].all()
    assert not found.all()
    assert expansion.contains(7, int(table["item_id"][0].as_py())).shape == ()
    wrong: list[Any] = [([600], [0], "users 600"), ([0], [-1], "items -1"), ([0.5], [0], "whole numbers")]
    for users, items, message in wrong:
        with pytest.raises(InputError, match=message):
            expansion.contains(users, items)
    with pytest.raises(InputError, match="do not fit each other"):
        expansion.contains([1, 2], [1, 2, 3])


def test_negatives_are_different_items_without_interactions(expansion: Expansion) -> None:
    users = np.arange(0, 600, 7)
    chosen = expansion.negatives(users, 20)
    assert chosen.dtype == np.int32
    assert not expansion.contains(users[:, None], chosen).any()
    assert all(len({*row}) == 20 for row in chosen.tolist())


def test_negatives_are_keyed(expansion: Expansion) -> None:
    users = np.arange(50)
    chosen = expansion.negatives(users, 12, threads=2)
    assert np.array_equal(expansion.negatives(users[::-1], 12)[::-1], chosen)
    assert np.array_equal(expansion.negatives(users, 5), chosen[:, :5])
    assert np.array_equal(expansion.negatives([3, 3], 12), chosen[[3, 3]])
    assert not np.array_equal(expansion.negatives(users, 12, seed=1), chosen)
    assert not np.array_equal(small_expansion(seed=8).negatives(users, 12), chosen)


def test_negatives_are_those_of_the_page(expansion: Expansion) -> None:
    key, items = oracle.under(oracle.root(7), oracle.NEGATIVE, 5), expansion.shape[1]
    for user in (0, 311, 599):
        drawn = [(int(word) * items) >> 64 for word in oracle.under(oracle.under(key, user), np.arange(200))]
        free = [item for item in dict.fromkeys(drawn) if not expansion.contains(user, item)]
        assert expansion.negatives([user], 60, seed=5).tolist() == [free[:60]]


def test_negatives_are_uniform() -> None:
    made = Expansion(small_base(), [[0.01]], min_keep=0.01)
    (users, items), draws = made.shape, 40
    counts = np.bincount(made.negatives(np.arange(users), draws).ravel(), minlength=items)
    free = items - np.bincount(pa.table(made.stream())["item_id"].to_numpy(), minlength=items).mean()
    expected = users * draws / items
    # Each is drawn by a user with nearly the same probability: a binomial count.
    spread = np.sqrt(expected * (1 - draws / free))
    assert abs((counts - expected) / spread).max() < 5


def test_users_who_have_nearly_everything_have_too_few_negatives() -> None:
    base = fr.Base.from_arrays([0, 3, 4], [0, 1, 2, 0])
    made = Expansion(base, [[1.0]], max_keep=1.0, shuffle="none")
    assert made.negatives([1], 2).tolist() in ([[1, 2]], [[2, 1]])
    with pytest.raises(InputError, match="user 0 has hardly 1 items left"):
        made.negatives([1, 0], 1)
    with pytest.raises(InputError, match="k must be a whole number"):
        made.negatives([1], -1)
