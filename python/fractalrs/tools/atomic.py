"""A file or a folder appears whole under its final name, or not at all: the one rule, used for all that is written.

What is written gets a temporary name beside the final one, unique to its writer, is flushed to the disk, and is then
renamed. A writer that fails deletes it; what a killed one leaves is hidden and named ``.NAME.HEX.tmp``.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fractalrs.errors import OutputError
from fractalrs.tools.digest import Digest
from fractalrs.tools.locks import lock


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """Yield a temporary path to write a file to; at the end it replaces `final`, on failure it is deleted."""
    temporary = _temporary_path(final)
    try:
        yield temporary
        flush(temporary)
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush(final.parent)


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Yield an empty temporary folder to fill; at the end it becomes `final`, on failure it is deleted.

    Parents of `final` are made when it appears. Of two writers at once one is refused, before it has begun; what one
    that was killed has left is deleted.

    Raises
    ------
    OutputError
        If it exists already, or another run is making it.
    """
    there = next(parent for parent in final.absolute().parents if parent.exists())
    with _claimed(final, there) as hidden:
        folder = hidden / final.name
        folder.mkdir()
        yield folder
        for entry in folder.rglob("*"):
            flush(entry)
        flush(folder)
        final.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(final)
        flush(final.parent)


@contextmanager
def _claimed(final: Path, there: Path) -> Iterator[Path]:
    """Yield the hidden folder in which a folder is made, empty and locked: refuse one that somebody else has."""
    hidden = there / f".{final.name}.{Digest([os.fsencode(final.absolute())]).hex()[:16]}.tmp"
    while True:
        hidden.mkdir(exist_ok=True)
        try:
            descriptor = os.open(hidden, os.O_RDONLY)
        except FileNotFoundError:
            # Whoever had it has just ended.
            continue
        locked = lock(descriptor)
        if locked is None or (locked and hidden.exists() and os.path.samestat(os.fstat(descriptor), hidden.stat())):
            break
        os.close(descriptor)
        if locked is False:
            raise OutputError(f"another run is making {final}", hint="wait for it to end, or choose another folder")
    try:
        if os.path.lexists(final):
            raise OutputError(f"{final} exists already", hint="name a folder that does not exist yet")
        # Where there are no locks, nobody knows whether its maker lives.
        hidden = _temporary_path(there / final.name) if locked is None else hidden
        hidden.mkdir(exist_ok=True)
        for left in hidden.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        os.close(descriptor)


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


def _temporary_path(final: Path) -> Path:
    return final.with_name(f".{final.name}.{secrets.token_hex(8)}.tmp")
