"""What interactions carry: what must hold of it exactly."""

from collections.abc import Iterator
from functools import partial
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.columns.types import ticks
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.manifest import PartEntry
from fractalrs.dataset.part_files import opened
from fractalrs.expansion.expansion import Expansion
from fractalrs.passes.batches import (
    Integers,
    InteractionBatch,
    Mask,
    each_on_threads,
    file_batches,
    generated,
    joined,
    share_of,
    visit,
    with_sources,
)
from fractalrs.tools.progress import Progress
from fractalrs.validation.findings import Check
from fractalrs.words import SPLITS, Split

COLUMNS = "files have the columns of the manifest"
TIMES_RISE = "times of a user never fall"
TEST_IS_LAST = "no test interaction comes before a train interaction of its user"
SOURCE_ORDER = "times keep the order of the source inside a block"
APPEARANCES = "no item comes before its source"

AGAINST_SOURCE = (SOURCE_ORDER, APPEARANCES)


def check_columns(dataset: Dataset) -> Check:
    """Compare names, types and whether values may be missing of every file with the manifest."""
    wanted = dataset.train.schema
    wrong = []
    for part in dataset.parts:
        for entry in part.files.values():
            with opened(dataset.path / entry.path) as file:
                found = file.schema_arrow
            if not found.equals(wanted):
                wrong.append(f"{entry.path} has {_described(found)} instead of {_described(wanted)}")
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
    in_order = dataset.order == "time"
    for split in SPLITS:
        if in_order or test_is_late:
            visit(
                dataset,
                split,
                ["timestamp"],
                partial(state.add, split),
                threads=threads,
                what="following times",
                progress=progress,
            )
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

    def add(self, split: str, rows: InteractionBatch) -> None:
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
    dataset: Dataset,
    expansion: Expansion,
    users: Integers,
    compare: bool,
    threads: int,
    progress: bool | Progress = False,
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

    def work(part: PartEntry) -> Iterator[int]:
        late = [*_part(dataset, part, "test", names, chosen)]
        for train in _part(dataset, part, "train", names, chosen):
            now = [np.isin(rows.users, train.users) for rows in late]
            state.add({"train": [train], "test": list(map(InteractionBatch.at, late, now))}, compare)
            late = [rows.at(~taken) for rows, taken in zip(late, now, strict=True)]
            yield len(train)
        # Users without train interactions.
        state.add({"test": late}, compare)

    works = [work(part) for part in dataset.parts]
    interactions = dataset.totals["train"] * share_of(chosen)
    each_on_threads(works, threads, "comparing with the source", interactions, progress)
    if not expansion.options.timestamps:
        return state.differing.first, []
    order = "interactions are earlier than one of their user and block that is earlier in the source"
    early = "interactions are earlier than the first of their source item"
    return state.differing.first, [
        state.swapped.check(SOURCE_ORDER, order),
        state.early.check(APPEARANCES, early),
    ]


def _part(
    dataset: Dataset, part: PartEntry, split: Split, names: list[str], chosen: Mask
) -> Iterator[InteractionBatch]:
    if split in part.files:
        yield from file_batches(dataset.path / part.files[split].path, names, chosen)


class _Sources:
    """What the pass over a sample of users has seen."""

    def __init__(self, expansion: Expansion, names: list[str]) -> None:
        self.expansion, self.names = expansion, names
        self.differing = _Count()
        self.swapped, self.early = _Count(), _Count()
        self._lock = Lock()
        if expansion.options.timestamps:
            base = expansion.base
            times, self.items = ticks(base.column("timestamp")), base.indices
            self.appearance = np.full(base.shape[1], np.iinfo(np.int64).max)
            np.minimum.at(self.appearance, self.items, times)
            late = base.test_mask & (base.split == "last")
            self.rank = np.empty(base.count, dtype=np.int64)
            self.rank[np.lexsort((self.items, late, times, base.owners))] = np.arange(base.count)

    def add(self, both: dict[Split, list[InteractionBatch]], compare: bool) -> None:
        """Look at the train and test interactions of some users."""
        known = []
        for split, some in both.items():
            if not any(map(len, some)):
                continue
            rows = joined(some)
            made = generated(self.expansion, np.unique(rows.users), self.names if compare else [], split)
            if compare:
                with self._lock:
                    self.differing.add(_differing(rows, made))
            if self.expansion.options.timestamps:
                found = with_sources(rows, made)
                known.append(found.at(found.traced >= 0))
        if known:
            self._look(joined(known))

    def _look(self, rows: InteractionBatch) -> None:
        users, sources, times = rows.users, rows.traced, rows.times
        early = users[times < self.appearance[self.items[sources]]]
        blocks = rows.items // self.expansion.base.shape[1]
        order = np.lexsort((self.rank[sources], blocks, users))
        users, blocks, times = users[order], blocks[order], times[order]
        swapped = users[1:][(users[1:] == users[:-1]) & (blocks[1:] == blocks[:-1]) & (times[1:] < times[:-1])]
        with self._lock:
            self.early.add(early)
            self.swapped.add(swapped)


def _differing(rows: InteractionBatch, made: InteractionBatch) -> Integers:
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
