"""The fit: what is solved for, what is taken as given, and what is refused."""

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.errors import InputError
from fractalrs.expansion import ITEM_CELL_SIZE, USER_CELL_SIZE, Expansion, Fit, ReducedMatrix, fit
from fractalrs.expansion.fitting import REPEATS, bend, item_cells, user_cells
from fractalrs.statistics import gini
from fractalrs.tools import blas_threads
from fractalrs.words import ITEMS, USERS
from helpers.bases import base_of, random_pairs

Floats = npt.NDArray[np.float64]
SHAPE = (3, 5)


@pytest.fixture(scope="module")
def base() -> Base:
    return fr.leave_last_out(fr.sample_interactions(150, 120, 2_500))


@pytest.fixture(scope="module")
def fitted(base: Base) -> Fit:
    return fit(base, SHAPE)


# --- bend ------------------------------------------------------------------------------------------------------------

RATES = arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0.01, 0.5))
SHARE = st.floats(0, 1)
WIDE = (0.0, 1e9)


@settings(deadline=None, max_examples=50)
@given(RATES, SHARE, SHARE, st.floats(0, 6))
def test_the_mean_and_the_bounds_stay(start: Floats, users: float, items: float, strength: float) -> None:
    rates = bend(start, (users, items), strength, (0.01, 0.5))
    assert rates.shape == start.shape
    assert 0.01 <= rates.min() <= rates.max() <= 0.5
    assert rates.mean() == pytest.approx(start.mean(), rel=1e-6)


@settings(deadline=None, max_examples=50)
@given(RATES, SHARE, SHARE)
def test_margins_are_between_flat_ones_and_their_own(start: Floats, users: float, items: float) -> None:
    rates = bend(start, (users, items), 1.0, WIDE)
    for axis, balance in ((1, users), (0, items)):
        wanted = start.mean(axis=axis) ** (1 - balance)
        np.testing.assert_allclose(rates.mean(axis=axis) / rates.mean(), wanted / wanted.mean(), rtol=1e-3)
    np.testing.assert_allclose(bend(start, (0.0, 0.0), 1.0, WIDE), start, rtol=1e-6)


@settings(deadline=None, max_examples=50)
@given(RATES, SHARE, SHARE)
def test_without_strength_only_margins_are_left(start: Floats, users: float, items: float) -> None:
    rates = bend(start, (users, items), 0.0, WIDE)
    np.testing.assert_allclose(rates, np.outer(rates.mean(axis=1), rates.mean(axis=0)) / rates.mean(), rtol=1e-9)


def test_a_row_of_zeros() -> None:
    start = np.array([[0.0, 0.0], [0.2, 0.4]])
    for balance in (0.0, 0.5):
        np.testing.assert_array_equal(bend(start, (balance, 0.0), 1.0, (0.0, 0.9))[0], [0, 0])
    np.testing.assert_array_equal(bend(np.zeros((2, 3)), (1.0, 1.0), 1.0, (0.0, 0.5)), np.zeros((2, 3)))


# --- cells -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 2, 3, 8, 32, 128])
def test_repetition_is_rare(blocks: int) -> None:
    size, half = item_cells(blocks), math.ceil(blocks / 2)

    def chance(size: int) -> float:
        return sum(
            math.comb(blocks, k) * (1 / size) ** k * (1 - 1 / size) ** (blocks - k) for k in range(half, blocks + 1)
        )

    assert size == ITEM_CELL_SIZE or chance(size) <= REPEATS
    assert size == 2 or chance(size - 1) > REPEATS


# --- fit -------------------------------------------------------------------------------------------------------------


def test_tails_are_met_or_as_near_as_can_be(base: Base, fitted: Fit) -> None:
    degrees = {USERS: np.diff(base.train.indptr), ITEMS: np.bincount(base.train.indices, minlength=base.shape[1])}
    flat = fit(base, SHAPE, user_balance=1.0, item_balance=1.0)
    for side, (real, expected) in fitted.gini.items():
        assert real == gini(degrees[side])
        assert abs(expected - real) <= 0.02 or expected <= flat.gini[side][1] + 0.005


def test_it_describes_what_it_found(fitted: Fit) -> None:
    found = fitted.reduced.description["fit"]
    assert fitted.reduced.description["order_by"] == "content"
    for name in ("user_balance", "item_balance", "strength", "coordinates"):
        assert found[name] == getattr(fitted, name)
    assert (found["user_cell_size"], found["item_cell_size"]) == (
        fitted.cells.user_cell_size,
        fitted.cells.item_cell_size,
    )
    assert f"users {fitted.gini[USERS][1]:.3f} (real {fitted.gini[USERS][0]:.3f})" in fitted.words
    assert fitted.real[0] == pytest.approx(max(fitted.real))


@pytest.mark.parametrize("given", [{"user_balance": 0.25}, {"item_balance": 1}, {"strength": 0.5}, {"strength": 0}])
def test_what_is_given_is_taken(base: Base, given: dict[str, Any]) -> None:
    ((name, value),) = given.items()
    assert getattr(fit(base, SHAPE, **given), name) == value


def test_cell_sizes_are_taken(base: Base, fitted: Fit) -> None:
    made = fit(base, SHAPE, user_cell_size=1, item_cell_size=4).cells
    assert (made.user_cell_size, made.item_cell_size) == (1, 4)
    assert fitted.cells.user_cell_size == USER_CELL_SIZE
    assert fitted.cells.item_cell_size <= item_cells(SHAPE[0])


def test_a_reduced_matrix_is_taken(base: Base, fitted: Fit) -> None:
    reduced = fr.reduce(base, SHAPE, order_by="content")
    np.testing.assert_array_equal(fit(base, reduced).reduced.values, fitted.reduced.values)
    given = ReducedMatrix.from_array(np.linspace(0, 1, 12).reshape(3, 4))
    assert fit(base, given).reduced.description["method"] == "given"


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("most", [0.3, 0.5, 0.95])
def test_the_mean_and_the_largest_keep_rate_are_what_was_asked_for(base: Base, scale: float, most: float) -> None:
    reduced, options = fr.reduce(base, SHAPE, order_by="content"), {"max_keep": most, "keep_scale": scale}
    plain = Expansion(base, reduced, **options).keep_rates  # type: ignore[arg-type]
    made = Expansion(base, fit(base, reduced, **options), **options).keep_rates  # type: ignore[arg-type]
    assert made.mean() == pytest.approx(plain.mean(), rel=1e-6)
    assert made.max() <= most


def test_equal_users_and_no_tails_at_all() -> None:
    made = fit(base_of(random_pairs(120, 90, 8, user_tail=0, item_tail=0, seed=1)), (2, 3))
    assert made.gini[USERS][0] == 0
    assert made.user_balance == 1


def test_threads_do_not_matter(fitted: Fit) -> None:
    for threads in (1, 2):
        again = fr.leave_last_out(fr.sample_interactions(150, 120, 2_500))
        with blas_threads(threads):
            np.testing.assert_array_equal(fit(again, SHAPE).reduced.values, fitted.reduced.values)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base": "x"}, "base is 'x'; it must be a Base"),
        ({"shape": 5}, "shape is 5; it must be two"),
        ({"shape": (1_000, 2)}, "user multiplier 1000 does not fit"),
        ({"user_balance": 1.5}, "user_balance is 1.5; it must be a number from 0 to 1"),
        ({"item_balance": -0.1}, "item_balance is -0.1; it must be a number from 0 to 1"),
        ({"item_balance": float("nan")}, "item_balance is nan"),
        ({"strength": "x"}, "strength is 'x'; it must be a number from 0 up"),
        ({"strength": -1}, "strength is -1; it must be"),
        ({"strength": float("inf")}, "strength is inf; it must be"),
        ({"user_cell_size": 0}, "user cell size 0 is less than 1"),
        ({"item_cell_size": 2.5}, "item_cell_size"),
        ({"min_keep": -1}, "min_keep is -1; it must be from 0 to 1"),
        ({"min_keep": 0.6}, "min_keep 0.6 is above max_keep 0.5"),
        ({"max_keep": "x"}, "max_keep is x; it must be from 0 to 1"),
        ({"max_keep": 2}, "max_keep is 2; it must be from 0 to 1"),
        ({"keep_scale": 0}, "keep_scale is 0; it must be above 0"),
        ({"keep_scale": 1e-9}, "a keep rate is"),
    ],
)
def test_what_is_no_value_is_refused_by_its_name(base: Base, given: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"base": base, "shape": SHAPE} | given
    with pytest.raises(InputError, match=message):
        fit(arguments.pop("base"), arguments.pop("shape"), **arguments)


def test_an_expansion_takes_it_and_is_saved_with_it(base: Base, fitted: Fit, tmp_path: Path) -> None:
    import pickle

    expansion = Expansion(base, fitted, seed=7)
    assert expansion.cells is fitted.cells
    assert expansion.reduced is fitted.reduced
    expansion.save(tmp_path / "expansion")
    loaded = Expansion.load(tmp_path / "expansion")
    assert loaded.fingerprint == expansion.fingerprint
    assert loaded.reduced.description == fitted.reduced.description
    assert pickle.loads(pickle.dumps(expansion)).fingerprint == expansion.fingerprint
    assert Expansion(base, pickle.loads(pickle.dumps(fitted)), seed=7).fingerprint == expansion.fingerprint


def test_an_expansion_refuses_what_a_fit_was_not_made_for(base: Base, fitted: Fit) -> None:
    for options, message in (
        ({"cells": fr.group_cells(base)}, "cells are given, but the fit has its own"),
        ({"keep_scale": 2.0}, "keep_scale is 2.0, but the fit was made for 1"),
        ({"max_keep": 0.9}, "max_keep is 0.9, but the fit was made for 0.5"),
        ({"profile": "paper"}, "a fit is for the shuffles 'mixed' and 'cells'"),
    ):
        with pytest.raises(InputError, match=message):
            Expansion(base, fitted, **cast("dict[str, Any]", options))
    dense = fit(base, (2, 3), max_keep=0.9)
    assert Expansion(base, dense).keep_rates.max() == dense.reduced.values.max()
    with pytest.raises(InputError, match="fitted already"):
        fit(base, fitted.reduced)


def test_blocks_of_a_given_matrix_that_keep_nothing_go_on_keeping_nothing(base: Base) -> None:
    given = ReducedMatrix.from_array([[0.0, 0.4, 0.3], [0.2, 0.0, 0.4], [0.3, 0.2, 0.1]])
    made = fit(base, given, min_keep=0).reduced.values
    np.testing.assert_array_equal(made == 0, given.values == 0)
    assert fit(base, given).reduced.values.min() >= 0.01


@pytest.mark.parametrize(
    ("users", "items", "degree", "expected"),
    [(3_000, 1_500, 5, 7), (3_000, 300, 2, 10), (2_000, 80, 20, 15), (1_000, 25, 20, 7), (5_000, 100, 10, 24)],
    ids=["sparse", "by items", "as many cells as needed", "few users", "most"],
)
def test_of_dense_data_more_users_are_mixed(users: int, items: int, degree: int, expected: int) -> None:
    """Half as many as an item has interactions, at most 24, and as far as that leaves 128 cells."""
    rng = np.random.default_rng(0)
    pairs = [np.sort(rng.choice(items, degree, replace=False)) for _ in range(users)]
    base = Base.from_arrays(np.arange(users + 1) * degree, np.concatenate(pairs), item_ids=np.arange(items))
    assert user_cells(base) == expected
