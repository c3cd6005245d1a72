"""Loading: batches and histories for trainers, out of expansions that are on no disk or of data sets; NumPy only."""

from fractalrs.loading.batches import Batch, Batches
from fractalrs.loading.histories import Histories
from fractalrs.loading.windows import Source

__all__ = ["Batch", "Batches", "Histories", "Source"]
