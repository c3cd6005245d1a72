"""Rates and advantages, against counting and textbooks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractalrs.privacy import Advantage, Rate
from fractalrs.privacy.rates import area


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    # The rule of three, exactly: nobody of n, one-sided at 2.5 %.
    assert Rate.counted(0, 100).high == pytest.approx(1 - 0.025 ** (1 / 100))
    assert Rate.counted(100, 100).low == pytest.approx(0.025 ** (1 / 100))
    assert Rate.counted(0, 0).low == 0
    assert Rate.counted(0, 0).high == 1


@given(st.integers(0, 50), st.integers(0, 50))
def test_an_advantage_turns_round_with_its_rates(members: int, controls: int) -> None:
    one, other = Rate.counted(members, 50), Rate.counted(controls, 60)
    there, back = Advantage.of(one, other), Advantage.of(other, one)
    assert there.value == -back.value
    assert there.low <= there.value <= there.high
    assert there.low == pytest.approx(-back.high)


def test_epsilon_is_what_the_worst_ends_of_both_intervals_allow() -> None:
    found = Advantage.of(Rate.counted(600, 1_000), Rate.counted(100, 1_000))
    assert found.epsilon == pytest.approx(math.log(found.members.low / found.controls.high))
    # Where both are claimed often, it is those who are not that tell.
    often = Advantage.of(Rate.counted(990, 1_000), Rate.counted(700, 1_000))
    assert often.epsilon == pytest.approx(math.log((1 - often.controls.high) / (1 - often.members.low)))
    assert Advantage.of(Rate.counted(50, 100), Rate.counted(50, 100)).epsilon == 0


def test_epsilon_stays_below_that_of_a_mechanism_which_has_it() -> None:
    """Randomised response with ε: claims are right with probability e^ε / (1 + e^ε)."""
    rng, epsilon = np.random.default_rng(3), 1.5
    right = math.exp(epsilon) / (1 + math.exp(epsilon))
    is_member = np.arange(4_000) < 2_000
    above = 0
    for _ in range(200):
        claimed = np.where(rng.random(4_000) < right, is_member, ~is_member)
        found = Advantage.counted(claimed, is_member)
        above += found.epsilon > epsilon
        assert found.epsilon > epsilon / 2
    # Both ends are wrong with 2.5 %, on two sides.
    assert above <= 20


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(1)
    scores, is_member = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.4
    pairs = np.sign(scores[is_member][:, None] - scores[~is_member])
    found = area(scores, is_member)
    assert found is not None
    assert found[0] == pytest.approx((pairs + 1).mean() / 2)
    assert found[1] < found[0] < found[2]
    assert area(scores, np.ones(60, bool)) is None
