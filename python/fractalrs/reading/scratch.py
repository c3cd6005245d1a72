"""A folder of temporary files that lives as long as the value that holds it."""

import shutil
import tempfile
import weakref
from pathlib import Path

from fractalrs.errors import InputError


class Scratch:
    """A folder that goes with this value.

    Raises
    ------
    InputError
        If there is no room for so many bytes.
    """

    def __init__(self, source: str, size: int) -> None:
        place = tempfile.gettempdir()
        free = shutil.disk_usage(place).free
        if size > free:
            raise InputError(
                f"{source} needs {size:,} bytes in {place}, where {free:,} are free",
                hint="name another folder with the environment variable TMPDIR, or unpack it yourself",
            )
        self.path = Path(tempfile.mkdtemp(prefix="fractalrs-"))
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
