"""Batches of interactions: whole users, in any order, on threads, with their sources; and samples of users."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.passes import InteractionBatch, UserSampler, generated, joined, visit, with_sources


@pytest.fixture(scope="module")
def expansion() -> fr.Expansion:
    made = fr.sample_interactions(300, 240, 9_000, 1)
    base = fr.leave_last_out(made, payload=("rating", "timestamp"))
    return fr.Expansion(base, fr.reduce(base, (4, 8)), profile="traceable", timestamps=True, ratings="carry", seed=7)


@pytest.fixture(scope="module")
def written(expansion: fr.Expansion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of five parts, in several row groups."""
    path = tmp_path_factory.mktemp("written") / "out"
    fr.write(expansion, path, parts=5, parquet=fr.ParquetOptions(row_group_size=5_000))
    return path


def test_samples_are_nested_and_spread() -> None:
    sampler = UserSampler(1_000, 8, 4, 1e6)
    assert sampler.sample(1e6) is None
    small, large = sampler.sample(1e5), sampler.sample(4e5)
    assert small is not None
    assert large is not None
    assert (large[small]).all()
    for drawn, share in ((small, 0.1), (large, 0.4)):
        of_blocks = drawn.reshape(8, 1_000).mean(axis=1)
        assert of_blocks == pytest.approx(share, abs=0.03)
    # Row blocks have samples of their own.
    assert not np.array_equal(small[:1_000], small[1_000:2_000])
    few = UserSampler(3, 2, 2, 1e6).sample(1.0)
    assert few is not None
    assert few.reshape(2, 3).sum(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_whole_users_come_in_batches(written: Path, threads: int) -> None:
    dataset = fr.open_dataset(written)
    chosen = np.random.default_rng(0).random(dataset.shape[0]) < 0.4
    found: list[InteractionBatch] = []
    visit(dataset, "train", ["timestamp", "rating"], found.append, chosen=chosen, threads=threads, batch_size=777)
    owners = [np.unique(rows.users) for rows in found]
    assert len(np.unique(np.concatenate(owners))) == sum(map(len, owners))
    found.sort(key=lambda rows: int(rows.users[0]))
    table = dataset.train.to_table().filter(pa.array(chosen[np.asarray(dataset.train.to_table()["user_id"])]))
    together = joined(found)
    assert np.array_equal(together.users, table["user_id"])
    assert np.array_equal(together.times, table["timestamp"])
    assert np.array_equal(together.table["rating"], table["rating"])


def test_an_error_stops_all_threads(written: Path) -> None:
    seen: list[int] = []

    def fail(rows: InteractionBatch) -> None:
        seen.append(len(rows))
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        visit(fr.open_dataset(written), "train", [], fail, threads=2)
    assert len(seen) <= 5


def test_sources_are_found_in_any_order(expansion: fr.Expansion) -> None:
    made = generated(expansion, np.array([3, 4, 50, 700]), ["timestamp"], "train")
    assert np.unique(made.users).tolist() == [3, 4, 50, 700]
    rows = dataclasses.replace(made, sources=None)
    assert np.array_equal(with_sources(rows, made).traced, made.traced)
    order = np.random.default_rng(0).permutation(len(made))
    mixed = InteractionBatch(made.users[order], made.items[order], made.table.take(order))
    assert np.array_equal(with_sources(mixed, made).traced, made.traced[order])
    strange = dataclasses.replace(rows, items=np.where(np.arange(len(made)) == 5, 10**6, made.items))
    assert np.flatnonzero(with_sources(strange, made).traced < 0).tolist() == [5]


def test_nobody_gets_an_empty_batch() -> None:
    """Cold users have test interactions only."""
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    expansion = fr.Expansion(base, fr.reduce(base, (4, 8)), cold_users=0.9, seed=7)
    found: list[InteractionBatch] = []
    # A user at a time.
    visit(expansion, "train", [], found.append, batch_size=1)
    assert 0 < len(found) < 0.2 * expansion.shape[0]
    assert all(map(len, found))
    together = joined(found)
    table = expansion.table(0, expansion.shape[0], "train")
    assert np.array_equal(together.users, table["user_id"])
    assert np.array_equal(together.items, table["item_id"])
    assert together.sources is None
