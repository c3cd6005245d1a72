"""Locks on files: they end with their process, however that ends, and network file systems have them too."""

import logging
import os
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such lock.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


def lock_file(path: Path, shared: bool = False) -> int | None:
    """Open a file and lock it; None where another has locked it, or deletes it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        return None
    if lock(descriptor, shared) is not False:
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
    os.close(descriptor)
    return None


def lock(descriptor: int, shared: bool = False) -> bool | None:
    """Lock a file and return True; False where another has locked it, None where the file system has no locks."""
    if fcntl is None:
        return None
    try:
        # On a file that is open for writing network file systems make a lock of the server's of it.
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logger.info("going on without locks, which this file system does not have: %s", error.strerror)
        return None
    return True
