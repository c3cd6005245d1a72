"""The private base: what is asked is as sensitive as it is said, what comes out is like the real one, and no more."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import svds
from scipy.stats import beta, kendalltau

from fractalrs.base import Base, leave_last_out
from fractalrs.errors import InputError
from fractalrs.privacy import forecast, private_base
from fractalrs.privacy.mechanisms import Account
from fractalrs.privacy.release import activity_edges, pair_counts, pair_weights, release, taste_counts
from fractalrs.privacy.rows import Rows
from fractalrs.privacy.taste_model import Directions
from fractalrs.reading import Interactions, sample_interactions
from fractalrs.statistics import gini
from fractalrs.words import PrivacyUnit

ITEMS = 7
Histories = list[set[int]]


def rows_of(histories: Histories) -> Rows:
    """Return users' histories as rows over a catalogue of `ITEMS`."""
    degrees = np.array([len(history) for history in histories if history])
    items = np.array([item for history in histories for item in sorted(history)], np.int64)
    return Rows(np.concatenate(([0], np.cumsum(degrees))), items, pa.array(range(ITEMS)), degrees, ())


class Recording(Account):
    """An account that remembers what it was asked, and what it answered."""

    def noisy(self, name: str, counts: Any, sensitivity: float, share: float) -> Any:
        self.asked = {**getattr(self, "asked", {}), name: (counts.astype(float), sensitivity)}
        answer = super().noisy(name, counts, sensitivity, share)
        self.answers = {**getattr(self, "answers", {}), name: answer.astype(float)}
        return answer


HISTORY = st.sets(st.integers(0, ITEMS - 1), min_size=1)


@settings(max_examples=150, deadline=None)
@given(st.lists(HISTORY, min_size=3, max_size=12), st.sampled_from(["user", "interaction"]), st.data())
def test_no_neighbour_moves_an_answer_further_than_its_sensitivity(
    histories: Histories, unit: PrivacyUnit, data: st.DataObject
) -> None:
    gone = data.draw(st.integers(0, len(histories) - 1))
    fewer = [set(history) for history in histories]
    if unit == "user":
        fewer[gone] = set()
    else:
        fewer[gone].discard(data.draw(st.sampled_from(sorted(histories[gone]))))
    pair = rows_of(histories), rows_of(fewer)

    # Activity and popularity, as a release asks for them.
    asked = []
    for rows in pair:
        account = Recording(math.inf, 1e-6)
        release(rows, account, unit, 0, ITEMS)
        asked.append(account.asked)
    for name, (counts, sensitivity) in asked[0].items():
        assert np.linalg.norm(counts - asked[1][name][0]) <= sensitivity

    # Pairs and tastes, for items and directions that are public by then.
    paired = np.arange(ITEMS)
    weights, sensitivity = pair_weights(ITEMS, unit)
    upper = np.triu_indices(ITEMS, 1)
    pairs = [pair_counts(rows, paired, weights)[upper] for rows in pair]
    assert np.linalg.norm((pairs[0] - pairs[1]).astype(float)) <= sensitivity
    vectors = np.linalg.qr(np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(ITEMS, 3)))[0]
    directions = Directions(paired, vectors, np.ones(3), np.ones(3))
    tastes = [taste_counts(rows, directions, np.array([1, 3, ITEMS + 1])) for rows in pair]
    moved = float(np.linalg.norm((tastes[0] - tastes[1]).astype(float))) / (1 << 20)
    assert moved <= 0.25 * (1.0 if unit == "user" else math.sqrt(2))


@pytest.mark.parametrize("most", [2, 3, 50, 1000])
def test_pairs_are_nearly_as_sensitive_as_they_are_said_to_be(most: int) -> None:
    weights, sensitivity = pair_weights(most, "user")
    degrees = np.arange(2, most + 1)
    moved = np.sqrt(degrees * (degrees - 1) / 2) * weights[2:]
    assert np.all(moved <= sensitivity)
    assert np.all(moved > 0.998 * sensitivity)


# What an attacker sees who knows everybody's history, and asks whether one more user is there.

EVERYBODY: Histories = [{0, 1}, {1, 2, 3}, {0, 2}, {4, 5}, {3}]
TARGET = set(range(ITEMS))
RUNS = 1500


def scores(histories: Histories, account: Account, whole: dict[str, Any], less: dict[str, Any]) -> list[float]:
    """Return the attacker's log-likelihood ratio in each of many releases; a projection where nothing is noisy."""
    rows, found = rows_of(histories), []
    for _ in range(RUNS):
        released = copy.copy(account)
        release(rows, released, "user", 0, ITEMS)
        assert isinstance(released, Recording)
        score = 0.0
        for name, answer in released.answers.items():
            (there, sensitivity), gone = whole[name], less[name][0]
            noise = account.noise(sensitivity, {"users by activity": 0.125}.get(name, 0.875)) or 1.0
            score += float((answer - (there + gone) / 2) @ (there - gone)) / noise**2
        found.append(score)
    return found


def lower_bound(hits: int, false: int, runs: int) -> float:
    """Return the ε below which so many hits and false alarms are not, in 99 of 100 cases (Clopper and Pearson)."""
    least = beta.ppf(0.005, hits, runs - hits + 1) if hits else 0.0
    most = beta.ppf(0.995, false + 1, runs - false) if false < runs else 1.0
    return float(np.log(max(least - 1e-6, 1e-12) / most))


def empirical_epsilon(epsilon: float, secretly: float = 1.0) -> float:
    """Return a lower bound of ε by the best attack on releases, whose budget is secretly so many times as large."""
    account = Recording(epsilon, 1e-6)
    account.rho *= secretly
    known: list[dict[str, Any]] = []
    for histories in (both := ([*EVERYBODY, TARGET], EVERYBODY)):
        exact = Recording(math.inf, 1e-6)
        release(rows_of(histories), exact, "user", 0, ITEMS)
        known.append(exact.asked)
    there, gone = (np.array(scores(histories, account, *known)) for histories in both)
    half = RUNS // 2

    def bound(cut: float, runs: slice) -> float:
        return lower_bound(int(np.sum(there[runs] > cut)), int(np.sum(gone[runs] > cut)), half)

    # The threshold is chosen on one half of the runs and judged on the other.
    cuts = np.quantile(np.concatenate((there[:half], gone[:half])), np.linspace(0.05, 0.95, 37))
    return bound(max(cuts, key=lambda cut: bound(cut, slice(half))), slice(half, None))


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_the_best_attack_finds_no_more_than_what_is_stated(epsilon: float) -> None:
    found = empirical_epsilon(epsilon)
    assert found <= epsilon
    # The attack is one: with this budget it finds something.
    assert found > 0 or epsilon < 4


def test_a_release_without_noise_is_caught() -> None:
    assert empirical_epsilon(math.inf) > 4


def test_a_release_with_too_little_noise_is_caught() -> None:
    assert empirical_epsilon(1.0, secretly=100.0) > 1


# What comes out of it.


def matrix_of(base: Base) -> Any:
    return abs(base.to_scipy()).astype(np.float64)


def singular_ratios(base: Base) -> npt.NDArray[np.float64]:
    values = np.sort(svds(matrix_of(base), k=9, return_singular_vectors=False, random_state=0))[::-1]
    return np.asarray(values[1:] / values[0])


@pytest.fixture(scope="module")
def real() -> Interactions:
    return sample_interactions(12_000, 400, 600_000, 5)


@pytest.fixture(scope="module")
def made(real: Interactions) -> Base:
    return private_base(real, 4.0, split="none")


def test_activity_popularity_and_spectrum_are_the_real_ones(real: Interactions, made: Base) -> None:
    base = leave_last_out(real, split="none")
    for degrees, wanted in ((made.user_degrees(), base.user_degrees()), (made.item_degrees(), base.item_degrees())):
        assert gini(degrees) == pytest.approx(gini(wanted), abs=0.05)
    assert made.count == pytest.approx(base.count, rel=0.03)
    codes = {item: code for code, item in enumerate(base.item_ids.to_pylist())}
    shared = [codes[item] for item in made.item_ids.to_pylist()]
    assert kendalltau(base.item_degrees()[shared], made.item_degrees()).statistic >= 0.9
    off = np.abs(singular_ratios(made) / singular_ratios(base) - 1)
    assert np.median(off) <= 0.15


def test_it_carries_its_promise_wherever_it_goes(made: Base, tmp_path: Path) -> None:
    stated = made.privacy
    assert stated is not None
    assert (stated.epsilon, stated.delta, stated.unit) == (4.0, 1e-6, "user")
    assert [query.name for query in stated.ledger] == [
        "users by activity",
        "interactions by item",
        "users by pair of items",
        "tastes by activity",
    ]
    made.save(tmp_path / "base")
    loaded = Base.load(tmp_path / "base", verify=True)
    assert loaded.privacy == stated
    real = Base(made.indptr, made.entries, made.user_ids, made.item_ids)
    assert real.fingerprint != made.fingerprint


def test_users_are_new_and_notes_tell_of_the_draw_alone(real: Interactions, made: Base) -> None:
    assert made.user_ids.to_pylist()[:3] == [0, 1, 2]
    text = " ".join(made.notes)
    assert "12,000" not in text
    assert "stand out from the noise" in text
    # The same seed: what differs is noise, which nobody can repeat.
    again = private_base(real, 4.0, split="none", directions=0)
    assert again.privacy is not None
    assert len(again.privacy.ledger) == 2
    assert again.fingerprint != private_base(real, 4.0, split="none", directions=0).fingerprint


def test_of_an_interaction_it_tells_less_and_counts_all(real: Interactions) -> None:
    base = private_base(real, 1.0, unit="interaction", directions=0)
    assert base.privacy is not None
    activity, popularity = base.privacy.ledger
    assert activity.sensitivity == pytest.approx(math.sqrt(2))
    assert popularity.sensitivity == 1.0
    assert base.test_count == base.shape[0]


def test_the_catalogue_may_be_given(real: Interactions) -> None:
    base = private_base(real, 4.0, catalogue=[*range(1, 301), 5000], directions=0, split="none")
    assert set(base.item_ids.to_pylist()) <= {*range(1, 301), 5000}
    for wrong in (["a", "b"], [1, 1], [7]):
        with pytest.raises(InputError, match="catalogue"):
            private_base(real, 4.0, catalogue=wrong)


def with_rare(real: Interactions) -> Interactions:
    """Return interactions, and one more item that a single user has, with a telling name."""
    table = real.table.select(["user_id", "item_id"])
    names = pa.array([f"item {item}" for item in table["item_id"].to_pylist()] + ["secret letter"])
    return Interactions(pa.table({"user_id": [*table["user_id"].to_pylist(), 1], "item_id": names}))


@pytest.mark.parametrize("unit", ["user", "interaction"])
def test_of_a_secret_catalogue_only_what_many_have_is_released(real: Interactions, unit: PrivacyUnit) -> None:
    source = with_rare(real)
    base = private_base(source, 4.0, unit=unit, catalogue="secret", split="none")
    assert "secret letter" not in base.item_ids.to_pylist()
    assert base.privacy is not None
    activity, selection, *others = base.privacy.ledger
    # How long histories are told apart does not follow from how many items there are.
    assert activity.numbers == len(activity_edges(1 << 20)) - 1
    assert selection.name == "interactions by selected item"
    assert selection.numbers == base.shape[1]
    assert 0 < selection.delta <= base.privacy.delta / 2
    assert [query.delta for query in (activity, *others)] == [0.0] * 3
    known = leave_last_out(source, split="none")
    assert base.count == pytest.approx(known.count, rel=0.05)
    assert gini(base.user_degrees()) == pytest.approx(gini(known.user_degrees()), abs=0.05)
    shared = [known.item_ids.to_pylist().index(item) for item in base.item_ids.to_pylist()]
    assert kendalltau(known.item_degrees()[shared], base.item_degrees()).statistic >= 0.9


def with_tail(real: Interactions, share: float) -> Interactions:
    """Return interactions, and so many more of each user, with items that two users at most have."""
    users = real.table["user_id"].to_numpy()
    more = np.sort(np.random.default_rng(0).permutation(users)[: round(share * len(users))])
    items = np.concatenate(
        (real.table["item_id"].to_numpy(), 1_000_000 + np.arange(len(more)) % max(1, len(more) // 2))
    )
    return Interactions(pa.table({"user_id": np.concatenate((users, more)), "item_id": items}))


@pytest.mark.parametrize("tail", [0.0, 0.25])
def test_tastes_of_selected_items_are_those_of_users_who_have_as_many(real: Interactions, tail: float) -> None:
    rows = Rows.of(with_tail(real, tail), "secret")
    released = release(rows, Account(50.0, 1e-6, selects=True), "user", 16, None)
    assert released.selected == pytest.approx(1 / (1 + tail), abs=0.02)
    codes = [rows.item_ids.to_pylist().index(item) for item in released.item_ids.to_pylist()]
    known = rows.only(np.array(codes))
    bands, edges = released.bands, np.append(released.bands.edges[:-1], len(codes) + 1)
    seen = replace(known, activity=known.degrees)
    users = np.histogram(known.degrees, edges)[0]
    wanted = taste_counts(seen, released.directions, edges).sum(axis=1) / (1 << 20) / users
    assert bands.tastes.sum(axis=1) == pytest.approx(wanted, rel=0.1)


@settings(max_examples=60, deadline=None)
@given(st.lists(HISTORY, min_size=3, max_size=12), st.sampled_from(["user", "interaction"]), st.data())
def test_no_neighbour_moves_tastes_further_where_items_are_selected(
    histories: Histories, unit: PrivacyUnit, data: st.DataObject
) -> None:
    gone = data.draw(st.integers(0, len(histories) - 1))
    fewer = [set(history) for history in histories]
    fewer[gone] = set() if unit == "user" else fewer[gone] - {data.draw(st.sampled_from(sorted(fewer[gone])))}
    chosen = np.array([0, 2, 3, 5])
    pair = [rows_of(some).only(chosen) for some in (histories, fewer)]
    vectors = np.linalg.qr(np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(4, 2)))[0]
    directions = Directions(np.arange(4), vectors, np.ones(2), np.ones(2))
    tastes = [taste_counts(rows, directions, np.array([1, 3, ITEMS + 1])) for rows in pair]
    moved = float(np.linalg.norm((tastes[0] - tastes[1]).astype(float))) / (1 << 20)
    assert moved <= 0.25 * (1.0 if unit == "user" else math.sqrt(2))


def test_what_a_secret_catalogue_costs_is_forecast(real: Interactions) -> None:
    known, secret = (Rows.of(real, catalogue).forecast(4.0, 1e-6, "user") for catalogue in (None, "secret"))
    assert secret.rho == Account(4.0, 1e-6, selects=True).rho < known.rho
    assert "50% of delta to select items" in secret.words
    assert "select" not in known.words


def test_a_secret_catalogue_of_which_nothing_stands_out_is_refused() -> None:
    """1,200 users, each with items of their own."""
    items = pa.array(np.arange(6_000))
    lonely = Interactions(pa.table({"user_id": np.repeat(np.arange(1_200), 5), "item_id": items}))
    with pytest.raises(InputError, match="no two items stand out"):
        private_base(lonely, 4.0, catalogue="secret", directions=0)
    with pytest.raises(InputError, match="catalogue"):
        private_base(lonely, 4.0, catalogue="hidden")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"epsilon": 0.0}, "epsilon is 0"),
        ({"epsilon": -1.0}, "epsilon is -1"),
        ({"epsilon": math.nan}, "epsilon is nan"),
        ({"delta": 0.0}, "delta is 0"),
        ({"delta": 1e-3}, "delta is 0.001 for 12,000 users"),
        ({"unit": "group"}, "unknown unit"),
        ({"split": "last"}, "no timestamps"),
        ({"clip": 0}, "clip"),
        ({"directions": -1}, "directions"),
        ({"epsilon": 0.3}, "about 0 of 16 directions"),
    ],
)
def test_what_cannot_be_promised_is_refused(real: Interactions, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        private_base(real, **({"epsilon": 4.0} | wrong))


def test_too_few_users_are_refused_with_what_would_be_enough() -> None:
    with pytest.raises(InputError, match="600 users are too few"):
        private_base(sample_interactions(600, 100, 6000), 4.0)
    few = sample_interactions(1500, 400, 60_000)
    with pytest.raises(InputError, match="Nothing was spent") as refused:
        private_base(few, 4.0)
    hint = refused.value.hint or ""
    users = int(hint.split(" users like these")[0].removeprefix("about ").replace(",", ""))
    assert forecast(users, 400, 40 * users, 4.0).surviving >= 4
    assert private_base(few, 4.0, directions=0).privacy is not None


def test_bins_of_activity_hold_every_degree_once() -> None:
    for items in (2, 7, 100, 5000):
        edges = activity_edges(items)
        assert (edges[0], edges[-1]) == (1, items + 1)
        assert np.all(np.diff(edges) > 0)
