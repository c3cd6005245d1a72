"""Streams over a base, an expansion or a data set: the streamed matrix, and batches of interactions."""

from fractalrs.passes.batches import (
    Integers,
    InteractionBatch,
    Mask,
    UserSampler,
    each_on_threads,
    file_batches,
    generated,
    joined,
    share_of,
    visit,
    with_sources,
)
from fractalrs.passes.matrix import Degrees, Matrix, StreamedMatrix, Vectors

__all__ = [
    "Degrees",
    "Integers",
    "InteractionBatch",
    "Mask",
    "Matrix",
    "StreamedMatrix",
    "UserSampler",
    "Vectors",
    "each_on_threads",
    "file_batches",
    "generated",
    "joined",
    "share_of",
    "visit",
    "with_sources",
]
