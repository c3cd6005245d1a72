"""Files that know themselves again by a seal: any byte of them that is not what it was is noticed.

In a Parquet file it stands in the footer, beside labels: the BLAKE3 digest of the whole file with zeros in the seal's
place. NumPy's arrays have it at their end, where NumPy does not look, JSON objects under the name ``seal``.
"""

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs._core import digest_file
from fractalrs.tools.digest import Digest, digest_of_json
from fractalrs.tools.progress import ProgressCallback

SEAL = "fractalrs.blake3"
_BLANK = b"0" * 64
_CHUNK = 1 << 22
_LENGTH_AND_MAGIC = 8
"""Bytes after the footer: how long it is, and "PAR1"."""


class FileReport(TypedDict):
    """What is known of a finished file: its rows and bytes, and the BLAKE3 digest of its bytes, in hex."""

    rows: int
    bytes: int
    blake3: str


class DigestingFile(io.RawIOBase):
    """A file to write to that knows the size and the digest of what was written, and perhaps passes it on."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self._file = file
        self._digest = Digest()
        self._held: bytearray | None = None
        self.bytes = 0

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Take some bytes."""
        if self._held is not None:
            self._held += data
            return len(data)
        if self._file is not None:
            self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
        return len(data)

    def hold(self) -> None:
        """Hold back what comes now, the end of a file, until it is sealed."""
        self._held = bytearray()

    def seal(self) -> None:
        """Write what was held back, with the seal in the last place that is blank."""
        assert self._held is not None
        held, self._held = self._held, None
        sealed = self._digest.copy()
        sealed.update(held)
        place = held.rindex(_BLANK)
        held[place : place + len(_BLANK)] = sealed.hex().encode()
        self.write(held)

    @property
    def blake3(self) -> str:
        """The BLAKE3 digest, in hex, of what was written so far."""
        return self._digest.hex()


def parquet_writer(sink: Any, schema: pa.Schema, compression: str, **options: Any) -> pq.ParquetWriter:
    """Open a writer with a compression as `ParquetOptions` names it; the schema is Parquet's alone."""
    name, _, level = compression.removesuffix(")").partition("(")
    options |= {"compression": name, "compression_level": int(level) if level else None, "store_schema": False}
    return pq.ParquetWriter(sink, schema, **options)


def row_groups(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Gather batches into tables of so many rows or a batch more, and the last: a row group each.

    Examples
    --------
    >>> batches = pa.table({"user_id": range(10)}).to_batches(max_chunksize=3)
    >>> [len(table) for table in row_groups(batches, 5)]
    [6, 4]
    """
    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        gathered.append(batch)
        if sum(map(len, gathered)) >= rows:
            yield pa.Table.from_batches(gathered)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered)


def write_labelled(
    file: BinaryIO | None,
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    compression: str,
    row_group_size: int,
    labels: Mapping[str, str],
    report: ProgressCallback = lambda *_: None,
    **options: Any,
) -> FileReport:
    """Write tables one after another, or into nothing; the footer has the labels and the seal.

    `report` is told of the rows and the tables written so far.
    """
    rows, digest = 0, DigestingFile(file)
    with parquet_writer(digest, schema, compression, **options) as writer:
        for count, table in enumerate(tables, 1):
            writer.write_table(table, row_group_size=row_group_size)
            rows += len(table)
            report(rows, count)
        writer.add_key_value_metadata({**labels, SEAL: _BLANK.decode()})
        digest.hold()
    digest.seal()
    return {"rows": rows, "bytes": digest.bytes, "blake3": digest.blake3}


def read_labelled(stream: BinaryIO) -> tuple[dict[str, str], FileReport]:
    """Read a whole file that was sealed, by the core or by `write_labelled`: return its labels and what is known of it.

    Raises
    ------
    ValueError, KeyError, OSError, pyarrow.ArrowException
        If it is not a Parquet file, has no seal, or any byte of it is not what it was.
    """
    metadata = pq.read_metadata(stream)
    labels = {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items()}
    seal = labels[SEAL].encode()
    size = stream.seek(-_LENGTH_AND_MAGIC, io.SEEK_END) + _LENGTH_AND_MAGIC
    footer = size - _LENGTH_AND_MAGIC - int.from_bytes(stream.read(4), "little")
    stream.seek(footer)
    place = footer + stream.read().rindex(seal)
    stream.seek(0)
    blanked = Digest()
    while chunk := stream.read(min(_CHUNK, place - stream.tell())):
        blanked.update(chunk)
    whole, rest = blanked.copy(), stream.read()
    whole.update(rest)
    blanked.update(_BLANK + rest[len(_BLANK) :])
    if blanked.hex().encode() != seal:
        raise ValueError("the bytes are not those that were sealed")
    return labels, {"rows": metadata.num_rows, "bytes": size, "blake3": whole.hex()}


def write_sealed(file: Path, arrays: npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an array to a ``.npy`` file, or several to a ``.npz`` file, and a seal at the end.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_sealed(file := Path(folder) / "a.npz", {"a": np.arange(3)})
    ...     is_sealed(file), np.load(file)["a"].tolist()
    (True, [0, 1, 2])
    """
    if isinstance(arrays, np.ndarray):
        np.save(file, arrays, allow_pickle=False)
    else:
        np.savez(file, allow_pickle=False, **arrays)
        with file.open("r+b") as archive:
            # The last two bytes say how long the comment is that follows: the seal.
            archive.seek(-2, os.SEEK_END)
            archive.write(len(_BLANK).to_bytes(2, "little"))
    seal = digest_file(file).encode()
    with file.open("ab") as opened:
        opened.write(seal)


def is_sealed(file: Path) -> bool:
    """Return whether a file is what `write_sealed` wrote, byte for byte."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END) - len(_BLANK)
        if size < 0:
            return False
        opened.seek(0)
        pieces = iter(lambda: opened.read(min(_CHUNK, size - opened.tell())), b"")
        return Digest(pieces).hex().encode() == opened.read()


def sealed_json(content: Mapping[str, Any]) -> str:
    """Return the text of a JSON object, and in it its seal.

    Examples
    --------
    >>> text = sealed_json({"a": 1})
    >>> has_seal(json.loads(text)), has_seal(json.loads(text) | {"a": 2})
    (True, False)
    """
    return json.dumps({**content, "seal": digest_of_json(content)}, indent=2, ensure_ascii=False) + "\n"


def has_seal(content: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is what `sealed_json` wrote."""
    return content.get("seal") == digest_of_json({name: value for name, value in content.items() if name != "seal"})
