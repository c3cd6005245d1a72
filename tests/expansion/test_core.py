"""The core: what a call costs."""

import time
from collections.abc import Callable

import numpy as np

from fractalrs.base import Base
from fractalrs.expansion import Expansion


def expansion_of(users: int, items: int) -> Expansion:
    """An expansion of 4 × 4 blocks whose base has 5 interactions a user."""
    codes = np.arange(users * 5) * 7 % items
    base = Base.from_arrays(np.arange(users + 1) * 5, np.sort(codes.reshape(users, 5), axis=1).ravel())
    return Expansion(base, np.full((4, 4), 0.1), shuffle="aligned")


def processor_time(call: Callable[[], object]) -> float:
    """The least of many tries, so that other programs hardly matter."""

    def seconds() -> float:
        started = time.process_time()
        for _ in range(10):
            call()
        return time.process_time() - started

    return min(seconds() for _ in range(30))


def test_one_user_costs_the_same_whatever_the_base() -> None:
    small, large = (expansion_of(2_000 * factor, 1_000 * factor).generator for factor in (1, 200))
    # When each call went over all users and items, this was 12.
    assert processor_time(lambda: large.interactions(7, 8, False)) < 4 * processor_time(
        lambda: small.interactions(7, 8, False)
    )
