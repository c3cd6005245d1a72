"""The folder of a mixture, which appears whole or not at all."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from fractalrs.dataset import MIXTURE
from fractalrs.tools import (
    FileReport,
    ProgressCallback,
    new_folder,
    new_place,
    require_disk,
    sealed_json,
    write_labelled,
)

_PART = 1 << 24
"""A part has about so many rows."""
_ROW_BYTES = 32
"""A row takes about so many, at most."""
_CARD = """---
configs:
  - config_name: default
    data_files: "train/*.parquet"
---

# Real and synthetic interactions, to train on both

{real:,} real train interactions, and {synthetic:,} synthetic ones on the same catalogue: a share of {ratio:g}.
**Do not give it away: the real ones are here with their own ids.** Interactions held out for test are not in it.

| column | what |
|---|---|
| `user_id` | of real users their own; synthetic users count on from `{first_synthetic_user}` |
| `item_id` | of the real catalogue |
| `synthetic` | whether the interaction is synthetic |
| `weight` | {weight:g} where it is, and else 1 |

Further columns are those that the expansion carries. What mixing is good for, and what not, was measured: see the page
"Mixing" of the documentation of fractalrs.
"""


def require_room(path: str | os.PathLike[str], rows: int) -> None:
    """Refuse a place where something is, or with too little room for so many rows."""
    require_disk(new_place(path), rows * _ROW_BYTES, "free some, choose another disk, or lower the ratio")


def parts_of(rows: int) -> int:
    """Return how many parts so many rows are written to.

    Examples
    --------
    >>> parts_of(540), parts_of(40_000_000)
    (1, 2)
    """
    return max(1, rows // _PART)


def write_mixture(
    path: str | os.PathLike[str],
    pieces: Iterable[pa.Table],
    schema: pa.Schema,
    facts: Mapping[str, Any],
    progress: ProgressCallback,
) -> None:
    """Write pieces, each a row group, to the parts of a new folder, with a manifest of what is known of them."""
    rows, done, remaining = facts["rows"], 0, iter(pieces)
    parts, files = parts_of(rows), dict[str, FileReport]()
    with new_folder(new_place(path)) as folder:
        (folder / "train").mkdir()
        for number in range(parts):
            name = f"train/part-{number:05}-of-{parts:05}.parquet"
            some = _taken(remaining, rows * (number + 1) // parts - done)
            files[name] = _write_part(folder / name, some, schema, (done, number), progress)
            done += files[name]["rows"]
            progress(done, number + 1)
        manifest = sealed_json({"kind": MIXTURE, **facts, "files": files})
        (folder / "README.md").write_text(_CARD.format(**facts), encoding="utf-8")
        (folder / "manifest.json").write_text(manifest, encoding="utf-8")


def _taken(pieces: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Take pieces until they have so many rows."""
    while rows > 0:
        piece = next(pieces)
        yield piece
        rows -= len(piece)


def _write_part(
    file: Path, pieces: Iterable[pa.Table], schema: pa.Schema, before: tuple[int, int], progress: ProgressCallback
) -> FileReport:
    def report(rows: int, _: int) -> None:
        progress(before[0] + rows, before[1])

    with file.open("wb") as stream:
        return write_labelled(stream, pieces, schema, "zstd(1)", _PART, {}, report)
