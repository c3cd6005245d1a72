"""Batches: an epoch of interactions in batches of one size, divided among ranks and workers, resumable anywhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs._core import shuffled
from fractalrs.errors import InputError
from fractalrs.expansion import chosen_schema
from fractalrs.loading.windows import Source, windows_of
from fractalrs.tools import Shown, check_count, resolve_threads
from fractalrs.words import Split

Batch = dict[str, npt.NDArray[Any]]
"""Arrays of one length by the names of columns."""


@dataclass(frozen=True)
class _Place:
    """Where the next batch begins."""

    epoch: int
    step: int = 0
    lap: int = 0
    window: int = 0
    row: int = 0


class Batches(Shown):
    """An epoch of interactions in batches, each a dict of NumPy arrays: made or read while they are asked for.

    Any number of ranks and workers divides an epoch without loss or repetition. The same arguments give the same
    batches on any machine. Reading ends where an epoch does; `set_epoch` says which one comes next.

    Parameters
    ----------
    source
        An expansion, which needs no file; or a data set, of which an object store gives row group by row group.
    batch_size
        Interactions of a batch; the last one of an epoch may be shorter.
    split
        ``"train"`` or ``"test"``.
    shuffle
        False: in order. ``"window"``: windows in random order, and the interactions of each in random order.
    window
        About how many interactions a window has; they are in memory at a time where they are shuffled.
    seed, epoch
        What the order depends on.
    rank, world_size, worker, workers
        Which of the processes, and of the workers of each, this is, from 0, and how many there are.
    steps_per_epoch
        So many batches has a rank, all its workers together: it begins anew where it has fewer, and stops early where
        it has more. So ranks whose shares differ a little wait for each other in vain nowhere.
    columns
        Names of the columns to load; all by default.
    threads
        Threads that make or read; by default as many as this process may use.

    Raises
    ------
    InputError
        If an argument is out of its range, or a column of whole numbers has missing values.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.loading import Batches
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), seed=7)
    >>> batches = Batches(expansion, 64, shuffle="window", seed=1)
    >>> sum(len(batch["item_id"]) for batch in batches) == expansion.table(0, 120).num_rows
    True
    >>> state = batches.state_dict()
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        split: Split = "train",
        *,
        shuffle: Literal[False, "window"] = False,
        window: int = 4_000_000,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        worker: int = 0,
        workers: int = 1,
        steps_per_epoch: int | None = None,
        columns: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> None:
        for name, value, least in [("batch_size", batch_size, 1), ("window", window, 1), ("seed", seed, 0)]:
            check_count(name, value, least)
        _check_one_of("rank", rank, "world_size", world_size)
        _check_one_of("worker", worker, "workers", workers)
        if steps_per_epoch is not None:
            check_count("steps_per_epoch", steps_per_epoch, 1)
        if shuffle not in (False, "window"):
            raise InputError(f"shuffle is {shuffle!r}", hint="use False or 'window'")
        self.batch_size, self.split, self.shuffle = batch_size, split, shuffle
        self._reader, readers = rank * workers + worker, world_size * workers
        self._windows = windows_of(source, split, readers, window, resolve_threads(threads))
        self._schema = chosen_schema(self._windows.schema, columns)
        _check_whole(self._schema)
        self._columns = self._schema.names
        self._steps = None if steps_per_epoch is None else len(range(worker, steps_per_epoch, workers))
        settings: dict[str, Any] = {
            "source": self._windows.fingerprint,
            "split": split,
            "batch_size": batch_size,
            "shuffle": shuffle,
            "window": window,
            "seed": seed,
            "rank": rank,
            "world_size": world_size,
            "worker": worker,
            "workers": workers,
            "steps_per_epoch": steps_per_epoch,
        }
        # NumPy's numbers are none of JSON's.
        self._settings = {
            name: int(value) if isinstance(value, np.integer) else value for name, value in settings.items()
        }
        self._place, self._begun = _Place(0), False
        self.set_epoch(epoch)

    @property
    def epoch(self) -> int:
        """The number of the epoch."""
        return self._place.epoch

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        check_count("epoch", epoch)
        self._place, self._begun = _Place(int(epoch)), False

    def state_dict(self) -> dict[str, Any]:
        """Return where the next batch begins: a few numbers and words, which JSON takes.

        Returns
        -------
        dict
            Less than 1 kB.
        """
        return {**self._settings, "place": asdict(self._place)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was asked.

        Raises
        ------
        InputError
            If the state is of other batches.
        """
        for name, value in self._settings.items():
            if state.get(name) != value:
                raise InputError(
                    f"the state is of batches whose {name} is {state.get(name)!r}, not {value!r}",
                    hint="make batches with the arguments that the state was made with",
                )
        try:
            place = _Place(**state["place"])
        except (KeyError, TypeError):
            raise InputError("the state does not say where to go on", "give what state_dict returned") from None
        for name, number in asdict(place).items():
            check_count(name, number)
        self._place, self._begun = place, True

    def __iter__(self) -> Iterator[Batch]:
        if not self._begun:
            # A second time the same epoch is read again.
            self._place = _Place(self._place.epoch)
        self._begun = False
        return self._batches()

    def _batches(self) -> Iterator[Batch]:
        parts: list[Batch] = []
        lacking, of_lap = self.batch_size, 0
        while self._place.window < self._windows.per_reader and self._place.step != self._steps:
            began, skipped = self._place, self._place.row
            row = 0
            for chunk in self._chunks(began):
                length = len(chunk[self._columns[0]])
                start = min(length, max(0, skipped - row))
                while start < length:
                    taken = min(lacking, length - start)
                    parts.append({name: array[start : start + taken] for name, array in chunk.items()})
                    start += taken
                    lacking -= taken
                    if lacking == 0:
                        self._place = replace(self._place, step=self._place.step + 1, row=row + start)
                        yield _joined(parts)
                        parts, lacking = [], self.batch_size
                        if self._place.step == self._steps:
                            return
                row += length
                of_lap += length
            self._place = replace(self._place, window=began.window + 1, row=0)
            if self._steps is not None and self._place.window == self._windows.per_reader:
                if of_lap == 0:
                    raise InputError("a reader has no interactions", hint="let fewer ranks and workers read")
                self._place, of_lap = replace(self._place, lap=began.lap + 1, window=0), 0
        if parts:
            self._place = replace(self._place, step=self._place.step + 1)
            yield _joined(parts)

    def _chunks(self, place: _Place) -> Iterator[Batch]:
        """Read the interactions of a window in the order of an epoch."""
        first, count = self._reader * self._windows.per_reader, self._windows.per_reader
        if not self.shuffle:
            for batch in self._windows.read(first + place.window, self._columns):
                yield _arrays(batch)
            return
        seed, key = self._settings["seed"], [place.epoch, place.lap]
        order = shuffled(seed, [*key, 0, self._reader], count, [np.arange(count, dtype=np.uint64)])[0]
        window = first + int(order[place.window])
        table = pa.Table.from_batches([*self._windows.read(window, self._columns)], self._schema)
        yield _in_order(_arrays(table), seed, [*key, 1, window])

    def _facts(self) -> dict[str, Any]:
        return {**{name: value for name, value in self._settings.items() if name != "source"}, "epoch": self.epoch}


def _check_whole(schema: pa.Schema) -> None:
    """Refuse columns of whole numbers of which some are missing: NumPy would make other numbers of them."""
    for field in schema:
        if field.nullable and (pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)):
            others = [other.name for other in schema if other.name != field.name]
            raise InputError(
                f"the column {field.name!r} of type {field.type} has missing values, which NumPy's have not",
                hint=f"leave it out: columns={others}",
            )


def _check_one_of(name: str, value: int, of: str, count: int) -> None:
    check_count(of, count, 1)
    check_count(name, value)
    if value >= count:
        raise InputError(f"{name} is {value}, and {of} is {count}", hint=f"count {name} from 0 to {count - 1}")


def _in_order(arrays: Batch, seed: int, path: Sequence[int]) -> Batch:
    """Bring the rows of arrays into the order of a key."""
    count = len(next(iter(arrays.values())))
    plain = [name for name, array in arrays.items() if array.dtype.kind in "iufM" and array.itemsize in (4, 8)]
    words = [np.ascontiguousarray(arrays[name]).view(f"u{arrays[name].itemsize}") for name in plain]
    # Texts and the like are taken by the numbers of rows.
    numbers = [np.arange(count, dtype=np.uint32)] if len(plain) < len(arrays) else []
    made = shuffled(seed, path, count, [*words, *numbers])
    ordered = {name: column.view(arrays[name].dtype) for name, column in zip(plain, made, strict=False)}
    return {name: ordered[name] if name in ordered else array[made[-1]] for name, array in arrays.items()}


def _arrays(table: pa.Table | pa.RecordBatch) -> Batch:
    return {name: np.asarray(table[name].to_numpy(zero_copy_only=False)) for name in table.schema.names}


def _joined(parts: Sequence[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
