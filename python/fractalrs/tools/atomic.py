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

    Parents of `final` are made when it appears. It may not exist yet.
    """
    there = next(parent for parent in final.absolute().parents if parent.exists())
    hidden = _temporary_path(there / final.name)
    folder = hidden / final.name
    try:
        folder.mkdir(parents=True)
        yield folder
        for entry in folder.rglob("*"):
            flush(entry)
        flush(folder)
        final.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(final)
        flush(final.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


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
