"""What is true of a data set's interactions, in ``truth/`` beside them: its files, its manifest, and writing both.

A data set does not depend on its truth, which can be written at any time later, and which nobody gets with it: the
answers to a benchmark stay with who sets it.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import pyarrow as pa

from fractalrs._core import VERSION
from fractalrs.dataset.beginning import failures
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.layout import PLAN, TRUTH, TRUTH_CARD, TRUTH_KINDS, TRUTH_MANIFEST, truth_file, truth_of
from fractalrs.dataset.manifest import FORMAT, FileEntry, PartEntry, check_format, json_object
from fractalrs.dataset.plans import Plan
from fractalrs.dataset.private import guard
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import Expansion
from fractalrs.tools import (
    DAMAGE,
    Digest,
    FileReport,
    Place,
    Progress,
    Store,
    has_seal,
    row_groups,
    sealed_json,
    store_of,
    untrusted,
    write_labelled,
)
from fractalrs.words import Split

logger = logging.getLogger(__name__)

Known = Split | Literal["unobserved"]
"""What is known of: the interactions of a split, or the responses that dropout left out."""
_UNOBSERVED_FILES = f"{TRUTH}/unobserved/"
_ROW_GROUP = 1 << 20
_ROW_BYTES = 28
"""A row takes about so many, at most."""
TRUTH_AGAIN = "give the command that made it again, with --truth: what is whole stays"
_CARD = """# What is true of this data set

The interactions beside this folder are expanded from what a made-up world logged, whose true preferences are known.
Each file here has the rows of the file of the same name there, in the same order.

| column | what |
|---|---|
| `user_id`, `item_id` | as there |
| `preference` | the probability that the user likes the item, when looking at it |
| `propensity` | the probability that it was shown and kept: that of the log times the keep rate of the block |

| files | rows |
|---|---|
{rows}
{unobserved}
**This is the answer key.** `fractalrs publish` leaves it at home: whoever the data set is to test should not have it.
What is assumed of preferences, and what such data cannot tell about people, is on the page "Simulation" of the
documentation of fractalrs.
"""
_UNOBSERVED = """
`unobserved/` has what users responded to in the world and dropout left out: the pairs that a learner from incomplete
data is to find.
"""


class Truths(Protocol):
    """What is known of the interactions of an expansion."""

    @property
    def expansion(self) -> Expansion:
        """Of which it is known."""
        ...

    @property
    def digest(self) -> str:
        """A digest, in hex, of the world that it is known of."""
        ...

    @property
    def true_schema(self) -> pa.Schema:
        """The columns of the files."""
        ...

    def rows(self, kind: Known, users: tuple[int, int], threads: int) -> Iterable[pa.RecordBatch]:
        """Make the rows of some users, in the order of their interactions."""
        ...


@dataclass(frozen=True)
class TruthManifest:
    """What ``truth/manifest.json`` says: of which data set and world it is, and its files.

    Attributes
    ----------
    fractalrs
        Version of the program.
    fingerprints
        Those of the expansion and of the plan of the data set.
    world
        Digest of the world.
    files
        By what they are of: the splits, and ``"unobserved"``.
    card
        The BLAKE3 digest, in hex, of its card.
    """

    fractalrs: str
    fingerprints: Mapping[str, str]
    world: str
    files: Mapping[str, tuple[FileEntry, ...]]
    card: str

    @property
    def totals(self) -> dict[str, int]:
        """Rows of each kind."""
        return {kind: sum(file.rows for file in files) for kind, files in self.files.items()}

    def to_json(self) -> str:
        """Return the text of the file, sealed."""
        files = {kind: [asdict(file) for file in some] for kind, some in self.files.items()}
        return sealed_json({"format": FORMAT, **vars(self), "fingerprints": dict(self.fingerprints), "files": files})

    @classmethod
    def read(cls, store: Store) -> "TruthManifest":
        """Read it; refuse one that is damaged."""
        place = store.path / TRUTH_MANIFEST
        with store.open(TRUTH_MANIFEST) as file:
            content = json_object(file.read(), place, {"world", "files", "fingerprints"}, TRUTH_AGAIN)
        check_format(content, place)
        with untrusted(place, TRUTH_AGAIN, "is damaged"):
            if not has_seal(content):
                raise ValueError("it is not what was written")
            files = {kind: tuple(FileEntry(**file) for file in some) for kind, some in content["files"].items()}
            for kind, some in files.items():
                # No path leads out of the folder.
                if any(file.path != truth_file(number, len(some), kind) for number, file in enumerate(some)):
                    raise ValueError(f"the files of {kind} have other names")
            texts = {name: content[name] for name in ("fractalrs", "fingerprints", "world", "card")}
            return cls(**texts, files=files)


def expected_truth(expansion: Expansion, *, unobserved: bool) -> dict[str, int]:
    """Return about how many rows truth will have, and at most how many bytes.

    Examples
    --------
    >>> import fractalrs as fr
    >>> base = fr.leave_last_out(fr.simulate(60, 40, 600, seed=7))
    >>> rows = expected_truth(fr.Expansion(base, [[0.5, 0.5]]), unobserved=True)["rows"]
    >>> rows == 2 * base.count
    True
    """
    rows = round(_possible(expansion) if unobserved else expansion.expected_interactions)
    return {"rows": rows, "bytes": _ROW_BYTES * rows}


def require_truth_room(path: Place, plan: Plan, *, unobserved: bool) -> None:
    """Refuse too little room for a data set and its truth together, as far as they are not there."""
    store = store_of(path)
    count, there = plan.part_count, store.list().keys()
    kinds = [*plan.splits, *(["unobserved"] if unobserved else [])]
    files = {truth_file(number, count, kind) for number in range(count) for kind in kinds}
    size = expected_truth(plan.expansion, unobserved=unobserved)["bytes"]
    missing = size * len(files - there) / len(files)
    more = plan.expected_bytes * len(plan.files.keys() - there) / len(plan.files)
    store.require_room(missing + more, 0, size / len(files), 1, "free some, choose another disk, or leave truth out")


def write_truth(path: Place, truths: Truths, *, unobserved: bool, threads: int, progress: Progress) -> dict[str, int]:
    """Write what is known of a complete data set beside it, and what of it is missing; return the rows of each kind.

    Raises
    ------
    InputError
        If the data set is not complete, is of another expansion, is divided by periods, or has no ``private/``.
    OutputError
        If what is there is true of another world, or there is too little room.
    WriteError
        When it fails; what is finished stays.
    """
    store = Dataset(path).store
    store.check()
    with failures(store), store.locked():
        # Until now another run may have put another there.
        dataset = Dataset(store)
        _check(dataset, truths)
        return _write(dataset, truths, unobserved, threads, progress)


def _check(dataset: Dataset, truths: Truths) -> None:
    """Refuse a data set beside which this truth cannot be written."""
    path = dataset.place
    if dataset.manifest.fingerprints["expansion"] != truths.expansion.fingerprint:
        raise InputError(f"the data set in {path} is not of this expansion", hint="give the one that it was written of")
    if dataset.partition is not None:
        raise InputError(
            f"the files of {path} are divided by {dataset.partition}, and truth has those of parts",
            hint="expand without partition",
        )
    if not dataset.store.sizes([PLAN]):
        raise InputError(
            f"{path} has no private/: it is there to be given away, and the answers would go with it",
            hint="write truth beside the data set that was written first, which has private/",
        )


def _write(dataset: Dataset, truths: Truths, unobserved: bool, threads: int, progress: Progress) -> dict[str, int]:
    store, parts, there = dataset.store, dataset.parts, dataset.store.list()
    # What was begun is completed.
    kinds: list[Known] = [*dataset.splits]
    kinds += ["unobserved"] if unobserved or any(name.startswith(_UNOBSERVED_FILES) for name in there) else []
    labels = {"fractalrs.plan": dataset.manifest.fingerprints["plan"], "fractalrs.world": truths.digest}
    wanted = {truth_file(number, len(parts), kind): (kind, part) for number, part in enumerate(parts) for kind in kinds}
    found = _finished(store, labels)
    left = {name: one for name, one in wanted.items() if name not in found}
    rows = {name: _expected_rows(truths.expansion, *one) for name, one in left.items()}
    hint = "free some; what is finished stays"
    store.require_room(_ROW_BYTES * sum(rows.values()), 0, _ROW_BYTES * max(rows.values(), default=0), 1, hint)
    guard(store)
    if left:
        store.delete([TRUTH_MANIFEST])
    done = 0
    with store.staging() as staging, progress.task("writing truth", sum(rows.values()), len(left)) as report:
        for number, (name, (kind, part)) in enumerate(left.items()):

            def passed(some: int, _: int, before: int = done, files: int = number) -> None:
                report(before + some, files)

            tables = row_groups(truths.rows(kind, (part.first, part.last), threads), _ROW_GROUP)
            with staging.path(name).open("wb") as file:
                schema, ids = truths.true_schema, ["user_id", "item_id"]
                found[name] = write_labelled(
                    file, tables, schema, "zstd(1)", _ROW_GROUP, labels | _own(name), passed, use_dictionary=ids
                )
            staging.publish(name)
            done += found[name]["rows"]
    return _complete(store, dataset, truths, found)


def _finished(store: Store, labels: Mapping[str, str]) -> dict[str, FileReport]:
    """Read the files that are there; refuse those of another world, and warn of what is damaged and made again."""
    found: dict[str, FileReport] = {}
    for name in sorted(name for name in store.list() if truth_of(name)):
        try:
            there, report = store.known(name)
        except DAMAGE:
            logger.warning(f"warning: {store.path / name} is damaged; made again")
            continue
        if any(there.get(label) != value for label, value in {**labels, **_own(name)}.items()):
            raise OutputError(
                f"{store.path / name} is true of another world, data set or part", hint=f"delete {store.path / TRUTH}"
            )
        # What was asked for before stays.
        found[name] = report
    return found


def _own(name: str) -> dict[str, str]:
    """Return the labels by which one file is told from the others of a data set."""
    _, kind, part = name.split("/")
    return {"fractalrs.truth": kind, "fractalrs.part": part}


def _complete(store: Store, dataset: Dataset, truths: Truths, found: Mapping[str, FileReport]) -> dict[str, int]:
    """Write card and manifest of files, of which so much is known."""
    count = len(dataset.parts)
    files = {
        kind: tuple(FileEntry(name, **found[name]) for name in names)
        for kind in TRUTH_KINDS
        if (names := [truth_file(number, count, kind) for number in range(count)]) and found.keys() >= {*names}
    }
    rows = "\n".join(f"| `{kind}/` | {sum(file.rows for file in some):,} |" for kind, some in files.items())
    card = _CARD.format(rows=rows, unobserved=_UNOBSERVED if "unobserved" in files else "").encode()
    made = TruthManifest(VERSION, dict(dataset.manifest.fingerprints), truths.digest, files, Digest([card]).hex())
    store.put(TRUTH_CARD, card)
    store.put(TRUTH_MANIFEST, made.to_json().encode())
    return made.totals


def _expected_rows(expansion: Expansion, kind: Known, part: PartEntry) -> int:
    """Return how many rows a file will have: exactly, and of what dropout left out about."""
    if kind != "unobserved":
        return sum(file.rows for file in part.files[kind])
    left_out = _possible(expansion) - expansion.expected_interactions
    return round(left_out * (part.last - part.first) / expansion.shape[0])


def _possible(expansion: Expansion) -> int:
    """Return how many interactions there would be without dropout."""
    return int(expansion.base.count * expansion.keep_rates.size)
