"""Cuts: every user is in one part, parts are alike in weight, and those of P are those of 10 P joined."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fractalrs as fr
from fractalrs.expansion import Expansion
from fractalrs.expansion.division import divide, row_block_weights
from helpers import oracle

WEIGHTS = st.lists(st.integers(0, 1 << 50) | st.integers(0, 3), min_size=1, max_size=12)


def weight_before(user: int, weights: list[int], each: int) -> Fraction:
    stretch, inside = divmod(user, each)
    return Fraction(sum(weights[:stretch])) + (Fraction(weights[stretch] * inside, each) if inside else Fraction())


@given(WEIGHTS, st.integers(1, 50), st.integers(1, 700))
def test_every_user_is_in_one_part_and_parts_weigh_the_same(weights: list[int], each: int, parts: int) -> None:
    cuts = divide(weights, each, parts)
    assert cuts == sorted(cuts)
    assert (len(cuts), cuts[0], cuts[-1]) == (parts + 1, 0, len(weights) * each)
    weights = weights if any(weights) else [1] * len(weights)
    share, heaviest = Fraction(sum(weights), parts), Fraction(max(weights), each)
    for k, cut in enumerate(cuts):
        # Whole users: the last one is cut off at the most.
        assert 0 <= k * share - weight_before(cut, weights, each) < heaviest or cut in {0, cuts[-1]}
    for first, last in pairwise(cuts):
        assert abs(weight_before(last, weights, each) - weight_before(first, weights, each) - share) < heaviest


@given(WEIGHTS, st.integers(1, 50), st.integers(1, 40), st.integers(1, 12))
def test_parts_of_more_parts_join_to_those_of_fewer(weights: list[int], each: int, parts: int, times: int) -> None:
    assert divide(weights, each, parts * times)[::times] == divide(weights, each, parts)


def test_equal_weights_make_equal_parts() -> None:
    assert divide([7] * 3, 200, 7) == [k * 600 // 7 for k in range(8)]
    assert divide([1, 1], 3, 6) == list(range(7))
    assert divide([0, 0], 3, 6) == list(range(7))


def test_row_blocks_without_interactions_are_with_those_beside_them() -> None:
    assert divide([0, 5, 0, 0, 5, 0], 10, 2) == [0, 40, 60]
    assert divide([0, 5, 0, 0, 5, 0], 10, 1) == [0, 60]


def test_a_part_may_be_without_users_where_others_weigh_more() -> None:
    assert divide([1000, 1], 1, 2) == [0, 0, 2]


def base_of(degrees: list[int]) -> fr.Base:
    rng, starts = np.random.default_rng(3), np.cumsum([0, *degrees])
    items = np.concatenate([np.sort(rng.permutation(150)[:degree]) for degree in degrees])
    return fr.Base.from_arrays(starts, items, rng.random(len(items)) < 0.1)


def expansions() -> dict[str, Expansion]:
    base, uneven = base_of([20] * 200), base_of([5] * 100 + [35] * 100)
    rates = np.outer([0.05, 0.9, 0.0, 0.4], [0.9, 0.2, 0.5, 0.0, 0.7])
    return {
        "dropout": Expansion(base, rates, shuffle="cells", max_keep=0.95, min_keep=0.0, seed=5),
        "some blocks": Expansion(base, np.full((6, 40), 0.5), shuffle="aligned", block_keep=0.2, seed=5),
        "kronecker": Expansion(base, rates, operator="kronecker"),
        "sketch": Expansion(uneven, np.ones((30, 40)), operator="sketch"),
        "function": Expansion(base, rates, operator=lambda block, *_: block),
    }


@pytest.mark.parametrize("name", expansions())
def test_parts_of_expansions_have_alike_many_interactions(name: str) -> None:
    expansion = expansions()[name]
    counts = [
        sum(expansion.table(first, last, split).num_rows for split in ("train", "test"))
        for first, last in pairwise(expansion.cuts(8))
    ]
    np.testing.assert_allclose(counts, np.mean(counts), rtol=0.15)
    assert expansion.cuts(40)[::5] == expansion.cuts(8)


def test_weights_are_those_of_blocks_that_exist() -> None:
    rates = np.full((5, 64), 0.25)
    for block_keep in (0.3, 1.0):
        weights = row_block_weights(rates, 9, block_keep)
        words = oracle.under(oracle.root(9), 0, np.arange(5)[:, None], np.arange(64))
        exists = (words < np.uint64(0.3 * 2.0**64)) | (block_keep == 1)
        assert weights == (exists.sum(axis=1) << 30).tolist()
