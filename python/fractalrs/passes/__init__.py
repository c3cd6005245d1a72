"""Streams over a base, an expansion or a data set: the streamed matrix, and batches of interactions."""

from fractalrs.passes.batches import (
    InteractionBatch,
    UserSampler,
    each_on_threads,
    file_batches,
    generated,
    joined,
    share_of,
    visit,
    with_sources,
)
from fractalrs.passes.matrix import Degrees, Matrix, StreamedMatrix, Vectors, Violations

__all__ = [
    "Degrees",
    "InteractionBatch",
    "Matrix",
    "StreamedMatrix",
    "UserSampler",
    "Vectors",
    "Violations",
    "each_on_threads",
    "file_batches",
    "generated",
    "joined",
    "share_of",
    "visit",
    "with_sources",
]
