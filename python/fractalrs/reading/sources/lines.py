"""Text with one user per line: ``user item item ...``, opened by the format of text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from fractalrs.errors import InputError
from fractalrs.reading.layout import UNIT_SEPARATOR, Layout
from fractalrs.reading.source import Source

LONGEST_LINE_BYTES = 64 << 20
"""An active user's line can be long."""


@dataclass(frozen=True, kw_only=True)
class LinesSource(Source):
    """A text file with one user per line, of which is known how it is written."""

    layout: Layout
    threads: int | None
    block_bytes: int

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read users and items, and ratings where the items are ``item:count``."""
        chunks: dict[str, list[pa.Array]] = {role: [] for role in self.names or ()}
        lines_before = self.layout.first_line
        for lines in text_lines(self.layout, self.name, self.threads, self.block_bytes):
            for role, column in self._split(lines, lines_before).items():
                chunks[role].append(column)
            lines_before += len(lines)
        return pa.table({role: pa.chunked_array(chunks[role]) for role in positions})

    def _split(self, lines: pa.StringArray, lines_before: int) -> dict[str, pa.Array]:
        layout = self.layout
        trimmed = pc.utf8_trim_whitespace(lines)
        white = layout.delimiter == " "
        tokens = pc.utf8_split_whitespace(trimmed) if white else pc.split_pattern(trimmed, layout.delimiter)
        flat = tokens.flatten()
        counts = tokens.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        starts = np.cumsum(counts) - counts
        missing = pc.equal(flat, "").to_numpy(zero_copy_only=False)
        missing[starts[counts == 1]] = False  # an empty line, or a user without items, says nothing
        self._refuse(missing, starts, lines_before, "an id is missing")
        is_item = np.ones(len(flat), dtype=bool)
        is_item[starts] = False
        items = flat.filter(pa.array(is_item))
        first = flat.take(pa.array(starts))
        if layout.counted:
            wrong = self._miscounted(first, counts)
            self._refuse(wrong, np.arange(len(wrong)), lines_before, "its first number does not count the others")
            users = pc.dictionary_encode(pa.array(np.arange(len(lines)) + lines_before + 1))
        else:
            users = pc.dictionary_encode(first)
        codes = np.repeat(users.indices.to_numpy(zero_copy_only=False), counts - 1)
        columns = {"user_id": pa.DictionaryArray.from_arrays(pa.array(codes), users.dictionary)}
        if layout.weighted:
            odd = np.zeros(len(flat), dtype=bool)
            is_weighted = pc.match_substring_regex(items, r"^[^:\s]+:\d{1,15}(\.\d+)?$")
            odd[is_item] = ~is_weighted.to_numpy(zero_copy_only=False)
            self._refuse(odd, starts, lines_before, "this is not item:count")
            halves = pc.split_pattern(items, ":").flatten()
            columns["rating"] = halves.take(pa.array(np.arange(1, len(halves), 2))).cast(pa.float64())
            items = halves.take(pa.array(np.arange(0, len(halves), 2)))
        return columns | {"item_id": pc.dictionary_encode(items)}

    def _miscounted(self, first: pa.StringArray, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        said = pc.equal(first, pa.array(counts - 1).cast(pa.string())).to_numpy(zero_copy_only=False)
        empty = pc.equal(first, "").to_numpy(zero_copy_only=False)
        miscounted: npt.NDArray[np.bool_] = np.logical_not(said | ((counts == 1) & empty))
        return miscounted

    def _refuse(
        self, bad: npt.NDArray[np.bool_], starts: npt.NDArray[np.int64], lines_before: int, problem: str
    ) -> None:
        if bad.any():
            line = int(np.searchsorted(starts, np.flatnonzero(bad)[0], side="right")) + lines_before
            raise InputError(f"{self.name}, line {line}: {problem}", hint="correct or remove the line")


def text_lines(layout: Layout, name: str, threads: int | None, block_bytes: int) -> Iterator[pa.StringArray]:
    """Yield the lines of a text, many at a time, after those that come before its rows."""
    try:
        with layout.stream() as stream:
            batches: Any = pa_csv.open_csv(
                stream,
                read_options=pa_csv.ReadOptions(
                    use_threads=threads != 1,
                    block_size=block_bytes,
                    column_names=["line"],
                    skip_rows=layout.first_line,
                ),
                parse_options=pa_csv.ParseOptions(delimiter=UNIT_SEPARATOR, quote_char=False, ignore_empty_lines=False),
                convert_options=pa_csv.ConvertOptions(
                    column_types={"line": pa.string()}, null_values=[], strings_can_be_null=False
                ),
            )
            for batch in batches:
                yield batch.column(0)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{name} cannot be read line by line: {error}",
            hint="if it is not in UTF-8, say text_encoding (--text-encoding)",
        ) from None
