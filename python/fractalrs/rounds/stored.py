"""What is on disk of a feedback loop: its plan first, then parts of rounds, then the numbers of each round."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
_ROW_BYTES = 12
"""A row takes about so many."""
_PART = re.compile(r"round=(\d{4,})/part-(\d{5})-of-\d{5}\.parquet")
_LABEL = "fractalrs.feedback"
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
            return _sealed(file.read(), f"{self.store.path / name}")

    def newest(self) -> tuple[int, int] | None:
        """Return the newest round of which anything is there, and a part of it."""
        found = [_PART.fullmatch(name) for name in self.store.list()]
        return max(((int(one[1]), -int(one[2])) for one in found if one), default=None)

    def read(self, round: int, part: int, known: Mapping[str, FileReport] | None = None) -> "Part | None":
        """Return a part, if it is there; refuse one that is damaged, or of another plan."""
        name = self.part(round, part)
        if not self.store.sizes([name]):
            return None
        place = f"{self.store.path / name}"
        try:
            labels, report = self.store.known(name)
        except (ValueError, KeyError, OSError, pa.ArrowException):
            raise InputError(f"{place} is damaged", hint="delete it, and give the command again") from None
        if labels.get(_LABEL) != self._label(round) or (known is not None and known.get(name) != report):
            raise InputError(f"{place} is of another plan", hint="delete it, and give the command again")
        return Part(name, place, report, self._tables(name))

    def _tables(self, name: str) -> Iterator[pa.Table]:
        with self.store.open(name) as file:
            for batch in pq.ParquetFile(file).iter_batches(self._whole(_READ)):
                yield pa.Table.from_batches([batch]).cast(SCHEMA)

    def _whole(self, rows: int) -> int:
        """Return about so many rows that are whole slates."""
        slate = int(self.plan["slate"])
        return max(1, rows // slate) * slate

    def write(self, round: int, part: int, tables: Iterable[pa.Table]) -> dict[str, FileReport]:
        """Write a part, which appears when it is whole; return what is known of its file."""
        name, rows, label = self.part(round, part), self._whole(_ROW_GROUP), {_LABEL: self._label(round)}
        with _failing(self.store), self.store.staging() as staging:
            with staging.path(name).open("wb") as stream:
                report = write_labelled(stream, _gathered(tables, rows), SCHEMA, "zstd(1)", rows, label)
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
def stored_at(path: str | os.PathLike[str], plan: dict[str, Any], world: World, rows: int) -> Iterator[Stored]:
    """Claim a folder for a plan of so many rows, or go on in one that has it, and keep others out.

    Raises
    ------
    OutputError
        If something else is there, another run writes there, or it cannot be written to.
    InputError
        If it is of another plan.
    """
    store = LocalStore(as_path("path", path).absolute())
    store.check()
    require_disk(store.path, rows * _ROW_BYTES, "free some, choose another disk, or show less")
    there = store.list() if store.path.exists() else {}
    if PLAN in there:
        _check_plan(store, plan)
    elif strange := [name for name in there if not is_litter(name)]:
        raise OutputError(f"{store.path} has {strange[0]}, and is no feedback loop", hint="choose another folder")
    with store.locked():
        store.clear()
        with _failing(store):
            if not store.claim(PLAN, sealed_json(plan).encode()):
                _check_plan(store, plan)
            facts = {"users": world.shape[0], "items": world.shape[1], "slate": plan["slate"]}
            if not store.sizes([WORLD]):
                with store.staging() as staging:
                    world.save(staging.path(WORLD))
                    staging.publish(WORLD)
            if not store.sizes([CARD]):
                store.put(CARD, _TEXT.format(**facts, policy=plan["policy"]).encode())
        yield Stored(store, plan)


def read_metrics(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the plan of a feedback loop and the numbers of its rounds.

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
        plan = _sealed((place / PLAN).read_bytes(), f"{place / PLAN}")
        found = sorted((place / "metrics").glob("round-*.json"))
        return plan, [_sealed(file.read_bytes(), f"{file}") for file in found]
    except OSError:
        raise InputError(
            f"{place} has no {PLAN}: it is no feedback loop", hint="fractalrs feedback writes one"
        ) from None


def _metrics(round: int) -> str:
    return f"metrics/round-{round:04}.json"


def _sealed(content: bytes, place: str) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(content)
        if isinstance(found, dict) and has_seal(found):
            return {name: value for name, value in found.items() if name != "seal"}
    raise InputError(f"{place} is damaged", hint="delete it, and give the command again")


def _check_plan(store: LocalStore, plan: Mapping[str, Any]) -> None:
    with store.open(PLAN) as file:
        there = _sealed(file.read(), f"{store.path / PLAN}")
    wrong = [name for name in there | dict(plan) if there.get(name) != plan.get(name)]
    if wrong:
        name = wrong[0]
        what = "is of another world" if name == "world" else f"has {name} {there.get(name)}, not {plan.get(name)}"
        raise InputError(f"{store.path} {what}", hint="choose another folder, or give what it was begun with")


@contextmanager
def _failing(store: LocalStore) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(f"writing {store.path} failed: {error.strerror or error}") from error


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
