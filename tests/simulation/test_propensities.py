"""Propensities are exact: by enumeration on small worlds, and by counting draws."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import fractalrs as fr
from helpers.world_oracle import cut, turned

FAMILY_WISE = 1e-6


def enumerated(weights: list[int], n: int) -> list[Fraction]:
    """The probability that each rank is shown: over all turns and all that can happen at borders, no approximation."""
    certain, strata, rest = cut(weights, n)
    chances = [Fraction(int(rank < certain)) for rank in range(len(weights))]
    starts = range(certain, len(weights))
    for start in starts if strata else []:
        axis = turned(weights, certain, start)
        before: dict[int, Fraction] = {-1: Fraction(1)}
        for stratum in range(strata):
            border, now = stratum * rest, dict[int, Fraction]()
            across, begin, end = next(item for item in axis if border < item[2] * strata)
            left = border - begin * strata
            right = end * strata - border if left else 0
            for last, chance in before.items():
                taken = Fraction(right, rest - left) if right and last != across else Fraction(0)
                if taken:
                    now[across] = now.get(across, Fraction(0)) + chance * taken
                for rank, begin, end in axis:
                    low, high = max(begin * strata, border + right), min(end * strata, border + rest)
                    if high > low and taken < 1:
                        part = chance * (1 - taken) * Fraction(high - low, rest - right)
                        now[rank] = now.get(rank, Fraction(0)) + part
            for rank, chance in now.items():
                chances[rank] += chance / len(starts)
            before = now
    return chances


@given(st.lists(st.integers(1, 50), min_size=2, max_size=9), st.data())
@settings(max_examples=60, deadline=None)
def test_enumeration_agrees_with_what_is_stated(weights: list[int], data: st.DataObject) -> None:
    weights = sorted(weights, reverse=True)
    n = data.draw(st.integers(1, len(weights)))
    certain, strata, rest = cut(weights, n)
    for rank, chance in enumerate(enumerated(weights, n)):
        stated = 1.0 if rank < certain else strata * weights[rank] / rest
        assert abs(float(chance) - stated) < 1e-12


@pytest.mark.parametrize("policy", ["uniform", "popularity", "popularity^2"])
def test_a_small_world_says_what_enumeration_finds(policy: str) -> None:
    world = fr.simulate(12, 9, 20, seed=4, policy=policy, popularity=1.0)
    ranks = np.argsort(-world.propensity(np.argmin(world.exposures(range(12))), range(9)), kind="stable")
    weights = world.spec["weights"]["values"]
    falling = [weights[0]] * 9 if policy == "uniform" else weights[:9]
    for user in range(12):
        n = int(world.exposures(user))
        exact = [float(chance) for chance in enumerated(falling, n)]
        np.testing.assert_allclose(np.sort(world.propensity(user, ranks)), np.sort(exact), rtol=0, atol=1e-12)


def worst(counts: npt.NDArray[np.int64], expected: npt.NDArray[np.float64], trials: int) -> float:
    """The smallest tail probability of χ² of any row, times the rows; what is expected to be rare counts together."""
    for certain in (0, trials):
        assert np.array_equal(counts[expected == certain], expected[expected == certain])
    variance = expected * (1 - expected / trials)
    rare = variance < 5
    squares = np.where(rare, 0.0, (counts - expected) ** 2 / np.maximum(variance, 5)).sum(axis=1)
    off, spread = (np.where(rare, values, 0.0).sum(axis=1) for values in (counts - expected, variance))
    squares += np.where(spread >= 5, off**2 / np.maximum(spread, 5), 0.0)
    # Sums over items are fixed, so that a row has fewer degrees of freedom than that: on the safe side.
    return float(chi2.sf(squares, np.maximum((~rare).sum(axis=1) + (spread >= 5), 1)).min() * len(counts))


def counted(world: fr.World, rounds: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    (users, items), counts = world.shape, np.zeros(world.shape, np.int64)
    for number in range(rounds):
        log = pa.table(world.observations(round=number, columns=["user_id", "item_id"]))
        np.add.at(counts, (log["user_id"].to_numpy(), log["item_id"].to_numpy()), 1)
    return counts, rounds * world.propensity(np.arange(users)[:, None], np.arange(items))


@pytest.mark.parametrize("policy", ["uniform", "popularity"])
def test_frequencies_are_the_propensities(policy: str) -> None:
    world = fr.simulate(40, 30, 300, seed=11, policy=policy)
    counts, expected = counted(world, 300)
    assert worst(counts, expected, 300) > FAMILY_WISE
    # The same test sees propensities that belong to others.
    if policy == "popularity":
        assert worst(counts, expected[:, np.roll(np.arange(30), 1)].clip(1e-9, 300 - 1e-9), 300) < FAMILY_WISE


def test_own_policies_show_what_they_say() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 30))
    greedy = fr.EpsilonGreedy(lambda users: scores[users], epsilon=0.3)
    soft = np.exp(scores)
    for policy in (greedy, lambda users: soft[users]):
        world = fr.simulate(20, 30, 100, seed=2, policy=policy)
        counts, expected = counted(world, 300)
        assert worst(counts, expected, 300) > FAMILY_WISE
        n = world.exposures(range(20))
        np.testing.assert_allclose(world.propensity(np.arange(20)[:, None], np.arange(30)).sum(axis=1), n)
    world = fr.simulate(20, 30, 100, seed=2, policy=greedy)
    n = world.exposures(range(20))
    best = np.argsort(-scores, axis=1)
    stated = world.propensity(np.arange(20)[:, None], best)
    wanted = np.where(np.arange(30) < n[:, None], 0.7, 0.3 * n[:, None] / (30 - n[:, None]))
    np.testing.assert_allclose(stated[n <= 21], wanted[n <= 21], atol=1e-9)
    assert np.any(n <= 21)


@pytest.mark.parametrize("slate", [1, 4])
def test_responses_are_preferences_that_are_looked_at(slate: int) -> None:
    world = fr.simulate(200, 50, 1_200, seed=9, slate=slate, position_bias=0.8)
    liked = np.zeros(slate)
    seen = np.zeros((2, slate))
    for number in range(20):
        log = pa.table(world.observations(round=number))
        user, item, position = (log[name].to_numpy() for name in ("user_id", "item_id", "position"))
        chance = world.preference(user, item) * world.examination[position]
        np.add.at(liked, position, log["response"].to_numpy())
        np.add.at(seen[0], position, chance)
        np.add.at(seen[1], position, chance * (1 - chance))
    assert np.all(np.abs(liked - seen[0]) < 5 * np.sqrt(seen[1]))
