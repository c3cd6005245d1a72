"""Archives that hold one table of interactions: ZIP, and tar packed or not. It is unpacked, and then read as a file."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, cast

from fractalrs.errors import FractalrsError, InputError
from fractalrs.reading.picking import picked
from fractalrs.reading.scratch import Scratch
from fractalrs.reading.source import Asked, Source, SourceFormat, register, starts_with
from fractalrs.reading.sources.folder import open_tables
from fractalrs.reading.stored import Stored
from fractalrs.tools import DAMAGE

_EXCEL = "xl/workbook.xml"


def _is_zip(path: Path) -> bool:
    # An empty one has only an end.
    if not (starts_with(path, b"PK\x03\x04") or starts_with(path, b"PK\x05\x06")) or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            return not names or not all(name.endswith(".npy") for name in names)
    except DAMAGE:
        return False


def _is_tar(path: Path) -> bool:
    return path.is_file() and Stored.find(path).raw_head(512)[257:262] == b"ustar"


def _open_zip(path: Path, asked: Asked) -> Source:
    with _understood(path, asked), zipfile.ZipFile(path) as archive:
        sizes = {one.filename: one.file_size for one in archive.infolist() if not one.is_dir()}
        if _EXCEL in sizes:
            raise InputError(
                f"{asked.name or path} is an Excel workbook (.xlsx), which is not read", hint="save the sheet as CSV"
            )
        with closing(_opened(archive, sizes)) as members:
            return _unpacked(path, asked, sizes, members)


def _open_tar(path: Path, asked: Asked) -> Source:
    stored = Stored.find(path)
    with _understood(path, asked):
        with stored.stream() as stream, tarfile.open(fileobj=cast("IO[bytes]", _Ending(stream)), mode="r|") as archive:
            sizes = {one.name: one.size for one in _members(archive) if one.isfile()}
        with stored.stream() as stream, tarfile.open(fileobj=cast("IO[bytes]", _Ending(stream)), mode="r|") as archive:
            members = ((one.name, archive.extractfile(one)) for one in _members(archive) if one.isfile())
            return _unpacked(path, asked, sizes, members)


def _opened(archive: zipfile.ZipFile, names: Iterable[str]) -> Generator[tuple[str, IO[bytes]]]:
    """Open one member after the other, and close it: those that are open keep the archive open too."""
    for name in names:
        with archive.open(name) as file:
            yield name, file


class _Ending:
    """A stream that fails where it is read beyond its end again and again, as for a member that claims any size."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._beyond = stream, 0

    def read(self, size: int) -> bytes:
        found = self._stream.read(size)
        self._beyond += not found
        # An archive may end without the blocks that say so.
        if self._beyond > 2:
            raise EOFError("it ends inside a member")
        return found


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield what is in an archive; of a negative size Python's library would look for the next one for ever."""
    last = 0
    for one in archive:
        if one.size < 0 or archive.offset <= last:
            raise tarfile.ReadError(f"{one.name} claims a negative size")
        last = archive.offset
        yield one


def _unpacked(
    path: Path, asked: Asked, sizes: dict[str, int], members: Iterable[tuple[str, IO[bytes] | None]]
) -> Source:
    name = asked.name or str(path)
    chosen, others = picked(list(sizes), name)
    scratch = Scratch(name, sum(sizes[one] for one in chosen))
    files = {}
    for member, content in members:
        if member in chosen and content is not None:
            # No name in an archive leads out of the folder.
            parts = [part for part in PurePosixPath(member).parts if part not in ("/", "..")]
            files[member] = scratch.path.joinpath(*parts)
            files[member].parent.mkdir(parents=True, exist_ok=True)
            with files[member].open("wb") as file:
                shutil.copyfileobj(content, file)
    source = open_tables([files[one] for one in chosen], chosen, others, name, scratch.path, asked)
    return replace(source, held=(scratch, source.held))


@contextmanager
def _understood(path: Path, asked: Asked) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise InputError(f"{asked.name or path} is damaged: {error}", hint="fetch the archive again") from None
    except (FractalrsError, FileNotFoundError, PermissionError):
        raise
    except DAMAGE as error:
        raise InputError(f"{asked.name or path} cannot be unpacked: {error}", hint="unpack it first") from None


register(SourceFormat((), "a ZIP archive", _is_zip, _open_zip, holds=True))
register(SourceFormat((), "a tar archive", _is_tar, _open_tar, holds=True))
