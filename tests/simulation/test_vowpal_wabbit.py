"""Vowpal Wabbit learns from a log to a policy that is better than the one which logged it, by the exact value."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr

pytestmark = pytest.mark.adapters


def examples(world: fr.World, rounds: int) -> list[str]:
    """Exposures of some rounds as Vowpal Wabbit reads them: action, cost, probability of the action, and the user."""
    lines = []
    for number in range(rounds):
        log = pa.table(world.observations(round=number, columns=["user_id", "item_id", "propensity", "response"]))
        user, item, propensity, response = (column.to_numpy() for column in log.columns)
        # Of the actions of one decision: that of the round over the user's exposures.
        chance = propensity / world.exposures(user)
        rows = zip(user.tolist(), item.tolist(), response.tolist(), chance.tolist(), strict=True)
        lines += [f"{i + 1}:{-int(liked)}:{p} | user_{u}" for u, i, liked, p in rows]
    return [lines[number] for number in np.random.default_rng(0).permutation(len(lines))]


@pytest.mark.parametrize("kind", ["ips", "dr"])
def test_it_learns_a_policy_better_than_the_one_that_logged(kind: str) -> None:
    vowpalwabbit: Any = pytest.importorskip("vowpalwabbit")
    users, items = 200, 10
    world = fr.simulate(users, items, 300, seed=3, taste=2.0, activity=0.3)
    everyone = np.arange(users)
    learner = vowpalwabbit.Workspace(f"--cb {items} --cb_type {kind} --quiet -b 16")
    for example in examples(world, rounds=60):
        learner.learn(example)
    chosen = np.array([learner.predict(f"| user_{user}") - 1 for user in everyone])
    learner.finish()
    learnt = world.policy_value(lambda ids: np.eye(items)[chosen[ids]], everyone)
    shown = world.propensity(everyone[:, None], np.arange(items)) / world.exposures(everyone)[:, None]
    logging = world.policy_value(lambda ids: shown[ids], everyone)
    best = world.policy_value(lambda ids: np.eye(items)[world.preferences(ids).argmax(axis=1)], everyone)
    assert logging + 0.5 * (best - logging) < learnt <= best
