"""The environment is what Gymnasium's checker and the world say."""

import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import fractalrs as fr
from fractalrs.gym import Environment

WORLD = fr.simulate(60, 40, 300, seed=3, slate=5, position_bias=0.5)


def test_the_checker_passes() -> None:
    with warnings.catch_warnings():
        # It advises a registration, which is the user's.
        warnings.simplefilter("ignore")
        check_env(Environment(WORLD, rounds=4), skip_render_check=True)


def played(environment: Environment, seed: int, slates: Any) -> list[Any]:
    found: list[Any] = [environment.reset(seed=seed)[0].tolist()]
    for slate in slates:
        observation, reward, terminated, truncated, info = environment.step(slate)
        found.append((observation.tolist(), reward, terminated, truncated, info))
    return found


def test_an_episode_is_determined_by_its_seed() -> None:
    slates = np.random.default_rng(0).integers(40, size=(4, 5))
    first, again = (played(Environment(WORLD, rounds=4), 7, slates) for _ in range(2))
    assert first == again != played(Environment(WORLD, rounds=4), 8, slates)
    assert [one[3] for one in first[1:]] == [False, False, False, True]


def test_rewards_are_responses_of_the_world() -> None:
    environment, likes, count = Environment(WORLD, slate=3), 0.0, 4_000
    best = np.argsort(-WORLD.preferences([9])[0])[:3]
    expected = float(WORLD.preference(9, best) @ WORLD.examination[:3])
    for seed in range(count):
        environment.reset(seed=seed, options={"user": 9})
        observation, reward, *_, info = environment.step(best)
        assert info["user"] == 9
        assert abs(info["regret"]) < 1e-9
        assert reward == np.count_nonzero(observation == 1)
        assert np.count_nonzero(observation == -1) == 3 - reward
        likes += reward
    assert abs(likes / count - expected) < 5 * np.sqrt(expected / count)


def test_an_item_twice_counts_once() -> None:
    environment = Environment(WORLD, slate=5)
    for seed in range(50):
        environment.reset(seed=seed)
        _, reward, *_ = environment.step(np.array([4, 4, 4, 4, 4]))
        assert reward <= 1
        if reward:
            assert environment.step(np.array([4, 4, 4, 4, 4]))[1] == 0


def test_what_is_refused() -> None:
    with pytest.raises(fr.InputError, match="5 positions"):
        Environment(WORLD, slate=6)
    with pytest.raises(fr.InputError, match="world is None"):
        Environment(None)  # type: ignore[arg-type]
    with pytest.raises(fr.InputError, match="larger than the catalogue"):
        Environment(WORLD, slate=41)
    environment = Environment(WORLD)
    for slate in ([0, 1], [0, 1, 2, 3, 40], [-1, 1, 2, 3, 4], [0.5, 1, 2, 3, 4], [True] * 5, list("abcde"), [None] * 5):
        with pytest.raises(fr.InputError, match="is no slate"):
            environment.step(np.array(slate))


def test_worlds_of_small_slates_show_larger_ones_as_loops_do() -> None:
    world = fr.simulate(60, 40, 300, seed=3)
    environment = Environment(world, slate=10)
    user = environment.reset(seed=1)[1]["user"]
    info = environment.step(np.argsort(-world.preferences([user])[0])[:10])[4]
    assert info["regret"] == pytest.approx(0)
