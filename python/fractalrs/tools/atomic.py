"""A file or a folder appears whole under its final name, or not at all: the one rule, used for all that is written.

What is written gets a temporary name beside the final one, unique to its writer, is flushed to the disk, and is then
renamed. A writer that fails deletes it; what a killed one leaves is hidden and named ``.NAME.HEX.tmp``.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fractalrs.errors import OutputError, WriteError
from fractalrs.tools.arguments import as_path
from fractalrs.tools.digest import Digest
from fractalrs.tools.locks import lock

_NO_FLUSH = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""Windows cannot flush folders, some network file systems neither, and nobody one that may not be read."""
_REMEDIES = {
    errno.ENOENT: "create its folder first",
    errno.ENOTDIR: "choose a name in a folder",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some disk, or choose another place"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a place that you may write to"),
}
"""What to do where the system refuses to write."""


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
    parents, name = final.absolute().parents, f".{final.name}.{Digest([os.fsencode(final.absolute())]).hex()[:16]}.tmp"
    # A power failure may have left parents that were made at the end, and what was made for them above.
    begun = (parent for parent in parents if os.path.lexists(parent / name))
    there = next(begun, None) or next(parent for parent in parents if parent.exists())
    with _claimed(final, there / name) as hidden:
        folder = hidden / final.name
        folder.mkdir()
        yield folder
        for entry in folder.rglob("*"):
            flush(entry)
        flush(folder)
        make_folder(final.parent)
        folder.rename(final)
        flush(final.parent)


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield a folder to fill as `whole_folder` does, and say in the user's words what the system refuses.

    Raises
    ------
    OutputError
        As from `whole_folder`, and if it cannot be begun.
    WriteError
        If writing fails midway.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with new_folder(Path(place) / "new") as folder:
    ...         (folder / "a.txt").touch()
    ...     [file.name for file in (Path(place) / "new").iterdir()]
    ['a.txt']
    """
    begun = False
    try:
        with whole_folder(final) as folder:
            begun = True
            yield folder
    except OSError as error:
        raise unwritten(final, error, begun) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text to a file, which appears whole and replaces what was there.

    Raises
    ------
    OutputError
        If it cannot be written: what was there stays.
    InputError
        If the path is none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_text(f"{place}/page.html", "<h1>Hello</h1>")
    ...     Path(f"{place}/page.html").read_text()
    '<h1>Hello</h1>'
    """
    target = as_path("path", path)
    try:
        with whole_file(target) as temporary:
            # As it is: line ends are not those of the system.
            temporary.write_bytes(text.encode())
    except OSError as error:
        raise unwritten(target, error) from error


def unwritten(final: object, error: BaseException, begun: bool = False) -> OutputError | WriteError:
    """Return in the user's words why something was not written, or not to its end, and what to do.

    Examples
    --------
    >>> print(unwritten(Path("out"), OSError(errno.ENOSPC, "")))
    cannot write out: No space left on device
    hint: free some disk, or choose another place
    """
    # The system's words, not a library's, which name the temporary file.
    number = error.errno if isinstance(error, OSError) else None
    why, hint = os.strerror(number) if number else error, _REMEDIES.get(number or 0, "choose another place")
    if begun:
        return WriteError(f"cannot write {final}: {why}", f"nothing of it is left; {hint}")
    return OutputError(f"cannot write {final}: {why}", hint)


@contextmanager
def _claimed(final: Path, hidden: Path) -> Iterator[Path]:
    """Yield the hidden folder in which a folder is made, locked and without it: refuse one that somebody else has."""
    # Folders cannot be opened on Windows, nor locked on network file systems.
    held = hidden / f"{final.name}.lock"
    while True:
        with suppress(FileExistsError):
            hidden.mkdir()
        try:
            if not stat.S_ISDIR(hidden.lstat().st_mode):
                raise OutputError(f"{hidden} is in the way, and no folder of ours", hint="delete it")
            descriptor = os.open(held, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except FileNotFoundError:
            # Whoever had it has just ended.
            continue
        locked = lock(descriptor)
        if locked is None or (locked and _is_still(descriptor, held)):
            break
        os.close(descriptor)
        if locked is False:
            raise OutputError(f"another run is making {final}", hint="wait for it to end, or choose another folder")
    # Where there are no locks, nobody knows whether its maker lives.
    place = _temporary_path(hidden.with_name(final.name)) if locked is None else hidden
    try:
        if os.path.lexists(final):
            raise OutputError(f"{final} exists already", hint="name a folder that does not exist yet")
        place.mkdir(exist_ok=True)
        shutil.rmtree(place / final.name, ignore_errors=True)
        yield place
    finally:
        if locked is None:
            # Windows deletes nothing that is open.
            os.close(descriptor)
        # Nothing but what is made here is deleted, whatever else lies there.
        shutil.rmtree(place / final.name, ignore_errors=True)
        held.unlink(missing_ok=True)
        for folder in {place, hidden}:
            with suppress(OSError):
                folder.rmdir()
        if locked is not None:
            os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    """Return whether an open file is the one of that name: who deleted it meanwhile has let it go."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing; their names outlive a power failure."""
    if not path.is_dir():
        # A drive that is not there has nothing above it: to make it says so.
        if path.parent != path:
            make_folder(path.parent)
        path.mkdir(exist_ok=True)
        flush(path.parent)


def flush(path: Path) -> None:
    """Make sure that a file, or the names in a folder, outlive a power failure."""
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not (is_folder and error.errno in _NO_FLUSH):
            raise


def _temporary_path(final: Path) -> Path:
    return final.with_name(f".{final.name}.{secrets.token_hex(8)}.tmp")
