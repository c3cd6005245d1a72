"""Is every byte what was written? And made again where it is not."""

import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from fractalrs._core import digest_file
from fractalrs.dataset.beginning import begin, failures, missing_private
from fractalrs.dataset.claims import false_claims, report_of
from fractalrs.dataset.dataset import Dataset
from fractalrs.dataset.division import DIVISION
from fractalrs.dataset.folder import Folder, read_plan, units
from fractalrs.dataset.layout import (
    ATTRIBUTE_FILES,
    CARD,
    MANIFEST,
    PLAN,
    TRUTH,
    TRUTH_CARD,
    TRUTH_MANIFEST,
    part_of,
    truth_of,
)
from fractalrs.dataset.manifest import FileEntry
from fractalrs.dataset.plans import Plan
from fractalrs.dataset.private import BASE, CELLS, GUARDS, REDUCED, SIGNED, files_beside, lost_files
from fractalrs.dataset.survey import Finished, missing_parts, threads_in_memory
from fractalrs.dataset.truths import TRUTH_AGAIN, TruthManifest
from fractalrs.dataset.writing import complete, make_parts
from fractalrs.errors import InputError, OutputError
from fractalrs.tools import (
    DAMAGE,
    Digest,
    Place,
    Progress,
    RemotePath,
    Shown,
    Store,
    has_seal,
    read_object,
    store_of,
)
from fractalrs.words import SPLITS

PRIVATE = "private/"
_LABEL = "fractalrs.plan"
_MATRICES = (REDUCED, SIGNED, CELLS)
"""An expansion is made again of these, and these of the command."""
_OF_TRUTH = (TRUTH_MANIFEST, TRUTH_CARD)
_PIECE = 1 << 24
"""So many bytes of a file in an object store are asked for at a time, to digest them."""


@dataclass(frozen=True, repr=False)
class Fault(Shown):
    """A file that is not what was written: its name, what is wrong with it, and what to do."""

    file: str
    what: str
    advice: str


@dataclass(frozen=True, repr=False)
class Verification(Shown):
    """What came of looking at every byte of a data set.

    Attributes
    ----------
    place
        The folder, or what reads as its URL.
    files, bytes
        How many files were looked at, and how many bytes those have that the manifest names.
    faults
        What is not what was written.
    mended
        Files that have been made again.
    left_out
        What could not be looked at.
    """

    place: Path | RemotePath
    files: int
    bytes: int
    faults: tuple[Fault, ...]
    mended: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every file is what was written."""
        return not self.faults

    def __bool__(self) -> bool:
        return self.holds

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        faults = [vars(fault) for fault in self.faults]
        counts = {"files": self.files, "bytes": self.bytes}
        more = {"mended": [*self.mended], "left_out": [*self.left_out]}
        return {"output": str(self.place), "holds": self.holds, **counts, "faults": faults, **more}

    def __str__(self) -> str:
        lines = [f"{fault.file} {fault.what}\n  {fault.advice}" for fault in self.faults]
        lines += [f"{name} is made again" for name in self.mended]
        lines += [f"not looked at: {name}" for name in self.left_out]
        bad = len({fault.file for fault in self.faults}) or "none"
        return "\n".join([*lines, f"{bad} of {self.files:,} files damaged, missing or foreign"])


def digest_of(store: Store, name: str) -> str:
    """Return the BLAKE3 digest of a file, in hex."""
    if isinstance(store.path, Path):
        return digest_file(store.path / name)
    with store.open(name) as file:
        return Digest(iter(partial(file.read, _PIECE), b"")).hex()


def verify_files(path: Place, threads: int, progress: Progress) -> Verification:
    """Digest every file of a complete data set, and compare; see `fractalrs.verify`."""
    store = store_of(path)
    broken = _broken_manifest(store)
    folder, faults = folder_of(store)
    theirs = folder.plan is None or any(fault.file == PRIVATE for fault in faults)
    lost = [] if theirs or folder.plan is None else lost_files(store, folder.plan)
    faults, files = [*faults, *broken], list[FileEntry]()
    if not broken:
        dataset = Dataset(store)
        files = [*dataset.manifest.files]
        if not faults and DIVISION not in lost:
            faults += [Fault(MANIFEST, claim.removeprefix(f"{MANIFEST} "), "") for claim in false_claims(dataset)]
        faults += _of_files(store, files, threads, progress)
        faults += _card(store, CARD, dataset.manifest.card)
        known = {file.path for file in files}
        foreign = (name for name in sorted(folder.files) if name.partition("/")[0] in SPLITS and name not in known)
        faults += [Fault(name, "is no file of this data set", "") for name in foreign]
        of_truth, more = _truth(dataset, folder, threads, progress)
        files, faults = [*files, *of_truth], [*faults, *more]
    faults += [Fault(name, "is missing, or not what was written", "") for name in lost]
    left_out = [f"{folder.unreadable}, which may not be read"] if folder.unreadable else []
    size, bad = sum(file.bytes for file in files), {fault.file for fault in faults}
    advised = tuple(replace(fault, advice=_advice(fault.file, folder, bad)) for fault in faults)
    looked_at = {MANIFEST, *(file.path for file in files), *bad} | folder.files.keys() & {CARD, *_OF_TRUTH}
    if folder.plan is not None:
        looked_at |= {PLAN, *GUARDS, *files_beside(folder.plan)}
    return Verification(store.path, len(looked_at), size, advised, left_out=tuple(left_out))


def repair_files(plan: Plan, path: Place, threads: int, progress: Progress) -> Verification:
    """Make what is damaged or missing again, of a plan that knows its expansion; see `fractalrs.verify`.

    Raises
    ------
    OutputError
        If somebody writes there, or ``private/`` or a part is of another data set.
    WriteError
        If a file comes out otherwise than the manifest says.
    """
    store = store_of(path)
    store.check()
    with store.locked():
        found = verify_files(store, threads, progress)
        bad = {fault.file for fault in found.faults}
        if not bad:
            store.clear()
        if not bad or PLAN in bad:
            return found
        if PRIVATE in bad:
            raise OutputError(f"{store.path}/{PRIVATE} is of another data set", "put its own back")
        _require_attributes(plan, bad)
        expected = None if MANIFEST in bad else Dataset(store).manifest
        entries = _whole(store, plan, bad) if MANIFEST in bad else _entries(store, plan, bad)
        folder, _ = folder_of(store)
        card = digest_of(store, CARD) if CARD in folder.files else None
        makers = threads_in_memory(plan, threads, missing_parts(plan, plan.parts, entries))
        with failures(store):
            store.clear()
            begin(store, plan, missing_private(folder, plan), begun=True)
            made = make_parts(store, plan, plan.parts, entries, makers, progress, expected)
            complete(store, plan, {**entries, **made}, threads, progress, expected)
        written = {*bad, *made, *(table.name for table in plan.attributes if table.name not in entries)}
        written |= {CARD} if digest_of(store, CARD) != card else set()
    again = verify_files(store, threads, progress)
    return replace(again, mended=tuple(sorted(written - {fault.file for fault in again.faults})))


def folder_of(store: Store) -> tuple[Folder, list[Fault]]:
    """Return what is there, without plan or manifest that are damaged.

    A damaged plan is a fault, and so is the plan of another data set.
    """
    try:
        folder = Folder.read(store)
        return folder, _of_others(folder)
    except InputError:
        files = store.list()
    plan, faults = None, list[Fault]()
    try:
        plan = read_plan(store) if PLAN in files else None
    except InputError as error:
        faults = [Fault(PLAN, f"is damaged: {error.message}", "")]
    folder = Folder(store, files, plan, None if _broken_manifest(store) else Dataset(store).manifest)
    return folder, [*faults, *_of_others(folder)]


def _of_others(folder: Folder) -> list[Fault]:
    """Return that ``private/`` is another data set's; whole parts say whether plan or manifest is wrong."""
    plan, manifest = folder.plan, folder.manifest
    if plan is None or (manifest is not None and manifest.fingerprints.get("plan") == plan.fingerprint):
        return []
    others = manifest is not None
    for name in (name for name in sorted(folder.files) if part_of(name)):
        try:
            labels, _ = folder.store.known(name)
        except DAMAGE:
            continue
        if labels.get(_LABEL) == plan.fingerprint:
            return []
        others = True
    return [Fault(PRIVATE, "is of another data set", "")] if others else []


def _broken_manifest(store: Store) -> list[Fault]:
    """Return that the manifest is not what was written, if it is there at all: a data set without is not complete."""
    if MANIFEST not in store.sizes([MANIFEST]):
        _ = Dataset(store)
    try:
        with store.open(MANIFEST) as file:
            sealed = has_seal(read_object(file.read(), store.path / MANIFEST))
        if sealed:
            _ = Dataset(store)
            return []
    except InputError as error:
        return [Fault(MANIFEST, f"is damaged: {error.message}", "")]
    return [Fault(MANIFEST, "is not what was written", "")]


def _of_files(store: Store, files: list[FileEntry], threads: int, progress: Progress) -> list[Fault]:
    """Compare sizes and digests, on threads."""
    sizes, lock, done = store.sizes(file.path for file in files), Lock(), [0, 0]

    def fault(file: FileEntry) -> list[Fault]:
        size = sizes.get(file.path)
        if size is None:
            found = "is missing"
        elif size != file.bytes:
            found = f"is damaged: it has {size:,} bytes instead of {file.bytes:,}"
        else:
            found = _difference(store, file.path, file.blake3, "is damaged: it has another BLAKE3 digest")
        with lock:
            done[:] = done[0] + file.bytes, done[1] + 1
            report(*done)
        return [Fault(file.path, found, "")] if found else []

    task = progress.task("verifying", sum(file.bytes for file in files), len(files))
    with task as report, ThreadPoolExecutor(threads) as pool:
        return [one for some in pool.map(fault, files) for one in some]


def _difference(store: Store, name: str, digest: str, words: str) -> str:
    """Return these words where a file has another digest, or that it cannot be read; nothing where it has this one."""
    try:
        return "" if digest_of(store, name) == digest else words
    except PermissionError:
        raise
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _card(store: Store, name: str, wanted: str | None) -> list[Fault]:
    if wanted is None:
        return []
    found = _difference(store, name, wanted, "is not what was written") if store.sizes([name]) else "is missing"
    return [Fault(name, found, "")] if found else []


def _truth(dataset: Dataset, folder: Folder, threads: int, progress: Progress) -> tuple[list[FileEntry], list[Fault]]:
    """Return the files of what is true of a data set, and those that are not what was written; none where none is."""
    store, there = dataset.store, {name for name in folder.files if name.startswith(f"{TRUTH}/")}
    if not there:
        return [], []
    if TRUTH_MANIFEST not in there:
        return [], [Fault(TRUTH_MANIFEST, "is missing: not all of it was written", "")]
    try:
        made = TruthManifest.read(store)
    except InputError as error:
        return [], [Fault(TRUTH_MANIFEST, f"is damaged: {error.message}", "")]
    if made.fingerprints != dataset.manifest.fingerprints:
        return [], [Fault(TRUTH_MANIFEST, "is of another data set", "")]
    files = [file for some in made.files.values() for file in some]
    faults = _of_files(store, files, threads, progress) + _card(store, TRUTH_CARD, made.card)
    foreign = sorted(there - {*_OF_TRUTH, *(file.path for file in files)})
    return files, faults + [Fault(name, "is no file of this data set", "") for name in foreign]


def _advice(name: str, folder: Folder, bad: set[str]) -> str:
    """Return what to do about a file, where these are bad."""
    if name == PLAN:
        return (
            "take it from a copy: without it nothing can be made again; interactions can still be read, loaded and "
            "exported, but info, validate and publish refuse"
        )
    if name == PRIVATE:
        return "put its own back"
    if name.startswith(f"{BASE}/"):
        return "take it from a copy: drawn again it is another base"
    if name.startswith(f"{TRUTH}/"):
        # No command makes a file again that is not its own.
        return TRUTH_AGAIN if name in _OF_TRUTH or truth_of(name) else "move it away"
    known = {file.path for file in folder.manifest.files} if folder.manifest else set()
    if known and name.partition("/")[0] in SPLITS and name not in known:
        return "move it away"
    if folder.plan is None:
        return "fetch it again from where it came"
    if name in _MATRICES:
        return "make it again by the command that made the data set: it mends private/ and leaves the rest"
    source = "" if folder.plan.base.privacy is not None else " --source SOURCE"
    options = "".join(f" --{kind.removesuffix('s')}-attributes FILE" for kind in _needed(folder.plan, bad))
    command = f"fractalrs verify {shlex.quote(str(folder.store.path))} --repair{source}{options}"
    return f"make it again{', when private/ is whole' if bad & {*_MATRICES} else ''}: {command}"


def _needed(plan: Plan, bad: set[str]) -> list[str]:
    """Return the kinds of attributes that repairing takes: what the manifest says of the others is still known."""
    return [kind for kind in plan.attribute_fingerprints if {ATTRIBUTE_FILES[kind], MANIFEST} & bad]


def _require_attributes(plan: Plan, bad: set[str]) -> None:
    given = {table.side.plural for table in plan.attributes}
    if lacking := [kind for kind in _needed(plan, bad) if kind not in given]:
        names = [f"{kind.removesuffix('s')}_attributes" for kind in lacking]
        options = ", ".join(f"--{name.replace('_', '-')} FILE" for name in names)
        raise InputError(
            f"the attributes of {' and '.join(lacking)} are not given",
            hint=f"give {' and '.join(names)} ({options}), as then",
        )


def _entries(store: Store, plan: Plan, bad: set[str]) -> Finished:
    """Return what the manifest says of the files that are whole; of a part's periods all are, or none."""
    manifest = Dataset(store).manifest
    known: dict[str, FileEntry] = {file.path: file for file in manifest.files}
    whole = [names for unit, names in units(known).items() if unit in plan.files and not bad & {*names}]
    return {name: report_of(known[name]) for names in whole for name in names}


def _whole(store: Store, plan: Plan, bad: set[str]) -> Finished:
    """Return what is known of the files that are whole by their own seals: the manifest is not.

    A file that is whole and of another plan is somebody's data: it is refused, not made again.
    """
    found: dict[str, Any] = {}
    for unit, names in units(store.list()).items():
        if (part_of(unit) is None and unit not in ATTRIBUTE_FILES.values()) or bad & {*names}:
            continue
        try:
            known = {name: store.known(name) for name in names}
        except DAMAGE:
            continue
        wanted = plan.files.get(unit, [(_LABEL, plan.fingerprint)])
        for name, (labels, _) in known.items():
            if any(labels.get(label) != value for label, value in wanted):
                raise OutputError(
                    f"{store.path / name} is whole, and of another data set than private/plan.json",
                    "put the private/ of this data set back, or move the file away",
                )
        if unit in plan.files:
            found |= {name: report for name, (_, report) in known.items()}
    return found
