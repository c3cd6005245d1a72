"""Predicted singular values, against those of generated expansions."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

import fractalrs as fr
from fractalrs.base import Base, canonical
from fractalrs.expansion import Cells, Expansion
from fractalrs.expansion.cells import group_canonical
from fractalrs.expansion.spectrum import Spectrum
from helpers.bases import base_of, random_pairs

Floats = npt.NDArray[np.float64]

BASES = {
    "sample": lambda: fr.leave_last_out(fr.sample_interactions(300, 200, 6_000)),
    "sparse": lambda: base_of(random_pairs(500, 350, 8, user_tail=0.5, item_tail=0.5, seed=1)),
    "small": lambda: base_of(random_pairs(60, 40, 10, user_tail=0.5, item_tail=0.5, seed=2)),
}


@cache
def base_named(name: str) -> Base:
    made: Base = BASES[name]()
    return made


def cells_of(base: Base, shuffle: str) -> Cells:
    """Return cells of places in the canonical order."""
    made = {"aligned": lambda: Cells.single(*base.shape), "block": lambda: Cells.whole(*base.shape)}
    return made.get(shuffle, lambda: group_canonical(canonical(base)))()


@cache
def values(name: str, shuffle: str, shape: tuple[int, int], zero_row: bool = False) -> tuple[Floats, Floats]:
    """Return predicted and measured singular values."""
    base = base_named(name)
    cells, rates = cells_of(base, shuffle), fr.reduce(base, shape, order_by="content").values.copy()
    rates[0] *= not zero_row
    mixing = "mixed" if shuffle == "mixed" else "cells"
    placed = Cells.of_places(cells, canonical(base))
    expansion = Expansion(base, rates, cells=placed, shuffle=mixing, max_keep=0.5, min_keep=0, seed=3)
    table = expansion.table(0, expansion.shape[0])
    dense = np.zeros(expansion.shape, np.float32)
    dense[table["user_id"].to_numpy(), table["item_id"].to_numpy()] = 1
    small = dense @ dense.T if len(dense) < dense.shape[1] else dense.T @ dense
    measured = np.sqrt(np.maximum(np.linalg.eigvalsh(small)[::-1][:64], 0))
    predicted = Spectrum.of(canonical(base), cells).predict(expansion.keep_rates)
    return predicted, measured


def error(predicted: Floats, measured: Floats, count: int) -> float:
    return float(np.median(np.abs(predicted[:count] / measured[:count] - 1)))


LARGE = ("sample", "sparse")


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("shuffle", ["aligned", "cells", "mixed"])
def test_values_are_met(name: str, shuffle: str) -> None:
    predicted, measured = values(name, shuffle, (4, 8))
    assert len(predicted) == 64
    assert np.all(np.diff(predicted) <= 0)
    assert error(predicted, measured, 16) < 0.03
    assert error(predicted, measured, 64) < 0.08


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("shape", [(1, 8), (4, 1)])
def test_one_row_of_blocks(name: str, shape: tuple[int, int]) -> None:
    """Dropout averages out inside a block; what is exchanged in so few blocks does not."""
    assert error(*values(name, "aligned", shape), 16) < 0.03
    assert error(*values(name, "cells", shape), 16) < 0.15


@pytest.mark.parametrize("name", LARGE)
def test_where_anybody_changes_places(name: str) -> None:
    predicted, measured = values(name, "block", (4, 8))
    assert predicted[0] == pytest.approx(measured[0], rel=0.05)
    # The rest is noise, and alike.
    assert error(predicted, measured[: len(predicted)], 16) < 0.15


@pytest.mark.parametrize("shuffle", ["aligned", "cells"])
def test_a_row_of_zeros(shuffle: str) -> None:
    assert error(*values("sample", shuffle, (4, 8), True), 16) < 0.03


@pytest.mark.parametrize("shuffle", ["aligned", "cells"])
def test_a_base_of_fewer_than_64(shuffle: str) -> None:
    predicted, measured = values("small", shuffle, (3, 4))
    assert error(predicted, measured, 16) < 0.05


def test_nothing_is_kept() -> None:
    base = base_named("small")
    made = Spectrum.of(canonical(base), cells_of(base, "cells"))
    np.testing.assert_array_equal(made.predict(np.zeros((2, 3)), 16), np.zeros(16))


def test_all_is_kept() -> None:
    """Without exchange and dropout, those of the Kronecker product, to rounding."""
    base = base_named("small")
    predicted = Spectrum.of(canonical(base), cells_of(base, "aligned")).predict(np.ones((2, 3)), 16)
    real = np.linalg.svd(base.train.toarray(), compute_uv=False)
    np.testing.assert_allclose(predicted, np.sqrt(6) * real[:16], rtol=1e-6)


def test_more_blocks_than_a_square_matrix_is_made_of_change_nothing() -> None:
    base = canonical(base_named("sample"))
    # Of few large cells there are fewer other directions: those beyond the values of K are seen.
    spectrum = Spectrum.of(base, group_canonical(base, 100, 100))
    rates = np.random.default_rng(4).uniform(0.3, 0.5, (3, 1028))
    few, many = spectrum.predict(rates[:, :1020]), spectrum.predict(rates)
    assert len(few) == len(many) == 64
    assert many == pytest.approx(few, rel=0.02)
