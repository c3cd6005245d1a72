import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp

from fractalrs.base import Base, canonical, leave_last_out
from fractalrs.errors import InputError
from fractalrs.expansion import ReducedMatrix, group_cells, reduce
from fractalrs.expansion.reduction import local_means
from fractalrs.reading import sample_interactions
from fractalrs.words import OrderBy

Floats = npt.NDArray[np.float64]


def make_base(dense: npt.NDArray[np.bool_], test_mask: npt.NDArray[np.bool_] | None = None) -> Base:
    matrix = sp.csr_array(dense)
    return Base.from_arrays(matrix.indptr, matrix.indices, test_mask, item_ids=np.arange(dense.shape[1]))


def random_dense(p: int = 120, q: int = 90, seed: int = 0) -> npt.NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    dense = rng.random((p, q)) < np.outer(rng.random(p), rng.random(q) ** 2)
    dense[np.arange(p), rng.integers(0, q, p)] = True
    return dense


@pytest.fixture(scope="module")
def base() -> Base:
    return make_base(random_dense())


def local_mean(vectors: Floats, length: int) -> Floats:
    """Average over equal stretches of a piecewise constant function, by its integral."""
    edges = np.arange(length + 1) * len(vectors) / length
    integral = np.concatenate((np.zeros((1, vectors.shape[1])), np.cumsum(vectors, axis=0)))
    at = np.stack([np.interp(edges, np.arange(len(vectors) + 1), column) for column in integral.T], axis=1)
    return np.diff(at, axis=0) * length / len(vectors)


def algorithm_3(train: Floats, m: int, n: int, users: Any = slice(None), items: Any = slice(None)) -> Floats:
    """R̂temp as the paper writes it, on a dense matrix; the polar factor by an eigendecomposition of ŪᵀŪ."""
    k = min(m, n)
    u, s, vt = np.linalg.svd(train, full_matrices=False)
    factors = []
    for vectors, length in ((u[users, :k], m), (vt.T[items, :k], n)):
        averaged = local_mean(vectors, length)
        values, basis = np.linalg.eigh(averaged.T @ averaged)
        factors.append(averaged @ (basis / np.sqrt(values)) @ basis.T)
    expected: Floats = (factors[0] * s[:k]) @ factors[1].T
    return expected


def same_up_to_pair_signs(one: Floats, two: Floats) -> None:
    # The sign of a pair (uᵢ, vᵢ) cancels in the product, so nothing is left to choose.
    np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(8, 12), (12, 8), (7, 7), (1, 9), (9, 1)])
def test_is_algorithm_3(base: Base, shape: tuple[int, int]) -> None:
    reduced = reduce(base, shape)
    expected = algorithm_3(base.train.toarray(), *shape)
    same_up_to_pair_signs(reduced.signed, expected / (expected.max() - expected.min()))
    same_up_to_pair_signs(reduced.values, np.abs(expected) / np.abs(expected).max())


@pytest.mark.parametrize("shape", [(8, 12), (12, 8), (16, 32), (120, 5), (1, 9), (9, 1), (1, 1)])
def test_keeps_the_leading_spectrum(base: Base, shape: tuple[int, int]) -> None:
    reduced = reduce(base, shape)
    k = min(shape)
    expected = np.linalg.svd(base.train.toarray(), compute_uv=False)[:k]
    np.testing.assert_allclose(reduced.singular_values, expected, rtol=1e-10)
    spectrum = np.linalg.svd(reduced.signed, compute_uv=False)
    np.testing.assert_allclose(spectrum / spectrum[0], expected / expected[0], rtol=1e-10)


@pytest.mark.parametrize("shape", [(8, 12), (1, 9), (9, 1), (1, 1)])
def test_values_are_keep_rates(base: Base, shape: tuple[int, int]) -> None:
    reduced = reduce(base, shape)
    assert reduced.shape == reduced.values.shape == reduced.signed.shape == shape
    assert reduced.values.min() >= 0
    assert reduced.values.max() == 1


def test_minmax(base: Base) -> None:
    reduced = reduce(base, (8, 12), rescale="minmax")
    assert reduced.values.min() == 0
    assert reduced.values.max() == 1
    np.testing.assert_array_equal(reduced.signed, reduce(base, (8, 12)).signed)
    np.testing.assert_allclose(reduced.values, reduced.signed - reduced.signed.min(), atol=1e-15)


def test_signed_spans_one(base: Base) -> None:
    signed = reduce(base, (8, 12)).signed
    assert signed.max() - signed.min() == pytest.approx(1, abs=1e-15)


def test_a_constant_matrix_has_no_range(base: Base) -> None:
    np.testing.assert_array_equal(reduce(base, (1, 1)).signed, [[1]])
    with pytest.raises(InputError, match="constant") as caught:
        reduce(base, (1, 1), rescale="minmax")
    assert "absolute" in str(caught.value)


def test_order_by_degree(base: Base) -> None:
    # The most active first; ties by content.
    train, known = base.train.toarray(), canonical(base)
    users = known.users[np.argsort(-train.sum(axis=1)[known.users], kind="stable")]
    items = known.items[np.argsort(-train.sum(axis=0)[known.items], kind="stable")]
    expected = algorithm_3(train, 8, 12, users, items)
    reduced = reduce(base, (8, 12), order_by="degree")
    same_up_to_pair_signs(reduced.signed, expected / (expected.max() - expected.min()))


def test_order_by_content_and_by_cells(base: Base) -> None:
    train, known, cells = base.train.toarray(), canonical(base), group_cells(base)
    orders = {"content": (known.users, known.items), "cells": (cells.user_order, cells.item_order)}
    for order_by, order in orders.items():
        expected = algorithm_3(train, 8, 12, *order)
        reduced = reduce(base, (8, 12), order_by=cast("Any", order_by))
        same_up_to_pair_signs(reduced.signed, expected / (expected.max() - expected.min()))


@pytest.mark.parametrize("order_by", get_args(OrderBy))
def test_test_interactions_have_no_influence(order_by: OrderBy) -> None:
    rng = np.random.default_rng(1)
    train = random_dense()
    results = []
    for _ in range(2):
        test = ~train & (rng.random(train.shape) < 0.2)
        base = make_base(train | test, test[train | test])
        assert base.test_count == test.sum()
        results.append(reduce(base, (8, 12), order_by=order_by))
    np.testing.assert_array_equal(results[0].values, results[1].values)
    np.testing.assert_array_equal(results[0].signed, results[1].signed)


def test_the_seed_is_only_a_start() -> None:
    big = make_base(random_dense(500, 400))
    one, same, other = (reduce(big, (6, 9), seed=seed) for seed in (0, 0, 3))
    np.testing.assert_array_equal(one.values, same.values)
    np.testing.assert_allclose(one.values, other.values, atol=1e-8)


def test_describes_itself_in_plain_json(base: Base) -> None:
    reduced = reduce(
        base, cast(Any, (np.int64(8), 12)), rescale="minmax", order_by="degree", seed=cast(Any, np.int64(4))
    )
    assert json.loads(json.dumps(reduced.description)) == {
        "method": "algorithm 3",
        "shape": [8, 12],
        "rescale": "minmax",
        "order_by": "degree",
        "variant": "paper",
        "seed": 4,
    }


@pytest.mark.parametrize(
    ("shape", "words", "advice"),
    [
        ((0, 4), "user multiplier 0 ", "from 1 to 120"),
        ((4, -1), "item multiplier -1 ", "from 1 to 90"),
        ((121, 4), "user multiplier 121 .* 120 users", "from 1 to 120"),
        ((4, 91), "item multiplier 91 .* 90 items", "from 1 to 90"),
        ((90, 90), "user multiplier 90 and item multiplier 90", "89 or less"),
        ((2.5, 4), "user multiplier 2.5 is not a whole number", None),
    ],
)
def test_multipliers_that_do_not_fit(base: Base, shape: tuple[int, int], words: str, advice: str | None) -> None:
    with pytest.raises(InputError, match=words) as caught:
        reduce(base, shape)
    assert advice is None or advice in str(caught.value)


def test_a_base_of_one_item() -> None:
    with pytest.raises(InputError, match="too large together") as caught:
        reduce(make_base(np.ones((5, 1), dtype=bool)), (1, 1))
    assert "at least 2 users and 2 items" in str(caught.value)


def test_unknown_options(base: Base) -> None:
    with pytest.raises(InputError, match="'linear'"):
        reduce(base, (2, 2), rescale=cast(Any, "linear"))
    with pytest.raises(InputError, match="seed -1"):
        reduce(base, (2, 2), seed=-1)


def test_a_train_part_of_low_rank() -> None:
    dense = np.zeros((40, 30), dtype=bool)
    dense[:20, :10] = dense[20:, 10:] = True
    assert reduce(make_base(dense), (2, 6)).shape == (2, 6)
    with pytest.raises(InputError, match="only 2 independent") as caught:
        reduce(make_base(dense), (3, 6))
    assert "2 or less" in str(caught.value)


def test_averages_that_lose_their_independence() -> None:
    # Even and odd users differ, and averaging over pairs of them hides it.
    dense = np.zeros((40, 30), dtype=bool)
    dense[::2, :10] = dense[1::2, 10:] = True
    with pytest.raises(InputError, match=r"users' singular vectors .* user multiplier 4") as caught:
        reduce(make_base(dense), (4, 2))
    assert "another order_by" in str(caught.value)
    assert reduce(make_base(dense), (4, 2), order_by="degree").shape == (4, 2)


def test_nothing_to_train_on() -> None:
    with pytest.raises(InputError, match="no interaction"):
        reduce(make_base(np.ones((4, 4), dtype=bool), np.ones(16, dtype=bool)), (2, 2))


def test_arrays_are_read_only(base: Base) -> None:
    reduced = reduce(base, (3, 4))
    for array in (reduced.values, reduced.signed, reduced.singular_values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.5


def test_a_matrix_of_your_own(tmp_path: Path) -> None:
    given = np.array([[0, 0.25, 1], [1, 0.5, 0.125]])
    np.save(tmp_path / "own.npy", given)
    for reduced in (ReducedMatrix.from_array(given.tolist()), ReducedMatrix.load(tmp_path / "own.npy")):
        np.testing.assert_array_equal(reduced.values, given)
        np.testing.assert_array_equal(reduced.signed, given)
        np.testing.assert_allclose(reduced.singular_values, np.linalg.svd(given, compute_uv=False))
        assert json.loads(json.dumps(reduced.description)) == {"method": "given", "shape": [2, 3]}
    given[0, 0] = 1
    assert reduced.values[0, 0] == 0


def test_a_reduced_matrix_can_be_saved_and_given_back(base: Base, tmp_path: Path) -> None:
    reduced = reduce(base, (3, 4))
    np.save(tmp_path / "reduced.npy", reduced.values)
    np.testing.assert_array_equal(ReducedMatrix.load(tmp_path / "reduced.npy").values, reduced.values)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.zeros(4), r"two-dimensional .* \(4,\)"),
        (np.zeros((0, 4)), r"\(0, 4\)"),
        (np.array([["a"]]), "numbers"),
        (np.array([[1j]]), "numbers"),
        (np.array([[0.5, np.nan]]), "nan in row 0, column 1"),
        (np.array([[0.5], [np.inf]]), "inf in row 1, column 0"),
        (np.array([[0.5], [-0.1]]), "-0.1 in row 1"),
        (np.array([[1.5]]), "1.5 in row 0"),
    ],
)
def test_a_matrix_that_is_no_reduced_matrix(bad: npt.NDArray[Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        ReducedMatrix.from_array(bad)
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(InputError, match=f"bad.npy.*{words}"):
        ReducedMatrix.load(tmp_path / "bad.npy")


def test_a_file_that_is_no_array(tmp_path: Path) -> None:
    path = tmp_path / "text.npy"
    path.write_text("0.5 0.5")
    with pytest.raises(InputError, match=r"text.npy is not"):
        ReducedMatrix.load(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"text.npy is not"):
        ReducedMatrix.load(path)
    np.save(tmp_path / "object.npy", np.array([[None]]), allow_pickle=True)
    with pytest.raises(InputError, match=r"object.npy is not"):
        ReducedMatrix.load(tmp_path / "object.npy")
    np.savez(tmp_path / "several.npz", a=np.eye(2), b=np.eye(2))
    with pytest.raises(InputError, match="several arrays"):
        ReducedMatrix.load(tmp_path / "several.npz")
    with pytest.raises(FileNotFoundError):
        ReducedMatrix.load(tmp_path / "missing.npy")


def test_arrays_stay_the_callers() -> None:
    values, singular = np.full((2, 3), 0.5), np.ones(2)
    reduced = ReducedMatrix(values, values, singular, {})
    values[0, 0] = singular[0] = 0.25
    assert reduced.values[0, 0] == reduced.signed[0, 0] == 0.5
    assert reduced.singular_values[0] == 1
    for array in (reduced.values, reduced.signed, reduced.singular_values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_reference_pairs_and_picks_as_it_was_published() -> None:
    base = leave_last_out(sample_interactions(90, 120, 2_000))
    u, s, vt = np.linalg.svd(base.train.toarray(), full_matrices=False)
    reduced = reduce(base, (5, 4), variant="reference")

    def picked(vectors: Any, length: int) -> Any:
        # Linear interpolation at the centres of `length` equal parts.
        at = (np.arange(length) + 0.5) * len(vectors) / length - 0.5
        below = np.floor(at).astype(int)
        part = (at - below)[:, None]
        left, _, right = np.linalg.svd((1 - part) * vectors[below] + part * vectors[below + 1], full_matrices=False)
        return left @ right

    # The largest value with the vectors of the fourth, and so on.
    expected = np.abs(picked(u[:, 3::-1], 5) * s[:4] @ picked(vt[3::-1].T, 4).T)
    assert np.allclose(reduced.values, expected / expected.max(), atol=1e-6)


def test_what_is_no_base_shape_or_matrix_is_refused(base: Base) -> None:
    wrong: list[tuple[str, Any]] = [
        ("base is .* must be a Base", lambda: reduce(cast("Any", sample_interactions(60, 40, 600)), (2, 2))),
        ("shape is 5; it must be two", lambda: reduce(base, cast("Any", 5))),
        (r"shape is \(2, 1, 1\); it must be two", lambda: reduce(base, cast("Any", (2, 1, 1)))),
        ("seed 'x' is not", lambda: reduce(base, (2, 2), seed=cast("Any", "x"))),
        (r"order_by is array\(", lambda: reduce(base, (2, 2), order_by=cast("Any", np.zeros(2)))),
        ("order_by is 'yes'", lambda: reduce(base, (2, 2), order_by=cast("Any", "yes"))),
        ("reduced matrix must be", lambda: ReducedMatrix.from_array(cast("Any", [[0.5], [0.5, 0.2]]))),
        ("path is 5", lambda: ReducedMatrix.load(cast("Any", 5))),
    ]
    for message, call in wrong:
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize(("count", "length"), [(1, 1), (7, 7), (10, 3), (1000, 7), (1000, 999), (257, 64)])
def test_means_of_many_blocks_are_those_of_the_library(count: int, length: int) -> None:
    from skimage.transform import resize_local_mean

    vectors = np.random.default_rng(0).normal(size=(count, 3))
    found: Any = cast("Any", resize_local_mean)
    expected = found(vectors, (length, 3), grid_mode=True, preserve_range=True, channel_axis=None)
    np.testing.assert_allclose(local_means(vectors, length), expected, rtol=1e-11, atol=1e-13)


def test_many_item_blocks_take_memory_in_proportion_to_the_items() -> None:
    code = """
import fractalrs as fr
from fractalrs.tools import peak_memory
base = fr.leave_last_out(fr.sample_interactions(400, 9000, 40_000))
before = peak_memory()
fr.reduce(base, (4, 8500), order_by="content")
print(peak_memory() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    # A matrix of all weights has 600 MB, and there were four.
    assert int(done.stdout) < 400e6
