"""Tables: what is told of the lookups of one embedding table, and configurations of libraries that hold it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fractalrs.errors import InputError
from fractalrs.statistics import (
    CACHES,
    MOST_LOOKUPS,
    REUSE_EDGES,
    Curve,
    LookupCounts,
    Lookups,
    distinct_per_batch,
    hit_curve,
    hit_rate,
    reuse_shares,
)
from fractalrs.tools import Shown, check_count

BATCHES = (512, 8_192, 65_536, 1 << 20)
"""Sizes of batches whose different rows are counted."""
REUSED_IN = 65_536
"""The batch in which reuse is told, that of the published traces."""
TOPS = (0.001, 0.01, 0.1)
"""Shares of the rows that are looked up most often."""
SHARDS = (2, 4, 8, 16)
"""Into so many shards of consecutive rows a table is cut."""
_IN_BATCHES = 1 << 21
"""So many lookups are cut into batches."""
_HOT = 0.9
"""What the cache of a configuration is to hit."""
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
_TORCHREC = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16", "int8": "INT8"}


@dataclass(frozen=True, repr=False)
class TableAccess(Shown):
    """How the rows of one table are looked up.

    Attributes
    ----------
    data, column, order
        Whose ids, ``"user_id"`` or ``"item_id"``, and in which order.
    rows, seen, lookups, rate
        Rows of the table, those that are looked up, all lookups, and the share of ids of which hit rates were computed.
        `seen` is None where ids are sampled.
    hit_rates, curve
        Of LRU caches, by size in shares of the rows; the curve has more sizes. Where ids are sampled, caches of less
        than one sampled row are left out.
    distinct
        Different rows of a batch, by its lookups; where ids are sampled, without batches of few sampled lookups.
    reuse_of_ids, reuse_of_lookups
        How often a batch of 65,536 looks an id up: shares in the bins (0, 1], (1, 2], (2, 4] … of `REUSE_EDGES`.
    top
        The share of lookups of the share of rows that are looked up most often.
    shards
        By their number: rows of a shard, and the lookups of the busiest one over their mean.

    Examples
    --------
    >>> import numpy as np
    >>> counts = LookupCounts.of_degrees(np.array([6, 2, 1, 1]))
    >>> TableAccess.random("real", "item_id", counts).shards[2]
    (2, 1.6)
    """

    data: str
    column: str
    order: str
    rows: int
    seen: int | None
    lookups: int
    rate: float
    hit_rates: dict[float, float]
    distinct: dict[int, float]
    reuse_of_ids: tuple[float, ...]
    reuse_of_lookups: tuple[float, ...]
    top: dict[float, float]
    shards: dict[int, tuple[int, float]]
    curve: Curve = field(repr=False)

    @classmethod
    def random(
        cls, data: str, column: str, counts: LookupCounts, seed: int = 0, *, most: int = MOST_LOOKUPS
    ) -> "TableAccess":
        """Measure lookups in random order, of which their counts tell all."""
        some = counts.sampled(most, seed)
        lookups = some.shuffled(seed=seed)
        share = _IN_BATCHES / max(1, int(counts.counts.sum()))
        # Some lookups out of a random order are in one too.
        near = lookups if some is counts and share >= 1 else counts.shuffled(share, seed)
        return cls.of(data, column, "random", counts, (lookups, some.rate), (near, counts.rate))

    @classmethod
    def of(
        cls,
        data: str,
        column: str,
        order: str,
        counts: LookupCounts,
        far: tuple[Lookups, float],
        near: tuple[Lookups, float],
    ) -> "TableAccess":
        """Measure lookups in their order: those of a share of ids; for batches, some of all or of another share."""
        curve = hit_curve(far[0], counts.rows, far[1], counts.lookups)
        if far[1] < 1:
            told = curve.x * counts.rows * far[1] >= 1
            curve = Curve(curve.x[told], curve.y[told])
        of_ids, of_lookups = reuse_shares(near[0], REUSED_IN, near[1])
        return cls(
            data,
            column,
            order,
            counts.rows,
            len(counts.ids) if counts.rate >= 1 else None,
            counts.lookups,
            far[1],
            {size: hit_rate(curve, size) for size in CACHES if size in curve.x},
            distinct_per_batch(near[0], BATCHES, near[1]),
            tuple(of_ids.tolist()),
            tuple(of_lookups.tolist()),
            {share: counts.top_share(share) for share in TOPS},
            {count: counts.shards(count) for count in SHARDS},
            curve,
        )

    @property
    def name(self) -> str:
        """What the table is called in configurations."""
        return self.column.removesuffix("_id") + "s"

    def bytes(self, dimension: int, dtype: str = "float32") -> int:
        """Return the bytes of the table for rows of so many numbers of a type."""
        check_count("dimension", dimension, 1)
        if dtype not in _BYTES:
            raise InputError(f"unknown dtype {dtype!r}", hint=f"choose one of {', '.join(_BYTES)}")
        return self.rows * dimension * _BYTES[dtype]

    def cache(self) -> float:
        """Return the share of rows of the smallest cache of `CACHES` that hits 90 %, or the largest."""
        return next((size for size in CACHES if self.hit_rates.get(size, 0.0) >= _HOT), CACHES[-1])

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the curve, JSON-safe."""
        told = {name: value for name, value in asdict(self).items() if name != "curve"}
        told["reuse_edges"] = list(REUSE_EDGES)
        return {
            name: {str(key): inner for key, inner in value.items()} if isinstance(value, dict) else value
            for name, value in told.items()
        }


def text_of(tables: Sequence[TableAccess]) -> str:
    """Return tables as text: rows, hit rates, different rows of batches, the hottest rows, the busiest shard."""
    caches, batches = (0.01, 0.05, 0.1), (512, REUSED_IN)
    head = ["data", "column", "order", "rows", "lookups", *(f"hit {size:.0%}" for size in caches)]
    head += [*(f"of {size:,}" for size in batches), "top 1%", "busiest of 8"]
    lines = [head]
    for table in tables:
        cells = [table.data, table.column, table.order, f"{table.rows:,}", f"{table.lookups:,}"]
        cells += [_hit(table, size) for size in caches]
        cells += [f"{table.distinct[size]:,.0f}" if size in table.distinct else "–" for size in batches]
        lines.append([*cells, f"{table.top[0.01]:.3f}", f"{table.shards[8][1]:.2f}"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = (
        "  ".join(
            f"{cell:{'<' if place < 3 else '>'}{width}}"
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
    return "\n".join(line.rstrip() for line in aligned)


def _hit(table: TableAccess, size: float) -> str:
    return f"{table.hit_rates[size]:.3f}" if size in table.hit_rates else "–"


def torchrec_config(tables: Sequence[TableAccess], dimension: int, dtype: str) -> str:
    """Return tables as Python for TorchRec."""
    configs, constraints = [], []
    for table in tables:
        size = table.bytes(dimension, dtype)
        configs.append(
            f"    EmbeddingBagConfig(name={table.name!r}, feature_names=[{table.column!r}], "
            f"num_embeddings={table.rows}, embedding_dim={dimension}, data_type=DataType.{_TORCHREC[dtype]}),"
            f"  # {size:,} bytes"
        )
        cache = table.cache()
        constraints.append(
            f"    {table.name!r}: ParameterConstraints(\n"
            '        sharding_types=["row_wise"], compute_kernels=["fused_uvm_caching"],\n'
            f"        cache_params=CacheParams(load_factor={cache}),  # hits {_hit(table, cache)} at random\n"
            "    ),"
        )
    return "\n".join(
        [
            "from torchrec.distributed.planner import ParameterConstraints",
            "from torchrec.distributed.types import CacheParams",
            "from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig",
            "",
            "tables = [",
            *configs,
            "]",
            "constraints = {",
            *constraints,
            "}",
            "",
        ]
    )


def hugectr_config(tables: Sequence[TableAccess], dimension: int, dtype: str) -> str:
    """Return tables as the JSON of HugeCTR's hierarchical parameter server, whose rows are float32."""
    if dtype != "float32":
        raise InputError(f"HugeCTR's parameter server has rows of float32, not {dtype}", hint="leave dtype out")
    check_count("dimension", dimension, 1)
    model = {
        "model": "fractalrs",
        "sparse_files": [f"{table.name}_sparse.model" for table in tables],
        "num_of_worker_buffer_in_pool": 3,
        "embedding_table_names": [table.name for table in tables],
        "embedding_vecsize_per_table": [dimension] * len(tables),
        "maxnum_catfeature_query_per_table_per_sample": [1] * len(tables),
        "default_value_for_each_table": [0.0] * len(tables),
        "deployed_device_list": [0],
        "max_batch_size": REUSED_IN,
        "cache_refresh_percentage_per_iteration": 0.2,
        "hit_rate_threshold": 1.0,
        # One share for all tables: that of the one which needs most.
        "gpucacheper": max(table.cache() for table in tables),
        "gpucache": True,
    }
    return json.dumps({"supportlonglong": True, "models": [model]}, indent=2) + "\n"
