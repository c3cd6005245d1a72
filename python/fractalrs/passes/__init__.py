"""Streams over a base, an expansion or a data set: the streamed matrix, and batches of interactions."""

from fractalrs.passes.batches import (
    Integers,
    InteractionBatch,
    Mask,
    UserSampler,
    each_on_threads,
    generated,
    joined,
    part_batches,
    share_of,
    visit,
    with_sources,
)
from fractalrs.passes.matrix import Degrees, Matrix, NearItems, StreamedMatrix, Vectors

__all__ = [
    "Degrees",
    "Integers",
    "InteractionBatch",
    "Mask",
    "Matrix",
    "NearItems",
    "StreamedMatrix",
    "UserSampler",
    "Vectors",
    "each_on_threads",
    "generated",
    "joined",
    "part_batches",
    "share_of",
    "visit",
    "with_sources",
]
