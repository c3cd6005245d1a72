"""Loading: batches and histories for trainers, real and synthetic interactions mixed; NumPy only."""

from fractalrs.loading.batches import Batch, Batches
from fractalrs.loading.histories import Histories
from fractalrs.loading.mixing import Mixture, check_mixing, mix
from fractalrs.loading.windows import Source

__all__ = ["Batch", "Batches", "Histories", "Mixture", "Source", "check_mixing", "mix"]
