"""Expected Gini coefficients, against draws by NumPy and against generated degrees."""

import numpy as np
import numpy.typing as npt
import pytest

import fractalrs as fr
from fractalrs.expansion import Expansion
from fractalrs.expansion.tails import expected_gini
from fractalrs.passes import StreamedMatrix
from fractalrs.statistics import gini
from helpers.bases import base_of, random_pairs

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
DRAWS = 60


def cells_of(count: int, size: int, shuffled: bool = False) -> tuple[Integers, Integers]:
    order = np.random.default_rng(0).permutation(count) if shuffled else np.arange(count)
    return order, np.unique(np.append(np.arange(0, count, size), count))


def drawn_gini(keep_rates: Floats, degrees: Integers, order: Integers, starts: Integers) -> float:
    """Draw what the generator does: members of each cell change places on their own in every block."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(DRAWS):
        for rates in keep_rates:
            total = np.zeros(len(degrees), np.int64)
            for rate in rates:
                exchanged = np.concatenate([rng.permutation(cell) for cell in np.split(order, starts[1:-1])])
                total[order] += rng.binomial(degrees[exchanged], rate)
            found.append(total)
    return gini(np.concatenate(found)) or 0.0


RATES = {
    "usual": np.random.default_rng(1).uniform(0.01, 0.5, (4, 8)),
    "one entry": np.array([[0.3]]),
    "one": np.ones((2, 3)),
    "a row of zeros": np.array([[0.0, 0.0, 0.0], [0.5, 0.2, 0.01]]),
    "many blocks": np.random.default_rng(2).uniform(0.01, 0.2, (2, 40)),
}
DEGREES = {
    "fat": np.round(300 * np.arange(1.0, 241) ** -0.8).astype(np.int64) + 2,
    "equal": np.full(240, 20),
    "some without": np.append(np.arange(160), np.zeros(80, np.int64)),
    "dense": np.random.default_rng(3).integers(200, 900, 240),
}


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("degrees", DEGREES)
@pytest.mark.parametrize("size", [1, 5])
def test_it_is_what_draws_give(rates: str, degrees: str, size: int) -> None:
    # Alike ones are in a cell, as a rule.
    cells = cells_of(240, size)
    expected = expected_gini(RATES[rates], DEGREES[degrees], *cells)
    # In one block two moments do not tell how the members of a cell are spread.
    near = 0.008 if RATES[rates].size == 1 else 0.003
    assert expected == pytest.approx(drawn_gini(RATES[rates], DEGREES[degrees], *cells), abs=near)


@pytest.mark.parametrize("degrees", ["equal", "dense"])
def test_one_cell_of_all(degrees: str) -> None:
    cells = cells_of(240, 240)
    expected = expected_gini(RATES["many blocks"], DEGREES[degrees], *cells)
    assert expected == pytest.approx(drawn_gini(RATES["many blocks"], DEGREES[degrees], *cells), abs=0.003)


def test_cells_of_any() -> None:
    cells = cells_of(240, 5, shuffled=True)
    expected = expected_gini(RATES["many blocks"], DEGREES["fat"], *cells)
    assert expected == pytest.approx(drawn_gini(RATES["many blocks"], DEGREES["fat"], *cells), abs=0.003)


def test_what_needs_no_draws() -> None:
    single = cells_of(240, 1)
    # All is kept: degrees are multiplied.
    assert expected_gini(np.ones((1, 7)), DEGREES["fat"], *single) == pytest.approx(gini(DEGREES["fat"]), abs=1e-3)
    assert expected_gini(np.ones((3, 7)), DEGREES["equal"], *single) == pytest.approx(0, abs=1e-3)
    assert expected_gini(np.zeros((2, 2)), DEGREES["fat"], *single) == 0
    assert expected_gini(np.full((2, 2), 0.5), np.zeros(240, np.int64), *single) == 0


@pytest.mark.parametrize(("shuffle", "near"), [("aligned", 0.01), ("cells", 0.01), ("block", 0.04)])
def test_it_is_what_is_generated(shuffle: str, near: float) -> None:
    base = base_of(random_pairs(400, 250, 20, user_tail=0.9, item_tail=0.7, seed=4))
    expansion = Expansion(base, fr.reduce(base, (4, 8)), shuffle=shuffle, seed=2)
    degrees = StreamedMatrix(expansion).degrees()
    train = base.train
    user_degrees, item_degrees = np.diff(train.indptr), np.bincount(train.indices, minlength=250)
    rates, cells = expansion.keep_rates, expansion.cells
    users = expected_gini(rates, user_degrees, cells.user_order, cells.user_starts)
    items = expected_gini(rates.T, item_degrees, cells.item_order, cells.item_starts)
    # One draw of 1,600 users and 2,000 items.
    assert users == pytest.approx(gini(degrees.user_train), abs=near)
    assert degrees.item_train is not None
    assert items == pytest.approx(gini(degrees.item_train), abs=near)


def test_many_blocks_are_taken_together_without_another_result() -> None:
    rates, degrees = np.random.default_rng(3).lognormal(-3, 1, (300, 6)).clip(0, 0.5), np.arange(1, 201)
    few = expected_gini(rates, degrees, *cells_of(200, 5))
    # Blocks that occur ten times make ten times as many users of the same degrees.
    assert expected_gini(np.repeat(rates, 10, axis=0), degrees, *cells_of(200, 5)) == pytest.approx(few, abs=1e-4)
