"""What comes from a file is checked before it is used: arrays before a native library sees them, texts as values.

A file may claim anything. What it claims is compared with its own size before memory is taken for it.
"""

import json
import math
import os
import struct
import tarfile
import tokenize
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fractalrs.errors import FractalrsError, InputError

DAMAGE: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, SyntaxError, tokenize.TokenError),
    *(EOFError, OSError, MemoryError, RecursionError, NotImplementedError, RuntimeError),
    *(zlib.error, zipfile.BadZipFile, tarfile.TarError, struct.error, pa.ArrowException),
)
"""What libraries raise of bytes that are not what they should be."""
BYTES: tuple[type[Exception], ...] = (
    *(UnicodeError, OverflowError, RecursionError, EOFError, zlib.error, struct.error, pa.ArrowException),
)
"""Those that only bytes make a library raise; others, of what was opened rightly, are defects of ours."""
_SYSTEM = (FileNotFoundError, PermissionError)
_MOST_PACKED = 1032
"""Deflate makes at most so many bytes of one."""
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@contextmanager
def untrusted(
    file: object,
    hint: str | None = None,
    wrong: str = "is damaged",
    damage: tuple[type[Exception], ...] = DAMAGE,
) -> Iterator[None]:
    """Read a file within this context: whatever damaged bytes make a library raise becomes one error that names it.

    What `fractalrs` itself refuses, and what is missing or may not be read, stays as it is.

    Examples
    --------
    >>> with untrusted("a.json", "fetch it again"):
    ...     json.loads("[1 2]")
    Traceback (most recent call last):
    fractalrs.errors.InputError: a.json is damaged: Expecting ',' delimiter: line 1 column 4 (char 3)
    hint: fetch it again
    """
    try:
        yield
    except (FractalrsError, *_SYSTEM):
        raise
    except damage as error:
        raise InputError(f"{file} {wrong}".rstrip() + f": {_why(error)}", hint) from None


def read_object(text: bytes | str, file: object, hint: str | None = None, wrong: str = "is damaged") -> dict[str, Any]:
    """Return the object that a text in JSON is; refuse one that is none.

    Examples
    --------
    >>> read_object(b'{"a": 1}', "a.json")
    {'a': 1}
    """
    with untrusted(file, hint, wrong):
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError("it is no object in braces")
        return content


def read_toml(file: Path, hint: str | None = None) -> dict[str, Any]:
    """Return what a file in TOML says; refuse one that is none."""
    with untrusted(file, hint, ""):
        return tomllib.loads(file.read_text(encoding="utf-8"))


def load_array(file: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    """Return the array of a ``.npy`` file, perhaps mapped into memory; refuse one that claims more than it holds.

    Raises
    ------
    ValueError, OSError, …
        See `untrusted`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.arange(3))
    ...     load_array(Path(folder) / "a.npy").tolist()
    [0, 1, 2]
    """
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        _check_array(opened, size)
        opened.seek(0)
        if mapped:
            return np.load(file, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        return np.lib.format.read_array(opened, allow_pickle=False)


def load_arrays(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a ``.npz`` file by their names; refuse one that claims more than it can hold.

    Raises
    ------
    ValueError, OSError, …
        See `untrusted`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/a.npz", a=np.arange(3), b=np.ones(2))
    ...     sorted(load_arrays(Path(folder) / "a.npz"))
    ['a', 'b']
    """
    found: dict[str, npt.NDArray[Any]] = {}
    with file.open("rb") as opened, zipfile.ZipFile(opened) as archive:
        size = os.fstat(opened.fileno()).st_size
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            packed = member.compress_size if member.compress_type != zipfile.ZIP_STORED else 0
            most = _MOST_PACKED * packed + 64 if packed else member.compress_size
            if member.compress_size > size or member.file_size > most:
                raise ValueError(f"{name!r} cannot hold {member.file_size:,} bytes")
            if name in found:
                raise ValueError(f"{name!r} is there twice")
            with archive.open(member) as one:
                _check_array(one, member.file_size)
            with archive.open(member) as one:
                found[name] = np.lib.format.read_array(one, allow_pickle=False)
                if one.read(1):
                    raise ValueError(f"{name!r} holds more than an array")
    return found


def _check_array(stream: IO[bytes], size: int) -> None:
    """Read the head of an array; refuse one of objects, or that has fewer bytes than it says."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"arrays of version {version} are not read")
    shape, _, kind = _HEADERS[version](stream)
    if kind.hasobject:
        raise ValueError("it holds Python objects")
    if not all(length >= 0 for length in shape):
        raise ValueError(f"it says it has the shape {shape}")
    need = math.prod(shape) * kind.itemsize
    if need > size - stream.tell():
        raise ValueError(f"it says it has {kind} of the shape {shape}, and is too short for that")


def whole_arrow(file: Path) -> pa.Table:
    """Return the table of an Arrow file, mapped into memory, after a look at all of it.

    Raises
    ------
    pyarrow.ArrowException, OSError, …
        See `untrusted`.
    """
    file.stat()  # pyarrow would not name a file that is missing
    table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    table.validate(full=True)
    return table


def _why(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, KeyError):
        return f"it has no {error.args[0] if error.args else 'such key'}"
    return " ".join(text.split()) or type(error).__name__
