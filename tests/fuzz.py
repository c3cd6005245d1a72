"""Damage sources and what this program saved until the time is up: ``python tests/fuzz.py SECONDS [FIRST_SEED]``.

Prints what was tried, and by which seed anything was raised that is no refusal; exits with 1 then. Of a crash the last
line on stderr names the kind and the first of the seeds; so it does of a try that does not end, which is shown and ends
all.
"""

import faulthandler
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fractalrs as fr
from fractalrs.expansion import Expansion
from helpers.folders import RATES, small_base, small_cells
from helpers.mutations import CORPUS, SUFFIXES, source, unexpected

AT_ONCE = 25
"""So many seeds of one kind, then the next kind."""
STUCK = 60.0
"""Seconds: a try that takes longer does not end."""


def kinds(folder: Path) -> dict[str, tuple[Path, list[str], Callable[[], Any]]]:
    """Write one of each kind, and the corpus; return where, its files, and what uses it."""
    found: dict[str, tuple[Path, list[str], Callable[[], Any]]] = {}
    for suffix in SUFFIXES:
        (folder / suffix).mkdir()
        path = source(folder / suffix, suffix)
        found[suffix] = path.parent, [path.name], partial(fr.read_interactions, path)
    shutil.copytree(CORPUS, folder / "corpus")
    corpus = sorted((folder / "corpus").iterdir())
    # The one that was changed last is the one that is spoiled.
    latest = partial(max, corpus, key=lambda path: path.stat().st_mtime_ns)
    found["corpus"] = folder / "corpus", [path.name for path in corpus], lambda: fr.read_interactions(latest())
    expansion = Expansion(small_base(), RATES, cells=small_cells(), seed=7)
    expansion.save(folder / "saved")
    files = [file for file in sorted((folder / "saved").rglob("*.*")) if file.is_file()]
    names = [str(file.relative_to(folder / "saved")) for file in files]
    found["expansion"] = folder / "saved", names, lambda: Expansion.load(folder / "saved").table(0, 20)
    csr = fr.export(fr.write(expansion, folder / "out", parts=1), folder / "csr", format="csr")
    found["csr"] = csr, [file.name for file in sorted(csr.iterdir())], lambda: fr.load_csr(csr).sum(axis=0)
    return found


def watched(use: Callable[[], Any]) -> None:
    """Use it; where it does not end show where it is, and exit."""
    faulthandler.dump_traceback_later(STUCK, exit=True)
    try:
        use()
    finally:
        faulthandler.cancel_dump_traceback_later()


def main(seconds: float, seed: int) -> int:
    """Go round all kinds; return how many tries ended otherwise than they may."""
    faulthandler.enable()
    end, faults, tried = time.monotonic() + seconds, 0, dict[str, int]()
    with tempfile.TemporaryDirectory() as folder:
        every = kinds(Path(folder))
        while not tried or time.monotonic() < end:
            for kind, (place, names, use) in every.items():
                print(f"\r{kind} from seed {seed}   ", end="", file=sys.stderr)
                for fault in unexpected(place, names, range(seed, seed + AT_ONCE), partial(watched, use)):
                    print(f"{kind}: {fault}")
                    faults += 1
                tried[kind] = tried.get(kind, 0) + AT_ONCE
            seed += AT_ONCE
    print(", ".join(f"{kind} {count:,}" for kind, count in tried.items()), f"tried: {faults} unexpected")
    return faults


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**9)))
