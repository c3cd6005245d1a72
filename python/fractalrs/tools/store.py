"""Where bytes go: one small protocol, and the local folder as its implementation.

What has a name in a store is whole; names have slashes inside, such as ``train/part-00000-of-00001.parquet``. Nothing
here renames what is visible or knows folders, so that an object store can do the same: `claim` is its put that fails
where something is, `staging` a scratch folder of this machine.
"""

import errno
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar, runtime_checkable

from fractalrs.errors import OutputError
from fractalrs.tools import machine
from fractalrs.tools.atomic import flush, make_folder
from fractalrs.tools.locks import lock, lock_file
from fractalrs.tools.sealed import FileReport, read_labelled
from fractalrs.tools.shown import Shown

_Job = TypeVar("_Job")

logger = logging.getLogger(__name__)

_LITTER = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", "_SUCCESS", "*.crc", ".nfs*")
"""What file managers, engines and network file systems leave in any folder: neither ours nor in the way."""
_LOCK = ".fractalrs.lock"
_ALIVE = "alive"
_STAGING = re.compile(r"\.fractalrs-[0-9a-f]{16}")
_PATIENCE = 0.5
"""Seconds: somebody who ends holds the lock for a moment."""
_ABANDONED = 86_400.0
"""Seconds: where files cannot be locked, a writer that published nothing for a day is dead."""
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def is_litter(name: str) -> bool:
    """Return whether file managers or engines leave files of this name anywhere."""
    *folders, last = name.split("/")
    return "lost+found" in folders or any(fnmatch(last, pattern) for pattern in _LITTER)


def visible(path: str) -> str:
    """Return a path without the hidden folder in which its file is made."""
    return re.sub(rf"{_STAGING.pattern}[/\\]", "", path)


def busy(store: "Store") -> OutputError:
    """Return the refusal of a place that somebody else has locked."""
    return OutputError(f"another run is writing to {store.path}", hint="wait for it to end, or choose another folder")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Say what the system refuses of a place before anything is written there."""
    try:
        yield
    except OSError as error:
        message = f"{error.filename or path} cannot be used: {error.strerror or error}"
        raise OutputError(message, "change its permissions, or choose another folder") from error


@dataclass(frozen=True, repr=False)
class RemotePath(Shown):
    """Where something is in a store that is no local folder; it reads as its URL.

    Examples
    --------
    >>> from fractalrs import ObjectStore
    >>> str(ObjectStore("s3://bucket/out").path / "train")
    's3://bucket/out/train'
    """

    url: str
    store: "Store" = field(repr=False)
    name: str = ""

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(self.url, self.store, f"{self.name}/{name}" if self.name else name)

    def __str__(self) -> str:
        return f"{self.url}/{self.name}" if self.name else self.url

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return self.store.open(self.name)


@runtime_checkable
class Store(Protocol):
    """Where the files of a data set are."""

    @property
    def path(self) -> Path | RemotePath:
        """What its files are named by."""

    def check(self) -> None:
        """Refuse a place that cannot be written to."""

    def free(self) -> int:
        """Return how many bytes can still be written on this machine."""

    def require_room(self, size: float, freed: float, piece: float, threads: int, hint: str) -> None:
        """Refuse too little room for so many bytes, in pieces of which threads make some at a time."""

    def list(self) -> dict[str, int]:
        """Return names and sizes of all files, but for litter and what is not whole yet."""

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those of some files that are there."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""

    def known(self, name: str) -> tuple[dict[str, str], FileReport]:
        """Return labels and what is known of a Parquet file that was sealed; see `read_labelled`."""

    def local(self, names: Iterable[str]) -> AbstractContextManager[Path]:
        """Return a local folder that has these files, until the context ends."""

    def put(self, name: str, content: bytes) -> None:
        """Put a file, in place of what is there."""

    def claim(self, name: str, content: bytes) -> bool:
        """Put a file where nothing of that name is; return whether it was put. Of two at once one wins."""

    def restrict(self, folder: str) -> None:
        """Let nobody but the owner read what is, or will be, in a folder, as far as the place knows owners."""

    def staging(self) -> "AbstractContextManager[LocalStaging]":
        """Begin a folder to make files in; what is not published goes when the context ends."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, if they are there, in any order; whoever crashes later finds them gone."""

    def locked(self, *, shared: bool = False) -> AbstractContextManager[None]:
        """Keep others out, or only those who do not share; the lock ends with the process, however that ends."""

    def is_locked(self) -> bool:
        """Return whether anybody holds the lock."""

    def clear(self) -> None:
        """Delete what writers that are dead have left."""


@dataclass(frozen=True, repr=False)
class LocalStore(Shown):
    """A local folder, or one on a network file system.

    Writers are known to be alive by locks on regular files opened for writing, which network file systems have too.
    Without any locks writers go on: all they put is whole. Runs of one plan put the same for the same name; those of
    two plans are not kept apart here: who writes looks before each put whether what is there is still its own.
    """

    path: Path

    def check(self) -> None:
        """Refuse a folder that cannot be created or written to."""
        with _refusing(self.path):
            if self.path.is_symlink() and not self.path.exists():
                raise OutputError(
                    f"{self.path} is a link that leads nowhere", hint="delete it, or choose another folder"
                )
            if not self.path.exists():
                machine.require_place(self.path)
            elif not self.path.is_dir():
                raise OutputError(f"{self.path} is a file", hint="name a folder that does not exist yet")
            elif not os.access(self.path, os.W_OK | os.X_OK):
                raise OutputError(
                    f"{self.path} may not be written to", hint="change its permissions, or choose another folder"
                )

    def free(self) -> int:
        """Return the free bytes of the disk, and those of unfinished files of the dead."""
        return machine.free_disk(self.path) + sum(sum(_sizes(folder).values()) for folder in self._dead())

    def require_room(self, size: float, freed: float, piece: float, threads: int, hint: str) -> None:  # noqa: ARG002
        """Refuse a disk with too little room for so many bytes, if so many are freed."""
        machine.require_disk(self.path, size, hint, int(self.free() + freed))

    def list(self) -> dict[str, int]:
        """Return names and sizes of all files; a link to a folder is one, and so is ``NAME/`` that may not be read."""
        with _refusing(self.path):
            found = _sizes(self.path)
        own = (name for name in found if not (name == _LOCK or _STAGING.fullmatch(name.partition("/")[0])))
        return {name: found[name] for name in own if not is_litter(name)}

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those of some files that are there."""
        found = {}
        for name in names:
            with suppress(FileNotFoundError):
                if (file := self.path / name).is_file():
                    found[name] = file.stat().st_size
        return found

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        return (self.path / name).open("rb")

    def known(self, name: str) -> tuple[dict[str, str], FileReport]:
        """Return labels and what is known of a Parquet file: all of it is read."""
        with self.open(name) as file:
            return read_labelled(file)

    @contextmanager
    def local(self, names: Iterable[str]) -> Iterator[Path]:  # noqa: ARG002
        """Return the folder itself."""
        yield self.path

    def put(self, name: str, content: bytes) -> None:
        """Put a file, in place of what is there."""
        with self.staging() as staging:
            staging.path(name).write_bytes(content)
            staging.publish(name)

    def claim(self, name: str, content: bytes) -> bool:
        """Put a file where nothing of that name is; return whether it was put."""
        with self.staging() as staging:
            made, final = staging.path(name), self.path / name
            made.write_bytes(content)
            flush(made)
            make_folder(final.parent)
            try:
                os.link(made, final)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                # File systems without hard links are not those that several machines write to.
                if final.exists():
                    return False
                made.replace(final)
            flush(final.parent)
            return True

    def restrict(self, folder: str) -> None:
        """Let nobody but the owner read what is, or will be, in a folder."""
        place = self.path / folder
        make_folder(self.path)
        place.mkdir(mode=0o700, exist_ok=True)
        flush(self.path)
        # Not where it is somebody else's.
        with suppress(OSError):
            place.chmod(0o700)

    @contextmanager
    def staging(self) -> Iterator["LocalStaging"]:
        """Begin a hidden folder to make files in; it is deleted when the context ends."""
        alive = None
        while alive is None:
            folder = self.path / f".fractalrs-{secrets.token_hex(8)}"
            make_folder(folder.parent)
            folder.mkdir()
            alive = lock_file(folder / _ALIVE)
        staging = LocalStaging(self.path, folder, set())
        try:
            yield staging
            for parent in staging.touched:
                flush(parent)
        finally:
            try:
                os.close(alive)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                # Ctrl-C may have come in between.
                shutil.rmtree(folder, ignore_errors=True)

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, if they are there, and folders that are empty then."""
        touched: set[Path] = set()
        for name in names:
            (self.path / name).unlink(missing_ok=True)
            touched.update(Path(name).parents)
        # Deepest first; the store itself, whose parts are none, is last.
        for folder in sorted(touched, key=lambda folder: -len(folder.parts)):
            there = self.path / folder
            # What is left may be litter.
            if folder.parts and there.is_dir() and not any(there.iterdir()):
                there.rmdir()
            elif there.is_dir():
                flush(there)

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        """Keep others out, or only those who do not share; refuse a place where somebody else is."""
        place, give_up = self.path / _LOCK, time.monotonic() + _PATIENCE
        with _refusing(place):
            make_folder(self.path)
            while (descriptor := lock_file(place, shared)) is None:
                if time.monotonic() > give_up:
                    raise busy(self)
                time.sleep(0.02)
        try:
            yield
        finally:
            # Whoever is the last deletes it; who waits for it sees that it is no longer the file of that name.
            if not shared or lock(descriptor) is not False:
                place.unlink(missing_ok=True)
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Return whether anybody holds the lock; this writes nothing."""
        place = self.path / _LOCK
        with _refusing(place):
            try:
                descriptor = os.open(place, os.O_RDWR)
            except (FileNotFoundError, NotADirectoryError):
                return False
        try:
            return lock(descriptor) is False
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Delete the unfinished files of writers that are dead."""
        for folder in self._dead():
            shutil.rmtree(folder, ignore_errors=True)

    def _dead(self) -> Iterator[Path]:
        """Find the folders of writers that are dead, and hold each so that nobody else takes it for a living one's."""
        for folder in sorted(found for found in self.path.glob(".fractalrs-*") if _STAGING.fullmatch(found.name)):
            try:
                # A writer that begins at this moment finds it locked, and begins elsewhere.
                alive = os.open(folder / _ALIVE, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:
                # Gone meanwhile, or of another user: not ours to clear.
                continue
            locked, age = lock(alive), time.time() - os.fstat(alive).st_mtime
            if locked or (locked is None and age > _ABANDONED):
                yield folder
            os.close(alive)


@dataclass(frozen=True)
class LocalStaging:
    """A hidden folder of one writer's own in a `LocalStore`, locked as long as its writer lives.

    Files are made here before they are put into the store; an object store's has `publish` and `rounds` of its own.
    """

    store: Path
    folder: Path
    touched: set[Path]

    def path(self, name: str) -> Path:
        """Return a local path at which to make the file that will have this name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def publish(self, name: str, *, flushed: bool = False) -> None:
        """Put what was made for this name into the store, in place of what is there; flush it first if nobody did."""
        made, final = self.folder / name, self.store / name
        if not flushed:
            flush(made)
        make_folder(final.parent)
        made.replace(final)
        # Others may have made its folders, and not have flushed them yet. Files are many, folders are few.
        if final.parent not in self.touched:
            self.touched.update(folder for folder in final.parents if folder.is_relative_to(self.store.parent))
        os.utime(self.folder / _ALIVE)

    def rounds(self, jobs: Sequence[_Job], threads: int) -> Iterator[Sequence[_Job]]:  # noqa: ARG002
        """Return what may be made at a time: all, as what is made takes no more room than what is published."""
        yield jobs

    def finished(self) -> list[str]:
        """Return the names for which a file is at its path; what the core still writes is hidden."""
        return sorted(name for name in _sizes(self.folder) if not Path(name).name.startswith(".") and name != _ALIVE)


def _sizes(path: Path) -> dict[str, int]:
    """Return the size of every file below a folder; what is deleted meanwhile does not count."""
    found: dict[str, int] = {}
    with suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                try:
                    below = _sizes(path / entry.name)
                except PermissionError:
                    below = {"": 0}
                found |= {f"{entry.name}/{name}": size for name, size in below.items()}
            else:
                with suppress(FileNotFoundError):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
                    if not (entry.is_symlink() or entry.is_file()):
                        # Whoever opens one may wait for ever.
                        message = f"{path / entry.name} is neither a file nor a folder"
                        raise OutputError(message, hint="take it away, and give the command again")
    return found
