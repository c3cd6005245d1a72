"""Interaction batches: whole users of a data set or an expansion at a time, in bounded memory, on several threads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, pairwise, repeat
from pathlib import Path
from threading import Event, Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.columns import ticks
from fractalrs.dataset import Dataset, PartEntry, opened, whole_users
from fractalrs.expansion import Expansion
from fractalrs.tools import Progress, ProgressCallback, RemotePath, as_progress
from fractalrs.words import Split

BATCH = 1 << 20
"""About how many interactions a thread reads, or generates, at once."""
NEIGHBOURS = 8
"""Users so near to each other are generated in one go."""
STRIPES = 64
"""In so many stretches of consecutive users a row block is cut, to draw some of them."""

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class InteractionBatch:
    """Train or test interactions of whole users, in their order.

    Attributes
    ----------
    users, items
        int64, one for each interaction.
    table
        What they carry, of the columns that were asked for.
    sources
        int64: the base's entry that each comes from, −1 where there is none; None where that is not known, as where
        interactions carry nothing.

    Examples
    --------
    >>> import numpy as np
    >>> import fractalrs as fr
    >>> from fractalrs.passes import generated
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> batch = generated(fr.Expansion(base, fr.reduce(base, shape=(4, 8))), np.array([3, 70]), [], "train")
    >>> np.unique(batch.users).tolist()
    [3, 70]
    """

    users: Integers
    items: Integers
    table: pa.Table
    sources: Integers | None = None

    def __len__(self) -> int:
        return len(self.users)

    def at(self, chosen: Mask) -> "InteractionBatch":
        """Return some of them."""
        sources = None if self.sources is None else self.sources[chosen]
        return InteractionBatch(self.users[chosen], self.items[chosen], self.table.filter(pa.array(chosen)), sources)

    @property
    def traced(self) -> Integers:
        """Sources, which must be known."""
        assert self.sources is not None
        return self.sources

    @property
    def times(self) -> Integers:
        """Timestamps in ticks."""
        return ticks(self.table["timestamp"])


def visit(
    dataset: Dataset | Expansion,
    split: Split,
    names: list[str],
    function: Callable[[InteractionBatch], None],
    *,
    chosen: Mask | None = None,
    origin: Expansion | None = None,
    threads: int = 1,
    what: str = "reading interactions",
    progress: bool | Progress = False,
    batch_size: int = BATCH,
) -> None:
    """Call a function with all interactions of a split, or those of chosen users; several threads call it at a time.

    Parameters
    ----------
    names, chosen
        The columns to take along, and a bool for each user.
    origin
        What files were written from: their sources are then generated again. An expansion knows them where its
        interactions carry something.
    what, batch_size
        What is being done, for the progress, and about how many interactions there are in a batch.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.passes import visit
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> expansion, sizes = fr.Expansion(base, fr.reduce(base, shape=(4, 8))), []
    >>> visit(expansion, "test", [], lambda batch: sizes.append(len(batch)))
    >>> sum(sizes) == expansion.table(0, 240, "test").num_rows
    True
    """
    if isinstance(dataset, Dataset):

        def read(part: PartEntry) -> Iterator[InteractionBatch]:
            for batch in part_batches(dataset, part, split, names, chosen, batch_size):
                made = None if origin is None else generated(origin, np.unique(batch.users), [], split)
                yield batch if made is None else with_sources(batch, made)

        works = [read(part) for part in dataset.parts if split in part.files]
        total: float = dataset.totals[split]
    else:
        ranges = _ranges(chosen, dataset.shape[0], _users_of(dataset, batch_size))

        def generate(first: int, last: int) -> Iterator[InteractionBatch]:
            # Cold users have no train interactions: nobody is called with an empty batch.
            if len(batch := _generated(dataset, first, last, names, split)):
                yield batch

        works = [generate(*users) for users in ranges]
        total = getattr(dataset.expected, split).mean

    def take(batch: InteractionBatch) -> int:
        function(batch)
        return len(batch)

    each_on_threads([map(take, work) for work in works], threads, what, total * share_of(chosen), progress)


def share_of(chosen: Mask | None) -> float:
    """Return the share of users that are chosen."""
    return 1.0 if chosen is None else float(chosen.mean())


def each_on_threads(
    works: Sequence[Iterable[int]], threads: int, what: str, interactions: float, progress: bool | Progress = False
) -> None:
    """Let threads go through iterables to their ends; an error, or Ctrl-C, stops all at their next step.

    Each step yields how many interactions it took, of about `interactions` that are expected.
    """
    stop, lock, done = Event(), Lock(), np.zeros(2, dtype=np.int64)

    def work(steps: Iterable[int], report: ProgressCallback) -> None:
        for step in chain(zip(steps, repeat(0), strict=False), [(0, 1)]):
            with lock:
                done[:] += step
                report(*done.tolist())
            if stop.is_set():
                return

    task = as_progress(progress).task(what, interactions, len(works))
    with task as report, ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, steps, report) for steps in works]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def part_batches(
    dataset: Dataset, part: PartEntry, split: Split, names: list[str], chosen: Mask | None, batch_size: int = BATCH
) -> Iterator[InteractionBatch]:
    """Read the interactions of a part and split, or those of chosen users, in order of users."""
    files = [dataset.place / file.path for file in part.files.get(split, ())]
    if dataset.partition is None:
        for path in files:
            yield from file_batches(path, names, chosen, batch_size)
        return
    found = [batch for path in files for batch in file_batches(path, names, chosen, batch_size)]
    if not found:
        return
    # A user's rows of a period come after those of the one before.
    whole = joined(found)
    order = np.argsort(whole.users, kind="stable")
    users, items, table = whole.users[order], whole.items[order], whole.table.take(order)
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    cuts = np.unique([*starts[np.searchsorted(starts, np.arange(0, len(users), batch_size))], len(users)])
    for first, last in pairwise(cuts.tolist()):
        yield InteractionBatch(users[first:last], items[first:last], table.slice(first, last - first))


def file_batches(
    path: Path | RemotePath, names: list[str], chosen: Mask | None, batch_size: int = BATCH
) -> Iterator[InteractionBatch]:
    """Read a file's interactions, or those of chosen users."""
    with opened(path) as file:
        batches = file.iter_batches(batch_size, columns=["user_id", "item_id", *names], use_threads=False)
        if chosen is not None:
            batches = (batch.filter(pa.array(chosen[batch["user_id"].to_numpy()])) for batch in batches)
        for table in whole_users(batches):
            users, items = (np.asarray(table[name], dtype=np.int64) for name in ("user_id", "item_id"))
            yield InteractionBatch(users, items, table.select(names))


def joined(batches: Sequence[InteractionBatch]) -> InteractionBatch:
    """Return at least one batch as one, one after another."""
    known = all(batch.sources is not None for batch in batches)
    return InteractionBatch(
        np.concatenate([batch.users for batch in batches]),
        np.concatenate([batch.items for batch in batches]),
        pa.concat_tables([batch.table for batch in batches]),
        np.concatenate([batch.traced for batch in batches]) if known else None,
    )


def _users_of(expansion: Expansion, interactions: int) -> int:
    """Return how many users have about so many interactions."""
    return max(1, int(interactions / max(1.0, expansion.expected_interactions / expansion.shape[0])))


def _ranges(chosen: Mask | None, users: int, longest: int) -> Iterator[tuple[int, int]]:
    """Return ranges of chosen users, none longer than so many."""
    if chosen is None:
        return _cut([0], [users], longest)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], chosen, [False]))))
    return _cut(edges[::2].tolist(), edges[1::2].tolist(), longest)


def _cut(firsts: Iterable[int], lasts: Iterable[int], longest: int) -> Iterator[tuple[int, int]]:
    for first, last in zip(firsts, lasts, strict=True):
        yield from ((start, min(start + longest, last)) for start in range(first, last, longest))


def _generated(expansion: Expansion, first: int, last: int, names: list[str], split: Split) -> InteractionBatch:
    users, items, sources, times, ratings = expansion.generator.interactions(first, last, split)
    # With the users it has as many rows where it has no other column.
    columns = [pa.array(users), *expansion.payload.gather(names, sources, times, ratings)]
    table = pa.Table.from_arrays(columns, ["user_id", *names]).select(names)
    # Where interactions carry nothing, the core does not name their sources.
    traced = sources.astype(np.int64) if len(sources) == len(users) else None
    return InteractionBatch(users.astype(np.int64), items.astype(np.int64), table, traced)


def generated(expansion: Expansion, users: Integers, names: list[str], split: Split) -> InteractionBatch:
    """Return the interactions of users whose ids rise, generated, with what they carry and their sources."""
    # Neighbours are cheap: a few more are generated rather than begun anew.
    edges = np.flatnonzero(np.diff(users, prepend=-2 * NEIGHBOURS) > NEIGHBOURS)
    lasts = users[np.append(edges[1:], len(users)) - 1] + 1
    stretches = _cut(users[edges].tolist(), lasts.tolist(), _users_of(expansion, BATCH))
    batches = (_generated(expansion, first, last, names, split) for first, last in stretches)
    return joined([batch.at(np.isin(batch.users, users)) for batch in batches])


def with_sources(batch: InteractionBatch, made: InteractionBatch) -> InteractionBatch:
    """Return a batch with the base's entry of each interaction, found in what is generated for the same users."""
    if np.array_equal(made.users, batch.users) and np.array_equal(made.items, batch.items):
        return replace(batch, sources=made.sources)
    sources = np.full(len(batch), -1)
    if len(made) and len(batch):
        least, width = made.users.min(), 1 + max(made.items.max(), batch.items.max())
        known, wanted = ((each.users - least) * width + each.items for each in (made, batch))
        order = np.argsort(known)
        place = order[np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)]
        there = known[place] == wanted
        sources[there] = made.traced[place[there]]
    return replace(batch, sources=sources)


@dataclass(frozen=True)
class UserSampler:
    """Draws expanded users; needs to know p base users, the multipliers, and how many train interactions there are.

    Examples
    --------
    >>> from fractalrs.passes import UserSampler
    >>> sampler = UserSampler(base_users=1_000, user_multiplier=8, item_multiplier=4, train=1e6)
    >>> int(sampler.sample(1e5).sum())
    840
    >>> sampler.sample(1e6) is None
    True
    """

    base_users: int
    user_multiplier: int
    item_multiplier: int
    train: float

    def sample(self, interactions: float, seed: int = 0) -> Mask | None:
        """Return a draw of users, a bool for each, who have about so many train interactions; None for all of them.

        They are stretches of consecutive users, as many in every row block; a smaller draw is part of a larger one.
        """
        share = interactions / max(1.0, self.train)
        if share >= 1:
            return None
        width = max(1, self.base_users // STRIPES)
        stripes = -(-self.base_users // width)
        order = np.random.default_rng(seed).random((self.user_multiplier, stripes)).argsort(axis=1).argsort(axis=1)
        drawn = order < max(1, round(share * stripes))
        return np.ascontiguousarray(np.repeat(drawn, width, axis=1)[:, : self.base_users]).ravel()
