"""The machine: memory, disk, what is installed, and sizes written for people."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fractalrs.errors import InputError, OutputError
from fractalrs.tools.arguments import ALLOWED_THREADS, as_path

_FREE_DISK_MARGIN = 1.05
_GROUPS = {
    "": ("", "memory.max", "memory.current", "active_file|inactive_file|slab_reclaimable"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file|total_inactive_file"),
}
"""Of both versions of control groups, by their controllers: folder, files, and what of the usage can be let go."""


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
def allowed_threads(threads: int) -> Iterator[None]:
    """Let linear algebra use so many threads until the context ends, and whatever is not told how many."""
    token = ALLOWED_THREADS.set(threads)
    try:
        with blas_threads(threads):
            yield
    finally:
        ALLOWED_THREADS.reset(token)


@contextmanager
def drawing() -> Iterator[None]:
    """Load what draws within this context, which says what to install where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError("drawing needs matplotlib and jinja2", hint="pip install 'fractalrs[report]'") from error


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
        message = f"cannot create {path}: {there} is not a folder that may be written to"
        raise OutputError(message, hint="choose a place that you may write to")


def new_place(path: str | os.PathLike[str]) -> Path:
    """Return where something new is to be written; refuse a place where something is, or that cannot be made."""
    target = as_path("path", path).absolute()
    if os.path.lexists(target):
        raise OutputError(f"{target} exists already", hint="choose another name")
    require_place(target)
    return target


def require_disk(path: Path, size: float, hint: str, free: int | None = None) -> None:
    """Refuse a place with too little room for so many bytes: by default with what its disk has free."""
    need, free = int(size * _FREE_DISK_MARGIN), free_disk(path) if free is None else free
    if need > free:
        what = f"it needs about {readable(need)}, {readable(free)} are free"
        raise OutputError(f"too little free disk for {path}: {what}", hint)


def free_memory() -> int | None:
    """Return the bytes of memory that new work may take without swapping; None where the system does not say.

    It is what the system has available, or less where a container or ``ulimit -v`` allows less.
    """
    rooms = [_number("/proc/meminfo", r"MemAvailable:\s*(\d+) kB", 1024), *_rooms_of_groups(), free_addresses()]
    return min((room for room in rooms if room is not None), default=None)


def free_addresses() -> int | None:
    """Return the bytes of addresses that ``ulimit -v`` still allows; None where nothing limits them.

    A thread takes many more addresses than memory: its allocator reserves them.
    """
    with suppress(ImportError):
        import resource

        allowed, taken = resource.getrlimit(resource.RLIMIT_AS)[0], _number("/proc/self/statm", r"^(\d+)", 1)
        if allowed != resource.RLIM_INFINITY and taken is not None:
            return max(0, allowed - taken * resource.getpagesize())
    return None


def require_memory(need: float, what: str, hint: str) -> None:
    """Refuse work that needs more memory than there is."""
    if (free := free_memory()) is not None and need > free:
        raise InputError(f"{what} takes about {readable(need)} of memory, and {readable(free)} are free", hint)


def _rooms_of_groups() -> Iterator[int | None]:
    """Yield what each control group of this process has left; what is cached of files can be let go."""
    told = Path("/proc/self/cgroup")
    for line in told.read_text().splitlines() if told.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers not in _GROUPS:
            continue
        folder, limit, usage, cached = _GROUPS[controllers]
        root = Path("/sys/fs/cgroup", folder)
        group = root / path.lstrip("/")
        # In a container the path may be the one outside it.
        for place in (root, group, *(parent for parent in group.parents if root in parent.parents)):
            most, taken = _number(place / limit, r"^(\d+)", 1), _number(place / usage, r"^(\d+)", 1)
            if most is not None and taken is not None:
                yield max(0, most - taken + (_number(place / "memory.stat", rf"^(?:{cached}) (\d+)", 1) or 0))


def _number(file: str | Path, pattern: str, unit: int) -> int | None:
    """Return the sum of some numbers in a file of the system's; None where it has none of them, such as ``max``."""
    try:
        found = re.findall(pattern, Path(file).read_text(), flags=re.MULTILINE)
    except OSError:
        return None
    return sum(map(int, found)) * unit if found else None


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
