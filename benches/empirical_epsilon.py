"""Attack private bases, and estimate an ε from what attacks find: the second table of docs/private-base.md.

    python benches/empirical_epsilon.py [--runs 20] [--epsilons 1 4 16]

Each run draws a base of its own, of 1,000 users with ten of 1,000 items each and of 50 of 100 targets, of whom no two
have an item in common. Two attackers claim people:

- one who knows all other users, all targets, and each query's noise, and asks which targets are there: by how much
  oftener than without them the base has their items;
- those of the audit who know the columns, on all users and on as many others, of an expansion that keeps 95 % and
  shuffles nothing.

Of all runs together: who is claimed, and the ε below which no mechanism claims so many, if claims were independent
(Clopper and Pearson, each ε at 95 % for all its attacks, with no correction over the several ε). They are not: all
claims on one base share one draw of noise and one threshold, so that these are estimates, not 95 % bounds. What the
first claims by is chosen on the first half of the runs and counted on the other. Last comes a base that is the real one
with other names for the users, and says that it is private.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.privacy.attacks import Output, People, as_base, attacks_on
from fractalrs.privacy.rates import Advantage

USERS, ITEMS, LENGTH, TARGETS = 1_000, 1_000, 10, 100
BY_SCORES = "targets by counts"
Claims = tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]
"""Scores or claims, and who is a member."""


def histories(rng: np.random.Generator, users: int) -> npt.NDArray[np.int64]:
    """Return items of users, of whom each has as many: the more popular the likelier."""
    waits = rng.standard_exponential((users, ITEMS)) * np.sqrt(np.arange(1, ITEMS + 1))
    return np.argpartition(waits, LENGTH)[:, :LENGTH]


def table(rows: npt.NDArray[np.int64], first: int = 0) -> pa.Table:
    users = np.repeat(np.arange(first, first + len(rows)), LENGTH)
    return pa.table({"user_id": users, "item_id": rows.ravel()})


def release(interactions: pa.Table, epsilon: float, seed: int) -> tuple[Base, float]:
    """Return a private base, or for ε = 0 a copy of the real one, and the noise of its counts."""
    if epsilon:
        catalogue = list(range(ITEMS))
        base = fr.private_base(
            interactions, epsilon, directions=0, clip=LENGTH, catalogue=catalogue, split="none", seed=seed
        )
        assert base.privacy is not None
        return base, base.privacy.ledger[1].noise
    base = as_base("members", interactions)
    return replace(base, user_ids=pa.array(np.arange(base.shape[0]))), 0.0


def run(epsilon: float, seed: int) -> Iterator[tuple[str, Claims]]:
    """Draw a base, and attack it."""
    rng = np.random.default_rng(seed)
    others, strangers = histories(rng, USERS), histories(rng, USERS)
    targets, is_member = rng.permutation(ITEMS).reshape(TARGETS, LENGTH), rng.permutation(TARGETS) % 2 == 0
    members = table(np.concatenate((others, targets[is_member])))
    base, noise = release(members, epsilon, seed)

    known = np.bincount(others.ravel(), minlength=ITEMS)
    found = np.bincount(np.asarray(base.item_ids)[base.indices], minlength=ITEMS)
    yield BY_SCORES, (((found - known) / (known + 1 + noise**2))[targets].sum(axis=1), is_member)

    controls = table(np.concatenate((strangers, targets[~is_member])), 2 * USERS)
    people = People.of(as_base("members", members), as_base("controls", controls), 4 * USERS, seed)
    output = Output(fr.Expansion(base, [[0.95]], max_keep=0.95, profile="traceable", seed=seed), False)
    for attack in attacks_on(output):
        if attack.attacker == "columns":
            asked = people if attack.most is None else people.sample(attack.most, seed)
            claimed, counts = attack.run(output, asked, 1.0).judged(asked.is_member)
            yield attack.name, (claimed[counts], asked.is_member[counts])


def claimed(runs: list[Claims], level: float) -> Advantage:
    """Return how many are claimed of those whose scores are high enough, by what the first half of the runs tells."""
    half = len(runs) // 2
    (tried, there), (scores, is_member) = (
        tuple(np.concatenate(side) for side in zip(*some, strict=True)) for some in (runs[:half], runs[half:])
    )
    cuts = np.quantile(tried, np.linspace(0.02, 0.98, 49))
    cut = max(cuts, key=lambda cut: Advantage.counted(tried > cut, there).epsilon)
    return Advantage.counted(scores > cut, is_member, level)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 4.0, 16.0])
    given = parser.parse_args()
    for epsilon in (*given.epsilons, 0.0):
        spent, runs = time.process_time(), dict[str, list[Claims]]()
        for seed in range(given.runs):
            for name, claims in run(epsilon, seed):
                runs.setdefault(name, []).append(claims)
        level = 1 - 0.05 / len(runs)
        print(
            f"{f'epsilon {epsilon:g}' if epsilon else 'a copy'}, {given.runs} runs, "
            f"{time.process_time() - spent:.0f} s of processor time"
        )
        for name, some in runs.items():
            is_member = np.concatenate([there for _, there in some])
            together = np.concatenate([claims for claims, _ in some])
            found = claimed(some, level) if name == BY_SCORES else Advantage.counted(together, is_member, level)
            members, controls = found.members, found.controls
            print(
                f"  {name}: {members.count}/{members.of} members, {controls.count}/{controls.of} controls; "
                f"epsilon at least {found.epsilon:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
