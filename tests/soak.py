"""Expand, interrupt, go on, validate, export, delete, in rounds: ``python tests/soak.py SECONDS [FIRST_SEED]``.

Each round is drawn by its seed: the source, the options, and a fault at each of three steps. What ends otherwise than
it may is printed with the seed: ``python tests/soak.py 0 SEED`` is that one round again. At the end it says how many
rounds there were and how much memory the process took, and exits with 1 if anything failed or memory grew: of few
rounds it says that they cannot tell.
"""

import errno
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import fractalrs as fr
from helpers.commands import run
from helpers.faults import faulted
from helpers.folders import digests
from helpers.mutations import SUFFIXES, mutated, source

OPTIONS = (
    ("--profile", ("realistic", "paper", "traceable")),
    ("--shuffle", ("none", "aligned", "block", "cells", "mixed")),
    ("--id-order", ("block", "scrambled", "popularity")),
    ("--compression", ("none", "lz4", "zstd(1)")),
    ("--encoding", ("default", "fast")),
    ("--order", ("block", "item")),
    ("--split", ("random", "none")),
)
FORMATS = ("csr", "csv", "sequences", "recbole")
FAULTS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, errno.ENOSPC, errno.EIO, errno.EACCES)
GROWTH = 64 << 20
"""Bytes by which memory may grow after the first tenth of the rounds: pools and caches, not the rounds."""
ENOUGH = 20
"""From so many rounds on memory that grows with them is told from memory that settles."""


def options(draw: random.Random) -> list[str]:
    """Draw options of an expansion."""
    found = ["--quiet", "--seed", str(draw.randrange(1000))]
    for name, most in (("--user-multiplier", 4), ("--item-multiplier", 4), ("--parts", 5), ("--threads", 3)):
        found += [name, str(draw.randint(1, most))]
    for name, values in OPTIONS:
        if draw.random() < 0.3:
            found += [name, draw.choice(values)]
    if draw.random() < 0.2:
        # Other profiles refuse it, most of them by the size of their cells.
        found += ["--timestamps", "--profile", "traceable"]
    return found


class Round:
    """One round in a folder of its own; every step says what must hold after it."""

    def __init__(self, seed: int, place: Path) -> None:
        self.draw, self.place, self.told = random.Random(seed), place, Counter[str]()
        self.out, self.log = place / "out", place / "log"

    def run(self) -> None:
        """Run all steps."""
        made = source(self.place, self.draw.choice(SUFFIXES))
        command = ["expand", made, self.out, *options(self.draw)]
        wanted = self.reference(command)
        if wanted is None:
            self.told["refused"] += 1
            return
        self.at_a_fault(command, wanted)
        self.mended(made, command, wanted)
        self.exported(wanted)
        other = [*command, "--seed", "2000", "--overwrite"]
        self.at_a_fault(other, self.reference(other) or {})

    def reference(self, command: list[object]) -> dict[str, str] | None:
        """Expand elsewhere without a fault; None where these options are refused."""
        path = self.place / "reference"
        done = run(*[path if word == self.out else word for word in command])
        if done.code == 2:
            assert not path.exists(), done.err
            return None
        assert done.code == 0, done.err
        found = digests(path)
        shutil.rmtree(path)
        return found

    def at_a_fault(self, command: list[object], wanted: dict[str, str]) -> None:
        """Give a command that something happens to, and then the same again."""
        before = digests(self.out) if self.out.exists() else {}
        self.fault(command, self.out)
        if (self.out / "manifest.json").exists():
            try:
                fr.open_dataset(self.out)
                assert (
                    digests(self.out).items() >= wanted.items() or digests(self.out).items() >= before.items() > set()
                )
            except fr.FractalrsError:
                pass
        done = run(*command)
        assert done.code == 0, done.err
        assert digests(self.out) == wanted

    def fault(self, command: list[object], place: Path, changes: int = 60) -> None:
        """Give a command that something happens to; it ends in words."""
        kind = self.draw.choice(FAULTS)
        happens = kind if isinstance(kind, signal.Signals) else OSError(kind, "made up")
        code, said = faulted(command, place, happens, self.draw.randint(1, changes), self.log)
        self.told[f"{kind.name if isinstance(kind, signal.Signals) else errno.errorcode[kind]} {code}"] += 1
        assert "Traceback" not in said, said
        assert "panicked" not in said, said
        assert code in (0, 1, 2, 130, 143, -signal.SIGKILL), (code, said)

    def mended(self, made: Path, command: list[object], wanted: dict[str, str]) -> None:
        """Damage a file that counts, find it, and make it again."""
        names = sorted(name for name in wanted if not name.endswith(".gitignore"))
        name = self.draw.choice(names)
        file = self.out / name
        changed = mutated(file.read_bytes(), self.draw)
        assert run("verify", self.out, "--quiet").code == 0
        if changed == file.read_bytes():
            return
        file.write_bytes(changed)
        done = run("verify", self.out)
        assert done.code in (2, 3), done.out
        assert name in done.out + done.err, (name, done.out, done.err)
        if name.startswith("private/") or name == "manifest.json":
            if name == "private/plan.json":
                # Nothing tells then what it was.
                shutil.rmtree(self.out)
            elif name == "manifest.json":
                file.unlink()
            assert run(*command).code == 0
        else:
            done = run("verify", self.out, "--repair", "--source", made, "--quiet")
            assert done.code == 0, done.err
        assert digests(self.out) == wanted, name

    def exported(self, wanted: dict[str, str]) -> None:
        """Validate, and export at a fault and without."""
        done = run("validate", self.out, "--only", "integrity", "--digests", "--quiet")
        assert done.code == 0, done.err
        target = self.place / "export"
        form = ["--format", self.draw.choice(FORMATS), "--quiet"]
        command = ["export", self.out, target, *form]
        self.fault(command, self.place, 8)
        done = run(*command)
        assert (done.code == 0) != ("exists already" in done.err), done.err
        # Some files are called as their folder is.
        clean = self.place / "clean" / target.name
        assert run("export", self.out, clean, *form).code == 0
        assert digests(target) == digests(clean), form
        self.told[f"export {done.code}"] += 1
        assert digests(self.out) == wanted
        hidden = [path.name for path in self.place.iterdir() if path.name.startswith(".") and done.code == 0]
        assert not hidden, hidden
        shutil.rmtree(target)
        shutil.rmtree(clean.parent)


def resident() -> int:
    """Return how many bytes of memory this process has."""
    found = re.search(r"VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main(seconds: float, seed: int) -> int:
    """Go round until the time is up; return how many rounds failed, and one more if memory grew."""
    end, failed, told, memory = time.monotonic() + seconds, 0, Counter[str](), list[int]()
    first = seed
    while not memory or time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            one = Round(seed, Path(folder))
            try:
                one.run()
            except Exception as error:
                failed += 1
                print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
            told += one.told
        memory.append(resident())
        seed += 1
    settled = memory[len(memory) // 10]
    grown = len(memory) >= ENOUGH and memory[-1] - settled > GROWTH
    told_of = ", grown" if grown else ", flat" if len(memory) >= ENOUGH else f": fewer than {ENOUGH} rounds cannot tell"
    print(f"rounds {first} to {seed - 1}: {failed} failed; " + ", ".join(f"{k}: {n}" for k, n in sorted(told.items())))
    print(f"memory {settled / 1e6:.0f} MB after a tenth, {memory[-1] / 1e6:.0f} MB in the end{told_of}")
    return failed + grown


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**9)))
