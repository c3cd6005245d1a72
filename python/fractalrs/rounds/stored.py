"""What is on disk of a feedback loop: its plan first, then parts of rounds, then the numbers of each round."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs.errors import InputError, OutputError, WriteError
from fractalrs.simulation import World
from fractalrs.tools import (
    FileReport,
    LocalStore,
    as_path,
    digest_of_json,
    has_seal,
    is_litter,
    require_disk,
    sealed_json,
    write_labelled,
)

PLAN, WORLD, CARD = "plan.json", "world.json", "README.md"
NUMBER = 1
"""Of what `docs/feedback.md` defines; changing it makes other logs of the same plan."""
_ROW_GROUP, _READ = 1 << 20, 1 << 18
"""So many rows are written, and read, at a time."""
_ROW_BYTES = 4
"""A row takes so many, at most: about two of 2,000 items, three of a million."""
_PART = re.compile(r"round=(\d{4,})/part-(\d{5})-of-(\d{5})\.parquet")
_LABEL = "fractalrs.feedback"
OTHERWISE = ": it is another policy, of another version, or numbers are rounded otherwise on this machine"
"""Why what is made again may be another."""
ELSE = "choose another folder, or give the policy that it was begun with"
_AGAIN = "delete it, and give the command again"
_GOES_ON = "when the cause is gone, the same command goes on"
SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.int32(), nullable=False),
        pa.field("item_id", pa.int32(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("propensity", pa.float64(), nullable=False),
        pa.field("response", pa.bool_(), nullable=False),
        pa.field("heard", pa.int32()),
    ]
)
"""What is logged of an exposure: `heard` is the round whose policy is the first to know of the response."""
_TEXT = """---
configs:
  - config_name: default
    data_files: "round=*/*.parquet"
---

# A feedback loop with known truth

{users:,} made-up users are shown slates of {slate} of {items:,} made-up items, round after round, by the policy
`{policy}`, which learns from what the rounds before have logged. No real person is in it.

| column | what |
|---|---|
| `round` (the folder) | from 0 on |
| `user_id`, `item_id` | from 0 on |
| `position` | in the slate, from 0 on |
| `propensity` | the probability that the policy shows the user this item, given the rounds before: exact |
| `response` | whether the user looked at the item and liked it |
| `heard` | the round whose policy is the first to know of the response; null where there is none, or it stays unknown |

`plan.json` has all that it was made of beside `world.json`, of which `fractalrs.World.open` of this folder gives the
true preference of any user and item. `metrics/` has the numbers of each round. The page "Feedback" of the
documentation of fractalrs says what is assumed; such a log tells nothing about people.
"""


@dataclass(frozen=True)
class Part:
    """A part that is there, as a stream of whole slates."""

    name: str
    place: str
    report: FileReport
    tables: Iterator[pa.Table]


@dataclass(frozen=True)
class Stored:
    """The folder of a feedback loop, locked while it is written."""

    store: LocalStore
    plan: Mapping[str, Any]

    def part(self, round: int, part: int) -> str:
        """Return the name of the file of a part."""
        return f"round={round:04}/part-{part:05}-of-{self.plan['parts']:05}.parquet"

    def metrics(self, round: int) -> dict[str, Any] | None:
        """Return the numbers of a round that is complete; None where it is not."""
        name = _metrics(round)
        if not self.store.sizes([name]):
            return None
        with self.store.open(name) as file:
            return _sealed(file.read(), f"{self.store.path / name}", _AGAIN)

    def newest(self, rounds: int) -> tuple[int, int] | None:
        """Return the newest of so many rounds of which any rows are there, and the first part that has some."""
        places = sorted(_places(self.store.list(), rounds, self.plan["parts"]), key=lambda place: (-place[0], place[1]))
        return next((place for place in places if self._has_rows(self.part(*place))), None)

    def _has_rows(self, name: str) -> bool:
        with self.store.open(name) as file:
            try:
                return bool(pq.read_metadata(file).num_rows)
            except (OSError, pa.ArrowException):
                # It is damaged: whoever reads it refuses it.
                return True

    def read(self, round: int, part: int, known: Mapping[str, FileReport] | None = None) -> "Part | None":
        """Return a part, if it is there; refuse one that is damaged, or of another plan."""
        name = self.part(round, part)
        if not self.store.sizes([name]):
            return None
        place = f"{self.store.path / name}"
        try:
            labels, report = self.store.known(name)
        except (ValueError, KeyError, OSError, pa.ArrowException):
            raise InputError(f"{place} is damaged", _AGAIN) from None
        if labels.get(_LABEL) != self._label(round) or (known is not None and known.get(name) != report):
            raise InputError(f"{place} is of another plan", _AGAIN)
        return Part(name, place, report, self._tables(name))

    def _tables(self, name: str) -> Iterator[pa.Table]:
        with self.store.open(name) as file:
            for batch in pq.ParquetFile(file).iter_batches(self._whole(_READ)):
                yield pa.Table.from_batches([batch]).cast(SCHEMA)

    def _whole(self, rows: int) -> int:
        """Return about so many rows that are whole slates."""
        slate = int(self.plan["slate"])
        return max(1, rows // slate) * slate

    def write(
        self, round: int, part: int, tables: Iterable[pa.Table], known: Mapping[str, FileReport] | None = None
    ) -> dict[str, FileReport]:
        """Write a part, which appears when it is whole, and what is known; return what is known of its file."""
        name, rows, label = self.part(round, part), self._whole(_ROW_GROUP), {_LABEL: self._label(round)}
        of_policy: list[OSError] = []

        def watched() -> Iterator[pa.Table]:
            try:
                yield from tables
            except OSError as error:
                of_policy.append(error)
                raise

        with _failing(self.store, of_policy), self.store.staging() as staging:
            with staging.path(name).open("wb") as stream:
                report = write_labelled(stream, _gathered(watched(), rows), SCHEMA, "zstd(1)", rows, label)
            if known is not None and known.get(name) != report:
                place, said = self.store.path / name, self.store.path / _metrics(round)
                what = "is gone, and what is made anew is not what"
                raise InputError(f"{place} {what} {said} has of it{OTHERWISE}", ELSE)
            staging.publish(name)
        return {name: report}

    def end(self, round: int, values: Mapping[str, Any], files: Mapping[str, FileReport]) -> None:
        """Write the numbers of a round: so it is complete."""
        content = {"round": round, **values, "files": dict(files)}
        with _failing(self.store):
            self.store.put(_metrics(round), sealed_json(content).encode())

    def _label(self, round: int) -> str:
        return f"{NUMBER} {round} {digest_of_json(dict(self.plan))}"


@contextmanager
def stored_at(path: str | os.PathLike[str], plan: dict[str, Any], world: World, rounds: int) -> Iterator[Stored]:
    """Claim a folder for so many rounds of a plan, or go on in one that has it, and keep others out.

    A plan of which nothing was made yet gives way to another.

    Raises
    ------
    OutputError
        If something else is there, another run writes there, or it cannot be written to.
    InputError
        If it is of another plan, or no file can hold the world.
    """
    saved = world.text.encode()
    store = LocalStore(as_path("path", path).absolute())
    store.check()
    there = store.list() if store.path.exists() else {}
    if PLAN in there:
        _check_plan(store, plan, there)
    elif strange := [name for name in there if not is_litter(name)]:
        raise OutputError(f"{store.path} has {strange[0]}, and is no feedback loop", hint="choose another folder")
    missing = rounds * plan["parts"] - len(_places(there, rounds, plan["parts"]))
    rows = missing / plan["parts"] * plan["slate"] * world.shape[0]
    require_disk(store.path, rows * _ROW_BYTES, "free some, choose another disk, or show less")
    with store.locked():
        store.clear()
        with _failing(store):
            new = store.claim(PLAN, sealed_json(plan).encode())
            if not new and (new := not _check_plan(store, plan, store.list())):
                store.put(PLAN, sealed_json(plan).encode())
            if not store.sizes([WORLD]) or (store.path / WORLD).read_bytes() != saved:
                store.put(WORLD, saved)
            if new or not store.sizes([CARD]):
                facts = {"users": world.shape[0], "items": world.shape[1], "slate": plan["slate"]}
                store.put(CARD, _TEXT.format(**facts, policy=plan["policy"]).encode())
        yield Stored(store, plan)


def read_metrics(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the plan of a feedback loop and the numbers of its rounds, up to the first that is not complete.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loop = fr.feedback(fr.simulate(60, 40, 600), rounds=2, slate=5, path=folder)
    ...     len(read_metrics(folder)[1])
    2
    """
    place = as_path("path", path)
    try:
        plan = _sealed((place / PLAN).read_bytes(), f"{place / PLAN}", "choose another folder")
        files = takewhile(Path.exists, (place / _metrics(number) for number in count()))
        return plan, [_sealed(file.read_bytes(), f"{file}", _AGAIN) for file in files]
    except OSError:
        raise InputError(
            f"{place} has no {PLAN}: it is no feedback loop", hint="fractalrs feedback writes one"
        ) from None


def _metrics(round: int) -> str:
    return f"metrics/round-{round:04}.json"


def _places(names: Iterable[str], rounds: int, parts: int) -> list[tuple[int, int]]:
    """Return rounds, below so many, and parts of those files that are some of so many parts."""
    found = (_PART.fullmatch(name) for name in names)
    return [(int(one[1]), int(one[2])) for one in found if one and int(one[1]) < rounds and int(one[3]) == parts]


def _sealed(content: bytes, place: str, hint: str) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(content)
        if isinstance(found, dict) and has_seal(found):
            return {name: value for name, value in found.items() if name != "seal"}
    raise InputError(f"{place} is damaged", hint)


def _check_plan(store: LocalStore, plan: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Refuse a folder in which anything was made of another plan; return whether anything was made."""
    if set(names) <= {PLAN, WORLD, CARD}:
        return False
    with store.open(PLAN) as file:
        there = _sealed(file.read(), f"{store.path / PLAN}", "choose another folder")
    wrong = [name for name in there | dict(plan) if there.get(name) != plan.get(name)]
    if wrong:
        name = wrong[0]
        what = "is of another world" if name == "world" else f"has {name} {there.get(name)}, not {plan.get(name)}"
        raise InputError(f"{store.path} {what}", hint="choose another folder, or give what it was begun with")
    return True


@contextmanager
def _failing(store: LocalStore, of_policy: Sequence[OSError] = ()) -> Iterator[None]:
    """Say that writing failed where it did; faults of the policy, which runs meanwhile, stay as they are."""
    try:
        yield
    except OSError as error:
        if any(error is one for one in of_policy):
            raise
        raise WriteError(f"writing {store.path} failed: {error.strerror or error}", _GOES_ON) from error


def _gathered(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Gather tables into row groups of so many rows, and the last."""
    gathered: list[pa.Table] = []
    for table in tables:
        gathered.append(table)
        while sum(map(len, gathered)) >= rows:
            whole = pa.concat_tables(gathered)
            yield whole[:rows]
            gathered = [whole[rows:]]
    whole = pa.concat_tables(gathered) if gathered else SCHEMA.empty_table()
    if len(whole):
        yield whole
