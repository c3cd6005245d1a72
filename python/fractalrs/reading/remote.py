"""Sources elsewhere: URLs that pyarrow's file systems reach are fetched into a temporary folder."""

import os
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeGuard
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from fractalrs.errors import InputError
from fractalrs.reading.scratch import Scratch
from fractalrs.reading.source import Asked, Source, open_path
from fractalrs.tools import url_scheme

_FETCHED = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
_KNOWN = f"a path, file://, or {', '.join(f'{scheme}://' for scheme in _FETCHED)}"


def is_remote(source: str | os.PathLike[str]) -> TypeGuard[str]:
    """Return whether a source is given by a URL."""
    return isinstance(source, str) and url_scheme(source) is not None


def open_remote(url: str, asked: Asked) -> Source:
    """Return what is at a URL, opened.

    Raises
    ------
    InputError
        If no file system reaches it, or it cannot be fetched.
    FileNotFoundError
        If nothing is there.
    """
    scheme = url_scheme(url)
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise InputError(f"{url} names the machine {parts.netloc!r}", hint="a local file is file:///path/to/it")
        return open_path(Path(unquote(parts.path)), asked)
    if scheme in ("http", "https", "ftp"):
        raise InputError(f"{url} is not read from the network", hint=f"fetch it first: curl -LO '{url}'")
    if scheme not in _FETCHED:
        raise InputError(f"{url}: {scheme}:// is nothing that is read", hint=f"give {_KNOWN}")
    scratch, path = _fetched(url)
    source = open_path(path, replace(asked, name=url))
    return replace(source, held=(scratch, source.held), notes=(f"Fetched {url}.", *source.notes))


def _fetched(url: str) -> tuple[Scratch, Path]:
    # Not loaded by anything else.
    import pyarrow.fs as pa_fs

    try:
        system, path = pa_fs.FileSystem.from_uri(url)
        found = system.get_file_info(path)
        if found.type == pa_fs.FileType.NotFound:
            raise FileNotFoundError(2, "no such file or folder", url)
        is_folder = found.type == pa_fs.FileType.Directory
        inside = system.get_file_info(pa_fs.FileSelector(path, recursive=True)) if is_folder else [found]
        scratch = Scratch(url, sum(one.size or 0 for one in inside))
        target = scratch.path / PurePosixPath(path).name
        what = pa_fs.FileSelector(path, recursive=True) if is_folder else path
        target.mkdir() if is_folder else None
        pa_fs.copy_files(what, str(target), source_filesystem=system, destination_filesystem=pa_fs.LocalFileSystem())
    except (FileNotFoundError, InputError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{url} cannot be fetched: {_first_line(error)}", hint="see that it is there, and who may read it"
        ) from None
    return scratch, target


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:300]
