"""What workers of any engine get and do: a saved expansion that each loads once, ranges of users, parts of a plan."""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from fractalrs._core import VERSION
from fractalrs.dataset import Plan, plan, write_part, write_parts
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.tools import url_scheme
from fractalrs.words import Split


@dataclass(frozen=True)
class Ranges:
    """Interactions of a saved expansion in ranges of users: numbers and a path, which every worker can be sent.

    Attributes
    ----------
    path, fingerprint, version
        Where the expansion is saved, which it is, and the version of fractalrs that planned.
    split, columns, users
        What is made of it: its split, names of columns, and ranges of users.
    """

    path: str
    fingerprint: str
    version: str
    split: Split
    columns: tuple[str, ...]
    users: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls,
        expansion: Expansion,
        path: str,
        split: Split = "train",
        users: tuple[int, int] | None = None,
        columns: Sequence[str] | None = None,
        parts: int | None = None,
    ) -> "Ranges":
        """Cut the users asked for where the parts of the whole expansion are cut; refuse what the stream would."""
        stream = expansion.stream(split, users=users, columns=columns)
        first, last = stream.users
        cuts = expansion.cuts(plan(expansion, parts=parts).part_count)
        inside = [first, *(cut for cut in cuts if first < cut < last), last]
        names, ranges = tuple(stream.schema.names), tuple(pairwise(inside))
        return cls(path, expansion.fingerprint, VERSION, split, names, ranges)

    def batches(self, first: int, last: int) -> Iterator[pa.RecordBatch]:
        """Make the interactions of a range of users, in this worker."""
        require_version(self.version)
        expansion = loaded(self.path, self.fingerprint)
        yield from expansion.stream(self.split, users=(first, last), columns=self.columns, threads=1)


@lru_cache(maxsize=2)
def loaded(path: str, fingerprint: str) -> Expansion:
    """Load a saved expansion, once a worker; refuse another one than was planned."""
    expansion = Expansion.load(path)
    if expansion.fingerprint != fingerprint:
        found = f"here it is {expansion.fingerprint[:12]}, {fingerprint[:12]} was planned"
        raise InputError(
            f"the expansion saved in {path} is not the same everywhere: {found}",
            hint="save it once, where all workers read it",
        )
    return expansion


def require_version(planned: str) -> None:
    """Refuse a worker that has another version of fractalrs than the one that planned."""
    if planned != VERSION:
        raise InputError(
            f"this worker has fractalrs {VERSION}, the work was planned by {planned}",
            hint=f"install fractalrs=={planned} on all workers",
        )


@dataclass(frozen=True)
class Parts:
    """The parts of a data set that workers write; it can be sent to each of them.

    Attributes
    ----------
    sent, fingerprint, version
        The pickled plan, which it is, and the version of fractalrs that made it.
    place, count
        Where the data set is, and how many parts it has.
    """

    sent: bytes
    fingerprint: str
    version: str
    place: str
    count: int

    @classmethod
    def begin(cls, made: Plan, url: str) -> "Parts":
        """Claim a place for a plan before any worker starts: what can be refused is refused here."""
        place = url if url_scheme(url) else str(Path(url).absolute())
        # Attributes are written at the end, where they are.
        sent = pickle.dumps(replace(made, attributes=()))
        write_parts(made, range(0), place)
        return cls(sent, made.fingerprint, VERSION, place, made.part_count)

    def write(self, part: int) -> int:
        """Write one part, in this worker; return how many interactions it has."""
        require_version(self.version)
        entry = write_part(_received(self.sent), part, self.place)
        return sum(file.rows for files in entry.files.values() for file in files)


@lru_cache(maxsize=2)
def _received(sent: bytes) -> Plan:
    """Unpickle a plan, and with it load its expansion, once a worker."""
    made: Any = pickle.loads(sent)
    assert isinstance(made, Plan)
    return made


def saved_path(expansion: Expansion) -> str:
    """Return where an expansion is saved; refuse one that is not."""
    _, (_, path, _) = expansion.__reduce__()
    return str(path)
