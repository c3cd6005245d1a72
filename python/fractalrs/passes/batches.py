"""Interaction batches: whole users of a data set or an expansion at a time, in bounded memory, parts on threads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from threading import Event, Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.columns.types import ticks
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.part_files import opened, whole_users
from fractalrs.expansion.expansion import Expansion
from fractalrs.tools.progress import Report, progress_bar

BATCH = 1 << 20
"""Rows that a thread reads, or generates, at once."""
NEIGHBOURS = 8
"""Users so near to each other are generated in one go."""
STRIPES = 64
"""In so many runs of consecutive users a row block is cut, to draw some of them."""

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class InteractionBatch:
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

    def at(self, chosen: Mask) -> "InteractionBatch":
        """Take some of them."""
        sources = None if self.sources is None else self.sources[chosen]
        return InteractionBatch(self.users[chosen], self.items[chosen], self.table.filter(pa.array(chosen)), sources)

    @property
    def traced(self) -> Integers:
        """Their sources, which must be known."""
        assert self.sources is not None
        return self.sources

    @property
    def times(self) -> Integers:
        """Their timestamps in ticks."""
        return ticks(self.table["timestamp"])


def visit(
    dataset: Dataset | Expansion,
    split: str,
    names: list[str],
    function: Callable[[InteractionBatch], None],
    *,
    chosen: Mask | None = None,
    origin: Expansion | None = None,
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

        def generate(first: int, last: int) -> Iterator[InteractionBatch]:
            yield _generated(dataset, first, last, names, split)

        works = [generate(*run) for run in runs]
        total = getattr(dataset.expected, split).mean

    def take(rows: InteractionBatch) -> int:
        function(rows)
        return len(rows)

    each_on_threads([map(take, rows) for rows in works], threads, what, total * share_of(chosen))


def share_of(chosen: Mask | None) -> float:
    """Return the share of users that are chosen."""
    return 1.0 if chosen is None else float(chosen.mean())


def each_on_threads(works: Sequence[Iterable[int]], threads: int, what: str | None, interactions: float) -> None:
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
    path: Path, names: list[str], chosen: Mask | None, origin: Expansion | None, split: str
) -> Iterator[InteractionBatch]:
    for rows in file_batches(path, names, chosen):
        yield rows if origin is None else with_sources(rows, generated(origin, np.unique(rows.users), [], split))


def file_batches(path: Path, names: list[str], chosen: Mask | None) -> Iterator[InteractionBatch]:
    """Read a file's rows, or those of chosen users."""
    with opened(path) as file:
        batches = file.iter_batches(BATCH, columns=["user_id", "item_id", *names], use_threads=False)
        if chosen is not None:
            batches = (batch.filter(pa.array(chosen[batch["user_id"].to_numpy()])) for batch in batches)
        for table in whole_users(batches):
            users, items = (np.asarray(table[name], dtype=np.int64) for name in ("user_id", "item_id"))
            yield InteractionBatch(users, items, table.select(names))


def joined(found: Sequence[InteractionBatch]) -> InteractionBatch:
    """Put some one after another; at least one."""
    known = all(rows.sources is not None for rows in found)
    return InteractionBatch(
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


def _generated(expansion: Expansion, first: int, last: int, names: list[str], split: str) -> InteractionBatch:
    users, items, sources, times, ratings = expansion.generator.interactions(first, last, split == "test")
    arrays = expansion.payload.gather(sources, times, ratings)
    table = pa.Table.from_arrays(arrays, [field.name for field in expansion.payload.fields]).select(names)
    return InteractionBatch(users.astype(np.int64), items.astype(np.int64), table, sources.astype(np.int64))


def generated(expansion: Expansion, users: Integers, names: list[str], split: str) -> InteractionBatch:
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
    return joined(found)


def with_sources(rows: InteractionBatch, made: InteractionBatch) -> InteractionBatch:
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
