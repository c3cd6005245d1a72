"""The access profile: what embedding tables and their caches see of the ids of interactions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from fractalrs.base import Base
from fractalrs.columns import ticks
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, shuffle_named
from fractalrs.passes.batches import Integers, InteractionBatch, visit
from fractalrs.passes.matrix import StreamedMatrix
from fractalrs.passes.tables import TableAccess, hugectr_config, text_of, torchrec_config
from fractalrs.reading import Interactions
from fractalrs.statistics import MOST_LOOKUPS, Curve, LookupCounts
from fractalrs.tools import (
    Progress,
    Shown,
    as_progress,
    check_count,
    check_kind,
    check_word,
    checked_texts,
    resolve_threads,
)
from fractalrs.words import SIDES, USERS, Side

AccessOrder = Literal["random", "time"]
"""In which order ids are looked up: shuffled, as trainers do, or by the clock, as services do."""
ORDERS: tuple[AccessOrder, ...] = ("random", "time")
Subject = Interactions | Base | Expansion | Dataset
Rows = tuple[Integers, Integers, Integers]
"""Ids, users and times of lookups."""

_MOST_COUNTED = 1 << 26
"""Of more ids of a side a sample is counted."""
_WINDOW = 1 << 20
"""So many lookups are as near to each other as they are in the data, where there are more than can be looked at."""
_TIMES = 1 << 20
"""About so many times tell when such a window begins and ends."""


@dataclass(frozen=True, repr=False)
class AccessProfile(Shown):
    """How ids are looked up: in tables of users and of items, of the data asked for and of others beside them.

    Attributes
    ----------
    tables
        One for each data (``"real"``, ``"synthetic"``, ``"block"``: the paper's shuffle, ``"null"``: uniform random),
        column and order.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> profile = fr.access_profile(fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7))
    >>> [table.data for table in profile.tables if table.column == "item_id"]
    ['real', 'synthetic', 'block', 'null']
    >>> 0 < profile.table("real", "item_id").hit_rates[0.1] < 1
    True
    """

    tables: tuple[TableAccess, ...]

    def _facts(self) -> dict[str, Any]:
        return {"tables": len(self.tables), "data": ", ".join(dict.fromkeys(table.data for table in self.tables))}

    def table(self, data: str, column: str, order: AccessOrder = "random") -> TableAccess:
        """Return one of its tables; refuse what it has not."""
        for table in self.tables:
            if (table.data, table.column, table.order) == (data, column, order):
                return table
        there = "; ".join(f"{table.data}, {table.column}, {table.order}" for table in self.tables)
        raise InputError(f"the profile has no table {data}, {column}, {order}", hint=f"it has {there}")

    def curves(self, column: str = "item_id", order: AccessOrder = "random") -> dict[str, Curve]:
        """Return hit rates over sizes of LRU caches in shares of the rows, by data: `fractalrs.plot.hit_rates`."""
        return {table.data: table.curve for table in self.tables if (table.column, table.order) == (column, order)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything but curves, JSON-safe."""
        return {"tables": [table.to_dict() for table in self.tables]}

    def __str__(self) -> str:
        return text_of(self.tables)

    def torchrec(self, dimension: int = 64, dtype: str = "float32") -> str:
        """Return the tables of the data asked for as Python for TorchRec: ``EmbeddingBagConfig`` and constraints.

        The cache of each is the smallest one of `CACHES` that hits 90 % in random order, or the largest.
        """
        return torchrec_config(self._own(), dimension, dtype)

    def hugectr(self, dimension: int = 64, dtype: str = "float32") -> str:
        """Return the tables of the data asked for as the JSON of HugeCTR's hierarchical parameter server."""
        return hugectr_config(self._own(), dimension, dtype)

    def _own(self) -> list[TableAccess]:
        data = "synthetic" if any(table.data == "synthetic" for table in self.tables) else self.tables[0].data
        own = [table for table in self.tables if table.data == data and table.order == "random"]
        if not own:
            raise InputError(
                "lookups were measured by time only; configurations tell of the random order",
                hint="measure with order='random' or 'both'",
            )
        return own


@dataclass
class _Means:
    """How to measure."""

    seed: int
    threads: int
    progress: Progress
    most: int
    counted: dict[int, tuple[LookupCounts, ...]] = field(default_factory=dict)

    def counts(self, subject: Subject) -> tuple[LookupCounts, ...]:
        """Count the lookups of users and items, once; of tables that are too large, of a sample."""
        if id(subject) not in self.counted:
            self.counted[id(subject)] = self._count(subject)
        return self.counted[id(subject)]

    def _count(self, subject: Subject) -> tuple[LookupCounts, ...]:
        if isinstance(subject, Interactions):
            codes = (subject.codes(side.id_column) for side in SIDES)
            return tuple(LookupCounts.of_degrees(np.bincount(code, minlength=len(ids))) for code, ids in codes)
        matrix = StreamedMatrix(subject, threads=self.threads, progress=self.progress, rows_memory=0)
        few = min(1.0, self.most / max(1.0, matrix.interactions))
        shares = (1.0 if rows <= _MOST_COUNTED else few for rows in matrix.shape)
        return matrix.lookups(users=next(shares), items=next(shares), seed=self.seed)


def access_profile(
    source: Subject,
    *,
    real: Interactions | Base | None = None,
    order: AccessOrder | Literal["both"] | None = None,
    columns: Sequence[str] = (),
    beside: bool = True,
    most_lookups: int = MOST_LOOKUPS,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> AccessProfile:
    """Measure how ids are looked up: hit rates of LRU caches, rows of a batch, reuse, shards, the hottest rows.

    Train interactions are looked up, one row of each table an interaction. Exact up to `most_lookups`; of more, hit
    rates come from stack distances of a keyed sample of ids, which a test holds within 1 % of an exact cache.

    Parameters
    ----------
    source
        An expansion, which is not written for it; a data set; or real interactions.
    real
        What to show beside a data set; by default what an expansion was made of.
    order
        ``"random"``: shuffled, as in training. ``"time"``: by the clock, of one time by user. By default both, where
        there are timestamps.
    columns
        Carried columns that have a table too, with a row for each value there is, in random order. Memory grows with
        their different values; nothing is sampled of them.
    beside
        Whether the real data, the paper's shuffle ``block`` and uniform random ids are measured too.
    most_lookups
        Of more, ids are sampled; memory is about 50 bytes each, and 16 for each user and item that is looked up.
    seed
        Of the random order and of the sample.
    threads, progress
        Threads by default as many as this process may use; progress on stderr, or by a `Progress` of your own.

    Raises
    ------
    InputError
        If the order is by time and there are no timestamps, a column is not carried, or an argument is out of its
        range.

    Examples
    --------
    >>> import fractalrs as fr
    >>> profile = fr.access_profile(fr.sample_interactions(60, 40, 600), beside=False)
    >>> [(table.data, table.column, table.order) for table in profile.tables][:2]
    [('real', 'user_id', 'random'), ('real', 'item_id', 'random')]
    """
    check_kind("source", source, (Interactions, Base, Expansion, Dataset), "interactions, an Expansion or a Dataset")
    check_kind("real", real, (Interactions, Base, type(None)), "interactions or a Base")
    check_count("most_lookups", most_lookups, 1)
    check_count("seed", seed)
    if order is not None:
        check_word("order", order, (*ORDERS, "both"))
    means = _Means(seed, resolve_threads(threads), as_progress(progress), most_lookups)
    subjects = _subjects(source, real, beside)
    for name in (chosen := checked_texts("columns", columns)):
        if name not in (there := _carried_by(source)):
            raise InputError(f"columns: {name!r} is not carried", hint=f"carried are {', '.join(there) or 'none'}")
    has_times = _has_times(source)
    if order in ("time", "both") and not has_times:
        raise InputError("there are no timestamps to look ids up by", hint="say order='random'")
    if chosen and order == "time":
        raise InputError("columns are looked up in random order alone", hint="say order='both', or 'random'")
    orders = ORDERS if order in (None, "both") else (order,)
    tables = _at_random(subjects, means, beside) if "random" in orders else []
    tables += _of_columns(subjects, chosen, means, beside) if "random" in orders else []
    if "time" in orders and has_times:
        timed = {data: subject for data, subject in subjects.items() if _has_times(subject)}
        tables += [_by_time(data, subject, side, means) for data, subject in timed.items() for side in SIDES]
    return AccessProfile(tuple(tables))


def _subjects(source: Subject, real: Interactions | Base | None, beside: bool) -> dict[str, Subject]:
    """Return what is measured, by data: the real one first, then what was asked for, then the paper's shuffle."""
    if isinstance(source, Interactions | Base):
        return {"real": source}
    found: dict[str, Subject] = {"synthetic": source}
    if not beside:
        return found
    if isinstance(source, Expansion):
        real, options = real or source.base, source.options
        if source.operator.has_keep_rates and shuffle_named(options.shuffle).name != "block":
            kept = {name: getattr(options, name) for name in (*options.rates, "block_keep", "seed", "id_order")}
            found["block"] = Expansion(source.base, source.reduced, shuffle="block", **kept)
    return found if real is None else {"real": real, **found}


def _at_random(subjects: dict[str, Subject], means: _Means, beside: bool) -> list[TableAccess]:
    """Measure lookups in random order, and beside them those of uniform random ids in tables as large as the own."""
    counts = {data: means.counts(subject) for data, subject in subjects.items()}
    if beside:
        own = counts.get("synthetic", counts.get("real", ()))
        counts["null"] = tuple(LookupCounts.uniform(each.rows, each.lookups, means.seed) for each in own)
    return [
        TableAccess.random(data, side.id_column, each, means.seed, most=means.most)
        for data, of_sides in counts.items()
        for side, each in zip(SIDES, of_sides, strict=True)
    ]


def _of_columns(subjects: dict[str, Subject], names: Sequence[str], means: _Means, beside: bool) -> list[TableAccess]:
    """Measure lookups of the values of carried columns, in random order."""
    tables = []
    for name in names:
        have = {data: subject for data, subject in subjects.items() if name in _carried_by(subject)}
        counts = {data: _values(subject, name, means) for data, subject in have.items()}
        if beside and (own := counts.get("synthetic", counts.get("real"))):
            counts["null"] = LookupCounts.uniform(own.rows, own.lookups, means.seed)
        tables += [TableAccess.random(data, name, each, means.seed, most=means.most) for data, each in counts.items()]
    return tables


def _values(subject: Subject, name: str, means: _Means) -> LookupCounts:
    """Count the lookups of each value of a column; a row without a value looks nothing up."""
    found, lock = pa.table({"value": [], "lookups": []}), Lock()

    def add(column: pa.Array | pa.ChunkedArray) -> None:
        nonlocal found
        counted = pa.table({"value": column}).group_by("value").aggregate([("value", "count")])
        counted = counted.rename_columns(["value", "lookups"])
        with lock:
            both = pa.concat_tables([found, counted]) if len(found) else counted
            found = both.group_by("value").aggregate([("lookups", "sum")]).rename_columns(["value", "lookups"])

    if isinstance(subject, Interactions):
        add(subject.to_arrow()[name])
    elif isinstance(subject, Base):
        add(subject.column(name).filter(pa.array(subject.mask("train"))))
    else:
        how: dict[str, Any] = {"threads": means.threads, "progress": means.progress}
        visit(subject, "train", [name], lambda batch: add(batch.table[name]), what=f"counting {name}", **how)
    degrees = found.sort_by("value")["lookups"].to_numpy()
    return LookupCounts.of_degrees(degrees[degrees > 0])


def _carried_by(subject: Subject) -> list[str]:
    """Return the columns that interactions have beside users and items."""
    if isinstance(subject, Base):
        return [] if subject.payload is None else subject.payload.column_names
    names = subject.columns if isinstance(subject, Interactions) else subject.schema.names
    return [name for name in names if name not in ("user_id", "item_id")]


def _has_times(subject: Subject) -> bool:
    return subject.timestamps is not None if isinstance(subject, Interactions) else "timestamp" in _carried_by(subject)


def _by_time(data: str, subject: Subject, side: Side, means: _Means) -> TableAccess:
    """Measure lookups of one side by the clock; of too many those of sampled ids, and for batches those of windows."""
    counts = means.counts(subject)[side.axis]
    some = counts.sampled(means.most, means.seed)
    if some is counts and counts.rate == 1:
        lookups = _Collected(subject, side, means).in_order()
        return TableAccess.of(data, side.id_column, "time", counts, (lookups, 1.0), (lookups, 1.0))
    times = np.sort(_Collected(subject, side, means, every=max(1, counts.lookups // _TIMES)).times)
    third = len(times) // 3
    length = min(max(1, round(len(times) * _WINDOW / counts.lookups)), third)
    ends = ((start, min(start + length, len(times) - 1)) for start in (third, 2 * third))
    windows = [(int(times[first]), int(times[last])) for first, last in ends]
    found = _Collected(subject, side, means, some=some, windows=windows)
    near = [found.in_order(number) for number in range(1, 1 + len(windows))]
    whole = np.concatenate([lookups[: _WINDOW if len(lookups) >= _WINDOW else None] for lookups in near])
    return TableAccess.of(data, side.id_column, "time", counts, (found.in_order(), some.rate), (whole, 1.0))


class _Collected:
    """Lookups of one side with their times: all, every so many, or those of sampled ids; apart, those of windows."""

    def __init__(
        self,
        subject: Subject,
        side: Side,
        means: _Means,
        *,
        every: int = 1,
        some: LookupCounts | None = None,
        windows: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._rows: list[list[Rows]] = [[] for _ in range(1 + len(windows))]

        def add(users: Integers, items: Integers, times: Integers) -> None:
            ids = users if side == USERS else items
            sampled = slice(None, None, every) if some is None else some.has(ids)
            chosen = [sampled, *((times >= first) & (times < last) for first, last in windows)]
            for rows, which in zip(self._rows, chosen, strict=True):
                rows.append((ids[which], users[which], times[which]))

        if isinstance(subject, Interactions):
            users, items = (subject.codes(each.id_column)[0].astype(np.int64) for each in SIDES)
            add(users, items, np.asarray(subject.timestamps))
        elif isinstance(subject, Base):
            train = subject.mask("train")
            users = np.repeat(np.arange(subject.shape[0]), np.diff(subject.indptr))[train]
            add(users, subject.indices[train].astype(np.int64), ticks(subject.column("timestamp"))[train])
        else:

            def take(batch: InteractionBatch) -> None:
                add(batch.users, batch.items, batch.times)

            how: dict[str, Any] = {"threads": means.threads, "progress": means.progress}
            visit(subject, "train", ["timestamp"], take, what="following lookups in time", **how)

    @property
    def times(self) -> Integers:
        """Times of lookups."""
        return np.concatenate([times for _, _, times in self._rows[0]])

    def in_order(self, number: int = 0) -> Integers:
        """Return the ids in the order of time, those of one time by user; of the sample, or of a window from 1."""
        ids, users, times = (np.concatenate(columns) for columns in zip(*self._rows[number], strict=True))
        return ids[np.lexsort((ids, users, times))]
