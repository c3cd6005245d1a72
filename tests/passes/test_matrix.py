"""Passes over rows: the same numbers from a base, an expansion and its files, and everything that must not be."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import svds

import fractalrs as fr
from fractalrs.base import Base
from fractalrs.dataset import Dataset, ParquetOptions
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion
from fractalrs.passes import Degrees, StreamedMatrix
from fractalrs.passes.matrix import DENSITY_BINS
from fractalrs.words import SPLITS
from helpers.core import HALVES
from helpers.folders import small_base, small_expansion

Ids = npt.NDArray[np.int64]
Pairs = tuple[Ids, Ids]
Matrix = sp.csr_array[Any, tuple[int, int]]
Change = Callable[[Ids, Ids], Pairs]

PARTS = 7
USERS, ITEMS = 600, 750
"""Of `small_expansion`: 3 × 200 and 5 × 150."""


def pairs_of(source: Base | Expansion, split: str) -> Pairs:
    """Users and items of all interactions, in order."""
    if isinstance(source, Base):
        users = np.repeat(np.arange(source.shape[0]), np.diff(source.indptr))
        chosen = source.test_mask == (split == "test")
        return users[chosen], source.indices[chosen].astype(np.int64)
    table = source.table(0, source.shape[0], split)  # type: ignore[arg-type]
    return table["user_id"].to_numpy().astype(np.int64), table["item_id"].to_numpy().astype(np.int64)


def matrix_of(source: Base | Expansion, split: str = "train") -> Matrix:
    users, items = pairs_of(source, split)
    return sp.csr_array((np.ones(len(users)), (users, items)), shape=source.shape)


def bins_of(ids: Ids, size: int, count: int) -> tuple[Ids, int]:
    """Bin of each id, where `count` blocks of `size` ids have whole bins, and how many bins there are."""
    of_block = max(1, min(size, DENSITY_BINS // count))
    return ids // size * of_block + ids % size * of_block // size, count * of_block


def assert_degrees(degrees: Degrees, train: Pairs, test: Pairs, shape: tuple[int, int], block: tuple[int, int]) -> None:
    m, n = shape[0] // block[0], shape[1] // block[1]
    for split, (users, items) in (("train", train), ("test", test)):
        of_users, of_items = getattr(degrees, f"user_{split}"), getattr(degrees, f"item_{split}")
        assert of_users.dtype == of_items.dtype == np.uint32
        np.testing.assert_array_equal(of_users, np.bincount(users, minlength=shape[0]))
        np.testing.assert_array_equal(of_items, np.bincount(items, minlength=shape[1]))
        of_blocks = np.zeros((m, n), np.int64)
        np.add.at(of_blocks, (users // block[0], items // block[1]), 1)
        assert getattr(degrees, f"block_{split}").dtype == np.uint64
        np.testing.assert_array_equal(getattr(degrees, f"block_{split}"), of_blocks)
    users, items = train
    of_users = np.zeros(shape[1], np.int64)
    np.add.at(of_users, items, np.bincount(users, minlength=shape[0])[users])
    np.testing.assert_array_equal(degrees.item_user_degree, of_users)
    (user_bin, height), (item_bin, width) = bins_of(users, block[0], m), bins_of(items, block[1], n)
    density = np.zeros((height, width), np.int64)
    np.add.at(density, (user_bin, item_bin), 1)
    assert degrees.density.shape == density.shape
    assert int(degrees.density.sum()) == len(users)
    np.testing.assert_array_equal(degrees.density, density)
    assert set(degrees.violations) == {"out_of_range", "user_order", "item_order", "duplicates", "overlaps"}
    assert all((found.count, found.first) == (0, None) for found in degrees.violations.values())


def assert_source(
    source: Base | Expansion | Dataset, truth: Base | Expansion, threads: int = 2, **options: Any
) -> None:
    block = truth.shape if isinstance(truth, Base) else truth.base.shape
    degrees = StreamedMatrix(source, threads=threads, **options).degrees()
    assert_degrees(degrees, pairs_of(truth, "train"), pairs_of(truth, "test"), truth.shape, block)


# --- degrees ---------------------------------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {"shuffle": "none"},
    {"shuffle": "aligned", "order": "item"},
    {"shuffle": "cells"},
    {"shuffle": "block", "block_keep": 0.5},
    {"shuffle": "cells", "order": "item", "test_items": "one"},
    {"shuffle": "aligned", "drop_incomplete": True},
    {"shuffle": "block", "order": "item", "block_keep": 0.7, "test_items": "one", "drop_incomplete": True},
]
FORMATS = [
    ParquetOptions(),
    ParquetOptions("default", "none", 7),
    ParquetOptions("default", "zstd", 33),
    ParquetOptions("fast", "none", 1_000),
    ParquetOptions("fast", "zstd", 100_000),
]
"""Row groups smaller than users, and larger than parts."""


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_degrees_of_a_base(threads: int) -> None:
    assert_source(small_base(), small_base(), threads)


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_degrees_of_an_expansion_and_its_files(number: int, tmp_path: Path) -> None:
    expansion = small_expansion(**OPTIONS[number])
    assert_source(expansion, expansion, threads=1)
    parts = 1 + number * 2
    assert_source(fr.write(expansion, tmp_path / "out", parts=parts, parquet=FORMATS[number % 5]), expansion)
    # Many pieces, across row blocks and not the parts.
    assert_source(expansion, expansion, piece_interactions=900)


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_degrees_of_files_in_any_format(format: ParquetOptions, tmp_path: Path) -> None:
    expansion = small_expansion()
    for parts in (1, PARTS):
        dataset = fr.write(expansion, tmp_path / "out", parts=parts, parquet=format, overwrite=True)
        for threads in (1, 2):
            assert_source(dataset, expansion, threads)


@pytest.mark.parametrize(
    "format", [ParquetOptions(), ParquetOptions("fast", "none", 50_000), ParquetOptions("default", "none")], ids=str
)
def test_users_go_on_from_one_decoded_chunk_to_the_next(format: ParquetOptions, tmp_path: Path) -> None:
    expansion = Expansion(small_base(), np.ones((6, 8)), shuffle="cells", max_keep=1.0)
    assert len(pairs_of(expansion, "train")[0]) > 2 << 16
    dataset = fr.write(expansion, tmp_path / "out", parts=1, parquet=format)
    assert_source(dataset, expansion)


@pytest.mark.parametrize("row_group_size", [30_000, 1 << 20])
def test_a_user_may_be_longer_than_a_decoded_chunk(row_group_size: int, tmp_path: Path) -> None:
    base = Base.from_arrays([0, 0, 10_000, 10_003], [*range(10_000), 5, 6, 7], np.arange(10_003) % 9 == 0)
    expansion = Expansion(base, np.full((1, 9), 0.95), shuffle="aligned", max_keep=0.95)
    dataset = fr.write(expansion, tmp_path / "out", parts=2, parquet=ParquetOptions(row_group_size=row_group_size))
    assert np.bincount(pairs_of(expansion, "train")[0]).max() > 1 << 16
    for source in (dataset, expansion):
        assert_source(source, expansion)
        collected = StreamedMatrix(source).collect([0, 1, 2])
        np.testing.assert_array_equal(collected.indices, pairs_of(expansion, "train")[1])


def test_little_memory_means_fewer_threads() -> None:
    degrees = StreamedMatrix(small_expansion(), threads=2, memory=1).degrees()
    train, test = (pairs_of(small_expansion(), split) for split in HALVES)
    assert_degrees(degrees, train, test, (USERS, ITEMS), (200, 150))


def test_degrees_without_each_item(tmp_path: Path) -> None:
    expansion = small_expansion()
    rows = StreamedMatrix(fr.write(expansion, tmp_path / "out", parts=3))
    every, some = rows.degrees(), rows.degrees(each_item=False)
    for name in ("user_train", "user_test", "block_train", "block_test"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name))
    assert some.violations == every.violations
    assert [len(found) for found in (some.item_train, some.item_test, some.item_user_degree)] == [0, 0, 0]
    np.testing.assert_array_equal(some.density, some.block_train)


def test_integrity_needs_no_memory_for_items(tmp_path: Path) -> None:
    """Fifty million items would take 800 MB."""
    rng = np.random.default_rng(0)
    codes = np.sort(rng.choice(5_000, (200, 20)), axis=1) + np.arange(20)
    base = Base.from_arrays(np.arange(201) * 20, codes.ravel(), item_ids=np.arange(5_020))
    dataset = fr.write(Expansion(base, np.full((2, 10_000), 1e-3), shuffle="aligned", min_keep=0), tmp_path / "out")
    assert dataset.shape[1] > 50_000_000
    code = (
        "import sys; from fractalrs import validate; from fractalrs.tools.machine import peak_memory;"
        "before = peak_memory(); assert validate(sys.argv[1], only='integrity').holds; print(peak_memory() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, dataset.path], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100_000_000


def test_nothing_held_out_and_users_without_anything(tmp_path: Path) -> None:
    base = Base.from_arrays([0, 0, 3, 3, 5, 5], [0, 2, 3, 1, 3], item_ids=list("abcdef"))
    expansion = Expansion(base, [[0.9, 0.5], [0.2, 0.9]], shuffle="block")
    dataset = fr.write(expansion, tmp_path / "out", parts=10)
    assert not (tmp_path / "out/test").exists()
    for source in (expansion, dataset):
        assert_source(source, expansion)
        assert StreamedMatrix(source).collect([0, 1], "test").nnz == 0
    assert_source(base, base)


# --- products --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    return small_expansion()


@pytest.fixture(scope="module")
def written(expansion: Expansion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`expansion` in 7 parts; not to be changed."""
    path = tmp_path_factory.mktemp("rows") / "out"
    fr.write(expansion, path, parts=PARTS, parquet=ParquetOptions("default", "zstd", 500))
    return path


@pytest.fixture(scope="module", params=["base", "expansion", "files"])
def measured(request: pytest.FixtureRequest, expansion: Expansion, written: Path) -> tuple[Any, Base | Expansion]:
    """A source, and what is its truth."""
    if request.param == "base":
        return small_base(), small_base()
    return (expansion if request.param == "expansion" else fr.open_dataset(written)), expansion


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("width", [1, 3, 16])
def test_products(measured: Any, threads: int, dtype: Any, rtol: float, width: int) -> None:
    source, truth = measured
    rows, matrix = StreamedMatrix(source, threads=threads), matrix_of(truth)
    rng = np.random.default_rng(width)
    # Of positive numbers nothing cancels: the error is relative to every entry.
    x, y = (rng.random((size, width)).astype(dtype) + dtype(0.1) for size in (truth.shape[1], truth.shape[0]))
    for found, expected in (
        (rows.product(x), matrix @ x.astype(float)),
        (rows.transposed_product(y), matrix.T @ y.astype(float)),
        (rows.gram(x), matrix.T @ (matrix @ x.astype(float))),
    ):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Sources with so many interactions an item that they are added up in at least 8 groups."""
    rng = np.random.default_rng(0)
    codes = np.sort(np.argsort(rng.random((4_000, 60)), axis=1)[:, :20], axis=1)
    base = Base.from_arrays(np.arange(4_001) * 20, codes.ravel())
    expansion = Expansion(base, [[0.9, 0.1], [0.2, 0.7], [0.05, 0.9]], shuffle="cells")
    written = fr.write(expansion, tmp_path_factory.mktemp("dense") / "out", parts=11)
    return {"base": base, "expansion": expansion, "files": written}


@pytest.mark.parametrize("source", ["base", "expansion", "files"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_are_the_same_on_any_number_of_threads(dense: dict[str, Any], source: str, dtype: Any) -> None:
    of = dense[source]
    rng = np.random.default_rng(1)
    # Numbers of all sizes: their sum depends on the order to the last bits.
    x, y = (np.exp(rng.normal(0, 8, (size, 3))).astype(dtype) for size in (of.shape[1], of.shape[0]))
    x, y = x * rng.choice(np.array([-1, 1], dtype), x.shape), y * rng.choice(np.array([-1, 1], dtype), y.shape)
    found = []
    # Room for all sums, for three (two threads), and for one.
    for memory in (1 << 30, 3 * x.nbytes, 1):
        for threads in (1, 2, 3, 7):
            matrix = StreamedMatrix(of, threads=threads, piece_interactions=10_000, memory=memory)
            found.append((matrix.gram(x), matrix.product(x), matrix.transposed_product(y)))
    for others in found[1:]:
        for first, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(first, other)


def test_pieces_are_alike_in_interactions_on_any_number_of_threads(dense: dict[str, Any]) -> None:
    for name in ("base", "expansion"):
        source = dense[name]
        ranges = {tuple(StreamedMatrix(source, threads=n, piece_interactions=10_000).pieces) for n in (1, 2, 7)}
        (pieces,) = ranges
        assert [pieces[0][0], pieces[-1][1]] == [0, source.shape[0]]
        users = StreamedMatrix(source).degrees().user_train
        counts = [int(users[first:last].sum()) for first, last in pieces]
        assert max(counts) < 1.2 * min(counts)


def test_vectors_need_not_be_in_c_order(expansion: Expansion) -> None:
    rows, matrix = StreamedMatrix(expansion), matrix_of(expansion)
    x = np.random.default_rng(0).random((10, ITEMS)).T
    assert not x[:, ::3].flags.c_contiguous
    np.testing.assert_allclose(rows.product(x[:, ::3]), matrix @ x[:, ::3], rtol=1e-12)
    np.testing.assert_allclose(rows.gram(x), matrix.T @ (matrix @ x), rtol=1e-12)
    np.testing.assert_allclose(rows.product(x[::-1]), matrix @ x[::-1], rtol=1e-12)


def test_vectors_of_another_length_or_kind_are_refused(measured: Any) -> None:
    source, truth = measured
    rows, (users, items) = StreamedMatrix(source), truth.shape
    for multiply, needed in ((rows.product, items), (rows.gram, items), (rows.transposed_product, users)):
        for length in (0, needed - 1, needed + 1):
            with pytest.raises(ValueError, match=rf"{length} entries.* {needed}"):
                multiply(np.zeros((length, 2)))
        others: list[Any] = [np.zeros(needed), np.zeros((needed, 1, 1)), np.zeros((needed, 1), dtype=np.int64), "x"]
        for x in others:
            with pytest.raises(InputError, match=rf"must be float32 or float64 of shape \({needed}, width\)"):
                multiply(x)


def test_a_product_without_vectors_is_refused(measured: Any) -> None:
    source, truth = measured
    rows, (users, items) = StreamedMatrix(source), truth.shape
    for multiply, length in ((rows.product, items), (rows.transposed_product, users), (rows.gram, items)):
        with pytest.raises(ValueError, match="at least one vector"):
            multiply(np.zeros((length, 0)))


def test_the_linear_operator_serves_scipy(measured: Any) -> None:
    source, truth = measured
    operator, matrix = StreamedMatrix(source, threads=2).as_linear_operator(), matrix_of(truth)
    assert operator.shape == truth.shape
    rng = np.random.default_rng(0)
    for x in (rng.random(truth.shape[1]), rng.random((truth.shape[1], 3)), np.ones(truth.shape[1], np.int64)):
        np.testing.assert_allclose(operator @ x, matrix @ x, rtol=1e-12)
    for y in (rng.random(truth.shape[0]), rng.random((truth.shape[0], 3))):
        np.testing.assert_allclose(operator.T @ y, matrix.T @ y, rtol=1e-12)
    start = np.ones(min(truth.shape))
    expected = np.linalg.svd(matrix.toarray(), compute_uv=False)[:5]
    np.testing.assert_allclose(np.sort(svds(operator, k=5, v0=start)[1])[::-1], expected, rtol=1e-8)


# --- neighbours ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_cooccurrence(measured: Any, threads: int) -> None:
    source, truth = measured
    rows, matrix = StreamedMatrix(source, threads=threads), matrix_of(truth)
    for chosen in ([0], [7, 3, truth.shape[1] - 1], range(truth.shape[1])):
        found = rows.cooccurrence(np.array(chosen))
        assert found.dtype == np.uint32
        np.testing.assert_array_equal(found, (matrix.T @ matrix[:, list(chosen)]).toarray())


def test_cooccurrence_with_no_item_or_with_one_twice(expansion: Expansion) -> None:
    rows = StreamedMatrix(expansion)
    assert rows.cooccurrence([]).shape == (ITEMS, 0)
    with pytest.raises(InputError, match="each once"):
        rows.cooccurrence([3, 3])


def test_cooccurrence_with_items_that_are_not_there_is_refused(expansion: Expansion) -> None:
    for chosen in ([ITEMS], np.array([-1]), [0, 1 << 31]):
        with pytest.raises(InputError, match="chosen item"):
            StreamedMatrix(expansion).cooccurrence(chosen)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("least", [0, 5])
def test_nearest_items_are_those_of_all_cosines(measured: Any, threads: int, least: int) -> None:
    source, truth = measured
    rows, matrix = StreamedMatrix(source, threads=threads), matrix_of(truth).toarray()
    degrees, shared = matrix.sum(axis=0), matrix.T @ matrix
    chosen = np.array([2, 0, truth.shape[1] - 1])
    # But for the degree of the item itself.
    cosines = shared / np.sqrt(np.maximum(degrees, 1))
    cosines[:, degrees < least] = -1
    np.fill_diagonal(cosines, -1)
    for group in (None, 7, truth.shape[1]):
        found = rows.nearest_items(chosen, degrees, least=least, count=3, group=group)
        ids = found.ids.reshape(len(chosen), -1, 3)
        for place, item in enumerate(chosen):
            for number, first in enumerate(range(0, truth.shape[1], group or truth.shape[1])):
                among = cosines[item, first : first + (group or truth.shape[1])]
                order = np.argsort(-among, kind="stable")[:3]
                expected = np.where(among[order] >= 0, first + order, -1)
                np.testing.assert_array_equal(
                    ids[place, number], np.pad(expected, (0, 3 - len(order)), constant_values=-1)
                )
        np.testing.assert_array_equal(found.shared.ravel()[found.ids.ravel() < 0], 0)
        others = shared[chosen] - np.diag(degrees)[chosen]
        closed, every = (others * (others - 1)).sum(axis=1), (degrees[chosen] - 1) * others.sum(axis=1)
        np.testing.assert_array_equal(found.paths, np.column_stack((closed, every)))


def test_nearest_items_of_what_does_not_fit_are_refused(expansion: Expansion) -> None:
    rows, degrees = StreamedMatrix(expansion), np.ones(ITEMS)
    with pytest.raises(InputError, match="one for each of"):
        rows.nearest_items([0], degrees[1:], least=0, count=1)
    for asked in ({"least": -1, "count": 1}, {"least": 0, "count": 0}, {"least": 0, "count": 1, "group": 0}):
        with pytest.raises(InputError):
            rows.nearest_items([0], degrees, **asked)


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_that_are_kept_are_those_that_are_read(measured: Any, threads: int) -> None:
    """All passes twice: the first one of a matrix reads, the second one finds the rows in memory, or reads again."""
    source, truth = measured
    x, users = np.random.default_rng(0).random((truth.shape[1], 3)), np.arange(truth.shape[0])[::3]
    passes: list[Callable[[StreamedMatrix], Any]] = [
        lambda rows: rows.gram(x),
        lambda rows: rows.product(x),
        lambda rows: rows.collect(users, "test").indices,
        lambda rows: rows.cooccurrence([1, 4]),
        lambda rows: rows.nearest(users, rows.collect(users), 100)[1],
        lambda rows: rows.degrees().density,
    ]
    for work in passes:
        kept, again = StreamedMatrix(source, threads=threads), StreamedMatrix(source, threads=threads, rows_memory=0)
        first = work(again)
        for rows in (kept, kept, again):
            np.testing.assert_array_equal(work(rows), first)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("threads", [1, 2])
def test_collect_keeps_the_order_of_every_row(measured: Any, split: Any, threads: int) -> None:
    source, truth = measured
    users, items = pairs_of(truth, split)
    every = np.arange(truth.shape[0])
    for chosen in (every, every[1::7], every[[0, -1]], every[:0], every[5:9].tolist()):
        found = StreamedMatrix(source, threads=threads).collect(chosen, split)
        assert found.shape == (len(chosen), truth.shape[1])
        assert (found.data == 1).all()
        expected = [items[users == user] for user in chosen]
        np.testing.assert_array_equal(np.diff(found.indptr), [len(row) for row in expected])
        np.testing.assert_array_equal(found.indices, np.concatenate([*expected, items[:0]]))


def test_collect_finds_absent_users_empty(tmp_path: Path) -> None:
    expansion = small_expansion(drop_incomplete=True, keep_scale=0.2)
    absent = np.setdiff1d(np.arange(USERS), pairs_of(expansion, "train")[0])
    assert len(absent) > 10
    for source in (expansion, fr.write(expansion, tmp_path / "out", parts=3)):
        for split in SPLITS:
            assert StreamedMatrix(source).collect(absent, split).nnz == 0


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([5, 3], "must rise"),
        ([3, 3], "must rise"),
        ([0, USERS], f"must be from 0 to {USERS - 1}, not 0 to {USERS}"),
        ([-1], "must be from 0"),
        ([1.5], "whole numbers"),
        ([True], "whole numbers"),
        ([10**30], "whole numbers"),
        ([[3], [4, 5]], "whole numbers"),
        ([[3]], "whole numbers"),
        ("3", "whole numbers"),
        (None, "whole numbers"),
    ],
)
def test_users_that_are_none_or_do_not_rise_are_refused(expansion: Expansion, ids: Any, words: str) -> None:
    rows = StreamedMatrix(expansion)
    near = rows.collect([1])
    takers: list[Callable[[Any], Any]] = [rows.collect, lambda users: rows.nearest(users, near, 200)]
    if ids is not None:
        takers.append(lambda users: StreamedMatrix(expansion, users=users).degrees())
    for take in takers:
        with pytest.raises(InputError, match=f"users .*{words}"):
            take(ids)
    if "rise" not in words:
        with pytest.raises(InputError, match="chosen items must be"):
            rows.cooccurrence([ITEMS] if ids == [0, USERS] else ids)


def test_sources_and_sizes_that_are_none_are_refused(expansion: Expansion) -> None:
    for source in (None, 5, "out"):
        with pytest.raises(InputError, match="it must be a Base, an Expansion or a Dataset"):
            StreamedMatrix(source)  # type: ignore[arg-type]
    sizes: list[dict[str, Any]] = [{"piece_interactions": 0}, {"piece_interactions": "x"}, {"memory": -1}]
    for size in sizes:
        with pytest.raises(InputError, match=f"{next(iter(size))} must be a whole number"):
            StreamedMatrix(expansion, **size)
    with pytest.raises(InputError, match="rows is None; it must be a matrix"):
        StreamedMatrix(expansion).nearest([1], None, 200)  # type: ignore[arg-type]


def nearest_of(matrix: Matrix, chosen: Ids, group: int) -> tuple[Ids, npt.NDArray[np.float64]]:
    """The nearest users by comparing with all: of equal cosines, which are exact fractions, the first."""
    common = (matrix[chosen] @ matrix.T).toarray()
    length = np.diff(matrix.indptr)
    with np.errstate(invalid="ignore"):
        squares = np.nan_to_num(common * common / np.outer(length[chosen], length))
    squares[np.arange(len(chosen)), chosen] = 0
    starts = range(0, matrix.shape[0], group)
    users = np.stack([start + squares[:, start : start + group].argmax(axis=1) for start in starts], axis=1)
    best = np.take_along_axis(squares, users, axis=1)
    return np.where(best > 0, users, -1), np.sqrt(best)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("group", [200, 7, 1, 1_000])
def test_nearest_users(measured: Any, group: int, threads: int) -> None:
    source, truth = measured
    rows, chosen = StreamedMatrix(source, threads=threads), np.arange(truth.shape[0])[3::11]
    users, cosines = rows.nearest(chosen, rows.collect(chosen), group)
    expected_users, expected_cosines = nearest_of(matrix_of(truth), chosen, group)
    np.testing.assert_array_equal(users, expected_users)
    np.testing.assert_array_equal(cosines, expected_cosines)


@pytest.mark.parametrize("threads", [1, 2])
def test_of_equally_near_users_the_smallest_id_is_taken(threads: int) -> None:
    # Few items a user and no thinning: ties everywhere, and copies in every row block.
    base = fr.leave_last_out(fr.sample_interactions(40, 30, 160), split="none")
    expansion = Expansion(base, np.ones((3, 2)), shuffle="none", max_keep=1.0)
    rows = StreamedMatrix(expansion, threads=threads, piece_interactions=100)
    chosen = np.arange(expansion.shape[0])
    for group in (base.shape[0], expansion.shape[0]):
        users, cosines = rows.nearest(chosen, rows.collect(chosen), group)
        expected_users, expected_cosines = nearest_of(matrix_of(expansion), chosen, group)
        np.testing.assert_array_equal(users, expected_users)
        np.testing.assert_array_equal(cosines, expected_cosines)
    assert (cosines == 1).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_nearest_users_of_more_than_are_counted_together(threads: int) -> None:
    base = fr.leave_last_out(fr.sample_interactions(1_300, 200, 36_000), split="none")
    matrix, chosen = matrix_of(base), np.arange(0, 1_300)[:1_150]
    lengths = np.diff(matrix.indptr)
    # Short rows are counted by lists, and others by bits.
    assert (lengths <= 32).sum() > 100 < (lengths > 32).sum()
    rows = StreamedMatrix(base, threads=threads, piece_interactions=5_000)
    users, cosines = rows.nearest(chosen, rows.collect(chosen), 500)
    expected_users, expected_cosines = nearest_of(matrix, chosen, 500)
    np.testing.assert_array_equal(users, expected_users)
    np.testing.assert_array_equal(cosines, expected_cosines)


def test_who_shares_nothing_is_near_nobody() -> None:
    base = Base.from_arrays([0, 2, 4, 4, 5, 6], [0, 1, 1, 2, 4, 3], [False] * 5 + [True])
    rows = StreamedMatrix(base)
    users, cosines = rows.nearest(range(5), rows.collect(range(5)), 5)
    np.testing.assert_array_equal(users[:, 0], [1, 0, -1, -1, -1])
    np.testing.assert_array_equal(cosines[:, 0], [0.5, 0.5, 0, 0, 0])


def test_nearest_of_nobody(expansion: Expansion) -> None:
    users, cosines = StreamedMatrix(expansion).nearest([], StreamedMatrix(expansion).collect([]), 200)
    assert users.shape == cosines.shape == (0, 3)


@pytest.mark.parametrize(
    ("users", "of", "items", "group"),
    [([5], [5], ITEMS, 0), ([5, 6], [5], ITEMS, 200), ([5], [5, 6], ITEMS, 200), ([5], [5], ITEMS + 1, 200)],
    ids=["no group", "too few rows", "too many rows", "too many items"],
)
def test_nearest_refuses_what_does_not_fit(
    expansion: Expansion, users: list[int], of: list[int], items: int, group: int
) -> None:
    rows = sp.csr_array(np.ones((len(of), items)))
    with pytest.raises(InputError):
        StreamedMatrix(expansion).nearest(users, rows, group)


# --- what must not be ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written_by_item(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "out"
    fr.write(small_expansion(order="item"), path, parts=PARTS)
    return path


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    """A copy of the data set, ordered by block, that a test may damage."""
    shutil.copytree(written, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def out_by_item(written_by_item: Path, tmp_path: Path) -> Path:
    """The same, ordered by item."""
    shutil.copytree(written_by_item, tmp_path / "out")
    return tmp_path / "out"


def part_file(out: Path, part: int, split: str = "train") -> Path:
    return out / split / f"part-{part:05d}-of-{PARTS:05d}.parquet"


def read_part(out: Path, part: int, split: str = "train") -> Pairs:
    table = pq.read_table(part_file(out, part, split))
    return table["user_id"].to_numpy().astype(np.int64), table["item_id"].to_numpy().astype(np.int64)


def rewrite(out: Path, part: int, change: Change, split: str = "train", id_type: pa.DataType | None = None) -> None:
    """Write a part again, with its interactions changed."""
    pairs = change(*read_part(out, part, split))
    fields = [pa.field(name, id_type or pa.int32(), nullable=False) for name in ("user_id", "item_id")]
    arrays = [pa.array(ids, field.type) for ids, field in zip(pairs, fields, strict=True)]
    file = part_file(out, part, split)
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), file, row_group_size=700)


def violations(out: Path, threads: int = 2) -> dict[str, tuple[int, tuple[int, int] | None]]:
    found = StreamedMatrix(fr.open_dataset(out), threads=threads).degrees().violations
    return {name: (found[name].count, found[name].first) for name in found if found[name].count}


def place(out: Path, part: int, at: int, split: str = "train") -> tuple[int, int]:
    """User and item of an interaction."""
    users, items = read_part(out, part, split)
    return int(users[at]), int(items[at])


def run_of(users: Ids, number: int) -> slice:
    """Where the interactions of the `number`-th user of a part are."""
    user = np.unique(users)[number]
    return slice(int(np.searchsorted(users, user)), int(np.searchsorted(users, user, side="right")))


def steps_of(out: Path, part: int, inside: bool) -> list[int]:
    """Places whose successor is of the same user, and in the same column block or in another one."""
    users, items = read_part(out, part)
    same_block = items[1:] // 150 == items[:-1] // 150
    return [int(at) for at in np.flatnonzero((users[1:] == users[:-1]) & (same_block == inside))]


def swapped(at: int) -> Change:
    def change(users: Ids, items: Ids) -> Pairs:
        items[[at, at + 1]] = items[[at + 1, at]]
        return users, items

    return change


def passes(dataset: Dataset, threads: int = 2) -> list[Callable[[], Any]]:
    """One of every kind of pass, sums first."""
    rows = StreamedMatrix(dataset, threads=threads)
    users, items = dataset.shape
    return [
        rows.degrees,
        lambda: rows.gram(np.ones((items, 2))),
        lambda: rows.product(np.ones((items, 2))),
        lambda: rows.transposed_product(np.ones((users, 2))),
        lambda: rows.cooccurrence([0]),
        lambda: rows.collect(range(users)),
        lambda: rows.nearest([0], sp.csr_array(np.ones((1, items))), 10),
    ]


@pytest.mark.parametrize("id_type", [pa.int32(), pa.int64()])
def test_files_written_by_others_are_read(out: Path, expansion: Expansion, id_type: pa.DataType) -> None:
    for part in range(PARTS):
        for split in ("train", "test"):
            rewrite(out, part, lambda users, items: (users, items), split, id_type)
    assert_source(fr.open_dataset(out), expansion)


def test_duplicated_rows(out: Path) -> None:
    rng = np.random.default_rng(0)
    places, count = [], 0
    for part, split, share in ((4, "train", 0.001), (2, "train", 0.01), (5, "test", 0.1)):
        length = len(read_part(out, part, split)[0])
        twice = np.sort(rng.choice(length, max(1, int(length * share)), replace=False))
        places += [place(out, part, int(at), split) for at in twice]
        count += len(twice)
        rewrite(
            out,
            part,
            lambda users, items, twice=twice: (
                np.insert(users, twice, users[twice]),  # type: ignore[misc]
                np.insert(items, twice, items[twice]),
            ),
            split,
        )
    for threads in (1, 2):
        assert violations(out, threads) == {"duplicates": (count, min(places))}


def test_a_row_three_times(out: Path) -> None:
    rewrite(out, 3, lambda users, items: (np.insert(users, 8, [users[8]] * 2), np.insert(items, 8, [items[8]] * 2)))
    assert violations(out) == {"duplicates": (2, place(out, 3, 8))}


def test_a_row_that_comes_again_later_in_its_user(out_by_item: Path) -> None:
    users, items = read_part(out_by_item, 3)
    run = run_of(users, 4)
    user, item = int(users[run.start]), int(items[run.start])
    rewrite(out_by_item, 3, lambda users, items: (np.insert(users, run.stop, user), np.insert(items, run.stop, item)))
    assert violations(out_by_item) == {"duplicates": (1, (user, item)), "item_order": (1, (user, item))}


@pytest.mark.parametrize("number", [0, 10, -2])
def test_users_out_of_order(out: Path, number: int) -> None:
    users, items = read_part(out, 2)
    first, second = run_of(users, number), run_of(users, number + 1 if number != -2 else -1)
    order = np.r_[: first.start, second, first, second.stop : len(users)]
    expected = (int(users[first.start]), int(items[first.start]))
    rewrite(out, 2, lambda users, items: (users[order], items[order]))
    assert violations(out) == {"user_order": (1, expected)}


def test_a_user_in_two_places(out: Path) -> None:
    users, items = read_part(out, 6)
    run = run_of(users, 3)
    late = np.r_[: run.start + 1, run.stop : len(users), run.start + 1 : run.stop]
    expected = (int(users[run.start]), int(items[run.start + 1]))
    rewrite(out, 6, lambda users, items: (users[late], items[late]))
    assert violations(out) == {"user_order": (1, expected)}


@pytest.mark.parametrize("by_item", [False, True])
def test_items_out_of_order_across_blocks(out: Path, written_by_item: Path, tmp_path: Path, by_item: bool) -> None:
    if by_item:
        out = Path(shutil.copytree(written_by_item, tmp_path / "by item"))
    steps = [(5, steps_of(out, 5, inside=False)[3]), (3, steps_of(out, 3, inside=False)[40])]
    for part, at in steps:
        rewrite(out, part, swapped(at))
    part, at = steps[1]
    assert violations(out) == {"item_order": (2, place(out, part, at + 1))}


def test_items_out_of_order_inside_a_block(out_by_item: Path, written: Path) -> None:
    steps = steps_of(out_by_item, 1, inside=True)[100:200:50]
    for at in steps:
        rewrite(out_by_item, 1, swapped(at))
    assert violations(out_by_item) == {"item_order": (2, place(out_by_item, 1, steps[0] + 1))}
    # Where only blocks are promised to be in order, any order inside them will do.
    users, items = read_part(written, 1)
    assert ((users[1:] == users[:-1]) & (items[1:] < items[:-1])).any()
    assert violations(written) == {}


@pytest.mark.parametrize("split", ["train", "test"])
def test_item_ids_out_of_range(out_by_item: Path, split: str) -> None:
    users, items = read_part(out_by_item, 4, split)
    low, high = run_of(users, 2), run_of(users, 9)
    changed = items.copy()
    changed[low.start], changed[high.stop - 1] = -1, ITEMS
    rewrite(out_by_item, 4, lambda users, _: (users, changed), split)
    assert violations(out_by_item) == {"out_of_range": (2, (int(users[low.start]), -1))}
    sums = StreamedMatrix(fr.open_dataset(out_by_item)).degrees()
    assert getattr(sums, f"item_{split}").sum() == fr.open_dataset(out_by_item).totals[split] - 2
    changed[high.stop - 1] = 1 << 62
    rewrite(out_by_item, 4, lambda users, _: (users, changed), split, pa.int64())
    assert violations(out_by_item)["out_of_range"][0] == 2


def test_item_ids_off_by_one(out: Path) -> None:
    at_the_end = 0
    for part in range(PARTS):
        at_the_end += int((read_part(out, part)[1] == ITEMS - 1).sum())
        rewrite(out, part, lambda users, items: (users, items + 1))
    found = violations(out)
    assert found["out_of_range"][0] == at_the_end > 0


@pytest.mark.parametrize(
    ("part", "user"), [(2, 257), (2, 170), (2, USERS), (6, USERS), (2, -1), (2, -(1 << 31)), (0, 1 << 40)]
)
def test_users_of_another_part_or_of_none(out: Path, part: int, user: int) -> None:
    users, items = read_part(out, part)
    belongs_first = 0 <= user < users[0]
    run = run_of(users, 0 if belongs_first else -1)
    changed = users.copy()
    changed[run] = user
    rewrite(out, part, lambda _, items: (changed, items), id_type=pa.int64())
    expected = {"out_of_range": (run.stop - run.start, (user, int(items[run].min())))}
    assert violations(out) == expected
    assert StreamedMatrix(fr.open_dataset(out)).degrees().user_train.sum() == fr.open_dataset(out).totals["train"] - (
        run.stop - run.start
    )


def test_a_negative_user_first(out: Path) -> None:
    users, _ = read_part(out, 2)
    run = run_of(users, 0)
    changed = users.copy()
    changed[run] = -1
    rewrite(out, 2, lambda _, items: (changed, items))
    assert violations(out)["out_of_range"][0] == run.stop - run.start


def test_a_test_interaction_in_train(out_by_item: Path) -> None:
    leaked = [(2, 5), (2, 0), (5, -1)]
    places = [place(out_by_item, part, at, "test") for part, at in leaked]
    for (part, _), (user, item) in zip(leaked, places, strict=True):

        def change(users: Ids, items: Ids, user: int = user, item: int = item) -> Pairs:
            order = np.lexsort((np.append(items, item), np.append(users, user)))
            return np.append(users, user)[order], np.append(items, item)[order]

        rewrite(out_by_item, part, change)
    assert violations(out_by_item) == {"overlaps": (3, min(places))}


def test_a_part_of_train_in_the_place_of_test(out: Path) -> None:
    shutil.copy(part_file(out, 3), part_file(out, 3, "test"))
    users, items = read_part(out, 3)
    first = items[users == users[0]].min()
    assert violations(out) == {"overlaps": (len(users), (int(users[0]), int(first)))}


@pytest.mark.parametrize(("user", "item"), [(None, ITEMS), (None, -1), (USERS, None), (-1, None)])
def test_passes_refuse_ids_out_of_range(out: Path, user: int | None, item: int | None) -> None:
    users, items = read_part(out, 2)
    users[-1] = users[-1] if user is None else user
    items[-1] = items[-1] if item is None else item
    rewrite(out, 2, lambda *_: (users, items))
    _, *others, collect, nearest = passes(fr.open_dataset(out))
    # Who is not asked for may be anybody.
    for one in [*others, nearest, *([collect] if user is None else [])]:
        with pytest.raises(InputError, match=rf"user {users[-1]} has an id out of range"):
            one()


def test_collecting_test_rows_refuses_ids_out_of_range(out: Path) -> None:
    users, items = read_part(out, 2, "test")
    items[5] = ITEMS
    rewrite(out, 2, lambda *_: (users, items), "test")
    rows = StreamedMatrix(fr.open_dataset(out))
    with pytest.raises(InputError, match=rf"user {users[5]} has an id out of range"):
        rows.collect([users[5]], "test")


def test_a_product_refuses_users_of_another_part(out: Path) -> None:
    users, items = read_part(out, 2)
    users[-1] = stranger = fr.open_dataset(out).parts[2].last
    rewrite(out, 2, lambda *_: (users, items))
    with pytest.raises(InputError, match=f"user {stranger} is in a part of other users"):
        StreamedMatrix(fr.open_dataset(out)).product(np.ones((ITEMS, 1)))


# --- damaged files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("damage", ["missing", "folder", "empty", "text", "tail 1", "tail 9", "tail 300", "half"])
def test_a_file_that_is_no_parquet_is_named(out: Path, split: str, damage: str) -> None:
    file = part_file(out, 4, split)
    content = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        left = {"empty": 0, "text": 0, "half": len(content) // 2}.get(damage, len(content))
        file.write_bytes(content[: left - int(damage.partition("tail ")[2] or 0)])
        if damage == "text":
            file.write_bytes(b"user_id,item_id\n1,2\n" * 100)
    for one in passes(fr.open_dataset(out)):
        with pytest.raises(InputError, match=re.escape(str(file))):
            one()
    if damage == "folder":
        file.rmdir()
    file.write_bytes(content)
    for one in passes(fr.open_dataset(out)):
        one()


def other_tables(users: Ids, items: Ids) -> dict[str, pa.Table]:
    ids = pa.schema([pa.field("user_id", pa.int32(), nullable=False), pa.field("item_id", pa.int32(), nullable=False)])
    table = pa.Table.from_arrays([pa.array(users, pa.int32()), pa.array(items, pa.int32())], schema=ids)
    nullable = pa.schema([field.with_nullable(True) for field in ids])
    holes = pa.array(items, pa.int32(), mask=np.arange(len(items)) % 5 == 3)
    return {
        "renamed": table.rename_columns(["user", "item"]),
        "exchanged": table.select(["item_id", "user_id"]),
        "one column": table.select(["user_id"]),
        "no column": pa.table({}),
        "nullable": table.cast(nullable),
        "holes": table.cast(nullable).set_column(1, "item_id", holes),
        "lists": pa.table({"user_id": pa.array(users), "item_id": pa.array([[item] for item in items])}),
        "numbers": pa.table(
            [pa.array(users, pa.float64()), pa.array(items, pa.float64())],
            schema=pa.schema([pa.field(name, pa.float64(), nullable=False) for name in ids.names]),
        ),
        "text": pa.table(
            [pa.array(map(str, users.tolist())), pa.array(map(str, items.tolist()))],
            schema=pa.schema([pa.field(name, pa.string(), nullable=False) for name in ids.names]),
        ),
    }


@pytest.mark.parametrize("other", list(other_tables(np.arange(1), np.arange(1))))
def test_a_parquet_file_with_other_columns_is_named(out: Path, other: str) -> None:
    file = part_file(out, 1)
    pq.write_table(other_tables(*read_part(out, 1))[other], file)
    for one in passes(fr.open_dataset(out)):
        with pytest.raises(InputError, match=re.escape(str(file))):
            one()


def test_more_columns_do_no_harm(out: Path, expansion: Expansion) -> None:
    for part in range(PARTS):
        table = pq.read_table(part_file(out, part))
        pq.write_table(table.append_column("rating", pa.array(np.ones(len(table)))), part_file(out, part))
    assert_source(fr.open_dataset(out), expansion)


def page_starts(file: Path) -> list[list[int]]:
    """Offset of the first page of every column, row group by row group; last, where there are no pages any more."""
    metadata = pq.ParquetFile(file).metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    starts = [[group.column(number).data_page_offset for number in range(2)] for group in groups]
    last = groups[-1].column(1)
    return [*starts, [last.data_page_offset + last.total_compressed_size]]


def flipped(content: bytes, at: int, bits: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= bits
    return bytes(changed)


@pytest.fixture(scope="module", params=["default zstd", "fast lz4"])
def little(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set of one part in two row groups, and its train file, to be damaged byte by byte."""
    encoding, compression = request.param.split()
    base = fr.leave_last_out(fr.sample_interactions(30, 20, 200))
    out = tmp_path_factory.mktemp("little") / "out"
    expansion = Expansion(base, np.full((2, 2), 0.9), shuffle="block")
    fr.write(expansion, out, parts=1, parquet=ParquetOptions(encoding, compression, 300))
    return out, out / "train/part-00000-of-00001.parquet"


def test_a_flipped_bit_is_an_error_of_that_file_or_other_data(little: tuple[Path, Path]) -> None:
    """Never a panic, a crash or a hang; files have no checksums of their own, so that some bits only change ids."""
    out, file = little
    content, starts = file.read_bytes(), page_starts(file)
    firsts, end = [columns[0] for columns in starts], starts[-1][0]
    # Page headers of the last row group, pages, and the footer.
    chosen = [(start + at, 1 << bit) for start in starts[-2] for at in range(20) for bit in range(8)]
    chosen += [(at, 0xFF) for at in range(0, end, 17)]
    chosen += [(at, 1 << at % 8) for at in range(end, len(content))]
    rows, refused, wrong = StreamedMatrix(fr.open_dataset(out), threads=1, rows_memory=0), 0, []
    try:
        for at, bits in chosen:
            file.write_bytes(flipped(content, at, bits))
            try:
                rows.degrees()
            except InputError as error:
                refused += 1
                group = f", row group {sum(first <= at for first in firsts) - 1}: " if 4 <= at < end else ""
                if f"cannot read {file}{group}" not in str(error):
                    wrong.append(f"bits {bits:#x} of byte {at}: {error}")
            except Exception as error:
                wrong.append(f"bits {bits:#x} of byte {at} of {len(content)}: {error!r}")
    finally:
        file.write_bytes(content)
    assert refused > len(chosen) // 10
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("group", [0, 1])
def test_a_damaged_page_is_named_with_its_row_group(little: tuple[Path, Path], group: int) -> None:
    out, file = little
    content, starts = file.read_bytes(), page_starts(file)
    try:
        for at in starts[group]:
            # Zeros are no page header.
            file.write_bytes(content[:at] + bytes(20) + content[at + 20 :])
            for one in passes(fr.open_dataset(out)):
                with pytest.raises(InputError, match=rf"{re.escape(str(file))}, row group {group}: "):
                    one()
    finally:
        file.write_bytes(content)


def test_items_are_numbered_by_their_own_expansion_alone(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    one, other = (Expansion(base, fr.reduce(base, (2, 3)), seed=seed, id_order="scrambled") for seed in (1, 2))
    dataset = fr.write(one, tmp_path / "out")
    assert StreamedMatrix(dataset, numbered_by=one).knows_blocks
    for wrong in (other, base):
        with pytest.raises(InputError, match="numbered_by"):
            StreamedMatrix(dataset, numbered_by=wrong)  # type: ignore[arg-type]


def test_what_cannot_be_checked_of_scrambled_items_is_said(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions(60, 40, 600))
    expansion = Expansion(base, fr.reduce(base, (2, 3)), id_order="scrambled")
    dataset = fr.write(expansion, tmp_path / "out")
    alone, with_source = (fr.validate(dataset, given, only="integrity") for given in (None, base))
    told = [next(c for c in report.checks if c.name == "rows are in order") for report in (alone, with_source)]
    assert "needs --source" in told[0].detail
    assert told[1].detail == "everywhere"
