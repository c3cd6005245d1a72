"""The table of ratios that docs/performance.md quotes: what writing costs beside what it is compared with, in one run.

    python benches/ratios.py            # MovieLens 20M's shape: a quarter of an hour, 6 GB of memory, 8 GB of disk
    python benches/ratios.py --quick    # the built-in sample: a minute, to see that it works

Each ratio is of medians of five, taken in turn in one process; what needs a cold start or its own peak memory is of
three processes. Printed is a table in Markdown; all figures, and the machine, go to ``docs/raw/ratios.json``
(``bench-data/ratios-quick.json``).
"""

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from measure import (
    DATA,
    MIDDLE,
    ML_20M,
    SMALL,
    Size,
    Trial,
    alone,
    as_ours,
    command,
    cores,
    emptied,
    in_turn,
    keep,
    machine,
    run,
    say,
    table_of,
    write_tables,
)

import fractalrs as fr
from fractalrs.tools import Progress, ProgressCallback

RAW = Path("docs/raw/ratios.json")
QUICK_RAW = DATA / "ratios-quick.json"
SIZES = {size.name: size for size in (SMALL, MIDDLE, ML_20M)}
MB = 1 << 20
PLAIN_USERS = {
    "use_dictionary": False,
    "column_encoding": {"user_id": "PLAIN", "item_id": "DELTA_BINARY_PACKED"},
    "compression": {"user_id": "LZ4", "item_id": "NONE"},
}
"""How pyarrow writes ids most quickly in few bytes."""


class Table:
    """Rows that are printed when they are known, and kept with what they come from."""

    def __init__(self, path: Path, repeats: int) -> None:
        self.path, self.repeats = path, repeats
        self.rows: list[dict[str, Any]] = []
        self.raw: dict[str, Any] = {}
        before = machine()
        self.load_before = before["load_before"]
        sha = "with" if before["sha_instructions"] else "without"
        say(
            f"{before['processor']}, {sha} SHA instructions, {before['cores']} cores; fractalrs at {before['commit']}\n"
        )
        say("| what | measured | target |\n|---|---|---|")

    def add(self, what: str, value: float, target: str, unit: str = "") -> None:
        """Print a row, and keep all rows so far: a run that is stopped has shown what it found."""
        self.rows.append({"what": what, "value": value, "unit": unit, "target": target})
        say(f"| {what} | {value:.3g}{unit} | {target} |")
        content = {"load_before": self.load_before, "repeats": self.repeats, "rows": self.rows, "raw": self.raw}
        keep(self.path, content)

    def in_turn(self, name: str, trials: dict[str, Trial]) -> dict[str, float]:
        """Return medians of trials in turn."""
        self.raw[name] = taken = in_turn(trials, self.repeats)
        return {trial: median(seconds) for trial, seconds in taken.items()}

    def alone(self, name: str, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Return what a process of its own found, and took: of all repeats the one with the median processor time."""
        found = sorted((alone(function, *arguments) for _ in range(self.repeats)), key=lambda one: one["processor"])
        self.raw[name] = found
        return found[len(found) // 2]


def stage(plan: fr.Plan, name: Any, folder: Path) -> Callable[[], Any]:
    return partial(run, plan, name, folder)


def against_pyarrow(table: Table, size: Size) -> None:
    """What writing costs, beside pyarrow writing the same rows that are in memory already."""
    expansion = size.expansion()
    plan = fr.plan(expansion)
    dataset = fr.write(expansion, emptied(DATA / "kept") / "out")
    tables = table_of(dataset)
    options = as_ours(dataset.path / dataset.files("train")[0].path)
    found = table.in_turn(
        f"against pyarrow, {size}",
        {
            # A value that is made anew has nothing left over from the last write; one that is kept may have.
            "write, made anew": lambda folder: partial(fr.write, size.expansion(), folder / "out"),
            "write, again": lambda folder: partial(fr.write, expansion, folder / "out"),
            "run": partial(stage, plan, "write"),
            "pyarrow": lambda folder: partial(write_tables, tables, folder, options),
            "pyarrow, plain users": lambda folder: partial(write_tables, tables, folder, options | PLAIN_USERS),
        },
    )
    rows = sum(len(each) for each in tables)
    ns = {name: found[name] / rows * 1e9 for name in ("pyarrow", "pyarrow, plain users")}
    table.raw["pyarrow"] = {"rows": rows, "ns": ns, "options": options}
    table.add(
        "`fr.write` ÷ pyarrow merely writing the same rows", found["write, made anew"] / found["pyarrow"], "≤ 1.0"
    )
    table.add("… a second write of the same expansion ÷ pyarrow", found["write, again"] / found["pyarrow"], "")
    table.add("the run alone (generate, encode, digest, write) ÷ pyarrow", found["run"] / found["pyarrow"], "≤ 0.6")
    what = "… ÷ pyarrow with users PLAIN and LZ4, which is quicker for it"
    table.add(what, found["run"] / found["pyarrow, plain users"], "")


def nanoseconds(table: Table, size: Size) -> None:
    """What an interaction costs by stage: with ids alone, with timestamp and rating, with more column blocks."""
    m, n = size.multipliers
    wide = m, 4 * n
    plans = {
        "ids": fr.plan(size.expansion()),
        "carrying": fr.plan(size.expansion(shuffle="aligned", carrying=True)),
        "wide": fr.plan(size.expansion(multipliers=wide)),
    }
    trials: dict[str, Trial] = {name: partial(stage, plans["ids"], name) for name in ("generate", "encode", "flush")}
    trials |= {name: partial(stage, plans[name], "flush") for name in ("carrying", "wide")}
    taken = table.in_turn(f"stages, {size}", trials)
    counts = {name: plan.expansion.expected_interactions for name, plan in plans.items()}
    ns = {name: seconds / counts.get(name, counts["ids"]) * 1e9 for name, seconds in taken.items()}
    table.raw["ns"] = ns
    table.add("generate", ns["generate"], "", " ns")
    table.add("encode + digest beside generate", ns["encode"] - ns["generate"], "≤ 4 ns", " ns")
    table.add("end to end, ids, default encoding", ns["flush"], "≤ 10 ns with SHA instructions, ≤ 13 without", " ns")
    target = "≤ 25 ns with SHA instructions, ≤ 30 without"
    table.add("end to end with timestamp and rating", ns["carrying"], target, " ns")
    table.add(f"{wide} per interaction ÷ {size.multipliers}", ns["wide"] / ns["flush"], "≤ 1.5")


class FirstInteraction(Exception):  # noqa: N818
    """It would come now."""


class Stop(Progress):
    """Raises `FirstInteraction` where the first interaction would come."""

    @contextmanager
    def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:
        if what == "expanding":
            raise FirstInteraction
        with super().task(what, interactions, parts) as report:
            yield report


def before_first(name: str) -> list[tuple[str, float, float]]:
    """Expand from CSV up to the first interaction; return what was said on the way, when, after what processor time."""
    size, notes = SIZES[name], []

    def note(record: logging.LogRecord) -> bool:
        notes.append((record.getMessage(), time.time(), time.process_time()))
        return True

    logger = logging.getLogger("fractalrs")
    logger.addHandler(handler := logging.NullHandler())
    handler.addFilter(note)
    logger.setLevel(logging.INFO)
    with suppress(FirstInteraction):
        fr.expand(size.source, emptied(DATA / "out") / "first", progress=Stop(), **options_of(size))
    return [*notes, ("the first interaction", time.time(), time.process_time())]


def options_of(size: Size) -> dict[str, Any]:
    m, n = size.multipliers
    return {"user_multiplier": m, "item_multiplier": n, "target_interactions": int(size.made), "seed": 7}


def write_from_base(name: str) -> dict[str, Any]:
    """Write from a saved base, and say how large its arrays are."""
    expansion = SIZES[name].expansion()
    fr.write(expansion, emptied(DATA / "out") / "from-base")
    return {"base_bytes": expansion.base.indptr.nbytes + expansion.base.entries.nbytes}


def cold(table: Table, size: Size) -> None:
    """What a newcomer waits for: from CSV to the first interaction, and to the last; and peak memory."""
    _ = size.source
    plan = fr.plan(size.expansion())
    warm = table.in_turn(f"the run alone, {size}", {name: partial(stage, plan, name) for name in ("generate", "flush")})
    first = table.alone("before the first interaction", before_first, size.name)
    _, when, processor = first["result"][-1]
    what = f"before the first interaction, {size}'s shape from CSV, {cores()} cores"
    table.add(f"{what}: wall", when - first["began"], "≤ 12 s", " s")
    table.add("… processor time", processor, "", " s")

    emptied(DATA / "out")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in options_of(size).items()]
    arguments = ["expand", str(size.source), str(DATA / "out" / "cold"), "--overwrite", "--json", *options]
    taken = [command(*arguments) for _ in range(table.repeats)]
    table.raw["cold command line"] = taken
    whole = sorted(taken, key=lambda one: one["processor"])[len(taken) // 2]
    made = sum(whole["result"][split]["written"] for split in ("train", "test"))
    what = f"cold command line, CSV → {made / 1e6:,.0f} M on disk"
    table.add(f"{what} ÷ the run alone", whole["processor"] / warm["flush"], "≤ 2.5")
    table.add(f"{what} ÷ generate", whole["processor"] / warm["generate"], "")

    written = table.alone("from a base", write_from_base, size.name)
    beside = (written["peak_bytes"] - written["result"]["base_bytes"]) / MB
    table.add("peak memory beside the base's arrays", beside, "≤ 600 MB", " MB")
    table.add("peak memory from CSV", whole["result"]["peak_memory_bytes"] / MB, "≤ 1,800 MB", " MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the built-in sample instead, medians of three")
    quick = parser.parse_args().quick
    table = Table(QUICK_RAW, 3) if quick else Table(RAW, 5)
    against_pyarrow(table, SMALL if quick else MIDDLE)
    nanoseconds(table, SMALL if quick else MIDDLE)
    # Half a minute each, and of processes of their own.
    table.repeats = 3
    cold(table, SMALL if quick else ML_20M)


if __name__ == "__main__":
    main()
