"""The core: how options arrive there, and what a call costs."""

import dataclasses
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from helpers.core import make_base, make_expansion

EXPANSION = make_expansion(make_base([3, 0, 2], 4), [[0.5]], "block")
OPTIONS = {**dataclasses.asdict(EXPANSION.options), "shuffled": True, "mixed": False}


def make_generator(options: dict[str, Any]) -> object:
    base, rates, cells = EXPANSION.base, EXPANSION.keep_rates, vars(EXPANSION.cells).values()
    core = type(EXPANSION.generator)
    return core(base.indptr, base.entries, base.shape[1], rates, *cells, options=options, threads=1)


@given(st.floats(max_value=-0.0, exclude_max=True) | st.floats(min_value=1, exclude_min=True))
def test_numbers_arrive_to_the_last_bit(rate: float) -> None:
    with pytest.raises(InputError) as refused:
        make_generator({**OPTIONS, "block_keep": rate})
    said = re.match(r"block_keep is (\S+);", str(refused.value))
    assert said is not None
    assert float(said[1]) == rate


@pytest.mark.parametrize("name", ["seed", "shuffled", "cold_items", "operator"])
def test_an_option_that_does_not_arrive_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"missing field `{name}`"):
        make_generator({other: value for other, value in OPTIONS.items() if other != name})


def test_a_word_that_is_none_is_refused_with_all_that_are() -> None:
    with pytest.raises(InputError, match="unknown variant `size`, expected one of `block`, `item`, `time`"):
        make_generator({**OPTIONS, "order": "size"})


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
    assert processor_time(lambda: large.interactions(7, 8, "train")) < 4 * processor_time(
        lambda: small.interactions(7, 8, "train")
    )
