"""The rivals: their shape, their density, and what each keeps of the base."""

import numpy as np
import pytest

import fractalrs as fr
from fractalrs.evaluation import BASELINES, Halves, configuration, duplication, uniform

MULTIPLIERS, COUNT = (3, 2), 6_000


@pytest.fixture(scope="module")
def base() -> fr.Base:
    return fr.leave_last_out(fr.sample_interactions(120, 90, 2_400, seed=4))


@pytest.mark.parametrize("name", BASELINES)
def test_shape_density_and_halves(base: fr.Base, name: str) -> None:
    made = BASELINES[name](base, MULTIPLIERS, COUNT, 7)
    assert made.shape == made.test.shape == (360, 180)
    assert made.train.nnz == pytest.approx(COUNT, rel=0.04)
    for part in (made.train, made.test):
        assert set(part.data.tolist()) == {1.0}
        assert part.has_sorted_indices
    assert not made.train.multiply(made.test).nnz
    assert (np.diff(made.one_test_item(np.random.default_rng(0)).test.indptr) <= 1).all()
    # Rankings need somebody.
    assert np.count_nonzero(np.diff(made.test.indptr)) > 200


@pytest.mark.parametrize("name", BASELINES)
def test_the_seed_decides(base: fr.Base, name: str) -> None:
    def entries(seed: int) -> list[list[int]]:
        made = BASELINES[name](base, MULTIPLIERS, COUNT, seed)
        return [part.toarray().ravel().nonzero()[0].tolist() for part in (made.train, made.test)]

    assert entries(7) == entries(7)
    assert entries(7)[0] != entries(8)[0]
    assert entries(7)[1] != entries(8)[1] or name == "duplication"


def test_duplication_repeats_rows(base: fr.Base) -> None:
    whole = duplication(base, MULTIPLIERS, 6 * base.train_count, 0)
    np.testing.assert_array_equal(whole.train.toarray(), np.tile(base.train.toarray(), MULTIPLIERS))
    np.testing.assert_array_equal(whole.test.toarray(), np.tile(base.test.toarray(), MULTIPLIERS))
    thinned = duplication(base, MULTIPLIERS, COUNT, 0)
    assert not thinned.train.toarray()[whole.train.toarray() == 0].any()


def test_the_configuration_model_keeps_degrees(base: fr.Base) -> None:
    made = configuration(base, MULTIPLIERS, COUNT, 0)
    users = np.diff(made.train.indptr).reshape(3, -1).sum(axis=0)
    items = made.train.sum(axis=0).reshape(2, -1).sum(axis=0)
    for found, degrees in ((users, base.user_degrees("train")), (items, base.item_degrees("train"))):
        expected = degrees * (COUNT / base.train_count)
        # Ends are binomial: standard scores are within five.
        assert np.abs((found - expected) / np.sqrt(expected)).max() < 5
        assert np.corrcoef(found, degrees)[0, 1] > 0.98


def test_uniform_has_no_tails(base: fr.Base) -> None:
    made = uniform(base, MULTIPLIERS, COUNT, 0)
    degrees = np.diff(made.train.indptr)
    assert degrees.var() == pytest.approx(degrees.mean() * (1 - made.density), rel=0.3)


def test_thinning_keeps_the_test_half(base: fr.Base) -> None:
    halves = Halves.of_base(base)
    thinned = halves.thinned(0.5, np.random.default_rng(0))
    assert thinned.train.nnz == pytest.approx(base.train_count / 2, rel=0.1)
    assert thinned.train.multiply(halves.train).nnz == thinned.train.nnz
    assert thinned.test is halves.test


def test_halves_of_an_expansion_are_its_tables(base: fr.Base) -> None:
    expansion = fr.Expansion(base, fr.reduce(base, MULTIPLIERS), seed=3)
    halves = Halves.of_expansion(expansion, threads=1)
    for split, part in (("train", halves.train), ("test", halves.test)):
        table = expansion.table(0, expansion.shape[0], split)  # type: ignore[arg-type]
        users, items = (np.asarray(table[name]) for name in ("user_id", "item_id"))
        assert part.nnz == len(users)
        assert part[users, items].sum() == len(users)
