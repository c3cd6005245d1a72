"""Users held out of the data before anything is made of it: the controls that an audit compares members with."""

from typing import Any

import numpy as np
import pyarrow as pa

from fractalrs._core import shuffled
from fractalrs.errors import InputError
from fractalrs.reading import Interactions, read_interactions
from fractalrs.tools import check_count, suggests

_KEY = 1 << 63
"""What no epoch of loading has, whose keys these are too."""


@suggests
def hold_users_out(interactions: Any, share: float = 0.5, seed: int = 0) -> tuple[Interactions, Interactions]:
    """Divide users at random: those from whom a data set is made, and those who are kept away from it.

    Whether an output tells of people cannot be seen without people of whom it cannot tell. Expand the members, and give
    both to `fractalrs.audit`.

    Parameters
    ----------
    interactions
        `Interactions`, or anything that `read_interactions` takes.
    share
        Share of users that are held out, above 0 and below 1.
    seed
        Chooses them; the users that there are and the seed say which, whatever the order of the file.

    Returns
    -------
    members, controls : Interactions
        Each with all interactions of its users.

    Raises
    ------
    InputError
        If the share is out of its range, or leaves nobody on one side.

    Examples
    --------
    >>> import fractalrs as fr
    >>> members, controls = fr.hold_users_out(fr.sample_interactions(60, 40, 600), 0.25, seed=7)
    >>> len(members.codes("user_id")[1]), len(controls.codes("user_id")[1])
    (45, 15)
    """
    _check_share(share)
    check_count("seed", seed)
    known = interactions if isinstance(interactions, Interactions) else read_interactions(interactions)
    codes, ids = known.codes("user_id")
    count = round(share * len(ids))
    if not 0 < count < len(ids):
        raise InputError(
            f"a share of {share:g} of {len(ids):,} users holds {count:,} out; at least one must be, and one must stay",
            hint="choose another share, or give more users",
        )
    (order,) = shuffled(seed, [_KEY], len(ids), [np.arange(len(ids), dtype=np.uint64)])
    is_out = np.zeros(len(ids), bool)
    is_out[order[:count]] = True
    of_controls = is_out[codes]
    members, controls = (
        Interactions(known.table.filter(pa.array(mask)), known.notes) for mask in (~of_controls, of_controls)
    )
    return members, controls


def _check_share(share: Any) -> None:
    good = isinstance(share, int | float | np.number) and not isinstance(share, bool) and 0 < share < 1
    if not good:
        raise InputError(f"the share of users held out is {share!r}; it must be above 0 and below 1", "a fifth is 0.2")
