"""Do a user's times rise, and do test interactions come after train ones?"""

from functools import partial
from threading import Lock

import numpy as np

from fractalrs.dataset import Dataset
from fractalrs.passes import Integers, InteractionBatch, visit
from fractalrs.tools import SILENT, Progress
from fractalrs.validation.findings import Check
from fractalrs.words import SPLITS, Split

TIMES_RISE = "times of a user never fall"
TEST_IS_LAST = "no test interaction comes before a train interaction of its user"
CUT = "no train interaction comes after the cut, no test interaction before it"


def check_times(
    dataset: Dataset, test_is_late: bool, cut: int | None, is_cold: bool, threads: int, progress: Progress = SILENT
) -> list[Check]:
    """Check of all interactions that a user's times never fall, and that test ones come after train ones.

    The second is promised where the split held out each user's latest interactions, so that `test_is_late`; of a split
    by the clock it holds for all users together, on both sides of its `cut`. Where some users or items are cold, their
    test interactions are of any time.
    """
    state, checks = Times(dataset.shape[0] if test_is_late else 0, cut, is_cold), []
    in_order = dataset.order == "time"
    for split in SPLITS if in_order or test_is_late or cut is not None else ():
        add = partial(state.add, split)
        visit(dataset, split, ["timestamp"], add, threads=threads, what="following times", progress=progress)
    if in_order:
        what = "interactions are earlier than the one of their user before them"
        checks.append(state.falls.check(TIMES_RISE, what))
    if test_is_late:
        early = Offences()
        early.add(np.flatnonzero(state.first_test < state.last_train))
        checks.append(early.check(TEST_IS_LAST, "users have a test interaction before a train interaction"))
    if cut is not None:
        checks.append(state.across.check(CUT, "interactions are on the wrong side of the cut"))
    return checks


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

    def __init__(self, users: int, cut: int | None = None, is_cold: bool = False) -> None:
        self.cut, self.is_cold = cut, is_cold
        self.falls, self.across = Offences(), Offences()
        self.last_train = np.full(users, np.iinfo(np.int64).min)
        self.first_test = np.full(users, np.iinfo(np.int64).max)
        self._lock = Lock()

    def add(self, split: Split, rows: InteractionBatch) -> None:
        """Look at the interactions of some users."""
        if not len(rows):
            return
        times, users = rows.times, rows.users
        fallen = np.flatnonzero((users[1:] == users[:-1]) & (times[1:] < times[:-1])) + 1
        starts = np.flatnonzero(np.diff(users, prepend=-1))
        bounds = (np.maximum if split == "train" else np.minimum).reduceat(times, starts)
        wrong = users[:0]
        if self.cut is not None and (split == "train" or not self.is_cold):
            wrong = users[(times >= self.cut) == (split == "train")]
        with self._lock:
            self.falls.add(users[fallen])
            self.across.add(wrong)
            if len(self.last_train) and split == "train":
                np.maximum.at(self.last_train, users[starts], bounds)
            elif len(self.last_train):
                np.minimum.at(self.first_test, users[starts], bounds)
