"""What attacks find on real data: a copy is found, the shuffles undone, and the default judged."""

from pathlib import Path

import numpy as np
import pytest

import fractalrs as fr
from fractalrs.privacy.attacks import Output, People, as_base, densest_block
from fractalrs.privacy.attacks.blind import relink
from fractalrs.privacy.attacks.informed import columns_known
from fractalrs.privacy.rates import Advantage


def people_of(source: Path) -> tuple[fr.Base, People]:
    members, controls = fr.hold_users_out(fr.read_interactions(source), seed=1)
    base = fr.leave_last_out(members)
    return base, People.of(base, as_base("controls", controls), 10_000, 0)


@pytest.fixture(scope="module")
def movielens(ml_latest_small: Path) -> tuple[fr.Base, People]:
    return people_of(ml_latest_small)


@pytest.mark.parametrize("shuffle", ["aligned", "cells", "block"])
def test_movielens_is_found_in_the_densest_block(movielens: tuple[fr.Base, People], shuffle: str) -> None:
    base, people = movielens
    claims = densest_block(Output(fr.Expansion(base, [[0.95]], max_keep=0.95, shuffle=shuffle), True), people, 1.0)
    found = Advantage.counted(claims.judged(people.is_member)[0], people.is_member)
    assert found.members.value >= 0.95
    assert found.controls.value <= 0.01


def test_movielens_aligned_is_relinked_and_rebuilt(movielens: tuple[fr.Base, People]) -> None:
    base, _ = movielens
    output = Output(fr.Expansion(base, fr.reduce(base, (8, 16)), shuffle="aligned", max_keep=0.95), True)
    linked = relink(output)
    own = output.users(linked.place)
    assert own is not None
    right = [
        (users[links] == own) & (links >= 0)
        for place, links in linked.links.items()
        for users in [output.users(place)]
        if users is not None
    ]
    assert np.mean(right) >= 0.95
    union = linked.union.tocoo()
    assert np.asarray(base.train[own[union.row], output.items(linked.place)[union.col]]).mean() >= 0.99


def test_movielens_by_the_default_profile_is_hardly_found(movielens: tuple[fr.Base, People]) -> None:
    """At most 2 % of members beyond controls, as far as 335 of them can tell."""
    base, people = movielens
    claims = densest_block(Output(fr.Expansion(base, fr.fit(base, (8, 16)), seed=3), True), people, 1.0)
    claimed, counts = claims.judged(people.is_member)
    assert Advantage.counted(claimed[counts], people.is_member[counts]).low <= 0.02


def test_movielens_with_columns_known_is_found_at_a_third(movielens: tuple[fr.Base, People]) -> None:
    base, people = movielens
    output = Output(fr.Expansion(base, [[0.95]], max_keep=0.95, shuffle="cells"), True)
    found = Advantage.counted(columns_known(output, people, 1.0).judged(people.is_member)[0], people.is_member)
    assert found.members.value >= 0.95
    assert found.controls.value <= 0.01


def test_movietweetings_is_found_in_the_densest_block(movietweetings: Path) -> None:
    base, people = people_of(movietweetings)
    claims = densest_block(Output(fr.Expansion(base, [[0.95]], max_keep=0.95, profile="traceable"), True), people, 1.0)
    found = Advantage.counted(claims.judged(people.is_member)[0], people.is_member)
    assert found.members.value >= 0.55
    assert found.controls.value <= 0.01
