"""Full scale, cold, through the command line: what each step takes of the wall, of processors, of memory and of disk.

    python benches/full_scale.py STEP ... [--folder FOLDER] [--scale SHARE]
    python benches/full_scale.py --list

A step is one process: the command line, cold, or what makes a source that the command line has none of. Its lines say
what it printed at which second; the last one is what the whole process took. Steps are named `case.step`; a case alone
is all of its steps in turn, `case.delete` among them. ``--scale 0.01`` tries all of it with a hundredth of the
interactions. The clock of a shared machine tells what the neighbours do: compare processor time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from measure import DATA, machine, say

Words = tuple[str | Path, ...]


class Case:
    """Sources, data sets and exports of one shape; every step is a method's list of arguments."""

    def __init__(self, folder: Path, scale: float) -> None:
        self.folder, self.scale = folder, scale

    def at(self, name: str) -> Path:
        """Return the path of one of the files."""
        return self.folder / name

    def count(self, interactions: float) -> str:
        """Return so many interactions, or a share of them."""
        return str(round(interactions * self.scale))

    def sample(self, file: Path, users: float, items: float, interactions: float) -> Words:
        """Return how the built-in sample is written; both sides shrink with the square root of the share."""
        side = self.scale**0.5
        ids = ("--users", str(round(users * side)), "--items", str(round(items * side)))
        return ("sample", file, *ids, "--interactions", self.count(interactions))

    def expand(self, source: Path, out: Path, users: int, items: int, *more: str) -> Words:
        """Return an expansion by multipliers."""
        shape = ("--user-multiplier", str(users), "--item-multiplier", str(items))
        return ("expand", source, out, *shape, "--seed", "7", "--no-progress", *more)


def cases(at: Case) -> dict[str, dict[str, Words | partial[None]]]:
    """Return all steps by case: arguments of the command line, or what else makes a source."""
    ml, ml_out = at.at("ml-20m.csv"), at.at("ml-20m")
    ten, wide, part, skew, big = (at.at(name) for name in ("ten-billion", "wide", "wide-part", "one-active", "base"))
    few, one, hundred = at.at("wide.csv"), at.at("one-active.csv"), at.at("base.csv")
    target = "--target-interactions"
    return {
        "ml-20m": {
            "sample": at.sample(ml, 138_493, 26_744, 20_000_263),
            "expand": at.expand(ml, ml_out, 16, 32, target, at.count(1.2e9)),
            "integrity": ("validate", ml_out, "--source", ml, "--only", "integrity", "--no-progress"),
            "fidelity": ("validate", ml_out, "--source", ml, "--only", "fidelity", "--no-progress"),
            "csr": ("export", ml_out, at.at("ml-20m-csr"), "--format", "csr", "--no-progress"),
            "sequences": ("export", ml_out, at.at("ml-20m-sequences"), "--format", "sequences", "--no-progress"),
        },
        "ten-billion": {
            "expand": at.expand(ml, ten, 64, 64, target, at.count(1e10)),
            "validate": ("validate", ten, "--only", "integrity", "--no-progress"),
        },
        "wide": {
            "sample": at.sample(few, 8_000, 26_744, 1_200_000),
            "expand": at.expand(few, wide, 16, 16_384, target, at.count(5e8)),
            "validate": ("validate", wide, "--only", "integrity", "--no-progress"),
        },
        "wide-part": {
            "expand": at.expand(ml, part, 16, 16_384, target, at.count(2e9), "--parts", "1024", "--part-range", "0:16"),
        },
        "one-active": {
            "source": partial(one_active, one, round(200_000 * at.scale), round(1_000_000 * at.scale)),
            "expand": at.expand(one, skew, 4, 8),
            "validate": ("validate", skew, "--source", one, "--no-progress"),
        },
        "base": {
            "sample": at.sample(hundred, 600_000, 60_000, 1e8),
            "expand": at.expand(hundred, big, 4, 8, target, at.count(5e8)),
            "validate": ("validate", big, "--only", "integrity", "--no-progress"),
        },
    }


def one_active(file: Path, users: int, items: int) -> None:
    """Write a source in which one user has all items, and the others five each, popular ones of their taste."""
    draw = np.random.default_rng(0)
    taste = draw.integers(0, 16, (users, 1)) * (items // 16)
    item = (taste + (items * draw.random((users, 5)) ** 3).astype(np.int64)) % items
    pairs = np.unique(np.repeat(np.arange(2, users + 2), 5) * items + item.ravel())
    user = np.concatenate([np.ones(items, np.int64), pairs // items])
    item = np.concatenate([np.arange(items), pairs % items]) + 1
    when = draw.integers(1_000_000_000, 1_100_000_000, len(user))
    csv.write_csv(pa.table({"user_id": user, "item_id": item, "timestamp": when}), file)


def take(name: str, step: Words | partial[None]) -> int:
    """Run one step in a process of its own; print what it says as it says it, and what it took."""
    started, follower = time.monotonic(), None
    if isinstance(step, partial):
        child = os.fork()
        if not child:
            step()
            os._exit(0)
        say(f"\n## {name}: a source of users with five interactions and one with all items")
    else:
        shown = (os.path.relpath(word) if isinstance(word, Path) else word for word in step)
        say(f"\n## {name}: fractalrs {' '.join(shown)}")
        command = [sys.executable, "-m", "fractalrs", *map(str, step)]
        # A wide page: no value is folded.
        run = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"COLUMNS": "160"}
        )
        child = run.pid
        follower = threading.Thread(target=follow, args=(run, started))
        follower.start()
    _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - started
    if follower is not None:
        follower.join()
    code = os.waitstatus_to_exitcode(status)
    say(
        f"# exit {code}: {seconds:.0f} s by the clock, {used.ru_utime + used.ru_stime:.1f} s of processors "
        f"({used.ru_stime:.1f} in the system), {used.ru_maxrss / 1e6:.2f} GB of memory at most"
    )
    return code


def follow(run: subprocess.Popen[bytes], started: float) -> None:
    """Print each line of a process with when it came, the processor time until then and the memory at most."""
    assert run.stdout is not None
    for line in run.stdout:
        say(f"{time.monotonic() - started:6.1f} s {processor(run.pid)} | {line.decode().rstrip()}")


def processor(process: int) -> str:
    """Return the processor seconds of a running process and its peak memory, or blanks where it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{process}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        return " " * 19
    taken = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return f"{taken:6.1f} cpu {peak / 1e6:5.2f} GB"


def disk(path: Path) -> str:
    """Return how much disk a file or folder takes."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e9:.2f} GB in {len(files)} files"


def main() -> int:
    """Take the steps that are asked for; return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP")
    parser.add_argument("--folder", type=Path, default=DATA / "full-scale")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    every = cases(Case(asked.folder, asked.scale))
    names = [f"{case}.{step}" for case, steps in every.items() for step in (*steps, "delete")]
    wanted = [name for step in asked.steps for name in names if name == step or name.startswith(f"{step}.")]
    if asked.list or not wanted:
        say("\n".join(names))
        return 0
    failed = 0
    for name in wanted:
        case, _, step = name.partition(".")
        if step == "delete":
            delete(every[case])
            continue
        failed += bool(take(name, every[case][step]))
        for path in places(every[case][step])[-1:]:
            if path.exists() and step not in ("validate", "integrity", "fidelity"):
                say(f"# {path.name}: {disk(path)}")
    free = shutil.disk_usage(asked.folder).free / 1e9
    say(f"# {machine()['processor']}, load {os.getloadavg()[0]:.1f}, {free:.0f} GB free")
    return failed


def places(step: Words | partial[None]) -> list[Path]:
    """Return the paths among the words of a step: what is read, then what is written."""
    return [] if isinstance(step, partial) else [word for word in step if isinstance(word, Path)]


def delete(steps: dict[str, Words | partial[None]]) -> None:
    """Delete what the steps of a case made, but the source that others read too."""
    for step in steps.values():
        for path in places(step)[-1:]:
            if path.is_dir():
                shutil.rmtree(path)


if __name__ == "__main__":
    sys.exit(main())
