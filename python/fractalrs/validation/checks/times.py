"""Do a user's times rise, and do test interactions come after train ones?"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from fractalrs.columns import ticks
from fractalrs.dataset import Dataset, FileEntry, folders_of, opened
from fractalrs.passes import Integers, InteractionBatch, visit
from fractalrs.tools import SILENT, Progress, in_order
from fractalrs.validation.findings import Check
from fractalrs.validation.wording import first_few
from fractalrs.words import Split

TIMES_RISE = "times of a user never fall"
TEST_IS_LAST = "no test interaction comes before a train interaction of its user"
CUT = "each split keeps to its side of the cut"
PERIODS = "files hold the periods of their folders"


def check_times(
    dataset: Dataset,
    test_is_late: bool,
    cuts: tuple[int, ...],
    is_cold: bool,
    threads: int,
    progress: Progress = SILENT,
) -> list[Check]:
    """Check of all interactions that a user's times never fall, and that test ones come after train ones.

    The second is promised where the split held out each user's latest interactions, so that `test_is_late`; of a split
    by the clock it holds for all users together, on both sides of its `cuts`. Where some users or items are cold, their
    test interactions are of any time.
    """
    state, checks = Times(dataset.shape[0] if test_is_late else 0, dataset.splits, cuts, is_cold), []
    in_order = dataset.order == "time"
    for split in dataset.splits if in_order or test_is_late or cuts else ():
        add = partial(state.add, split)
        visit(dataset, split, ["timestamp"], add, threads=threads, what="following times", progress=progress)
    if in_order:
        what = "interactions are earlier than the one of their user before them"
        checks.append(state.falls.check(TIMES_RISE, what))
    if test_is_late:
        early = Offences()
        early.add(np.flatnonzero((state.first < np.maximum.accumulate(state.last, axis=0)).any(axis=0)))
        checks.append(early.check(TEST_IS_LAST, "users have a test interaction before a train interaction"))
    if cuts:
        checks.append(state.across.check(CUT, "interactions are on the wrong side of the cut"))
    return checks


def check_periods(dataset: Dataset, threads: int) -> Check:
    """Check that all times of a file are in the period that its folder names."""
    assert dataset.partition is not None
    partition, files = dataset.partition, [file for split in dataset.splits for file in dataset.files(split)]

    def folders(file: FileEntry) -> set[str]:
        with opened(dataset.place / file.path) as parquet:
            table = parquet.read(["timestamp"])
        times = ticks(table["timestamp"])
        if not len(times):
            return set()
        return folders_of(partition, dataset.schema.field("timestamp"), np.array([times.min(), times.max()]))

    wrong = []
    for file, found in zip(files, in_order(folders, files, threads), strict=True):
        if found - {Path(file.path).parent.name}:
            wrong.append(f"{file.path} has interactions of {' and '.join(sorted(found))}")
    return Check(PERIODS, "integrity", not wrong, first_few(wrong) or "everywhere")


class Offences:
    """How often something was seen that must not be, and the first user of it; from several threads, one at a time."""

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
        """Return that there is none, or who is the first."""
        found = f"{self.count:,} {what}, the first is user {self.first}" if self.count else "everywhere"
        return Check(name, "integrity", not self.count, found)


class Times:
    """What the pass over all times has seen; `users` to follow from train to test, 0 where that is not promised."""

    def __init__(
        self,
        users: int,
        splits: Sequence[Split] = ("train", "test"),
        cuts: tuple[int, ...] = (),
        is_cold: bool = False,
    ) -> None:
        self.splits, self.cuts, self.is_cold = [*splits], cuts, is_cold
        self.falls, self.across = Offences(), Offences()
        # Of each split but the last one, and of each but the first one.
        self.last = np.full((len(splits) - 1, users), np.iinfo(np.int64).min)
        self.first = np.full((len(splits) - 1, users), np.iinfo(np.int64).max)
        self._lock = Lock()

    def add(self, split: Split, rows: InteractionBatch) -> None:
        """Look at the interactions of some users."""
        if not len(rows):
            return
        times, users = rows.times, rows.users
        fallen = np.flatnonzero((users[1:] == users[:-1]) & (times[1:] < times[:-1])) + 1
        starts = np.flatnonzero(np.diff(users, prepend=-1))
        number, last = self.splits.index(split), len(self.splits) - 1
        wrong = np.zeros(len(rows), dtype=np.bool_)
        if self.cuts and split != "test":
            wrong |= times >= self.cuts[0 if split == "train" else -1]
        if self.cuts and split != "train" and not (self.is_cold and split == "test"):
            wrong |= times < self.cuts[0 if split == "valid" else -1]
        with self._lock:
            self.falls.add(users[fallen])
            self.across.add(users[wrong])
            if self.last.shape[1] and number < last:
                np.maximum.at(self.last[number], users[starts], np.maximum.reduceat(times, starts))
            if self.last.shape[1] and number > 0:
                np.minimum.at(self.first[number - 1], users[starts], np.minimum.reduceat(times, starts))
