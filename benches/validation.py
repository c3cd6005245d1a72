"""Validate 1.2 billion interactions at MovieLens 20M's shape; keep time, memory, numbers and the report.

    python benches/validation.py    # expands
    python benches/validation.py    # validates, so that peak memory is that of validating alone

The built-in sample at that shape is expanded into ``bench-data/ml-20m/full`` and validated there, with the source.
Written: ``docs/raw/validation-full.json`` (the report's numbers without curves and maps, seconds by stage, peak
memory) and ``bench-data/report.html``. With ``--spectrum`` only the 2,048 leading singular values of the base are
found and timed.
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from measure import DATA, ML_20M

import fractalrs as fr
from fractalrs.tools import peak_memory
from fractalrs.validation.measure.spectrum import spectrum

NUMBERS = Path("docs/raw/validation-full.json")
SPECTRUM = Path("docs/raw/spectrum-base.json")


def say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def measure(json_path: Path, figures: dict[str, Any], started: float) -> None:
    """Write figures with the time and memory they took."""
    figures |= {"total_seconds": time.monotonic() - started, "peak_memory_bytes": peak_memory()}
    json_path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--spectrum", action="store_true", help="find 2,048 singular values of the base instead")
    parser.add_argument("--without-source", action="store_true", help="leave out what needs the real interactions")
    arguments = parser.parse_args()
    started = time.monotonic()
    if arguments.spectrum:
        found = spectrum(fr.StreamedMatrix(ML_20M.base()), 2048)
        relative = found.bounds / found.values
        measure(
            SPECTRUM,
            {"first": found.values[:16].tolist(), "last": found.values[-1], "largest_bound": relative.max()},
            started,
        )
        return
    folder = ML_20M.folder / "full"
    if not (folder / "manifest.json").exists():
        say("expanding")
        fr.write(ML_20M.expansion(), folder)
        say("expanded: run this again to validate")
        return
    base = None if arguments.without_source else ML_20M.base()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    report = fr.validate(folder, base)
    report.to_html(DATA / "report.html")
    content = report.to_dict()
    measure(
        NUMBERS,
        {name: content[name] for name in ("holds", "failures", "subject", "checks", "metrics", "seconds")},
        started,
    )
    sys.stdout.write(f"{report}\n")


if __name__ == "__main__":
    main()
