"""The real interactions, thinned: what is left of them at the synthetic density."""

import numpy as np

from fractalrs.base import Base


def thin(base: Base, keep_rate: float, seed: int = 0) -> Base:
    """Return the train part of a base, of which each interaction is kept with that probability; the ids stay."""
    users, items = base.shape
    drawn = np.random.default_rng(seed).random(base.count) < keep_rate
    kept = base.mask("train") & drawn
    starts = np.append(0, np.cumsum(np.bincount(base.owners[kept], minlength=users)))
    return Base.from_arrays(starts, base.indices[kept], item_ids=np.arange(items))
