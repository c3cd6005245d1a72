"""How many bytes an expansion will take, on the disk and in memory."""

from fractalrs.dataset.layout import ParquetOptions
from fractalrs.expansion import Expansion, operator_named

SAMPLE_INTERACTIONS = 500_000
_THREAD_BYTES = 100 << 20
"""Column tables and a tile of one thread; a row group, and the copies the encoder makes of it, come on top."""
_SOURCE_BYTES = 4
"""Of an entry: where it stands in the base, if anything is carried."""
_TIMELINE_BYTES = 12
"""Of an entry: its time, and where it may go."""
_PROCESS_BYTES = 200 << 20
"""The interpreter and its libraries."""


def expected_bytes(expansion: Expansion, parquet: ParquetOptions) -> int:
    """Return how many bytes all files of interactions will have, from encoding a sample of them.

    Examples
    --------
    >>> import fractalrs as fr
    >>> from fractalrs.dataset import expected_bytes
    >>> base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    >>> expansion = fr.Expansion(base, [[0.5]], shuffle="aligned")
    >>> 0 < expected_bytes(expansion, fr.ParquetOptions()) < 100_000
    True
    """
    users, interactions = expansion.shape[0], expansion.expected_interactions
    wanted = min(users, max(1, int(users * SAMPLE_INTERACTIONS / max(1.0, interactions))))
    first = (users - wanted) // 2
    target: tuple[str, list[tuple[str, str]]] = ("sample", [])
    report = expansion.generator.run(
        [(0, first, first + wanted, target, target)],
        encoding=parquet.encoding,
        compression=parquet.compression,
        row_group_size=parquet.row_group_size,
        stage="encode",
        threads=1,
    )
    files = [file for part in report["parts"] for file in (part["train"], part["test"]) if file is not None]
    rows = sum(file["rows"] for file in files)
    return round(interactions * sum(file["bytes"] for file in files) / rows) if rows else 0


def memory_needed(expansion: Expansion, parquet: ParquetOptions, threads: int) -> int:
    """Return about how much memory generating and writing takes at most, in bytes.

    The base's arrays, the core's copy of them in the order of cells, and what each thread holds.
    """
    base = expansion.base
    arrays = base.indptr.nbytes + base.entries.nbytes + (0 if base.payload is None else base.payload.nbytes)
    if operator_named(expansion.options.operator).keeps_entries:
        code_bytes = 2 if base.shape[1] <= 2**15 else 4
        arrays += base.indptr.nbytes + code_bytes * base.count
    if expansion.payload.fields:
        arrays += _SOURCE_BYTES * base.count
    if expansion.options.timestamps:
        arrays += _TIMELINE_BYTES * base.count
    # What is carried is held beside the ids, with its source.
    carried = 12 * len(expansion.payload.fields)
    return arrays + threads * (_THREAD_BYTES + (16 + carried) * parquet.row_group_size) + _PROCESS_BYTES
