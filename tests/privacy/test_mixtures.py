"""Mixtures: people whose interactions are dealt out among several are told from others, and nobody else is."""

import numpy as np
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.privacy.attacks import Output, People, as_base
from fractalrs.privacy.attacks.annealing import Annealing, Matrix
from fractalrs.privacy.attacks.blind import dealt_out, densest_block, several_blocks
from fractalrs.privacy.attacks.claims import Claims
from fractalrs.privacy.attacks.mixtures import likelihoods
from helpers.attacks import found, told


@pytest.fixture(scope="module")
def base() -> fr.Base:
    return fr.leave_last_out(members())


@pytest.fixture(scope="module")
def people(base: fr.Base) -> People:
    return People.of(base, as_base("controls", fr.hold_users_out(source(), seed=1)[1]), 10_000, 0)


def source() -> fr.Interactions:
    return fr.sample_interactions(400, 250, 24_000, seed=3)


def members() -> fr.Interactions:
    return fr.hold_users_out(source(), seed=1)[0]


def output(base: fr.Base, rates: list[list[float]], users: int) -> Output:
    cells = fr.group_cells(base, users, 1)
    return Output(fr.Expansion(base, rates, max_keep=0.95, shuffle="mixed", cells=cells), True)


def test_people_dealt_out_in_pairs_are_found(base: fr.Base, people: People) -> None:
    advantage = found(dealt_out(output(base, [[0.95]], 2), people, 1.0), people)
    assert advantage.members.value >= 0.5
    assert advantage.controls.value <= 0.05


def test_the_more_share_a_row_the_fewer_are_found(base: fr.Base, people: People) -> None:
    areas = [told(dealt_out(output(base, [[0.95]], users), people, 1.0), people) for users in (2, 5, 20)]
    assert areas[0] > areas[1] > areas[2]


def test_blocks_side_by_side_tell_of_the_same_people(base: fr.Base, people: People) -> None:
    target = output(base, [[0.5, 0.5, 0.5, 0.5]], 2)
    assert told(several_blocks(target, people, 1.0), people) >= 0.65


def test_rows_of_several_are_matched_too(base: fr.Base, people: People) -> None:
    assert told(densest_block(output(base, [[0.95]], 2), people, 1.0), people) >= 0.65


@pytest.mark.parametrize("seed", range(4))
def test_of_other_people_neither_half_is_found(base: fr.Base, seed: int) -> None:
    one, other = fr.hold_users_out(fr.sample_interactions(300, 250, 18_000, seed=40 + seed), seed=seed)
    strangers = People.of(as_base("members", one), as_base("controls", other), 1_000, seed)
    claims = dealt_out(output(base, [[0.95]], 2), strangers, 1.0)
    assert found(claims, strangers).low <= 0.02
    assert abs(told(claims, strangers) - 0.5) <= 0.12


def test_neither_order_of_columns_nor_a_block_without_interactions_matters(base: fr.Base, people: People) -> None:
    block, nothing = base.train, sp.csr_array(base.train.shape)
    turned: Matrix = block[:, np.random.default_rng(0).permutation(block.shape[1])]
    first, second = (likelihoods([each], people.histories, [0.95], 1.0, 0.5) for each in (block, turned))
    assert np.corrcoef(first, second)[0, 1] > 0.99
    beside = likelihoods([block, nothing], people.histories, [0.95, 0.95], 1.0, 0.5)
    assert beside.shape == first.shape


def test_probabilities_of_an_annealed_copy_are_those_of_its_people(base: fr.Base, people: People) -> None:
    """Known truth: rows of the base in its own order, the people in theirs."""
    annealing = Annealing([base.train], people.histories, [1.0], 1.0)
    shares = annealing.run(20.0)
    is_own = people.codes[annealing.people[shares.argmax(axis=1)]] == annealing.rows
    assert is_own.mean() >= 0.9


def test_scores_are_compared_with_others_of_as_many_interactions() -> None:
    """Scores that only grow with the number of interactions claim nobody; who stands out of the like is claimed."""
    rng = np.random.default_rng(1)
    sizes, is_member = rng.integers(5, 500, 600), np.arange(600) < 200
    scores = sizes + rng.normal(0, 0.1 * sizes)
    scores[:20] += 5 * np.sqrt(sizes[:20]) + 0.5 * sizes[:20]
    plain, local = (Claims(None, None, scores, known).judged(is_member)[0] for known in (None, sizes))
    assert local[:20].sum() >= 15
    assert local[:20].sum() > plain[:20].sum()
    assert local[20:200].mean() <= 0.05
