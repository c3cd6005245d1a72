"""What attacks on whole private bases prove of ε: never more than is stated, and enough where a base is a copy.

The small twin of ``benches/empirical_epsilon.py``.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.privacy.attacks import ATTACKS, Output, People, as_base
from fractalrs.privacy.rates import Advantage, area

USERS, ITEMS, LENGTH, RUNS = 1_000, 1_000, 10, 5


def histories(rng: np.random.Generator, users: int) -> npt.NDArray[np.int64]:
    waits = rng.standard_exponential((users, ITEMS)) * np.sqrt(np.arange(1, ITEMS + 1))
    return np.argpartition(waits, LENGTH)[:, :LENGTH]


def table(rows: npt.NDArray[np.int64], first: int = 0) -> pa.Table:
    return pa.table({"user_id": np.repeat(np.arange(first, first + len(rows)), LENGTH), "item_id": rows.ravel()})


def release(members: pa.Table, epsilon: float, seed: int) -> fr.Base:
    """Return a private base; for ε = 0 the real one with other names for its users."""
    if epsilon:
        catalogue = list(range(ITEMS))
        return fr.private_base(
            members, epsilon, directions=0, clip=LENGTH, catalogue=catalogue, split="none", seed=seed
        )
    base = as_base("members", members)
    return replace(base, user_ids=pa.array(np.arange(base.shape[0])))


def attacked(epsilon: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return scores of targets by who knows all else, and which were in the data: of all runs."""
    scores, there = [], []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        others, targets = histories(rng, USERS), rng.permutation(ITEMS).reshape(-1, LENGTH)
        is_member = rng.permutation(len(targets)) % 2 == 0
        base = release(table(np.concatenate((others, targets[is_member]))), epsilon, seed)
        known = np.bincount(others.ravel(), minlength=ITEMS)
        found = np.bincount(np.asarray(base.item_ids)[base.indices], minlength=ITEMS)
        scores.append(((found - known) / (known + 1))[targets].sum(axis=1))
        there.append(is_member)
    return np.concatenate(scores), np.concatenate(there)


def proven(scores: npt.NDArray[np.float64], is_member: npt.NDArray[np.bool_]) -> float:
    """Return the ε that claims prove: the first half of the runs tells whom to claim, the other is counted."""
    half = len(scores) // 2
    cuts = np.quantile(scores[:half], np.linspace(0.05, 0.95, 19))

    def claims(cut: float, some: slice) -> float:
        return Advantage.counted(scores[some] > cut, is_member[some], 0.99).epsilon

    return claims(max(cuts, key=lambda cut: claims(cut, slice(half))), slice(half, None))


def test_attacks_on_whole_bases_prove_no_more_than_what_is_stated_and_less_of_less() -> None:
    areas = []
    for epsilon in (1.0, 16.0):
        scores, is_member = attacked(epsilon)
        assert proven(scores, is_member) <= epsilon
        found = area(scores, is_member)
        assert found is not None
        areas.append(found)
    # The attack is one: of a large budget it tells members, above what it can by chance.
    assert areas[0][2] < areas[1][0]
    assert areas[1][1] > 0.6


def test_a_base_that_secretly_is_the_real_one_is_caught() -> None:
    assert proven(*attacked(0.0)) > 2


@pytest.mark.parametrize("epsilon", [0.0, 4.0])
def test_the_audit_catches_a_copy_that_says_it_is_private_and_nothing_else(epsilon: float) -> None:
    rng = np.random.default_rng(7)
    members = table(histories(rng, USERS))
    controls = table(histories(rng, USERS), USERS)
    people = People.of(as_base("members", members), as_base("controls", controls), 2 * USERS, 0)
    base = release(members, epsilon, 7)
    output = Output(fr.Expansion(base, [[0.95]], max_keep=0.95, profile="traceable", seed=7), False)
    found = []
    for attack in ATTACKS:
        if attack.name in ("densest block", "likelihood ratio", "nearest row") and attack.attacker == "columns":
            claimed, counts = attack.run(output, people, 1.0).judged(people.is_member)
            found.append(Advantage.counted(claimed[counts], people.is_member[counts], 0.99).epsilon)
    assert len(found) == 3
    assert max(found) <= epsilon if epsilon else max(found) > 4
