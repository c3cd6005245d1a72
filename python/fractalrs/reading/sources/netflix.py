"""Blocks of one item each, as the Netflix prize data have them: a line ``item:``, then ``user,rating,date`` lines."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.errors import InputError
from fractalrs.reading.layout import Layout
from fractalrs.reading.source import Asked, BatchSource, Source, SourceFormat, register
from fractalrs.reading.sources.lines import text_lines
from fractalrs.reading.stored import Stored

_IS_BLOCKS = re.compile(rb"(\xef\xbb\xbf)?\s*\d+:\s*\r?\n\d+,[^\r\n,]+(,[^\r\n,]+)?\s*(\r?\n|\Z)")
_BLOCK_BYTES = 16 << 20


def _is_blocks(path: Path) -> bool:
    return path.is_file() and _IS_BLOCKS.match(Stored.find(path).raw_head(4096)) is not None


def _open(path: Path, asked: Asked) -> Source:
    stored = Stored.find(path, asked.name, asked.text_encoding)
    first = next(line for line in stored.raw_head(4096).decode(errors="replace").splitlines()[1:] if "," in line)
    width = first.count(",") + 1
    names = ["user_id", "item_id", "rating", "timestamp"][: width + 1]
    layout = Layout(stored=stored, format="lines", delimiter=",", sample=[])
    return BatchSource(
        name=stored.name,
        notes=(f"Read {path.name} as blocks of one item each (item:, then user,rating,date lines){stored.how}.",),
        names=names,
        batches=lambda numbers: (batch.select(numbers) for batch in _batches(layout, width, names, asked.threads)),
    )


def _batches(layout: Layout, width: int, names: list[str], threads: int | None) -> Iterator[pa.RecordBatch]:
    item, before = None, 0
    for lines in text_lines(layout, layout.stored.name, threads, _BLOCK_BYTES):
        lines = pc.utf8_trim_whitespace(lines)
        heads = pc.ends_with(lines, ":")
        cells = pc.split_pattern(lines, ",")
        lengths = cells.value_lengths().to_numpy(zero_copy_only=False)
        is_head = heads.to_numpy(zero_copy_only=False)
        is_row = ~is_head & pc.not_equal(lines, "").to_numpy(zero_copy_only=False)
        # The item of each line is that of the last head above it, perhaps in the batch before.
        found = pc.utf8_rtrim(lines.filter(heads), ":")
        items = pa.concat_arrays([pa.array([item], pa.string()), found])
        owner = np.cumsum(is_head)
        bad = is_row & ((lengths != width) | ((owner == 0) & (item is None)))
        if bad.any():
            line = int(np.argmax(bad))
            raise InputError(
                f"{layout.stored.name}, line {before + line + 1}: {lines[line].as_py()[:60]!r} is no row of {width} "
                "cells below a line with an item",
                hint="correct or remove the line",
            )
        flat = cells.filter(pa.array(is_row)).flatten()
        columns = [flat.take(pa.array(np.arange(place, len(flat), width))) for place in range(width)]
        columns.insert(1, items.take(pa.array(owner[is_row])))
        if len(columns) > 2:
            columns[2] = _numbers(columns[2], layout.stored.name)
        yield pa.RecordBatch.from_arrays(columns, names=names)
        item, before = items[-1].as_py(), before + len(lines)


def _numbers(texts: pa.StringArray, name: str) -> pa.Array:
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise InputError(f"{name}: a rating is no number: {error}", hint="correct or remove the line") from None


register(SourceFormat(("netflix",), "text in blocks of items", _is_blocks, _open, takes_encoding=True))
