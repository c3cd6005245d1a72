"""How the bytes of a file of text are stored: packed or not, in which encoding. Opened, they are UTF-8."""

import codecs
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from fractalrs.errors import InputError

HEAD_BYTES = 1 << 20
COMPRESSED_SUFFIXES = (".gz", ".zst", ".zstd", ".bz2")
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
_MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Byte order marks, longer ones first."""
_BLOCK_BYTES = 1 << 20
_LINE_END = re.compile(rb"\r\n|\n|\r")

Change = Callable[[bytes, bool], bytes]
"""What becomes of a block of bytes, the next one of a stream; whether it is the last."""


@dataclass(frozen=True)
class Stored:
    """A file of text: where it is, what messages call it, and how it is stored.

    `compression` is ``"gzip"``, ``"zstd"``, ``"bz2"`` or `None`; `encoding` is `None` for UTF-8.
    """

    path: Path
    name: str
    compression: str | None
    encoding: str | None

    @classmethod
    def find(cls, path: Path, name: str | None = None, encoding: str | None = None) -> "Stored":
        """Return how a file is stored, by its first bytes; an encoding that is said wins."""
        with path.open("rb") as file:
            magic = file.read(4)
        compression = next((name for start, name in _COMPRESSIONS.items() if magic.startswith(start)), None)
        found = cls(path, name or str(path), compression, None)
        if encoding is None:
            head = found.raw_head(4)
            encoding = next((word for mark, word in _MARKS.items() if head.startswith(mark)), None)
        return cls(path, found.name, compression, encoding)

    @property
    def suffix(self) -> str:
        """The suffix that tells something: before that of a compression, in lower case."""
        inner = Path(self.path.stem) if self.path.suffix.lower() in COMPRESSED_SUFFIXES else self.path
        return inner.suffix.lower()

    @property
    def how(self) -> str:
        """What notes say of it: nothing for plain UTF-8."""
        packed = f", {self.compression}-compressed" if self.compression else ""
        return packed + (f", in {self.encoding}" if self.encoding else "")

    def raw_head(self, size: int = HEAD_BYTES) -> bytes:
        """Return the first bytes, unpacked, whatever their encoding."""
        with self._unpacked() as stream:
            return bytes(stream.read(size))

    @contextmanager
    def stream(self, change: Change | None = None) -> Iterator[Any]:
        """Open a stream of the bytes in UTF-8, changed block by block; reading says where they are damaged."""
        with self._unpacked() as stream:
            if self.encoding is not None:
                stream = changed(stream, Decoder(self.name, self.encoding))
            yield stream if change is None else changed(stream, change)

    @contextmanager
    def _unpacked(self) -> Iterator[Any]:
        try:
            with pa.input_stream(str(self.path), compression=self.compression) as stream:
                yield stream
        except OSError as error:
            if self.compression is None:
                raise
            raise InputError(f"{self.name} is damaged: {error}", hint="fetch the file again") from None


class BlockStream(io.RawIOBase):
    """A binary stream of blocks; it hands out no more than is asked for."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._ready = b""
        self._at = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`; all of them if that is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK_BYTES), b""))
        while self._at >= len(self._ready):
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._ready, self._at = block, 0
        start, self._at = self._at, self._at + size
        return self._ready[start : self._at]


def changed(stream: Any, change: Change) -> BlockStream:
    """Return a stream whose blocks are changed."""

    def blocks() -> Iterator[bytes]:
        while block := bytes(stream.read(_BLOCK_BYTES)):
            yield change(block, False)
        yield change(b"", True)

    return BlockStream(blocks())


def without_lines(stream: Any, lines: int) -> Iterator[bytes]:
    """Yield a text in blocks without its first lines and a byte order mark; what it holds then ends with a newline."""
    head, last = b"", b""
    while lines and (block := bytes(stream.read(_BLOCK_BYTES))):
        head += block
        ends = [found.end() for found in islice(_LINE_END.finditer(head, 0, max(0, len(head) - 1)), lines)]
        if len(ends) == lines:
            head, lines = head[ends[-1] :], 0
    head = b"" if lines else head or bytes(stream.read(_BLOCK_BYTES))
    block = head.removeprefix(codecs.BOM_UTF8)
    while block:
        yield block
        last, block = block[-1:], bytes(stream.read(_BLOCK_BYTES))
    if last not in (b"", b"\n"):
        yield b"\n"


class Decoder:
    """Turns text of an encoding into UTF-8; an error has the number of the line."""

    def __init__(self, name: str, encoding: str) -> None:
        self._name = name
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._lines = 1

    def __call__(self, block: bytes, last: bool) -> bytes:
        """Return a block in UTF-8."""
        try:
            text = self._decoder.decode(block, last)
        except UnicodeError as error:
            start = error.start if isinstance(error, UnicodeDecodeError) else 0
            before = block[:start].decode(self._encoding, errors="ignore").count("\n")
            raise InputError(
                f"{self._name}, line {self._lines + before}: this is not {self._encoding}: {error}",
                hint="say in which encoding the file is with text_encoding (--text-encoding)",
            ) from None
        self._lines += text.count("\n")
        # Half a pair of UTF-16 is nothing that UTF-8 could say.
        return text.encode(errors="replace")


class WholeLines:
    """Changes a text by whole lines: a block that ends within one is kept until the rest comes."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self._change = change
        self._rest = b""

    def __call__(self, block: bytes, last: bool) -> bytes:
        """Return the lines that end in a block, changed."""
        text = self._rest + block
        # A line may end with a carriage return alone, but not before a newline that comes with the next block.
        end = len(text) if last else 1 + max(text.rfind(b"\n"), text.rfind(b"\r", 0, len(text) - 1))
        self._rest = text[end:]
        return self._change(text[:end])


def checked_encoding(encoding: object) -> str | None:
    """Return the name of an encoding as Python calls it, `None` for UTF-8; refuse what is none.

    Examples
    --------
    >>> checked_encoding("Latin-1"), checked_encoding("utf8")
    ('iso8859-1', None)
    """
    if encoding is None:
        return None
    if not isinstance(encoding, str):
        raise InputError(f"text_encoding is {encoding!r}", hint="give a name, such as latin-1")
    try:
        name = codecs.lookup(encoding).name
        "a".encode(name).decode(name)
    except (LookupError, ValueError, TypeError):
        raise InputError(
            f"unknown text_encoding {encoding!r}", hint="use a name such as utf-8, latin-1, cp1252, gbk or utf-16"
        ) from None
    return None if name in ("utf-8", "utf-8-sig", "ascii") else name
