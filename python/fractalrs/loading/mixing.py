"""Mixing: real train interactions beside synthetic ones, which are folded back onto the real catalogue."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs._core import shuffled
from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.expansion import BATCH_SIZE, Expansion
from fractalrs.loading.mixed_folder import parts_of, require_room, write_mixture
from fractalrs.tools import Progress, Shown, as_progress, check_count, check_kind, resolve_threads, suggests

RATIO_ERROR = 1e-3
"""So far the share of synthetic interactions may be from the ratio that was asked for."""
_PIECE = 1 << 18
"""About so many interactions are made, and shuffled, at a time."""
_STRETCHES, _USERS, _REAL, _ROWS = range(4)
"""What is shuffled: each has keys of its own."""
_PREFIX = "synthetic-"
_KNOWN = (("synthetic", pa.bool_()), ("weight", pa.float32()))
_IDS = 1 << 63
_MOST_WEIGHT = 2.0**128 - 2.0**103
"""From here on float32 is infinite."""

_Integers = npt.NDArray[np.uint64]
_Number = TypeVar("_Number", bound=np.generic)


@suggests
def mix(
    real: Base,
    expansion: Expansion,
    ratio: float,
    *,
    weight: float = 1.0,
    epoch: int = 0,
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
) -> "Mixture":
    """Return the real train interactions mixed with synthetic ones on the real catalogue, to train on both.

    Every expanded item stands for a real one, its source, and is folded back onto it. An expanded user takes other
    alike users in other column blocks, so a folded one is cut and mixed out of some of a cell. Where two of its
    interactions fall onto one item the first stays. Test interactions, and those for validation, are not in it.

    Parameters
    ----------
    real
        The base that the expansion was made of, with a test split.
    expansion
        By dropout, the default operator.
    ratio
        Share of synthetic interactions among all, above 0 and below 1; met to 0.001.
    weight
        Of a synthetic interaction, in the column ``weight``; a real one has 1.
    epoch
        Another one has the same real interactions, other synthetic users where the expansion has more than are needed,
        and another order.
    batch_size
        How many interactions a batch has at the most.
    threads
        Threads that generate; by default as many as this process may use. What comes out does not depend on them.

    Returns
    -------
    Mixture

    Raises
    ------
    InputError
        If an argument is out of its range, the expansion is of other data or has too few interactions, nothing is held
        out for test, or ids leave no room for those of synthetic users. Interactions are counted for that, which takes
        as long as an epoch.

    Examples
    --------
    >>> import pyarrow as pa
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> mixture = fr.mix(base, fr.Expansion(base, fr.reduce(base, (4, 4))), 0.25)
    >>> pa.table(mixture).column_names
    ['user_id', 'item_id', 'synthetic', 'weight']
    >>> mixture.real_count, mixture.synthetic_count
    (540, 180)
    """
    check_mixing(ratio, weight, epoch)
    check_kind("real", real, Base, "a Base, as from leave_last_out")
    check_kind("expansion", expansion, Expansion, "an Expansion")
    check_count("batch_size", batch_size, 1)
    _check_source(real, expansion)
    wanted = round(real.train_count * ratio / (1 - ratio))
    if not wanted or abs(wanted / (real.train_count + wanted) - ratio) > RATIO_ERROR:
        raise InputError(
            f"ratio is {ratio:g}, which no whole number of synthetic interactions beside {real.train_count:,} real "
            "ones comes near",
            hint="take a ratio such as 0.5, or more real interactions",
        )
    mixture = Mixture(
        expansion, float(ratio), float(weight), int(epoch), wanted, int(batch_size), resolve_threads(threads)
    )
    mixture.check()
    return mixture


def check_mixing(ratio: Any, weight: Any, epoch: Any) -> None:
    """Refuse arguments of a mixture that need no data to be refused.

    Examples
    --------
    >>> check_mixing(0.5, 1.0, 0)
    """
    for name, value, most, kind in (("ratio", ratio, 1.0, float), ("weight", weight, _MOST_WEIGHT, np.float32)):
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not (number and 0 < value < most and kind(value) > 0):
            within = "and below 1" if name == "ratio" else "that float32 can hold"
            raise InputError(f"{name} is {value!r}; it must be a number above 0 {within}")
    check_count("epoch", epoch)
    if epoch >= 1 << 64:
        raise InputError(f"epoch is {epoch}; it must be below 2^64")


@dataclass(frozen=True, repr=False)
class Mixture(Shown):
    """Real train interactions and synthetic ones on the real catalogue, as Arrow record batches: made while read.

    It can be read as often as wanted, and gives the same rows in the same order whatever the threads and the batch
    size. Real and synthetic interactions are shuffled among each other, in pieces of about 260,000 that have both in
    equal shares. Every reader of Arrow streams takes it: ``pyarrow.table(mixture)``, ``polars.DataFrame(mixture)``,
    DuckDB's ``FROM mixture``. Made by `mix`.

    Columns are ``user_id`` and ``item_id``, with the ids of the source; ``synthetic``; ``weight``, float32; and what
    the expansion carries. Real users keep their ids. The user k of the expansion has the id k + 1 + the largest of the
    real ones where they are whole numbers, and else ``synthetic-k``: none that a real user of the base has.

    Attributes
    ----------
    expansion, ratio, weight, epoch, batch_size, threads
        As `mix` takes them.
    synthetic_count
        How many synthetic interactions an epoch has.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> mixture = fr.mix(base, fr.Expansion(base, fr.reduce(base, (4, 4))), 0.25)
    >>> sum(len(batch) for batch in mixture), sum(len(batch) for batch in mixture.of_epoch(1))
    (720, 720)
    """

    expansion: Expansion
    ratio: float
    weight: float
    epoch: int
    synthetic_count: int
    batch_size: int
    threads: int

    @property
    def real_count(self) -> int:
        """How many real interactions an epoch has: all of the train part."""
        return self.expansion.base.train_count

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, in their order."""
        base = self.expansion.base
        ids = (("user_id", base.user_ids.type), ("item_id", base.item_ids.type))
        own = (pa.field(name, kind, nullable=False) for name, kind in (*ids, *_KNOWN))
        return pa.schema([*own, *self.expansion.payload.fields])

    @cached_property
    def first_id(self) -> int | str:
        """The id of the expansion's user 0: others count on from it."""
        ids = self.expansion.base.user_ids
        if pa.types.is_integer(ids.type):
            return max(0, int(pc.max(ids).as_py()) + 1)
        prefix = _PREFIX
        while pc.any(pc.starts_with(ids, prefix)).as_py():
            prefix += "-"
        return f"{prefix}0"

    def of_epoch(self, epoch: int) -> "Mixture":
        """Return the mixture of another epoch.

        Examples
        --------
        >>> import fractalrs as fr
        >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
        >>> fr.mix(base, fr.Expansion(base, fr.reduce(base, (4, 4))), 0.25).of_epoch(3).epoch
        3
        """
        check_mixing(self.ratio, self.weight, epoch)
        return replace(self, epoch=int(epoch))

    def write(self, path: str | os.PathLike[str], *, progress: bool | Progress = False) -> int:
        """Write it to a new folder, which appears when all of it is written; return how many rows that are.

        It has ``train/part-00000-of-00001.parquet`` and so on, ``manifest.json`` and ``README.md``. It holds the real
        interactions with their own ids: do not give it away.

        Parameters
        ----------
        path
            A folder that does not exist yet.
        progress
            Show progress on stderr when that is a terminal, or by a `Progress` of your own.

        Raises
        ------
        OutputError
            If something is there, its folder cannot be written to, or its disk has too little room.
        WriteError
            If writing fails midway; nothing is left.

        Examples
        --------
        >>> import tempfile
        >>> import pyarrow.parquet as pq
        >>> import fractalrs as fr
        >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
        >>> mixture = fr.mix(base, fr.Expansion(base, fr.reduce(base, (4, 4))), 0.25)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mixture.write(f"{folder}/out"), pq.read_table(f"{folder}/out/train").num_rows
        (720, 720)
        """
        rows = self.real_count + self.synthetic_count
        require_room(path, rows)
        facts = {
            "rows": rows,
            "real": self.real_count,
            "synthetic": self.synthetic_count,
            "ratio": self.ratio,
            "weight": self.weight,
            "epoch": self.epoch,
            "first_synthetic_user": self.first_id,
            "base": self.expansion.base.fingerprint,
            "expansion": self.expansion.fingerprint,
            "schema": {field.name: str(field.type) for field in self.schema},
        }
        pieces = (pa.Table.from_batches([piece]) for piece in self._pieces())
        with as_progress(progress).task("mixing", rows, parts_of(rows)) as report:
            write_mixture(path, pieces, self.schema, facts, report)
        return rows

    def check(self) -> None:
        """Refuse an expansion of which less than an epoch of synthetic interactions is left when it is folded."""
        left, ids = self.synthetic_count, self.first_id
        if isinstance(ids, int) and ids + self.expansion.shape[0] > _IDS:
            raise InputError(
                "the ids of real users are so large that none are left for synthetic ones",
                hint="put a letter before each user id of the source",
            )
        for users, _, _ in self._folded([]):
            left -= len(users)
            if left <= 0:
                return
        raise InputError(
            f"the expansion has {self.synthetic_count - left:,} interactions on the real catalogue, and the ratio "
            f"{self.ratio:g} needs {self.synthetic_count:,}",
            hint="lower the ratio, or raise the user multiplier",
        )

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for piece in self._pieces():
            for start in range(0, len(piece), self.batch_size):
                yield piece.slice(start, self.batch_size)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand it over as an Arrow stream."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self)).__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Hand the schema over, for readers that ask for it before they read."""
        return self.schema.__arrow_c_schema__()

    def _shuffled(self, path: Sequence[int], values: npt.NDArray[Any]) -> _Integers:
        """Bring whole numbers into the order of a key of this epoch."""
        what, *more = path
        return shuffled(self.expansion.seed, [what, self.epoch, *more], len(values), [values.astype(np.uint64)])[0]

    def _folded(self, names: Sequence[str]) -> Iterator[tuple[_Integers, npt.NDArray[np.uint32], list[pa.Array]]]:
        """Generate users in the order of the epoch: expanded user, source item, and what it carries."""
        expansion, everybody = self.expansion, self.expansion.shape[0]
        base, core, threads = expansion.base, expansion.core, self.threads
        each = max(1.0, expansion.expected.train.mean / everybody)
        # Every so many-th user is of a stretch: as many of each row block.
        stretches = -(-everybody // max(1, int(_PIECE * self.ratio / each)))
        for number in self._shuffled([_STRETCHES], np.arange(stretches)).tolist():
            users = self._shuffled([_USERS, number], np.arange(number, everybody, stretches))
            made = core.histories(users, "train", carrying=bool(names), threads=threads)
            lengths, items, sources, times, ratings = made
            row = np.repeat(np.arange(len(users)), lengths.astype(np.int64))
            found = core.sources(base.indptr, base.entries, users[row], items.astype(np.uint64), threads)[1]
            first = np.sort(np.unique(row * base.shape[1] + found, return_index=True)[1])
            carried = (_at(sources, first), _at(times, first), _at(ratings, first))
            yield users[row[first]], found[first], expansion.payload.gather(names, *carried)

    def _pieces(self) -> Iterator[pa.RecordBatch]:
        base, names = self.expansion.base, [field.name for field in self.expansion.payload.fields]
        real = self._shuffled([_REAL], np.flatnonzero(base.mask("train")))
        items, made, taken = base.indices, 0, 0
        for number, (users, found, carried) in enumerate(self._folded(names)):
            count = min(len(users), self.synthetic_count - made)
            made += count
            # Of both so much as is their share of all that comes.
            some, taken = real[taken : (upto := len(real) * made // self.synthetic_count)], upto
            owners = np.searchsorted(base.indptr, some, side="right") - 1
            codes = np.concatenate((items[some], found[:count]))
            synthetic = np.arange(len(codes)) >= len(some)
            known = (synthetic, np.where(synthetic, self.weight, 1.0).astype(np.float32))
            ids = pa.concat_arrays([base.user_ids.take(pa.array(owners)), self._ids(users[:count])])
            of_real = (base.column(name).take(pa.array(some)).cast(self.schema.field(name).type) for name in names)
            columns = [pa.concat_arrays([one, two[:count]]) for one, two in zip(of_real, carried, strict=True)]
            arrays = [ids, base.item_ids.take(pa.array(codes)), *map(pa.array, known), *columns]
            piece = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
            yield piece.take(pa.array(self._shuffled([_ROWS, number], np.arange(len(codes)))))
            if made == self.synthetic_count:
                return

    def _ids(self, users: _Integers) -> pa.Array:
        kind = self.expansion.base.user_ids.type
        if isinstance(self.first_id, int):
            return pa.array(users.astype(np.int64) + self.first_id, kind)
        # The first one ends with the number 0.
        return pc.binary_join_element_wise(self.first_id[:-1], pa.array(users).cast(kind), "").cast(kind)

    def _facts(self) -> dict[str, Any]:
        counts = {"real": self.real_count, "synthetic": self.synthetic_count}
        return {**counts, "ratio": self.ratio, "weight": self.weight, "epoch": self.epoch}


def _at(known: npt.NDArray[_Number], places: npt.NDArray[np.int64]) -> npt.NDArray[_Number]:
    """Return some of what is known of interactions, which is empty where it is not."""
    return known[places] if len(known) else known


def _check_source(real: Base, expansion: Expansion) -> None:
    base = expansion.base
    same_ids = real.user_ids.equals(base.user_ids) and real.item_ids.equals(base.item_ids)
    if base is not real and not (real.fingerprint == base.fingerprint and same_ids):
        raise InputError(
            "the expansion is of other data than real, or of the same split otherwise",
            hint="give the base that it was made of: mix(expansion.base, expansion, ratio)",
        )
    if not real.test_count:
        raise InputError(
            "nothing is held out for test, so nobody could tell what mixing is good for",
            hint="split the data: leave_last_out",
        )
    if real.privacy is not None:
        raise InputError(
            "this base was drawn with privacy: its interactions are not real ones",
            hint="give the base of the source itself, and an expansion of that",
        )
    if expansion.options.operator != "dropout":
        raise InputError(
            f"the operator {expansion.options.operator!r} gives interactions no source on the real catalogue",
            hint="expand by dropout, the default",
        )
    taken = [name for name, _ in _KNOWN if name in expansion.schema.names]
    if taken:
        raise InputError(f"the expansion carries {taken[0]!r}, which is a column of mixtures", "name it otherwise")
