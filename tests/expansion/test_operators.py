"""The other operators: Kronecker product, sketch, functions of blocks."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

import fractalrs as fr
from fractalrs.expansion import Matrix, Options
from fractalrs.expansion.operators import OPERATORS
from fractalrs.words import Split
from helpers.oracle import permutation, root, under

SKETCH = 10


@pytest.fixture(scope="module")
def base() -> fr.Base:
    return fr.leave_last_out(fr.sample_interactions(40, 60, 700), payload=["rating", "timestamp"])


@pytest.fixture(scope="module")
def reduced(base: fr.Base) -> fr.ReducedMatrix:
    return fr.reduce(base, (3, 4))


def dense(expansion: fr.Expansion, split: Split, values: str | None = None) -> npt.NDArray[np.float64]:
    table = expansion.table(0, expansion.shape[0], split)
    matrix = np.zeros(expansion.shape)
    assert len(set(zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))) == table.num_rows
    matrix[table["user_id"].to_numpy(), table["item_id"].to_numpy()] = 1 if values is None else table[values].to_numpy()
    return matrix


def rated(base: fr.Base, test: bool) -> npt.NDArray[np.float64]:
    matrix = np.zeros(base.shape)
    users = np.repeat(np.arange(base.shape[0]), np.diff(base.indptr))
    chosen = base.test_mask == test
    assert base.payload is not None
    matrix[users[chosen], base.indices[chosen]] = base.payload["rating"].to_numpy()[chosen]
    return matrix


@pytest.mark.parametrize("split", ["train", "test"])
def test_kronecker_is_the_kronecker_product_to_the_bit(base: fr.Base, reduced: fr.ReducedMatrix, split: Split) -> None:
    expansion = fr.Expansion(base, reduced, operator="kronecker", ratings="kronecker")
    assert np.array_equal(dense(expansion, split, "rating"), np.kron(reduced.signed, rated(base, split == "test")))


def test_kronecker_without_ratings_has_the_entries_of_the_reduced_matrix(
    base: fr.Base, reduced: fr.ReducedMatrix
) -> None:
    expansion = fr.Expansion(base, reduced, operator="kronecker")
    assert np.array_equal(dense(expansion, "train", "rating"), np.kron(reduced.signed, base.train.toarray()))
    assert expansion.expected_interactions == base.count * reduced.signed.size


def test_proposition_1_and_theorem_1_of_the_paper(base: fr.Base, reduced: fr.ReducedMatrix) -> None:
    product = dense(fr.Expansion(base, reduced, operator="kronecker", ratings="kronecker"), "train", "rating")
    real = rated(base, test=False)
    for axis in (0, 1):
        sums = np.outer(reduced.signed.sum(axis=axis), real.sum(axis=axis)).ravel()
        assert np.allclose(product.sum(axis=axis), sums, rtol=1e-12, atol=1e-12)
    singular = np.linalg.svd(product, compute_uv=False)
    expected = np.outer(np.linalg.svd(reduced.signed, compute_uv=False), np.linalg.svd(real, compute_uv=False)).ravel()
    expected = np.sort(expected)[::-1]
    assert np.allclose(singular[: len(expected)], expected, rtol=1e-10, atol=1e-10 * expected[0])


def test_kronecker_carries_times_and_columns(base: fr.Base, reduced: fr.ReducedMatrix) -> None:
    expansion = fr.Expansion(base, reduced, operator="kronecker", timestamps=True)
    assert expansion.schema.names == ["user_id", "item_id", "rating", "timestamp"]
    assert expansion.table(0, 40).num_rows == base.train_count * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle": "cells"}, "shuffle does not go with"),
        ({"keep_scale": 2.0}, "keep_scale does not go with"),
        ({"min_keep": 0.1}, "min_keep does not go with"),
        ({"max_keep": 0.5}, "max_keep does not go with"),
        ({"block_keep": 0.5}, "block_keep does not go with"),
        ({"ratings": "carry"}, "multiplies ratings"),
    ],
)
def test_kronecker_refuses_what_only_dropout_knows(
    base: fr.Base, reduced: fr.ReducedMatrix, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(fr.InputError, match=message):
        fr.Expansion(base, reduced, operator="kronecker", **options)


@pytest.mark.parametrize("options", [{"timestamps": True}, {"ratings": "carry"}, {"test_items": "one"}])
def test_a_sketch_refuses_what_it_cannot_carry(
    base: fr.Base, reduced: fr.ReducedMatrix, options: dict[str, Any]
) -> None:
    with pytest.raises(fr.InputError, match=next(iter(options))):
        fr.Expansion(base, reduced, operator="sketch", **options)


def test_an_unknown_operator_is_refused(base: fr.Base, reduced: fr.ReducedMatrix) -> None:
    with pytest.raises(fr.InputError, match="operator is 'krone'"):
        fr.Expansion(base, reduced, operator="krone")


@pytest.mark.parametrize("shape", [(40, 60, 700), (70, 80, 900)])
@pytest.mark.parametrize("multipliers", [(3, 4), (1, 7)])
def test_a_sketch_is_what_the_page_says(shape: tuple[int, int, int], multipliers: tuple[int, int]) -> None:
    base = fr.leave_last_out(fr.sample_interactions(*shape))
    (m, n), (p, q) = multipliers, base.shape
    expansion = fr.Expansion(base, np.full(multipliers, 0.5), operator="sketch", seed=5)
    train = base.train.toarray() > 0
    expected: dict[Split, Any] = {"train": np.zeros((m * p, n * q)), "test": np.zeros((m * p, n * q))}
    for row in range(p):
        for place in range(base.indptr[row], base.indptr[row + 1]):
            item = int(base.indices[place])
            side: Split = "test" if base.test_mask[place] else "train"
            key = under(root(5), SKETCH, row, item)
            rows, columns = (permutation(under(key, kind), of)[:count] for kind, of, count in ((0, p, m), (1, q, n)))
            expected[side][row * m : (row + 1) * m, item * n : (item + 1) * n] = train[np.ix_(rows, columns)]
    for split, matrix in expected.items():
        assert np.array_equal(dense(expansion, split), matrix)
        whole = expansion.table(0, m * p, split)
        parts = [expansion.table(first, min(first + 7, m * p), split) for first in range(0, m * p, 7)]
        assert [row for part in parts for row in part.to_pylist()] == whole.to_pylist()


def test_a_kronecker_data_set_resumes_with_its_signs(tmp_path: Path) -> None:
    options: dict[str, Any] = {"user_multiplier": 3, "item_multiplier": 4, "operator": "kronecker", "parts": 4}
    fr.expand("sample", tmp_path / "out", **options)
    files = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.parquet")}
    (tmp_path / "out/manifest.json").unlink()
    (tmp_path / "out/train/part-00002-of-00004.parquet").unlink()
    fr.expand("sample", tmp_path / "out", **options)
    assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.parquet")} == files
    assert fr.open_dataset(tmp_path / "out").train.to_table()["rating"].to_numpy().min() < 0


def test_another_function_does_not_finish_what_one_began(
    tmp_path: Path, base: fr.Base, reduced: fr.ReducedMatrix
) -> None:
    def keeping(share: float) -> Any:
        return lambda block, _, rng: block.multiply(rng.random(block.shape) < share)

    fr.write(fr.Expansion(base, reduced, operator=keeping(0.1)), tmp_path / "out")
    with pytest.raises(fr.OutputError, match="operator is function"):
        fr.write(fr.Expansion(base, reduced, operator=keeping(0.9)), tmp_path / "out")
    with pytest.raises(fr.InputError, match="cannot be saved"):
        fr.Expansion(base, reduced, operator=halve).save(tmp_path / "saved")


def test_a_sketch_has_as_many_interactions_as_expected(base: fr.Base) -> None:
    expansion = fr.Expansion(base, np.full((20, 30), 0.5), operator="sketch")
    counts = expansion.expected
    pairs: list[tuple[Split, Any]] = [("train", counts.train), ("test", counts.test)]
    for split, expected in pairs:
        # Sampled rows and columns are shared by m × n cells, so that counts spread more than cells on their own would.
        assert abs(expansion.table(0, expansion.shape[0], split).num_rows / expected.mean - 1) < 0.1


def test_written_sketches_say_what_their_ids_mean(tmp_path: Path, base: fr.Base, reduced: fr.ReducedMatrix) -> None:
    dataset = fr.write(fr.Expansion(base, reduced, operator="sketch"), tmp_path / "out", parts=3)
    assert dataset.operator == "sketch"
    assert dataset.manifest.id_layout.startswith("user = row * user_multiplier + r")
    assert fr.write(fr.Expansion(base, reduced), tmp_path / "plain").manifest.id_layout.startswith("user = i * base")


def halve(block: Matrix, _: float, rng: np.random.Generator) -> Matrix:
    keep = rng.random(block.nnz) < 0.5
    return sp.csr_array((block.data * keep, block.indices, block.indptr), shape=block.shape)


def test_a_function_makes_blocks(tmp_path: Path, base: fr.Base, reduced: fr.ReducedMatrix) -> None:
    identity = fr.Expansion(base, reduced, operator=lambda block, *_: block)
    assert np.array_equal(dense(identity, "train"), np.kron(np.ones((3, 4)), base.train.toarray()))
    assert np.array_equal(dense(identity, "test"), np.kron(np.ones((3, 4)), base.test.toarray()))
    expansion = fr.Expansion(base, reduced, operator=halve, seed=3)
    dataset = fr.write(expansion, tmp_path / "out", parts=4)
    splits: tuple[Split, Split] = ("train", "test")
    for split in splits:
        whole = expansion.table(0, 120, split)
        assert getattr(dataset, split).to_table().equals(whole)
        assert pq.read_schema(next((tmp_path / "out" / split).iterdir())).remove_metadata().equals(expansion.schema)
    assert 0.4 < dataset.totals["train"] / (base.train_count * 12) < 0.6
    (tmp_path / "out/train/part-00002-of-00004.parquet").unlink()
    (tmp_path / "out/manifest.json").unlink()
    assert (
        fr.write(fr.Expansion(base, reduced, operator=halve, seed=3), tmp_path / "out", parts=4).totals
        == dataset.totals
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda block, *_: block[:-1], r"block \(0, 0\): the operator gave a matrix of \(39, 60\)"),
        (lambda *_: "nothing", "not a matrix"),
        (lambda block, *_: block.shape, "the operator gave tuple, not a matrix"),
        (lambda block, *_: np.full(block.shape, "a"), "entries of type <U1, not numbers"),
        (lambda block, *_: block * np.nan, "not finite numbers"),
        (len, r"block \(0, 0\): the operator gave an error: len\(\) takes"),
    ],
)
def test_a_function_that_returns_something_else_is_refused_and_leaves_nothing_half_written(
    tmp_path: Path, base: fr.Base, reduced: fr.ReducedMatrix, function: Any, message: str
) -> None:
    expansion = fr.Expansion(base, reduced, operator=function)
    with pytest.raises(fr.InputError, match=message):
        fr.write(expansion, tmp_path / "out", parts=2)
    assert not list(tmp_path.rglob("part-*"))


def test_some_blocks_tell_what_a_function_will_make(base: fr.Base, reduced: fr.ReducedMatrix) -> None:
    few = fr.Expansion(base, reduced, operator=halve, seed=3)
    counts = few.expected
    # Twelve blocks: all of them.
    assert (counts.train.mean, counts.train.std) == (few.table(0, few.shape[0], "train").num_rows, 0)
    assert (counts.test.mean, counts.test.std) == (few.table(0, few.shape[0], "test").num_rows, 0)
    many = fr.Expansion(base, fr.reduce(base, (9, 11)), operator=halve, seed=3)
    counts = many.expected
    table = many.table(0, many.shape[0], "train")
    assert 0 < counts.train.std < 0.05 * counts.train.mean
    assert abs(table.num_rows - counts.train.mean) < 5 * counts.train.std
    assert counts.users == pytest.approx(len(set(table["user_id"].to_pylist())), rel=0.05)
    assert counts.items == pytest.approx(len(set(table["item_id"].to_pylist())), rel=0.05)
    nothing = fr.Expansion(base, reduced, operator=lambda block, *_: block * 0).expected
    assert (nothing.train.mean, nothing.train.std, nothing.users) == (0, 0, 0)


def test_a_function_may_make_test_interactions_of_a_base_without(tmp_path: Path) -> None:
    base = fr.leave_last_out(fr.sample_interactions(40, 60, 700), split="none")
    expansion = fr.Expansion(base, fr.reduce(base, (2, 2)), operator=lambda block, *_: -block)
    assert fr.write(expansion, tmp_path / "out").totals["test"] == 4 * 700


@dataclass
class Counting:
    """Keeps everything, and counts how often it is asked; equal to others, so it has no hash."""

    asked: int = 0

    def __call__(self, block: Matrix, *_: Any) -> Matrix:
        self.asked += 1
        return block


def test_a_run_makes_each_block_once(base: fr.Base) -> None:
    count = Counting()
    expansion = fr.Expansion(base, fr.reduce(base, (5, 7)), operator=count)
    target: Any = ("sample", [])
    part = (0, 0, expansion.shape[0], target, None, target)
    run = expansion.generator.run
    report: Any = run([part], encoding="default", compression="none", row_group_size=1_000, stage="encode", threads=1)
    assert [report["parts"][0][split]["rows"] for split in ("train", "test")] == [35 * base.train_count, 35 * 40]
    assert count.asked == 35


def test_rows_of_a_function_are_not_measured(base: fr.Base, reduced: fr.ReducedMatrix) -> None:
    with pytest.raises(fr.InputError, match="write it first"):
        fr.StreamedMatrix(fr.Expansion(base, reduced, operator=halve))


@pytest.mark.parametrize("stage", ["generate", "encode"])
def test_a_function_writes_nothing_before_the_stage_of_writing(
    base: fr.Base, reduced: fr.ReducedMatrix, tmp_path: Path, stage: Any
) -> None:
    generators = [fr.Expansion(base, reduced, operator=operator).generator for operator in (halve, "dropout")]
    target: Any = (tmp_path / "part.parquet", [])
    settings: dict[str, Any] = {"encoding": "default", "compression": "none", "row_group_size": 1_000, "threads": 1}
    for generator in generators:
        report = generator.run([(0, 0, 120, target, None, target)], stage=stage, **settings)
        assert (report["parts"][0]["train"] is None) == (stage == "generate")
    assert list(tmp_path.iterdir()) == []


def test_an_operator_says_by_its_properties_which_options_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATORS, "mine", dataclasses.replace(OPERATORS["kronecker"], name="mine"))
    assert Options(operator="mine", cold_users=0.1).cold_users == 0.1
    with pytest.raises(fr.InputError, match="shuffle does not go with the operator 'mine'"):
        Options(operator="mine", shuffle="block")
