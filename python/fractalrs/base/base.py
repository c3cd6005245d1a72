"""The base: the signed sparse matrix of users × items that everything else is made from."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs._core import degrees
from fractalrs.base.checks import check_codes, check_rows, checked_ids, checked_mask, integers
from fractalrs.base.payload import checked_payload, digested, in_one_chunk
from fractalrs.base.privacy import Privacy
from fractalrs.base.storage import DIGESTED, HINT_DAMAGED, ITEM, Stored, changed_files, read_base, write_base
from fractalrs.columns import ticks, ticks_per_hour
from fractalrs.errors import InputError, OutputError
from fractalrs.tools import (
    Digest,
    Shown,
    as_path,
    check_kind,
    check_word,
    checked_texts,
    digest_of_json,
    one_line,
    resolve_threads,
)
from fractalrs.words import LATEST, SPLITS, WARNING, Split

if TYPE_CHECKING:
    import scipy.sparse as sp

HowSplit = Literal["last", "random", "time", "users", "none", "given"]
"""How the test interactions of a base were chosen."""
_Number = TypeVar("_Number", np.int8, np.float64)
_Integers = npt.NDArray[np.int64]

TEST_BIT = np.uint32(1 << 31)
"""Set in an entry that is held out."""
VALID_BIT = np.uint32(1 << 30)
"""Set too in one that is held out for validation; the other 30 bits are its item code."""
_VALID = TEST_BIT | VALID_BIT


@dataclass(frozen=True, eq=False, repr=False)
class Base(Shown):
    """The signed sparse matrix R of the papers: +1 a train interaction, −1 a test interaction.

    A value: its arrays are read-only, possibly memory-mapped, and C-contiguous. The constructor trusts its
    arguments; `Base.from_arrays` checks them, and `leave_last_out` makes a base from interactions.

    Attributes
    ----------
    indptr : int64, shape (p + 1,)
        Where each user's entries begin, in CSR order; ``indptr[p]`` is the number of interactions.
    entries : uint32, shape (nnz,)
        Item code in the low 30 bits, bit 31 set for an interaction that is held out, and bit 30 too where that is
        for validation. Sorted by item code inside each user, each item at most once.
    user_ids, item_ids : pyarrow.Array of int64 or string
        Code to original id.
    split : str
        How test interactions were chosen: ``"last"``, ``"random"``, ``"time"``, ``"users"``, ``"none"``, or
        ``"given"`` by the caller of `from_arrays`.
    notes : tuple of str
        What was decided on the way, one sentence each.
    payload : pyarrow.Table, nnz rows, or None
        Columns that go along, row by row with `entries`, such as ``rating`` and ``timestamp``; one chunk per column.
        ``timestamp`` has the type of the source and of the output: int64, ``timestamp[ms | us | ns]`` or date32.
    cuts : tuple of int
        Of the split ``"time"``: the tick of the timestamps from which on everything is test, and nothing before it;
        with validation, before it the one from which on nothing is train.
    privacy : Privacy or None
        What a base that `private_base` made promises.

    Examples
    --------
    >>> base = Base.from_arrays([0, 2, 3], [0, 1, 1], [False, True, False])
    >>> base
    Base(2 users × 2 items, 2 train, 1 test, split='given')
    >>> base.to_scipy().toarray()
    array([[ 1, -1],
           [ 0,  1]], dtype=int8)
    """

    indptr: _Integers
    entries: npt.NDArray[np.uint32]
    user_ids: pa.Array
    item_ids: pa.Array
    split: str = "none"
    notes: tuple[str, ...] = ()
    payload: pa.Table | None = None
    cuts: tuple[int, ...] = ()
    privacy: Privacy | None = None
    _path: Path | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Make the arrays what the Rust core takes: C-contiguous and of one type."""
        object.__setattr__(self, "indptr", _read_only(self.indptr, np.int64))
        object.__setattr__(self, "entries", _read_only(self.entries, np.uint32))
        if self.payload is not None:
            object.__setattr__(self, "payload", in_one_chunk(self.payload))

    @classmethod
    def from_arrays(
        cls,
        indptr: npt.ArrayLike,
        indices: npt.ArrayLike,
        test_mask: npt.ArrayLike | None = None,
        user_ids: Any = None,
        item_ids: Any = None,
        *,
        split: str | None = None,
        notes: tuple[str, ...] = (),
        payload: Mapping[str, Any] | pa.Table | None = None,
        cuts: Sequence[int] = (),
        valid_mask: npt.ArrayLike | None = None,
    ) -> Self:
        """Return the base of CSR arrays, after checking and copying them.

        Parameters
        ----------
        indptr, indices
            Integers: from 0 to nnz, never falling, shape (p + 1,); and item codes in [0, q), strictly rising inside
            each user, shape (nnz,).
        test_mask
            Booleans, shape (nnz,): True for a test interaction. None when nothing is held out.
        user_ids, item_ids
            Distinct original ids, integers or strings, of length p and q. By default the codes themselves, and then
            q is the largest item code plus one.
        split, notes
            As in `Base`; by default the split is ``"given"``, or ``"none"`` where there are no test interactions.
        payload
            Columns that go along, one value for each of `indices`. ``timestamp`` holds times, dates or integers: how
            many of these make an hour is what the field of a table says (`fractalrs.columns.timestamp_field`), and
            else what their size tells (`fractalrs.columns.hour_by_size`).
        cuts
            As in `Base`; the split ``"time"`` needs them, and no other has them.
        valid_mask
            Booleans as in `test_mask`: True for an interaction that is held out for validation, and then not for test.

        Raises
        ------
        InputError
            If the arrays are not a base, saying which and where.
        """
        if split is not None:
            check_word("split", split, get_args(HowSplit))
        decided = checked_texts("notes", notes)
        starts, items = integers(indptr, "indptr"), integers(indices, "indices")
        check_rows(starts, items)
        mask, valid = (
            checked_mask("test_mask", test_mask, len(items)),
            checked_mask("valid_mask", valid_mask, len(items)),
        )
        if np.any(mask & valid):
            raise InputError("test_mask and valid_mask are both True of an interaction", hint="choose one of them")
        p, q = len(starts) - 1, int(items.max(initial=-1)) + 1
        check_codes(p, q)
        users = checked_ids(np.arange(p) if user_ids is None else user_ids, "user_ids")
        catalogue = checked_ids(np.arange(q) if item_ids is None else item_ids, "item_ids")
        if len(users) != p:
            raise InputError(f"there are {len(users)} user_ids for {p} users", hint="give one for each row of indptr")
        if q > len(catalogue):
            message = f"item code {q - 1} has no id: there are {len(catalogue)} item_ids"
            raise InputError(message, hint=f"give at least {q} item_ids")
        check_codes(p, len(catalogue))
        entries = items.astype(np.uint32)
        entries[mask] |= TEST_BIT
        entries[valid] |= TEST_BIT | VALID_BIT
        if split is None:
            split = "given" if mask.any() or valid.any() else "none"
        columns = checked_payload({} if payload is None else payload, len(items))
        base = cls(starts.copy(), entries, users, catalogue, split, decided, columns, tuple(cuts))
        _check_cuts(base)
        return base

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users p and of items q."""
        return len(self.user_ids), len(self.item_ids)

    @property
    def count(self) -> int:
        """Number of interactions, of all splits."""
        return len(self.entries)

    @property
    def train_count(self) -> int:
        """Number of train interactions."""
        return self.count - self.valid_count - self.test_count

    @cached_property
    def valid_count(self) -> int:
        """Number of interactions held out for validation."""
        return int(self.item_degrees("valid").sum())

    @cached_property
    def test_count(self) -> int:
        """Number of test interactions."""
        return int(self.item_degrees("test").sum())

    @property
    def indices(self) -> npt.NDArray[np.int32]:
        """Item code of each entry: int32, shape (nnz,)."""
        return (self.entries & ITEM).view(np.int32)

    @property
    def test_mask(self) -> npt.NDArray[np.bool_]:
        """Whether each entry is a test interaction: bool, shape (nnz,)."""
        return self.mask("test")

    def mask(self, split: Split) -> npt.NDArray[np.bool_]:
        """Return whether each entry is in a split: bool, shape (nnz,)."""
        if split == "train":
            return self.entries < TEST_BIT
        return self.entries >= _VALID if split == "valid" else (self.entries >= TEST_BIT) & (self.entries < _VALID)

    @property
    def signs(self) -> npt.NDArray[np.int8]:
        """+1 for a train entry and −1 for one that is held out: int8, shape (nnz,)."""
        return np.int8(1) - np.int8(2) * (self.entries >= TEST_BIT).view(np.int8)

    @property
    def test_is_late(self) -> bool:
        """Whether no train interaction comes after a test interaction of its user, because it was split so."""
        return self.split in LATEST

    @property
    def owners(self) -> _Integers:
        """User code of each entry: int64, shape (nnz,)."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def column(self, name: str) -> pa.Array:
        """Return a column of the payload, which must be there: one value for each entry."""
        assert self.payload is not None
        return self.payload[name].chunk(0)

    @property
    def _timestamp_field(self) -> pa.Field | None:
        there = self.payload is not None and "timestamp" in self.payload.column_names
        return self.payload.schema.field("timestamp") if there else None  # type: ignore[union-attr]

    @property
    def timestamp_type(self) -> pa.DataType | None:
        """The type of ``timestamp`` in the payload; `None` without."""
        return None if self._timestamp_field is None else self._timestamp_field.type

    @property
    def ticks_per_hour(self) -> int | None:
        """How many ticks of ``timestamp`` make an hour; `None` where that is not known, or less than one does."""
        return None if self._timestamp_field is None else ticks_per_hour(self._timestamp_field)

    def user_degrees(self, split: Split | Literal["all"] = "all") -> _Integers:
        """Return the number of interactions of each user: int64, shape (p,)."""
        return np.diff(self.indptr) if split == "all" else _degrees_in(split, self._degrees[0])

    def item_degrees(self, split: Split | Literal["all"] = "all") -> _Integers:
        """Return the number of interactions of each item: int64, shape (q,)."""
        return _degrees_in(split, self._degrees[1])

    @cached_property
    def _degrees(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Train, validation and test interactions of users, (p, 3), and of items."""
        return degrees(self.indptr, self.entries, self.shape[1], threads=resolve_threads(None))

    def to_scipy(self) -> "sp.csr_array[np.int8, tuple[int, int]]":
        """Return R as an int8 matrix of +1 and −1, shape (p, q)."""
        return _csr(self.signs, self.indices, self.indptr, self.shape)

    @property
    def train(self) -> "sp.csr_array[np.float64, tuple[int, int]]":
        """The train part as a float64 matrix of ones, shape (p, q); made anew at each access."""
        return self._part("train")

    @property
    def test(self) -> "sp.csr_array[np.float64, tuple[int, int]]":
        """The test part likewise."""
        return self._part("test")

    @property
    def valid(self) -> "sp.csr_array[np.float64, tuple[int, int]]":
        """The part that is held out for validation likewise."""
        return self._part("valid")

    def _part(self, split: Split) -> "sp.csr_array[np.float64, tuple[int, int]]":
        codes = self.indices[self.mask(split)]
        indptr = np.concatenate(([0], np.cumsum(self.user_degrees(split))))
        return _csr(np.ones(len(codes)), codes, indptr, self.shape)

    @cached_property
    def fingerprint(self) -> str:
        """BLAKE3 digest, in hex, of what a generator reads: shape, `indptr` and `entries`, and the payload if any."""
        digest = Digest([DIGESTED.encode()])
        digest.update(np.array(self.shape, dtype="<i8").tobytes())
        digest.update(self.indptr.astype("<i8", copy=False).data)
        digest.update(self.entries.astype("<u4", copy=False).data)
        for part in () if self.payload is None else digested(self.payload):
            digest.update(part)
        if self.cuts:
            digest.update(np.array(self.cuts, dtype="<i8").tobytes())
        if self.privacy is not None:
            digest.update(digest_of_json(self.privacy.described()).encode())
        return digest.hex()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of its notes that warn, because much of the source was dropped."""
        return tuple(note.removeprefix(WARNING) for note in self.notes if note.startswith(WARNING))

    @property
    def path(self) -> Path | None:
        """Absolute path of the folder it was saved to or loaded from, if any."""
        return self._path

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a folder, which appears under its name only when it is complete.

        The folder holds ``base.json``, ``indptr.npy``, ``entries.npy``, ``user_ids.arrow``, ``item_ids.arrow``
        and, where there is a payload, ``payload.arrow``. Saving where the same base lies already changes nothing.

        Raises
        ------
        OutputError
            If `path` exists and is not this very base, or cannot be written to. Nothing is changed.
        WriteError
            If writing fails midway; nothing is left under `path`.
        """
        target = as_path("path", path).absolute()
        if os.path.lexists(target):
            if not self._is_saved_at(target):
                raise OutputError(
                    f"{target} exists and is not this base", hint="choose another path, or delete it first"
                )
        else:
            write_base(target, self._stored, self.valid_count, self.test_count)
        object.__setattr__(self, "_path", target)

    @property
    def _stored(self) -> Stored:
        return Stored(**{name: getattr(self, name) for name in Stored._fields})

    def _is_saved_at(self, target: Path) -> bool:
        def saved(base: Base) -> tuple[Any, ...]:
            return base.fingerprint, base.user_ids, base.item_ids, base.split, base.notes, base.cuts

        try:
            return saved(Base.load(target)) == saved(self)
        except InputError:
            return False

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, verify: bool = False) -> Self:
        """Return a saved base, memory-mapped: that takes no time, and processes share its memory.

        Parameters
        ----------
        path, verify
            The folder given to `save`, and whether to read everything and compare it with the fingerprint saved there.

        Raises
        ------
        InputError
            If the folder is missing, is not a base, or is damaged.
        """
        check_kind("verify", verify, bool, "True or False")
        return cls._load(as_path("path", path).absolute(), verify=verify)

    @classmethod
    def _load(cls, folder: Path, *, verify: bool = False, pickled: str | None = None) -> Self:
        *fields, saved = read_base(folder)
        base = cls(*fields)
        if pickled not in (None, saved):
            raise InputError(
                f"{folder} holds the base {saved} now, and what was pickled is {pickled}",
                hint="save each base to a folder of its own, and leave it there as long as others need it",
            )
        if verify and base.fingerprint != saved:
            raise InputError(f"{folder} is damaged: its content does not match its fingerprint", hint=HINT_DAMAGED)
        if verify and (names := changed_files(folder)):
            raise InputError(f"{folder / names[0]} is damaged: it is not what was written", hint=HINT_DAMAGED)
        object.__setattr__(base, "_path", folder)
        return base

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as path and fingerprint alone, so that other processes map the same file and no other."""
        if self._path is None:
            raise InputError("a base that is not saved cannot be sent to another process", hint="call base.save(path)")
        return self._unpickled, (str(self._path), self.fingerprint)

    @classmethod
    def _unpickled(cls, path: str, fingerprint: str) -> Self:
        return cls._load(Path(path), pickled=fingerprint)

    def __repr__(self) -> str:
        place = "" if self._path is None else f", path={str(self._path)!r}"
        held_out = (f"{self.valid_count:,} valid, " if self.valid_count else "") + f"{self.test_count:,} test"
        sizes = f"{self.shape[0]:,} users × {self.shape[1]:,} items, {self.train_count:,} train, {held_out}"
        return one_line(f"Base({sizes}, split={self.split!r}{place})")

    def _facts(self) -> dict[str, Any]:
        carried = [] if self.payload is None else self.payload.column_names
        counts = {"users": self.shape[0], "items": self.shape[1], "train": self.train_count}
        counts |= ({"valid": self.valid_count} if self.valid_count else {}) | {"test": self.test_count}
        return {**counts, "split": self.split, "carried columns": ", ".join(carried) or "none", "path": self._path}


def _degrees_in(split: Split | Literal["all"], counts: npt.NDArray[np.uint32]) -> _Integers:
    check_word("split", split, ("all", *SPLITS))
    chosen = counts.sum(axis=1, dtype=np.int64) if split == "all" else counts[:, SPLITS.index(split)]
    return chosen.astype(np.int64)


def _read_only(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    # A view, so that the caller's own array stays writable.
    view = np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)
    view.flags.writeable = False
    return view


def _csr(
    data: npt.NDArray[_Number], indices: npt.NDArray[np.int32], indptr: _Integers, shape: tuple[int, int]
) -> "sp.csr_array[_Number, tuple[int, int]]":
    import scipy.sparse as sp

    # SciPy wants one index type for both; the narrow one halves the memory.
    kind = np.int32 if len(indices) <= np.iinfo(np.int32).max else np.int64
    matrix = sp.csr_array((data, indices.astype(kind, copy=False), indptr.astype(kind)), shape=shape)
    # Known by construction: spares SciPy a pass over the entries.
    matrix.has_canonical_format = True
    return matrix


def _check_cuts(base: Base) -> None:
    """Refuse cuts that no clock made."""
    wanted = (1 + bool(base.valid_count)) * (base.split == "time")
    if len(base.cuts) != wanted or sorted(base.cuts) != [*base.cuts]:
        hint = "the split 'time' has one cut, with validation two that rise"
        raise InputError(f"cuts are {base.cuts}, the split is {base.split!r}", hint=hint)
    if base.cuts and base.timestamp_type is not None:
        times = ticks(base.column("timestamp"))
        late, test = times >= base.cuts[0], times >= base.cuts[-1]
        if np.any(late != (base.entries >= TEST_BIT)) or np.any(test != base.test_mask):
            raise InputError(
                f"a train interaction is after the cut {base.cuts[0]}, or a test interaction before {base.cuts[-1]}",
                hint="of the split 'time' test is what happened then or later",
            )
