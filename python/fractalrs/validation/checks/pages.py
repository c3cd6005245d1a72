"""Where the pages of a Parquet file are, by their own headers: what is damaged between them is damage of values."""

from typing import BinaryIO

import pyarrow.parquet as pq

from fractalrs.tools import DAMAGE

_MAGIC = b"PAR1"
_TYPE_BOOLS, _TYPE_BYTE, _TYPE_INTS, _TYPE_DOUBLE, _TYPE_BINARY, _TYPE_STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, 12
_COMPRESSED_SIZE = 3
"""Number of a field of a page's header: how many bytes follow it."""


def has_whole_pages(file: BinaryIO, footer: pq.FileMetaData) -> bool:
    """Return whether column chunks follow each other up to the footer, and in each its pages.

    Source
    ------
    https://parquet.apache.org/docs/file-format/ and Thrift's compact protocol, in which headers are written.
    """
    end = len(_MAGIC)
    try:
        for group in map(footer.row_group, range(footer.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                first = (
                    column.data_page_offset if column.dictionary_page_offset is None else column.dictionary_page_offset
                )
                if first != end or column.total_compressed_size < 0:
                    return False
                file.seek(end)
                if not _are_pages(file.read(column.total_compressed_size)):
                    return False
                end += column.total_compressed_size
        file.seek(-8, 2)
        # Indexes may stand between.
        return end <= file.tell() - int.from_bytes(file.read(4), "little")
    except DAMAGE:
        return False


def _are_pages(chunk: bytes) -> bool:
    at = 0
    while at < len(chunk):
        at, fields = _struct(chunk, at)
        at += fields[_COMPRESSED_SIZE]
    return at == len(chunk)


def _struct(data: bytes, at: int) -> tuple[int, dict[int, int]]:
    """Return where a struct ends, and its whole numbers by the numbers of their fields."""
    number, found = 0, dict[int, int]()
    while kind := data[at] & 15:
        step, at = data[at] >> 4, at + 1
        if step:
            number += step
        else:
            number, at = _integer(data, at)
        if kind in _TYPE_INTS:
            found[number], at = _integer(data, at)
        elif kind == _TYPE_STRUCT:
            at, _ = _struct(data, at)
        elif kind == _TYPE_BINARY:
            size, at = _varint(data, at)
            at += size
        elif kind in (_TYPE_BYTE, _TYPE_DOUBLE):
            at += 1 if kind == _TYPE_BYTE else 8
        elif kind not in _TYPE_BOOLS:
            raise ValueError(f"a header has a field of type {kind}")
    if not all(value >= 0 for value in found.values()):
        raise ValueError("a size is negative")
    return at + 1, found


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
