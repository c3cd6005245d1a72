"""Whether a base is of a world, and which ids of it its codes are."""

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.types

from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.simulation.world import World

_CHECKED = 64
"""The interactions of so many users of a base are compared with what the world logs."""


def ids_of(base: Base, world: World) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the ids that codes of a base have in the world; refuse a base that is not of it."""
    ids, hint = [], "give the very world whose interactions the base was made of"
    for array, count, side in zip((base.user_ids, base.item_ids), world.shape, ("user", "item"), strict=True):
        if not pyarrow.types.is_integer(array.type):
            raise InputError(
                f"the {side}s of the base are {array.type}, and those of a world are whole numbers",
                hint="make the base of the world itself: leave_last_out(world)",
            )
        if pc.min(array).as_py() < 0 or pc.max(array).as_py() >= count:
            raise InputError(
                f"the base of the expansion has {side}s that the world has not: they do not belong together",
                hint=hint,
            )
        ids.append(array.to_numpy(zero_copy_only=False).astype(np.uint32))
    few = ids[0][:: -(-len(ids[0]) // _CHECKED)]
    users, items = world.responses(few)
    rows = np.isin(ids[0][base.owners], few)
    given = ids[0][base.owners[rows]].astype(np.int64) * world.shape[1] + ids[1][base.indices[rows]]
    if not np.array_equal(np.sort(given), np.unique(users.astype(np.int64) * world.shape[1] + items)):
        raise InputError(
            "the base of the expansion has other interactions than the world logs: they do not belong together",
            hint=hint,
        )
    return ids[0], ids[1]
