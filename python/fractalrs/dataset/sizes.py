"""How large files will be."""

import dataclasses

from fractalrs.dataset.layout import ParquetOptions
from fractalrs.expansion import Expansion

SAMPLE_INTERACTIONS = 500_000
"""So many are encoded to tell how many bytes all take."""


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
    jobs, encoding = [(0, first, first + wanted, target, target, target)], dataclasses.asdict(parquet)
    report = expansion.generator.run(jobs, stage="encode", threads=1, **encoding)
    files = [file for part in report["parts"] for split in expansion.splits if (file := part[split]) is not None]
    rows = sum(file["rows"] for file in files)
    return round(interactions * sum(file["bytes"] for file in files) / rows) if rows else 0
