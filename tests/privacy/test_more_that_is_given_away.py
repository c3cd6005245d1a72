"""What an output gives away beside one file of train interactions: test files, ratings, other releases."""

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.privacy.attacks import Output, People
from fractalrs.privacy.attacks.blind import several_blocks, several_releases, with_test_files
from fractalrs.privacy.attacks.informed import held_out_rating
from fractalrs.privacy.attacks.matching import CERTAIN
from helpers.attacks import found, told


def halves(test_share: float) -> tuple[fr.Base, People]:
    """Return members and everybody, so much of each history held out for test."""
    rng, halves = np.random.default_rng(0), []
    for half in fr.hold_users_out(fr.sample_interactions(400, 250, 24_000, seed=3), seed=1):
        whole = fr.leave_last_out(half, split="none")
        is_test, ids = rng.random(whole.count) < test_share, {"user_ids": whole.user_ids, "item_ids": whole.item_ids}
        halves.append(fr.Base.from_arrays(whole.indptr, whole.indices, is_test, **ids))
    return halves[0], People.of(halves[0], halves[1], 10_000, 0)


def test_test_files_tell_what_train_files_leave_out() -> None:
    base, people = halves(0.5)
    output = Output(fr.Expansion(base, [[0.3]], shuffle="cells", max_keep=0.3), True)
    without, beside = (found(attack(output, people, 1.0), people) for attack in (several_blocks, with_test_files))
    assert beside.members.value > without.members.value + 0.2
    assert beside.controls.value <= 0.02


def test_validation_files_are_known_where_test_files_are() -> None:
    members, controls = fr.hold_users_out(fr.sample_interactions(300, 220, 9_000, seed=3), seed=1)
    base, others = (fr.leave_last_out(half, split="random", validation=True) for half in (members, controls))
    people = People.of(base, others, 10_000, 0)
    everything = people.with_held_out.histories
    assert everything.nnz == base.count + others.count
    assert people.only(people.is_member).with_held_out.histories.nnz == base.count
    # Who knows half of train knows nothing of what was held out.
    output = Output(fr.Expansion(base, [[0.9]], max_keep=0.9, shuffle="cells"), True)
    assert set(output.with_held_out.splits) == {"train", "valid", "test"}
    half = found(with_test_files(output, people.known(0.5, 0), 0.5), people)
    assert half.low > 0
    assert half.controls.value <= 0.02


def test_three_blocks_of_two_releases_are_six_occasions_for_chance() -> None:
    """Whoever is claimed of six tries is likelier by CERTAIN and the logarithm of six."""
    base, people = halves(0.1)
    cells = fr.group_cells(base, 2, 1)
    first, second = (
        fr.Expansion(base, np.full((3, 1), 0.3), shuffle="cells", cells=cells, max_keep=0.3, seed=seed)
        for seed in (1, 2)
    )
    claims = several_releases(Output(first, True, (second,)), people, 1.0)
    assert claims.claimed is not None
    assert claims.scores is not None
    least = CERTAIN + np.log(6)
    assert np.array_equal(claims.claimed, claims.scores > least)
    # There are some between what one release alone would claim and this.
    assert np.any((claims.scores > CERTAIN + np.log(2)) & ~claims.claimed)


@pytest.mark.parametrize("shuffle", ["cells", "mixed"])
def test_two_releases_tell_more_than_one(shuffle: str) -> None:
    base, people = halves(0.1)
    cells, keep = fr.group_cells(base, 2, 1), 0.5 if shuffle == "mixed" else 0.3
    first, second = (
        fr.Expansion(base, [[keep]], shuffle=shuffle, cells=cells, max_keep=0.5, seed=seed) for seed in (1, 2)
    )
    one, two = Output(first, True), Output(first, True, (second,))
    if shuffle == "mixed":
        areas = [
            told(attack, people) for attack in (several_blocks(one, people, 1.0), several_releases(two, people, 1.0))
        ]
        assert areas[1] > areas[0] + 0.02
        return
    alone, both = found(several_blocks(one, people, 1.0), people), found(several_releases(two, people, 1.0), people)
    assert both.members.count > alone.members.count
    assert both.controls.value <= 0.02


def test_an_audit_tries_what_there_is_and_says_what_not() -> None:
    members, controls = fr.hold_users_out(fr.sample_interactions(120, 90, 3_000, seed=4), seed=1)
    how = {"attackers": ["output"], "known": [1.0]}
    # The last seed there is: the next is the first.
    expansion = fr.Expansion(fr.leave_last_out(members), [[0.3]], profile="paper", seed=(1 << 64) - 1)
    for releases, tried in ((1, False), (2, True)):
        report = fr.audit(expansion, members, controls, releases=releases, **how)  # type: ignore[arg-type]
        attacks = {one.attack for one in report.findings}
        assert "several blocks, test files too" in attacks
        assert ("several releases" in attacks) == tried == ("several releases" not in report.not_tried)
        assert report.subject.get("releases") == (2 if tried else None)
    nothing = fr.leave_last_out(members, split="none")
    others = fr.leave_last_out(controls, split="none")
    report = fr.audit(fr.Expansion(nothing, [[0.3]], profile="paper"), nothing, others, **how)  # type: ignore[arg-type]
    assert "several blocks, test files too" not in {one.attack for one in report.findings}
    for wrong, says in ((0, "releases"), (17, "at most 16")):
        with pytest.raises(fr.InputError, match=says):
            fr.audit(expansion, members, controls, releases=wrong)


def rated(users: int, own: bool, first: int = 0) -> pa.Table:
    """Return users who rate everything by a number of their own, or all items alike."""
    rng = np.random.default_rng(first)
    items = np.argpartition(rng.random((users, 60)), 20, axis=1)[:, :20]
    ratings = np.repeat(rng.integers(1, 6, users), 20) if own else items.ravel() % 5 + 1
    return pa.table(
        {
            "user_id": np.repeat(np.arange(first, first + users), 20),
            "item_id": items.ravel(),
            "rating": ratings.astype(np.float64),
            "timestamp": np.tile(np.arange(20), users),
        }
    )


@pytest.mark.parametrize("own", [True, False])
def test_ratings_are_named_of_members_where_they_are_their_own(own: bool) -> None:
    """Where everybody rates by a number of their own nobody knows it of others; where items have one, anybody does."""
    members, controls = rated(200, own), rated(200, own, 1_000)
    base, others = (fr.leave_last_out(half, payload=["rating"]) for half in (members, controls))
    people = People.of(base, others, 10_000, 0)
    cells = fr.group_cells(base, 1, 1)
    expansion = fr.Expansion(base, [[0.95]], max_keep=0.95, shuffle="cells", cells=cells, ratings="carry")
    advantage = found(held_out_rating(Output(expansion, True), people, 1.0), people)
    if own:
        assert advantage.low > 0.1
        assert advantage.controls.value < 0.5
    else:
        assert advantage.controls.value > 0.95
        assert advantage.low < 0.02


def test_ratings_are_attacked_where_an_output_has_them() -> None:
    members, controls = rated(60, own=True), rated(60, True, 1_000)
    base = fr.leave_last_out(members, payload=["rating"])
    for ratings in ("carry", None):
        expansion = fr.Expansion(base, [[0.5]], max_keep=0.5, profile="paper", ratings=ratings)
        report = fr.audit(expansion, members, controls, attackers=["columns"], known=[1.0])
        assert ("held-out rating" in {one.attack for one in report.findings}) == bool(ratings)
        assert ("held-out rating" in report.not_tried) != bool(ratings)
