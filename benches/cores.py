"""How far threads carry: generating, streaming and writing on 1, 2, 4, … threads of one machine, and a validation.

    python benches/cores.py [--quick]

Each thread has as much to do, up to the whole expansion, so that a perfect machine takes as long on any number. Wall
time counts here: run it where nobody else works. Prints, and keeps the figures in ``bench-data/cores.json``.
"""

import argparse
import json
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from typing import Any

from measure import DATA, ML_20M, SMALL, Size, cores, emptied, machine

import fractalrs as fr
from fractalrs.tools import peak_memory

PARTS = 128
CORE: dict[str, Any] = {"encoding": "default", "compression": "none", "row_group_size": 1 << 20, "stage": "generate"}


def taken(work: Callable[[], Any]) -> dict[str, float]:
    """Do some work; return the seconds it took, by the wall's clock and of processors."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}


def measured(size: Size) -> dict[str, Any]:
    """Measure generating and streaming by threads, then writing and validating all of it."""
    expansion, most = size.expansion(), cores()
    cuts, found = expansion.cuts(PARTS), dict[str, Any]()
    for threads in takewhile(lambda threads: threads <= most, (1 << k for k in range(8))):
        count = min(PARTS, PARTS // 8 * threads)
        parts = [(k, cuts[k], cuts[k + 1], None, None, None) for k in range(0, PARTS, PARTS // count)]
        stream = expansion.stream(users=(0, cuts[count]), threads=threads)
        works: dict[str, Callable[[], Any]] = {
            "generate": partial(expansion.generator.run, parts, threads=threads, **CORE),
            "stream": partial(deque, stream, 0),
        }
        for name, work in works.items():
            found[f"{name} {threads}"] = {**taken(work), "share": count / PARTS}
            print(name, threads, found[f"{name} {threads}"], flush=True)
    out = emptied(DATA / "out")
    found["write"] = taken(lambda: fr.write(expansion, out))
    found["validate"] = {**taken(lambda: fr.validate(fr.open_dataset(out), size.base())), "peak": peak_memory()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="on the built-in sample")
    size = SMALL if parser.parse_args().quick else ML_20M
    found = {"machine": machine(), "size": str(size), **measured(size)}
    (DATA / "cores.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
