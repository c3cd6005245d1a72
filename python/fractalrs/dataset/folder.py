"""The output folder: what in it is ours, what may be deleted, and how a file gets its final name whole."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such lock.
    fcntl = None  # type: ignore[assignment]

from fractalrs.dataset.plan import Plan, attribute_file, part_file
from fractalrs.errors import OutputError

PLAN = "private/plan.json"
MANIFEST = "manifest.json"
CARD = "README.md"
PRIVATE_FILES = ("plan.json", "reduced_matrix.npy", "signed_matrix.npy", "cells.npz", "base_statistics.npz")

_PRIVATE_BEGUN = ".private.tmp"
_OLD_MANIFEST = ".manifest.json.old"
"""The manifest of a data set that is being deleted and has no plan: it alone names the files that are still there."""
_MANIFEST_KEYS = {"base_users", "user_multiplier", "parts", "totals", "fingerprints"}
_DESKTOP = (".DS_Store", "Thumbs.db")
"""What file managers leave in any folder: neither ours nor in the way."""
_PART = re.compile(r"\.?part-(\d{5,})-of-(\d{5,})\.parquet(\.tmp)?")


@dataclass(frozen=True)
class Folder:
    """A data set's folder, complete, begun, or not there yet."""

    path: Path

    def plan(self) -> Plan | None:
        """Read the plan of the data set that is here, if there is one."""
        content = self._json(PLAN, {"base", "options", "recipe", "writing", "fingerprints"})
        return None if content is None else Plan(content)

    def manifest(self) -> dict[str, Any] | None:
        """Read the manifest, which is there only when the data set is complete."""
        return self._json(MANIFEST, _MANIFEST_KEYS)

    def is_half_deleted(self) -> bool:
        """Tell whether `clear` was interrupted in a data set without a plan."""
        return (self.path / _OLD_MANIFEST).exists()

    def _json(self, name: str, keys: set[str]) -> dict[str, Any] | None:
        file = self.path / name
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(content, dict) and keys <= content.keys():
                return content
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, OSError) as error:
            raise OutputError(f"{file} cannot be read: {error}", "move the folder away, or choose another") from None
        raise OutputError(f"{file} is not one of ours", hint="move the folder away, or choose another")

    def check_ours(self) -> None:
        """Refuse a folder that cannot be written, or holds anything that a plan or manifest of ours does not name."""
        if not self.path.exists():
            parent = next(parent for parent in self.path.absolute().parents if parent.exists())
            if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
                raise OutputError(f"cannot create {self.path}: {parent} is not a folder that may be written to")
            return
        if not self.path.is_dir():
            raise OutputError(f"{self.path} is a file", hint="name a folder that does not exist yet")
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise OutputError(f"{self.path} may not be written to")
        foreign = self._foreign()
        if foreign:
            shown = ", ".join(sorted(foreign)[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
            raise OutputError(
                f"{self.path} holds what is not ours: {shown}", hint="choose a new folder, or move these away"
            )

    def _foreign(self) -> list[str]:
        part_count = self._part_count()
        begun = [CARD, MANIFEST, _OLD_MANIFEST, f".{CARD}.tmp", f".{MANIFEST}.tmp"] if part_count is not None else []
        begun += [name for file in self._attribute_files() for name in (file, f".{file}.tmp")]
        foreign = []
        for entry in self.path.iterdir():
            if entry.name in begun or entry.name in _DESKTOP:
                continue
            if entry.name == _PRIVATE_BEGUN and not entry.is_symlink() and entry.is_dir():
                foreign += [f"{entry.name}/{file.name}" for file in entry.iterdir() if file.name not in PRIVATE_FILES]
            elif part_count is None or entry.is_symlink() or not entry.is_dir():
                foreign.append(entry.name)
            elif entry.name == "private":
                foreign += [f"private/{file.name}" for file in entry.iterdir() if file.name not in PRIVATE_FILES]
            elif entry.name in ("train", "test"):
                foreign += [f"{entry.name}/{file.name}" for file in entry.iterdir() if not _is_part(file, part_count)]
            else:
                foreign.append(entry.name)
        return foreign

    def _part_count(self) -> int | None:
        """How many parts the plan or a manifest here names; None where there is neither."""
        plan, manifest = self.plan(), self.manifest() or self._json(_OLD_MANIFEST, _MANIFEST_KEYS)
        if plan is not None:
            return plan.part_count
        return None if manifest is None else len(manifest["parts"])

    def _attribute_files(self) -> list[str]:
        """Name the files of attributes that the plan or a manifest here names."""
        plan, manifest = self.plan(), self.manifest() or self._json(_OLD_MANIFEST, _MANIFEST_KEYS)
        kinds = plan.attributes if plan is not None else {} if manifest is None else manifest.get("attributes", {})
        return [attribute_file(kind) for kind in ("items", "users") if kind in kinds]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder; the lock ends with the process, however that ends."""
        if fcntl is None:
            yield
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise OutputError(
                f"another run is writing to {self.path}", hint="wait for it to end, or choose another folder"
            ) from None
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Delete the data set that is here; interrupted anywhere, it leaves what can be cleared again.

        What is left never looks complete, and what names the files goes last.
        """
        count, attributes = self._part_count() or 0, self._attribute_files()
        manifest = self.path / MANIFEST
        if self.plan() is None and manifest.exists():
            manifest.replace(self.path / _OLD_MANIFEST)
        else:
            manifest.unlink(missing_ok=True)
        flush(self.path)
        self.remove_unfinished()
        for split in ("train", "test"):
            for index in range(count):
                (self.path / part_file(split, index, count)).unlink(missing_ok=True)
            if (self.path / split).is_dir():
                (self.path / split).rmdir()
        for name in (*attributes, CARD):
            (self.path / name).unlink(missing_ok=True)
        flush(self.path)
        # In one step: while the plan is there, the rest is known to be ours.
        if (self.path / "private").is_dir():
            (self.path / "private").rename(self.path / _PRIVATE_BEGUN)
            shutil.rmtree(self.path / _PRIVATE_BEGUN)
        (self.path / _OLD_MANIFEST).unlink(missing_ok=True)

    def size(self) -> int:
        """Tell the bytes of all files that are here."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def remove_unfinished(self) -> None:
        """Delete what a run that was killed left under temporary names."""
        if (self.path / _PRIVATE_BEGUN).is_dir():
            shutil.rmtree(self.path / _PRIVATE_BEGUN)
        for pattern in (".*.tmp", "train/.*.tmp", "test/.*.tmp"):
            for file in self.path.glob(pattern):
                file.unlink()

    def begin_private(self) -> Path:
        """Create the folder whose content becomes ``private/`` in one step."""
        begun = self.path / _PRIVATE_BEGUN
        begun.mkdir(parents=True)
        return begun

    def publish_private(self) -> None:
        """Give ``private/`` its name."""
        publish_folder(self.path / _PRIVATE_BEGUN, self.path / "private")

    @contextmanager
    def whole(self, name: str) -> Iterator[Path]:
        """Give a temporary name to write to: what is there at the end is flushed and renamed, or deleted on failure."""
        temporary = self.path / f".{name}.tmp"
        try:
            yield temporary
            flush(temporary)
            temporary.replace(self.path / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        flush(self.path)

    def write_text(self, name: str, text: str) -> None:
        """Write a small file whole."""
        with self.whole(name) as temporary:
            temporary.write_bytes(text.encode())

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file whole."""
        self.write_text(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def flush_names(self, splits: tuple[str, ...]) -> None:
        """Make sure that the names of finished parts outlive a power failure."""
        for split in splits:
            flush(self.path / split)


def publish_folder(begun: Path, final: Path) -> None:
    """Give a folder its final name in one step, once all that lies in it is on the disk."""
    for entry in begun.rglob("*"):
        flush(entry)
    flush(begun)
    begun.rename(final)
    flush(final.parent)


def _is_part(file: Path, part_count: int) -> bool:
    match = _PART.fullmatch(file.name)
    return match is not None and int(match[2]) == part_count and int(match[1]) < part_count


def flush(path: Path) -> None:
    """Make sure that a file, or the names in a folder, outlive a power failure."""
    if path.is_dir() and os.name == "nt":
        # Windows cannot flush folders.
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
