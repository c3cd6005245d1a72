"""Leading singular values: against NumPy on dense matrices, from any source, and against what theory predicts."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_info

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.dataset import ParquetOptions
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.passes import StreamedMatrix
from fractalrs.statistics import kronecker, predicted
from fractalrs.tools import Progress, ProgressCallback
from fractalrs.validation.measure.spectrum import TOLERANCE, VECTORS, Spectrum, missing, spectrum
from helpers.folders import RATES

Floats = npt.NDArray[np.float64]

EXACT = 1e-9


def dense(source: Base | Expansion) -> Floats:
    if isinstance(source, Base):
        return np.asarray(source.train.toarray())
    matrix = np.zeros(source.shape)
    table = source.table(0, source.shape[0])
    matrix[table["user_id"].to_numpy(), table["item_id"].to_numpy()] = 1
    return matrix


@cache
def tall_base() -> Base:
    return fr.leave_last_out(fr.sample_interactions(80, 60, 1_000))


@cache
def wide_base() -> Base:
    return fr.leave_last_out(fr.sample_interactions(60, 110, 900))


def expanded(**options: Any) -> Expansion:
    """Expand `tall_base`: 240 users × 300 items."""
    return Expansion(tall_base(), RATES, **options)


def copies() -> Expansion:
    """Six equal blocks: a matrix of no more than a third of its full rank."""
    return Expansion(wide_base(), np.ones((3, 2)), shuffle="none", max_keep=1.0)


def ones() -> Base:
    return Base.from_arrays(np.arange(0, 40 * 30 + 1, 30), np.tile(np.arange(30), 40))


SOURCES: dict[str, Any] = {
    "base": tall_base,
    "wide base": wide_base,
    "one entry": lambda: Base.from_arrays([0, 1], [0]),
    "ones": ones,
    "none": lambda: expanded(shuffle="none"),
    "aligned": lambda: expanded(shuffle="aligned"),
    "cells": expanded,
    "thin": lambda: expanded(block_keep=0.7, keep_scale=0.5, order="item"),
    "copies": copies,
}


def check(found: Spectrum, matrix: Floats, count: int, rtol: float) -> None:
    """Hold values, bounds and vectors against a decomposition of the whole matrix."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    assert found.values.shape == found.bounds.shape == (count,)
    assert found.values.dtype == found.bounds.dtype == found.right.dtype == found.left.dtype == np.float64
    assert (np.diff(found.values) <= 0).all()
    error = np.abs(found.values - s[:count])
    assert (error <= found.bounds + 1e-13 * s[0]).all()
    # A value that is zero has half the digits, as the root of what is computed.
    whole = s[:count] > 1e-6 * s[0]
    assert (error[whole] <= rtol * s[:count][whole]).all()
    assert (error <= 1e-6 * s[0]).all()

    leading = min(VECTORS, count)
    assert found.right.shape == (matrix.shape[1], leading)
    assert found.left.shape == (matrix.shape[0], leading)
    np.testing.assert_allclose(found.right.T @ found.right, np.eye(leading), atol=1e-10)
    gaps = -np.diff(np.concatenate([[np.inf], s, [0]]))
    for k in range(leading):
        if min(gaps[k], gaps[k + 1]) > 1e-3 * s[0]:
            sign = np.sign(found.right[:, k] @ vt[k])
            np.testing.assert_allclose(found.right[:, k], sign * vt[k], atol=1e-5)
            np.testing.assert_allclose(found.left[:, k], sign * u[:, k], atol=1e-5)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("count", [1, 20])
def test_equals_the_dense_decomposition(name: str, count: int) -> None:
    source = SOURCES[name]()
    count = min(count, *source.shape)
    check(spectrum(StreamedMatrix(source, threads=2), count, tolerance=EXACT), dense(source), count, rtol=1e-8)


@pytest.mark.parametrize("name", ["base", "wide base", "one entry", "ones", "copies"])
def test_all_singular_values(name: str) -> None:
    source = SOURCES[name]()
    count = min(source.shape)
    check(spectrum(StreamedMatrix(source), count, tolerance=EXACT), dense(source), count, rtol=1e-8)


def test_all_values_of_a_matrix_without_gaps() -> None:
    base = Base.from_arrays(np.arange(61), np.arange(60))
    np.testing.assert_allclose(spectrum(StreamedMatrix(base), 60).values, np.ones(60), rtol=1e-12)


def test_equal_values_are_all_found() -> None:
    """Five equal users of five equal items, 14 times: 5 comes 14 times, then 0."""
    items = np.concatenate([np.tile(np.arange(5), 5) + 5 * group for group in range(14)])
    found = spectrum(StreamedMatrix(Base.from_arrays(np.arange(0, len(items) + 1, 5), items)), 20)
    np.testing.assert_allclose(found.values[:14], 5, rtol=1e-12)
    assert (found.values[14:] <= found.bounds[14:] + 1e-13).all()
    assert (found.values[14:] < 1e-6).all()


@pytest.mark.parametrize("shuffle", ["aligned", "block"])
@pytest.mark.parametrize("seed", range(6))
def test_the_tolerance_is_what_values_lack_at_most(shuffle: Literal["aligned", "block"], seed: int) -> None:
    expansion = expanded(shuffle=shuffle)
    found = spectrum(StreamedMatrix(expansion), 32, seed=seed)
    true = np.linalg.svd(dense(expansion), compute_uv=False)[:32]
    np.testing.assert_allclose(found.values, true, rtol=TOLERANCE)
    # It stopped early, or nothing was shown.
    assert np.abs(found.values / true - 1).max() > TOLERANCE / 1e4
    assert (np.abs(found.values - true) <= found.bounds).all()


def test_each_value_is_told_by_its_own_steps() -> None:
    """One that shrinks quickly does not speak for one that moves on as before."""
    moved, before = np.array([0.01, 0.009, 0.1, 0.0]), np.array([1.0, 0.009, np.inf, 0.0])
    assert missing(moved, before, settled=1e-9).tolist() == [pytest.approx(1e-4 / 0.99), np.inf, np.inf, 0.0]


def test_bounds_hold_when_it_stops_early() -> None:
    expansion = expanded(shuffle="block")
    true = np.linalg.svd(dense(expansion), compute_uv=False)
    found = spectrum(StreamedMatrix(expansion), 20, tolerance=0.5)
    # Of some singular value, not of the one in the same place.
    assert (np.abs(found.values[:, None] - true).min(axis=1) <= found.bounds).all()
    assert np.abs(found.values - true[:20]).max() > 1e-6


def test_a_matrix_of_nothing_has_values_of_zero() -> None:
    base = Base.from_arrays([0, 1, 2, 2], [0, 1], [True, True], item_ids=[1, 2, 3, 4])
    found = spectrum(StreamedMatrix(base), 2)
    np.testing.assert_array_equal(found.values, [0, 0])
    np.testing.assert_array_equal(found.bounds, [0, 0])
    assert np.isfinite(found.left).all()


def test_the_same_from_files_as_from_generating(tmp_path: Path) -> None:
    expansion = expanded()
    dataset = fr.write(expansion, tmp_path / "out", parts=5, parquet=ParquetOptions("fast", "zstd", 1_000))
    one, other = (spectrum(StreamedMatrix(source, threads=2), 12, tolerance=EXACT) for source in (expansion, dataset))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)
    np.testing.assert_allclose(np.abs(np.sum(one.right * other.right, axis=0)), 1, rtol=1e-6)


def test_the_same_again() -> None:
    rows = StreamedMatrix(expanded(), threads=2)
    one, other = (spectrum(rows, 12) for _ in range(2))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)
    np.testing.assert_allclose(one.right, other.right, atol=1e-6)
    np.testing.assert_allclose(one.values, spectrum(StreamedMatrix(expanded(), threads=1), 12).values, rtol=1e-9)


@pytest.mark.parametrize("count", [0, -1, 61, 10_000])
def test_more_values_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=rf"{count} singular values of a matrix of 80 users × 60 items"):
        spectrum(StreamedMatrix(tall_base()), count)


def test_too_little_memory_is_refused_with_what_is_needed() -> None:
    # 300 items × (10 values + twice 16 vectors) of float32.
    needed = 300 * 42 * 4
    rows = StreamedMatrix(expanded())
    with pytest.raises(InputError, match=r"10 singular values need 50.4 kB of memory, allowed are 50.4 kB") as caught:
        spectrum(rows, 10, memory=needed - 1)
    assert caught.value.hint == "ask for fewer"
    found = spectrum(rows, 10, memory=needed)
    # So small a basis finds values that have not settled: each is near one of A, perhaps not the one of its number.
    true = np.linalg.svd(dense(expanded()), compute_uv=False)
    assert (np.abs(found.values[:, None] - true).min(axis=1) <= found.bounds).all()
    # Where all of the matrix fits, that is enough.
    spectrum(StreamedMatrix(tall_base()), 60, memory=60 * 60 * 4)


@pytest.mark.parametrize("size", [300, 200])
def test_single_precision_where_double_does_not_fit(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, kinds = StreamedMatrix(expanded()), set()
    gram = rows.gram

    def noted(x: Any, what: str) -> Any:
        kinds.add(x.dtype)
        return gram(x, what)

    monkeypatch.setattr(rows, "gram", noted)
    found = spectrum(rows, 16, tolerance=1e-5, memory=300 * size * 4)
    assert kinds == {np.dtype(np.float32)}
    u, s, vt = np.linalg.svd(dense(expanded()), full_matrices=False)
    np.testing.assert_allclose(found.values, s[:16], rtol=1e-4)
    assert (np.abs(found.values - s[:16]) <= found.bounds).all()
    assert found.right.dtype == found.left.dtype == np.float64
    assert abs(found.right[:, 0] @ vt[0]) == pytest.approx(1, abs=1e-4)
    assert abs(found.left[:, 0] @ u[:, 0]) == pytest.approx(1, abs=1e-4)


# --- theory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7, 9), (12, 5)])
@pytest.mark.parametrize("count", [1, 10, 15])
def test_kronecker_equals_the_dense_product(shape: tuple[int, int], count: int) -> None:
    real: Floats = np.random.default_rng(1).random(shape)
    expected = np.linalg.svd(np.kron(RATES, real), compute_uv=False)
    found = kronecker(RATES, np.linalg.svd(real)[1], count)
    np.testing.assert_allclose(found, expected[:count], rtol=1e-10, atol=1e-13)


def noises(base: Base) -> tuple[Floats, Floats, Floats]:
    """All singular values of a base, and the noise terms of its users and items."""
    u, s, vt = np.linalg.svd(base.train.toarray(), full_matrices=False)
    return s, np.square(u).T @ base.user_degrees("train"), np.square(vt) @ base.item_degrees("train")


def test_without_dropout_the_prediction_is_the_product() -> None:
    s, of_users, of_items = noises(wide_base())
    kept = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    expansion = Expansion(wide_base(), kept, shuffle="none", min_keep=0, max_keep=1.0)
    found = predicted(kept, s, of_users, of_items, 40)
    np.testing.assert_allclose(found, kronecker(kept, s, 40), rtol=1e-12)
    np.testing.assert_allclose(found, spectrum(StreamedMatrix(expansion), 40, tolerance=EXACT).values, rtol=1e-8)


def test_no_more_is_predicted_than_there_are_pairs() -> None:
    s, of_users, of_items = noises(wide_base())
    found = predicted(RATES, s[:4], of_users[:4], of_items[:4], 100)
    assert found.shape == (12,)
    assert (np.diff(found) <= 0).all()


def test_the_prediction_meets_what_is_written_unshuffled_or_aligned() -> None:
    base = fr.leave_last_out(fr.sample_interactions(300, 420, 30_000))
    reduced = fr.reduce(base, (4, 8))
    unshuffled = Expansion(base, reduced, shuffle="none", max_keep=0.95, seed=3)
    values = spectrum(StreamedMatrix(unshuffled), 64).values
    real = noises(base)
    prediction = predicted(unshuffled.keep_rates, *real, 64)
    product = kronecker(unshuffled.keep_rates, real[0], 64)
    error, error_of_product = np.abs(prediction / values - 1), np.abs(product / values - 1)
    assert error[:16].max() < 0.03
    assert error.max() < 0.08
    assert error_of_product[:16].max() > 2 * error[:16].max()
    assert error_of_product.max() > 2 * error.max()
    assert np.median(error_of_product) > 2 * np.median(error)

    aligned = Expansion(base, reduced, shuffle="aligned", max_keep=0.95, seed=3)
    np.testing.assert_allclose(spectrum(StreamedMatrix(aligned), 16).values, values[:16], rtol=1e-3)
    # What a data set keeps of its base, 16 triples, is enough for the first 16.
    known = [array[:16] for array in real]
    np.testing.assert_allclose(predicted(aligned.keep_rates, known[0], known[1], known[2], 16), prediction[:16])


def test_of_independent_blocks_the_prediction_does_not_hold() -> None:
    base = tall_base()
    expansion = expanded(shuffle="block")
    values = spectrum(StreamedMatrix(expansion), 8).values
    assert np.abs(predicted(expansion.keep_rates, *noises(base), 8) / values - 1).max() > 0.2


@pytest.mark.parametrize("double", [True, False])
def test_the_same_values_on_any_number_of_threads(double: bool) -> None:
    # So little room that the basis is in float32.
    room = {} if double else {"memory": 300 * 299 * 8}
    expansion = Expansion(tall_base(), RATES, shuffle="cells")
    assert expansion.expected_interactions > 8 * expansion.shape[1]
    found = [spectrum(StreamedMatrix(expansion, threads=n, piece_interactions=200), 20, **room) for n in (1, 2, 3, 7)]
    for other in found[1:]:
        for name in ("values", "bounds", "right", "left"):
            np.testing.assert_array_equal(getattr(other, name), getattr(found[0], name))


def test_threads_of_a_validation_change_no_bit() -> None:
    """Passes take any number of threads; linear algebra has one, or its last bits would tell how many there were."""
    seen: set[int] = set()

    class Watched(Progress):
        @contextmanager
        def task(self, what: str, interactions: float, parts: int) -> Iterator[ProgressCallback]:
            seen.update(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
            with super().task(what, interactions, parts) as report:
                yield report

    expansion = Expansion(tall_base(), RATES, shuffle="cells")
    reports = [fr.validate(expansion, only="fidelity", threads=n, progress=Watched()) for n in (1, 3)]
    assert seen == {1}
    assert str(reports[0].metrics) == str(reports[1].metrics)
