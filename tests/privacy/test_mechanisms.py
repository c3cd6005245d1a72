"""Noise and the account of it: against the textbook, against another accountant, and without opendp."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from fractalrs.base import Base, Privacy, Query, leave_last_out
from fractalrs.errors import InputError
from fractalrs.privacy.mechanisms import Account, affordable, epsilon_of, opendp, spent
from fractalrs.reading import sample_interactions

BUDGETS = [(0.5, 1e-6), (1.0, 1e-5), (4.0, 1e-6), (8.0, 1e-9)]


def textbook(rho: float, delta: float) -> float:
    """Return the ε of ρ-zCDP at δ: Proposition 12 of Canonne, Kamath and Steinke 2020, by a search of our own."""

    def epsilon(log_excess: float) -> float:
        alpha = 1 + math.exp(log_excess)
        return rho * alpha + math.log1p(-1 / alpha) - math.log(delta * alpha) / (alpha - 1)

    return float(minimize_scalar(epsilon, bounds=(-6, 12), method="bounded", options={"xatol": 1e-9}).fun)


@pytest.mark.parametrize(("epsilon", "delta"), BUDGETS)
def test_a_budget_is_spent_to_the_last_by_the_textbook_too(epsilon: float, delta: float) -> None:
    rho = affordable(epsilon, delta)
    assert epsilon_of(rho, delta) <= epsilon
    assert textbook(rho, delta) == pytest.approx(epsilon, rel=1e-3)


def spend(epsilon: float, delta: float) -> Account:
    account = Account(epsilon, delta)
    for name, sensitivity, share in (("a", 1.0, 0.05), ("b", 40.0, 0.35), ("c", 2.0**20, 0.6)):
        account.noisy(name, np.zeros(3, np.int64), sensitivity, share)
    return account


@pytest.mark.parametrize(("epsilon", "delta"), BUDGETS)
def test_the_ledger_adds_up(epsilon: float, delta: float) -> None:
    account = spend(epsilon, delta)
    for query in account.ledger:
        assert query.rho == pytest.approx((query.sensitivity / query.noise) ** 2 / 2, rel=1e-12)
    assert [query.rho / account.rho for query in account.ledger] == pytest.approx([0.05, 0.35, 0.6])
    stated = account.statement("user")
    assert stated is not None
    assert (stated.epsilon, stated.delta, stated.ledger) == (epsilon, delta, account.ledger)
    assert stated.rho <= account.rho
    assert epsilon * (1 - 1e-3) < spent(account.ledger, delta) <= epsilon


@pytest.mark.parametrize(("epsilon", "delta"), BUDGETS)
def test_another_accountant_agrees(epsilon: float, delta: float) -> None:
    events = pytest.importorskip("dp_accounting", reason="dp-accounting is not installed")
    from dp_accounting.pld.pld_privacy_accountant import PLDAccountant
    from dp_accounting.rdp.rdp_privacy_accountant import RdpAccountant

    by_moments, exact = RdpAccountant(), PLDAccountant()
    for query in spend(epsilon, delta).ledger:
        event = events.GaussianDpEvent(query.noise / query.sensitivity)
        by_moments.compose(event)
        exact.compose(event)
    assert by_moments.get_epsilon(delta) == pytest.approx(epsilon, rel=0.01)
    # zCDP is a bound: the exact loss of Gaussians is below it.
    assert 0.85 * epsilon < exact.get_epsilon(delta) <= epsilon


def select(epsilon: float, delta: float, most: int) -> Account:
    account = Account(epsilon, delta, selects=True)
    account.noisy("a", np.zeros(3, np.int64), 1.0, 0.05)
    account.selected("b", np.arange(0, 90_000, 100), most, 0.35)
    account.noisy("c", np.zeros(3, np.int64), 2.0, 0.6)
    return account


def beyond(noise: float, least: int) -> float:
    """Return the chance that a discrete Gaussian is at least so much, by its definition."""
    values = np.arange(-60 * math.ceil(noise), 60 * math.ceil(noise) + 1)
    weights = np.exp(-np.square(values / noise) / 2)
    return float(weights[values >= least].sum() / weights.sum())


@pytest.mark.parametrize(("epsilon", "delta"), BUDGETS)
@pytest.mark.parametrize("most", [1, 40, 900])
def test_a_selection_is_in_the_account(epsilon: float, delta: float, most: int) -> None:
    account = select(epsilon, delta, most)
    selection = account.ledger[1]
    assert selection.rho == pytest.approx(most / selection.noise**2 / 2, rel=1e-9)
    assert 0 < selection.delta <= delta / 2
    assert account.rho == pytest.approx(affordable(epsilon, delta / 2))
    # What is left of delta is as it would be without: the ledger adds up to epsilon, by the textbook too.
    stated = account.statement("user")
    assert stated is not None
    assert stated.rho <= account.rho
    assert spent(stated.ledger, delta) <= epsilon
    assert textbook(stated.rho, delta - selection.delta) <= epsilon * (1 + 1e-3)
    assert Privacy.read(stated.described()) == stated


@pytest.mark.parametrize(("epsilon", "most"), [(0.5, 1), (1.0, 1), (4.0, 1), (1.0, 40), (16.0, 40)])
def test_what_one_user_alone_brings_is_selected_no_oftener_than_the_ledger_says(epsilon: float, most: int) -> None:
    """By the definition of the noise, and counted: 20,000 items that one user has each."""
    account, alone = Account(epsilon, 0.2, selects=True), 20_000
    counts = np.concatenate((np.ones(alone, np.int64), np.arange(2_000)))
    places, noisy = account.selected("a", counts, most, 1.0)
    (query,) = account.ledger
    chance = beyond(query.noise, int(noisy.min()) - 1)
    assert 1 - (1 - chance) ** most <= query.delta <= 0.1
    # And the threshold is low: with two less it would not be.
    assert 1 - (1 - beyond(query.noise, int(noisy.min()) - 4)) ** most > 0.1
    seen, spread = int((places < alone).sum()), math.sqrt(chance * alone)
    assert abs(seen - chance * alone) <= 5 * spread
    assert Account(math.inf, 0.2, selects=True).selected("a", np.array([0, 3, 1]), most, 1.0)[0].tolist() == [1, 2]


@pytest.mark.parametrize(("epsilon", "delta"), BUDGETS)
def test_another_accountant_agrees_on_a_selection(epsilon: float, delta: float) -> None:
    events = pytest.importorskip("dp_accounting", reason="dp-accounting is not installed")
    from dp_accounting.pld.pld_privacy_accountant import PLDAccountant
    from dp_accounting.rdp.rdp_privacy_accountant import RdpAccountant

    ledger = select(epsilon, delta, 40).ledger
    by_moments, exact = RdpAccountant(), PLDAccountant()
    for query in ledger:
        event = events.GaussianDpEvent(query.noise / query.sensitivity)
        by_moments.compose(event)
        exact.compose(event)
    left = delta - sum(query.delta for query in ledger)
    assert left >= delta / 2
    assert by_moments.get_epsilon(delta / 2) == pytest.approx(epsilon, rel=0.01)
    assert exact.get_epsilon(left) <= epsilon


def test_without_a_share_of_delta_nothing_is_selected() -> None:
    with pytest.raises(AssertionError, match="nothing of delta"):
        Account(4.0, 1e-6).selected("a", np.array([5]), 1, 0.1)


def test_no_more_than_the_budget_is_spent() -> None:
    account = spend(4.0, 1e-6)
    with pytest.raises(AssertionError, match="budget"):
        account.noisy("d", np.zeros(1, np.int64), 1.0, 0.01)


def test_noise_is_as_large_as_the_ledger_says() -> None:
    account = Account(4.0, 1e-6)
    counts = np.full(4000, 10**12, np.int64)
    noisy = account.noisy("a", counts, 3.0, 0.5)
    (query,) = account.ledger
    assert query.noise == account.noise(3.0, 0.5)
    assert np.std((noisy - counts).astype(float)) == pytest.approx(query.noise, rel=0.06)
    assert abs(float(np.mean(noisy - counts))) < 5 * query.noise / math.sqrt(len(counts))
    assert noisy.dtype == np.int64


def test_without_a_bound_nothing_is_noisy_and_nothing_promised() -> None:
    account = Account(math.inf, 1e-6)
    counts = np.arange(5)
    assert account.noisy("a", counts, 1.0, 0.5).tolist() == counts.tolist()
    assert account.statement("user") is None


def test_without_opendp_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opendp.prelude", None)
    with pytest.raises(InputError, match="opendp") as refused:
        opendp()
    assert refused.value.hint == 'pip install "fractalrs[privacy]"'


@pytest.mark.parametrize("wrong", [{"unit": "group"}, {"epsilon": "4"}, {"ledger": [{"name": "a"}]}])
def test_a_damaged_statement_is_refused(wrong: dict[str, object]) -> None:
    stated = Privacy(4.0, 1e-6, "user", (Query("a", 1, 1.0, 1.0, 0.5),))
    assert Privacy.read(stated.described()) == stated
    with pytest.raises((TypeError, KeyError)):
        Privacy.read(stated.described() | wrong)


def test_a_saved_base_whose_ledger_lacks_what_selection_cost_is_refused_in_words(tmp_path: Path) -> None:
    stated = Privacy(4.0, 1e-6, "user", (Query("a", 1, 1.0, 1.0, 0.5),))
    replace(leave_last_out(sample_interactions(30, 20, 200)), privacy=stated).save(tmp_path / "base")
    described = json.loads((tmp_path / "base" / "base.json").read_text())
    del described["privacy"]["ledger"][0]["delta"]
    (tmp_path / "base" / "base.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"base\.json is damaged"):
        Base.load(tmp_path / "base")
