"""The built-in sample: exactly the size asked for, repeatable, and with the tails of real ratings."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fractalrs.base import leave_last_out
from fractalrs.errors import InputError
from fractalrs.reading import Interactions, read_interactions, sample_interactions
from fractalrs.reading.sample import Tastes, activity, cover, draw, race


def digest(interactions: Interactions) -> str:
    sha = hashlib.sha256()
    for name in interactions.columns:
        sha.update(interactions.table[name].to_numpy().tobytes())
    return sha.hexdigest()


def gini(degrees: npt.NDArray[Any]) -> float:
    ordered, n = np.sort(degrees), len(degrees)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


def singular_ratios(interactions: Interactions) -> npt.NDArray[np.float64]:
    """Singular values 2 to 16 over the first."""
    (users, _), (items, _) = interactions.codes("user_id"), interactions.codes("item_id")
    matrix = sp.csr_array((np.ones(len(users)), (users, items)))
    values = np.sort(sp.linalg.svds(matrix, 16, return_singular_vectors=False, random_state=0))[::-1]
    return values[1:] / values[0]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def default() -> Interactions:
    return sample_interactions()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(2, 60), st.floats(0, 1), st.integers(0, 2**40))
def test_size_is_exact(users: int, items: int, fullness: float, seed: int) -> None:
    least, most = max(2 * users, items), users * items // 2
    if least > most:
        return
    count = round(least + fullness * (most - least))
    made = sample_interactions(users, items, count, seed)
    (user, user_ids), (item, item_ids) = made.codes("user_id"), made.codes("item_id")
    assert len(made) == count
    assert len(np.unique(user.astype(np.int64) * items + item)) == count
    assert user_ids.to_pylist() == list(range(1, users + 1))
    assert item_ids.to_pylist() == list(range(1, items + 1))
    assert np.bincount(user).min() >= 2


def test_larger_sample_is_exact_too() -> None:
    # Large enough for users to be drawn in rounds before the rest of them race.
    users, items, count = 20_000, 3_000, 400_000
    made = sample_interactions(users, items, count, seed=1)
    (user, _), (item, _) = made.codes("user_id"), made.codes("item_id")
    assert len(np.unique(user.astype(np.int64) * items + item)) == len(made) == count
    assert len(np.unique(user)) == users
    assert len(np.unique(item)) == items


def test_same_seed_same_sample() -> None:
    digests = [digest(sample_interactions(200, 300, 5_000, seed)) for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_default_survives_the_split_whole(default: Interactions) -> None:
    base = leave_last_out(default)
    assert base.shape == (943, 1682)
    assert (base.train_count, base.test_count) == (99_057, 943)


def test_columns_are_those_of_a_rating_file(default: Interactions) -> None:
    assert default.columns == ["user_id", "item_id", "rating", "timestamp"]
    ratings = default.table["rating"].to_numpy()
    np.testing.assert_array_equal(np.unique(ratings), np.arange(1, 11) / 2)
    assert 3 < ratings.mean() < 4.2
    times, (users, _) = default.timestamps, default.codes("user_id")
    assert times is not None
    same_user = users[1:] == users[:-1]
    assert (np.diff(times)[same_user] > 0).all()
    assert (np.diff(users) >= 0).all()
    # Users arrive all over the five years from 2015.
    firsts = times[np.flatnonzero(np.append(True, ~same_user))]
    assert firsts.min() >= 1_420_070_400
    assert firsts.max() < 1_420_070_400 + 5 * 365 * 86_400
    assert firsts.std() > 300 * 86_400


def test_order_of_items_says_nothing(default: Interactions) -> None:
    # Held-out items would else be the last by id.
    items, (users, _) = default.codes("item_id")[0], default.codes("user_id")
    lasts = items[np.flatnonzero(np.append(users[1:] != users[:-1], True))]
    assert abs(lasts.mean() - items.mean()) < 5 * items.std() / np.sqrt(len(lasts))


def test_tails_are_those_of_movielens(default: Interactions) -> None:
    # MovieLens-100K: 0.476 and 0.630.
    assert gini(np.bincount(default.codes("user_id")[0])) == pytest.approx(0.476, abs=0.02)
    assert gini(np.bincount(default.codes("item_id")[0])) == pytest.approx(0.630, abs=0.03)


def test_spectrum_is_near_real_ratings(ml_latest_small: Path) -> None:
    real = read_interactions(ml_latest_small)
    users, items = len(real.codes("user_id")[1]), len(real.codes("item_id")[1])
    made = singular_ratios(sample_interactions(users, items, len(real)))
    assert np.median(np.abs(made / singular_ratios(real) - 1)) < 0.2


def test_ratings_follow_preference() -> None:
    made = sample_interactions(300, 400, 20_000, seed=2)
    rng = np.random.default_rng(2)
    tastes = Tastes.draw(rng, 300, 400)
    users, items = made.codes("user_id")[0], made.codes("item_id")[0]
    share = tastes.share[:, None]
    vectors = share * tastes.group_vectors[tastes.first] + (1 - share) * tastes.group_vectors[tastes.second]
    match = np.einsum("nd,nd->n", vectors[users], tastes.item_vectors[items])
    assert np.corrcoef(match, made.table["rating"].to_numpy())[0, 1] > 0.2


def test_draw_and_race_follow_the_preferences() -> None:
    # Both give one item to each of many users of one taste: their choices must follow its probabilities.
    users, items = 40_000, 12
    tastes = Tastes.draw(np.random.default_rng(3), users, items)
    alike = Tastes(
        np.full(users, 5, dtype=np.int16),
        np.full(users, 9, dtype=np.int16),
        np.full(users, 0.3),
        tastes.group_vectors,
        tastes.item_vectors,
        tastes.choice,
    )
    ones = np.ones(users, dtype=np.int64)
    expected = users * (0.3 * tastes.choice[5] + 0.7 * tastes.choice[9])
    drawn = draw(np.random.default_rng(4), alike, ones)
    raced = np.concatenate(list(race(np.random.default_rng(4), alike, drawn[:0], ones)))
    for keys in (drawn, raced):
        np.testing.assert_array_equal(np.sort(keys // items), np.arange(users))
        counts = np.bincount(keys % items, minlength=items)
        # Chi-square with at most 11 degrees of freedom: 51 is passed with probability 4e-7.
        enough = expected > 5
        assert ((counts - expected) ** 2 / expected)[enough].sum() < 51


def test_race_leaves_what_users_have() -> None:
    tastes = Tastes.draw(np.random.default_rng(0), 3, 10)
    have = np.array([0, 1, 2, 13, 29])
    won = np.concatenate(list(race(np.random.default_rng(1), tastes, have, np.array([7, 0, 4]))))
    assert np.bincount(won // 10, minlength=3).tolist() == [7, 0, 4]
    assert len(np.union1d(won, have)) == len(won) + len(have)


def test_cover_gives_every_item_to_somebody() -> None:
    keys = np.array([0, 1, 10, 11, 20, 21, 30, 31])
    covered = cover(np.random.default_rng(0), keys, 8)
    assert sorted(covered % 8) == list(range(8))
    full = np.arange(8) * 9
    assert cover(np.random.default_rng(0), full, 8) is full


def test_activity_keeps_total_and_bounds() -> None:
    for users, items, count in ((943, 1682, 100_000), (50, 20, 500), (50, 20, 100), (7, 999, 999), (1000, 30, 15_000)):
        degrees = activity(users, items, count)
        assert degrees.sum() == count
        assert degrees.min() >= 2
        assert degrees.max() <= items


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((1, 10, 10), "a sample needs at least 2 users and 2 items, not 1 and 10"),
        ((10, 1, 10), "a sample needs at least 2 users and 2 items, not 10 and 1"),
        ((10, 10, 51), r"10 users and 10 items cannot have 51 interactions\nhint: ask for 20 .* to 50 "),
        ((10, 10, 19), "10 users and 10 items cannot have 19 interactions"),
        ((10, 30, 29), "10 users and 30 items cannot have 29 interactions"),
        ((2**31, 10, 2**33), "a sample has fewer than 2,147,483,648 users and items"),
        ((2, 2, 4), "ask for more users or items"),
        ((-5, 10, 10), "users must be a whole number, 0 or more, not -5"),
        ((5, 2.5, 10), r"items must be a whole number, 0 or more, not 2\.5"),
        ((10, 10, 20, True), "seed must be a whole number, 0 or more, not True"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample_interactions(*sizes)
