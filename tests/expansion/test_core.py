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
from fractalrs.expansion import Cells, Expansion
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


@pytest.mark.parametrize("items", [300, 70_000])
@pytest.mark.parametrize("size", [1, 7, 256, 257])
def test_who_is_made_alone_is_made_as_among_all(size: int, items: int) -> None:
    """For all users of a row block columns and exchanges are tabulated, for a few they are not."""
    rng, users = np.random.default_rng(size), 600
    codes = np.sort(np.array([rng.choice(items, 200, replace=False) for _ in range(users)]), axis=1)
    base = Base.from_arrays(np.arange(users + 1) * 200, codes.ravel(), item_ids=np.arange(items))
    starts = (np.append(np.arange(0, count, each), count) for count, each in ((users, size), (items, 5)))
    orders = rng.permutation(users), rng.permutation(items)
    of_users, of_items = ([codes.astype(np.uint32) for codes in one] for one in zip(orders, starts, strict=True))
    cells = Cells(*of_users, *of_items)
    made = Expansion(base, [[0.9, 0.02, 0.3], [0.5, 0.4, 0.001]], shuffle="cells", cells=cells, max_keep=1, min_keep=0)
    whole = made.generator.interactions(0, 2 * users, "train")
    alone = [made.generator.interactions(user, user + 1, "train") for user in range(590, 610)]
    among = np.isin(whole[0], np.arange(590, 610))
    assert among.sum() > 1_000
    np.testing.assert_array_equal(np.concatenate([one[0] for one in alone]), whole[0][among])
    np.testing.assert_array_equal(np.concatenate([one[1] for one in alone]), whole[1][among])


def test_blocks_beyond_the_tables_are_made_as_those_that_have_some() -> None:
    """One user's columns are worked out one by one; both users' are tabulated, as far as tables go: 16,603 blocks."""
    items, blocks = 2_000, 20_000
    base = Base.from_arrays(np.arange(3) * items, np.tile(np.arange(items), 2))
    made = Expansion(base, np.full((1, blocks), 0.26), shuffle="block", min_keep=0, max_keep=1)
    users, columns = made.generator.interactions(0, 2, "train")[:2]
    alone = made.generator.interactions(0, 1, "train")[1]
    np.testing.assert_array_equal(columns[users == 0], alone)
    # In the last blocks too there is something.
    assert (alone > 19_000 * items).sum() > 400_000
