"""Truth at any size: what expanded pairs stand for, what was left out, and how true estimates are."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.base import Base
from helpers.oracle import MIX, permutations, root, under

SHUFFLES = ("mixed", "cells", "block", "aligned", "none")


@pytest.fixture(scope="module")
def world() -> fr.World:
    return fr.simulate(40, 30, 180, seed=7)


@pytest.fixture(scope="module")
def base(world: fr.World) -> Base:
    return fr.leave_last_out(world)


def expanded(base: Base, shuffle: str, **options: Any) -> fr.Expansion:
    cells = fr.group_cells(base, user_cell_size=4, item_cell_size=3) if shuffle in ("mixed", "cells") else None
    rates = [[0.3, 0.9, 0.5], [0.7, 0.2, 0.6]]
    return fr.Expansion(base, rates, shuffle=shuffle, seed=3, cells=cells, **options)


def sources(expansion: fr.Expansion) -> npt.NDArray[np.int64]:
    """The source user and item of every pair, one block after the other: (users, items, 2)."""
    base = expansion.base
    (p, q), generator = base.shape, expansion.generator
    found = np.empty((*expansion.shape, 2), np.int64)
    for i in range(2):
        for j in range(3):
            items = np.argsort(generator.columns(i, j))
            users = np.repeat(generator.block_users(i, j)[:, None], q, axis=1).astype(np.int64)
            if expansion.shuffle == "mixed":
                users = np.array([[dealt(expansion, user, item) for item in items] for user in users[:, 0]])
            block = np.s_[i * p : (i + 1) * p, j * q : (j + 1) * q]
            found[block] = np.stack([users, np.broadcast_to(items, (p, q))], axis=-1)
    return found


def dealt(expansion: fr.Expansion, row: int, item: int) -> int:
    """Whose entry with an item, or lack of one, was dealt to the row of a user."""
    base, cells = expansion.base, expansion.cells
    slot = int(np.flatnonzero(cells.user_order == row)[0])
    cell = int(np.searchsorted(cells.user_starts, slot, side="right")) - 1
    start, end = cells.user_starts[cell : cell + 2].tolist()
    members = cells.user_order[start:end].tolist()
    split = np.full(len(members), 3)
    for number, user in enumerate(members):
        entries = np.s_[base.indptr[user] : base.indptr[user + 1]]
        place = np.flatnonzero(base.indices[entries] == item)
        if len(place):
            split[number] = 2 * base.test_mask[entries][place[0]]
    order = np.argsort(split, kind="stable")
    image = permutations(under(root(expansion.seed), MIX, cell, item), len(members))[0]
    return int(members[order[np.flatnonzero(image == slot - start)[0]]])


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_truth_is_the_oracles_pair_by_pair(world: fr.World, base: Base, shuffle: str) -> None:
    expansion = expanded(base, shuffle)
    truth, (users, items) = fr.Truth(world, expansion), expansion.shape
    user, item = np.arange(users)[:, None], np.arange(items)
    expected = sources(expansion)
    world_user, world_item = base.user_ids.to_numpy()[expected[..., 0]], base.item_ids.to_numpy()[expected[..., 1]]
    found = truth.source(user, item)
    np.testing.assert_array_equal(found[0], world_user)
    np.testing.assert_array_equal(found[1], world_item)
    np.testing.assert_array_equal(truth.preference(user, item), world.preference(world_user, world_item))
    keep = np.repeat(np.repeat(expansion.keep_rates, base.shape[0], axis=0), base.shape[1], axis=1)
    np.testing.assert_array_equal(truth.propensity(user, item), keep * world.propensity(world_user, world_item))
    one = truth.preference([5], [7], threads=1)
    assert one[0] == truth.preference(user, item)[5, 7]


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("options", [{}, {"drop_incomplete": True, "test_items": "one"}, {"block_keep": 0.6}])
def test_what_was_left_out_is_what_is_observed_and_not_written(
    world: fr.World, base: Base, shuffle: str, options: dict[str, Any]
) -> None:
    expansion = expanded(base, shuffle, **options)
    truth, (users, items) = fr.Truth(world, expansion), expansion.shape
    user, item = np.arange(users)[:, None], np.arange(items)
    observed, written = truth.observed(user, item), expansion.contains(user, item)
    assert not np.any(written & ~observed)
    starts, left = expansion.unobserved(np.arange(users))
    keys = np.repeat(np.arange(users), np.diff(starts)) * items + left
    np.testing.assert_array_equal(np.sort(keys), np.flatnonzero(observed & ~written))
    # Some users alone, in any order, say the same.
    some, few = expansion.unobserved([50, 3], threads=1)
    np.testing.assert_array_equal(few[: some[1]], left[starts[50] : starts[51]])
    # Every observed pair of the world is the source of one pair in each block.
    assert observed.sum() == 6 * base.count


@pytest.mark.parametrize("shuffle", ["mixed", "aligned"])
def test_a_stream_says_what_is_true_of_each_interaction(world: fr.World, base: Base, shuffle: str) -> None:
    truth = fr.Truth(world, expanded(base, shuffle))
    for split in ("train", "test"):
        whole = pa.table(truth.stream(split))
        assert whole.select(["user_id", "item_id"]).equals(truth.expansion.table(0, truth.expansion.shape[0], split))
        user, item = whole["user_id"], whole["item_id"]
        np.testing.assert_array_equal(whole["preference"], truth.preference(user, item))
        np.testing.assert_array_equal(whole["propensity"], truth.propensity(user, item))


def test_what_was_left_out_of_real_interactions_needs_no_world() -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    expansion = fr.Expansion(base, fr.reduce(base, (2, 3)), seed=1)
    starts, items = expansion.unobserved(range(120))
    written = sum(expansion.table(0, 120, split).num_rows for split in ("train", "test"))
    assert len(items) + written == 6 * base.count
    assert starts[-1] == len(items)


def test_values_of_policies_are_those_of_preferences(world: fr.World, base: Base) -> None:
    truth = fr.Truth(world, expanded(base, "mixed"))
    (users, items), random = truth.expansion.shape, np.random.default_rng(1)
    chances = random.dirichlet(np.ones(items), users)
    exact = (chances * truth.preference(np.arange(users)[:, None], np.arange(items))).sum(axis=1)
    assert truth.policy_value(lambda ids: chances[ids]) == pytest.approx(exact.mean(), rel=1e-12)
    assert truth.policy_value(lambda ids: chances[ids], [4, 9]) == pytest.approx(exact[[4, 9]].mean(), rel=1e-12)


def test_written_interactions_are_as_many_as_their_propensities_say() -> None:
    counts, expected, variance = 0, 0.0, 0.0
    for seed in range(20):
        # Where everybody responds to something nothing is missing from the base.
        made = fr.simulate(60, 40, 700, seed=seed, activity=0.1, popularity=0.2, level=1.0, appeal=0.0, taste=0.5)
        base = fr.leave_last_out(made)
        assert base.shape == made.shape
        truth = fr.Truth(made, expanded(base, "aligned"))
        users, items = truth.expansion.shape
        user, item = np.arange(users)[:, None], np.arange(items)
        counts += sum(truth.expansion.table(0, users, split).num_rows for split in ("train", "test"))
        chance = truth.propensity(user, item) * truth.preference(user, item)
        expected += chance.sum()
        # Copies of one interaction are there together: six blocks at most.
        variance += 6 * (chance * (1 - chance)).sum()
    assert abs(counts - expected) < 5 * np.sqrt(variance)
    assert 5 * np.sqrt(variance) < 0.07 * expected


def test_a_world_and_an_expansion_that_do_not_belong_together(world: fr.World, base: Base) -> None:
    expansion = expanded(base, "none")
    with pytest.raises(fr.InputError, match="do not belong together"):
        fr.Truth(fr.simulate(40, 30, 180, seed=8), expansion)
    with pytest.raises(fr.InputError, match="do not belong together"):
        fr.Truth(fr.simulate(30, 30, 150, seed=8), expansion)
    interactions = world.interactions().to_arrow()
    texts = interactions.set_column(0, "user_id", pa.array([f"u{user}" for user in interactions["user_id"]]))
    with pytest.raises(fr.InputError, match="users of the base are string"):
        fr.Truth(world, expanded(fr.leave_last_out(texts), "none"))
    with pytest.raises(fr.InputError, match="no source of their own"):
        fr.Truth(world, fr.Expansion(base, [[0.5]], operator="sketch"))
    with pytest.raises(fr.InputError, match="propensities are not known"):
        fr.Truth(world, expanded(base, "none", drop_incomplete=True)).propensity(0, 0)


def test_truths_are_values(tmp_path: Path) -> None:
    world = fr.simulate(40, 30, 180, seed=7)
    base = fr.leave_last_out(world)
    fr.Expansion(base, [[0.5]], seed=3).save(tmp_path / "saved")
    truth = fr.Truth(world, fr.Expansion.load(tmp_path / "saved"))
    again = pickle.loads(pickle.dumps(truth))
    assert again == truth == fr.Truth(world, fr.Expansion(base, [[0.5]], seed=3))
    assert hash(again) == hash(truth)
    assert truth != fr.Truth(world, fr.Expansion(base, [[0.5]], seed=4)) != "a truth"
