"""Do the files of attributes have every expanded id, with its block and its source?"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fractalrs.dataset import AttributesEntry, Dataset, arrow_file, blocks_and_sources, digest_of
from fractalrs.expansion import Expansion
from fractalrs.tools import DAMAGE
from fractalrs.validation.findings import Check
from fractalrs.words import SIDES, USERS, Side

_ROWS = 1 << 20
"""Rows looked at together: a block's permutation is made once for so many."""


def check_attributes(dataset: Dataset, expansion: Expansion | None, digests: bool) -> list[Check]:
    """Check that files of attributes have every expanded id in order, with its block and, if that is known, its source.

    Attributes themselves are checked by `digests` alone: nothing else knows them.
    """
    checks = []
    for side in reversed(SIDES):
        if (file := dataset.attributes.get(side.plural)) is not None:
            wrong = _wrong(dataset, side, file, expansion, digests)
            right = f"all {file.rows:,}, {'and' if expansion is not None else 'but not'} their sources"
            checks.append(Check(f"{file.path} has the expanded {side}", "integrity", wrong is None, wrong or right))
    return checks


def _wrong(
    dataset: Dataset, side: Side, file: AttributesEntry, expansion: Expansion | None, digests: bool
) -> str | None:
    """Return what is wrong with a file of attributes, if anything is."""
    path, one = dataset.place / file.path, side.singular
    count, size = dataset.shape[side.axis], dataset.block_shape[side.axis]
    there = dataset.store.sizes([file.path]).get(file.path)
    if there is None:
        return "it is missing"
    if digests and digest_of(dataset.store, file.path) != file.blake3:
        return "its BLAKE3 digest is not that of the manifest"
    start = 0
    try:
        with pq.ParquetFile(arrow_file(path)) as opened:
            columns = [side.id_column, f"{one}_block", f"source_{one}_id"]
            for batch in opened.iter_batches(_ROWS, columns=columns):
                stop = start + len(batch)
                ids = np.arange(start, stop)
                right = batch[side.id_column].to_numpy() == ids
                blocks = batch[f"{one}_block"].to_numpy()
                if dataset.id_order == "block" or side == USERS:
                    right &= blocks == ids // size
                else:
                    # Which of them an item has needs the source.
                    right &= (blocks >= 0) & (blocks < dataset.multipliers[side.axis])
                if expansion is not None and len(ids) and stop <= count:
                    planned, codes = blocks_and_sources(expansion, side, ids)
                    known = expansion.base.item_ids if side.axis else expansion.base.user_ids
                    found = pc.equal(batch[f"source_{one}_id"], known.take(pa.array(codes)))
                    right &= found.fill_null(False).to_numpy(zero_copy_only=False) & (blocks == planned)
                if not right.all():
                    return f"row {start + int(np.argmin(right)):,} is not that {one}'s, or has another block or source"
                start = stop
    except PermissionError:
        raise
    except DAMAGE as error:
        return f"it cannot be read: {error}"
    if start != count:
        return f"it has {start:,} rows instead of {count:,}"
    return None if there == file.bytes else f"it has {there:,} bytes instead of {file.bytes:,}"
