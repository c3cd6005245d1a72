import dataclasses
import errno
import itertools
import os
import zipfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fractalrs.base import Base, canonical
from fractalrs.errors import InputError, OutputError
from fractalrs.expansion import Cells, group_cells
from fractalrs.expansion.cells import features, group_canonical, partition, tops
from helpers.bases import base_of, random_pairs

FIELDS = ("user_order", "user_starts", "item_order", "item_starts")


Floats = npt.NDArray[np.float64]


def make_base(dense: npt.NDArray[np.bool_], test_mask: npt.NDArray[np.bool_] | None = None) -> Base:
    matrix = sp.csr_array(dense)
    return Base.from_arrays(matrix.indptr, matrix.indices, test_mask, item_ids=np.arange(dense.shape[1]))


def groups_of_taste(users_each: int = 8, items_each: int = 9, groups: int = 6, seed: int = 0) -> tuple[Any, Any, Any]:
    """Groups of users who like nearly only the items of their group; codes shuffled."""
    rng = np.random.default_rng(seed)
    user_group = rng.permutation(np.repeat(np.arange(groups), users_each))
    item_group = rng.permutation(np.repeat(np.arange(groups), items_each))
    liked = user_group[:, None] == item_group[None, :]
    # Groups differ in size of appetite, so that no two singular values are equal.
    appetite = np.linspace(0.7, 1.0, groups)[user_group][:, None]
    return np.where(liked, rng.random(liked.shape) < appetite, rng.random(liked.shape) < 0.02), user_group, item_group


@pytest.fixture(scope="module")
def base() -> Base:
    return make_base(groups_of_taste()[0])


def members(order: npt.NDArray[np.uint32], starts: npt.NDArray[np.uint32]) -> list[list[int]]:
    return [order[a:b].tolist() for a, b in itertools.pairwise(starts)]


def reference_partition(points: Floats, size: int, leaf: int) -> list[list[int]]:
    """The same cells by plain recursion, and one at a time."""
    count = len(points)
    cell_count = -(-count // size)
    starts = [g * count // cell_count for g in range(cell_count + 1)]
    # Groups are split equally often: until the largest is small enough.
    levels = next(level for level in range(count) if -(-cell_count // 2**level) <= leaf)

    def split(codes: list[int], first: int, last: int, level: int) -> list[list[int]]:
        centred = points[codes] - points[codes].mean(axis=0)
        if level == levels or last - first == 1:
            return peel(codes, (centred**2).sum(axis=1), first, last)
        middle = (first + last) // 2
        axis = np.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
        ranked = [codes[i] for i in np.lexsort((codes, (centred * axis).sum(axis=1)))]
        left = starts[middle] - starts[first]
        lower = split(ranked[:left], first, middle, level + 1)
        return lower + split(ranked[left:], middle, last, level + 1)

    def peel(codes: list[int], radius: Floats, first: int, last: int) -> list[list[int]]:
        free = dict(zip(codes, radius, strict=True))
        found = []
        for cell in range(first, last):
            outermost = max(free, key=lambda code: free[code])
            distance = {code: ((points[code] - points[outermost]) ** 2).sum() for code in free}
            nearest = sorted(free, key=lambda code: distance[code])[: starts[cell + 1] - starts[cell]]
            found.append(sorted(nearest))
            for code in nearest:
                del free[code]
        return found

    return split(list(range(count)), 0, cell_count, 0)


@pytest.mark.parametrize("leaf", [1, 3, 64])
@pytest.mark.parametrize(("count", "size"), [(64, 4), (37, 4), (100, 7), (53, 2), (9, 8), (5, 5), (331, 3)])
def test_partition_is_the_plain_recursion(count: int, size: int, leaf: int) -> None:
    points = np.random.default_rng(count).normal(size=(count, 3)) * [3, 2, 1]
    assert members(*partition(points, size, leaf)) == reference_partition(points, size, leaf)


@given(
    count=st.integers(1, 300),
    size=st.integers(1, 40),
    leaf=st.integers(1, 9),
    dimensions=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_partition_is_balanced(count: int, size: int, leaf: int, dimensions: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 5, size=(count, dimensions)).astype(float)
    order, starts = partition(points, size, leaf)
    sizes = np.diff(starts.astype(np.int64))
    assert sorted(order) == list(range(count))
    assert len(sizes) == -(-count // size)
    assert sizes.max() - sizes.min() <= 1
    assert sizes.max() <= size
    assert all(cell == sorted(cell) for cell in members(order, starts))


def test_groups_are_split_along_the_longest_axis_first() -> None:
    points = np.array([[x, y] for x in (0, 10) for y in (0, 1, 2, 3)], dtype=float)
    points = points @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    found = {frozenset(cell) for cell in members(*partition(points, 2, leaf=1))}
    assert found == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5}), frozenset({6, 7})}


def test_those_far_out_choose_first() -> None:
    # Two far out on either side of many: halves would each keep one of a pair.
    points = np.concatenate((np.random.default_rng(0).normal(size=(60, 2)), [[0, 90], [1, -95], [2, 90], [3, -95]]))
    found = {frozenset(cell) for cell in members(*partition(points, 2))}
    assert {frozenset({60, 62}), frozenset({61, 63})} <= found


def test_ties_are_broken_by_code() -> None:
    order, _ = partition(np.ones((10, 3)), 5, leaf=1)
    assert order.tolist() == list(range(10))
    order, _ = partition(np.ones((10, 3)), 5)
    assert order.tolist() == list(range(10))


def test_equal_users_are_ties_to_the_last_bit() -> None:
    # Two kinds of users, 300 of each: the split inside a kind has nothing to go by but the code.
    rng = np.random.default_rng(3)
    kinds = rng.random((2, 50)) < 0.4
    kind = np.tile([0, 1], 300)
    found = group_cells(make_base(kinds[kind]), user_cell_size=100, item_cell_size=1)
    for cell in members(found.user_order, found.user_starts):
        alike = np.flatnonzero(kind == kind[cell[0]])
        assert set(cell) <= set(alike)
        at = np.searchsorted(alike, cell)
        np.testing.assert_array_equal(at, np.arange(at[0], at[0] + 100))


def test_cells_find_groups_of_taste() -> None:
    dense, user_group, item_group = groups_of_taste()
    found = group_cells(make_base(dense), user_cell_size=4, item_cell_size=3)
    for order, starts, group in (
        (found.user_order, found.user_starts, user_group),
        (found.item_order, found.item_starts, item_group),
    ):
        pure = [len(set(group[cell])) == 1 for cell in members(order, starts)]
        # At random next to none would be.
        assert np.mean(pure) > 0.4


def test_degree_weighs_as_much_as_all_tastes_together() -> None:
    tastes = np.random.default_rng(0).normal(size=(50, 3)) * [3, 2, 1]
    degrees = np.arange(50) + 1
    points = features(tastes, degrees)
    np.testing.assert_array_equal(points[:, :3], tastes)
    assert points[:, 3].var() == pytest.approx(tastes.var(axis=0).sum())
    assert np.corrcoef(points[:, 3], np.log1p(degrees))[0, 1] == pytest.approx(1)
    assert np.ptp(features(tastes, np.full(50, 7))[:, 3]) == 0


def test_members_are_alike_in_degree() -> None:
    base = make_base(np.arange(60)[None, :] < np.random.default_rng(0).integers(1, 60, 80)[:, None])
    found = group_cells(base)
    for order, starts, degree in (
        (found.user_order, found.user_starts, base.user_degrees("train")),
        (found.item_order, found.item_starts, base.item_degrees("train")),
    ):
        within = np.mean([degree[cell].std() for cell in members(order, starts)])
        assert within < 0.2 * degree.std()


def test_sizes(base: Base) -> None:
    p, q = base.shape
    found = group_cells(base, user_cell_size=5, item_cell_size=7)
    assert found.shape == (p, q)
    assert (found.user_cell_size, found.item_cell_size) == (5, 7)
    assert len(found.user_starts) - 1 == -(-p // 5)
    assert len(found.item_starts) - 1 == -(-q // 7)
    assert all(getattr(found, field).dtype == np.uint32 for field in FIELDS)


def test_repeats_itself(base: Base) -> None:
    one, two = group_cells(base), group_cells(base)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))


def test_one_member_or_everyone(base: Base) -> None:
    p, q = base.shape
    single, whole = Cells.single(p, q), Cells.whole(p, q)
    assert (single.user_cell_size, single.item_cell_size) == (1, 1)
    assert (whole.user_cell_size, whole.item_cell_size) == (p, q)
    # In the order of content, not of codes: these follow from the names of ids.
    order = {"user_order": canonical(base).users, "item_order": canonical(base).items}
    for asked, expected in (((1, 1), single), ((p, q + 5), whole)):
        found = group_cells(base, *asked)
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(found, field), order.get(field, getattr(expected, field)))
    mixed = group_cells(base, user_cell_size=1, item_cell_size=4)
    np.testing.assert_array_equal(mixed.user_order, order["user_order"])
    np.testing.assert_array_equal(mixed.user_starts, single.user_starts)
    np.testing.assert_array_equal(mixed.item_order, group_cells(base, 4, 4).item_order)


@pytest.mark.parametrize("shape", [(2, 2), (3, 50), (50, 3), (1, 6)])
def test_few_users_or_items(shape: tuple[int, int]) -> None:
    found = group_cells(make_base(np.ones(shape, dtype=bool)), user_cell_size=2, item_cell_size=2)
    assert found.shape == shape
    assert max(found.user_cell_size, found.item_cell_size) <= 2


def test_singular_values_that_are_zero() -> None:
    dense = np.zeros((6, 5), dtype=bool)
    dense[0] = True
    found = group_cells(make_base(dense), user_cell_size=2, item_cell_size=2)
    assert members(found.user_order, found.user_starts) == [[0, 1], [2, 3], [4, 5]]


def test_test_interactions_have_no_influence() -> None:
    rng = np.random.default_rng(1)
    train, _, _ = groups_of_taste()
    results = []
    for _ in range(2):
        test = ~train & (rng.random(train.shape) < 0.2)
        results.append(group_cells(make_base(train | test, test[train | test])))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(results[0], field), getattr(results[1], field))


@pytest.mark.parametrize(
    ("size", "words"), [(0, "size 0 is less"), (-3, "size -3 is less"), (2.5, "size 2.5 is not a")]
)
def test_sizes_that_make_no_sense(base: Base, size: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"user cell {words}"):
        group_cells(base, user_cell_size=size)
    with pytest.raises(InputError, match=f"item cell {words}"):
        group_cells(base, item_cell_size=size)


def test_nothing_to_train_on() -> None:
    with pytest.raises(InputError, match="no interaction"):
        group_cells(make_base(np.ones((8, 8), dtype=bool), np.ones(64, dtype=bool)))


def test_saves_and_loads(base: Base, tmp_path: Path) -> None:
    found = group_cells(base)
    found.save(tmp_path / "one.npz")
    loaded = Cells.load(tmp_path / "one.npz")
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(loaded, field), getattr(found, field))
        assert getattr(loaded, field).dtype == np.uint32
        assert not getattr(loaded, field).flags.writeable
    loaded.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"user_order": [0, 1, 1]}, "user_order does not hold each of 3 user codes once"),
        ({"user_order": [0, 1, 3]}, "user_order does not"),
        ({"item_order": []}, "item_order does not"),
        ({"user_starts": [0, 2, 2, 3]}, "user_starts does not rise from 0 to the number of users, 3"),
        ({"user_starts": [0, 2]}, "user_starts does not"),
        ({"user_starts": [1, 3]}, "user_starts does not"),
        ({"item_starts": [0, 3, 2]}, "item_starts does not rise from 0 to the number of items, 2"),
        ({"item_starts": [0]}, "item_starts does not"),
        ({"item_order": [-1, 0]}, "item_order holds numbers that are no codes"),
        ({"item_order": [2**32, 0]}, "item_order holds numbers that are no codes"),
        ({"item_order": [[0, 1]]}, "item_order must be a one-dimensional"),
        ({"item_order": [0.0, 1.0]}, "item_order must be a one-dimensional"),
    ],
)
def test_arrays_that_are_no_cells(damage: dict[str, Any], words: str, tmp_path: Path) -> None:
    arrays = {"user_order": [2, 0, 1], "user_starts": [0, 2, 3], "item_order": [1, 0], "item_starts": [0, 2]}
    good = {name: np.array(values) for name, values in arrays.items()}
    assert Cells(**good).shape == (3, 2)
    bad = good | {name: np.array(values, dtype=None if values else np.int64) for name, values in damage.items()}
    with pytest.raises(InputError, match=words):
        Cells(**bad)
    np.savez(tmp_path / "bad.npz", allow_pickle=True, **bad)
    with pytest.raises(InputError, match=f"bad.npz: {words}"):
        Cells.load(tmp_path / "bad.npz")


def test_files_that_hold_no_cells(base: Base, tmp_path: Path) -> None:
    found = group_cells(base)
    path = tmp_path / "cells.npz"
    np.savez(path, user_order=found.user_order)
    wrong = [path.read_bytes(), b"", b"no cells"]
    np.save(tmp_path / "array.npy", found.user_order)
    wrong.append((tmp_path / "array.npy").read_bytes())
    found.save(path)
    wrong.append(path.read_bytes()[:-30])
    np.savez(path, allow_pickle=True, **dict.fromkeys(FIELDS, np.array([None])))
    wrong.append(path.read_bytes())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("user_order.npy", "text")
    wrong.append(path.read_bytes())
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cells\.npz does not hold saved cells") as caught:
            Cells.load(path)
        assert "make the cells again" in str(caught.value)
    with pytest.raises(FileNotFoundError):
        Cells.load(tmp_path / "missing.npz")


def test_cells_cannot_be_changed(base: Base) -> None:
    found = group_cells(base)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.user_order = found.item_order  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        found.user_order[0] = 1


def test_cells_that_cannot_be_written_leave_those_that_are_there(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cells.npz"
    group_cells(base).save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OutputError, match=r"cannot write .*cells\.npz: No space left on device"):
        Cells.single(3, 2).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_of_another_kind_is_refused_by_its_name() -> None:
    calls: list[tuple[str, Any]] = [
        ("base is 5", lambda: group_cells(5)),  # type: ignore[arg-type]
        ("path is 5", lambda: Cells.load(5)),  # type: ignore[arg-type]
        ("number of users", lambda: Cells.whole(2.5, 2)),  # type: ignore[arg-type]
    ]
    for message, call in calls:
        with pytest.raises(InputError, match=message):
            call()


# --- Those at the top ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("size", [2, 5])
def test_no_cell_at_the_top_moves_much(tail: float, size: int) -> None:
    degrees = np.random.default_rng(1).permutation(np.round(2_000 * np.arange(1.0, 301) ** -tail).astype(np.int64))
    moved, total = 0.002, degrees.sum()
    cells, ranking = tops(degrees, size, moved), np.sort(degrees)[::-1]
    apart = np.concatenate([*cells, np.empty(0, np.uint32)]).astype(np.int64)
    # They are the first of the ranking, each once and in cells of at most the size.
    assert np.array_equal(np.sort(degrees[apart])[::-1], ranking[: len(apart)])
    assert len(np.unique(apart)) == len(apart)
    assert max((len(cell) for cell in cells), default=1) <= size
    for cell in cells:
        assert np.abs(degrees[cell] - degrees[cell].mean()).sum() / total <= moved
    for cell, following in itertools.pairwise(cells):
        if len(cell) < size:
            more = np.append(degrees[cell], degrees[following].max())
            assert np.abs(more - more.mean()).sum() / total > moved
    for place in range(len(apart), len(degrees) - size + 1):
        window = ranking[place : place + size]
        assert np.abs(window - window.mean()).sum() / total <= moved
    assert bool(cells) == (tail > 0)


def test_tops_have_cells_of_their_own() -> None:
    pairs = random_pairs(200, 150, 8, user_tail=1.2, item_tail=0.0, seed=4)
    known = canonical(base_of(pairs))
    grouped = partial(group_canonical, known, user_cell_size=5)
    cells, plain = grouped(lost=0.02, blocks=(8, 8)), grouped()
    apart = tops(known.user_degrees, 5, 0.002)
    assert len(apart) > 2
    assert [sorted(cell) for cell in members(cells.user_order, cells.user_starts)[: len(apart)]] == [
        cell.tolist() for cell in apart
    ]
    # What loses less is left as it is: all with a higher limit, and of both sides but the one that does not.
    for other, names in (
        (grouped(lost=10.0, blocks=(8, 8)), FIELDS),
        (grouped(lost=0.1, blocks=(8, 8)), FIELDS[2:]),
    ):
        assert all(np.array_equal(getattr(other, name), getattr(plain, name)) for name in names)
    assert not np.array_equal(grouped(lost=0.1, blocks=(8, 8)).user_order, plain.user_order)
    # The others are in as few cells as their number allows.
    assert len(cells.user_starts) - 1 == len(apart) + -(-(200 - sum(map(len, apart))) // 5)


def test_all_may_be_at_the_top() -> None:
    known = canonical(base_of(np.array([(user, item) for user in range(6) for item in range(2**user)])))
    assert [len(cell) for cell in tops(known.user_degrees, 2, 0.0)] == [1, 1, 1, 1, 1]
    assert tops(known.user_degrees, 7, 0.0) == []
    cells = group_canonical(known, 2, 2, lost=0.0, blocks=(4, 4))
    assert np.array_equal(np.sort(cells.user_order), np.arange(6))
    # Two of three equal ones, which are all that is left over.
    assert [cell.tolist() for cell in tops(np.array([1, 4, 1]), 3, 0.0)] == [[1]]
    assert [cell.tolist() for cell in tops(np.array([1, 4]), 2, 0.0)] == [[1]]
