"""What interactions carry: passes over it in bounded memory, and what must hold of it exactly.

A pass takes whole users at a time, as they stand in the files or as they are generated; parts go to threads.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.dataset import Dataset
from fractalrs.part_files import opened, whole_users
from fractalrs.progress import Report, progress_bar
from fractalrs.validation.findings import Check

if TYPE_CHECKING:
    from fractalrs.base import Base
    from fractalrs.expansion import Expansion

BATCH = 1 << 20
"""Rows that a thread reads, or generates, at once."""
NEIGHBOURS = 8
"""Users so near to each other are generated in one go."""
STRIPES = 64
"""In so many runs of consecutive users a row block is cut, to draw some of them."""

COLUMNS = "files have the columns of the manifest"
TIMES_RISE = "times of a user never fall"
TEST_IS_LAST = "no test interaction comes before a train interaction of its user"
SOURCE_ORDER = "times keep the order of the source inside a block"
APPEARANCES = "no item comes before its source"

AGAINST_SOURCE = (SOURCE_ORDER, APPEARANCES)

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Train or test interactions of whole users, in their order.

    Attributes
    ----------
    users, items
        int64, (rows).
    table
        What they carry, of the columns that were asked for.
    sources
        int64, (rows): the base's entry that each comes from, −1 where there is none; None where that is not known.
    """

    users: Integers
    items: Integers
    table: pa.Table
    sources: Integers | None = None

    def __len__(self) -> int:
        return len(self.users)

    def at(self, chosen: Mask) -> "Rows":
        """Take some of them."""
        sources = None if self.sources is None else self.sources[chosen]
        return Rows(self.users[chosen], self.items[chosen], self.table.filter(pa.array(chosen)), sources)

    @property
    def traced(self) -> Integers:
        """Their sources, which must be known."""
        assert self.sources is not None
        return self.sources

    @property
    def times(self) -> Integers:
        """Their timestamps in ticks."""
        return ticks(self.table["timestamp"])


def column(base: "Base", name: str) -> pa.Array:
    """Take a column of the payload, which must be there."""
    assert base.payload is not None
    return base.payload[name].chunk(0)


def owners(base: "Base") -> Integers:
    """Tell the user of each entry."""
    return np.repeat(np.arange(base.shape[0]), np.diff(base.indptr))


def train(base: "Base", name: str) -> Rows:
    """Take the base's train interactions with one column of the payload."""
    table = pa.table({name: column(base, name)})
    return Rows(owners(base), base.indices.astype(np.int64), table).at(~base.test_mask)


def ticks(column: pa.ChunkedArray | pa.Array) -> Integers:
    """Count a column of timestamps, dates or integers in ticks."""
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    return np.asarray(column.cast(pa.int64()), dtype=np.int64)


# --- Passes ----------------------------------------------------------------------------------------------------------


def visit(
    dataset: "Dataset | Expansion",
    split: str,
    names: list[str],
    function: Callable[[Rows], None],
    *,
    chosen: Mask | None = None,
    origin: "Expansion | None" = None,
    threads: int = 1,
    what: str | None = None,
) -> None:
    """Call a function with all interactions of a split, or those of chosen users; several threads call it at a time.

    Parameters
    ----------
    names
        The columns to take along.
    chosen
        Bool, one for each user.
    origin
        What files were written from: their sources are then generated again. An expansion always knows them.
    what
        What is being done, to show progress; None shows none.
    """
    if isinstance(dataset, Dataset):
        files = [dataset.path / part[split]["path"] for part in dataset.manifest["parts"] if split in part]
        works = [_of_file(file, names, chosen, origin, split) for file in files]
        total: float = dataset.totals[split]
    else:
        mean = max(1.0, dataset.expected_interactions / dataset.shape[0])
        runs = _runs(chosen, dataset.shape[0], max(1, int(BATCH / mean)))

        def generate(first: int, last: int) -> Iterator[Rows]:
            yield _generated(dataset, first, last, names, split)

        works = [generate(*run) for run in runs]
        total = getattr(dataset.expected_counts, split).mean

    def take(rows: Rows) -> int:
        function(rows)
        return len(rows)

    _each([map(take, rows) for rows in works], threads, what, total * _share(chosen))


def _share(chosen: Mask | None) -> float:
    return 1.0 if chosen is None else float(chosen.mean())


def _each(works: Sequence[Iterable[int]], threads: int, what: str | None, interactions: float) -> None:
    """Let threads go through iterables to their ends; an error, or Ctrl-C, stops all at their next step.

    Steps tell how many interactions they took; with those, of about `interactions`, progress is shown.
    """
    stop, lock, done = Event(), Lock(), np.zeros(2, dtype=np.int64)

    def work(steps: Iterable[int], report: Report | None) -> None:
        for step in chain(zip(steps, repeat(0), strict=False), [(0, 1)]):
            with lock:
                done[:] += step
                if report is not None:
                    report(*done.tolist())
            if stop.is_set():
                return

    with (
        progress_bar(what is not None, interactions, len(works), what or "") as report,
        ThreadPoolExecutor(threads) as pool,
    ):
        futures = [pool.submit(work, steps, report) for steps in works]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _of_file(
    path: Path, names: list[str], chosen: Mask | None, origin: "Expansion | None", split: str
) -> Iterator[Rows]:
    for rows in _whole_users(path, names, chosen):
        yield rows if origin is None else with_sources(rows, generated(origin, np.unique(rows.users), [], split))


def _whole_users(path: Path, names: list[str], chosen: Mask | None) -> Iterator[Rows]:
    """Read a file's rows, or those of chosen users."""
    with opened(path) as file:
        batches = file.iter_batches(BATCH, columns=["user_id", "item_id", *names], use_threads=False)
        if chosen is not None:
            batches = (batch.filter(pa.array(chosen[batch["user_id"].to_numpy()])) for batch in batches)
        for table in whole_users(batches):
            users, items = (np.asarray(table[name], dtype=np.int64) for name in ("user_id", "item_id"))
            yield Rows(users, items, table.select(names))


def _joined(found: Sequence[Rows]) -> Rows:
    """Put some one after another; at least one."""
    known = all(rows.sources is not None for rows in found)
    return Rows(
        np.concatenate([rows.users for rows in found]),
        np.concatenate([rows.items for rows in found]),
        pa.concat_tables([rows.table for rows in found]),
        np.concatenate([rows.traced for rows in found]) if known else None,
    )


def _runs(chosen: Mask | None, users: int, longest: int) -> list[tuple[int, int]]:
    """Ranges of chosen users, none longer than so many."""
    if chosen is None:
        bounds = [(0, users)]
    else:
        edges = np.flatnonzero(np.diff(np.concatenate(([False], chosen, [False]))))
        bounds = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    return [(start, min(start + longest, last)) for first, last in bounds for start in range(first, last, longest)]


def _generated(expansion: "Expansion", first: int, last: int, names: list[str], split: str) -> Rows:
    users, items, sources, times, ratings = expansion.generator.rows(first, last, split == "test")
    arrays = expansion.payload.gather(sources, times, ratings)
    table = pa.Table.from_arrays(arrays, [field.name for field in expansion.payload.fields]).select(names)
    return Rows(users.astype(np.int64), items.astype(np.int64), table, sources.astype(np.int64))


def generated(expansion: "Expansion", users: Integers, names: list[str], split: str) -> Rows:
    """Generate users whose ids rise."""
    # Neighbours are cheap: a few more are generated rather than begun anew.
    edges = np.flatnonzero(np.diff(users, prepend=-2 * NEIGHBOURS) > NEIGHBOURS)
    lasts = users[np.append(edges[1:], len(users)) - 1] + 1
    longest = max(1, int(BATCH / max(1.0, expansion.expected_interactions / expansion.shape[0])))
    found = []
    for first, last in zip(users[edges].tolist(), lasts.tolist(), strict=True):
        for start in range(first, last, longest):
            rows = _generated(expansion, start, min(start + longest, last), names, split)
            found.append(rows.at(np.isin(rows.users, users)))
    return _joined(found)


def with_sources(rows: Rows, made: Rows) -> Rows:
    """Find the base's entry of each interaction, in whatever order they stand, in what is made for the same users."""
    if np.array_equal(made.users, rows.users) and np.array_equal(made.items, rows.items):
        return replace(rows, sources=made.sources)
    sources = np.full(len(rows), -1)
    if len(made) and len(rows):
        least, width = made.users.min(), 1 + max(made.items.max(), rows.items.max())
        known, wanted = ((each.users - least) * width + each.items for each in (made, rows))
        order = np.argsort(known)
        place = order[np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)]
        there = known[place] == wanted
        sources[there] = made.traced[place[there]]
    return replace(rows, sources=sources)


@dataclass(frozen=True)
class Shape:
    """What sampling needs to know: p base users, the multipliers, and how many train interactions there are."""

    base_users: int
    user_multiplier: int
    item_multiplier: int
    train: float

    def sample(self, interactions: float, seed: int = 0) -> Mask | None:
        """Draw users who have about so many train interactions.

        They are runs of consecutive users, as many in every row block; of a larger sample a smaller one is a part.

        Returns
        -------
        Mask or None
            Bool, one for each user; None for all of them.
        """
        share = interactions / max(1.0, self.train)
        if share >= 1:
            return None
        width = max(1, self.base_users // STRIPES)
        stripes = -(-self.base_users // width)
        order = np.random.default_rng(seed).random((self.user_multiplier, stripes)).argsort(axis=1).argsort(axis=1)
        drawn = order < max(1, round(share * stripes))
        return np.ascontiguousarray(np.repeat(drawn, width, axis=1)[:, : self.base_users]).ravel()


# --- Integrity -------------------------------------------------------------------------------------------------------


def check_columns(dataset: Dataset) -> Check:
    """Compare names, types and whether values may be missing of every file with the manifest."""
    wanted = dataset.train.schema
    wrong = []
    for part in dataset.manifest["parts"]:
        for split in ("train", "test"):
            if split in part:
                with opened(dataset.path / part[split]["path"]) as file:
                    found = file.schema_arrow
                if not found.equals(wanted):
                    wrong.append(f"{part[split]['path']} has {_described(found)} instead of {_described(wanted)}")
    more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return Check(COLUMNS, "integrity", not wrong, f"{wrong[0]}{more}" if wrong else _described(wanted))


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}{' or null' if field.nullable else ''}" for field in schema)


def check_times(dataset: Dataset, test_is_late: bool, threads: int, progress: bool = False) -> list[Check]:
    """Check of all interactions that a user's times never fall, and that test ones come after train ones.

    Parameters
    ----------
    test_is_late
        Whether the split held out each user's latest interactions, so that the second is promised.
    """
    state = _Times(dataset.shape[0] if test_is_late else 0)
    in_order = dataset.manifest["order"] == "time"
    for split in ("train", "test"):
        if in_order or test_is_late:
            what = "following times" if progress else None
            visit(dataset, split, ["timestamp"], partial(state.add, split), threads=threads, what=what)
    checks = []
    if in_order:
        what = "interactions are earlier than the one of their user before them"
        checks.append(state.falls.check(TIMES_RISE, what))
    if test_is_late:
        early = _Count()
        early.add(np.flatnonzero(state.first_test < state.last_train))
        checks.append(early.check(TEST_IS_LAST, "users have a test interaction before a train interaction"))
    return checks


class _Count:
    """How often something was seen that must not be, and the first user of it."""

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None

    def add(self, users: Integers) -> None:
        """Count users, each as often as it is named."""
        self.count += len(users)
        if len(users):
            first = int(users.min())
            self.first = first if self.first is None else min(self.first, first)

    def check(self, name: str, what: str) -> Check:
        """Say that there is none, or who is the first."""
        found = f"{self.count:,} {what}, the first is user {self.first}" if self.count else "everywhere"
        return Check(name, "integrity", not self.count, found)


class _Times:
    """What the pass over all times has seen."""

    def __init__(self, users: int) -> None:
        self.falls = _Count()
        self.last_train = np.full(users, np.iinfo(np.int64).min)
        self.first_test = np.full(users, np.iinfo(np.int64).max)
        self._lock = Lock()

    def add(self, split: str, rows: Rows) -> None:
        times, users = rows.times, rows.users
        fallen = np.flatnonzero((users[1:] == users[:-1]) & (times[1:] < times[:-1])) + 1
        starts = np.flatnonzero(np.diff(users, prepend=-1))
        bounds = (np.maximum if split == "train" else np.minimum).reduceat(times, starts)
        with self._lock:
            self.falls.add(users[fallen])
            if len(self.last_train) and split == "train":
                np.maximum.at(self.last_train, users[starts], bounds)
            elif len(self.last_train):
                np.minimum.at(self.first_test, users[starts], bounds)


def check_sources(
    dataset: Dataset, expansion: "Expansion", users: Integers, compare: bool, threads: int, progress: bool = False
) -> tuple[int | None, list[Check]]:
    """Generate a sample of users again and compare what their interactions carry; check times against the source.

    Parameters
    ----------
    users
        Ids that rise.
    compare
        Whether to compare: where ids themselves differ, that is known already.

    Returns
    -------
    user
        The first one who carries something else, None where there is none.
    checks
        That times keep the source's order, and no item comes before its source: only where there are times.
    """
    names = [field.name for field in expansion.payload.fields]
    state = _Sources(expansion, names)
    chosen = np.zeros(dataset.shape[0], dtype=np.bool_)
    chosen[users] = True

    def work(part: dict[str, Any]) -> Iterator[int]:
        late = [*_part(dataset, part, "test", names, chosen)]
        for train in _part(dataset, part, "train", names, chosen):
            now = [np.isin(rows.users, train.users) for rows in late]
            state.add({"train": [train], "test": list(map(Rows.at, late, now))}, compare)
            late = [rows.at(~taken) for rows, taken in zip(late, now, strict=True)]
            yield len(train)
        # Users without train interactions.
        state.add({"test": late}, compare)

    what = "comparing with the source" if progress else None
    _each([work(part) for part in dataset.manifest["parts"]], threads, what, dataset.totals["train"] * _share(chosen))
    if not expansion.options.timestamps:
        return state.differing.first, []
    order = "interactions are earlier than one of their user and block that is earlier in the source"
    early = "interactions are earlier than the first of their source item"
    return state.differing.first, [
        state.swapped.check(SOURCE_ORDER, order),
        state.early.check(APPEARANCES, early),
    ]


def _part(dataset: Dataset, part: dict[str, Any], split: str, names: list[str], chosen: Mask) -> Iterator[Rows]:
    if split in part:
        yield from _whole_users(dataset.path / part[split]["path"], names, chosen)


class _Sources:
    """What the pass over a sample of users has seen."""

    def __init__(self, expansion: "Expansion", names: list[str]) -> None:
        self.expansion, self.names = expansion, names
        self.differing = _Count()
        self.swapped, self.early = _Count(), _Count()
        self._lock = Lock()
        if expansion.options.timestamps:
            base = expansion.base
            times, self.items = ticks(column(base, "timestamp")), base.indices
            self.appearance = np.full(base.shape[1], np.iinfo(np.int64).max)
            np.minimum.at(self.appearance, self.items, times)
            late = base.test_mask & (base.split == "last")
            self.rank = np.empty(base.count, dtype=np.int64)
            self.rank[np.lexsort((self.items, late, times, owners(base)))] = np.arange(base.count)

    def add(self, both: dict[str, list[Rows]], compare: bool) -> None:
        """Look at the train and test interactions of some users."""
        known = []
        for split, some in both.items():
            if not any(map(len, some)):
                continue
            rows = _joined(some)
            made = generated(self.expansion, np.unique(rows.users), self.names if compare else [], split)
            if compare:
                with self._lock:
                    self.differing.add(_differing(rows, made))
            if self.expansion.options.timestamps:
                found = with_sources(rows, made)
                known.append(found.at(found.traced >= 0))
        if known:
            self._look(_joined(known))

    def _look(self, rows: Rows) -> None:
        users, sources, times = rows.users, rows.traced, rows.times
        early = users[times < self.appearance[self.items[sources]]]
        blocks = rows.items // self.expansion.base.shape[1]
        order = np.lexsort((self.rank[sources], blocks, users))
        users, blocks, times = users[order], blocks[order], times[order]
        swapped = users[1:][(users[1:] == users[:-1]) & (blocks[1:] == blocks[:-1]) & (times[1:] < times[:-1])]
        with self._lock:
            self.early.add(early)
            self.swapped.add(swapped)


def _differing(rows: Rows, made: Rows) -> Integers:
    """The users who carry something else than was made for them."""
    if len(rows) != len(made):
        return rows.users[:1]
    wrong = np.zeros(len(rows), dtype=np.bool_)
    for name in rows.table.column_names:
        wrong |= _apart(rows.table[name].combine_chunks(), made.table[name].combine_chunks())
    return rows.users[wrong]


def _apart(one: pa.Array, other: pa.Array) -> Mask:
    """Where two columns of one type differ, bit for bit."""
    valid, also = (np.asarray(array.is_valid()) for array in (one, other))
    differ: Mask = valid != also
    if pa.types.is_string(one.type) or pa.types.is_boolean(one.type):
        values, others = (array.fill_null("" if pa.types.is_string(array.type) else False) for array in (one, other))
        differ |= np.asarray(pc.not_equal(values, others))
        return differ
    width = np.int32 if one.type.bit_width == 32 else np.int64
    words = []
    for array in (one, other):
        buffer = array.buffers()[1]
        words.append(np.frombuffer(buffer, width)[array.offset : array.offset + len(array)])
    differ |= (words[0] != words[1]) & valid
    return differ
