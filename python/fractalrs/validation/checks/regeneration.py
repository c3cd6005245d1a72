"""Does the plan generate the same users again, bit for bit?"""

import numpy as np
import numpy.typing as npt

from fractalrs.expansion import Expansion
from fractalrs.passes import StreamedMatrix
from fractalrs.validation.findings import Check
from fractalrs.words import SPLITS

REGENERATION = "a sample of users is generated again bit for bit"

USERS = 10_000
"""Expanded users that are generated again and compared, when the source is at hand."""
INTERACTIONS = 10_000_000
"""Fewer users where they hold more interactions than this."""


def sample_users(matrix: StreamedMatrix, expansion: Expansion) -> npt.NDArray[np.uint64]:
    """Return the users that are generated again; their ids rise."""
    users = expansion.shape[0]
    # Keyed by the seed, which the plan alone holds: who does not have it cannot know the sample.
    rng = np.random.default_rng([expansion.seed, users])
    fitting = int(INTERACTIONS * users / max(1.0, matrix.interactions))
    count = max(1, min(users, USERS, fitting))
    return np.sort(rng.choice(users, size=count, replace=False)).astype(np.uint64)


def check_regenerated(matrix: StreamedMatrix, expansion: Expansion, chosen: npt.NDArray[np.uint64]) -> Check:
    """Generate users again and compare train and test interactions, in their order."""
    again = StreamedMatrix(expansion, threads=matrix.threads, users=chosen)
    for split in SPLITS:
        there, here = (each.collect(chosen, test=split == "test") for each in (matrix, again))
        lengths = np.flatnonzero(np.diff(there.indptr) != np.diff(here.indptr))
        if len(lengths):
            return differs(int(chosen[lengths[0]]), f"{split} interactions")
        differing = np.flatnonzero(there.indices != here.indices)
        if len(differing):
            user = chosen[np.searchsorted(there.indptr, differing[0], side="right") - 1]
            return differs(int(user), f"{split} interactions")
    return Check(REGENERATION, "integrity", True, f"{len(chosen):,} of {expansion.shape[0]:,} users are the same")


def differs(user: int, what: str) -> Check:
    """Return that a user has something else than was planned."""
    return Check(REGENERATION, "integrity", False, f"user {user} has other {what} than the plan generates")
