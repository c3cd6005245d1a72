"""Does the plan generate the same users again, bit for bit, with what they carry? Do times keep the source's order?"""

from collections.abc import Iterator
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.columns import ticks
from fractalrs.dataset import Dataset, PartEntry
from fractalrs.expansion import Expansion
from fractalrs.passes import (
    Integers,
    InteractionBatch,
    Mask,
    StreamedMatrix,
    each_on_threads,
    generated,
    joined,
    part_batches,
    share_of,
    with_sources,
)
from fractalrs.tools import SILENT, Progress
from fractalrs.validation.checks.times import Offences
from fractalrs.validation.findings import Check
from fractalrs.words import SPLITS, Split

SOURCE_ORDER = "times keep the order of the source inside a block"
APPEARANCES = "no item comes before its source"
AGAINST_SOURCE = (SOURCE_ORDER, APPEARANCES)
REGENERATION = "a sample of users is generated again bit for bit"

USERS = 10_000
"""Expanded users that are generated again and compared, when the source is at hand."""
INTERACTIONS = 10_000_000
"""Fewer users where they hold more interactions than this."""


def sample_users(matrix: StreamedMatrix, expansion: Expansion) -> npt.NDArray[np.uint64]:
    """Return the users that are generated again; their ids rise."""
    users = expansion.shape[0]
    # Keyed by the seed, which the plan alone holds: who does not have it cannot know the sample.
    rng = np.random.default_rng([expansion.seed, users])
    fitting = int(INTERACTIONS * users / max(1.0, matrix.interactions))
    count = max(1, min(users, USERS, fitting))
    return np.sort(rng.choice(users, size=count, replace=False)).astype(np.uint64)


def check_regenerated(matrix: StreamedMatrix, expansion: Expansion, chosen: npt.NDArray[np.uint64]) -> Check:
    """Generate users again and compare train and test interactions, in their order."""
    again = StreamedMatrix(expansion, threads=matrix.threads, users=chosen)
    for split in SPLITS:
        there, here = (each.collect(chosen, split) for each in (matrix, again))
        lengths = np.flatnonzero(np.diff(there.indptr) != np.diff(here.indptr))
        if len(lengths):
            return differs(int(chosen[lengths[0]]), f"{split} interactions")
        differing = np.flatnonzero(there.indices != here.indices)
        if len(differing):
            user = chosen[np.searchsorted(there.indptr, differing[0], side="right") - 1]
            return differs(int(user), f"{split} interactions")
    return Check(REGENERATION, "integrity", True, f"{len(chosen):,} of {expansion.shape[0]:,} users are the same")


def differs(user: int, what: str) -> Check:
    """Return that a user has something else than was planned."""
    return Check(REGENERATION, "integrity", False, f"user {user} has other {what} than the plan generates")


def check_sources(
    dataset: Dataset,
    expansion: Expansion,
    users: Integers,
    compare: bool,
    threads: int,
    progress: Progress = SILENT,
) -> tuple[int | None, list[Check]]:
    """Generate a sample of users again and compare what their interactions carry; check times against the source.

    Returns the first user who carries something else, if any; and, where there are times, the checks that they keep the
    source's order and that no item comes before its source. Not compared is where ids differ, which is known already.
    """
    names = [field.name for field in expansion.payload.fields]
    state = _Sources(expansion, names)
    chosen = np.zeros(dataset.shape[0], dtype=np.bool_)
    chosen[users] = True

    def work(part: PartEntry) -> Iterator[int]:
        late: dict[Split, list[InteractionBatch]] = {
            split: [*part_batches(dataset, part, split, names, chosen)] for split in SPLITS[1:]
        }
        for train in part_batches(dataset, part, "train", names, chosen):
            both: dict[Split, list[InteractionBatch]] = {"train": [train]}
            for split, some in late.items():
                now = [np.isin(rows.users, train.users) for rows in some]
                both[split] = list(map(InteractionBatch.at, some, now))
                late[split] = [rows.at(~taken) for rows, taken in zip(some, now, strict=True)]
            state.add(both, compare)
            yield len(train)
        # Users without train interactions.
        state.add(late, compare)

    interactions, parts = dataset.totals["train"] * share_of(chosen), [work(part) for part in dataset.parts]
    each_on_threads(parts, threads, "comparing with the source", interactions, progress)
    if not expansion.options.timestamps:
        return state.differing.first, []
    order = "interactions are earlier than one of their user and block that is earlier in the source"
    early = "interactions are earlier than the first of their source item"
    return state.differing.first, [state.swapped.check(SOURCE_ORDER, order), state.early.check(APPEARANCES, early)]


class _Sources:
    """What the pass over a sample of users has seen."""

    def __init__(self, expansion: Expansion, names: list[str]) -> None:
        self.expansion, self.names = expansion, names
        self.differing, self.swapped, self.early = Offences(), Offences(), Offences()
        self._lock = Lock()
        if expansion.options.timestamps:
            base = expansion.base
            times, self.items = ticks(base.column("timestamp")), base.indices
            self.appearance = np.full(base.shape[1], np.iinfo(np.int64).max)
            np.minimum.at(self.appearance, self.items, times)
            # Of equally late ones those for validation come before those for test.
            late = np.where(base.test_is_late, base.mask("valid") + 2 * base.test_mask.astype(np.int8), 0)
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
        blocks = self.expansion.places(rows.items) // self.expansion.base.shape[1]
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
        wrong |= differing_values(rows.table[name].combine_chunks(), made.table[name].combine_chunks())
    return rows.users[wrong]


def differing_values(a: pa.Array, b: pa.Array) -> Mask:
    """Return where two columns of one type differ, bit for bit."""
    valid = np.asarray(a.is_valid())
    differ: Mask = valid != np.asarray(b.is_valid())
    if pa.types.is_boolean(a.type) or not pa.types.is_primitive(a.type):
        return np.asarray(differ | np.asarray(pc.fill_null(pc.not_equal(a, b), False)))
    word = f"u{a.type.bit_width // 8}"
    words = (np.frombuffer(each.buffers()[1], word)[each.offset : each.offset + len(each)] for each in (a, b))
    return np.asarray(differ | np.not_equal(*words) & valid)
