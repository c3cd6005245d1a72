"""The manifest: what is there, file by file."""

from collections.abc import Mapping
from dataclasses import dataclass

from fractalrs.words import Split


@dataclass(frozen=True)
class FileEntry:
    """A finished file: its path in the data set's folder, its rows and bytes, and the SHA-256 of its bytes, in hex."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class PartEntry:
    """A part: the expanded users ``first`` to ``last`` (not included), and its files by split."""

    first: int
    last: int
    files: Mapping[Split, FileEntry]
