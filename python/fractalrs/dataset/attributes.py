"""Attributes of expanded items and users: ``items.parquet`` and ``users.parquet`` beside the interactions.

The user brings a table of the source's items, or users. It is read once, matched with the base by id, and gathered
block by block: memory holds the source's table and one row group, whatever the multipliers. Every expanded id needs one
source for that, so its cells must have one member.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fractalrs.base import Base
from fractalrs.dataset.layout import ATTRIBUTE_FILES, ParquetOptions
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, shuffle_named
from fractalrs.reading import AttributeTable
from fractalrs.tools import SILENT, DigestingFile, FileReport, Progress, Shown, in_order, parquet_writer, write_labelled
from fractalrs.words import ITEMS, USERS, Side

GROUP_ROWS = 1 << 20
"""Rows of a row group: as many whole blocks as fit, or a piece of one."""
_DICTIONARY_BYTES = 16 << 20
"""A text stands once in a row group, not once a block, as long as all texts of its column take less than this."""


@dataclass(frozen=True, eq=False, repr=False)
class Attributes(Shown):
    """Attributes of a base's items or users.

    Attributes
    ----------
    side
        Whose they are.
    table
        A row per code of the base: ``source_item_id`` (``source_user_id``), then the attributes, null where the base's
        id was not in the table.
    missing, ignored
        Ids of the base that were not in the table; rows of the table whose id is not in the base.
    group_rows
        At most so many rows are gathered at a time, but always a block: a row group.
    """

    side: Side
    table: pa.Table
    missing: int
    ignored: int
    group_rows: int = GROUP_ROWS

    @property
    def name(self) -> str:
        """The name of their file."""
        return ATTRIBUTE_FILES[self.side.plural]

    @property
    def counts(self) -> dict[str, int]:
        """How many ids of the base were in the table, how many were not, and how many rows were of no use."""
        return {"matched": len(self.table) - self.missing, "missing": self.missing, "ignored": self.ignored}

    @property
    def note(self) -> str:
        """One sentence about what was found."""
        more = f", {self.missing:,} without attributes" if self.missing else ""
        ignored = f"; {self.ignored:,} rows of other ids are left out" if self.ignored else ""
        return f"Attributes of {self.counts['matched']:,} of {len(self.table):,} {self.side}{more}{ignored}."

    @cached_property
    def fingerprint(self) -> str:
        """BLAKE3 digest, in hex, of everything that is written of them."""
        digest = DigestingFile()
        with pa.ipc.new_stream(digest, self.table.schema) as writer:
            writer.write_table(self.table)
        return digest.blake3

    def schema(self, expansion: Expansion) -> pa.Schema:
        """Columns of the file: the expanded id, the source's, the block, the attributes."""
        expanded = expansion.schema.field(self.side.id_column)
        block = pa.field(f"{self.side.singular}_block", pa.int32(), nullable=False)
        source, *others = self.table.schema
        return pa.schema([expanded, source.with_nullable(False), block, *others])

    def _group(self, expansion: Expansion, blocks: range) -> pa.Table:
        """Make the rows of as many expanded ids as a few blocks have, in their order."""
        schema, size = self.schema(expansion), len(self.table)
        ids = np.arange(blocks.start * size, blocks.stop * size)
        of_ids, codes = blocks_and_sources(expansion, self.side, ids)
        source, *others = self.table.take(pa.array(codes)).columns
        columns = [pa.array(ids, schema.field(0).type), source, pa.array(of_ids.astype(np.int32)), *others]
        return pa.table(columns, schema=schema)

    def _blocks(self, expansion: Expansion) -> list[range]:
        """Cut the blocks into runs whose rows are a row group."""
        count, step = expansion.reduced.shape[self.side.axis], max(1, self.group_rows // len(self.table))
        return [range(first, min(count, first + step)) for first in range(0, count, step)]

    def write(
        self,
        file: Path,
        expansion: Expansion,
        parquet: ParquetOptions,
        labels: Mapping[str, str],
        progress: Progress = SILENT,
        threads: int = 1,
    ) -> FileReport:
        """Write the file, with labels in its footer and a seal; rows are gathered by threads beside the writing."""
        what, rows, blocks = self.name, expansion.shape[self.side.axis], self._blocks(expansion)
        with file.open("wb") as opened, progress.task(what, rows, len(blocks)) as report:
            tables = in_order(partial(self._group, expansion), blocks, threads)
            schema, encodings, size = self.schema(expansion), self._encodings(expansion), self.group_rows
            return write_labelled(opened, tables, schema, parquet.compression, size, labels, report, **encodings)

    def expected_bytes(self, expansion: Expansion, parquet: ParquetOptions) -> int:
        """Return how many bytes the file will have, from encoding the first rows of it."""
        sink, group = pa.BufferOutputStream(), self._group(expansion, self._blocks(expansion)[0])
        with parquet_writer(sink, group.schema, parquet.compression, **self._encodings(expansion)) as writer:
            writer.write_table(group, row_group_size=self.group_rows)
        return int(sink.tell() * expansion.shape[self.side.axis] / len(group))

    def _encodings(self, expansion: Expansion) -> dict[str, Any]:
        schema = self.schema(expansion)
        return {
            # Rising ids are next to nothing as differences; everything else comes again in every block.
            "column_encoding": {schema.names[0]: "DELTA_BINARY_PACKED"},
            "use_dictionary": _leaves(schema)[1:],
            "dictionary_pagesize_limit": _DICTIONARY_BYTES,
        }


def match(table: AttributeTable, base: Base) -> Attributes:
    """Return the rows of a table in the order of a base's codes; ids are equal when they read the same.

    Raises
    ------
    InputError
        If no id is one of the base's.
    """
    side = table.side
    ids = base.item_ids if side == ITEMS else base.user_ids
    places = pc.index_in(ids.cast(pa.string()), value_set=table.ids)
    if places.null_count == len(ids):
        few, wanted = (", ".join(repr(str(one)) for one in some[:3].to_pylist()) for some in (table.ids, ids))
        raise InputError(
            f"{table.source}: no id in its column {table.id_column!r} ({few}, …) is one of the {side} of the "
            f"interactions ({wanted}, …)",
            hint=f"ids must read as in the interactions; the column of ids may be called {side.id_column}",
        )
    columns = {f"source_{side.id_column}": ids}
    for name in table.columns.column_names:
        columns[name] = table.columns.column(name).take(places).combine_chunks()
    for name, column in columns.items():
        if pa.types.is_string(column.type):
            # A block then gathers numbers of texts, not texts.
            columns[name] = column.dictionary_encode()
    ignored = len(table.ids) - len(ids) + places.null_count
    return Attributes(side, pa.table(columns), places.null_count, ignored)


def blocks_and_sources(
    expansion: Expansion, side: Side, ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.integer]]:
    """Return the block of each expanded id, and the code of its source: the only one, or any."""
    base, places = expansion.base, ids if side == USERS else expansion.places(ids)
    blocks, within = np.divmod(places, base.shape[side.axis])
    if not shuffle_named(expansion.shuffle).permutes:
        return blocks, within
    if side == ITEMS:
        wanted = ids.astype(np.uint64)
        return blocks, expansion.core.sources(base.indptr, base.entries, np.zeros_like(wanted), wanted, 1)[1]
    codes = np.empty(len(ids), np.uint32)
    for block in np.unique(blocks).tolist():
        here = blocks == block
        codes[here] = expansion.core.source_users(block)[within[here]]
    return blocks, codes


def _leaves(schema: pa.Schema) -> list[str]:
    """Return the names of columns as Parquet has them, those inside lists and structs too."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    leaves = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [leaves.column(number).path for number in range(len(leaves))]
