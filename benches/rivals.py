"""What a user would pick instead of us, in the same run: time and bytes of a row, and what each does less.

    python benches/rivals.py            # 230 million rows: ten minutes, 6 GB of memory, 5 GB of disk
    python benches/rivals.py --quick    # 7 million rows: half a minute

All write as many rows of two integer ids, of as many users and items, to Parquet on disk, in turn in one process, on
all cores; the clock is processor time. Those that make rows up draw both ids uniformly. The program that was published
with the paper is not run: it needs libraries of 2018. Printed is a table in Markdown; figures go to
``docs/raw/rivals.json`` (``bench-data/rivals-quick.json``).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from measure import DATA, MIDDLE, SMALL, Trial, as_ours, emptied, in_turn, keep, machine, say, table_of, write_tables

import fractalrs as fr

BATCH = 1 << 20


@dataclass(frozen=True)
class Rows:
    """How many rows, of how many users and items."""

    count: int
    users: int
    items: int

    def numpy(self, folder: Path) -> None:
        """Draw pairs batch by batch with NumPy, and write them with pyarrow as it comes."""
        rng = np.random.default_rng(0)
        schema = pa.schema([("user_id", pa.int32()), ("item_id", pa.int32())])
        with pa.parquet.ParquetWriter(folder / "numpy.parquet", schema) as writer:
            for first in range(0, self.count, BATCH):
                size = min(BATCH, self.count - first)
                ids = [rng.integers(high, size=size, dtype=np.int32) for high in (self.users, self.items)]
                writer.write_table(pa.table(ids, schema=schema))

    def duckdb(self, folder: Path) -> None:
        """Draw and write pairs with DuckDB, as fast as it can: in any order."""
        with duckdb.connect() as connection:
            connection.execute("SET preserve_insertion_order = false")
            ids = {"user_id": self.users, "item_id": self.items}
            drawn = ", ".join(f"floor(random() * {high})::INTEGER AS {name}" for name, high in ids.items())
            connection.execute(f"COPY (SELECT {drawn} FROM range({self.count})) TO '{folder}/duckdb.parquet'")

    def polars(self, folder: Path) -> None:
        """Draw pairs with NumPy, all in memory, and write them with Polars as it comes."""
        rng = np.random.default_rng(0)
        ids = {"user_id": self.users, "item_id": self.items}
        drawn = {name: rng.integers(high, size=self.count, dtype=np.int32) for name, high in ids.items()}
        pl.DataFrame(drawn).write_parquet(folder / "polars.parquet")


LESS = {
    "`fractalrs.write`, all that it does": "",
    "pyarrow, our rows, our encodings": "makes no rows, they lie in memory; no digests, no wait for the disk",
    "pyarrow, our rows, its defaults": "likewise",
    "NumPy and pyarrow, random pairs": "no tails, no tastes, not by user, repeated pairs, no test split, no digests",
    "DuckDB `COPY`, random pairs": "likewise; other rows in every run",
    "NumPy and Polars, random pairs": "likewise; all rows in memory",
}
"""What each does less than the first."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="7 million rows")
    quick = parser.parse_args().quick
    size, repeats = (SMALL, 3) if quick else (MIDDLE, 5)
    dataset = fr.write(size.expansion(), emptied(DATA / "kept") / "out")
    tables, options = table_of(dataset), as_ours(dataset.path / dataset.files("train")[0].path)
    rows = Rows(sum(len(table) for table in tables), *dataset.shape)
    sizes: dict[str, int] = {}

    def weighed(name: str, work: Callable[[Path], Any], folder: Path) -> Callable[[], Any]:
        # What the trial before this one wrote is gone: what lies here after the last round is this one's.
        def timed() -> None:
            work(folder)
            sizes[name] = sum(file.stat().st_size for file in folder.rglob("*.parquet"))

        return timed

    works: list[Callable[[Path], Any]] = [
        lambda folder: fr.write(size.expansion(), folder / "out"),
        lambda folder: write_tables(tables, folder, options),
        lambda folder: write_tables(tables, folder, {}),
        rows.numpy,
        rows.duckdb,
        rows.polars,
    ]
    trials: dict[str, Trial] = {name: partial(weighed, name, work) for name, work in zip(LESS, works, strict=True)}
    taken = in_turn(trials, repeats)
    say(f"{machine()['processor']}; {rows.count:,} rows of {rows.users:,} users × {rows.items:,} items\n")
    say("| | ns of one core a row | bytes a row | what it does less |\n|---|---|---|---|")
    for name, seconds in taken.items():
        say(f"| {name} | {median(seconds) / rows.count * 1e9:.1f} | {sizes[name] / rows.count:.2f} | {LESS[name]} |")
    figures = {name: {"processor_seconds": taken[name], "bytes": sizes[name]} for name in taken}
    raw = DATA / "rivals-quick.json" if quick else Path("docs/raw/rivals.json")
    keep(raw, {"rows": vars(rows), "figures": figures})


if __name__ == "__main__":
    main()
