"""What is in an output folder: what of it is ours, how far it is, and what may be deleted."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from fractalrs.dataset.layout import (
    ATTRIBUTE_FILES,
    CARD,
    MANIFEST,
    PLAN,
    TRUTH_CARD,
    TRUTH_KINDS,
    TRUTH_MANIFEST,
    Part,
    part_of,
    truth_file,
    truth_of,
)
from fractalrs.dataset.manifest import ELSEWHERE, Manifest
from fractalrs.dataset.plans import Plan
from fractalrs.dataset.private import GUARDS, PRIVATE_FILES, files_beside
from fractalrs.errors import InputError, OutputError
from fractalrs.tools import Place, Store, store_of
from fractalrs.words import SPLITS

OLD_MANIFEST = ".manifest.json.old"
"""The manifest of a data set that is being deleted and has no plan: it alone names the files that are still there."""
_SHOWN = 3
"""So many files that are not ours are named…"""
_SHOWN_RUNS = 4
"""… and so many runs of missing parts."""


@dataclass(frozen=True)
class Folder:
    """What was in a data set's folder at one moment: complete, begun, being deleted, or nothing.

    Attributes
    ----------
    store, files
        The folder; names and sizes of what is there.
    plan, manifest
        Those of the data set that is there; it has a manifest only when it is, or was, complete.
    unreadable
        What of it may not be read, and so is not known.
    """

    store: Store
    files: Mapping[str, int]
    plan: Plan | None
    manifest: Manifest | None
    unreadable: str | None = None

    @classmethod
    def read(cls, path: Place) -> "Folder":
        """Look once, and read plan and manifest once; refuse one that is damaged, or not ours, by `InputError`."""
        store = store_of(path)
        try:
            files = store.list()
        except OutputError as error:
            raise InputError(error.message, error.hint) from error
        unreadable = next((name for name in sorted(files) if name.endswith("/")), None)
        manifest, plan = MANIFEST in files and read_manifest(store), None
        try:
            plan = PLAN in files and read_plan(store)
        except PermissionError:
            unreadable = PLAN
        return cls(store, files, plan or None, manifest or None, unreadable)

    @classmethod
    def ours(cls, path: Place) -> "Folder":
        """Look into a folder that will be written to; refuse what a plan or manifest of ours does not name."""
        store = store_of(path)
        store.check()
        try:
            folder = cls.read(store)
            foreign = sorted(folder.files.keys() - folder.names)
        except InputError as error:
            raise OutputError(error.message, error.hint or ELSEWHERE) from None
        if folder.unreadable is not None:
            message = f"{store.path / folder.unreadable} may not be read"
            raise OutputError(message, "change its permissions, or choose another folder")
        if foreign:
            shown = ", ".join(foreign[:_SHOWN]) + (f" and {len(foreign) - _SHOWN} more" if foreign[_SHOWN:] else "")
            hint = "choose a new folder, or move these away"
            raise OutputError(f"{store.path} holds what is not ours: {shown}", hint)
        return folder

    @classmethod
    def glance(cls, store: Store, plan: Plan, names: Iterable[str]) -> "Folder":
        """Look for some files of a plan alone, if it was begun and all private files are there; otherwise at all.

        Who writes one part of many thousands would take longer to look at the others than to write it.
        """
        if plan.partition is not None:
            # How many files a part has only its folder says.
            return cls.ours(store)
        files = store.sizes((PLAN, MANIFEST, *GUARDS, *files_beside(plan), *names))
        if PLAN in files and MANIFEST not in files:
            folder = cls(store, files, read_plan(store), None)
            if folder.has_private:
                return folder
        return cls.ours(store)

    @cached_property
    def names(self) -> list[str]:
        """Names of the files that are there and ours, in the order in which they may be deleted."""
        manifest = self.manifest
        if manifest is None and self.is_half_deleted:
            manifest = read_manifest(self.store, OLD_MANIFEST)
        if self.plan is not None:
            count, attributes = self.plan.part_count, {*self.plan.attribute_fingerprints}
            partition = self.plan.partition
        elif manifest is not None:
            count, attributes, partition = len(manifest.parts), {*manifest.attributes}, manifest.partition
        else:
            return []
        known = {name: found for name in self.files if (found := part_of(name)) is not None}
        parts = [
            name for name, (_, by, k, of) in known.items() if by == (partition or "") and of == count and k < count
        ]
        truth = [name for name in self.files if (one := truth_of(name)) and one[0] < count == one[1]]
        others = [
            MANIFEST,
            TRUTH_MANIFEST,
            TRUTH_CARD,
            *truth,
            *parts,
            *(ATTRIBUTE_FILES[kind] for kind in attributes),
            CARD,
        ]
        # What names the others is last.
        return [name for name in (*others, *reversed(PRIVATE_FILES), OLD_MANIFEST) if name in self.files]

    @property
    def is_half_deleted(self) -> bool:
        """Whether `clear` was interrupted in a data set without a plan."""
        return OLD_MANIFEST in self.files

    @property
    def has_private(self) -> bool:
        """Whether all private files are there."""
        return self.plan is not None and self.files.keys() >= {*GUARDS, *files_beside(self.plan)}

    @property
    def is_complete(self) -> bool:
        """Whether every file of the manifest is there with its size."""
        manifest = self.manifest
        return manifest is not None and all(self.files.get(file.path) == file.bytes for file in manifest.files)

    def clear(self) -> None:
        """Delete the data set that is here; interrupted anywhere, it leaves what can be cleared again.

        What is left never looks complete, and what names the files goes last.
        """
        if self.plan is None and MANIFEST in self.files:
            with self.store.open(MANIFEST) as file:
                self.store.put(OLD_MANIFEST, file.read())
        self.store.delete([MANIFEST])
        # Folders may be left of which all files are deleted.
        folders = [Part(0, 1, 0, 0).file(split) for split in SPLITS]
        folders += [truth_file(0, 1, kind) for kind in TRUTH_KINDS]
        public = [name for name in self.names if name not in (*PRIVATE_FILES, OLD_MANIFEST)]
        self.store.delete([*public, *folders])
        for name in (*reversed(PRIVATE_FILES), OLD_MANIFEST):
            self.store.delete([name])


def read_plan(store: Store) -> Plan:
    """Read the plan; refuse one that is damaged, or not there."""
    return Plan.from_json(_content(store, PLAN), store.path / PLAN)


def read_manifest(store: Store, name: str = MANIFEST, hint: str | None = None) -> Manifest:
    """Read a manifest; `hint` says what to do about damage."""
    return Manifest.from_json(_content(store, name), store.path / name, hint)


def units(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of files by what they are called without the folders of their periods.

    Examples
    --------
    >>> units(["test/week=2015-W03/part-00002-of-00008.parquet", "README.md"])
    {'README.md': ['README.md'], 'test/part-00002-of-00008.parquet': ['test/week=2015-W03/part-00002-of-00008.parquet']}
    """
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        known = part_of(name)
        found.setdefault(name if known is None else known[0], []).append(name)
    return found


def missing_files(plan: Plan, there: Collection[str], attributes: bool = True) -> str:
    """Return the files of a plan that are not there in words, parts by their numbers; nothing where all are."""
    missing, known, count = [], [part_of(name) for name in units(there)], plan.part_count
    for split in plan.splits:
        # Work by what is there: a plan may claim any number of parts.
        found = sorted(part[2] for part in known if part and part[0].startswith(f"{split}/") and part[3] == count)
        gaps = [(one + 1, other) for one, other in pairwise((-1, *found, count)) if other > one + 1]
        if gaps:
            lacking = sum(last - first for first, last in gaps)
            missing.append(f"{split} {'part' if lacking == 1 else 'parts'} {_runs(gaps)} of {count}")
    kinds = plan.attribute_fingerprints if attributes else {}
    return "; ".join([*missing, *(ATTRIBUTE_FILES[kind] for kind in kinds if ATTRIBUTE_FILES[kind] not in there)])


def _runs(gaps: Sequence[tuple[int, int]]) -> str:
    """Return runs of numbers, each from a first to a last that is not included, the first few: 3, 5-9 and 12 more."""
    shown = ", ".join(f"{first}-{last - 1}" if last > first + 1 else f"{first}" for first, last in gaps[:_SHOWN_RUNS])
    more = sum(last - first for first, last in gaps[_SHOWN_RUNS:])
    return f"{shown} and {more} more" if more else shown


def _content(store: Store, name: str) -> bytes:
    try:
        with store.open(name) as file:
            return file.read()
    except PermissionError:
        raise
    except OSError as error:
        raise InputError(f"{store.path / name} cannot be read: {error.strerror or error}", ELSEWHERE) from None
