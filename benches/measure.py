"""What all measurements of speed share: sizes and their expansions, one run of the core, figures in turn and alone.

Sources, bases, keep rates and cells are made once and kept in ``bench-data/``, so that two runs, before a change and
after it, measure the same expansion. The clock is processor time: on a shared machine the wall's tells what
the neighbours do.
"""

import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fractalrs as fr
from fractalrs.expansion import Options, solve_keep_scale
from fractalrs.tools import peak_memory

DATA = Path("bench-data")
COMMIT = ("git", "describe", "--always", "--dirty")
WORDS = ("model name", "cpu family", "model\t")
CARRIED = ("timestamp", "rating")
Stage = Literal["generate", "encode", "write", "flush"]
Trial = Callable[[Path], Callable[[], Any]]
"""Takes an empty folder, prepares, and returns what is to be timed."""


@dataclass(frozen=True)
class Size:
    """A base, the built-in sample at some shape, and about how many interactions are made of it."""

    name: str
    users: int
    items: int
    interactions: int
    made: float
    multipliers: tuple[int, int] = (16, 32)

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        """Where its files are kept."""
        path = DATA / self.name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def source(self) -> Path:
        """Its interactions as CSV."""
        path = self.folder / "ratings.csv"
        if not path.exists():
            fr.write_interactions(fr.sample_interactions(self.users, self.items, self.interactions), path)
        return path

    def base(self, carrying: bool = False) -> fr.Base:
        """Load its base anew: whatever a base remembers, this one does not yet."""
        path = self.folder / ("base-carrying" if carrying else "base")
        if not path.exists():
            fr.leave_last_out(self.source, payload=CARRIED if carrying else ()).save(path)
        return fr.Base.load(path)

    def expansion(
        self, *, shuffle: str = "cells", carrying: bool = False, multipliers: tuple[int, int] | None = None
    ) -> fr.Expansion:
        """Return its fitted expansion, seed 7, made anew of what is kept."""
        shape = multipliers or self.multipliers
        keep, cells = (self.folder / f"{name}-{shape[0]}x{shape[1]}" for name in ("keep.npy", "cells.npz"))
        base = self.base(carrying)
        if not cells.exists():
            reduced = fr.reduce(base, shape, order_by="content")
            scale = solve_keep_scale(base, reduced, self.made, Options())
            fitted = fr.Expansion(base, fr.fit(base, reduced, keep_scale=scale))
            with keep.open("wb") as file:
                np.save(file, fitted.keep_rates)
            fitted.cells.save(cells)
        carried: dict[str, Any] = {"timestamps": True, "ratings": "carry"} if carrying else {}
        given = fr.Cells.load(cells) if shuffle == "cells" else None
        rates = np.load(keep)
        return fr.Expansion(base, rates, shuffle=shuffle, cells=given, seed=7, min_keep=0, max_keep=1, **carried)


SMALL = Size("ml-100k", 943, 1_682, 100_000, 7e6)
MIDDLE = Size("2m", 20_000, 8_000, 2_000_000, 230e6)
ML_20M = Size("ml-20m", 138_493, 26_744, 20_000_000, 1.2e9)


@dataclass(frozen=True)
class Run:
    """What the core did in one run."""

    interactions: int
    bytes: int
    processor: float

    @property
    def each(self) -> float:
        """Nanoseconds of one core for an interaction."""
        return self.processor / self.interactions * 1e9


def run(plan: fr.Plan, stage: Stage, folder: Path, threads: int | None = None) -> Run:
    """Run the core alone over all parts of a plan, up to a stage: no plan, no private files, no manifest is made."""
    for split in plan.splits:
        (folder / split).mkdir(parents=True, exist_ok=True)
    parts: list[Any] = [
        (part.index, part.first, part.last, (folder / part.file("train"), []), None, (folder / part.file("test"), []))
        for part in plan.parts
    ]
    made = 0

    def progress(interactions: int, _: int) -> None:
        nonlocal made
        made = interactions

    threads, encoding = threads or cores(), asdict(plan.parquet)
    started = time.process_time()
    result = plan.expansion.generator.run(parts, stage=stage, threads=threads, progress=progress, **encoding)
    processor = time.process_time() - started
    files = [file for part in result["parts"] for file in (part["train"], part["test"]) if file]
    return Run(made, sum(file["bytes"] for file in files), processor)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> dict[str, Any]:
    """Name the processor, what it can do that matters here, and the versions of what is measured."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    # Hypervisors give all generations one name: the model tells them apart.
    name, *model = [found[1] if (found := re.search(rf"{word}\s*: (.*)", text)) else "" for word in WORDS]
    flags = set(" ".join(re.findall(r"(?:flags|Features)\s*: (.*)", text)[:1]).split())
    return {
        "processor": f"{name or platform.machine()} (family {model[0]}, model {model[1]})",
        "sha_instructions": bool(flags & {"sha_ni", "sha2"}),
        "vectors": sorted(flags & {"avx2", "avx512f", "asimd", "sve"}),
        "cores": cores(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "fractalrs": fr.__version__,
        "pyarrow": pa.__version__,
        "numpy": np.__version__,
        "commit": subprocess.run(COMMIT, check=False, capture_output=True, text=True).stdout.strip(),
    }


def output_of(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def in_turn(trials: dict[str, Trial], repeats: int) -> dict[str, list[float]]:
    """Take processor seconds of each trial in turn, so that all of them meet the same neighbours."""
    taken: dict[str, list[float]] = {name: [] for name in trials}
    for _ in range(repeats):
        for name, prepare in trials.items():
            folder = emptied(DATA / "out")
            timed = prepare(folder)
            started = time.process_time()
            timed()
            taken[name].append(time.process_time() - started)
            del timed
    shutil.rmtree(DATA / "out")
    return taken


def emptied(folder: Path) -> Path:
    """Return a folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def alone(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Call a function of a module here in a process of its own.

    Arguments and result are plain JSON. Also returned are when it began (`time.time`), and what the whole process took,
    its start included: processor time, the wall's and peak memory.
    """
    source = "import measure, sys; measure.answer(*sys.argv[1:])"
    name = Path(function.__code__.co_filename).stem
    call = [sys.executable, "-c", source, name, function.__name__, json.dumps(arguments)]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    before, began = children(), time.time()
    result = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path})
    taken = {"began": began, "seconds": time.time() - began, "processor": children() - before}
    return {**json.loads(result.stdout.splitlines()[-1]), **taken}


def command(*arguments: str) -> dict[str, Any]:
    """Run the command line, with ``--json`` among its arguments, and take its processor seconds and the wall's."""
    before, started = children(), time.perf_counter()
    printed = output_of(sys.executable, "-m", "fractalrs", *arguments)
    seconds, processor = time.perf_counter() - started, children() - before
    return {"result": json.loads(printed), "seconds": seconds, "processor": processor}


def answer(module: str, function: str, arguments: str) -> None:
    """Do in a process of its own what `alone` asks for."""
    result = getattr(importlib.import_module(module), function)(*json.loads(arguments))
    sys.stdout.write(f"\n{json.dumps({'result': result, 'peak_bytes': peak_memory()})}\n")


def children() -> float:
    """Return the processor seconds of all processes that this one started and waited for."""
    times = os.times()
    return times.children_user + times.children_system


def as_ours(file: Path) -> dict[str, Any]:
    """Return the options with which pyarrow writes a file with the encodings of one of ours."""
    group = pq.read_metadata(file).row_group(0)
    columns = {(column := group.column(k)).path_in_schema: column for k in range(group.num_columns)}
    dictionary = [name for name, column in columns.items() if "RLE_DICTIONARY" in column.encodings]
    # Levels are RLE, whatever the values are.
    plain = {
        name: next(word for word in column.encodings if word != "RLE")
        for name, column in columns.items()
        if name not in dictionary
    }
    return {
        "use_dictionary": dictionary or False,
        "column_encoding": plain,
        "compression": {name: column.compression.replace("UNCOMPRESSED", "NONE") for name, column in columns.items()},
        "write_statistics": [name for name, column in columns.items() if column.is_stats_set] or False,
        "row_group_size": group.num_rows,
    }


def table_of(dataset: fr.Dataset) -> list[pa.Table]:
    """Read the tables of all files of a data set into memory."""
    return [pq.read_table(dataset.path / file.path) for split in ("train", "test") for file in dataset.files(split)]


def write_tables(tables: list[pa.Table], folder: Path, options: dict[str, Any]) -> None:
    """Write tables with pyarrow, a file each."""
    for index, table in enumerate(tables):
        pq.write_table(table, folder / f"{index}.parquet", **options)


def keep(path: Path, content: dict[str, Any]) -> None:
    """Keep raw output, the machine with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **content}, indent=1, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
