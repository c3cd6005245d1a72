"""The machine: memory, disk, what is installed, and sizes written for people."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fractalrs.errors import InputError, OutputError

_FREE_DISK_MARGIN = 1.05


@contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """Let linear algebra use so many threads until the context ends."""
    # Only libraries that are loaded can be limited: NumPy and SciPy bring one each.
    import numpy.linalg  # noqa: F401
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


@contextmanager
def drawing() -> Iterator[None]:
    """Load what draws within this context, which says what to install where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError("drawing needs matplotlib and jinja2: pip install 'fractalrs[report]'") from error


@contextmanager
def installed(package: str) -> Iterator[None]:
    """Load what needs a package of the user's within this context, which says to install it where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"{package} is not installed", hint=f"pip install {package}") from error


def readable(size: float) -> str:
    """Return a number of bytes for people: ``2.7 GB``."""
    unit, name = next(
        (unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")) if size >= unit or unit == 1
    )
    return f"{size / unit:.3g} {name}" if size < 1000 * unit else f"{size / unit:,.0f} {name}"


def free_disk(path: Path) -> int:
    """Return the free bytes where `path` is, or would be."""
    there = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def require_place(path: Path) -> None:
    """Refuse a path that does not exist yet, and cannot be made or named."""
    if not os.fspath(path).isprintable():
        raise OutputError(f"{os.fspath(path)!r} has characters that cannot be seen", hint="choose another name")
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"cannot create {path}: {there} is not a folder that may be written to")


def require_disk(path: Path, size: float, hint: str, free: int | None = None) -> None:
    """Refuse a place with too little room for so many bytes: by default with what its disk has free."""
    need, free = int(size * _FREE_DISK_MARGIN), free_disk(path) if free is None else free
    if need > free:
        what = f"it needs about {readable(need)}, {readable(free)} are free"
        raise OutputError(f"too little free disk for {path}: {what}", hint)


def free_memory() -> int | None:
    """Return the bytes of memory that new work may take without swapping; None where the system does not say."""
    there = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s*(\d+) kB", there.read_text()) if there.exists() else None
    return int(found[1]) * 1024 if found else None


def peak_memory() -> int:
    """Return this process's peak memory so far, in bytes; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        # Below, Linux counts the memory of the program that started this one too.
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
