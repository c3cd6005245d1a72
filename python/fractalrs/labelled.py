"""Parquet files written from Python that know themselves again: labels in the footer, and the digest of the rest."""

import hashlib
import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs.progress import Report

if TYPE_CHECKING:
    from fractalrs.writing import FileReport


class Digest(io.RawIOBase):
    """A file to write to that knows the size and the SHA-256 of what was written, and perhaps passes it on."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Take some bytes."""
        if self._file is not None:
            self._file.write(data)
        self._sha256.update(data)
        self.bytes += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """SHA-256, in hex, of what was written so far."""
        return self._sha256.hexdigest()


def parquet_writer(sink: Any, schema: pa.Schema, compression: str, **options: Any) -> pq.ParquetWriter:
    """Open a writer with a compression as `Format` names it; the schema is Parquet's alone."""
    name, _, level = compression.removesuffix(")").partition("(")
    return pq.ParquetWriter(
        sink, schema, compression=name, compression_level=int(level) if level else None, store_schema=False, **options
    )


def write_labelled(
    file: BinaryIO | None,
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    compression: str,
    row_group_size: int,
    labels: Mapping[str, str],
    report: Report | None = None,
    **options: Any,
) -> "FileReport":
    """Write tables one after another, or into nothing; the footer has the labels, the rows and the body's digest.

    `report` is told of the rows and the tables written so far.
    """
    rows = 0
    digest = Digest(file)
    with parquet_writer(digest, schema, compression, **options) as writer:
        for count, table in enumerate(tables, 1):
            writer.write_table(table, row_group_size=row_group_size)
            rows += len(table)
            if report is not None:
                report(rows, count)
        body = {"rows": rows, "body_bytes": digest.bytes, "body_sha256": digest.sha256}
        writer.add_key_value_metadata({**labels, **{f"fractalrs.{name}": str(value) for name, value in body.items()}})
    return {"rows": rows, "bytes": digest.bytes, "sha256": digest.sha256}
