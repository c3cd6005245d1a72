"""The one digest of everything, BLAKE3: of files, of arrays, of plans."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from fractalrs._core import Blake3


class Digest:
    """What takes bytes, and digests them with BLAKE3."""

    def __init__(self, pieces: Iterable[Any] = ()) -> None:
        self._core = Blake3()
        for piece in pieces:
            self.update(piece)

    def update(self, piece: Any) -> None:
        """Take the bytes of a contiguous buffer."""
        self._core.update(np.frombuffer(piece, dtype=np.uint8))

    def copy(self) -> "Digest":
        """Return one of its own that has taken the same bytes."""
        copied = Digest()
        copied._core = self._core.copy()
        return copied

    def hex(self) -> str:
        """Return the digest of what was taken so far, in hexadecimal."""
        return self._core.hexdigest()


def digest_of_json(value: Any) -> str:
    """Return the digest of a plain value, in hexadecimal: whatever the order of its keys.

    Examples
    --------
    >>> digest_of_json({"a": 1, "b": 2}) == digest_of_json({"b": 2, "a": 1})
    True
    """
    return Digest([json.dumps(value, sort_keys=True).encode()]).hex()
