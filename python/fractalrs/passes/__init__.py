"""Streams over a base, an expansion or a data set: the streamed matrix, batches of interactions, the access profile."""

from fractalrs.passes.access import AccessProfile, access_profile
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
from fractalrs.passes.tables import TableAccess

__all__ = [
    "AccessProfile",
    "Degrees",
    "Integers",
    "InteractionBatch",
    "Mask",
    "Matrix",
    "NearItems",
    "StreamedMatrix",
    "TableAccess",
    "UserSampler",
    "Vectors",
    "access_profile",
    "each_on_threads",
    "generated",
    "joined",
    "part_batches",
    "share_of",
    "visit",
    "with_sources",
]
